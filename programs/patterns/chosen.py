"""Which errors of a run are of which chosen pattern, and what that makes of the weights of programs.

An error of round 1 belongs where it is listed. In later rounds, whose answers are others, it belongs where its item was listed. An error
that is listed nowhere belongs to the pattern that names its item's skill, if any does. Reads the run directory only.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import nullcontext, suppress
from itertools import chain
from pathlib import Path
from statistics import mean

from pydantic import ValidationError

from ...signatures.errors import RunError, UsageError, did_you_mean
from ...signatures.records import Attempt, Failure, SampleProgram, sealed
from ...signatures.terminal import command
from ..config import CycleConfig
from ..run import layout
from ..run.directory import read_json, to_json, write_atomic
from .file import Choice, Chosen, choose


def chosen(config: CycleConfig, source: str, run: Path) -> tuple[Choice | None, str]:
    """What the config's file of patterns keeps, or kept for `run`, and what is to be told of it, as `meant`. Raises UsageError for a file
    that cannot be used, and for a strategy whose `source` is not errors."""
    if config.generate.patterns is None:
        return None, ""
    if source != "errors":
        raise UsageError(f"strategy {config.generate.strategy} studies no errors, which have the patterns; leave --patterns out")
    return meant(config.generate.patterns, config.generate.patterns_hash, run)


def meant(name: str, known: str | None, run: Path | None) -> tuple[Choice, str]:
    """What counts, the file as it is or the copy that the run keeps, and why where it is the copy: the file is gone; or it has changed
    since rows were drawn, and nobody gives it anew, as the hash `known` of the config is the copy's. Raises UsageError as `choose` does."""
    own: Choice | None = None
    file = Path(name).expanduser()
    with suppress(RunError):  # a damaged copy is written again
        own = kept(run) if run else None
    if run is None or own is None or Path(own.file) != Path(name):
        return choose(Path(name)), ""
    counts = f"what the run keeps of it counts, in {run / layout.CHOSEN}"
    if not file.exists():
        return own, f"patterns file {own.file} is not there: {counts}"
    drawn = known == own.hash and any(run.glob(f"*/assemble/{layout.ROWS}"))
    with suppress(UsageError) if drawn else nullcontext():
        now = choose(Path(name))
        if not drawn or now.hash == own.hash:
            return now, ""
    act = "another --run with --patterns teaches it as it is now"
    return own, f"patterns file {own.file} has changed since rows were drawn: {counts}; {act}"


def keep(path: Path, choice: Choice | None, told: str, say: Callable[[str], None]) -> None:
    """Write the choice into the run, or that there is none, and say what is to be told of it."""
    if told:
        say(told)
    if choice:
        write_atomic(path / layout.CHOSEN, to_json(sealed(choice.model_dump(mode="json"))))
    else:
        (path / layout.CHOSEN).unlink(missing_ok=True)


def kept(path: Path) -> Choice | None:
    """The choice that the run at `path` was given; None: it teaches all errors. Raises RunError where its file is damaged."""
    file = path / layout.CHOSEN
    try:
        return Choice.model_validate(read_json(file)) if file.exists() else None
    except ValidationError as error:
        raise RunError(f"{file} is damaged; `{command('cycle', '--run', path)}` writes it again, from the file of patterns") from error


def of_errors(path: Path, choice: Choice) -> dict[str, Chosen]:
    """Error id -> its pattern, of the errors of all rounds that are in one."""
    listed = {name: one for one in choice.patterns for name in one.errors}
    by_skill = {label: one for one in choice.patterns for label in one.skill}
    item_of = {error.id: error.attempt.example.id for error in _errors(path, 1)}
    by_item = listed | {item: listed[error] for error, item in item_of.items() if error in listed}
    dropped = {*choice.dropped, *(item_of[name] for name in choice.dropped if name in item_of)}
    found = {}
    for number in layout.rounds(path):
        for error in _errors(path, number):
            item = error.attempt.example
            if one := by_item.get(error.id) or by_item.get(item.id) or (not dropped & {error.id, item.id} and by_skill.get(item.skill)):
                found[error.id] = one
    return found


