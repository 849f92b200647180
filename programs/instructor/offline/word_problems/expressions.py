"""Expressions over what a solution computes with: their leaves, their values and their Python text.

A resolved leaf is ("q", i) for number i of the question (or parameter i of a program), ("s", j) for step j, and ("c", Fraction) for a
constant. Not covered: reading an expression from a text (errata.programs.samples.calculations).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction

from ....samples.calculations import Node, evaluate

ONE: Node = ("c", Fraction(1))
HUNDRED: Node = ("c", Fraction(100))
RANK = {"+": 1, "-": 1, "*": 2, "/": 2, "neg": 3}  # what binds closer has the larger rank
Values = Sequence[Fraction] | Mapping[int, Fraction]


def leaves_of(node: Node) -> Iterator[Node]:
    """Every leaf of an expression."""
    if node[0] in ("q", "s", "c", "leaf"):
        yield node
    else:
        for part in node[1:]:
            yield from leaves_of(part)


def parts_of(node: Node) -> Iterator[Node]:
    """Every operation of an expression, the outer ones first."""
    if node[0] not in ("q", "s", "c", "leaf"):
        yield node
        for part in node[1:]:
            yield from parts_of(part)


def mapped(node: Node, leaf: Callable[[Node], Node]) -> Node:
    """The expression with each leaf replaced."""
    return leaf(node) if node[0] in ("q", "s", "c", "leaf") else (node[0], *(mapped(part, leaf) for part in node[1:]))


def substitute(node: Node, leaves: Sequence[Node]) -> Node:
    """The expression with its ("leaf", k) replaced by `leaves[k]`."""
    return mapped(node, lambda leaf: leaves[leaf[1]])


def value_at(node: Node, numbers: Values, steps: Values) -> Fraction:
    """Value of a resolved expression. Raises ZeroDivisionError."""
    return evaluate(node, lambda leaf: leaf[1] if leaf[0] == "c" else numbers[leaf[1]] if leaf[0] == "q" else steps[leaf[1]])


def chain_values(nodes: Sequence[Node], numbers: Values) -> list[Fraction]:
    """Values of all steps for given values of the numbers. Raises ZeroDivisionError."""
    values: list[Fraction] = []
    for node in nodes:
        values.append(value_at(node, numbers, values))
    return values


def sides(node: Node, leaf: Node) -> set[str]:
    """Whether a leaf multiplies ("*") or divides ("/") in an expression."""
    parts = (part for part in parts_of(node) if part[0] in ("*", "/") and leaf in part[1:])
    return {"/" if part[0] == "/" and part[2] == leaf else "*" for part in parts}


def roles(node: Node, above: str = "") -> dict[int, str]:
    """How each literal takes part: "+" when added or subtracted, "*" when it multiplies or divides."""
    if node[0] == "leaf":
        return {node[1]: above}
    role = "+" if node[0] in ("+", "-") else "*" if node[0] in ("*", "/") else above
    return {k: v for part in node[1:] for k, v in roles(part, role).items()}


def divisors(node: Node, values: Sequence[Fraction], holds: Callable[[Fraction, Fraction], bool]) -> set[int]:
    """The literals b of each a / b of two literals for whose values (a, b) it holds."""
    fractions = [part for part in parts_of(node) if part[0] == "/" and part[1][0] == part[2][0] == "leaf"]
    return {bottom[1] for _, top, bottom in fractions if holds(values[top[1]], values[bottom[1]])}


def terms(node: Node) -> int:
    """How many terms a sum has."""
    return terms(node[1]) + terms(node[2]) if node[0] == "+" else 1


def source(node: Node, names: Sequence[str], above: int = 0, right: bool = False) -> str:
    """Python text of an expression."""
    kind = node[0]
    if kind == "c":
        value = node[1]
        if value.denominator > 1:
            return f"Fraction({value.numerator}, {value.denominator})"
        return f"({value.numerator})" if value < 0 and above else str(value.numerator)
    if kind in ("q", "s"):
        return leaf_name(node, names)
    rank = RANK[kind]
    if kind == "neg":
        text = "-" + source(node[1], names, rank)
    else:
        text = f"{source(node[1], names, rank)} {kind} {source(node[2], names, rank, True)}"
    return f"({text})" if rank < above or (rank == above and right) else text


def leaf_name(node: Node, names: Sequence[str]) -> str:
    """The Python name of a parameter or a step."""
    return names[node[1]] if node[0] == "q" else f"step{node[1] + 1}"


def ratio(node: Node) -> tuple[Node, Node]:
    """An expression as numerator over denominator, neither with a division in it."""
    kind = node[0]
    if kind == "c":
        return ("c", Fraction(node[1].numerator)), ("c", Fraction(node[1].denominator))
    if kind in ("q", "s"):
        return node, ONE
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
    if ONE in (a, b):
        return b if a == ONE else a
    return ("c", a[1] * b[1]) if a[0] == b[0] == "c" else ("*", a, b)
