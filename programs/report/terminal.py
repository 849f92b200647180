"""What a run achieved, as text for the terminal: the answer, one line a benchmark, the skills that changed, one line a round."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .figures import before_after, many, percent, plain, points, sure

SKILLS, FEW = 12, 4
"""Most skills that are shown of a benchmark where there is one, and where there are several or it is a guard; the page has them all."""


def table(report: Mapping[str, Any]) -> str:
    """The whole text."""
    answer = report["answer"]
    parts = [[plain(line, 2000) for line in (answer["headline"], *answer["lines"])]]
    if report["evaluations"]:
        parts.append(_compared(report["evaluations"], "benchmark"))
    # of the same weights there is nothing to compare skill by skill
    for name, evaluation in report["evaluations"].items() if report["accepted"] else ():
        alone = len(report["evaluations"]) - len(report["guards"]) <= 1 and name.rsplit(" ", 1)[0] not in report["guards"]
        parts.append(_skills(name, evaluation, alone))
    last = report["rounds"][-1]
    if not report["accepted"] and last["dev"]:
        title = "No round was accepted: before and after are the same weights. What the last training would have changed, on dev:"
        parts.append([title, *_compared({"all": last["dev"]} | _foremost(last["dev"]["skills"], SKILLS), "skill")])
    parts.append([plain(_decided(row), 2000) for row in report["rounds"]])
    return "\n\n".join("\n".join(part) for part in parts if part)


def measured(shares: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Lines of a table of one evaluation: its rows by name, as `errata.programs.run.evaluate.share` gives them."""
    names = ("items", "no_answer", "cut", "unjudged")
    head = ["", "% right", *(name.replace("_", " ") for name in names)]
    return aligned([head, *([label, percent(row), *(row[name] for name in names)] for label, row in shares.items())])


def aligned(rows: Iterable[Sequence[object]]) -> list[str]:
    """Rows as lines with the first column to the left and the others to the right, each as wide as it needs; the first row is the head."""
    cells = [[plain(cell, 40 if place == 0 else 120) for place, cell in enumerate(row)] for row in rows]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        fills = [" " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)]
        lines.append("  " + "   ".join([row[0] + fills[0], *(fill + cell for fill, cell in zip(fills[1:], row[1:], strict=True))]).rstrip())
    return lines


def _width(text: str) -> int:
    """Columns of a terminal."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _compared(rows: Mapping[str, Mapping[str, Any]], first: str) -> list[str]:
    """A table of comparisons by name. Answers that could not be read, and those that were cut, have a column where there are any."""
    extra = [
        name for name in ("no_answer", "cut", "unjudged") if any(row[side][name] for row in rows.values() for side in ("before", "after"))
    ]
    head = [first, "items", "before, %", "after, %", "change, points", "fixed", "broken", *(name.replace("_", " ") for name in extra)]
    lines: list[list[object]] = [[*head]]
    for label, row in rows.items():
        change = row["change"]
        told = [before_after(row, name) for name in extra]
        figures = [row["before"]["items"], percent(row["before"]), percent(row["after"]), points(change), change["fixed"], change["broken"]]
        lines.append([label, *figures, *told])
    return aligned(lines)


def _skills(name: str, evaluation: Mapping[str, Any], alone: bool) -> list[str]:
    """How many skills of a benchmark changed, and the foremost of them; where it is not `alone`, only sure changes."""
    skills = evaluation["skills"]
    if len(skills) < 2:
        return []
    found = Counter(sure(row["change"]) for row in skills.values())
    title = f"{plain(name)}, {len(skills)} skills: {found['better']} surely better, {found['worse']} surely worse"
    shown = _foremost(skills, SKILLS if alone else min(FEW, found["better"] + found["worse"]))
    if not shown:
        return [title]
    left = len(skills) - len(shown)
    return [title, *_compared(shown, "skill"), *([f"  and {many(left, 'other skill')} in report.html"] if left else [])]


def _foremost(skills: Mapping[str, Mapping[str, Any]], most: int) -> dict[str, Mapping[str, Any]]:
    """At most so many, sure changes first, then the greatest; in falling order of the change."""

    def weight(name: str) -> tuple[bool, float]:
        change = skills[name]["change"]
        return sure(change) in ("better", "worse"), abs(change["difference"])

    chosen = sorted(skills, key=weight, reverse=True)[:most]
    return {name: skills[name] for name in sorted(chosen, key=lambda name: -skills[name]["change"]["difference"])}


def _decided(row: Mapping[str, Any]) -> str:
    decision = row["decision"]
    return (
        f"round {row['number']}: {'accepted' if decision['accepted'] else 'rejected'} ({decision['reason']}): "
        f"{many(row['failures'], 'error')}, {many(row['programs'], 'program')}, {many(row['samples'], 'row')} + "
        f"{row['replay']:,} replayed; "
        f"{decision['task']} dev {100 * decision['before']:.1f} -> {100 * decision['after']:.1f}, "
        f"{decision['fixed']} fixed, {decision['broken']} broken"
    )
