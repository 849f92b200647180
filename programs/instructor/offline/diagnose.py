"""Finds where a response departs from the reference solution, and says what chain the response followed instead.

Kinds of departure, first found first told: no answer, a slip of arithmetic, a number that is nowhere in the question, the wrong
operation on the right numbers, a step left out, another computation. What is not here: errors of reading that leave no trace in
the response's computations.
"""

import itertools
import re
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction

from ....tasks.verdicts import number as numbers
from ...samples.calculations import Node, Slip, Step, Unreadable, body, evaluate, final_answer, steps_of
from .reading import Reading, candidates, constants_of, leaves_of, mentions_of, plain, substitute

_VERBS = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide"}
_TOPICS = (
    ("percent", r"%|percent"),
    ("ratio", r"\bratio\b"),
    ("average", r"\baverage\b|\bmean\b"),
    ("fraction", r"\d/\d|\b(?:half|third|quarter|fourth|fifth)s?\b"),
)


@dataclass(frozen=True)
class Finding:
    """What is told of a response."""

    verdict: str
    skill: str
    misconception: str
    evidence: str
    teach: str


def operations(node: Node) -> list[str]:
    """The operators of an expression, innermost first."""
    if node[0] not in _VERBS:
        return operations(node[1]) if node[0] in ("neg", "pct") else []
    return [*operations(node[1]), *operations(node[2]), node[0]]


def skill_of(question: str, steps: list[Step]) -> str:
    """Label of what a chain asks for: its topic, and its operations in order ("percent: multiply, then subtract")."""
    verbs: list[str] = []
    for step in steps:
        mine = list(dict.fromkeys(_VERBS[op] for op in operations(step.node)))
        if mine:
            verbs.append(" and ".join(mine))
    merged = [verb for i, verb in enumerate(verbs) if i == 0 or verb != verbs[i - 1]]
    topic = next((name for name, pattern in _TOPICS if re.search(pattern, question, re.IGNORECASE)), "")
    if len(merged) > 3:
        count = Counter(op for step in steps for op in operations(step.node))
        text = f"long chain, mostly {' and '.join(sorted(_VERBS[op] for op, _ in count.most_common(2)))}"
    else:
        text = ", then ".join(merged) or "read the answer off"
    return f"{topic}: {text}" if topic else text


def written(step: Step, text: str) -> str:
    """The line of a text that holds a computation, without calculator marks."""
    start = text.rfind("\n", 0, step.start) + 1
    line = text[start : text.find("\n", step.end) if "\n" in text[step.end :] else len(text)]
    return " ".join(re.sub(r"<<[^<>]*>>", "", line).split())


def diagnose(question: str, reference: str, response: str) -> Finding:
    """Verdict, skill and misconception of one wrong response. Never raises: what cannot be read is said to be so."""
    given = numbers.extract(response) if response else None
    mine, slips = _steps(response)
    hidden = final_answer(reference) is None
    # only marked arithmetic can convict a reference: plain equations may hold unknowns or percents
    theirs, false = ([], []) if hidden else _steps(reference, loose=False)
    skill = skill_of(question, theirs or mine) if theirs or mine else "multi-step word problem"
    teach = "Vary the numbers and how large they are; keep the wording and the order of the steps."
    for slip in false:
        if abs(slip.value - slip.written) > abs(slip.value) / 50:
            text = f"The reference computes {slip.text}, but the result is {plain(slip.value)}."
            return Finding("reference_wrong", skill, text, slip.text, "Nothing: the item itself is at fault.")
    if (
        theirs
        and not any(step.value == final_answer(reference) for step in theirs)
        and all(step.marked for step in theirs)
        and not _told(reference)
    ):
        text = f"No step of the reference comes to its final answer {plain(final_answer(reference) or Fraction(0))}."
        return Finding("reference_wrong", skill, text, reference.strip().rsplit("\n", 1)[-1], "Nothing: the item itself is at fault.")
    if not response.strip() or response.strip() == "(empty)":
        return Finding("error", skill, "There is no answer: the whole chain of steps is missing.", "(empty)", teach)
    if given is None:
        return Finding("error", skill, "No answer can be read: the response breaks off before a result.", _tail(response), teach)
    for slip in slips:
        left = slip.text.rpartition("=")[0] or slip.text
        text = f"A slip of arithmetic: it takes {left} to be {plain(slip.written)}; it is {plain(slip.value)}."
        return Finding("error", skill, text, slip.text, teach)
    if not mine:
        text = f"It answers {plain(given)} without showing a step, so only the result tells that the chain was not followed."
        return Finding("error", skill, text, _tail(response), teach)
    if hidden:
        return _unguided(question, response, mine, skill, teach)
    return _departure(question, response, mine, theirs, skill, teach, given)


