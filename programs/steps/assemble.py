"""Assemble: from kept programs to a training set.

Rows are drawn by weight (the share of its probe rows that the target fails, or what errata.programs.steps.allocation makes of that) and go
through one pipeline of filters; what any filter drops is drawn anew, until the wanted number is there or the programs have no more. Rows
are written as they pass, so that memory does not grow with their number.
What is not here: drawing and filters (errata.programs.samples), own words and independent solves (beside this file), and the text of a row.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from ...signatures.records import Attempt, Example, Rejection, Sample, SampleProgram, Standing
from ..instructor.engine import open_instructor
from ..patterns.chosen import weighted
from ..run import layout
from ..run.directory import RowWriter, Stage
from ..samples.draw import Supply
from ..samples.filters import Filter, filtered, row_filters
from ..samples.style import Style, reference, style
from ..stats import CUT
from .agree import Agreed
from .allocation import weights
from .lessons import worked
from .mine import Mined, mined
from .probe import Probed, probed
from .rows import TrainingSet, replay, replay_count, train_row
from .session import Session
from .words import Words

Batches = Iterator[tuple[list[Sample], list[Rejection]]]


class Assembly:
    """What is written of the rows of a round, as they come."""

    def __init__(self, run: Session, stage: Stage):
        self.samples: RowWriter = stage.writer(layout.SAMPLES)
        self.rejections: RowWriter = stage.writer(layout.REJECTIONS)
        self.rows = TrainingSet(run.task, stage)
        self.style = Style()
        self.task = run.task
        self.kept: Counter[str] = Counter()
        """Program id -> rows that are trained on."""
        self.dropped: dict[str, Counter[str]] = {}
        """Program id -> the check that dropped its rows -> how many."""
        self.unconfirmed = 0
        """Rows that rest on a fact that no independent solve has confirmed."""

    def add(self, kept: Iterable[Sample], refused: Iterable[Rejection]) -> None:
        for sample in kept:
            self.samples.add(sample)
            self.rows.add(train_row(self.task, sample), sample.level)
            self.style.add(worked(self.task, sample), sample.example.kind)
            self.kept[sample.program_id] += 1
            self.unconfirmed += sample.asserted and not sample.agreed
        for row in refused:
            self.rejections.add(row)
            if row.kind == "sample":
                self.dropped.setdefault(row.program, Counter())[row.check] += 1


def assemble(run: Session, number: int) -> None:
    """Write a round's samples, what was refused, the rows that are trained on, and how each program fares."""
    stage = run.stage(number, "assemble")
    if stage.done:
        return
    generate, seed = run.config.generate, run.config.seed * 1000 + number
    found = mined(run, number)
    gone = layout.retired(run.path, number)
    library = {name: program for name, program in layout.library(run.path, number).items() if name not in gone}
    tried = probed(run, number, library)
    masses = weights(generate.allocation, run.path, number, library, tried.masses, seed)
    masses = weighted(masses, library, run.path, run.chosen) if run.chosen else masses
    total = asked_rows(run, len(masses))
    items = run.strategy.items(run.task, found.items, total, seed)
    held_out = run.held_out if masses or items else []
    made = Assembly(run, stage)
    made.add((), tried.rejections)
    filters = row_filters(run.task, held_out, found.items, generate.skip)
    for batch in own_rows(items, total, seed, filters):
        made.add(*batch)
    target = lambda: run.open_target(run.base(number))  # noqa: E731
    watch = lambda rows, total: run.counted(f"round {number}: ask the target {total} drawn questions", rows, total)  # noqa: E731
    words = Words(run.stage(number, "words"), run.task, generate, seed, target, watch)
    if masses:
        supply = Supply(library, masses, total - made.kept.total(), seed, generate.levels)
        pipeline: list[Filter] = [*filters, words, _agreed(run, number, seed)]
        with run.progress.busy(f"round {number}: assemble"):
            for batch in supply.rows(pipeline, run.sandbox, run.limits):
                made.add(*batch)
        words.finish()
    short = shortfall(made, total, masses, len(items))
    replayed = _replayed(found, replay_count(made.kept.total(), generate.replay), seed) if made.kept.total() else []
    standing = standings(number, library, tried, masses, made.kept, made.dropped)
    files = {
        layout.SAMPLES: made.samples,
        layout.REJECTIONS: made.rejections,
        layout.ROWS: made.rows.shuffled(replayed, seed, generate.trace, run.config.train.curriculum),
    }
    stage.finish(
        files | {layout.LIBRARY: standing},
        samples=made.kept.total(),
        wanted=total,
        shortfall=short,
        replay=len(replayed),
        refused=sum(sum(checks.values()) for checks in made.dropped.values()),
        held_out=len(held_out),
        style={"rows": made.style.document()} | _style_beside(run, found),
    )
    if traced := words.traced + sum(row.answered != row.response for row in replayed):
        kept = "keep it" if generate.trace == "keep" else "are trained on without it"
        run.say(f"round {number}: {traced} rows in the target's words had a reasoning trace, and {kept} (generate.trace)")
    cut = sum(row.finish in CUT for row in found.solved)
    left = f"; {cut} right answers that were cut are not" if cut and generate.replay else ""
    run.say(f"round {number}: assemble {made.kept.total()} samples of {len(masses)} programs, {len(replayed)} replayed{left}")
    if short:
        run.say(f"round {number}: {short}")
    if made.unconfirmed:
        run.say(f"round {number}: {made.unconfirmed} rows rest on facts that no independent solve has confirmed")
    if done := sum(bool(row.retired) for row in standing):
        run.say(f"round {number}: {done} {'program retires' if done == 1 else 'programs retire'}: the target has mastered the rows")


