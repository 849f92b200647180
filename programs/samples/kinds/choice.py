"""Problems with one right option among several. The host puts the options in random order, unless the program answers with a label.

Not here: solving asserted answers again (errata.programs.steps.agree).
"""

import random
import re
from collections.abc import Callable, Iterable
from typing import Any

from ....signatures.records import Attempt, Example
from ....tasks import Task
from ....tasks.verdicts import choice
from ..kind import Draw, Kind, Row, problem_shape

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
        if (
            not isinstance(options, list)
            or not 2 <= len(options) <= len(LABELS)
            or not all(isinstance(text, str) and text.strip() for text in options)
        ):
            raise ValueError(f"make() must return a list of 2 to {len(LABELS)} str under 'choices', not {str(options)[:200]}")
        if len(set(map(_plain(options), options))) < len(options):
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
            order.sort(key=lambda index: bool(re.search(r"(?i)\b(?:all|any|none|both|neither) of (?:the above|these)", options[index])))
        labels = {index: label for label, index in zip(LABELS, order, strict=False)}
        row |= {"choices": {label: options[index] for index, label in labels.items()}, "answer": labels[right]}
        return row | ({"wrong": None if told is None else labels[told]} if "wrong" in row else {})

    @staticmethod
    def _index(options: list[str], said: str) -> int | None:
        """The option that is named by its text, or else by its label."""
        if said in options:
            return options.index(said)
        return LABELS.index(said) if len(said) == 1 and said in LABELS[: len(options)] else None

    def shown(self, row: Row) -> str:
        return choice.question(row["question"], row["choices"])

    def meta(self, row: Row) -> dict[str, Any]:
        return {"choices": row["choices"], "stem": row["question"]}

    def consistent(self, task: Task, made: Example) -> str | None:
        said = choice.read(made.solution, made.meta["choices"])
        if said not in (None, made.answer) and re.search(rf"\b{said}\b", made.solution):
            return (
                f"the solution speaks of option {said}, but {made.answer} is right: options are shown in random order, so name them by "
                f"their words: {made.solution[:200]!r}"
            )
        return super().consistent(task, made)

    def anchored(self, task: Task, gold: Example, made: Example) -> str | None:
        own, options = gold.meta["choices"], made.meta["choices"]
        plain = _plain(own.values())
        if set(map(plain, own.values())) != set(map(plain, options.values())):
            return f"gives the options {list(options.values())}, but the error's own are {list(own.values())}"
        answer = _label(own, options[made.answer])
        if not task.verdict(gold, task.completion("", answer)).correct:
            return f"answers {own[answer]!r}, but the gold answer is {own.get(gold.answer, gold.answer)!r}"
        return None

    def stem(self, example: Example) -> str:
        return choice.stem(example.question, example.meta["choices"])

    def told(self, task: Task, attempt: Attempt, row: Row) -> str | None:
        own = attempt.example.meta["choices"]
        label = _label(own, row["choices"][row["wrong"]])
        if label == attempt.verdict.extracted:
            return None
        return f"is {own[label]!r}, but the model answered {own.get(str(attempt.verdict.extracted))!r}"

    def misses(self, task: Task, made: Example, wrong: str) -> bool:
        return wrong == made.answer

    def text(self, example: Example) -> str:
        return " ".join([self.stem(example), *sorted(example.meta["choices"].values())])

    def lesson(self, example: Example) -> Any:
        return self.stem(example), example.meta["choices"].get(example.answer, "")

    def overlap(self, example: Example) -> str:
        return " ".join(self.lesson(example))

    def shape(self, example: Example) -> Any:
        return problem_shape(*self.lesson(example)), frozenset(example.meta["choices"].values())


def _label(choices: choice.Choices, words: str) -> str:
    """The label of the option with these words."""
    plain = _plain(choices.values())
    return next(label for label, text in choices.items() if plain(text) == plain(words))


def _plain(options: Iterable[str]) -> Callable[[str], str]:
    """How a text is compared with these options: in any case, unless two of them differ in it alone, as the genotypes Aa and aa do."""
    known = {" ".join(text.split()) for text in options}
    return lambda text: " ".join(text.split()) if len(set(map(str.casefold, known))) < len(known) else " ".join(text.split()).casefold()
