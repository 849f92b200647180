"""How figures and verdicts are put in words and tables: one way for the terminal, report.md, the page, model cards and comparisons."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from ...signatures.records import Forgetting, GateDecision, TrainReport
from ..run import layout
from ..run.progress import span
from ..stats import OUTCOMES, RARE, Outcome
from .markup import Figures, Name, plain
from .records import (
    Answer,
    Answered,
    Change,
    Counts,
    Evaluation,
    Failing,
    Judged,
    Library,
    Mass,
    Phrased,
    Report,
    Round,
    Share,
    Sides,
    Spent,
    Standings,
    Style,
    Words,
)
from .tables import Table

CORRECTED = "p corrected for the number of skills, Holm"
MATRIX, PAIRS = 12, 20
"""Most labels whose confusion matrix is shown whole, and most pairs of labels that are named of more."""
UNREAD = "Unread: no label, or several."
FORMLESS = 0.1
"""Share of unread answers from which form is told apart from skill."""
SURE = 0.05
"""Largest p-value of the exact McNemar test at which a change is called sure."""
_FIRST = {"better": "Better", "worse": "Worse", "mixed": "Better here, worse there", "same": "No sure difference"}
_SURELY = {"better": "surely better", "worse": "surely worse", "same": "not sure, may be chance", "none": "not measured"}
Paired = Change | GateDecision
"""What a comparison of the same items says."""


# ---- figures


def percent(row: Share) -> Figures:
    """A share with its interval."""
    return Figures("-" if row.share is None else f"{100 * row.share:.1f} [{100 * row.low:.0f}, {100 * row.high:.0f}]")


def points(row: Paired) -> Figures:
    """A paired difference in percentage points, with its interval, in the colour of what is sure of it."""
    if not row.pairs:
        return Figures("-")
    return Figures(f"{100 * row.difference:+.1f} [{100 * row.low:+.0f}, {100 * row.high:+.0f}]", tone(row))


def sure(change: Paired) -> str:
    """What a paired comparison says: `better` or `worse` where the interval leaves 0 out and the exact test agrees (of skills corrected for
    their number), `same` where no difference is sure, `none` where no pair was judged."""
    if not change.pairs:
        return "none"
    corrected = change.p_holm if isinstance(change, Change) else None
    if (change.p_value if corrected is None else corrected) > SURE or change.low <= 0 <= change.high:
        return "same"
    return "better" if change.low > 0 else "worse"


def tone(change: Paired) -> str:
    """The colour of a change that is sure."""
    return found if (found := sure(change)) in ("better", "worse") else ""


def chance(p_value: float) -> str:
    """A p-value in words."""
    return "p < 0.0001" if p_value < 0.0001 else f"p = {p_value:.2g}"


def outcomes(row: Counts) -> str:
    """Items by outcome, in words."""
    unclosed = f"{row.unclosed:,} with unclosed reasoning, " if row.unclosed else ""
    looped = f" or, {row.looped:,} of them, in a loop" if row.looped else ""
    return (
        f"{row.right:,} right, {row.wrong:,} wrong (of these {row.no_answer:,} without a readable answer, {unclosed}"
        f"{row.cut:,} cut at the token limit{looped}), {row.unjudged:,} unjudged"
    )


def judged(found: Judged) -> str:
    """That language models judged, and how often they agree with themselves, in words."""
    if not found.twice:
        return f"judged by {', '.join(found.by)}, a language model, no answer twice"
    share = f"{found.agreed} of {found.twice} answers that were judged twice were judged alike"
    return f"judged by {', '.join(found.by)}, a language model; {share} ({100 * found.agreed / found.twice:.0f} %)"


def told(rows: Iterable[Counts]) -> list[Outcome]:
    """The outcomes that have a column: some only where there is any."""
    rows = list(rows)
    return [name for name in OUTCOMES if name not in RARE or any(getattr(row, name) for row in rows)]


def tally(counts: Mapping[str, int]) -> str:
    """Counts by name, in words."""
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"


def many(count: int, thing: str) -> str:
    """`1 row`, `1,400 rows`."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def failed(side: Failing | None) -> Figures:
    """Share of probe rows that the target fails, with its interval."""
    if side is None or side.share is None:
        return Figures("-")
    return Figures(f"{100 * (1 - side.share):.0f} [{100 * (1 - side.high):.0f}, {100 * (1 - side.low):.0f}]")


