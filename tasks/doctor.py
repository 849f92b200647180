"""Checks a task before a run: every gold answer passes its own verdict, and a wrong answer fails.

It does not check that a gold answer is true.
"""

from dataclasses import dataclass

from ..signatures.records import Example
from .base import SPLITS, Task


@dataclass(frozen=True)
class Finding:
    """A gold answer that its own verdict does not read right."""

    example: Example
    reason: str


def doctor(task: Task, limit: int | None = None) -> tuple[int, list[Finding]]:
    """Number of items checked over all splits, and those that fail; `limit` items of each split, None for all."""
    findings, checked = [], 0
    for split in SPLITS:
        for example in task.examples(split, limit):
            checked += 1
            if reason := _fault(task, example):
                findings.append(Finding(example, reason))
    return checked, findings


def _fault(task: Task, example: Example) -> str:
    right = {"bare answer": example.answer, "completion": task.completion(example.solution, example.answer)}
    for what, response in right.items():
        verdict = task.verdict(example, response)
        if not verdict.correct:
            return f"the {what} is judged {verdict.reason!r} (read {verdict.extracted!r}, gold {example.answer!r})"
    # A digit put before the answer changes any number; an empty response is no answer.
    for what, response in {
        "a changed answer": f"#### 9{example.answer.lstrip('-+$ ')}",
        "an empty response": "",
    }.items():
        if task.verdict(example, response).correct is not False:
            return f"{what} is not judged wrong (gold {example.answer!r})"
    return ""
