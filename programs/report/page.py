"""report.html and report.md: what their templates show of a run: plots, tables, and the lessons from errors to items.

What is not here: figures (errata.programs.report.document), escaping (markup), plots (plots), and the words and order of the pages
(templates/report.html.j2, templates/report.md.j2).
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...signatures.records import Attempt, Sample, TeachingResult
from ..samples.kinds import asked
from . import figures
from .figures import OUTCOMES, compared, failed, many, outcomes, percent, points, sure, tally, tone
from .markup import Figures, Html, clip, render
from .plots import Bar, Line, Point, Stop, balance, bars, course, courses, intervals
from .records import Evaluation, Failing, Report, Round, Share, Sides, Standings
from .records import Stop as Measured
from .tables import Table
from .trace import Lineage

LESSONS, ROWS, ITEMS, PAGE = 3, 2, 3, 60
"""Most lessons, rows of each and items of a kind that are shown of a skill, and most lessons of a page: a page stays small enough to be
sent. `errata trace` shows the others."""
OPEN, COURSES = 20, 8
"""Most lines of a plot, and most courses, that are shown without being asked for."""


def markdown(report: Report) -> str:
    """report.md, for a terminal, a review or a wiki."""
    skills = [(name, row.skills) for name, row in report.evaluations.items() if len(row.skills) > 1]
    return render(
        "report.md.j2",
        report=report,
        benchmarks=compared((([name], row) for name, row in report.evaluations.items()), ["benchmark"]),
        skills=[(name, compared((([skill], row) for skill, row in rows.items()), ["skill"])) for name, rows in skills],
        stages=figures.stages(report),
        **{word.__name__: word for word in (many, figures.masses, points, tally)},
    )


def html(report: Report, lineage: Lineage) -> str:
    """report.html."""
    evaluations = report.evaluations

    def label(name: str) -> Html:
        return Html("{}{}").format(clip(name, 160), Html(" <span class=soft>guard</span>" if report.is_guard(name) else ""))

    return render(
        "report.html.j2",
        report=report,
        run=lineage.path.name,
        benchmarks=comparison(evaluations, "benchmark", label) if evaluations else None,
        balance=balance([(label(name), row.change.broken, row.change.fixed) for name, row in evaluations.items()]),
        courses=_courses(report),
        rounds=[_round(row) for row in report.rounds],
        skills=[_skills(name, row, report) for name, row in evaluations.items() if len(row.skills) > 1],
        masses=[_masses(row) for row in report.rounds if row.masses],
        kept=[_kept(row) for row in report.rounds],
        cost=_cost(report),
        groups=_groups(report, lineage),
        most={"lessons": LESSONS, "of_a_kind": ITEMS},
        config=json.dumps(report.config.model_dump(mode="json"), indent=1, ensure_ascii=False),
        outcomes=outcomes,
    )


def comparison(rows: Mapping[str, Sides], first: str, label: Any = lambda name: name) -> dict[str, Html]:
    """Comparisons by name: a plot of before and after, and the figures in a table."""
    lines = []
    for name, row in rows.items():
        change = row.change
        moved = Figures(f"{100 * change.difference:+.1f}" if change.pairs else "-", tone(change))
        beside = Html("{} → {} ({})").format(_percent(row.before), _percent(row.after), moved)
        lines.append(Line(label(name), [point(row.before), point(row.after)], beside))
    figures = compared((([name], row) for name, row in rows.items()), [first], extra=OUTCOMES)
    return {"plot": intervals(lines, ["before", "after"]), "table": figures.html()}


def point(row: Share) -> Point | None:
    """A mark of a share; None where nothing was judged."""
    return None if row.share is None else Point(row.share, row.low, row.high, percent(row))


def _percent(row: Share) -> str:
    return "-" if row.share is None else f"{100 * row.share:.1f}"


# ---- rounds


def _courses(report: Report) -> dict[str, Any]:
    """Each benchmark's course, dev first as it is measured every round."""
    drawn = [
        course(name, stops)
        for name, measured in sorted(report.course.items(), key=lambda item: (item[0].rsplit(" ", 1)[1], item[0]))
        if len(stops := _stops(measured)) > 1
    ]
    more = courses(drawn[COURSES:]) if len(drawn) > COURSES else None
    return {"shown": courses(drawn[:COURSES]) if drawn else None, "more": more, "count": len(drawn) - COURSES}


