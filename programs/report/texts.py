"""What commands print on a terminal: the report of a run, and what diagnose, generate, train, import and export say.

What is not here: evaluations (errata.programs.report.measured), lists of runs (errata.programs.report.runs), traces
(errata.programs.report.trace), comparisons and optimizations (errata.programs.studies).
"""

import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...signatures.records import TrainReport
from ...signatures.terminal import command
from ..run import layout
from ..stats import OUTCOMES
from .figures import CORRECTED, about, compared, confused, many, outcomes, sure, tally, trained_on
from .markup import plain
from .records import Counts, Evaluation, Report, Round, Sides
from .tables import Table

SKILLS, FEW, PAIRS, PATTERNS = 12, 4, 6, 12
"""Most skills that are shown of a benchmark where there is one, and where there are several or it is a guard; and
most pairs of labels. The page has them all. Patterns of one error beyond the first PATTERNS are counted, not shown."""


def as_text(report: Report) -> str:
    """The answer, one line a benchmark, the skills that changed, one line a round."""
    run = "; ".join(f"{name} {value}" for name, value in about(report).items())
    parts = ["\n".join(plain(line, 2000) for line in (report.answer.headline, run, *report.answer.lines))]
    parts += [_compared(report.evaluations, "benchmark")] if report.evaluations else []
    # of the same weights there is nothing to compare skill by skill
    for name, evaluation in report.evaluations.items() if report.accepted else ():
        alone = len(report.evaluations) - len(report.guards) <= 1 and not report.is_guard(name)
        parts += _skills(name, evaluation, alone)
    for name, evaluation in report.evaluations.items():
        parts += [*_confused(name, evaluation), *_fields(name, evaluation)] if not report.is_guard(name) else []
    last = report.rounds[-1]
    if not report.accepted and last.dev:
        title = "No round was accepted: before and after are the same weights. What the last training would have changed, on dev:"
        parts.append(f"{title}\n{_compared({'all': last.dev} | _foremost(last.dev.skills, SKILLS), 'skill')}")
    return "\n\n".join([*parts, "\n".join(plain(_decided(row), 2000) for row in report.rounds)])


def _compared(rows: Mapping[str, Sides], first: str) -> str:
    """A table of comparisons by name. Answers that could not be read, and those that were cut, have a column where there are any."""
    extra = [name for name in OUTCOMES if any(getattr(side, name) for row in rows.values() for side in (row.before, row.after))]
    return compared((([name], row) for name, row in rows.items()), [first], p=False, extra=extra).text()


def _skills(name: str, evaluation: Evaluation, alone: bool) -> list[str]:
    """How many skills of a benchmark changed, and the foremost of them; where it is not `alone`, only sure changes."""
    skills = evaluation.skills
    if len(skills) < 2:
        return []
    found = Counter(sure(row.change) for row in skills.values())
    title = f"{plain(name)}, {len(skills)} skills: {found['better']} surely better, {found['worse']} surely worse ({CORRECTED})"
    shown = _foremost(skills, SKILLS if alone else min(FEW, found["better"] + found["worse"]))
    left = len(skills) - len(shown)
    more = [f"  and {many(left, 'other skill')} in report.html"] if left else []
    return ["\n".join([title, *([_compared(shown, "skill"), *more] if shown else [])])]


def _confused(name: str, evaluation: Evaluation) -> list[str]:
    """The labels that are taken for each other most; what is unread has a column of its own above."""
    table = confused([cell for cell in evaluation.labels if cell.answered is not None], PAIRS)
    title = f"{plain(name)}, labels that are taken for others, items"
    return [replace(table, title=title).text()] if table.rows else []


def _fields(name: str, evaluation: Evaluation) -> list[str]:
    """How often each field of the answers is right."""
    return [f"{plain(name)}, by field of the answer\n{_compared(evaluation.fields, 'field')}"] if evaluation.fields else []


def _foremost(skills: Mapping[str, Sides], most: int) -> dict[str, Sides]:
    """At most so many, sure changes first, then the greatest; in falling order of the change."""

    def weight(name: str) -> tuple[bool, float]:
        change = skills[name].change
        return sure(change) in ("better", "worse"), abs(change.difference)

    chosen = sorted(skills, key=weight, reverse=True)[:most]
    return {name: skills[name] for name in sorted(chosen, key=lambda name: -skills[name].change.difference)}


