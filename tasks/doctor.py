"""Checks a task before a run: every gold answer passes its own verdict, and a wrong answer fails.

Of an item without a gold answer (some code tasks have tests alone) only the wrong answer is checked. It does not check that a gold answer
is true, nor answers in prose, which a language model judges.
"""

from dataclasses import dataclass
from fractions import Fraction

from ..signatures.records import Example
from .base import SPLITS, Task
from .union import member
from .verdicts import number


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
            if reason := _fault(member(task, example.task), example):
                findings.append(Finding(example, reason))
    return checked, findings


def _fault(task: Task, example: Example) -> str:
    kind = example.kind if task.kind == "several" else task.kind
    if kind == "prose":
        return ""  # what the rubric says of a text takes a language model, and a call an item
    tried = [("a changed answer", False, _changed(kind, example)), ("an empty response", False, "")]
    if example.answer:
        completion = task.completion(example.solution, example.answer)
        tried = [("the bare answer", True, example.answer), ("the completion", True, completion), *tried]
    for what, right, response in tried:
        verdict = task.verdict(example, response)
        if verdict.correct is None:
            return f"it cannot be judged: {verdict.reason}; leave the item out"
        if right and not verdict.correct:
            return f"{what} is judged {verdict.reason!r} (read {verdict.extracted!r}, gold {example.answer!r})"
        if verdict.correct and not right:
            return f"{what} is not judged wrong but {verdict.reason!r} (gold {example.answer!r})"
    return ""


def _changed(kind: str, example: Example) -> str:
    """A response that is surely wrong."""
    if kind == "number":
        return f"#### {number.show((number.read(example.answer) or Fraction(0)) + 1)}"
    if kind == "choice":
        return next((label for label in example.meta["choices"] if label != example.answer), "")
    if kind == "code":
        return f"def {example.meta['entry_point']}(*args, **kwargs):\n    raise NotImplementedError\n"
    if kind == "tools":
        return '[{"name": "zqxj", "arguments": {}}]'
    return "SELECT 'zqxj'" if kind == "sql" else "zqxj"
