"""What came of a comparison, as one document (a frozen record, comparison.json): accuracies, paired tests, what was paid for them.

Read from the run directories of the seeds that are finished in all arms; nothing is run here. Two tests say whether an arm beats a
control on an average over benchmarks:
- paired t over seeds: each seed gives one difference. It asks whether the strategy would win again with other items, errors and draws, and
  assumes that differences are about normal; with few seeds it needs a large and steady difference.
- paired permutation over items: arm and control are swapped at random, item by item, within each seed and benchmark. It takes the trained
  weights as given and asks whether they differ on items of this kind; it knows nothing of what another training would have given.
Both are two-sided (errata.programs.stats). Within each test, p-values are corrected for the number of pairs and averages (Holm).

Weak skills are chosen on dev and measured on test, so that what was weak by chance does not look like a gain.

What is not here: running (errata.programs.studies.compare), and words and pages (errata.programs.studies.compare_page).
"""

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Literal, NamedTuple

from ...signatures.errors import RunError
from ...signatures.records import Attempt, GateDecision, Rejection, TeachingResult
from ..run import layout
from ..run.directory import read_json
from ..run.ledger import read_ledger
from ..stats import holm, paired_t, permutation, right_share, t_interval
from .compare import DONE, VANILLA, Cell, Comparison, asked_rows, cells, is_done
from .records import Arm, Compared, Cost, Dropped, Interval, Made, PairedTest, Price, Seconds, TrainedArm, Weak, Worst

WEAK = 0.6
"""A skill is weak when less than this share of its dev items is solved, over all seeds."""
IN, OUT = "in domain", "out of domain"

Outcomes = dict[str, bool | None]
"""Item id -> right, wrong, or unjudged."""


class Measured(NamedTuple):
    """One evaluation of a run: benchmark -> outcomes, and (benchmark, skill) -> outcomes."""

    benchmarks: dict[str, Outcomes]
    skills: dict[tuple[str, str], Outcomes]


class Run(NamedTuple):
    """One finished arm and seed. Lists have one entry for each weights: the target's, then those after each round."""

    test: list[Measured]
    dev: list[Measured]
    path: Path


# ---- figures


def interval(values: Sequence[float]) -> Interval:
    mean, low, high = t_interval(values)
    return Interval(mean=mean, low=low, high=high, values=list(values))


# ---- reading


def measured(run: Path, weights: str, evaluations: Sequence[tuple[str, str]]) -> Measured:
    """Outcomes of kept evaluations, (task, split) each; a task is a benchmark."""
    benchmarks: dict[str, Outcomes] = {}
    skills: dict[tuple[str, str], Outcomes] = {}
    for task, split in evaluations:
        rows = layout.evaluation(run, weights, task, split).read(layout.ATTEMPTS, Attempt)
        benchmarks[task] = {row.example.id: row.verdict.correct for row in rows}
        for row in rows:
            skills.setdefault((task, row.example.skill), {})[row.example.id] = row.verdict.correct
    return Measured(benchmarks, skills)


def read_run(out: Path, cell: Cell) -> Run:
    """A finished run of the comparison."""
    path = out / cell.name
    known = read_json(path / DONE)
    tasks = [task for task, _ in known["evaluations"]]
    test = [measured(path, weights, known["evaluations"]) for weights in known["weights"]]
    dev = [measured(path, weights, [(task, "dev") for task in tasks]) for weights in known["weights"]]
    return Run(test, dev, path)


# ---- the document


