"""What a draw must meet to make sense: whole numbers stay whole, differences stay positive, numbers of one unit keep their order.

Each rule is a Python condition over the parameters and steps of a plan, with what it is for; both stand in the emitted program.
Not covered: how often a draw meets them (tune.py).
"""

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction

from ....samples.calculations import Node, Unreadable
from .expressions import HUNDRED, leaves_of, parts_of, ratio, source
from .kit import show
from .plan import AGES, CAPS, GRADED, Plan

Rule = tuple[str, str]  # a condition, and what it is for

STAY_CLOSE = ("year", "pound", "kg", "lb", "mph", "degree")  # units whose numbers are known to be of one size: ages, weights, speeds
GROWN = re.compile(r"(?i)\b(?:tall|taller|height|jump\w*|inches long|temperatures?|thermometer)\b")
_PARENTS = re.compile(r"(?i)\b(?:mother|father|mom|dad|parents?|grand\w+|son|daughter|uncle|aunt|husband|wife|married|gave birth)\b")
_FEATS = re.compile(r"(?i)\b(?:ran|runs?|running|jog\w*|walk\w*|sw[aiu]m\w*|hik\w*|bik\w*|cycl\w*|paddl\w*|row(?:s|ed|ing)|sprint\w*)\b")
_DISTANCES = ("mile", "kilometer", "km", "meter", "foot", "yard", "mph", "lap", "step")
_COINS = (("nickel", 5), ("dime", 10), ("quarters", 25))
_CHOOSES = re.compile(
    r"(?i)\b(?:cheap\w*|expensive|better|best|worse|whichever|fast\w*|slow\w*|most|least|maximum|minimum|larg\w+|small\w+|bigg\w+|highest|lowest|"
    r"first to|sooner|later|winner|wins?|won|longer|shorter|oldest|youngest|tallest|heavi\w+|enough|exceed\w*|limit|up to|at least|at most|"
    r"capacity|fits?|over|above|beyond|after the first|if (?:they|he|she|you) (?:buys?|spends?|works?)|greater|difference|"
    r"more than|less than|save[sd]?|profit|better deal)\b"
)
_THRESHOLD = re.compile(
    r"(?i)\b(?:over|above|exceed\w*|more than|at least|less than|under|up to|first|limit of|maximum of|minimum of|beyond|after|"
    r"at most|no more than|least|below|reach\w*)\s\$?$"
)
_PART_OF = re.compile(r"\s*(?:\w+\s+){0,2}(?:out\s+)?of\s+(?:the|his|her|their|these|those|its|my|all)?\s*(?:\w+\s+)?")
_ORDER = "the order of like numbers"
_SIZE = "numbers of a like size"
_WHOLE = "whole numbers stay whole"
EARLY = (_ORDER, "parts of a hundred", _SIZE, "'a' stays 'a'", "what is reduced stays reduced")
"""What is asked before the steps are computed."""
_UNLIKE = ("", "%", "/", "time")  # units that say nothing about what is counted


def rules(plan: Plan, reach: int) -> dict[str, str]:
    """All rules of a plan and what they are for. Draws may be `reach` times as large as the original. Raises Unreadable."""
    first = (_like_numbers, _taken, _like_results, _known, _fitting_the_rest, _triangles, _evenly, _articles, _fractions, _ratios)
    then = (_coins_and_feats, _thresholds, _hundreds)
    steps = (_step(plan, j, reach) for j in range(len(plan.nodes)) if plan.follows(j))
    found: dict[str, str] = {}
    for rule, why in itertools.chain(*(of(plan) for of in first), _sizes(plan, reach), *(of(plan) for of in then), *steps, _chosen(plan)):
        found.setdefault(rule, why)
    return found