def styles(found: Mapping[str, Style]) -> str:
    """Words and steps of rows beside those of what they come from, in words."""
    names = {"rows": "rows", "errors": "the errors' references", "solved": "the target's right answers"}
    return "; ".join(f"{names[name]} {one.words:g} words, {one.steps:g} steps" for name, one in found.items() if one.texts) or "none"


def own_words(found: Words) -> str:
    """Whose words the rows are in, and which lessons they teach, in words."""
    asked = ""
    if found.tokens is not None:
        asked = f" ({found.right:,} of {found.questions:,} questions solved at least once in {found.tokens:,} tokens)"
    lessons = f"{found.worked:,} worked, {found.correction:,} corrections, {found.hint:,} hints"
    return f"{many(found.own_words, 'row')} in the target's own words{asked}; {lessons}"


def phrased(found: Phrased) -> str:
    """How the rows of programs are phrased, in words; a phrasing that holds more than half of them is named."""
    told = (
        f"{found.ways:g} phrasing{'' if found.ways == 1 else 's'} a program (median of {found.programs:,}); {100 * found.own:.0f} % of the "
        f"rows are phrased as most of their program are, {100 * found.most:.0f} % as most of all are"
    )
    if found.most <= 0.5:
        return told
    return f"{told}: one phrasing holds more than half of the rows, so that others may be forgotten, e.g. {plain(found.example, 120)!r}"


def trained_on(report: TrainReport) -> str:
    """What a training learned from, how long it took, and what it came to, in words."""
    if report.back is not None:
        return "no training, but a way back to the weights that the round began with"
    given = f"{report.rows_kept:,} of {many(report.rows_in, 'row')}"
    if report.rollouts:
        given = f"{many(report.rollouts, 'sampled answer')} of {report.generated_tokens:,} tokens"
    cut = f", {report.rows_truncated} cut" if report.rows_truncated else ""
    what, (first, last) = ("reward", report.rewards) if report.rewards else ("loss", (report.loss_first, report.loss_last))
    stopped = f"; {report.stopped}" if report.stopped else ""
    return f"{given}{cut}; {many(report.steps, 'step')}, {what} {first:.3f} to {last:.3f}{stopped}"


def library(found: Library) -> str:
    """How the programs of all rounds stand, in words."""
    hits = f"the target fails {found.failed:,} of {found.probed:,} probe rows; " if found.probed else ""
    return f"{many(found.programs, 'program')}; {hits}{found.kept:,} of {found.drawn:,} drawn rows kept; {found.retired:,} retire"


def cost(model: str, spent: Spent, work: Iterable[Mapping[str, int]]) -> str:
    """What a run cost, in one sentence; `model` is the instructor, `work` what each stage asked of the target and of the trainer."""
    paid = "no paid call (the embedded instructor)"
    if model != "offline" or spent.calls:
        usd = "an unknown price" if spent.usd == "unknown" else f"USD {spent.usd:.4g}"
        lost = f", {many(spent.failed, 'attempt')} failed" if spent.failed else ""
        paid = f"{many(spent.calls, 'call')} to {model}, {spent.tokens_in:,} tokens in, {spent.tokens_out:,} out, {usd}{lost}"
    stages = list(work)
    answers, steps = (sum(stage.get(name, 0) for stage in stages) for name in ("answers", "steps"))
    return f"{paid}; {many(answers, 'answer')} of the target, {many(steps, 'training step')}"