def build(comparison: Comparison, out: Path, command: str = "") -> Compared:
    """The document; `command` is what made it. Raises RunError when no seed is finished in all arms."""
    every = cells(comparison)
    seeds = [seed for seed in comparison.seeds if all(is_done(out, cell) for cell in every if cell.seed == seed)]
    if not seeds:
        done = sum(is_done(out, cell) for cell in every)
        raise RunError(f"{out}: {done} of {len(every)} runs are done, and no seed in all arms; `errata compare` without --so-far goes on")
    runs = {arm: [read_run(out, Cell(arm, seed)) for seed in seeds] for arm in (VANILLA, *comparison.arms)}
    vanilla = runs[VANILLA]
    known = read_json(vanilla[0].path / DONE)
    sides = {IN: known["in_domain"]}
    if guards := [name for name, _ in known["evaluations"] if name not in sides[IN]]:
        sides[OUT] = guards
    arms = {arm: _trained(runs[arm], vanilla, sides, seeds) for arm in comparison.arms}
    return Compared(
        base=comparison.base,
        changes=comparison.arms,
        controls=list(comparison.controls),
        seeds=seeds,
        missing_seeds=[seed for seed in comparison.seeds if seed not in seeds],
        rounds=comparison.rounds,
        gate=comparison.gate,
        benchmarks=sides,
        items={name: len(outcomes) for name, outcomes in vanilla[0].test[0].benchmarks.items()},
        weights=known["weights"][0],
        arms={VANILLA: _accuracy(vanilla, vanilla, sides), **arms},
        tests=_tests(comparison, runs, sides),
        notes=_notes(comparison, arms),
        command=command,
        errata=version("errata"),
    )


Sides = Mapping[str, Sequence[str]]
"""Benchmarks in domain and out of domain."""


def _accuracy(runs: Sequence[Run], vanilla: Sequence[Run], sides: Sides) -> Arm:
    numbers = range(len(runs[0].test))
    return Arm(
        benchmarks={name: [interval(_accuracies(runs, number, name)) for number in numbers] for names in sides.values() for name in names},
        averages={side: [interval(_average(runs, number, names)) for number in numbers] for side, names in sides.items()},
        weak=_weak(runs, vanilla, sides[IN]),
    )


def _trained(runs: Sequence[Run], vanilla: Sequence[Run], sides: Sides, seeds: Sequence[int]) -> TrainedArm:
    numbers, paths = range(1, len(runs[0].test)), [run.path for run in runs]
    gains = {
        name: interval(_minus(_accuracies(runs, -1, name), _accuracies(vanilla, 0, name))) for names in sides.values() for name in names
    }
    worst = min(gains, key=lambda name: gains[name].mean)
    side_gains = {side: interval(_minus(_average(runs, -1, names), _average(vanilla, 0, names))) for side, names in sides.items()}
    return TrainedArm(
        **dict(_accuracy(runs, vanilla, sides)),
        gains=gains,
        average_gains=side_gains,
        worst=Worst(benchmark=worst, **dict(gains[worst])),
        rounds=[_round(path, number, seed) for path, seed in zip(paths, seeds, strict=True) for number in numbers],
        cost=_cost(paths, numbers, side_gains[IN].mean),
        dropped=_dropped(paths, numbers),
        seconds=_seconds(paths),
    )


def _accuracies(runs: Sequence[Run], number: int, benchmark: str) -> list[float]:
    """The share right, for each seed. Raises RunError when no item of a seed was judged."""
    values = []
    for run in runs:
        value = right_share(run.test[number].benchmarks[benchmark].values())
        if value is None:
            raise RunError(f"{run.path}: no item of {benchmark} was judged, so arms cannot be compared on it; see the verdicts' reasons")
        values.append(value)
    return values


def _average(runs: Sequence[Run], number: int, names: Sequence[str]) -> list[float]:
    """The mean over benchmarks, for each seed."""
    columns = [_accuracies(runs, number, name) for name in names]
    return [statistics.mean(column) for column in zip(*columns, strict=True)]


def _minus(mine: Sequence[float], theirs: Sequence[float]) -> list[float]:
    return [a - b for a, b in zip(mine, theirs, strict=True)]


