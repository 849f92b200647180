"""The task `reasoning_gym:NAME`: one of reasoning-gym's generators, scored by the library's own `score_answer`.

`reasoning_gym:chain_sum,max_terms=3,max_digits=2` sets fields of the generator's config (numbers, true, false). Right is a full score;
partial credit is wrong. A hash of an item's question gives its split, so no item of one split is ever drawn in another, at any seed. The
library is the extra `reasoning-gym`. A few generators (graph_color, rubiks_cube) have a scorer and no gold answer:
`answer` is empty there. The library gives no worked solutions; items that ask for the value of a written expression (chain_sum,
basic_arithmetic) get one here, in GSM8K's form. A problem that no generator drew (a program's row) is scored by its gold answer, where the
scorer needs no more.

It does not cover composites of several generators, nor the library's curricula.
"""

import ast
import contextlib
import operator
import random
import re
from collections.abc import Callable
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Any

from ...signatures.errors import UsageError, near, with_extra
from ...signatures.records import Example, Message, Verdict
from ..base import Judging, check_split, ended, scored
from ..rows import share
from ..verdicts import number, short

SIZES = {"train": 1000, "dev": 300, "test": 300}
"""Items of a split where no limit is given."""
_BOUNDS = {"train": (0.0, 0.5), "dev": (0.5, 0.75), "test": (0.75, 1.0)}
_TRIES = 40
"""Draws for each item that is wanted, before a generator counts as exhausted."""
_MOST = 2**31
"""Seeds."""
_SIZE = 500
"""Items that are drawn from one seed: the library's default; some generators refuse more, or make them all at once."""
_TAGGED = re.compile(r"(?is)<answer>(.*?)(?:</answer>|\Z)")


class ReasoningGym(Judging):
    """A generator of reasoning-gym as a task. A wrong name or setting raises UsageError when the task is made."""

    kind = "text"
    max_new_tokens = 512
    twin = None

    def __init__(self, spec: str):
        self._dataset_name, *settings = [part.strip() for part in spec.split(",")]
        self.name = f"reasoning_gym:{spec}"
        self._config = dict(map(_setting, settings))
        self.data = {"reasoning-gym": str(self._library.__version__)}
        self._open = lru_cache(maxsize=16)(self._make)
        sample = self._open(0)[0]
        self.brief = (
            f'Procedural problems of the kind {self._dataset_name!r}. The response reasons, and its last line is "Answer: " and the answer '
            f"alone. One such problem: {sample['question']!r}; its answer: {sample['answer']!r}."
        )

    @cached_property
    def _library(self) -> Any:
        try:
            import reasoning_gym
        except ImportError:
            raise UsageError(f"task reasoning_gym needs its library: {with_extra('reasoning-gym')}") from None
        return reasoning_gym

    def _make(self, seed: int) -> Any:
        names = list(self._library.factory.DATASETS)
        if self._dataset_name not in names:
            found = near(self._dataset_name, names)
            hint = f"did you mean {found}?" if found else f"it has {', '.join(sorted(names)[:8])}, ..."
            raise UsageError(f"reasoning-gym has no generator {self._dataset_name!r}: {hint}")
        try:
            return self._library.create_dataset(self._dataset_name, seed=seed, size=_SIZE, **self._config)
        except (TypeError, ValueError, AssertionError) as error:
            raise UsageError(f"reasoning-gym refuses {self.name}: {' '.join(str(error).split())[:200]}") from None

    def examples(self, split: str, limit: int | None = None, seed: int = 0) -> list[Example]:
        """`limit` items of a split; the first n are the same for any limit >= n. Fewer where the generator has no more.

        Raises UsageError for a split that does not exist.
        """
        check_split(self.name, split)
        limit = SIZES[split] if limit is None else limit
        low, high = _BOUNDS[split]
        # Python's own Random turns the text into seeds; the library takes integers.
        seeds = random.Random(f"{split} {seed}")
        drawn = 0
        found: dict[str, Example] = {}
        for draw in range(limit * _TRIES):
            if len(found) >= limit:
                break
            index = draw % _SIZE
            if index == 0:
                drawn = seeds.randrange(_MOST)
            entry = self._open(drawn)[index]
            question, answer = str(entry["question"]), "" if entry["answer"] is None else str(entry["answer"])
            if low <= share(question) < high and question not in found:
                solution, meta = worked(question, answer), {"seed": drawn, "index": index}
                found[question] = Example(
                    task=self.name, split=split, question=question, answer=answer, solution=solution, skill=self._dataset_name, meta=meta
                )
        return list(found.values())

    def prompt(self, example: Example) -> list[Message]:
        return [{"role": "user", "content": f'{example.question}\nThink it through; end with the line "Answer: " and the answer alone.'}]

    def judge(self, example: Example, response: str) -> Verdict:
        """`right`, `wrong`, or `no answer`; unjudged where the library's scorer fails on its own gold answer."""
        found, marked = _answers(response)
        if not found:
            return scored(False, None)
        dataset, entry = self._entry(example)
        if str(entry["question"]) != example.question:
            return Verdict(correct=None, extracted=found[0], reason="this version of reasoning-gym draws another item: evaluate anew")
        try:
            score = max(self._score(dataset, text, entry) for text in found)
        except Exception as error:
            return Verdict(correct=None, extracted=found[0], reason=f"the library's scorer failed: {' '.join(str(error).split())[:200]}")
        right = score >= 1 - 1e-9
        if not right and not marked and len(response.split()) > 12:  # prose that never comes to an answer
            return scored(False, None)
        return scored(right, found[0])

    def _entry(self, example: Example) -> tuple[Any, dict[str, Any]]:
        """A generator and the item as the library gives it: drawn again rather than kept, as its metadata may hold what JSON does not."""
        if "seed" not in example.meta:
            return self._open(0), {"question": example.question, "answer": example.answer, "metadata": {}}
        dataset = self._open(example.meta["seed"])
        return dataset, dataset[example.meta["index"]]

    @staticmethod
    def _score(dataset: Any, text: str, entry: dict[str, Any]) -> float:
        """The library's score, 0 to 1; 0 where its scorer fails on this answer (some parse it blindly) but not on the gold one."""
        try:
            return float(dataset.score_answer(answer=text, entry=entry))
        except Exception:
            dataset.score_answer(answer=entry["answer"], entry=entry)
            return 0.0

    def completion(self, solution: str, answer: str) -> str:
        """The reasoning, and "Answer: X" at the end."""
        return ended(solution, f"Answer: {answer}", alone=False)


