"""The contract of each kind of task: what `make` must give, what the host adds to it, and what anchors and `wrong` must show.

- number (and short text): the answer is computed by the program.
- choice: exactly one option is right. The host puts the options in random order, unless the program answers with a label.
- code: the host runs the solution on the program's calls, in the program's own run, and writes tests and examples from what it gave.

A row is a dict: what the harness hands back is untrusted and becomes a row through `finish`, which raises ValueError with a complaint
for the instructor. The contract in the instructor's words is `CONTRACTS` of errata.signatures.teach.

What is not here: running programs (errata.programs.samples.harness) and the order of the checks (errata.programs.samples.checks).
"""

import ast
import builtins
import difflib
import random
import re
from collections.abc import Sequence
from typing import Any, Literal

from ...signatures.records import Attempt, Example, Sample
from ...tasks import Task, member
from ...tasks.verdicts import choice, code, number

Draw = tuple[int, int, int]
"""(seed, index, level) of one sample."""
Row = dict[str, Any]
NUMBER = r"\d+(?:[.,/:]\d+)*"
ALIKE = 0.6
"""Least likeness (difflib ratio over words) of the anchor's question to the error's own."""
LABELS = "ABCDEFGHIJ"
CALLS = 3
"""Fewest calls of a code problem."""
SHOWN = 3
"""Calls whose results the question of a code problem shows."""
LONGEST = 2000
"""Characters of the longest result that is written into a test."""


class Number:
    """A number that the program computed; a short text likewise."""

    name: Literal["number", "choice", "code"] = "number"
    texts: tuple[str, ...] = ("question", "solution", "answer")
    """What make() must return as a str that is not blank."""
    others: tuple[str, ...] = ("asserted",)
    """What else it may return."""
    asserted = False
    """Whether answers rest on facts, where make() does not say."""
    harness = "\ndef complete(row):\n    return row\n"
    """Trusted text that completes a row inside the sandbox."""
    more: tuple[str, ...] = ()
    """Fields that `complete` adds."""
    taught = ""
    """What `lesson` tells apart, in the plural."""
    spread = 1
    """Every how many drawn rows one is checked for agreeing with itself."""

    def finish(self, row: Row, draw: Draw | None) -> Row:
        """The row that is checked and trained on; `draw` is None at an anchor. Raises ValueError."""
        said = row.pop("asserted", self.asserted)
        if not isinstance(said, bool):
            raise ValueError(f"make() must return True or False under 'asserted', not {said!r}")
        return {**row, "asserted": True} if said else row

    def example(self, task: Task, row: Row) -> Example:
        """The row as an item of the task."""
        return Example(task=task.name, split="train", question=row["question"], answer=row["answer"])

    def fields(self, example: Example) -> Row:
        """An item of a task as the fields of a Sample: `example` the other way round."""
        return {"question": example.question, "solution": example.solution, "answer": example.answer}

    def consistent(self, task: Task, row: Row) -> str | None:
        """The completion that would be trained on is judged right for the row's own answer."""
        verdict = task.verdict(self.example(task, row), task.completion(row["solution"], row["answer"]))
        if verdict.correct and self.shows(row):
            return None
        if verdict.correct:
            return f"the solution never comes to the answer {row['answer']!r}: {row['solution'][:200]!r}"
        return (
            f"solution and answer do not agree: answer {row['answer']!r}, read from the solution {verdict.extracted!r} ({verdict.reason})"
        )

    def shows(self, row: Row) -> bool:
        """Whether the solution comes to the answer."""
        return _mentions(row["solution"], row["answer"])

    def anchored(self, task: Task, example: Example, row: Row) -> str | None:
        """What keeps an anchor's row from being the error's own problem with its gold answer."""
        verdict = task.verdict(example, task.completion(row["solution"], row["answer"]))
        if not verdict.correct:
            return f"answers {row['answer']!r}, but the gold answer is {example.answer!r}"
        return None

    def stem(self, example: Example) -> str:
        """The question that an anchor must rebuild."""
        return example.question

    def item(self, example: Example) -> str:
        """What of a held-out item must not be taught."""
        return example.question

    def told(self, task: Task, attempt: Attempt, row: Row) -> str | None:
        """What keeps wrong() at an anchor from being what the target answered; its answer was readable."""
        if _same(task, row["wrong"], str(attempt.verdict.extracted)):
            return None
        return f"is {row['wrong']!r}, but the model answered {attempt.verdict.extracted!r}"

    def misses(self, task: Task, row: Row) -> bool:
        """Whether wrong() gives the right answer on this row, so that it cannot tell the misconception from the skill."""
        return _same(task, row["wrong"], row["answer"])

    def text(self, row: Row) -> str:
        """What must not repeat, or nearly repeat, another row."""
        return row["question"]

    def lesson(self, row: Row) -> Any:
        """What only a few rows of a training set may have in common; None where that is no question."""
        return None

    def overlap(self, row: Row) -> str:
        """What must not overlap `item` of a held-out item."""
        return row["question"]

    def shape(self, row: Row) -> Any:
        """What makes a problem distinct."""
        return problem_shape(row["question"], row["answer"])


