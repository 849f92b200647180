"""report.html and report.md: what their templates show of a run: plots, tables, and the lessons from errors to items.

What is not here: figures (errata.programs.report.document), escaping (markup), plots (plots), and the words and order of the pages
(templates/report.html.j2, templates/report.md.j2).
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...signatures.terminal import command
from ..stats import grouped
from . import figures, plots
from .figures import compared, failed, many, percent, sure, told, tone, without_rows
from .markup import Figures, Html, Name, clip, join, render
from .plots import Bar, Line, Point, Stop, balance, bars, course, courses, curve, intervals, span
from .records import IN_NONE, Evaluation, Failing, Report, Round, Share, Sides, Standings, Trained
from .records import Stop as Measured
from .tables import Table
from .trace import Lineage, Way, excerpt

LESSONS, ROWS, ITEMS, PAGE = 3, 2, 3, 60
"""Most lessons, rows of each and items of a kind that are shown of a skill, and most lessons of a page: a page stays small enough to be
sent. `errata trace` shows the others."""
OPEN, COURSES, STILL = 20, 8, 3
"""Most lines of a plot, and most courses, that are shown without being asked for; and from how many on what did not move is one line."""


def markdown(report: Report, way: Way | None) -> str:
    """report.md, for a terminal, a review or a wiki."""
    skills = [(name, row.skills) for name, row in report.evaluations.items() if len(row.skills) > 1]
    return render(
        "report.md.j2",
        report=report,
        benchmarks=compared((([name], row) for name, row in report.evaluations.items()), ["benchmark"]),
        skills=[(name, compared((([skill], row) for skill, row in rows.items()), ["skill"])) for name, rows in skills],
        labels=_labels(report),
        fields=[(name, compared((([field], side) for field, side in row.fields.items()), ["field"])) for name, row in _fielded(report)],
        figures=figures,
        forgetting=figures.forgetting(report.rounds),
        way=way,
        courses=figures.courses(report),
        training=_training(report),
    )


def html(report: Report, lineage: Lineage, way: Way | None) -> str:
    """report.html; `way` is the one that it draws (errata.programs.report.trace.clearest)."""

    last = report.rounds[-1]

    def label(name: str) -> Html:
        return Html("{}{}").format(clip(name, 160), Html(" <span class=soft>guard</span>" if report.is_guard(name) else ""))

    return render(
        "report.html.j2",
        report=report,
        trace=command("trace", lineage.path, "ID"),
        view=command("view", lineage.path),
        benchmarks=comparison(report.evaluations, "benchmark", label, not report.accepted) if report.evaluations else None,
        untaken=comparison({"all of dev": last.dev} | last.dev.skills, "skill") if not report.accepted and last.dev else None,
        balance=balance([(label(name), row.change.broken, row.change.fixed) for name, row in report.evaluations.items()]),
        way=way,
        excerpt=excerpt(way.lesson.taught.program.source) if way and way.lesson.taught.program else ("", 0),
        courses=_courses(report),
        curves=_curves(report),
        skills=[_skills(name, row, report) for name, row in report.evaluations.items() if len(row.skills) > 1],
        labels=_labels(report),
        fields=[(name, comparison(row.fields, "field")) for name, row in _fielded(report)],
        masses=[_masses(row) for row in report.rounds if row.masses],
        cost=_cost(report),
        groups=_groups(report, lineage),
        items=lineage.items,
        most={"lessons": LESSONS, "rows": ROWS, "of_a_kind": ITEMS},
        config=json.dumps(report.config.model_dump(mode="json"), indent=1, ensure_ascii=False),
        figures=figures,
        forgetting=figures.forgetting(report.rounds),
        compare=comparison,
        refused=_refused,
        library=_library,
    )


def comparison(rows: Mapping[str, Sides], first: str, label: Any = lambda name: name, same: bool = False) -> dict[str, Any]:
    """Comparisons by name: a plot of before and after, which of many did not move by an item, and the figures in a table. `same`: before
    and after are the same weights, which are drawn once."""
    lines = []
    unmoved = [name for name, row in rows.items() if row.before.share == row.after.share and not row.change.fixed + row.change.broken]
    still = unmoved if len(unmoved) >= STILL and not same else []
    for name, row in rows.items():
        if same:
            lines.append(Line(label(name), [point(row.before)], _percent(row.before)))
        if same or name in still:
            continue
        change = row.change
        moved = Figures(f"{100 * change.difference:+.1f}" if change.pairs else "-", tone(change))
        beside = Html("{} → {} ({})").format(_percent(row.before), _percent(row.after), moved)
        beside = Html("{}, as before").format(_percent(row.after)) if name in unmoved else beside
        lines.append(Line(label(name), [point(row.before), point(row.after)], beside))
    extra = told(side for row in rows.values() for side in (row.before, row.after))
    figures = compared((([name], row) for name, row in rows.items()), [first], extra=extra)
    told_still = f"{len(still)} did not move by an item: {', '.join(f'{clip(name, 60)} {_percent(rows[name].after)}' for name in still)}"
    return {
        "plot": intervals(lines, ["these weights"] if same else ["before", "after"]) if lines else None,
        "still": f"{told_still} %" if still else "",
        "table": figures.html(),
    }


def point(row: Share) -> Point | None:
    """A mark of a share; None where nothing was judged."""
    return None if row.share is None else Point(row.share, row.low, row.high, percent(row))


def _percent(row: Share) -> str:
    return "-" if row.share is None else f"{100 * row.share:.1f}"


# ---- rounds


def _courses(report: Report) -> dict[str, Any]:
    """Each benchmark's course, dev first as it is measured every round."""
    measured = sorted(report.course.items(), key=lambda item: (item[0].rsplit(" ", 1)[1], item[0]))
    known = [(name, stops) for name, some in measured if len(stops := _stops(some)) > 1]
    scale = span(stops for _, stops in known)
    drawn = [course(name, stops, scale, _ends(stops)) for name, stops in known]
    more = courses(drawn[COURSES:]) if len(drawn) > COURSES else None
    return {"shown": courses(drawn[:COURSES]) if drawn else None, "more": more, "count": len(drawn) - COURSES}


