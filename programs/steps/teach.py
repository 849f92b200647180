"""Teach: the strategy turns failures into programs, with the instructor's help; each program is proven before it is kept."""

from collections.abc import Sequence

import dspy

from ...signatures.calls import in_flight
from ...signatures.records import Failure, Rejection, SampleProgram, TeachingResult
from ...tasks import member
from ..instructor.chat import Calls, calling, instructed_by
from ..instructor.engine import open_instructor
from ..instructor.interpreter import interpreting
from ..run import layout
from ..run.directory import Stage
from ..samples.checks import prove
from .mine import mined
from .session import Session


def teach(run: Session, number: int) -> None:
    """Write a diagnosis and a program, or why there is none, for each failure of a round."""
    stage = run.stage(number, "teach")
    if not stage.done:
        teach_failures(run, stage, mined(run, number).failures, f"round {number}: teach")


def teach_failures(run: Session, stage: Stage, failures: Sequence[Failure], title: str) -> list[TeachingResult]:
    """Run the strategy on its groups of failures, several calls in flight, each row written as it finishes. What a program of several
    failures does not rebuild is taught alone."""
    lm = open_instructor(run.config.instructor, run.ledger, str(stage.path.relative_to(run.path)))

    def one(group: tuple[Failure, ...]) -> TeachingResult:
        calls = Calls()
        with calling(lm), dspy.context(callbacks=[calls]):
            taught: TeachingResult = run.strategy(
                failures=group,
                brief=member(run.task, group[0].attempt.example.task).brief,
                prove=lambda program: proof(run, program, group),
            )
        return taught.model_copy(update={"calls": calls.count})

    def all_of(groups: list[tuple[Failure, ...]]) -> list[TeachingResult]:
        width = run.config.instructor.in_flight
        produce = lambda missing: run.counted(title, in_flight(one, missing, width), len(missing), width)  # noqa: E731
        return stage.collect(layout.TAUGHT, groups, lambda group: "+".join(failure.id for failure in group), produce, TeachingResult)

    groups = run.strategy.groups(failures)
    with instructed_by(lm), interpreting(lambda: run.sandbox, run.limits):
        rows = all_of(groups)
        claimed = {name for row in rows if row.program for name in row.program.anchors}
        if alone := [(failure,) for group in groups if len(group) > 1 for failure in group if failure.id not in claimed]:
            rows = all_of([*groups, *alone])
        known = {failure.id: failure for failure in failures}
        made = run.strategy.derive(rows, lambda program: proof(run, program, [known[name] for name in program.anchors]))
        if made:
            run.say(f"{title}: {sum(row.program is not None for row in made)} programs made of those that passed, of {len(made)} tried")
        rows += made
    kept = [row for row in rows if row.program]
    stage.finish({layout.TAUGHT: rows}, failures=len(failures), programs=len(kept))
    run.say(f"{title}: {len(failures)} failures, {len(kept)} programs passed, {len(layout.untaught(rows))} failures without one")
    return rows


def proof(run: Session, program: SampleProgram, failures: Sequence[Failure]) -> Rejection | None:
    """The checks that need no model, but those that the config skips; None when the program passes."""
    generate = run.config.generate
    return prove(program, failures, run.task, run.sandbox, run.limits, generate.skip, generate.simpler, generate.phrasings)
