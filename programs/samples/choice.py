"""Problems with one right option among several. The host puts the options in random order, unless the program answers with a label.

Not here: solving asserted answers again (errata.programs.steps.agree).
"""

import random
import re
from typing import Any

from ...signatures.records import Attempt, Example
from ...tasks import Task
from ...tasks.verdicts import choice
from .kind import Draw, Kind, Row, problem_shape

LABELS = "ABCDEFGHIJ"


class ChoiceKind(Kind):
    """One right option among several."""

    name = "choice"
    texts = ("question", "solution", "answer")
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

    def text(self, row: Row) -> str:
        return " ".join([row["question"], *sorted(row["choices"].values())])

    def lesson(self, row: Row) -> Any:
        return row["question"], row["choices"][row["answer"]]

    def overlap(self, row: Row) -> str:
        return " ".join(self.lesson(row))

    def shape(self, row: Row) -> Any:
        return problem_shape(*self.lesson(row)), frozenset(row["choices"].values())


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