class Choice(Number):
    """One right option among several."""

    name = "choice"
    others = ("asserted", "choices")
    taught = "questions with their right options"
    asserted = True

    def finish(self, row: Row, draw: Draw | None) -> Row:
        row = super().finish(row, draw)
        options = row.get("choices")
        if not isinstance(options, list) or not 2 <= len(options) <= len(LABELS) or not all(_is_text(text) for text in options):
            raise ValueError(f"make() must return a list of 2 to {len(LABELS)} str under 'choices', not {str(options)[:200]}")
        if len(set(map(_plain, options))) < len(options):
            raise ValueError(f"two options are the same, so no single one is right: {options}")
        right = self._index(options, row["answer"])
        if right is None:
            raise ValueError(f"the answer {row['answer']!r} is none of the options {options}")
        wrong = row.get("wrong")
        told = None if wrong is None else self._index(options, wrong)
        if wrong is not None and told is None:
            raise ValueError(f"wrong() gives {wrong!r}, which is none of the options {options}")
        order = list(range(len(options)))
        if draw and row["answer"] in options:
            named = [text for text in options if re.search(r"\b[A-J]\)? (?:and|or) \(?[A-J]\b", text)]
            if named:
                raise ValueError(f"the option {named[0]!r} names others by letter, but options are shown in random order")
            random.Random("options:{}:{}:{}".format(*draw)).shuffle(order)
            order.sort(
                key=lambda index: re.search(r"(?i)\b(?:all|any|none|both|neither) of (?:the above|these)", options[index]) is not None
            )
        labels = {index: label for label, index in zip(LABELS, order, strict=False)}
        row |= {"choices": {label: options[index] for index, label in labels.items()}, "answer": labels[right]}
        return row | ({"wrong": None if told is None else labels[told]} if "wrong" in row else {})

    @staticmethod
    def _index(options: list[str], said: str) -> int | None:
        """The option that is named by its text, or else by its label."""
        if said in options:
            return options.index(said)
        return LABELS.index(said) if len(said) == 1 and said in LABELS[: len(options)] else None

    def example(self, task: Task, row: Row) -> Example:
        shown = choice.question(row["question"], row["choices"])
        meta = {"choices": row["choices"], "stem": row["question"]}
        return Example(task=task.name, split="train", question=shown, answer=row["answer"], meta=meta)

    def fields(self, example: Example) -> Row:
        return super().fields(example) | {"question": self.stem(example), "choices": example.meta["choices"]}

    def consistent(self, task: Task, row: Row) -> str | None:
        said = choice.read(row["solution"], row["choices"])
        if said not in (None, row["answer"]) and re.search(rf"\b{said}\b", row["solution"]):
            return (
                f"the solution speaks of option {said}, but {row['answer']} is right: options are shown in random order, so name them by "
                f"their words: {row['solution'][:200]!r}"
            )
        return super().consistent(task, row)

    def shows(self, row: Row) -> bool:
        return True  # the completion ends in the label

    def anchored(self, task: Task, example: Example, row: Row) -> str | None:
        own = example.meta["choices"]
        if set(map(_plain, own.values())) != set(map(_plain, row["choices"].values())):
            return f"gives the options {list(row['choices'].values())}, but the error's own are {list(own.values())}"
        answer = self._label(example, row, row["answer"])
        if not task.verdict(example, task.completion("", answer)).correct:
            return f"answers {own[answer]!r}, but the gold answer is {own.get(example.answer, example.answer)!r}"
        return None

    @staticmethod
    def _label(example: Example, row: Row, label: str) -> str:
        """The error's own label of the option that the row calls `label`."""
        words = _plain(row["choices"][label])
        return next(own for own, text in example.meta["choices"].items() if _plain(text) == words)

    def stem(self, example: Example) -> str:
        return choice.stem(example.question, example.meta["choices"])

    def item(self, example: Example) -> str:
        return f"{self.stem(example)} {example.meta['choices'].get(example.answer, '')}"

    def told(self, task: Task, attempt: Attempt, row: Row) -> str | None:
        label = self._label(attempt.example, row, row["wrong"])
        if label == attempt.verdict.extracted:
            return None
        own = attempt.example.meta["choices"]
        return f"is {own[label]!r}, but the model answered {own.get(str(attempt.verdict.extracted))!r}"

    def misses(self, task: Task, row: Row) -> bool:
        return row["wrong"] == row["answer"]

    def text(self, row: Row) -> str:
        return " ".join([row["question"], *sorted(row["choices"].values())])

    def lesson(self, row: Row) -> Any:
        return row["question"], row["choices"][row["answer"]]

    def overlap(self, row: Row) -> str:
        return " ".join(self.lesson(row))

    def shape(self, row: Row) -> Any:
        return problem_shape(*self.lesson(row)), frozenset(row["choices"].values())


