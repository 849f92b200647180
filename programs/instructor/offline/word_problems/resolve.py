"""The worked solution of a word problem as a chain of steps over the numbers of its question.

A literal of a step is the value of an earlier step, a number of the question, or a constant that a word of the question justifies ("twice",
"week", "%"). Where a literal can be read in two ways that would differ under other numbers, or in none, `resolve` refuses with
`Unreadable`: a program built on a guess would teach falsehoods. Not covered: rounding, equations with unknowns, times of day, dates, and
steps done in the head; doubts about the solution as a whole (reading.py); the numbers in its words (slots.py).
"""

import itertools
import random
import re
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field, replace
from fractions import Fraction

from ....samples.calculations import MARK, NUMBER, Node, Step, Unreadable, body, final_answer, number, singular, steps_of
from .constants import LIMBS, MULTIPLES, RELATIONAL, constants_of, weak
from .expressions import HUNDRED, ONE, chain_values, divisors, leaves_of, roles, substitute, terms, value_at
from .fixed import mentions_of
from .kit import show
from .mentions import Mention


@dataclass
class Reading:
    """A question and its solution as a chain over the question's numbers."""

    question: str
    solution: str
    answer: Fraction
    mentions: list[Mention]
    steps: list[Step]
    final: int  # index of the step that gives the answer
    nodes: list[Node] = field(default_factory=list)  # what each step computes, over resolved leaves
    slots: list[tuple[int, int, Node]] = field(default_factory=list)  # spans of the solution that hold a number, with what it is
    bare: list[tuple[int, int]] = field(default_factory=list)
    """Spans of lines of the solution whose words hold a number that nothing explains."""

    def fix(self, why: str, holds: Callable[[Mention], object]) -> None:
        """Keeps the numbers for which it holds as they are."""
        self.mentions = [replace(m, fixed=m.fixed or why) if holds(m) else m for m in self.mentions]

    def fix_values(self, why: str, values: Set[Fraction]) -> None:
        """Keeps the numbers of these values as they are."""
        self.fix(why, lambda m: m.value in values)

    @property
    def used(self) -> set[int]:
        """Indices of the question's numbers that the chain uses."""
        return {leaf[1] for node in self.nodes for leaf in leaves_of(node) if leaf[0] == "q"}

    @property
    def spoken(self) -> list[Fraction]:
        """The literals of all steps, in order."""
        return [value for step in self.steps for *_, value in step.leaves]


def resolve(question: str, reference: str, fractions: bool = False) -> Reading:
    """Question and reference solution as a chain; raises Unreadable with the reason."""
    answer = final_answer(reference)
    if answer is None:
        raise Unreadable("no final answer")
    text = body(reference)
    mentions = mentions_of(question, fractions)
    steps, slips = steps_of(text, given={m.value for m in mentions})
    if not steps:
        raise Unreadable("no computation in the solution")
    for slip in slips:
        close = abs(slip.value - slip.written) <= abs(slip.value) / 50
        raise Unreadable(f"{'intermediate not clean' if close else 'reference arithmetic is false'}: {slip.text}")
    final = max((j for j, step in enumerate(steps) if step.value == answer), default=-1)
    if final < 0:
        raise Unreadable(f"final answer is not a step's result: {show(answer)}")
    if final != len(steps) - 1 and steps[-1].value != answer:
        raise Unreadable("final answer is not the last step's result")
    reading = Reading(question, text, answer, mentions, steps, final)
    _settle(reading)
    return reading


def _settle(reading: Reading) -> None:
    """Gives each literal its source, and keeps numbers that a constant may stand for as they are. Raises Unreadable."""
    constants = constants_of(reading.question, reading.mentions)
    rests = [m.value % 1 for m in reading.mentions if m.style == "fraction"]
    fractions = {Fraction(part) for rest in rests for part in (rest.denominator, rest.numerator)}
    faint = {v for v in constants if weak(v, reading.question) and v not in fractions}
    _fix_ambiguous(reading, constants, faint)
    for _ in range(2):
        options = [found for j in range(len(reading.steps)) for found in _options(reading, j, constants, faint)]
        best = _best(reading, options)
        if _agree(reading, best):
            spans = [(start, end) for step in reading.steps for start, end, _ in step.leaves]
            reading.slots = [(start, end, node) for (start, end), node in zip(spans, best[0], strict=True)]
            reading.nodes = _nodes(reading, best[0])
            return
        clash = {m.value for m in reading.mentions if not m.fixed and m.value in constants - faint} & set(reading.spoken)
        if not clash:
            break
        reading.fix_values("may be a constant", clash)
    unclear = next(found for found in options if len(found) > 1)
    value = value_at(unclear[0], [m.value for m in reading.mentions], [step.value for step in reading.steps])
    raise Unreadable(f"ambiguous number: {show(value)}")


