"""Numbers of a question that hang together though no step says so: a total and its parts, a number and its double. They stay.

Not covered: numbers that a step of the solution computes from each other; those are drawn together.
"""

import itertools
import re
from fractions import Fraction

from .resolve import Reading

_PEOPLE = re.compile(
    r"friend|sibling|child|brother|sister|person|kid|student|player|member|coworker|cousin|roommate|guest|man|woman|boy|girl|son|daughter|"
    r"neighbor|colleague|teammate"
)


def related(reading: Reading) -> set[int]:
    """Used numbers that must stay, for what the question says of them ("3 packs of 4, 12 in all"; "with 5 friends, all six")."""
    worth = {i: reading.mentions[i].value for i in reading.used}
    results = {step.value for step in reading.steps}
    kept = _idle(reading, worth).union(*(find(reading, worth, results) for find in (_sums, _totals, _all, _products)))
    # equal numbers are one parameter: all of them stay
    stay = {worth[k] for k in kept}
    return {k for k in worth if worth[k] in stay}


def _sums(reading: Reading, worth: dict[int, Fraction], results: set[Fraction]) -> set[int]:
    """ "the average of all 14 men and women": 8 men and 6 women were told of, and no step adds them."""
    kept: set[int] = set()
    for i, total in worth.items():
        before = reading.question[: reading.mentions[i].start]
        if total > 4 and total not in results and re.search(r"\b(?:all|the|these|those|of|total(?:s|ed)?)\s$", before):
            for a, b in itertools.combinations([k for k in worth if k < i], 2):
                kept |= {i, a, b} if worth[a] + worth[b] == total else set()
    return kept


def _totals(reading: Reading, worth: dict[int, Fraction], results: set[Fraction]) -> set[int]:
    """Numbers in a row that another is the sum of, where no step adds them: "18 reviews: six, seven, four, one"."""
    mentions = reading.mentions
    named = ("an ordinal", "a name", "a year", "a time of day", "part of a name, a ratio or a range")
    counted = [
        k for k, m in enumerate(mentions) if m.style != "fraction" and m.fixed not in named and reading.question[m.end : m.end + 1] != "-"
    ]
    kept: set[int] = set()
    for i, total in worth.items():
        if total < 6 or total in results:
            continue
        rest = [k for k in counted if k != i]
        for a, b in itertools.combinations(range(len(rest) + 1), 2):
            run = rest[a:b]
            like = len({mentions[k].counts for k in (i, *run)}) == 1
            if len(run) > 2 and like and sum(mentions[k].value for k in run) == total:
                kept |= {i, *run} & worth.keys()
    return kept


def _all(reading: Reading, worth: dict[int, Fraction], results: set[Fraction]) -> set[int]:
    """ "all four beds": two of them were told of and two more, and no step adds them."""
    kept: set[int] = set()
    for m in reading.mentions:
        if m.value not in results and re.search(r"\ball\s(?:of\s)?(?:the\s)?$", reading.question[: m.start]):
            kept |= {a for a in worth if 2 * worth[a] == m.value and sum(other.value == worth[a] for other in reading.mentions) > 1}
            kept |= {k for pair in itertools.combinations(worth, 2) if sum(worth[k] for k in pair) == m.value for k in pair}
    return kept


def _products(reading: Reading, worth: dict[int, Fraction], results: set[Fraction]) -> set[int]:
    """ "150 cookies, so that her 15 neighbors get 10 each": no step multiplies what one sentence says is equal."""
    kept: set[int] = set()
    for a, b in itertools.combinations(worth, 2):
        for i in worth.keys() - {a, b}:
            first, *_, last = sorted(reading.mentions[k].start for k in (a, b, i))
            equal = worth[a] * worth[b] == worth[i] and min(worth[a], worth[b]) >= 3 and worth[i] not in results
            if equal and not re.search(r"[.!?]\s", reading.question[first:last]):
                kept |= {i, a, b}
    return kept


def _idle(reading: Reading, worth: dict[int, Fraction]) -> set[int]:
    """Numbers that one which no step uses hangs on: its double, its half, its parts."""
    mentions = reading.mentions
    kept: set[int] = set()
    spoken = {*reading.spoken, *worth.values()}
    for m in (m for i, m in enumerate(mentions) if i not in worth and m.value not in spoken):
        people = _PEOPLE.fullmatch(m.unit)
        kept |= {a for a, x in worth.items() if (people or _PEOPLE.fullmatch(mentions[a].unit)) and abs(m.value - x) == 1}
        if m.value < 7:
            continue
        kept |= {a for a, x in worth.items() if m.value in (2 * x, x / 2, 100 - x)}
        for a, b in itertools.permutations(worth, 2):
            kept |= {a, b} if m.value in (worth[a] * worth[b], worth[a] - worth[b]) else set()
        rest = [k for k, other in enumerate(mentions) if other is not m and other.value < m.value and other.style != "fraction"][:10]
        for some in itertools.chain.from_iterable(itertools.combinations(rest, size) for size in range(2, len(rest) + 1)):
            kept |= worth.keys() & some if sum(mentions[k].value for k in some) == m.value else set()
    return kept
