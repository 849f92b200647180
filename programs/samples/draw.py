"""Drawing: how many rows each program gives, at which levels, the samples that come of them, and drawing anew what filters drop.

Not here: running a program (errata.programs.samples.harness), and the filters of rows (errata.programs.samples.filters).
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...sandbox import Job, Limits, Sandbox
from ...signatures.records import Rejection, Sample, SampleProgram
from .filters import Filter, filtered
from .harness import job_of, read_run, run_program
from .kind import Draw
from .kinds import KINDS

JOB = 500  # most rows that a program is asked for at once
BATCH = 2000  # rows that go through the filters together; no more are held at a time
DRY = 20  # a program has no more to give when this many rows in a row were dropped or failed
POOR = 10  # it is done with too when less than one in so many of its rows is kept


def shares(masses: Mapping[str, float], total: int) -> dict[str, int]:
    """Whole rows a program, in proportion to mass, summing to `total` (largest remainder; ties by id). Empty when no mass is above 0."""
    mass = sum(masses.values())
    if not mass:
        return {}
    exact = {name: total * value / mass for name, value in masses.items()}
    whole = {name: int(value) for name, value in exact.items()}
    order = sorted(exact, key=lambda name: (whole[name] - exact[name], name))
    for name in order[: total - sum(whole.values())]:
        whole[name] += 1
    return whole


def draws(seed: int, levels: Sequence[int], start: int, count: int) -> list[Draw]:
    """`count` draws from index `start`, at the levels in turn."""
    return [(seed, index, levels[index % len(levels)]) for index in range(start, start + count)]


def starts(programs: Iterable[str], total: int) -> dict[str, int]:
    """The index of each program's first row in a training set of `total`. Each begins elsewhere: programs of one kind would draw the same
    rows, and all but the first's would be dropped."""
    return {name: place * (1 + POOR) * (total + DRY) for place, name in enumerate(programs)}


def draw_rows(sandbox: Sandbox, limits: Limits, program: SampleProgram, wanted: Sequence[Draw]) -> list[Sample]:
    """The samples of the draws that did not fail. One that breaks a limit twice, as it may once on a busy machine, gives none."""
    for _ in range(2):
        if (drawn := run_program(sandbox, program.source, (), wanted, limits, program.kind)).rows:
            return samples(program, wanted, drawn.rows)
    return []


def drawn(sandbox: Sandbox, limits: Limits, wanted: Iterable[tuple[SampleProgram, Sequence[Draw]]]) -> Iterator[list[Sample]]:
    """`draw_rows` of many programs, in order; the sandbox is a few programs ahead of who takes them."""
    ahead: deque[tuple[SampleProgram, Sequence[Draw]]] = deque()

    def jobs() -> Iterator[Job]:
        for program, some in wanted:
            ahead.append((program, some))
            yield job_of(program.source, (), some, limits, program.kind)

    for run in sandbox.map(jobs()):
        program, some = ahead.popleft()
        found = read_run(run, (), some, program.kind)
        yield samples(program, some, found.rows) if found.run.outcome == "ok" else draw_rows(sandbox, limits, program, some)


@dataclass
class Supply:
    """What programs give to one training set: each its share by mass, drawn anew until its rows pass the filters. What a program that has
    no more cannot give, the others give."""

    programs: Mapping[str, SampleProgram]
    masses: Mapping[str, float]  # id of a program -> its weight; a program of weight 0 gives nothing
    total: int  # rows that are wanted
    seed: int
    levels: Sequence[int]
    kept: Counter[str] = field(default_factory=Counter)  # rows of each program that passed
    done: set[str] = field(default_factory=set)  # programs that have no more to give

    def __post_init__(self) -> None:
        self._next = starts(self.masses, self.total)
        self._dropped: Counter[str] = Counter()
        self._asked: Counter[str] = Counter()

    def rows(self, filters: Sequence[Filter], sandbox: Sandbox, limits: Limits) -> Iterator[tuple[list[Sample], list[Rejection]]]:
        """Batches of rows that passed and of refusals, until all that is wanted is there or no program has more."""
        while wanted := self._wanted():
            batch: list[Sample] = []
            asked: Counter[str] = Counter()
            for (name, some), rows in zip(wanted, drawn(sandbox, limits, self._jobs(wanted)), strict=True):
                if name not in self.done:
                    batch += rows
                    asked[name] += len(some)
                if len(batch) >= BATCH:
                    yield self._settled(batch, asked, filters)
                    batch, asked = [], Counter()
            if asked:
                yield self._settled(batch, asked, filters)

    def _jobs(self, wanted: Sequence[tuple[str, range]]) -> Iterator[tuple[SampleProgram, Sequence[Draw]]]:
        """A program that turned out to have no more is not run again: what is asked of it here is nothing."""
        for name, some in wanted:
            yield self.programs[name], () if name in self.done else draws(self.seed, self.levels, some.start, len(some))

    def _wanted(self) -> list[tuple[str, range]]:
        """The indices of the draws that are still owed, a few hundred of a program at once."""
        left = self.total - sum(self.kept[name] for name in self.done)
        owed = shares({name: mass for name, mass in self.masses.items() if mass > 0 and name not in self.done}, left)
        missing = self.total - sum(self.kept.values())
        wanted = []
        for name, share in owed.items():
            count = min(missing, share - self.kept[name])
            missing -= max(0, count)
            while count > 0:
                some = range(self._next[name], self._next[name] + min(count, JOB))
                self._next[name] = some.stop
                count -= len(some)
                wanted.append((name, some))
        return wanted

    def _settled(self, batch: list[Sample], asked: Counter[str], filters: Sequence[Filter]) -> tuple[list[Sample], list[Rejection]]:
        """The batch through the filters, with what that says of the programs."""
        rows, refused = filtered(batch, filters)
        passed = Counter(row.program_id for row in rows)
        self.kept += passed
        doubted = {row.of for row in refused if row.kind == "program"}
        for name, count in asked.items():
            self._asked[name] += count
            self._dropped[name] = 0 if passed[name] else self._dropped[name] + count
            poor = self._asked[name] >= POOR * DRY and self.kept[name] * POOR < self._asked[name]
            if self._dropped[name] >= DRY or poor or name in doubted:
                self.done.add(name)
        return rows, refused


def samples(program: SampleProgram, draws: Iterable[Draw], rows: Iterable[dict[str, Any]]) -> list[Sample]:
    """The rows that did not fail, as records."""
    kind = KINDS[program.kind]
    return [
        Sample(
            program_id=program.id,
            seed=seed,
            index=index,
            level=level,
            example=kind.example(program.task, row),
            wrong=row.get("wrong"),
            wrong_solution=row.get("wrong_solution"),
            asserted=row.get("asserted", False),
        )
        for (seed, index, level), row in zip(draws, rows, strict=True)
        if "error" not in row
    ]
