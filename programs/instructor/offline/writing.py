"""Writes a sample program from a reading: parameters in place of the question's numbers, and the chain recomputed.

What may be drawn is bounded by the original: whole numbers stay whole, differences stay positive, shares stay below one, numbers of
one unit keep their order, hours fit in a day, ages in a life. The bounds stand in the emitted program as plain code. A program is
refused here when sensible draws are too rare or too much alike.

Not covered: changing names, wording, or what is asked.
"""

import inspect
import itertools
import keyword
import math
import random
import re
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from types import SimpleNamespace

from ....tasks.verdicts import number as numbers
from ...samples.calculations import Node, Unreadable, evaluate
from . import kit
from .diagnose import misled
from .reading import RELATIONAL, Mention, Reading, chain_values, leaves_of, plain, read, sides, told, used_mentions

TRIES = 400
"""Draws that an emitted program makes before it falls back on the original numbers."""
CLIMBS = 250
"""Grains that are tried at most while a program is tuned: about two seconds."""


@dataclass
class Parameter:
    """One number of the question that varies, at every place where it stands."""

    name: str
    mentions: list[int]
    value: Fraction
    unit: str
    step: Fraction
    least: Fraction
    most: Fraction | None
    close: bool
    room: int = 1
    plus: Fraction = Fraction(0)
    wide: bool = False
    spread: str = ""
    """`HUGE` or `VAST` where a single number has to give all the variety."""
    via: "tuple[Node, Fraction] | None" = None
    """What the number is computed from, with ("k",) for a drawn quotient, and the quotient at the original."""


@dataclass
class Plan:
    """All that an emitted program is made of."""

    reading: Reading
    parameters: list[Parameter]
    nodes: list[Node]
    """Steps over ("q", index of a parameter), ("s", j) and ("c", value)."""
    whole: bool
    """Whether all values are whole numbers, so that the chain is computed in int."""
    rules: list[tuple[str, str]] = field(default_factory=list)
    """Python conditions over parameters and steps that a draw must meet, and what for."""
    wrong: "list[Node] | None" = None
    strict: bool = False
    """Whether all that was less stays less, or only where the text says so."""


# ------------------------------------------------------------------------------------------------------------- parameters

_CAPS = {
    "hour": (12, 24, 168),
    "day": (7, 30, 365),
    "week": (4, 52),
    "month": (12,),
    "minute": (60,),
    "second": (60,),
    "hr": (12, 24),
    "min": (60,),
    "%": (95,),
    "inch": (11, 96),
    "person": (),
    "weekday": (5,),
}
_CLOSE = {"pound", "lb", "kg", "kilogram", "foot", "inch", "mph", "degree", "year", "hour", "hr", "month", "ton", "stone", "story", "floor"}
_STAY_CLOSE = ("year", "pound", "kg", "lb", "mph", "degree")
_GROWN = re.compile(r"\b(?:tall|taller|height|jump\w*|inches long|temperatures?|thermometer)\b", re.IGNORECASE)
_PARENTS = re.compile(
    r"\b(?:mother|father|mom|dad|parents?|grand\w+|son|daughter|uncle|aunt|husband|wife|married|gave birth)\b", re.IGNORECASE
)
_FEATS = re.compile(
    r"\b(?:ran|runs?|running|jog\w*|walk\w*|sw[aiu]m\w*|hik\w*|bik\w*|cycl\w*|paddl\w*|row(?:s|ed|ing)|sprint\w*)\b", re.IGNORECASE
)
_DISTANCES = ("mile", "kilometer", "km", "meter", "foot", "yard", "mph", "lap", "step")
_DAILY = re.compile(r"\stimes\s(?:a|per|each|every)\s(?:day|night)\b|\stimes\sdaily\b")
_COINS = (("nickel", 5), ("dime", 10), ("quarters", 25))
_SPEED = re.compile(r"\s?(?:words (?:per|a) minute|mph|km/h|kmph|kph|(?:miles?|kilometers?|km)\s(?:per|an)\shour)\b")
_GRADED = re.compile(r"\b(?:quiz\w*|exams?|tests?|grades?|graded|scored?|scores|midterm|battery)\b", re.IGNORECASE)
_AGES = re.compile(r"\b(?:years? old|years?-old|age[sd]?|older|younger|born|birthday|year younger)\b")


def _step(m: Mention) -> tuple[Fraction, Fraction]:
    """The grain of a number, and what is added to it ($19.99 is 19 of 1 and 0.99)."""
    v = m.value
    if v.denominator > 1:
        hundredths = v * 100
        if hundredths.denominator > 1:
            raise Unreadable(f"more than two decimals: {plain(v)}")
        rest = int(hundredths) % 100
        if rest in (99, 95, 98) and v > 2:
            return Fraction(1), Fraction(rest, 100)
        for grain in (25, 10, 5, 1) if v >= 1 else (5, 1):
            if rest % grain == 0:
                return Fraction(grain, 100), Fraction(0)
    if m.unit == "%":
        return Fraction(5 if v % 5 == 0 else 1), Fraction(0)
    for size, grains in (
        (100000, (10000, 5000, 1000, 500)),
        (10000, (1000, 500, 100)),
        (1000, (100, 50, 20, 10)),
        (200, (50, 20, 10, 5)),
        (50, (10, 5, 2)),
    ):
        if v >= size:
            for grain in grains:
                if v % grain == 0:
                    return Fraction(min(grain, 50) if grain >= 50 and v < 1000 else grain), Fraction(0)
            break
    if v >= 20 and v % 5 == 0:
        return Fraction(5 if v >= 40 else 1), Fraction(0)
    return Fraction(1), Fraction(0)


def _parameters(reading: Reading) -> tuple[list[Parameter], dict[int, int]]:
    """The varying numbers, and which parameter stands for each mention."""
    used = used_mentions(reading)
    used -= _related(reading, used)
    aged = bool(_AGES.search(reading.question))
    graded = bool(_GRADED.search(reading.question))
    found: list[Parameter] = []
    of: dict[int, int] = {}
    taken: set[str] = set()
    for i in sorted(used):
        m = reading.mentions[i]
        if i in of:
            raise Unreadable(f"equal numbers of two kinds: {plain(m.value)}")
        mine = [k for k, other in enumerate(reading.mentions) if other.value == m.value and not other.fixed]
        step, plus = _step(m)
        most: Fraction | None = None
        for cap in _CAPS.get(m.unit, ()):
            if m.value <= cap:
                most = Fraction(cap)
                break
        if m.unit == "%" and m.value > 95:
            most = Fraction(100) if m.value <= 100 else None
        if aged and m.value <= 100 and m.unit in ("year", "", "yr") and (most is None or most > 90):
            most = Fraction(90)
        if graded and 12 < m.value <= 100 and m.unit not in ("$",):
            most = min(most, Fraction(100)) if most else Fraction(100)
        if any(reading.mentions[k].style == "word" for k in mine):
            most = min(most, Fraction(20)) if most else Fraction(20)
        least = Fraction(3) if any(reading.mentions[k].style == "part" for k in mine) else Fraction(2) if m.value >= 2 else step
        if any(reading.mentions[k].style == "part" for k in mine) and (most is None or most > 10):
            most = Fraction(10)
        if m.style == "part":
            most = Fraction(7 if re.search(r"\ba\s$", reading.question[: m.start]) else 10)
            if m.value > most:
                raise Unreadable("a fraction in words cannot vary")
        elif m.unit == "/":
            most = Fraction(8 if m.value <= 8 else 12)
        elif re.search(r"\bratio", reading.question) and (reading.question[m.end :][:1] == ":" or reading.question[: m.start][-1:] == ":"):
            most = max(Fraction(12), m.value)
        if m.value.denominator > 1 and m.value > 1 and m.unit != "$":
            least = 1 + step  # "1.5 times his wage" never becomes once
        close = m.unit in _CLOSE or aged or bool(re.search(r"\b(?:weigh\w*|tall|height|temperature|speed|taller)\b", reading.question))
        if any(_SPEED.match(reading.question, reading.mentions[k].end) for k in mine):
            close, most = True, m.value + max(3, int(m.value / 5))
        if any(_DAILY.match(reading.question, reading.mentions[k].end) for k in mine):
            most = m.value + 2
        name = _name(m, taken)
        for k in mine:
            of[k] = len(found)
        found.append(Parameter(name, mine, m.value, m.unit, step, least, most, close, plus=plus))
    return found, of