def _stops(measured: Sequence[Measured], skill: str | None = None) -> list[Stop]:
    """The steps of one benchmark, or of one of its skills, each after the nearest one before it that was measured."""
    parents = {row.round: row.parent for row in measured}
    places: dict[int, int] = {}
    stops: list[Stop] = []
    for row in measured:
        found = row.all if skill is None else row.skills.get(skill)
        mark = point(found) if found else None
        if mark is None:
            continue
        before = row.parent
        while before is not None and before not in places:
            before = parents.get(before, before - 1 if before else None)
        places[row.round] = len(stops)
        name = "start" if row.round == 0 else f"round {row.round}"
        stops.append(Stop(name, mark, row.kept, None if before is None else places[before]))
    return stops


def _round(row: Round) -> dict[str, Any]:
    """What was decided and why."""
    accepted = row.decision.accepted
    return {
        "number": row.number,
        "decided": Figures("accepted", "better") if accepted else Figures("rejected", "worse"),
        "reason": row.decision.reason,
        "facts": list(_facts(row)),
        "dev": comparison(row.dev.skills, "skill") if row.dev else None,
    }


def _facts(row: Round) -> Iterator[tuple[str, str]]:
    """The round in figures: what, and how much."""
    decision, train = row.decision, row.train
    yield "mined", outcomes(row.mined)
    yield "programs", f"{row.programs:,} from {many(row.failures, 'error')}"
    yield "diagnoses proven", f"{row.proven} of {row.diagnosed}: the misconception, as code, gives the target's very answer"
    yield "rows", f"{row.samples:,} generated, {row.replay:,} replayed"
    if row.style:
        yield "length and steps, medians", figures.styles(row.style)
    yield "words and lessons", figures.own_words(row.words)
    if row.library.programs:
        yield "library", figures.library(row.library)
    if train:
        kept = f"{train.rows_kept:,} of {many(train.rows_in, 'row')} kept, {train.rows_truncated} cut"
        yield "training", f"{many(train.steps, 'step')}, loss {train.loss_first:.3f} to {train.loss_last:.3f}, {kept}"
    else:
        yield "training", "none"
    counts = f"{decision.fixed} fixed, {decision.broken} broken, {decision.unjudged} unjudged, {figures.chance(decision.p_value)}"
    shares = f"{100 * decision.before:.1f} to {100 * decision.after:.1f} %"
    yield f"{decision.task} dev", f"{shares}, {points(decision)} points, {counts}"
    for name, guard in row.guards.items():
        yield f"guard {name}", f"{100 * guard.before:.1f} to {100 * guard.after:.1f} %, {points(guard)} points"
    if row.asserted.rows:
        yield "rows on asserted facts", f"{row.asserted.rows}, independent solves came to {row.asserted.agreed}"
    if row.at_fault:
        yield "items at fault", ", ".join(row.at_fault)


# ---- skills


