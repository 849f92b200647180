"""What the bookkeeping of many items costs: a table is loaded, a target that answers at once is asked each item, and the answers are read
as mining, the gate and the report read them.

    python scripts/bench_million.py [--items 50000 200000 1000000] [--folder DIR]

Items are rows of a JSON lines file of about 400 bytes, a question whose answer is a number with a worked solution; half of the answers are
wrong. Each step runs in a process of its own: `load` is the task alone, and every other step loads the task too, as a command does. Seconds
are of the clock, CPU seconds of the process; peak memory (MB) is read from /proc, so Linux only. On a shared machine read the CPU seconds.
Not here: what a model or a server needs to answer (scripts/bench_evaluate.py, scripts/bench_served.py).
"""

import argparse
import json
import multiprocessing
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from errata.programs.config import load_config
from errata.programs.report.document import compare
from errata.programs.report.measured import measured
from errata.programs.run import layout
from errata.programs.steps.gate import decide
from errata.programs.steps.mine import mine, mined
from errata.programs.steps.rows import replay
from errata.programs.steps.session import Session
from errata.trainers.chat import Completion, Prompts

SKILLS = 20
REPLAYED = 2000
"""Solved items that are drawn for replay."""


class AtOnce:
    """A target that answers at once: right with a chance that its two numbers decide, else one too many."""

    hash = "atonce"
    settings: Any = None

    def __init__(self, luck: float):
        self.luck = luck
        self.on_share: Callable[[float], None] = lambda share: None

    def generate(self, prompts: Prompts, *, max_new_tokens: int, **_: Any) -> Iterator[tuple[int, Completion]]:
        for index, prompt in enumerate(prompts):
            a, b = map(int, re.findall(r"(?:are|brings) (\d+)", prompt[-1]["content"]))
            said = a + b + (hash((a, b)) % 1000 >= 1000 * self.luck)  # of whole numbers it is the same everywhere
            yield index, Completion(f"They have {a} and {b}, so together it is {a} + {b} = {said}.\n#### {said}", "stop", 30)

    def close(self) -> None:
        pass


class Benched(Session):
    luck = 0.5

    def open_target(self, settings: Any) -> Any:
        return AtOnce(self.luck)


def write(path: Path, items: int) -> None:
    """train and dev: the same number of items each, of which a step asks one."""
    path.mkdir(parents=True)
    for split in ("train", "dev"):
        with (path / f"{split}.jsonl").open("w") as file:
            for number in range(items if split == "train" else 10):
                a, b = number * 7 + (split == "dev"), number % 1013
                who = f"{split} shop {number % 97} and its neighbour in street {number % 389}"
                question = (
                    f"There are {a} crates in the yard of {who}, and a lorry brings {b} more of them before the noon. How many crates?"
                )
                solution = f"At first there are {a} crates.\nThe lorry brings {b}.\nSo there are {a} + {b} = {a + b} crates."
                row = {"question": question, "answer": str(a + b), "solution": solution, "skill": f"skill {number % SKILLS}"}
                file.write(json.dumps(row) + "\n")


def peak() -> float:
    """Largest resident memory that this process ever had, MB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 / 1e6 if found else 0.0


def opened(folder: Path, **more: Any) -> Benched:
    overrides = {"task": f"jsonl:{folder / 'data'}", "table.skill": "skill", "table.solution": "solution", "items.train": None}
    return Benched(load_config(overrides=overrides | more), folder / "run", lambda line: None)


def load(folder: Path) -> str:
    run = opened(folder)
    return f"{len(run.task.examples('train')):,} items"


def answer(folder: Path) -> str:
    with opened(folder) as run:
        mine(run, 1)
    return f"{run.stage(1, 'mine').facts()['right']:,} right"


def again(folder: Path) -> str:
    with opened(folder) as run:
        run.luck = 0.55
        stage = layout.evaluation(run.path, "after", run.task.name, "train")
        run.evaluate(stage, run.task, run.task.examples("train"), run.config.target, "after")
    return f"{stage.facts()['right']:,} right"


def read_mine(folder: Path) -> str:
    with opened(folder) as run:
        found = mined(run, 1)
        rows = replay(found.solved, REPLAYED, 0)
    return f"{len(found.failures):,} failures, {len(found.solved):,} solved, {len(rows):,} replayed"


def sides(folder: Path) -> tuple[Any, Any]:
    """Before and after; where nothing was evaluated again, the same twice."""
    task = "jsonl:data"
    stages = layout.step(folder / "run", 1, "mine"), layout.evaluation(folder / "run", "after", task, "train")
    before, after = ((stage if stage.done else stages[0]).rows(layout.ATTEMPTS, layout.Attempt) for stage in stages)
    return before, after


def read_gate(folder: Path) -> str:
    config = load_config()
    found = decide("jsonl:data", *sides(folder), {}, config.gate)
    return f"{found.fixed:,} fixed, {found.broken:,} broken"


def read_evaluate(folder: Path) -> str:
    stage = layout.step(folder / "run", 1, "mine")
    found = measured(stage, stage.rows(layout.ATTEMPTS, layout.Attempt))
    return f"{found['right']:,} right in {len(found['skills']) - 1} skills"


def read_report(folder: Path) -> str:
    found = compare(*sides(folder))
    return f"{found.change.fixed:,} fixed"


STEPS: dict[str, Callable[[Path], str]] = {
    "load": load,
    "mine": answer,
    "evaluate again": again,
    "read: mined, replay": read_mine,
    "read: gate": read_gate,
    "read: evaluate's page": read_evaluate,
    "read: report": read_report,
}


def measure(name: str, folder: Path) -> tuple[str, float, float, float, float]:
    idle = peak()
    wall, cpu = time.perf_counter(), time.process_time()
    said = STEPS[name](folder)
    return said, time.perf_counter() - wall, time.process_time() - cpu, peak(), idle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=[50_000, 200_000, 1_000_000])
    parser.add_argument("--steps", nargs="+", choices=list(STEPS), default=list(STEPS))
    parser.add_argument("--folder", type=Path, default=None, help="where data and runs are written; default: a temporary place")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for items in options.items:
            folder = (options.folder or Path(scratch)) / str(items)
            if not folder.exists():
                write(folder / "data", items)
            for name in options.steps:
                with multiprocessing.get_context("spawn").Pool(1) as alone:
                    said, wall, cpu, most, idle = alone.apply(measure, (name, folder))
                each = f"{1e6 * cpu / items:.0f} us and {1e6 * (most - idle) / items:.0f} bytes an item"
                print(f"{items:>9,} {name:22}: {wall:6.1f} s, {cpu:6.1f} s CPU, {most:5.0f} MB; {each}; {said}", flush=True)


if __name__ == "__main__":
    if sys.platform != "linux":
        sys.exit("bench_million.py reads /proc, which only Linux has")
    main()
