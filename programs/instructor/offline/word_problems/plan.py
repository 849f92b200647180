"""What a sample program is made of: a parameter for each number of the question that varies, and the chain over them.

A problem is refused here when the way from its numbers to its answer has a gap that only the original numbers bridge. Not covered: which
values may be drawn together (bounds.py) and how often a draw makes sense (tune.py).
"""

import keyword
import re
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction

from ....samples.calculations import Node, Unreadable
from .constants import RELATIONAL, told
from .expressions import HUNDRED, chain_values, leaves_of, mapped, sides, value_at
from .kit import show
from .mentions import Mention
from .related import related
from .resolve import Reading


@dataclass
class Parameter:
    """One number of the question that varies, at every place where it stands."""

    name: str
    mentions: list[int]
    value: Fraction
    unit: str
    step: Fraction  # draws are multiples of it
    least: Fraction
    most: Fraction | None
    close: bool  # whether draws stay near the original
    room: int = 1  # how many steps wide the draws are at least
    plus: Fraction = Fraction(0)  # what is added to a multiple of the step: 0.99 of $19.99
    wide: bool = False
    spread: str = ""  # `HUGE` or `VAST` if a single number has to give all the variety
    via: tuple[Node, Fraction] | None = None
    """What the number is computed from, with ("q", count of parameters) for a drawn quotient, and the quotient at the original."""


@dataclass
class Plan:
    """All that an emitted program is made of."""

    reading: Reading
    parameters: list[Parameter]
    nodes: list[Node]  # steps over ("q", index of a parameter), ("s", j) and ("c", value)
    whole: bool  # whether all values are whole numbers, so that the chain is computed in int
    strict: bool = False  # whether all that was less stays less, or only what the text says so of
    rules: dict[str, str] = field(default_factory=dict)  # Python conditions over parameters and steps that a draw must meet, and what for
    wrong: list[Node] | None = None

    @property
    def names(self) -> list[str]:
        return [p.name for p in self.parameters]

    @property
    def varying(self) -> dict[int, int]:
        """The parameter of each mention that varies."""
        return {k: i for i, p in enumerate(self.parameters) for k in p.mentions}

    def shown(self, k: int) -> str:
        """Mention k as Python: the name of its parameter, or its digits."""
        i = self.varying.get(k)
        return show(self.reading.mentions[k].value) if i is None else self.parameters[i].name

    def asks(self, pattern: str | re.Pattern[str]) -> bool:
        """Whether the question holds a pattern."""
        return bool(re.search(pattern, self.reading.question))

    def follows(self, j: int) -> bool:
        """Whether step j hangs on anything that varies."""
        return bool(self.nodes[j][0] != "c")

    def at_original(self, node: Node) -> Fraction:
        """The value of an expression for the numbers of the original."""
        return value_at(node, [p.value for p in self.parameters], [step.value for step in self.reading.steps])

    def parameters_in(self, node: Node) -> set[int]:
        """The parameters that an expression hangs on, through its steps too."""
        found: set[int] = set()
        for leaf in leaves_of(node):
            found |= {leaf[1]} if leaf[0] == "q" else self.parameters_in(self.nodes[leaf[1]]) if leaf[0] == "s" else set()
        return found

    def expanded(self, node: Node) -> Node:
        """An expression with the steps that it uses put in."""
        return mapped(node, lambda leaf: self.expanded(self.nodes[leaf[1]]) if leaf[0] == "s" else leaf)


def plan_for(reading: Reading, strict: bool) -> Plan:
    """The plan of a reading, without rules; raises Unreadable if no number may vary, or the solution has a gap."""
    parameters, of = _parameters(reading)
    if not parameters:
        raise Unreadable("no number may vary")
    nodes = [over(node, of, reading) for node in reading.nodes]
    whole = all(p.value.denominator == 1 and p.step.denominator == 1 for p in parameters)
    plan = Plan(reading, parameters, nodes, whole and all(step.value.denominator == 1 for step in reading.steps), strict)
    _refuse_idle(plan)
    _refuse_unreached(plan)
    _refuse_untold(plan)
    return plan


def over(node: Node, of: dict[int, int], reading: Reading) -> Node:
    """A resolved expression over parameters instead of mentions (`of` names them), with constant parts folded."""
    if node[0] == "q":
        return ("q", of[node[1]]) if node[1] in of else ("c", reading.mentions[node[1]].value)
    if node[0] in ("s", "c"):
        return node
    if node[0] == "pct":
        return over(("/", node[1], HUNDRED), of, reading)
    parts = [over(part, of, reading) for part in node[1:]]
    folded: Node = (node[0], *parts)
    return ("c", value_at(folded, (), ())) if all(part[0] == "c" for part in parts) else folded


