"""Probe: the target tries a few rows of each program before it is trained. What it solves already is not worth teaching; the share that it
fails is the program's error mass, by which rows are shared out.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ...signatures.records import Attempt, Example, Rejection, SampleProgram
from ..run import layout
from ..samples.checks import targeted
from ..samples.draw import draw_rows, draws
from .session import Session

SEED = -2
"""Seed of probe rows: never one of training (>= 0) or of the checks (-1)."""


class Probed(NamedTuple):
    """What the target made of each program's rows."""

    masses: dict[str, float]
    """Program id -> the share of its probe rows that the target fails."""
    rejections: list[Rejection]
    """Of programs that have nothing to teach."""
    attempts: Sequence[Attempt] = ()


def probe(run: Session, number: int) -> None:
    """Let the target try a few rows of each program of the library that has not retired."""
    stage = run.stage(number, "probe")
    if stage.done or not probes(run):
        return
    library, gone = layout.library(run.path, number), layout.retired(run.path, number)
    count = run.config.generate.probe
    examples: list[Example] = []
    for place, (name, program) in enumerate(library.items()):
        if name not in gone:
            # each from another index: programs of one kind would draw the same rows, of which only one is asked; a program keeps its
            # place, so that each round probes the same rows
            wanted = draws(SEED, run.config.generate.levels, place * count, count)
            drawn = (row.example for row in draw_rows(run.sandbox, run.limits, program, wanted))
            examples += [item.model_copy(update={"meta": item.meta | {"program": name}}) for item in drawn]
    title = f"round {number}: probe {len(library) - len(gone.keys() & library.keys())} programs"
    run.evaluate(stage, run.task, examples, run.base(number), title)


def probes(run: Session) -> bool:
    """Whether programs are tried at all: where errors are the target's own."""
    return bool(run.config.generate.probe) and run.config.errors == "target" and run.strategy.source == "errors"


def probed(run: Session, number: int, library: Mapping[str, SampleProgram]) -> Probed:
    """What the probe of a round found, for the programs of `library`, none of which has retired."""
    if not probes(run):
        return Probed(dict.fromkeys(library, 1.0), [])
    tried = layout.attempts(run.path, number, "probe")
    by_program: dict[str, list[Attempt]] = {name: [] for name in library}
    for attempt in tried:
        by_program[attempt.example.meta["program"]].append(attempt)
    found = Probed({}, [], tried)
    for name, rows in by_program.items():
        refusal = targeted(library[name], rows, run.config.generate.solved)
        if refusal and refusal.check not in run.config.generate.skip:
            found.rejections.append(refusal)
        else:
            found.masses[name] = sum(row.verdict.correct is False for row in rows) / len(rows)
    return found


def probe_after(run: Session, number: int, place: int) -> None:
    """Let the candidate try the probe rows of the round's own programs, for the report: which errors it would make again."""
    if run.stage(number, "probe").done:
        own = {row.program.id for row in layout.taught(run.path, number) if row.program}
        asked = [row.example for row in layout.attempts(run.path, number, "probe") if row.example.meta["program"] in own]
        title = f"round {number}: probe the candidate"
        run.evaluate(run.stage(number, "probe-after"), run.task, asked, run.candidate(number, place), title)