class Code(Number):
    """A function, with tests and examples from running the solution."""

    name = "code"
    texts = ("question", "entry_point", "answer")
    others = ("asserted", "calls", "solution", "examples")
    more = ("results", "wrong_results")
    taught = "solutions"
    spread = 40  # each is judged in three runs
    harness = r'''
import math
import re


def _show(value):
    """The value as a literal, the same on every machine."""
    kind = type(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("it gave %r, which has no literal form" % value)
    if value is None or kind in (bool, int, float, complex, str, bytes):
        return repr(value)
    if isinstance(value, dict):
        return "{%s}" % ", ".join("%s: %s" % (_show(key), _show(item)) for key, item in value.items())
    if isinstance(value, list):
        return "[%s]" % ", ".join(map(_show, value))
    if isinstance(value, tuple):
        return "(%s)" % (_show(value[0]) + "," if len(value) == 1 else ", ".join(map(_show, value)))
    if kind is set and value:
        return "{%s}" % ", ".join(sorted(map(_show, value)))
    raise ValueError("it gave an object of type %s, which has no literal form" % kind.__name__)


def _results(source, entry, calls):
    """What the function gives on each call: ["value", literal, whether it is a float] or ["raised", error]."""
    space = {"__name__": "solution"}
    try:
        exec(compile(source, "solution.py", "exec", dont_inherit=True), space)
        space[entry]
    except (Exception, SystemExit) as error:
        return [["raised", "%s: %s" % (type(error).__name__, error)]] * len(calls), space
    rows = []
    for call in calls:
        try:
            value = eval("%s(%s)" % (entry, call), space)
            rows.append(["value", _show(value), type(value) is float])
        except (Exception, SystemExit) as error:
            rows.append(["raised", "%s: %s" % (type(error).__name__, error)])
    return rows, space


def _equals(told, value, space):
    try:
        return bool(eval(told, space) == value)
    except Exception:
        return False


def _arguments(call, entry):
    call = str(call).strip()
    inner = re.fullmatch(re.escape(entry) + r"\((.*)\)", call, re.DOTALL)
    return inner[1].strip() if inner else call


def complete(row):
    entry = row["entry_point"]
    if not isinstance(row.get("calls"), list):
        raise TypeError("make() must return a list of str under 'calls', not %r" % (row.get("calls"),))
    row["calls"] = [_arguments(call, entry) for call in row["calls"]]
    row["results"], space = _results(row["answer"], entry, row["calls"])
    for call, result in zip(row["calls"], row["results"]):
        if result[0] == "raised":
            raise ValueError("the solution fails on %s(%s): %s" % (entry, call, result[1]))
    for line, told in re.findall(r"^[ \t]*>>> (.+)\n[ \t]*(.+)", row["question"], re.MULTILINE):
        value = eval(line, space)
        if told.strip() != repr(value) and not _equals(told, value, space):
            raise ValueError("the question's example %s gives %r, not %s; leave examples to the host" % (line, value, told.strip()))
    if row.get("wrong") is not None:
        row["wrong_results"], _ = _results(row["wrong"], entry, row["calls"])
    return row
'''

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
        solution = row.get("solution")
        row |= {
            "question": documented(row["question"], entry, calls, results) if examples else row["question"],
            "solution": solution if isinstance(solution, str) else "",
            "tests": tests(calls, results),
        }
        if wrong is not None:
            # one that behaves like the solution is the solution
            row |= {"wrong_tests": tests(calls, wrong), "wrong": row["answer"] if wrong == results else row["wrong"]}
        return row

    def example(self, task: Task, row: Row) -> Example:
        question = row["question"]
        prompt = question if _signature(question, row["entry_point"]) else ""
        meta = {"entry_point": row["entry_point"], "test": row["tests"], "prompt": prompt}
        return Example(task=task.name, split="train", question=question.strip(), answer=row["answer"], meta=meta)

    def fields(self, example: Example) -> Row:
        return super().fields(example) | {"entry_point": example.meta["entry_point"], "tests": example.meta["test"]}

    def consistent(self, task: Task, row: Row) -> str | None:
        verdict = task.verdict(self.example(task, row), task.completion(row["solution"], row["answer"]))
        if verdict.correct:
            return None
        return f"the solution does not pass the tests that were made from it ({verdict.reason}): {row['answer'][:300]!r}"

    def anchored(self, task: Task, example: Example, row: Row) -> str | None:
        verdict = task.verdict(example, task.completion(row["solution"], row["answer"]))
        return None if verdict.correct else f"gives a solution that does not pass the error's own tests: {verdict.reason}"

    def told(self, task: Task, attempt: Attempt, row: Row) -> str | None:
        if row["wrong"] == row["answer"]:
            return "behaves like the solution on every call, but the model's code is wrong"
        meta = attempt.example.meta | {"test": row["wrong_tests"]}
        verdict = task.verdict(attempt.example.model_copy(update={"meta": meta}), attempt.response)
        if verdict.correct:
            return None
        return f"is code that behaves otherwise than the model's on the anchor's calls: {verdict.reason}"

    def misses(self, task: Task, row: Row) -> bool:
        return row["wrong"] == row["answer"]

    def lesson(self, row: Row) -> Any:
        return row["answer"]