_COMPARES = re.compile(
    r"(?i)\b(?:cheap\w*|expensive|better|best|worse|worst|whichever|fast\w*|slow\w*|most|least|maximum|minimum|largest|smallest|biggest|"
    r"highest|lowest|longest|shortest|longer|shorter|winner|wins?|won|oldest|youngest|tallest|heaviest|lightest|sooner|first to|"
    r"greater|greatest)\b"
)


def _refuse_idle(plan: Plan) -> None:
    """Raises Unreadable where a number multiplies and then divides away again: the steps then meant something else that is equal to it."""
    values = {i: p.value for i, p in enumerate(plan.parameters)}
    for i, p in enumerate(plan.parameters):
        roles = {side for node in plan.nodes for side in sides(node, ("q", i))}
        if len(p.mentions) > 1 or len(roles) < 2:
            continue
        others = (values | {i: p.value * factor} for factor in (Fraction(9, 7), Fraction(11, 5)))
        try:
            if all(chain_values(plan.nodes, numbers)[plan.reading.final] == plan.reading.answer for numbers in others):
                raise Unreadable(f"the answer does not hang on a number: {show(p.value)}")
        except ZeroDivisionError:
            continue


def _refuse_unreached(plan: Plan) -> None:
    """Raises Unreadable where the answer does not hang on a number that the steps use ("4 * 250 = 1000 grams, which is a kilogram, and
    1 * 14 = 14"), unless the question compares."""
    if plan.asks(_COMPARES):
        return
    live = plan.parameters_in(("s", plan.reading.final))
    dead = [p for i, p in enumerate(plan.parameters) if i not in live]
    if dead:
        raise Unreadable(f"the answer does not hang on a number: {show(dead[0].value)}")


def _refuse_untold(plan: Plan) -> None:
    """Raises Unreadable where the question tells a result, or a step needs a constant that nothing tells ("2 + 1 = 3 of the 5 trees")."""
    reading, varying = plan.reading, plan.varying
    constant = {leaf[1] for node in plan.nodes for leaf in leaves_of(node) if leaf[0] == "c"}
    for k, m in enumerate(reading.mentions):
        # "installments of $65", where a step computes 780 / 12 = 65: the question would tell another number than the solution
        if k not in varying and m.value >= 5 and m.style != "fraction" and m.value not in constant:
            for j, step in enumerate(reading.steps):
                if step.value == m.value and step.unit == m.unit != "" and plan.follows(j):
                    raise Unreadable(f"a result is told by the question: {show(m.value)}")
    fixed = [node for j, node in enumerate(reading.nodes) if not plan.follows(j)]
    needed = Counter(leaf[1] for node in fixed for leaf in leaves_of(node) if leaf[0] == "c" and leaf[1] in RELATIONAL)
    for value, count in needed.items():
        if count > told(value, reading.question, reading.mentions):
            raise Unreadable(f"a number is told by nothing: {show(value)}")


CAPS = {
    "hour": (12, 24, 168), "day": (7, 30, 365), "week": (4, 52), "month": (12,), "minute": (60,), "second": (60,), "hr": (12, 24),
    "min": (60,), "%": (95,), "inch": (11, 96), "weekday": (5,),
}  # fmt: skip
"""What a unit allows: the first that the original does not pass."""
AGES = re.compile(r"\b(?:years? old|years?-old|age[sd]?|older|younger|born|birthday|year younger)\b")
GRADED = re.compile(r"(?i)\b(?:quiz\w*|exams?|tests?|grades?|graded|scored?|scores|midterm|battery)\b")
_CLOSE = {"pound", "lb", "kg", "kilogram", "foot", "inch", "mph", "degree", "year", "hour", "hr", "month", "ton", "stone", "story", "floor"}
_MEASURED = re.compile(r"\b(?:weigh\w*|tall|height|temperature|speed|taller)\b")
_DAILY = re.compile(r"\stimes\s(?:a|per|each|every)\s(?:day|night)\b|\stimes\sdaily\b")
_SPEED = re.compile(r"\s?(?:words (?:per|a) minute|mph|km/h|kmph|kph|(?:miles?|kilometers?|km)\s(?:per|an)\shour)\b")
_GRAINS = (
    (100000, (10000, 5000, 1000, 500)), (10000, (1000, 500, 100)), (1000, (100, 50, 20, 10)), (200, (50, 20, 10, 5)), (50, (10, 5, 2)),
)  # fmt: skip
"""The grains of numbers of a size, the coarse ones first."""


