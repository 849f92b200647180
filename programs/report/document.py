"""What a run achieved, as one record: report.json, from which the terminal's table, report.md and the page are written.

Everything is read from the run directory; nothing is computed by a model here. Comparisons are paired over the same items, with 95 %
intervals (errata.programs.stats).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, cached_property, partial
from itertools import chain
from pathlib import Path
from statistics import mean
from typing import Any

from ...signatures.errors import RunError
from ...signatures.records import Attempt, GateDecision, Rejection, Standing
from ..config import CycleConfig
from ..patterns.chosen import kept, of_errors
from ..patterns.found import named
from ..run import layout
from ..run.directory import read_config, read_json
from ..run.ledger import read_ledger
from ..stats import answers, by_field, by_skill, counts, grouped, holm, judged, paired, share
from . import records
from .figures import answer
from .rounds import asserted, phrased, proven, refused_late
from .runs import goes_on

COMPUTED = "agreed: rows whose answer a program computes were not solved a second time by a model; each program's anchor stands for them"
SKIPPED = "{}: the config left this check out (generate.skip)"
ASSERTED = "agreed: {} rows rest on facts that the instructor asserts, and no independent solve has confirmed them"


class Rows:
    """A run's rows as they are asked for, each file read once. What is not finished holds no rows."""

    def __init__(self, path: Path):
        self.path = path
        self.attempts = cache(partial(layout.attempts, path))
        self.taught = cache(partial(layout.taught, path))
        self.samples = cache(partial(layout.samples, path))

    @cached_property
    def evaluated(self) -> dict[str, dict[tuple[str, str], Sequence[Attempt]]]:
        """Attempts at held-out items, by the hash of the weights and by task and split, benchmarks in alphabetical order."""
        found: dict[str, dict[tuple[str, str], Sequence[Attempt]]] = {}
        for stage in layout.evaluations(self.path):
            there = found.setdefault(stage.path.parent.name, {})
            rows = grouped(stage.rows(layout.ATTEMPTS, Attempt), lambda row: (row.example.task, row.example.split))
            there |= {name: [*there[name], *some] if name in there else some for name, some in rows.items()}
        return found

    def benchmarks(self, weights: str) -> dict[tuple[str, str], Sequence[Attempt]]:
        """All that was measured of these weights on held-out items, by task and split."""
        return self.evaluated.get(weights, {})


def compare(before: Sequence[Attempt], after: Sequence[Attempt]) -> records.Compared:
    """Before and after over the same items: all of them, and each skill."""
    lm, skills = judged([*before, *after]), _each(by_skill(before), by_skill(after))
    return records.Compared(**dict(_sides(before, after)), skills=skills, judged=records.Judged(**lm) if lm else None)


def _sides(old: Sequence[Attempt], new: Sequence[Attempt]) -> records.Sides:
    sides = {"before": share(old), "after": share(new), "change": paired(old, new)}
    return records.Sides.model_validate(sides)


def _each(before: Mapping[str, Sequence[Attempt]], after: Mapping[str, Sequence[Attempt]]) -> dict[str, records.Sides]:
    """Before and after of each skill, or field."""
    found = {name: _sides(rows, after.get(name, [])) for name, rows in before.items()}
    if len(found) > 1:  # of many some differ by chance
        corrected = holm([row.change.p_value if row.change.pairs else None for row in found.values()])
        for (name, row), p in zip([*found.items()], corrected, strict=True):
            found[name] = row.model_copy(update={"change": row.change.model_copy(update={"p_holm": p})})
    return found


def evaluated(before: Sequence[Attempt], after: Sequence[Attempt]) -> records.Evaluation:
    """`compare`, with the ids of the items that were fixed and of those that were broken, in the order of the items."""
    theirs = {row.example.id: row.verdict.correct for row in after}
    pairs = [(row.example.id, row.verdict.correct, theirs.get(row.example.id)) for row in before]
    fixed = [name for name, old, new in pairs if (old, new) == (False, True)]
    broken = [name for name, old, new in pairs if (old, new) == (True, False)]
    fields = _each(by_field(before), by_field(after))
    return records.Evaluation(**dict(compare(before, after)), fixed=fixed, broken=broken, labels=confusion(before, after), fields=fields)


