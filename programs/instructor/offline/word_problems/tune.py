"""Finds grains and widths at which sensible draws of a plan are common and unlike each other.

Draws are tried with the very code that the program will carry. A plan is refused when they are too rare or too much alike.
"""

import math
import random
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from ....samples.calculations import Node, Unreadable
from . import kit
from .bounds import GROWN, STAY_CLOSE, rules
from .chain import chain_source, order_of
from .expressions import leaves_of, parts_of, value_at
from .plan import AGES, Plan, plan_for
from .resolve import Reading

CLIMBS = 250  # grains that are tried at most while a program is tuned: about two seconds
_WIDTHS = ((1, False), (2, False), (4, False), (4, True), (7, True), (12, True), (24, True))
"""Room and whether draws go wide, the nearest to the original first."""
_PEOPLED = re.compile(
    r"(?i)\b(?:students?|class|classroom|child(?:ren)?|kids?|family|team|friends?|people|party|age|years?|hours?|weigh\w*)\b"
)
Measure = tuple[float, int, int]  # least share of sensible draws over the levels; distinct problems and answers among them


def plan_of(reading: Reading) -> Plan:
    """Parameters, chain and rules of a program for this reading; raises Unreadable when sensible draws are too rare or too alike. The
    strictest rules are tried first: the nearer a draw is to the original in all its proportions, the surer it makes sense."""
    plan = plan_for(reading, strict=True)
    plan.rules = rules(plan, 2)
    try:
        _tune(plan, _WIDTHS[:4])
    except Unreadable:
        plan = plan_for(reading, strict=False)
        plan.rules = rules(plan, 4)
        _tune(plan, _WIDTHS)
    return plan


def _tune(plan: Plan, widths: tuple[tuple[int, bool], ...]) -> None:
    space = _load(plan)
    if not space["sensible"](*(int(p.value) if p.value.denominator == 1 else float(p.value) for p in plan.parameters)):
        raise Unreadable("the original numbers break their own bounds")
    climbs, thorough = 0, (0.0, 0, 0)
    for room, wide in widths:
        if room >= 12:
            if not _may_go_far(plan, room):
                break
            plan.rules = rules(plan, 7 if room == 12 else 16)
            space = _load(plan)
        _widen(plan, room, wide)
        best = _measure(plan, space)
        if plan.whole and (best[0] < 0.05 or best[1] < 60):
            best = _draw_quotients(plan, space, best)
        climbs = _climb(plan, space, best, climbs)
        thorough = _measure(plan, space, 1500)
        if thorough[0] >= 0.012 and thorough[1] >= 54 and thorough[2] >= (5 if thorough[1] >= 90 else 10):
            return
    if thorough[0] < 0.012:
        raise Unreadable(f"sensible draws are too rare: {100 * thorough[0]:.1f} %")
    raise Unreadable(f"draws are too much alike: {thorough[1]} problems, {thorough[2]} answers")


def _load(plan: Plan) -> dict[str, Any]:
    """`solve` and `sensible` of a plan."""
    space: dict[str, Any] = {"Fraction": Fraction, "math": math}
    # arithmetic over names and numbers of our own making: no text of the item is run
    exec(compile(chain_source(plan), "<chain>", "exec"), space)
    return space


def _may_go_far(plan: Plan, room: int) -> bool:
    """Whether one or two numbers may be many times what they were: not people, ages, percents or small counts."""
    if len(plan.parameters) > 2 or plan.asks(_PEOPLED) or any(p.close or p.unit in ("%", "/") for p in plan.parameters):
        return False
    return room == 12 or all(p.value >= 10 or p.unit == "$" for p in plan.parameters)


def _widen(plan: Plan, room: int, wide: bool) -> None:
    known = plan.asks(AGES) or plan.asks(GROWN)
    for p in plan.parameters:
        p.close = p.close and (room < 4 or known or p.unit in STAY_CLOSE)
        p.room = max(p.room, room if p.value < 60 and (not p.close or room < 4) else min(room, 2))
        p.wide = wide and not p.close and p.unit not in ("%", "/")
        p.spread = {12: "HUGE", 24: "VAST"}.get(room, "")


def _score(result: Measure) -> float:
    return result[1] + 0.5 * min(result[2], 40) + 40 * min(result[0], 0.2)


def _draw_quotients(plan: Plan, space: dict[str, Any], best: Measure) -> Measure:
    """Draws numbers through quotients that must come out whole, if that makes sensible draws more common."""
    for i, expression, quotient in _quotients(plan):
        p = plan.parameters[i]
        drawn_later = any(plan.parameters[k].via for k in plan.parameters_in(expression) if k < len(plan.parameters))
        if p.via is not None or p.unit == "%" or drawn_later:
            continue
        p.via = (expression, quotient)
        result = _measure(plan, space)
        if _score(result) > _score(best) * 1.2 + 5:
            best = result
        else:
            p.via = None
    return best


