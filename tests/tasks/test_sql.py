"""The verdict `sql`: which query is read from a response, which results are the same, what no query may do, and how databases are given."""

import json
import sqlite3
from pathlib import Path

import pytest
from readings import readings

from errata.signatures.errors import TaskError, UsageError
from errata.signatures.records import SEVERAL, Example
from errata.tasks import doctor, load_task
from errata.tasks.settings import TableSettings
from errata.tasks.verdicts.sql import judge as judging
from errata.tasks.verdicts.sql.judge import Judge
from errata.tasks.verdicts.sql.text import plain, read, tail

SHOP = """
CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, price REAL, stock INTEGER);
INSERT INTO items VALUES (1, 'pen', 1.5, 10), (2, 'Pen', 1.5, 0), (3, 'box', 0.1, 7), (4, 'cup', 0.2, NULL), (5, 'bag', 9.0, 7);
"""
ROWS = [
    {"question": "What is there?", "answer": "SELECT name FROM items;"},
    {"question": "How many?", "answer": "SELECT count(*) FROM items;"},
]


@pytest.fixture(scope="module")
def judge():
    return Judge()


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """Makes the task of some rows."""
    monkeypatch.chdir(tmp_path)

    def make(rows=ROWS, database=SHOP, **settings):
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return load_task("jsonl:rows.jsonl", TableSettings(verdict="sql", database=database, **settings))

    return make


def verdict(judge, gold, response, variations=()):
    return judge.verdict({"text": SHOP}, gold, response, variations)


@pytest.mark.parametrize(("text", "query"), readings("sql"))
def test_a_query_is_read_whole_or_not_at_all(text, query):
    assert read(text)[0] == query


@pytest.mark.parametrize("unit", ["SELECT ", "SELECT 1;\n", "SELECT 1\n\n", "```sql\n", "```sql\nSELECT 1\n```\n", "'", "(", "/*", "--\n",
                                  "SQL: ", "SQL: SELECT ", '{"sql": "', "WITH a AS (", "[", "`SELECT "])  # fmt: skip
