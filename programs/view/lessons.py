"""What a run made of its errors, as data for a page: each diagnosis with its program, its refusals, some of its rows, and the items that it
is of. Rows of a run are read once; of a round's rows a few a program are held.

Not here: the answers (errata.programs.view.sources), and the terminal's form of the same (errata.programs.report.trace).
"""

from collections import Counter
from pathlib import Path
from typing import Any

from ...signatures.records import Example, Sample, TeachingResult
from ..report.markup import clip
from ..run import layout

ROWS = 5
"""Most rows of a program that a page shows; all stand in the run's files."""
LONG = 4_000
"""Most characters of a row's question or solution, and of a text of a diagnosis."""


def lessons(path: Path) -> list[dict[str, Any]]:
    """One dict a diagnosis, or an error that nobody could diagnose, in the order of the rounds. `items` are ids of examples, `skills` the
    task and the skill of each as one text with a line feed between, `drawn` counts all rows of the program and `rows` holds the first."""
    found: list[dict[str, Any]] = []
    errors: dict[str, Example] = {}
    for number in layout.rounds(path):
        taught = layout.taught(path, number)
        if not taught:
            continue
        attempts = layout.attempts(path, number)
        errors |= {failure: held.attempt.example for failure, held in layout.failures([*attempts, *layout.lent(path, number)]).items()}
        if not errors.keys() >= {name for row in taught for name in row.failure_ids}:
            errors |= {failure: held.attempt.example for failure, held in layout.unanswered(attempts).items()}
        drawn: Counter[str] = Counter()
        shown: dict[str, list[Sample]] = {}
        for sample in layout.samples(path, number):
            drawn[sample.program_id] += 1
            if drawn[sample.program_id] <= ROWS:
                shown.setdefault(sample.program_id, []).append(sample)
        retired = {row.program_id: row.retired for row in layout.standings(path, number) if row.retired}
        for one in found:  # a program goes on yielding rows in later rounds
            one["drawn"] += drawn.pop(one["id"], 0)
            one["rows"] += [_row(sample) for sample in shown.pop(one["id"], [])][: ROWS - len(one["rows"])]
            one["retired"] = one["retired"] or retired.pop(one["id"], "")
        for result in taught:
            name = result.program.id if result.program else ""
            rows = [_row(sample) for sample in shown.get(name, [])]
            found.append(_lesson(result, number, errors) | {"drawn": drawn[name], "rows": rows, "retired": retired.get(name, "")})
    return found


def _lesson(result: TeachingResult, number: int, errors: dict[str, Example]) -> dict[str, Any]:
    diagnosis, program = result.diagnosis, result.program
    examples = [errors[name] for name in (program.anchors if program else result.failure_ids) if name in errors]
    told = {
        name: clip(getattr(diagnosis, name), LONG) if diagnosis else ""
        for name in ("skill", "misconception", "evidence", "teach", "boundary")
    }
    last = result.rejections[-1:] if program is None else []
    return told | {
        "id": program.id if program else diagnosis.id if diagnosis else result.failure_ids[0],
        "round": number,
        "source": program.source if program else "",
        "refusals": [[one.check, clip(one.reason, LONG)] for one in last],
        "items": [one.id for one in examples],
        "skills": sorted({f"{one.task}\n{one.skill}" for one in examples}),
    }


def _row(sample: Sample) -> list[str]:
    """Its id, question, what is trained on, and the answer."""
    said = sample.correction or sample.own or sample.example.solution
    return [sample.id, clip(sample.example.question, LONG), clip(said, LONG), clip(sample.example.answer, LONG)]
