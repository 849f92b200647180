"""The rows that are trained on: generated problems as their lesson wants them, and replay of what the target solves already.

What is not here: which samples are trained on (errata.programs.steps.assemble), and the text of a row (errata.programs.steps.lessons).
"""

import random
from collections.abc import Iterator, Sequence
from itertools import islice, zip_longest

from ...signatures.records import Attempt, Message, Sample, TrainRow
from ...tasks import Task
from ..samples.kinds import example_of
from .lessons import completion, messages

REPEATS = 4
"""Most copies of one solved item in a training set: more would drill the few lucky answers of a target that solves almost nothing."""


def replay_count(samples: int, share: float) -> int:
    """Rows to replay beside `samples` generated ones, so that they are `share` of all."""
    return round(samples * share / (1 - share))


def replay(solved: Sequence[Attempt], count: int, seed: int) -> list[Attempt]:
    """`count` solved attempts at random, evenly over skills; where there are fewer they repeat, none more than REPEATS times."""
    rng = random.Random(f"replay:{seed}")
    groups: dict[str, list[Attempt]] = {}
    for attempt in sorted(solved, key=lambda row: row.example.id):
        groups.setdefault(attempt.example.skill, []).append(attempt)
    turns = [_in_turn(groups[skill], rng) for skill in sorted(groups)]
    drawn = (row for round_ in zip_longest(*turns) for row in round_ if row is not None)
    return list(islice(drawn, count))


def _in_turn(rows: list[Attempt], rng: random.Random) -> Iterator[Attempt]:
    for _ in range(REPEATS):
        yield from rng.sample(rows, len(rows))


def train_rows(task: Task, kept: Sequence[Sample], replayed: Sequence[Attempt], seed: int) -> list[TrainRow]:
    """Prompt-completion rows, shuffled: generated problems as their lesson wants them, replay in the target's own words."""
    rows = [_row(messages(task, example_of(task, sample), sample), completion(task, sample), sample.id) for sample in kept]
    rows += [_row(task.prompt(attempt.example), attempt.response, attempt.id) for attempt in replayed]
    random.Random(f"shuffle:{seed}").shuffle(rows)
    return rows


def _row(prompt: Sequence[Message], answer: str, source: str) -> TrainRow:
    return TrainRow(prompt=tuple(prompt), completion=({"role": "assistant", "content": answer},), source=source)
