"""Diagnoses and programs for tasks whose answer is a JSON document that says what a text says, from train rows alone.

A program fills the templates of train rows, the error's own first, with values and list elements of others (cutting.py); the document is
built beside the text. Not covered: values that are worked out, and documents of which a text says a part in other words.
"""

import json
import random
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TypeVar

from .....signatures.records import Example
from ....samples.calculations import Unreadable
from ....samples.phrasing import phrasing
from ..template import filled
from ..word_problems.diagnose import Finding
from . import ORIGIN
from .align import leaves
from .cutting import Cuttings, Template
from .parts import words
from .rows import Rows

T = TypeVar("T")
NOT_TRAIN = "it is not one of the train rows, and other texts are beyond the embedded instructor"
TEMPLATES, VALUES = 30, 60
"""Most templates of a program, and most values of a pool and elements of a list."""


def of(rows: Rows, question: str) -> tuple[Sequence[Example], Cuttings]:
    """The rows of the task that asks the question, cut; raises Unreadable where there are none."""
    beside = rows.beside(question, "json")
    name = (beside[0].task, "json")
    return beside, rows.learned(name, lambda: Cuttings([(row.question, json.loads(row.answer)) for row in beside]))


def refusal(rows: Rows, item: Example) -> str:
    """Why an item of train is not taught; empty: it is."""
    found, cut = of(rows, item.question)
    own = _own(found, item.question)
    return NOT_TRAIN if own is None else cut.refused.get(own, "")


def read(response: str) -> Any:
    """The JSON document of a response, or None."""
    fenced = re.search(r"```(?:json)?\n(.*?)```", response, re.DOTALL)
    text = fenced[1] if fenced else response
    for start in (found.start() for found in re.finditer(r"[{\[]", text)):
        with suppress(ValueError):
            return json.JSONDecoder().raw_decode(text[start:])[0]
    return None


def departures(gold: Any, given: Any) -> list[tuple[str, Any, Any]]:
    """(field, gold, given) wherever two documents differ; None for what is missing."""
    mine, theirs = ({leaf.path: leaf for leaf in leaves(one)} for one in (gold, given))
    paths = [*mine, *(path for path in theirs if path not in mine)]
    held = [(mine.get(path), theirs.get(path)) for path in paths]
    return [
        ((one or other).field, one and one.value, other and other.value)  # type: ignore[union-attr]
        for one, other in held
        if (one and one.value) != (other and other.value)
    ]


def _gold(found: Sequence[Example], question: str, reference: str) -> Any:
    own = next((row.answer for row in found if row.question == question), None)
    with suppress(ValueError):
        return json.loads(own or reference.rpartition("#### ")[2])
    return None


def diagnose(rows: Rows, question: str, reference: str, response: str) -> Finding:
    """Verdict, skill and misconception of one wrong document. Never raises: what cannot be taught is said to be so."""
    evidence = " ".join(response.split())[-160:] or "(empty)"
    try:
        found, _ = of(rows, question)
    except Unreadable as reason:
        return Finding(
            "error", "write the document", f"It cannot be told what is wrong: {reason}.", evidence, "Nothing that is known here."
        )
    gold, given = _gold(found, question, reference), read(response)
    wrong = departures(gold, given) if given is not None else []
    if not wrong:
        skill, text = "write the JSON document", "No JSON document can be read from its answer."
    else:
        fields = list(dict.fromkeys(name for name, _, _ in wrong))
        skill = f"read {' and '.join(fields[:2])} from a text"
        shown = "; ".join(f"{name} is {json.dumps(one)}, it gives {json.dumps(other)}" for name, one, other in wrong[:4])
        text = f"Of the document, {len(wrong)} values are wrong: {shown}."
    return Finding("error", skill, text, evidence, f"Texts that say these fields, as train rows do, with other values. {ORIGIN}")


def boundary(rows: Rows, question: str, reference: str, solved: str) -> str:
    """What divides the solved neighbours from the error; one sentence."""
    count = len(re.findall(r"(?:^|\n\n)Question: ", solved))
    return f"It reads {count} like texts whole, and not this one." if count else "It reads no like text whole."


def write(rows: Rows, question: str, reference: str, response: str, failure_id: str, skill: str, careful: bool, phrased: bool) -> str:
    """The program's source. Raises Unreadable with the reason why no honest program is known."""
    found, cut = of(rows, question)
    own = _own(found, question)
    if own is None:
        raise Unreadable(NOT_TRAIN)
    if own in cut.refused:
        raise Unreadable(cut.refused[own])
    given = read(response)
    fields = {name for name, _, _ in departures(cut.rows[own][1], given)} if given is not None else set()
    others = [place for place in _near(found, question) if place in cut.templates and place != own]
    seen = Counter[str]()

    def turn(place: int) -> int:
        way = phrasing(found[place].question)
        seen[way] += 1
        return seen[way]

    # those that say the fields first, of these one of each phrasing in turn, and of each phrasing the likest first
    others.sort(key=lambda place: (not fields <= cut.templates[place].fields, turn(place)))
    chosen = [cut.templates[place] for place in [own, *others[:TEMPLATES]]]
    return _source(cut, chosen, failure_id, skill)


def _own(found: Sequence[Example], question: str) -> int | None:
    return next((place for place, row in enumerate(found) if row.question == question), None)


def _near(found: Sequence[Example], question: str) -> list[int]:
    mine = set(words(question))
    shared = [len(mine & set(words(row.question))) / (1 + len(mine | set(words(row.question)))) for row in found]
    return sorted(range(len(found)), key=lambda place: -shared[place])


def _some(rng: random.Random, items: list[T]) -> list[T]:
    return rng.sample(items, min(VALUES, len(items)))


def _source(cut: Cuttings, chosen: Sequence[Template], failure_id: str, skill: str) -> str:
    rng = random.Random(failure_id)
    lists = {piece["some"] for one in chosen for piece in one.pieces if not isinstance(piece, str) and "some" in piece}
    elements = {name: _some(rng, cut.elements[name]) for name in sorted(lists)}
    drawn = [*(one.pieces for one in chosen), *(pieces for some in elements.values() for pieces, _ in some)]
    pools = {piece["one"] for pieces in drawn for piece in pieces if not isinstance(piece, str) and "one" in piece}
    bare = lambda pieces: [  # noqa: E731
        piece if isinstance(piece, str) else {name: value for name, value in piece.items() if name != "own"} for piece in pieces
    ]
    return filled(
        "json",
        skill=re.sub(r"[\\\"\s]+", " ", skill),
        origin=ORIGIN,
        templates="".join(f"    ({bare(one.pieces)!r}, {one.document!r}),\n" for one in chosen).rstrip(),
        pools="".join(f"    {name!r}: {_some(rng, cut.pools[name])!r},\n" for name in sorted(pools)).rstrip(),
        elements="".join(
            f"    {name!r}: [\n" + "".join(f"        ({bare(pieces)!r}, {value!r}),\n" for pieces, value in some) + "    ],\n"
            for name, some in elements.items()
        ).rstrip(),
        joints="".join(f"    {name!r}: {sorted(_some(rng, cut.joints[name]), key=len)!r},\n" for name in sorted(lists)).rstrip(),
        failure=repr(failure_id),
        anchor=chosen[0].anchor,
    )
