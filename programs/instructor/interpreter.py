"""The sandbox as a DSPy code interpreter: `dspy.configure(interpreter_factory=SandboxInterpreter)` serves RLM and Flex.

A session's state is its journal. Every `execute` plays the cells before it again, in a fresh interpreter, with the
tools' recorded answers, and then the new cell; when that cell asks a tool which has not been asked yet, the run stops,
the host asks the tool, and the journal is played again with one more answer. So no process holds a session's state, a
tool is called once for each time the code calls it, and a cell that breaks a limit leaves the session as it was. This
is sound because a program's run is repeatable (see errata.sandbox); a run that departs from its journal is noticed and
ends the session.

NOT covered: long sessions are quadratic, as the limits' seconds hold for the whole journal; nothing is kept between
sessions; tools and variables pass as JSON.
"""

import asyncio
import contextvars
import inspect
import json
import keyword
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import dspy
from dspy.primitives.code_interpreter import CodeExecutionError, CodeInterpreterError, FinalOutput
from pydantic_core import to_jsonable_python

from ...sandbox import MODULES, Limits, Sandbox, open_sandbox
from ...signatures.errors import ErrataError

_HARNESS = '''
import ast, io, json, sys


class Submitted(BaseException):
    """SUBMIT was called."""


class Stopped(BaseException):
    """A tool was called that has no recorded answer yet, or another one than the journal says."""


def main(program, payload):
    space = vars(program)
    answers, asked, stopped = payload["answers"], 0, None

    def tool(name, parameters):
        def call(*values, **named):
            nonlocal asked, stopped
            if len(values) > len(parameters):
                raise TypeError(f"{name}() takes {len(parameters)} positional arguments but {len(values)} were given")
            named = json.loads(json.dumps({**dict(zip(parameters, values)), **named}))
            if stopped is None and asked < len(answers):
                answer = answers[asked]
                if [answer["name"], answer["named"]] == [name, named]:
                    asked += 1
                    if "error" in answer:
                        raise RuntimeError(answer["error"])
                    return json.loads(answer["value"])
                stopped = {"departed": name}
            stopped = stopped or {"call": name, "named": named}
            raise Stopped
        call.__name__ = name
        return call

    def submit(names):
        def SUBMIT(*values, **named):
            given = {**dict(zip(names, values)), **named}
            if len(values) > len(names) or set(given) != set(names):
                raise TypeError(f"SUBMIT takes {', '.join(names)}")
            raise Submitted(given)
        return SUBMIT

    def plain(value):
        try:
            return json.loads(json.dumps(value, allow_nan=False))
        except (TypeError, ValueError):
            return repr(value)

    for number, cell in enumerate(payload["cells"], 1):
        name = f"<cell {number}>"
        space.update({name: json.loads(payload["values"][index]) for name, index in cell["variables"].items()})
        space.update({name: tool(name, parameters) for name, parameters in cell["tools"].items()})
        space["SUBMIT"] = submit(cell["outputs"])
        sys.stdout = sys.stderr = printed = io.StringIO()
        result = {}
        try:
            tree = ast.parse(cell["code"], name)
            last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
            exec(compile(tree, name, "exec"), space)
            value = eval(compile(ast.Expression(last.value), name, "eval"), space) if last else None
            result["value"] = None if value is None else str(value)
        except Submitted as done:
            result["final"] = {key: plain(value) for key, value in done.args[0].items()}
        except Stopped:
            pass
        except BaseException as error:
            line, trace = 0, error.__traceback__
            while trace is not None:
                line = trace.tb_lineno if trace.tb_frame.f_code.co_filename == name else line
                trace = trace.tb_next
            early = isinstance(error, SyntaxError) and error.filename == name and not line
            result["syntax" if early else "error"] = f"{type(error).__name__}: {error}" + (f" (line {line})" if line else "")
        if stopped is not None:
            yield stopped
            return
    yield {**result, "printed": printed.getvalue()}
'''


