"""Which answers of two sources are to the same item.

Items are matched by their id, which is a hash of task, question and gold; the others by what they say, question and gold or, of a choice,
stem, options and the words of the right one, as two forms write one item in different ways. Of several answers to one item the first
counts. What is matched is told in places: the answers stay where they lie.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ...signatures.errors import UsageError
from ...signatures.records import Attempt, Example
from .answered import Answered, Benchmark, Outcome, outcome

SPLITS = ("test", "dev", "train", "")
"""Held-out items first; empty: the log does not name it."""


class Seen(NamedTuple):
    """One answer, as far as a comparison needs it."""

    benchmark: Benchmark
    """Where it stands in `Answered.benchmarks`, and at which place."""
    place: int
    item: str
    """Id of its item."""
    skill: str
    outcome: Outcome
    prompt: str
    """Hash of the prompt, where the log tells it."""


class Pair(NamedTuple):
    """Two answers to one item."""

    task: str
    split: str
    skill: str
    a: Seen
    b: Seen

    @property
    def change(self) -> Literal["fixed", "broken", "same", "unjudged"]:
        """What became of the item from A to B; `unjudged` where a side is."""
        if "unjudged" in (self.a.outcome, self.b.outcome):
            return "unjudged"
        old, new = self.a.outcome == "right", self.b.outcome == "right"
        return "same" if old == new else "fixed" if new else "broken"


@dataclass(frozen=True)
class Pairing:
    """The items that two sources share."""

    a: Answered
    b: Answered
    benchmarks: Mapping[Benchmark, Sequence[Pair]]
    """By task and split, test before dev before train; the items in A's order."""
    by_content: int
    """How many were matched by what they say, as their ids differ."""
    only_a: int
    """Items of A that B did not answer."""
    only_b: int
    repeated: tuple[int, int]
    """Answers of A and of B to an item that was answered before, which are left out."""

    def answers(self, pair: Pair) -> tuple[Attempt, Attempt]:
        """The two answers of a pair, with question, gold and what was read."""
        return self.a.benchmarks[pair.a.benchmark][pair.a.place], self.b.benchmarks[pair.b.benchmark][pair.b.place]


def paired(a: Answered, b: Answered) -> Pairing:
    """The items that A and B share, for `errata diff` and for a page that marks what was fixed and broken. Raises UsageError when there are
    none."""
    mine, theirs = _first(a), _first(b)
    both = [(mine[name], theirs[name]) for name in mine if name in theirs]
    rest_a, rest_b = ([(a, mine[name]) for name in mine if name not in theirs], [(b, theirs[name]) for name in theirs if name not in mine])
    alike = _alike(rest_a, rest_b)
    places = {seen.item: place for place, seen in enumerate(mine.values())}
    found: dict[Benchmark, list[Pair]] = {}
    for one, other in sorted([*both, *alike], key=lambda pair: places[pair[0].item]):
        pair = _pair(one, other)
        found.setdefault((pair.task, pair.split), []).append(pair)
    if not found:
        raise UsageError(_nothing(a, b))
    ordered = dict(sorted(found.items(), key=lambda one: (SPLITS.index(one[0][1]), one[0])))
    repeated = (a.items - len(mine), b.items - len(theirs))
    return Pairing(a, b, ordered, len(alike), len(rest_a) - len(alike), len(rest_b) - len(alike), repeated)


def _first(answered: Answered) -> dict[str, Seen]:
    """The first answer to each item, by the item's id."""
    found: dict[str, Seen] = {}
    for benchmark, rows in answered.benchmarks.items():
        for place, row in enumerate(rows):
            item = row.example
            if item.id not in found:
                found[item.id] = Seen(benchmark, place, item.id, item.skill, outcome(row), str(item.meta.get("prompt_hash", "")))
    return found


Name = tuple[Benchmark, str]
"""What a source calls an item: its benchmark and its id."""


def renamed(sides: Sequence[Answered]) -> list[dict[Name, Name]]:
    """For a page of several sources: of each the items that an earlier one calls otherwise, its name -> the earlier one's."""
    known: dict[str, tuple[Answered, Seen]] = {}
    found: list[dict[Name, Name]] = []
    for side in sides:
        mine = _first(side)
        new = [(side, seen) for item, seen in mine.items() if item not in known]
        alike = _alike([there for item, there in known.items() if item not in mine], new)
        same = [*((known[item][1], seen) for item, seen in mine.items() if item in known), *alike]
        names = {(other.benchmark, other.item): (one.benchmark, one.item) for one, other in same}
        found.append({name: earlier for name, earlier in names.items() if name != earlier})
        known |= {seen.item: (side, seen) for _, seen in new if (seen.benchmark, seen.item) not in names}
    return found


def _alike(some: Sequence[tuple[Answered, Seen]], others: Sequence[tuple[Answered, Seen]]) -> list[tuple[Seen, Seen]]:
    """Pairs of two sides that say the same; an item that stands on a side twice is not matched, as it could be either."""
    if not some or not others:
        return []
    mine, theirs = _unique(some), _unique(others)
    return [(mine[key], theirs[key]) for key in mine if key in theirs]


def _unique(some: Sequence[tuple[Answered, Seen]]) -> dict[tuple[str, ...], Seen]:
    found: dict[tuple[str, ...], Seen | None] = {}
    for answered, seen in some:
        key = content(answered.benchmarks[seen.benchmark][seen.place].example)
        found[key] = None if key in found else seen
    return {key: seen for key, seen in found.items() if seen}


def content(item: Example) -> tuple[str, ...]:
    """What an item says, however it is laid out: question and gold; of a choice its stem, its options and the words of the right one."""
    choices = item.meta.get("choices")
    if isinstance(choices, dict) and item.answer in choices:
        stem, gold = str(item.meta.get("stem", item.question)), str(choices[item.answer])
        return (_plain(stem), *sorted(_plain(str(one)) for one in choices.values()), _plain(gold))
    return _plain(item.question), _plain(item.answer).replace(",", "").removesuffix(".")


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _pair(a: Seen, b: Seen) -> Pair:
    """Named as the side that knows its split names it; of two splits the one that is held out less counts: a side learned from it."""
    split = max(filter(None, (a.benchmark[1], b.benchmark[1])), key=SPLITS.index, default="")
    named = a if a.benchmark[1] or not b.benchmark[1] else b
    return Pair(named.benchmark[0], split, a.skill or b.skill, a, b)


def _nothing(a: Answered, b: Answered) -> str:
    """Why nothing is matched, and what helps."""
    has = [f"{one.source} holds {', '.join(' '.join(filter(None, name)) for name in one.benchmarks)}" for one in (a, b)]
    same = {task for task, _ in a.benchmarks} & {task for task, _ in b.benchmarks}
    act = "give runs with the same items and seed" if same and a.run and b.run else "take the logs in with `errata import`, for one task"
    return f"no item was answered in both: {has[0]}; {has[1]}; {act}"
