"""A small run of the embedded instructor, from whose programs environments are exported and other runs begin."""

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from errata.cli import app
from errata.signatures.records import Attempt, Diagnosis, Example, Failure, LibraryProgram, SampleProgram, Verdict

SMALL = ("--task", "sums+facts", "--as-errors", "--limit", "4", "--set", "generate.rows=24", "--set", "sandbox.workers=1")


def errata(*args: Any) -> Any:
    """What a command prints, in this process."""
    return CliRunner().invoke(app, [*map(str, args)])


def small_run(path: Path) -> Path:
    done = errata("generate", *SMALL, "--run", path, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["programs"]["accepted"] >= 3
    return path


SUBTRACTS = """
NAMES = ("Ann", "Ben", "Cleo", "Dan")
THINGS = ("pens", "nuts", "cards", "shells", "stamps")


def draw(rng, level):
    who, what = rng.choice(NAMES), rng.choice(THINGS)
    return {"who": who, "what": what, "a": rng.randint(2, 20 * level), "b": rng.randint(2, 20 * level), "form": rng.randrange(3)}


def make(who, what, a, b, form):
    forms = (
        f"{who} has {a} {what} and finds {b} more {what}. How many {what} does {who} have now?",
        f"How many {what} has {who} got in all after finding {b}, where there were {a} at first?",
        f"There are {a} {what} in {who}'s box. Then {b} {what} are put in. What is the number of {what} in it at the end?",
    )
    return {"question": forms[form], "solution": f"{a} + {b} = {a + b}", "answer": str(a + b)}


def wrong(who, what, a, b, form):
    return str(a - b)


ANCHORS = {"ID": {"who": "Ann", "what": "pens", "a": 3, "b": 4, "form": 0}}
"""
"""A program for an error that subtracts where it must add."""


def with_wrong() -> LibraryProgram:
    """A program whose misconception is code, with the error that it rebuilds."""
    question = "Ann has 3 pens and finds 4 more pens. How many pens does Ann have now?"
    example = Example(task="sums", split="train", question=question, answer="7", solution="3 + 4 = 7")
    verdict = Verdict(correct=False, extracted="-1", reason="wrong")
    failure = Failure(attempt=Attempt(example=example, response="3 - 4 = -1\n#### -1", verdict=verdict))
    program = SampleProgram(
        diagnosis_id="d", source=SUBTRACTS.replace("ID", failure.id), anchors=(failure.id,), skill="adding", task="sums"
    )
    blank = dict.fromkeys(("evidence", "teach"), "")
    diagnosis = Diagnosis(failure_ids=(failure.id,), strategy="", verdict="error", skill="adding", misconception="it subtracts", **blank)
    return LibraryProgram(program=program, diagnosis=diagnosis, errors=(failure.attempt,))
