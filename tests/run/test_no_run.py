"""Who names a place that is no run is told which run is meant."""

from pathlib import Path

import pytest

from errata.programs.run.directory import read_config
from errata.programs.view.sources import read
from errata.signatures.errors import NoRunError, UsageError


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A folder with two runs, in the folder where we are."""
    for name in ("first", "second"):
        (tmp_path / "runs" / name / "round-1").mkdir(parents=True)
        (tmp_path / "runs" / name / "run.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    return Path("runs")


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("runs/secnod", "runs near it: runs/first, runs/second; did you mean second?"),
        ("runs", "runs near it: runs/first, runs/second"),
        ("runs/first/round-1", "runs near it: runs/first"),
        ("runs/first/run.json", "runs near it: runs/first"),
        ("elsewhere/x", "`errata cycle --run elsewhere/x` makes one"),
    ],
)
def test_a_place_that_is_no_run_is_told_the_runs_near_it(runs, place, told):
    with pytest.raises(NoRunError) as caught:
        read_config(Path(place))
    assert str(caught.value) == f"{place} is not a run directory: it has no run.json; {told}"


def test_of_many_runs_three_are_told(runs):
    for name in ("third", "fourth"):
        (runs / name).mkdir()
        (runs / name / "run.json").write_text("{}")
    with pytest.raises(NoRunError, match=r"runs near it: runs/first, runs/fourth, runs/second, \.\.\.$"):
        read_config(runs)


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("runs/secnod@given", "there is no runs/secnod; give a run directory, or a file of answers"),
        ("runs", "runs is neither a run directory, which holds run.json, nor a folder of logs"),
    ],
)
def test_a_source_that_is_no_run_is_told_them_too(runs, place, told):
    with pytest.raises(UsageError) as caught:
        read(place)
    assert str(caught.value).startswith(f"{told}; runs near it: runs/first, runs/second")