_PLAIN_WORDS = {
    "of",
    "in",
    "and",
    "more",
    "less",
    "fewer",
    "times",
    "on",
    "for",
    "to",
    "from",
    "at",
    "the",
    "a",
    "an",
    "is",
    "are",
    "per",
    "each",
    "other",
    "or",
    "with",
    "by",
    "if",
    "as",
    "he",
    "she",
    "they",
    "it",
    "that",
    "but",
    "have",
    "has",
    "was",
    "were",
    "who",
    "how",
    "when",
    "while",
    "than",
    "will",
    "then",
    "so",
    "level",
    "rng",
    "number",
    "show",
    "pick",
    "words",
    "math",
    "random",
    "cents",
    "grouped",
    "solve",
    "draw",
    "make",
    "wrong",
    "sensible",
    "near",
    "close",
    "question",
    "solution",
    "answer",
}


def _name(m: Mention, taken: set[str]) -> str:
    stem = {"$": "dollars", "%": "percent"}.get(m.unit, re.sub(r"[^a-z]", "", m.unit.lower()))
    if not stem.isascii() or len(stem) < 2 or stem in _PLAIN_WORDS or keyword.iskeyword(stem) or re.fullmatch(r"step\d*", stem):
        stem = "count"
    stem = stem[:20]
    name, n = stem, 1
    while name in taken or (n == 1 and hasattr(__builtins__, name)):
        n += 1
        name = f"{stem}_{n}"
    taken.add(name)
    return name


def _over(node: Node, of: dict[int, int], value) -> Node:
    """A resolved node over parameters instead of mentions, with constant parts folded."""
    if node[0] == "q":
        return ("q", of[node[1]]) if node[1] in of else ("c", value(node[1]))
    if node[0] in ("s", "c"):
        return node
    if node[0] == "pct":
        return _over(("/", node[1], ("c", Fraction(100))), of, value)
    parts = [_over(part, of, value) for part in node[1:]]
    if all(part[0] == "c" for part in parts):
        return ("c", evaluate((node[0], *parts), lambda n: n[1]))
    return (node[0], *parts)


# ------------------------------------------------------------------------------------------------------------- expressions

_RANK = {"+": 1, "-": 1, "*": 2, "/": 2, "//": 2, "neg": 3}


def source(node: Node, names: list[str], above: int = 0, right: bool = False) -> str:
    """Python text of an expression."""
    kind = node[0]
    if kind == "c":
        value = node[1]
        return (
            (str(value.numerator) if value >= 0 or not above else f"({value.numerator})")
            if value.denominator == 1
            else (f"Fraction({value.numerator}, {value.denominator})")
        )
    if kind == "q":
        return names[node[1]]
    if kind == "s":
        return f"step{node[1] + 1}"
    rank = _RANK[kind]
    if kind == "neg":
        text = "-" + source(node[1], names, rank)
    else:
        text = f"{source(node[1], names, rank)} {kind} {source(node[2], names, rank, True)}"
    return f"({text})" if rank < above or (rank == above and right) else text


def ratio(node: Node) -> tuple[Node, Node]:
    """An expression as numerator over denominator, neither with a division in it."""
    one: Node = ("c", Fraction(1))
    kind = node[0]
    if kind == "c":
        return ("c", Fraction(node[1].numerator)), ("c", Fraction(node[1].denominator))
    if kind in ("q", "s"):
        return node, one
    if kind == "neg":
        top, bottom = ratio(node[1])
        return ("neg", top), bottom
    (an, ad), (bn, bd) = ratio(node[1]), ratio(node[2])
    if kind == "*":
        return _times(an, bn), _times(ad, bd)
    if kind == "/":
        return _times(an, bd), _times(ad, bn)
    if ad == bd:
        return (kind, an, bn), ad
    return (kind, _times(an, bd), _times(bn, ad)), _times(ad, bd)


def _times(a: Node, b: Node) -> Node:
    one = ("c", Fraction(1))
    if a == one:
        return b
    if b == one:
        return a
    if a[0] == b[0] == "c":
        return ("c", a[1] * b[1])
    return ("*", a, b)


# ------------------------------------------------------------------------------------------------------------------ rules

_CHOOSES = re.compile(
    r"\b(?:cheap\w*|expensive|better|best|worse|whichever|fast\w*|slow\w*|most|least|maximum|minimum|larg\w+|small\w+|bigg\w+|highest|lowest|"
    r"first to|sooner|later|winner|wins?|won|longer|shorter|oldest|youngest|tallest|heavi\w+|enough|exceed\w*|limit|up to|at least|at most|"
    r"capacity|fits?|over|above|beyond|after the first|if (?:they|he|she|you) (?:buys?|spends?|works?)|greater|difference|"
    r"more than|less than|save[sd]?|profit|better deal)\b",
    re.IGNORECASE,
)


_THRESHOLD = re.compile(
    r"\b(?:over|above|exceed\w*|more than|at least|less than|under|up to|first|limit of|maximum of|minimum of|beyond|after|"
    r"at most|no more than|least|below|reach\w*)\s\$?$",
    re.IGNORECASE,
)


def _subnodes(node: Node):
    if node[0] in ("+", "-", "*", "/", "neg"):
        yield node
        for part in node[1:]:
            yield from _subnodes(part)