def _ends(stops: Sequence[Stop]) -> str:
    """The first value, and the last one that was kept."""
    kept = [stop for stop in stops if stop.kept]
    return f"{100 * kept[0].point.value:.1f} to {100 * kept[-1].point.value:.1f} %" if len(kept) > 1 else ""


def _stops(measured: Sequence[Measured], skill: str | None = None) -> list[Stop]:
    """The steps of one benchmark, or of one of its skills, each after the nearest one before it that was measured."""
    parents = {row.round: row.parent for row in measured}
    places: dict[int, int] = {}
    stops: list[Stop] = []
    for row in measured:
        found = row.all if skill is None else row.skills.get(skill)
        if not (mark := point(found) if found else None):
            continue
        before = row.parent
        while before is not None and before not in places:
            before = parents.get(before, before - 1 if before else None)
        places[row.round] = len(stops)
        name = f"round {row.round}" if row.round else "start"
        stops.append(Stop(name, mark, row.kept, None if before is None else places[before]))
    return stops


CURVES: dict[str, tuple[str, Callable[[float], str]]] = {
    "loss": ("loss", "{:.3g}".format),
    "reward": ("reward", plots.percent),
    "kl": ("KL to the start, nats a token", "{:.3g}".format),
    "reward_std": ("spread of rewards", "{:.2f}".format),
    "without_spread": ("questions without a spread", plots.percent),
    "entropy": ("entropy, nats a token", "{:.3g}".format),
    "tokens": ("length of answers, tokens", "{:.0f}".format),
    "margin": ("by how much right answers are preferred", "{:.3g}".format),
    "accuracy": ("pairs whose right answer is preferred", plots.percent),
}
"""What is drawn of a training's course (errata.trainers.stages.follow.LOGGED); beside a reward the loss says nothing."""


def _training(report: Report) -> Table:
    """What the curves of the trainings begin and end with."""
    lines: list[list[object]] = []
    for number, stage in ((row.number, stage) for row in report.rounds for stage in row.stages if stage.course):
        for name, (title, form) in CURVES.items():
            values = [one[name] for one in stage.course if name in one]
            if len(values) > 1 and not (name == "loss" and "reward" in stage.course[0]):
                lines.append([f"{number}, {stage.name}", Figures(title), Figures(form(values[0])), Figures(form(values[-1]))])
    return Table(["round, stage", "measure", "at the begin", "at the end"], lines)


def _curves(report: Report) -> list[dict[str, Any]]:
    """The courses of the trainings by the name of their stage, the rounds one after another."""
    found: list[dict[str, Any]] = []
    stages = [(row.number, stage) for row in report.rounds for stage in row.stages if len(stage.course) > 1]
    for stage, some in grouped(stages, lambda one: one[1].name).items():
        drawn: list[Html] = []
        for name, (title, form) in CURVES.items():
            runs = [[(row["step"], row[name]) for row in one.course if name in row] for _, one in some]
            if all(len(points) > 1 for points in runs) and not (name == "loss" and "reward" in some[0][1].course[0]):
                drawn.append(curve(title, runs, form))
        numbers = [number for number, _ in some]
        title = f"{stage}, round{'s' if len(some) > 1 else ''} {', '.join(map(str, numbers))}"
        practised = [(number, _practised(one)) for number, one in some if one.practised]
        shown = any("without_spread" in row for _, one in some for row in one.course)
        found.append({"title": title, "curves": courses(drawn), "practised": practised, "spread": shown})
    return found