class SandboxInterpreter:
    """A DSPy `CodeInterpreter` session on a sandbox.

    Args:
        sandbox: where cells run; it may be shared by many sessions and is left open. None opens one of a single worker
        for this session. limits: hold for a session's whole journal, at every `execute`. tools: host functions that
        cells may call by name, with JSON arguments; their results cross as JSON. output_fields: `[{"name": ...}]`, the
        arguments of SUBMIT; one named `output` when None.
    """

    execution_instructions = (
        "CPython runs in WebAssembly. State persists between executions. There are no files, processes, threads or network. "
        f"These modules can be imported, no others: {', '.join(MODULES)}."
    )

    def __init__(
        self,
        sandbox: Sandbox | None = None,
        limits: Limits = Limits(seconds=30),
        tools: dict[str, Callable[..., Any]] | None = None,
        output_fields: list[dict[str, Any]] | None = None,
    ) -> None:
        self.tools = dict(tools or {})
        self.output_fields = output_fields
        self._sandbox = sandbox
        self._own = sandbox is None
        self._limits = limits
        self._cells: list[dict[str, Any]] = []
        self._values: dict[str, int] = {}
        self._answers: list[dict[str, Any]] = []
        self._busy = self._over = False

    def start(self) -> None:
        """Open the sandbox; `execute` does it too."""
        if self._over:
            raise CodeInterpreterError("this session has ended: make another interpreter")
        if self._sandbox is None:
            self._sandbox = open_sandbox(1)

    def shutdown(self) -> None:
        """End the session, and its sandbox when it is its own."""
        self._over = True
        if self._own and self._sandbox is not None:
            self._sandbox.close()
            self._sandbox = None

    def __enter__(self) -> "SandboxInterpreter":
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()

    def __call__(self, code: str, variables: dict[str, Any] | None = None) -> Any:
        return self.execute(code, variables)

    def execute(self, code: str, variables: dict[str, Any] | None = None) -> Any:
        """Run one more cell.

        Returns:
            A `FinalOutput` when the code called SUBMIT; else what it printed; else the text of its last expression;
            else None.

        Raises:
            SyntaxError: the code does not parse.
            CodeExecutionError: the code or a tool raised, or the code broke a limit; the session goes on.
            CodeInterpreterError: the session is over, is called from one of its own tools, or was given a name or value
            that it
                cannot take.
        """
        self.start()
        if self._busy:
            raise CodeInterpreterError("a tool cannot execute code in the session that called it")
        cell = self._cell(code, variables or {})
        answered = len(self._answers)
        self._busy = True
        try:
            result = self._play(cell)
        except CodeExecutionError:
            del self._answers[answered:]
            raise
        finally:
            self._busy = False
        if "syntax" in result:
            raise SyntaxError(result["syntax"])
        self._cells.append(cell)  # also when it raised: what it did before that stays done
        if "error" in result:
            raise CodeExecutionError(result["error"])
        if "final" in result:
            return FinalOutput(result["final"])
        return result["printed"].rstrip("\n") or result["value"]

    def _cell(self, code: str, variables: dict[str, Any]) -> dict[str, Any]:
        for name in (*variables, *self.tools):
            if not name.isidentifier() or keyword.iskeyword(name) or name == "SUBMIT":
                raise CodeInterpreterError(f"{name!r} cannot be the name of a variable or a tool")
        clash = sorted(set(variables) & set(self.tools))
        if clash:
            raise CodeInterpreterError(f"{clash[0]!r} is the name of a tool and of a variable")
        indices = {}
        for name, value in variables.items():
            # RLM hands the same inputs to every cell: each value is kept once.
            indices[name] = self._values.setdefault(_text(value, name), len(self._values))
        return {
            "code": code,
            "variables": indices,
            "tools": {name: list(inspect.signature(tool).parameters) for name, tool in self.tools.items()},
            "outputs": [field["name"] for field in self.output_fields] if self.output_fields else ["output"],
        }

    def _play(self, cell: dict[str, Any]) -> dict[str, Any]:
        """The new cell's result, after its tools have been asked."""
        assert self._sandbox is not None
        while True:
            payload = {"cells": [*self._cells, cell], "values": list(self._values), "answers": self._answers}
            run = self._sandbox.run("", _HARNESS, payload, self._limits)
            if run.outcome != "ok":
                raise CodeExecutionError(f"{run.outcome}: {run.error}")
            row = run.rows[-1] if run.rows else None
            if not isinstance(row, dict):
                raise CodeExecutionError("the code broke its own interpreter")
            if isinstance(row.get("call"), str):
                self._ask(row["call"], row.get("named"))
            elif "departed" in row:
                self._over = True
                raise CodeInterpreterError("the session's code does not repeat itself, so its state is lost")
            elif isinstance(row.get("printed"), str):
                return {"value": None, **row}
            else:
                raise CodeExecutionError("the code broke its own interpreter")

    def _ask(self, name: str, named: Any) -> None:
        answer = {"name": name, "named": named}
        try:
            value = self.tools[name](**named)
            if inspect.iscoroutine(value):
                with ThreadPoolExecutor(1) as thread:  # the caller's thread may have a running loop
                    value = thread.submit(contextvars.copy_context().run, asyncio.run, value).result()
            answer["value"] = _text(value, name)
        except ErrataError:  # a reached cap or a bad key is not the code's to handle
            raise
        except Exception as error:  # the code sees it as a RuntimeError and may handle it
            answer["error"] = f"{type(error).__name__}: {error}"
        self._answers.append(answer)


@contextmanager
def interpreting(sandbox: Callable[[], Sandbox] | None = None, limits: Limits = Limits(seconds=30)) -> Iterator[None]:
    """DSPy's modules that run code (Flex, RLM) run it in this sandbox inside, or in one of their own; never in a process of the host's."""
    with dspy.context(interpreter_factory=lambda: SandboxInterpreter(sandbox() if sandbox else None, limits)):
        yield


def _text(value: Any, name: str) -> str:
    """A value as JSON text; NaN and infinities stay themselves."""
    try:
        return json.dumps(to_jsonable_python(value))
    except (ValueError, TypeError) as error:
        raise CodeInterpreterError(f"{name!r} cannot cross into the sandbox: {error}") from error
