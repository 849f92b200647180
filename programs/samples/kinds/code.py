"""Problems that ask for a function. The solution is run on the program's calls inside the sandbox, in the program's own
run; the host writes tests and examples from what it gave.

Not here: running code (guest/code.py, and the task's verdict).
"""

import ast
import builtins
import re
from collections.abc import Sequence
from typing import Any

from ....signatures.records import Attempt, Example
from ....tasks import Task
from ....tasks.verdicts import code
from ..kind import Draw, Kind, Row

CALLS = 3  # fewest calls of a code problem
SHOWN = 3  # calls whose results the question of a code problem shows
LONGEST = 2000  # characters of the longest result that is written into a test


class CodeKind(Kind):
    """A function, with tests and examples from running the solution."""

    name = "code"
    texts = ("question", "entry_point", "answer")
    others = ("asserted", "calls", "solution", "examples")
    more = ("results", "wrong_results")
    taught = "solutions"
    spread = 41  # each is judged in three runs; of each level
    guest = "code.py"

    def finish(self, row: Row, draw: Draw | None) -> Row:
        row = super().finish(row, draw)
        entry, calls, results = row["entry_point"], row.pop("calls", None), row.pop("results", None)
        if not entry.isidentifier():
            raise ValueError(f"the entry_point {entry!r} is no name of a function")
        known = code.parse(row["question"])
        if not isinstance(calls, list) or len(calls) < CALLS or not all(_arguments(call, known) for call in calls):
            raise ValueError(
                f"make() must return at least {CALLS} str under 'calls', each the arguments of a call, and use nothing in them that the "
                f"question does not define, not {str(calls)[:200]}"
            )
        examples = row.pop("examples", True)
        if not isinstance(examples, bool):
            raise ValueError(f"make() must return True or False under 'examples', not {examples!r}")
        wrong = row.pop("wrong_results", None)
        for given in (results, wrong):
            if given is not None and not _well_formed(given, len(calls)):
                raise ValueError("the program changed what the host computes")
        if not results or max(len(literal) for _, literal, *_ in results) > LONGEST:
            raise ValueError(f"a result of {entry} takes more than {LONGEST} characters; choose smaller calls")
        if all(result[1] == "None" for result in results):
            raise ValueError(f"{entry} returns None on every call, so no test can tell it from an empty function")
        row |= {
            "question": documented(row["question"], entry, calls, results) if examples else row["question"],
            "tests": tests(calls, results),
        }
        if wrong is not None:
            # one that behaves like the solution is the solution
            fails = all(result[0] == "raised" for result in wrong)
            same = row["answer"] if wrong == results else row["wrong"]
            row |= {"wrong_tests": tests(calls, wrong), "wrong_fails": fails, "wrong": same}
        return row

    def shown(self, row: Row) -> str:
        return row["question"].strip()

    def meta(self, row: Row) -> dict[str, Any]:
        prompt = row["question"] if _signature(row["question"], row["entry_point"]) else ""
        return {"entry_point": row["entry_point"], "test": row["tests"], "prompt": prompt}

    def consistent(self, task: Task, made: Example) -> str | None:
        verdict = task.verdict(made, task.completion(made.solution, made.answer))
        if verdict.correct:
            return None
        return f"the solution does not pass the tests that were made from it ({verdict.reason}): {made.answer[:300]!r}"

    def anchored(self, task: Task, gold: Example, made: Example) -> str | None:
        verdict = task.verdict(gold, task.completion(made.solution, made.answer))
        return None if verdict.correct else f"gives a solution that does not pass the error's own tests: {verdict.reason}"

    def told(self, task: Task, attempt: Attempt, row: Row) -> str | None:
        if row["wrong"] == row["answer"]:
            return "behaves like the solution on every call, but the model's code is wrong"
        meta = attempt.example.meta | {"test": row["wrong_tests"]}
        verdict = task.verdict(attempt.example.model_copy(update={"meta": meta}), attempt.response)
        # a response that does not even load fails on every call
        if verdict.correct or (row["wrong_fails"] and verdict.reason.startswith("error: ")):
            return None
        said = "tests of what wrong() gives on the anchor's calls, run on the model's code, end with"
        return f"is code that behaves otherwise than the model's: {said} {verdict.reason}"

    def misses(self, task: Task, made: Example, wrong: str) -> bool:
        return wrong == made.answer

    def lesson(self, example: Example) -> Any:
        return example.answer


def documented(question: str, entry: str, calls: Sequence[str], results: Sequence[Sequence[Any]]) -> str:
    """The question with examples: in the docstring, as a doctest, or as asserts behind prose. One that has examples is left as it is."""
    shown = list(zip(calls, results, strict=True))[:SHOWN]
    if not _signature(question, entry):
        if "assert " in question:
            raise ValueError("the question holds asserts; leave them to the host")
        asserts = [f"assert {entry}({call}) == {result[1]}" for call, result in shown]
        return "\n".join([question.strip(), "It must pass these tests:", *asserts])
    if re.search(r"^\s*>>> ", question, re.MULTILINE):
        return question
    ends = list(re.finditer(r'"""|\'\'\'', question))
    if len(ends) < 2:
        raise ValueError(f"the question holds `def {entry}` without a docstring in triple quotes")
    head, tail = question[: ends[-1].start()].rstrip(), question[ends[-1].start() :]
    lines = [line for call, result in shown for line in (f"    >>> {entry}({call})", f"    {result[1]}")]
    return "\n".join([head, *lines, f"    {tail.strip()}\n"])


def tests(calls: Sequence[str], results: Sequence[Sequence[Any]]) -> str:
    """`check(candidate)` in HumanEval's form, over what a solution gave; floats to six places."""
    lines = ["import math", "", "", "def check(candidate):"]
    for call, (outcome, literal, *exact) in zip(calls, results, strict=True):
        if outcome == "raised":
            lines.append(
                f"    failed = False\n    try:\n        candidate({call})\n    except Exception:\n        failed = True\n    assert failed"
            )
        elif exact == [True]:
            lines.append(f"    assert math.isclose(candidate({call}), {literal}, rel_tol=1e-6, abs_tol=1e-6)")
        else:
            lines.append(f"    assert candidate({call}) == {literal}")
    return "\n".join(lines) + "\n"


def _signature(question: str, entry: str) -> bool:
    return re.search(rf"^(?:async\s+)?def\s+{re.escape(entry)}\b", question, re.MULTILINE) is not None


def _arguments(call: Any, known: ast.Module | None) -> bool:
    """Whether a text is the arguments of a call, of literals, builtins and names that `known` binds."""
    tree = code.parse(f"f({call})") if isinstance(call, str) else None
    if tree is None or len(tree.body) != 1 or not isinstance(tree.body[0], ast.Expr) or not isinstance(tree.body[0].value, ast.Call):
        return False
    called = tree.body[0].value
    names = {node.id for part in (*called.args, *called.keywords) for node in ast.walk(part) if isinstance(node, ast.Name)}
    if not isinstance(called.func, ast.Name):
        return False
    return all(hasattr(builtins, name) or (known is not None and code.defines(known, name)) for name in names)


def _well_formed(results: Any, count: int) -> bool:
    """Untrusted code shares the interpreter with the harness, so the host looks at every result again."""
    if not isinstance(results, list) or len(results) != count:
        return False
    for result in results:
        if not isinstance(result, list) or len(result) < 2 or result[0] not in ("value", "raised") or not isinstance(result[1], str):
            return False
        if result[0] == "value" and (len(result) != 3 or not code.is_literal(result[1])):
            return False
    return True
