"""Which place of a text each value of its JSON document comes from.

Strings are placed first, the longest before the others; a string that the text says several times holds all these places. A number that
stands in several places goes to the one whose neighbouring words are most like those of the field in other rows, or, in a list, to the one
nearest to the other values of its element. Where two are as good, the value is not placed. Not covered: one place that says two values.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from .spans import Span, spans

Path = tuple[str | int, ...]
CLEAR = 0.2
"""How much better the best place of a number must be than the next, in nats."""
FAR = 25
"""Characters that make a place in an element a nat worse."""

NEXT = 12
"""Most characters between an article that says 1 and another value of its object."""


class Leaf(NamedTuple):
    """A value that holds no others, with where it stands in the document and the places that say it: none, one, or a string's several."""

    path: Path
    value: Any
    places: tuple[Span, ...] = ()

    @property
    def field(self) -> str:
        return field_of(self.path)


def field_of(path: Path) -> str:
    """The path as a name: `items.*.size`."""
    return ".".join("*" if isinstance(step, int) else step for step in path)


def leaves(value: Any, path: Path = ()) -> Iterator[Leaf]:
    """The values of a document that hold no others, empty lists and objects among them."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from leaves(inner, (*path, name))
    elif isinstance(value, list) and value:
        for place, inner in enumerate(value):
            yield from leaves(inner, (*path, place))
    else:
        yield Leaf(path, value)


class Contexts:
    """The words beside the values of each field, learned from values that stand in one place."""

    def __init__(self, rows: Sequence[tuple[str, Any]]):
        """`rows`: (text, document)."""
        self._seen: Mapping[str, Counter[str]] = defaultdict(Counter)
        for text, document in rows:
            for leaf in leaves(document):
                found = spans(leaf.value, text)
                if len(found) == 1:
                    self._seen[leaf.field].update(_beside(text, found[0]))

    def fit(self, field: str, text: str, place: Span) -> float:
        """How well the words beside a place fit the field, in nats."""
        held = self._seen.get(field, Counter())
        beside = _beside(text, place)
        return 2 * sum(math.log((1 + held[word]) / (2 + held.total())) for word in beside) / max(1, len(beside))


def _beside(text: str, place: Span) -> list[str]:
    before = re.findall(r"[\w$€£#]+", text[: place.start].lower())[-2:]
    after = re.findall(r"[\w%]+", text[place.end :].lower())[:2]
    return [f"{word} _" for word in before] + [f"_ {word}" for word in after]


def aligned(text: str, document: Any, contexts: Contexts) -> list[Leaf]:
    """The leaves in the document's order, with their places. What no place says has none."""
    found = {leaf.path: leaf for leaf in leaves(document)}
    taken: list[Span] = []
    strings = [leaf for leaf in found.values() if isinstance(leaf.value, str)]
    for leaf in sorted(strings, key=lambda leaf: -len(leaf.value)):
        free = [place for place in spans(leaf.value, text) if _free(place, taken)]
        same = [other.path for other in strings if other.value == leaf.value]
        if len(same) > 1:  # one value in several fields: each has the place in its turn, where there are as many
            every = spans(leaf.value, text)
            free = [place for place in every[same.index(leaf.path) :][:1] if len(every) == len(same) and place in free]
        found[leaf.path] = leaf._replace(places=tuple(free))
        taken += free
    numbers = [leaf for leaf in found.values() if not isinstance(leaf.value, str)]
    while scored := [one for leaf in numbers if (one := _best(leaf, text, found, taken, contexts))]:
        _, leaf, place = max(scored, key=lambda one: one[0])
        found[leaf.path] = leaf._replace(places=(place,))
        taken.append(place)
        numbers.remove(leaf)
    return list(found.values())


def _best(leaf: Leaf, text: str, found: Mapping[Path, Leaf], taken: Sequence[Span], contexts: Contexts) -> tuple[float, Leaf, Span] | None:
    """How clearly the best free place of a number is its own, and the place; None where none is."""
    scored = sorted(
        ((_score(leaf, place, text, found, contexts), place) for place in spans(leaf.value, text) if _free(place, taken)), reverse=True
    )
    if not scored or (len(scored) > 1 and scored[0][0] - scored[1][0] < CLEAR):
        return None
    (best, place), *others = scored
    if place.form.startswith("article") and _apart(leaf, place, found) > NEXT:
        return None
    return best - (others[0][0] if others else -20), leaf, place


def _score(leaf: Leaf, place: Span, text: str, found: Mapping[Path, Leaf], contexts: Contexts) -> float:
    score = contexts.fit(leaf.field, text, place) - 2 * place.form.startswith("article")
    return score - (_apart(leaf, place, found) / FAR if any(isinstance(step, int) for step in leaf.path) else 0)


def _apart(leaf: Leaf, place: Span, found: Mapping[Path, Leaf]) -> int:
    """Characters between the place and the nearest other value of the same object; 0 where there is none."""
    beside = [other.places[0] for path, other in found.items() if path[:-1] == leaf.path[:-1] and path != leaf.path and other.places]
    return min((max(one.start - place.end, place.start - one.end) for one in beside), default=0)


def _free(place: Span, taken: Sequence[Span]) -> bool:
    return all(place.end <= other.start or other.end <= place.start for other in taken)
