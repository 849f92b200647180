"""What no instructor can write programs for is refused before anything is mined or priced, and doctor says so."""

import json

import pytest
from typer.testing import CliRunner

from errata.cli import app
from errata.programs.cycle import unteachable
from errata.tasks import load_task
from errata.tasks.settings import TableSettings

VERDICTS = {
    "exact": [], "contains": [], "regex": ["--set", "table.pattern=(\\w+)$"], "math": [], "marks:hit": [],
}  # fmt: skip
GOLDS = {
    "texts": ["Rome", "Paris", "Oslo"],
    "numbers": ["7", "1,200", "-3.5"],
    "one text": ["7", "8", "about 12 or 13"],
    "units": ["5 km", "300 m"],
    "latex": ["7", "\\frac{1}{2}"],
}
REFUSED = "none of 3 train items"


@pytest.fixture
def table(tmp_path, monkeypatch):
    (tmp_path / "marks.py").write_text("def hit(example, prediction):\n    return example.answer in prediction.response\n")
    monkeypatch.syspath_prepend(tmp_path)

    def written(golds):
        for split in ("train", "dev", "test"):
            rows = [json.dumps({"question": f"What is number {place} of {split}?", "answer": gold}) for place, gold in enumerate(golds)]
            (tmp_path / f"{split}.jsonl").write_text("\n".join(rows))
        return f"jsonl:{tmp_path}"

    return written


def errata(*args):
    return CliRunner().invoke(app, args)


@pytest.mark.parametrize("verdict", VERDICTS)
def test_answers_that_are_texts_are_refused_to_the_embedded_instructor_before_anything_is_mined(table, tmp_path, verdict):
    if verdict == "math":
        pytest.importorskip("math_verify")
    asked = ["--task", table(GOLDS["texts"]), "--set", f"table.verdict={verdict}", *VERDICTS[verdict]]
    for command in (["generate", "--as-errors"], ["generate", "--dry-run"], ["diagnose"], ["train"], ["cycle"]):
        done = errata(*command, *asked, "--run", str(tmp_path / "run"))
        assert done.exit_code == 2, done.output
        assert REFUSED in done.stderr and "--instructor openai/" in done.stderr and "errata evaluate" in done.stderr
        assert "USD" not in done.output and not (tmp_path / "run").exists()
    found = errata("doctor", *asked, "--json")
    (said,) = [row for row in json.loads(found.stdout)["findings"] if row["what"] == "instructor offline"]
    assert said["said"] == "it cannot teach this task" and REFUSED in said["mend"]


@pytest.mark.parametrize("verdict", VERDICTS)
def test_answers_that_are_texts_are_taught_by_an_instructor_that_is_named(table, tmp_path, monkeypatch, verdict):
    if verdict == "math":
        pytest.importorskip("math_verify")
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    asked = ["--task", table(GOLDS["texts"]), "--set", f"table.verdict={verdict}", *VERDICTS[verdict], "--instructor", "openai/gpt-5-mini"]
    done = errata("generate", "--as-errors", "--dry-run", "--json", "-q", *asked, "--run", str(tmp_path / "run"))
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["calls"]["expected"] > 0
    found = errata("doctor", *asked, "--json")
    assert "it cannot teach this task" not in found.stdout


@pytest.mark.parametrize(
    ("golds", "kind"), [("texts", "text"), ("numbers", "number"), ("one text", "text"), ("units", "text"), ("latex", "text")]
)
@pytest.mark.parametrize("verdict", ["exact", "contains"])
def test_golds_that_are_all_bare_numbers_are_taught_as_numbers_under_every_verdict(table, golds, kind, verdict):
    task = load_task(table(GOLDS[golds]), TableSettings(verdict=verdict))
    assert task.kind == kind
    assert {item.kind for split in ("train", "dev", "test") for item in task.examples(split)} == {kind}
    assert unteachable(task, task.examples("train")) is None


def test_a_strategy_that_writes_no_programs_takes_texts(table, tmp_path):
    done = errata(
        "generate", "-q", "--task", table(GOLDS["texts"]), "--strategy", "GoldOnly", "--as-errors", "--run", str(tmp_path / "run")
    )
    assert done.exit_code == 0, done.output


def test_a_joined_task_is_refused_for_the_member_that_is_texts(table, tmp_path):
    done = errata("generate", "--task", f"sums+{table(GOLDS['texts'])}", "--as-errors", "--run", str(tmp_path / "run"))
    assert done.exit_code == 2
    assert REFUSED in done.stderr


def test_recorded_answers_that_are_texts_are_refused_before_an_instructor_is_asked(table, tmp_path):
    task = table(GOLDS["texts"])
    rows = [json.dumps({"question": f"What is number {place} of train?", "response": "Answer: Bonn"}) for place in range(3)]
    (tmp_path / "answers.jsonl").write_text("\n".join(rows))
    run = str(tmp_path / "run")
    assert errata("import", str(tmp_path / "answers.jsonl"), "--task", task, "--run", run).exit_code == 0
    done = errata("generate", "--run", run)
    assert done.exit_code == 2, done.output
    assert REFUSED in done.stderr
