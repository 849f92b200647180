"""The verdict `json`: values read out of responses, compared by value, schemas, and the form in which answers are written."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from readings import readings

from errata.signatures.errors import TaskError, UsageError
from errata.tasks import doctor, load_task, schema
from errata.tasks.settings import TableSettings
from errata.tasks.verdicts import values

ROOT = Path(__file__).parents[2]
GOLD = {"customer": "Ann", "items": [{"name": "tea", "quantity": 2}, {"name": "mug", "quantity": 1.5}], "express": False}


def table(folder: Path, golds: list, **settings):
    lines = (json.dumps({"question": f"order {place}", "answer": gold}) + "\n" for place, gold in enumerate(golds))
    (folder / "mine.jsonl").write_text("".join(lines), encoding="utf-8")
    return load_task(f"jsonl:{folder / 'mine.jsonl'}", TableSettings(verdict="json", **settings))


def judged(folder: Path, gold, given, **settings):
    task = table(folder, [gold], **settings)
    return task.verdict(task.examples("train")[0], given if isinstance(given, str) else json.dumps(given))


def changed(**parts) -> dict:
    return GOLD | parts


@pytest.mark.parametrize(("text", "value"), readings("json"))
def test_a_value_is_read_whole_where_it_can_be_read_in_one_way(text, value):
    try:
        found = json.dumps(values.read(text, {}).value, ensure_ascii=False)
    except values.NotJson:
        found = None
    assert found == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no answer"),
        ("It is tea.", "not JSON: no object or list is in it"),
        ('{"customer": "Ann", "items": [{"na', "not JSON: a text is not closed"),
        ('{"customer": "Ann", ', "not JSON: it is cut off"),
        ('{"customer": NaN}', "not JSON: 'NaN' is no value of JSON"),
        ('{"a": 1, "a": 2}', "not JSON: the field 'a' is there twice"),
        ("[" * 50_000, "not JSON: it is nested more than 64 deep"),
        ('{"a": ' + "9" * 6000 + "}", "not JSON: a number is too long"),
        ('{"customer": "Ann"} or {"customer": "Bob"}', "several answers"),
    ],
    ids=lambda text: text[:20],
)
def test_what_is_no_value_has_its_own_reason_and_breaks_nothing(tmp_path, text, reason):
    found = judged(tmp_path, GOLD, text)
    assert (found.correct, found.extracted, found.reason) == (False, None, reason)
    assert found.fields == {"customer": False, "items": False, "express": False}


def test_looking_for_a_value_stays_quick_on_hostile_texts():
    for text in ('{"' * 20_000, "{'" * 20_000, '{"\\' * 10_000, "/*" * 20_000, "{/*" * 10_000, "{a:" * 10_000, "“" * 50_000):
        with pytest.raises(values.NotJson):
            values.read(text, {})
    with pytest.raises(values.NotJson, match="100,001 characters, more than 100,000"):
        values.read("1" * 100_001)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (GOLD, "right"),
        (dict(reversed(GOLD.items())), "right"),
        (changed(customer="  Ann "), "right"),
        (changed(items=[{"quantity": 2.0, "name": "tea"}, {"quantity": 1.5, "name": "mug"}]), "right"),
        (changed(customer="ann"), 'customer is "ann", not "Ann"'),
        (changed(items=GOLD["items"][::-1]), 'items[0].name is "mug", not "tea"'),
        (changed(items=GOLD["items"][:1]), "items has length 1, not 2"),
        (changed(items=[{"name": "tea", "quantity": "2"}, GOLD["items"][1]]), 'items[0].quantity is "2", not 2'),
        (changed(express=0), "express is 0, not false"),
        (changed(express=None), "express is null, not false"),
        (changed(note="x"), "field note is not asked for"),
        ({"customer": "Ann", "items": GOLD["items"]}, "field express is missing"),
        ([GOLD], f"the answer is {json.dumps([GOLD])[:60]}..., not {json.dumps(GOLD)[:60]}..."),
    ],
)
def test_values_are_compared_and_the_reason_names_the_field(tmp_path, given, reason):
    found = judged(tmp_path, GOLD, given)
    assert (found.correct, found.reason) == (reason == "right", reason)


def test_each_field_is_judged_by_itself(tmp_path):
    found = judged(tmp_path, GOLD, {"customer": "Ann", "items": [], "note": 1})
    assert found.fields == {"customer": True, "items": False, "express": False}
    assert judged(tmp_path, GOLD, GOLD).fields == {"customer": True, "items": True, "express": True}
    assert judged(tmp_path, [1], [1]).fields is None


def test_tolerance_order_and_listed_fields_are_the_users_to_set(tmp_path):
    near = changed(items=[{"name": "tea", "quantity": 2.01}, GOLD["items"][1]])
    assert judged(tmp_path, GOLD, near).correct is False
    assert judged(tmp_path, GOLD, near, tolerance=0.01).correct
    assert not judged(tmp_path, GOLD, near, tolerance=0.001).correct
    assert judged(tmp_path, GOLD, changed(items=GOLD["items"][::-1]), unordered=True).correct
    assert judged(tmp_path, [1, 1, 2], [1, 2, 2], unordered=True).reason == "the answer lacks 1"
    assert judged(tmp_path, [100, 101.9], [101.9, 99.5], unordered=True, tolerance=0.01).correct  # 101.9 is near to both
    assert judged(tmp_path, [100, 104], [103, 96], unordered=True, tolerance=0.05).correct
    assert judged(tmp_path, [100, 104, 108, 112], [111, 107, 103, 96], unordered=True, tolerance=0.05).correct
    assert judged(tmp_path, [100, 104], [96, 97], unordered=True, tolerance=0.05).reason == "the answer lacks 104"
    assert judged(tmp_path, [100, 104], [104, 108], unordered=True, tolerance=0.05).correct
    rows = [[{"a": number} for number in numbers] for numbers in ([100, 104, 104, -9], [-9, 108, 103, 96], [96, 97, 98, -9])]
    assert judged(tmp_path, *rows[:2], unordered=True, tolerance=0.05).correct
    assert judged(tmp_path, rows[0], rows[2], unordered=True, tolerance=0.05).reason == 'the answer lacks {"a": 104}'
    assert judged(tmp_path, [None, "a"], ["b", "a"], unordered=True).reason == "the answer lacks null"
    long = [{"a": place, "b": [place, {"c": "x", "d": place}]} for place in range(5_000)]
    other = [{"b": row["b"][::-1], "a": row["a"]} for row in reversed(long)]
    assert values.differs(long, other, unordered=True) == ""  # 12 million pairs, if each were compared with each
    some = judged(tmp_path, GOLD, {"customer": "Ann", "express": True, "note": 1}, fields=["customer", "express"])
    assert (some.reason, some.fields) == ("express is true, not false", {"customer": True, "express": False})
    assert judged(tmp_path, {"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, fields=["a.b"]).correct
    with pytest.raises(UsageError, match="'custmer', which no gold answer has: did you mean customer"):
        judged(tmp_path, GOLD, GOLD, fields=["custmer"])


@pytest.mark.parametrize(
    "write",
    [
        json.dumps,
        lambda gold: json.dumps(gold, indent=2),
        lambda gold: json.dumps(gold, indent="\t", ensure_ascii=False),
        lambda gold: json.dumps(gold, separators=(",", ":")),
        lambda gold: f"```json\n{json.dumps(gold, indent=4)}\n```",
    ],
)
def test_answers_are_written_as_the_gold_answers_are(tmp_path, write):
    golds = [changed(customer=f"Zoé {place}") for place in range(5)]
    task = table(tmp_path, [write(gold) for gold in golds])
    assert doctor(task) == (5, [])
    other = json.dumps(dict(reversed(golds[3].items())), ensure_ascii=False)
    assert task.completion("", other) == write(golds[3])
    assert task.completion("", "not JSON") == "not JSON"


def test_whole_numbers_are_written_as_the_golds_write_them_at_their_place(tmp_path):
    """Columns of a parquet file give 10.0 throughout, and JSON of a program 10."""
    task = table(tmp_path, [{"age": 4, "doses": [{"mg": 10.0}, {"mg": 2.5}], "rate": 1}, {"age": 5, "doses": [{"mg": 5.0}], "rate": 0.5}])
    written = task.completion("", '{"age": 7.0, "doses": [{"mg": 20}], "rate": 2}')
    assert written == '{"age": 7, "doses": [{"mg": 20.0}], "rate": 2}'
    assert task.completion("", task.examples("train")[0].answer) == task.examples("train")[0].answer


def test_what_only_one_gold_answer_says_around_its_value_is_not_taken_for_the_form(tmp_path):
    task = table(tmp_path, [f"Order {place} is {json.dumps(changed(customer=str(place)))}" for place in range(5)])
    assert doctor(task) == (5, [])
    assert task.completion("", json.dumps(GOLD)) == json.dumps(GOLD)


def test_golds_may_be_objects_and_lists_of_the_file(tmp_path):
    task = table(tmp_path, [GOLD, changed(customer="Bob")])
    assert task.examples("train")[0].answer == json.dumps(GOLD)
    assert doctor(task) == (2, [])


@pytest.mark.parametrize("gold", ["It is tea.", "{'a': 1", '{"a": NaN}', "", None])
def test_a_gold_that_is_no_json_names_its_row(tmp_path, gold):
    with pytest.raises(TaskError, match=r"mine\.jsonl, line 2.*mend or delete"):
        table(tmp_path, [GOLD, gold])


def test_the_schema_is_taken_from_the_train_answers_and_told(tmp_path):
    items = [{"name": "tea", "quantity": 2}, {"name": "mug", "quantity": 1.5}, {"name": "pen", "quantity": 1}]
    golds = [
        changed(
            customer=f"Ann {n}",
            size="SML"[n % 3],
            items=[one | {"name": f"thing {n}"} for one in items],
            due=f"2026-01-{n + 1:02}",
            note=None if n % 2 else f"x{n}",
        )
        for n in range(30)
    ]
    golds = [gold if n % 2 else gold | {"gift": True} for n, gold in enumerate(golds)]
    task = table(tmp_path, golds)
    found = task.form.schema
    assert found["required"] == ["customer", "items", "express", "size", "due", "note"]
    assert found["properties"]["items"]["items"]["properties"]["quantity"] == {"type": "number"}
    assert found["properties"]["size"] == {"type": "string", "enum": ["L", "M", "S"]}
    assert found["properties"]["due"] == {"type": "string", "format": "date"}
    assert found["properties"]["note"]["type"] == ["string", "null"]
    assert [schema.fault(found, gold) for gold in golds] == [""] * 30
    assert json.dumps(found) in task.brief
    assert task.form.taken.startswith('the form of answers is that of 30 train answers, {"customer": text, "items": [{')
    assert task.form.setting == f"table.schema: {json.dumps(found)}"
    asked = task.prompt(task.examples("train")[0])[0]["content"]
    assert asked == (
        'order 0\nAnswer with JSON alone, of this form: {"customer": text, "items": [{"name": text, "quantity": number}, ...], '
        '"express": boolean, "size": "L" or "M" or "S", "due": "YYYY-MM-DD", "note": text or null, "gift"?: boolean}'
    )
    assert task.fault(json.dumps(golds[4] | {"customer": 3})) == "it breaks the schema: customer: 3 is not of type 'string'"
    assert task.fault(json.dumps(golds[4])) == ""


def test_a_map_with_many_names_is_no_object_of_that_many_fields():
    counts = [{f"word{n}": n, f"word{n + 1}": 2} for n in range(40)]
    assert schema.inferred(counts) == {"type": "object", "additionalProperties": {"type": "integer"}}


def test_a_schema_of_the_users_binds_the_gold_answers(tmp_path):
    (tmp_path / "order.json").write_text('{"type": "object", "required": ["customer"]}')
    task = table(tmp_path, [GOLD], schema=str(tmp_path / "order.json"))
    assert task.form.taken == ""
    assert str(tmp_path / "order.json") in task.data  # a run is not continued with another schema
    with pytest.raises(TaskError, match=r"line 2: the gold answer breaks table.schema \(.*'customer' is a required property"):
        table(tmp_path, [GOLD, {"items": []}], schema=str(tmp_path / "order.json"))
    for bad, why in [
        (str(tmp_path / "none.json"), "No such file"),
        ({"type": "objekt"}, "not a JSON Schema: 'objekt'"),
        ({"$ref": "https://example.org/x.json"}, "points to"),
        ({"properties": {"customer": {"pattern": "("}}}, "not a JSON Schema: '\\(' is not a 'regex'"),
        ({"properties": {"customer": {"pattern": 3}}}, "not a JSON Schema"),
    ]:
        with pytest.raises(UsageError, match=why):
            table(tmp_path, [GOLD], schema=bad)


def test_the_example_orders_are_what_their_script_writes_and_pass_their_verdict(tmp_path):
    folder = shutil.copytree(ROOT / "examples/orders", tmp_path / "orders")
    script = folder / "make_data.py"
    before = {path.name: path.read_bytes() for path in folder.glob("*.jsonl")}
    subprocess.run([sys.executable, str(script)], check=True)
    assert {path.name: path.read_bytes() for path in folder.glob("*.jsonl")} == before
    task = load_task(f"jsonl:{folder}", TableSettings(question="email", answer="order", verdict="json"))
    assert len(task.examples("train")) >= 300
    assert doctor(task, 40)[1] == []
    row = json.loads((folder / "train.jsonl").read_text().splitlines()[0])
    assert task.completion("", task.examples("train")[0].answer) == row["order"]