KINDS: dict[str, Number] = {kind.name: kind for kind in (Number(), Choice(), Code())}


def kind_of(example: Example) -> Number:
    """The kind of an item, told by what its task keeps in `meta`."""
    return KINDS["code" if "test" in example.meta else "choice" if "choices" in example.meta else "number"]


def example_of(task: Task, sample: Sample) -> Example:
    """A sample as an item of the task that it was made for."""
    return kind_of_sample(sample).example(member(task, sample.task), sample.model_dump())


def sample_of(example: Example, seed: int, index: int) -> Sample:
    """An item of the task as a row to train on, where no program made it."""
    return Sample(program_id="", seed=seed, index=index, level=3, task=example.task, item=example.id, **kind_of(example).fields(example))


def asked(sample: Sample) -> str:
    """The question of a sample as it is shown, with its options."""
    return choice.question(sample.question, sample.choices) if sample.choices else sample.question


def kind_of_sample(sample: Sample) -> Number:
    return KINDS["code" if sample.tests is not None else "choice" if sample.choices is not None else "number"]


# ---- code ----------------------------------------------------------------------------------------------------------------


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
            lines += [
                "    try:",
                f"        candidate({call})",
                "    except Exception:",
                "        pass",
                "    else:",
                "        assert False",
            ]
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


def _literal(text: str) -> bool:
    try:
        ast.literal_eval(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _well_formed(results: Any, count: int) -> bool:
    """Untrusted code shares the interpreter with the harness, so the host looks at every result again."""
    if not isinstance(results, list) or len(results) != count:
        return False
    for result in results:
        if not isinstance(result, list) or len(result) < 2 or result[0] not in ("value", "raised") or not isinstance(result[1], str):
            return False
        if result[0] == "value" and (len(result) != 3 or not _literal(result[1])):
            return False
    return True


# ---- what kinds share ------------------------------------------------------------------------------------------------------


def problem_shape(question: str, answer: str) -> tuple[str, tuple[str, ...], str]:
    """What makes a problem distinct: its wording without names and numbers, its numbers in any order, its answer."""
    numbers = re.findall(NUMBER, question)
    template = re.sub(r"\b[A-Z][a-z]+\b", "N", re.sub(NUMBER, "0", question))
    return template, tuple(sorted(numbers)), answer


def words_of(text: str) -> list[str]:
    return re.findall(NUMBER + r"|\w+", text.lower())


def likeness(text: str, other: str) -> float:
    """0 to 1 over words."""
    return difflib.SequenceMatcher(None, words_of(text), words_of(other), autojunk=False).ratio()


def _mentions(solution: str, answer: str) -> bool:
    """Whether the number `answer` stands in the solution, in any form (1,200 or $1200.00)."""
    if re.search(rf"(?<![\d.,]){re.escape(answer)}(?!\.?\d)", solution):
        return True
    wanted = number.read(answer)
    return any(number.same(number.extract(word), wanted) for word in re.split(r"[\s=]+", solution))


def _same(task: Task, answer: str, other: str) -> bool:
    example = Example(task=task.name, split="train", question="", answer=other)
    return bool(task.verdict(example, task.completion("", answer)).correct)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
