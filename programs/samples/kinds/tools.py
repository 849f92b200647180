"""Requests that are answered by calls of tools, or by words where no call is wanted.

Which tools there are is the task's to say, unless a row names its own: what the target would be shown of a problem is looked at.
"""

import ast
import json
from typing import Any

from ....signatures.records import Attempt, Example
from ....tasks import Task
from ....tasks.answers.tools import tools_of
from ....tasks.verdicts import calls
from ....tasks.verdicts.calls import Call
from ..kind import Draw, Kind, Row, problem_shape


class ToolsKind(Kind):
    """Calls of tools that fit their schemas."""

    name = "tools"
    texts = ("question",)
    others = ("answer", "asserted", "solution", "tools")

    def finish(self, row: Row, draw: Draw | None) -> Row:
        row = super().finish(row, draw)
        row |= {"answer": _canonical(row.get("answer"), "make()"), "solution": row.get("solution") or ""}
        if not isinstance(row["solution"], str):
            raise ValueError(f"make() must return a str under 'solution', or leave it out, not {row['solution']!r}")
        if row["answer"] == "[]" and not row["solution"].strip():
            raise ValueError("where no call is wanted, make() must return the words of the answer under 'solution'")
        if row.get("tools") is None:
            row.pop("tools", None)
        else:
            row["tools"] = tools_of(row["tools"], "'tools' of make()", ValueError)
        return row | ({"wrong": _canonical(row["wrong"], "wrong()")} if row.get("wrong") is not None else {})

    def meta(self, row: Row) -> dict[str, Any]:
        return {"tools": row["tools"]} if "tools" in row else {}

    def consistent(self, task: Task, made: Example) -> str | None:
        first = task.prompt(made)[0]
        if first["role"] != "tools":
            return "make() must return the functions of the problem under 'tools', as they differ from item to item"
        known = calls.known(json.loads(first["content"]))
        faults = (calls.misfit(Call(**one), known) for one in json.loads(made.answer))
        if fault := next(filter(None, faults), None):
            return f"the answer {made.answer} does not fit the functions: {fault}"
        return super().consistent(task, made)

    def anchored(self, task: Task, gold: Example, made: Example) -> str | None:
        verdict = task.verdict(gold, task.completion(made.solution, made.answer))
        return None if verdict.correct else f"answers {made.answer}, but the gold answer is {gold.answer}: {verdict.reason}"

    def told(self, task: Task, attempt: Attempt, row: Row) -> str | None:
        said = attempt.verdict.extracted
        if self.misses(task, attempt.example.model_copy(update={"answer": said}), row["wrong"]):
            return None
        return f"is {row['wrong']}, but the model answered {said}"

    def misses(self, task: Task, made: Example, wrong: str) -> bool:
        return bool(task.verdict(made, task.completion("", wrong)).correct)

    def shape(self, example: Example) -> Any:
        """Other values of the same arguments make no other problem."""
        called = sorted((one["name"], *sorted(one["arguments"])) for one in json.loads(example.answer))
        return problem_shape(example.question, "")[:2], tuple(called)


def _canonical(said: Any, whose: str) -> str:
    """The calls that a program gave, as `Example.answer` holds them; the harness makes a text of what wrong() gives. Raises ValueError."""
    try:
        value = ast.literal_eval(said) if isinstance(said, str) else said
        found = [(one["name"], one["arguments"], *(one.keys() - {"name", "arguments"})) for one in value]
        if all(isinstance(one[0], str) and isinstance(one[1], dict) and len(one) == 2 for one in found):
            return calls.written([Call(*one) for one in found])
    except (ValueError, TypeError, LookupError, SyntaxError, AttributeError, MemoryError, RecursionError):
        pass
    form = "a list of {'name': str, 'arguments': dict of JSON values}, [] where no call is wanted"
    raise ValueError(f"{whose} must give {form}, not {str(said)[:200]}")
