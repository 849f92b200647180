"""A cycle on another library's problems: what `tiny` learns of reasoning-gym's chain_sum. Behind docs/evidence/chain_sum.md.

    python scripts/evidence_chain_sum.py WORK_FOLDER

`tiny` has never seen a bare sum, a number of three digits or one below zero. Two cycles on `reasoning_gym:chain_sum`, with the offline
instructor: on the defaults, and with more rows and the whole way to the trained weights. Then both weights answer `sums`, which no guard
watches here. Needs the extra `reasoning-gym`; continues where it was interrupted; about a quarter of an hour on 2 CPU cores.
"""

import argparse
import random
from pathlib import Path
from typing import Any

from errata.programs.config import load_config
from errata.programs.cycle import Cycle
from errata.programs.report import Report, percent, write
from errata.programs.report.records import Share
from errata.programs.run.directory import Stage
from errata.programs.stats import counts, share
from errata.signatures.records import Attempt, Failure, Sample, TeachingResult
from errata.tasks import load_task

TASK = "reasoning_gym:chain_sum"
LONGER = {
    "generate.rows": 5000,
    "generate.failures": 240,
    "generate.probe": 0,
    "train.blend": 1.0,
    "train.noise": 0,
    "train.epochs": 4,
    "train.stages": ["sft"],
}
CYCLES: dict[str, dict[str, Any]] = {
    "defaults": {"train.stages": ["sft"]},
    "longer": LONGER | {"items.train": 600, "items.dev": 400, "items.test": 400},
}
PAGE = Path(__file__).parents[1] / "docs/evidence/chain_sum.md"


def run(work: Path, name: str) -> tuple[Report, Path]:
    """One cycle to its report."""
    path = work / name
    with Cycle(load_config(overrides={"task": TASK} | CYCLES[name]), path) as loop:
        loop.run()
    return write(path), path


def terms(row: Attempt) -> tuple[int, int]:
    """(terms, digits of the longest) of an item."""
    words = [word for word in row.example.question.split() if word.isdigit()]
    return len(words), max(map(len, words))


def kept(work: Path, path: Path) -> str:
    """What the trained weights still solve of `sums`."""
    config = load_config(overrides={"task": "sums", "items.test": 300})
    with Cycle(config, work / "sums") as loop, Cycle(load_config(overrides={"task": TASK} | CYCLES[path.name]), path) as other:
        before, after = (
            Share(**share(loop.scores(load_task("sums"), "test", target)))
            for target in (config.target, other.candidate(1, other.config.target))
        )
    return f"`sums` test, 300 items: {percent(before)} -> {percent(after)}"


def page(work: Path) -> str:
    """The Markdown page."""
    decisions = [run(work, name)[0].rounds[0].decision for name in CYCLES]
    kept_rounds = sum(decision.accepted for decision in decisions)
    lines = [
        "# `tiny` on reasoning-gym's chain_sum",
        "",
        f"The gate accepts {kept_rounds} of {len(decisions)} rounds; dev items right after them: "
        + " and ".join(f"{100 * decision.after:.1f} %" for decision in decisions)
        + ".",
        "",
        "Made by `python scripts/evidence_chain_sum.py WORK_FOLDER`: one round each, seed 0, on `reasoning_gym:chain_sum` as the "
        "library makes it (2 to 6 terms of 1 to 4 digits, added and subtracted), with the offline instructor. "
        "Percent right with the 95 % interval.",
        "",
    ]
    for name, settings in CYCLES.items():
        result, path = run(work, name)
        (row,) = result.rounds
        assert row.train
        decision = row.decision
        (evaluation,) = result.evaluations.values()
        flags = " ".join(f"--set {key}={value}" for key, value in settings.items())
        lines += [f"## {name}", "", f"`errata cycle --task {TASK} {flags}".strip() + "`", ""]
        lines += [
            f"- {row.failures} errors, {row.programs} programs passed; {row.samples} rows, {row.replay} replayed; "
            f"{row.train.steps} steps, loss {row.train.loss_first:.2f} to {row.train.loss_last:.2f}.",
            f"- **{'accepted' if decision.accepted else 'rejected'}**: {decision.reason} (dev, {decision.pairs} items: "
            f"{100 * decision.before:.1f} -> {100 * decision.after:.1f} %, {decision.fixed} fixed, {decision.broken} broken).",
            f"- test, {evaluation.before.items} items: {percent(evaluation.before)} -> {percent(evaluation.after)}"
            + ("." if decision.accepted else ": the weights stayed as they were."),
            f"- without a readable answer {evaluation.before.no_answer} -> {evaluation.after.no_answer}, cut at the token "
            f"limit {evaluation.before.cut} -> {evaluation.after.cut}, unjudged {evaluation.after.unjudged}.",
            f"- {kept(work, path)}: a cycle on a task without a twin has no guard unless `guards` names one.",
            "",
        ]
    after = Stage(path / f"evaluate/{row.train.weights}/reasoning_gym_chain_sum-dev").read("attempts.jsonl", Attempt)
    table: dict[int, dict[int, list[Attempt]]] = {}
    for attempt in after:
        count, digits = terms(attempt)
        table.setdefault(count, {}).setdefault(digits, []).append(attempt)
    lines += ["## What was learned", "", "Right of the dev items after the longer cycle, by terms and digits.", ""]
    lines += ["| terms | " + " | ".join(f"{digits} digit{'s' * (digits > 1)}" for digits in range(1, 5)) + " |", "|---|" + "---|" * 4]
    for count in sorted(table):
        cells = [counts(table[count].get(digits, [])) for digits in range(1, 5)]
        lines.append(f"| {count} | " + " | ".join(f"{cell['right']} of {cell['items']}" for cell in cells) + " |")
    taught = Stage(path / "round-1/teach").read("taught.jsonl", TeachingResult)
    samples = Stage(path / "round-1/assemble").read("samples.jsonl", Sample)
    first = next(row for row in taught if row.program)
    assert first.program and first.diagnosis
    mined = Stage(path / "round-1/mine").read("attempts.jsonl", Attempt)
    attempt = next(a for a in mined if Failure(attempt=a).id == first.failure_ids[0])
    drawn = random.Random(0).sample([s for s in samples if s.program_id == first.program.id], 2)
    lines += ["", "## From an error to a row", "", "```", f"question: {attempt.example.question}", f"answered: {attempt.response!r}"]
    lines += [f"gold: {attempt.example.answer}", f"diagnosis: {first.diagnosis.misconception}"]
    for sample in drawn:
        lines += ["", f"row: {sample.example.question}", sample.example.solution, f"Answer: {sample.example.answer}"]
    return "\n".join([*lines, "```", ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    text = page(asked.work)
    PAGE.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
