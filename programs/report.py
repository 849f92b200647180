"""What a run achieved: one document (report.json), a page (report.html, self-contained, no JavaScript) and a table for the terminal.

Everything is read from the run directory; nothing is computed by a model here. All text of models is escaped. Comparisons are paired
over the same items, with 95 % intervals (Wilson for shares, errata.programs.gate for differences).
"""

import html
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..signatures.errors import RunError
from ..signatures.records import Attempt, GateDecision, Rejection, Sample, Standing, Taught
from . import library, words
from .cycle import asserted, proven, tally, unanswered_items, wrong_attempts
from .evaluate import by_skill, counts, share
from .gate import paired
from .kinds import asked
from .ledger import read_ledger
from .rundir import Stage, read_config, read_json, slug, to_json, write_atomic

COMPUTED = "agreed: rows whose answer a program computes were not solved a second time by a model; each program's anchor stands for them"
SKIPPED = "{}: the config left this check out (generate.skip)"
ASSERTED = "agreed: {} rows rest on facts that the instructor asserts, and no independent solve has confirmed them"


def compare(before: Sequence[Attempt], after: Sequence[Attempt]) -> dict[str, Any]:
    """Before and after over the same items: all of them, and each skill."""

    def one(old: Sequence[Attempt], new: Sequence[Attempt]) -> dict[str, Any]:
        return {
            "before": share(old),
            "after": share(new),
            "change": paired(old, new),
        }

    skills, later = by_skill(before), by_skill(after)
    return one(before, after) | {"skills": {name: one(skills[name], later.get(name, [])) for name in skills}}


def build(path: Path) -> dict[str, Any]:
    """The report of a finished run, as one JSON-able document. Raises RunError for a run that has not come to its end."""
    config = read_config(path)
    if not (path / "result.json").exists():
        raise RunError(f"{path} has not come to its end; `errata cycle --run {path}` continues it")
    result = read_json(path / "result.json")
    evaluations = {}
    for task, split in result["evaluations"]:
        evaluations[f"{task} {split}"] = _compare_weights(path, [task], split, result["before"], result["after"])
    rounds = [_round(path, number) for number in range(1, result["rounds"] + 1)]
    return {
        "config": config.model_dump(mode="json"),
        "target": {"before": result["before"], "after": result["after"]},
        "accepted": [row["number"] for row in rounds if row["decision"]["accepted"]],
        "evaluations": evaluations,
        "rounds": rounds,
        "instructor": read_ledger(path),
        "not_checked": _not_checked(rounds, config.generate.skip),
    }


def _not_checked(rounds: Sequence[dict[str, Any]], skipped: Sequence[str]) -> list[str]:
    open_facts = sum(row["asserted"]["rows"] - row["asserted"]["agreed"] for row in rounds)
    computed = sum(row["samples"] - row["asserted"]["rows"] - row["items"] for row in rounds)
    told = ([COMPUTED] if computed else []) + ([ASSERTED.format(open_facts)] if open_facts else [])
    return told + [SKIPPED.format(name) for name in skipped]


def _compare_weights(path: Path, tasks: Sequence[str], split: str, before: str, after: str) -> dict[str, Any]:
    names = [slug(f"{task}-{split}") for task in tasks]

    def attempts(weights: str) -> list[Attempt]:
        return [row for name in names for row in Stage(path / "evaluate" / weights / name).read("attempts.jsonl", Attempt)]

    return compare(attempts(before), attempts(after))


