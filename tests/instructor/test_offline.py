"""The embedded instructor as it answers through dspy."""

import dspy
import pytest
from word_problems import LEFT, WRONG

from errata.programs.instructor.offline import offline_lm
from errata.signatures.teach import DiagnoseContrast, DiagnoseError, RepairProgram, WriteProgram, contract

ADAPTERS = [dspy.ChatAdapter(use_json_adapter_fallback=False), dspy.JSONAdapter()]


@pytest.mark.parametrize("adapter", ADAPTERS, ids=["chat", "json"])
def test_every_signature_of_the_instructor_is_answered(adapter: dspy.Adapter) -> None:
    item = {"task": "sums", "question": LEFT[0], "reference": LEFT[1], "response": WRONG[0][0]}
    told = {
        "contract": contract("number"),
        "failure_id": "e1",
        "skill": "s",
        "misconception": "m",
        "teach": "t",
        "boundary": "",
    }
    with dspy.context(lm=offline_lm(), adapter=adapter):
        assert dspy.Predict(DiagnoseError)(**item).verdict == "error"
        assert dspy.Predict(DiagnoseContrast)(**item, solved="(none)").boundary
        written = dspy.Predict(WriteProgram)(**item, **told)
        assert written.refusal == "" and "def wrong(" in written.program.code
        source = written.program.code
        repaired = dspy.Predict(RepairProgram)(**item, **told, rejected=source, complaint="telling: wrong() gives the right answer")
        assert repaired.refusal == "" and "def wrong(" not in repaired.program.code
        given_up = dspy.Predict(RepairProgram)(**item, **told, rejected=source, complaint="runs: timeout")
        assert given_up.refusal.endswith("runs: timeout") and not given_up.program.code.strip()
        refused = dspy.Predict(WriteProgram)(**{**item, "reference": "nothing\n#### 5"}, **told)
        assert refused.refusal == "no computation in the solution"


def test_a_request_of_another_kind_gets_one_line_that_says_so() -> None:
    with dspy.context(lm=offline_lm(), adapter=ADAPTERS[0]), pytest.raises(Exception, match="answers diagnoses and programs only"):
        dspy.Predict("city -> country")(city="Rome")


def test_demos_before_the_request_do_not_change_the_answer() -> None:
    predict = dspy.Predict(DiagnoseError)
    item = {"task": "sums", "question": LEFT[0], "reference": LEFT[1], "response": WRONG[0][0]}
    with dspy.context(lm=offline_lm(), adapter=ADAPTERS[0]):
        plainly = predict(**item)
        predict.demos = [
            dspy.Example(
                task="t",
                question="1 and 1?",
                reference="#### 2",
                response="3",
                verdict="error",
                skill="add",
                misconception="m",
                evidence="e",
                teach="t",
            )
        ]
        assert predict(**item).toDict() == plainly.toDict()
