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
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Literal, NamedTuple

from ...signatures.errors import RunError
from ...signatures.records import Attempt, Rejection
from ..config import settled
from ..run import layout
from ..run.directory import read_json
from ..run.ledger import read_ledger
from ..stats import holm, paired_t, permutation, right_share, t_interval
from .compare import COSTS, DONE, VANILLA, Cell, Comparison, asked_rows, cells, is_done, refuse_others
from .records import Arm, Compared, Cost, Dropped, Interval, Made, PairedTest, Price, Seconds, Spent, TrainedArm, Weak, Worst

WEAK = 0.6
"""A skill is weak when less than this share of its dev items is solved, over all seeds."""
LESS = 0.9
"""An arm is not at equal cost when it spent less than this share of what the arm spent that spent most."""
IN, OUT = "in domain", "out of domain"

Outcomes = dict[str, bool | None]
"""Item id -> right, wrong, or unjudged."""
Skill = tuple[str, str]
"""(benchmark, skill)."""
Sides = Mapping[str, Sequence[str]]
"""Benchmarks in domain and out of domain; or each benchmark alone, by its own name."""


class Measured(NamedTuple):
    """One evaluation of a run."""

    benchmarks: dict[str, Outcomes]
    skills: dict[Skill, Outcomes]


class Run(NamedTuple):
    """One finished arm and seed. Lists have one entry for each weights: the target's, then those after each round."""

    test: list[Measured]
    dev: list[Measured]
    path: Path

    @property
    def rounds(self) -> range:
        return range(1, len(self.test))


# ---- reading


def measured(run: Path, weights: str, evaluations: Sequence[tuple[str, str]]) -> Measured:
    """Outcomes of kept evaluations, (task, split) each; a task is a benchmark."""
    benchmarks: dict[str, Outcomes] = {}
    skills: dict[Skill, Outcomes] = {}
    for task, split in evaluations:
        rows = layout.evaluation(run, weights, task, split).rows(layout.ATTEMPTS, Attempt)
        benchmarks[task] = {row.example.id: row.verdict.correct for row in rows}
        for row in rows:
            skills.setdefault((task, row.example.skill), {})[row.example.id] = row.verdict.correct
    return Measured(benchmarks, skills)


def read_run(out: Path, cell: Cell) -> Run:
    """A finished run of the comparison."""
    path = out / cell.name
    known = read_json(path / DONE)
    splits = known["evaluations"], [(task, "dev") for task, _ in known["evaluations"]]
    test, dev = ([measured(path, weights, some) for weights in known["weights"]] for some in splits)
    return Run(test, dev, path)


# ---- the document


def build(comparison: Comparison, out: Path, command: str = "") -> Compared:
    """The document; `command` is what made it. Raises RunError when no seed is finished in all arms."""
    refuse_others(comparison, out)
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
        pairs=list(comparison.pairs),
        seeds=seeds,
        missing_seeds=[seed for seed in comparison.seeds if seed not in seeds],
        rounds=comparison.rounds,
        gate=comparison.gate,
        equal=list(comparison.equal),
        unequal=list(_unequal(comparison, arms)),
        benchmarks=sides,
        items={name: len(outcomes) for name, outcomes in vanilla[0].test[0].benchmarks.items()},
        weights=known["weights"][0],
        arms={VANILLA: _arm(vanilla, vanilla, sides), **arms},
        tests=_tests(comparison, runs, sides),
        notes=list(_notes(comparison, arms)),
        command=command,
        errata=version("errata-lm"),
    )


def interval(values: Sequence[float]) -> Interval:
    mean, low, high = t_interval(values)
    return Interval(mean=mean, low=low, high=high, values=list(values))


def change(mine: Sequence[float], theirs: Sequence[float]) -> Interval:
    """The differences of the seeds."""
    return interval([a - b for a, b in zip(mine, theirs, strict=True)])


def _alone(sides: Sides) -> Sides:
    return {name: [name] for names in sides.values() for name in names}


def _arm(runs: Sequence[Run], vanilla: Sequence[Run], sides: Sides) -> Arm:
    benchmarks, averages = (
        {side: [interval(_average(runs, number, names)) for number in range(len(runs[0].test))] for side, names in some.items()}
        for some in (_alone(sides), sides)
    )
    return Arm(benchmarks=benchmarks, averages=averages, weak=_weak(runs, vanilla, sides[IN]))


def _trained(runs: Sequence[Run], vanilla: Sequence[Run], sides: Sides, seeds: Sequence[int]) -> TrainedArm:
    gains, averages = (
        {side: change(_average(runs, -1, names), _average(vanilla, 0, names)) for side, names in some.items()}
        for some in (_alone(sides), sides)
    )
    worst = min(gains, key=lambda name: gains[name].mean)
    return TrainedArm(
        **dict(_arm(runs, vanilla, sides)),
        gains=gains,
        average_gains=averages,
        worst=Worst(benchmark=worst, **dict(gains[worst])),
        rounds=[_round(run.path, number, seed) for run, seed in zip(runs, seeds, strict=True) for number in run.rounds],
        cost=(cost := _cost(runs, averages[IN].mean)),
        spent=_spent(runs, cost),
        dropped=_dropped(runs),
        seconds=_seconds(runs),
    )


