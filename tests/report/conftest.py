"""Finished runs whose reports are written, made by hand."""

import pytest
from fake_run import fake_run
from pages import HOSTILE

from errata.programs import report


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """Seven benchmarks, one with fifty skills, a guard, three rounds of which the last is rejected."""
    tasks = {f"bench{n}": [f"skill {n}.{k}" for k in range(50 if n == 0 else 3)] for n in range(7)}
    path = fake_run(tmp_path_factory.mktemp("runs") / "several", tasks, {"guard": ["a", "b"]}, rounds=3, items=50)
    return path, report.write(path)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    path = fake_run(tmp_path_factory.mktemp("runs") / "hostile", {"t": ["one", "two"]}, {"g": ["x"]}, text=HOSTILE)
    return path, report.write(path)


@pytest.fixture(scope="module")
def practised(tmp_path_factory):
    """A run whose weights stand after a second stage."""
    path = fake_run(tmp_path_factory.mktemp("runs") / "practised", {"t": ["one", "two"]}, rounds=2, practises=True)
    return path, report.write(path)
