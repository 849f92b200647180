"""Short texts, taught from errors to rows: on the units of examples/units, under a metric of the user's own."""

import importlib.util
import re

import pytest
from loopback import ROOT, generated
from samples.lessons_text import LESSONS, REFUSED

from errata.signatures.teach import contract

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
    assert shown["task"] == "Questions with a short answer. The response is the answer alone."
    assert (shown["reference"], shown["response"]) == ("1.05 kg", "2,946 g")