def _round(path: Path, number: int) -> dict[str, Any]:
    folder = path / f"round-{number}"
    taught = Stage(folder / "teach").read("taught.jsonl", Taught)
    assembled = Stage(folder / "assemble")
    rejections = assembled.read("rejections.jsonl", Rejection)
    samples = assembled.read("samples.jsonl", Sample)
    decision = Stage(folder / "gate").read("decision.jsonl", GateDecision)[0]
    manifest = folder / "train" / "manifest.json"
    train = read_json(manifest)["report"] if manifest.exists() else None
    attempts = Stage(folder / "mine").read("attempts.jsonl", Attempt)
    refused = Counter(row.check for row in rejections if row.kind == "program")
    skills = Counter(row.diagnosis.skill for row in taught if row.diagnosis and row.program)
    return {
        "number": number,
        "mined": counts(attempts),
        "failures": len({name for row in taught for name in row.failure_ids}),
        "programs": sum(row.program is not None for row in taught),
        "diagnosed": len({name for row in taught if row.diagnosis and row.diagnosis.verdict == "error" for name in row.failure_ids}),
        "proven": proven(taught, attempts),
        "refused": tally(taught),
        "at_fault": [
            row.failure_ids[0] for row in taught if row.diagnosis and row.diagnosis.verdict != "error" and len(row.failure_ids) == 1
        ],
        "skills": dict(skills.most_common()),
        "samples": assembled.facts()["samples"],
        "replay": assembled.facts()["replay"],
        "style": assembled.facts().get("style", {}),
        "words": words.told(samples) | _facts(folder / "words"),
        "library": library.told(assembled.read("library.jsonl", Standing)),
        "asserted": asserted(samples),
        "items": sum(row.item is not None for row in samples),
        "programs_refused_by_probe": sum(refused.values()) - refused["agreed"],
        "programs_refused_by_solves": refused["agreed"],
        "rows_refused": dict(Counter(row.check for row in rejections if row.kind == "sample").most_common()),
        "train": train,
        "dev": _compare_weights(path, decision.benchmarks or [decision.task], "dev", train["base"], train["weights"]) if train else None,
        "decision": decision.model_dump(mode="json"),
    }


def _facts(path: Path) -> dict[str, Any]:
    """The facts of a stage that only some runs have."""
    stage = Stage(path)
    return stage.facts() if stage.done else {}


def write(path: Path) -> dict[str, Any]:
    """Build the report and write report.json and report.html into the run directory."""
    report = build(path)
    write_atomic(path / "report.json", to_json(report))
    write_atomic(path / "report.html", page(report, path).encode("utf-8", "replace"))
    return report


# ---- the terminal


def table(report: dict[str, Any]) -> str:
    """Before and after per skill with intervals, and what was accepted or rejected."""
    lines = []
    for name, evaluation in report["evaluations"].items():
        items = evaluation["before"]["items"]
        lines.append(f"{name} ({items} items), % right with 95 % interval")
        lines += _table(evaluation)
        for side in ("before", "after"):
            lines.append(f"  {side}: {outcomes(evaluation[side])}")
        lines.append("")
    last = report["rounds"][-1]
    if not report["accepted"] and last["dev"]:
        lines.append("No round was accepted: before and after are the same weights. What the last training would have changed, on dev:")
        lines += [*_table(last["dev"]), ""]
    lines += [_verdict(row) for row in report["rounds"]]
    spent = report["instructor"]["total"]
    if spent["calls"] or spent["cached"]:
        tokens = f"{spent['tokens_in']:,} tokens in, {spent['tokens_out']:,} out"
        again = f"{spent['cached']} answers taken again from the run, {spent['failed']} attempts failed"
        lines.append(f"instructor: {spent['calls']} calls, {tokens}, USD {spent['usd']}; {again}")
    return "\n".join(lines)


def _table(evaluation: dict[str, Any]) -> list[str]:
    lines = [f"  {'':24}{'before':>18}{'after':>18}{'change':>20}{'no answer':>13}{'cut':>13}"]
    for label, row in ({"all": evaluation} | (evaluation["skills"] if len(evaluation["skills"]) > 1 else {})).items():
        told = "".join(f"{_before_after(row, name):>13}" for name in ("no_answer", "cut"))
        lines.append(f"  {label[:23]:24}{percent(row['before']):>18}{percent(row['after']):>18}{points(row['change']):>20}{told}")
    return lines


def measured(shares: dict[str, dict[str, Any]]) -> list[str]:
    """Lines of a table of one evaluation: its rows by name, as `errata.programs.evaluate.share` gives them."""
    names = ("items", "no_answer", "cut", "unjudged")
    lines = [f"  {'':34}{'% right':>18}" + "".join(f"{name.replace('_', ' '):>11}" for name in names)]
    for label, row in shares.items():
        lines.append(f"  {label[:33]:34}{percent(row):>18}" + "".join(f"{row[name]:>11}" for name in names))
    return lines


