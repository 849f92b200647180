"""Strategies over a scripted instructor: what it is shown, what is asked again, and what is kept of answers that are no use."""

import json
import re
from pathlib import Path

import dspy
import pytest
from dspy.utils import DummyLM

from errata.programs import Cycle, LearnFromContrast, LearnFromError, Strategy, load_config, with_contrasts
from errata.programs.config import CycleConfig, GenerateSettings
from errata.programs.instructor.chat import instructed_by
from errata.programs.instructor.offline import offline_lm
from errata.programs.run import layout
from errata.programs.run.summary import refusals
from errata.programs.samples.checks import prove
from errata.programs.samples.draw import draw_rows, draws
from errata.programs.steps.mine import mine, mined
from errata.programs.steps.teach import teach
from errata.programs.strategies.diagnose import Diagnose
from errata.programs.strategies.named import load_strategy
from errata.programs.strategies.rehearse import Shown, prompts
from errata.programs.strategies.state import pinned
from errata.programs.strategies.write import Write
from errata.sandbox import Limits
from errata.signatures.errors import RunError, UsageError
from errata.signatures.records import Attempt, Example, Failure, Rejection, SampleProgram, TeachingResult, Verdict
from errata.signatures.teach import DiagnoseError, WriteProgram
from errata.tasks import load_task


def attempt(question, answer, response, correct):
    example = Example(task="sums", split="train", question=question, answer=answer, solution=f"worked {answer}")
    return Attempt(example=example, response=response, verdict=Verdict(correct=correct, extracted=response, reason=""))


FAILURE = Failure(attempt=attempt("Ann has 3 bags of 4 pens and loses 2.", "10", "14", False))
SOLVED = [
    attempt("Ann has 5 bags of 6 pens.", "30", "30 it is", True),
    attempt("A train leaves at noon and arrives at five.", "5", "5", True),
    attempt("Bob has 7 bags of 2 pens and loses 1.", "13", "13 it is", True),
]
DIAGNOSIS = {"verdict": "error", "skill": "loss after a product", "misconception": "adds", "evidence": "14", "teach": "vary the loss"}


def program(text, refusal=""):
    return {"refusal": refusal, "program": f"```python\n{text}\n```" if text else ""}


def taught(strategy, answers, prove=lambda program: None, failure=FAILURE):
    lm = DummyLM(answers)
    with instructed_by(lm):
        result = strategy(failures=(failure,), brief="sums", prove=prove)
    return result, lm.history


def shown(entry):
    return entry["messages"][-1]["content"]


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


def test_contrast_shows_the_nearest_solved_questions_and_keeps_the_boundary():
    failure = with_contrasts([FAILURE], SOLVED, 2)[0]
    assert [row.example.answer for row in failure.contrasts] == ["13", "30"]
    strategy = LearnFromContrast(contrasts=2)
    answers = [DIAGNOSIS | {"boundary": "products yes, losses no"}, program("x = 1")]
    result, calls = taught(strategy, answers, failure=failure)
    assert "13 it is" in shown(calls[0])
    assert "A train leaves" not in shown(calls[0])
    assert result.diagnosis.boundary == "products yes, losses no"
    assert "products yes, losses no" in shown(calls[1])


def test_the_embedded_instructors_program_runs_from_the_solved_side_to_the_failed_one(sandbox):
    task = load_task("sums")
    items = task.examples("train", 60, seed=3)
    failed, near = (next(item for item in items if item.skill == skill) for skill in ("packs_left_share", "packs_plus"))
    failure = Failure(attempt=Attempt(example=failed, response="#### 1", verdict=task.verdict(failed, "#### 1")))
    solved = Attempt(example=near, response=near.solution, verdict=task.verdict(near, near.solution))
    failure = failure.model_copy(update={"contrasts": (solved,)})
    with instructed_by(offline_lm()):
        made = LearnFromContrast()(
            failures=(failure,), brief=task.brief, prove=lambda program: prove(program, [failure], task, sandbox, Limits())
        )
    assert made.program and made.rejections == ()
    rows = draw_rows(sandbox, Limits(), made.program, draws(0, (1, 2, 3, 4, 5), 0, 20))
    for row in rows:
        story = near if row.level < 3 else failed
        assert re.sub(r"\d+", "0", row.question) == re.sub(r"\d+", "0", story.question)


