"""The list of runs names nothing that a terminal would obey, and hides no run behind a damaged one."""

from fake_run import fake_run
from pages import HOSTILE

from errata.programs import report
from errata.programs.report.runs import as_text, listed


def test_a_damaged_run_is_listed_beside_the_others_and_texts_of_data_stay_text(tmp_path):
    report.write(fake_run(tmp_path / "hostile", {"t": ["a"]}, rounds=1, text=HOSTILE))
    (fake_run(tmp_path / "broken", {"t": ["a"]}, rounds=1) / "run.json").write_text("{")
    text = as_text(listed(tmp_path))
    assert "hostile\n  t, tiny taught by openai/some with LearnFromError\n  finished after 1 round, accepted 1\n" in text
    assert "broken\n  cannot be read: " in text
    assert all(c == "\n" or c.isprintable() for c in text)
