"""Strategies over a scripted instructor: what it is shown, what is asked again, and what is kept of answers that cannot be used."""

import dspy
import pytest
from dspy.utils import DummyLM
from scripted import DIAGNOSIS, FAILURE, attempt, program, shown, taught

from errata.programs import Cycle, LearnFromError, Strategy, load_config
from errata.programs.instructor.chat import instructed_by
from errata.programs.run import layout
from errata.programs.steps.mine import mine, mined
from errata.programs.steps.teach import diagnose, teach
from errata.programs.strategies.diagnose import Diagnose
from errata.programs.strategies.write import Write
from errata.signatures.records import Diagnosis, Failure, Rejection, SampleProgram, TeachingResult
from errata.signatures.teach import DiagnoseError, WriteProgram


def test_a_program_that_passes_is_kept_with_its_diagnosis_and_anchor():
    result, calls = taught(LearnFromError(), [DIAGNOSIS, program("x = 1")])
    assert result.program.source == "x = 1\n"
    assert result.program.anchors == (FAILURE.id,)
    assert result.program.diagnosis_id == result.diagnosis.id
    assert result.diagnosis.skill == "loss after a product"
    assert len(calls) == 2
    assert FAILURE.id in shown(calls[1])
    assert "worked 10" in shown(calls[0])


def test_a_refused_program_goes_back_with_the_reason_at_most_n_times():
    def prove(program):
        return Rejection(of=program.id, kind="program", check="anchored", reason=f"it said {program.source.strip()}")

    answers = [DIAGNOSIS, program("x = 1"), program("x = 2"), program("x = 3"), program("x = 4")]
    result, calls = taught(LearnFromError(repairs=2), answers, prove)
    assert result.program is None
    assert [refused.source for refused in result.refused] == ["x = 1\n", "x = 2\n", "x = 3\n"]
    assert [row.check for row in result.rejections] == ["anchored"] * 3
    assert len(calls) == 4
    assert "anchored: it said x = 1" in shown(calls[2])
    assert "x = 2" in shown(calls[3])


def test_a_repaired_program_that_passes_is_kept_and_the_refusal_too():
    def prove(program):
        return None if "2" in program.source else Rejection(of=program.id, kind="program", check="runs", reason="no")

    result, _ = taught(LearnFromError(), [DIAGNOSIS, program("x = 1"), program("x = 2")], prove)
    assert (result.program.source, result.program.attempt) == ("x = 2\n", 1)
    assert len(result.rejections) == 1


@pytest.mark.parametrize("verdict", ["reference_wrong", "ambiguous"])
def test_an_item_that_is_itself_at_fault_teaches_nothing(verdict):
    result, calls = taught(LearnFromError(), [DIAGNOSIS | {"verdict": verdict}])
    assert result.program is None
    assert [row.check for row in result.rejections] == [verdict]
    assert len(calls) == 1


def test_an_honest_refusal_is_kept_and_not_asked_again():
    result, calls = taught(LearnFromError(), [DIAGNOSIS, program("", "facts cannot be computed")])
    assert result.program is None
    assert (result.rejections[0].check, result.rejections[0].reason) == ("instructor", "facts cannot be computed")
    assert len(calls) == 2


@pytest.mark.parametrize("shell", ["# no program", "pass", "None", "(empty)"])
def test_a_refusal_beside_what_is_no_program_is_a_refusal(shell):
    result, calls = taught(LearnFromError(), [DIAGNOSIS, program(shell, "It depends on a picture.")])
    assert (result.program, result.refused, len(calls)) == (None, (), 2)
    assert (result.rejections[0].check, result.rejections[0].reason) == ("instructor", "It depends on a picture.")


@pytest.mark.parametrize(("text", "refusal"), [("def make(a):\n    pass", "No refusal is needed."), ("x = 1", "(none)")])
def test_a_program_beside_words_about_a_refusal_is_proven(text, refusal):
    result, _ = taught(LearnFromError(), [DIAGNOSIS, program(text, refusal)])
    assert result.program.source == f"{text}\n"


def test_an_answer_that_cannot_be_read_is_kept_with_its_text_and_buys_no_second_call():
    result, calls = taught(LearnFromError(), [{"weather": "fine"}])
    assert result.diagnosis is None
    assert result.rejections[0].check == "readable"
    assert "fine" in result.rejections[0].reason
    assert len(calls) == 1