def asked_rows(run: Session, programs: int) -> int:
    """Generated rows of a round."""
    return run.config.generate.rows or (8 * programs if programs and run.config.errors == "all" else 1000)


def own_rows(items: Sequence[Example], total: int, seed: int, filters: Sequence[Filter]) -> Batches:
    """The first `total` of a task's own items that pass the filters, as rows."""
    rows = iter([Sample(program_id="", seed=seed, index=index, level=3, example=item, item=item.id) for index, item in enumerate(items)])
    count = 0
    while batch := list(islice(rows, total - count)):
        kept, refused = filtered(batch, filters)
        count += len(kept)
        yield kept, refused


def shortfall(made: Assembly, total: int, masses: dict[str, float], items: int) -> str:
    """Why there are fewer rows than wanted, by the filters that dropped most; empty where there are enough."""
    if made.kept.total() >= total:
        return ""
    dropped: Counter[str] = sum(made.dropped.values(), Counter())
    by_check = ", ".join(f"{check} {count:,}" for check, count in dropped.most_common()) or "none"
    if not masses and not items:
        return f"no row of {total:,}: no program is left to draw from"
    what = f"{len(masses)} programs have no more" if masses else f"task {made.task.name} has no more items of its own"
    return f"{made.kept.total():,} of {total:,} rows: {what} to give; dropped by {by_check}"


def standings(
    number: int,
    library: Mapping[str, SampleProgram],
    probed: Probed,
    weights: Mapping[str, float],
    kept: Mapping[str, int],
    dropped: Mapping[str, Mapping[str, int]],
) -> list[Standing]:
    """How each program of `library` fared, none of which had retired before: how many of its probe rows the target failed (its hit rate),
    how many of its drawn rows the checks let pass (`kept`, and `dropped` by check), and whether it retires: a program whose rows the target
    has mastered is neither probed nor drawn from again."""
    tried = Counter((row.example.meta["program"], row.verdict.correct) for row in probed.attempts)
    reasons = {row.of: row.reason for row in probed.rejections}
    return [
        Standing(
            program_id=name,
            round=number,
            skill=program.skill,
            probed=tried[name, True] + tried[name, False],
            failed=tried[name, False],
            weight=weights.get(name, 0.0),
            drawn=kept.get(name, 0) + sum(dropped.get(name, {}).values()),
            kept=kept.get(name, 0),
            refused=dict(sorted(dropped.get(name, {}).items())),
            retired=reasons.get(name, ""),
        )
        for name, program in library.items()
    ]


def _replayed(found: Mined, count: int, seed: int) -> list[Attempt]:
    """Solved items to train on again. A contrast works on both sides of the boundary: half are the solved neighbours of the errors."""
    near = {row.id: row for failure in found.failures for row in failure.contrasts}
    beside = count // 2 if near else 0
    return replay(list(near.values()), beside, seed) + replay(found.solved, count - beside, seed)


def _agreed(run: Session, number: int, seed: int) -> Agreed:
    """The embedded instructor answers no questions, and of a library none is asked: facts that are asserted stay unconfirmed then."""
    settings = run.config.instructor
    alone = settings.model == "offline" or run.config.generate.library is not None
    open_lm = None if alone else lambda: open_instructor(settings, run.ledger, layout.named(number, "assemble"), progress=run.progress)
    return Agreed(run.task, run.config.generate, seed, settings.width, open_lm, lambda line: run.say(f"round {number}: {line}"))


def _style_beside(run: Session, found: Mined) -> dict[str, Any]:
    """The style of what generated rows stand beside: the references of the errors behind them, and the target's own right answers."""
    errors = [failure.attempt.example for failure in found.failures]
    references = [(text, example.kind) for example in errors if (text := reference(run.task, example)) is not None]
    return {"errors": style(references), "solved": style((row.answered, row.example.kind) for row in found.solved)}
