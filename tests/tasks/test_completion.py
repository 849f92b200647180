"""What is trained on is what the golds show, and what the task's own verdict takes; an answer that no gold is written like is told of."""

import json

import pytest
import yaml
from pydantic import ValidationError

from errata.programs.cycle import unteachable
from errata.tasks import load_task
from errata.tasks.answers.shapes import Shapes
from errata.tasks.settings import TableSettings

TEXTS, NUMBERS, WORKED = ["Rome", "Paris", "New York"], ["7", "1,200", "-3.5"], ["3 + 4 = 7\n#### 7", "#### 8", "#### 9"]


@pytest.fixture
def table(tmp_path):
    def made(golds, solution="", **settings):
        rows = [{"question": f"What is {place}?", "answer": gold, "worked": solution} for place, gold in enumerate(golds)]
        (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
        return load_task(f"jsonl:{tmp_path}/train.jsonl", TableSettings(solution="worked", **settings))

    return made


@pytest.mark.parametrize(
    ("golds", "settings", "both", "alone"),
    [
        (TEXTS, {}, "Answer: Rome", "Answer: Rome"),
        (TEXTS, {"ask": "One word."}, "Rome", "Rome"),
        (TEXTS, {"system": "You know capitals."}, "Rome", "Rome"),
        (TEXTS, {"solution": "As I see."}, "It is so.\nAnswer: Rome", "Answer: Rome"),
        (TEXTS, {"solution": "As I see.", "ask": "One word."}, "It is so.\nAnswer: Rome", "Answer: Rome"),
        (TEXTS, {"verdict": "contains"}, "Rome", "Rome"),
        (NUMBERS, {}, "It is so.\nAnswer: 7", "Answer: 7"),
        (NUMBERS, {"verdict": "number"}, "It is so.\n#### 7", "#### 7"),
        (NUMBERS, {"verdict": "number", "ask": "A number alone."}, "7", "7"),
        (WORKED, {"verdict": "number", "ask": "A number at the end."}, "It is so.\n#### 7", "#### 7"),
        (TEXTS, {"completion": "{solution}\nAnswer: {answer}!"}, "It is so.\nAnswer: Rome!", "Answer: Rome!"),
        (TEXTS, {"completion": '{{"why": "{solution}", "answer": "{answer}"}}'}, '{"why": "It is so.", "answer": "Rome"}',
         '{"why": "", "answer": "Rome"}'),
        (NUMBERS, {"verdict": "number", "completion": "{answer}"}, "7", "7"),
        (NUMBERS, {"verdict": "number", "completion": "{solution}\nA: {answer}"}, "It is so.\nA: 7", "A: 7"),
    ],
)  # fmt: skip
def test_a_solution_is_trained_on_where_references_show_theirs_or_the_config_says_so(table, golds, settings, both, alone):
    task = table(golds, **settings)
    item = task.examples("train")[0]
    assert (task.completion("It is so.", item.answer), task.completion("", item.answer)) == (both, alone)
    assert task.verdict(item, both).correct and task.verdict(item, alone).correct
    assert unteachable(task, task.examples("train")) is None


def test_a_solution_that_ends_in_the_answers_form_does_not_end_in_it_twice(table):
    task = table(NUMBERS, verdict="number", completion="{solution}\n#### {answer}")
    assert task.completion("3 + 4 = 7\n#### 7\n", "7") == "3 + 4 = 7\n#### 7"


@pytest.mark.parametrize("text", ["{solution}", "Rome", "{answer", "{answer!r}", "{answer:>9}", "{answer} {topic}", "{answer} {}", "{0}"])
def test_a_template_that_cannot_be_filled_in_is_refused(text):
    with pytest.raises(ValidationError, match="stands for a brace"):
        TableSettings(completion=text)


def test_a_template_that_the_verdict_does_not_take_is_refused_before_anything_is_asked(table):
    task = table(TEXTS, completion="{answer}, I am sure")
    assert "'Rome, I am sure', to the gold 'Rome', is found wrong; mend table.completion" in unteachable(task, task.examples("train"))


def test_a_metric_that_wants_other_columns_is_refused_before_anything_is_asked(table, tmp_path, monkeypatch):
    (tmp_path / "near.py").write_text("def near(gold, given):\n    return given.answer == gold.answer and gold.worked is not None\n")
    task = table(TEXTS, verdict=f"{tmp_path}/near.py:near")
    assert task.verdict(task.examples("train")[0], "Rome").correct
    assert "its verdict must judge by question and answer alone" in unteachable(task, task.examples("train"))


def test_the_instructor_is_told_the_form_that_is_trained_on(table):
    assert 'last line of a response is "Answer: "' in table(TEXTS).brief
    told = "Questions with a short answer. The response is the answer alone.\nBehind each question the model reads:\nOne word."
    assert table(TEXTS, ask="One word.").brief == told
    assert "A response has this form: {solution}\nSo {answer}." in table(TEXTS, completion="{solution}\nSo {answer}.").brief


def test_that_the_answer_alone_is_trained_on_is_told_with_the_setting_that_says_otherwise(table):
    form = table(TEXTS, ask="One word.").form
    assert form.taken == "no train row has a solution, so the answer alone is trained on, e.g. 'Rome'"
    assert table(TEXTS, **yaml.safe_load(form.setting.removeprefix("table."))).completion("It is so.", "Rome") == "It is so.\nAnswer: Rome"
    assert "'Answer: Rome'" in table(TEXTS).form.taken
    told = [table(TEXTS, solution="As I see."), table(NUMBERS), table(TEXTS, completion="{answer}")]
    assert [task.form.taken for task in told] == ["", "", ""]


def test_a_column_that_is_named_and_in_no_row_is_told(tmp_path):
    def taken(**settings):
        rows = [
            {"question": f"What is {place}?", "answer": gold, **({"topic": "a"} if place == 1 else {})} for place, gold in enumerate(TEXTS)
        ]
        (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
        return load_task(f"jsonl:{tmp_path}/train.jsonl", TableSettings(**settings)).form.taken

    usual = taken()
    why, skill = "no row has a column 'why', which table.solution names", "no row has a column 'skill', which table.skill names"
    assert taken(solution="why", skill="skill") == f"{why}; {skill}; {usual}"
    assert taken(skill="topic") == usual


UNITS = ["5 km", "1,200 m", "-2.5 km", "300 m"]
NAMES = [f"{chr(65 + place // 26)}{'bcdefghijklmnopqrstuvwxyza'[place % 26]}an" for place in range(100)]


@pytest.mark.parametrize(
    ("golds", "fine", "odd"),
    [
        (UNITS * 10, ["7 km", "0.5 m", "+3 m"], ["7 kilometres per hour, about", "7 Km", "7", "7km", "km", "7 mi", "7 km."]),
        (NUMBERS * 10, ["9", "0.25", "1,000,000"], ["$9", "9 apples", "nine", "1/2"]),
        (["yes", "no"] * 10, ["yes"], ["Yes", "no.", "perhaps"]),
        (NAMES, ["Wien"], ["wien", "WIEN", "New York", "Wien!", "7"]),
        (["12:30", "7:05"] * 10, ["8:15"], ["8", "8:15 am"]),
    ],
)
def test_an_answer_that_no_gold_is_written_like_is_told_of_with_golds(golds, fine, odd):
    shapes = Shapes(golds)
    assert [answer for answer in fine if shapes.fault(answer)] == []
    assert [answer for answer in odd if not shapes.fault(answer)] == []
    assert repr(golds[0]) in shapes.fault(odd[0])


@pytest.mark.parametrize("golds", [[], UNITS, [*UNITS * 10, "about 5 km"], [f"{'x ' * place}x" for place in range(30)] * 2])
def test_nothing_is_said_of_few_golds_or_of_golds_in_many_shapes(golds):
    shapes = Shapes(golds)
    assert [shapes.fault(answer) for answer in ("7 km", "something else, entirely", "")] == ["", "", ""]
