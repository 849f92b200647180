"""Diagnoses and programs for tasks whose answer is one of a few labels, from train rows alone.

A program draws what tells a label from train rows, of the error's label, of the label that the model took it for and of some others, and
puts neutral parts of other rows around it, with other values in the slots. Not covered: labels that hang on a value, on the order of parts
or on what a text does not say; rows whose label is wrong teach it.
"""

import re
from collections import Counter
from collections.abc import Sequence

from .....signatures.records import Example
from ....samples.calculations import Unreadable
from ..template import filled
from ..word_problems.diagnose import Finding
from . import ORIGIN
from .book import Book
from .parts import Part, plain, skeleton, words
from .rows import Rows

NEAR, OTHERS = 40, 6
"""Most rows of the error's label and of the confused one, and of each other label, that a program holds."""
RUNS = 80
"""Most different runs of neutral parts, before and behind together."""
LABELS = 6
"""Most other labels of a program, those of the likest rows."""
FEWEST = 4
"""Rows of a label from which on it is taught."""


class Labels:
    """What the train rows of one task show of its labels."""

    def __init__(self, rows: Sequence[Example]):
        self.rows = rows
        self.book = Book([(row.question, row.answer) for row in rows])
        self.told = [tuple(part for part in parts if not self.book.neutral(part)) for parts in self.book.cuts]
        self._words = [set(words(row.question)) for row in rows]

    def refusal(self, gold: str) -> str:
        """Why the label is not taught; empty: it is."""
        if len(self.book.count) < 2:
            return "the train rows have one label alone"
        if (count := self.book.count[gold]) < FEWEST:
            return f"{count} train rows have the label {gold!r}, {FEWEST} are needed to recombine"
        return ""

    def near(self, question: str) -> list[int]:
        """The rows, likest first."""
        mine = set(words(question))
        return sorted(range(len(self.rows)), key=lambda place: -self.book.likeness(mine, self._words[place]))


def of(rows: Rows, question: str) -> Labels:
    """What the rows of the task that asks the question show; raises Unreadable where there are none."""
    beside = rows.beside(question, "label")
    return rows.learned((beside[0].task, "label"), lambda: Labels(beside))


def read(response: str, labels: Sequence[str]) -> str | None:
    """The one label that a response names last on a line of its own, or else at all."""
    lines = [line.rpartition(":")[2].strip(" .*\"'").casefold() for line in response.strip().splitlines()]
    named = [label for line in reversed(lines) for label in labels if line == label.casefold()]
    if not named:
        named = [label for label in labels if re.search(rf"(?<!\w){re.escape(label)}(?!\w)", response, re.IGNORECASE)]
        named = named if len(named) == 1 else []
    return named[0] if named else None


def gold_of(found: Labels, question: str, reference: str) -> str:
    own = next((row.answer for row in found.rows if row.question == question), None)
    return own or reference.rpartition("#### ")[2].strip()


def refusal(rows: Rows, item: Example) -> str:
    """Why an item of train is not taught; empty: it is."""
    return of(rows, item.question).refusal(item.answer)


def diagnose(rows: Rows, question: str, reference: str, response: str) -> Finding:
    """Verdict, skill and misconception of one wrong label. Never raises: what cannot be taught is said to be so."""
    evidence = " ".join(response.split())[-160:] or "(empty)"
    try:
        found = of(rows, question)
    except Unreadable as reason:
        return Finding(
            "error", "give the label", f"It cannot be told what divides the labels: {reason}.", evidence, "Nothing that is known here."
        )
    gold, labels = gold_of(found, question, reference), list(found.book.count)
    taken = read(response, [label for label in labels if label != gold])
    said = set(words(question)) & found.book.telling
    shown = ", ".join(sorted(said, key=lambda word: (-found.book.rarity[word], word))[:5]) or "no single word"
    if taken is None:
        skill, text = (
            f"{gold} among {len(labels)} labels",
            f"No label can be read from its answer; train rows of {gold} tell it by {shown}.",
        )
    else:
        skill, text = f"{gold} against {taken}", f"It takes {gold} for {taken}. Of its words, these tell a label in train rows: {shown}."
    return Finding("error", skill, text, evidence, f"Texts of both labels, as train rows have them. {ORIGIN}")


