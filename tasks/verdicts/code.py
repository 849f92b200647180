"""Judges code answers by the tests that come with them, without a test ever meeting the answer.

A test is Python text with a function `check(candidate)` that asserts (HumanEval's form). Three runs, each in a fresh sandbox:
1. The test runs alone, with a candidate that writes down its arguments and hands back a hole. Its asserts cannot fail yet.
2. The answer runs alone on those arguments. It sees no expected value and no assert; what it returns comes back as tagged JSON.
3. The test runs alone again, with a candidate that replays those values. Now the asserts count. Arguments that depend on an earlier result
   take another turn of 2 and 3. So tolerances, `is True`, set(...) around a call, loops, random inputs (both runs of a test draw the same
   ones) and a test's own helpers work as they were written, and nothing of test or answer runs in this process. A test of nothing but
   `assert candidate(literals) == literal` needs the second run alone: values are compared here, where they are plain data.

It does not cover a test that looks at what the answer did to its arguments (each call gets fresh ones), at printed text or files, or into
objects of the answer's own classes (such an item is unjudged). The sandbox lacks the modules that need threads, processes or a network: an
answer or a test that needs one is unjudged, and the reason names it. Other libraries (numpy) are missing too: an answer that imports one is
wrong.
"""

import ast
import importlib.util
import re
import sys
from collections.abc import Iterable, Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, NamedTuple

from ...signatures.errors import SandboxError, UsageError
from ...signatures.records import Example, Message, ProgramRun, Verdict
from ..base import Runner
from . import guest
from .source import Item, defines, extract, is_literal, parse, tree_of

__all__ = ["Item", "Judge", "check", "completion", "defines", "extract", "is_literal", "item_of", "parse", "prompt", "runner_or_refuse"]

TURNS = 8
"""Most rounds of answer and test, for tests whose arguments depend on earlier results."""
_SHOWN = 300
"""Characters of a reason."""

HARNESS = Path(guest.__file__).read_text(encoding="utf-8")
"""Runs beside an answer, and beside a test."""


class Case(NamedTuple):
    """One assert of a plain test."""

    args: list[Any]
    kwargs: dict[str, Any]
    expected: Any
    text: str


