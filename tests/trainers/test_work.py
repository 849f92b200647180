"""The time left of an evaluation is right within a factor of 2 after its first batch, whatever the prompts and answers are like."""

import random
from collections import Counter

import pytest

from errata.programs.run import progress
from errata.programs.run.progress import Progress
from errata.trainers.target import Work

ROUND = 128


def batches(prompts, answers, width, limit, prompt_cost=1.0, new_cost=4.5):
    """(seconds, share, answers finished) of each batch: longest prompts first. A batch goes on, and is not read again, while more than half
    of it is left or nothing else is; else its rows come again as soon as those of one length fill a batch."""
    rows = sorted(((length, 0, answer) for length, answer in zip(prompts, answers, strict=True)), key=lambda row: -row[0])
    work, begun, held = Work(prompts, -(-limit // ROUND)), [], []
    while rows or begun or held:
        full = [new for new, count in Counter(new for _, new, _ in begun).items() if count >= width]
        read, fresh = not held, bool(rows) and not full and not held
        batch = held or (rows if fresh else [row for row in begun if row[1] == max(full)] if full else begun)[:width]
        for row in batch if read else ():
            (rows if fresh else begun).remove(row)
        most = min(ROUND, max(limit - new for _, new, _ in batch))
        made = [min(most, answer - new) for _, new, answer in batch]
        left = [(length + more, new + more, answer) for (length, new, answer), more in zip(batch, made, strict=True)]
        left = [row for row in left if row[1] < min(row[2], limit)]
        held = left if 2 * len(left) > width or not (rows or begun) else []
        begun = begun if held else sorted(begun + left, key=lambda row: (row[1], -row[0]))
        seconds = len(batch) * (read * prompt_cost * max(row[0] for row in batch) + new_cost * max(made)) / 1000
        share = work.batch([length for length, _, _ in batch], max(made), len(left), fresh, read)
        yield seconds, share, len(batch) - len(left)


def drawn(kind, count, rng):
    """Lengths of prompts, and of answers."""
    if kind == "equal":
        return [100] * count, [60] * count
    if kind == "a letter after prompts of all lengths":
        return [int(rng.lognormvariate(4.8, 0.7)) for _ in range(count)], [rng.randint(1, 3) for _ in range(count)]
    if kind == "worked solutions":
        return [rng.randint(60, 200) for _ in range(count)], [int(rng.lognormvariate(4.6, 0.5)) + 1 for _ in range(count)]
    if kind == "nothing ends":
        return [rng.randint(60, 200) for _ in range(count)], [10**6] * count
    return [rng.randint(60, 400) for _ in range(count)], [rng.choice([5, 10**6]) for _ in range(count)]  # some ramble


@pytest.mark.parametrize("count", [40, 600])
@pytest.mark.parametrize("kind", ["equal", "a letter after prompts of all lengths", "worked solutions", "nothing ends", "some ramble"])
@pytest.mark.parametrize("new_cost", [3.0, 6.0])
def test_the_time_left_is_within_a_factor_of_two_after_the_first_batch(monkeypatch, kind, count, new_cost):
    now, said = [0.0], []
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    rng = random.Random(f"{kind} {count}")
    found = list(batches(*drawn(kind, count, rng), 16, 512, new_cost=new_cost))
    whole, plain, done = sum(seconds for seconds, _, _ in found), Progress(said.append), 0
    plain.at("mine", 0, count)
    for seconds, share, finished in found:
        now[0] += seconds
        plain.share("mine", share)
        done += finished
        plain.at("mine", done, count)
        told = now[0] * (1 - share) / share
        if whole - now[0] > 0.1 * whole:
            assert 0.5 <= told / (whole - now[0]) <= 2, (kind, now[0] / whole)
    assert found[-1][1] == 1.0
    assert done == count
    now[0] += 100
    plain.beat()
    assert said == [line for line in said if line.startswith(f"mine: {count} of {count}")]


def test_the_share_of_the_work_takes_time_linear_in_the_rows():
    import time

    def seconds(count):
        began, work = time.process_time(), Work([100] * count, 4)
        for _ in range(count // 4):
            work.batch([100] * 4, 60, 1, True, True)
        return time.process_time() - began

    few = max(seconds(40_000), 0.001)
    assert seconds(160_000) < 12 * few
