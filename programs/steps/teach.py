"""Teach: the strategy turns failures into programs, with the instructor's help; each program is proven before it is kept. Or programs of
another run are taken in their place, and proven again.
"""

from collections.abc import Callable, Container, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import dspy

from ...signatures.calls import in_flight
from ...signatures.errors import ErrataError, UsageError
from ...signatures.records import Example, Failure, LibraryProgram, Rejection, SampleProgram, TeachingResult
from ...tasks import Task, member, parts
from ...tasks.options import asked
from ..instructor.chat import Calls, calling, instructed_by
from ..instructor.engine import open_instructor, settled_on
from ..instructor.interpreter import interpreting
from ..instructor.offline import RECOMBINED
from ..patterns.chosen import of_errors, require_known, require_taught
from ..run import layout, library
from ..run.directory import Stage
from ..samples.checks import prove
from ..strategies.write import Prove, no_programs
from .mine import mined
from .session import Session

Group = tuple[Failure, ...]
WIDTH = 4
"""Programs of a library that are proven at the same time."""


def diagnose(run: Session, number: int) -> None:
    """Write a diagnosis for each failure of a round, and no program: what the patterns of `errata diagnose` rest on. Teaching takes the
    answers from the ledger. Programs of a library bring their diagnoses: they are proven."""
    stage = run.stage(number, "diagnose")
    if stage.done or run.stage(number, "teach").done:
        return
    if run.config.generate.library is not None:
        teach(run, number)
        return
    failures, title = mined(run, number).failures, f"round {number}: diagnose"
    with _asking(run, stage, layout.DIAGNOSED, title, lambda group: no_programs) as all_of:
        groups = run.strategy.groups(failures)
        rows = all_of(groups)
        told = {name for row in rows if row.diagnosis and row.diagnosis.verdict == "error" for name in row.failure_ids}
        if alone := [(failure,) for group in groups if len(group) > 1 for failure in group if failure.id not in told]:
            rows = all_of([*groups, *alone])
    # an own strategy may not leave writing to Write, and come to a program all the same
    rows = [row.model_copy(update={"program": None, "refused": ()}) for row in rows]
    stage.finish({layout.DIAGNOSED: rows}, failures=len(failures))
    run.say(f"{title}: {len(failures)} failures, {sum(row.diagnosis is not None for row in rows)} diagnoses")


def teach(run: Session, number: int) -> None:
    """Write a diagnosis and a program, or why there is none, for each failure of a round, or of its chosen patterns."""
    stage = run.stage(number, "teach")
    if run.config.generate.library is not None:
        if not stage.done:
            take_library(run, stage, number)
        require_chosen(run)
        return
    if stage.done and (run.chosen is None or run.stage(number, "assemble").done):
        return
    require_chosen(run)
    failures = mined(run, number).failures
    chosen = of_errors(run.path, run.chosen) if run.chosen else None
    if stage.done:
        require_taught(run.path, number, {row.id for row in failures if chosen and row.id in chosen})
    else:
        teach_failures(run, stage, failures, f"round {number}: teach", chosen)


def teach_failures(
    run: Session, stage: Stage, failures: Sequence[Failure], title: str, chosen: Container[str] | None = None
) -> list[TeachingResult]:
    """Run the strategy on its groups of failures, or on those with a failure that is `chosen`, several calls in flight, each row written as
    it finishes. What a program of several failures does not rebuild is taught alone."""
    wanted = {failure.id for failure in failures if chosen is None or failure.id in chosen}
    # put together as all failures would be: what was asked of them once is not asked in another way
    groups = [group for group in run.strategy.groups(failures) if any(failure.id in wanted for failure in group)]
    with _asking(run, stage, layout.TAUGHT, title, lambda group: lambda program: proof(run, program, group)) as all_of:
        rows = all_of(groups)
        claimed = {name for row in rows if row.program for name in row.program.anchors}
        left = (failure for group in groups if len(group) > 1 for failure in group if failure.id not in claimed and failure.id in wanted)
        if alone := [(failure,) for failure in left]:
            rows = all_of([*groups, *alone])
        known = {failure.id: failure for failure in failures}
        made = run.strategy.derive(rows, lambda program: proof(run, program, [known[name] for name in program.anchors]))
        if made:
            run.say(f"{title}: {sum(row.program is not None for row in made)} programs made of those that passed, of {len(made)} tried")
        rows += made
    kept = [row for row in rows if row.program]
    stage.finish({layout.TAUGHT: rows}, failures=len(wanted), programs=len(kept))
    without = f"{len(layout.untaught(rows))} without one"
    others = f"; {len(failures) - len(wanted)} others are in no pattern that is kept" if chosen is not None else ""
    run.say(f"{title}: {len(wanted)} failures, {len(kept)} programs passed, {without}{others}")
    return rows


@contextmanager
def _asking(
    run: Session, stage: Stage, name: str, title: str, prove: Callable[[Group], Prove]
) -> Iterator[Callable[[Sequence[Group]], list[TeachingResult]]]:
    """Gives what runs the strategy on groups of failures, a row of the file `name` each. `prove` gives the checks of a group's program."""
    place = str(stage.path.relative_to(run.path))
    lm = open_instructor(run.config.instructor, run.ledger, place, rows=partial(train_rows, run), progress=run.progress)

    def one(group: Group) -> TeachingResult:
        calls = Calls()
        with calling(lm), dspy.context(callbacks=[calls]):
            brief = member(run.task, group[0].attempt.example.task).brief
            taught: TeachingResult = run.strategy(failures=group, brief=brief, prove=prove(group))
        return taught.model_copy(update={"calls": calls.count})

    def all_of(groups: Sequence[Group]) -> list[TeachingResult]:
        width = run.config.instructor.width
        produce = lambda missing: run.counted(title, in_flight(one, missing, width), len(missing), width)  # noqa: E731
        return list(stage.collect(name, groups, lambda group: "+".join(failure.id for failure in group), produce, TeachingResult))

    with instructed_by(lm), interpreting(lambda: run.sandbox, run.limits):
        yield all_of
    if told := settled_on(lm):
        run.say(f"{title}: {told}")