_EXPRESSION = re.compile(r"[-(\d][-+*/().\d ]*[)\d]")
_OPERATIONS: dict[type[ast.operator], tuple[str, Callable[[Fraction, Fraction], Fraction]]] = {
    ast.Add: ("+", operator.add),
    ast.Sub: ("-", operator.sub),
    ast.Mult: ("*", operator.mul),
    ast.Div: ("/", operator.truediv),
}


def worked(question: str, answer: str) -> str:
    """The steps to the value of the expression that a question holds, "4 - 1 = <<4-1=3>>3" a line; empty unless there is exactly one
    expression, each of its values is a number of finitely many decimals, and its own is the answer."""
    found = [text for text in _EXPRESSION.findall(question) if re.search(r"\d\s*[-+*/]", text)]
    lines: list[str] = []

    def value(node: ast.expr) -> Fraction:
        match node:
            case ast.BinOp():
                left, right = value(node.left), value(node.right)
                sign, compute = _OPERATIONS[type(node.op)]
                result = compute(left, right)
                a, b, c = number.show(left), number.show(right), number.show(result)
                if "/" in c:
                    raise ValueError(c)
                b = f"({b})" if right < 0 else b
                lines.append(f"{a} {sign} {b} = <<{a}{sign}{b}={c}>>{c}")
                return result
            case ast.UnaryOp(op=ast.USub()):
                return -value(node.operand)
            case ast.Constant(value=int() | float() as literal):
                return Fraction(str(literal))
        raise ValueError(ast.dump(node))

    try:
        expression = ast.parse(found[0], mode="eval").body if len(found) == 1 else None
        right = expression is not None and number.same(value(expression), number.read(answer))
    except (SyntaxError, ValueError, KeyError, ZeroDivisionError):
        return ""
    return "\n".join(lines) if right else ""


def _answers(response: str) -> tuple[list[str], bool]:
    """(readings of the answer, the likeliest first, whether there is a marker): its line and, as answers may be grids or text, all that
    follows the marker; without one the whole response may be the answer."""
    behind = _TAGGED.findall(response) or [response[mark.end() :] for mark in short.MARKER.finditer(response)]
    rest = behind[-1].strip() if behind else response.strip()
    line = rest.split("\n")[0].strip()
    texts = (line, line.rstrip("."), line.strip("*`$ ."), rest) if behind else (rest, rest.rstrip("."))
    return list(dict.fromkeys(text for text in texts if text)), bool(behind)


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip().isidentifier():
        raise UsageError(f"a setting of a reasoning-gym task is name=value, e.g. reasoning_gym:chain_sum,max_terms=3, not {text!r}")
    name, value = name.strip(), value.strip()
    words = {"true": True, "false": False, "none": None}
    if value.lower() in words:
        return name, words[value.lower()]
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return name, kind(value)
    return name, value
