"""Runs inside the sandbox: plays the cells of a session, with the recorded answers of its tools.

It yields what the last cell came to, or the first tool call that has no answer yet. The session itself is kept by the host
(errata.programs.instructor.interpreter).
"""

import ast
import io
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any


class Submitted(BaseException):
    """SUBMIT was called."""


class Stopped(BaseException):
    """A tool was called that has no recorded answer yet, or the call is not the one in the journal."""


class Journal:
    """The answers of tools, in the order in which they were asked for."""

    def __init__(self, answers: list[dict[str, Any]]):
        self.answers = answers
        self.asked = 0
        self.stopped: dict[str, Any] | None = None
        """What the host is told when the play stops here."""

    def tool(self, name: str, parameters: list[str]) -> Callable[..., Any]:
        """The function that code calls by the tool's name."""

        def call(*values: Any, **named: Any) -> Any:
            if len(values) > len(parameters):
                raise TypeError(f"{name}() takes {len(parameters)} positional arguments but {len(values)} were given")
            given = json.loads(json.dumps({**dict(zip(parameters, values, strict=False)), **named}))
            if self.stopped is None and self.asked < len(self.answers):
                answer = self.answers[self.asked]
                if [answer["name"], answer["named"]] == [name, given]:
                    self.asked += 1
                    if "error" in answer:
                        raise RuntimeError(answer["error"])
                    return json.loads(answer["value"])
                self.stopped = {"departed": name}
            self.stopped = self.stopped or {"call": name, "named": given}
            raise Stopped

        call.__name__ = name
        return call


def submit(names: list[str]) -> Callable[..., Any]:
    """The function SUBMIT, which ends a cell with the values of these fields."""

    def SUBMIT(*values: Any, **named: Any) -> None:
        given = {**dict(zip(names, values, strict=False)), **named}
        if len(values) > len(names) or set(given) != set(names):
            raise TypeError(f"SUBMIT takes {', '.join(names)}")
        raise Submitted(given)

    return SUBMIT


def plain(value: Any) -> Any:
    """The value as JSON, or its text when it has no JSON form."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError):
        return repr(value)


def explained(error: BaseException, name: str) -> dict[str, str]:
    """What the code raised, with its line. `syntax`: the code of the cell does not parse."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        line = trace.tb_lineno if trace.tb_frame.f_code.co_filename == name else line
        trace = trace.tb_next
    early = isinstance(error, SyntaxError) and error.filename == name and not line
    return {"syntax" if early else "error": f"{type(error).__name__}: {error}" + (f" (line {line})" if line else "")}


def play(code: str, name: str, space: dict[str, Any]) -> dict[str, Any]:
    """Run a cell in `space`: the value of its last expression, what it submitted, or what it raised."""
    try:
        tree = ast.parse(code, name)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, name, "exec"), space)
        value = eval(compile(ast.Expression(last.value), name, "eval"), space) if isinstance(last, ast.Expr) else None
        return {"value": None if value is None else str(value)}
    except Submitted as done:
        return {"final": {key: plain(value) for key, value in done.args[0].items()}}
    except Stopped:
        return {}
    except BaseException as error:
        return explained(error, name)


def main(program: Any, payload: dict[str, Any]) -> Iterator[dict[str, Any]]:
    space = vars(program)
    journal = Journal(payload["answers"])
    for number, cell in enumerate(payload["cells"], 1):
        space.update({name: json.loads(payload["values"][index]) for name, index in cell["variables"].items()})
        space.update({name: journal.tool(name, parameters) for name, parameters in cell["tools"].items()})
        space["SUBMIT"] = submit(cell["outputs"])
        sys.stdout = sys.stderr = printed = io.StringIO()
        result = play(cell["code"], f"<cell {number}>", space)
        if journal.stopped is not None:
            yield journal.stopped
            return
    yield {**result, "printed": printed.getvalue()}
