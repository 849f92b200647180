"""A sandbox on the nodes of a cluster: it stands wherever a `Sandbox` does.

Programs run as stateless tasks on one CPU each, those of `map` a few a task; a node opens its own sandbox once in each worker process. A
run depends on (source, harness, payload) alone, so the rows are those of one machine, byte for byte.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import asdict
from itertools import islice
from typing import Any

from ...sandbox import Job, Limits, Sandbox, open_sandbox
from ...signatures.errors import SandboxError
from ...signatures.records import ProgramRun
from .cluster import Cluster, Unfit

TOGETHER = 4
"""Programs of a task: each takes some 15 ms and more, and a task one or two besides."""


class ClusterSandbox(Sandbox):
    """See `Sandbox`. Closing it leaves the cluster open."""

    def __init__(self, cluster: Cluster) -> None:  # nothing is started here
        self._cluster = cluster
        self._closed = False
        self.workers = cluster.places(programs, None)

    def run(self, source: str, harness: str, payload: Any = None, limits: Limits = Limits()) -> ProgramRun:
        return next(self.map([Job(source, harness, payload, limits)]))

    def map(self, jobs: Iterable[Job]) -> Iterator[ProgramRun]:
        """Run many programs; the runs come in the order of the jobs, which are read some ahead. Raises ClusterError besides."""
        if self._closed:
            raise SandboxError("the sandbox is closed: open another one")
        jobs = iter(jobs)
        chunks = iter(lambda: [_data(job) for job in islice(jobs, TOGETHER)], [])
        with closing(self._cluster.hand_out(programs, None, chunks, ordered=True)) as done:
            for _, runs in done:
                yield from (ProgramRun(**run) for run in runs)

    @property
    def pids(self) -> list[int]:
        """None of this machine's."""
        return []

    def close(self) -> None:
        self._closed = True


def _data(job: Job) -> list[Any]:
    """A job as plain data. Raises TypeError or ValueError for a payload that is not JSON."""
    return [job.source, job.harness, json.dumps(job.payload, allow_nan=False), asdict(job.limits)]


# ---- on a node

_OPENED: list[Sandbox] = []
"""The sandbox of this worker process; its workers end with the process."""


def programs(setup: None, chunk: list[list[Any]]) -> list[dict[str, Any]]:
    """The runs of some programs, in their order."""
    try:
        if not _OPENED:
            _OPENED.append(open_sandbox(workers=1))
        return [
            _OPENED[0].run(source, harness, json.loads(payload), Limits(**limits)).model_dump()
            for source, harness, payload, limits in chunk
        ]
    except SandboxError as error:
        raise Unfit(str(error)) from None