def _fix_ambiguous(reading: Reading, constants: set[Fraction], faint: set[Fraction]) -> None:
    """Keeps numbers that a word of the question or the structure of the text may stand for."""
    steps, question = reading.steps, reading.question
    for v in {m.value for m in reading.mentions}:
        alike = [m for m in reading.mentions if m.value == v]
        if len({m.unit for m in alike}) > 1 and reading.spoken.count(v) < len(alike):
            # one of them may be told by the text's structure alone
            reading.fix_values("another number is equal to it", {v})
    calendar = {Fraction(v) for v in (7, 12, 24, 30, 31, 52, 60, 365)} & (constants - faint)
    dated = re.compile(r"month|week|dai?ly?|hour|year|minute|annual")
    reading.fix(
        "may be a constant",
        lambda m: m.value in calendar and m.counts and m.unit != "mph" and dated.search(question[max(0, m.start - 30) : m.end + 40]),
    )
    hints = [(hint, value) for step in steps for hint, (*_, value) in zip(_hints(reading.solution, step), step.leaves, strict=True)]
    for v in {m.value for m in reading.mentions if not m.fixed and m.counts}:
        count = sum(m.value == v and not m.fixed for m in reading.mentions)
        words = len(re.findall(MULTIPLES[v], question, re.IGNORECASE)) if v in MULTIPLES else 0
        words += v in (2, 3, 4, 6, 8) and v in constants and bool(LIMBS.search(question))
        told = [hint for hint, value in hints if value in (v, 1 / v)]
        nouns = {m.unit for m in reading.mentions if m.value == v}
        if (words and len(told) < count + words) or (2 <= v <= 5 and count == 1 and len(told) > 1 and not set(told) <= nouns):
            # "twice" and "two friends", or two lattes and a pair of unnumbered croissants: which of them a 2 is cannot be told
            reading.fix_values("may be a constant", {v})
    uses = [(value, roles(step.node).get(k, "")) for step in steps for k, (_a, _b, value) in enumerate(step.leaves)]
    for m in reading.mentions:
        # the number of things that a sum lists belongs to the text, not to the draw
        counted = not m.fixed and m.counts and 3 <= m.value <= 7 and any(terms(step.node) == m.value for step in steps)
        if counted and all(role == "*" for value, role in uses if value == m.value):
            reading.fix_values("counts the terms of a sum", {m.value})


def _options(reading: Reading, j: int, constants: set[Fraction], faint: set[Fraction]) -> list[list[Node]]:
    """For each literal of step j what it may be. Raises Unreadable for a literal with no source."""
    steps, mentions = reading.steps, reading.mentions
    step, found, parts = steps[j], [], roles(steps[j].node)
    values = [value for *_, value in step.leaves]
    average = {Fraction(terms(s.node)) for s in steps[: j + 1] if terms(s.node) > 1}
    shares = {m.value for m in mentions if m.unit == "%"} | {Fraction(100), Fraction(1, 100)}
    # the literals 100 that a percent is divided by: nothing but the hundred of "percent"
    hundreds = divisors(step.node, values, lambda top, bottom: bottom == 100 and top in shares)
    # the 2 of "1/2 * 40 * 20" is a half, whatever else is two
    halves = divisors(step.node, values, lambda top, bottom: top == 1)
    percent = "%" in reading.solution[step.start : step.end] or sum(v in shares for v in values) > 1
    for k, value in enumerate(values):
        options = candidates(value, mentions, [s.value for s in steps[:j]], constants, faint)
        options = _fitting(options, parts.get(k, ""), value, mentions, percent)
        options = options + [kin for kin in _complements(value, mentions) if kin not in options]
        if k in hundreds and value in constants:
            options = [("c", value)]
        if k in halves:
            options = [n for n in options if n[0] != "q" or mentions[n[1]].unit == "/"] or [("c", value)]
        if not options and value in average and re.search(r"\b(?:average|mean|equally|evenly)\b", reading.question):
            options = [("c", value)]
        if not options:
            raise Unreadable(f"number not found in question: {show(value)} in step {j + 1}")
        found.append(options)
    return found


def candidates(
    value: Fraction, mentions: list[Mention], values: list[Fraction], constants: set[Fraction], faint: Set[Fraction] = frozenset()
) -> list[Node]:
    """Every honest source of a literal: numbers of the question, earlier steps, justified constants; then percents' kin."""
    found: list[Node] = [("c", value) if m.fixed else ("q", i) for i, m in enumerate(mentions) if m.value == value]
    found += [("s", j) for j, v in enumerate(values) if v == value]
    if value in constants and not (found and value in faint):
        found.append(("c", value))
    for i, m in enumerate(mentions) if not found else ():
        node: Node = ("c", m.value) if m.fixed else ("q", i)
        share: Node = ("/", node, HUNDRED)
        kin: tuple[Node, ...] = (share,) if m.unit in ("cent", "¢") else ()
        if m.unit == "%":
            kin = (share, ("-", HUNDRED, node), ("+", HUNDRED, node), ("-", ONE, share), ("+", ONE, share))
        found += [one for one in kin if value_at(one, {i: m.value}, ()) == value]
    unique: dict[object, Node] = {}
    for node in found:
        # equal numbers of one unit are one quantity: the first mention stands for all
        unique.setdefault(("q", mentions[node[1]].value) if node[0] == "q" else node, node)
    return list(unique.values())


