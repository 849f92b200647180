"""What a run achieved, as one JSON-able document: report.json, from which the terminal's table, report.md and the page are written.

Everything is read from the run directory; nothing is computed by a model here, and what was not measured is None or absent. Comparisons
are paired over the same items, with 95 % intervals (Wilson for shares, errata.programs.steps.gate for differences).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ...signatures.errors import RunError
from ...signatures.records import Attempt, GateDecision, Rejection, Sample, Standing, TeachingResult
from ..config import CycleConfig
from ..run.directory import Stage, read_config, read_json
from ..run.ledger import read_ledger
from ..run.summary import asserted, proven, refusals
from ..stats import by_skill, counts, paired, share
from ..steps import library, words
from .figures import answer

COMPUTED = "agreed: rows whose answer a program computes were not solved a second time by a model; each program's anchor stands for them"
SKIPPED = "{}: the config left this check out (generate.skip)"
ASSERTED = "agreed: {} rows rest on facts that the instructor asserts, and no independent solve has confirmed them"

Benchmark = tuple[str, str]
"""A task and the split of it that was measured."""


def compare(before: Sequence[Attempt], after: Sequence[Attempt]) -> dict[str, Any]:
    """Before and after over the same items: all of them, and each skill."""

    def one(old: Sequence[Attempt], new: Sequence[Attempt]) -> dict[str, Any]:
        return {
            "before": share(old),
            "after": share(new),
            "change": paired(old, new),
        }

    skills, later = by_skill(before), by_skill(after)
    return one(before, after) | {"skills": {name: one(skills[name], later.get(name, [])) for name in skills}}


def changed(before: Sequence[Attempt], after: Sequence[Attempt]) -> dict[str, list[str]]:
    """Ids of the items that were fixed and of those that were broken, in the order of the items."""
    theirs = {row.example.id: row.verdict.correct for row in after}
    pairs = [(row.example.id, row.verdict.correct, theirs.get(row.example.id)) for row in before]
    return {
        "fixed": [name for name, old, new in pairs if (old, new) == (False, True)],
        "broken": [name for name, old, new in pairs if (old, new) == (True, False)],
    }


def build(path: Path) -> dict[str, Any]:
    """The report of a finished run. Raises RunError for a run that has not come to its end."""
    config = read_config(path)
    if not (path / "result.json").exists():
        raise RunError(f"{path} has not come to its end; `errata cycle --run {path}` continues it")
    result = read_json(path / "result.json")
    held_out = _HeldOut(path)
    evaluations = {}
    for task, split in result["evaluations"]:
        old, new = (held_out.of(weights)[task, split] for weights in (result["before"], result["after"]))
        evaluations[f"{task} {split}"] = compare(old, new) | changed(old, new)
    rounds = [_round(path, number, held_out) for number in range(1, result["rounds"] + 1)]
    report: dict[str, Any] = {
        "config": config.model_dump(mode="json"),
        "target": {"before": result["before"], "after": result["after"]},
        "accepted": [row["number"] for row in rounds if row["decision"]["accepted"]],
        "guards": sorted({guard["task"] for row in rounds for guard in row["decision"]["guards"]}),
        "evaluations": evaluations,
        "course": _course(held_out, result["before"], rounds),
        "rounds": rounds,
        "instructor": read_ledger(path),
        "work": _work(path, config, result["rounds"]),
        "not_checked": _not_checked(rounds, config.generate.skip),
    }
    return report | {"answer": answer(report)}


class _HeldOut:
    """Attempts at held-out items by the hash of the weights and by benchmark, each file read once."""

    def __init__(self, path: Path):
        self._path = path
        self.of = cache(self._of)

    def _of(self, weights: str) -> dict[Benchmark, list[Attempt]]:
        """All that was measured of these weights; benchmarks in alphabetical order."""
        found: dict[Benchmark, list[Attempt]] = {}
        for folder in sorted((self._path / "evaluate" / weights).glob("*")):
            stage = Stage(folder)
            for row in stage.read("attempts.jsonl", Attempt) if stage.done else ():
                found.setdefault((row.example.task, row.example.split), []).append(row)
        return found


def _course(held_out: _HeldOut, before: str, rounds: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Each benchmark after each round in which it was measured, all of it and by skill, from the weights that the run began with (round 0).

    `from` is the round that its weights were trained from, None at round 0."""
    trained = {before: 0} | {row["train"]["weights"]: row["number"] for row in rounds if row["train"]}
    parent = {row["number"]: trained[row["train"]["base"]] for row in rounds if row["train"]}
    kept = {0} | {row["number"] for row in rounds if row["decision"]["accepted"]}
    course: dict[str, list[dict[str, Any]]] = {}
    for weights, number in trained.items():
        for (task, split), rows in held_out.of(weights).items():
            skills = {name: share(some) for name, some in by_skill(rows).items()}
            place = {"round": number, "weights": weights, "kept": number in kept, "from": parent.get(number)}
            course.setdefault(f"{task} {split}", []).append(place | {"all": share(rows), "skills": skills})
    return course


def _work(path: Path, config: CycleConfig, rounds: int) -> dict[str, dict[str, int]]:
    """By stage: `answers` that the target gave, `steps` of training and the `rows` trained on; without stages that needed neither."""
    work: dict[str, dict[str, int]] = {}
    for number in range(1, rounds + 1):
        for name in ("mine", "probe", "words", "probe-after"):
            stage = Stage(path / f"round-{number}" / name)
            mined = name == "mine" and (config.errors == "all" or (config.errors == "recorded" and number == 1))
            if stage.done and not mined:
                work[f"round-{number}/{name}"] = {"answers": stage.facts()["items"]}
        manifest = path / f"round-{number}/train/manifest.json"
        if manifest.exists():
            report = read_json(manifest)["report"]
            work[f"round-{number}/train"] = {"steps": report["steps"], "rows": report["rows_kept"]}
    held_out = [Stage(folder) for folder in path.glob("evaluate/*/*")]
    return work | {"evaluate": {"answers": sum(stage.facts()["items"] for stage in held_out if stage.done)}}