def _told(reference: str) -> bool:
    """Whether the final answer stands in the solution's words."""
    answer, text = final_answer(reference), body(reference)
    return answer is not None and any(numbers.read(found) == answer for found in re.findall(r"\d[\d,]*(?:\.\d+)?", text))


def _steps(text: str, loose: bool = True) -> tuple[list[Step], list[Slip]]:
    try:
        return steps_of(body(text), loose)
    except Unreadable:
        return [], []


def _tail(text: str) -> str:
    return " ".join(text.split())[-160:]


def _unguided(question: str, response: str, mine: list[Step], skill: str, teach: str) -> Finding:
    known = {m.value for m in mentions_of(question)} | constants_of(question, mentions_of(question))
    for j, step in enumerate(mine):
        strange = [v for *_, v in step.leaves if v not in known and v not in {s.value for s in mine[:j]}]
        if strange:
            text = f"It uses {plain(strange[0])}, which neither the question nor an earlier step gives."
            return Finding("error", skill, text, written(step, response), teach)
    idle = [m.value for m in mentions_of(question) if not m.fixed and all(m.value != v for s in mine for *_, v in s.leaves)]
    text = (
        f"It leaves {', '.join(plain(v) for v in idle[:3])} of the question unused: a step is missing."
        if idle
        else ("It combines the right numbers in the wrong order or with a wrong operation.")
    )
    return Finding("error", skill, text, written(mine[-1], response), teach)


def _departure(question: str, response: str, mine: list[Step], theirs: list[Step], skill: str, teach: str, given: Fraction) -> Finding:
    right = {step.value for step in theirs}
    known = {m.value for m in mentions_of(question)} | constants_of(question, mentions_of(question))
    for j, step in enumerate(mine):
        if step.value in right:
            continue
        leaves = Counter(v for *_, v in step.leaves)
        strange = [v for v in leaves if v not in known and v not in {s.value for s in mine[:j]}]
        if strange:
            text = (
                f"It uses {plain(strange[0])}, which neither the question nor an earlier step gives: a number was copied wrong or made up."
            )
            return Finding("error", skill, text, written(step, response), teach)
        for ref in theirs:
            if Counter(v for *_, v in ref.leaves) == leaves and operations(ref.node) != operations(step.node):
                text = (
                    f"The wrong operation on the right numbers: it should {_say(ref.node)} where it chose to {_say(step.node)} "
                    f"({', '.join(plain(v) for v in leaves)})."
                )
                return Finding("error", skill, text, written(step, response), teach)
        missing = next((ref for ref in theirs if ref.value not in {s.value for s in mine}), None)
        if missing is not None:
            text = (
                f"{_after(j)}: it should {_say(missing.node)} to get {plain(missing.value)}, and it chose to "
                f"{_say(step.node)} {' and '.join(plain(v) for v in list(leaves)[:3])} instead."
            )
            return Finding("error", skill, text, written(step, response), teach)
    missing = next((ref for ref in theirs if ref.value not in {s.value for s in mine}), None)
    if missing is not None:
        text = f"A step is missing: it stops before it should {_say(missing.node)} to get {plain(missing.value)}."
        return Finding("error", skill, text, written(mine[-1], response), teach)
    text = f"Its steps are right, but it gives {plain(given)} as the answer instead of the last result."
    return Finding("error", skill, text, _tail(response), teach)


