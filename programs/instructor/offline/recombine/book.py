"""What many labelled texts show together: which of their parts say nothing of the label, and which values and beginnings fit where.

A part is neutral when texts of several labels hold it, none of them mostly, and no word of it is telling: one that stands with one label
far more often than its share. What is not neutral stays with its text. Not covered: parts that only few texts hold, which count as telling.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence

from .parts import Part, Slot, opening, pieces, plain, sentences, skeleton, words

SHARE, LEAST = 0.75, 4
"""A word is telling that stands with one label in this share of at least so many texts, and with twice the label's own share."""
HEAD = 4
"""Most words of a beginning that can be exchanged."""


class Book:
    """Parts, values and words of labelled texts."""

    def __init__(self, texts: Sequence[tuple[str, str]]):
        """`texts`: (text, label)."""
        self.count = Counter(label for _, label in texts)
        self._ordinary = {word for text, _ in texts for word in text.split() if word.islower()}
        clauses: dict[str, set[str]] = defaultdict(set)
        seen: dict[str, Counter[str]] = defaultdict(Counter)
        for text, label in texts:
            clauses[opening(text)].add(label)
            for word in set(words(text)):
                seen[word][label] += 1
        self._openings = {clause for clause, labels in clauses.items() if clause and len(labels) > 1}
        self.rarity = {word: math.log(1 + len(texts) / held.total()) for word, held in seen.items()}
        self.telling = {word for word, held in seen.items() if self._tells(held, len(texts))}
        self._held: dict[str, Counter[str]] = defaultdict(Counter)
        self.values: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        self.cuts = [self.cut(text) for text, _ in texts]
        for parts, (_, label) in zip(self.cuts, texts, strict=True):
            for name in {skeleton(part) for part in parts}:
                self._held[name][label] += 1
            for kind, value in [piece for part in parts for piece in part if isinstance(piece, Slot)]:
                if value not in self.values[label][kind]:
                    self.values[label][kind].append(value)
        self._heads = self._beginnings(texts)

    def _tells(self, held: Counter[str], texts: int) -> bool:
        (label, most), total = held.most_common(1)[0], held.total()
        return total >= LEAST and most >= SHARE * total and most * texts >= 2 * total * self.count[label]

    def cut(self, text: str) -> tuple[Part, ...]:
        """The parts of a text; joined they are the text again."""
        return tuple(pieces(sentence, self._ordinary) for sentence in sentences(text, self._openings))

    def labels_of(self, part: Part) -> set[str]:
        """The labels of the texts that hold a part of this skeleton."""
        return set(self._held[skeleton(part)])

    def neutral(self, part: Part) -> bool:
        """Whether the part says nothing of the label."""
        held = self._held[skeleton(part)]
        if len(held) < 2 or self.telling.intersection(words(plain(part))):
            return False
        label, most = held.most_common(1)[0]
        fair = max(0.6, 1.5 * self.count[label] / self.count.total())
        return held.total() < LEAST or most <= fair * held.total()

    def likeness(self, one: Collection[str], other: Collection[str]) -> float:
        """0 to 1: the share of rare words in common."""
        shared, either = set(one) & set(other), set(one) | set(other)
        # exact sums: the order of a set's words is another in each process
        weight = math.fsum(self.rarity.get(word, 0) for word in either)
        return math.fsum(self.rarity.get(word, 0) for word in shared) / weight if weight else 0.0

    # ---- beginnings: "can you | book", "i want to | book"

    def _beginnings(self, texts: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
        """The word that follows -> the beginnings before it that texts of one sentence and several labels have, before at least three
        words."""
        labels, follows = defaultdict(set), defaultdict(set)
        for parts, (_, label) in zip(self.cuts, texts, strict=True):
            for head, word in self._splits(parts[0]) if len(parts) == 1 else ():
                labels[head].add(label)
                follows[head].add(word)
        found: dict[str, list[str]] = defaultdict(list)
        for head, after in follows.items():
            if head == "" or (len(labels[head]) > 1 and len(after) > 2):
                for word in after:
                    found[word].append(head)
        return found

    def _splits(self, part: Part) -> list[tuple[str, str]]:
        if not part or not isinstance(part[0], str):
            return []
        said = part[0].lower().split(" ")
        splits = [("".join(f"{word} " for word in said[:end]), said[end]) for end in range(min(HEAD, len(said) - 1) + 1)]
        return [(head, word) for head, word in splits if word.isalpha() and not self.telling.intersection(words(head))]

    def headed(self, part: Part) -> tuple[Part, list[str]]:
        """The part with a slot for its beginning, and the beginnings that fit before what follows; the part itself where no other does."""
        for head, word in reversed(self._splits(part)):
            large = str(part[0])[:1].isupper()
            fitting = [one.capitalize() if large else one for one in self._heads.get(word, []) if one or not large]
            if len(fitting) > 1 and (head or not large):
                return (Slot("... " + word, str(part[0])[: len(head)]), str(part[0])[len(head) :], *part[1:]), fitting
        return part, []