def _tests(comparison: Comparison, runs: Mapping[str, list[Run]], sides: Sides) -> list[PairedTest]:
    """Each arm that is not a control against each control, on each average, after the last round."""
    found: list[PairedTest] = []
    for arm in comparison.arms:
        if arm in comparison.controls:
            continue
        for control in comparison.controls:
            for side, names in sides.items():
                mine, theirs = (_average(runs[name], -1, names) for name in (arm, control))
                groups, unjudged = _groups(runs[arm], runs[control], names)
                found.append(
                    PairedTest(
                        arm=arm,
                        control=control,
                        average=side,
                        difference=interval(_minus(mine, theirs)),
                        p_seeds=paired_t(mine, theirs),
                        p_items=permutation(groups),
                        items_won=sum(won for won, _, _ in groups),
                        items_lost=sum(lost for _, lost, _ in groups),
                        unjudged=unjudged,
                    )
                )
    corrected = zip(holm([row.p_seeds for row in found]), holm([row.p_items for row in found]), strict=True)
    return [
        row.model_copy(update={"p_seeds_holm": seeds, "p_items_holm": items}) for row, (seeds, items) in zip(found, corrected, strict=True)
    ]


def _groups(mine: Sequence[Run], theirs: Sequence[Run], names: Sequence[str]) -> tuple[list[tuple[int, int, float]], int]:
    """Of each seed and benchmark what `permutation` takes, weighted as in the average; and how many pairs have an unjudged side."""
    groups, unjudged = [], 0
    for one, other in zip(mine, theirs, strict=True):
        for name in names:
            a, b = one.test[-1].benchmarks[name], other.test[-1].benchmarks[name]
            pairs = [(a[item], b[item]) for item in a if item in b]
            judged = [pair for pair in pairs if None not in pair]
            unjudged += len(pairs) - len(judged)
            if judged:
                weight = 1 / (len(mine) * len(names) * len(judged))
                groups.append((judged.count((True, False)), judged.count((False, True)), weight))
    return groups, unjudged


def _weak(runs: Sequence[Run], vanilla: Sequence[Run], names: Sequence[str]) -> list[Weak]:
    """For the target as it came and after each round but the last: the skills of the task that were weak then."""
    found = []
    for before in range(max(1, len(runs[0].test) - 1)):
        weak, others = _by_strength(runs if before else vanilla, before, names)
        numbers = range(before, len(runs[0].test))
        courses = [_course(runs, number, weak) for number in numbers]
        change, p = None, None
        if len(courses) > 1 and courses[0] and courses[1]:
            change = interval(_minus(courses[1].values, courses[0].values))
            p = paired_t(courses[1].values, courses[0].values)
        beside = [_course(runs, number, others) for number in numbers]
        found.append(Weak(after_round=before, skills=weak, test=courses, others=beside, next=change, p_next=p))
    return found


