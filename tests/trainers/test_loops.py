"""A loop is seen where it begins to be one, and what only looks like one is left alone."""

import random

import pytest

from errata.trainers.chat import LEAST, TIMES, loop_end, loops


def by_hand(tokens: list[int]) -> int | None:
    """The same by trying every end and every block."""
    for end in range(len(tokens) + 1):
        for size in range(LEAST, end // TIMES + 1):
            if tokens[end - TIMES * size : end] == tokens[end - size : end] * TIMES:
                return end
    return None


def test_the_end_of_a_loop_is_that_of_a_search_by_hand():
    rng = random.Random(0)
    seen = set()
    for _ in range(300):
        block = [rng.randrange(4) for _ in range(rng.randrange(1, 14))]
        tokens = [rng.randrange(4) for _ in range(rng.randrange(20))] + block * rng.randrange(4, 14) + [rng.randrange(4) for _ in range(9)]
        assert loop_end(tokens) == by_hand(tokens)
        seen.add(loop_end(tokens) is None)
    assert seen == {True, False}


@pytest.mark.parametrize(("tokens", "end"), [([], None), ([5] * 63, None), ([5] * 64, 64), ([5] * 500, 64), ([1, 2, 3] * 100, 72)])
def test_a_block_of_eight_tokens_stands_eight_times(tokens, end):
    assert loop_end(tokens) == end


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The answer is 5.\n" * 8, True),
        ("So 3 + 4 = 7.\n" + "#### 7\n" * 40, True),
        ("So 3 + 4 = 7.\n" + "#### 7\n" * 40 + "##", True),
        ("#### 7\n" * 40 + "That is all.", False),
        ("The answer is 5.\n" * 7, False),
        ("\n".join(f"{n} + 1 = {n + 1}" for n in range(100)), False),
        ("", False),
    ],
)
def test_a_text_loops_when_it_ends_so(text, found):
    assert loops(text) is found