def _decided(row: Round) -> str:
    decision = row.decision
    found = f"{100 * decision.before:.1f} -> {100 * decision.after:.1f}, {decision.fixed} fixed, {decision.broken} broken"
    found = found if decision.pairs else "not measured"
    return (
        f"round {row.number}: {'accepted' if decision.accepted else 'rejected'} ({decision.reason}): "
        f"{many(row.failures, 'error')}, {many(row.kept, 'program')}, {many(row.samples, 'row')} + {row.replay:,} replayed; "
        f"{decision.task} dev {found}" + (f"; {row.shortfall}" if row.shortfall and row.samples else "")
    )


# ---- single commands


def diagnosed(found: Mapping[str, Any]) -> str:
    """What `errata diagnose` prints (errata.programs.report.rounds.diagnoses, with errata.programs.patterns.found.told)."""
    title = f"round {found['round']}, {found['failures']} errors; {found['at_fault']} of items that are at fault themselves, "
    lines = [f"{title}{found['undiagnosed']} without a diagnosis"]
    run, known = Path(found["run"]), found["patterns"]
    if not known:
        return "\n".join([*lines, f"next: {command('generate', '--run', run)}"])
    lines.append(f"  {'errors':>6} {'share':>6} {'points at most':>20}  pattern")
    for row in [row for place, row in enumerate(known["patterns"]) if place < PATTERNS or row["found"]["size"] > 1]:
        facts, effect = row["found"], row["found"]["effect"]
        worth = f"{effect['at_most']:+.1f} ({effect['low']:.1f} to {effect['high']:.1f})" if effect else "not known"
        lines.append(f"  {facts['size']:6} {100 * facts['share']:4.0f} % {worth:>20}  {row['number']} {plain(row['name'], 120)}")
    if single := sum(row["found"]["size"] == 1 for row in known["patterns"][PATTERNS:]):
        lines.append(f"  and {many(single, 'pattern')} of one error")
    lines.append(f"points: of accuracy on train items if all errors of the pattern were fixed, 95 % interval; {known['source']['basis']}")
    if found["file"] is None:
        return "\n".join([*lines, f"next: {command('generate', '--run', run)}"])
    what = "kept as it was edited; remove it to have it written anew" if found["edited"] else "keep, rename, merge or weight them there"
    act = "this run drew its rows from all errors: to teach a choice, take another --run with the same settings, and --patterns FILE"
    act = act if found["drawn"] else f"next: {command('cycle', '--run', run, '--patterns', found['file'])}"
    return "\n".join([*lines, f"{found['file']}: {what}", act])


def generated(found: Mapping[str, Any]) -> str:
    """What `errata generate` prints (errata.programs.report.rounds.generated)."""
    programs, asserted = found["programs"], found["asserted"]
    refused = sum(programs["refused"].values())
    what = f"{found['failures']} errors"
    if lent := found["library"]:
        what += f" behind the programs of {lent['path']} ({lent['hash']}), proven again"
    lines = [f"round {found['round']}, {what}: {programs['accepted']} programs kept, {refused} refused"]
    lines += [f"  refused by {check}: {count}" for check, count in programs["refused"].items()]
    lines += [f"    {reason}: {count}" for reason, count in programs["reasons"].items()]
    if programs["proven"]:
        lines.append(f"  {programs['proven']} diagnoses proven: as code, the misconception gives the target's very answer")
    if asserted["rows"]:
        lines.append(f"  {asserted['rows']} rows rest on facts that the instructor asserts, {asserted['agreed']} of them confirmed")
    file = layout.step(Path(found["run"]), found["round"], "assemble").path / layout.SAMPLES
    return "\n".join([*lines, f"{found['samples']} samples: {file}"])


def trained(found: Mapping[str, Any]) -> str:
    """What `errata train` prints (errata.programs.report.rounds.trained)."""
    text = f"round {found['round']}: nothing was trained"
    if report := found["report"]:
        made = TrainReport.model_validate(report)
        what = trained_on(made) if made.back is not None else f"trained on {trained_on(made)}"
        text = f"round {found['round']}: {what}\nweights: {found['weights']}"
    return text if found["decided"] else f"{text}\n`{command('cycle', '--run', Path(found['run']))}` decides on them"


