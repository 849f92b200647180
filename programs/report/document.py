"""What a run achieved, as one record: report.json, from which the terminal's table, report.md and the page are written.

Everything is read from the run directory; nothing is computed by a model here. Comparisons are paired over the same items, with 95 %
intervals (errata.programs.stats).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...signatures.errors import RunError
from ...signatures.records import Attempt, Rejection, Sample, Standing, TeachingResult, TrainReport
from ..config import CycleConfig
from ..run import layout
from ..run.directory import read_config, read_json
from ..run.ledger import read_ledger
from ..stats import by_skill, counts, paired, share
from .figures import answer
from .records import (
    Asserted,
    Bill,
    Change,
    Compared,
    Counts,
    Evaluation,
    Failing,
    Library,
    Mass,
    Report,
    Round,
    Share,
    Sides,
    Standings,
    Stop,
    Style,
    Weights,
    Words,
)
from .rounds import asserted, proven
from .rows import Rows

COMPUTED = "agreed: rows whose answer a program computes were not solved a second time by a model; each program's anchor stands for them"
SKIPPED = "{}: the config left this check out (generate.skip)"
ASSERTED = "agreed: {} rows rest on facts that the instructor asserts, and no independent solve has confirmed them"

Benchmark = tuple[str, str]
"""A task and the split of it that was measured."""


def compare(before: Sequence[Attempt], after: Sequence[Attempt]) -> Compared:
    """Before and after over the same items: all of them, and each skill."""

    def one(old: Sequence[Attempt], new: Sequence[Attempt]) -> Sides:
        return Sides(before=Share(**share(old)), after=Share(**share(new)), change=Change(**paired(old, new)))

    skills, later = by_skill(before), by_skill(after)
    return Compared(**dict(one(before, after)), skills={name: one(skills[name], later.get(name, [])) for name in skills})


def evaluated(before: Sequence[Attempt], after: Sequence[Attempt]) -> Evaluation:
    """`compare`, with the ids of the items that were fixed and of those that were broken, in the order of the items."""
    theirs = {row.example.id: row.verdict.correct for row in after}
    pairs = [(row.example.id, row.verdict.correct, theirs.get(row.example.id)) for row in before]
    fixed = [name for name, old, new in pairs if (old, new) == (False, True)]
    broken = [name for name, old, new in pairs if (old, new) == (True, False)]
    return Evaluation(**dict(compare(before, after)), fixed=fixed, broken=broken)


def build(path: Path, rows: Rows | None = None) -> Report:
    """The report of a finished run; `rows`: those of the run, where they are read for more. Raises RunError for a run that has not come to
    its end."""
    config = read_config(path)
    if not (path / layout.RESULT).exists():
        raise RunError(f"{path} has not come to its end; `errata cycle --run {path}` continues it")
    result = read_json(path / layout.RESULT)
    rows = rows or Rows(path)
    evaluations = {}
    for task, split in result["evaluations"]:
        old, new = (_benchmarks(rows, weights)[task, split] for weights in (result["before"], result["after"]))
        evaluations[f"{task} {split}"] = evaluated(old, new)
    rounds = [_round(path, number, rows) for number in range(1, result["rounds"] + 1)]
    guards = sorted({name for row in rounds for name in row.guards})
    bill = Bill(**read_ledger(path))
    work = _work(path, config, result["rounds"])
    return Report(
        config=config,
        target=Weights(before=result["before"], after=result["after"]),
        accepted=[row.number for row in rounds if row.decision.accepted],
        guards=guards,
        evaluations=evaluations,
        course=_course(rows, result["before"], rounds),
        rounds=rounds,
        instructor=bill,
        work=work,
        not_checked=_not_checked(rounds, config.generate.skip),
        answer=answer(evaluations, guards, rounds, config.instructor.model, bill.total, work),
    )


def _benchmarks(rows: Rows, weights: str) -> dict[Benchmark, list[Attempt]]:
    """All that was measured of these weights on held-out items."""
    found: dict[Benchmark, list[Attempt]] = {}
    for row in rows.evaluated.get(weights, []):
        found.setdefault((row.example.task, row.example.split), []).append(row)
    return found


def _course(run: Rows, before: str, rounds: Sequence[Round]) -> dict[str, list[Stop]]:
    """Each benchmark after each round in which it was measured, all of it and by skill, from the weights that the run began with."""
    trained = {before: 0} | {row.train.weights: row.number for row in rounds if row.train}
    parent = {row.number: trained[row.train.base] for row in rounds if row.train}
    kept = {0} | {row.number for row in rounds if row.decision.accepted}
    course: dict[str, list[Stop]] = {}
    for weights, number in trained.items():
        for (task, split), rows in _benchmarks(run, weights).items():
            skills = {name: Share(**share(some)) for name, some in by_skill(rows).items()}
            whole, came_from = Share(**share(rows)), parent.get(number)
            stop = Stop(round=number, weights=weights, kept=number in kept, parent=came_from, all=whole, skills=skills)
            course.setdefault(f"{task} {split}", []).append(stop)
    return course


def _work(path: Path, config: CycleConfig, rounds: int) -> dict[str, dict[str, int]]:
    """By stage: `answers` that the target gave, `steps` of training and the `rows` trained on; without stages that needed neither."""
    work: dict[str, dict[str, int]] = {}
    for number in range(1, rounds + 1):
        for name in ("mine", "probe", "words", "probe-after"):
            stage = layout.step(path, number, name)
            mined = name == "mine" and (config.errors == "all" or (config.errors == "recorded" and number == 1))
            if stage.done and not mined:
                work[layout.named(number, name)] = {"answers": stage.facts()["items"]}
        if report := layout.training_report(path, number):
            work[layout.named(number, "train")] = {"steps": report["steps"], "rows": report["rows_kept"]}
    return work | {"evaluate": {"answers": sum(stage.facts()["items"] for stage in layout.evaluations(path))}}


def _not_checked(rounds: Sequence[Round], skipped: Sequence[str]) -> list[str]:
    open_facts = sum(row.asserted.rows - row.asserted.agreed for row in rounds)
    computed = sum(row.samples - row.asserted.rows - row.items for row in rounds)
    lines = ([COMPUTED] if computed else []) + ([ASSERTED.format(open_facts)] if open_facts else [])
    return lines + [SKIPPED.format(name) for name in skipped]


def _round(path: Path, number: int, rows: Rows) -> Round:
    taught, attempts, samples = rows.taught(number), rows.attempts(number), rows.samples(number)
    assembled, asked = (layout.step(path, number, name) for name in ("assemble", "words"))
    rejections = assembled.read(layout.REJECTIONS, Rejection)
    decision = layout.decision(path, number)
    assert decision, "a run that is finished has decided on each round"
    training = rows.training_report(number)
    train = TrainReport.model_validate(training) if training else None
    refused = Counter(row.check for row in rejections if row.kind == "program")
    skills = Counter(row.diagnosis.skill for row in taught if row.diagnosis and row.program)
    old, new = (_benchmarks(rows, weights) for weights in (train.base, train.weights)) if train else ({}, {})
    benchmarks = decision.benchmarks or (decision.task,)
    before, after = ([row for task in benchmarks for row in found.get((task, "dev"), [])] for found in (old, new))
    return Round(
        number=number,
        mined=Counts(**counts(attempts)),
        failures=len({name for row in taught for name in row.failure_ids}),
        programs=sum(row.program is not None for row in taught),
        diagnosed=len({name for row in taught if row.diagnosis and row.diagnosis.verdict == "error" for name in row.failure_ids}),
        proven=proven(taught, attempts),
        refused=layout.refusals(taught),
        complaints=_counted(one.check for row in taught for one in row.rejections),
        at_fault=[row.failure_ids[0] for row in taught if row.diagnosis and row.diagnosis.verdict != "error" and len(row.failure_ids) == 1],
        skills=dict(skills.most_common()),
        samples=len(samples),
        shortfall=assembled.facts().get("shortfall", ""),
        replay=assembled.facts()["replay"],
        style={name: Style(**one) for name, one in assembled.facts().get("style", {}).items()},
        words=Words(**_words(samples), **(asked.facts() if asked.done else {})),
        library=summed(layout.standings(path, number)),
        asserted=Asserted(**asserted(samples)),
        items=sum(row.item is not None for row in samples),
        programs_refused_by_probe=sum(refused.values()) - refused["agreed"],
        programs_refused_by_solves=refused["agreed"],
        rows_refused=_counted(row.check for row in rejections if row.kind == "sample"),
        masses=_masses(rows, number),
        train=train,
        dev=compare(before, after) if before else None,
        decision=decision,
    )


def _counted(names: Iterable[str]) -> dict[str, int]:
    """How often each name comes, most frequent first."""
    return dict(Counter(names).most_common())


def _words(samples: Sequence[Sample]) -> dict[str, int]:
    """Rows by whose words they are in and by their lesson."""
    lessons = {name: sum(sample.lesson == name for sample in samples) for name in ("worked", "correction", "hint")}
    return {"own_words": sum(sample.own is not None for sample in samples)} | lessons


def summed(rows: Sequence[Standing]) -> Library:
    """Standings of a round in sums, over all programs and by skill, the skills with most programs first."""
    skills: dict[str, list[Standing]] = {}
    for row in rows:
        skills.setdefault(row.skill, []).append(row)
    by_size = {name: Standings(**_sums(skills[name])) for name in sorted(skills, key=lambda name: (-len(skills[name]), name))}
    return Library(**_sums(rows), reasons={row.program_id: row.retired for row in rows if row.retired}, skills=by_size)


def _sums(rows: Sequence[Standing]) -> dict[str, Any]:
    figures = {name: sum(getattr(row, name) for row in rows) for name in ("probed", "failed", "drawn", "kept")}
    refused: Counter[str] = Counter()
    for row in rows:
        refused.update(row.refused)
    return {"programs": len(rows), "retired": sum(bool(row.retired) for row in rows), "refused": dict(refused.most_common())} | figures


def _masses(run: Rows, number: int) -> list[Mass]:
    """What the target fails of the probe rows of a round's new programs, by diagnosed skill, greatest first: before the round's training
    and after it."""
    taught, samples = run.taught(number), run.samples(number)
    before, after = (_probed(run.attempts(number, name)) for name in ("probe", "probe-after"))
    drawn = Counter(sample.program_id for sample in samples)
    errors = {row.program.id: len(row.program.anchors) for row in taught if row.program}
    groups: dict[str, list[TeachingResult]] = {}
    for row in taught:
        if row.program and row.diagnosis and row.program.id in before:
            groups.setdefault(row.diagnosis.skill, []).append(row)

    def side(names: Sequence[str], probed: Mapping[str, list[Attempt]]) -> Failing | None:
        known = {name: probed[name] for name in names if name in probed}
        if not known:
            return None
        mass = sum(errors[name] * sum(row.verdict.correct is False for row in rows) / len(rows) for name, rows in known.items())
        return Failing(mass=round(mass, 4), **share([row for rows in known.values() for row in rows]))

    found = []
    for skill, rows in groups.items():
        names = [row.program.id for row in rows if row.program]
        misconceptions = Counter(row.diagnosis.misconception for row in rows if row.diagnosis and row.diagnosis.misconception)
        old = side(names, before)
        assert old, "only programs that were probed are grouped"
        found.append(
            Mass(
                skill=skill,
                misconceptions=dict(misconceptions.most_common(5)),
                programs=len(names),
                errors=sum(errors[name] for name in names),
                rows=sum(drawn[name] for name in names),
                before=old,
                after=side(names, after),
            )
        )
    return sorted(found, key=lambda row: (-row.before.mass, row.skill))


def _probed(attempts: Iterable[Attempt]) -> dict[str, list[Attempt]]:
    """Attempts at probe rows, by program."""
    found: dict[str, list[Attempt]] = {}
    for row in attempts:
        found.setdefault(row.example.meta["program"], []).append(row)
    return found