def test_the_query_of_a_long_text_is_found_without_end_being_tried(unit):
    """Each takes far below a second; one that grew with the square of its length would take minutes."""
    query, why = read(unit * (100_000 // len(unit)))
    assert (query is None) == (why in ("no answer", SEVERAL))


@pytest.mark.parametrize(
    ("gold", "response", "reason"),
    [
        ("SELECT name FROM items", "SELECT name AS n FROM items ORDER BY price DESC", "right"),
        ("SELECT name, stock FROM items", "SELECT stock, name FROM items", "wrong: 5 rows with other values"),
        ("SELECT name FROM items", "SELECT name FROM items WHERE stock > 0", "wrong: 3 rows where 5 are right"),
        ("SELECT count(*) FROM items", "SELECT name FROM items", "wrong: 5 rows where 1 is right"),
        ("SELECT DISTINCT stock FROM items", "SELECT stock FROM items", "wrong: 5 rows where 4 are right"),
        ("SELECT name FROM items WHERE stock > 99", "SELECT name FROM items WHERE id > 99", "right"),
        ("SELECT name FROM items WHERE stock > 99", "SELECT name FROM items", "wrong: 5 rows where none are right"),
        ("SELECT name FROM items WHERE id < 3", "SELECT lower(name) FROM items WHERE id < 3", "wrong: 2 rows with other values"),
        ("SELECT sum(price) FROM items WHERE id IN (3, 4)", "SELECT 0.3", "right"),
        ("SELECT sum(price) FROM items WHERE id IN (3, 4)", "SELECT 0.31", "wrong: 1 row with other values"),
        ("SELECT count(*) FROM items", "SELECT 5.0", "right"),
        ("SELECT count(*) FROM items", "SELECT '5'", "wrong: 1 row with other values"),
        ("SELECT 1000000000", "SELECT 1000000001", "wrong: 1 row with other values"),
        ("SELECT stock FROM items WHERE id = 4", "SELECT 0", "wrong: 1 row with other values"),
        ("SELECT name FROM items ORDER BY id", "SELECT name FROM items ORDER BY id DESC", "wrong: 5 rows in another order"),
        ("SELECT id FROM items ORDER BY stock", "SELECT id FROM items ORDER BY stock, id DESC", "right"),
        ("SELECT id FROM items ORDER BY price", "SELECT id FROM items ORDER BY price DESC", "wrong: 5 rows in another order"),
        ("SELECT id FROM items ORDER BY price DESC LIMIT 2", "SELECT id FROM items WHERE price = 9 OR id = 2 ORDER BY price DESC", "right"),
        ("SELECT id FROM (SELECT id FROM items ORDER BY id)", "SELECT id FROM items ORDER BY id DESC", "right"),
        ("SELECT id FROM items ORDER BY id -- by id", "SELECT id FROM items;", "right"),
        ("SELECT name FROM items", "SELECT title FROM items", "not SQL: no such column: title"),
        ("SELECT name FROM items", "SELECT name FROM", "not SQL: incomplete input"),
        ("SELECT name FROM items", "all of them", "no answer"),
        ("SELECT name FROM items", "```sql\nSELECT name FROM items\n```\nor\n```sql\nSELECT id FROM items\n```", SEVERAL),
        ("SELECT title FROM items", "SELECT name FROM items", "the gold query fails: not SQL: no such column: title"),
    ],
)  # fmt: skip
def test_results_are_compared_not_texts(judge, gold, response, reason):
    found = verdict(judge, gold, response)
    assert (found.reason, found.correct) == (reason, None if reason.startswith("the gold") else reason == "right")


def test_a_query_that_is_right_by_luck_is_told_apart_by_other_data(judge):
    gold, given = "SELECT count(*) FROM items WHERE stock > 0", "SELECT count(*) FROM items WHERE id IN (1, 3, 5)"
    assert verdict(judge, gold, given).correct
    assert verdict(
        judge, gold, given, ["UPDATE items SET price = 2", "DELETE FROM items WHERE id = 1; UPDATE items SET name = 'a;b'"]
    ).correct
    varied = verdict(judge, gold, given, ["UPDATE items SET price = 2", "INSERT INTO items VALUES (6, 'a;b', 1, 1)"])
    assert not varied.correct
    assert varied.reason == (
        "wrong: 1 row with other values where the data are varied by \"INSERT INTO items VALUES (6, 'a;b', 1, 1)\""
    )  # fmt: skip
    assert verdict(judge, gold, given).correct  # the variations are undone


@pytest.mark.parametrize("script", ["DROP TABLE items", "CREATE TABLE x (a)", "COMMIT", "ATTACH 'x.db' AS x", "PRAGMA writable_schema = 1",
                                    "DELETE FROM sqlite_master", "UPDATE items SET price = random()", "DELETE FROM nothing",
                                    "INSERT INTO items SELECT 9, hex(zeroblob(600000)), 1, 1"])  # fmt: skip
def test_a_variation_changes_rows_and_nothing_else(judge, script, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = verdict(judge, "SELECT 1", "SELECT 1", [script])
    assert found.correct is None
    assert found.reason.startswith("the variation ")
    assert list(tmp_path.iterdir()) == []
    assert verdict(judge, "SELECT count(*) FROM items", "SELECT 5").correct


ENDLESS = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT"


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("DELETE FROM items", "only reading"),
        ("WITH x AS (SELECT 1) DELETE FROM items", "only reading"),
        ("DROP TABLE items", "only reading"),
        ("ATTACH '{}/stolen.db' AS stolen", "only reading"),
        ("VACUUM INTO '{}/stolen.db'", "not SQL: cannot VACUUM"),
        ("PRAGMA database_list", "only reading"),
        ("SELECT * FROM pragma_database_list", "only reading"),
        ("SELECT * FROM dbstat", "only reading"),
        ("SELECT load_extension('{}/evil')", "load_extension() is not allowed"),
        ("SELECT fts3_tokenizer('simple')", "fts3_tokenizer() is not allowed"),
        ("SELECT readfile('/etc/passwd')", "not SQL: no such function"),
        ("SELECT writefile('{}/written', 'x')", "not SQL: no such function"),
        ("SELECT random()", "random() is not allowed"),
        ("SELECT randomblob(1000000000)", "randomblob() is not allowed"),
        ("SELECT zeroblob(1000000000)", "not SQL: string or blob too big"),
        ("SELECT group_concat(hex(zeroblob(300000))) FROM items", "not SQL: string or blob too big"),
        (f"{ENDLESS} n FROM r", "its result is larger than"),
        ("SELECT count(*) FROM " + ", ".join(f"items {name}" for name in "abcdefghijklmno"), "it takes too long"),
        ("SELECT count(*) FROM (SELECT a.id FROM " + ", ".join(f"items {name}" for name in "abcdefg")
         + " ORDER BY hex(zeroblob(400000)) || a.id)", "it takes too much memory"),
        ("SELECT " + "(" * 9000 + "1" + ")" * 9000, "not SQL: parser stack overflow"),
        ("SELECT 1" + " + 1" * 9000, "not SQL: Expression tree is too large"),
        ("SELECT '" + "x" * 100_001 + "'", "not SQL: query string is too large"),
        ("SELECT count(*) FROM items WHERE id IN (" + ", ".join(map(str, range(10_000))) + ")", "right"),
        ("WITH " + ", ".join(["c0 AS (SELECT * FROM items)", *(f"c{i} AS (SELECT * FROM c{i - 1} a, c{i - 1} b)" for i in range(1, 30))])
         + " SELECT count(*) FROM c29", "not SQL: too many columns"),
        ("SELECT 5; DROP TABLE items", SEVERAL),
        ("SELECT 5 /* \x00 */ FROM \ud800", "not SQL"),
        ("SELECT count(*) FROM json_each('[1, 2, 3, 4, 5]')", "right"),
    ],
    ids=lambda text: text[:30].encode("ascii", "replace").decode(),
)  # fmt: skip
def test_an_answer_may_read_the_data_and_no_more(judge, query, reason, tmp_path):
    found = verdict(judge, "SELECT count(*) FROM items", query.replace("{}", str(tmp_path)))
    assert found.reason.startswith(reason)
    assert found.correct is (reason == "right")
    assert list(tmp_path.iterdir()) == []
    assert verdict(judge, "SELECT name FROM items", "SELECT name FROM items").correct


def test_a_query_that_no_limit_of_sqlite_stops_is_ended_by_the_clock(monkeypatch):
    monkeypatch.setattr(judging, "SECONDS", 1.0)
    judge, endless = Judge(), "SELECT length(printf('%.*c', 1000000000, 'x'))"
    assert verdict(judge, "SELECT 5", endless).reason == "it takes too long"
    late = verdict(judge, endless, "SELECT 5")
    assert (late.correct, late.reason) == (None, "the gold query fails: it takes too long")
    monkeypatch.setattr(judging, "SECONDS", 20.0)
    assert verdict(judge, "SELECT 5", "SELECT 5").correct


def test_the_outermost_order_alone_orders():
    assert tail("SELECT a FROM t WHERE b = 'order by' GROUP BY a") is None
    assert tail("SELECT rank() OVER (ORDER BY a) FROM (SELECT a FROM t ORDER BY a)") is None
    query = "SELECT a FROM t ORDER BY (SELECT 1 ORDER BY 2), b COLLATE NOCASE LIMIT 1 OFFSET 2;"
    assert query[: tail(query)].endswith("NOCASE")
    assert plain("SELECT  a -- x\nFROM t WHERE b='X' ;") == plain("select a from T where b = 'X'".replace("T", "t"))
    assert plain("select a from t where b = 'X' limit 3", masked=True) == plain("SELECT a FROM t WHERE b = 'yy' LIMIT 10", masked=True)


# How databases are given --------------------------------------------------------------------------------------------------------


def test_all_ways_to_give_a_database_are_the_same(shop, tmp_path):
    (tmp_path / "shop.sql").write_text("PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;" + SHOP + "COMMIT;\n")
    with sqlite3.connect(tmp_path / "shop.sqlite") as file:
        file.executescript(SHOP)
    before = (tmp_path / "shop.sqlite").read_bytes()
    tasks = [shop(database=one) for one in (SHOP, "shop.sql", "shop.sqlite")]
    for task in tasks:
        assert doctor(task) == (2, [])
        assert task.brief == tasks[0].brief
        item = task.examples("train")[0].model_copy(update={"meta": {"variations": ["DELETE FROM items"]}})
        assert task.verdict(item, "SELECT name FROM items").correct
    assert (tmp_path / "shop.sqlite").read_bytes() == before
    assert [sorted(task.data) for task in tasks] == [["rows.jsonl"], ["rows.jsonl", "shop.sql"], ["rows.jsonl", "shop.sqlite"]]


def test_the_target_is_shown_the_tables_and_the_instructor_some_rows_too(shop):
    task = shop()
    item = task.examples("train")[1]
    (asked,) = task.prompt(item)
    assert asked["content"] == (
        "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, price REAL, stock INTEGER);\n\nHow many?\n"
        "Answer with one SQL query for SQLite alone."
    )
    assert "items has 5 rows, the first (1, 'pen', 1.5, 10), (2, 'Pen', 1.5, 0), (3, 'box', 0.1, 7)\nitems.name: 'Pen', 'bag'" in task.brief
    own = shop(ask="Write SQL.", brief="Questions about a shop.")
    assert own.prompt(item)[0]["content"] == "How many?\nWrite SQL."
    assert own.brief.startswith("Questions about a shop. The database:\nCREATE TABLE items")
    (system, user) = shop(system="You write SQL for a shop.").prompt(item)
    assert (system["content"], user["content"]) == ("You write SQL for a shop.", "How many?")


def test_odd_tables_are_looked_at_as_far_as_they_can_be(shop, tmp_path):
    odd = """
    CREATE TABLE "order" ("group" TEXT, "a ""b" TEXT, picture BLOB);
    INSERT INTO "order" VALUES ('x', 'y', zeroblob(2000000)), ('x', NULL, NULL);
    CREATE VIEW gone AS SELECT * FROM no_table;
    CREATE VIEW endless AS WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT n FROM r WHERE n < 0;
    """
    task = shop([{"question": "q", "answer": 'SELECT "group" FROM "order"'}], odd)
    assert doctor(task) == (1, [])
    assert "order has 2 rows" in task.brief
    assert "order.group: 'x'" in task.brief
    assert "CREATE VIEW gone" in task.brief


def test_many_rows_that_tie_are_compared_in_a_breath(judge):
    rows = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 8000) SELECT n FROM r"
    assert verdict(judge, f"{rows} ORDER BY n > 0", f"{rows} ORDER BY n % 7").correct
    assert verdict(judge, f"{rows} ORDER BY n % 2", f"{rows} ORDER BY n % 7").reason == "wrong: 8000 rows in another order"
    assert verdict(judge, f"{rows} ORDER BY n % 2", f"{rows} ORDER BY n % 2, n % 7").correct


