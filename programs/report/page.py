"""report.html: the answer first, then plots, then from each skill's errors to diagnosis, program, rows, and the items fixed and broken.

What is not here: figures (errata.programs.report.document), escaping and style (markup), plots (plots).
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ...signatures.records import Attempt, Sample, TeachingResult
from ..samples.kinds import asked
from .figures import before_after, chance, failed, library, many, outcomes, own_words, percent, points, stages, styles, sure, tally
from .markup import NOTHING, Html, clip, facts, fold, join, page, prose, python, section, table, toned
from .plots import Bar, Line, Point, Stop, balance, bars, course, courses, intervals
from .trace import Lineage

LESSONS, ROWS, ITEMS, PAGE = 3, 2, 3, 60
"""Most lessons, rows of each and items of a kind that are shown of a skill, and most lessons of a page: a page stays small enough to be
sent. `errata trace` shows the others."""
OPEN, COURSES = 20, 8
"""Most lines of a plot, and most courses, that are shown without being asked for."""


def run_page(report: Mapping[str, Any], path: Path) -> str:
    """The page of a finished run in `path`."""
    evaluations = report["evaluations"]
    parts = [
        ("Benchmarks", "benchmarks", _benchmarks(report)),
        ("Round by round", "rounds", _rounds(report)),
        ("Skills", "skills", [_skills(name, row, report) for name, row in evaluations.items() if len(row["skills"]) > 1]),
        ("Errors before and after", "errors", _masses(report)),
        ("Programs and rows", "rows", _rows(report)),
        ("Cost", "cost", _cost(report)),
        ("From errors to items", "lineage", _lineage(report, path)),
        ("Not checked", "unchecked", [Html("<p>{}</p>").format(line) for line in report["not_checked"]]),
        ("Config", "config", [fold("every field, defaults too", prose(json.dumps(report["config"], indent=1, ensure_ascii=False)))]),
    ]
    shown = [(title, name, body) for title, name, body in parts if body]
    links = Html("<nav>{}</nav>").format(join(Html("<a href='#{}'>{}</a>").format(name, title) for title, name, _ in shown))
    return page("Errata: what this run achieved", answered(report["answer"]), links, *(section(t, *body, name=n) for t, n, body in shown))


def answered(answer: Mapping[str, Any]) -> Html:
    """The box at the top: `verdict`, `headline` and `lines` as errata.programs.report.figures.answer gives them."""
    lines = join(Html("<p>{}</p>").format(line) for line in answer["lines"])
    return Html("<div class='answer {}'><p class=big><b>{}</b></p>{}</div>").format(answer["verdict"], answer["headline"], lines)


def comparison(rows: Mapping[str, Mapping[str, Any]], first: str, name: Any = lambda label: label) -> list[Html]:
    """Comparisons by name (errata.programs.report.compare): a plot of before and after, and the figures in a table."""
    lines = []
    for label, row in rows.items():
        change = row["change"]
        told = Html("{} → {} ({})").format(_share(row["before"]), _share(row["after"]), toned(_points(change), sure(change)))
        lines.append(Line(name(label), [point(row["before"]), point(row["after"])], told))
    head = [first, "items", "before, %", "after, %", "change, points", "p", "fixed", "broken", "no answer", "cut", "unjudged"]
    figures = [
        [
            label,
            row["before"]["items"],
            percent(row["before"]),
            percent(row["after"]),
            toned(points(row["change"]), sure(row["change"])),
            chance(row["change"]).removeprefix("p = ").removeprefix("p "),
            row["change"]["fixed"],
            row["change"]["broken"],
            *(before_after(row, kind) for kind in ("no_answer", "cut", "unjudged")),
        ]
        for label, row in rows.items()
    ]
    return [intervals(lines, ["before", "after"]), fold("the figures", table(head, figures), paper=True)]


def point(row: Mapping[str, Any]) -> Point | None:
    """A mark of a share as errata.programs.run.evaluate.share gives it; None where nothing was judged."""
    return None if row["share"] is None else Point(row["share"], row["low"], row["high"], percent(row))


def _share(row: Mapping[str, Any]) -> str:
    return "-" if row["share"] is None else f"{100 * row['share']:.1f}"


def _points(change: Mapping[str, Any]) -> str:
    return f"{100 * change['difference']:+.1f}" if change["pairs"] else "-"


# ---- plots


def _benchmarks(report: Mapping[str, Any]) -> list[Html]:
    evaluations = report["evaluations"]
    if not evaluations:
        return []

    def name(label: str) -> Html:
        return Html("{}{}").format(clip(label, 160), Html(" <span class=soft>guard</span>") if _guards(report, label) else NOTHING)

    lost = [(name(label), row["change"]["broken"], row["change"]["fixed"]) for label, row in evaluations.items()]
    outcome = [
        Html("<p class=soft>{}, {}: {}</p>").format(label, side, outcomes(row[side]))
        for label, row in evaluations.items()
        for side in ("before", "after")
    ]
    return [
        *comparison(evaluations, "benchmark", name),
        Html("<h3>Items fixed and broken</h3>"),
        balance(lost),
        fold("what became of the items", *outcome),
    ]


def _guards(report: Mapping[str, Any], benchmark: str) -> bool:
    return benchmark.rsplit(" ", 1)[0] in report["guards"]


def _stops(measured: Sequence[Mapping[str, Any]], skill: str | None = None) -> list[Stop]:
    """The steps of one benchmark, or of one of its skills, each after the nearest one before it that was measured."""
    parents = {row["round"]: row["from"] for row in measured}
    places: dict[int, int] = {}
    stops: list[Stop] = []
    for row in measured:
        found = row["all"] if skill is None else row["skills"].get(skill)
        mark = point(found) if found else None
        if mark is None:
            continue
        before = row["from"]
        while before is not None and before not in places:
            before = parents.get(before, before - 1 if before else None)
        places[row["round"]] = len(stops)
        name = "start" if row["round"] == 0 else f"round {row['round']}"
        stops.append(Stop(name, mark, row["kept"], None if before is None else places[before]))
    return stops


def _rounds(report: Mapping[str, Any]) -> list[Html]:
    """Each benchmark's course, dev first as it is measured every round, then each round's figures."""
    figures = [
        course(name, stops)
        for name, measured in sorted(report["course"].items(), key=lambda item: (item[0].rsplit(" ", 1)[1], item[0]))
        if len(stops := _stops(measured)) > 1
    ]
    key = Html("<p class=soft>Filled: kept; hollow: rejected by the gate. Bars are 95 % intervals.</p>")
    rest = [fold(f"{len(figures) - COURSES} more", courses(figures[COURSES:]), paper=True)] if len(figures) > COURSES else []
    plots = [courses(figures[:COURSES]), *rest, key] if figures else []
    few = len(report["rounds"]) <= 2
    return plots + [_round(row, few) for row in report["rounds"]]


def _round(row: Mapping[str, Any], few: bool) -> Html:
    """What was decided and why; its figures open where there are few rounds."""
    decision, train = row["decision"], row["train"]
    word = toned("accepted", "better") if decision["accepted"] else toned("rejected", "worse")
    pairs: list[tuple[str, object]] = [
        ("mined", outcomes(row["mined"])),
        ("programs", f"{row['programs']:,} from {many(row['failures'], 'error')}"),
        ("diagnoses proven", f"{row['proven']} of {row['diagnosed']}: the misconception, as code, gives the target's very answer"),
        ("rows", f"{row['samples']:,} generated, {row['replay']:,} replayed"),
        *([("length and steps, medians", styles(row["style"]))] if row["style"] else []),
        ("words and lessons", own_words(row["words"])),
        *([("library", library(row["library"]))] if row["library"]["programs"] else []),
        (
            "training",
            f"{many(train['steps'], 'step')}, loss {train['loss_first']:.3f} to {train['loss_last']:.3f}, {train['rows_kept']:,} of "
            f"{many(train['rows_in'], 'row')} kept, {train['rows_truncated']} cut"
            if train
            else "none",
        ),
        (
            f"{decision['task']} dev",
            f"{100 * decision['before']:.1f} to {100 * decision['after']:.1f} %, {points(decision)} points, {decision['fixed']} fixed, "
            f"{decision['broken']} broken, {decision['unjudged']} unjudged, {chance(decision)}",
        ),
    ]
    for guard in decision["guards"]:
        pairs.append((f"guard {guard['task']}", f"{100 * guard['before']:.1f} to {100 * guard['after']:.1f} %, {points(guard)} points"))
    if row["asserted"]["rows"]:
        pairs.append(("rows on asserted facts", f"{row['asserted']['rows']}, independent solves came to {row['asserted']['agreed']}"))
    if row["at_fault"]:
        pairs.append(("items at fault", ", ".join(row["at_fault"])))
    dev = [fold("dev by skill, before and after this round", *comparison(row["dev"]["skills"], "skill"))] if row["dev"] else []
    head = Html("<h3>Round {}: {}</h3><p>{}</p>").format(row["number"], word, clip(decision["reason"], 300))
    return join([head, fold("the round in figures", facts(pairs), open=few, paper=True), *dev])


def _skills(name: str, evaluation: Mapping[str, Any], report: Mapping[str, Any]) -> Html:
    """The skills of a benchmark, greatest gain first."""
    skills = dict(sorted(evaluation["skills"].items(), key=lambda item: (-item[1]["change"]["difference"], item[0])))
    found = Counter(sure(row["change"]) for row in skills.values())
    chances = f"Each interval holds with 95 % on its own: of {len(skills)} skills about {len(skills) / 20:.0f} may miss theirs by chance."
    body = [
        *comparison(skills, "skill"),
        fold(
            "items fixed and broken by skill",
            balance([(skill, row["change"]["broken"], row["change"]["fixed"]) for skill, row in skills.items()]),
        ),
    ]
    if len(skills) >= 10:
        body.append(Html("<p class=soft>{}</p>").format(chances))
    dev = report["course"].get(f"{name.rsplit(' ', 1)[0]} dev", [])
    if len(dev) > 2:
        figures = [course(skill, stops) for skill in skills if len(stops := _stops(dev, skill)) > 1]
        body.append(fold("dev round by round, each skill", courses(figures)))
    title = Html("{}: {} skills, {}, {}").format(
        name,
        len(skills),
        toned(f"{found['better']} surely better", "better" if found["better"] else ""),
        toned(f"{found['worse']} surely worse", "worse" if found["worse"] else ""),
    )
    few = len(skills) <= OPEN and len(report["evaluations"]) - len(report["guards"]) <= 1
    return fold(title, *body, open=few and not _guards(report, name), paper=True)


def _masses(report: Mapping[str, Any]) -> list[Html]:
    """What the target fails of fresh rows of each diagnosed kind, before and after the training on them."""
    out: list[Html] = []
    for row in report["rounds"]:
        if not row["masses"]:
            continue
        lines, told = [], []
        for one in row["masses"]:
            marks = [_failing(one["before"]), _failing(one["after"])]
            after = f" → {one['after']['mass']:.1f}" if one["after"] else ""
            lines.append(Line(one["skill"], marks, f"{one['before']['mass']:.1f}{after} of {many(one['errors'], 'error')}"))
            told.append([one["skill"], one["programs"], one["rows"], failed(one["before"]), failed(one["after"])])
        plot = intervals(lines[:OPEN], ["before training", "after training"])
        rest = (
            [fold(f"{len(lines) - OPEN} smaller kinds", intervals(lines[OPEN:], ["before training", "after training"]))]
            if len(lines) > OPEN
            else []
        )
        misconceptions = [
            Html("<li><b>{}</b>: {}").format(
                one["skill"], "; ".join(f"{clip(text, 200)} ({count})" for text, count in one["misconceptions"].items())
            )
            for one in row["masses"]
        ]
        out += [
            Html("<h3>Round {}</h3>").format(row["number"]),
            plot,
            *rest,
            fold("the figures", table(["diagnosed skill", "programs", "rows", "failed before, %", "failed after, %"], told)),
            fold("the commonest misconceptions of each", Html("<ul>{}</ul>").format(join(misconceptions))),
        ]
        if not any(one["after"] for one in row["masses"]):
            out.append(Html("<p class=soft>After this training they were not measured.</p>"))
    if out:
        note = (
            "Share of probe rows that the target fails, by diagnosed skill: fresh rows of the very programs, drawn apart from the training "
            "rows. Beside it the error mass: how many of the errors that were studied it would make again."
        )
        out.insert(0, Html("<p class=soft>{}</p>").format(note))
    return out


def _failing(side: Mapping[str, Any] | None) -> Point | None:
    """A mark of the share that is failed."""
    if side is None or side["share"] is None:
        return None
    return Point(1 - side["share"], 1 - side["high"], 1 - side["low"], f"{failed(side)} % failed")


def _rows(report: Mapping[str, Any]) -> list[Html]:
    """What the checks kept and refused, by round."""
    out = []
    for row in report["rounds"]:
        probed, solved = row["programs_refused_by_probe"], row["programs_refused_by_solves"]
        programs = [Bar("kept", (row["programs"] - probed - solved, 0), row["programs"] - probed - solved)]
        without = dict(row["refused"]) | ({"targeted": probed} if probed else {}) | ({"agreed": solved} if solved else {})
        programs += [Bar(f"refused: {check}", (0, count), count) for check, count in without.items()]
        rows = [Bar("kept", (row["samples"], 0), f"{row['samples']:,}")]
        rows += [Bar(f"refused: {check}", (0, count), f"{count:,}") for check, count in row["rows_refused"].items()]
        colours = ("var(--better)", "var(--worse)")
        drafts = sum(row["complaints"].values())
        out += [
            Html("<h3>Round {}: programs, one an error, by the check that had the last word</h3>").format(row["number"]),
            bars(programs, ("kept", "refused"), colours),
            Html("<p class=soft>{} refused on the way, repaired ones among them: {}</p>").format(
                many(drafts, "draft"), tally(row["complaints"])
            ),
            Html("<h3>Round {}: rows drawn from the library</h3>").format(row["number"]),
            bars(rows, ("kept", "refused"), colours),
        ]
        if row["library"]["programs"]:
            out.append(fold("the library by skill", _library(row["library"]["skills"])))
    return out


def _library(skills: Mapping[str, Mapping[str, Any]]) -> Html:
    """How the programs of all rounds fared in one, by diagnosed skill."""

    def share(part: int, whole: int) -> str:
        return f"{100 * part / whole:.0f}" if whole else "-"

    lines = [
        [name, one["programs"], one["retired"], share(one["failed"], one["probed"]), share(one["kept"], one["drawn"]), f"{one['kept']:,}"]
        for name, one in skills.items()
    ]
    return table(["diagnosed skill", "programs", "retired", "probe rows failed, %", "drawn rows kept, %", "rows"], lines)


def _cost(report: Mapping[str, Any]) -> list[Html]:
    lines = stages(report)
    head = ["stage", "calls", "tokens in", "tokens out", "USD", "answers of the target", "training steps"]
    shown = [[name, *(f"{figure:,}" if isinstance(figure, int) else figure for figure in figures)] for name, *figures in lines]
    plots = []
    tokens = [(name, given, taken) for name, _, given, taken, *_ in lines[:-1] if given or taken]
    if tokens:
        plots += [
            Html("<h3>Tokens of the instructor</h3>"),
            bars([Bar(name, (given, taken), f"{given + taken:,}") for name, given, taken in tokens], ("in", "out")),
        ]
    answers = [(name, count) for name, *_, count, _ in lines[:-1] if count]
    plots += [Html("<h3>Answers of the target</h3>"), bars([Bar(name, (count,), f"{count:,}") for name, count in answers], ("answers",))]
    total = report["instructor"]["total"]
    again = f"{many(total['cached'], 'answer')} taken again from the run, {many(total['failed'], 'attempt')} failed"
    return [*plots, table(head, shown), *([Html("<p class=soft>{}</p>").format(again)] if total["cached"] or total["failed"] else [])]


# ---- from errors to items


class _Lesson(NamedTuple):
    number: int
    taught: TeachingResult
    error: Attempt
    samples: Sequence[Sample]


def _lineage(report: Mapping[str, Any], path: Path) -> list[Html]:
    """By skill of the items: its errors, each with diagnosis, program and rows, and what became of its held-out items."""
    lineage = Lineage(path)
    rows: dict[str, list[tuple[int, Sample]]] = {}
    for number, sample in lineage.samples.values():
        rows.setdefault(sample.program_id, []).append((number, sample))
    lessons: dict[tuple[str, str], list[_Lesson]] = {}
    for program, taught in lineage.taught.items():
        error = lineage.failures.get(taught.program.anchors[0]) if taught.program else None
        if error and taught.diagnosis and program in rows:
            key = (error.example.task, error.example.skill)
            lessons.setdefault(key, []).append(_Lesson(rows[program][0][0], taught, error, [sample for _, sample in rows[program]]))
    changes: dict[tuple[str, str], dict[str, list[str]]] = {}
    for evaluation in report["evaluations"].values():
        for kind in ("fixed", "broken"):
            for name in evaluation[kind]:
                example = lineage.items[name][0][1].example
                changes.setdefault((example.task, example.skill), {"fixed": [], "broken": []})[kind].append(name)
    several = len({task for task, _ in lessons.keys() | changes.keys()}) > 1
    left = PAGE
    out = []
    for key in sorted(lessons.keys() | changes.keys()):
        known, change = lessons.get(key, []), changes.get(key, {"fixed": [], "broken": []})
        shown = known[: min(LESSONS, left)]
        left -= len(shown)
        title = ": ".join(part for part in (key[0] if several or not key[1] else "", key[1]) if part)
        drawn = sum(len(lesson.samples) for lesson in known)
        summary = Html("<b>{}</b>: {}, {}; held-out items: {}, {}").format(
            clip(title, 160),
            many(len(known), "program"),
            many(drawn, "row"),
            f"{len(change['fixed'])} fixed",
            f"{len(change['broken'])} broken",
        )
        body = [_lesson(lesson) for lesson in shown]
        if len(known) > len(shown):
            body.append(Html("<p class=soft>and {} more</p>").format(many(len(known) - len(shown), "program")))
        body += [_items(lineage, report, kind, change[kind]) for kind in ("broken", "fixed") if change[kind]]
        out.append(fold(summary, *body))
    note = Html(
        "<p class=soft>By skill of the items. Rows and items meet in the skill; which row changed which answer is not known. At most {} "
        "lessons and {} items of a kind are shown of each: <code>errata trace {} ID</code> shows any other.</p>"
    ).format(LESSONS, ITEMS, path.name)
    return [note, *out] if out else []


def _lesson(lesson: _Lesson) -> Html:
    """From the error to the rows."""
    taught, error = lesson.taught, lesson.error
    assert taught.diagnosis and taught.program
    diagnosis, program = taught.diagnosis, taught.program
    said = [
        ("skill", diagnosis.skill),
        ("misconception", diagnosis.misconception),
        ("evidence", diagnosis.evidence),
        ("to teach", diagnosis.teach),
    ]
    if diagnosis.boundary:
        said.append(("boundary", diagnosis.boundary))
    repaired = f", after {many(program.attempt, 'repair')}" if program.attempt else ""
    return fold(
        Html("round {}, {}: {}").format(lesson.number, clip(diagnosis.skill, 160), clip(diagnosis.misconception, 160)),
        _id("The error", program.anchors[0], f"and {len(program.anchors) - 1} like it" if len(program.anchors) > 1 else ""),
        _attempted(error),
        _id("Diagnosis", diagnosis.id),
        facts((name, clip(value, 1000)) for name, value in said if value),
        fold(
            Html("program <code>{}</code>, {}{}").format(program.id, many(len(program.source.splitlines()), "line"), repaired),
            python(program.source),
        ),
        Html("<p><b>{} drawn from it</b></p>").format(many(len(lesson.samples), "row")),
        *map(_row, lesson.samples[:ROWS]),
    )


def _id(title: str, name: str, beside: str = "") -> Html:
    return Html("<p><b>{}</b> <code>{}</code> {}</p>").format(title, name, beside)


def _attempted(attempt: Attempt) -> Html:
    """Question, answer and verdict."""
    example, verdict = attempt.example, attempt.verdict
    read = f"{verdict.reason}, read as {verdict.extracted}" if verdict.extracted is not None else verdict.reason
    return join(
        [
            prose(example.question),
            Html("<p class=soft>the target answered ({}; gold: {})</p>").format(clip(read, 300), clip(example.answer, 300)),
            prose(attempt.response),
        ]
    )


def _row(sample: Sample) -> Html:
    """A row: its question, and what is trained on."""
    wrong = f"; the misconception answers {clip(sample.wrong, 300)}" if sample.wrong is not None else ""
    mistake = [prose(sample.mistake), Html("<p class=soft>a wrong answer of the target, and its correction</p>")] if sample.mistake else []
    words = ", in the target's own words" if sample.own and not sample.correction else ""
    return join(
        [
            prose(asked(sample)),
            *mistake,
            prose(sample.correction or sample.own or sample.solution),
            Html("<p class=soft>answer: {}{}{} <code>{}</code>, level {}</p>").format(
                clip(sample.answer, 300), wrong, words, sample.id, sample.level
            ),
        ]
    )


def _items(lineage: Lineage, report: Mapping[str, Any], kind: str, names: Sequence[str]) -> Html:
    """Some held-out items that were fixed or broken, with both answers."""
    sides = (("before", report["target"]["before"]), ("after", report["target"]["after"]))
    shown = []
    for name in names[:ITEMS]:
        attempts = dict(lineage.items[name])
        example = lineage.items[name][0][1].example
        answers = [
            part for side, weights in sides for part in (Html("<p class=soft>{}</p>").format(side), prose(attempts[weights].response))
        ]
        head = Html("{} <code>{}</code>, gold: {}").format(f"{example.task} {example.split}", name, clip(example.answer, 200))
        shown.append(fold(head, prose(example.question), *answers))
    more = [Html("<p class=soft>and {} more</p>").format(len(names) - ITEMS)] if len(names) > ITEMS else []
    return join(
        [Html("<p><b>{} {}</b></p>").format(many(len(names), "item"), toned(kind, "better" if kind == "fixed" else "worse")), *shown, *more]
    )