def _practised(stage: Trained) -> Html:
    """What sampled answers were worth by skill, at the begin of a training and at its end."""

    def told(value: float | None) -> Figures:
        return Figures("-" if value is None else f"{100 * value:.0f}")

    head = ["skill", "answers", "right in the first third of the steps, %", "in the last third, %"]
    rows = [
        [Name(f"{one.skill}{' (items solved before)' if one.solved else ''}"), one.answers, told(one.first), told(one.last)]
        for one in stage.practised
    ]
    return Table(head, rows).html()


def _skills(name: str, evaluation: Evaluation, report: Report) -> dict[str, Any]:
    """The skills of a benchmark, greatest gain first."""
    skills = dict(sorted(evaluation.skills.items(), key=lambda item: (-item[1].change.difference, item[0])))
    found = Counter(sure(row.change) for row in skills.values())
    dev = report.course.get(f"{name.rsplit(' ', 1)[0]} dev", [])
    known = [(skill, stops) for skill in skills if len(dev) > 2 and len(stops := _stops(dev, skill)) > 1]
    scale = span(stops for _, stops in known)
    drawn = [course(skill, stops, scale) for skill, stops in known]
    few = len(skills) <= OPEN and len(report.evaluations) - len(report.guards) <= 1
    better, worse = (Figures(f"{found[word]} surely {word}", word if found[word] else "") for word in ("better", "worse"))
    return {
        "title": Html("{}: {} skills, {}, {}").format(name, len(skills), better, worse)
        if report.accepted
        else f"{name}: {len(skills)} skills",
        "open": few and not report.is_guard(name),
        "count": len(skills),
        "comparison": comparison(skills, "skill", same=not report.accepted),
        "balance": balance([(skill, row.change.broken, row.change.fixed) for skill, row in skills.items()]),
        "courses": courses(drawn) if drawn else None,
    }


def _labels(report: Report) -> list[tuple[str, Table, Html | None]]:
    """The confusion of each benchmark that has labels: in a table, and of few labels in a matrix before and one after."""
    return [
        (name, figures.labels(row.labels), _matrices(row, not report.accepted)) for name, row in report.evaluations.items() if row.labels
    ]


def _matrices(row: Evaluation, same: bool) -> Html | None:
    golds = list(dict.fromkeys(cell.gold for cell in row.labels))
    answered = [*dict.fromkeys([*golds, *(cell.answered for cell in row.labels if cell.answered is not None)])]
    if len(answered) > figures.MATRIX:
        return None
    columns = [*answered, *([None] if any(cell.answered is None for cell in row.labels) else [])]
    cells = {(cell.gold, cell.answered): cell for cell in row.labels}
    drawn = []
    for name in ("before",) if same else ("before", "after"):
        side: Share = getattr(row, name)
        title = f"{'these weights' if same else name}: {side.right} of {side.items} right"
        drawn.append(plots.matrix(title, golds, columns, lambda *key, name=name: getattr(cells.get(key), name, 0)))
    return Html("<div class=matrices>{}</div>").format(join(drawn))


def _fielded(report: Report) -> list[tuple[str, Evaluation]]:
    """The benchmarks whose answers have fields."""
    return [(name, row) for name, row in report.evaluations.items() if row.fields]


def _masses(row: Round) -> dict[str, Any]:
    """The kinds of errors by size, by named pattern where there are any, else by diagnosed skill: how many the target would make again,
    before the training on them and after it; and of each diagnosed skill what it fails of fresh rows."""
    named = any(one.skill != IN_NONE for one in row.patterns)
    kinds = row.patterns if named else row.masses
    sizes: list[tuple[object, float, float | None, object]] = []
    for one in (one for one in kinds if one.rows):
        after = f" → {one.after.mass:.1f}" if one.after else ""
        sizes.append((one.skill, one.before.mass, one.after.mass if one.after else None, f"{one.before.mass:.1f}{after} of {one.errors}"))
    lines = []
    for one in (one for one in row.masses if one.rows):
        shares = f"{_fails(one.before)} → {_fails(one.after)} %" if one.after else f"{_fails(one.before)} %"
        lines.append(Line(one.skill, [_failing(one.before), _failing(one.after)], shares))
    series = ("before training", "after training")
    return {
        "round": row,
        "by": "pattern" if named else "diagnosed skill",
        "sizes": plots.sizes(sizes[:OPEN], series) if sizes else None,
        "more": plots.sizes(sizes[OPEN:], series) if len(sizes) > OPEN else None,
        "count": len(sizes) - OPEN,
        "shares": intervals(lines, series),
        "bare": without_rows([one for one in kinds if not one.rows], "pattern" if named else "skill"),
    }


