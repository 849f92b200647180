"""The filters of drawn rows: a batch goes through them in turn, and each hands on the rows that pass.

Here are those that look at a row beside others and beside held-out items: `telling`, `distinct`, `unseen`, `balanced`. Each is a check, a
callable from a Sample to a complaint, or None when the row passes; `each` makes a filter of it. Add one by writing it and naming it in
`row_filters`.
Texts are compared without the `Frame` of their task. Not here: the checks of programs (errata.programs.samples.checks), and the independent
solve of asserted rows (errata.programs.steps.agree).
"""

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from hashlib import blake2b
from typing import Any

from ...signatures.records import Example, Rejection, Sample
from ...tasks import Task, member
from .kind import words_of
from .kinds import KINDS

Filter = Callable[[Sequence[Sample]], tuple[list[Sample], list[Rejection]]]
"""Takes rows: those that stay, as they are trained on, and the refusals of the others."""
RowCheck = Callable[[Sample], str | None]
REPEATS = 4  # most rows of one training set that teach the very same: the same code, or the same question and right option
AHEAD = 5  # rows by which one answer may be ahead of its share, as the first ones come by chance
FRAME_RUN, FRAME_SHARE, FRAME_ITEMS = 5, 0.2, 1000
"""Words in a row that belong to a task's frame when at least 3 of its items, and this share of them, hold them; and how many items are
looked at. In GSM8K, SVAMP and MMLU no words are shared so widely."""


