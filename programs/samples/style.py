"""How long texts are and how many steps they take: rows beside the errors that they come from, and beside the target's own right answers.

A step is a written calculation ("3 * 4 = 12", with or without a calculator mark); a text without any, and code, is counted in lines.
What is not here: the tokens of a target, which a report, drawn where no target is, cannot count; words stand for them.
"""

import re
import statistics
from array import array
from collections.abc import Iterable
from typing import Any

from ...signatures.records import Example
from ...tasks import Task, member

_MARK = re.compile(r"<<[^<>]*>>")
_RESULT = re.compile(r"=\s*[-$€£]*\d")


def step_count(text: str, kind: str = "number") -> int:
    """Calculations of a text; its lines that are not blank where it has none, or where it is code or SQL."""
    found = 0 if kind in ("code", "sql") else len(_RESULT.findall(_MARK.sub("", text)))
    return found or sum(bool(line.strip()) for line in text.splitlines())


class Style:
    """Words and steps of many texts, one after the other; two numbers a text are kept."""

    def __init__(self) -> None:
        self._words, self._steps = array("L"), array("L")

    def add(self, text: str, kind: str) -> None:
        self._words.append(len(text.split()))
        self._steps.append(step_count(text, kind))

    def document(self) -> dict[str, Any]:
        """How many texts there are, and the medians of their words and steps; None where there are no texts."""
        medians = [float(statistics.median(values)) if values else None for values in (self._words, self._steps)]
        return {"texts": len(self._words), "words": medians[0], "steps": medians[1]}


def style(texts: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """`Style` of (text, kind) pairs, as a document."""
    found = Style()
    for text, kind in texts:
        found.add(text, kind)
    return found.document()


def reference(task: Task, example: Example) -> str | None:
    """An item's reference in the form of an answer; None where the data hold no worked solution, or of code nothing but tests."""
    if not (example.answer if example.kind == "code" else example.solution):
        return None
    return member(task, example.task).completion(example.solution, example.answer)