def _rules(plan: Plan, reach: int = 4) -> None:
    plan.rules = []
    reading, parameters = plan.reading, plan.parameters
    names = [p.name for p in parameters]
    steps = reading.steps
    anchor = [s.value for s in steps]

    def value(node: Node) -> Fraction:
        return evaluate(node, lambda n: n[1] if n[0] == "c" else parameters[n[1]].value if n[0] == "q" else anchor[n[1]])

    def add(rule: str, why: str) -> None:
        if rule not in [r for r, _ in plan.rules]:
            plan.rules.append((rule, why))

    # numbers of one unit keep their order; so do a part and its whole ("5 of the 20")
    varying = {k: p for p in range(len(parameters)) for k in parameters[p].mentions}
    seen: set[tuple[str, str]] = set()
    chooses = bool(_CHOOSES.search(reading.question))
    likes = Counter(reading.mentions[p.mentions[0]].unit for p in parameters)
    for i, a in enumerate(reading.mentions):
        for j, b in enumerate(reading.mentions):
            if a.value >= b.value or not (i in varying or j in varying):
                continue
            between = reading.question[a.end : b.start] if i < j else ""
            part = i < j and re.fullmatch(
                r"\s*(?:\w+\s+){0,2}(?:out\s+)?of\s+(?:the|his|her|their|these|those|its|my|all)?\s*(?:\w+\s+)?", between
            )
            if not part and not chooses and not plan.strict and i in varying and j in varying and likes[a.unit] > 2:
                continue
            if not part and (a.unit != b.unit or not a.unit or (a.style == "fraction" or b.style == "fraction")):
                continue
            left = names[varying[i]] if i in varying else plain(a.value)
            right = names[varying[j]] if j in varying else plain(b.value)
            if (left, right) not in seen:
                seen.add((left, right))
                add(f"{left} < {right}", "the order of like numbers")
    _keep_taken(plan, add)
    if plan.strict:
        _keep_order(plan, add)
    for k, m in enumerate(reading.mentions):
        if k in varying or m.style == "fraction" or m.unit in ("", "%", "/", "time"):
            continue
        for j, step in enumerate(steps):
            if step.unit == m.unit and plan.nodes[j][0] != "c" and step.value != m.value:
                add(f"step{j + 1} {'<' if step.value < m.value else '>'} {plain(m.value)}", "what was less stays less")
    _fit_the_rest(plan, add)
    if re.search(r"\btriangle\b", reading.question) and re.search(r"\bperimeter\b", reading.question):
        longest = max(range(len(parameters)), key=lambda i: parameters[i].value)
        add(f"2 * step{reading.final + 1} < {names[longest]}", "no side is longer than the others together")
    for third, others in _triangle(plan):
        add(f"{third} <= {others}", "no way is longer than the way around")
    for top, bottom in _evenly(plan):
        add(f"{source(top, names, 2)} % {source(bottom, names, 2, True)} == 0", "whole numbers stay whole")
    for whole, i in _shares(plan):
        add(f"{source(whole, names, 2)} * {names[i]} % 100 == 0", "whole numbers stay whole")
    for i, p in enumerate(parameters):
        for k in p.mentions:
            if reading.mentions[k].style != "word" and re.search(r"\ba\s\$?$", reading.question[: reading.mentions[k].start]):
                add(f"str({names[i]})[0] != '8' and {names[i]} not in (11, 18)", "'a' stays 'a'")
    for k, (a, b) in enumerate(zip(reading.mentions, reading.mentions[1:], strict=False)):
        joint = reading.question[a.end : b.start]
        if joint in ("/", ":") and (k in varying or k + 1 in varying) and a.style == b.style == "digits":
            left = names[varying[k]] if k in varying else plain(a.value)
            right = names[varying[k + 1]] if k + 1 in varying else plain(b.value)
            if joint == "/":
                add(f"{left} < {right}", "the order of like numbers")
            if math.gcd(int(a.value), int(b.value)) == 1:
                add(f"math.gcd({left}, {right}) == 1", "what is reduced stays reduced")
    ratios = [k for k, m in enumerate(reading.mentions) if reading.question[m.end :][:1] == ":" or reading.question[: m.start][-1:] == ":"]
    for i in ratios if re.search(r"\bratio", reading.question) else ():
        for j in ratios:
            if reading.mentions[i].value < reading.mentions[j].value and (i in varying or j in varying):
                left = names[varying[i]] if i in varying else plain(reading.mentions[i].value)
                right = names[varying[j]] if j in varying else plain(reading.mentions[j].value)
                add(f"{left} < {right}", "the order of like numbers")
    grown = bool(_GROWN.search(reading.question))
    reach_up = Fraction(6, 5) if re.search(r"temperature", reading.question) else Fraction(3, 2)
    for i, p in enumerate(parameters):
        most = min(p.most or p.value * reach + 20, p.value * reach + 20)
        if p.unit == "inch" and p.value >= 48 and re.search(r"\btall(?:er)?\b", reading.question):
            most = min(most, p.value * Fraction(7, 6))
        if p.unit not in ("%", "/", "$") and (grown or p.unit in _STAY_CLOSE):
            add(f"{int(p.value * Fraction(3, 5))} <= {names[i]} <= {int(p.value * reach_up) + 2}", "numbers of a like size")
        add(f"{plain(min(p.least, p.value))} <= {names[i]} <= {int(most)}", "numbers of a like size")
    coin = next((value for name, value in _COINS if re.search(rf"\b{name}", reading.question)), 1)
    for i, p in enumerate(parameters):
        if p.unit == "cent" and coin > 1 and p.value % coin == 0:
            add(f"{names[i]} % {coin} == 0", "whole numbers stay whole")
        if p.unit in ("hour", "day") and _FEATS.search(reading.question):
            add(f"{names[i]} <= {int(p.value * Fraction(3, 2)) + 1}", "numbers of a like size")
    bounds = [
        m
        for k, m in enumerate(reading.mentions)
        if k not in varying and m.unit != "%" and m.style != "fraction" and _THRESHOLD.search(reading.question[: m.start])
    ]
    for m in bounds:
        for j, step in enumerate(steps):
            if plan.nodes[j][0] != "c" and (step.unit == m.unit or not step.unit or m.unit == "$"):
                sign = "<" if step.value < m.value else ">" if step.value > m.value else "=="
                add(f"step{j + 1} {sign} {plain(m.value)}", "the same side of a threshold")
    percents = sorted({i for i, p in enumerate(parameters) if p.unit == "%"})
    total = sum((parameters[i].value for i in percents), Fraction(0))
    others = sum((m.value for k, m in enumerate(reading.mentions) if m.unit == "%" and k not in varying), Fraction(0))
    if len(percents) + (others > 0) > 1 and total + others <= 100:
        sign = "==" if total + others == 100 else "<"
        add(f"{' + '.join(names[i] for i in percents)} {sign} {plain(100 - others)}", "parts of a hundred")

    aged = bool(_AGES.search(reading.question))
    graded = bool(_GRADED.search(reading.question))
    asks_percent = re.search(r"what percent|percentage|what is the percent", reading.question, re.IGNORECASE)
    for j, step in enumerate(steps):
        v, name = step.value, f"step{j + 1}"
        if plan.nodes[j][0] == "c":
            continue
        if v < 0:
            raise Unreadable(f"negative intermediate: {plain(v)}")
        if v.denominator == 1:
            if not plan.whole:
                add(f"{name}.denominator == 1", "whole numbers stay whole")
            if v == 0:
                add(f"{name} == 0", "nothing stays nothing")
            elif v == 1:
                after = reading.solution[step.end : step.end + 20]
                # "1 apple" fixes it; data that writes "1 apples" does not mind
                spoken = re.match(r"\s*[A-Za-z]*[A-RT-Za-rt-z]\b", after) and step.unit != "$"
                add(f"{name} == 1" if spoken else f"{name} >= 1", "one stays one" if spoken else "no less than one")
            elif step.unit in ("pound", "lb", "kg", "kilogram"):
                add(f"{name} >= {max(2, int(v / 2))}", "weights stay near")
            else:
                add(f"{name} >= 2", "no less than two")
        else:
            scaled = v
            digits = 0
            while scaled.denominator > 1 and digits < 4:
                scaled, digits = scaled * 10, digits + 1
            if scaled.denominator > 1:
                raise Unreadable(f"intermediate not clean: {plain(v)}")
            add(f"({name} * {10 ** max(digits, 2 if step.unit == '$' else 1)}).denominator == 1", "decimals stay as short")
            add(f"0 < {name} < 1" if v < 1 else f"{name} > 1", "shares stay shares")
        cap = next((c for c in _CAPS.get(step.unit, ()) if v <= c), None) if step.unit != "%" else (100 if v <= 100 else None)
        if aged and v <= 100:
            cap = min(cap or 100, 100)
            if v >= 18 and _PARENTS.search(reading.question):
                add(f"18 <= {name} <= {int(max(v * Fraction(4, 3), v + 8))}", "parents are grown up")
        if graded and j == reading.final and v <= 100:
            cap = min(cap or 100, 100)
        if asks_percent and j == reading.final and v <= 100:
            cap = min(cap or 100, 100)
        if step.unit == "inch" and v >= 48 and re.search(r"\btall(?:er)?\b", reading.question):
            cap = min(cap or 10**9, int(v * 7 / 6))
        if step.unit == "year" and v >= 40:
            cap = min(cap or 10**9, int(v * 5 / 4))
        if j == reading.final and re.search(r"\bmiles (?:per|to the|each) gallon|\bmpg\b", reading.question):
            add(f"{int(v * Fraction(3, 5))} <= {name} <= {int(v * Fraction(3, 2)) + 1}", "of a like size")
        if plan.nodes[j][0] == "/" and v.denominator == 1 and _FEATS.search(reading.question) and step.unit in _DISTANCES:
            cap = min(cap or 10**9, int(v * 5 / 4) + 1)
        if cap is not None:
            add(f"{name} <= {cap}", "within what the unit allows")
        else:
            add(f"{name} <= {max(int(v * (reach + 1)), int(v) + 30)}", "of a like size")
        for node in _subnodes(plan.nodes[j]):
            if node[0] == "neg" or node is plan.nodes[j]:
                continue
            inner = value(node)
            if node[0] == "-" and inner > 0:
                add(f"{source(node, names)} > 0", "differences stay positive")
            elif node[0] == "/" and plan.whole and inner.denominator == 1 and inner > 1 and node[2] != ("c", Fraction(100)):
                add(f"{source(node[1], names, 2)} % {source(node[2], names, 2, True)} == 0", "whole numbers stay whole")
            elif node[0] == "/" and 0 < inner < 1:
                top, bottom = ratio(node)
                add(f"{source(top, names)} < {source(bottom, names)}", "shares stay below one")
        if plan.nodes[j][0] == "/" and v < 1:
            top, bottom = ratio(plan.nodes[j])
            add(f"{source(top, names)} < {source(bottom, names)}", "shares stay below one")
    if chooses:
        for j in range(len(steps)):
            for k in range(len(steps)):
                like = steps[j].unit == steps[k].unit or not steps[j].unit or not steps[k].unit
                if steps[j].value < steps[k].value and like and plan.nodes[j][0] != "c" and plan.nodes[k][0] != "c":
                    add(f"step{j + 1} < step{k + 1}", "what is chosen stays chosen")