def _not_checked(rounds: Sequence[dict[str, Any]], skipped: Sequence[str]) -> list[str]:
    open_facts = sum(row["asserted"]["rows"] - row["asserted"]["agreed"] for row in rounds)
    computed = sum(row["samples"] - row["asserted"]["rows"] - row["items"] for row in rounds)
    told = ([COMPUTED] if computed else []) + ([ASSERTED.format(open_facts)] if open_facts else [])
    return told + [SKIPPED.format(name) for name in skipped]


def _round(path: Path, number: int, held_out: _HeldOut) -> dict[str, Any]:
    folder = path / f"round-{number}"
    taught = Stage(folder / "teach").read("taught.jsonl", TeachingResult)
    assembled = Stage(folder / "assemble")
    rejections = assembled.read("rejections.jsonl", Rejection)
    decision = Stage(folder / "gate").read("decision.jsonl", GateDecision)[0]
    manifest = folder / "train" / "manifest.json"
    train = read_json(manifest)["report"] if manifest.exists() else None
    attempts = Stage(folder / "mine").read("attempts.jsonl", Attempt)
    samples = assembled.read("samples.jsonl", Sample)
    refused = Counter(row.check for row in rejections if row.kind == "program")
    skills = Counter(row.diagnosis.skill for row in taught if row.diagnosis and row.program)
    old, new = (held_out.of(train[side]) if train else {} for side in ("base", "weights"))
    benchmarks = decision.benchmarks or (decision.task,)
    before, after = ([row for task in benchmarks for row in found.get((task, "dev"), [])] for found in (old, new))
    return {
        "number": number,
        "mined": counts(attempts),
        "failures": len({name for row in taught for name in row.failure_ids}),
        "programs": sum(row.program is not None for row in taught),
        "diagnosed": len({name for row in taught if row.diagnosis and row.diagnosis.verdict == "error" for name in row.failure_ids}),
        "proven": proven(taught, attempts),
        "refused": refusals(taught),
        "complaints": dict(Counter(one.check for row in taught for one in row.rejections).most_common()),
        "at_fault": [
            row.failure_ids[0] for row in taught if row.diagnosis and row.diagnosis.verdict != "error" and len(row.failure_ids) == 1
        ],
        "skills": dict(skills.most_common()),
        "samples": len(samples),
        "replay": assembled.facts()["replay"],
        "style": assembled.facts().get("style", {}),
        "words": words.told(samples) | _facts(folder / "words"),
        "library": library.told(assembled.read("library.jsonl", Standing)),
        "asserted": asserted(samples),
        "items": sum(row.item is not None for row in samples),
        "programs_refused_by_probe": sum(refused.values()) - refused["agreed"],
        "programs_refused_by_solves": refused["agreed"],
        "rows_refused": dict(Counter(row.check for row in rejections if row.kind == "sample").most_common()),
        "masses": _masses(path, number, taught, samples),
        "train": train,
        "dev": compare(before, after) if before else None,
        "decision": decision.model_dump(mode="json"),
    }


def _facts(path: Path) -> dict[str, Any]:
    """The facts of a stage that only some runs have."""
    stage = Stage(path)
    return stage.facts() if stage.done else {}


def _masses(path: Path, number: int, taught: Sequence[TeachingResult], samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """What the target fails of the probe rows of a round's new programs, by diagnosed skill, greatest first: `before` the round's training
    and `after` it (None where that was not measured).

    `mass` is the share that it fails of each program's rows, times the errors that the program rebuilds: how many of the `errors` that
    were studied it would make again."""
    before, after = (_probed(path / f"round-{number}" / name) for name in ("probe", "probe-after"))
    drawn = Counter(sample.program_id for sample in samples)
    errors = {row.program.id: len(row.program.anchors) for row in taught if row.program}
    groups: dict[str, list[TeachingResult]] = {}
    for row in taught:
        if row.program and row.diagnosis and row.program.id in before:
            groups.setdefault(row.diagnosis.skill, []).append(row)

    def side(names: Sequence[str], probed: Mapping[str, list[Attempt]]) -> dict[str, Any] | None:
        known = {name: probed[name] for name in names if name in probed}
        if not known:
            return None
        mass = sum(errors[name] * sum(row.verdict.correct is False for row in rows) / len(rows) for name, rows in known.items())
        return {"mass": round(mass, 4)} | share([row for rows in known.values() for row in rows])

    found = []
    for skill, rows in groups.items():
        names = [row.program.id for row in rows if row.program]
        told = Counter(row.diagnosis.misconception for row in rows if row.diagnosis and row.diagnosis.misconception)
        found.append(
            {
                "skill": skill,
                "misconceptions": dict(told.most_common(5)),
                "programs": len(names),
                "errors": sum(errors[name] for name in names),
                "rows": sum(drawn[name] for name in names),
                "before": side(names, before),
                "after": side(names, after),
            }
        )
    return sorted(found, key=lambda row: (-row["before"]["mass"], row["skill"]))


def _probed(folder: Path) -> dict[str, list[Attempt]]:
    """Attempts at probe rows, by program."""
    stage = Stage(folder)
    found: dict[str, list[Attempt]] = {}
    for row in stage.read("attempts.jsonl", Attempt) if stage.done else ():
        found.setdefault(row.example.meta["program"], []).append(row)
    return found