def _skills(name: str, evaluation: Evaluation, report: Report) -> dict[str, Any]:
    """The skills of a benchmark, greatest gain first."""
    skills = dict(sorted(evaluation.skills.items(), key=lambda item: (-item[1].change.difference, item[0])))
    found = Counter(sure(row.change) for row in skills.values())
    dev = report.course.get(f"{name.rsplit(' ', 1)[0]} dev", [])
    drawn = [course(skill, stops) for skill in skills if len(dev) > 2 and len(stops := _stops(dev, skill)) > 1]
    few = len(skills) <= OPEN and len(report.evaluations) - len(report.guards) <= 1
    better, worse = (Figures(f"{found[word]} surely {word}", word if found[word] else "") for word in ("better", "worse"))
    return {
        "title": Html("{}: {} skills, {}, {}").format(name, len(skills), better, worse),
        "open": few and not report.is_guard(name),
        "count": len(skills),
        "comparison": comparison(skills, "skill"),
        "balance": balance([(skill, row.change.broken, row.change.fixed) for skill, row in skills.items()]),
        "courses": courses(drawn) if drawn else None,
    }


def _masses(row: Round) -> dict[str, Any]:
    """What the target fails of fresh rows of each diagnosed kind, before and after the training on them."""
    lines = []
    for one in row.masses:
        after = f" → {one.after.mass:.1f}" if one.after else ""
        beside = f"{one.before.mass:.1f}{after} of {many(one.errors, 'error')}"
        lines.append(Line(one.skill, [_failing(one.before), _failing(one.after)], beside))
    series = ["before training", "after training"]
    told = [(one.skill, "; ".join(f"{clip(text, 200)} ({count})" for text, count in one.misconceptions.items())) for one in row.masses]
    return {
        "number": row.number,
        "plot": intervals(lines[:OPEN], series),
        "more": intervals(lines[OPEN:], series) if len(lines) > OPEN else None,
        "count": len(lines) - OPEN,
        "table": figures.masses(row).html(),
        "misconceptions": told,
        "measured_after": any(one.after for one in row.masses),
    }


def _failing(side: Failing | None) -> Point | None:
    """A mark of the share that is failed."""
    if side is None or side.share is None:
        return None
    return Point(1 - side.share, 1 - side.high, 1 - side.low, f"{failed(side)} % failed")


# ---- programs, rows, cost


def _kept(row: Round) -> dict[str, Any]:
    """What the checks kept and refused."""
    probed, solved = row.programs_refused_by_probe, row.programs_refused_by_solves
    without = dict(row.refused) | ({"targeted": probed} if probed else {}) | ({"agreed": solved} if solved else {})
    drafts = many(sum(row.complaints.values()), "draft")
    return {
        "number": row.number,
        "programs": _refused(row.programs - probed - solved, without),
        "rows": _refused(row.samples, row.rows_refused),
        "drafts": f"{drafts} refused on the way, repaired ones among them: {tally(row.complaints)}",
        "library": _library(row.library.skills) if row.library.programs else None,
    }


def _refused(kept: int, refused: Mapping[str, int]) -> Html:
    lines = [Bar("kept", (kept, 0), f"{kept:,}"), *(Bar(f"refused: {check}", (0, count), f"{count:,}") for check, count in refused.items())]
    return bars(lines, ("kept", "refused"), ("var(--better)", "var(--worse)"))


def _library(skills: Mapping[str, Standings]) -> Html:
    """How the programs of all rounds fared in one, by diagnosed skill."""

    def part(some: int, whole: int) -> str:
        return f"{100 * some / whole:.0f}" if whole else "-"

    head = ["diagnosed skill", "programs", "retired", "probe rows failed, %", "drawn rows kept, %", "rows"]
    rows = [
        [name, one.programs, one.retired, part(one.failed, one.probed), part(one.kept, one.drawn), one.kept] for name, one in skills.items()
    ]
    return Table(head, rows).html()


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

_Lesson = tuple[int, TeachingResult, Attempt, list[Sample]]
"""A program that was taught: its round, what became of its error, the error, and the rows drawn from it."""


