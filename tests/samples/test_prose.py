"""Prose from errors to rows: a whole `errata generate` on examples/helpdesk, where one server writes, solves and judges."""

import json
from collections import Counter

import pytest
from loopback import generated
from samples import lessons_prose as lessons

from errata.programs.run.ledger import read_ledger
from errata.programs.steps.agree import PROSE


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return generated("examples/helpdesk.yaml", lessons.LESSONS, tmp_path_factory.mktemp("prose"), other=lessons.other)


def test_each_check_refuses_its_program_and_two_pass(made):
    assert made.code == 0, made.output
    assert sorted(check for check, _ in made.refusals) == sorted(lessons.CHECKS)
    reasons = dict(made.refusals)
    assert "repeats its question" in reasons["runs"]
    assert "which the judge of the task does not pass, wrong: It says yes 9 euros, the reference yes 18 euros." in reasons["anchored"]
    assert "which the judge of the task passes" in reasons["telling"]
    assert all(result.program for result in made.taught)
    (doubted,) = [row for row in made.dropped if row.kind == "program"]
    assert (doubted.check, doubted.reason) == ("agreed", f"independent solves came to 0 of {PROSE} of its asserted answers")
    assert doubted.of == next(result.program.id for result in made.taught if "cancelling" in result.program.source)


def test_rows_are_right_and_in_the_users_form(made):
    assert len(made.samples) == 40
    assert {sample.asserted for sample in made.samples} == {True}
    confirmed = Counter(sample.program_id for sample in made.samples if sample.agreed)
    assert set(confirmed.values()) == {PROSE} and len(confirmed) == 2
    for (question, answer), sample in zip(made.texts, made.samples, strict=True):
        assert (sample.example.kind, question, answer) == ("prose", sample.example.question, sample.example.answer)
        assert lessons.decides(answer) == lessons.decides(lessons.solve(question))
        assert sample.wrong is None or lessons.decides(sample.wrong) != lessons.decides(answer)
    system = {row.prompt[0]["role"]: row.prompt[0]["content"] for row in made.rows.values()}
    assert system["system"].startswith("You answer the customers of Brightside Tools")


def test_the_instructor_is_told_the_rubric_and_what_the_judge_says_of_the_error(made):
    first = next(fields for fields in made.asked if "contract" in fields)
    assert "A language model judges the response by this rubric: The reply says what holds for this customer" in first["task"]
    assert "The judge says of the response: wrong: It says" in first["reference"]
    judged = [fields for fields in made.asked if "rubric" in fields]
    assert all("Brightside Tools" in fields["question"] for fields in judged)


def test_judging_is_bounded_and_counted_apart(made):
    """Three errors, their drafts at the anchor and their wrong answers, and six rows of each program; nothing a draw."""
    stages = read_ledger(made.path)["stages"]
    assert stages["judge"]["calls"] == sum("rubric" in fields for fields in made.asked) <= 3 + 2 * 7 + 3 * PROSE + 8
    assert stages["round-1/assemble"]["calls"] == 3 * PROSE
    assert json.loads((made.path / "run.json").read_text())["config"]["judge"]["twice"] == 0.1
