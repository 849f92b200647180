"""Short texts, taught from errors to rows: on the units of examples/units, under a metric of the user's own."""

import importlib.util
import json
import re

import pytest
from loopback import ROOT, generated
from samples.lessons_text import LESSONS, REFUSED
from typer.testing import CliRunner

from errata.cli import app
from errata.programs.run import layout
from errata.programs.steps.lessons import hint
from errata.programs.steps.pairs import imagined
from errata.signatures.records import Attempt, Failure, LibraryProgram, Sample, SampleProgram, Verdict
from errata.signatures.teach import contract
from errata.tasks import load_task
from errata.tasks.settings import TableSettings

SPEC = importlib.util.spec_from_file_location("same", ROOT / "examples/units/same.py")
SAME = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(SAME)
ASK = "\nAnswer with the number and its unit alone, e.g. 2.5 km."


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return generated("examples/units.yaml", LESSONS, tmp_path_factory.mktemp("units"), {"generate.repairs": len(REFUSED)})


def test_a_program_that_breaks_a_check_is_refused_by_it_and_the_repaired_ones_make_rows(made):
    assert made.code == 0, made.output
    assert made.told["programs"] == {"accepted": 2, "proven": 2, "refused": {}, "reasons": {}}
    assert [check for check, _ in made.refusals] == list(REFUSED)
    said = dict(made.refusals)
    assert re.search(r"the answer 'about [\d.,]+ kg' is not judged right for itself: 'about [\d.,]+ kg' is read \(wrong\)", said["runs"])
    assert "but the gold answer is '1.05 kg'" in said["anchored"]
    assert "no gold answer is written like it; they are written like '" in said["formed"]
    assert "but the model answered '2,946 g'" in said["telling"]
    complaints = [fields["complaint"].partition(":")[0] for fields in made.asked if "complaint" in fields]
    assert complaints == list(REFUSED)


def test_rows_are_the_amount_alone_right_by_the_metric_and_written_as_golds_are(made):
    assert len(made.samples) == len(made.texts) == 40
    assert len({sample.program_id for sample in made.samples}) == 2
    for sample, (asked, answer) in zip(made.samples, made.texts, strict=True):
        assert sample.example.kind == "text"
        assert asked == sample.example.question + ASK
        assert answer == sample.example.answer
        assert re.fullmatch(r"[\d,]+(\.\d+)? (kg|h|min)", answer)
        (_, one), (dimension, other) = map(SAME.amount, re.findall(r"[\d.,]+ (?:kg|g|h|min)\b", sample.example.question))
        right = min(one, other) if dimension == "time" else abs(one - other)
        assert SAME.amount(answer) == (dimension, right)
        assert sample.wrong is None or SAME.amount(sample.wrong) != SAME.amount(answer)


def test_the_contract_of_texts_speaks_of_no_calculations():
    rules = contract("text", example=False)
    assert not re.search(r"calculat|a \* b|whole people|bare number", rules)


def test_the_instructor_sees_the_form_and_the_gold_as_it_stands(made):
    shown = next(fields for fields in made.asked if "failure_id" in fields and "rice" in fields["question"])
    asked = "Behind each question the model reads:\nAnswer with the number and its unit alone, e.g. 2.5 km."
    assert shown["task"] == f"Questions with a short answer. The response is the answer alone.\n{asked}"
    assert (shown["reference"], shown["response"]) == ("1.05 kg", "2,946 g")


NUMBER = contract("number").partition("Example, for")[2].partition(":\n\n")[2]


@pytest.fixture
def letters(tmp_path):
    """A task of texts without references, and one with them."""
    rows = [
        {"question": f"Join the last letters of {word} and pie.", "answer": f"{word[-1]}e", "why": "See."} for word in ("green", "apple")
    ]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    name = f"jsonl:{tmp_path}/train.jsonl"
    return load_task(name, TableSettings(ask="Letters alone.")), load_task(name, TableSettings(solution="why"))


def test_what_the_misconception_answers_is_a_rejected_side_where_answers_stand_alone(letters):
    bare, worked = letters
    item = bare.examples("train")[0].model_copy(update={"solution": "green ends in n."})
    sample = Sample(program_id="p", seed=0, index=0, level=3, example=item, wrong="gp")
    assert imagined(bare, sample) == "gp"
    assert imagined(worked, sample) == ""  # a bare answer beside a worked one
    assert imagined(worked, sample.model_copy(update={"wrong_solution": "green begins with g."})) == "green begins with g.\nAnswer: gp"


@pytest.mark.parametrize(
    ("solution", "told"),
    [("green ends in n.\npie ends in e.", "green ends in n."), ("That is ne.\nSo it is.", None), ("Answer: ne", None), ("", None)],
)
def test_a_hint_is_the_first_step_that_does_not_tell_the_answer(letters, solution, told):
    item = letters[1].examples("train")[0].model_copy(update={"solution": solution})
    assert hint(letters[1], Sample(program_id="p", seed=0, index=0, level=3, example=item)) == told


def test_programs_for_numbers_of_a_task_of_texts_are_proven_again_as_before(tmp_path):
    asked = "Ann has 3 bags of 4 apples and eats 2. How many are left?"
    for split in ("train", "dev", "test"):
        rows = [{"question": f"{asked} ({split})", "answer": "10"}, {"question": f"How many of {split} are left?", "answer": "about 3"}]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    item = load_task(f"jsonl:{tmp_path}").examples("train")[0]
    assert item.kind == "text"
    error = Attempt(
        example=item.model_copy(update={"kind": "number"}), response="14", verdict=Verdict(correct=False, extracted="14", reason="wrong")
    )
    name = Failure(attempt=error).id
    program = SampleProgram(diagnosis_id="d", source=NUMBER.replace('"e1"', f'"{name}"'), anchors=(name,), task=item.task)
    (tmp_path / "programs.jsonl").write_text(LibraryProgram(program=program, errors=(error,)).model_dump_json() + "\n")
    flags = ["--task", f"jsonl:{tmp_path}", "--library", str(tmp_path / "programs.jsonl"), "--as-errors", "--run", str(tmp_path / "run")]
    done = CliRunner().invoke(app, ["generate", "-q", *flags, "--set", "generate.phrasings=1"])
    assert done.exit_code == 0, done.output
    assert {row.example.kind for row in layout.samples(tmp_path / "run", 1)} == {"number"}
