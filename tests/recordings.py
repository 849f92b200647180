"""Recorded answers for tests: two problems, the task's own data, and files that are taken in."""

import json
from pathlib import Path

from errata.programs.run.directory import Stage
from errata.programs.run.recorded import take
from errata.signatures.records import Attempt
from errata.tasks import load_task
from errata.tasks.recorded import join

PENS = "Ann has 3 pens and buys 4. How many pens has she?"
NUTS = "Bob had 12 nuts and ate 5. How many are left?"
GOLD = {PENS: "3 + 4 = <<3+4=7>>7 pens\n#### 7", NUTS: "12 - 5 = <<12-5=7>>7 nuts\n#### 7"}


def jsonl(path: Path, *rows: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows))
    return path


def gsm8k(folder: Path) -> Path:
    """The task's own data: pens is a train item, nuts a test item."""
    jsonl(folder / "train.jsonl", {"id": "pens", "question": PENS, "answer": GOLD[PENS]})
    jsonl(folder / "dev.jsonl", {"id": "dev", "question": "What is 1 plus 1?", "answer": "1+1=<<1+1=2>>2\n#### 2"})
    jsonl(folder / "test.jsonl", {"id": "nuts", "question": NUTS, "answer": GOLD[NUTS]})
    return folder


def taken(tmp_path, paths, task="gsm8k", runner=None, **options):
    """(attempts, what the command prints) of files that are taken in."""
    opened = load_task(task, runner=runner, items=False)
    answers = join.load([paths] if isinstance(paths, Path) else paths, opened, join.source_of(task), **options)
    stage = Stage(tmp_path / "run/round-1/mine")
    document = take(answers, opened, stage, tmp_path / "run")
    return stage.read("attempts.jsonl", Attempt), document


def verdicts(rows):
    return [(row.verdict.correct, row.verdict.extracted) for row in rows]