def test_long_whole_numbers_may_come_in_any_order(judge):
    rows = "SELECT 1700000000000000000 + n AS id, 123456789.1 + 0.1 * n FROM (SELECT 1 AS n UNION SELECT 2 UNION SELECT 3)"
    other = rows.replace("0.1 * n", "n / 10.0")
    assert verdict(judge, rows, f"{other} ORDER BY n DESC").correct
    assert verdict(judge, f"{rows} ORDER BY n > 0", f"{rows} ORDER BY n DESC").correct
    assert verdict(judge, f"{rows} ORDER BY n", f"{rows} ORDER BY n DESC").reason == "wrong: 3 rows in another order"
    assert verdict(judge, rows, rows.replace("+ n AS id", "+ 2 * n AS id")).reason == "wrong: 3 rows with other values"


def test_a_large_database_is_shown_in_short(shop):
    tables = [
        f"CREATE TABLE t{number} (\n  id INTEGER,\n  {'long_' * 9}name TEXT\n); INSERT INTO t{number} VALUES (1, 'x');"
        for number in range(300)
    ]
    task = shop(rows=[{"question": "q", "answer": "SELECT id FROM t1"}], database="\n".join(tables))
    shown = task.prompt(task.examples("train")[0])[0]["content"]
    assert shown.startswith(f"t0(id, {'long_' * 9}name)\nt1(id")
    assert " more tables" in shown
    assert len(shown) < 7_000
    assert len(task.brief) < 14_000


