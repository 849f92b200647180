"""What a report says was measured: each round, each item, each diagnosed kind of error."""

import re

import pytest
from fake_run import fake_run

from errata.programs import report


def test_each_round_is_measured_on_dev_and_only_accepted_weights_on_test(several):
    course = several[1].course
    assert [(row.round, row.kept, row.parent) for row in course["bench0 dev"]] == [
        (0, True, None),
        (1, True, 0),
        (2, True, 1),
        (3, False, 2),
    ]
    assert [row.round for row in course["bench3 test"]] == [0, 1, 2]
    assert course["bench0 dev"][0].skills["skill 0.7"].items == 1


def test_error_mass_is_what_the_target_fails_of_its_probe_before_and_after_the_training(several):
    (first, *_) = several[1].rounds[0].masses
    assert (first.programs, first.before.share, first.after.share) == (first.before.items // 4, 0.25, 0.75)
    assert first.before.mass == pytest.approx(0.75 * first.programs)
    assert first.after.mass == pytest.approx(0.25 * first.programs)


def test_what_was_not_measured_after_the_training_is_none_and_the_page_says_so(tmp_path):
    path = fake_run(tmp_path / "run", {"t": ["a"]}, rounds=1)
    (path / "round-1/probe-after/manifest.json").unlink()
    result = report.write(path)
    assert [row.after for row in result.rounds[0].masses] == [None]
    assert "After this training they were not measured." in (path / "report.html").read_text()


def test_fixed_and_broken_items_are_named(several):
    evaluation = several[1].evaluations["bench1 test"]
    assert len(evaluation.fixed) == evaluation.change.fixed > 0
    assert len(evaluation.broken) == evaluation.change.broken > 0
    assert not set(evaluation.fixed) & set(evaluation.broken)


def test_cost_is_told_by_stage(several):
    result = several[1]
    assert result.work["round-1/train"] == {"steps": 12, "rows": 9}
    assert result.work["round-2/probe"] == {"answers": 4 * 68}
    page_ = (several[0] / "report.html").read_text()
    assert re.search(r"<td>round-1/teach<td>1<td>1,200<td>340<td>0.01<td>0<td>0", page_)


def test_a_round_with_fewer_rows_than_wanted_says_which_filter_took_how_many_in_every_form(tmp_path):
    short = "9 of 20 rows: 3 programs have no more to give; dropped by distinct 7, unseen 4"
    path = fake_run(tmp_path / "run", {"t": ["add"]}, rounds=1, short=short)
    document = report.write(path)
    assert document.rounds[0].shortfall == short
    assert short in report.as_text(document)
    assert short in (path / "report.md").read_text()
    assert short in (path / "report.html").read_text()
