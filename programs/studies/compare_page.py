"""A comparison in words: tables for the terminal, comparison.md (a page that can be kept as it is) and comparison.html, from one document.

What is not here: the figures themselves (errata.programs.studies.compared), and the words and order of the pages
(errata/programs/report/templates/comparison.*.j2).
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from ..config import CycleConfig
from ..report.markup import Figures, Html, Name, plain, render
from ..report.plots import Line, Point, around, intervals
from ..report.tables import Table
from ..run.directory import flatten, to_json, write_atomic
from ..stats import SWAPS
from .compare import VANILLA, Comparison
from .compared import IN, WEAK, build
from .records import Compared, Interval, PairedTest, Seconds, TrainedArm

STEPS = ("mine", "teach", "probe", "assemble", "train", "gate", "test", "whole")


def write(comparison: Comparison, out: Path, command: str) -> Compared:
    """Build the document and write comparison.json, comparison.md and comparison.html into the folder. Raises RunError as `build` does."""
    document = build(comparison, out, command)
    write_atomic(out / "comparison.json", to_json(document.model_dump(mode="json")))
    write_atomic(out / "comparison.md", markdown(document).encode("utf-8", "replace"))
    write_atomic(out / "comparison.html", html(document).encode("utf-8", "replace"))
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
    found = [_summary(document), _accuracies(document), _tests(document), _rounds(document), _cost(document), _dropped(document)]
    return [*found, _seconds(document)]


def _summary(document: Compared) -> Table:
    sides = list(document.benchmarks)
    rows = []
    for name, arm in document.arms.items():
        line = [Name(name), *(percent(arm.averages[side][-1]) for side in sides)]
        if not isinstance(arm, TrainedArm):
            rows.append([*line, *("" for _ in sides), "", "", ""])
            continue
        made = arm.rounds
        worst = f"{points(arm.worst)} ({plain(arm.worst.benchmark, 30)})"
        counts = [_span(row.rows for row in made), _span(row.steps for row in made)]
        rows.append([*line, *(points(arm.average_gains[side]) for side in sides), Name(worst), *counts])
    head = ["arm", *(f"{side}, %" for side in sides), *(f"gain {side}" for side in sides), "worst benchmark", "rows", "steps"]
    return Table(head, rows, "Averages after the last round", [*document.notes, "rows and steps are of one round of one seed"])


def _span(values: Iterable[int]) -> str:
    known = sorted(set(values))
    return f"{known[0]:,}" if len(known) == 1 else f"{known[0]:,} - {known[-1]:,}"


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
    numbers = range(1, document.rounds + 1)
    sides = list(document.benchmarks)
    vanilla = document.arms[VANILLA]
    start = [percent(vanilla.averages[side][0]) for side in sides]
    start += [percent(vanilla.weak[0].test[0]), percent(vanilla.weak[0].others[0])]
    rows = [[Name(VANILLA), "0", *start, "", "", ""]]
    for name, arm in document.trained.items():
        for number in numbers:
            left = arm.weak[number - 1] if number > 1 else None
            new = [percent(left.test[0]), points(left.next), chance(left.p_next)] if left else ["", "", ""]
            averages = [percent(arm.averages[side][number]) for side in sides]
            skills = [percent(arm.weak[0].test[number]), percent(arm.weak[0].others[number])]
            rows.append([Name(name), str(number), *averages, *skills, *new])
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
        cost, made = arm.cost, arm.rounds
        row, point = cost.per_row, cost.per_point
        figures = [amount(cost.rows), amount(cost.calls), amount(cost.rows_per_call, 1), amount(cost.tokens)]
        figures += [amount(cost.usd, 2), amount(row.usd, 5), amount(point.calls, 1), amount(point.usd, 3)]
        seconds = arm.seconds.get("train")
        figures.append(amount(seconds.wall) if seconds else "-")
        rows.append([Name(name), *figures, f"{sum(row.gate == 'accepted' for row in made)} of {len(made)}"])
    head = ["arm", "rows", "calls", "rows a call", "tokens", "USD", "USD a row", "calls a point", "USD a point", "training, s", "gate"]
    applied = "rounds that the gate accepted" + ("" if document.gate else "; its finding was not applied")
    notes = [
        f"all seeds and rounds together; a point is one of the average {IN}, over {VANILLA}; training: seconds of a run",
        f"gate: {applied}",
    ]
    if document.base["instructor"]["model"] == "offline":
        notes.append("the embedded instructor costs nothing and counts no tokens; what it would be asked is told by its calls")
    return Table(head, rows, "What it took", notes)


def _dropped(document: Compared) -> Table:
    arms = document.trained
    checks = list(dict.fromkeys(check for arm in arms.values() for check in arm.dropped.rows))
    rows = []
    for name, arm in arms.items():
        dropped = arm.dropped
        shares = [f"{100 * dropped.row_shares.get(check, 0.0):.1f}" for check in checks]
        told = [", ".join(f"{check} {count}" for check, count in some.items()) or "none" for some in (dropped.programs, dropped.failures)]
        rows.append([Name(name), amount(dropped.drawn), *shares, *map(Name, told)])
    head = ["arm", "rows drawn", *(f"{check}, %" for check in checks), "programs refused", "errors without a program"]
    return Table(head, rows, "What the checks dropped", ["% of the rows that were drawn; the others are counts"])


def _seconds(document: Compared) -> Table:
    rows = []
    for name, arm in document.trained.items():
        rows.append([Name(name), *(_used(arm.seconds.get(step)) for step in STEPS)])
    notes = ["wall / CPU seconds of one run, all rounds; steps that a kill cut short are not counted, and vanilla's are shared by all arms"]
    return Table(["arm", *STEPS], rows, "Where the time went", notes)


def _used(seconds: Seconds | None) -> str:
    return f"{seconds.wall:.0f} / {seconds.cpu:.0f}" if seconds else "-"


# ---- the terminal


def text(document: Compared) -> str:
    """All tables as plain text."""
    return "\n\n".join(["\n".join(answers(document)), about(document), *(table.text() for table in tables(document))])


def about(document: Compared) -> str:
    """What was compared, in one sentence or two."""
    seeds, rounds, base = document.seeds, document.rounds, document.base
    items = ", ".join(f"{plain(name, 60)} {count}" for name, count in document.items.items())
    lines = [
        f"{plain(base['target']['model'])} ({document.weights[:12]}) on {plain(base['task'])}, instructor "
        f"{plain(base['instructor']['model'])}: {len(document.trained)} arms, {len(seeds)} seed{'s' * (len(seeds) > 1)}, "
        f"{rounds} round{'s' * (rounds > 1)}. Test items of each seed: {items}."
    ]
    if document.missing_seeds:
        lines.append(f"Not all is done: seeds {', '.join(map(str, document.missing_seeds))} are left out.")
    lines.append("Figures are means over seeds ± half the 95 % interval (Student's t).")
    return " ".join(lines)


SURE = 0.05
"""Highest corrected p of a difference that is called sure."""


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
    if row.p_seeds_holm is not None and row.p_seeds_holm <= SURE:
        return f"surely {word} than"
    if row.p_items_holm is not None and row.p_items_holm <= SURE:
        return f"{word}, with these weights only, than"
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
    return Table(head, rows, title, ["calls and USD are of all seeds and rounds, each as the first round of the first seed"]).text()


# ---- the pages


def markdown(document: Compared) -> str:
    """comparison.md, the page for a repository."""
    return render("comparison.md.j2", **_shown(document))


def html(document: Compared) -> str:
    """comparison.html: the answer, plots of the averages and benchmarks, then the tables."""
    return render("comparison.html.j2", gains=_gains(document), benchmarks=_plot(document), **_shown(document))


def _shown(document: Compared) -> dict[str, Any]:
    made = {"command": plain(document.command, 500), "errata": plain(document.errata)}
    return made | {"answers": answers(document), "about": about(document), "tables": tables(document), "fields": Figures(fenced(document))}


def fenced(document: Compared) -> str:
    """The comparison as YAML, without what is at its default, in a form that a fence of three backquotes can hold."""
    usual = flatten(CycleConfig().model_dump(mode="json"))
    base = {name: value for name, value in flatten(document.base).items() if usual.get(name, ...) != value}
    told = {"base": base} | {name: getattr(document, name) for name in ("controls", "seeds", "rounds", "gate")} | {"arms": document.changes}
    return yaml.safe_dump(told, sort_keys=False, allow_unicode=True, width=130).replace("```", "'''").rstrip()


def _gains(document: Compared) -> Html:
    """What each arm gained on the averages."""
    arms, sides = document.trained, list(document.benchmarks)
    lines = [Line(name, [_point(arm.average_gains[side]) for side in sides]) for name, arm in arms.items()]
    return intervals(lines, sides, around([point for line in lines for point in line.points], 0.05))


def _plot(document: Compared) -> Html:
    """Each average and benchmark in all arms."""
    arms = document.arms
    lines = []
    for side, names in document.benchmarks.items():
        lines.append(Line(Html("<b>{}</b>").format(side), [_point(arm.averages[side][-1]) for arm in arms.values()]))
        lines += [Line(name, [_point(arm.benchmarks[name][-1]) for arm in arms.values()]) for name in names]
    return intervals(lines, list(arms))


def _point(found: Interval) -> Point:
    low, high = (found.mean if end is None else end for end in (found.low, found.high))
    return Point(found.mean, low, high, percent(found))
