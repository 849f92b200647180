"""The calculations of a text, read as steps: `<<48/2=24>>`, `48 / 2 = 24`, and `7 stickers/page * 6 pages = 42`.

A last line `#### 24` or `A: 24` is the final answer. Not covered: rounding, equations with unknowns, times of day, dates, and steps done
in the head.
"""

import operator
import re
from bisect import bisect_left
from collections.abc import Callable, Set
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

Node = tuple  # an expression: ("leaf", k) for the k-th literal of a text, ("+" | "-" | "*" | "/", a, b), ("neg", a), ("pct", a)
Leaves = list[tuple[int, int, Fraction]]  # start, end (in the whole text) and value of each literal


class Unreadable(Exception):
    """Why a text cannot be read honestly; the message is a short stable reason, then particulars after a colon."""


@dataclass(frozen=True)
class Step:
    """One computation of a solution."""

    node: Node  # the computation as written, over ("leaf", k)
    leaves: Leaves
    value: Fraction
    start: int  # where the computation stands in the text, from its first literal to the end of its result
    end: int
    result: tuple[int, int] | None  # span of the result's number after the computation; None where it is not written
    marked: bool  # whether it is a calculator mark `<<...>>`
    unit: str = ""


@dataclass(frozen=True)
class Slip:
    """A computation of a text whose written result is not its value."""

    text: str
    value: Fraction
    written: Fraction


NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+")  # a number in digits
MARK = re.compile(r"<<([^<>]*)>>")
_FINAL = re.compile(r"(?:####|^[ \t]*+A:)\s*+(?:\$\s*+)?(-?[\d.,/]++)[ \t]*+(?:%[ \t]*+)?$", re.MULTILINE)
_LAST = re.compile(r"(?<!\s)(?:\s*+(?:####|^A:)[^\n]*+)++\s*$", re.MULTILINE)
_ENDLESS = re.compile(r"(?<!\d)\d{4000}")  # a model in a loop; Python reads no number of more than 4,300 digits
_MOST = 300
"""Signs of the longest computation that is read."""
_UNKNOWN = re.compile(r"\b[A-Za-z]\s?[-+*/=]|[-+*/=]\s?[A-Za-z]\b|\b\d+[a-wyzA-WYZ]\b|\b[Ll]et\b|\brepresents?\b")
_PLURALS = {"feet": "foot", "children": "child", "people": "person", "men": "man", "women": "woman", "mice": "mouse"}
_ONLY_S = {"cookies", "movies", "brownies", "calories", "smoothies", "selfies", "pies", "ties", "zombies", "hoodies"}


def number(text: str) -> Fraction:
    """The value of digits with commas and a decimal point."""
    return Fraction(text.replace(",", "").rstrip("."))


def singular(word: str) -> str:
    """The word in lower case, without the commonest plural endings."""
    word = word.lower()
    if word in _PLURALS:
        return _PLURALS[word]
    if word in _ONLY_S:
        return word[:-1]
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "xes", "sses")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us")) else word


def final_answer(text: str) -> Fraction | None:
    """The number after the last `####` or `A:`; None if there is no such line."""
    found = _FINAL.findall(text)
    try:
        return number(found[-1]) if found and "/" not in found[-1] else Fraction(found[-1]) if found else None
    except (ValueError, ZeroDivisionError):
        return None


def body(text: str) -> str:
    """A solution without its last line of `####` or `A:`."""
    return _LAST.sub("", text).rstrip()


OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}
_OPERATORS = {"x": "*", "X": "*", "×": "*", "·": "*", "÷": "/", "–": "-", "−": "-", "—": "-", "[": "(", "]": ")", "{": "(", "}": ")"}


class _Parser:
    """Reads tokens by descent: a sum of products of atoms, "(" also meaning "times". Raises ValueError on anything else."""

    def __init__(self, tokens: list[tuple[str, int]]):
        self.tokens = tokens
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at][0] if self.at < len(self.tokens) else ""

    def total(self) -> Node:
        node = self.product()
        while (op := self.peek()) in ("+", "-"):
            self.at += 1
            node = (op, node, self.product())
        return node

    def product(self) -> Node:
        node = self.atom()
        while (op := self.peek()) in ("*", "/", "("):
            self.at += op != "("
            node = (op if op != "(" else "*", node, self.atom())
        return node

    def atom(self) -> Node:
        kind, k = self.tokens[self.at] if self.at < len(self.tokens) else ("", 0)
        self.at += 1
        if kind == "-":
            return ("neg", self.atom())
        node: Node = ("leaf", k)
        if kind == "(":
            node = self.total()
            if self.peek() != ")":
                raise ValueError
            self.at += 1
        elif kind != "leaf":
            raise ValueError
        if self.peek() == "%":
            self.at += 1
            node = ("pct", node)
        return node


