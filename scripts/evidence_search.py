"""Does search find own words that sampling does not? Measures both at equal tokens, and writes docs/evidence/search.md.

    python scripts/evidence_search.py [--items 24]

Train items of the skills of `sums` that `tiny` is weak at are answered four times at temperature 1. Those without a usable right answer are
given the same number of new tokens again in three ways: more samples; search whose critic sees right and wrong answers alone; search whose
critic also sees the results of the worked solution. An answer is usable when it is right, ended by itself, and all its calculations are
true. Every way asks until its tokens are spent. Takes a few CPU minutes; each budget is printed when it is done.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from scipy.stats import binomtest

from errata.programs.steps.lessons import own
from errata.programs.steps.search import search
from errata.programs.steps.words import ask
from errata.signatures.records import Example, Rollouts
from errata.tasks import Task, load_task
from errata.tasks.world.sums import WEAK
from errata.trainers import open_target
from errata.trainers.settings import TargetSettings

PAGE = Path(__file__).parents[1] / "docs/evidence/search.md"
BUDGETS = (1000,)
"""New tokens for each item."""
Pending = Sequence[tuple[Example, Rollouts]]


def sampled(task: Task, pending: Pending, target, budget: int, seed: int) -> dict[str, Rollouts]:
    """One more sample of each item still without an answer, again and again while another answer may be paid for."""
    left = {example.id: budget for example, _ in pending}
    found: dict[str, Rollouts] = {}
    turn = 0
    while True:
        open_ = [example for example, _ in pending if example.id not in found and left[example.id] >= task.max_new_tokens]
        if not open_:
            return found
        turn += 1
        for example, tries in ask(task, open_, target, 1, 1.0, seed + turn):
            left[example.id] -= tries.tokens
            if own(tries):
                found[example.id] = tries


def found_by(task: Task, pending: Pending, target, budget: int, seed: int) -> dict[str, set[str]]:
    """Ids of the items that each way found an answer to."""
    blind = [(example.model_copy(update={"solution": ""}), tries) for example, tries in pending]
    return {
        "more samples": set(sampled(task, pending, target, budget, seed)),
        "search, answers alone": {example.id for example, tries in search(task, blind, target, budget, 1.0, seed) if tries.found},
        "search": {example.id for example, tries in search(task, pending, target, budget, 1.0, seed) if tries.found},
    }


def share(found: int, items: int) -> str:
    interval = binomtest(found, items).proportion_ci(method="wilson")
    return f"{100 * found / items:.0f} [{100 * interval.low:.0f}, {100 * interval.high:.0f}]"


def page(task: Task, items: int, command: str) -> str:
    """Measure, and put it on a page."""
    target = open_target(TargetSettings())
    examples = [example for example in task.examples("train", 18 * items, seed=99) if example.skill in WEAK][:items]
    asked = list(ask(task, examples, target, 4, 1.0, 1))
    pending = [(example, tries) for example, tries in asked if own(tries) is None]
    lines = [
        "# Search for own words",
        "",
        f"Made by `{command}`: {len(examples)} train items of the weak skills of `sums` ({', '.join(WEAK)}), `tiny` as it is",
        f"shipped, temperature 1. Four samples answer {len(examples) - len(pending)} of them usably (right, ended by itself, all",
        f"calculations true), in {sum(tries.tokens for _, tries in asked) / len(examples):.0f} tokens an item. The other {len(pending)}",
        "are asked again with the same new tokens for each way; per cent answered usably, with the 95 % Wilson interval.",
        "",
        "| tokens an item | more samples | search, answers alone | search |",
        "|---|---|---|---|",
    ]
    last: dict[str, set[str]] = {}
    for budget in BUDGETS:
        last = found_by(task, pending, target, budget, 1)
        lines.append(f"| {budget} | " + " | ".join(share(len(ids), len(pending)) for ids in last.values()) + " |")
        print(lines[-1], flush=True)
    more, _, best = last.values()
    only, other = len(best - more), len(more - best)
    p = binomtest(only, only + other).pvalue if only + other else 1.0
    found = f"At {BUDGETS[-1]} tokens search alone answers {only} items and more samples alone {other} (exact McNemar test, p = {p:.2g})."
    lines[2:2] = [found, ""]
    lines += [
        "",
        "The critic of `search, answers alone` is the verdict on whole answers; that of `search` also counts the results of the worked",
        "solution that an answer comes to by true calculations (`programs/search.py`).",
        "",
        "By skill, usable answers of `search` at the largest budget: "
        + ", ".join(
            f"{skill} {sum(e.skill == skill and e.id in best for e, _ in pending)} of {sum(e.skill == skill for e, _ in pending)}"
            for skill in WEAK
        )
        + ".",
        "",
    ]
    target.close()
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=24)
    parser.add_argument("--page", type=Path, default=PAGE)
    given = parser.parse_args()
    text = page(load_task("sums"), given.items, f"python scripts/evidence_search.py --items {given.items}")
    given.page.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