def test_each_row_may_name_its_database(shop, tmp_path):
    for name, count in (("one", 1), ("two", 2)):
        with sqlite3.connect(tmp_path / f"{name}.sqlite") as file:
            file.executescript("CREATE TABLE t (a TEXT);" + f"INSERT INTO t VALUES ('{name}');" * count)
    rows = [{"question": "How many?", "answer": "SELECT count(*) FROM t", "db": name} for name in ("one", "two")]
    task = shop(rows, "{db}.sqlite")
    assert doctor(task) == (2, [])
    one, two = task.examples("train")
    assert (task.verdict(one, "SELECT 1").correct, task.verdict(two, "SELECT 1").correct) == (True, False)
    assert one.question == "Database one.sqlite:\nCREATE TABLE t (a TEXT);\n\nt has 1 row, the first ('one')\nt.a: 'one'\n\nHow many?"
    assert task.prompt(one)[0]["content"].startswith("CREATE TABLE t (a TEXT);\n\nHow many?\n")
    assert {"one.sqlite", "two.sqlite"} < set(task.data)
    made = Example(task=task.name, split="train", question="q", answer="SELECT 2", kind="sql", meta={"database": "../three.sqlite"})
    assert task.verdict(made, "SELECT 2").correct is None
    told = shop(rows, "{db}.sqlite", system="You write SQL.").prompt(
        one.model_copy(update={"meta": {"database": "two.sqlite"}, "question": "q"})
    )
    assert told[-1]["content"] == "CREATE TABLE t (a TEXT);\n\nq"
    held = shop([{"question": "q", "answer": "SELECT a FROM t", "context": "CREATE TABLE t (a); INSERT INTO t VALUES (1)"}], "{context}")
    assert doctor(held) == (1, [])