def _climb(plan: Plan, space: dict[str, Any], best: Measure, climbs: int) -> int:
    """Tries other grains, one number at a time, until draws are good enough; gives how many were tried in all."""
    for _ in range(3):
        if (best[0] >= 0.10 and best[1] >= 80) or climbs > CLIMBS:
            break
        improved = False
        for p in plan.parameters:
            if p.plus or p.value.denominator > 1 or p.via is not None:
                continue
            kept, v = p.step, int(p.value)
            grains = [d for d in range(1, min(v // 2, 120) + 1) if v % d == 0 and d != kept]
            for d in grains if len(grains) <= 16 else grains[:8] + grains[-8:]:
                p.step = Fraction(d)
                climbs += 1
                result = _measure(plan, space)
                if _score(result) > _score(best) * 1.1 + 2:
                    best, kept, improved = result, p.step, True
            p.step = kept
        if not improved:
            break
    return climbs


def _measure(plan: Plan, space: dict[str, Any], tries: int = 60) -> Measure:
    """How draws come out: at most `tries` a level, until 40 are sensible."""
    worst, problems, answers = 1.0, set(), set()
    original = tuple(float(p.value) for p in plan.parameters)
    draw = _drawer(plan)
    for level in (1, 2, 3, 4, 5):
        rng = random.Random(level)
        good = made = 0
        while made < tries and good < 40:
            made += 1
            values = draw(rng, level)
            if values != original and space["sensible"](*values):
                good += 1
                answer = space["solve"](*values)[plan.reading.final]
                problems.add((tuple(sorted(values)), answer))
                answers.add(answer)
        worst = min(worst, good / made)
    return worst, len(problems), len(answers)


def _drawer(plan: Plan) -> Callable[[random.Random, int], tuple[Any, ...]]:
    """What the emitted program draws: a function of generator and level, with all that stays the same from draw to draw set out once."""
    ways: list[tuple[int, Node | None, tuple[Any, ...]]] = []
    for i in order_of(plan):
        p = plan.parameters[i]
        if p.via is not None:
            node, quotient = p.via
            ways.append((i, node, (int(quotient), 1, 1 if quotient < 2 else 2, 10**9, kit.NEAR, p.room, 0)))
        else:
            numbers = (p.value - p.plus, p.step, p.least, p.most or Fraction(10**9), p.plus)
            value, step, least, most, plus = (int(x) if x.denominator == 1 else float(x) for x in numbers)
            spread = kit.CLOSE if p.close else kit.SPREADS[p.spread or ("WIDE" if p.wide else "NEAR")]
            ways.append((i, None, (value, step, least, most, spread, p.room, plus)))

    def draw(rng: random.Random, level: int) -> tuple[Any, ...]:
        values: list[Any] = [0] * len(plan.parameters)
        for i, node, how in ways:
            k = kit.pick(rng, level, *how)
            values[i] = k if node is None else int(value_at(node, [*values, k], ()))
        return tuple(values)

    return draw


def _quotients(plan: Plan) -> Iterator[tuple[int, Node, Fraction]]:
    """Ways to draw a number through the quotient that must come out whole: index, expression, quotient at the original."""
    fresh: Node = ("q", len(plan.parameters))
    for step in plan.nodes:
        for node in parts_of(step):
            if node[0] != "/" or (node[2][0] == "c" and node[2][1].denominator > 1):
                continue
            quotient = plan.at_original(node)
            if quotient.denominator > 1 or quotient < 1:
                continue
            for i in plan.parameters_in(node[1]) - plan.parameters_in(node[2]):
                found = _isolate(plan, node[1], i, ("*", node[2], fresh))
                expression = plan.expanded(found) if found else None
                if (
                    expression
                    and not any(part[0] == "/" for part in parts_of(expression))
                    and all(n[0] != "c" or n[1].denominator == 1 for n in leaves_of(expression))
                ):
                    yield i, expression, quotient


def _isolate(plan: Plan, node: Node, i: int, target: Node) -> Node | None:
    """The expression of parameter i for which `node` is `target`; None if it takes more than adding and subtracting."""
    if node == ("q", i):
        return target
    if node[0] == "s":
        return _isolate(plan, plan.nodes[node[1]], i, target)
    if node[0] not in ("+", "-"):
        return None
    _, left, right = node
    inside = [i in plan.parameters_in(part) for part in (left, right)]
    if inside[0] == inside[1]:
        return None
    if node[0] == "+":
        return _isolate(plan, left, i, ("-", target, right)) if inside[0] else _isolate(plan, right, i, ("-", target, left))
    return _isolate(plan, left, i, ("+", target, right)) if inside[0] else _isolate(plan, right, i, ("-", left, target))
