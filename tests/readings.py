"""Tables of texts and what is read from them: each line of tests/tasks/readings_NAME.jsonl is a test, and a place in docs/tasks.md."""

import json
from pathlib import Path


def readings(name: str) -> list[tuple[str, str | None]]:
    """(text, what is read from it, None where nothing is)."""
    lines = (Path(__file__).parent / f"tasks/readings_{name}.jsonl").read_text(encoding="utf-8").split("\n")
    return [tuple(json.loads(line)[1:]) for line in lines if line]


def judged(name: str) -> list[tuple[str, str, str]]:
    """(gold, text, `right` or `wrong`), of readings whose first part is "the gold `GOLD`"."""
    lines = (Path(__file__).parent / f"tasks/readings_{name}.jsonl").read_text(encoding="utf-8").split("\n")
    return [(what.split("`")[1], text, reason) for what, text, reason in map(json.loads, filter(None, lines))]