def _before_after(row: dict[str, Any], name: str) -> str:
    return f"{row['before'][name]} -> {row['after'][name]}"


def percent(row: dict[str, Any]) -> str:
    if row["items"] == row["unjudged"]:
        return "-"
    return f"{100 * row['share']:.1f} [{100 * row['low']:.0f}, {100 * row['high']:.0f}]"


def points(row: dict[str, Any]) -> str:
    """A paired difference in percentage points, with its interval."""
    return f"{100 * row['difference']:+.1f} [{100 * row['low']:+.0f}, {100 * row['high']:+.0f}]" if row["pairs"] else "-"


def outcomes(row: dict[str, Any]) -> str:
    """Counts as `errata.programs.evaluate.counts` gives them, in words."""
    return (
        f"{row['right']} right, {row['wrong']} wrong (of these {row['no_answer']} without a readable answer, "
        f"{row['cut']} cut at the token limit), {row['unjudged']} unjudged"
    )


def _verdict(row: dict[str, Any]) -> str:
    decision = row["decision"]
    return (
        f"round {row['number']}: {'accepted' if decision['accepted'] else 'rejected'} ({decision['reason']}): "
        f"{row['failures']} errors, {row['programs']} programs, {row['samples']} rows + {row['replay']} replayed; "
        f"{decision['task']} dev {100 * decision['before']:.1f} -> {100 * decision['after']:.1f}, "
        f"{decision['fixed']} fixed, {decision['broken']} broken"
    )


# ---- the page

STYLE = """
:root{color-scheme:light dark;--ink:#1c1e21;--soft:#667;--line:#d8dae0;--old:#9aa3b2;--new:#1769aa;--good:#1a7f4b;--bad:#b3261e;--page:#fff}
@media(prefers-color-scheme:dark){:root{--ink:#e8e9ec;--soft:#9aa;--line:#3a3d44;--old:#7b8494;--new:#6db3f2;--good:#5fc08d;--bad:#f2877f;--page:#17181b}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);max-width:60rem;margin:0 auto;padding:1.5rem}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.2rem}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:right;padding:.25rem .5rem;border-bottom:1px solid var(--line)}th:first-child,td:first-child{text-align:left}
.wide{overflow-x:auto}.good{color:var(--good)}.bad{color:var(--bad)}.soft{color:var(--soft)}.big{font-size:1.15rem}
pre{overflow-x:auto;border:1px solid var(--line);padding:.8rem;font-size:12.5px}svg text{fill:var(--ink);font-size:12px}
summary{cursor:pointer}dt{color:var(--soft)}dd{margin:0 0 .6rem}
"""


def page(report: dict[str, Any], path: Path) -> str:
    """The report as one HTML page."""
    parts = ["<h1>Errata: what this run achieved</h1>", _answer(report)]
    for name, evaluation in report["evaluations"].items():
        parts.append(f"<h2>{_text(name)}</h2>{_plot(evaluation)}{_skills(evaluation)}")
        parts.append(f"<p class=soft>before: {outcomes(evaluation['before'])}<br>after: {outcomes(evaluation['after'])}</p>")
    for row in report["rounds"]:
        parts.append(_round_page(row, path))
    parts.append("<h2>Not checked</h2>" + "".join(f"<p>{_text(line)}</p>" for line in report["not_checked"]))
    parts.append(f"<h2>Config</h2><pre>{_text(json.dumps(report['config'], indent=1))}</pre>")
    body = "\n".join(parts)
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>Errata report</title><style>{STYLE}</style><body>{body}</body></html>\n"
    )


def _answer(report: dict[str, Any]) -> str:
    name, evaluation = next(iter(report["evaluations"].items()), ("", None))
    if evaluation is None:
        return "<p>Nothing was evaluated.</p>"
    change = evaluation["change"]
    if not report["accepted"]:
        return "<p class=big>No round was accepted: the weights are the ones that the run began with.</p>"
    sure = change["low"] > 0
    word = "Better" if sure else "Worse" if change["high"] < 0 else "No sure difference"
    return (
        f"<p class='big {'good' if sure else ''}'>{word}: {_text(name)} "
        f"{100 * change['before']:.1f} % &rarr; {100 * change['after']:.1f} %, "
        f"{points(change)} points, p = {change['p_value']:.2g}; {change['fixed']} items fixed, {change['broken']} broken.</p>"
    )