def confusion(before: Sequence[Attempt], after: Sequence[Attempt]) -> list[records.Answered]:
    """Which labels were answered to items of which gold label; none where the items have no labels in common."""
    old, new = answers(before), answers(after)
    golds: Counter[str] = Counter()
    for (gold, _), count in old.items():
        golds[gold] += count
    cells = sorted(
        old.keys() | new.keys(), key=lambda cell: (-golds[cell[0]], cell[0], cell[1] is None, -golds[cell[1] or ""], cell[1] or "")
    )
    return [
        records.Answered(gold=gold, answered=read, before=old.get((gold, read), 0), after=new.get((gold, read), 0)) for gold, read in cells
    ]


def build(path: Path, rows: Rows | None = None) -> records.Report:
    """The report of a finished run; `rows`: those of the run, where they are read for more. Raises RunError for an unfinished run."""
    config = read_config(path)
    if not (path / layout.RESULT).exists():
        raise RunError(f"{path} has not come to its end; {goes_on(path)}")
    result = read_json(path / layout.RESULT)
    rows = rows or Rows(path)
    evaluations = {}
    for task, split in result["evaluations"]:
        sides = [rows.benchmarks(weights) for weights in (result["before"], result["after"])]
        if not all((task, split) in side for side in sides):
            raise RunError(f"{path}: its answers to {task} {split} are gone from {path / 'evaluate'}; put that folder back")
        evaluations[f"{task} {split}"] = evaluated(*(side[task, split] for side in sides))
    rounds = [_round(path, number, rows, config) for number in range(1, result["rounds"] + 1)]
    guards = sorted({name for row in rounds for name in row.guards})
    source = layout.source(path, 1)
    bill, work = records.Bill(**read_ledger(path)), _work(path, config, result["rounds"])
    return records.Report(
        config=config,
        when=_when(path),
        target=records.Weights(before=result["before"], after=result["after"]),
        accepted=[row.number for row in rounds if row.decision.accepted],
        guards=guards,
        evaluations=evaluations,
        course=_course(rows, result["before"], rounds),
        rounds=rounds,
        instructor=bill,
        source=records.Source(**source) if source else None,
        form=form.facts() if (form := layout.form(path)).done else {},
        work=work,
        not_checked=_not_checked(rounds, config.generate.skip),
        answer=answer(evaluations, guards, rounds, config.instructor.model, bill.total, work),
    )


def _when(path: Path) -> records.When | None:
    steps = read_json(path / layout.SECONDS) if (path / layout.SECONDS).exists() else {}
    ended = [step["ended"] for step in steps.values() if "ended" in step]
    seconds = sum(step["wall"] for name, step in steps.items() if name != "whole")
    return records.When(finished=max(ended), seconds=round(seconds, 2)) if ended else None


def _course(run: Rows, before: str, rounds: Sequence[records.Round]) -> dict[str, list[records.Stop]]:
    """Each benchmark after each round in which it was measured, all of it and by skill, from the weights that the run began with."""
    trained = {before: 0} | {row.train.weights: row.number for row in rounds if row.train}
    parent = {row.number: trained[row.stages[0].report.base] for row in rounds if row.stages}
    kept = {0} | {row.number for row in rounds if row.decision.accepted}
    course: dict[str, list[records.Stop]] = {}
    for weights, number in trained.items():
        for (task, split), rows in run.benchmarks(weights).items():
            skills = {name: records.Share(**share(some)) for name, some in by_skill(rows).items()}
            whole, came_from = records.Share(**share(rows)), parent.get(number)
            stop = records.Stop(round=number, weights=weights, kept=number in kept, parent=came_from, all=whole, skills=skills)
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
        for place, report in enumerate(layout.training_reports(path, number)):
            if report.back is not None:
                continue
            done = {"answers": report.rollouts} if report.rollouts else {"rows": report.rows_kept}
            work[layout.named(number, layout.training(path, number, place).name)] = {"steps": report.steps} | done
    return work | {"evaluate": {"answers": sum(stage.facts()["items"] for stage in layout.evaluations(path))}}


