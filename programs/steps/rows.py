"""The rows that are trained on: generated problems as their lesson wants them, replay of what the target solves already, and what a teacher
is shown of each problem.

What is not here: which samples are trained on (errata.programs.steps.assemble), and the text of a row (errata.programs.steps.lessons).
"""

import random
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, zip_longest
from pathlib import Path

from ...signatures.records import Attempt, ContextRow, Diagnosis, Message, Sample, TrainRow
from ...tasks import Task
from ..run import layout
from ..run.directory import RowWriter, Stage
from ..stats import CUT, grouped
from .lessons import completion, messages, worked

REPEATS = 4
"""Most copies of one solved item in a training set: more would drill the few lucky answers of a target that solves almost nothing."""


def replay_count(samples: int, share: float) -> int:
    """Rows to replay beside `samples` generated ones, so that they are `share` of all."""
    return round(samples * share / (1 - share))


def replay(solved: Sequence[Attempt], count: int, seed: int) -> list[Attempt]:
    """`count` solved attempts at random, evenly over skills; where there are fewer they repeat, none more than REPEATS times. Answers that
    were cut are left out: they would teach to end where the limit fell, and one that loops makes a whole batch as long as itself."""
    rng = random.Random(f"replay:{seed}")
    order = sorted((row.example.skill, row.example.id, place) for place, row in enumerate(solved) if row.finish not in CUT)
    turns = [_in_turn([place for _, _, place in some], rng) for some in grouped(order, lambda one: one[0]).values()]
    drawn = (place for round_ in zip_longest(*turns) for place in round_ if place is not None)
    return [solved[place] for place in islice(drawn, count)]


def _in_turn(places: list[int], rng: random.Random) -> Iterator[int]:
    for _ in range(REPEATS):
        yield from rng.sample(places, len(places))


class TrainingSet:
    """The training rows of samples, kept on disk until all are there and are shuffled."""

    def __init__(self, task: Task, stage: Stage):
        self.task = task
        self.stage = stage
        self._held = stage.writer("unshuffled")
        self._ends = array("Q", [0])
        """Where each line ends, bytes."""
        self._levels = array("B")

    def add(self, row: TrainRow, level: int) -> None:
        self._held.add(row)
        self._ends.append(self._held.bytes)
        self._levels.append(level)

    def shuffled(self, replayed: Iterable[Attempt], seed: int, trace: str = "drop", curriculum: bool = False) -> RowWriter:
        """All rows and those of the replayed attempts in random order, as a file of the stage; with `curriculum` by level, those replayed
        at a level of the others. `trace`: as `generate.trace`."""
        levels, drawn = self._levels[:], random.Random(f"level:{seed}")
        for attempt in replayed:
            self.add(replay_row(self.task, attempt, trace), drawn.choice(levels))
        order = array("Q", range(len(self._ends) - 1))
        random.Random(f"shuffle:{seed}").shuffle(order)
        if curriculum:
            order = array("Q", sorted(order, key=self._levels.__getitem__))
        out = self.stage.writer(layout.ROWS)
        with self._held.read() as held:
            for place in order:
                out.add_line(bytes(held[self._ends[place] : self._ends[place + 1]]))
        return out


def train_rows(task: Task, kept: Iterable[Sample], replayed: Iterable[Attempt], seed: int) -> list[TrainRow]:
    """As `TrainingSet`, of few rows, in memory."""
    rows = [train_row(task, sample) for sample in kept] + [replay_row(task, attempt) for attempt in replayed]
    random.Random(f"shuffle:{seed}").shuffle(rows)
    return rows


def train_row(task: Task, sample: Sample) -> TrainRow:
    """A generated problem as its lesson wants it."""
    return _row(messages(task, sample), completion(task, sample), sample.id)


def replay_row(task: Task, attempt: Attempt, trace: str = "drop") -> TrainRow:
    return _row(task.prompt(attempt.example), attempt.response if trace == "keep" else attempt.answered, attempt.id)


def _row(prompt: Sequence[Message], answer: str, source: str) -> TrainRow:
    return TrainRow(prompt=tuple(prompt), completion=({"role": "assistant", "content": answer},), source=source)


def context_row(task: Task, sample: Sample, diagnosis: Diagnosis | None) -> ContextRow:
    """A problem as the target is asked, and for its teacher the worked solution with the skill and the mistake."""
    said = [f"This is an example of a right answer:\n{worked(task, sample)}"]
    if diagnosis:
        # its `teach` is for who writes problems, not for who solves them
        parts = (("What it takes", diagnosis.skill), ("A mistake that is often made here", diagnosis.misconception))
        said += ["\n".join(f"{name}: {text}" for name, text in parts if text)]
    said.append("Now answer with a response of your own, in the same form.")
    return ContextRow(prompt=tuple(task.prompt(sample.example)), context="\n\n".join(filter(None, said)), source=sample.id)


def contexts(task: Task, run: Path, number: int) -> Stage:
    """The generated rows of a round with what a teacher is shown of each, written where they are not."""
    stage = layout.step(run, number, "contexts")
    if not stage.done:
        taught = [row for earlier in range(1, number + 1) for row in layout.taught(run, earlier) if row.program]
        told = {row.program.id: row.diagnosis for row in taught if row.program}
        rows = [context_row(task, sample, told.get(sample.program_id)) for sample in layout.samples(run, number)]
        stage.finish({layout.CONTEXTS: rows}, rows=len(rows))
    return stage