def _errors(path: Path, number: int) -> Iterator[Failure]:
    """The errors of a round, and those behind programs of a library."""
    rows = chain(layout.attempts(path, number), layout.lent(path, number))
    return (Failure(attempt=row) for row in rows if row.verdict.correct is False)


def weighted(masses: Mapping[str, float], library: Mapping[str, SampleProgram], path: Path, choice: Choice) -> dict[str, float]:
    """The weights of programs, each times the mean weight of its errors' patterns; those of no kept pattern are left out."""
    of = of_errors(path, choice)
    found = {name: mass * mean(of[one].weight if one in of else 0.0 for one in library[name].anchors) for name, mass in masses.items()}
    return {name: weight for name, weight in found.items() if weight}


def names(path: Path) -> dict[str, str]:
    """Program id -> the patterns that it teaches, by name; empty where none were chosen."""
    if (choice := kept(path)) is None:
        return {}
    of, programs = of_errors(path, choice), layout.library(path, max(layout.rounds(path), default=0))
    called = {name: dict.fromkeys(of[one].name for one in program.anchors if one in of) for name, program in programs.items()}
    return {name: ", ".join(found) for name, found in called.items() if found}


def require_taught(path: Path, number: int, errors: Set[str]) -> None:
    """Raise RunError where errors that are kept were left out when the programs of a round were written."""
    if missing := errors - {name for row in layout.taught(path, number) for name in row.failure_ids}:
        stage = layout.step(path, number, "teach").path
        raise RunError(
            f"{len(missing)} errors of patterns that are kept now got no program, as {stage} was made when they were left out; delete that "
            "folder to write theirs too: no call that was paid for is sent again"
        )


def require_known(choice: Choice, errors: Sequence[Attempt], config: CycleConfig) -> None:
    """Raise UsageError for what is listed and is no error, no item that is wrong, or no skill, among the `errors` of a run."""
    known = {Failure(attempt=row).id for row in errors} | {row.example.id for row in errors}
    skills = {row.example.skill for row in errors if row.example.skill}
    strange = [(one.name, name) for one in choice.patterns for name in one.errors if name not in known]
    if strange:
        more = f", nor are {len(strange) - 1} more" if strange[1:] else ""
        by_hand = len(strange) < sum(len(one.errors) for one in choice.patterns)
        raise UsageError(
            f"patterns file {choice.file}: {strange[0][1]} in {strange[0][0]!r} is not one of the {len(errors)} errors that this "
            f"run analyses{more}; {_why(choice, config, by_hand)}"
        )
    for one in choice.patterns:
        for label in one.skill:
            if label not in skills:
                near = did_you_mean(label, skills) or f"; its errors have {', '.join(sorted(skills)[:8]) or 'no skill labels'}"
                raise UsageError(f"patterns file {choice.file}: no error of this run has the skill {label!r} of {one.name!r}{near}")


def _why(choice: Choice, config: CycleConfig, by_hand: bool) -> str:
    """How it comes that a file lists errors that are not here, and what to do; `by_hand`: others that it lists are here."""
    if choice.source is None or by_hand:
        return "take it out: ids stand in round-1/mine of the run, and `errata diagnose` lists them by pattern"
    here = {"task": config.task, "seed": config.seed, "target": config.target.title}
    other = [
        f"{name} {getattr(choice.source, name)}, here {value}" for name, value in here.items() if getattr(choice.source, name) != value
    ]
    what = f"the file is of {'; '.join(other)}" if other else f"the file is of {choice.source.run}"
    return f"{what}: give it to its own run, or let `errata diagnose` write this run's; --set generate.patterns=null teaches all errors"