def about(report: Report) -> dict[str, str]:
    """What the run was: its task, target, instructor and strategy, when it was finished, how long it took, what it cost."""
    config, spent = report.config, report.instructor.total
    target = config.target.title
    money = "an unknown price" if spent.usd == "unknown" else f"USD {spent.usd:.4g}"
    found = {"target": target + (f" + {config.target.adapter}" if config.target.adapter else ""), "task": config.task}
    if report.source:
        found |= {"programs from": f"{report.source.path} ({report.source.hash})", "written by": report.source.writer}
    else:
        found |= {"instructor": config.instructor.model, "strategy": config.generate.strategy}
    if report.when:
        found |= {"finished": report.when.finished.replace("T", " ").replace("+00:00", " UTC"), "time taken": span(report.when.seconds)}
    return {name: plain(value, 300) for name, value in (found | {"paid": money}).items()}


# ---- the answer


def answer(
    evaluations: Mapping[str, Evaluation],
    guards: Sequence[str],
    rounds: Sequence[Round],
    model: str,
    spent: Spent,
    work: Mapping[str, Mapping[str, int]],
) -> Answer:
    """The answer of a run: verdict, headline, and lines that say more: guards, skills that fell, rounds, cost."""
    own = {name: row for name, row in evaluations.items() if name.rsplit(" ", 1)[0] not in guards}
    accepted = sum(row.decision.accepted for row in rounds)
    lines = [f"The guard {sentence(name, row)}" for name, row in evaluations.items() if name not in own and accepted]
    fallen = [
        f"{plain(name, 80)}: {plain(skill, 80)} {points(one.change)}"
        for name, row in evaluations.items()
        for skill, one in row.skills.items()
        if len(row.skills) > 1 and sure(one.change) == "worse"
    ]
    if fallen:
        more = f"; and {len(fallen) - 5} more" if len(fallen) > 5 else ""
        lines.append(f"{many(len(fallen), 'skill')} surely worse ({CORRECTED}): {'; '.join(fallen[:5])}{more}.")
    rejected = [row for row in rounds if not row.decision.accepted]
    told = f"{accepted} of {many(len(rounds), 'round')} accepted"
    told += "".join(f"; round {row.number} was rejected: {plain(row.decision.reason, 300)}" for row in rejected[-1:])
    lines += [line for name, row in evaluations.items() if accepted or name in own for line in form(name, row)]
    lines += [f"{plain(name, 80)} was {judged(row.judged)}." for name, row in evaluations.items() if row.judged]
    lines += [f"{told}.", f"Cost: {cost(model, spent, work.values())}."]
    if not accepted:
        headline = "No round was accepted: the weights are the ones that the run began with."
        return Answer(verdict="unchanged", headline=headline, lines=lines)
    found = [sure(row.change) for row in own.values()]
    better, worse = found.count("better"), found.count("worse")
    verdict: Literal["better", "worse", "mixed", "same"]
    verdict = "mixed" if better and worse else "better" if better else "worse" if worse else "same"
    if len(own) == 1:
        (headline,) = (sentence(name, row) for name, row in own.items())
        return Answer(verdict=verdict, headline=f"{_FIRST[verdict]}: {headline}", lines=lines)
    count = f"of {len(own)} benchmarks {better} surely better, {worse} surely worse"
    changes = "; ".join(f"{plain(name, 80)} {points(row.change)}" for name, row in own.items())
    return Answer(verdict=verdict, headline=f"{_FIRST[verdict]}: {count}.", lines=[f"Points: {changes}.", *lines])


def form(name: str, row: Sides) -> list[str]:
    """Form apart from skill, where answers could not be read: how many were read and not cut, and how many of those read were right."""
    sides = (row.before, row.after)
    if not any(side.items - side.read > FORMLESS * side.items for side in sides):
        return []
    read = " -> ".join(f"{side.read}" for side in sides)
    right = " -> ".join(f"{100 * side.right / side.read:.1f} %" if side.read else "none" for side in sides)
    cut = " -> ".join(f"{side.cut}" for side in sides)
    return [f"Form and skill, {plain(name, 80)}: answers read {read} of {row.before.items} (cut {cut}); right among those read {right}."]