class Judge:
    """Judges answers in a sandbox. Thread-safe where its runner is."""

    def __init__(self, runner: Runner):
        self._run = runner
        self._first: dict[tuple[str, str], ProgramRun] = {}

    def verdict(self, item: Item, response: str) -> Verdict:
        """`right`; wrong with `no answer` (no code was found) or what failed; unjudged when the sandbox or the item's test fails."""
        if not item.entry.isidentifier() or parse(item.test) is None:
            return Verdict(correct=None, extracted=None, reason="the item's own test is not Python: mend or leave out the item")
        source = extract(item, response)
        if source is None:
            return Verdict(correct=False, extracted=None, reason="no answer")
        try:
            correct, reason = self.judge(item, source)
        except SandboxError as error:
            correct, reason = None, f"the sandbox failed: {error}"
        return Verdict(correct=correct, extracted=source, reason=" ".join(reason.split())[:_SHOWN])

    def judge(self, item: Item, source: str) -> tuple[bool | None, str]:
        """(whether source passes the item's test, which must be Python, reason). Raises SandboxError."""
        tree = parse(source)
        if not (item.prompt and source.startswith(item.prompt)) and "from __future__" not in source:
            source = item.preamble + source
        if tree and not defines(tree, item.entry):
            return False, f"defines no function {item.entry!r}"
        plain = plain_cases(item)
        if plain is not None:
            return self._plainly(item, source, plain)
        test = instrumented(item)
        known: list[list[Any]] = []
        for _ in range(TURNS):
            seen = self._ask(item, test, known)
            if seen.outcome != "ok" and known:
                return False, f"its values break the test: {seen.outcome}: {seen.error}"
            if fault := _test_fault(seen):
                return None, fault
            row = seen.rows[0]
            if not row["calls"]:
                if row["failed"] is None:
                    return True, "right"
                return False, ": ".join(filter(None, (row["failed"][: _SHOWN // 2], row["last"])))
            calls = [call for call, _ in known[: row["kept"]]] + row["calls"]
            run, wrong = self._answers(item, source, calls)
            if wrong:
                return wrong
            known = [list(pair) for pair in zip(calls, run.rows, strict=True)]
        return None, f"the item's own test asks for more than {TURNS} results that depend on each other"

    def _plainly(self, item: Item, source: str, cases: Sequence[Case]) -> tuple[bool | None, str]:
        """One run of the answer alone; its values, which hold nothing but data, are compared here."""
        run, wrong = self._answers(item, source, [guest.encode([case.args, case.kwargs]) for case in cases])
        if wrong:
            return wrong
        for case, row in zip(cases, run.rows, strict=True):
            if "raised" in row:
                return False, f"{case.text[: _SHOWN // 2]}: raised {row['error']}"
            try:
                value = guest.decode(row["value"])
                if value == case.expected:
                    continue
                shown = repr(value)[:200]
            except Exception:  # a forged row
                return False, "what it handed back is not what was asked for"
            return False, f"{case.text[: _SHOWN // 2]}: it gave {shown}"
        return True, "right"

    def _answers(self, item: Item, source: str, calls: list[Any]) -> tuple[ProgramRun, tuple[bool | None, str] | None]:
        """A run with a row a call, and what to judge without looking at the rows; None: they are well formed."""
        run = self._run(source, HARNESS, {"entry": item.entry, "calls": calls})
        errors = [run.error, *(row["error"] for row in run.rows if _well_formed(row) and "raised" in row)]
        if lacks := next(filter(None, map(lacking, errors)), ""):
            return run, (None, f"the answer needs {lacks}")
        if run.outcome != "ok":
            return run, (False, f"{run.outcome}: {run.error}")
        if len(run.rows) != len(calls) or not all(map(_well_formed, run.rows)):
            return run, (False, "what it handed back is not what was asked for")
        return run, None

    def _ask(self, item: Item, test: str, known: list[list[Any]]) -> ProgramRun:
        payload = {"entry": item.entry, "known": known}
        if known:
            return self._run(test, HARNESS, payload)
        kept = self._first.get((item.entry, test)) or self._run(test, HARNESS, payload)
        if kept.outcome == "ok":
            self._first[item.entry, test] = kept
        return kept


def _test_fault(seen: ProgramRun) -> str:
    """Why the item's own test cannot judge anything; "": it can."""
    errors = (seen.error, str(seen.rows[0]["failed"] or "")) if seen.outcome == "ok" else (seen.error,)
    if lacks := next(filter(None, map(lacking, errors)), ""):
        return f"the item's own test needs {lacks}"
    if seen.outcome != "ok":
        return f"the item's own test fails to run: {seen.outcome}: {seen.error}"
    row = seen.rows[0]
    if row["unreadable"] is not None:
        return f"the item's test needs an object of type {row['unreadable']}, which the sandbox does not hand over"
    if not row["asked"] or (not row["asserts"] and not row["calls"] and row["failed"] is None):
        return "the item's own test asks nothing of the function"
    return ""


_LACKING = re.compile(
    r"(?P<threads>RuntimeError: can't start new thread)|ModuleNotFoundError: No module named '(?P<module>[\w.]+)'"
    r"|ImportError: cannot import name '(?P<name>\w+)' from '(?P<package>[\w.]+)'"
)


def lacking(error: str) -> str:
    """The part of Python that a run failed on because the sandbox lacks it: threads, or a module. "": it failed on something else."""
    found = _LACKING.match(error)
    if found is None:
        return ""
    if found["threads"]:
        return "threads, which the sandbox lacks"
    name = found["module"] or f"{found['package']}.{found['name']}"
    return f"the module {name!r}, which the sandbox lacks" if _standard(name) else ""


def _standard(name: str) -> bool:
    """Whether the standard library of this Python has a module. Nothing is imported."""
    top, *rest = name.split(".")
    if top not in sys.stdlib_module_names or not rest:
        return top in sys.stdlib_module_names
    spec, path = importlib.util.find_spec(top), top
    for part in rest:
        path = f"{path}.{part}"
        spec = PathFinder.find_spec(path, spec.submodule_search_locations) if spec and spec.submodule_search_locations else None
    return spec is not None


def _well_formed(row: Any) -> bool:
    """Untrusted code shares its interpreter with the harness, so the host looks at each row again."""
    if not isinstance(row, dict):
        return False
    return set(row) == {"value"} or (set(row) == {"raised", "error"} and all(isinstance(text, str) for text in row.values()))


# Tests ----------------------------------------------------------------------------------------------------------------


class _Asserts(ast.NodeTransformer):
    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        nothing = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
        call = ast.Call(
            func=ast.Name(id="__assert__", ctx=ast.Load()),
            args=[ast.Lambda(args=nothing, body=node.test), ast.Constant(value=f"assert {ast.unparse(node.test)}")],
            keywords=[],
        )
        return ast.Expr(value=call)


def plain_cases(item: Item) -> list[Case] | None:
    """The asserts of a test that holds nothing but `assert candidate(literals) == literal`, so that no run is needed to know what it asks
    and expects; None for any other test, or one with a set-up. The test is Python."""
    body = tree_of(item.test).body
    if item.setup or len(body) != 1 or not isinstance(body[0], ast.FunctionDef) or body[0].name != "check" or body[0].decorator_list:
        return None
    names = [arg.arg for arg in body[0].args.args]
    cases = []
    for line in body[0].body:
        if any(isinstance(node, ast.Constant) and node.value is ... for node in ast.walk(line)):
            return None  # a literal that does not cross
        match line:
            case ast.Assert(ast.Compare(ast.Call(ast.Name(name), args, keywords), [ast.Eq()], [expected]), None) if [name] == names and all(
                word.arg for word in keywords
            ):
                try:
                    given = [ast.literal_eval(arg) for arg in args]
                    named = {str(word.arg): ast.literal_eval(word.value) for word in keywords}
                    cases.append(Case(given, named, ast.literal_eval(expected), ast.unparse(line)))
                except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                    return None
            case _:
                return None
    return cases


def instrumented(item: Item) -> str:
    """The preamble and the test, each assert a call that the harness answers. The test is Python."""
    tree = tree_of(item.test)
    return item.preamble + ast.unparse(ast.fix_missing_locations(_Asserts().visit(tree)))


# What code tasks share ----------------------------------------------------------------------------------------------------


def runner_or_refuse(name: str, runner: Runner | None) -> Runner:
    """The runner. Raises UsageError for None: nothing of an answer is run in this process."""
    if runner is None:
        raise UsageError(f"task {name} runs its answers: hand load_task a runner, e.g. load_task({name!r}, runner=sandbox.run)")
    return runner


def check(lines: Iterable[str]) -> str:
    """The text of a test: `check(candidate)` with these lines."""
    return "\n".join(["def check(candidate):", *(f"    {line}" for line in lines)]) + "\n"


def item_of(example: Example) -> Item:
    """What an example of a code task asks for."""
    meta = example.meta
    asked = re.match(r"(\w+)(?:\(\))?\.(?=\w+$)", meta["entry_point"])  # "Solution().two_sum"
    owner, entry = (asked[1], meta["entry_point"][asked.end() :]) if asked else ("", meta["entry_point"])
    return Item(meta.get("prompt", ""), entry, meta["test"], meta.get("setup", ""), owner)


def prompt(example: Example) -> list[Message]:
    """One user message: the question and the answer form."""
    if example.meta.get("prompt"):
        text = f"Complete this function. Answer with the whole function in one ```python block.\n\n```python\n{example.question}\n```"
    else:
        entry = example.meta["entry_point"]
        text = f"{example.question}\nAnswer with the whole function `{entry}` in one ```python block."
    return [{"role": "user", "content": text}]


def completion(solution: str, answer: str) -> str:
    """The solution's prose and the answer in a fenced block."""
    block = f"```python\n{answer.strip(chr(10))}\n```"
    prose = "" if solution.strip() == answer.strip() else solution.strip()
    return f"{prose}\n\n{block}" if prose else block