def _not_checked(rounds: Sequence[records.Round], skipped: Sequence[str]) -> list[str]:
    open_facts = sum(row.asserted.rows - row.asserted.agreed for row in rounds)
    computed = sum(row.samples - row.asserted.rows - row.items for row in rounds)
    lines = ([COMPUTED] if computed else []) + ([ASSERTED.format(open_facts)] if open_facts else [])
    return lines + [SKIPPED.format(name) for name in skipped]


def trained(path: Path, number: int, config: CycleConfig, decision: GateDecision) -> list[records.Trained]:
    """The stages of a round's training, in their order."""
    found = {one["stage"]: one["reason"] for one in decision.considered}
    names = layout.stage_names(path, number, config.train.order)
    return [
        records.Trained(
            name=names[place],
            report=report,
            stands=place == decision.stage,
            found=found.get(place, ""),
            course=layout.course(path, number, place),
            practised=practised(layout.practised(path, number, place)),
        )
        for place, report in enumerate(layout.training_reports(path, number))
    ]


def practised(journal: Sequence[Mapping[str, Any]]) -> list[records.Practised]:
    """What answers were worth by skill, solved items apart; those with most answers first."""
    steps = 1 + max((row["step"] for row in journal), default=0)

    def right(rows: Iterable[Mapping[str, Any]]) -> float | None:
        known = list(rows)
        tried = sum(row["tried"] for row in known)
        return sum(row["right"] for row in known) / tried if tried else None

    kinds = grouped(journal, lambda row: (row["skill"], row.get("solved", False)))
    found = [
        records.Practised(
            skill=skill,
            solved=solved,
            answers=sum(row["tried"] for row in rows),
            first=right(row for row in rows if 3 * row["step"] < steps),
            last=right(row for row in rows if 3 * row["step"] >= 2 * steps),
        )
        for (skill, solved), rows in kinds.items()
    ]
    return sorted(found, key=lambda one: (one.solved, -one.answers, one.skill))


def _round(path: Path, number: int, rows: Rows, config: CycleConfig) -> records.Round:
    taught, attempts, samples = rows.taught(number), rows.attempts(number), rows.samples(number)
    assembled, asked = (layout.step(path, number, name) for name in ("assemble", "words"))
    rejections = assembled.read(layout.REJECTIONS, Rejection)
    decision = layout.decision(path, number)
    assert decision, "a run that is finished has decided on each round"
    stages = trained(path, number, config, decision)
    train = next((stage.report for stage in stages if stage.stands), None)
    refused = refused_late(taught, rejections)
    lessons = {name: sum(sample.lesson == name for sample in samples) for name in ("worked", "correction", "hint")}
    own_words = sum(sample.own is not None for sample in samples)
    old, new = (rows.benchmarks(weights) for weights in (stages[0].report.base, train.weights)) if train else ({}, {})
    benchmarks = decision.benchmarks or (decision.task,)
    before, after = ([row for task in benchmarks for row in found.get((task, "dev"), [])] for found in (old, new))
    return records.Round(
        number=number,
        mined=records.Counts(**counts(row for row in attempts if row.example.split == "train")),
        failures=len({name for row in taught for name in row.failure_ids}),
        programs=sum(row.program is not None for row in taught),
        diagnosed=len({name for row in taught if row.diagnosis and row.diagnosis.verdict == "error" for name in row.failure_ids}),
        proven=proven(taught, attempts),
        refused=layout.refusals(taught),
        complaints=_counted(one.check for row in taught for one in row.rejections),
        at_fault=[row.failure_ids[0] for row in taught if row.diagnosis and row.diagnosis.verdict != "error" and len(row.failure_ids) == 1],
        skills=_counted(row.diagnosis.skill for row in taught if row.diagnosis and row.program),
        samples=len(samples),
        shortfall=assembled.facts().get("shortfall", ""),
        pairs=[stage.facts()["told"] for stage in layout.paired(path, number)],
        replay=assembled.facts()["replay"],
        style={name: records.Style(**one) for name, one in assembled.facts().get("style", {}).items()},
        words=records.Words(own_words=own_words, **lessons, **(asked.facts() if asked.done else {})),
        phrased=records.Phrased(**found) if (found := phrased(samples)) else None,
        library=summed(
            layout.standings(path, number), [row for stage in range(len(stages)) for row in layout.practised(path, number, stage)]
        ),
        asserted=records.Asserted(**asserted(samples)),
        items=sum(row.item is not None for row in samples),
        programs_refused_by_probe=sum(refused.values()) - refused["agreed"],
        programs_refused_by_solves=refused["agreed"],
        rows_refused=_counted(row.check for row in rejections if row.kind == "sample"),
        masses=_masses(rows, number),
        patterns=_masses(rows, number, _named(path, number)),
        train=train,
        stages=stages,
        dev=compare(before, after) if before else None,
        decision=decision,
    )