def _parameters(reading: Reading) -> tuple[list[Parameter], dict[int, int]]:
    """The varying numbers, and which parameter stands for each mention."""
    found: list[Parameter] = []
    of: dict[int, int] = {}
    taken = {"clear", "copy", "get", "pop", "update"}  # alone they would read like calls
    for i in sorted(reading.used - related(reading)):
        m = reading.mentions[i]
        if i in of:
            raise Unreadable(f"equal numbers of two kinds: {show(m.value)}")
        mine = [k for k, other in enumerate(reading.mentions) if other.value == m.value and not other.fixed]
        step, plus = _grain(m)
        least, most, close = _range(reading, m, [reading.mentions[k] for k in mine], step)
        of |= dict.fromkeys(mine, len(found))
        found.append(Parameter(_name(m, taken), mine, m.value, m.unit, step, least, most, close, plus=plus))
    return found, of


def _grain(m: Mention) -> tuple[Fraction, Fraction]:
    """The grain of a number, and what is added to it ($19.99 is 19 of 1 and 0.99)."""
    v = m.value
    if v.denominator > 1:
        hundredths = v * 100
        if hundredths.denominator > 1:
            raise Unreadable(f"more than two decimals: {show(v)}")
        rest = int(hundredths) % 100
        if rest in (99, 95, 98) and v > 2:
            return Fraction(1), Fraction(rest, 100)
        grain = next(grain for grain in ((25, 10, 5, 1) if v >= 1 else (5, 1)) if rest % grain == 0)
        return Fraction(grain, 100), Fraction(0)
    if m.unit == "%":
        return Fraction(5 if v % 5 == 0 else 1), Fraction(0)
    grains = next((grains for size, grains in _GRAINS if v >= size), ())
    for grain in grains:
        if v % grain == 0:
            return Fraction(min(grain, 50) if v < 1000 else grain), Fraction(0)
    return Fraction(5 if v >= 40 and v % 5 == 0 else 1), Fraction(0)


def _range(reading: Reading, m: Mention, alike: list[Mention], step: Fraction) -> tuple[Fraction, Fraction | None, bool]:
    """The least and the most that a number may be, and whether it stays close; `alike` are all of its mentions."""
    question = reading.question
    aged = bool(AGES.search(question))
    caps = [Fraction(next((cap for cap in CAPS.get(m.unit, ()) if m.value <= cap), 10**9))]
    if m.unit == "%" and m.value > 95:
        caps = [Fraction(100 if m.value <= 100 else 10**9)]
    if aged and m.value <= 100 and m.unit in ("year", "", "yr"):
        caps.append(Fraction(90))
    if GRADED.search(question) and 12 < m.value <= 100 and m.unit != "$":
        caps.append(Fraction(100))
    if any(other.style == "word" for other in alike):
        caps.append(Fraction(20))
    part = any(other.style == "part" for other in alike)
    if part:
        caps.append(Fraction(10))
    most: Fraction | None = min(caps) if min(caps) < 10**9 else None
    least = Fraction(3) if part else Fraction(2) if m.value >= 2 else step
    if m.style == "part":
        most = Fraction(7 if re.search(r"\ba\s$", question[: m.start]) else 10)
        if m.value > most:
            raise Unreadable("a fraction in words cannot vary")
    elif m.unit == "/":
        most = Fraction(8 if m.value <= 8 else 12)
    elif re.search(r"\bratio", question) and (question[m.end :][:1] == ":" or question[: m.start][-1:] == ":"):
        most = max(Fraction(12), m.value)
    if m.value.denominator > 1 and m.value > 1 and m.unit != "$":
        least = 1 + step  # "1.5 times his wage" never becomes once
    close = m.unit in _CLOSE or aged or bool(_MEASURED.search(question))
    if any(_SPEED.match(question, other.end) for other in alike):
        close, most = True, m.value + max(3, int(m.value / 5))
    if any(_DAILY.match(question, other.end) for other in alike):
        most = m.value + 2
    return least, most, close


_PLAIN_WORDS = re.compile(
    r"of|in|and|more|less|fewer|times|on|for|to|from|at|the|a|an|is|are|per|each|other|or|with|by|if|as|he|she|they|it|that|but|have|has|"
    r"was|were|who|how|when|while|than|will|then|so|level|rng|number|show|pick|words|math|random|cents|grouped|solve|draw|make|wrong|"
    r"sensible|near|close|question|solution|answer|step\d*"
)
"""Words that name no parameter: they say nothing, or have a meaning in the program."""


def _name(m: Mention, taken: set[str]) -> str:
    stem = {"$": "dollars", "%": "percent"}.get(m.unit, re.sub(r"[^a-z]", "", m.unit.lower()))
    if len(stem) < 2 or _PLAIN_WORDS.fullmatch(stem) or keyword.iskeyword(stem):
        stem = "count"
    stem = stem[:20]
    name, n = stem, 1
    while name in taken:
        n += 1
        name = f"{stem}_{n}"
    taken.add(name)
    return name
