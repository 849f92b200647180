"""The filters of drawn rows: a batch goes through them in turn, and each hands on the rows that pass.

Here are those that look at a row beside others and beside held-out items: `telling`, `distinct`, `unseen`. Each is a check, a callable from
a Sample to a complaint, or None when the row passes; `each` makes a filter of it. Add one by writing it and naming it in `row_filters`.

Not here: the checks of programs (errata.programs.samples.checks), and the independent solve of asserted rows (errata.programs.steps.agree).
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from datasketch import MinHash, MinHashLSH

from ...signatures.records import Example, Rejection, Sample
from ...tasks import Task, member
from .kind import words_of
from .kinds import kind_of, kind_of_sample

Filter = Callable[[Sequence[Sample]], tuple[list[Sample], list[Rejection]]]
"""Takes rows: those that stay, as they are trained on, and the refusals of the others."""
RowCheck = Callable[[Sample], str | None]
REPEATS = 4
"""Most rows of one training set that teach the very same: the same code, or the same question and right option."""


class Distinct:
    """Refuses a row that repeats an earlier one: the same text, or nearly so (MinHash over runs of three words, Jaccard >= `threshold`)."""

    name = "distinct"

    def __init__(self, threshold: float = 0.9, permutations: int = 64):
        self._permutations = permutations
        self._seen: set[str] = set()
        self._lessons: Counter[Any] = Counter()
        self._near = MinHashLSH(threshold=threshold, num_perm=permutations)

    def __call__(self, sample: Sample) -> str | None:
        kind, row = kind_of_sample(sample), sample.model_dump()
        words = words_of(kind.text(row))
        text = " ".join(words)
        if text in self._seen:
            return "the same question was drawn before"
        sketch = MinHash(num_perm=self._permutations, seed=1)
        sketch.update_batch([" ".join(gram).encode() for gram in set(_grams(words, 3))])
        if self._near.query(sketch):
            return "nearly the same question was drawn before"
        lesson = kind.lesson(row)
        if lesson is not None and self._lessons[lesson] == REPEATS:
            return f"{REPEATS} {kind.taught} like it were drawn before"
        self._lessons[lesson] += 1
        self._seen.add(text)
        self._near.insert(text, sketch)
        return None


class Unseen:
    """Refuses a row that overlaps a held-out item: the same question, a run of 13 words in common, or most of the item's runs of 8.

    Thirteen words are what GPT-3 used (Brown et al. 2020, appendix C); the share of runs of 8 catches items too short for that.
    """

    name = "unseen"

    def __init__(self, held_out: Iterable[Example], coverage: float = 0.7):
        self._coverage = coverage
        self._texts: set[str] = set()
        self._long: set[tuple[str, ...]] = set()
        self._short: dict[tuple[str, ...], set[int]] = defaultdict(set)
        self._sizes: dict[int, int] = {}
        for item, example in enumerate(held_out):
            words = words_of(kind_of(example).item(example))
            self._texts.add(" ".join(words))
            self._long.update(_grams(words, 13))
            grams = set(_grams(words, 8))
            self._sizes[item] = len(grams)
            for gram in grams:
                self._short[gram].add(item)

    def __call__(self, sample: Sample) -> str | None:
        words = words_of(kind_of_sample(sample).overlap(sample.model_dump()))
        if " ".join(words) in self._texts:
            return "it is the question of a held-out item"
        if not self._long.isdisjoint(_grams(words, 13)):
            return "it shares 13 words in a row with a held-out item"
        hits = Counter(item for gram in set(_grams(words, 8)) for item in self._short.get(gram, ()))
        if any(count >= self._coverage * self._sizes[item] for item, count in hits.items()):
            return "it covers most of a held-out item"
        return None


class Telling:
    """Refuses a drawn row on which the misconception gives the right answer."""

    name = "telling"

    def __init__(self, task: Task):
        self._task = task

    def __call__(self, sample: Sample) -> str | None:
        if sample.wrong is not None and kind_of_sample(sample).misses(member(self._task, sample.task), sample.model_dump()):
            return "the misconception gives the right answer here"
        return None


def row_filters(task: Task, held_out: Iterable[Example], skip: Collection[str] = ()) -> list[Filter]:
    """The filters of every training set, but those to `skip`, in order, afresh for one training set."""
    checks: dict[str, RowCheck] = {"telling": Telling(task), "distinct": Distinct(), "unseen": Unseen(held_out)}
    return [each(name, check) for name, check in checks.items() if name not in skip]


def each(name: str, check: RowCheck) -> Filter:
    """A filter that asks `check` row by row."""

    def ask(rows: Sequence[Sample]) -> tuple[list[Sample], list[Rejection]]:
        kept, refused = [], []
        for sample in rows:
            complaint = check(sample)
            if complaint is None:
                kept.append(sample)
            else:
                refused.append(Rejection(of=sample.id, kind="sample", check=name, reason=complaint, program=sample.program_id))
        return kept, refused

    return ask


def filtered(rows: Sequence[Sample], filters: Sequence[Filter]) -> tuple[list[Sample], list[Rejection]]:
    """Rows through several filters in turn: those that pass all, and the refusals of the others."""
    kept, refusals = list(rows), []
    for one in filters:
        kept, refused = one(kept)
        refusals += refused
    return kept, refusals


def _grams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
