"""What a comparison won and lost out of domain, by what its items change: prints a table for docs/evidence/world.md.

    errata compare scripts/evidence_world.yaml --jobs 2
    python scripts/evidence_changes.py runs/compare-evidence_world

Test items of all seeds that are done, each before the first training and after the last one.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

from errata.programs.run.directory import Stage
from errata.programs.studies.compare import DONE
from errata.signatures.records import Attempt, Example


def solved(run: Path, weights: str, task: str) -> dict[tuple[str, str], bool]:
    """(change, item) -> whether it was solved."""
    attempts = Stage(run / "evaluate" / weights / f"{task}-test").read("attempts.jsonl", Attempt)
    return {(_change(one.example), one.example.id): bool(one.verdict.correct) for one in attempts}


def _change(example: Example) -> str:
    return str(example.meta.get("change") or example.meta["form"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    document = json.loads((folder / "comparison.json").read_bytes())
    arms = [name for name in document["arms"] if name != "vanilla"]
    # task, change -> arm -> [items, solved before, solved after]
    counts: dict[tuple[str, str], dict[str, list[int]]] = defaultdict(lambda: {arm: [0, 0, 0] for arm in arms})
    for arm in arms:
        for seed in document["seeds"]:
            run = folder / f"{arm}-{seed}"
            assert (run / DONE).exists(), run
            result = json.loads((run / "result.json").read_bytes())
            for task in document["benchmarks"]["out of domain"]:
                before, after = (solved(run, result[when], task) for when in ("before", "after"))
                for change, item in before:
                    count = counts[task, change][arm]
                    count[0] += 1
                    count[1] += before[change, item]
                    count[2] += after[change, item]
    print("| benchmark | change | items | before, % | " + " | ".join(f"`{arm}`" for arm in arms) + " |")
    print("|---" * (4 + len(arms)) + "|")
    for (task, change), found in sorted(counts.items()):
        items, before, _ = found[arms[0]]
        gains = " | ".join(f"{100 * (after - first) / items:+.1f}" for _, first, after in found.values())
        print(f"| `{task}` | {change} | {items} | {100 * before / items:.1f} | {gains} |")


if __name__ == "__main__":
    main()
