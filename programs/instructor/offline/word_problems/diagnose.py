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

from .....tasks.verdicts import number as verdicts
from ....samples.calculations import Node, Slip, Step, Unreadable, body, final_answer, steps_of
from .constants import constants_of
from .expressions import leaves_of, mapped, substitute, value_at
from .fixed import mentions_of
from .kit import show
from .resolve import Reading, candidates

_VERBS = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide"}
_TOPICS = (
    ("percent", r"%|percent"),
    ("ratio", r"\bratio\b"),
    ("average", r"\baverage\b|\bmean\b"),
    ("fraction", r"\d/\d|\b(?:half|third|quarter|fourth|fifth)s?\b"),
)
_TEACH = "Vary the numbers and how large they are; keep the wording and the order of the steps."
AT_FAULT = "Nothing: the item itself is at fault."  # what to teach where the reference is wrong


@dataclass(frozen=True)
class Finding:
    """What is told of a response."""

    verdict: str
    skill: str
    misconception: str
    evidence: str
    teach: str


def diagnose(question: str, reference: str, response: str) -> Finding:
    """Verdict, skill and misconception of one wrong response. Never raises: what cannot be read is said to be so."""
    mine, slips = _steps(response)
    hidden = final_answer(reference) is None
    # only marked arithmetic can convict a reference: plain equations may hold unknowns or percents
    theirs, false = ([], []) if hidden else _steps(reference, loose=False)
    skill = skill_of(question, theirs or mine) if theirs or mine else "multi-step word problem"
    for slip in false:
        if abs(slip.value - slip.written) > abs(slip.value) / 50:
            text = f"The reference computes {slip.text}, but the result is {show(slip.value)}."
            return Finding("reference_wrong", skill, text, slip.text, AT_FAULT)
    answer = final_answer(reference)
    unmarked = any(not step.marked or step.value == answer for step in theirs)
    if theirs and not unmarked and not _told(reference):
        text = f"No step of the reference comes to its final answer {show(answer or 0)}."
        return Finding("reference_wrong", skill, text, reference.strip().rsplit("\n", 1)[-1], AT_FAULT)
    text, evidence = _misconception(question, response, mine, slips, None if hidden else theirs)
    return Finding("error", skill, text, evidence, _TEACH)


def skill_of(question: str, steps: list[Step]) -> str:
    """Label of what a chain asks for: its topic, and its operations in order ("percent: multiply, then subtract")."""
    verbs = [" and ".join(_VERBS[op] for op in dict.fromkeys(ops)) for step in steps if (ops := _operations(step.node))]
    merged = [verb for verb, _ in itertools.groupby(verbs)]
    topic = next((name for name, pattern in _TOPICS if re.search(pattern, question, re.IGNORECASE)), "")
    if len(merged) > 3:
        count = Counter(op for step in steps for op in _operations(step.node))
        text = f"long chain, mostly {' and '.join(sorted(_VERBS[op] for op, _ in count.most_common(2)))}"
    else:
        text = ", then ".join(merged) or "read the answer off"
    return f"{topic}: {text}" if topic else text


def _operations(node: Node) -> list[str]:
    """The operators of an expression, innermost first."""
    if node[0] not in _VERBS:
        return _operations(node[1]) if node[0] in ("neg", "pct") else []
    return [*_operations(node[1]), *_operations(node[2]), node[0]]


def _say(node: Node) -> str:
    return " and ".join(dict.fromkeys(_VERBS[op] for op in _operations(node))) or "copy"


def _told(reference: str) -> bool:
    """Whether the final answer stands in the solution's words."""
    answer, text = final_answer(reference), body(reference)
    return answer is not None and any(verdicts.read(found) == answer for found in re.findall(r"\d[\d,]*(?:\.\d+)?", text))


def _steps(text: str, loose: bool = True) -> tuple[list[Step], list[Slip]]:
    try:
        return steps_of(body(text), loose)
    except Unreadable:
        return [], []


def _line(step: Step, text: str) -> str:
    """The line of a text that holds a computation, without calculator marks."""
    start = text.rfind("\n", 0, step.start) + 1
    line = text[start : text.find("\n", step.end) if "\n" in text[step.end :] else len(text)]
    return " ".join(re.sub(r"<<[^<>]*>>", "", line).split())


def _misconception(question: str, response: str, mine: list[Step], slips: list[Slip], theirs: list[Step] | None) -> tuple[str, str]:
    """What went wrong, and the words of the response that show it. `theirs` is None when the reference is hidden."""
    given = verdicts.extract(response) if response else None
    tail = " ".join(response.split())[-160:]
    if not response.strip() or response.strip() == "(empty)":
        return "There is no answer: the whole chain of steps is missing.", "(empty)"
    if given is None:
        return "No answer can be read: the response breaks off before a result.", tail
    if slips:
        left = slips[0].text.rpartition("=")[0] or slips[0].text
        return f"A slip of arithmetic: it takes {left} to be {show(slips[0].written)}; it is {show(slips[0].value)}.", slips[0].text
    if not mine:
        return f"It answers {show(given)} without showing a step, so only the result tells that the chain was not followed.", tail
    mentions = mentions_of(question)
    known = {m.value for m in mentions} | constants_of(question, mentions)
    if theirs is not None:
        text = f"Its steps are right, but it gives {show(given)} as the answer instead of the last result."
        return _departure(response, mine, theirs, known) or (text, tail)
    for j, step in enumerate(mine):
        strange = _strange(mine, j, known)
        if strange:
            return f"It uses {show(strange[0])}, which neither the question nor an earlier step gives.", _line(step, response)
    used = {value for step in mine for *_, value in step.leaves}
    idle = [m.value for m in mentions if not m.fixed and m.value not in used]
    if idle:
        text = f"It leaves {', '.join(map(show, idle[:3]))} of the question unused: a step is missing."
    else:
        text = "It combines the right numbers in the wrong order or with a wrong operation."
    return text, _line(mine[-1], response)