def parse(text: str, offset: int = 0) -> tuple[Node, Leaves] | None:
    """Arithmetic text as a node over ("leaf", k) and its literals with spans (moved by `offset`); None for other text."""
    tokens: list[tuple[str, int]] = []
    leaves: Leaves = []
    at = 0
    while at < len(text):
        literal = NUMBER.match(text, at)
        if literal:
            tokens.append(("leaf", len(leaves)))
            leaves.append((offset + at, offset + literal.end(), number(literal[0])))
            at = literal.end()
            continue
        sign = _OPERATORS.get(text[at], text[at])
        if sign in "+-*/()%":
            tokens.append((sign, 0))
        elif sign not in " $,":
            return None
        at += 1
    if len(tokens) > _MOST:
        return None
    parser = _Parser(tokens)
    try:
        node = parser.total()
    except (ValueError, RecursionError):
        return None
    return (node, leaves) if parser.at == len(tokens) and leaves else None


def evaluate(node: Node, leaf: Callable[[Node], Fraction]) -> Fraction:
    """Value of an expression; `leaf` maps a leaf node to its value. Raises ZeroDivisionError."""
    kind = node[0]
    if kind == "neg":
        return -evaluate(node[1], leaf)
    if kind == "pct":
        return evaluate(node[1], leaf) / 100
    if kind in OPERATIONS:
        return OPERATIONS[kind](evaluate(node[1], leaf), evaluate(node[2], leaf))
    return leaf(node)


def _worth(node: Node, leaves: Leaves) -> Fraction:
    return evaluate(node, lambda leaf: leaves[leaf[1]][2])


_EQUALS = re.compile(rf"=\s*+(?:\$\s*+)?(-?(?:{NUMBER.pattern}))")
_WRITTEN = re.compile(rf"\s*+-?\$?\s*+({NUMBER.pattern})")
_GOES_ON = re.compile(r"\s*+[-+*/x×÷]\s*+[\d($]")
_UNIT = re.compile(r"\s?(%|percent)|[-\s]*+([A-Za-z]+)")


def steps_of(text: str, loose: bool = False, given: Set[Fraction] = frozenset()) -> tuple[list[Step], list[Slip]]:
    """The computations of a solution in order, and those that are false: of the marked ones, or `loose`, of all. Loose steps have the value
    that is written, true or not, and marks that cannot be read are passed over. A mark that only repeats a number (`<<25=25>>`) is passed
    over where the number is an earlier result or one of those `given` by the question, and no unknown is solved for."""
    steps: list[Step] = []
    slips: list[tuple[int, Slip]] = []
    taken: list[tuple[int, int]] = []  # apart from each other, in order
    known = set() if _UNKNOWN.search(text) else set(given)
    if _ENDLESS.search(text):
        raise Unreadable("a number of thousands of digits")
    for mark in MARK.finditer(text):
        try:
            end, step, slip = _marked(text, mark, loose, known)
        except Unreadable:
            if loose:
                continue
            raise
        taken.append((mark.start(), end))
        if step:
            known.add(step.value)
            steps.append(step)
            slips += [(step.start, slip)] if slip else []
    for match in _EQUALS.finditer(text):
        if _overlaps(taken, match.start(), match.end()) or _GOES_ON.match(text, match.end()):
            continue
        step, slip = _unmarked(text, match, loose, taken)
        if step:
            steps.append(step)
            slips += [(step.start, slip)] if slip else []
    steps.sort(key=lambda step: step.end)
    slips.sort(key=lambda found: found[0])
    return steps, [slip for _, slip in slips]


def _overlaps(taken: list[tuple[int, int]], start: int, end: int) -> bool:
    """Whether one of the spans, which are apart and in order, has a place in common with this one."""
    at = bisect_left(taken, (end, 0))
    return at > 0 and taken[at - 1][1] > start


