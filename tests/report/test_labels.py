"""The confusion matrix of a report: which labels are answered to items of which gold label, before and after, on a page of any size."""

import json
import re

import pytest
from fake_run import fake_run
from pages import HOSTILE

from errata.programs import report
from errata.programs.report import figures, records, texts
from errata.programs.report.document import build, confusion
from errata.signatures.records import Attempt, Example, Verdict


def attempts(kind, *pairs, choices=()):
    """Attempts at (gold, what was read; ... : unjudged)."""
    rows = []
    for number, (gold, read) in enumerate(pairs):
        meta = {"choices": choices[number % len(choices)]} if choices else {}
        example = Example(task="t", split="dev", question=f"q{number}", answer=gold, kind=kind, meta=meta)
        known = read is not ...
        verdict = Verdict(correct=read == gold if known else None, extracted=read if known else "x", reason="r")
        rows.append(Attempt(example=example, response="r", verdict=verdict))
    return rows


def cells(before, after):
    return [(cell.gold, cell.answered, cell.before, cell.after) for cell in confusion(before, after)]


def test_each_cell_counts_items_before_and_after_the_commonest_gold_label_first():
    before = attempts("label", ("b", "b"), ("b", "a"), ("b", None), ("a", "a"), ("a", ...))
    after = attempts("label", ("b", "b"), ("b", "b"), ("b", "b"), ("a", "b"), ("a", "a"))
    assert cells(before, after) == [("b", "b", 1, 3), ("b", "a", 1, 0), ("b", None, 1, 0), ("a", "b", 0, 1), ("a", "a", 1, 1)]


def test_options_are_told_by_their_words_where_all_items_have_the_same():
    same = [{"A": "yes", "B": "no"}, {"A": "no", "B": "yes"}]
    rows = attempts("choice", ("A", "A"), ("A", "B"), choices=same)
    assert cells(rows, rows) == [("no", "yes", 1, 1), ("yes", "yes", 1, 1)]
    other = attempts("choice", ("A", "A"), ("A", "B"), choices=[same[0], {"A": "yes", "B": "never"}])
    assert cells(other, other) == []
    assert cells(attempts("number", ("1", "2")), attempts("number", ("1", "1"))) == []


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The written reports of a run with so many labels."""

    def made(labels):
        path = fake_run(tmp_path_factory.mktemp("labels") / "run", {"t": ["a", "b"]}, rounds=1, items=400, labels=labels)
        report.write(path)
        return path

    return made


def test_few_labels_are_shown_as_a_matrix_on_page_and_in_markdown_and_their_pairs_on_the_terminal(run):
    path = run(["refund", "billing", "bug"])
    document = json.loads((path / "report.json").read_text())
    found = document["evaluations"]["t test"]["labels"]
    assert sum(cell["before"] for cell in found) == sum(cell["after"] for cell in found) == 400
    wrong = document["evaluations"]["t test"]["after"]["wrong"]
    assert sum(cell["after"] for cell in found if cell["gold"] != cell["answered"]) == wrong
    table = figures.labels([records.Answered(**cell) for cell in found])
    assert [str(cell) for cell in table.head] == ["gold label", "billing", "refund", "bug", "unread"]
    markdown, page = (path / "report.md").read_text(), (path / "report.html").read_text()
    assert str(table.markdown()) in markdown and str(table.html()) in page
    assert "before → after where the two differ" in markdown and "before → after where the two differ" in page
    said = texts.as_text(build(path))
    assert "t test, labels that are taken for others, items\n  gold label   answered   before   after\n" in said


def test_few_labels_are_drawn_as_a_matrix_before_and_one_after(run):
    path = run(["refund", "billing", "bug"])
    document = json.loads((path / "report.json").read_text())["evaluations"]["t test"]
    page = (path / "report.html").read_text()
    drawn = re.findall("<figcaption>([^<]*)</figcaption><div class=wide tabindex=0><table class=matrix>(.*?)</table>", page, re.DOTALL)
    assert [title for title, _ in drawn] == [f"{side}: {document[side]['right']} of 400 right" for side in ("before", "after")]
    for side, (_, table) in zip(("before", "after"), drawn, strict=True):
        counts = [int(count) for count in re.findall(r"<td class='heat\d [^']*'>(\d+)", table)]
        assert sum(counts) == sum(cell[side] for cell in document["labels"])
        right = [int(count) for count in re.findall(r"<td class='heat\d diagonal'>(\d+)", table)]
        assert sum(right) == document[side]["right"]


def test_of_many_labels_the_pairs_that_are_confused_most_are_named_and_the_others_counted():
    many = [records.Answered(gold=f"l{n}", answered=f"l{n + 1}", before=n, after=0) for n in range(40)]
    table = figures.labels(many)
    assert [str(cell) for cell in table.head] == ["gold label", "answered", "before", "after"]
    assert [str(row[0]) for row in table.rows] == [f"l{n}" for n in range(39, 19, -1)]
    assert table.notes[1] == f"20 other pairs: {sum(range(20))} items before, 0 after"


def test_names_of_labels_cannot_break_out_of_the_page(run):
    path = run([f"{HOSTILE}{n}" for n in range(3)])
    page = (path / "report.html").read_text()
    assert "<section id=labels" in page.replace("'", "").replace('"', "")
    assert "<script" not in page and "<iframe" not in page


def test_runs_without_labels_say_nothing_of_them(tmp_path):
    path = fake_run(tmp_path / "run", {"t": ["a"]}, rounds=1)
    report.write(path)
    assert "labels" not in json.loads((path / "report.json").read_text())["evaluations"]["t test"]
    assert "gold label" not in (path / "report.html").read_text() + (path / "report.md").read_text() + texts.as_text(build(path))
