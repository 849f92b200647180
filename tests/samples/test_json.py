"""JSON values from errors to rows: a whole `errata generate` on examples/orders."""

import json
import re

import jsonschema
import pytest
from loopback import ROOT, check_refusals, generated
from samples import lessons_json as lessons

from errata.programs.config import load_config
from errata.tasks import load_task


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return generated("examples/orders.yaml", lessons.LESSONS, tmp_path_factory.mktemp("json"))


@pytest.fixture(scope="module")
def task():
    return load_task(f"jsonl:{ROOT / 'examples/orders'}", load_config(ROOT / "examples/orders.yaml").table)


def test_each_check_refuses_its_program_and_two_pass(made):
    said = (
        "is not a 'date'",
        "items[0].quantity is 6, not 15",
        "gave another 'answer'",
        "items has length 1, not 2",
        "phrased the same way",
    )
    check_refusals(made, lessons.CHECKS, said)


def test_rows_parse_are_right_and_are_in_the_users_form(made, task):
    assert len(made.samples) == 40
    golds = [json.loads(line)["order"] for line in (ROOT / "examples/orders/train.jsonl").read_text(encoding="utf-8").splitlines()]
    for (prompt, completion), sample in zip(made.texts, made.samples, strict=True):
        value = json.loads(completion)
        assert completion == json.dumps(value, ensure_ascii=False)  # as the gold answers are written
        assert list(value) == list(json.loads(golds[0]))
        jsonschema.validate(value, task.form.schema)
        text = sample.example.question
        assert prompt == f"{text}\n{task.form.ask}"
        assert value["customer"] in text
        assert all(re.search(rf"\b{item['quantity']}\b", text) and item["name"] in text for item in value["items"])
        past = re.search("Not by express|express was late|express for my last", text)
        assert value["express"] is (past is None and re.search("urgent|xpress", text) is not None)
        assert task.verdict(sample.example, completion).correct
        assert sample.wrong is None or task.verdict(sample.example, sample.wrong).correct is False
        assert not (sample.asserted or sample.agreed)


def test_the_instructor_is_told_the_schema(made, task):
    (first, *_) = [fields for fields in made.asked if "contract" in fields]
    assert json.dumps(task.form.schema, ensure_ascii=False) in first["task"]
    assert "keeps the task's JSON Schema" in first["contract"]
