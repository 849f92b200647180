"""Diagnoses of word problems, and the `wrong` of a program, which follows the response's own chain."""

from fractions import Fraction

import pytest
from word_problems import LEFT, WRONG, drawn, program

from errata.programs.instructor.offline.word_problems.diagnose import boundary, diagnose
from errata.programs.instructor.offline.word_problems.kit import show
from errata.tasks.verdicts import number


@pytest.mark.parametrize(("response", "kind"), WRONG)
def test_the_first_departure_is_named(response: str, kind: str) -> None:
    found = diagnose(*LEFT, response)
    assert found.verdict == "error"
    assert kind in found.misconception
    assert found.skill == "multiply, then add, then subtract"


@pytest.mark.parametrize("response", [response for response, _ in WRONG] + ["It is 12 + 2 + 5 - 4 = 15.\n#### 15"])
def test_wrong_gives_the_very_answer_of_the_model_and_never_the_right_one(response: str) -> None:
    space = program(LEFT, response)
    assert space["wrong"](**space["ANCHORS"]["e1"]) == show(number.extract(response) or Fraction(0))
    for row in drawn(space):
        assert space["wrong"](**row) != space["make"](**row)["answer"]


@pytest.mark.parametrize("response", ["", "I do not know", "#### 7"])
def test_an_unexplained_answer_carries_no_wrong(response: str) -> None:
    assert "wrong" not in program(LEFT, response)


def test_a_false_reference_is_the_items_fault() -> None:
    assert diagnose(LEFT[0], LEFT[1].replace("2*5=10>>10", "2*5=15>>15"), "#### 3").verdict == "reference_wrong"


def test_missing_steps_and_missing_answers_are_told_apart() -> None:
    assert "no answer" in diagnose(*LEFT, "").misconception
    assert "No answer can be read" in diagnose(*LEFT, "Well, apples.").misconception
    assert "without showing a step" in diagnose(*LEFT, "#### 9").misconception


def test_the_boundary_names_the_operation_that_the_solved_lack() -> None:
    solved = "Question: 3 and 4?\nResponse: 3+4=<<3+4=7>>7\n#### 7"
    assert boundary(*LEFT, solved) == "It solves chains without a step to multiply or to subtract; this one needs it."
