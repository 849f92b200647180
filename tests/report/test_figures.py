"""The answer of a run, and what may be called sure."""

import pytest
from fake_run import fake_run

from errata.programs import report
from errata.programs.report.figures import sure
from errata.programs.report.records import Change


def test_the_answer_counts_benchmarks_and_names_guards_rounds_and_cost(several):
    answer = several[1].answer
    found = [sure(row.change) for name, row in several[1].evaluations.items() if name != "guard test"]
    better, worse = found.count("better"), found.count("worse")
    assert better > worse > 0
    assert answer.verdict == "mixed"
    assert answer.headline == f"Better here, worse there: of 7 benchmarks {better} surely better, {worse} surely worse."
    assert answer.lines[0].startswith("Points: bench0 test -")
    assert any(line.startswith("The guard guard test: ") for line in answer.lines)
    assert "2 of 3 rounds accepted; round 3 was rejected: so it is." in answer.lines
    assert answer.lines[-1].startswith("Cost: 3 calls to openai/some, 3,600 tokens in, 1,020 out, USD 0.03; ")


def test_a_single_benchmark_is_answered_with_its_figures(tmp_path):
    answer = report.build(fake_run(tmp_path / "run", {"t": ["a"]}, rounds=1, items=200)).answer
    assert answer.verdict == "better"
    assert answer.headline.startswith(
        "Better: t test: 50.0 % -> 62.5 %, +12.5 [+8, +17] points (surely better, p < 0.0001); 25 fixed, 0 broken"
    )


@pytest.mark.parametrize(
    ("low", "high", "p", "word"),
    [(0.01, 0.1, 0.01, "better"), (-0.1, -0.01, 0.01, "worse"), (0.01, 0.1, 0.06, "same"), (-0.01, 0.1, 0.01, "same")],
)
def test_a_change_is_sure_only_where_test_and_interval_agree(low, high, p, word):
    change = {"pairs": 9, "unjudged": 0, "before": 0, "after": 0, "difference": 0, "low": low, "high": high, "fixed": 0, "broken": 0}
    assert sure(Change(**change, p_value=p)) == word