def _keep_order(plan: Plan, add) -> None:
    """Results of one unit keep their order among themselves and with the numbers of the question."""
    reading, names = plan.reading, [p.name for p in plan.parameters]
    units = [reading.mentions[p.mentions[0]].unit for p in plan.parameters]
    things = [(names[i], p.value, units[i], False) for i, p in enumerate(plan.parameters)]
    things += [
        (f"step{j + 1}", step.value, step.unit, True) for j, step in enumerate(reading.steps) if plan.nodes[j][0] != "c" and step.unit
    ]
    for left, a, unit, found in things:
        for right, b, other, found_too in things:
            if a < b and unit == other and (found or found_too) and unit not in ("", "%", "/", "time"):
                add(f"{left} < {right}", "what was less stays less")


def _keep_taken(plan: Plan, add) -> None:
    """ "buys 50 bars and sells 48 of them" takes no more than there are; "50 points per $10" counts tens of dollars where all were tens."""
    reading = plan.reading
    varying = {k: p.name for p in plan.parameters for k in p.mentions}

    def shown(k: int) -> str:
        return varying.get(k, plain(reading.mentions[k].value))

    for k, m in enumerate(reading.mentions):
        after, before = reading.question[m.end :], reading.question[: m.start]
        if m.unit not in ("$", "%", "/", "time") and re.match(r"(?:\s\w+)?\sof\s(?:them|these|those|which|whom)\b", after):
            more = [i for i, other in enumerate(reading.mentions[:k]) if other.value > m.value and other.unit not in ("$", "%")]
            whole = more[-1] if more else None
            if whole is not None and {k, whole} & varying.keys():
                add(f"{shown(k)} < {shown(whole)}", "no more is taken than there is")
            for j, step in enumerate(reading.steps) if whole is None and k in varying else ():
                if step.value > m.value and plan.nodes[j][0] != "c":
                    add(f"{shown(k)} < step{j + 1}", "no more is taken than there is")
                    break
        if plan.whole and m.value >= 2 and m.style != "fraction" and re.search(r"\b(?:per|every|each)\s\$?$", before):
            for j, step in enumerate(reading.steps):
                if step.unit == m.unit and step.value % m.value == 0 and plan.nodes[j][0] != "c":
                    add(f"step{j + 1} % {shown(k)} == 0", "whole numbers stay whole")


def _fit_the_rest(plan: Plan, add) -> None:
    """A share of a number leaves a rest, and another part of that number cannot be more than the rest."""
    reading, names = plan.reading, [p.name for p in plan.parameters]
    for j, node in enumerate(plan.nodes):
        whole = next((n[1] for n in leaves_of(node) if n[0] == "q"), None)
        if node[0] not in ("*", "/") or whole is None or any(n[0] == "s" for n in leaves_of(node)):
            continue
        total, share = plan.parameters[whole].value, reading.steps[j].value
        if share < total and sum(n[0] == "q" for n in leaves_of(node)) == 1:
            for i, p in enumerate(plan.parameters):
                if i != whole and p.value <= total - share and p.unit not in ("$", "%", "/", "time"):
                    add(f"{names[i]} <= {names[whole]} - step{j + 1}", "parts fit in the rest")


def _triangle(plan: Plan):
    """The longest of three distances between places, and the sum of the other two."""
    reading = plan.reading
    if not re.search(r"\b(?:home|house|school|store|park|town|city|from)\b", reading.question):
        return
    varying = {k: p.name for p in plan.parameters for k in p.mentions}
    for unit in ("mile", "kilometer", "km", "block", "meter"):
        legs = [k for k, m in enumerate(reading.mentions) if m.unit == unit]
        if len(legs) != 3 or not varying.keys() & set(legs):
            continue
        *short, long = sorted(legs, key=lambda k: reading.mentions[k].value)
        if reading.mentions[long].value <= sum(reading.mentions[k].value for k in short):
            shown = [varying.get(k, plain(reading.mentions[k].value)) for k in (long, *short)]
            yield shown[0], f"{shown[1]} + {shown[2]}"


def _at_original(plan: Plan, node: Node) -> Fraction:
    return evaluate(node, lambda n: n[1] if n[0] == "c" else plan.parameters[n[1]].value if n[0] == "q" else plan.reading.steps[n[1]].value)


def _shares(plan: Plan):
    """Numbers of things, with each percent that is taken of them in a sum or a difference of percents: people stay whole there too."""
    percents = {i for i, p in enumerate(plan.parameters) if p.unit == "%"}
    for node in plan.nodes if len(percents) > 1 else ():
        for part in _subnodes(node):
            for whole, share in ((part[1], part[2]), (part[2], part[1])) if part[0] == "*" else ():
                inside = percents & _parameters_in(plan, share)
                if len(inside) < 2 or percents & _parameters_in(plan, whole) or whole[0] not in ("q", "s"):
                    continue
                unit = plan.reading.steps[whole[1]].unit if whole[0] == "s" else plan.parameters[whole[1]].unit
                for i in inside if unit != "$" else ():
                    if (_at_original(plan, whole) * plan.parameters[i].value / 100).denominator == 1:
                        yield whole, i


def _refuse_idle(plan: Plan) -> None:
    """Raises Unreadable where a number multiplies and then divides away again: the steps then meant something else that is equal to it."""
    values = {i: p.value for i, p in enumerate(plan.parameters)}
    final = plan.reading.final
    for i, p in enumerate(plan.parameters):
        roles = {side for node in plan.nodes for side in sides(node, ("q", i))}
        if len(p.mentions) > 1 or len(roles) < 2:
            continue
        try:
            if all(
                chain_values(plan.nodes, values | {i: p.value * factor})[final] == plan.reading.answer
                for factor in (Fraction(9, 7), Fraction(11, 5))
            ):
                raise Unreadable(f"the answer does not hang on a number: {plain(p.value)}")
        except ZeroDivisionError:
            continue


_COMPARES = re.compile(
    r"\b(?:cheap\w*|expensive|better|best|worse|worst|whichever|fast\w*|slow\w*|most|least|maximum|minimum|largest|smallest|biggest|"
    r"highest|lowest|longest|shortest|longer|shorter|winner|wins?|won|oldest|youngest|tallest|heaviest|lightest|sooner|first to|"
    r"greater|greatest)\b",
    re.IGNORECASE,
)


def _refuse_untold(plan: Plan) -> None:
    """Raises Unreadable where the way from the question's numbers to the answer has a gap that only the original numbers bridge.

    So is a number that the steps use and the answer does not hang on ("4 * 250 = 1000 grams, which is a kilogram, and 1 * 14 = 14"),
    unless the question compares, and a constant that more steps need than the question's words tell of ("2 + 1 = 3 of the 5 trees").
    """
    reached: set[int] = set()
    todo = [plan.reading.final]
    while todo:
        j = todo.pop()
        reached.add(j)
        todo += [leaf[1] for leaf in leaves_of(plan.nodes[j]) if leaf[0] == "s" and leaf[1] not in reached]
    if not _COMPARES.search(plan.reading.question):
        live = {leaf[1] for j in reached for leaf in leaves_of(plan.nodes[j]) if leaf[0] == "q"}
        dead = [p for i, p in enumerate(plan.parameters) if i not in live]
        if dead:
            raise Unreadable(f"the answer does not hang on a number: {plain(dead[0].value)}")
    varying = {k for p in plan.parameters for k in p.mentions}
    constant = {leaf[1] for node in plan.nodes for leaf in leaves_of(node) if leaf[0] == "c"}
    for k, m in enumerate(plan.reading.mentions):
        # "installments of $65", where a step computes 780 / 12 = 65: the question would tell another number than the solution
        if k not in varying and m.value >= 5 and m.style != "fraction" and m.value not in constant:
            for step, node in zip(plan.reading.steps, plan.nodes, strict=True):
                if step.value == m.value and step.unit == m.unit != "" and node[0] != "c":
                    raise Unreadable(f"a result is told by the question: {plain(m.value)}")
    needed = Counter(
        leaf[1]
        for read, node in zip(plan.reading.nodes, plan.nodes, strict=True)
        if node[0] == "c"
        for leaf in leaves_of(read)
        if leaf[0] == "c" and leaf[1] in RELATIONAL
    )
    for value, count in needed.items():
        if count > told(value, plan.reading.question, plan.reading.mentions):
            raise Unreadable(f"a number is told by nothing: {plain(value)}")