def _fails(side: Failing) -> str:
    return "-" if side.share is None else f"{100 * (1 - side.share):.0f}"


def _failing(side: Failing | None) -> Point | None:
    """A mark of the share that is failed."""
    if side and side.share is not None:
        return Point(1 - side.share, 1 - side.high, 1 - side.low, f"{failed(side)} % failed")
    return None


# ---- programs, rows, cost


def _refused(kept: int, refused: Mapping[str, int]) -> Html:
    """What the checks kept and refused."""
    lines = [Bar("kept", (kept, 0), f"{kept:,}"), *(Bar(f"refused: {check}", (0, count), f"{count:,}") for check, count in refused.items())]
    return bars(lines, ("kept", "refused"), ("var(--better)", "var(--worse)"))


def _library(skills: Mapping[str, Standings]) -> Html:
    """How the programs of all rounds fared in one, by diagnosed skill."""

    def part(some: int, whole: int) -> str:
        return f"{100 * some / whole:.0f}" if whole else "-"

    head = ["diagnosed skill", "programs", "retired", "probe rows failed, %", "drawn rows kept, %", "rows"]
    shown = {name: one for name, one in skills.items() if one.kept}
    bare = [one for one in skills.values() if not one.kept]
    rows = [
        [name, one.programs, one.retired, part(one.failed, one.probed), part(one.kept, one.drawn), one.kept] for name, one in shown.items()
    ]
    if any(one.practised for one in shown.values()):
        head += ["answers in practice", "of these right, %"]
        rows = [[*row, one.practised, part(one.rewarded, one.practised)] for row, one in zip(rows, shown.values(), strict=True)]
    return Html("{}{}").format(Table(head, rows).html(), Html("<p class=soft>{}</p>").format(without_rows(bare)) if bare else "")


def _cost(report: Report) -> dict[str, Any]:
    stages = figures.stages(report)
    names = [str(name) for name, *_ in stages.rows[:-1]]
    asked = {name: report.instructor.stages[name] for name in names if name in report.instructor.stages}
    spent = {name: (one.tokens_in, one.tokens_out) for name, one in asked.items() if one.tokens_in or one.tokens_out}
    tokens = [Bar(name, pair, f"{sum(pair):,}") for name, pair in spent.items()]
    answered = {name: report.work.get(name, {}).get("answers", 0) for name in names}
    answers = [Bar(name, (count,), f"{count:,}") for name, count in answered.items() if count]
    total = report.instructor.total
    again = f"{many(total.cached, 'answer')} taken again from the run, {many(total.failed, 'attempt')} failed"
    return {
        "tokens": bars(tokens, ("in", "out")) if tokens else None,
        "answers": bars(answers, ("answers",)),
        "table": stages.html(),
        "again": again if total.cached or total.failed else "",
    }


# ---- from errors to items


def _groups(report: Report, lineage: Lineage) -> list[dict[str, Any]]:
    """By skill of the items: its errors, each with diagnosis, program and rows, and what became of its held-out items."""
    lessons = grouped(lineage.lessons, lambda one: (one.error.example.task, one.error.example.skill))
    changes: dict[tuple[str, str], dict[str, list[str]]] = {}
    for evaluation in report.evaluations.values():
        for kind, names in (("fixed", evaluation.fixed), ("broken", evaluation.broken)):
            for name in names:
                example = lineage.items[name][0][1].example
                changes.setdefault((example.task, example.skill), {"fixed": [], "broken": []})[kind].append(name)
    several = len({task for task, _ in lessons.keys() | changes.keys()}) > 1
    left = PAGE
    groups: list[dict[str, Any]] = []
    for task, skill in sorted(lessons.keys() | changes.keys()):
        known, change = lessons.get((task, skill), []), changes.get((task, skill), {"fixed": [], "broken": []})
        shown = known[: min(LESSONS, left)]
        left -= len(shown)
        title = clip(": ".join(part for part in (task if several or not skill else "", skill) if part), 160)
        drawn = sum(len(lesson.samples) for lesson in known)
        groups.append({"name": title, "programs": len(known), "rows": drawn, "lessons": shown, "changes": change})
    bare = [group for group in groups if not group["programs"]]
    if len(bare) < 2:
        return groups
    merged = {kind: [name for group in bare for name in group["changes"][kind]] for kind in ("fixed", "broken")}
    rest = {"name": f"{len(bare)} skills without rows", "programs": 0, "rows": 0, "lessons": [], "changes": merged}
    return [*(group for group in groups if group["programs"]), rest]
