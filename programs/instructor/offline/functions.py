"""Reads a Python function over one list as a chain of the primitives of errata.tasks.world.lists, and a question's words as one.

Comprehensions, generators, map and filter with a lambda, loops that append, and straight lines of assignments are read; a primitive is
known in several spellings ("x % 2", "x % 2 == 1"). What is not here: branches, several arguments, imports, and loops that carry a value.
"""

import ast
import copy
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from ....tasks.verdicts.code import parse
from ....tasks.world.lists import PRIMITIVES, Primitive, Step
from ...samples.calculations import Unreadable

SPELLINGS = {
    "even": ("not {t} % 2", "not {t} & 1", "{t} % 2 != 1"), "odd": ("{t} % 2 != 0", "{t} % 2", "{t} & 1"),
    "above": ("{k} < {x}",), "below": ("{k} > {x}",), "multiple": ("not {t} % {k}",),
    "plus": ("{k} + {t}",), "times": ("{k} * {t}",), "repeat": ("{k} * {t}",), "square": ("{t} * {t}", "pow({t}, 2)"),
    "negate": ("{t} * -1", "-1 * {t}", "0 - {t}"), "starts": ("{t}[0] == '{k}'", "{t}[:1] == '{k}'"), "ends": ("{t}[-1] == '{k}'",),
    "lacks": ("not '{k}' in {x}",), "initial": ("{t}[:1]",), "final": ("{t}[-1:]",), "backwards": ("''.join(reversed({t}))",),
    "reverse": ("list(reversed({l}))",), "down": ("sorted({l})[::-1]", "list(reversed(sorted({l})))"),
    "largest": ("max({l})",), "smallest": ("min({l})",),
    "letters": ("sum((len(x) for x in {l}))", "sum([len(x) for x in {l}])", "sum(map(len, {l}))"),
}  # fmt: skip
"""Other code of a primitive than its own."""


@dataclass(frozen=True)
class Chain:
    """What a function does: its name, the name of its list, and its steps."""

    name: str
    source: str
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Telling:
    """How a question tells a chain: what stands before, between and behind the phrases, and which wording each step has. The wordings of a
    primitive are counted through, its `other` last."""

    head: str
    joint: str
    end: str
    steps: tuple[Step, ...]
    words: tuple[int, ...]


def wordings(primitive: Primitive) -> tuple[str, ...]:
    return (*primitive.wordings, primitive.other)


@cache
def _patterns() -> list[tuple[Primitive, ast.expr]]:
    """Every spelling as a tree with the names _x and _k (or the text '_k') for its slots; the larger ones first."""
    found = [
        (primitive, ast.parse(code.format(x="_x", t="_x", l="_x", g="_x", k="_k"), mode="eval").body)
        for name, primitive in PRIMITIVES.items()
        for code in (primitive.code, *SPELLINGS.get(name, ()))
    ]
    return sorted(found, key=lambda pair: (-sum(isinstance(node, ast.expr) for node in ast.walk(pair[1])), "_k" in ast.dump(pair[1])))


def _fits(pattern: Any, node: Any, found: dict[str, Any]) -> bool:
    """Whether a tree is an instance of a pattern; its parts are put into `found`."""
    if isinstance(pattern, ast.Name) and pattern.id == "_x":
        return ast.dump(found.setdefault("x", node)) == ast.dump(node)
    if isinstance(pattern, ast.Name) and pattern.id == "_k":
        return isinstance(node, ast.Constant) and type(node.value) is int and found.setdefault("k", node.value) == node.value
    if isinstance(pattern, ast.Constant) and pattern.value == "_k":
        text = node.value if isinstance(node, ast.Constant) else None
        return isinstance(text, str) and text.isalpha() and found.setdefault("k", text) == text
    if type(pattern) is not type(node):
        return False
    if isinstance(pattern, ast.AST):
        return all(_fits(part, getattr(node, name), found) for name, part in ast.iter_fields(pattern) if name not in ("ctx", "kind"))
    if isinstance(pattern, list):
        return len(pattern) == len(node) and all(_fits(a, b, found) for a, b in zip(pattern, node, strict=True))
    return bool(pattern == node)


