"""Answers that are texts: equal to the gold, holding it, found by a pattern, equal as mathematics, or scored by a DSPy metric."""

import importlib
import inspect
import operator
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ...signatures.errors import UsageError
from ...signatures.files import module_of
from ...signatures.records import Example, Verdict
from ..base import ended, scored
from ..rows import file_hash
from ..settings import TableSettings
from ..verdicts import number, short
from .form import Form, Helpers
from .shapes import Shapes

SECONDS = 2.0
"""Limit of `table.pattern` on one response."""


_PLAIN = re.compile(r"[-+]?\d+(?:\.\d+)?")


class TextForm(Form):
    """What forms of texts have in common: where all golds of train are bare numbers, the answers are numbers."""

    def learn(self, train: Sequence[Example]) -> None:
        super().learn(train)
        golds = [example.answer for example in train]
        self._shapes = Shapes(golds)
        if golds and all(map(_is_number, golds)):
            self.kind = "number"

    def fault(self, answer: str) -> str:
        return self._shapes.fault(answer)

    def bare(self, answer: str) -> str:
        return answer


def _is_number(gold: str) -> bool:
    """Whether a gold is a number alone: with a letter (a unit, LaTeX) it is a text that holds one."""
    return _PLAIN.fullmatch(gold) is not None or (not re.search(r"[^\W\d_]", gold) and number.read(gold) is not None)


class ExactForm(TextForm):
    """The marked or only answer equals the gold but for case, spaces, closing points and typography."""

    judge = staticmethod(short.judged)


class ContainsForm(TextForm):
    """The gold stands in the response, as whole words where its script has blanks between them."""

    def judge(self, example: Example, response: str) -> Verdict:
        if not response.strip():
            return scored(False, None)
        right = short.holds(response, example.answer)
        return scored(right, example.answer if right else response.strip()[:200])

    def completion(self, solution: str, answer: str) -> str:
        return ended(solution, answer, alone=False)


class RegexForm(TextForm):
    """What `table.pattern` finds last equals the gold."""

    def __init__(self, name: str, settings: TableSettings, helpers: Helpers):
        super().__init__(name, settings, helpers)
        self._pattern = _pattern(settings.pattern)

    def judge(self, example: Example, response: str) -> Verdict:
        return _found(self._pattern, example.answer, response)

    completion = ContainsForm.completion


class MathForm(TextForm):
    """Mathematically equal, by math-verify."""

    steps = True
    ask = "Show each step; put the final answer in \\boxed{}."
    brief = "Mathematical questions. The response works through the steps; the final answer stands in \\boxed{}."

    def __init__(self, name: str, settings: TableSettings, helpers: Helpers):
        super().__init__(name, settings, helpers)
        from ..verdicts.mathverify import MathVerify

        self._child = MathVerify()

    def judge(self, example: Example, response: str) -> Verdict:
        return self._child.verdict(example.answer, response)

    def completion(self, solution: str, answer: str) -> str:
        tail = answer if "\\boxed" in answer else f"\\boxed{{{answer}}}"
        return solution.rstrip() if tail in solution else f"{solution.rstrip()}\n{tail}".strip()


class MetricForm(TextForm):
    """What a DSPy metric of the user's scores as right."""

    def __init__(self, name: str, settings: TableSettings, helpers: Helpers):
        super().__init__(name, settings, helpers)
        self._metric = _metric(settings.verdict)
        if (file := _file(settings.verdict)) is not None:
            self.data = {str(file): file_hash(file.expanduser())}

    def judge(self, example: Example, response: str) -> Verdict:
        return _scored(self._metric, self.settings.full_score, example, response)


def _pattern(text: str | None) -> Any:
    """The pattern, which can be given a time limit."""
    import regex

    if not text:
        raise UsageError("the verdict `regex` needs table.pattern: what finds the answer in a response, e.g. 'Result: (.*)'")
    try:
        return regex.compile(text)
    except (regex.error, RecursionError) as error:
        raise UsageError(f"table.pattern {text!r} is not a regular expression: {error}") from None


def _found(pattern: Any, gold: str, response: str) -> Verdict:
    try:
        finds = list(pattern.finditer(response, timeout=SECONDS))
    except TimeoutError:
        reason = f"table.pattern took longer than {SECONDS:g} s; write it without repeats inside repeats"
        return Verdict(correct=None, extracted=None, reason=reason)
    given = finds[-1][1 if pattern.groups else 0] if finds else None
    # a bare gold answer counts as found, so that references can be checked
    return short.verdict(gold, given if given is not None else response if short.plain(response) == short.plain(gold) else None)


class _Fields(dict):
    """Fields by name and by key, as metrics for DSPy read them."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def _file(name: str) -> Path | None:
    """The file of a metric that is written as FILE.py:NAME."""
    module = name.rpartition(":")[0]
    return Path(module) if module.endswith(".py") else None


def _metric(name: str) -> Callable[[Any, Any], Any]:
    """The metric as a function of example and prediction."""
    module, _, function = name.rpartition(":")
    file = _file(name)
    try:
        held = module_of(file.expanduser(), f"metric_{file.stem}") if file else importlib.import_module(module)
        found = operator.attrgetter(function)(held)
    except Exception as error:  # the module is the user's own, and may raise anything
        why = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        ask = "paths start from where the command runs;" if file else "is the module on PYTHONPATH?"
        raise UsageError(f"the verdict {name!r} cannot be imported ({why}); {ask} is the name of the function right?") from None
    if not callable(found):
        raise UsageError(f"the verdict {name!r} is a {type(found).__name__}, not a function f(example, prediction, trace)")
    for rest in ((None,), (), (None,) * 3):  # DSPy's optimizers hand on a trace, its Evaluate nothing, GEPA three things
        try:
            inspect.signature(found).bind(None, None, *rest)
        except (TypeError, ValueError):
            continue
        break
    else:
        raise UsageError(f"the verdict {name!r} cannot be called as f(example, prediction, trace); mend its arguments")
    return lambda gold, given: found(gold, given, *rest)


def _scored(metric: Callable[[Any, Any], Any], full: float, example: Example, response: str) -> Verdict:
    given = short.read(response) or response.strip()
    if not given:
        return scored(False, None)
    columns = example.meta.get("columns", {})
    gold = _Fields(columns | {"question": example.question, "answer": example.answer})
    try:
        score = metric(gold, _Fields(answer=given, response=response))
        score = float(getattr(score, "score", score))
    except Exception as error:
        why = f"the metric failed: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
        return Verdict(correct=None, extracted=given, reason=why)
    return scored(score >= full, given)