def _fitting(found: list[Node], role: str, value: Fraction, mentions: list[Mention], percent: bool) -> list[Node]:
    """Drops what the operation tells apart: "twice" never adds 2, and 40 % is a bare 40 only where a hundred is near."""
    if len(found) < 2:
        return found
    if not percent and any(node[0] in ("s", "c") for node in found):
        found = [node for node in found if node[0] != "q" or mentions[node[1]].unit != "%"]
    if role == "+" and value in RELATIONAL:
        return [node for node in found if node[0] != "c" or any(m.value == value and m.fixed for m in mentions)] or found
    return found


def _complements(value: Fraction, mentions: list[Mention]) -> list[Node]:
    """What the rest of a varying fraction may be: the 2 of 2/3 where the question says 1/3."""
    found: list[Node] = []
    for top, bottom in itertools.pairwise(mentions):
        if bottom.unit == "/" and not bottom.fixed and top.unit == "/" and bottom.value - top.value == value and value > 1:
            over = mentions.index(bottom)
            found.append(("-", ("q", over), ("c", top.value) if top.fixed else ("q", over - 1)))
    for i, m in enumerate(mentions):
        lone = m.style == "part" and not (i and mentions[i - 1].unit == "/" and mentions[i - 1].end + 1 == m.start)
        if lone and not m.fixed and m.value - 1 == value and value > 1:
            found.append(("-", ("q", i), ("c", Fraction(1))))
    return found


def _hints(text: str, step: Step) -> list[str]:
    """For each literal of a step, the noun that follows it in the words; empty if no noun follows or it is not certain."""
    low = text.rfind("\n", 0, step.start) + 1
    found = []
    for start, end, value in step.leaves:
        spans = [(start, end)]
        if [v for *_, v in step.leaves].count(value) > 1:
            found.append("")  # which of the two a noun speaks of cannot be told
            continue
        if step.marked:
            spans = [
                m.span() for m in NUMBER.finditer(text, low, step.end) if number(m[0]) == value and "<<" not in text[m.end() : m.end() + 3]
            ]
            spans = [span for span in spans if not any(m.start() <= span[0] < m.end() for m in MARK.finditer(text))]
        nouns = {singular(m[1]) for _, b in spans if (m := re.match(r"\s([A-Za-z]{3,})", text[b : b + 30]))}
        found.append(nouns.pop() if len(nouns) == 1 else "")
    return found


def _best(reading: Reading, options: Sequence[list[Node]]) -> list[tuple[Node, ...]]:
    """The readings that leave least of the problem aside, and of those the ones that the nouns beside the numbers speak for."""
    size = 1
    for found in options:
        size *= len(found)
        if size > 3000:
            raise Unreadable(f"ambiguous number: {size}+ readings")
    if size == 1:
        return [tuple(found[0] for found in options)]
    readings = sorted((_unused(reading, choice), choice) for choice in itertools.product(*options))
    best = [choice for score, choice in readings if score == readings[0][0]]
    if len(best) > 200 or _agree(reading, best):
        return best
    # "32 cups * $3" means the step that counts cups
    hints = [hint for step in reading.steps for hint in _hints(reading.solution, step)]
    nouns = {("q", i): m.unit for i, m in enumerate(reading.mentions)} | {("s", j): step.unit for j, step in enumerate(reading.steps)}
    fits = [sum(bool(hint) and nouns.get(node, "") == hint for hint, node in zip(hints, choice, strict=True)) for choice in best]
    return [choice for fit, choice in zip(fits, best, strict=True) if fit == max(fits)]


def _nodes(reading: Reading, choice: tuple[Node, ...]) -> list[Node]:
    leaves = iter(choice)
    return [substitute(step.node, list(itertools.islice(leaves, len(step.leaves)))) for step in reading.steps]


def _unused(reading: Reading, choice: tuple[Node, ...]) -> int:
    """How much of the problem a reading leaves aside: intermediates first, then numbers of the question."""
    used = {leaf for node in choice for leaf in leaves_of(node)}
    steps = sum(("s", j) not in used for j in range(len(reading.steps)) if j != reading.final)
    numbers = {m.value for m in reading.mentions if not m.fixed} - {reading.mentions[i].value for kind, i in used if kind == "q"}
    return 10 * steps + len(numbers)


def _agree(reading: Reading, choices: list[tuple[Node, ...]]) -> bool:
    """Whether all readings compute the same under other numbers."""
    if len(choices) == 1:
        return True
    rng = random.Random(0)
    programs = [_nodes(reading, choice) for choice in choices[:200]]
    for _ in range(3):
        by_value = {m.value: m.value * Fraction(rng.randint(50, 150), rng.randint(50, 99)) for m in reading.mentions}
        numbers = {i: m.value if m.fixed else by_value[m.value] for i, m in enumerate(reading.mentions)}
        try:
            if len({tuple(chain_values(nodes, numbers)) for nodes in programs}) > 1:
                return False
        except ZeroDivisionError:
            return False
    return True