def _strange(steps: list[Step], j: int, known: set[Fraction]) -> list[Fraction]:
    """The numbers of step j that nothing gives."""
    earlier = {step.value for step in steps[:j]}
    return [value for *_, value in steps[j].leaves if value not in known and value not in earlier]


def _departure(response: str, mine: list[Step], theirs: list[Step], known: set[Fraction]) -> tuple[str, str] | None:
    """Where a chain leaves the reference's; None if it takes all of its steps."""
    right, reached = {step.value for step in theirs}, {step.value for step in mine}
    missing = next((step for step in theirs if step.value not in reached), None)
    for j, step in enumerate(mine):
        if step.value in right:
            continue
        shown = _line(step, response)
        strange = _strange(mine, j, known)
        if strange:
            given = f"It uses {show(strange[0])}, which neither the question nor an earlier step gives"
            return f"{given}: a number was copied wrong or made up.", shown
        leaves = Counter(value for *_, value in step.leaves)
        for other in theirs:
            if Counter(value for *_, value in other.leaves) == leaves and _operations(other.node) != _operations(step.node):
                chose = f"it should {_say(other.node)} where it chose to {_say(step.node)} ({', '.join(map(show, leaves))})"
                return f"The wrong operation on the right numbers: {chose}.", shown
        if missing is not None:
            after = "It departs at the first step" if j == 0 else f"It departs after {j} right step{'s' * (j != 1)}"
            chosen = f"{_say(step.node)} {' and '.join(map(show, list(leaves)[:3]))}"
            return f"{after}: it should {_say(missing.node)} to get {show(missing.value)}, and it chose to {chosen} instead.", shown
    if missing is None:
        return None
    return f"A step is missing: it stops before it should {_say(missing.node)} to get {show(missing.value)}.", _line(mine[-1], response)


def boundary(question: str, reference: str, solved: str) -> str:
    """What the failed question's chain has that the solved neighbours' chains lack; one sentence."""
    theirs, _ = _steps(reference) if final_answer(reference) is not None else ([], [])
    chains = [_steps(part.partition("\nResponse:")[2])[0] for part in re.split(r"(?m)^Question: ", solved) if part.strip()]
    chains = [chain for chain in chains if chain]
    if not theirs or not chains:
        return "The chains of the solved questions cannot be compared with this one."
    longest = max(len(chain) for chain in chains)
    seen = {op for chain in chains for step in chain for op in _operations(step.node)}
    new = [op for op in dict.fromkeys(op for step in theirs for op in _operations(step.node)) if op not in seen]
    if new:
        return f"It solves chains without a step to {' or to '.join(_VERBS[op] for op in new)}; this one needs it."
    if len(theirs) > longest:
        return f"It solves chains of up to {longest} step{'s' * (longest != 1)}; this one has {len(theirs)}."
    pairs = {(_say(a.node), _say(b.node)) for chain in chains for a, b in itertools.pairwise(chain)}
    fresh = [pair for a, b in itertools.pairwise(theirs) if (pair := (_say(a.node), _say(b.node))) not in pairs]
    if fresh:
        return f"It solves each operation apart, but not to {fresh[0][0]} and then to {fresh[0][1]}, which this one needs."
    return f"Solved and failed questions ask for the same operations in up to {longest} steps: it knows the pieces and is not sure of them."


def misled(reading: Reading, response: str) -> list[Node] | None:
    """The response's chain over the reading's numbers, ending in the answer that it gave; None if that cannot be told."""
    given = verdicts.extract(response)
    if given is None or given == reading.answer:
        return None
    steps, _ = _steps(response)
    last = max((j for j, step in enumerate(steps) if step.value == given), default=-1)
    if last < 0:
        return None
    constants = constants_of(reading.question, reading.mentions)
    numbers = [m.value for m in reading.mentions]
    used = [leaf for node in reading.nodes for leaf in leaves_of(node) if leaf[0] == "q"]
    preferred = {numbers[leaf[1]]: leaf for leaf in used}
    nodes: list[Node] = []
    for j, step in enumerate(steps[: last + 1]):
        values = [s.value for s in steps[:j]]
        leaves = []
        for *_, value in step.leaves:
            found = candidates(value, reading.mentions, values, constants) or [("c", value)]
            results = [node for node in found if node[0] == "s"]
            leaves.append(results[-1] if results else preferred[value] if preferred.get(value) in found else found[0])
        node = substitute(step.node, leaves)
        slip = step.value - value_at(node, numbers, values)
        nodes.append(node if slip == 0 else ("+", node, ("c", slip)))
    needed = {last}
    for j in range(last, -1, -1):
        if j in needed:
            needed |= {leaf[1] for leaf in leaves_of(nodes[j]) if leaf[0] == "s"}
    order = {j: k for k, j in enumerate(sorted(needed))}
    return [mapped(nodes[j], lambda leaf: ("s", order[leaf[1]]) if leaf[0] == "s" else leaf) for j in sorted(needed)]
