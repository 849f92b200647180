"""The sandbox as a DSPy code interpreter: `dspy.configure(interpreter_factory=SandboxInterpreter)` serves RLM and Flex.

A session's state is its journal: the cells so far and the answers of their tools. Every `execute` plays the journal again in a fresh
interpreter (guest/cells.py), and then the new cell. When that cell calls a tool that has not answered yet, the run stops, the host asks the
tool, and the journal is played again with one more answer. So a tool is called once for each time the code calls it, and a cell that breaks
a limit leaves the session as it was. A run that departs from its journal is noticed and ends the session. Not covered: long sessions take
quadratic time; nothing is kept between sessions; tools and variables pass as JSON.
"""

import asyncio
import contextvars
import inspect
import json
import keyword
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import dspy
from dspy.primitives.code_interpreter import CodeExecutionError, CodeInterpreterError, FinalOutput
from pydantic_core import to_jsonable_python

from ...sandbox import MODULES, Limits, Sandbox, open_sandbox
from ...signatures.errors import ErrataError

_CELLS = Path(__file__).with_name("guest").joinpath("cells.py").read_text(encoding="utf-8")  # runs inside the sandbox


class SandboxInterpreter(AbstractContextManager["SandboxInterpreter"]):
    """A DSPy `CodeInterpreter` session on a sandbox."""

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
        """`sandbox`: where cells run; it may be shared by many sessions and is left open. None: one of a single worker is opened for this
        session. `limits` hold for the whole journal, at every `execute`. `tools`: host functions that cells may call by name, with JSON
        arguments; their results cross as JSON. `output_fields`: `[{"name": ...}]`, the arguments of SUBMIT; None: one named `output`."""
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
        """Open the sandbox. `execute` calls this too."""
        if self._over:
            raise CodeInterpreterError("this session has ended: make another interpreter")
        if self._sandbox is None:
            self._sandbox = open_sandbox(1)

    def shutdown(self) -> None:
        """End the session; close the sandbox when the session opened it."""
        self._over = True
        if self._own and self._sandbox is not None:
            self._sandbox.close()
            self._sandbox = None

    def __exit__(self, *_: object) -> None:
        self.shutdown()

    def execute(self, code: str, variables: dict[str, Any] | None = None) -> Any:
        """Run one more cell. Returns a `FinalOutput` when the code called SUBMIT; else what it printed; else the text of its last
        expression; else None. Raises SyntaxError when the code does not parse; CodeExecutionError when the code or a tool raised, or the
        code broke a limit (the session goes on); CodeInterpreterError when the session is over, is called from one of its own tools, or was
        given a name or value that it cannot take."""
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

    __call__ = execute

    def _cell(self, code: str, variables: dict[str, Any]) -> dict[str, Any]:
        for name in (*variables, *self.tools):
            if not name.isidentifier() or keyword.iskeyword(name) or name == "SUBMIT":
                raise CodeInterpreterError(f"{name!r} cannot be the name of a variable or a tool")
        clash = sorted(set(variables) & set(self.tools))
        if clash:
            raise CodeInterpreterError(f"{clash[0]!r} is the name of a tool and of a variable")
        return {
            "code": code,
            # RLM gives the same inputs to every cell: each value is kept once
            "variables": {name: self._values.setdefault(_text(value, name), len(self._values)) for name, value in variables.items()},
            "tools": {name: list(inspect.signature(tool).parameters) for name, tool in self.tools.items()},
            "outputs": [field["name"] for field in self.output_fields] if self.output_fields else ["output"],
        }

    def _play(self, cell: dict[str, Any]) -> dict[str, Any]:
        """The result of the new cell. Its tools are asked on the way."""
        assert self._sandbox is not None
        while True:
            payload = {"cells": [*self._cells, cell], "values": list(self._values), "answers": self._answers}
            run = self._sandbox.run("", _CELLS, payload, self._limits)
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
        except ErrataError:  # a reached cap or a bad key must end the run: the code may not handle it
            raise
        except Exception as error:  # the code sees it as a RuntimeError and may handle it
            answer["error"] = f"{type(error).__name__}: {error}"
        self._answers.append(answer)


@contextmanager
def interpreting(sandbox: Callable[[], Sandbox] | None = None, limits: Limits = Limits(seconds=30)) -> Iterator[None]:
    """Inside, DSPy's modules that run code (Flex, RLM) run it in this sandbox (None: in one of their own), never on the host."""
    with dspy.context(interpreter_factory=lambda: SandboxInterpreter(sandbox() if sandbox else None, limits)):
        yield


def _text(value: Any, name: str) -> str:
    """A value as JSON text; NaN and infinities stay themselves."""
    try:
        return json.dumps(to_jsonable_python(value))
    except (ValueError, TypeError) as error:
        raise CodeInterpreterError(f"{name!r} cannot cross into the sandbox: {error}") from error
