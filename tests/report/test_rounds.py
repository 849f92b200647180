"""What is told of a round's rows: how many phrasings its programs use, whether one of them holds most rows, and
that nothing was made."""

from problems import drawn

from errata.programs.report.figures import phrased as told
from errata.programs.report.records import Phrased
from errata.programs.report.rounds import nothing_made, phrased
from errata.programs.run import layout

OWN = [
    "Ann has {} pens and loses 1. How many are left?",
    "How many pens are left if Ann has {} and loses 1?",
    "Snow is cold. Ann has {}. Why?",
]


def rows(program: str, texts: list[str], count: int):
    return [drawn(index, program, question=texts[index % len(texts)].format(index)) for index in range(count)]


def test_rows_are_counted_by_phrasing_within_their_program_and_over_all() -> None:
    found = phrased([*rows("a", OWN, 6), *rows("b", OWN[:1], 6)])
    assert found == {"programs": 2, "ways": 2.0, "own": 8 / 12, "most": 8 / 12, "example": "Ann has 0 pens and loses 1. How many are left?"}


def test_one_phrasing_that_holds_more_than_half_of_the_rows_is_named() -> None:
    few, many = (Phrased(**(phrased(rows("a", texts, 6)) or {})) for texts in (OWN[:1], OWN))
    assert "one phrasing holds more than half of the rows" in told(few) and "Ann has 0 pens and loses 1. How many are left?" in told(few)
    assert told(many).startswith("3 phrasings a program (median of 1); 33 % of the rows") and "more than half" not in told(many)


def test_options_and_examples_of_a_question_are_no_phrasing() -> None:
    found = phrased([drawn(0, "a", question="Which is red?", choices={"A": "If so.", "B": "Why?"}, answer="A"),
                     drawn(1, "a", question="Which is blue?", choices={"A": "No.", "B": "How many?"}, answer="A")])  # fmt: skip
    assert found and found["ways"] == 1


def test_where_no_row_came_of_a_program_nothing_is_said() -> None:
    assert phrased([]) is None


def test_a_round_that_trained_without_a_program_made_something(tmp_path) -> None:
    teach, assemble = (layout.step(tmp_path, 1, name) for name in ("teach", "assemble"))
    teach.finish({layout.TAUGHT: []}, failures=0, programs=0)
    assemble.finish({}, samples=0, replay=0)
    assert nothing_made(tmp_path).startswith("nothing was made to train on: there was no error to teach from; the reasons are in ")
    (trained := layout.training(tmp_path, 1, 0) / "manifest.json").parent.mkdir(parents=True)
    trained.write_text("{}")  # grpo on train items, say
    assert nothing_made(tmp_path) == ""
