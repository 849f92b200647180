"""Problems whose answer is a number that the program computed.

Not here: reading numbers out of answers (the task's verdict does).
"""

import re

from ....signatures.records import Attempt, Example
from ....tasks import Task
from ....tasks.verdicts import number
from ..kind import Kind, Row


class NumberKind(Kind):
    """A number that the program computed."""

    name = "number"
    texts = ("question", "solution", "answer")

    def consistent(self, task: Task, made: Example) -> str | None:
        complaint = super().consistent(task, made)
        if complaint or _mentions(made.solution, made.answer):
            return complaint
        return f"the solution never comes to the answer {made.answer!r}: {made.solution[:200]!r}"

    def anchored(self, task: Task, gold: Example, made: Example) -> str | None:
        verdict = task.verdict(gold, task.completion(made.solution, made.answer))
        return None if verdict.correct else f"answers {made.answer!r}, but the gold answer is {gold.answer!r}"

    def told(self, task: Task, attempt: Attempt, row: Row) -> str | None:
        if _same(task, row["wrong"], str(attempt.verdict.extracted)):
            return None
        return f"is {row['wrong']!r}, but the model answered {attempt.verdict.extracted!r}"

    def misses(self, task: Task, made: Example, wrong: str) -> bool:
        return _same(task, wrong, made.answer)


_BEGINS, _ENDS = re.compile(r"(?<![\d.,])"), re.compile(r"(?!\.?\d)")
"""Of a place in a text: a number may begin there, and may end."""


def _mentions(solution: str, answer: str) -> bool:
    """Whether the number `answer` stands in the solution, in any form (1,200 or $1200.00)."""
    at = -1
    while (at := solution.find(answer, at + 1)) >= 0:  # one pattern with the answer in it would be compiled anew for each row
        if _BEGINS.match(solution, at) and _ENDS.match(solution, at + len(answer)):
            return True
    wanted = number.read(answer)
    return any(number.same(number.extract(word), wanted) for word in {*re.split(r"[\s=]+", solution)})


def _same(task: Task, answer: str, other: str) -> bool:
    example = Example(task=task.name, split="train", question="", answer=other)
    return bool(task.verdict(example, task.completion("", answer)).correct)