def test_contrast_works_with_fewer_solved_questions_than_asked_for_and_with_another_encoder():
    class Length:
        def encode(self, texts):
            return [[len(text), 1] for text in texts]

    assert with_contrasts([FAILURE], [], 3) == [FAILURE]
    assert len(with_contrasts([FAILURE], SOLVED[:1], 3)[0].contrasts) == 1
    assert len(with_contrasts([FAILURE], SOLVED, 2, Length())[0].contrasts) == 2


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
        assert refusals(rows) == {"ambiguous": 2}
        teach(loop, 1)
        assert layout.taught(loop.path, 1) == rows


def test_optimizers_find_every_predictor_and_state_is_plain_json(tmp_path):
    strategy = LearnFromContrast()
    assert {name for name, _ in strategy.named_predictors()} == {"diagnose.predict", "write.write", "write.repair"}
    strategy.diagnose.predict.signature = strategy.diagnose.predict.signature.with_instructions("Other words.")
    strategy.save(tmp_path / "state.json")
    other = LearnFromContrast()
    other.load(tmp_path / "state.json")
    assert other.diagnose.predict.signature.instructions == "Other words."


def test_an_unknown_strategy_is_a_usage_error():
    with pytest.raises(UsageError, match="there is no strategy 'Learn'"):
        load_strategy(GenerateSettings(strategy="Learn"))


MINE = """
from __future__ import annotations

from errata.programs import Diagnose, Strategy, Write
from errata.signatures.teach import DiagnoseError, WriteProgram

class InAnalogies(DiagnoseError):
    '''Explain the error by an analogy.'''

class Analogy(Strategy):
    def __init__(self, repairs=1):
        super().__init__(Diagnose(InAnalogies), Write(repairs=repairs), contrasts=2)

patient = Analogy(repairs=5)

class Picky(Analogy):
    def __init__(self, taste):
        super().__init__()
"""


def test_a_strategy_of_ones_own_is_named_by_file_and_name(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(MINE, encoding="utf-8")
    found = load_strategy(GenerateSettings(strategy=f"{file}:Analogy"))
    assert (type(found).__name__, found.contrasts, found.write.repairs) == ("Analogy", 2, 1)
    assert load_strategy(GenerateSettings(strategy=f"{file}:patient")).write.repairs == 5
    result, calls = taught(found, [DIAGNOSIS, program("x = 1")])
    assert result.diagnosis.strategy == "Analogy"
    assert "Explain the error by an analogy." in calls[0]["messages"][0]["content"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mine.py:Picky", "making one fails with TypeError: .*taste"),
        ("mine.py:Absent", "'Absent' is not there"),
        ("mine.py:InAnalogies", "'InAnalogies' is SignatureMeta"),
        ("mine.py:", "'' is not there"),
        ("none.py:Analogy", "there is no file .*none.py"),
        ("broken.py:Analogy", "broken.py fails with ModuleNotFoundError: No module named 'nowhere'"),
    ],
)
def test_a_strategy_that_cannot_be_used_is_told_in_one_line(tmp_path, name, said):
    (tmp_path / "mine.py").write_text(MINE, encoding="utf-8")
    (tmp_path / "broken.py").write_text("import nowhere\n", encoding="utf-8")
    with pytest.raises(UsageError, match=said) as caught:
        load_strategy(GenerateSettings(strategy=str(tmp_path / name)))
    assert "\n" not in str(caught.value)


def test_instructed_by_is_undone():
    with instructed_by(DummyLM([])):
        pass
    assert dspy.settings.lm is None


