"""Problems whose answer is a JSON value: what a text says, in fields.

Not here: the form of answers (the task's schema has it), and comparing values (the task's verdict does).
"""

import json
from typing import Any

from ....signatures.records import Example
from ....tasks import Task
from ..kind import Draw, Kind, Row, problem_shape


class JsonKind(Kind):
    """A JSON value that the program put together. Its text travels in a canonical form; the task writes it as its gold answers are."""

    name = "json"
    texts = ("question",)
    values = ("answer",)
    others = ("asserted", "solution")

    def finish(self, row: Row, draw: Draw | None) -> Row:
        row = super().finish(row, draw)
        return row | {name: _canonical(row[name]) for name in ("answer", "wrong") if row.get(name) is not None}

    def consistent(self, task: Task, made: Example) -> str | None:
        if fault := task.fault(made.answer):
            return f"no item of the task could have the answer {made.answer[:300]}: {fault}"
        return super().consistent(task, made)

    def shape(self, example: Example) -> Any:
        """Names count as little in the answer as in the question, and the order of fields not at all."""
        answer = json.dumps(json.loads(example.answer), sort_keys=True, ensure_ascii=False)
        return problem_shape(example.question, problem_shape(answer, "")[0])


def _canonical(text: str) -> str:
    """The same value in one way of writing; untrusted code may have put anything here. Raises ValueError."""
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, allow_nan=False)
    except RecursionError:
        raise ValueError("the answer is nested too deeply") from None
