"""Cells of a table: options in every form that data sets have, golds of every type, and what can be read in two ways, which is refused."""

import json
import math
from datetime import date, datetime
from decimal import Decimal

import pyarrow
import pyarrow.parquet
import pytest

from errata.signatures.errors import TaskError
from errata.tasks import doctor, load_task
from errata.tasks.settings import TableSettings

NAN, INF = math.nan, math.inf


def loaded(tmp_path, row, **settings):
    file = tmp_path / "a.jsonl"
    file.write_text(json.dumps(row) + "\n", encoding="utf-8")
    return load_task(f"jsonl:{file}", TableSettings(**settings))


@pytest.mark.parametrize(
    ("choices", "answer", "label"),
    [
        (["x", "y"], 1, "B"),
        (["x", "y"], 1.0, "B"),
        (["x", "y"], "1", "B"),
        (["x", "y"], "1.0", "B"),
        (["x", "y"], "(B)", "B"),
        (["x", "y"], "B.", "B"),
        (["x", "y"], "b", "B"),
        (["x", "y"], "B) y", "B"),
        (["x", "y"], "Y", "B"),
        (["x", "y"], ["B"], "B"),
        (["x", "y", None, None], 1, "B"),
        (["x", "y", "", NAN, "nan"], 1, "B"),
        (["A) x", "B) y"], "B", "B"),
        (["A. x", "(B) y"], "y", "B"),
        ([["A", "x"], ["B", "y"]], "B", "B"),
        ([{"label": "A", "text": "x"}, {"label": "B", "text": "y"}], "B", "B"),
        ([{"key": "A", "value": "x"}, {"key": "B", "value": "y"}], "y", "B"),
        ([{"text": "x", "label": "A."}, {"text": "y", "label": "B."}, {"text": None, "label": "C."}], "B", "B"),
        ([{"A": "x"}, {"B": "y"}], "B", "B"),
        ([{"text": "x", "correct": False}, {"text": "y", "correct": True}], "B", "B"),
        ({"A": "x", "B": "y"}, "B", "B"),
        ({"A": "x", "B": "y", "C": None, "D": None}, "B", "B"),
        ({"text": ["x", "y"], "label": ["A", "B"]}, "B", "B"),
        ({"text": ["x", "y"]}, 1, "B"),
        ('["x", "y"]', "1", "B"),
        ('{"A": "x", "B": "y"}', "B", "B"),
        ('[{"label": "A", "text": "x"}, {"label": "B", "text": "y"}]', "B", "B"),
        ("['x', 'y']", "y", "B"),
        ("A) x\nB) y", "B", "B"),
        ("A: x\n\nB: y\n", "b", "B"),
        ("{'text': array(['x',\n       'y'], dtype=object), 'label': array(['A', 'B'], dtype=object)}", "B", "B"),
        ("array(['x', 'y'], dtype=object)", "y", "B"),
        ("['x', 'y', nan]", "1", "B"),
        ([{"A": "x", "B": "y"}], "B", "B"),
        (["x\n", "  y "], 1, "B"),
    ],
)
def test_options_of_every_usual_form_are_shown_as_lines_and_the_gold_is_one_of_them(tmp_path, choices, answer, label):
    task = loaded(tmp_path, {"question": "q", "choices": choices, "answer": answer}, verdict="choice", choices="choices")
    (example,) = task.examples("train")
    assert (example.question, example.answer) == ("q\nA. x\nB. y", label)
    assert doctor(task) == (1, [])