def _like_numbers(plan: Plan) -> Iterator[Rule]:
    """Numbers of one unit keep their order; so do a part and its whole ("5 of the 20")."""
    mentions, varying = plan.reading.mentions, plan.varying
    chooses = plan.asks(_CHOOSES)
    likes = Counter(mentions[p.mentions[0]].unit for p in plan.parameters)
    for (i, a), (j, b) in itertools.product(enumerate(mentions), repeat=2):
        if a.value >= b.value or not varying.keys() & {i, j}:
            continue
        if not (i < j and _PART_OF.fullmatch(plan.reading.question[a.end : b.start])):
            if not chooses and not plan.strict and i in varying and j in varying and likes[a.unit] > 2:
                continue
            if a.unit != b.unit or not a.unit or "fraction" in (a.style, b.style):
                continue
        yield f"{plan.shown(i)} < {plan.shown(j)}", _ORDER


def _taken(plan: Plan) -> Iterator[Rule]:
    """ "buys 50 bars and sells 48 of them" takes no more than there are; "50 points per $10" counts tens of dollars where all were tens."""
    reading, varying = plan.reading, plan.varying
    for k, m in enumerate(reading.mentions):
        after, before = reading.question[m.end :], reading.question[: m.start]
        if m.unit not in ("$", "%", "/", "time") and re.match(r"(?:\s\w+)?\sof\s(?:them|these|those|which|whom)\b", after):
            more = [i for i, other in enumerate(reading.mentions[:k]) if other.value > m.value and other.counts]
            larger = [j for j, step in enumerate(reading.steps) if step.value > m.value and plan.follows(j)]
            if more and varying.keys() & {k, more[-1]}:
                yield f"{plan.shown(k)} < {plan.shown(more[-1])}", "no more is taken than there is"
            elif not more and larger and k in varying:
                yield f"{plan.shown(k)} < step{larger[0] + 1}", "no more is taken than there is"
        if plan.whole and m.value >= 2 and m.style != "fraction" and re.search(r"\b(?:per|every|each)\s\$?$", before):
            for j, step in enumerate(reading.steps):
                if step.unit == m.unit and step.value % m.value == 0 and plan.follows(j):
                    yield f"step{j + 1} % {plan.shown(k)} == 0", _WHOLE


def _like_results(plan: Plan) -> Iterator[Rule]:
    """In strict plans, results of one unit keep their order among themselves and with the numbers of the question."""
    things = [(p.name, p.value, plan.reading.mentions[p.mentions[0]].unit, False) for p in plan.parameters]
    things += [(f"step{j + 1}", step.value, step.unit, True) for j, step in enumerate(plan.reading.steps) if plan.follows(j)]
    for (left, a, unit, found), (right, b, other, found_too) in itertools.product(things, repeat=2) if plan.strict else ():
        if a < b and unit == other and (found or found_too) and unit not in _UNLIKE:
            yield f"{left} < {right}", "what was less stays less"


def _known(plan: Plan) -> Iterator[Rule]:
    """Results stay on their side of a number that does not vary."""
    for k, m in enumerate(plan.reading.mentions):
        if k not in plan.varying and m.style != "fraction" and m.unit not in _UNLIKE:
            for j, step in enumerate(plan.reading.steps):
                if step.unit == m.unit and plan.follows(j) and step.value != m.value:
                    yield f"step{j + 1} {'<' if step.value < m.value else '>'} {show(m.value)}", "what was less stays less"


def _fitting_the_rest(plan: Plan) -> Iterator[Rule]:
    """A share of a number leaves a rest, and another part of that number cannot be more than the rest."""
    for j, node in enumerate(plan.nodes):
        leaves = [leaf for leaf in leaves_of(node) if leaf[0] != "c"]
        if node[0] not in ("*", "/") or len(leaves) != 1 or leaves[0][0] == "s":
            continue
        whole = leaves[0][1]
        rest = plan.parameters[whole].value - plan.reading.steps[j].value
        for i, p in enumerate(plan.parameters) if rest > 0 else ():
            if i != whole and p.value <= rest and p.unit not in ("$", "%", "/", "time"):
                yield f"{p.name} <= {plan.parameters[whole].name} - step{j + 1}", "parts fit in the rest"