def _groups(report: Report, lineage: Lineage) -> list[dict[str, Any]]:
    """By skill of the items: its errors, each with diagnosis, program and rows, and what became of its held-out items."""
    rows: dict[str, list[tuple[int, Sample]]] = {}
    for number, sample in lineage.samples.values():
        rows.setdefault(sample.program_id, []).append((number, sample))
    lessons: dict[tuple[str, str], list[_Lesson]] = {}
    for program, taught in lineage.taught.items():
        error = lineage.failures.get(taught.program.anchors[0]) if taught.program else None
        if error and taught.diagnosis and program in rows:
            key = (error.example.task, error.example.skill)
            lessons.setdefault(key, []).append((rows[program][0][0], taught, error, [sample for _, sample in rows[program]]))
    changes: dict[tuple[str, str], dict[str, list[str]]] = {}
    for evaluation in report.evaluations.values():
        for kind, names in (("fixed", evaluation.fixed), ("broken", evaluation.broken)):
            for name in names:
                example = lineage.items[name][0][1].example
                changes.setdefault((example.task, example.skill), {"fixed": [], "broken": []})[kind].append(name)
    several = len({task for task, _ in lessons.keys() | changes.keys()}) > 1
    left = PAGE
    groups = []
    for task, skill in sorted(lessons.keys() | changes.keys()):
        known, change = lessons.get((task, skill), []), changes.get((task, skill), {"fixed": [], "broken": []})
        shown = known[: min(LESSONS, left)]
        left -= len(shown)
        name = clip(": ".join(part for part in (task if several or not skill else "", skill) if part), 160)
        counts = [many(len(known), "program"), many(sum(len(samples) for *_, samples in known), "row")]
        items = [f"{len(change[kind])} {kind}" for kind in ("fixed", "broken")]
        groups.append(
            {
                "title": Html("<b>{}</b>: {}; held-out items: {}").format(name, ", ".join(counts), ", ".join(items)),
                "lessons": [_lesson(*one) for one in shown],
                "more": many(len(known) - len(shown), "program") if len(known) > len(shown) else "",
                "changes": [_items(lineage, report, kind, change[kind]) for kind in ("broken", "fixed") if change[kind]],
            }
        )
    return groups


def _lesson(number: int, taught: TeachingResult, error: Attempt, samples: Sequence[Sample]) -> dict[str, Any]:
    """From the error to the rows."""
    assert taught.diagnosis and taught.program
    diagnosis, program = taught.diagnosis, taught.program
    said = [("skill", diagnosis.skill), ("misconception", diagnosis.misconception), ("evidence", diagnosis.evidence)]
    said += [("to teach", diagnosis.teach), ("boundary", diagnosis.boundary)]
    repaired = f", after {many(program.attempt, 'repair')}" if program.attempt else ""
    return {
        "number": number,
        "error": error,
        "diagnosis": diagnosis,
        "program": program,
        "facts": [(name, clip(value, 1000)) for name, value in said if value],
        "size": many(len(program.source.splitlines()), "line") + repaired,
        "count": many(len(samples), "row"),
        "rows": [_row(sample) for sample in samples[:ROWS]],
    }


def _row(sample: Sample) -> dict[str, Any]:
    """A row: its question, and what is trained on."""
    return {
        "id": sample.id,
        "level": sample.level,
        "question": asked(sample),
        "mistake": sample.mistake,
        "completion": sample.correction or sample.own or sample.solution,
        "answer": sample.answer,
        "wrong": sample.wrong,
        "own_words": bool(sample.own and not sample.correction),
    }


def _items(lineage: Lineage, report: Report, kind: str, names: Sequence[str]) -> dict[str, Any]:
    """Some held-out items that were fixed or broken, with both answers."""
    shown = []
    for name in names[:ITEMS]:
        attempts = dict(lineage.items[name])
        before, after = (attempts[weights].response for weights in (report.target.before, report.target.after))
        shown.append({"example": lineage.items[name][0][1].example, "before": before, "after": after})
    word = Figures(kind, "better" if kind == "fixed" else "worse")
    return {"count": many(len(names), "item"), "word": word, "shown": shown, "more": max(0, len(names) - ITEMS)}
