"""Runs to be looked at, made once by hand."""

import pytest
from fake_run import fake_run
from pages import HOSTILE


@pytest.fixture(scope="session")
def plain(tmp_path_factory):
    """Two rounds, the first accepted; two skills."""
    return fake_run(tmp_path_factory.mktemp("plain") / "run", {"t": ["adds", "halves"]}, {"g": ["x"]})


@pytest.fixture(scope="session")
def hostile(tmp_path_factory):
    """The same with a text in everything that tries to break out of a page."""
    return fake_run(tmp_path_factory.mktemp("hostile") / "run", {"t": ["adds"]}, rounds=1, items=6, text=HOSTILE)