def _triangles(plan: Plan) -> Iterator[Rule]:
    """No side of a triangle, and no way between three places, is longer than the other two together."""
    mentions, varying = plan.reading.mentions, plan.varying
    if plan.asks(r"\btriangle\b") and plan.asks(r"\bperimeter\b"):
        longest = max(plan.parameters, key=lambda p: p.value)
        yield f"2 * step{plan.reading.final + 1} < {longest.name}", "no side is longer than the others together"
    if not plan.asks(r"\b(?:home|house|school|store|park|town|city|from)\b"):
        return
    for unit in ("mile", "kilometer", "km", "block", "meter"):
        legs = sorted((k for k, m in enumerate(mentions) if m.unit == unit), key=lambda k: mentions[k].value)
        if len(legs) == 3 and varying.keys() & set(legs) and mentions[legs[2]].value <= mentions[legs[0]].value + mentions[legs[1]].value:
            first, second, long = map(plan.shown, legs)
            yield f"{long} <= {first} + {second}", "no way is longer than the way around"


def _evenly(plan: Plan) -> Iterator[Rule]:
    """Of a product that is shared out, the one factor that the divisor divides; and people of whom several percents are taken."""
    names = plan.names
    for node in plan.nodes if plan.whole else ():
        for part in parts_of(node):
            if part[0] != "/" or not plan.parameters_in(part[2]) or any(n[0] == "/" for n in parts_of(plan.expanded(part[2]))):
                continue
            top = plan.nodes[part[1][1]] if part[1][0] == "s" else part[1]
            if top[0] == "*" and top[1][0] in ("q", "s") and top[2][0] in ("q", "s"):
                even = [factor for factor in top[1:] if plan.at_original(factor) % plan.at_original(part[2]) == 0]
                if len(even) == 1:
                    yield _divides(even[0], part[2], names)
    percents = {i for i, p in enumerate(plan.parameters) if p.unit == "%"}
    for node in plan.nodes if len(percents) > 1 else ():
        for part in parts_of(node):
            for whole, share in ((part[1], part[2]), (part[2], part[1])) if part[0] == "*" else ():
                inside = percents & plan.parameters_in(share)
                if len(inside) < 2 or percents & plan.parameters_in(whole) or whole[0] not in ("q", "s"):
                    continue
                unit = plan.reading.steps[whole[1]].unit if whole[0] == "s" else plan.parameters[whole[1]].unit
                for i in inside if unit != "$" else ():
                    if (plan.at_original(whole) * plan.parameters[i].value / 100).denominator == 1:
                        yield f"{source(whole, names, 2)} * {names[i]} % 100 == 0", _WHOLE


def _divides(top: Node, bottom: Node, names: list[str]) -> Rule:
    return f"{source(top, names, 2)} % {source(bottom, names, 2, True)} == 0", _WHOLE


def _articles(plan: Plan) -> Iterator[Rule]:
    """ "a 12-mile run" never becomes "a 18-mile run"."""
    for p in plan.parameters:
        for m in (plan.reading.mentions[k] for k in p.mentions):
            if m.style != "word" and re.search(r"\ba\s\$?$", plan.reading.question[: m.start]):
                yield f"str({p.name})[0] != '8' and {p.name} not in (11, 18)", "'a' stays 'a'"


def _fractions(plan: Plan) -> Iterator[Rule]:
    """Fractions stay below one and, like ratios, reduced."""
    for k, (a, b) in enumerate(itertools.pairwise(plan.reading.mentions)):
        joint = plan.reading.question[a.end : b.start]
        if joint in ("/", ":") and plan.varying.keys() & {k, k + 1} and a.style == b.style == "digits":
            if joint == "/":
                yield f"{plan.shown(k)} < {plan.shown(k + 1)}", _ORDER
            if math.gcd(int(a.value), int(b.value)) == 1:
                yield f"math.gcd({plan.shown(k)}, {plan.shown(k + 1)}) == 1", "what is reduced stays reduced"


