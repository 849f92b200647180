"""Labels from errors to rows: a whole `errata generate` on examples/tickets, and the balance of answers in a training set."""

from collections import Counter

import pytest
from loopback import generated
from problems import drawn
from samples import lessons_label as lessons

from errata.programs.samples.filters import Balanced
from errata.programs.samples.phrasing import wordings

LABELS = {"billing", "bug", "refund", "login", "cancellation", "feature_request"}
ASK = "Answer with one of these labels alone: billing, bug, refund, login, cancellation, feature_request."


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return generated("examples/tickets.yaml", lessons.LESSONS, tmp_path_factory.mktemp("labels"), solve=lessons.solve)


def test_each_check_refuses_its_program_and_two_pass(made):
    assert made.code == 0, made.output
    assert sorted(check for check, _ in made.refusals) == sorted(lessons.CHECKS)
    assert all(result.program for result in made.taught)
    (doubted,) = [row for row in made.dropped if row.kind == "program"]
    leaving = next(result.program.id for result in made.taught if "I want to leave" in result.program.source)
    assert (doubted.check, doubted.of) == ("agreed", leaving)


def test_rows_are_right_balanced_and_in_the_users_form(made):
    assert len(made.samples) == 40
    by_program = {}
    for sample in made.samples:
        item = sample.example
        assert (item.kind, sample.asserted, sample.agreed) == ("label", True, True)
        assert item.answer == lessons.solve(item.question)
        assert sample.wrong in LABELS - {item.answer} or sample.wrong is None
        by_program.setdefault(sample.program_id, Counter())[item.answer] += 1
    assert sorted(map(sorted, by_program.values())) == [["billing", "refund"], ["bug", "login"]]
    assert all(max(counted.values()) <= 0.6 * counted.total() + 3 for counted in by_program.values())
    for (prompt, completion), sample in zip(made.texts, made.samples, strict=True):
        assert prompt == f"{sample.example.question}\n{ASK}"
        assert completion == sample.example.answer


def test_the_instructor_is_told_the_labels_and_asked_for_hard_negatives(made):
    (first, *_) = [fields for fields in made.asked if "contract" in fields]
    assert "The 6 labels: billing, bug, refund, login, cancellation, feature_request" in first["task"]
    assert "hard negatives of each" in first["contract"]


def test_one_answer_takes_no_more_than_its_share_of_a_programs_rows():
    check = Balanced()
    rows = [drawn(index, question=f"q{index}", answer="b" if index % 10 == 9 else "a", kind="label") for index in range(100)]
    kept = Counter(row.example.answer for row in rows if check(row) is None)
    assert kept["b"] == 10
    assert 15 <= kept["a"] <= 0.6 * (kept.total() + 5)
    numbers = Balanced()
    assert not any(numbers(drawn(index, question=f"q{index}", answer="1")) for index in range(50))


def test_texts_are_worded_in_as_many_ways_as_share_less_than_half_of_their_words():
    slots = [f"The {thing} is broken and I want it repaired by Friday." for thing in ("lamp", "red chair", "old table", "bike")]
    assert wordings(slots, 3) == 1
    assert wordings([*slots, "When will somebody come for my chair?"], 3) == 2
    assert wordings(["storm hits coast", "shares fall again", "cup final tonight", "new phone shown"], 3) == 3
