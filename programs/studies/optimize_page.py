"""What an optimization achieved, in words: report.md, which the terminal shows too, and report.html.

What is not here: the figures (errata.programs.studies.improvement), and the words and order of the pages
(errata/programs/report/templates/optimization.*.j2).
"""

import difflib
import json
import re
from collections.abc import Iterator
from typing import Any

from ..report import plots
from ..report.figures import chance, many, points
from ..report.markup import Figures, Html, join, render
from ..report.records import Change
from ..report.tables import Table
from .records import Changed, HeldOut, Optimized


def markdown(result: Optimized) -> str:
    """report.md."""
    lines = [[f"{sign} {text}" for sign, text in difference(one.before, one.after)] for one in result.changed]
    return render("optimization.md.j2", changes=zip(result.changed, lines, strict=True), **_shown(result))


def page(result: Optimized) -> str:
    """report.html: one page that loads nothing and runs nothing."""
    known = result.settings.model_dump(mode="json")
    settings = [(name, value if isinstance(value, str) else json.dumps(value)) for name, value in known.items()]
    changes, rows = [_change(one) for one in result.changed], [_row(one) for one in result.rows]
    return render("optimization.html.j2", plot=_plot(result), changes=changes, rows=rows, settings=settings, **_shown(result))


def _shown(result: Optimized) -> dict[str, Any]:
    """What both pages say."""
    return {
        "better": result.better,
        "strategy": result.strategy,
        "optimizer": result.settings.optimizer,
        "answer": Figures(_answer(result)),
        "origin": _origin(result),
        "figures": _figures(result),
        "costs": _costs(result),
        "probe": _probe(result),
        "many": many,
    }


def difference(before: str, after: str) -> list[tuple[str, str]]:
    """(`-`, `+` or ` `, text): what was taken out, put in and kept, a line or a sentence each."""
    old, new = ([piece for piece in re.split(r"\n|(?<=[.!?;]) ", text) if piece.strip()] for text in (before, after))
    return [(line[0], line[2:]) for line in difflib.ndiff(old, new) if line[0] != "?"]


def _words(before: str, after: str) -> Iterator[tuple[str, str]]:
    """The same word by word, in runs; blanks go with the word before them and count as no change."""
    old, new = (re.findall(r"\S+\s*", text) for text in (before, after))
    same = difflib.SequenceMatcher(None, [word.strip() for word in old], [word.strip() for word in new], autojunk=False)
    for kind, a, b, c, d in same.get_opcodes():
        if kind == "equal":
            yield " ", "".join(new[c:d])
        else:
            yield "-", "".join(old[a:b])
            yield "+", "".join(new[c:d])


def _answer(result: Optimized) -> str:
    score = result.score
    return (
        f"{'Better' if result.better else 'Not better'}: mean score {score.before:.3f} -> {score.after:.3f} ({score.gain:+.3f}, "
        f"{chance(score.p_value)}, paired permutation test) on {many(result.programs.pairs, 'held-out failure')}"
    )


def _shares(result: Optimized) -> dict[str, Change]:
    """The shares that were compared, by name: failures that got a program, and drafts that passed each check."""
    return {"got a program": result.programs} | {f"passed {name}": change for name, change in result.checks.items()}


def _figures(result: Optimized) -> Table:
    """Baseline, optimized, change, pairs that changed, p-value."""
    score = result.score
    rows: list[list[object]] = [
        ["mean score", f"{score.before:.3f}", f"{score.after:.3f}", f"{score.gain:+.3f}", "", Figures(chance(score.p_value))]
    ]
    for name, change in _shares(result).items():
        shares = [f"{100 * change.before:.0f}%", f"{100 * change.after:.0f}%", points(change)]
        rows.append([name, *shares, f"{change.fixed} gained, {change.broken} lost", Figures(chance(change.p_value))])
    for title, (old, new), form in (
        ("rows that the target fails", result.missed, ".2f"),
        ("distinct draws", result.distinct, ".2f"),
        ("drafts", result.drafts, ".2f"),
        ("tokens a failure", result.tokens, ".0f"),
    ):
        values = ["-" if value is None else format(value, form) for value in (old, new)]
        rows.append([title, *values, "" if old is None or new is None else format(new - old, "+" + form), "", ""])
    return Table(["", "baseline", "optimized", "change", "pairs", "p"], rows)


def _costs(result: Optimized) -> Table:
    """What each model was asked for, and all of them together."""
    bills = {name.removeprefix("optimize/"): one for name, one in result.spent.stages.items()} | {"in all": result.spent.total}
    rows = [[name, one.calls, one.tokens_in, one.tokens_out, one.usd] for name, one in bills.items()]
    return Table(["spent by", "calls", "tokens in", "tokens out", "USD"], rows)


def _origin(result: Optimized) -> str:
    parts, search, settings = result.parts, result.search, result.settings
    best = "" if search.best is None else f", the best of them {search.best:.3f} on what it was tried on"
    return (
        f"{result.strategy} on {result.task}, instructor {result.instructor}, {settings.optimizer} with seed {settings.seed}: "
        f"{many(parts['train'], 'failure')} were learnt from, {parts['validation']} chose, {parts['held']} were held out. "
        f"{many(search.evaluations, 'evaluation')} of {search.strategies} strategies{best}."
    )


def _probe(result: Optimized) -> Figures:
    probe = result.probe_training
    if probe is None:
        return Figures("Short training: a strategy left nothing to train on." if result.probed else "")
    over = probe.optimized_over_baseline
    return Figures(
        f"Short training on each strategy's held-out programs, measured on {many(probe.items, 'train item')} that are not errors: baseline "
        f"{points(probe.gain_of_baseline)} points, optimized {points(probe.gain_of_optimized)}; optimized over baseline {points(over)}, "
        f"{chance(over.p_value)}."
    )


# ---- the page


def _plot(result: Optimized) -> Html:
    """The change of each share, in points, with its interval."""
    marks = {name: plots.Point(row.difference, row.low, row.high, points(row)) for name, row in _shares(result).items()}
    lines = [plots.Line(name, [point], point.text) for name, point in marks.items()]
    return plots.intervals(lines, ["optimized minus baseline, points of a hundred"], plots.around(marks.values()))


def _change(change: Changed) -> dict[str, Any]:
    """What the optimizer did to one predictor."""
    marks = {"-": Html("<del class=worse>{}</del>"), "+": Html("<ins class=better>{}</ins>"), " ": Html("{}")}
    words = [marks[sign].format(text) for sign, text in _words(change.before, change.after) if text]
    return {
        "title": f"{change.predictor}: {many(len(change.demos), 'demonstration')}, before {change.had}",
        "words": join(words, "") if change.before != change.after else None,
        "after": change.after,
        "demos": [json.dumps(demo, indent=1, ensure_ascii=False) for demo in change.demos],
    }


def _row(row: HeldOut) -> dict[str, Any]:
    """A held-out failure, and what both strategies made of it."""
    old, new = row.before, row.after
    tone = "better" if new.score > old.score else "worse" if new.score < old.score else ""
    title = Html("{}: {}").format(Figures(f"{old.score:.3f} to {new.score:.3f}", tone), row.question[:120])
    return {"title": title, "failure": row.failure, "question": row.question, "sides": [("baseline", old), ("optimized", new)]}
