"""The step from a diagnosis to a program that passes the checks: write, prove, and repair at most N times."""

from collections.abc import Callable, Sequence

import dspy

from ...sandbox import MODULES
from ...signatures.records import Diagnosis, Failure, Rejection, SampleProgram, TeachingResult
from ...signatures.teach import RepairProgram, WriteProgram, contract
from ..instructor.chat import UNUSABLE, rejection
from ..samples.kinds import kind_of
from .diagnose import failures_text, reference_text, solved_text

Prove = Callable[[SampleProgram], Rejection | None]
"""Runs the checks; None when the program passes."""


class Write(dspy.Module):
    """Asks the instructor for a program, and again with the complaint while a check refuses it."""

    def __init__(self, signature: type[dspy.Signature] = WriteProgram, repair: type[dspy.Signature] = RepairProgram, repairs: int = 2):
        super().__init__()
        self.write = dspy.Predict(signature)
        self.repair = dspy.Predict(repair)
        self.repairs = repairs

    def forward(self, failures: Sequence[Failure], diagnosis: Diagnosis, brief: str, prove: Prove) -> TeachingResult:
        """At most 1 + `repairs` calls. Of several failures a program claims those whose ids it names; each of them must be rebuilt."""
        failure = failures[0]
        example = failure.attempt.example
        kind = kind_of(example).name
        shown = {
            "contract": contract(kind, MODULES),
            "task": brief,
            "failure_id": failure.id,
            "question": example.question,
            "reference": reference_text(failure),
            "response": failure.attempt.response or "(empty)",
            "skill": diagnosis.skill,
            "misconception": diagnosis.misconception,
            "teach": diagnosis.teach,
            "boundary": diagnosis.boundary,
            "solved": solved_text(failure.contrasts),
            "failures": failures_text(failures),
        }
        wanted = self.write.signature.input_fields
        shown = {name: value for name, value in shown.items() if name in wanted}
        refused: list[SampleProgram] = []
        rejections: list[Rejection] = []
        passed: SampleProgram | None = None
        for attempt in range(self.repairs + 1):
            try:
                if attempt == 0:
                    answer = self.write(**shown)
                else:
                    complaint = f"{rejections[-1].check}: {rejections[-1].reason}"
                    answer = self.repair(**shown, rejected=refused[-1].source, complaint=complaint)
            except UNUSABLE as error:
                # kept with its text; a repair would be asked about nothing
                rejections.append(rejection(diagnosis.id, error))
                break
            source = answer.program.code.strip() if answer.program else ""
            if not source:
                reason = (answer.refusal or "").strip() or "the instructor gave no program"
                rejections.append(Rejection(of=diagnosis.id, kind="diagnosis", check="instructor", reason=reason))
                break
            program = SampleProgram(
                diagnosis_id=diagnosis.id,
                source=source + "\n",
                anchors=tuple(one.id for one in failures if one.id in source) or (failure.id,),
                skill=diagnosis.skill,
                attempt=attempt,
                kind=kind,
                task=example.task,
            )
            refusal = prove(program)
            if refusal is None:
                passed = program
                break
            refused.append(program)
            rejections.append(refusal)
        ids = tuple(one.id for one in failures)
        return TeachingResult(failure_ids=ids, diagnosis=diagnosis, program=passed, refused=tuple(refused), rejections=tuple(rejections))
