"""The shapes in which gold answers are written: "5 km" and "12.5 km" have one, "about 5 km" has another.

Numbers are masked first; where golds show too many shapes for that, words too, by their capitals. Not covered: golds of many shapes, of
which nothing is said.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence

FEW = 12
"""Most shapes of a task that are taken for all there are."""
LEAST = 20
"""Fewest golds that show them."""
UNSEEN = 0.01
"""Largest share of golds whose shape no other has: about so many further answers have a shape that was not seen (Good 1953, the estimate of
Good and Turing)."""
LOOKED_AT = 5000
"""Golds that are looked at."""
_NUMBER = re.compile(r"(?<!\w)[-+\u2212]?\.?\d+(?:[.,]\d+)*|\d+(?:[.,]\d+)*")
_WORD = re.compile(r"[^\W\d_]+")


def without_numbers(text: str) -> str:
    return _NUMBER.sub("0", text.strip())


def without_words(text: str) -> str:
    """With `A`, `AA` or `a` in the place of a word: capitalised, in capitals, or else."""
    return _WORD.sub(_masked, without_numbers(text))


def _masked(word: re.Match[str]) -> str:
    said = word[0]
    return "a" if not said[0].isupper() else "AA" if said[1:] and said.isupper() else "A"


class Shapes:
    """What the golds of a task show."""

    def __init__(self, golds: Sequence[str] = ()):
        golds = golds[:: len(golds) // LOOKED_AT + 1]
        self._mask: Callable[[str], str] | None = None
        self._shown: dict[str, str] = {}  # shape -> a gold, the most frequent shape first
        for mask in (without_numbers, without_words):
            found = Counter(map(mask, golds))
            alone = sum(count == 1 for count in found.values())
            if len(golds) >= LEAST and len(found) <= FEW and alone <= UNSEEN * len(golds):
                one = {mask(gold): gold for gold in reversed(golds)}
                self._mask, self._shown = mask, {shape: one[shape] for shape, _ in found.most_common()}
                break

    def fault(self, answer: str) -> str:
        """That an answer has another shape than all golds; empty: it has one of theirs, or theirs are too many to say."""
        if self._mask is None or self._mask(answer) in self._shown:
            return ""
        return f"no gold answer is written like it; they are written like {', '.join(map(repr, [*self._shown.values()][:3]))}"
