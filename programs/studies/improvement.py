"""What an optimization achieved: the optimized strategy against the one that it started from, on held-out failures, paired.

`compare` makes the figures, `document` says what changed in the prompts, `markdown` and `page` are report.md and report.html. Scores are
compared by a permutation test of the pairs' differences, programs and each check by the exact McNemar test (errata.programs.steps.gate).

What is not here: the optimization (errata.programs.studies.optimize), and scores (errata.programs.studies.scoring).
"""

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...signatures.records import Failure, SampleProgram
from ..report import plots
from ..report.figures import chance, code, many, points, sure
from ..report.markdown import table as markdown_table
from ..report.markup import NOTHING, Html, facts, fold, join, prose, python, section, table, toned
from ..report.markup import page as whole_page
from ..stats import paired_outcomes, sign_flips
from ..strategies.strategy import Strategy
from .scoring import Score

FIGURES = {"missed": "rows that the target fails", "distinct": "distinct draws", "drafts": "drafts", "tokens": "tokens a failure"}


class Taken(NamedTuple):
    """A held-out failure and what a strategy made of it."""

    failure: Failure
    score: Score
    program: SampleProgram | None


# ---- figures


def compare(before: Mapping[str, Taken], after: Mapping[str, Taken], alpha: float, seed: int) -> dict[str, Any]:
    """Two strategies on the same failures. `better`: the mean score rises, with a p-value of at most `alpha`."""
    old, new = ([row.score for row in rows.values()] for rows in (before, after))
    gains = [b.score - a.score for a, b in zip(old, new, strict=True)]
    gain, p = float(np.mean(gains)), sign_flips(gains, seed)
    return {
        "better": gain > 0 and p <= alpha,
        "score": {"before": _mean(old, "score"), "after": _mean(new, "score"), "gain": gain, "p_value": p},
        "programs": paired_outcomes([(a.passed, b.passed) for a, b in zip(old, new, strict=True)]),
        "checks": {
            name: paired_outcomes([(a.checks[name], b.checks[name]) for a, b in zip(old, new, strict=True)]) for name in old[0].checks
        },
        **{name: [_mean(rows, name) for rows in (old, new)] for name in FIGURES},
        "rows": [
            {
                "failure": a.score.failure_id,
                "question": a.failure.attempt.example.question,
                **{side: _taken(row) for side, row in (("before", a), ("after", b))},
            }
            for a, b in zip(before.values(), after.values(), strict=True)
        ],
    }


def _taken(row: Taken) -> dict[str, Any]:
    program = row.program.source if row.program else None
    return {"score": row.score.score, "passed": row.score.passed, "feedback": row.score.feedback, "program": program}


def _mean(rows: Sequence[Score], name: str) -> float | None:
    """Over the rows that have one."""
    values = [getattr(row, name) for row in rows if getattr(row, name) is not None]
    return float(np.mean(values)) if values else None


# ---- what changed


def document(baseline: Strategy, candidate: Strategy) -> dict[str, Any]:
    """`changed`: for each predictor that the optimizer changed its instructions (of dspy.Flex: its source) and demonstrations."""
    old, new = (strategy.dump_state() for strategy in (baseline, candidate))
    found = []
    for name in old:
        texts = [one["module_src"] if "module_src" in one else one["signature"]["instructions"] for one in (old[name], new[name])]
        demos = [one.get("demos", []) for one in (old[name], new[name])]
        if texts[0] != texts[1] or demos[0] != demos[1]:
            found.append({"predictor": name, "before": texts[0], "after": texts[1], "demos": demos[1], "had": len(demos[0])})
    return {"changed": found}


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


# ---- in words


def _answer(result: Mapping[str, Any]) -> str:
    score = result["score"]
    word = "better" if result["better"] else "not better"
    return (
        f"{word}: mean score {score['before']:.3f} -> {score['after']:.3f} ({score['gain']:+.3f}, {chance(score)}, paired permutation "
        f"test) on {many(result['programs']['pairs'], 'held-out failure')}"
    )


def _told(change: Mapping[str, Any]) -> list[str]:
    """A paired share: before, after, change in points, gained and lost, p-value."""
    shares = [f"{100 * change['before']:.0f}%", f"{100 * change['after']:.0f}%", points(change)]
    return [*shares, f"{change['fixed']} gained, {change['broken']} lost", chance(change)]


def _figures(result: Mapping[str, Any]) -> list[list[str]]:
    """Rows of the table: name, baseline, optimized, change, pairs that changed, p-value."""
    score = result["score"]
    lines = [["mean score", f"{score['before']:.3f}", f"{score['after']:.3f}", f"{score['gain']:+.3f}", "", chance(score)]]
    lines.append(["got a program", *_told(result["programs"])])
    lines += [[f"passed {code(name)}", *_told(change)] for name, change in result["checks"].items()]
    for name, title in FIGURES.items():
        old, new = result[name]
        form = ".0f" if name == "tokens" else ".2f"
        told = ["-" if value is None else format(value, form) for value in (old, new)]
        moved = "" if old is None or new is None else format(new - old, "+" + form)
        lines.append([title, *told, moved, "", ""])
    return lines


HEAD = ("", "baseline", "optimized", "change", "pairs", "p")


def _origin(result: Mapping[str, Any]) -> str:
    parts, search = result["parts"], result["search"]
    best = "" if search["best"] is None else f", the best of them {search['best']:.3f} on what it was tried on"
    return (
        f"{result['strategy']} on {result['task']}, instructor {result['instructor']}, {result['settings']['optimizer']} with seed "
        f"{result['settings']['seed']}: {many(parts['train'], 'failure')} were learnt from, {parts['validation']} chose, {parts['held']} "
        f"were held out. {many(search['evaluations'], 'evaluation')} of {search['strategies']} strategies{best}."
    )