def _average(runs: Sequence[Run], number: int, names: Sequence[str]) -> list[float]:
    """For each seed the share right, a mean over benchmarks. Raises RunError when no item of a seed was judged."""
    return [statistics.mean(_accuracy(run, number, name) for name in names) for run in runs]


def _accuracy(run: Run, number: int, benchmark: str) -> float:
    value = right_share(run.test[number].benchmarks[benchmark].values())
    if value is None:
        raise RunError(f"{run.path}: no item of {benchmark} was judged, so arms cannot be compared on it; see the verdicts' reasons")
    return value


def _tests(comparison: Comparison, runs: Mapping[str, list[Run]], sides: Sides) -> list[PairedTest]:
    """Each arm that is not a control against each control, and the pairs beside them, on each average, after the last round."""
    found: list[PairedTest] = []
    tested = [arm for arm in comparison.arms if arm not in comparison.controls]
    against = dict.fromkeys([*product(tested, comparison.controls), *comparison.pairs])
    for (arm, control), (side, names) in product(against, sides.items()):
        mine, theirs = (_average(runs[name], -1, names) for name in (arm, control))
        groups, unjudged = _groups(runs[arm], runs[control], names)
        found.append(
            PairedTest(
                arm=arm,
                control=control,
                average=side,
                difference=change(mine, theirs),
                p_seeds=paired_t(mine, theirs),
                p_items=permutation(groups),
                items_won=sum(won for won, _, _ in groups),
                items_lost=sum(lost for _, lost, _ in groups),
                unjudged=unjudged,
            )
        )
    corrected = zip(found, holm([row.p_seeds for row in found]), holm([row.p_items for row in found]), strict=True)
    return [row.model_copy(update={"p_seeds_holm": seeds, "p_items_holm": items}) for row, seeds, items in corrected]


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
        skills = _by_strength(runs if before else vanilla, before, names)
        weak, others = ([_course(runs, number, some) for number in range(before, len(runs[0].test))] for some in skills)
        then, after = (weak[0], weak[1]) if len(weak) > 1 else (None, None)
        known = (after.values, then.values) if then and after else None
        found.append(
            Weak(
                after_round=before,
                skills=skills[0],
                test=weak,
                others=others,
                next=change(*known) if known else None,
                p_next=paired_t(*known) if known else None,
            )
        )
    return found


def _by_strength(runs: Sequence[Run], number: int, names: Sequence[str]) -> tuple[list[Skill], list[Skill]]:
    """The skills of the benchmarks `names` that are weak after round `number`, and the others."""
    pooled: dict[Skill, list[bool | None]] = {}
    for run in runs:
        for skill, outcomes in run.dev[number].skills.items():
            pooled.setdefault(skill, []).extend(outcomes.values())
    shares = {skill: right_share(outcomes) for skill, outcomes in sorted(pooled.items()) if skill[0] in names}
    known = {skill: right for skill, right in shares.items() if right is not None}
    return [skill for skill, right in known.items() if right < WEAK], [skill for skill, right in known.items() if right >= WEAK]


def _course(runs: Sequence[Run], number: int, skills: Sequence[Skill]) -> Interval | None:
    """Accuracy of skills on test after a round, a mean over skills; None when a seed has no item of them."""
    shares = [[right_share(run.test[number].skills.get(skill, {}).values()) for skill in skills] for run in runs]
    known = [[share for share in some if share is not None] for some in shares]
    return interval([statistics.mean(some) for some in known]) if all(known) else None


# ---- what it took


def _round(run: Path, number: int, seed: int) -> Made:
    facts = layout.step(run, number, "assemble").facts()
    trained, decision = layout.training_reports(run, number), layout.decision(run, number)
    assert decision, "a run that is done has decided on each round"
    return Made(
        round=number,
        rows=facts["samples"],
        replay=facts["replay"],
        stages=sum(report.back is None for report in trained),
        steps=sum(report.steps for report in trained),
        gate="accepted" if decision.accepted and not decision.unproven else "rejected",
        reason=decision.reason,
        seed=seed,
    )


def _rounds(runs: Sequence[Run]) -> list[tuple[Path, int]]:
    return [(run.path, number) for run in runs for number in run.rounds]