def _ratios(plan: Plan) -> Iterator[Rule]:
    """The numbers of a ratio keep their order."""
    mentions, question = plan.reading.mentions, plan.reading.question
    ratios = [k for k, m in enumerate(mentions) if question[m.end :][:1] == ":" or question[: m.start][-1:] == ":"]
    for i, j in itertools.product(ratios, repeat=2) if plan.asks(r"\bratio") else ():
        if mentions[i].value < mentions[j].value and plan.varying.keys() & {i, j}:
            yield f"{plan.shown(i)} < {plan.shown(j)}", _ORDER


def _sizes(plan: Plan, reach: int) -> Iterator[Rule]:
    """A number stays of the size that it had."""
    up = Fraction(6, 5) if plan.asks(r"temperature") else Fraction(3, 2)
    for p in plan.parameters:
        most = min(p.most or p.value * reach + 20, p.value * reach + 20)
        if p.unit == "inch" and p.value >= 48 and plan.asks(r"\btall(?:er)?\b"):
            most = min(most, p.value * Fraction(7, 6))
        if p.unit not in ("%", "/", "$") and (plan.asks(GROWN) or p.unit in STAY_CLOSE):
            yield f"{int(p.value * Fraction(3, 5))} <= {p.name} <= {int(p.value * up) + 2}", _SIZE
        yield f"{show(min(p.least, p.value))} <= {p.name} <= {int(most)}", _SIZE


def _coins_and_feats(plan: Plan) -> Iterator[Rule]:
    """Cents stay what coins can pay, and nobody runs for days."""
    coin = next((value for name, value in _COINS if plan.asks(rf"\b{name}")), 1)
    for p in plan.parameters:
        if p.unit == "cent" and coin > 1 and p.value % coin == 0:
            yield f"{p.name} % {coin} == 0", _WHOLE
        if p.unit in ("hour", "day") and plan.asks(_FEATS):
            yield f"{p.name} <= {int(p.value * Fraction(3, 2)) + 1}", _SIZE


def _thresholds(plan: Plan) -> Iterator[Rule]:
    """Results stay on their side of a limit that does not vary ("more than 40 hours")."""
    for k, m in enumerate(plan.reading.mentions):
        if k in plan.varying or m.unit == "%" or m.style == "fraction" or not _THRESHOLD.search(plan.reading.question[: m.start]):
            continue
        for j, step in enumerate(plan.reading.steps):
            if plan.follows(j) and (step.unit == m.unit or not step.unit or m.unit == "$"):
                sign = "<" if step.value < m.value else ">" if step.value > m.value else "=="
                yield f"step{j + 1} {sign} {show(m.value)}", "the same side of a threshold"


def _hundreds(plan: Plan) -> Iterator[Rule]:
    """Percents that were parts of a hundred stay so."""
    percents = [p for p in plan.parameters if p.unit == "%"]
    others = sum((m.value for k, m in enumerate(plan.reading.mentions) if m.unit == "%" and k not in plan.varying), Fraction(0))
    total = sum((p.value for p in percents), Fraction(0)) + others
    if len(percents) + (others > 0) > 1 and total <= 100:
        yield f"{' + '.join(p.name for p in percents)} {'==' if total == 100 else '<'} {show(100 - others)}", "parts of a hundred"


def _step(plan: Plan, j: int, reach: int) -> Iterator[Rule]:
    """What the result of a step and its parts must meet. Raises Unreadable for a result that no program should draw."""
    node, v = plan.nodes[j], plan.reading.steps[j].value
    if v < 0:
        raise Unreadable(f"negative intermediate: {show(v)}")
    yield from _whole_result(plan, j) if v.denominator == 1 else _decimal_result(plan, j)
    yield from _caps(plan, j, reach)
    names = plan.names
    for part in parts_of(node):
        if part[0] == "neg" or part is node:
            continue
        inner = plan.at_original(part)
        if part[0] == "-" and inner > 0:
            yield f"{source(part, names)} > 0", "differences stay positive"
        elif part[0] == "/" and plan.whole and inner.denominator == 1 and inner > 1 and part[2] != HUNDRED:
            yield _divides(part[1], part[2], names)
        elif part[0] == "/" and 0 < inner < 1:
            yield _below_one(part, names)
    if node[0] == "/" and v < 1:
        yield _below_one(node, names)


