"""Who names a place that is no run is told which run is meant."""

import os

import pytest

from errata.programs.places import runs_in
from errata.programs.run.directory import read_config
from errata.signatures.errors import NoRunError, RunError


@pytest.fixture
def runs(tmp_path):
    """A folder with two runs, the second begun later."""
    for place, name in enumerate(("first", "second")):
        (tmp_path / "runs" / name / "round-1").mkdir(parents=True)
        file = tmp_path / "runs" / name / "run.json"
        file.write_text("{}")
        os.utime(file, (place, place))
    return tmp_path / "runs"


def said(path):
    with pytest.raises(NoRunError) as caught:
        read_config(path)
    return str(caught.value)


def test_a_mistyped_run_is_told_the_runs_beside_it(runs):
    text = said(runs / "secnod")
    assert text == f"{runs}/secnod is not a run directory: there is no such folder; beside it lie {runs}/second, {runs}/first; " + (
        "did you mean second?"
    )


def test_of_many_runs_the_last_begun_are_told(runs):
    for number in range(3):
        (runs / f"old-{number}").mkdir()
        (runs / f"old-{number}" / "run.json").write_text("{}")
        os.utime(runs / f"old-{number}" / "run.json", (-1, -1))
    assert [run.name for run in runs_in(runs)[:2]] == ["second", "first"]
    assert f"{runs}/second, {runs}/first, {runs}/old-0 and 2 more runs" in said(runs / "x")


def test_a_folder_of_runs_and_a_place_inside_a_run_are_told_the_run(runs, monkeypatch):
    assert said(runs) == f"{runs} is a folder of runs; name one of them, e.g. {runs}/second"
    assert said(runs / "first/round-1") == f"{runs}/first/round-1 lies inside a run; give the run itself: {runs}/first"
    monkeypatch.chdir(runs / "first/round-1")
    assert said(type(runs)(".")) == f". lies inside a run; give the run itself: {runs}/first"


def test_only_a_place_where_a_run_could_begin_is_told_how_one_is_made(tmp_path):
    (tmp_path / "held").mkdir()
    (tmp_path / "held/file").write_text("x")
    assert (
        said(tmp_path / "new")
        == f"{tmp_path}/new is not a run directory: there is no such folder; `errata cycle --run {tmp_path}/new` makes one"
    )
    assert said(tmp_path / "held").endswith("is not a run directory: it has no run.json")
    assert said(tmp_path / "held/file").endswith("is not a run directory: it has no run.json")


def test_a_run_that_may_not_be_read_is_not_told_to_be_none(runs):
    (runs / "first/run.json").unlink()
    (runs / "first/run.json").mkdir()
    with pytest.raises(RunError, match=r"run.json cannot be read \(Is a directory\)") as caught:
        read_config(runs / "first")
    assert not isinstance(caught.value, NoRunError)