def boundary(rows: Rows, question: str, reference: str, solved: str) -> str:
    """What divides the solved neighbours from the error; one sentence."""
    try:
        found = of(rows, question)
    except Unreadable:
        return "What the solved questions ask for cannot be compared with this one."
    texts = re.findall(r"(?:^|\n\n)Question: (.*?)\nResponse: ", solved, re.DOTALL)
    known = {row.question: row.answer for row in found.rows}
    labels = sorted({known[text] for text in texts if text in known})
    gold = gold_of(found, question, reference)
    return f"It gives {' and '.join(labels) or 'no label'} to like texts, and not {gold} to this one."


def write(rows: Rows, question: str, reference: str, response: str, failure_id: str, skill: str, careful: bool, phrased: bool) -> str:
    """The program's source; `careful`: without `wrong`. Raises Unreadable with the reason why no honest program is known."""
    found = of(rows, question)
    gold = gold_of(found, question, reference)
    if reason := found.refusal(gold):
        raise Unreadable(reason)
    taken = read(response, [label for label in found.book.count if label != gold])
    return Draft(found, question, gold, taken).source(failure_id, skill, careful)


class Draft:
    """What a program for one error holds."""

    def __init__(self, found: Labels, question: str, gold: str, taken: str | None):
        self.found, self.question, self.gold, self.taken = found, question, gold, taken
        self.told: dict[str, list[list[object]]] = {label: [] for label in (gold, taken) if label}
        self.values: dict[str, dict[str, list[str]]] = {}
        for place in found.near(question):
            label, parts = found.rows[place].answer, found.told[place]
            most = NEAR if label in (gold, taken) else OTHERS
            if parts and len(self.told.get(label, [])) < most and (label in self.told or len(self.told) < LABELS + 2):
                self.told.setdefault(label, []).append([self.slotted(part, [label], len(found.book.cuts[place]) == 1) for part in parts])
        self.told = {label: rows for label, rows in self.told.items() if rows}
        if len(self.told) < 2 or gold not in self.told:
            raise Unreadable("what tells the labels apart stands in texts of several labels, so that nothing is left to recombine")

    def slotted(self, part: Part, labels: Sequence[str], alone: bool = False) -> list[object]:
        """The part as the program holds it; the values that its slots may take are noted for each label. `alone`: it is a whole text, whose
        beginning may be another."""
        part, heads = self.found.book.headed(part) if alone else (part, [])
        made: list[object] = []
        for piece in part:
            if isinstance(piece, str):
                made.append(piece)
                continue
            kind, own = piece
            for label in labels:
                seen = heads if kind.startswith("... ") else self.found.book.values[label][kind]
                self.values.setdefault(label, {})[kind] = sorted(seen) or [own]
            made.append([kind])
        return made

    def neutral(self) -> dict[str, list[tuple[list[list[object]], list[str], int]]]:
        """What rows have before and behind what tells their label: the parts, the labels that they all stand with, and in how many rows."""
        book, counts, runs = self.found.book, Counter[tuple[str, tuple[str, ...]]](), dict[tuple[str, tuple[str, ...]], tuple[Part, ...]]()
        for cut in book.cuts:
            told = [place for place, part in enumerate(cut) if not book.neutral(part)]
            for place, run in (("before", cut[: told[0]]), ("behind", cut[told[-1] + 1 :])) if told else ():
                name = place, tuple(map(skeleton, run))
                counts[name] += 1
                runs.setdefault(name, run)
        made: dict[str, list[tuple[list[list[object]], list[str], int]]] = {"before": [], "behind": []}
        for name, count in counts.most_common(RUNS):
            labels = [label for label in self.told if all(label in book.labels_of(part) for part in runs[name])]
            if labels:
                made[name[0]].append(([self.slotted(part, labels) for part in runs[name]], labels, count))
        return made

    def source(self, failure_id: str, skill: str, careful: bool) -> str:
        neutral = self.neutral()
        told = "\n".join(
            f"    {label!r}: [\n" + "".join(f"        {row!r},\n" for row in rows) + "    ]," for label, rows in self.told.items()
        )
        taken = self.taken if self.taken in self.told else None
        return filled(
            "label",
            skill=re.sub(r"[\\\"\s]+", " ", skill),
            origin=ORIGIN,
            told=told,
            neutral="\n".join(
                f"    {place!r}: [\n" + "".join(f"        {row!r},\n" for row in rows) + "    ]," for place, rows in neutral.items()
            ),
            values="\n".join(f"    {label!r}: {kinds!r}," for label, kinds in self.values.items()),
            gold=repr(self.gold),
            taken=repr(taken),
            wrong=filled("label_wrong") if taken and not careful else "",
            failure=repr(failure_id),
            anchor={"parts": [plain(part) for part in self.found.book.cut(self.question)], "label": self.gold},
        )
