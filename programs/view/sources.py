"""What was answered, as data, from anything that a user has. A source is what a person types:

    runs/x               a run directory: all weights that were measured in it, in the order in which they came about
    runs/x@given         the weights that it began with
    runs/x@1             those that stand after round 1; @1:grpo those after its stage grpo, @1:2 those after its second stage
    runs/x@accepted      those of the last accepted round
    runs/x@45fcb         those whose hash begins so, as `errata trace` takes it; four digits at least
    runs/x@recorded      answers that `errata import` took in
    FILE or FOLDER       answers of others with the verdicts that stand beside them (errata.programs.view.logs)

Rows of a run are read from its files each time that they are asked for: of a large run only their places are held. Nothing is judged
here, and what is not finished is not shown. Not here: pages, and what two sources have in common (errata.programs.view.diff).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ...signatures.errors import RunError, UsageError, did_you_mean, places_near
from ...signatures.records import Attempt
from ...signatures.rows import grouped
from ..config import CycleConfig
from ..report.runs import goes_on
from ..run import layout
from ..run.directory import read_config
from . import logs
from .answered import Answered, Benchmark, outcome

__all__ = ["Answered", "one", "outcome", "read"]


def read(source: str) -> list[Answered]:
    """All that a source holds; one where it names one. Raises UsageError for a place or a name that is not there, RunError and TaskError
    for what cannot be read or holds no answers."""
    path, name = _split(source)
    if _there(path / "run.json"):
        found = _of_run(path)
        return [_named(found, path, name)] if name else found
    if not _there(path):
        raise UsageError(f"there is no {path}; give a run directory, or a file of answers{places_near(path, 'run.json', 'runs')}")
    if path.is_dir() and (any(path.glob("*/run.json")) or not logs.files(path)):
        neither = f"{path} is neither a run directory, which holds run.json, nor a folder of logs"
        raise UsageError(neither + places_near(path, "run.json", "runs"))
    return logs.read(path, name)


def one(source: str) -> Answered:
    """What a source means where one is wanted: of a run without an `@` the weights of its last accepted round, or else those that it began
    with. Raises as `read` does, and UsageError where several models stand in a log."""
    found = read(source)
    if len(found) == 1:
        return found[0]
    by_name = {name: some for some in found for name in some.names}
    if "accepted" in by_name:
        return by_name["accepted"]
    if given := by_name.get("given"):
        return replace(given, fallen=True, tried=[some.source for some in found if some is not given and some.weights])
    raise UsageError(f"{source} holds answers of several, {_known(found)}; name one, e.g. {found[0].source}")


def _split(source: str) -> tuple[Path, str]:
    """The path, and the name behind the last `@`, empty where there is none; a path may hold one too."""
    if not source:
        raise UsageError("a source is empty; give a run directory, or a file of answers")
    if _there(_path(source)) or "@" not in source:
        return _path(source), ""
    path, _, name = source.rpartition("@")
    if not path or not name:
        raise UsageError(f"{source!r} names nothing before or behind its @; write e.g. runs/x@given, or leave the @ out")
    return _path(path), name


def _path(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:  # nobody has that home folder
        return Path(text)


def _there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long, a folder that may not be looked into
        return False


def _known(found: Sequence[Answered]) -> str:
    return ", ".join(some.names[0] for some in found)


def _named(found: Sequence[Answered], path: Path, name: str) -> Answered:
    """The weights that a name means."""
    for some in found:
        if name in some.names:
            return replace(some, source=f"{path}@{name}")
    alike = [some for some in found if some.weights and some.weights.startswith(name)]
    if len(alike) == 1 and (len(name) > 3 or name == alike[0].weights):  # a lone digit means a round
        return replace(alike[0], source=f"{path}@{name}")
    if name == "accepted":
        raise UsageError(f"{path} has no accepted round; name what it has: {', '.join(some.source for some in found)}")
    if alike:
        of = " and ".join(f"{some.source} ({some.weights})" for some in alike)
        raise UsageError(f"{path}@{name} begins the hash of {of}; give more of it, four digits at least")
    names = [name for some in found for name in some.names]
    raise UsageError(f"{path} holds no answers of {name!r}, only of {_known(found)}{did_you_mean(name, names)}")


# ---- runs


def _of_run(path: Path) -> list[Answered]:
    """What each of the weights of a run answered. Raises RunError where none was measured."""
    config = read_config(path)
    measured: dict[str, dict[Benchmark, Sequence[Attempt]]] = {}
    for stage in layout.evaluations(path):
        rows = grouped(stage.rows(layout.ATTEMPTS, Attempt), lambda row: (row.example.task, row.example.split))
        measured.setdefault(stage.path.parent.name, {}).update(rows)
    recorded: dict[Benchmark, Sequence[Attempt]] = {}
    for number in layout.rounds(path):
        mined = layout.attempts(path, number)
        rows = grouped(mined, lambda row: (row.example.task, row.example.split))
        if config.errors == "recorded" and number == 1:
            recorded = rows
        elif mined and mined[0].target:  # without a target items were taken as errors, and nobody answered
            there = measured.setdefault(mined[0].target, {})
            there |= {name: some for name, some in rows.items() if name not in there}
    weights = _weights(path, config, [*measured])
    found = [
        Answered(f"{path}@{names[0]}", title, name, _ordered(measured[name]), names, path, _settings(config))
        for name, (names, title) in weights.items()
        if name in measured
    ]
    if recorded:
        title = "recorded answers"
        found.insert(0, Answered(f"{path}@recorded", title, "", _ordered(recorded), ("recorded",), path, _settings(config)))
    if not found:
        raise RunError(f"{path} holds no finished answers yet; {goes_on(path)}")
    return found


def _ordered(benchmarks: Mapping[Benchmark, Sequence[Attempt]]) -> dict[Benchmark, Sequence[Attempt]]:
    """Test before dev before train, and by name."""
    return dict(sorted(benchmarks.items(), key=lambda one: (("test", "dev", "train").index(one[0][1]), one[0])))


def _weights(path: Path, config: CycleConfig, measured: Sequence[str]) -> dict[str, tuple[tuple[str, ...], str]]:
    """Hash of weights -> (their names, the same in words), in the order in which they came about."""
    names: dict[str, list[str]] = {}
    titles: dict[str, str] = {}
    last = ""
    for number in layout.rounds(path):
        reports, decision = layout.training_reports(path, number), layout.decision(path, number)
        stages = layout.stage_names(path, number, config.train.order)
        for place, report in enumerate(reports):
            if not names:
                names[report.base], titles[report.base] = ["given"], "weights as given"
            stage, stands = stages[place], place == layout.stands(path, number)
            own = [f"{number}:{stage}"] if report.back is None else []
            mine = [f"{number}"] if stands and len(reports) == 1 else own
            mine += [f"{number}", *own] if stands else []
            accepted = stands and decision is not None and decision.accepted
            last = report.weights if accepted else last
            told = f"round {number}" + (f", {stage}" if report.back is not None else f" after {stage}" if len(reports) > 1 else "")
            told += "" if not stands or decision is None else ", accepted" if accepted else ", not accepted"
            names.setdefault(report.weights, []).extend([*mine, f"{number}:{place + 1}"])
            titles.setdefault(report.weights, told)
    if not names and measured:
        names[measured[0]], titles[measured[0]] = ["given"], "weights as given"
    if last:
        names[last].append("accepted")
    for other in measured:
        names.setdefault(other, [other])
    return {weights: (tuple(dict.fromkeys(some)), titles.get(weights, f"weights {weights}")) for weights, some in names.items()}


def _settings(config: CycleConfig) -> dict[str, str]:
    """What of a run's config decides how answers come about and are judged."""
    table = {f"table.{name}": str(value) for name, value in config.table if name not in ("splits",)}
    target = {f"target.{name}": str(getattr(config.target, name)) for name in ("dtype", "stop_loops")}
    known = {"judge.model": str(config.judge.model), "trace_tags": ", ".join(map(str, config.trace_tags))}
    return {"judged by": "Errata", "decoding": "greedy", **table, **target, **known}