@pytest.mark.parametrize(
    ("choices", "answer", "shown", "label"),
    [
        ({"text": ["x", "y"], "label": ["1", "2"]}, 1, "1. x\n2. y", "1"),
        ({"1": "x", "2": "y"}, 2, "1. x\n2. y", "2"),
        ([{"id": "a", "content": "x"}, {"id": "b", "content": "y"}], "B", "a. x\nb. y", "b"),
        ([1, 2.5, 3.0], 2.5, "A. 1\nB. 2.5\nC. 3", "B"),
        ([True, False], False, "A. true\nB. false", "B"),
        (["3", "2", "1", "0"], 2, "A. 3\nB. 2\nC. 1\nD. 0", "C"),
        (["x", "x"], 1, "A. x\nB. x", "B"),
        ("1. x\n2. y", "1", "1. x\n2. y", "1"),
        (["1) x", "2) y"], 2, "1. x\n2. y", "2"),
        (["1.5", "2.5"], 1, "A. 1.5\nB. 2.5", "B"),
        (["1:30", "2:30"], "2:30", "A. 1:30\nB. 2:30", "B"),
    ],
)
def test_labels_of_the_data_win_and_a_number_is_an_index_among_texts(tmp_path, choices, answer, shown, label):
    (example,) = loaded(tmp_path, {"question": "q", "o": choices, "a": answer}, verdict="choice", choices="o", answer="a").examples("train")
    assert (example.question, example.answer) == (f"q\n{shown}", label)


@pytest.mark.parametrize(
    ("choices", "answer", "said"),
    [
        (["x", None, "y"], 1, "option 2 has no text"),
        (["x", "", "y"], 1, "option 2 has no text"),
        ([NAN, "x"], 0, "option 1 has no text"),
        ([["a", "b"], ["c"]], 0, "option 1 has no text"),
        ([["a", "b"], ["c", "d"]], 0, "option 1 has no text"),
        (["x", "y", {}], 0, "option 3 has no text"),
        ([{"a": 1, "b": 2}, {"a": 3, "b": 4}], 0, "give each as"),
        ([{"label": "A", "text": "x"}, {"label": "A", "text": "y"}], "A", "the label 'A' of another"),
        ([{"label": "A", "text": "x"}, {"text": "y"}], "A", "has no label"),
        ({"text": ["x", "y"], "label": ["A"]}, "A", "1 labels for 2 options"),
        ({"x": True, "y": False}, "x", "say which are right"),
        ({"choices": ["x", "y"], "labels": [0, 1]}, "x", "has no text"),
        (["x"], 0, "there are 1 options"),
        ([None, None], 0, "there are 0 options"),
        ("x, y", "x", "must be a list or an object"),
        ("['x' 'y']", "x", "there are 1 options"),
        (None, 0, "must be a list or an object"),
        ([f"o{n}" for n in range(27)], "o3", "more than there are letters"),
        ("['x', call('y')]", "x", "must be a list or an object"),
        ("array([1, 2, ..., 9])", 1, "option 3 has no text"),
        (["x", "y"], None, "names no option"),
        (["x", "y"], NAN, "names no option"),
        (["x", "y"], "nan", "names no option"),
        (["x", "y"], ["A", "B"], "names no option"),
        (["x", "y"], {"label": "B"}, "names no option"),
        (["x", "y"], 2, "not one of the options"),
        (["x", "y"], -1, "not one of the options"),
        (["Yes", "No"], True, "not one of the options"),
        ([1, 2, 3], 1, "may be A or B"),
        (["3", "2", "1", "0"], "2", "may be B or C"),
        (["B", "A"], "A", "may be A or B"),
        (["x", "x"], "x", "may be A or B"),
    ],
)
def test_options_and_golds_that_are_none_or_two_are_refused(tmp_path, choices, answer, said):
    with pytest.raises(TaskError) as caught:
        loaded(tmp_path, {"question": "q", "choices": choices, "answer": answer}, verdict="choice", choices="choices")
    assert said in str(caught.value) and "\n" not in str(caught.value) and "; " in str(caught.value)


def test_columns_of_options_may_be_empty_at_the_end_and_constant_options_are_measured(tmp_path):
    row = {"question": "q", "answer": "B", "x1": "u", "x2": "v", "x3": "", "x4": None}
    (example,) = loaded(tmp_path, row, verdict="choice", choices=("x1", "x2", "x3", "x4")).examples("train")
    assert (example.question, example.answer) == ("q\nA. u\nB. v", "B")
    row_of_letters = {"question": "q", "A": "B", "B": "A", "answer": "A"}
    assert loaded(tmp_path, row_of_letters, verdict="choice", choices=("A", "B")).examples("train")[0].answer == "A"
    task = loaded(tmp_path, {"question": "q", "answer": "refund"}, verdict="choice", choices=("billing", "refund"))
    assert (task.examples("train")[0].question, task.examples("train")[0].answer) == ("q\nA. billing\nB. refund", "B")
    for answer, names in (("B", ("x1", "x2")), ("u", ("x1", "X2"))):  # a column that is misspelt is no option
        with pytest.raises(TaskError, match=r"'[xX]2' is missing .*mend table.choices"):
            loaded(
                tmp_path,
                row | {"answer": answer, "x2": 1} if "X2" in names else {"question": "q", "answer": "B"},
                verdict="choice",
                choices=names,
            )


