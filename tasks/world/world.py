"""What the tasks of the small world share: items drawn in turn from a seed, splits by a hash, and the names that stories are told with."""

import hashlib
import random
import string
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ...signatures.records import Example
from ..base import Judging, check_split

NAMES = (
    "Ann", "Ben", "Cara", "Dan", "Eva", "Finn", "Gina", "Hugo", "Iris", "Jack", "Kate", "Leo", "Mia", "Nora",
    "Omar", "Paul", "Rosa", "Sam", "Tara", "Uma", "Vera", "Will", "Yara", "Zoe",
)  # fmt: skip
OBJECTS = (
    "apples", "pens", "books", "cards", "coins", "shells", "stamps", "marbles", "beads", "cakes", "eggs", "plums",
    "pears", "rocks", "toys", "balls", "nuts", "buttons", "lemons", "cookies", "stickers", "crayons", "ribbons",
    "candles",
)  # fmt: skip
BOXES = ("boxes", "bags", "packs", "jars", "trays", "crates")
TRIES = 1000
"""Draws for one item, before its skill counts as exhausted."""
_DRAWN: dict[tuple[type, str, str, int], tuple[tuple[Example, ...], Any]] = {}
"""What each turn gave so far, and the state of the generator after it: a run asks for the same items again and again, and those of `lists`
that a training row must not overlap take 3 seconds."""


class WorldTask(Judging):
    """A task whose items are made from a seed. A task and its twin, which has `_plus` behind the name, are one class."""

    data: Mapping[str, str] = MappingProxyType({})
    """Empty: nothing is read."""
    skills: Sequence[Any]
    sizes: Mapping[str, int]
    """Items of a split when no limit is given; any limit can be asked for."""
    changes: Sequence[str]
    """What a twin does to each problem, in turn."""
    draw: Callable[[Any, random.Random, str, str | None], Example]
    """One new item: a skill, a generator, a split, and one of `changes` or None."""

    def __init__(self, name: str):
        self.name = name
        self.twin = None if name.endswith("_plus") else f"{name}_plus"

    def examples(self, split: str, limit: int | None = None, seed: int = 0) -> list[Example]:
        """`limit` items of a split, skills in turn; the first n are the same for any limit >= n. Fewer when a skill has no more.

        Raises UsageError for a split that does not exist.
        """
        check_split(self.name, split)
        count = self.sizes[split] if limit is None else limit
        key = (type(self), self.name, split, seed)
        rng = random.Random(f"{self.name} {split} {seed}")
        known, state = _DRAWN.get(key, ((), rng.getstate()))
        rng.setstate(state)
        changes: Sequence[str | None] = self.changes if self.name.endswith("_plus") else (None,)
        drawn, questions = list(known), {example.question for example in known}
        for index in range(len(known), count):
            skill = self.skills[index % len(self.skills)]
            change = changes[index // len(self.skills) % len(changes)]
            for _ in range(TRIES):
                example = self.draw(skill, rng, split, change)
                if example.question not in questions:
                    break
            drawn.append(example)
            questions.add(example.question)
        if len(_DRAWN) == 32:  # of several seeds
            _DRAWN.clear()
        _DRAWN[key] = tuple(drawn), rng.getstate()
        return list({example.question: example for example in drawn[:count]}.values())


def item(name: str, change: str | None, meta: dict[str, Any], **fields: Any) -> Example:
    """An item of the task `name`, or of its twin where there is a `change`, which `meta` then tells."""
    return Example(task=f"{name}_plus" if change else name, meta=meta | ({"change": change} if change else {}), **fields)


def number_of(text: str) -> int:
    """A number of 64 bits that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def split_of(text: str) -> str:
    """The one split that a problem told by `text` may appear in: 8 of 10 in train, 1 in dev, 1 in test."""
    return {8: "dev", 9: "test"}.get(number_of(text) % 10, "train")


def options(right: str, wrong: Sequence[str], rng: random.Random) -> tuple[dict[str, str], str]:
    """({label: option} in a random order, label of the right one)."""
    shown = [right, *wrong]
    rng.shuffle(shown)
    return dict(zip(string.ascii_uppercase, shown, strict=False)), string.ascii_uppercase[shown.index(right)]


def story(rng: random.Random) -> dict[str, str]:
    """Names, objects and containers for the slots of a text."""
    words = [*rng.sample(NAMES, 4), *rng.sample(OBJECTS, 2), *rng.sample(BOXES, 2)]
    return dict(zip(("A", "B", "C", "D", "o", "q", "box", "bag"), words, strict=True))