def _evenly(plan: Plan):
    """Products of two numbers of which just one is a multiple of the divisor: the one that the divisor shares out."""

    for node in plan.nodes if plan.whole else ():
        for part in _subnodes(node):
            if part[0] != "/" or not _parameters_in(plan, part[2]) or any(n[0] == "/" for n in _subnodes(_expand(plan, part[2]))):
                continue
            top = plan.nodes[part[1][1]] if part[1][0] == "s" else part[1]
            if top[0] != "*" or top[1][0] not in ("q", "s") or top[2][0] not in ("q", "s"):
                continue
            even = [factor for factor in top[1:] if _at_original(plan, factor) % _at_original(plan, part[2]) == 0]
            if len(even) == 1:
                yield even[0], part[2]


# ---------------------------------------------------------------------------------------------------------------- plan


def plan_of(reading: Reading) -> Plan:
    """Parameters, chain and rules of a program for this reading; raises Unreadable when sensible draws are too rare or too alike.

    The strictest rules are tried first: the nearer a draw is to the original in all its proportions, the surer it makes sense.
    """
    for strict in (True, False):
        parameters, of = _parameters(reading)
        if not parameters:
            raise Unreadable("no number may vary")
        nodes = [_over(node, of, lambda i: reading.mentions[i].value) for node in reading.nodes]
        whole = all(p.value.denominator == 1 and p.step.denominator == 1 for p in parameters) and all(
            s.value.denominator == 1 for s in reading.steps
        )
        plan = Plan(reading, parameters, nodes, whole, strict=strict)
        _refuse_idle(plan)
        _refuse_untold(plan)
        _rules(plan, 2 if strict else 4)
        try:
            _tune(plan)
        except Unreadable:
            if not strict:
                raise
            continue
        return plan
    raise AssertionError


_PEOPLE = {
    "friend",
    "sibling",
    "child",
    "brother",
    "sister",
    "person",
    "kid",
    "student",
    "player",
    "member",
    "coworker",
    "cousin",
    "roommate",
    "guest",
    "man",
    "woman",
    "boy",
    "girl",
    "son",
    "daughter",
    "neighbor",
    "colleague",
    "teammate",
}


def _related(reading: Reading, used: set[int]) -> set[int]:
    """Used numbers which an unused number of the question depends on ("3 packs of 4, 12 in all"; "with 5 friends, all six"): they stay."""
    worth = {i: reading.mentions[i].value for i in used}
    spoken = {value for step in reading.steps for *_, value in step.leaves} | set(worth.values())
    idle = [m for i, m in enumerate(reading.mentions) if i not in used and m.value not in spoken]
    kept: set[int] = set()
    for i in used:
        # "the average of all 14 men and women": 8 men and 6 women were told of, and no step adds them
        if not re.search(r"\b(?:all|the|these|those|of|total(?:s|ed)?)\s$", reading.question[: reading.mentions[i].start]):
            continue
        for a, b in itertools.combinations([k for k in used if k < i], 2):
            if worth[a] + worth[b] == worth[i] > 4 and not any(step.value == worth[i] for step in reading.steps):
                kept |= {i, a, b}
    kept |= _told_totals(reading, used)
    for m in reading.mentions:
        # "all four beds": two of them were told of and two more, and no step adds them
        if re.search(r"\ball\s(?:of\s)?(?:the\s)?$", reading.question[: m.start]) and all(s.value != m.value for s in reading.steps):
            twice = {a for a in used if 2 * worth[a] == m.value and sum(other.value == worth[a] for other in reading.mentions) > 1}
            pairs = {k for a, b in itertools.combinations(used, 2) if worth[a] + worth[b] == m.value for k in (a, b)}
            kept |= twice | pairs
    for a, b in itertools.combinations(used, 2):
        # "150 cookies, so that her 15 neighbors get 10 each": no step multiplies what the text says is equal
        for i in used - {a, b}:
            first, last = sorted((reading.mentions[a].start, reading.mentions[b].start, reading.mentions[i].start))[::2]
            near = not re.search(r"[.!?]\s", reading.question[first:last])
            if (
                worth[a] * worth[b] == worth[i]
                and min(worth[a], worth[b]) >= 3
                and near
                and all(s.value != worth[i] for s in reading.steps)
            ):
                kept |= {i, a, b}
    for m in idle:
        u = m.value
        for a in used:
            x = worth[a]
            if (m.unit in _PEOPLE or reading.mentions[a].unit in _PEOPLE) and abs(u - x) == 1:
                kept.add(a)
            if u < 7:
                continue
            if u in (2 * x, x / 2, 100 - x):
                kept.add(a)
            for b in used:
                y = worth[b]
                if a != b and u in (x * y, x - y):
                    kept |= {a, b}
        if u >= 7:
            rest = [
                (k, other.value)
                for k, other in enumerate(reading.mentions)
                if other is not m and other.value < u and other.style != "fraction"
            ][:10]
            for size in range(2, len(rest) + 1):
                for some in itertools.combinations(rest, size):
                    if sum(v for _, v in some) == u:
                        kept |= {k for k, _ in some if k in used}
    # equal numbers are one parameter: all of them stay
    stay = {worth[k] for k in kept}
    return {k for k in used if worth[k] in stay}


def _told_totals(reading: Reading, used: set[int]) -> set[int]:
    """Used numbers of which one is the sum of others that stand in a row, where no step adds them: "18 reviews: six, seven, four, one"."""
    named = ("an ordinal", "a name", "a year", "a time of day", "part of a name, a ratio or a range")
    counted = [
        k
        for k, m in enumerate(reading.mentions)
        if m.style != "fraction" and m.fixed not in named and reading.question[m.end : m.end + 1] != "-"
    ]
    kept: set[int] = set()
    for i in used:
        m = reading.mentions[i]
        if m.value < 6 or any(step.value == m.value for step in reading.steps):
            continue
        rest = [k for k in counted if k != i]
        for a, b in itertools.combinations(range(len(rest) + 1), 2):
            run = rest[a:b]
            like = len({reading.mentions[k].unit in ("$", "%") for k in (i, *run)}) == 1
            if len(run) > 2 and like and sum(reading.mentions[k].value for k in run) == m.value:
                kept |= {i, *run} & used
    return kept


def _may_vanish(node: Node) -> bool:
    """Whether a divisor may be zero: parameters and constants are not."""
    return any(leaf[0] == "s" for leaf in leaves_of(node)) or any(part[0] in ("-", "neg") for part in _subnodes(node))


def _solve_lines(plan: Plan) -> list[str]:
    names = [p.name for p in plan.parameters]
    lines = []
    if not plan.whole:
        for name in names:
            lines.append(f"{name} = Fraction(str({name}))")
    for j, node in enumerate(plan.nodes):
        if plan.whole:
            top, bottom = ratio(node)
            if bottom == ("c", Fraction(1)):
                lines.append(f"step{j + 1} = {source(top, names)}")
            else:
                t, b = source(top, names, 2), source(bottom, names, 2, True)
                lines.append(f"if {source(bottom, names)} == 0 or {t} % {b}:" if _may_vanish(bottom) else f"if {t} % {b}:")
                lines.append("    return None")
                lines.append(f"step{j + 1} = {t} // {b}")
        else:
            for part in _subnodes(node):
                if part[0] == "/" and _may_vanish(part[2]):
                    lines.append(f"if {source(part[2], names)} == 0:")
                    lines.append("    return None")
            lines.append(f"step{j + 1} = {_safe(node, names)}")
    return lines