def _after(j: int) -> str:
    return "It departs at the first step" if j == 0 else f"It departs after {j} right step{'s' * (j != 1)}"


def _say(node: Node) -> str:
    return " and ".join(dict.fromkeys(_VERBS[op] for op in operations(node))) or "copy"


def boundary(question: str, reference: str, solved: str) -> str:
    """What the failed question's chain has that the solved neighbours' chains lack; one sentence."""
    theirs, _ = _steps(reference) if final_answer(reference) is not None else ([], [])
    chains = [_steps(part.partition("\nResponse:")[2])[0] for part in re.split(r"(?m)^Question: ", solved) if part.strip()]
    chains = [chain for chain in chains if chain]
    if not theirs or not chains:
        return "The chains of the solved questions cannot be compared with this one."
    longest = max(len(chain) for chain in chains)
    seen = {op for chain in chains for step in chain for op in operations(step.node)}
    new = [op for op in dict.fromkeys(op for step in theirs for op in operations(step.node)) if op not in seen]
    if new:
        return f"It solves chains without a step to {' or to '.join(_VERBS[op] for op in new)}; this one needs it."
    if len(theirs) > longest:
        return f"It solves chains of up to {longest} step{'s' * (longest != 1)}; this one has {len(theirs)}."
    pairs = {(_say(a.node), _say(b.node)) for chain in chains for a, b in itertools.pairwise(chain)}
    fresh = [(a, b) for a, b in ((_say(x.node), _say(y.node)) for x, y in itertools.pairwise(theirs)) if (a, b) not in pairs]
    if fresh:
        return f"It solves each operation apart, but not to {fresh[0][0]} and then to {fresh[0][1]}, which this one needs."
    return f"Solved and failed questions ask for the same operations in up to {longest} steps: it knows the pieces and is not sure of them."


def misled(reading: Reading, response: str) -> list[Node] | None:
    """The response's chain over the reading's numbers, ending in the answer that it gave; None where that cannot be told."""
    given = numbers.extract(response)
    if given is None or given == reading.answer:
        return None
    steps, _ = _steps(response)
    last = max((j for j, step in enumerate(steps) if step.value == given), default=-1)
    if last < 0:
        return None
    constants = constants_of(reading.question, reading.mentions)
    preferred = {value: node for *_, value, node in _preferences(reading)}
    nodes: list[Node] = []
    for j, step in enumerate(steps[: last + 1]):
        values = [s.value for s in steps[:j]]
        leaves = []
        for *_, value in step.leaves:
            found = candidates(value, reading.mentions, values, constants) or [("c", value)]
            mine = [n for n in found if n[0] == "s"] or [n for n in found if n == preferred.get(value)] or found
            leaves.append(mine[-1] if mine[0][0] == "s" else mine[0])
        node = substitute(step.node, leaves)
        slip = step.value - evaluate(
            node, lambda n, values=values: n[1] if n[0] == "c" else reading.mentions[n[1]].value if n[0] == "q" else values[n[1]]
        )
        nodes.append(node if slip == 0 else ("+", node, ("c", slip)))
    needed = {last}
    for j in range(last, -1, -1):
        if j in needed:
            needed |= {n[1] for n in leaves_of(nodes[j]) if n[0] == "s"}
    order = {j: k for k, j in enumerate(sorted(needed))}
    return [_renumber(nodes[j], order) for j in sorted(needed)]


def _preferences(reading: Reading):
    for whole in reading.nodes:
        for node in leaves_of(whole):
            if node[0] == "q":
                yield reading.mentions[node[1]].value, node


def _renumber(node: Node, order: dict[int, int]) -> Node:
    if node[0] == "s":
        return ("s", order[node[1]])
    return node if node[0] in ("q", "c") else (node[0], *(_renumber(part, order) for part in node[1:]))


__all__ = ["Finding", "boundary", "diagnose", "misled", "skill_of"]
