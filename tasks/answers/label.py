"""Answers that are one of several labels, which are the same for all rows: a classification."""

import json
from collections import Counter
from collections.abc import Sequence

from ...signatures.errors import TaskError, UsageError
from ...signatures.records import SEVERAL, Example, Verdict
from ..base import scored
from ..files import Row
from ..settings import TableSettings
from ..verdicts import label
from .form import Form, Gold, Helpers

MOST = 50
"""Labels that are taken from the train rows at most; `table.choices` may name more."""
FEWEST_ROWS = 2
"""Train rows a label on average, under which answers are taken for texts."""


class LabelForm(Form):
    """One label of a closed set: `table.choices`, or the gold answers of train."""

    kind = "label"
    brief = "Texts, each of which gets exactly one of several labels. The response is the label alone."

    def __init__(self, name: str, settings: TableSettings, helpers: Helpers):
        super().__init__(name, settings, helpers)
        if isinstance(settings.choices, str):
            raise UsageError(
                f"table.choices {settings.choices!r} is one text; the verdict `label` takes a list of labels, e.g. [billing, refund]"
            )
        self._golds: dict[str, str] = {}  # each gold answer, and where it came first
        self._named: dict[str, str] = {}  # what a label is compared by, and the label
        if settings.choices is not None:
            self._take(settings.choices, "mend table.choices")

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(self._named.values())

    def _take(self, labels: Sequence[str], act: str) -> None:
        """Answer with these labels from now on. `act`: what to do where they cannot be."""
        named: dict[str, str] = {}
        for one in labels:
            if (other := named.get(label.plain(one))) is not None:
                what = "stands twice in the list" if other == one else f"differs from {other!r} only in how it is written"
                raise UsageError(f"the label {one!r} {what}; {act}")
            named[label.plain(one)] = one
        if len(named) < 2 or "" in named:
            raise UsageError(f"a label is one of two or more texts that are not empty, not of {list(labels)}; {act}")
        self._named = named
        alone = "" if self.settings.completion else " alone"
        self.ask = f"Answer with one of these labels{alone}: {', '.join(labels)}."
        self.facts = f"The {len(named)} labels: {', '.join(labels)}."

    def read(self, row: Row, where: str, question: str) -> Gold:
        found = super().read(row, where, question)
        self._golds.setdefault(found.answer, where)
        return found._replace(answer=self._label(found.answer, where)) if self._named else found

    def _label(self, gold: str, where: str) -> str:
        """The label that a gold answer is, in the spelling of the list. Raises TaskError."""
        known = self._named.get(label.plain(gold))
        if known is None:
            raise TaskError(f"{where}: {self.fault(gold)}; mend the row, or name it in table.choices")
        return known

    def fault(self, answer: str) -> str:
        if answer in self.labels:
            return ""
        source = "table.choices" if self.settings.choices is not None else "the train rows"
        return f"the answer {answer[:40]!r} is not one of the labels of {source} ({', '.join(self.labels)[:200]})"

    def learn(self, train: Sequence[Example]) -> None:
        """Take the labels from the train items, where the config names none."""
        if self.settings.choices is not None or not train:
            return
        counted = Counter(example.answer for example in train)
        if len(counted) > MOST or len(train) < FEWEST_ROWS * len(counted):
            many = f"{len(counted)} different answers in {len(train)} train rows"
            raise TaskError(f"{many} are too many to be taken for labels; name them in table.choices, or use the verdict `exact`")
        self._take(sorted(counted), "mend the rows, or name the labels in table.choices")
        alone = ", ".join(one for one, count in sorted(counted.items()) if count == 1)
        doubtful = f" (of one row alone, perhaps by mistake: {alone})" if alone else ""
        self.taken = f"the labels are those of {len(train)} train rows: {', '.join(self.labels)}{doubtful}"
        self.setting = f"table.choices: {json.dumps(self.labels, ensure_ascii=False)}"
        for gold, where in self._golds.items():
            if (known := self._label(gold, where)) != gold:
                told = f"the answer {gold!r} is written {known!r} in train"
                raise TaskError(f"{where}: {told}; mend the row, or name the labels in table.choices")

    def judge(self, example: Example, response: str) -> Verdict:
        given = label.read(response, self.labels)
        if given == SEVERAL:
            return Verdict(correct=False, extracted=None, reason=SEVERAL)
        return scored(given == example.answer, given or None)

    def completion(self, solution: str, answer: str) -> str:
        """The label alone: a response is not asked for its reasons."""
        return answer