def require_chosen(run: Session) -> None:
    """Raise UsageError where the file of patterns lists what is no error, or no skill, of this run's first round."""
    if run.chosen and run.stage(1, "mine").done:
        drawn = [failure.attempt for failure in mined(run, 1).failures]
        require_known(run.chosen, [*drawn, *layout.lent(run.path, 1)], run.config)


def train_rows(run: Session) -> list[Example]:
    """The train items that the embedded instructor may recombine; of recorded answers without the task's data, their own items."""
    recorded = run.config.errors == "recorded"
    found = [row.example for row in layout.attempts(run.path, 1)] if recorded else []
    for task in parts(run.task):
        if task.kind in RECOMBINED:
            with suppress(*([ErrataError] if recorded else [])):
                found += task.examples("train")
    return list({item.id: item for item in found if item.kind in RECOMBINED}.values())


def proof(run: Session, program: SampleProgram, failures: Sequence[Failure]) -> Rejection | None:
    """The checks that need no model, but those that the config skips; None when the program passes."""
    generate = run.config.generate
    return prove(program, failures, run.task, run.sandbox, run.limits, generate.skip, generate.simpler, generate.ways)


def require_fitting(run: Session) -> None:
    """Raise UsageError where no program of the library has the form of answer that the task asks for, and none was taken yet."""
    path = Path(run.config.generate.library or "")
    programs = [] if layout.source(run.path, 1) else [row.program for row in library.read(path).programs]
    if programs and not any(_home(run, program) for program in programs):
        kinds = sorted({program.kind for program in programs})
        raise UsageError(
            f"library {path} holds programs for {' and '.join(kinds)}, and {run.task.name} asks for {run.task.kind}: give another --task"
        )


def _home(run: Session, program: SampleProgram) -> Task | None:
    """The task whose items a program's rows become: its own, else the first that asks for the same form of answer."""
    fitting = [task for task in parts(run.task) if task.kind == program.kind or (task.kind, program.kind) == ("text", "number")]
    return next((task for task in fitting if task.name == program.task), fitting[0] if fitting else None)


def take_library(run: Session, stage: Stage, number: int) -> None:
    """Prove the programs of a library again, each by the errors that it was written for; no instructor is asked. Round 1 takes all of them,
    and later rounds draw from those that passed."""
    path = Path(run.config.generate.library or "")
    first = layout.source(run.path, 1)  # later rounds take none, and the library may have changed since
    found = library.Library([], first["hash"], first["says"]) if first else library.read(path)
    here, held_out = layout.failures(layout.attempts(run.path, number)), set(map(asked, run.held_out))
    title = f"round {number}: prove the programs of {path}"

    def one(held: LibraryProgram) -> TeachingResult:
        task = _home(run, held.program)
        program = held.program if task is None else held.program.model_copy(update={"task": task.name})
        known = here | layout.failures(held.errors)
        missing = [name for name in program.anchors if name not in known]
        refusal: Rejection | None
        if task is None:
            refusal = _refused(program, "runs", f"its answers are of the form {program.kind}, and {run.task.name} asks for {run.task.kind}")
        elif missing:
            refusal = _refused(program, "anchored", f"its error {missing[0]} is recorded neither in the library nor in this run")
        elif any(asked(known[name].attempt.example) in held_out for name in program.anchors):
            refusal = _refused(program, "unseen", "it was written for an item that is a dev, test or guard item here")
        else:
            refusal = proof(run, program, [known[name] for name in program.anchors])
        row = TeachingResult(failure_ids=program.anchors, diagnosis=held.diagnosis, program=None if refusal else program)
        return row.model_copy(update={"refused": (program,), "rejections": (refusal,)}) if refusal else row

    def produce(missing: Sequence[LibraryProgram]) -> Generator[tuple[LibraryProgram, TeachingResult]]:
        return run.counted(title, in_flight(one, missing, WIDTH), len(missing), WIDTH)

    rows = list(stage.collect(layout.TAUGHT, found.programs, lambda held: held.program.id, produce, TeachingResult))
    lent = {row.id: row for held in found.programs for row in held.errors if Failure(attempt=row).id not in here}
    kept = sum(row.program is not None for row in rows)
    source = {"path": str(path), "hash": found.hash, "says": found.says}
    errors = len({name for row in rows for name in row.failure_ids})
    stage.finish({layout.TAUGHT: rows, layout.LENT: list(lent.values())}, failures=errors, programs=kept, library=source)
    refused = ", ".join(f"{check} {count}" for check, count in layout.refusals(rows).items())
    run.say(f"{title}: {kept} of {len(rows)} passed again" + (f"; errors without one by check: {refused}" if refused else ""))


def _refused(program: SampleProgram, check: str, reason: str) -> Rejection:
    return Rejection(of=program.id, kind="program", check=check, reason=reason)
