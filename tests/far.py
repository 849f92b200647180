"""Work for the nodes of a test's cluster, which find this file by PYTHONPATH."""

import os
import signal
import time
from pathlib import Path

from errata.programs.run.cluster import Unfit
from errata.signatures.errors import TargetError


def doubled(setup, chunk):
    time.sleep(setup.get("seconds", 0))
    return [2 * number for number in chunk]


def failing(setup, chunk):
    raise TargetError(f"no {chunk} here")


def broken(setup, chunk):
    return chunk["no such"]


def unfit(setup, chunk):
    import ray

    if ray.get_runtime_context().get_node_id() in setup["nodes"]:
        raise Unfit("it has no model")
    time.sleep(1.5)  # so that no node does all before another has begun
    return ray.get_runtime_context().get_node_id()


def deadly(setup, chunk):
    os.kill(os.getpid(), signal.SIGKILL)


def marked(setup, chunk):
    """The first chunk is done at once; the others leave a file when they begin and another when they end."""
    if chunk:
        Path(setup, f"{chunk}.begun").touch()
        time.sleep(60)
        Path(setup, f"{chunk}.ended").touch()