def test_a_saved_strategy_sends_the_same_prompts_with_its_instructions_and_demos(tmp_path):
    strategy = LearnFromError()
    strategy.diagnose.predict.signature = strategy.diagnose.predict.signature.with_instructions("Other words.")
    strategy.write.write.demos = [
        dspy.Example(augmented=True, question="q", refusal="", program=dspy.Code["python"](code="x = 1")),
        dspy.Example(augmented=True, question="q2", refusal="no", program=None),
    ]
    strategy.write.write.lm = dspy.LM("openai/mine", api_base="http://elsewhere", api_key="secret")
    strategy.save(tmp_path / "state.json")
    assert "elsewhere" not in (tmp_path / "state.json").read_text()
    strategy.write.write.lm = None
    loaded = load_strategy(GenerateSettings(state=str(tmp_path / "state.json")))
    before, after = (prompts(one, Shown(FAILURE, None), "sums") for one in (strategy, loaded))
    assert after == before
    assert "x = 1" in after[1].messages[2]["content"]


def test_a_state_that_0_1_0_saved_is_loaded_with_its_words_and_demonstrations():
    folder = Path(__file__).parent
    loaded = load_strategy(GenerateSettings(state=str(folder / "state_0_1_0_error.json")))
    diagnose, write, _ = prompts(loaded, Shown(FAILURE, None), "sums")
    assert "Say in one line where the response departs." in diagnose.messages[0]["content"]
    assert "Ann has 3 pens and buys 2." in write.messages[1]["content"]
    assert "ANCHORS = {}" in write.messages[2]["content"]
    mix = load_strategy(GenerateSettings(strategy="Mix", state=str(folder / "state_0_1_0_mix.json")))
    assert mix.members[1].write.repair.signature.instructions == "Mend what the complaint names."


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state["write.write"].update(lm={"model": "m", "api_base": "http://evil"}), "brings a model of its own"),
        (lambda state: state.pop("write.repair"), "holds diagnose.predict, write.write, but LearnFromError needs"),
        (lambda state: state["write.write"].update(forward="x"), "write.write is not a saved predictor"),
        (lambda state: state["write.write"]["signature"]["fields"].pop(), "has other fields than that of LearnFromError"),
        (lambda state: state["write.write"]["demos"].append({"weather": "fine"}), "has other fields than that of LearnFromError"),
    ],
)
def test_a_state_that_is_not_of_the_strategy_is_refused_in_one_line(tmp_path, change, said):
    path = tmp_path / "state.json"
    LearnFromError().save(path)
    state = json.loads(path.read_text())
    change(state)
    path.write_text(json.dumps(state))
    with pytest.raises(UsageError, match=said):
        load_strategy(GenerateSettings(state=str(path)))


@pytest.mark.parametrize(("text", "said"), [(None, "cannot be read"), ("{", "is not JSON"), ("[]", "must be a mapping")])
def test_a_file_that_is_no_state_is_a_usage_error(tmp_path, text, said):
    path = tmp_path / "state.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError, match=said):
        pinned(CycleConfig(generate=GenerateSettings(state=str(path))))


def test_a_run_is_not_continued_with_another_state_wherever_the_file_lies(tmp_path):
    def opened(path):
        config = load_config(overrides={"errors": "all", "items.train": 2, "generate.state": str(path)})
        return Cycle(config, tmp_path / "run", lambda line: None)

    strategy = LearnFromError()
    strategy.save(tmp_path / "state.json")
    with opened(tmp_path / "state.json") as loop:
        loop.run(until="mine")
    (tmp_path / "state.json").rename(tmp_path / "moved.json")
    with opened(tmp_path / "moved.json"):
        pass
    strategy.diagnose.predict.signature = strategy.diagnose.predict.signature.with_instructions("Other words.")
    strategy.save(tmp_path / "moved.json")
    with pytest.raises(RunError, match=r"was made with generate\.state_hash"), opened(tmp_path / "moved.json"):
        pass