def _instances(node: ast.AST, kinds: tuple[str, ...], over: str) -> Iterator[tuple[Step, ast.expr]]:
    """(step, what it is done to) for each primitive that a tree may stand for."""
    for primitive, pattern in _patterns():
        found: dict[str, Any] = {}
        if primitive.kind in kinds and primitive.over in (over, "any") and _fits(pattern, node, found):
            yield (primitive.name, found.get("k")), found["x"]


def chain_of(source: str, entry: str, over: str) -> Chain:
    """What the function `entry` of a source does to a list of numbers or of words. Raises Unreadable for other functions."""
    tree = parse(source)
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == entry] if tree else []
    if not found:
        raise Unreadable("the code defines no such function")
    arguments = found[0].args
    if len(arguments.args) != 1 or arguments.vararg or arguments.kwarg or arguments.kwonlyargs or arguments.posonlyargs:
        raise Unreadable("a function of other than one argument is beyond the embedded instructor")
    name = arguments.args[0].arg
    return Chain(entry, name, tuple(_steps(_result(found[0].body, name), name, over)))


def _result(body: list[ast.stmt], source: str) -> ast.expr:
    """The returned expression, with assigned names put in."""
    known: dict[str, ast.expr] = {}
    for line in body:
        match line:
            case ast.Expr(value=ast.Constant()):
                continue
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                known[name] = _inlined(value, known)
            case ast.For(target=ast.Name(id=item), iter=values, body=[inner], orelse=[]):
                name, value, test = _appended(inner, item)
                before = known.get(name)
                if not isinstance(before, ast.List) or before.elts:
                    raise Unreadable("a loop that carries a value is beyond the embedded instructor")
                loop = ast.comprehension(target=ast.Name(id=item), iter=_inlined(values, known), ifs=test, is_async=0)
                known[name] = ast.ListComp(elt=value, generators=[loop])
            case ast.Return(value=ast.expr() as value):
                return _inlined(value, known)
            case _:
                raise Unreadable("code with branches or loops of its own is beyond the embedded instructor")
    raise Unreadable("the function returns nothing")


def _appended(line: ast.stmt, item: str) -> tuple[str, ast.expr, list[ast.expr]]:
    """(name, value, conditions) of "if ...: name.append(value)"."""
    match line:
        case ast.If(test=test, body=[inner], orelse=[]):
            name, value, more = _appended(inner, item)
            return name, value, [test, *more]
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append"), args=[value], keywords=[])):
            return name, value, []
    raise Unreadable("a loop that does more than append is beyond the embedded instructor")


class _Inline(ast.NodeTransformer):
    def __init__(self, known: dict[str, ast.expr]):
        self.known = known

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self.known.get(node.id, node)


def _inlined(node: ast.expr, known: dict[str, ast.expr]) -> ast.expr:
    # a copy, for a tree that stands at two places would be changed at both
    return _Inline(known).visit(copy.deepcopy(node))


def _steps(node: ast.expr, source: str, over: str) -> list[Step]:
    match node:
        case ast.Name(id=name) if name == source:
            return []
        case ast.Name(id=name):
            raise Unreadable(f"it uses the name {name!r}, which is not that of its list")
        case ast.ListComp(elt=value, generators=[loop]) | ast.GeneratorExp(elt=value, generators=[loop]) if (
            isinstance(loop.target, ast.Name) and not loop.is_async
        ):
            return _steps(loop.iter, source, over) + _loop(value, loop.ifs, loop.target.id, over)
        case ast.Call(func=ast.Name(id="list"), args=[inner], keywords=[]) if not isinstance(inner, ast.Call) or _is_lazy(inner):
            return _steps(inner, source, over)
        case ast.Call(func=ast.Name(id="map"), args=[ast.Lambda(args=ast.arguments(args=[item]), body=value), values], keywords=[]):
            return _steps(values, source, over) + _loop(value, [], item.arg, over)
        case ast.Call(func=ast.Name(id="map"), args=[ast.Name(id="len"), values], keywords=[]) if over == "words":
            return [*_steps(values, source, over), ("length", None)]
        case ast.Call(func=ast.Name(id="filter"), args=[ast.Lambda(args=ast.arguments(args=[item]), body=test), values], keywords=[]):
            return _steps(values, source, over) + _loop(ast.Name(id=item.arg), [test], item.arg, over)
    for step, inner in _instances(node, ("order", "cut", "fold"), over):
        return [*_steps(inner, source, over), step]
    raise Unreadable(f"the embedded instructor does not know what {ast.unparse(node)[:60]!r} does to a list")