def _steps_tuple(plan: Plan) -> str:
    return ", ".join(f"step{j + 1}" for j in range(len(plan.nodes))) + ("," if len(plan.nodes) == 1 else "")


def chain_source(plan: Plan) -> str:
    """Source of `solve` and `sensible`: arithmetic over the parameters, no text of the item in it."""
    names = ", ".join(p.name for p in plan.parameters)
    out = [f"def solve({names}):", '    """The steps of the solution; None where they do not come out whole."""']
    out += ["    " + line for line in _solve_lines(plan)]
    out.append(f"    return {_steps_tuple(plan)}")
    out += ["", "", f"def sensible({names}):", '    """Whether the problem and every step of its solution make sense."""']
    ranks = {
        "the order of like numbers": 0,
        "parts of a hundred": 0,
        "numbers of a like size": 0,
        "'a' stays 'a'": 0,
        "what is reduced stays reduced": 0,
    }
    rules = sorted(plan.rules, key=lambda rule: ranks.get(rule[1], 1))
    early = [r for r in rules if ranks.get(r[1], 1) == 0]
    late = [r for r in rules if ranks.get(r[1], 1) == 1]
    if early:
        out.append(f"    if not ({_joined([r for r, _ in early], 13)}):")
        out.append("        return False")
    out.append(f"    steps = solve({names})")
    out += ["    if steps is None:", "        return False"]
    out.append(f"    {_steps_tuple(plan)} = steps")
    groups: dict[str, list[str]] = {}
    for rule, why in late:
        groups.setdefault(why, []).append(rule)
    lines = []
    for why, mine in groups.items():
        joined = _joined(mine, 8)
        lines.append(f"        {joined}  # {why}" if "\n" not in joined else f"        {joined}")
    if lines:
        out.append("    return (")
        out += ["".join(lines[0:1])] + ["        and " + line.lstrip() for line in lines[1:]]
        out.append("    )")
    else:
        out.append("    return True")
    return "\n".join(out) + "\n"


def _joined(rules: list[str], indent: int) -> str:
    lines, line = [], ""
    for rule in rules:
        piece = rule if not line else " and " + rule
        if len(line) + len(piece) > 90:
            lines.append(line)
            line = "and " + rule
        else:
            line += piece
    lines.append(line)
    return ("\n" + " " * indent).join(lines)


def pick_source(p: Parameter, names: list[str]) -> str:
    """Source of the expression that draws a parameter."""
    if p.via is not None:
        node, quotient = p.via
        text = f"pick(rng, level, {plain(quotient)}, least={1 if quotient < 2 else 2}"
        text += f", room={p.room}" if p.room != 1 else ""
        return source(node, [*names, text + ")"])
    text = f"pick(rng, level, {plain(p.value - p.plus)}"
    if p.step != 1:
        text += f", step={plain(p.step)}"
    if p.least != 2:
        text += f", least={plain(p.least)}"
    if p.most is not None:
        text += f", most={plain(p.most)}"
    if p.close or p.wide:
        text += f", spread={'CLOSE' if p.close else p.spread or 'WIDE'}"
    if p.room != 1:
        text += f", room={p.room}"
    if p.plus:
        text += f", plus={plain(p.plus)}"
    return text + ")"


def _ends(level: int, how: tuple) -> tuple[int, int]:
    """The least and the largest multiple of its grain that `kit.pick` draws."""
    asked: list[tuple[int, int]] = []

    def randint(first: int, last: int) -> int:
        asked.append((first, last))
        return first

    kit.pick(SimpleNamespace(randint=randint), level, *how)
    return asked[0]


def _drawer(plan: Plan):
    """What the emitted program draws: a function of generator and level, with all that stays the same from draw to draw set out once."""
    ways: list[tuple[int, Node | None, tuple]] = []
    for i in _order(plan):
        p = plan.parameters[i]
        if p.via is not None:
            node, quotient = p.via
            ways.append((i, node, (int(quotient), 1, 1 if quotient < 2 else 2, 10**9, kit.NEAR, p.room)))
        else:
            value, step, least, most, plus = (
                int(x) if x.denominator == 1 else float(x) for x in (p.value - p.plus, p.step, p.least, p.most or Fraction(10**9), p.plus)
            )
            spread = kit.CLOSE if p.close else getattr(kit, p.spread) if p.spread else kit.WIDE if p.wide else kit.NEAR
            ways.append((i, None, (value, step, least, most, spread, p.room, plus)))

    ends = [[_ends(level, how) for level in range(1, 6)] for _, _, how in ways]

    def draw(rng: random.Random, level: int) -> tuple:
        values: list = [0] * len(plan.parameters)
        for (i, node, how), between in zip(ways, ends, strict=True):
            grain = how[1]
            fractional = isinstance(grain, float) or (len(how) > 6 and how[6])
            k = kit.pick(rng, level, *how) if fractional else grain * rng.randint(*between[level - 1])
            if node is None:
                values[i] = k
            else:
                values[i] = int(evaluate(node, lambda n, k=k: n[1] if n[0] == "c" else k if n[1] == len(values) else values[n[1]]))
        return tuple(values)

    return draw


def _order(plan: Plan) -> list[int]:
    """Parameters in the order of drawing: those computed from others come last."""
    return sorted(range(len(plan.parameters)), key=lambda i: plan.parameters[i].via is not None)


def _measure(plan: Plan, check: dict, tries: int = 60) -> tuple[float, int, int]:
    """Least share of sensible draws over the levels; distinct problems and answers among at most 40 of them a level."""
    worst, problems, answers = 1.0, set(), set()
    original = tuple(float(p.value) for p in plan.parameters)
    draw = _drawer(plan)
    for level in (1, 2, 3, 4, 5):
        rng = random.Random(level)
        good = made = 0
        while made < tries and good < 40:
            made += 1
            values = draw(rng, level)
            if values != original and check["sensible"](*values):
                good += 1
                answer = check["solve"](*values)[plan.reading.final]
                problems.add((tuple(sorted(values)), answer))
                answers.add(answer)
        worst = min(worst, good / made)
    return worst, len(problems), len(answers)


def _isolate(plan: Plan, node: Node, i: int, target: Node) -> Node | None:
    """The expression of parameter i for which `node` is `target`; None where it takes more than adding and subtracting."""
    if node == ("q", i):
        return target
    if node[0] == "s":
        return _isolate(plan, plan.nodes[node[1]], i, target)
    if node[0] not in ("+", "-"):
        return None
    inside = [i in _parameters_in(plan, part) for part in node[1:]]
    if inside[0] == inside[1]:
        return None
    if node[0] == "+":
        return _isolate(plan, node[1] if inside[0] else node[2], i, ("-", target, node[2] if inside[0] else node[1]))
    return _isolate(plan, node[1], i, ("+", target, node[2])) if inside[0] else _isolate(plan, node[2], i, ("-", node[1], target))


def _parameters_in(plan: Plan, node: Node) -> set[int]:
    found: set[int] = set()
    for leaf in leaves_of(node):
        found |= {leaf[1]} if leaf[0] == "q" else _parameters_in(plan, plan.nodes[leaf[1]]) if leaf[0] == "s" else set()
    return found


def _expand(plan: Plan, node: Node) -> Node:
    if node[0] == "s":
        return _expand(plan, plan.nodes[node[1]])
    return node if node[0] in ("q", "c") else (node[0], *(_expand(plan, part) for part in node[1:]))


def _quotients(plan: Plan):
    """Ways to draw a number through the quotient that must come out whole: index, expression, quotient at the original."""
    fresh: Node = ("q", len(plan.parameters))
    for _j, step in enumerate(plan.nodes):
        for node in _subnodes(step):
            if node[0] != "/" or (node[2][0] == "c" and node[2][1].denominator > 1):
                continue
            quotient = evaluate(
                node, lambda n: n[1] if n[0] == "c" else plan.parameters[n[1]].value if n[0] == "q" else plan.reading.steps[n[1]].value
            )
            if quotient.denominator > 1 or quotient < 1:
                continue
            below = _parameters_in(plan, node[2])
            for i in _parameters_in(plan, node[1]) - below:
                found = _isolate(plan, node[1], i, ("*", node[2], fresh))
                expression = _expand(plan, found) if found else None
                if (
                    expression
                    and not any(part[0] == "/" for part in _subnodes(expression))
                    and all(n[0] != "c" or n[1].denominator == 1 for n in leaves_of(expression))
                ):
                    yield i, expression, quotient


