"""How long texts are and how many steps they take: rows beside the errors that they come from, and beside the target's own right answers.

A step is a written calculation ("3 * 4 = 12", with or without a calculator mark); a text without any, and code, is counted in lines.
What is not here: the tokens of a target, which a report, drawn where no target is, cannot count; words stand for them.
"""

import re
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from ...signatures.records import Attempt, Example, Sample
from ...tasks import Task, member
from .kinds import example_of, kind_of

_MARK = re.compile(r"<<[^<>]*>>")
_RESULT = re.compile(r"=\s*[-$€£]*\d")


def step_count(text: str, kind: str = "number") -> int:
    """Calculations of a text; its lines that are not blank where it has none, or where it is code."""
    found = 0 if kind == "code" else len(_RESULT.findall(_MARK.sub("", text)))
    return found or sum(bool(line.strip()) for line in text.splitlines())


def style(texts: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Median words and steps of (text, kind) pairs, and how many there are; medians are None where there is none."""
    rows = list(texts)
    words = [len(text.split()) for text, _ in rows]
    counted = [step_count(text, kind) for text, kind in rows]
    return {"texts": len(rows), "words": _median(words), "steps": _median(counted)}


def _median(values: Sequence[int]) -> float | None:
    return float(statistics.median(values)) if values else None


def reference(task: Task, example: Example) -> str | None:
    """An item's reference in the form of an answer; None where the data hold no worked solution."""
    if kind_of(example).name != "code" and not example.solution:
        return None
    return member(task, example.task).completion(example.solution, example.answer)


def styles(task: Task, samples: Sequence[Sample], errors: Sequence[Example], solved: Sequence[Attempt]) -> dict[str, dict[str, Any]]:
    """`style` of the worked solutions of rows, of the reference solutions of the errors behind them, and of the target's right answers."""
    kinds = [kind_of(example_of(task, sample)).name for sample in samples]
    worked = [member(task, sample.task).completion(sample.solution, sample.answer) for sample in samples]
    references = [(text, kind_of(example).name) for example in errors if (text := reference(task, example)) is not None]
    own = [(attempt.response, kind_of(attempt.example).name) for attempt in solved]
    return {"rows": style(zip(worked, kinds, strict=True)), "errors": style(references), "solved": style(own)}