def _costs(result: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """(role, calls, tokens in, tokens out, USD) of each model, and in all."""
    spent = result["spent"]
    rows = {name.removeprefix("optimize/"): one for name, one in spent["stages"].items()} | {"in all": spent["total"]}
    return [(name, one["calls"], one["tokens_in"], one["tokens_out"], one["usd"]) for name, one in rows.items()]


def _probe(result: Mapping[str, Any]) -> str:
    probe = result["probe_training"]
    if probe is None:
        return "Short training: a strategy left nothing to train on."
    over = probe["optimized_over_baseline"]
    return (
        f"Short training on each strategy's held-out programs, measured on {many(probe['items'], 'train item')} that are no errors': "
        f"baseline {points(probe['gain_of_baseline'])} points, optimized {points(probe['gain_of_optimized'])}; optimized over baseline "
        f"{points(over)}, {chance(over)}."
    )


def markdown(result: Mapping[str, Any]) -> str:
    """report.md, and what the terminal shows."""
    name, optimizer = code(result["strategy"]), code(result["settings"]["optimizer"])
    lines = [f"# {name} by {optimizer}: {'better' if result['better'] else 'not better'}", "", f"{_answer(result).capitalize()}.", ""]
    lines += [_origin(result), "", markdown_table(HEAD, _figures(result)).rstrip("\n"), ""]
    lines += [markdown_table(("spent by", "calls", "tokens in", "tokens out", "USD"), _costs(result)).rstrip("\n")]
    if "probe_training" in result:
        lines += ["", _probe(result)]
    for change in result["changed"]:
        lines += ["", f"## {code(change['predictor'])}: {many(len(change['demos']), 'demonstration')}, before {change['had']}", ""]
        lines += ["~~~~~~diff", *(f"{sign} {text}" for sign, text in difference(change["before"], change["after"])), "~~~~~~"]
    return "\n".join(lines) + "\n"


# ---- the page


def page(result: Mapping[str, Any]) -> str:
    """report.html: one page that loads nothing and runs nothing."""
    tone = "better" if result["better"] else ""
    probe = Html("<p>{}").format(_probe(result)) if "probe_training" in result else NOTHING
    settings = ((name, value if isinstance(value, str) else json.dumps(value)) for name, value in result["settings"].items())
    return whole_page(
        "Errata: what this optimization achieved",
        Html("<div class='answer {}'><p class=big>{}.<p>{}</div>").format(tone, _answer(result).capitalize(), _origin(result)),
        section("Baseline and optimized", _plot(result), _table(result), probe),
        section("What changed", *(map(_change, result["changed"]) if result["changed"] else ["Nothing: the optimizer kept the strategy."])),
        section("What it cost", table(("", "calls", "tokens in", "tokens out", "USD"), _costs(result))),
        section("The held-out failures", *map(_row, result["rows"])),
        section("Settings", facts(settings)),
    )


def _plot(result: Mapping[str, Any]) -> Html:
    """The change of each share, in points, with its interval."""
    shares = {"got a program": result["programs"]} | {f"passed {name}": change for name, change in result["checks"].items()}
    found = {name: plots.Point(row["difference"], row["low"], row["high"], points(row)) for name, row in shares.items()}
    lines = [plots.Line(name, [point], toned(point.told, sure(shares[name]))) for name, point in found.items()]
    return plots.intervals(lines, ["optimized minus baseline, points of a hundred"], plots.around(found.values()))


def _table(result: Mapping[str, Any]) -> Html:
    return table(HEAD, ([cell.replace("`", "") for cell in row] for row in _figures(result)))


def _change(change: Mapping[str, Any]) -> Html:
    marks = {"-": Html("<del class=worse>{}</del>"), "+": Html("<ins class=better>{}</ins>"), " ": Html("{}")}
    if change["before"] == change["after"]:
        said: Html = Html("<p>The instruction is as it was.")
    else:
        said = Html("<pre class=prose>{}</pre>").format(
            join((marks[sign].format(text) for sign, text in _words(change["before"], change["after"]) if text), "")
        )
    title = f"{change['predictor']}: {many(len(change['demos']), 'demonstration')}, before {change['had']}"
    shown = (prose(json.dumps(demo, indent=1, ensure_ascii=False)) for demo in change["demos"])
    demos = [fold(f"demonstration {number}", demo) for number, demo in enumerate(shown, 1)]
    whole = fold("the new text whole", prose(change["after"])) if change["before"] != change["after"] else NOTHING
    return Html("<h3>{}</h3>{}").format(title, join([said, whole, *demos]))


def _row(row: Mapping[str, Any]) -> Html:
    old, new = row["before"], row["after"]
    gain = new["score"] - old["score"]
    told = toned(f"{old['score']:.3f} to {new['score']:.3f}", "better" if gain > 0 else "worse" if gain < 0 else "")
    sides = [_side(name, row[side]) for name, side in (("baseline", "before"), ("optimized", "after"))]
    title = Html("{}: {}").format(told, row["question"][:120])
    return fold(title, Html("<p><code>{}</code>").format(row["failure"]), prose(row["question"]), *sides)


def _side(name: str, side: Mapping[str, Any]) -> Html:
    program = fold("program", python(side["program"])) if side["program"] else NOTHING
    return Html("<h3>{}</h3>{}{}").format(name, prose(side["feedback"]), program)