def _cost(runs: Sequence[Run], gain: float) -> Cost:
    """Of all seeds and rounds together; a point is one of the average in domain, over vanilla."""
    ledgers = [read_ledger(run.path)["total"] for run in runs]
    calls = sum(ledger["calls"] for ledger in ledgers) or sum(row.calls for place in _rounds(runs) for row in layout.taught(*place))
    rows = sum(layout.step(*place, "assemble").facts()["samples"] for place in _rounds(runs))
    tokens = sum(ledger["tokens_in"] + ledger["tokens_out"] for ledger in ledgers)
    unknown = any(ledger["usd"] == "unknown" for ledger in ledgers)
    usd: float | Literal["unknown"] = "unknown" if unknown else sum(ledger["usd"] for ledger in ledgers)
    points = 100 * gain * len(runs) if gain > 0 else 0.0

    def each(of: float) -> Price:
        if not of:
            return Price(calls=None, tokens=None, usd="unknown" if usd == "unknown" else None)
        return Price(calls=calls / of, tokens=tokens / of, usd=usd if isinstance(usd, str) else usd / of)

    per_call = rows / calls if calls else None
    return Cost(calls=calls, tokens=tokens, usd=usd, rows=rows, rows_per_call=per_call, per_row=each(rows), per_point=each(points))


def _spent(runs: Sequence[Run], cost: Cost) -> Spent:
    """Means over runs of what all rounds took."""
    rounds = _rounds(runs)
    steps = sum(report.steps for place in rounds for report in layout.training_reports(*place))

    def mean(measure: Callable[[Path, int], float | None]) -> float | None:
        values = [measure(*place) for place in rounds]
        known = [value for value in values if value is not None]
        return sum(known) / len(runs) if len(known) == len(values) else None

    return Spent(
        rows=cost.rows / len(runs),
        steps=steps / len(runs),
        seconds=mean(layout.training_seconds),
        tokens=mean(layout.generated_tokens),
        calls=cost.calls / len(runs),
        usd=cost.usd if isinstance(cost.usd, str) else cost.usd / len(runs),
    )


def _dropped(runs: Sequence[Run]) -> Dropped:
    rows: Counter[str] = Counter()
    programs: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    drawn = 0
    for path, number in _rounds(runs):
        stage = layout.step(path, number, "assemble")
        drawn += stage.facts()["samples"]
        for row in stage.read(layout.REJECTIONS, Rejection):
            (rows if row.kind == "sample" else programs)[row.check] += 1
        failures.update(layout.refusals(layout.taught(path, number)))
    drawn += rows.total()
    return Dropped(
        drawn=drawn,
        rows=dict(rows.most_common()),
        row_shares={check: count / drawn for check, count in rows.most_common()},
        programs=dict(programs.most_common()),
        failures=dict(failures.most_common()),
    )


def _seconds(runs: Sequence[Run]) -> dict[str, Seconds]:
    total: dict[str, Seconds] = {}
    for path in [run.path / layout.SECONDS for run in runs]:
        for name, used in (read_json(path) if path.exists() else {}).items():
            step = name.rpartition("/")[2]
            old = total.get(step, Seconds(wall=0.0, cpu=0.0))
            total[step] = Seconds(wall=old.wall + used["wall"] / len(runs), cpu=old.cpu + used["cpu"] / len(runs))
    return total


def _notes(comparison: Comparison, arms: Mapping[str, TrainedArm]) -> Iterator[str]:
    """Where arms kept fewer rows than asked, and what was not trained."""
    often = "; it saw them more often, as steps are equal" if "steps" in comparison.equal else ""
    for arm, document in arms.items():
        own, config = document.rounds, comparison.config(arm, comparison.seeds[0])
        asked, stages = asked_rows(config), settled(config).train.order
        if fewer := [row.rows for row in own if row.rows < asked]:
            yield f"{arm} kept fewer rows than asked in {len(fewer)} of {len(own)} rounds: at least {min(fewer)} of {asked}{often}"
        if untrained := sum(not row.steps for row in own):
            yield f"{arm} trained on nothing in {untrained} of {len(own)} rounds: no row was left"
        if cut := sum(0 < row.stages < len(stages) for row in own):
            yield f"{arm} did not train all of {', '.join(stages)} in {cut} of {len(own)} rounds: a stage had nothing to train on"


def _unequal(comparison: Comparison, arms: Mapping[str, TrainedArm]) -> Iterator[str]:
    """In which costs arms are not equal though they were to be, one line a cost."""
    for cost in comparison.equal:
        spent = {arm: getattr(document.spent, cost) for arm, document in arms.items()}
        if unknown := [arm for arm, value in spent.items() if value is None]:
            yield f"whether arms are at equal cost is not known: the {COSTS[cost]} of {', '.join(unknown)} were not kept"
            continue
        most = max(spent, key=lambda arm: spent[arm])
        less = [f"{arm} {value:,.0f} ({value / spent[most]:.0%})" for arm, value in spent.items() if value < LESS * spent[most]]
        if less:
            yield f"arms are not at equal cost: of {spent[most]:,.0f} {COSTS[cost]}, as {most} took, {', '.join(less)}"