_PEOPLED = re.compile(
    r"\b(?:students?|class|classroom|child(?:ren)?|kids?|family|team|friends?|people|party|age|years?|hours?|weigh\w*)\b", re.IGNORECASE
)


def _tune(plan: Plan) -> None:
    """Finds grains and widths at which sensible draws are common and unlike each other."""
    space: dict = {"Fraction": Fraction, "math": math}
    values = [int(p.value) if p.value.denominator == 1 else float(p.value) for p in plan.parameters]

    def load() -> None:
        # arithmetic over names and numbers of our own making: no text of the item is run
        exec(compile(chain_source(plan), "<chain>", "exec"), space)

    load()
    thorough = (0.0, 0, 0)
    if not space["sensible"](*values):
        raise Unreadable("the original numbers break their own bounds")

    def score(result: tuple[float, int, int]) -> float:
        return result[1] + 0.5 * min(result[2], 40) + 40 * min(result[0], 0.2)

    climbs = 0
    aged = bool(_AGES.search(plan.reading.question))
    grown = bool(_GROWN.search(plan.reading.question))
    for room, wide in ((1, False), (2, False), (4, False), (4, True), (7, True), (12, True), (24, True))[: 4 if plan.strict else 7]:
        if room >= 12:
            if (
                len(plan.parameters) > 2
                or _PEOPLED.search(plan.reading.question)
                or any(p.close or p.unit in ("%", "/") for p in plan.parameters)
                or (room > 12 and any(p.value < 10 and p.unit != "$" for p in plan.parameters))
            ):
                break
            _rules(plan, 7 if room == 12 else 16)
            load()
        for p in plan.parameters:
            p.close = p.close and not (room >= 4 and not aged and p.unit not in _STAY_CLOSE and not grown)
            p.room = max(p.room, room if p.value < 60 and (not p.close or room < 4) else min(room, 2))
            p.wide = wide and not p.close and p.unit not in ("%", "/")
            p.spread = {12: "HUGE", 24: "VAST"}.get(room, "")
        best = _measure(plan, space)
        if plan.whole and (best[0] < 0.05 or best[1] < 60):
            for i, expression, quotient in _quotients(plan):
                p = plan.parameters[i]
                if (
                    p.via is not None
                    or p.unit == "%"
                    or any(plan.parameters[k].via is not None for k in _parameters_in(plan, expression) if k < len(plan.parameters))
                ):
                    continue
                p.via = (expression, quotient)
                result = _measure(plan, space)
                if score(result) > score(best) * 1.2 + 5:
                    best = result
                else:
                    p.via = None
        for _ in range(3):
            if (best[0] >= 0.10 and best[1] >= 80) or climbs > CLIMBS:
                break
            improved = False
            for p in plan.parameters:
                if p.plus or p.value.denominator > 1 or p.via is not None:
                    continue
                old, v = p.step, int(p.value)
                options = [d for d in range(1, min(v // 2, 120) + 1) if v % d == 0 and d != old]
                for d in options if len(options) <= 16 else options[:8] + options[-8:]:
                    p.step = Fraction(d)
                    climbs += 1
                    result = _measure(plan, space)
                    if score(result) > score(best) * 1.1 + 2:
                        best, old, improved = result, p.step, True
                p.step = old
            if not improved:
                break
        thorough = _measure(plan, space, 1500)
        if thorough[0] >= 0.012 and thorough[1] >= 54 and thorough[2] >= (5 if thorough[1] >= 90 else 10):
            return
    if thorough[0] < 0.012:
        raise Unreadable(f"sensible draws are too rare: {100 * thorough[0]:.1f} %")
    raise Unreadable(f"draws are too much alike: {thorough[1]} problems, {thorough[2]} answers")


# ------------------------------------------------------------------------------------------------------------------ emit


def emit(plan: Plan, failure_id: str, skill: str) -> str:
    """Source of the whole program."""
    reading, parameters = plan.reading, plan.parameters
    names = [p.name for p in parameters]
    fields: dict[str, str] = {}
    question = _template(
        reading.question,
        [
            (m.start, m.end, _field(p.name, m.text, m.style, ("q", i), plan, fields))
            for i, p in enumerate(parameters)
            for m in (reading.mentions[k] for k in p.mentions)
        ],
    )
    of = {k: i for i, p in enumerate(parameters) for k in p.mentions}
    slots = []
    for start, end, node in reading.slots:
        over = _over(node, of, lambda i: reading.mentions[i].value)
        if over[0] == "c":
            continue
        text = reading.solution[start:end]
        style = "word" if text[0].isalpha() else "commas" if "," in text else "digits"
        slots.append((start, end, _field(_slot_name(over, names), text, style, over, plan, fields)))
    solution = _solution(plan, slots, fields)
    answer = f"step{reading.final + 1}"
    needs = [
        name for name in ("grouped", "cents", "words") if any((name + "(" if name != "words" else "WORDS[") in f for f in fields.values())
    ]
    fractions_needed = (
        not plan.whole
        or plan.wrong is not None
        or any("show(" in f or "grouped(" in f or "Fraction(" in f for f in fields.values())
        or ("Fraction(" in chain_source(plan))
    )
    head = ["import math"]
    if fractions_needed:
        head.append("from fractions import Fraction")
    parts = [
        f'"""Practice for: {_one_line(skill)}. The numbers of one problem are drawn anew and its solution is computed again."""',
        "",
        *head,
        "",
        f"NEAR = {kit.NEAR!r}",
    ]
    if any(p.close for p in parameters):
        parts.append(f"CLOSE = {kit.CLOSE!r}")
    spreads = {p.spread for p in parameters if p.spread and not p.close and p.via is None}
    parts += [f"{name} = {getattr(kit, name)!r}" for name in sorted(spreads)]
    if not spreads and any(p.wide and not p.close and p.via is None for p in parameters):
        parts.append(f"WIDE = {kit.WIDE!r}")
    if any("PARTS" in f for f in fields.values()):
        parts.append(f"PARTS = {kit.PARTS!r}")
    if "words" in needs:
        parts.append(f"WORDS = {' '.join(kit.WORDS)!r}.split()")
    parts += ["", f"QUESTION = {_text(question)}", f"SOLUTION = {_text(solution)}", "", ""]
    parts.append(inspect.getsource(kit.pick))
    if fractions_needed:
        parts += ["", inspect.getsource(kit.show)]
    for name in needs:
        if name != "words":
            parts += ["", inspect.getsource(getattr(kit, name))]
    parts += ["", chain_source(plan)]
    arguments = ", ".join(names)
    keywords = "{" + ", ".join(f'"{n}": {n}' for n in names) + "}"
    anchor = "{" + ", ".join(f'"{p.name}": {plain(p.value)}' for p in parameters) + "}"
    parts += ["", "def draw(rng, level):", f"    for _ in range({TRIES}):"]
    parts += [f"        {parameters[i].name} = {pick_source(parameters[i], names)}" for i in _order(plan)]
    original = ", ".join(plain(p.value) for p in parameters) + ("," if len(parameters) == 1 else "")
    condition = f"({arguments}{',' if len(parameters) == 1 else ''}) != ({original}) and sensible({arguments})"
    if plan.wrong is not None:
        condition += f" and tells({arguments})"
    parts += [f"        if {condition}:", f"            return {keywords}", f"    return {anchor}  # the original", "", ""]
    parts += [f"def make({arguments}):"]
    if answer == _steps_tuple(plan).rstrip(","):
        parts.append(f"    (step1,) = solve({arguments})")
    else:
        parts.append(f"    {_steps_tuple(plan)} = solve({arguments})")
    parts.append("    shown = {")
    parts += [f'        "{key}": {expression},' for key, expression in fields.items()]
    parts.append("    }")
    shown = "show" if not plan.whole else "str"
    parts += [
        "    return {",
        '        "question": QUESTION.format(**shown),',
        '        "solution": SOLUTION.format(**shown),',
        f'        "answer": {shown}({answer}),',
        "    }",
        "",
    ]
    if plan.wrong is not None:
        parts += ["", f"def wrong({arguments}):"]
        parts += [f"    {n} = Fraction(str({n}))" for n in names]
        for j, node in enumerate(plan.wrong):
            parts.append(f"    step{j + 1} = {_safe(node, names)}")
        parts += [
            f"    return show(step{len(plan.wrong)})",
            "",
            "",
            f"def tells({arguments}):",
            '    """Whether the misconception gives another answer here."""',
            "    try:",
            f"        return Fraction(wrong({arguments})) != solve({arguments})[{reading.final}]",
            "    except ZeroDivisionError:",
            "        return False",
            "",
        ]
    parts += ["", f"ANCHORS = {{{failure_id!r}: {anchor}}}", ""]
    return "\n".join(parts)


def _safe(node: Node, names: list[str]) -> str:
    text = source(node, names)
    return f"Fraction({text})" if all(n[0] == "c" for n in leaves_of(node)) and not text.startswith("Fraction(") else text


def _one_line(text: str) -> str:
    return re.sub(r"[\\\"\s]+", " ", text).strip()


def _slot_name(node: Node, names: list[str]) -> str:
    if node[0] == "q":
        return names[node[1]]
    if node[0] == "s":
        return f"step{node[1] + 1}"
    letters = {"/": "share", "-": "rest", "+": "raised", "*": "percent"}
    return (
        next(names[n[1]] if n[0] == "q" else f"step{n[1] + 1}" for n in leaves_of(node) if n[0] != "c") + "_" + letters.get(node[0], "kin")
    )


def _field(name: str, text: str, style: str, node: Node, plan: Plan, fields: dict[str, str]) -> str:
    """Registers how a number is shown and returns its key."""
    names = [p.name for p in plan.parameters]
    plainly = node[0] in ("q", "s")
    expression = name if plainly else source(node, names)
    exact = plan.whole and plainly
    if not plainly and "/" in expression:
        first = next(n for n in leaves_of(node) if n[0] != "c")
        inner = names[first[1]] if first[0] == "q" else f"step{first[1] + 1}"
        expression = expression.replace(inner, f"Fraction({inner})", 1)
    if style == "part":
        spelled = "quarter" if text.lower().startswith("quarter") else ""
        key, shown = name + "_part", f"PARTS[{expression}]" + (' + "s"' if text.endswith("s") else "")
        if spelled:
            key, shown = name + "_part", shown.replace("PARTS[", 'PARTS | {4: "quarter"})[').replace("PARTS |", "(PARTS |", 1)
        while fields.setdefault(key, shown) != shown:
            key += "_b"
        return key
    if style == "word" and not (node[0] == "q" and (plan.parameters[node[1]].most or 99) <= 20):
        style = "digits"
    if style == "word":
        key, shown = (
            name + ("_Word" if text[0].isupper() else "_word"),
            f"WORDS[{expression}]" + (".capitalize()" if text[0].isupper() else ""),
        )
    elif style == "decimal" and re.search(r"\.\d\d$", text) and plainly:
        key, shown = name + "_cents", f"cents({expression})" + (".lstrip('0')" if text[0] == "." else "")
    elif text[0] == "." and plainly:
        key, shown = name + "_point", f"show(str({expression})).lstrip('0')"
    elif style == "commas" and "." in text:
        key, shown = name + "_grouped", f'f"{{float({expression}):,.{len(text.rpartition(".")[2])}f}}"'
    elif style == "commas":
        key, shown = name + "_grouped", f'f"{{{expression}:,}}"' if exact else f"grouped({expression})"
    else:
        key, shown = name, expression if exact else f"show({_exact(expression, node, plan)})"
    while fields.setdefault(key, shown) != shown:
        key += "_b"
    return key


def _exact(expression: str, node: Node, plan: Plan) -> str:
    return f"str({expression})" if node[0] == "q" and not plan.whole else expression


def _template(text: str, slots: list[tuple[int, int, str]]) -> str:
    out, at = [], 0
    for start, end, key in sorted(slots):
        if start < at:
            continue
        out += [text[at:start].replace("{", "{{").replace("}", "}}"), "{" + key + "}"]
        at = end
    out.append(text[at:].replace("{", "{{").replace("}", "}}"))
    return "".join(out)


def _solution(plan: Plan, slots: list[tuple[int, int, str]], fields: dict[str, str]) -> str:
    """The solution's template; a line with an unexplained number keeps its computations only."""
    reading = plan.reading
    bare = set(reading.bare)
    if not bare:
        return _template(reading.solution, slots)
    lines, start = [], 0
    for line in reading.solution.split("\n"):
        end = start + len(line)
        inside = [(a - start, b - start, key) for a, b, key in slots if start <= a and b <= end]
        if not any(a <= start < b or a == start for a, b in bare):
            lines.append(_template(line, inside))
        else:
            for j, step in enumerate(reading.steps):
                if start <= step.start and step.end <= end:
                    lines.append(_computation(plan, j, slots, "{" + _field(f"step{j + 1}", "0", "digits", ("s", j), plan, fields) + "}"))
        start = end + 1
    return "\n".join(line for line in lines if line.strip())


def _computation(plan: Plan, j: int, slots: list[tuple[int, int, str]], result: str) -> str:
    """A step as "3*4 = <<3*4=12>>12", over the fields of its numbers."""
    step = plan.reading.steps[j]
    keys = {(a, b): "{" + key + "}" for a, b, key in slots}
    leaves = [keys.get((a, b), plain(value)) for a, b, value in step.leaves]

    def infix(node: Node, above: int = 0, right: bool = False) -> str:
        if node[0] == "leaf":
            return leaves[node[1]]
        if node[0] == "pct":
            return infix(node[1], 3) + "%"
        if node[0] == "neg":
            return "-" + infix(node[1], 3)
        rank = _RANK[node[0]]
        text = f"{infix(node[1], rank)}{node[0]}{infix(node[2], rank, True)}"
        return f"({text})" if rank < above or (rank == above and right) else text

    left = infix(step.node)
    return f"{left} = <<{left}={result}>>{result}"


def _text(template: str) -> str:
    """A string literal over several lines, one a line of the text."""
    pieces = [line + "\n" for line in template.split("\n")]
    pieces[-1] = pieces[-1][:-1]
    wrapped: list[str] = []
    for piece in pieces:
        wrapped += re.findall(r"(?:.|\n){1,100}(?:(?<=\s)|$)|(?:.|\n){1,100}", piece) or [piece]
    literal = "\n".join("    " + repr(piece) for piece in wrapped if piece)
    return f"(\n{literal}\n)"


def write(question: str, reference: str, response: str, failure_id: str, skill: str, careful: bool = False) -> str:
    """A program for one problem; raises Unreadable. Fractions of the question vary only where its other numbers give too little.

    `careful` leaves `wrong` out.
    """
    try:
        plan = plan_of(read(question, reference))
    except Unreadable as error:
        if not re.search(
            r"\d\s?/\s?\d|thirds?\b|fourths?\b|quarters?\b|fifths?\b|sixths?\b|sevenths?\b|eighths?\b|ninths?\b|tenths?\b", question
        ):
            raise
        try:
            plan = plan_of(read(question, reference, fractions=True))
        except Unreadable:
            raise error from None
    if not careful:
        _mislead(plan, response)
    return emit(plan, failure_id, skill)


def _mislead(plan: Plan, response: str) -> None:
    """Gives the plan the response's chain as `wrong`, where that chain hangs on what varies and gives what the response gave."""
    reading = plan.reading
    nodes = misled(reading, response)
    if nodes is None:
        return
    of = {k: i for i, p in enumerate(plan.parameters) for k in p.mentions}
    over = [_over(node, of, lambda i: reading.mentions[i].value) for node in nodes]
    given = numbers.extract(response)
    try:
        last = chain_values(over, {i: p.value for i, p in enumerate(plan.parameters)})[-1]
    except ZeroDivisionError:
        return
    if given is None or last != given or numbers.read(kit.show(last)) != given:
        return
    if any(leaf[0] == "q" for node in over for leaf in leaves_of(node)):
        plan.wrong = over


__all__ = ["Plan", "emit", "plan_of", "write"]
