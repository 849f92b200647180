"""The filters of rows: what repeats, overlaps a held-out item or tells nothing is refused, and a million rows can be remembered."""

import random
import tracemalloc
from collections import Counter

import pytest
from datasketch import MinHash, MinHashLSH
from problems import drawn

from errata.programs.samples.filters import Distinct, Unseen, tells_apart
from errata.signatures.records import Example
from errata.tasks import load_task

TASK = load_task("sums")
EXAMPLE = Example(task="sums", split="train", question="Ann has 3 bags of 4 apples and eats 2. How many are left?", answer="10")
WORDS = [f"w{number}" for number in range(50)]


def sample(question, answer="1", wrong=None, index=0):
    return drawn(index, question=question, answer=answer, wrong=wrong)


LONG = (
    "On a cold and windy morning in the far north the old baker carries {} warm loaves of rye bread from the oven to the market "
    "and then she gives every one of her {} neighbours a small loaf before she counts what remains"
)


def test_a_repeated_or_nearly_repeated_row_is_refused():
    check = Distinct()
    assert check(sample(LONG.format(12, 3))) is None
    assert check(sample(LONG.format(12, 3).upper())) is not None
    assert check(sample(LONG.format(12, 3) + " today")) is not None
    assert check(sample(LONG.format(14, 5))) is None


def test_what_counts_as_nearly_the_same_is_what_datasketch_finds_with_whole_sketches():
    rng = random.Random(3)
    base = [rng.choices(WORDS, k=rng.randint(1, 60)) for _ in range(40)]
    texts = [" ".join(word if rng.random() > 0.03 else "new" for word in rng.choice(base)) for _ in range(400)]
    whole = MinHashLSH(threshold=0.9, num_perm=64)
    check, found = Distinct(), Counter()
    for number, text in enumerate(texts):
        sketch = MinHash(num_perm=64, seed=1)
        words = text.split()
        sketch.update_batch({" ".join(words[i : i + 3]).encode() for i in range(len(words) - 2)})
        near = bool(whole.query(sketch))
        complaint = check(sample(text))
        assert bool(complaint) == near, text
        if not near:
            whole.insert(number, sketch)
        found[complaint] += 1
    assert min(found.values()) > 20 and len(found) == 3


def test_a_row_that_passed_is_remembered_in_a_few_hundred_bytes():
    check = Distinct()
    rng = random.Random(5)
    texts = [" ".join(rng.choices(WORDS, k=40)) for _ in range(3000)]
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    assert not any(check(sample(text)) for text in texts)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown / len(texts) < 600


@pytest.mark.parametrize(
    "overlap",
    [
        "ANN has 3 bags, of 4 apples and eats 2: how many are left",
        "Once more: Ann has 3 bags of 4 apples and eats 2. How many are left? Say it.",
    ],
)
def test_a_row_that_overlaps_a_held_out_item_is_refused(overlap):
    assert Unseen([EXAMPLE])(sample(overlap)) is not None


def test_a_row_that_shares_13_words_with_a_held_out_item_is_refused():
    held_out = EXAMPLE.model_copy(update={"question": LONG.format(12, 3)})
    assert Unseen([held_out])(sample("one two " + " ".join(LONG.format(12, 3).split()[4:17]) + " three four")) is not None
    assert Unseen([held_out])(sample("one two " + " ".join(LONG.format(12, 3).split()[4:16]) + " three four")) is None


def test_other_numbers_in_the_same_wording_are_no_overlap():
    assert Unseen([EXAMPLE])(sample("Ann has 5 bags of 6 apples and eats 7. How many are left?")) is None


def test_a_row_on_which_the_misconception_is_right_is_refused():
    assert tells_apart(TASK, sample("q", answer="4", wrong="4.0")) is not None
    assert tells_apart(TASK, sample("q", answer="4", wrong="5")) is None
