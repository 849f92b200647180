"""What a cluster costs beside one machine: the same evaluation, and the same drawing of rows, here and on a Ray cluster in this machine.

    python scripts/bench_cluster.py [--items 600] [--programs 60] [--rows 200] [--nodes 3] [--served URL ...]

The evaluation is of `sums` items by `tiny`; each program draws ROWS rows in the sandbox. On the cluster each node has one CPU, so on a
machine with fewer cores than nodes they wait for each other: read the CPU seconds, of this process and of all that it started. The first
pass starts processes and loads libraries and the model, the second one works. `--served` adds a row for servers that hold `tiny`, one
address or several, whose own CPU seconds are not seen.
Prints one JSON line a row; `same`: the results are those of one machine. Exit code 1 where they are not.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil

from errata.programs.run.cluster import open_cluster
from errata.programs.run.cluster_sandbox import ClusterSandbox
from errata.programs.run.cluster_target import ClusterTarget
from errata.programs.run.evaluate import attempts
from errata.programs.samples.draw import draws
from errata.programs.samples.harness import job_of
from errata.sandbox import Limits, Sandbox, open_sandbox
from errata.tasks import load_task
from errata.trainers import open_target
from errata.trainers.chat import AnyTarget
from errata.trainers.settings import TargetSettings

PROGRAM = """def draw(rng, level):
    return {"a": rng.randint(2, 40 * level), "b": rng.randint(2, 40 * level)}

def make(a, b):
    return {"question": f"Ann has {a} apples and buys {b} more. How many has she now?", "solution": f"{a} + {b} = {a + b}", "answer": a + b}
"""


@contextmanager
def nodes(count: int) -> Iterator[str]:
    """The address of a cluster of so many nodes of one CPU."""
    from ray.cluster_utils import Cluster

    small = {"num_cpus": 1, "object_store_memory": 200 << 20}
    cluster = Cluster(initialize_head=True, head_node_args=small | {"include_dashboard": False})
    try:
        for _ in range(count - 1):
            cluster.add_node(**small)
        cluster.wait_for_nodes()
        yield cluster.address
    finally:
        cluster.shutdown()


def cpu_seconds() -> float:
    """Of this process and of all that it started, directly or not, and that live."""
    me, found = psutil.Process(), 0.0
    for process in (me, *me.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            found += sum(process.cpu_times()[:2])
    return found


def evaluation(target: AnyTarget, items: int) -> list[Any]:
    """The attempts at so many items, in the order of their ids."""
    task = load_task("sums")
    rows = [row for _, row in attempts(task, task.examples("test", items), target)]
    return [row.model_dump() for row in sorted(rows, key=lambda row: row.example.id)]


def drawing(sandbox: Sandbox, programs: int, rows: int) -> list[Any]:
    """What so many programs draw."""
    jobs = (job_of(PROGRAM, (), draws(number, (2, 3, 4), 0, rows), Limits(), "number") for number in range(programs))
    return [(run.outcome, run.rows) for run in sandbox.map(jobs)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=600)
    parser.add_argument("--programs", type=int, default=60)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--served", nargs="+", default=[])
    given = parser.parse_args()
    alone: dict[str, Any] = {}
    different = 0

    def measure(what: str, where: str, work: Callable[[], Any]) -> None:
        nonlocal different
        row: dict[str, Any] = {"what": what, "where": where}
        for name in ("first", "second"):
            started, cpu = time.perf_counter(), cpu_seconds()
            found = work()
            row[name] = {"seconds": round(time.perf_counter() - started, 1), "cpu": round(cpu_seconds() - cpu, 1)}
            different += (differs := alone.setdefault(what, found) != found)
            row["same"] = row.get("same", True) and not differs
        print(json.dumps(row), flush=True)

    target = open_target(TargetSettings())
    measure("evaluation", "one machine", lambda: evaluation(target, given.items))
    with open_sandbox() as sandbox:
        measure("drawing", "one machine", lambda: drawing(sandbox, given.programs, given.rows))
    if given.served:
        servers = open_target(TargetSettings(model="tiny", api_base=given.served))
        measure("evaluation", f"{len(given.served)} servers", lambda: evaluation(servers, given.items))
    with nodes(given.nodes) as address, open_cluster(address, lambda line: print(line, file=sys.stderr)) as cluster:
        far = ClusterTarget(cluster, TargetSettings())
        measure("evaluation", f"Ray x{given.nodes}", lambda: evaluation(far, given.items))
        measure("drawing", f"Ray x{given.nodes}", lambda: drawing(ClusterSandbox(cluster), given.programs, given.rows))
    return bool(different)


if __name__ == "__main__":
    sys.exit(main())
