"""Requests that are answered by calls of tools, or by words where no call is wanted.

Which tools there are is the task's to say, unless a row names its own: what the target would be shown of a problem is looked at.
"""

import json
from typing import Any

from ....signatures.records import Example
from ....tasks import Task
from ....tasks.answers.tools import tools_of
from ....tasks.verdicts import calls
from ....tasks.verdicts.calls import Call
from ..kind import Draw, Kind, Row, problem_shape


class ToolsKind(Kind):
    """Calls of tools that fit their schemas."""

    name = "tools"
    texts = ("question",)
    values = ("answer",)
    others = ("asserted", "solution", "tools")

    def finish(self, row: Row, draw: Draw | None) -> Row:
        row = super().finish(row, draw)
        given = {"make()": "answer", "wrong()": "wrong"}
        row |= {name: _canonical(row[name], whose) for whose, name in given.items() if row.get(name) is not None}
        if row["answer"] == "[]" and not row["solution"].strip():
            raise ValueError("where no call is wanted, make() must return the words of the answer under 'solution'")
        if row.get("tools") is None:
            row.pop("tools", None)
        else:
            row["tools"] = tools_of(row["tools"], "'tools' of make()", ValueError)
        return row

    def meta(self, row: Row) -> dict[str, Any]:
        return {"tools": row["tools"]} if "tools" in row else {}

    def consistent(self, task: Task, made: Example) -> str | None:
        first = task.prompt(made)[0]
        if first["role"] != "tools":
            return "make() must return the functions of the problem under 'tools', as they differ from item to item"
        known = calls.known(json.loads(first["content"]))
        faults = (calls.misfit(call, known) for call in calls.parsed(made.answer))
        if fault := next(filter(None, faults), None):
            return f"the answer {made.answer} does not fit the functions: {fault}"
        return super().consistent(task, made)

    def shape(self, example: Example) -> Any:
        """Other values of the same arguments make no other problem."""
        called = sorted((one["name"], *sorted(one["arguments"])) for one in json.loads(example.answer))
        return problem_shape(example.question, "")[:2], tuple(called)


def _canonical(said: str, whose: str) -> str:
    """The calls that a program gave, as `Example.answer` holds them. Raises ValueError."""
    try:
        found = [Call(**one) for one in json.loads(said)]
        if all(isinstance(call.name, str) and isinstance(call.arguments, dict) for call in found):
            return calls.written(found)
    except (ValueError, TypeError, RecursionError):
        pass
    form = "a list of {'name': str, 'arguments': dict of JSON values}, [] where no call is wanted"
    raise ValueError(f"{whose} must give {form}, not {said[:200]}")
