"""What rows cost: drawn in the sandbox, filtered, and written as a training set, at growing numbers of rows.

    python scripts/bench_rows.py [--rows 10000 100000 1000000] [--folder DIR]

Programs are those that the embedded instructor writes for `sums` items whose numbers are 97 times as large, so that a few programs hold a
million different rows; those whose gold answer they do not rebuild (a product does not grow by 97) are refused by `prove`. Each program has
the same weight. Rows go through the filters of every training set (telling, distinct, unseen against 20,000 held-out `sums` items) and are
written as the step `assemble` writes them: samples, refusals and shuffled training rows. Each number of rows is made in a process of its
own. CPU seconds are of that process and of its sandbox workers together; peak memory (MB) is read from /proc, so Linux only. On a shared
machine read the CPU seconds. Not here: the target's own words, and solves by an instructor.
"""

import argparse
import multiprocessing
import os
import re
import resource
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from errata.programs import LearnFromError, prove
from errata.programs.instructor.chat import instructed_by
from errata.programs.instructor.offline import offline_lm
from errata.programs.run import layout
from errata.programs.run.directory import Stage
from errata.programs.samples.draw import Supply
from errata.programs.samples.filters import row_filters
from errata.programs.steps.rows import TrainingSet, train_row
from errata.sandbox import Limits, Sandbox, open_sandbox
from errata.signatures.records import Attempt, Example, Failure, Rejection, SampleProgram
from errata.tasks import Task, load_task

SCALE = 97
ITEMS = 96
"""Train items that are taken as errors."""
HELD_OUT = 20_000


def enlarged(example: Example) -> Example:
    """The item with numbers SCALE times as large."""
    grown = lambda text: re.sub(r"\d+", lambda found: str(SCALE * int(found[0])), text)  # noqa: E731
    return example.model_copy(update={name: grown(getattr(example, name)) for name in ("question", "answer", "solution")})


def unfinished(example: Example) -> str:
    """A wrong answer: the solution, without its last step and the answer."""
    steps = example.solution.splitlines()[:-2]
    return "\n".join([*steps, f"#### {re.findall(r'[0-9]+', steps[-1])[-1]}"]) if steps else "#### 1"


def ticks(sandbox: Sandbox) -> float:
    """CPU seconds so far of this process and of the workers of a sandbox."""
    stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in sandbox.pids]
    return time.process_time() + sum(int(one[11]) + int(one[12]) for one in stats) / os.sysconf("SC_CLK_TCK")


def programs(task: Task, sandbox: Sandbox, proofs: list[float]) -> Iterator[SampleProgram]:
    """Programs that pass every check and say what the misconception answers, written without a model; `proofs` takes the CPU seconds of
    each proof, of those that fail too."""
    strategy = LearnFromError()
    with instructed_by(offline_lm()):
        for item in task.examples("train", ITEMS):
            example = enlarged(item)
            response = unfinished(example)
            failure = Failure(attempt=Attempt(example=example, response=response, verdict=task.verdict(example, response)))

            def check(program: SampleProgram, failure: Failure = failure) -> Rejection | None:
                begun = ticks(sandbox)
                said = prove(program, [failure], task, sandbox, Limits())
                proofs.append(ticks(sandbox) - begun)
                return said

            taught = strategy(failures=(failure,), brief=task.brief, prove=check)
            if taught.program is not None:
                yield taught.program


def peak(pid: int | str) -> float:
    """Largest resident memory that a process ever had, MB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) * 1024 / 1e6 if found else 0.0


def cpu_seconds() -> tuple[float, float]:
    """Of this process, and of its children that have ended."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime, children.ru_utime + children.ru_stime


def measure(library: list[SampleProgram], rows: int, folder: Path) -> dict[str, Any]:
    """Make a training set of `rows` generated rows under `folder`; what it took."""
    task = load_task("sums")
    held_out = [example for split in ("dev", "test") for example in task.examples(split, HELD_OUT // 2)]
    named = {program.id: program for program in library}
    stage = Stage(folder / f"rows-{rows}")
    checks: Counter[str] = Counter()
    started, before = time.perf_counter(), cpu_seconds()
    with open_sandbox() as sandbox:
        samples, refusals, training = stage.writer(layout.SAMPLES), stage.writer(layout.REJECTIONS), TrainingSet(task, stage)
        supply = Supply(named, dict.fromkeys(named, 1.0), rows, seed=0, levels=(2, 3, 3, 4))
        for kept, refused in supply.rows(row_filters(task, held_out), sandbox, Limits()):
            for sample in kept:
                samples.add(sample)
                training.add(train_row(task, sample))
            for refusal in refused:
                refusals.add(refusal)
                checks[refusal.check] += 1
        workers = [peak(pid) for pid in sandbox.pids]
    size = samples.bytes
    stage.finish({layout.SAMPLES: samples, layout.REJECTIONS: refusals, layout.ROWS: training.shuffled((), 0)})
    return {
        "rows": samples.rows,
        "refused": dict(checks),
        "seconds": time.perf_counter() - started,
        "cpu": [after - start for after, start in zip(cpu_seconds(), before, strict=True)],
        "parent": peak("self"),
        "workers": workers,
        "megabytes": size / 1e6,
    }


def told(made: dict[str, Any]) -> str:
    rows = made["rows"]
    refused = ", ".join(f"{check} {count:,}" for check, count in made["refused"].items()) or "none"
    workers = " + ".join(f"{one:.0f}" for one in made["workers"])
    cpu = " + ".join(f"{1000 * seconds / rows:.2f}" for seconds in made["cpu"])
    return (
        f"{rows:>9,} rows ({made['megabytes']:.0f} MB; refused: {refused}): {made['seconds']:.0f} s, {rows / made['seconds']:.0f} rows/s, "
        f"{cpu} ms CPU a row (parent + workers); peak memory {made['parent']:.0f} MB, workers {workers} MB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--folder", type=Path, default=None, help="where the rows are written; default: a temporary place")
    options = parser.parse_args()
    with open_sandbox(1) as sandbox:
        proofs: list[float] = []
        library = list(programs(load_task("sums"), sandbox, proofs))
    made = f"{len(library)} programs, {sum('def wrong' in program.source for program in library)} with a misconception"
    print(f"{made}; a proof took {1000 * statistics.median(proofs):.0f} ms of CPU (the middle of {len(proofs)})", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        for rows in options.rows:
            with multiprocessing.get_context("spawn").Pool(1) as alone:
                print(told(alone.apply(measure, (library, rows, options.folder or Path(scratch)))), flush=True)


if __name__ == "__main__":
    if sys.platform != "linux":
        sys.exit("bench_rows.py reads /proc, which only Linux has")
    main()