def _skills(evaluation: dict[str, Any]) -> str:
    rows = {"all": evaluation} | evaluation["skills"]
    lines = []
    for label, row in rows.items():
        change = row["change"]
        tone = "good" if change["low"] > 0 else "bad" if change["high"] < 0 else ""
        lines.append(
            f"<tr><td>{_text(label)}<td>{row['before']['items']}<td>{percent(row['before'])}<td>{percent(row['after'])}"
            f"<td class='{tone}'>{points(change)}<td>{change['fixed']}<td>{change['broken']}"
            f"<td>{_text(_before_after(row, 'no_answer'))}<td>{_text(_before_after(row, 'cut'))}"
        )
    head = "<tr><th>skill<th>items<th>before, %<th>after, %<th>change<th>fixed<th>broken<th>no answer<th>cut"
    return f"<div class=wide><table>{head}{''.join(lines)}</table></div>"


def _plot(evaluation: dict[str, Any]) -> str:
    """Accuracy per skill before (grey) and after (blue) with intervals, as SVG."""
    rows = list(({"all": evaluation} | evaluation["skills"]).items())
    left, width, step = 230, 480, 26
    height = step * len(rows) + 30
    out = [f"<svg viewBox='0 0 {left + width + 30} {height}' role=img aria-label='accuracy per skill, before and after'>"]
    for tick in range(0, 101, 25):
        x = left + width * tick / 100
        out.append(
            f"<line x1={x} x2={x} y1=0 y2={height - 24} stroke='var(--line)'/><text x={x} y={height - 8} text-anchor=middle>{tick} %</text>"
        )
    for number, (label, row) in enumerate(rows):
        y = step * number + 12
        out.append(f"<text x={left - 10} y={y + 4} text-anchor=end>{_text(label[:34])}</text>")
        for side, colour, shift in (("before", "var(--old)", -4), ("after", "var(--new)", 4)):
            point = row[side]
            if point["items"] == point["unjudged"]:
                continue
            x, low, high = (left + width * point[name] for name in ("share", "low", "high"))
            out.append(f"<line x1={low:.1f} x2={high:.1f} y1={y + shift} y2={y + shift} stroke='{colour}' stroke-width=2 />")
            out.append(f"<circle cx={x:.1f} cy={y + shift} r=4 fill='{colour}'/>")
    return "".join(out) + "</svg><p class=soft>grey: before, blue: after; bars are 95 % intervals</p>"


def _round_page(row: dict[str, Any], path: Path) -> str:
    decision, mined, train = row["decision"], row["mined"], row["train"]
    tone = "good" if decision["accepted"] else "bad"
    facts = {
        "mined": outcomes(mined),
        "programs": f"{row['programs']} from {row['failures']} errors",
        "diagnoses proven": f"{row['proven']} of {row['diagnosed']}: the misconception, as code, gives the target's very answer",
        "errors without a program": _tally(row["refused"]),
        "items at fault": ", ".join(row["at_fault"]) or "none",
        "diagnosed skills": _tally(row["skills"]),
        "rows": f"{row['samples']} generated, {row['replay']} replayed",
        "length and steps, medians": _styles(row["style"]),
        "words and lessons": _words(row["words"]),
        "library": _library(row["library"]),
        "rows on asserted facts": f"{row['asserted']['rows']}, of which independent solves came to {row['asserted']['agreed']}",
        "programs refused by independent solves": row["programs_refused_by_solves"],
        "programs with nothing left to teach": row["programs_refused_by_probe"],
        "rows refused": _tally(row["rows_refused"]),
        "training": f"{train['steps']} steps, loss {train['loss_first']:.3f} to {train['loss_last']:.3f}, "
        f"{train['rows_kept']} of {train['rows_in']} rows kept, {train['rows_truncated']} cut"
        if train
        else "none",
        "dev": f"{100 * decision['before']:.1f} to {100 * decision['after']:.1f} %, {decision['fixed']} fixed, "
        f"{decision['broken']} broken, {decision['unjudged']} unjudged, p = {decision['p_value']:.2g}",
    }
    for guard in decision["guards"]:
        facts[f"guard {guard['task']}"] = f"{100 * guard['before']:.1f} to {100 * guard['after']:.1f} %, change {points(guard)}"
    lines = "".join(f"<dt>{_text(name)}<dd>{_text(value)}" for name, value in facts.items())
    head = f"<h2>Round {row['number']}: <span class={tone}>{'accepted' if decision['accepted'] else 'rejected'}</span></h2>"
    dev = f"<details><summary>dev, before and after this round</summary>{_skills(row['dev'])}</details>" if row["dev"] else ""
    return f"{head}<p>{_text(decision['reason'])}</p><dl>{lines}</dl>{dev}{_lessons(path, row['number'])}"


