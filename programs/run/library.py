"""Programs that go from one run to another, each with the errors that prove it: the kept ones of a run, and those that a run, an exported
environment or a file holds.

What is not here: proving them again (errata.programs.steps.teach), and writing an environment (errata.programs.report.environment).
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from ...signatures.errors import UsageError
from ...signatures.records import Attempt, Diagnosis, Failure, LibraryProgram, Rejection, SampleProgram, TeachingResult, content_hash
from . import layout
from .directory import R, read_config

PROGRAMS, PROVENANCE = "programs.jsonl", "provenance.json"
"""Files of an exported environment."""


class Library(NamedTuple):
    """Programs and where they are from."""

    programs: list[LibraryProgram]
    hash: str
    says: dict[str, Any]
    """What the source tells of itself: task, target, instructor, ..."""


def of_run(path: Path) -> list[LibraryProgram]:
    """The programs of a run that were accepted in any round, and were not refused later or retired."""
    rounds = layout.rounds(path)
    last = max(rounds, default=0)
    gone = set(layout.retired(path, last + 1))
    attempts = [row for number in rounds for row in (*layout.attempts(path, number), *layout.lent(path, number))]
    for number in rounds:
        stage = layout.step(path, number, "assemble")
        gone |= {row.of for row in stage.read(layout.REJECTIONS, Rejection) if row.kind == "program"} if stage.done else set()
    kept = _with_errors((row for number in rounds for row in layout.taught(path, number)), attempts)
    return [row for row in kept if row.program.id not in gone]


def read(path: Path) -> Library:
    """The programs at a path. Raises UsageError in one line where there are none, or where a file has another form, RunError for a damaged
    run."""
    path = path.expanduser()
    if (path / "run.json").exists():
        config = read_config(path)
        made_by = {"target": config.target.model, "instructor": config.instructor.model, "strategy": config.generate.strategy}
        return _library(path, of_run(path), {"task": config.task} | made_by)
    file = path
    if path.is_dir():
        known = [*path.glob(PROGRAMS), *sorted(path.glob(f"*/{PROGRAMS}")), *path.glob(layout.TAUGHT)]
        if not known:
            raise UsageError(f"library {path} holds no programs: give a run, an exported environment, or a file of programs")
        file = known[0]
    try:
        says = json.loads(file.with_name(PROVENANCE).read_bytes()).items() if file.with_name(PROVENANCE).exists() else ()
    except (ValueError, RecursionError, AttributeError):
        raise UsageError(f"library {path}: its {PROVENANCE} is not a JSON object; export it again, or remove that file") from None
    return _library(path, _from_file(file), {name: text for name, text in says if isinstance(text, str)})


def _library(path: Path, found: Iterable[LibraryProgram], says: dict[str, Any]) -> Library:
    programs = list({row.program.id: row for row in found}.values())
    if not programs:
        raise UsageError(f"library {path} has no kept program; give a run whose `errata generate` kept some")
    return Library(programs, content_hash([row.id for row in programs]), says)


def _from_file(file: Path) -> list[LibraryProgram]:
    """Lines as an environment, a run's teaching, or `SampleProgram` writes them; the errors of the last two stand in a file beside it."""
    lines, beside = _lines(file), file.with_name(layout.ATTEMPTS)
    attempts = [_record(beside, number, row, Attempt) for number, row in _lines(beside)] if beside.exists() else []
    if any("errors" in row for _, row in lines):
        return [_record(file, number, row, LibraryProgram) for number, row in lines]
    if any("failure_ids" in row for _, row in lines):
        return _with_errors((_record(file, number, row, TeachingResult) for number, row in lines), attempts)
    bare = (_record(file, number, row, SampleProgram) for number, row in lines)
    return _with_errors((TeachingResult(failure_ids=one.anchors, diagnosis=None, program=one) for one in bare), attempts)


def _with_errors(taught: Iterable[TeachingResult], attempts: Iterable[Attempt]) -> list[LibraryProgram]:
    rows = list(attempts)
    known = layout.unanswered(rows) | layout.failures(rows)
    return [
        LibraryProgram(program=row.program, diagnosis=row.diagnosis or _undiagnosed(row.program), errors=_errors(row.program, known))
        for row in taught
        if row.program
    ]


def _errors(program: SampleProgram, known: Mapping[str, Failure]) -> tuple[Attempt, ...]:
    return tuple(known[name].attempt for name in program.anchors if name in known)


def _undiagnosed(program: SampleProgram) -> Diagnosis:
    """What is known of a program whose file tells no diagnosis: its skill."""
    blank = dict.fromkeys(("strategy", "misconception", "evidence", "teach"), "")
    return Diagnosis(failure_ids=program.anchors, verdict="error", skill=program.skill, **blank)


def _lines(file: Path) -> list[tuple[int, dict[str, Any]]]:
    """(number, object) of the lines of a file of JSON objects."""
    try:
        rows = [(number, json.loads(line)) for number, line in enumerate(file.read_bytes().split(b"\n"), 1) if line.strip()]
    except FileNotFoundError:
        fact = f"library {file} is not there: give a run, an exported environment, or a file of programs"
        raise UsageError(f"{fact}; a run that has taken its programs goes on without it, by --run RUN") from None
    except OSError as error:
        raise UsageError(f"library {file} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        rows = [(0, None)]
    if not all(isinstance(row, dict) for _, row in rows):
        raise UsageError(
            f"library {file} is not a file of JSON objects, one a line; give a run, an exported environment, or programs.jsonl"
        )
    return rows


def _record(file: Path, number: int, row: dict[str, Any], record: type[R]) -> R:
    try:
        return record.model_validate(row)
    except ValidationError as error:
        first = f"{'.'.join(map(str, error.errors()[0]['loc']))}: {error.errors()[0]['msg']}"[:200]
        raise UsageError(
            f"library {file}, line {number}, is not a program with its errors, as a run or `errata export` writes it: {first}"
        ) from None
