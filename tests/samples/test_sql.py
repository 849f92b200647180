"""SQL from errors to rows: a whole `errata generate` on examples/sales."""

import json
import sqlite3

import loopback
import pytest
from loopback import ROOT, check_refusals, generated
from samples import lessons_sql as lessons

from errata.programs.config import load_config
from errata.tasks import load_task


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return generated("examples/sales.yaml", lessons.LESSONS, tmp_path_factory.mktemp("sql"))


@pytest.fixture(scope="module")
def task():
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return load_task("jsonl:examples/sales", load_config(ROOT / "examples/sales.yaml").table)


def test_each_check_refuses_its_program_and_two_pass(made):
    said = (
        "no such column: town",
        "which is not right for the error: wrong: ",
        "gave another 'answer' when it was drawn again",
        "does not give what the model's query gives: wrong: 6 rows where 5 are right",
        "only INSERT, UPDATE and DELETE are allowed",
        "gives no row on the database and on each variation",
        "distinct problems",
    )
    check_refusals(made, lessons.CHECKS, said)


def test_rows_are_queries_that_run_in_the_users_form_and_tell_the_misconception_apart(made, task):
    assert len(made.samples) == 40
    tables = (ROOT / "examples/sales/sales.sql").read_text(encoding="utf-8")
    for (prompt, completion), sample in zip(made.texts, made.samples, strict=True):
        item = sample.example
        assert completion == f"{item.answer};"  # as the references are written
        assert completion.count(";") == 1
        assert prompt == f"{tables.partition(chr(10) * 2)[0]}\n\n{item.question}\n{task.form.ask}"
        assert task.verdict(item, completion).correct
        assert task.verdict(item, sample.wrong).correct is False
        assert not (sample.asserted or sample.agreed)
        results = []
        for script in ("", *item.meta.get("variations", [])):  # without the verdict: SQLite alone
            data = sqlite3.connect(":memory:")
            data.executescript(tables + script)
            results.append((data.execute(item.answer).fetchall(), data.execute(sample.wrong).fetchall()))
        assert any(right for right, _ in results)
        assert any(right != wrong for right, wrong in results)


def test_the_instructor_is_told_the_tables_and_some_values(made):
    (first, *_) = [fields for fields in made.asked if "contract" in fields]
    assert "CREATE TABLE customers (id INTEGER PRIMARY KEY" in first["task"]
    assert "customers.city: 'Bergen', " in first["task"]
    assert "customers has 30 rows, the first (1, 'Ann Berg', " in first["task"]
    assert "Write no result: the host runs the queries" in first["contract"]


ABOVE = """
ASKED = ["How many items cost more than {}?", "Count what costs over {}.", "Prices above {}: of how many items?"]

def draw(rng, level):
    return {"amount": rng.randint(1, 18), "told": rng.randrange(3)}

def make(amount, told):
    return {"question": ASKED[told].format(amount), "answer": f"SELECT count(*) FROM items WHERE price > {amount}",
            "variations": [f"INSERT INTO items VALUES ('tray', {amount})"], "database": "shop.sqlite"}

def wrong(amount, told):
    return f"SELECT count(*) FROM items WHERE price >= {amount}"

ANCHORS = {"e1": {"amount": 5, "told": 0}}
"""


def test_where_each_row_names_its_database_a_program_names_that_of_its_error(tmp_path, monkeypatch):
    monkeypatch.setattr(loopback, "ROOT", tmp_path)
    for name, tables in {
        "shop": "CREATE TABLE items (name TEXT, price INTEGER); INSERT INTO items VALUES ('pen', 3), ('cup', 9), ('hat', 5);",
        "zoo": "CREATE TABLE animals (name TEXT); INSERT INTO animals VALUES ('Bo');",
    }.items():
        with sqlite3.connect(tmp_path / f"{name}.sqlite") as file:
            file.executescript(tables)
    rows = [
        {"question": "How many items cost more than 5?", "answer": "SELECT count(*) FROM items WHERE price > 5", "db": "shop"},
        {"question": "What are the animals called?", "answer": "SELECT name FROM animals", "db": "zoo"},
    ]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = {"task": "jsonl:train.jsonl", "guards": [], "table": {"verdict": "sql", "database": "{db}.sqlite"}}
    other = lessons.but(ABOVE, "shop.sqlite", "zoo.sqlite")
    programs = (lessons.but(ABOVE, ', "database": "shop.sqlite"', ""), other, ABOVE)
    lesson = loopback.Lesson("How many items cost more than 5?", "SELECT count(*) FROM items WHERE price >= 5", programs)
    made = generated(config, [lesson], tmp_path / "made")
    assert made.code == 0, made.output
    assert [check for check, _ in made.refusals] == ["runs", "runs"]
    assert "is not one of the task's (shop.sqlite, zoo.sqlite)" in made.refusals[0][1]
    assert "no such table: items" in made.refusals[1][1]
    assert made.texts
    assert all(prompt.startswith("CREATE TABLE items (name TEXT, price INTEGER);\n\n") for prompt, _ in made.texts)
    assert "Database shop.sqlite:\nCREATE TABLE items" in made.asked[0]["question"]