def _counted(names: Iterable[str]) -> dict[str, int]:
    """How often each name comes, most frequent first."""
    return dict(Counter(names).most_common())


def summed(rows: Sequence[Standing], journal: Iterable[Mapping[str, Any]] = ()) -> records.Library:
    """Standings of a round in sums, over all programs and by skill, the skills with most programs first; `journal` says what answers to
    draws of them were worth in training."""
    tried, right = Counter[str](), Counter[str]()
    for row in journal:
        tried[row.get("program", "")] += row["tried"]
        right[row.get("program", "")] += row["right"]
    skills = sorted(grouped(rows, lambda row: row.skill).items(), key=lambda item: (-len(item[1]), item[0]))
    by_size = {name: records.Standings(**_sums(some, tried, right)) for name, some in skills}
    return records.Library(
        **_sums(rows, tried, right), reasons={row.program_id: row.retired for row in rows if row.retired}, skills=by_size
    )


def _sums(rows: Sequence[Standing], tried: Mapping[str, int], right: Mapping[str, int]) -> dict[str, Any]:
    figures = {name: sum(getattr(row, name) for row in rows) for name in ("probed", "failed", "drawn", "kept")}
    refused = sum((Counter(row.refused) for row in rows), Counter[str]()).most_common()
    figures |= {name: sum(counts[row.program_id] for row in rows) for name, counts in (("practised", tried), ("rewarded", right))}
    return {"programs": len(rows), "retired": sum(bool(row.retired) for row in rows), "refused": dict(refused)} | figures


def _named(path: Path, number: int) -> dict[str, str]:
    """Error id -> the name of its pattern: as a person chose it, or as it was found in the round."""
    if choice := kept(path):
        return {error: pattern.name for error, pattern in of_errors(path, choice).items()}
    return named(path, number)


def _masses(run: Rows, number: int, named: Mapping[str, str] | None = None) -> list[records.Mass]:
    """What the target fails of the probe rows of a round's new programs, by diagnosed skill or by pattern, greatest first: before the
    round's training and after it."""
    before, after = (grouped(run.attempts(number, name), lambda row: row.example.meta["program"]) for name in ("probe", "probe-after"))
    drawn = Counter(sample.program_id for sample in run.samples(number))
    programs = [(row.program, row.diagnosis) for row in run.taught(number) if row.program and row.diagnosis and row.program.id in before]
    errors = {program.id: program.anchors for program, _ in programs}

    def side(names: Sequence[str], probed: Mapping[str, Sequence[Attempt]]) -> records.Failing | None:
        known = {name: probed[name] for name in names if name in probed}
        if not known:
            return None
        failed: dict[str, list[float]] = {}
        for name, rows in known.items():
            for error in errors[name]:
                failed.setdefault(error, []).append(sum(row.verdict.correct is False for row in rows) / len(rows))
        mass = sum(map(mean, failed.values()))  # one that several programs rebuild counts once, as they fare on average
        return records.Failing(mass=round(mass, 4), **share(list(chain.from_iterable(known.values()))))

    found = []
    kinds = grouped(programs, lambda row: row[1].skill if named is None else named.get(row[0].anchors[0], records.IN_NONE))
    for skill, rows in kinds.items():
        names = [program.id for program, _ in rows]
        old = side(names, before)
        assert old, "only programs that were probed are grouped"
        told = Counter(diagnosis.misconception for _, diagnosis in rows if diagnosis.misconception).most_common(5)
        once = {error for name in names for error in errors[name]}
        sums = {"programs": len(names), "errors": len(once), "rows": sum(drawn[name] for name in names)}
        found.append(records.Mass(skill=skill, misconceptions=dict(told), before=old, after=side(names, after), **sums))
    return sorted(found, key=lambda row: (-row.before.mass, row.skill))
