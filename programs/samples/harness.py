"""Runs sample programs: the harness that calls draw, make and wrong in the sandbox, and the samples that come back.

Sample i of a program depends on (source, seed, i, level) alone, so any part of any training set can be made again in any order.
What is not here: what a row must hold by kind (errata.programs.samples.kinds), and judging a program (errata.programs.samples.checks).
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ...sandbox import Limits, Sandbox
from ...signatures.records import ProgramRun, Sample, SampleProgram
from .kinds import KINDS, Draw, Number

HARNESS = """
import json
import random


def _problem(program, params, payload):
    params = json.loads(json.dumps(params, allow_nan=False))
    row = program.make(**params)
    if not isinstance(row, dict):
        raise TypeError("make() must return a dict, not " + type(row).__name__)
    out = {}
    for field in payload["texts"]:
        if not isinstance(row.get(field), str) or not row[field].strip():
            raise TypeError("make() must return a non-empty str under %r, not %r" % (field, row.get(field)))
        out[field] = row[field]
    for field in payload["others"]:
        if field in row:
            out[field] = row[field]
    if hasattr(program, "wrong"):
        value = program.wrong(**params)
        out["wrong"] = None if value is None else str(value)
    return complete(out)


def _try(build):
    try:
        return build()
    except Exception as error:
        return {"error": "%s: %s" % (type(error).__name__, error)}


def _draw(program, seed, index, level, payload):
    rng = random.Random("%s:%s:%s" % (seed, index, level))
    params = program.draw(rng, level)
    if not isinstance(params, dict):
        raise TypeError("draw() must return a dict, not " + type(params).__name__)
    return _problem(program, params, payload)


def main(program, payload):
    for name in payload["anchors"]:
        yield _try(lambda: _problem(program, program.ANCHORS[name], payload))
    for seed, index, level in payload["draws"]:
        yield _try(lambda: _draw(program, seed, index, level, payload))
"""
"""Trusted text that runs beside the program in the sandbox, behind the `complete` of its kind: one row an anchor, then one a draw;
{"error": ...} for one that fails."""


class Drawn(NamedTuple):
    """What a program gave for its anchors and draws; a dict with `error` stands for one that failed."""

    run: ProgramRun
    anchors: list[dict[str, Any]]
    rows: list[dict[str, Any]]


def run_program(
    sandbox: Sandbox, source: str, anchors: Sequence[str], draws: Sequence[Draw], limits: Limits, kind: str = "number"
) -> Drawn:
    """Run a program once in a fresh sandbox. With an outcome other than `ok`, or rows that were forged, the lists are empty."""
    rules = KINDS[kind]
    payload = {"texts": rules.texts, "others": rules.others, "anchors": list(anchors), "draws": [list(draw) for draw in draws]}
    run = sandbox.run(source, HARNESS + rules.harness, payload, limits)
    if run.outcome == "ok" and (len(run.rows) != len(anchors) + len(draws) or not all(_well_formed(row, rules) for row in run.rows)):
        run = run.model_copy(update={"outcome": "error", "error": "the program changed what make() and draw() hand back"})
    if run.outcome != "ok":
        return Drawn(run, [], [])
    rows = [_finished(row, rules, draw) for row, draw in zip(run.rows, [*(None for _ in anchors), *draws], strict=True)]
    return Drawn(run, rows[: len(anchors)], rows[len(anchors) :])


def _well_formed(row: Any, rules: Number) -> bool:
    """Untrusted code shares the interpreter with the harness, so the host looks at every row again; `finish` looks at the other fields."""
    if not isinstance(row, dict):
        return False
    if "error" in row:
        return isinstance(row["error"], str)
    return (
        all(isinstance(row.get(field), str) and row[field].strip() for field in rules.texts)
        and (row.get("wrong") is None or isinstance(row["wrong"], str))
        and row.keys() <= {*rules.texts, *rules.others, *rules.more, "wrong"}
    )


def _finished(row: dict[str, Any], rules: Number, draw: Draw | None) -> dict[str, Any]:
    if "error" in row:
        return row
    try:
        return rules.finish(dict(row), draw)
    except ValueError as error:
        return {"error": str(error)}


def samples(program: SampleProgram, draws: Iterable[Draw], rows: Iterable[dict[str, Any]]) -> list[Sample]:
    """The rows that did not fail, as records."""
    return [
        Sample(
            program_id=program.id,
            task=program.task,
            seed=seed,
            index=index,
            level=level,
            **{name: row[name] for name in row if name in Sample.model_fields},
        )
        for (seed, index, level), row in zip(draws, rows, strict=True)
        if "error" not in row
    ]