@pytest.mark.parametrize(
    ("row", "label"),
    [
        ({"option1": "x", "option2": "y", "answer": "2"}, "B"),
        ({"ending0": "x", "ending1": "y", "answer": 1}, "B"),
        ({"option_a": "x", "option_b": "y", "answer": "option_b"}, "B"),
        ({"option1": "x", "option2": "y", "answer": "1"}, None),  # the first, or the index of the second
        ({"o": {"a": "x", "b": "y"}, "answer": "y"}, "B"),
    ],
)
def test_a_column_of_an_option_is_named_by_its_name_or_its_number(tmp_path, row, label):
    names = ("o.a", "o.b") if "o" in row else tuple(row)[:2]
    if label is None:
        with pytest.raises(TaskError, match="may be B or A"):
            loaded(tmp_path, {"question": "q"} | row, verdict="choice", choices=names)
        return
    (example,) = loaded(tmp_path, {"question": "q"} | row, verdict="choice", choices=names).examples("train")
    assert (example.question, example.answer) == ("q\nA. x\nB. y", label)


@pytest.mark.parametrize(("options", "answer"), [(("True", "False"), False), (("yes", "no"), "No")])
def test_options_for_all_rows_are_named_in_any_case(tmp_path, options, answer):
    task = loaded(tmp_path, {"question": "q", "answer": answer}, verdict="choice", choices=options)
    assert task.examples("train")[0].answer == "B" and doctor(task) == (1, [])


@pytest.mark.parametrize("answer", ["The answer is 18.", "\\boxed{18}", "3 + 15 = 18", "-3", "1/2", "2 million"])
def test_doctor_accepts_every_gold_of_one_number(tmp_path, answer):
    assert doctor(loaded(tmp_path, {"question": "q", "answer": answer}, verdict="number")) == (1, [])


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (["x", "x"], "x"),
        (18.0, "18"),
        (18, "18"),
        (0.1, "0.1"),
        (-0.0, "0"),
        (True, "true"),
        (["x"], "x"),
        ([[2.0]], "2"),
        ("None", "None"),
        ("N/A", "N/A"),
    ],
)
def test_a_gold_is_the_text_that_its_value_has(tmp_path, answer, text):
    task = loaded(tmp_path, {"question": "q", "answer": answer})
    assert task.examples("train")[0].answer == text
    assert doctor(task) == (1, [])


@pytest.mark.parametrize(
    "answer",
    [None, NAN, "nan", "NaN", "NaT", "<NA>", "#N/A", "#DIV/0!", "", "  ", INF, -INF, [], ["x", "y"], [NAN], {"a": 1}, {"text": ["x"]}],
    ids=repr,
)
@pytest.mark.parametrize("verdict", ["exact", "number", "contains"])
def test_a_gold_that_is_missing_or_no_single_text_is_refused(tmp_path, answer, verdict):
    with pytest.raises(TaskError, match="'answer' must be one text that is not empty"):
        loaded(tmp_path, {"question": "q", "answer": answer}, verdict=verdict)


@pytest.mark.parametrize(
    ("values", "kind", "texts"),
    [
        ([18.0, 0.1], pyarrow.float32(), ["18", "0.1"]),
        ([Decimal("18.00"), Decimal("1.50")], None, ["18", "1.50"]),
        ([date(2024, 5, 3)], None, ["2024-05-03"]),
        ([datetime(2024, 5, 3, 7)], None, ["2024-05-03 07:00:00"]),
        ([b"xy"], None, ["xy"]),
        ([1, 2], pyarrow.int8(), ["1", "2"]),
        ([[0.3], [0.1]], pyarrow.list_(pyarrow.float32()), ["0.3", "0.1"]),
    ],
)
def test_what_parquet_holds_is_read_as_it_was_meant(tmp_path, values, kind, texts):
    columns = {"question": [f"q{n}" for n in range(len(values))], "answer": pyarrow.array(values, kind)}
    pyarrow.parquet.write_table(pyarrow.table(columns | {"__index_level_0__": columns["question"]}), tmp_path / "a.parquet")
    rows = load_task(f"parquet:{tmp_path / 'a.parquet'}").examples("train")
    assert [row.answer for row in rows] == texts
    assert "__index_level_0__" not in rows[0].meta["columns"]


