"""Are the computed answers of a run's rows right? Solves them again with the embedded world's own rules and prints the counts.

    errata generate --task sums+lists+facts --set items.train=900 --set items.dev=60 --set items.test=120 --set generate.failures=60 \\
        --set generate.rows=24000 --set generate.probe=4 --run runs/rows
    python scripts/check_rows.py runs/rows

The solver shares nothing with the instructor and its programs: it reads a question back by the wordings of `sums`, `lists` or `facts`, and
takes the answer from the skill's own formula, from the primitives applied one after the other to each list of a test, or from the table of
towns. Rows whose wording it does not know are counted apart. Also printed: accepted rows for each call of the instructor.
"""

import argparse
import ast
import re
from collections import Counter
from fractions import Fraction
from pathlib import Path

from errata.programs.run.directory import Stage
from errata.signatures.records import Example, Sample, TeachingResult
from errata.tasks.world import facts, lists, sums


def pattern(text: str, numbers: str = r"\d+", words: str = r"[\w ]+") -> re.Pattern[str]:
    """What matches a wording with its slots filled; a slot that stands twice holds the same twice."""
    seen: set[str] = set()

    def slot(match: re.Match[str]) -> str:
        name = match[1]
        if name in seen:
            return f"(?P={name})"
        seen.add(name)
        return f"(?P<{name}>{words if name[0].isupper() or name in ('o', 'q', 'box', 'bag', 'town') else numbers})"

    return re.compile(re.sub(r"\\\{(\w+)\\\}", slot, re.escape(text)))


SUMS = [(skill, pattern(text)) for skill in sums.SKILLS for text in skill.wordings]
STEPS = [
    (primitive.name, pattern(text, numbers=r"-?\w+"))
    for primitive in lists.PRIMITIVES.values()
    for text in (*primitive.wordings, primitive.other)
]
FACTS = [(relation.name, pattern(text)) for relation in facts.RELATIONS for text in relation.wordings]


def solved_sum(example: Example) -> bool | None:
    """Whether the answer is that of the skill's formula; None where no wording fits."""
    for skill, wording in SUMS:
        if found := wording.fullmatch(example.question):
            operands = {name: Fraction(found[name]) for name in skill.operands}
            return bool(eval(sums.formula(skill).replace("//", "/"), {}, operands) == Fraction(example.answer))
    return None


def solved_list(example: Example) -> bool | None:
    """Whether every expectation of its tests is what the told steps give; None where a step's wording is unknown."""
    told = re.fullmatch(r"Write \w+\(\w+\): (.*)\.", example.question)
    steps = []
    for phrase in told[1].split(", then ") if told else [""]:
        fits = [(name, found.groupdict().get("k")) for name, wording in STEPS if (found := wording.fullmatch(phrase))]
        if len(fits) != 1:
            return None
        name, k = fits[0]
        steps.append((name, int(k) if k is not None and k.lstrip("-").isdigit() else k))
    cases = [node.test for node in ast.walk(ast.parse(example.meta["test"])) if isinstance(node, ast.Assert)]
    for case in cases:
        assert isinstance(case, ast.Compare) and isinstance(case.left, ast.Call)
        if lists.run(tuple(steps), ast.literal_eval(case.left.args[0])) != ast.literal_eval(case.comparators[0]):
            return False
    return bool(cases)


def solved_fact(example: Example) -> bool | None:
    """Whether the option marked right, and no other, is the town's value; None where no wording fits."""
    for relation, wording in FACTS:
        if (found := wording.fullmatch(example.meta["stem"])) and found["town"] in facts.WORLD:
            value = facts.WORLD[found["town"]][relation]
            return [label for label, option in example.meta["choices"].items() if option == value] == [example.answer]
    return None


SOLVERS = {"sums": solved_sum, "lists": solved_list, "facts": solved_fact}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path)
    run = parser.parse_args().run
    found: Counter[tuple[str, bool | None]] = Counter()
    for sample in Stage(run / "round-1/assemble").read("samples.jsonl", Sample):
        example = sample.example
        solved = SOLVERS[example.task](example)
        found[example.task, solved] += 1
        if solved is False:
            print("WRONG:", example.question, "->", example.answer)
    for task in SOLVERS:
        right, wrong, unread = (found[task, verdict] for verdict in (True, False, None))
        print(f"{task}: {right + wrong} rows solved again, {wrong} of them wrong; {unread} whose wording the solver does not know")
    rows, calls = sum(found.values()), sum(one.calls for one in Stage(run / "round-1/teach").read("taught.jsonl", TeachingResult))
    print(f"{rows} accepted rows from {calls} calls of the instructor: {rows / calls:.1f} a call")


if __name__ == "__main__":
    main()
