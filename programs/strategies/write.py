"""The step from a diagnosis to a program that passes the checks: write, prove, and repair at most N times.

What is not here: the checks (errata.programs.samples.checks).
"""

import re
from collections.abc import Callable, Sequence

import dspy

from ...signatures.records import Diagnosis, Failure, Rejection, SampleProgram, TeachingResult
from ...signatures.teach import PHRASINGS, RepairProgram, WriteProgram, contract
from ..instructor.chat import UNUSABLE, rejection
from .diagnose import ask, fields_of

Prove = Callable[[SampleProgram], Rejection | None]  # runs the checks; None when the program passes
_PROGRAM = re.compile(r"^(?:def +)?(?:draw|make)\b *[(=:]", re.MULTILINE)


def no_programs(program: SampleProgram) -> Rejection | None:
    """Given in the place of checks where diagnoses alone are wanted: `Write` asks for no program then."""
    return None


class Drafts:
    """Programs that are proven one after the other, until one passes, and why the others do not."""

    def __init__(self, prove: Prove):
        self.prove = prove
        self.passed: SampleProgram | None = None
        self.refused: list[SampleProgram] = []
        self.rejections: list[Rejection] = []

    def passes(self, program: SampleProgram) -> bool:
        """Run the checks and keep the program."""
        refusal = self.prove(program)
        if refusal is None:
            self.passed = program
        else:
            self.refused.append(program)
            self.rejections.append(refusal)
        return refusal is None

    def taught(self, failure_ids: tuple[str, ...], diagnosis: Diagnosis) -> TeachingResult:
        refused, rejections = tuple(self.refused), tuple(self.rejections)
        return TeachingResult(failure_ids=failure_ids, diagnosis=diagnosis, program=self.passed, refused=refused, rejections=rejections)


class Write(dspy.Module):
    """Asks the instructor for a program, and again with the complaint while a check refuses it."""

    def __init__(self, signature: type[dspy.Signature] = WriteProgram, repair: type[dspy.Signature] = RepairProgram, repairs: int = 2):
        super().__init__()
        self.write = dspy.Predict(signature)
        self.repair = dspy.Predict(repair)
        self.repairs = repairs
        self.phrasings = PHRASINGS

    def forward(self, failures: Sequence[Failure], diagnosis: Diagnosis, brief: str, prove: Prove) -> TeachingResult:
        """At most 1 + `repairs` calls, none where diagnoses alone are wanted. A program for several failures claims those whose ids it
        names; each of them must be rebuilt."""
        if prove is no_programs:
            return TeachingResult(failure_ids=diagnosis.failure_ids, diagnosis=diagnosis, program=None)
        first = failures[0]
        kind = first.attempt.example.kind
        fields = fields_of(failures, brief) | {
            "contract": contract(kind, phrasings=self.phrasings),
            "failure_id": first.id,
            "skill": diagnosis.skill,
            "misconception": diagnosis.misconception,
            "teach": diagnosis.teach,
            "boundary": diagnosis.boundary,
        }
        drafts = Drafts(prove)
        for attempt in range(self.repairs + 1):
            try:
                answer = ask(self.repair if attempt else self.write, fields)
            except UNUSABLE as error:
                # kept with its text; there is no program to repair
                drafts.rejections.append(rejection(diagnosis.id, error))
                break
            source = answer.program.code.strip() if answer.program else ""
            refusal = (answer.refusal or "").strip()
            if not source or (len(refusal.split()) > 2 and not _PROGRAM.search(source)):  # "(none)" and the like refuse nothing
                reason = refusal or "the instructor gave no program"
                drafts.rejections.append(Rejection(of=diagnosis.id, kind="diagnosis", check="instructor", reason=reason))
                break
            program = SampleProgram(
                diagnosis_id=diagnosis.id,
                source=source + "\n",
                anchors=tuple(one.id for one in failures if one.id in source) or (first.id,),
                skill=diagnosis.skill,
                attempt=attempt,
                kind=kind,
                task=first.attempt.example.task,
            )
            if drafts.passes(program):
                break
            complaint = drafts.rejections[-1]
            fields |= {"rejected": program.source, "complaint": f"{complaint.check}: {complaint.reason}"}
            fields["contract"] = contract(kind, False, self.phrasings)  # the refused program shows the form
        return drafts.taught(tuple(one.id for one in failures), diagnosis)