@pytest.mark.parametrize(
    ("row", "question"),
    [
        ({"instruction": "Add 2 and 3.", "input": "", "output": "5"}, "Add 2 and 3."),
        ({"instruction": "Add.", "input": "2 and 3", "output": "5"}, "Add. 2 and 3"),
        ({"instruction": "Add.", "input": "2\n3", "output": "5"}, "Add.\n2\n3"),
        ({"instruction": "Add.", "output": "5"}, "Add."),
        ({"conversations": [{"from": "human", "value": "2+3?"}, {"from": "gpt", "value": "5"}]}, "2+3?"),
        ({"messages": [{"role": "user", "content": "2+3?"}, {"role": "assistant", "content": "5"}]}, "2+3?"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "2+3?"}]}], "answer": 5}, "2+3?"),
        ({"prompt": [{"role": "user", "content": "2+3?"}], "completion": [{"role": "assistant", "content": "5"}]}, "2+3?"),
        ({"instruction": "Add.", "context": "2 and 3", "response": "5"}, "Add. 2 and 3"),
        ({"instruction": "Add.", "input": NAN, "output": "5"}, "Add."),
        ({"instruction": "Add.", "input": "nan", "output": "5"}, "Add."),
        ({"instruction": "Add.", "input": "<noinput>", "output": "5", "system": "", "history": []}, "Add."),
        ({"messages": '[{"role": "User", "content": "2+3?"}, {"role": "Assistant", "content": "5"}]'}, "2+3?"),
        ({"question": "mine?", "messages": [{"role": "user", "content": "2+3?"}], "answer": "5"}, "mine?"),
    ],
)
def test_chats_of_one_turn_and_instructions_are_questions(tmp_path, row, question):
    (example,) = loaded(tmp_path, row).examples("train")
    assert (example.question, example.answer) == (question, "5")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}], "answer": "5"}, "'question' is missing"),
        ({f"x{n}": 1 for n in range(99)} | {"y" * 999: 1}, "'x19', 80 more)"),
        ({"prompt": "q", "completion": "5"}, "--set table.question=prompt --set table.answer=completion"),
        ({"question": "q", "label": "5"}, "--set table.answer=label"),
        ({"question": "q", "why": "5"}, "(fields there: 'question', 'why')"),
    ],
)
def test_what_holds_no_question_or_gold_names_its_columns_and_the_setting(tmp_path, row, said):
    with pytest.raises(TaskError) as caught:
        loaded(tmp_path, row)
    assert said in str(caught.value)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    pyarrow.parquet.write_table(pyarrow.table({"question": ["q"], "answer": [b"\xff\xfe"]}), tmp_path / "a.parquet")
    with pytest.raises(TaskError, match="'answer' must be one text"):
        load_task(f"parquet:{tmp_path / 'a.parquet'}")


def test_a_dotted_name_is_a_field_inside_an_object(tmp_path):
    row = {"prompt": [{"role": "user", "content": "2+3?"}], "reward_model": {"ground_truth": "5"}}
    (example,) = loaded(tmp_path, row, answer="reward_model.ground_truth").examples("train")
    assert (example.question, example.answer) == ("2+3?", "5")


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (NAN, ""), ("nan", ""), (2.0, "2"), (["a", "b"], "a\nb"), (["a"], "a"), ({"a": 1}, "")]
)
def test_a_solution_or_skill_that_is_missing_is_empty(tmp_path, value, text):
    row = {"question": "q", "answer": "5", "why": value, "topic": value}
    (example,) = loaded(tmp_path, row, solution="why", skill="topic").examples("train")
    assert (example.solution, example.skill) == (text, text)
