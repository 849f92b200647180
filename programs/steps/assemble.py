"""From kept programs to a training set: rows drawn by weight, checked one by one, sifted together, and replay of what the target solves.

The weight of a program is its error mass, the share of its probe rows that the target fails: what it would still learn from it; or what
errata.programs.steps.allocation makes of that. Each program stands for the errors that it rebuilds, drawn at random from all errors; its
mass is
counted once for each, so that each kind of error gets rows in proportion to how often it was made.

What is not here: running the target (the cycle does, and errata.programs.steps.words), and the text of a row
(errata.programs.steps.lessons).
"""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice, zip_longest
from typing import NamedTuple

from ...sandbox import Limits, Sandbox
from ...signatures.records import Attempt, Message, Rejection, Sample, SampleProgram, TrainRow
from ...tasks import Task
from ..samples.draw import draw_rows, draws, shares
from ..samples.kinds import example_of
from .lessons import completion, messages

RowCheck = Callable[[Sample], str | None]
Sift = Callable[[Sequence[Sample]], tuple[list[Sample], list[Rejection]]]
"""Takes checked rows together: those that stay, as they are trained on, and the refusals of the others."""
PASSES = 4
"""How often the budget that programs could not fill is handed to the others."""
REPEATS = 4
"""Most copies of one solved item in a training set: more would drill the few lucky answers of a target that solves almost nothing."""


class Assembly(NamedTuple):
    samples: list[Sample]
    rejections: list[Rejection]


def assemble(
    programs: Mapping[str, SampleProgram],
    masses: Mapping[str, float],
    total: int,
    seed: int,
    levels: Sequence[int],
    checks: Sequence[tuple[str, RowCheck]],
    sandbox: Sandbox,
    limits: Limits,
    sift: Sift | None = None,
) -> Assembly:
    """Draw and check rows until `total` are kept or the programs have no more to give.

    `programs` holds the keys of `masses`. What a program cannot fill goes to the others, by mass. `sift` is handed the rows of all programs
    that the checks let pass, a few times.
    """
    kept: list[Sample] = []
    rejections: list[Rejection] = []
    # each from another index: programs of one kind would draw the same rows, and all but the first's would be refused
    used = {name: place * 2 * total for place, name in enumerate(masses)}
    live = {name: mass for name, mass in masses.items() if mass > 0}
    for _ in range(PASSES):
        budget = shares(live, total - len(kept))
        fresh: list[Sample] = []
        for name, count in budget.items():
            if not count:
                continue
            # a fifth more than needed, for the rows that checks will refuse
            wanted = draws(seed, levels, used[name], count + count // 5 + 2)
            got = 0
            for sample in draw_rows(sandbox, limits, programs[name], wanted):
                if got == count:
                    break
                refusal = first_refusal(sample, checks)
                if refusal:
                    rejections.append(refusal)
                else:
                    fresh.append(sample)
                    got += 1
            used[name] += len(wanted)
            if not got:
                del live[name]
        if sift:
            fresh, refused = sift(fresh)
            rejections += refused
        kept += fresh
        if len(kept) >= total or not live:
            break
    return Assembly(kept, rejections)


def checked(rows: Iterable[Sample], total: int, checks: Sequence[tuple[str, RowCheck]]) -> Assembly:
    """The first `total` rows that pass the checks, and the refusals on the way."""
    made = Assembly([], [])
    for sample in rows:
        if len(made.samples) == total:
            break
        refusal = first_refusal(sample, checks)
        if refusal:
            made.rejections.append(refusal)
        else:
            made.samples.append(sample)
    return made


def first_refusal(sample: Sample, checks: Sequence[tuple[str, RowCheck]]) -> Rejection | None:
    """Ask the row checks in order."""
    for name, check in checks:
        complaint = check(sample)
        if complaint:
            return Rejection(of=sample.id, kind="sample", check=name, reason=complaint, program=sample.program_id)
    return None


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