def sentence(name: str, row: Sides) -> str:
    """A comparison in one sentence."""
    change = row.change
    if not change.pairs:
        return f"{plain(name, 80)}: no item was judged both before and after."
    moved = f"{100 * change.before:.1f} % -> {100 * change.after:.1f} %, {points(change)} points"
    what = f"{change.fixed} fixed, {change.broken} broken of {many(change.pairs, 'item')}"
    return f"{plain(name, 80)}: {moved} ({_SURELY[sure(change)]}, {chance(change.p_value)}); {what}."


# ---- tables


def compared(rows: Iterable[tuple[Sequence[str], Sides]], first: Sequence[str], p: bool = True, extra: Sequence[Outcome] = ()) -> Table:
    """A table of comparisons: the names of each, under the heads `first`, then its figures; `extra` outcomes stand before and after."""
    rows = list(rows)
    corrected = any(row.change.p_holm is not None for _, row in rows)
    chances = ["p, Holm" if corrected else "p"] if p else []
    head = [*first, "items", "before, %", "after, %", "change, points", "fixed", "broken", *chances]
    lines: list[list[object]] = []
    for names, row in rows:
        change = row.change
        figures = [row.before.items, percent(row.before), percent(row.after), points(change), change.fixed, change.broken]
        figures += [f"{change.p_value if change.p_holm is None else change.p_holm:.2g}"] if p else []
        counts = [Figures(f"{getattr(row.before, name)} -> {getattr(row.after, name)}") for name in extra]
        lines.append([*map(Name, names), *figures, *counts])
    return Table([*head, *(name.replace("_", " ") for name in extra)], lines)


def labels(cells: Sequence[Answered]) -> Table:
    """The confusion matrix: a line a gold label, a column an answered one, before and after; of many labels the pairs confused most."""
    names = list(dict.fromkeys([cell.gold for cell in cells] + [cell.answered for cell in cells if cell.answered is not None]))
    if len(names) > MATRIX:
        table = confused(cells, PAIRS)
        return replace(table, notes=[f"Of {len(names)} labels those that are taken for others most, in items. {UNREAD}", *table.notes])
    found = {(cell.gold, cell.answered): cell for cell in cells}
    columns = [*names, *([None] if any(cell.answered is None for cell in cells) else [])]
    lines = [[Name(gold), *(_moved(found.get((gold, name)), gold == name) for name in columns)] for gold in names]
    note = f"Items by their gold label (lines) and the one that was answered (columns), before → after where the two differ. {UNREAD}"
    return Table(["gold label", *(Name(name or "unread") for name in columns)], lines, notes=[note])


def confused(cells: Sequence[Answered], most: int) -> Table:
    """The pairs of labels that are confused most, before or after, and what is unread; the others are counted below."""
    wrong = sorted((cell for cell in cells if cell.gold != cell.answered), key=lambda cell: (-max(cell.before, cell.after), cell.gold))
    lines = [[Name(cell.gold), Name(cell.answered or "unread"), cell.before, cell.after] for cell in wrong[:most]]
    rest = wrong[most:]
    more = f"{many(len(rest), 'other pair')}: {sum(cell.before for cell in rest)} items before, {sum(cell.after for cell in rest)} after"
    return Table(["gold label", "answered", "before", "after"], lines, notes=[more] if rest else [])


def _moved(cell: Answered | None, right: bool) -> Figures:
    """The items of a cell before and after, once where they are as many."""
    if cell is None:
        return Figures("·" if not right else "0", "diagonal" if right else "")
    told = f"{cell.before}" if cell.before == cell.after else f"{cell.before} → {cell.after}"
    return Figures(told, "diagonal" if right else "")