def _by_strength(runs: Sequence[Run], number: int, names: Sequence[str]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The skills of the benchmarks `names` that are weak after round `number`, and the others."""
    pooled: dict[tuple[str, str], list[bool]] = {}
    for run in runs:
        for skill, outcomes in run.dev[number].skills.items():
            pooled.setdefault(skill, []).extend(right for right in outcomes.values() if right is not None)
    known = {skill: sum(rights) / len(rights) for skill, rights in sorted(pooled.items()) if skill[0] in names and rights}
    return [skill for skill, right in known.items() if right < WEAK], [skill for skill, right in known.items() if right >= WEAK]


def _course(runs: Sequence[Run], number: int, skills: Sequence[tuple[str, str]]) -> Interval | None:
    """Accuracy of skills on test after a round; None when a seed has no item of them."""
    values = [value for run in runs if (value := _mean_over(run.test[number], skills)) is not None]
    return interval(values) if len(values) == len(runs) else None


def _mean_over(found: Measured, skills: Sequence[tuple[str, str]]) -> float | None:
    shares = [right_share(found.skills.get(skill, {}).values()) for skill in skills]
    known = [value for value in shares if value is not None]
    return statistics.mean(known) if known else None


# ---- what it took


def _round(run: Path, number: int, seed: int) -> Made:
    facts = layout.step(run, number, "assemble").facts()
    decision = layout.step(run, number, "gate").read(layout.DECISION, GateDecision)[0]
    trained = layout.training_report(run, number)
    return Made(
        round=number,
        rows=facts["samples"],
        replay=facts["replay"],
        steps=trained["steps"] if trained else 0,
        gate="accepted" if decision.accepted and not decision.unproven else "rejected",
        reason=decision.reason,
        seed=seed,
    )


def _taught(run: Path, numbers: Iterable[int]) -> list[TeachingResult]:
    return [row for number in numbers for row in layout.taught(run, number)]


def _cost(paths: Sequence[Path], numbers: Sequence[int], gain: float) -> Cost:
    """Of all seeds and rounds together; a point is one of the average in domain, over vanilla."""
    ledgers = [read_ledger(path)["total"] for path in paths]
    calls = sum(ledger["calls"] for ledger in ledgers) or sum(row.calls for path in paths for row in _taught(path, numbers))
    rows = sum(layout.step(path, number, "assemble").facts()["samples"] for path in paths for number in numbers)
    tokens = sum(ledger["tokens_in"] + ledger["tokens_out"] for ledger in ledgers)
    unknown = any(ledger["usd"] == "unknown" for ledger in ledgers)
    usd: float | Literal["unknown"] = "unknown" if unknown else sum(ledger["usd"] for ledger in ledgers)
    points = 100 * gain * len(paths) if gain > 0 else 0.0

    def each(of: float) -> Price:
        if not of:
            return Price(calls=None, tokens=None, usd="unknown" if usd == "unknown" else None)
        return Price(calls=calls / of, tokens=tokens / of, usd=usd if isinstance(usd, str) else usd / of)

    per_call = rows / calls if calls else None
    return Cost(calls=calls, tokens=tokens, usd=usd, rows=rows, rows_per_call=per_call, per_row=each(rows), per_point=each(points))


def _dropped(paths: Sequence[Path], numbers: Sequence[int]) -> Dropped:
    rows: Counter[str] = Counter()
    programs: Counter[str] = Counter()
    kept = 0
    for path in paths:
        for number in numbers:
            stage = layout.step(path, number, "assemble")
            kept += stage.facts()["samples"]
            for row in stage.read(layout.REJECTIONS, Rejection):
                (rows if row.kind == "sample" else programs)[row.check] += 1
    drawn = kept + rows.total()
    failures: Counter[str] = Counter()
    for path in paths:
        for number in numbers:
            failures.update(layout.refusals(_taught(path, [number])))
    return Dropped(
        drawn=drawn,
        rows=dict(rows.most_common()),
        row_shares={check: count / drawn for check, count in rows.most_common()},
        programs=dict(programs.most_common()),
        failures=dict(failures.most_common()),
    )


def _seconds(paths: Sequence[Path]) -> dict[str, Seconds]:
    total: dict[str, Seconds] = {}
    for path in paths:
        for name, used in (read_json(path / layout.SECONDS) if (path / layout.SECONDS).exists() else {}).items():
            step = name.rpartition("/")[2]
            old = total.get(step, Seconds(wall=0.0, cpu=0.0))
            total[step] = Seconds(wall=old.wall + used["wall"] / len(paths), cpu=old.cpu + used["cpu"] / len(paths))
    return total


def _notes(comparison: Comparison, arms: Mapping[str, TrainedArm]) -> list[str]:
    """Where arms were not equal after all, and what was not measured."""
    notes = []
    rounds = [(arm, row) for arm, document in arms.items() for row in document.rounds]
    for arm in comparison.arms:
        config = comparison.config(arm, comparison.seeds[0])
        own = [row for name, row in rounds if name == arm]
        fewer = [row for row in own if row.rows < asked_rows(config)]
        if fewer:
            least = min(row.rows for row in fewer)
            notes.append(
                f"{arm} kept fewer rows than asked in {len(fewer)} of {len(own)} rounds: at least {least} of {asked_rows(config)}; "
                "it saw them more often, as steps are equal"
            )
        if untrained := sum(not row.steps for row in own):
            notes.append(f"{arm} trained on nothing in {untrained} of {len(own)} rounds: no row was left")
    steps = {row.steps for _, row in rounds if row.steps}
    if len(steps) > 1:
        notes.append(f"steps of training are not equal: {', '.join(map(str, sorted(steps)))}")
    if len({asked_rows(comparison.config(arm, comparison.seeds[0])) for arm in comparison.arms}) > 1:
        notes.append("arms ask for unequal numbers of rows")
    return notes