def imported(found: Mapping[str, Any]) -> str:
    """What `errata import` prints (errata.programs.run.recorded.take)."""
    lines = []
    for one in found["files"]:
        why = ", ".join(f"{reason}: {count}" for reason, count in one.get("left_out_because", {}).items())
        left = f"{one['left_out']} left out{f' ({why})' if why else ''}"
        lines.append(f"{one['file']}: {one['answers']} answers ({', '.join(one['forms'])}), {left}")
    outcome = outcomes(Counts(**{name: found[name] for name in Counts.model_fields if name in found}))
    lines.append(f"{found['items']} answers: {outcome}; {found['held_out']} of them to dev or test items")
    lines += [f"  unjudged: {reason}: {count}" for reason, count in found["unjudged_reasons"].items()]
    return "\n".join([*lines, f"attempts: {found['attempts']}; next: {command('generate', '--run', Path(found['run']))}"])


def exported(found: Mapping[str, Any]) -> str:
    """What `errata export` prints (errata.programs.report.export.export)."""
    what = {"full": "the whole model", "merged": "base and adapter merged", "adapter": "the adapter"}[found["form"]]
    dtype = f", {found['dtype']}" if found["dtype"] else ""
    lines = [f"round {found['round']}: {what}{dtype}, in {found['out']}", f"card: {found['out']}/README.md, licence {found['licence']}"]
    lines += [f"pushed: {found['pushed']}"] if found["pushed"] else []
    names = {"vllm": "vLLM", "lm_eval": "lm-evaluation-harness", "inspect": "inspect", "errata": "Errata"}
    names |= {key: name for key, name in {"gguf": "llama.cpp", "ollama": "Ollama"}.items() if key in found["lines"]}
    return "\n".join([*lines, *(f"\n{name}\n  {found['lines'].get(key, 'has none of these tasks')}" for key, name in names.items())])


def exported_environment(found: Mapping[str, Any]) -> str:
    """What `errata export --environment` prints (errata.programs.report.environment.build). Its path is whole: pip fetches a bare name."""
    lines = [f"{found['programs']} programs as the package {found['package']}, in {found['out']}; read its README.md before you run it"]
    lines += [f"  left out, {count}: {reason}" for reason, count in found["left_out"].items()]
    use = f"python -c 'from {found['package']} import Environment; print(Environment(1)[0])'"
    return "\n".join([*lines, f"next: {shlex.join(['pip', 'install', str(Path(found['out']).resolve())])} && {use}"])


def exported_pairs(found: Mapping[str, Any]) -> str:
    """What `errata export --pairs` prints (errata.programs.report.export)."""
    sides = "; ".join(f"{side} " + ", ".join(f"{name} {count}" for name, count in found[side].items()) for side in ("chosen", "rejected"))
    return f"{found['pairs']} pairs in {found['out']}, as TRL reads preference data: {sides}\nlineage: errata trace {found['run']} SOURCE"


def exported_data(found: Mapping[str, Any]) -> str:
    """What `errata export --data` prints (errata.programs.report.dataset.folder)."""
    tables = ", ".join(f"{count:,} {name}" for name, count in found["tables"].items())
    told = "" if found["licence"] != "unknown" else ": set it with --license, or in the head of the card"
    lines = [f"{tables}, in {found['out']}", f"card: {found['out']}/README.md, licence {found['licence']}{told}"]
    lines += [f"pushed: {found['pushed']}"] if found["pushed"] else []
    return "\n".join([*lines, *(f"\n{name}\n  {line}" for name, line in found["lines"].items())])


def foretold(title: str, found: Mapping[str, Any]) -> str:
    """What `--dry-run` prints of an estimate (errata.programs.rehearse)."""
    sides, usd = ("low", "expected", "high"), found["usd"]
    names = ("calls", "tokens_in", "tokens_out")
    rows = [[name.replace("_", " "), *(f"{found[name][side]:,}" for side in sides)] for name in names]
    prices = ["unknown"] * 3 if usd == "unknown" else [f"{usd[side]:.2f}" for side in sides]
    table = Table(["", *sides], [*rows, ["USD, in batches" if found.get("batch") else "USD", *prices]], title).text()
    if not (judge := found.get("judging")):
        return table
    usd = "unknown" if judge["usd"] == "unknown" else f"{judge['usd']:.2f}"
    what = f"judging by {judge['model']}, a call an answer: about {judge['calls']:,} calls in the first round and the test"
    tokens = f"{judge['tokens_in']:,} tokens in, {judge['tokens_out']:,} out, {usd} USD"
    return "\n".join([table, what, f"  {tally(judge['for'])}; {100 * judge['twice']:g} % of them twice", f"  {tokens}"])