def _below_one(node: Node, names: list[str]) -> Rule:
    top, bottom = ratio(node)
    return f"{source(top, names)} < {source(bottom, names)}", "shares stay below one"


def _whole_result(plan: Plan, j: int) -> Iterator[Rule]:
    step, name = plan.reading.steps[j], f"step{j + 1}"
    v = step.value
    if not plan.whole:
        yield f"{name}.denominator == 1", _WHOLE
    if v == 0:
        yield f"{name} == 0", "nothing stays nothing"
    elif v == 1:
        # "1 apple" fixes it; data that writes "1 apples" does not mind
        spoken = re.match(r"\s*[A-Za-z]*[A-RT-Za-rt-z]\b", plan.reading.solution[step.end : step.end + 20]) and step.unit != "$"
        yield (f"{name} == 1", "one stays one") if spoken else (f"{name} >= 1", "no less than one")
    elif step.unit in ("pound", "lb", "kg", "kilogram"):
        yield f"{name} >= {max(2, int(v / 2))}", "weights stay near"
    else:
        yield f"{name} >= 2", "no less than two"


def _decimal_result(plan: Plan, j: int) -> Iterator[Rule]:
    step, name = plan.reading.steps[j], f"step{j + 1}"
    digits = next((n for n in range(5) if (step.value * 10**n).denominator == 1), None)
    if digits is None:
        raise Unreadable(f"intermediate not clean: {show(step.value)}")
    yield f"({name} * {10 ** max(digits, 2 if step.unit == '$' else 1)}).denominator == 1", "decimals stay as short"
    yield f"0 < {name} < 1" if step.value < 1 else f"{name} > 1", "shares stay shares"


def _caps(plan: Plan, j: int, reach: int) -> Iterator[Rule]:
    """The most that a result may be: what its unit allows, or a multiple of the original."""
    step, name, final = plan.reading.steps[j], f"step{j + 1}", j == plan.reading.final
    v, unit = step.value, step.unit
    caps = [cap for cap in ((100,) if unit == "%" else CAPS.get(unit, ())) if v <= cap][:1]
    if plan.asks(AGES) and v <= 100:
        caps.append(100)
        if v >= 18 and plan.asks(_PARENTS):
            yield f"18 <= {name} <= {int(max(v * Fraction(4, 3), v + 8))}", "parents are grown up"
    if final and v <= 100 and (plan.asks(GRADED) or plan.asks(r"(?i)what percent|percentage|what is the percent")):
        caps.append(100)
    if unit == "inch" and v >= 48 and plan.asks(r"\btall(?:er)?\b"):
        caps.append(int(v * 7 / 6))
    if unit == "year" and v >= 40:
        caps.append(int(v * 5 / 4))
    if final and plan.asks(r"\bmiles (?:per|to the|each) gallon|\bmpg\b"):
        yield f"{int(v * Fraction(3, 5))} <= {name} <= {int(v * Fraction(3, 2)) + 1}", "of a like size"
    if plan.nodes[j][0] == "/" and v.denominator == 1 and plan.asks(_FEATS) and unit in _DISTANCES:
        caps.append(int(v * 5 / 4) + 1)
    if caps:
        yield f"{name} <= {min(caps)}", "within what the unit allows"
    else:
        yield f"{name} <= {max(int(v * (reach + 1)), int(v) + 30)}", "of a like size"


def _chosen(plan: Plan) -> Iterator[Rule]:
    """Where the question compares, results keep their order."""
    steps = [(j, step) for j, step in enumerate(plan.reading.steps) if plan.follows(j)]
    for (j, a), (k, b) in itertools.product(steps, repeat=2) if plan.asks(_CHOOSES) else ():
        if a.value < b.value and (a.unit == b.unit or not a.unit or not b.unit):
            yield f"step{j + 1} < step{k + 1}", "what is chosen stays chosen"