@pytest.mark.parametrize(
    ("database", "said"),
    [
        (None, "needs table.database"),
        ("nowhere.sqlite", "no database can be read at 'nowhere.sqlite'; write the path of a file"),
        ("CREATE TABEL t (a)", "no database can be read at"),
        ("x" * 5000, "no database can be read at"),
        ("CREATE TABLE t (a); INSERT INTO u VALUES (1)", "not SQL: no such table: u"),
        ("CREATE TABLE t (a INT) ENGINE=InnoDB; INSERT INTO t VALUES (1)", "near \"=\": syntax error"),
        ("CREATE TABLE t (a)", "holds no row"),
        ("CREATE TABLE t (a); ATTACH 'x.db' AS x; CREATE TABLE x.t (a)", "no other file may be attached"),
        ("CREATE TABLE t (a); INSERT INTO t SELECT load_extension('x')", "load_extension"),
        ("torn.sqlite", "malformed"),
        (".", "no database can be read at"),
        ("{nothing}.sqlite", "field 'nothing' is missing"),
    ],
)  # fmt: skip
def test_a_database_that_cannot_be_used_is_told_of_in_one_line(shop, tmp_path, database, said):
    with sqlite3.connect(tmp_path / "torn.sqlite") as file:
        file.executescript(SHOP)
    (tmp_path / "torn.sqlite").write_bytes((tmp_path / "torn.sqlite").read_bytes()[:1000])
    with pytest.raises((TaskError, UsageError)) as error:
        shop(database=database)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert not Path("x.db").exists()


def test_a_gold_that_cannot_be_run_is_found_by_doctor_and_one_that_is_no_query_when_it_is_read(shop):
    _, (found,) = doctor(shop([*ROWS, {"question": "q", "answer": "SELECT colour FROM items"}]))
    assert "the gold query fails: not SQL: no such column: colour" in found.reason
    with pytest.raises(TaskError, match=r"line 1: no SQL query can be read from the answer 'five' \(no answer\)"):
        shop([{"question": "How many?", "answer": "five"}])


@pytest.mark.parametrize(
    ("gold", "written"),
    [
        ("SELECT name FROM items;", "SELECT id FROM items;"),
        ("SELECT name FROM items", "SELECT id FROM items"),
        ("```sql\nSELECT name FROM items\n```", "```sql\nSELECT id FROM items\n```"),
    ],
)
def test_answers_are_written_as_the_golds_are(shop, gold, written):
    task = shop([{"question": "q", "answer": gold}])
    assert task.examples("train")[0].answer == "SELECT name FROM items"
    assert task.completion("", "SELECT id FROM items") == written
    assert task.completion("Count them.", "SELECT id FROM items") == written
    worked = shop([{"question": "q", "answer": gold, "why": "All names."}], solution="why")
    assert worked.completion("All ids.", "SELECT id FROM items") == "All ids.\n\n```sql\nSELECT id FROM items\n```"
    assert worked.prompt(worked.examples("train")[0])[0]["content"].endswith(
        "Work it out, and end with one SQL query for SQLite in a ```sql block."
    )


def test_every_gold_of_many_is_checked(shop):
    rows = [
        {"question": f"Items above {number}?", "answer": f"SELECT id FROM items WHERE price > {number} ORDER BY id"}
        for number in range(300)
    ]
    assert doctor(shop(rows)) == (300, [])
