"""The report on a terminal: short, and free of what a terminal would obey."""

import os
from pathlib import Path

import pytest
from fake_run import fake_run

from errata.programs import report
from errata.programs.report import texts


def test_a_run_without_an_accepted_round_says_that_nothing_changed(tmp_path):
    path = fake_run(tmp_path / "run", {"t": ["a", "b"]}, rounds=1, accepted=False)
    result = report.write(path)
    assert result.answer.verdict == "unchanged"
    told = report.as_text(result)
    assert told.startswith("No round was accepted: the weights are the ones that the run began with.")
    assert "What the last training would have changed, on dev:" in told
    assert "t test, 2 skills" not in told


def test_the_terminal_gives_each_benchmark_a_line_and_no_wall_of_skills(several):
    told = report.as_text(several[1])
    _, table_, *_ = told.split("\n\n")
    assert [line.split()[0] for line in table_.splitlines()] == ["benchmark", *(f"bench{n}" for n in range(7)), "guard"]
    assert len({len(line) for line in table_.splitlines()}) == 1
    assert len(told.splitlines()) < 80
    assert all(len(line) < 160 or line.startswith("Points: ") for line in told.splitlines())


def test_the_terminal_prints_no_control_character(hostile):
    assert all(c == "\n" or c.isprintable() for c in report.as_text(hostile[1]))


@pytest.mark.parametrize(("out", "told"), [("env", "/tmp/x/env"), ("/tmp/my env", "'/tmp/my env'"), ("../env", "/tmp/env")])
def test_an_environment_is_installed_from_its_folder_and_never_by_name_from_an_index(out, told, monkeypatch):
    monkeypatch.setattr(Path, "resolve", lambda path: Path(os.path.normpath(Path("/tmp/x") / path)))
    said = texts.exported_environment({"programs": 1, "package": "env", "out": out, "left_out": {}})
    assert f"next: pip install {told} && " in said
