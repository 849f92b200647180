"""From kept programs to a training set: rows drawn by weight, checked one by one, sifted together, and replay of what the target solves.

The weight of a program is its error mass, the share of its probe rows that the target fails: what it would still learn from it; or what
errata.programs.steps.allocation makes of that. Each program stands for the errors that it rebuilds, drawn at random from all errors; its
mass is
counted once for each, so that each kind of error gets rows in proportion to how often it was made.

What is not here: running the target (the cycle does, and errata.programs.steps.words), and the text of a row
(errata.programs.steps.lessons).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from ...sandbox import Limits, Sandbox
from ...signatures.records import Attempt, Rejection, Sample, SampleProgram
from ..instructor.chat import calling, instructed_by
from ..instructor.engine import open_instructor
from ..run import layout
from ..samples.draw import draw_rows, draws, shares
from ..samples.filters import row_checks
from ..samples.kinds import sample_of
from ..samples.style import styles
from .agree import agreed
from .allocation import weights
from .library import standings
from .mine import Mined, mined
from .probe import probed
from .rows import replay, replay_count, train_rows
from .session import Session
from .words import Words

RowCheck = Callable[[Sample], str | None]
Sift = Callable[[Sequence[Sample]], tuple[list[Sample], list[Rejection]]]
"""Takes checked rows together: those that stay, as they are trained on, and the refusals of the others."""
PASSES = 4
"""How often the budget that programs could not fill is handed to the others."""


class Assembly(NamedTuple):
    samples: list[Sample]
    rejections: list[Rejection]


def drawn_rows(
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


# ---- the step


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
    total = asked_rows(run, len(masses))
    items = run.strategy.items(run.task, found.items, total, seed)
    made = Assembly([], [])
    held_out = run.held_out if masses or items else []
    if masses or items:
        checks = row_checks(run.task, held_out, generate.skip)
        made = checked((sample_of(item, seed, index) for index, item in enumerate(items)), total, checks)
    if masses:
        left = total - len(made.samples)
        words = _words(run, number, seed)
        with run.progress.busy(f"round {number}: assemble"):
            drawn = drawn_rows(library, masses, left, seed, generate.levels, checks, run.sandbox, run.limits, words)
        words.finish()
        drawn = _agreed(run, number, drawn)
        made = Assembly(made.samples + drawn.samples, made.rejections + drawn.rejections)
    elif items and len(made.samples) < total:
        run.say(f"round {number}: {len(made.samples)} of {total} rows: task {run.task.name} has no more items of its own to give")
    replayed = _replayed(found, replay_count(len(made.samples), generate.replay), seed)
    rows = train_rows(run.task, made.samples, replayed, seed) if made.samples else []
    standing = standings(number, library, tried.attempts, tried.rejections, masses, made.samples, made.rejections)
    stage.finish(
        {
            layout.SAMPLES: made.samples,
            layout.REJECTIONS: [*tried.rejections, *made.rejections],
            layout.ROWS: rows,
            layout.LIBRARY: standing,
        },
        samples=len(made.samples),
        replay=len(replayed) if rows else 0,
        refused=len(made.rejections),
        held_out=len(held_out),
        style=styles(run.task, made.samples, [failure.attempt.example for failure in found.failures], found.solved),
    )
    run.say(f"round {number}: assemble {len(made.samples)} samples of {len(masses)} programs, {len(replayed)} replayed")
    if done := sum(bool(row.retired) for row in standing):
        run.say(f"round {number}: {done} programs retire: the target has mastered their rows")


def asked_rows(run: Session, programs: int) -> int:
    """Generated rows of a round."""
    return run.config.generate.rows or (8 * programs if programs and run.config.errors == "all" else 1000)


def _replayed(found: Mined, count: int, seed: int) -> list[Attempt]:
    """Solved items to train on again. A contrast works on both sides of the boundary: half are the solved neighbours of the errors."""
    near = {row.id: row for failure in found.failures for row in failure.contrasts}
    beside = count // 2 if near else 0
    return replay(list(near.values()), beside, seed) + replay(found.solved, count - beside, seed)


def _words(run: Session, number: int, seed: int) -> Words:
    watch = lambda rows, total: run.counted(f"round {number}: ask the target {total} drawn questions", rows, total)  # noqa: E731
    target = lambda: run.open_target(run.base(number))  # noqa: E731
    return Words(run.stage(number, "words"), run.task, run.config.generate, seed, target, watch)


def _agreed(run: Session, number: int, made: Assembly) -> Assembly:
    """The rows whose answer is asserted, solved independently; the gap is told where there is no model to solve them."""
    asserted = sum(sample.asserted for sample in made.samples)
    generate, instructor = run.config.generate, run.config.instructor
    if not asserted:
        return made
    if not generate.solves or "agreed" in generate.skip or instructor.model == "offline":
        run.say(f"round {number}: {asserted} rows rest on facts that no independent solve has confirmed")
        return made
    lm = open_instructor(instructor, run.ledger, f"round-{number}/assemble")
    run.say(f"round {number}: solve {asserted} rows independently, whose answer the instructor asserts")
    with instructed_by(lm), calling(lm):
        seed = run.config.seed * 1000 + number
        after, refused = agreed(made.samples, run.task, generate.solves, generate.agreed, instructor.in_flight, seed)
    kept = sum(sample.asserted for sample in after)
    run.say(f"round {number}: the solves agree with {kept} of them; the others are dropped")
    return Assembly(after, made.rejections + refused)