def masses(rows: Sequence[Mass], most: int | None = None, what: str = "diagnosed skill") -> Table:
    """The errors of each diagnosed skill, or pattern: how many would be made again, and what the target fails of the programs' probe."""
    head = [what, "errors", "made again before", "after", "programs", "rows", "fails of its probe before, %", "after, %"]
    lines = [
        [
            Name(one.skill),
            one.errors,
            f"{one.before.mass:.1f}",
            f"{one.after.mass:.1f}" if one.after else "-",
            one.programs,
            one.rows,
            failed(one.before),
            failed(one.after),
        ]
        for one in rows
        if one.rows
    ]
    bare = without_rows([one for one in rows if not one.rows], what.split()[-1])
    return Table(head, lines[:most], notes=[bare] if bare else [])


def without_rows(rows: Sequence[Mass] | Sequence[Standings], what: str = "skill") -> str:
    """Programs that no row was drawn from, of these skills or patterns, in one line; empty where there are none."""
    programs = sum(row.programs for row in rows)
    return f"{many(programs, 'program')} of {many(len(rows), what)} gave no rows." if rows else ""


def forgetting(rounds: Iterable[Round]) -> Table:
    """How far each round's weights went from those that the run began with, of a training in stages after each that the gate considered;
    without rows where it was not asked for."""
    head = ["after round", "on answers to", "answers", "tokens", "KL, nats per token", "cross-entropy, change"]
    lines: list[list[object]] = []
    for row in rounds:
        number, names = f"{row.number}{'' if row.decision.accepted else ', rejected'}", [stage.name for stage in row.stages]
        sides = [(f"{number}, {names[one['stage']]}", one.get("forgetting", ())) for one in row.decision.considered]
        for title, some in sides or [(number, row.decision.forgetting)]:
            for one in map(Forgetting.model_validate, some):
                moved = [f"{one.kl:.4f}", f"{one.cross_entropy_rise:+.4f}"] if one.kl is not None else [one.reason, ""]
                lines.append([title, Name(one.on), one.prompts, one.tokens, *moved])
    return Table(head, lines)


def courses(report: Report) -> Table:
    """Each benchmark after each round in which it was measured; in brackets what the gate rejected."""

    def told(name: str, number: int) -> Figures:
        stop = next((stop for stop in report.course[name] if stop.round == number and stop.all.share is not None), None)
        share = "-" if stop is None else f"{100 * (stop.all.share or 0):.1f}"
        return Figures(f"({share})" if stop and not stop.kept else share)

    numbers = sorted({stop.round for stops in report.course.values() for stop in stops})
    head = ["benchmark", *(f"round {number}" if number else "start" for number in numbers)]
    return Table(head, [[Name(name), *(told(name, number) for number in numbers)] for name in report.course])


def stages(report: Report) -> Table:
    """What each stage cost that cost something, and all of them together."""
    paid, work = report.instructor.stages, report.work
    order = {"mine": 0, "teach": 1, "probe": 2, "words": 3, "assemble": 4, "train": 5, "probe-after": 6}

    def place(name: str) -> tuple[int, int, str]:
        step = name.partition("/")[2]
        return (layout.numbered(name) or 10**6, order.get("train" if step.startswith("train-") else step, len(order)), name)

    def line(title: str, spent: Spent | None, done: Mapping[str, int]) -> list[Any]:
        bill = [spent.calls, spent.tokens_in, spent.tokens_out, spent.usd or 0] if spent else [0, 0, 0, 0]
        return [title, *bill, done.get("answers", 0), done.get("steps", 0)]

    lines = [line(name, paid.get(name), work.get(name, {})) for name in sorted(paid.keys() | work.keys(), key=place)]
    total = {name: sum(stage.get(name, 0) for stage in work.values()) for name in ("answers", "steps")}
    head = ["stage", "calls", "tokens in", "tokens out", "USD", "answers of the target", "training steps"]
    return Table(head, [*lines, line("in all", report.instructor.total, total)])