def test_the_reference_can_be_hidden_from_the_diagnosis():
    _, calls = taught(LearnFromError(reference=False), [DIAGNOSIS, program("x = 1")])
    assert "worked 10" not in shown(calls[0])
    assert "(hidden)" in shown(calls[0])


def test_a_new_strategy_is_a_signature_handed_down():
    class InAnalogies(DiagnoseError):
        """Explain the error by an analogy."""

    class Analogy(Strategy):
        def __init__(self):
            super().__init__(Diagnose(InAnalogies), Write())

    result, calls = taught(Analogy(), [DIAGNOSIS, program("x = 1")])
    assert result.diagnosis.strategy == "Analogy"
    assert "Explain the error by an analogy." in calls[0]["messages"][0]["content"]


class AndOthers(DiagnoseError):
    """Name what several errors have in common."""

    failures: str = dspy.InputField()


class WriteForSeveral(WriteProgram):
    """Write one program for several errors."""

    failures: str = dspy.InputField()


class Pairs(Strategy):
    def __init__(self):
        super().__init__(Diagnose(AndOthers), Write(WriteForSeveral))

    def groups(self, failures):
        return [tuple(failures[i : i + 2]) for i in range(0, len(failures), 2)]


def test_several_failures_share_a_diagnosis_and_a_program_that_claims_those_it_names():
    other = Failure(attempt=attempt("Bea has 2 bags of 9 nuts and loses 1.", "17", "19", False))
    third = Failure(attempt=attempt("Cal has 2 bags of 8 nuts and loses 1.", "15", "17", False))
    lm = DummyLM([DIAGNOSIS, program(f"ANCHORS = {{'{FAILURE.id}': {{}}, '{third.id}': {{}}}}")])
    with instructed_by(lm):
        result = Pairs()(failures=(FAILURE, other, third), brief="sums", prove=lambda program: None)
    assert result.failure_ids == result.diagnosis.failure_ids == (FAILURE.id, other.id, third.id)
    assert result.program.anchors == (FAILURE.id, third.id)
    for entry in lm.history:
        assert f"2. id {other.id}\nQuestion: Bea has 2 bags of 9 nuts and loses 1.\nReference: worked 17" in shown(entry)


def test_what_a_program_of_several_failures_does_not_claim_is_taught_alone(tmp_path):
    class FirstOfEach(Pairs):
        def forward(self, failures, brief, prove):
            ids = tuple(failure.id for failure in failures)
            made = SampleProgram(diagnosis_id="d", source="", anchors=ids[:1]) if len(ids) > 1 else None
            refused = () if made else (Rejection(of="d", kind="diagnosis", check="ambiguous", reason=""),)
            return TeachingResult(failure_ids=ids, diagnosis=None, program=made, rejections=refused)

    config = load_config(overrides={"errors": "all", "items.train": 4})
    with Cycle(config, tmp_path / "run", lambda line: None) as loop:
        loop.strategy = FirstOfEach()
        mine(loop, 1)
        a, b, c, d = (failure.id for failure in mined(loop, 1).failures)
        teach(loop, 1)
        rows = layout.taught(loop.path, 1)
        assert [row.failure_ids for row in rows] == [(a, b), (c, d), (b,), (d,)]
        assert layout.refusals(rows) == {"ambiguous": 2}
        teach(loop, 1)
        assert layout.taught(loop.path, 1) == rows


@pytest.mark.parametrize("verdict", ["", "ambiguous"])
def test_errors_together_without_an_error_told_of_them_are_diagnosed_alone(tmp_path, verdict):
    class Unread(Pairs):
        def forward(self, failures, brief, prove):
            ids = tuple(failure.id for failure in failures)
            said = "error" if len(ids) == 1 else verdict
            diagnosis = Diagnosis(failure_ids=ids, strategy="Unread", **DIAGNOSIS | {"verdict": said}) if said else None
            return TeachingResult(failure_ids=ids, diagnosis=diagnosis, program=None)

    with Cycle(load_config(overrides={"errors": "all", "items.train": 2}), tmp_path / "run", lambda line: None) as loop:
        loop.strategy = Unread()
        mine(loop, 1)
        diagnose(loop, 1)
        a, b = (failure.id for failure in mined(loop, 1).failures)
        rows = layout.diagnosed(loop.path, 1)
    assert [row.failure_ids for row in rows if row.diagnosis and row.diagnosis.verdict == "error"] == [(a,), (b,)]


def test_instructed_by_is_undone():
    with instructed_by(DummyLM([])):
        pass
    assert dspy.settings.lm is None
