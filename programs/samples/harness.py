"""Runs sample programs: the harness that calls draw, make and wrong in the sandbox, and the rows that come back.

Sample i of a program depends on (source, seed, i, level) alone, so any part of any training set can be made again in any order.
Not here: what a row must hold by kind (errata.programs.samples.kind), and judging a program (errata.programs.samples.checks).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from ...sandbox import Job, Limits, Sandbox
from ...signatures.records import ProgramRun
from .kind import Draw, Kind, finished, guest
from .kinds import KINDS

HARNESS = guest("harness.py")
"""Trusted text that runs beside the program in the sandbox, before the file of its kind that defines `complete`."""

WRONG = ("wrong", "wrong_solution")
"""What the misconception answers, and how it comes to it."""


class Drawn(NamedTuple):
    """What a program gave for its anchors and draws; a dict with `error` stands for one that failed."""

    run: ProgramRun
    anchors: list[dict[str, Any]]
    rows: list[dict[str, Any]]


def run_program(
    sandbox: Sandbox, source: str, anchors: Sequence[str], draws: Sequence[Draw], limits: Limits, kind: str = "number"
) -> Drawn:
    """Run a program once in a fresh sandbox. With an outcome other than `ok`, or rows that were forged, the lists are empty."""
    job = job_of(source, anchors, draws, limits, kind)
    return read_run(sandbox.run(job.source, job.harness, job.payload, job.limits), anchors, draws, kind)


def job_of(source: str, anchors: Sequence[str], draws: Sequence[Draw], limits: Limits, kind: str) -> Job:
    """The run of a program as the sandbox takes it."""
    rules = KINDS[kind]
    asked = {"texts": rules.texts, "values": rules.values, "others": rules.others}
    payload = asked | {"anchors": list(anchors), "draws": [list(draw) for draw in draws]}
    return Job(source, HARNESS + guest(rules.guest), payload, limits)


def read_run(run: ProgramRun, anchors: Sequence[str], draws: Sequence[Draw], kind: str) -> Drawn:
    """What came out of a program's run, looked at as untrusted."""
    rules = KINDS[kind]
    if run.outcome == "ok" and (len(run.rows) != len(anchors) + len(draws) or not all(_well_formed(row, rules) for row in run.rows)):
        run = run.model_copy(update={"outcome": "error", "error": "the program changed what make() and draw() hand back"})
    if run.outcome != "ok":
        return Drawn(run, [], [])
    rows = [finished(row, rules, draw) for row, draw in zip(run.rows, [*(None for _ in anchors), *draws], strict=True)]
    return Drawn(run, rows[: len(anchors)], rows[len(anchors) :])


def _well_formed(row: Any, rules: Kind) -> bool:
    """Untrusted code shares the interpreter with the harness, so the host looks at every row again; `finish` looks at the other fields."""
    if not isinstance(row, dict):
        return False
    if "error" in row:
        return isinstance(row["error"], str)
    return (
        all(isinstance(row.get(field), str) and row[field].strip() for field in (*rules.texts, *rules.values))
        and all(row.get(field) is None or isinstance(row[field], str) for field in WRONG)
        and row.keys() <= {*rules.texts, *rules.values, *rules.others, *rules.more, *WRONG}
    )