class Frame:
    """The words that items of a task share because all are put in one form: an instruction, solved examples, imports."""

    def __init__(self, *items: Sequence[Example]):
        """Of all items there is held, while it is made, a hash of each question and its place."""
        self._runs: set[tuple[str, ...]] = set()
        by_task: dict[str, dict[int, tuple[int, int]]] = defaultdict(dict)
        for number, group in enumerate(items):
            for place, example in enumerate(group):
                by_task[example.task][hash(example.question)] = number, place
        for found in by_task.values():
            some = [items[number][place] for number, place in list(found.values())[:: len(found) // FRAME_ITEMS + 1]]
            holders = Counter(run for example in some for run in set(_grams(_words(example), FRAME_RUN)))
            self._runs |= {run for run, count in holders.items() if count >= max(3, FRAME_SHARE * len(some))}

    def own(self, words: Sequence[str]) -> list[str]:
        """The words without those of the frame."""
        runs = [index for index, run in enumerate(_grams(words, FRAME_RUN)) if run in self._runs]
        framed = {index + step for index in runs for step in range(FRAME_RUN)}
        return [word for index, word in enumerate(words) if index not in framed]


class Distinct:
    """Refuses a row that repeats an earlier one: the same text, or nearly so (MinHash over runs of three words, Jaccard >= `threshold`). Of
    each row that passed, only 64-bit hashes are kept, of its text and of the bands of its MinHash: about 0.3 KB a row. Two rows are nearly
    the same when they share a band, as in datasketch's MinHashLSH, which keeps the MinHashes themselves (2 KB a row)."""

    def __init__(self, frame: Frame | None = None, threshold: float = 0.9, permutations: int = 64):
        from datasketch import MinHash, MinHashLSH  # loads SciPy, over half a second: many a command filters no row

        self._frame = frame or Frame()
        self._empty = MinHash(num_perm=permutations, seed=1)
        self._bands = MinHashLSH(threshold=threshold, num_perm=permutations).hashranges
        self._texts: set[int] = set()
        self._seen_bands: list[set[int]] = [set() for _ in self._bands]
        self._lessons: Counter[int] = Counter()

    def __call__(self, sample: Sample) -> str | None:
        kind = KINDS[sample.example.kind]
        words = words_of(kind.text(sample.example))
        text = _hash(" ".join(words).encode())
        if text in self._texts:
            return "the same question was drawn before"
        sketch = self._empty.copy()
        # of a text with fewer than 3 words of its own, all of it is one run
        sketch.update_batch({" ".join(gram).encode() for gram in _grams(self._frame.own(words), 3) or [tuple(words)]})
        bands = [_hash(sketch.hashvalues[start:end].tobytes()) for start, end in self._bands]
        if any(band in seen for band, seen in zip(bands, self._seen_bands, strict=True)):
            return "nearly the same question was drawn before"
        taught = kind.lesson(sample.example)
        if taught is not None:
            lesson = _hash(repr(taught).encode())
            if self._lessons[lesson] == REPEATS:
                return f"{REPEATS} {kind.taught} like it were drawn before"
            self._lessons[lesson] += 1
        self._texts.add(text)
        for band, seen in zip(bands, self._seen_bands, strict=True):
            seen.add(band)
        return None


class Unseen:
    """Refuses a row that overlaps a held-out item: the same question, a run of 13 words in common, or most of the item's runs of 8.
    Thirteen words are what GPT-3 used (Brown et al. 2020, appendix C); the share of runs of 8 catches items too short for that. Of a run
    its 64-bit hash is held, in sorted arrays: about 20 bytes a word."""

    def __init__(self, held_out: Iterable[Example], frame: Frame | None = None, coverage: float = 0.7):
        import numpy as np

        self._coverage = coverage
        self._frame = frame or Frame()
        self._texts: set[int] = set()
        long, short, items, sizes = array("q"), array("q"), array("q"), array("q")
        for item, example in enumerate(held_out):
            words = _words(example)
            self._texts.add(hash(" ".join(words)))
            words = self._frame.own(words)
            long.extend(map(hash, _grams(words, 13)))
            grams = set(map(hash, _grams(words, 8)))
            sizes.append(len(grams))
            short.extend(grams)
            items.extend([item] * len(grams))
        self._long, runs = np.unique(np.array(long)), np.array(short)
        order = np.argsort(runs)
        self._short, self._items, self._sizes = runs[order], np.array(items)[order], sizes

    def __call__(self, sample: Sample) -> str | None:
        words = _words(sample.example)
        if hash(" ".join(words)) in self._texts:
            return "it is the question of a held-out item"
        words = self._frame.own(words)
        begin, end = _places(self._long, set(_grams(words, 13)))
        if (begin < end).any():
            return "it shares 13 words in a row with a held-out item"
        spans = zip(*_places(self._short, set(_grams(words, 8))), strict=True)
        hits = Counter(item for begin, end in spans if begin < end for item in self._items[begin:end].tolist())
        if any(count >= self._coverage * self._sizes[item] for item, count in hits.items()):
            return "it covers most of a held-out item"
        return None


def tells_apart(task: Task, sample: Sample) -> str | None:
    """Refuses a drawn row on which the misconception gives the right answer."""
    made, wrong = sample.example, sample.wrong
    told = wrong is not None and KINDS[made.kind].misses(member(task, made.task), made, wrong)
    return "the misconception gives the right answer here" if told else None


def formed(task: Task, sample: Sample) -> str | None:
    """Refuses a drawn row whose answer no item of the task could have, or that is not judged right for its own completion (where judging
    is cheap)."""
    made, kind, own = sample.example, KINDS[sample.example.kind], member(task, sample.example.task)
    if sample.item is not None:
        return None
    return own.fault(made.answer) or (kind.consistent(own, made) if kind.spread == 1 else None)


class Balanced:
    """Refuses a row whose answer more than its share of the program's rows have already; only kinds with few answers limit it."""

    def __init__(self) -> None:
        self._given: dict[str, Counter[str]] = defaultdict(Counter)

    def __call__(self, sample: Sample) -> str | None:
        given, answer = self._given[sample.program_id], sample.example.answer
        allowed = KINDS[sample.example.kind].most * (given.total() + AHEAD)
        if sample.program_id and given[answer] + 1 > allowed:
            return f"{given[answer]} of {given.total()} rows of its program have the answer {answer!r} already"
        given[answer] += 1
        return None


def row_filters(task: Task, held_out: Sequence[Example], known: Sequence[Example] = (), skip: Collection[str] = ()) -> list[Filter]:
    """The filters of every training set, but those to `skip`, in order, afresh for one training set. `known`: other items of the
    task, which show its frame where few are held out."""
    frame = Frame(held_out, known)
    # `unseen` goes first: what it refuses is never published, whatever else is wrong with it
    checks: dict[str, RowCheck] = {"unseen": Unseen(held_out, frame), "formed": partial(formed, task)}
    checks |= {"telling": partial(tells_apart, task), "distinct": Distinct(frame)}
    checks["balanced"] = Balanced()  # the last, so that it counts what stays
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


def _places(known: Any, grams: Collection[tuple[str, ...]]) -> tuple[Any, Any]:
    """Where the hash of each run stands in a sorted array: from, and up to; the same place twice: nowhere."""
    hashes = array("q", map(hash, grams))
    return known.searchsorted(hashes, "left"), known.searchsorted(hashes, "right")


def _words(example: Example) -> list[str]:
    return words_of(KINDS[example.kind].overlap(example))


def _hash(data: bytes) -> int:
    """64 bits: among a million rows two different texts have the same hash with a chance of one in 40 million."""
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")


def _grams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
