"""report.md: the answer, the benchmarks, the skills, the rounds and what they cost, for a terminal, a review or a wiki.

Names that come from data or from a model stand as code spans, in which Markdown and HTML mean nothing. What is not here: the texts of
errors, programs and rows (the page has them).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .figures import cell, failed, many, percent, plain, points, stages, tally


def markdown(report: Mapping[str, Any]) -> str:
    """The whole page."""
    answer = report["answer"]
    parts = [
        "# Errata: what this run achieved",
        f"**{text(answer['headline'])}**",
        "\n".join(f"- {text(line)}" for line in answer["lines"]),
    ]
    if report["evaluations"]:
        parts += ["## Benchmarks", compared(report["evaluations"], "benchmark")]
    parts += [
        f"### {text(name)} by skill\n\n{compared(row['skills'], 'skill')}"
        for name, row in report["evaluations"].items()
        if len(row["skills"]) > 1
    ]
    for row in report["rounds"]:
        parts.append(_round(row))
    rows = [[text(name), *figures] for name, *figures in stages(report)]
    parts += ["## Cost", table(["stage", "calls", "tokens in", "tokens out", "USD", "answers of the target", "training steps"], rows)]
    parts += ["## Not checked", "\n".join(f"- {line}" for line in report["not_checked"]) or "Nothing was left out."]
    return "\n\n".join(parts) + "\n"


def text(value: object) -> str:
    """One line in which nothing is read as Markdown or HTML."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>#|~&" else c for c in plain(value, 2000))


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of cells that are safe already; the first column is text, the others are figures."""
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(map(str, row))} |" for row in rows)])


def compared(rows: Mapping[str, Mapping[str, Any]], first: str) -> str:
    """A table of comparisons by name (errata.programs.report.compare)."""
    head = [first, "items", "before, %", "after, %", "change, points", "fixed", "broken", "p"]
    lines = []
    for name, row in rows.items():
        change = row["change"]
        figures = (row["before"]["items"], percent(row["before"]), percent(row["after"]), points(change))
        lines.append([cell(name), *figures, change["fixed"], change["broken"], f"{change['p_value']:.2g}"])
    return table(head, lines)


def _round(row: Mapping[str, Any]) -> str:
    decision = row["decision"]
    lines = [
        f"## Round {row['number']}: {'accepted' if decision['accepted'] else 'rejected'}",
        "",
        f"{text(decision['reason'])}.",
        "",
        f"- {many(row['failures'], 'error')} studied, {many(row['programs'], 'program')} kept, {row['proven']} diagnoses proven",
        f"- errors without a program: {text(tally(row['refused']))}",
        f"- {many(row['samples'], 'row')} kept, {many(row['replay'], 'row')} replayed; rows refused: {text(tally(row['rows_refused']))}",
        f"- dev: {decision['fixed']} fixed, {decision['broken']} broken, {decision['unjudged']} unjudged",
        *(f"- guard {cell(guard['task'])}: {points(guard)} points" for guard in decision["guards"]),
    ]
    if row["masses"]:
        head = ["diagnosed skill", "programs", "rows", "fails of its probe before, %", "after, %"]
        shown = [
            [cell(one["skill"]), one["programs"], one["rows"], failed(one["before"]), failed(one["after"])] for one in row["masses"][:30]
        ]
        lines += ["", table(head, shown)]
    return "\n".join(lines)
