"""The tasks `jsonl:PATH`, `parquet:PATH` and `hf:NAME[CONFIG]`: any rows, with a column mapping and a verdict named in the config.

    task: jsonl:my/folder
    table: {question: prompt, answer: target, skill: topic, verdict: number}

Verdicts: `exact` (the marked or only answer equals the gold but for case, spaces, closing points and typography), `contains` (the gold
stands in the response, as whole words where its script has blanks between them), `regex` (what `pattern` finds last equals the gold),
`number`, `choice`, `code`, `math` (math-verify, an extra), or `module:function` or `FILE.py:NAME`, a DSPy metric of two to five arguments
(example, prediction, and None for the rest): the row's columns, `question` and `answer` are fields of the first, `answer` and `response` of
the second (plain objects with fields, not dspy's own classes); it returns a bool or a score.

It does not cover rows whose answer is a list of several right ones, chats of several turns, or images.
"""

import contextlib
import importlib
import inspect
import operator
import re
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ..signatures.errors import TaskError, UsageError
from ..signatures.files import module_of
from ..signatures.records import Example, Kind, Message, Verdict
from .base import SPLITS, Runner, scored
from .cells import GOLDS, QUESTIONS, at, column, field, fields_of, text_of, words
from .options import Options, gold, options
from .rows import Row, RowTask
from .verdicts import choice, code, number, short

_USUAL = {
    "question": QUESTIONS,
    "answer": ("answer", *GOLDS, "label", "answerKey", "output", "completion", "response", "solution"),
    "choices": ("choices", "options"),
}
"""Names that columns often have, by the setting that takes one."""
KINDS = {"exact": "text", "contains": "text", "regex": "text", "math": "text", "number": "number", "choice": "choice", "code": "code"}
"""The verdicts, and what an answer is for each; a DSPy metric's answers are text."""


SECONDS = 2.0
"""Limit of `table.pattern` on one response."""


class TableSettings(BaseModel):
    """How rows become questions, and how answers are judged."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    question: str = "question"
    """Column of the question, or a text with columns in braces, e.g. `{context}\\n\\n{question}`."""
    answer: str = "answer"
    """Column of the gold answer; for `choice` a label, the index from 0 of the right option, or its text."""
    solution: str | None = None
    """Column of a worked solution."""
    skill: str | None = None
    """Column of a subject or skill, for tables."""
    choices: str | tuple[str, ...] | None = None
    """For `choice`: the column with the options (a list, {label: text}, or a list of objects with label and text), or one column an option,
    or options that are the same for all rows, one of them the answer."""
    test: str = "test"
    """For `code`: column of the test, Python text that defines `check(candidate)`."""
    entry_point: str = "entry_point"
    """For `code`: column of the name of the function that the test calls."""
    verdict: str = "exact"
    """`exact`, `contains`, `regex`, `number`, `choice`, `code`, `math`, or a DSPy metric, `module:function` or `FILE.py:NAME`."""
    pattern: str | None = None
    """For `regex`: what finds the answer in a response; its first group is the answer, the last find counts. It may take two seconds."""
    full_score: float = 1.0
    """For a DSPy metric: the least score that is right."""
    ask: str = ""
    """Text behind each question that says in which form to answer; empty: that of the verdict."""
    brief: str = ""
    """One paragraph that tells the instructor what is asked and in which form it is answered; empty: that of the verdict."""
    max_new_tokens: int = Field(default=512, ge=1)
    """Tokens that a response may have."""
    splits: dict[str, str] = {"train": "train", "test": "test"}
    """For `hf`: the data set's split for each of `train`, `dev` and `test` that it has."""

    @field_validator("verdict")
    @classmethod
    def _known_verdict(cls, value: str) -> str:
        if value not in KINDS and not re.fullmatch(r"([\w.]+|.+\.py):[\w.]+", value):
            raise ValueError(f"verdicts are {', '.join(KINDS)} and DSPy metrics as module:function or FILE.py:NAME")
        return value

    @field_validator("splits")
    @classmethod
    def _known_splits(cls, value: dict[str, str]) -> dict[str, str]:
        if not value or not set(value) <= set(SPLITS):
            raise ValueError(f"its keys must be some of {', '.join(SPLITS)}")
        return value


