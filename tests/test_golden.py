"""A run's bytes: what teaching and assembling write without a target is the same on every machine, to the byte.

A change that means to change it makes the hashes anew: `python tests/golden.py RUN > tests/golden.txt` of the run below, and says so.
"""

from pathlib import Path

import golden
from typer.testing import CliRunner

from errata.cli import app


def test_programs_and_rows_of_the_embedded_instructor_are_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = [
        "generate",
        "-q",
        "--run",
        "run",
        "--as-errors",
        "--limit",
        "40",
        "--task",
        "sums+lists+facts",
        "--strategy",
        "Fuse",
        "--set",
        "generate.phrasings=3",
    ]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    found = golden.hashes(tmp_path / "run")
    known = [line.split("  ") for line in Path(__file__).with_name("golden.txt").read_text().splitlines()]
    assert found == {name: digest for digest, name in known}
