"""Fusion: two kept numeric programs become one, whose problems need both. No instructor is asked, so answers stay computed.

After MathFusion (arXiv 2503.16212), where an LLM fuses problems in three ways. `sequence`: the answer of the first problem is a number of
the second (both are drawn until they fit). `parallel`: both are asked, then added or compared. `condition`: the answer of the first decides
whether the second must be solved. A fused program holds both parents whole, each inside a function of its own, and rebuilds the anchors of
both, so the check `anchored` proves that each part still does what it did. Not covered: programs for choice and code.
"""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import dspy

from ...signatures.records import Diagnosis, Example, Failure, Rejection, SampleProgram, TeachingResult
from ...tasks import Task
from ..samples.nest import nested
from .strategy import Strategy
from .write import Drafts, Prove

WAYS = ("sequence", "parallel", "condition")
HEAD = '''"""Practice for: {skill}. Two programs in one ({how}): each part is the program that was written for its own error."""

import re

HOW = {how!r}
TRIES = 40


{first}


{second}


'''
"""How a fused program begins."""
REST = (
    "FIRST, SECOND =" + Path(__file__).with_name("guest").joinpath("fused.py").read_text(encoding="utf-8").partition("FIRST, SECOND =")[2]
)
"""How it goes on."""


def fused(first: SampleProgram, second: SampleProgram, how: str, diagnosis: Diagnosis) -> SampleProgram | None:
    """Both programs as one, joined in one of WAYS; None: one of them cannot be put into a function."""
    parts = nested("first", first.source), nested("second", second.source)
    if None in parts:
        return None
    return SampleProgram(
        diagnosis_id=diagnosis.id,
        source=HEAD.format(skill=diagnosis.skill.replace('"', "'"), how=how, first=parts[0], second=parts[1]) + REST,
        anchors=first.anchors + second.anchors,
        skill=diagnosis.skill,
        task=first.task,
        parents=(first.id, second.id),
    )


class Fuse(Strategy):
    """Teaches with another strategy, and adds programs that are fused of those that were kept."""

    def __init__(self, base: Strategy, share: float = 0.5):
        """`share`: fused programs for each one that can be fused; at most 1."""
        dspy.Module.__init__(self)
        self.base = base
        self.share = min(1.0, share)
        self.source = base.source
        self.contrasts = base.contrasts

    def groups(self, failures: Sequence[Failure]) -> list[tuple[Failure, ...]]:
        return self.base.groups(failures)

    def forward(self, failures: Sequence[Failure], brief: str, prove: Prove) -> TeachingResult:
        """As the strategy that it rests on."""
        return self.base(failures=failures, brief=brief, prove=prove)

    def items(self, task: Task, mined: Sequence[Example], count: int, seed: int) -> list[Example]:
        return self.base.items(task, mined, count, seed)

    def derive(self, taught: Sequence[TeachingResult], prove: Prove) -> list[TeachingResult]:
        """Pairs of programs of one task, each program in at most two of them. The ways are taken in turn; after a refusal the next is
        tried."""
        rows = self.base.derive(taught, prove)
        kept = [
            (row.program.task, row.program.id, row.program, row.diagnosis)
            for row in [*taught, *rows]
            if row.program and row.diagnosis and row.program.kind == "number" and not row.program.parents
        ]
        # the order of ids is as good as random, and always the same
        for _, same in groupby(sorted(kept, key=lambda one: one[:2]), key=lambda one: one[0]):
            ring = [(program, diagnosis) for _, _, program, diagnosis in same]
            for place in range(round(self.share * len(ring)) if len(ring) > 2 else len(ring) - 1):
                rows.append(self._joined(ring[place], ring[(place + 1) % len(ring)], place, prove))
        return rows

    def _joined(
        self, one: tuple[SampleProgram, Diagnosis], other: tuple[SampleProgram, Diagnosis], turn: int, prove: Prove
    ) -> TeachingResult:
        """What came of two programs, each with its diagnosis; `turn` says which way is tried first."""
        (first, why), (second, why_too) = one, other
        drafts = Drafts(prove)
        ids = first.anchors + second.anchors
        for how in WAYS[turn % len(WAYS) :] + WAYS[: turn % len(WAYS)]:
            diagnosis = Diagnosis(
                failure_ids=ids,
                strategy=type(self).__name__,
                verdict="error",
                skill=f"{how}: {first.skill}; {second.skill}",
                misconception=" And: ".join(filter(None, (why.misconception, why_too.misconception))),
                evidence="",
                teach="Both at once: what was failed alone is part of a longer problem.",
            )
            program = fused(first, second, how, diagnosis)
            if program is None:
                reason = "one of the two programs cannot be put into a function: it has global statements or star imports"
                drafts.rejections.append(Rejection(of=diagnosis.id, kind="diagnosis", check="fuse", reason=reason))
                break
            if drafts.passes(program):
                break
        return drafts.taught(ids, diagnosis)