def _marked(text: str, mark: re.Match[str], loose: bool, known: set[Fraction]) -> tuple[int, Step | None, Slip | None]:
    """Where the result of a mark ends, and its step and slip; no step where it only repeats a known number. Raises Unreadable."""
    left, _, right = mark[1].rpartition("=")
    right = right.strip()
    try:
        written = -number(right[1:]) if right.startswith("-") else number(right.lstrip("$"))
    except ValueError:
        raise Unreadable(f"mark cannot be read: {mark[0]}") from None
    parsed = parse(left, mark.start(1)) if left else None
    end, span = mark.end(), None
    result = _WRITTEN.match(text, end)
    if result and number(result[1]) == abs(written):
        end, span = result.end(1), result.span(1)
    if parsed is None or parsed[0][0] == "leaf":
        before = text[max(0, mark.start() - 200) : mark.start()].rstrip().removesuffix("$").rstrip()
        equals = max(0, mark.start() - 200) + len(before) - 1
        spoken = _spoken(text, equals) if before.endswith("=") else None
        if parsed is not None and spoken is None and written in known:
            return end, None, None
        parsed = spoken or parsed
        if parsed is None or parsed[0][0] == "leaf":
            raise Unreadable(f"step without a computation: {mark[0]}")
    node, leaves = parsed
    try:
        value = _worth(node, leaves)
    except ZeroDivisionError:
        raise Unreadable(f"division by zero: {mark[0]}") from None
    start = min(leaves[0][0], mark.start())
    step = Step(node, leaves, written if loose else value, start, end, span, True, _unit_after(text, end))
    return end, step, Slip(mark[1], value, written) if value != written else None


def _unmarked(text: str, match: re.Match[str], loose: bool, taken: list[tuple[int, int]]) -> tuple[Step | None, Slip | None]:
    """Step and slip of a plain equation; no step if its left side is not read, or if it is false and not `loose`."""
    parsed = _spoken(text, match.start())
    if parsed is None or parsed[0][0] == "leaf" or _overlaps(taken, parsed[1][0][0], parsed[1][0][0] + 1):
        return None, None
    node, leaves = parsed
    try:
        value = _worth(node, leaves)
    except ZeroDivisionError:
        return None, None
    written, end = number(match[1]), match.end()
    if value != written and "%" in text[leaves[0][0] : end + 2]:
        # "6 / 12 * 100% = 50%" counts in percents
        bare = parse(text[leaves[0][0] : match.start()].replace("%", " "), leaves[0][0]) or _spoken(text, match.start(), percents=False)
        if bare is not None and bare[0][0] != "leaf":
            node, leaves = bare
            value = _worth(node, leaves)
    if value != written and not loose:
        return None, None
    slip = Slip(" ".join(text[leaves[0][0] : end].split()), value, written) if value != written else None
    return Step(node, leaves, written, leaves[0][0], end, match.span(1), False, _unit_after(text, end)), slip


_TOKEN = re.compile(
    r"(?P<num>" + NUMBER.pattern + r")|(?P<op>[-+*/×÷–−]|\bx\b|(?<=\d)x(?=\d))"
    r"|(?P<word>[A-Za-z'’]+)|(?P<skip>[\s$%])|(?P<paren>[()])|(?P<other>.)"
)


def _spoken(text: str, equals: int, percents: bool = True) -> tuple[Node, Leaves] | None:
    """The computation before the equals sign at `equals`, units and all ("7 stickers/page * 6 pages"); None if there is no computation."""
    low = max(text.rfind("\n", 0, equals), text.rfind("=", 0, equals)) + 1
    tokens = [m for m in _TOKEN.finditer(text, low, equals) if not m["skip"] or m[0] == "%"]
    keep: list[tuple[int, int]] = []
    want_number, words, depth, numbers = True, 0, 0, 0
    start = None
    for m in reversed(tokens):
        if m["paren"]:
            depth += 1 if m[0] == ")" else -1
            if depth < 0:
                break
            keep.append(m.span())
            if m[0] == "(":
                start = m.start() if depth == 0 and not want_number else start
        elif (want_number or (keep and text[keep[-1][0]] == "(" and keep[-1][0] == m.end() and depth == 0)) and m["num"]:
            keep.append(m.span())
            want_number, words, numbers = False, 0, numbers + 1
            start = m.start() if depth == 0 else start
        elif want_number and (m["word"] or (m["op"] == "/" and words)):
            words += 1
            if words > 4:
                break
        elif want_number and m[0] == "%":
            keep.append(m.span())
        elif not want_number and m["op"]:
            keep.append(m.span())
            want_number, words = True, 0
        else:
            break
    if start is None or numbers < 2:
        return None
    blank = [" "] * (equals - start)
    for a, b in keep:
        if a >= start:
            blank[a - start : b - start] = text[a:b]
    return parse("".join(blank) if percents else "".join(blank).replace("%", " "), start)


def _unit_after(text: str, end: int) -> str:
    after = _UNIT.match(text, end)
    if text[max(0, end - 25) : end].rfind("$") > text[max(0, end - 25) : end].rfind(" "):
        return "$"
    return "" if not after else "%" if after[1] else singular(after[2])


def calculated(text: str) -> tuple[list[Fraction], bool]:
    """Results of the calculations in a text, as written, and whether one of them is false."""
    try:
        steps, slips = steps_of(text, loose=True)
    except Unreadable:
        return [], False
    return [step.value for step in steps], bool(slips)
