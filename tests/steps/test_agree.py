"""Asserted answers: rows that independent solves do not confirm are dropped, and programs that they mostly contradict."""

import json

from dspy.utils import DummyLM
from problems import drawn

from errata.programs.config import GenerateSettings
from errata.programs.steps.agree import Agreed
from errata.tasks import load_task


def fact(index, answer="A", program_id="p", asserted=True):
    choices = {"A": f"one {index}", "B": f"two {index}"}
    more = {"choices": choices, "asserted": asserted}
    return drawn(index, program_id, question=f"Which {index}?", answer=answer, **more)


def solved(samples, answers, solves=1):
    """What passes, what is refused, after solves by an LM that gives `answers` call by call, and the questions it was asked."""
    lm = DummyLM([{"reasoning": "r", "answers": json.dumps(row)} for row in answers])
    settings = GenerateSettings(solves=solves, agreed=0.5)
    after = Agreed(load_task("mmlu", items=False), settings, 0, 1, lambda: lm, lambda line: None)(samples)
    return *after, [entry["messages"][-1]["content"] for entry in lm.history]


def test_asserted_rows_are_kept_only_where_an_independent_solve_agrees_and_never_sees_the_answer():
    samples = [fact(0), fact(1, asserted=False), fact(2, "B")]
    kept, refused, asked = solved(samples, [["A", "A"]])
    assert [(row.index, row.asserted, row.agreed) for row in kept] == [(0, True, True), (1, False, False)]
    assert [(row.of, row.kind, row.check) for row in refused] == [(samples[2].id, "sample", "agreed")]
    assert "it is A, not B" in refused[0].reason
    assert "Which 0?\nA. one 0\nB. two 0" in asked[0]
    assert "Which 1?" not in asked[0]
    assert "Answer" not in asked[0].partition("[[ ## questions ## ]]")[2].partition("Respond")[0]


def test_most_solves_decide_and_answers_of_another_number_than_the_questions_count_as_none():
    kept, refused, asked = solved([fact(0), fact(1)], [["A", "A"], ["A", "B"], ["B"]], solves=3)
    assert len(asked) == 3
    assert len(kept) == 1
    assert "(nothing readable), A, B" in refused[0].reason


def test_a_program_that_the_solves_mostly_contradict_gives_no_row():
    samples = [fact(0, "A", "bad"), *(fact(index, "B", "bad") for index in (1, 2, 3)), fact(9, "A", "good")]
    kept, refused, _ = solved(samples, [["A"] * 5])
    assert [row.program_id for row in kept] == ["good"]
    assert [(row.of, row.reason) for row in refused if row.kind == "program"] == [
        ("bad", "independent solves came to 1 of 4 of its asserted answers")
    ]
    assert len([row for row in refused if row.kind == "sample"]) == 4


def test_a_reply_that_cannot_be_read_costs_its_rows_and_speaks_against_no_program():
    samples = [fact(index) for index in range(8)]
    kept, refused, _ = solved(samples, [["A"] * 7])
    assert (kept, {row.kind for row in refused}, len(refused)) == ([], {"sample"}, 8)
    kept, refused, _ = solved([*samples[:3], *(fact(index, "B") for index in range(3, 8))], [["A"] * 7, ["A"] * 8], solves=2)
    assert not kept and {row.kind for row in refused} == {"sample"}


def test_questions_of_two_tasks_are_not_solved_under_one_brief():
    rows = [fact(n, program_id=task) for task in ("facts", "facts_plus") for n in (0, 1)]
    samples = [row.model_copy(update={"example": row.example.model_copy(update={"task": row.program_id})}) for row in rows]
    lm = DummyLM([{"reasoning": "r", "answers": json.dumps(["A", "A"])}] * 2)
    Agreed(load_task("facts+facts_plus"), GenerateSettings(), 0, 1, lambda: lm, lambda line: None)(samples)
    assert len(lm.history) == 2


def test_a_program_that_the_solves_contradict_later_gives_no_further_row():
    lm = DummyLM([{"reasoning": "r", "answers": json.dumps(row)} for row in (["A"] * 2, ["A"] * 4, ["A"] * 2)])
    check = Agreed(load_task("mmlu", items=False), GenerateSettings(agreed=0.5), 0, 1, lambda: lm, lambda line: None)
    kept, refused = check([fact(0, "A", "bad"), fact(1, "B", "bad")])
    assert ([row.index for row in kept], len(refused)) == ([0], 1)
    kept, refused = check([fact(index, "B", "bad") for index in (2, 3)] + [fact(index, "A", "good") for index in (8, 9)])
    assert [row.index for row in kept] == [8, 9]
    assert [row.of for row in refused if row.kind == "program"] == ["bad"]
    assert check([fact(4, "A", "bad"), fact(5, "A", "good")])[0][0].program_id == "good"
