"""A comparison in words: tables for the terminal, comparison.md (a page that can be kept as it is) and comparison.html, from one document.

What is not here: the figures themselves (errata.programs.studies.compared), and the words and order of the pages
(errata/programs/report/templates/comparison.*.j2).
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ..config import CycleConfig
from ..report.figures import many, tally
from ..report.markup import Figures, Html, Name, plain, render
from ..report.plots import Line, Point, around, intervals
from ..report.tables import Table
from ..run.directory import STEPS, flatten, to_json, write_atomic
from ..stats import SWAPS
from .compare import COSTS, VANILLA, Comparison
from .compared import IN, WEAK, build
from .records import Compared, Interval, PairedTest, Seconds, TrainedArm

TIMED = (*STEPS, "test", "whole")
SURE = 0.05
"""Highest corrected p of a difference that is called sure."""


def write(comparison: Comparison, out: Path, command: str) -> Compared:
    """Build the document and write comparison.json, comparison.md and comparison.html into the folder. Raises RunError as `build` does."""
    document = build(comparison, out, command)
    write_atomic(out / "comparison.json", to_json(document.model_dump(mode="json")))
    for name, page in (("comparison.md", markdown(document)), ("comparison.html", html(document))):
        write_atomic(out / name, page.encode("utf-8", "replace"))
    return document


# ---- figures in words


def percent(found: Interval | None) -> str:
    """A mean share with half its interval, in percent."""
    if found is None:
        return "-"
    half = "" if found.low is None or found.high is None else f" ± {50 * (found.high - found.low):.1f}"
    return f"{100 * found.mean:.1f}{half}"


def points(found: Interval | None) -> str:
    """A mean difference with half its interval, in points."""
    told = percent(found)
    return told if told.startswith("-") else f"+{told}"


def chance(value: float | None) -> str:
    return "-" if value is None else f"{value:.2g}" if value >= 0.0001 else "< 0.0001"


def amount(value: float | str | None, digits: int = 0) -> str:
    return value if isinstance(value, str) else "-" if value is None else f"{value:,.{digits}f}"


# ---- the tables


def tables(document: Compared) -> list[Table]:
    """All tables of a comparison."""
    return [make(document) for make in (_summary, _spent, _accuracies, _tests, _rounds, _cost, _dropped, _seconds)]


def _summary(document: Compared) -> Table:
    sides = document.benchmarks
    rows = []
    for name, arm in document.arms.items():
        gains = [""] * (len(sides) + 3)
        if isinstance(arm, TrainedArm):
            worst = Name(f"{points(arm.worst)} ({plain(arm.worst.benchmark, 30)})")
            counts = _span([row.rows for row in arm.rounds]), _span([row.steps for row in arm.rounds])
            gains = [*(points(arm.average_gains[side]) for side in sides), worst, *counts]
        rows.append([Name(name), *(percent(arm.averages[side][-1]) for side in sides), *gains])
    head = ["arm", *(f"{side}, %" for side in sides), *(f"gain {side}" for side in sides), "worst benchmark", "rows", "steps"]
    return Table(head, rows, "Averages after the last round", [*document.notes, "rows and steps are of one round of one seed"])


def _spent(document: Compared) -> Table:
    rows = []
    for name, arm in document.trained.items():
        spent = arm.spent
        rows.append([Name(name), *(amount(getattr(spent, cost)) for cost in COSTS), amount(spent.calls), amount(spent.usd, 2)])
    held = f"held equal: {', '.join(document.equal)}" if document.equal else "no cost was held equal"
    notes = [
        *document.unequal,
        f"of one run, all rounds together, a mean over seeds; {held}",
        "training: seconds of its steps with what is sampled and judged for them, without imports, loading and saving",
        "generated tokens: the target's answers to train items, probes and drawn rows, for pairs, and those that a training samples",
    ]
    head = ["arm", "rows", "steps", "training, s", "generated tokens", "instructor calls", "USD"]
    return Table(head, rows, "At what cost", notes)


def _span(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} - {high:,}"


def _accuracies(document: Compared) -> Table:
    rows: list[list[object]] = []
    for side, names in document.benchmarks.items():
        rows.append([side, *(percent(arm.averages[side][-1]) for arm in document.arms.values())])
        rows += [[Name(name), *(percent(arm.benchmarks[name][-1]) for arm in document.arms.values())] for name in names]
    return Table(["", *map(Name, document.arms)], rows, "Benchmarks after the last round, % right")


def _tests(document: Compared) -> Table:
    rows = []
    for row in document.tests:
        against = Name(f"{row.arm} - {row.control}")
        seeds = f"{chance(row.p_seeds)} ({chance(row.p_seeds_holm)})"
        items = f"{chance(row.p_items)} ({chance(row.p_items_holm)})"
        rows.append([against, row.average, points(row.difference), seeds, items, f"{row.items_won} : {row.items_lost}"])
    count = len(document.tests)
    notes = [
        "p over seeds: paired t test; it asks whether the arm would win again with other items and draws, and takes differences as normal",
        f"p over items: paired permutation test, {SWAPS + 1:,} swaps, which takes the trained weights as given",
        f"in parentheses: corrected for {count} comparisons (Holm); items: those that the arm alone solves, and the control alone",
    ]
    if unjudged := sum(row.unjudged for row in document.tests):
        notes.append(f"{unjudged} pairs of items were left out: one side was not judged")
    head = ["arm - control", "average", "difference", "p over seeds", "p over items", "items"]
    return Table(head, rows, "Paired tests after the last round", notes)


def _rounds(document: Compared) -> Table:
    sides, vanilla = document.benchmarks, document.arms[VANILLA]
    rows = []
    for name, arm in document.arms.items():
        for number in range(1, document.rounds + 1) if name in document.trained else [0]:
            left = arm.weak[number - 1] if number > 1 else None
            new = [percent(left.test[0]), points(left.next), chance(left.p_next)] if left else ["", "", ""]
            found = [*(arm.averages[side][number] for side in sides), arm.weak[0].test[number], arm.weak[0].others[number]]
            rows.append([Name(name), str(number), *map(percent, found), *new])
    weak = ", ".join(f"{plain(benchmark, 40)}/{plain(skill, 40)}" for benchmark, skill in vanilla.weak[0].skills) or "none"
    notes = [
        f"weak: skills {IN} with less than {100 * WEAK:.0f} % of the dev items solved, over all seeds; figures are of test",
        f"weak at the start: {weak}",
    ]
    if document.rounds > 1:
        notes.append("left weak: skills that were weak after the round before; what they had then, and what this round added (paired t)")
    head = ["arm", "round", *(f"{side}, %" for side in sides), "weak at the start, %", "other skills, %", "left weak, %", "added", "p"]
    return Table(head, rows, "Round by round", notes)


def _cost(document: Compared) -> Table:
    rows = []
    for name, arm in document.trained.items():
        cost = arm.cost
        figures = [amount(cost.rows), amount(cost.calls), amount(cost.rows_per_call, 1), amount(cost.tokens), amount(cost.usd, 2)]
        figures += [amount(cost.per_row.usd, 5), amount(cost.per_point.calls, 1), amount(cost.per_point.usd, 3)]
        accepted = f"{sum(row.gate == 'accepted' for row in arm.rounds)} of {len(arm.rounds)}"
        rows.append([Name(name), *figures, accepted])
    head = ["arm", "rows", "calls", "rows a call", "tokens", "USD", "USD a row", "calls a point", "USD a point", "gate"]
    applied = "rounds that the gate accepted" + ("" if document.gate else "; its finding was not applied")
    notes = [
        f"all seeds and rounds together; a point is one of the average {IN}, over {VANILLA}",
        f"gate: {applied}",
    ]
    if document.base["instructor"]["model"] == "offline":
        notes.append("the embedded instructor costs nothing and counts no tokens; what it would be asked is told by its calls")
    return Table(head, rows, "What the instructor took", notes)


def _dropped(document: Compared) -> Table:
    arms = document.trained
    checks = list(dict.fromkeys(check for arm in arms.values() for check in arm.dropped.rows))
    rows = []
    for name, dropped in ((name, arm.dropped) for name, arm in arms.items()):
        shares = [f"{100 * dropped.row_shares.get(check, 0.0):.1f}" for check in checks]
        rows.append([Name(name), amount(dropped.drawn), *shares, Name(tally(dropped.programs)), Name(tally(dropped.failures))])
    head = ["arm", "rows drawn", *(f"{check}, %" for check in checks), "programs refused", "errors without a program"]
    return Table(head, rows, "What the checks dropped", ["% of the rows that were drawn; the others are counts"])


def _seconds(document: Compared) -> Table:
    rows = [[Name(name), *(_used(arm.seconds.get(step)) for step in TIMED)] for name, arm in document.trained.items()]
    notes = ["wall / CPU seconds of one run, all rounds; steps that a kill cut short are not counted, and vanilla's are shared by all arms"]
    return Table(["arm", *TIMED], rows, "Where the time went", notes)


def _used(seconds: Seconds | None) -> str:
    return f"{seconds.wall:.0f} / {seconds.cpu:.0f}" if seconds else "-"


# ---- the terminal


def text(document: Compared) -> str:
    """All tables as plain text."""
    return "\n\n".join(["\n".join(answers(document)), about(document), *(table.text() for table in tables(document))])


def about(document: Compared) -> str:
    """What was compared, in one sentence or two."""
    base = document.base
    items = ", ".join(f"{plain(name, 60)} {count}" for name, count in document.items.items())
    left_out = ", ".join(map(str, document.missing_seeds))
    return (
        f"{plain(base['target']['model'])} ({document.weights[:12]}) on {plain(base['task'])}, instructor "
        f"{plain(base['instructor']['model'])}: {len(document.trained)} arms, {many(len(document.seeds), 'seed')}, "
        f"{many(document.rounds, 'round')}. Test items of each seed: {items}. "
        + (f"Not all is done: seeds {left_out} are left out. " if left_out else "")
        + "Figures are means over seeds ± half the 95 % interval (Student's t)."
    )


def answers(document: Compared) -> list[str]:
    """For each arm that is not a control: what it gained, which controls it surely beats or loses to, and at what cost.

    Sure is a difference over seeds. One over items alone is sure of these weights, but another training might not bring it."""
    names = [name for name in document.trained if name not in document.controls] or list(document.trained)
    return [_answer(document, name) for name in names]


def _answer(document: Compared, name: str) -> str:
    arm = document.trained[name]
    told = []
    for side in document.benchmarks:
        found: dict[str, list[str]] = {}
        for row in document.tests:
            if (row.arm, row.average) == (name, side):
                found.setdefault(_finding(row), []).append(plain(row.control, 60))
        against = "; ".join(f"{finding} {', '.join(controls)}" for finding, controls in sorted(found.items()))
        told.append(f"{side.capitalize()} {points(arm.average_gains[side])} points over {VANILLA}{'; ' if against else ''}{against}.")
    cost = arm.cost
    return f"{plain(name, 60)}: {' '.join(told)} Cost: {cost.calls:,} calls, USD {amount(cost.usd, 2)}."


def _finding(row: PairedTest) -> str:
    word = "better" if row.difference.mean > 0 else "worse"
    for p, finding in ((row.p_seeds_holm, f"surely {word} than"), (row.p_items_holm, f"{word}, with these weights only, than")):
        if p is not None and p <= SURE:
            return finding
    return "no sure difference from"


def foretold(document: Mapping[str, Any]) -> str:
    """What `errata compare --dry-run` prints (errata.programs.studies.compare.foretell)."""
    rows = []
    for name, arm in document["arms"].items():
        calls = [f"{arm['rounds'] * arm['estimate']['calls'][side]:,}" for side in ("low", "expected", "high")]
        usd = arm["estimate"]["usd"]
        cost = usd if usd == "unknown" else f"{arm['rounds'] * usd['expected']:.2f}"
        rows.append([Name(name), f"{arm['rows']:,}", f"{arm['steps']:,}", *calls, cost])
    title = (
        f"{document['runs']} runs, {document['done']} of them done: {VANILLA} and {len(rows)} arms, {len(document['seeds'])} seeds, "
        f"rounds: {document['rounds']}; items: {json.dumps(document['items'])}"
    )
    head = ["arm", "rows a round", "steps a round", "calls, low", "expected", "high", "USD expected"]
    notes = ["calls and USD are of all seeds and rounds, each as the first round of the first seed"]
    for name, arm in document["arms"].items():
        if judging := arm["estimate"].get("judging"):
            notes.append(f"{name}: judging by {judging['model']} takes about {arm['rounds'] * judging['calls']:,} calls on top")
    return Table(head, rows, title, notes).text()


# ---- the pages


def markdown(document: Compared) -> str:
    """comparison.md, the page for a repository."""
    return render("comparison.md.j2", **_shown(document))


def html(document: Compared) -> str:
    """comparison.html: the answer, plots of the averages and benchmarks, then the tables."""
    return render("comparison.html.j2", gains=_gains(document), benchmarks=_plot(document), **_shown(document))


def _shown(document: Compared) -> dict[str, Any]:
    made = {"command": plain(document.command, 500), "errata": plain(document.errata), "fields": Figures(fenced(document))}
    return made | {"answers": answers(document), "about": about(document), "tables": tables(document)}


def fenced(document: Compared) -> str:
    """The comparison as YAML, without what is at its default, in a form that a fence of three backquotes can hold."""
    usual = flatten(CycleConfig().model_dump(mode="json"))
    base = {name: value for name, value in flatten(document.base).items() if usual.get(name, ...) != value}
    names = ("controls", "pairs", "equal", "seeds", "rounds", "gate")
    told = {"base": base} | {name: document.model_dump(mode="json")[name] for name in names} | {"arms": document.changes}
    return yaml.safe_dump(told, sort_keys=False, allow_unicode=True, width=130).replace("```", "'''").rstrip()


def _gains(document: Compared) -> Html:
    """What each arm gained on the averages."""
    arms, sides = document.trained, list(document.benchmarks)
    lines = [Line(name, [_point(arm.average_gains[side]) for side in sides]) for name, arm in arms.items()]
    return intervals(lines, sides, around([point for line in lines for point in line.points], 0.05))


def _plot(document: Compared) -> Html:
    """Each average and benchmark in all arms."""
    arms = document.arms.values()
    lines = []
    for side, names in document.benchmarks.items():
        lines.append(Line(Html("<b>{}</b>").format(side), [_point(arm.averages[side][-1]) for arm in arms]))
        lines += [Line(name, [_point(arm.benchmarks[name][-1]) for arm in arms]) for name in names]
    return intervals(lines, list(document.arms))


def _point(found: Interval) -> Point:
    low, high = (found.mean if end is None else end for end in (found.low, found.high))
    return Point(found.mean, low, high, percent(found))