def _is_lazy(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Name) and call.func.id in ("map", "filter", "sorted")


def _loop(value: ast.expr, tests: list[ast.expr], item: str, over: str) -> list[Step]:
    """The steps of a comprehension: its changes, and each condition behind the changes whose result it looks at."""
    changes: list[Step] = []
    stages = [value]
    while not (isinstance(stages[0], ast.Name) and stages[0].id == item):
        found = next(_instances(stages[0], ("change",), over), None)
        if found is None:
            raise Unreadable(f"the embedded instructor does not know what {ast.unparse(stages[0])[:60]!r} does to an element")
        changes.insert(0, found[0])
        stages.insert(0, found[1])
    shown = [ast.unparse(stage) for stage in stages]
    kept: list[list[Step]] = [[] for _ in stages]
    parts = [part for test in tests for part in (test.values if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) else [test])]
    for test in parts:
        places = [(step, shown.index(ast.unparse(on))) for step, on in _instances(test, ("keep",), over) if ast.unparse(on) in shown]
        if not places:
            raise Unreadable(f"the embedded instructor does not know the condition {ast.unparse(test)[:60]!r}")
        kept[places[0][1]].append(places[0][0])
    return [step for place, keeps in enumerate(kept) for step in [*keeps, *changes[place : place + 1]]]


@cache
def _phrases() -> tuple[re.Pattern[str], list[tuple[Primitive, int]]]:
    """One pattern for all wordings, the longer ones first, and whose the nth group's is."""
    texts = [(text, primitive, place) for primitive in PRIMITIVES.values() for place, text in enumerate(wordings(primitive))]
    texts.sort(key=lambda found: -len(found[0]))
    parts = []
    for text, primitive, _ in texts:
        constant = r"[a-z]+" if isinstance(primitive.constants, str) else r"\d+"
        parts.append(f"({re.escape(text).replace(re.escape('{k}'), constant)})")
    return re.compile(r"(?<!\w)(?:" + "|".join(parts) + r")(?!\w)"), [(primitive, place) for _, primitive, place in texts]


def telling_of(question: str) -> Telling | None:
    """The chain that a question's words tell; None when they are not wholly the words of errata.tasks.world.lists."""
    pattern, owners = _phrases()
    found = list(pattern.finditer(question))
    if not found:
        return None
    steps: list[Step] = []
    words: list[int] = []
    for match in found:
        assert match.lastindex
        primitive, place = owners[match.lastindex - 1]
        head, _, tail = wordings(primitive)[place].partition("{k}")
        text = match[0][len(head) : len(match[0]) - len(tail)] if primitive.constants else None
        steps.append((primitive.name, int(text) if text and not isinstance(primitive.constants, str) else text))
        words.append(place)
    head, end = question[: found[0].start()], question[found[-1].end() :]
    joints = {question[a.end() : b.start()] for a, b in itertools.pairwise(found)}
    if len(joints) > 1 or len(re.findall(r"\w+", "".join(joints))) > 3 or re.search(r"\w", end) or len(re.findall(r"\w+", head)) > 12:
        return None
    joint = "; after that, " if head.startswith("Define") else ", then "
    return Telling(head, next(iter(joints), joint), end, tuple(steps), tuple(words))
