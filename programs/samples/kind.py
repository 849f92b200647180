"""What all kinds of problems share: the contract that each of them fills in, and how texts are compared.

A row is a dict. What the harness hands back is untrusted and becomes a row through `finish`, which raises ValueError with a complaint for
the instructor. The contract in the instructor's words lies in signatures/contracts. Not here: running programs
(errata.programs.samples.harness) and the order of the checks (errata.programs.samples.checks).
"""

import difflib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from ...signatures.records import Attempt, Example
from ...signatures.records import Kind as KindName
from ...tasks import Task

Draw = tuple[int, int, int]  # (seed, index, level) of one sample
Row = dict[str, Any]
NUMBER = r"\d+(?:[.,/:]\d+)*"
SIGNS = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
ALIKE = 0.6  # least likeness (difflib ratio over words) of the anchor's question to the error's own
LONGEST = 20_000  # characters of the longest field of a row that is taken in
LOOKED_AT = 2000  # words of each of two questions that are compared: the time grows with their product


class Kind(Protocol):
    """One kind of problem: what `make` must give, what the host adds to it, and what anchors and `wrong` must show."""

    name: KindName
    texts: tuple[str, ...]  # what make() must return as a str that is not blank
    values: tuple[str, ...] = ()  # what it must return as a JSON value, as wrong() must then; both come back as JSON texts
    others: tuple[str, ...] = ("asserted",)  # what else it may return
    asserted: bool = False  # whether answers rest on facts, where make() does not say
    guest: str = "plain.py"  # the file of guest/ that completes a row inside the sandbox
    more: tuple[str, ...] = ()  # fields that the guest adds
    taught: str = ""  # what `lesson` tells apart, in the plural
    asks: bool = True  # whether what is put to the target is a question, and no text of any form
    most: float = 1.0  # largest share of a program's training rows that one answer may have
    spread: int = 1  # every how many drawn rows one is checked for agreeing with itself

    def finish(self, row: Row, draw: Draw | None) -> Row:
        """The row that is checked and trained on; `draw` is None at an anchor. Raises ValueError."""
        said = row.pop("asserted", self.asserted)
        if not isinstance(said, bool):
            raise ValueError(f"make() must return True or False under 'asserted', not {said!r}")
        if "solution" in self.others:
            row["solution"] = worked = row.get("solution") or ""
            if not isinstance(worked, str):
                raise ValueError(f"make() must return a str under 'solution', or leave it out, not {str(worked)[:200]}")
        return {**row, "asserted": True} if said else row

    def example(self, task: str, row: Row) -> Example:
        """A finished row as an item of the task of this name, with its worked solution."""
        return Example(
            task=task,
            split="train",
            question=self.shown(row),
            answer=row["answer"],
            solution=row["solution"],
            kind=self.name,
            meta=self.meta(row),
        )

    def shown(self, row: Row) -> str:
        """The question as the target reads it."""
        return row["question"]

    def meta(self, row: Row) -> dict[str, Any]:
        """What the verdict needs beside the answer."""
        return {}

    def consistent(self, task: Task, made: Example) -> str | None:
        """What keeps the completion that would be trained on from being judged right for its own answer."""
        said = task.completion(made.solution, made.answer)
        verdict = task.verdict(made, said)
        if verdict.correct:
            return None
        if said == task.completion("", made.answer):
            return f"the answer {made.answer!r} is not judged right for itself: {verdict.extracted!r} is read ({verdict.reason})"
        return f"solution and answer do not agree: answer {made.answer!r}, read from the solution {verdict.extracted!r} ({verdict.reason})"

    def anchored(self, task: Task, gold: Example, made: Example) -> str | None:
        """What keeps an anchor's problem from being the error's own with its gold answer."""
        verdict = task.verdict(gold, task.completion(made.solution, made.answer))
        return None if verdict.correct else f"answers {made.answer!r}, but the gold answer is {gold.answer!r} ({verdict.reason})"

    def told(self, task: Task, attempt: Attempt, row: Row) -> str | None:
        """What keeps wrong() at an anchor from being what the target answered, by the task's verdict; its answer was readable."""
        said = str(attempt.verdict.extracted)
        verdict = task.verdict(attempt.example.model_copy(update={"answer": said}), task.completion("", row["wrong"]))
        return None if verdict.correct else f"is {row['wrong']!r}, but the model answered {said!r} ({verdict.reason})"

    def misses(self, task: Task, made: Example, wrong: str) -> bool:
        """Whether wrong() gives the right answer on this problem, so that it cannot tell the misconception from the skill."""
        return bool(task.verdict(made, task.completion("", wrong)).correct)

    def one_sided(self, attempts: Sequence[Attempt], made: Sequence[Example]) -> str | None:
        """What answers the draws lack beside those `made`, for the errors of the anchors."""
        return None

    def stem(self, example: Example) -> str:
        """The question that an anchor must rebuild."""
        return example.question

    def text(self, example: Example) -> str:
        """What must not repeat, or nearly repeat, another problem."""
        return example.question

    def lesson(self, example: Example) -> Any:
        """What only a few problems of a training set may have in common; None: no limit."""
        return None

    def overlap(self, example: Example) -> str:
        """What a generated problem and a held-out item must not have in common."""
        return example.question

    def shape(self, example: Example) -> Any:
        """What makes a problem distinct."""
        return problem_shape(example.question, example.answer)


def finished(row: Row, rules: Kind, draw: Draw | None) -> Row:
    """What came back from a program as a row of its kind; {"error": ...} for one that failed or that the kind refuses."""
    if "error" in row:
        return row
    for name, value in row.items():
        if (length := len(value if isinstance(value, str) else json.dumps(value))) > LONGEST:
            return {"error": f"{length:,} characters came back under {name!r}; at most {LONGEST:,} are taken"}
    try:
        return rules.finish(dict(row), draw)
    except ValueError as error:
        return {"error": str(error)}


def guest(name: str) -> str:
    """A file of guest/ as it is sent to the sandbox: without its docstring."""
    text = (Path(__file__).with_name("guest") / name).read_text(encoding="utf-8")
    return "\n" + text.partition('"""\n')[2].lstrip("\n")


def problem_shape(question: str, answer: str) -> tuple[str, tuple[str, ...], str]:
    """What makes a problem distinct: its wording without names and numbers, its numbers in any order, its answer."""
    numbers = re.findall(NUMBER, question)
    template = re.sub(r"\b[A-Z][a-z]+\b", "N", re.sub(NUMBER, "0", question))
    return template, tuple(sorted(numbers)), answer


def words_of(text: str) -> list[str]:
    """Words and numbers; of Chinese and Japanese, which part no words, their signs."""
    return re.findall(rf"{NUMBER}|[{SIGNS}]|[^\W{SIGNS}]+", text.lower())


def likeness(text: str, other: str) -> float:
    """0 to 1 over words."""
    words, others = words_of(text)[:LOOKED_AT], words_of(other)[:LOOKED_AT]
    return difflib.SequenceMatcher(None, words, others, autojunk=False).ratio()