_ASK = {
    "number": 'Show each step; end with the line "#### number".',
    "choice": 'Think it through; end with the line "Answer: " and the letter of the one right option.',
    "math": "Show each step; put the final answer in \\boxed{}.",
}
_BRIEF = {
    "number": 'Questions whose answer is a number. The response works through the steps; its last line is "#### " and the number.',
    "choice": 'Questions with labelled options, one of them right. The response reasons; its last line is "Answer: " and the letter.',
    "code": "Python functions to be written, judged by tests that call them. The response holds the whole function in one ```python block.",
    "math": "Mathematical questions. The response works through the steps; the final answer stands in \\boxed{}.",
}
_PLAIN_ASK = 'Think it through; end with the line "Answer: " and the answer alone.'
_PLAIN_BRIEF = 'Questions with a short answer. The last line of a response is "Answer: " and the answer alone.'


class TableTask(RowTask):
    """Rows with a column mapping. A bad file or mapping raises TaskError when the task is made, bad settings UsageError."""

    def __init__(self, name: str, settings: TableSettings | None = None, runner: Runner | None = None):
        self.settings = settings = settings or TableSettings()
        source, _, rest = name.partition(":")
        if not rest:
            raise UsageError(f"task {source} needs its data: write {source}:{'NAME' if source == 'hf' else 'PATH'}")
        self.name = f"{source}:{Path(rest).stem if source != 'hf' else rest}"
        self.kind = KINDS.get(settings.verdict, "text")
        self.max_new_tokens = settings.max_new_tokens
        self.brief = settings.brief or _BRIEF.get(settings.verdict, _PLAIN_BRIEF)
        self._judged = self._judge(runner)
        if source != "hf":
            self.load_path(Path(rest).expanduser())
        elif match := re.fullmatch(r"([^\[\]]+)(?:\[([^\[\]]+)\])?", rest):
            self.load_hub(match[1], match[2], settings.splits)
        else:
            raise UsageError(f"task hf:{rest} cannot be read: write hf:NAME or hf:NAME[CONFIG], e.g. hf:openai/gsm8k[main]")

    def read(self, row: Row, split: str, where: str) -> Example:
        settings = self.settings
        form = settings.question
        text = _filled(form, row, where) if "{" in form else field(row, form, where, mend=self._mend(row, "question"))
        # what a metric may want of the row, as far as it is JSON
        meta: dict[str, Any] = {"columns": {name: value for name, value in row.items() if _is_json(value)}}
        if self.kind == "choice":
            found = self._options(row, where)
            answer = gold(column(row, settings.answer, where, self._mend(row, "answer")), found, where)
            text, meta = choice.question(text, found.choices), {"choices": found.choices}
        elif self.kind == "code":
            meta = {"entry_point": field(row, settings.entry_point, where), "test": field(row, settings.test, where), "prompt": ""}
            if f"def {meta['entry_point']}" in text:
                meta["prompt"] = text
            answer = words(row.get(settings.answer))
        else:
            answer = field(row, settings.answer, where, mend=self._mend(row, "answer")).strip()
        if self.kind == "number":
            answer = answer.rpartition("####")[2].strip()
            if number.read(answer) is None:
                raise TaskError(f"{where}: no single number can be read from the answer {answer[-40:]!r}; mend or delete the row")
        solution, skill = (words(row.get(column)) if column else "" for column in (settings.solution, settings.skill))
        kind: Kind = "choice" if self.kind == "choice" else "code" if self.kind == "code" else "number"
        return Example(task=self.name, split=split, kind=kind, question=text, answer=answer, solution=solution, skill=skill, meta=meta)

    def _options(self, row: Row, where: str) -> Options:
        names = self.settings.choices
        if names is None:
            raise UsageError("the verdict `choice` needs table.choices: the column with the options, or one column an option")
        if isinstance(names, str):
            return options(column(row, names, where, self._mend(row, "choices")), where)
        held = {}
        for name in names:
            with contextlib.suppress(KeyError):
                held[name] = at(row, name)
        there = list(held)
        if not there and (text_of(row.get(self.settings.answer)) or "").casefold() in map(str.casefold, names):
            return options(list(names), where)  # the same options for every row
        if len(there) < len(names):
            missing = ", ".join(repr(name) for name in names if name not in row)
            mend = "mend table.choices: columns, or the options themselves with one of them as the answer"
            raise TaskError(f"{where}: field {missing} is missing (fields there: {fields_of(row)}); {mend}")
        labels = "".join(names) in string.ascii_uppercase  # the columns A, B, C, D
        found = options([[name, held[name]] if labels else held[name] for name in names], where)
        return found if labels else found._replace(columns=names)

    def _mend(self, row: Row, setting: str) -> str:
        """What to do when a setting's column is missing, with the columns that may be meant."""
        names = {one: str(getattr(self.settings, one)) for one in (setting, "question", "answer")}
        if names[setting] in row:
            return ""
        flags: dict[str, str] = {}
        for one in sorted((one for one, name in names.items() if name not in row and "{" not in name), key=list(_USUAL).index):
            other = next((name for name in _USUAL[one] if name in row and name not in flags.values()), "COLUMN")
            flags[f"--set table.{one}"] = other
        return f"name the column with {' '.join(f'{flag}={name}' for flag, name in flags.items())}, or mend the row"

    def prompt(self, example: Example) -> list[Message]:
        if self.kind == "code" and not self.settings.ask:
            return code.prompt(example)
        ask = self.settings.ask or _ASK.get(self.settings.verdict, _PLAIN_ASK)
        return [{"role": "user", "content": f"{example.question}\n{ask}"}]

    def judge(self, example: Example, response: str) -> Verdict:
        return self._judged(example, response)

    def completion(self, solution: str, answer: str) -> str:
        """The solution, ending in the answer in the form that is asked for."""
        match self.settings.verdict:
            case "number":
                return number.completion(solution, answer)
            case "code":
                return code.completion(solution, answer)
            case "math":
                tail = answer if "\\boxed" in answer else f"\\boxed{{{answer}}}"
                return solution.rstrip() if tail in solution else f"{solution.rstrip()}\n{tail}".strip()
            case "contains" | "regex":
                return f"{solution.rstrip()}\n{answer}".strip() if not solution.rstrip().endswith(answer) else solution.rstrip()
        return choice.completion(solution, answer)

    def _judge(self, runner: Runner | None) -> Callable[[Example, str], Verdict]:
        """What gives `right`, `wrong`, `no answer`, or why it is unjudged, for an example and a response."""
        settings = self.settings
        match settings.verdict:
            case verdict if verdict in VERDICTS:
                return VERDICTS[verdict]
            case "code":
                judge = code.Judge(code.runner_or_refuse(self.name, runner))
                return lambda example, response: judge.verdict(code.item_of(example), response)
            case "math":
                from .verdicts.mathverify import MathVerify

                child = MathVerify()
                return lambda example, response: child.verdict(example.answer, response)
            case "regex":
                pattern = _pattern(settings.pattern)
                return lambda example, response: _found(pattern, example.answer, response)
        metric = _metric(settings.verdict)
        return lambda example, response: _scored(metric, settings.full_score, example, response)


