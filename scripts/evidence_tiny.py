"""Does teaching from errors work? The experiment behind docs/evidence/tiny_sums.md: strategies against a control, at equal rows and steps.

    python scripts/evidence_tiny.py WORK_FOLDER [--seeds 5]

For each seed, `tiny` is improved on `sums` by one round of LearnFromError, of LearnFromContrast, and of the control "uniform": the same
number of generated rows drawn evenly over all skills from the task's own generator, the same replay, the same training. All arms of a
seed are measured on the same test items of `sums` and of its out-of-domain twin `sums_plus`. The gate is not applied: every arm is
measured as trained. Continues where it was interrupted; about 3 minutes a seed on 2 CPU cores.
"""

import argparse
import json
import statistics
from pathlib import Path

from scipy.stats import t, ttest_rel

from errata.programs.assemble import replay, train_rows
from errata.programs.config import load_config
from errata.programs.cycle import Cycle
from errata.programs.evaluate import by_skill
from errata.signatures.records import Sample
from errata.trainers.settings import TargetSettings
from errata.trainers.sft import train

ARMS = ("before", "LearnFromError", "LearnFromContrast", "uniform")
WEAK = 0.6
"""A skill is weak when the target solves less than this share of its items before; strong otherwise."""
ITEMS = 1000
"""Test items of each task, a seed."""
PAGE = Path(__file__).parents[1] / "docs/evidence/tiny_sums.md"


def measure(loop: Cycle, target: TargetSettings) -> dict[str, dict[str, float]]:
    """Share right per task and skill, in percent."""
    shares: dict[str, dict[str, float]] = {}
    for task in (loop.task, *loop.guards):
        groups = by_skill(loop.scores(task, "test", target))
        shares[task.name] = {name: 100 * sum(bool(r.verdict.correct) for r in rows) / len(rows) for name, rows in groups.items()}
    return shares


def teach(work: Path, seed: int, strategy: str) -> tuple[Cycle, TargetSettings]:
    """One round with a strategy, up to the trained weights."""
    config = load_config(overrides={"seed": seed, "generate.strategy": strategy, "items.test": ITEMS})
    loop = Cycle(config, work / f"{strategy}-{seed}")
    with loop:
        loop.run(until="train")
    return loop, loop.candidate(1, config.target)


def control(loop: Cycle, work: Path, seed: int) -> TargetSettings:
    """Train on as many rows as the strategy had, drawn evenly over all skills, with the same replay."""
    facts = loop.run_dir.stage("round-1/assemble").facts()
    mined = loop.mine(1, loop.config.target)
    seen = {row.example.id for row in mined.solved} | {failure.attempt.example.id for failure in mined.failures}
    pool = [example for example in loop.task.examples("train", 4 * facts["samples"], seed=1000 + seed) if example.id not in seen]
    rows = [
        Sample(program_id="uniform", seed=seed, index=i, level=3, question=e.question, solution=e.solution, answer=e.answer)
        for i, e in enumerate(pool[: facts["samples"]])
    ]
    assert len(rows) == facts["samples"]
    made = train_rows(loop.task, rows, replay(mined.solved, facts["replay"], seed * 1000 + 1), seed * 1000 + 1)
    train(made, loop.config.target, loop.config.train, work / f"uniform-{seed}", seed=seed)
    return TargetSettings(model=str(work / f"uniform-{seed}" / "weights"))


def run(work: Path, seed: int) -> dict[str, dict[str, dict[str, float]]]:
    """All arms of one seed: arm -> task -> skill -> percent right."""
    path = work / f"seed-{seed}.json"
    if path.exists():
        return json.loads(path.read_text())
    loops = {name: teach(work, seed, name) for name in ("LearnFromError", "LearnFromContrast")}
    result = {}
    with loops["LearnFromError"][0] as loop:
        result["before"] = measure(loop, loop.config.target)
        result["uniform"] = measure(loop, control(loop, work, seed))
        for name, (_, weights) in loops.items():
            result[name] = measure(loop, weights)
        result["rows"] = {name: other.run_dir.stage("round-1/assemble").facts() for name, (other, _) in loops.items()}
    path.write_text(json.dumps(result))
    return result


def interval(values: list[float]) -> str:
    """Mean over seeds with the 95 % interval of Student's t."""
    mean = statistics.mean(values)
    if len(values) < 2 or not statistics.stdev(values):
        return f"{mean:.1f}"
    half = t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5
    return f"{mean:.1f} ± {half:.1f}"


def page(results: list[dict], command: str) -> str:
    """The Markdown page."""
    seeds = len(results)
    lines = [
        "# Teaching `tiny` from its errors",
        "",
        f"Made by `{command}`: one round on `sums`, {seeds} seeds, each with its own training items, errors, rows and test items "
        f"({ITEMS} of `sums`, {ITEMS} of `sums_plus`). Percent right, mean over seeds ± half the 95 % interval (Student's t). "
        f"A skill is weak when `tiny` solves less than {100 * WEAK:.0f} % of its items before. "
        "All arms have the same number of rows and steps: "
        + "; ".join(
            f"{name} {', '.join(str(r['rows'][name]['samples']) for r in results)} rows + "
            f"{', '.join(str(r['rows'][name]['replay']) for r in results)} replayed"
            for name in ("LearnFromError", "LearnFromContrast")
        )
        + "; uniform as LearnFromError.",
        "",
    ]
    for task in results[0]["before"]:
        skills = sorted(results[0]["before"][task])
        base = {skill: statistics.mean(r["before"]["sums"][skill] for r in results) for skill in skills}
        weak = [skill for skill in skills if base[skill] < 100 * WEAK]
        groups = {"weak skills": weak, "strong skills": [s for s in skills if s not in weak], "all skills": skills}
        lines += [f"## {task}", "", "| | " + " | ".join(ARMS) + " |", "|---|" + "---|" * len(ARMS)]

        def values(arm: str, names: list[str], task: str = task) -> list[float]:
            return [statistics.mean(r[arm][task][s] for s in names) for r in results]

        for label, names in groups.items():
            lines.append(f"| **{label}** | " + " | ".join(interval(values(arm, names)) for arm in ARMS) + " |")
        for skill in sorted(skills, key=base.__getitem__):
            lines.append(f"| {skill} | " + " | ".join(interval(values(arm, [skill])) for arm in ARMS) + " |")
        lines.append("")
        for arm in ("LearnFromError", "LearnFromContrast"):
            for label, names in groups.items():
                mine, theirs = values(arm, names), values("uniform", names)
                gain = [a - b for a, b in zip(mine, values("before", names), strict=True)]
                p = ttest_rel(mine, theirs).pvalue if seeds > 1 else float("nan")
                against = [a - b for a, b in zip(mine, theirs, strict=True)]
                lines.append(
                    f"- {arm}, {label}: {interval(gain)} against before; {interval(against)} against uniform (paired t, p = {p:.2g})"
                )
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--page", type=Path, default=PAGE)
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    results = [run(asked.work, seed) for seed in range(asked.seeds)]
    text = page(results, f"python scripts/evidence_tiny.py WORK_FOLDER --seeds {asked.seeds}")
    asked.page.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
