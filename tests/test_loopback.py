"""What the tests' loopback instructor promises to the tests that use it."""

import json

import pytest
from loopback import Lesson, generated

from errata.signatures.teach import contract

ASKED = "Ann has 3 bags of 4 apples and eats 2. How many are left?"
SHOWN = contract("number").partition("Example, for")[2].partition(":\n\n")[2]


@pytest.fixture
def config(tmp_path):
    for split, question in {"train": ASKED, "dev": "What is 2 + 3?", "test": "What is 4 + 5?"}.items():
        (tmp_path / f"{split}.jsonl").write_text(json.dumps({"question": question, "answer": "10"}))
    return {"task": f"jsonl:{tmp_path}", "table": {"verdict": "number"}}


def test_an_error_goes_through_diagnosis_refusal_and_repair_to_rows(config, tmp_path):
    lesson = Lesson(ASKED, "3 * 4 + 2 = 14\n#### 14", (SHOWN.replace("(total - eaten)", "(total)"), SHOWN))
    made = generated(config, [lesson], tmp_path / "made")
    assert (made.code, made.told["programs"]["proven"], len(made.samples)) == (0, 1, 40)
    ((check, reason),) = made.refusals
    assert check == "anchored" and "answers '12', but the gold answer is '10'" in reason
    assert [fields.get("complaint", "") != "" for fields in made.asked] == [False, False, True]
    assert all(
        completion.endswith(f"#### {sample.example.answer}") for sample, (_, completion) in zip(made.samples, made.texts, strict=True)
    )


def test_a_wrong_that_is_not_what_the_target_answered_is_refused(config, tmp_path):
    made = generated(config, [Lesson(ASKED, "#### 13", (SHOWN,))], tmp_path / "made")
    assert made.code == 1 and made.samples == []
    assert [check for check, _ in made.refusals] == ["telling", "instructor"]
