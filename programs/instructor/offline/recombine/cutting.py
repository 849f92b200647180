"""Texts with their JSON documents as templates: what the text says, with a piece for each value and for each list that can be drawn anew.

A value that its text does not say stays with its template, where it is one of few (true, null, "express"): what tells it is in the words of
the template. Any other makes the row one that is not taught. A list is drawn anew where its elements stand side by side in one sentence.
Not covered: values that are worked out from others, as a sum is.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from ....samples.calculations import Unreadable
from .align import Contexts, Leaf, Path, aligned, field_of
from .spans import spans

FEW, SEEN = 12, 3
"""A value that texts do not say is one of at most so many, each in at least so many rows."""
_JOINT = re.compile(r"(?:[\s,;&+-]|\b(?:and|plus|also|as|well|with|then|a|an|the|some)\b)+", re.IGNORECASE)

Piece = str | dict[str, Any]
"""A text, {"at": path, "one": pool} or {"at": path, "some": list}."""


@dataclass
class Template:
    """One row, cut."""

    pieces: list[Piece]
    document: Any
    """Without what is drawn: None stands there."""
    anchor: dict[str, Any]
    """The arguments that make the row again."""
    fields: set[str]


@dataclass
class Cuttings:
    """The rows of one task, cut, and what can be put in."""

    rows: Sequence[tuple[str, Any]]
    """(text, document)"""
    templates: dict[int, Template] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    """Place of a row -> why it is not taught."""
    pools: dict[str, list[list[Any]]] = field(default_factory=lambda: defaultdict(list))
    elements: dict[str, list[tuple[list[Piece], Any]]] = field(default_factory=lambda: defaultdict(list))
    joints: dict[str, list[list[str]]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        contexts = Contexts(self.rows)
        self._leaves = [aligned(text, document, contexts) for text, document in self.rows]
        unsaid = Counter((leaf.field, json.dumps(leaf.value)) for found in self._leaves for leaf in found if not leaf.places)
        several = Counter(name for name, _ in unsaid)
        said = Counter(leaf.field for found in self._leaves for leaf in found if leaf.places and not isinstance(leaf.value, str))
        self._closed = {one for one, count in unsaid.items() if count >= max(SEEN, said[one[0]]) and several[one[0]] <= FEW}
        self._pins = self._dependent()
        for place in range(len(self.rows)):
            try:
                self.templates[place] = self._cut(place)
            except Unreadable as reason:
                self.refused[place] = str(reason)

    # ---- what hangs on what

    def _dependent(self) -> dict[str, str]:
        """Field that texts do not say -> the field beside it that settles it in every row, as a thing settles its kind."""
        groups: dict[tuple[str, str], dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
        for found in self._leaves:
            for leaf in found:
                for other in found if not leaf.places else ():
                    if other.places and other.path[:-1] == leaf.path[:-1]:
                        groups[leaf.field, other.field][json.dumps(other.value)][json.dumps(leaf.value)] += 1
        pins: dict[str, str] = {}
        for (name, beside), by_value in groups.items():
            repeats = Counter[str]()
            for held in by_value.values():
                repeats.update({value: count - 1 for value, count in held.items() if len(held) == 1})
            if all(len(held) == 1 for held in by_value.values()) and len(repeats) > 1 and repeats.total() - max(repeats.values()) >= 4:
                pins.setdefault(name, beside)
        return pins

    def _pool(self, leaf: Leaf, found: Sequence[Leaf]) -> str:
        """The name of the pool that a value is drawn from: its field and form, and what hangs on it."""
        beside = [
            other for other in found if other.path[:-1] == leaf.path[:-1] and self._pins.get(other.field) == leaf.field and not other.places
        ]
        pinned = "".join(f", {other.field} {json.dumps(other.value)}" for other in beside)
        return f"{leaf.field} ({leaf.places[0].form}{pinned})"

    # ---- cutting

    def _cut(self, place: int) -> Template:
        text, document = self.rows[place]
        found = self._leaves[place]
        for leaf in found:
            if not leaf.path:
                raise Unreadable("its answer is neither an object nor a list")
            if leaf.places or isinstance(leaf.value, bool) or leaf.value in (None, [], {}):
                continue
            shown = f"{leaf.field}, {json.dumps(leaf.value)[:40]}"
            if spans(leaf.value, text):
                raise Unreadable(f"it is not clear where the text says its {shown}")
            if (leaf.field, json.dumps(leaf.value)) not in self._closed:
                raise Unreadable(f"the text does not say its {shown}, as such")
        said = self._said(text, found, 0, len(text))
        lists = {path: list(self._elements(text, found, path)) for path in _lists(document)}
        lists = {path: regions for path, regions in lists.items() if regions}
        blank = _blank(document, found, lists)
        pieces: list[Piece] = []
        done = 0
        for path, regions in sorted(lists.items(), key=lambda item: item[1][0][0]):
            name = field_of(path)
            pieces += self._said(text, found, done, regions[0][0])
            pieces.append({"at": list(path), "some": name})
            done = regions[-1][1]
            joints = [text[one[1] : other[0]] for one, other in pairwise(regions)]
            self.joints[name].append(joints)
            for number, (start, end) in enumerate(regions):
                inner = [leaf for leaf in found if leaf.path[: len(path) + 1] == (*path, number)]
                relative = self._said(text, inner, start, end, len(path) + 1)
                self.elements[name].append((relative, _at(_blank(document, found, {}), (*path, number))))
        pieces += self._said(text, found, done, len(text))
        anchor = {"said": [self._own(piece, document, text, found) for piece in said], "document": document, "lists": []}
        return Template(pieces, blank, anchor, {leaf.field for leaf in found if leaf.places})

    def _said(self, text: str, found: Sequence[Leaf], start: int, end: int, above: int = 0) -> list[Piece]:
        """The text between two places as pieces; paths without their first `above` steps. What values it says goes into the pools."""
        pieces: list[Piece] = []
        done = start
        inside = [(place, leaf) for leaf in found for place in leaf.places if start <= place.start and place.end <= end]
        for place, leaf in sorted(inside, key=lambda one: one[0]):
            name, pair = self._pool(leaf, found), [text[place.start : place.end], leaf.value]
            if pair not in self.pools[name]:
                self.pools[name].append(pair)
            pieces += [text[done : place.start], {"at": list(leaf.path[above:]), "one": name, "own": pair}]
            done = place.end
        return [piece for piece in [*pieces, text[done:end]] if piece]

    @staticmethod
    def _own(piece: Piece, document: Any, text: str, found: Sequence[Leaf]) -> Any:
        return piece if isinstance(piece, str) else [piece["own"][0], piece["at"], piece["own"][1]]

    @staticmethod
    def _elements(text: str, found: Sequence[Leaf], path: Path) -> Iterator[tuple[int, int]]:
        """Where each element of a list stands; nothing unless they stand side by side in their order, with joints between them."""
        regions: dict[int, list[int]] = defaultdict(list)
        count = 0
        for leaf in found:
            if leaf.path[: len(path)] == path:
                number = leaf.path[len(path)]
                assert isinstance(number, int)
                count = max(count, number + 1)
                regions[number] += [edge for place in leaf.places for edge in (place.start, place.end)]
        if len(regions) < count or not all(regions.values()):
            return
        edges = [_closed_brackets(text, min(regions[number]), max(regions[number])) for number in range(count)]
        apart = all(_JOINT.fullmatch(text[one[1] : other[0]]) for one, other in pairwise(edges))
        others = [place for leaf in found if leaf.path[: len(path)] != path for place in leaf.places]
        mixed = any(edges[0][0] <= place.start < edges[-1][1] for place in others)
        if apart and not mixed and not re.search(r"[.!?;]\s|\n", text[edges[0][0] : edges[-1][1]]):
            yield from edges


def _lists(document: Any, path: Path = ()) -> Iterator[Path]:
    """The outermost lists that are not empty."""
    if isinstance(document, list) and document and path:
        yield path
    elif isinstance(document, (dict, list)):
        for name, inner in document.items() if isinstance(document, dict) else enumerate(document):
            yield from _lists(inner, (*path, name))


def _closed_brackets(text: str, start: int, end: int) -> tuple[int, int]:
    """The place, with the bracket behind it that closes one in it."""
    return start, end + (text[start:end].count("(") > text[start:end].count(")") and text[end : end + 1] == ")")


def _at(document: Any, path: Path) -> Any:
    for step in path:
        document = document[step]
    return document


def _blank(document: Any, found: Sequence[Leaf], lists: Any) -> Any:
    """The document with None for what is drawn."""
    copy = json.loads(json.dumps(document))
    for path in [*(leaf.path for leaf in found if leaf.places), *lists]:
        if not any(path[: len(one)] == one and path != one for one in lists):
            *steps, last = path
            _at(copy, tuple(steps))[last] = None
    return copy