def _is_json(value: Any) -> bool:
    """Whether a column is a text, a number or a list as JSON has them."""
    inner = [more for one in value for more in (one.values() if isinstance(one, dict) else [one])] if isinstance(value, list) else []
    return isinstance(value, (str, int, float, list)) and all(one is None or _is_json(one) for one in inner)


def _filled(form: str, row: Row, where: str) -> str:
    """The text with the row's columns in the place of their names."""
    try:
        names = {name for _, name, _, _ in string.Formatter().parse(form) if name is not None}
        if bad := [name for name in names if not name or name.isdigit() or "." in name or "[" in name]:
            raise ValueError(f"{{{bad[0]}}} names no column")
        return form.format(**{name: field(row, name, where) for name in sorted(names)})
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UsageError(f"table.question {form!r} cannot be filled in ({error}): write {{column}}, and {{{{ for a brace") from None


def _contains(gold: str, response: str) -> Verdict:
    if not response.strip():
        return scored(False, None)
    right = short.holds(response, gold)
    return scored(right, gold if right else response.strip()[:200])


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


VERDICTS: dict[str, Callable[[Example, str], Verdict]] = {
    "number": number.judged,
    "choice": choice.judged,
    "exact": short.judged,
    "contains": lambda example, response: _contains(example.answer, response),
}


class _Fields(dict):
    """Fields by name and by key, as metrics for DSPy read them."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def _metric(name: str) -> Callable[[Any, Any], Any]:
    """The metric as a function of example and prediction."""
    module, _, function = name.rpartition(":")
    file = Path(module).expanduser() if module.endswith(".py") else None
    try:
        held = module_of(file, f"metric_{file.stem}") if file else importlib.import_module(module)
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