def _lessons(path: Path, number: int, most: int = 12) -> str:
    """Some errors of the round, each with its diagnosis, its program and the first row that was drawn from it."""
    taught = Stage(path / f"round-{number}" / "teach").read("taught.jsonl", Taught)
    attempts = Stage(path / f"round-{number}" / "mine").read("attempts.jsonl", Attempt)
    samples: dict[str, Sample] = {}
    for sample in Stage(path / f"round-{number}" / "assemble").read("samples.jsonl", Sample):
        samples.setdefault(sample.program_id, sample)
    by_failure = unanswered_items(attempts) | wrong_attempts(attempts)
    out = []
    for row in [row for row in taught if row.program and row.program.id in samples][:most]:
        assert row.program and row.diagnosis
        first, *others = row.program.anchors
        attempt, sample = by_failure[first], samples[row.program.id]
        beside = f" and {len(others)} like it" if others else ""
        out.append(
            f"<details><summary>{_text(row.diagnosis.skill)}: {_text(row.diagnosis.misconception[:160])}</summary>"
            f"<p><b>Error</b> <code>{first}</code>{beside}</p><pre>{_text(attempt.example.question)}\n\n"
            f"answered: {_text(attempt.response)}\n\ngold: {_text(attempt.example.answer)}</pre><p>{_text(row.diagnosis.evidence)}</p>"
            f"<p><b>Program</b> <code>{row.program.id}</code></p><pre>{_text(row.program.source)}</pre>"
            f"<p><b>A row</b> <code>{sample.id}</code></p><pre>{_text(asked(sample))}\n\n{_text(sample.solution)}\n\n"
            f"answer: {_text(sample.answer)}"
            f"{_text(chr(10) + 'the misconception answers: ' + sample.wrong) if sample.wrong is not None else ''}</pre></details>"
        )
    return f"<h3>From error to row, {len(out)} of {len(taught)}</h3>{''.join(out)}" if out else ""


def _styles(found: dict[str, dict[str, Any]]) -> str:
    """Words and steps of rows beside those of what they come from."""
    names = {"rows": "rows", "errors": "the errors' references", "solved": "the target's right answers"}
    told = [f"{names[name]} {one['words']:g} words, {one['steps']:g} steps" for name, one in found.items() if one["texts"]]
    return "; ".join(told) or "none"


def _words(found: dict[str, int]) -> str:
    own = f"{found['own_words']} rows in the target's own words"
    asked = (
        f" ({found['right']} of {found['questions']} questions solved at least once in {found['tokens']:,} tokens)"
        if "tokens" in found
        else ""
    )
    return f"{own}{asked}; {found['worked']} worked, {found['correction']} corrections, {found['hint']} hints"


def _library(found: dict[str, Any]) -> str:
    hits = f"the target fails {found['failed']} of {found['probed']} probe rows; " if found["probed"] else ""
    return f"{found['programs']} programs; {hits}{found['kept']} of {found['drawn']} drawn rows kept; {found['retired']} retire"


def _tally(tallied: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in tallied.items()) or "none"


def _text(value: object) -> str:
    return html.escape(str(value))
