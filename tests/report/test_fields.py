"""How often each field of a JSON answer is right: counted where it is judged, and shown by every report."""

import json

import pytest
from fake_run import attempt, fake_run, fielded
from pages import HOSTILE

from errata.programs import report
from errata.programs.report import texts
from errata.programs.report.document import build
from errata.programs.report.measured import measured, text
from errata.programs.run.directory import Stage
from errata.programs.stats import by_field
from errata.signatures.records import UNCLOSED, Attempt, Example, Verdict


def judged(number: int, correct: bool | None, fields: dict[str, bool] | None, reason: str = "r") -> Attempt:
    example = Example(task="t", split="dev", question=f"q{number}", answer="{}", kind="json")
    return Attempt(example=example, response="r", verdict=Verdict(correct=correct, extracted=None, reason=reason, fields=fields))


def test_a_field_is_right_or_wrong_whatever_the_others_are():
    rows = [
        judged(0, True, {"a": True, "b": True}),
        judged(1, False, {"a": True, "b": False}),
        judged(2, False, {"a": False}),  # its gold answer has no b
        judged(3, False, None, UNCLOSED),
        judged(4, None, None),
    ]
    found = {name: [row.verdict.correct for row in some] for name, some in by_field(rows).items()}
    assert found == {"a": [True, True, False, False, None], "b": [True, False, False, None]}
    assert by_field([judged(0, True, None)]) == {}


def test_an_evaluation_tells_each_field(tmp_path):
    rows = [fielded(attempt("t", "dev", n, "", n % 2 == 0, "w"), n, ["customer", "items", "date"]) for n in range(30)]
    found = measured(Stage(tmp_path / "evaluate"), rows)
    assert found["right"] == 15
    assert {name: one["right"] for name, one in found["fields"].items()} == {"customer": 23, "items": 23, "date": 23}
    said = text("t dev", tmp_path, found)
    assert "by field of the answer" in said
    assert [line.split()[:2] for line in said.splitlines() if line.lstrip().startswith(("customer", "items", "date"))] == [
        ["customer", "76.7"],
        ["items", "76.7"],
        ["date", "76.7"],
    ]
    plain = measured(Stage(tmp_path / "evaluate"), [attempt("t", "dev", 1, "", True, "w")])
    assert "fields" not in plain
    assert "by field" not in text("t", tmp_path, plain)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = fake_run(
        tmp_path_factory.mktemp("fields") / "run", {"t": ["a"]}, {"g": ["a"]}, 1, items=200, fields=["customer", "items", HOSTILE]
    )
    report.write(path)
    return path


def test_terminal_page_markdown_and_json_show_the_fields_before_and_after(path):
    document = build(path)
    written = json.loads((path / "report.json").read_text())["evaluations"]["t test"]["fields"]
    assert written == json.loads(document.model_dump_json())["evaluations"]["t test"]["fields"]
    fields = document.evaluations["t test"].fields
    assert list(fields) == ["customer", "items", HOSTILE]
    assert all(side.before.items == 200 and side.before.share < side.after.share for side in fields.values())
    assert all(side.change.p_holm >= side.change.p_value for side in fields.values())
    assert fields["items"].before.right > document.evaluations["t test"].before.right
    said = texts.as_text(document)
    assert "t test, by field of the answer" in said
    assert "g test, by field" not in said  # a guard
    page = (path / "report.html").read_text(encoding="utf-8")
    assert "<a href='#fields'>Fields</a>" in page
    assert HOSTILE not in page
    assert "### t test by field" in (path / "report.md").read_text(encoding="utf-8")


def test_a_report_without_fields_says_nothing_of_them(tmp_path):
    path = fake_run(tmp_path / "run", {"t": ["a"]}, rounds=1)
    report.write(path)
    assert "fields" not in json.loads((path / "report.json").read_text())["evaluations"]["t test"]
    assert all(
        "by field" not in (path / name).read_text() and "#fields" not in (path / name).read_text() for name in ("report.md", "report.html")
    )
