"""What runs inside the sandbox beside a code answer or its test: values as JSON and back, and one `main` for both.

The text of this file is the harness that errata.tasks.verdicts.code sends; `encode` and `decode` serve the host too: a list is a tag and
its content, everything else stands for itself. It imports nothing of Errata. Not here: any expected value. An answer shares its interpreter
with this file, and may read and change all of it.
"""

import builtins
import collections
import decimal
import fractions
import itertools
import json
import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:

    def describe(error: BaseException) -> str:
        """One line about an exception; the sandbox gives it."""


class Hole:
    """Stands for a value that is not known yet: whatever is done with it goes well and means nothing."""

    __hash__ = object.__hash__

    def __iter__(self) -> Iterator[Any]:
        return iter(())


_GIVES_ITSELF = (
    "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor", "lshift", "rshift", "radd", "rsub", "rmul",
    "rtruediv", "rfloordiv", "rmod", "rpow", "rand", "ror", "rxor", "neg", "pos", "abs", "round", "getitem", "invert", "getattr", "call",
)  # fmt: skip
_GIVES: dict[str, Any] = {"bool": True, "contains": True, "eq": True, "ne": True, "lt": True, "le": True, "gt": True, "ge": True}
_GIVES |= {"float": 0.0, "int": 0, "index": 0, "len": 0}
for _name in _GIVES_ITSELF:
    setattr(Hole, f"__{_name}__", lambda self, *args, **kwargs: self)
for _name, _value in _GIVES.items():
    setattr(Hole, f"__{_name}__", lambda self, *args, value=_value: value)


class Depends(BaseException):
    """An argument is a value that is not known yet."""


class NotHandedOver(BaseException):
    """A test looked into an object that did not come over."""


class Again(BaseException):
    """Enough was asked for one turn."""


class Opaque:
    """Stands for an object that did not come over."""

    def __init__(self, name: str) -> None:
        vars(self)["_name"] = name

    def __repr__(self) -> str:
        return f"<{vars(self)['_name']} object>"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotHandedOver(vars(self)["_name"])

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise NotHandedOver(vars(self)["_name"])


# Values -------------------------------------------------------------------------------------------------------------------

MOST = 100000
"""Items of an iterator that are read, and calls of one turn."""
# bound now, before a program can patch anything
_dumps, _islice, _finite, _type, _issub = json.dumps, itertools.islice, math.isfinite, type, issubclass
_VIEWS: tuple[type, ...] = (type({}.keys()), type({}.items()))
_VALUES: type = type({}.values())
_IN_ORDER: tuple[tuple[str, Any], ...] = (("l", list), ("t", tuple), ("q", collections.deque))
_UNORDERED: tuple[tuple[str, Any], ...] = (("s", set), ("z", frozenset))
_lost: list[str] = []
_program: Any = None


def encode(value: Any, deep: int = 0) -> Any:
    """A value as JSON, read by the base types' own methods, so that an object which lies about itself tells only what it holds."""
    kind = _type(value)
    if deep > 50:
        return _unknown("value nested too deeply")
    if value is None or kind is bool:
        return value
    if kind is Hole:
        raise Depends
    try:
        found = _scalar(value, kind)
        return found if found is not None else _container(value, kind, deep)
    except (TypeError, ValueError, AttributeError):
        if hasattr(kind, "__next__"):
            raise  # it is the generator's own
    return _unknown(kind.__name__)


def _unknown(name: str) -> list[str]:
    _lost.append(name)
    return ["?", name]


def _scalar(value: Any, kind: type) -> Any:
    """A number, text, bytes or a built-in type; None: it is something else."""
    if _issub(kind, int):
        number = int.__index__(value)
        return number if -(2**53) < number < 2**53 else ["i", hex(number)]
    if _issub(kind, float):
        real = float.__float__(value)
        return real if _finite(real) else ["f", repr(real)]
    if _issub(kind, str):
        text = str.__str__(value)
        try:
            text.encode()
            return text
        except UnicodeEncodeError:
            return ["u", text.encode("utf-8", "surrogatepass").hex()]
    if _issub(kind, complex):
        return ["c", encode(complex.real.__get__(value)), encode(complex.imag.__get__(value))]
    if _issub(kind, bytes):
        return ["b", bytes.hex(value)]
    if _issub(kind, bytearray):
        return ["B", bytearray.hex(value)]
    if kind is range:
        return ["r", encode(value.start), encode(value.stop), encode(value.step)]
    if kind is fractions.Fraction:
        return ["F", encode(value.numerator), encode(value.denominator)]
    if kind is decimal.Decimal:
        return ["D", str(value)]
    if kind is _type and value.__module__ == "builtins":
        return ["T", value.__name__]
    return None


def _container(value: Any, kind: type, deep: int) -> list[Any]:
    """Something that holds values, an object of the program, or what cannot come over."""

    def inner(items: Iterable[Any]) -> list[Any]:
        return [encode(item, deep + 1) for item in items]

    for tag, base in _IN_ORDER:
        if _issub(kind, base):
            return [tag, *inner(base.__iter__(value))]
    for tag, base in _UNORDERED:
        if _issub(kind, base):
            return [tag, *sorted(inner(base.__iter__(value)), key=_dumps)]
    if _issub(kind, dict):
        return ["d", *[inner(pair) for pair in dict.items(value)]]
    if kind in _VIEWS:
        return ["s", *sorted(inner(value), key=_dumps)]
    if kind.__module__ == "program" and _type(getattr(value, "__dict__", None)) is dict:
        return ["O", kind.__name__, *[inner(pair) for pair in dict.items(value.__dict__)]]
    if kind is _VALUES or hasattr(kind, "__next__"):
        return ["n", *inner(_islice(value, MOST))]
    return _unknown(kind.__name__)


_FROM_TEXT: dict[str, Any] = {"f": float, "b": bytes.fromhex, "B": bytearray.fromhex, "D": decimal.Decimal, "?": Opaque}
_FROM_TEXT |= {
    "i": lambda text: int(text, 16),
    "u": lambda text: bytes.fromhex(text).decode("utf-8", "surrogatepass"),
    "T": lambda name: getattr(builtins, name) if isinstance(getattr(builtins, name), type) else Opaque(name),
}
_FROM_ITEMS: dict[str, Any] = {"l": list, "t": tuple, "s": set, "z": frozenset, "q": collections.deque, "n": iter}
_FROM_ITEMS |= {"c": lambda items: complex(*items), "r": lambda items: range(*items), "F": lambda items: fractions.Fraction(*items)}


def decode(value: Any) -> Any:
    """What `encode` made JSON of. Raises ValueError for an unknown tag."""
    if _type(value) is not list:
        return value
    tag, rest = value[0], value[1:]
    if tag in _FROM_TEXT:
        return _FROM_TEXT[tag](rest[0])
    if tag == "d":
        return {decode(key): decode(item) for key, item in rest}
    if tag == "O":
        kind = getattr(_program, rest[0], None)
        if not isinstance(kind, type):
            return Opaque(rest[0])
        made: Any = object.__new__(kind)
        vars(made).update((key, decode(item)) for key, item in rest[1:])
        return made
    items = [decode(item) for item in rest]
    if tag not in _FROM_ITEMS:
        raise ValueError(tag)
    return _FROM_ITEMS[tag](items)


# The two runs -------------------------------------------------------------------------------------------------------------


def main(program: Any, payload: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Beside an answer one row a call; beside a test, whose payload holds what is `known`, one row in all."""
    global _program
    _program = program
    return test(program, payload) if "known" in payload else answer(program, payload)


def answer(program: Any, payload: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What the function gives for each call."""
    # Python 3.14 looks at annotations late; before it an unknown name in one is an error where the function is defined.
    for thing in list(vars(program).values()):
        for part in [thing, *(list(vars(thing).values()) if isinstance(thing, type) else [])]:
            if getattr(part, "__module__", None) == "program" and (isinstance(part, type) or hasattr(part, "__code__")):
                _ = part.__annotations__
    function = getattr(program, payload["entry"])
    for call in payload["calls"]:
        args, kwargs = decode(call)
        try:
            row = {"value": encode(function(*args, **kwargs))}
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            row = {"raised": _type(error).__name__, "error": describe(error)}
        yield row


def test(program: Any, payload: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What the test asks for beyond what is known, and whether it held."""
    known: list[Any] = payload["known"]
    fresh: list[Any] = []
    asked = asserts = 0
    last: str | None = None
    thrown: Exception | None = None

    def candidate(*args: Any, **kwargs: Any) -> Any:
        nonlocal asked, last, thrown
        try:
            call = encode([list(args), kwargs])
        except Depends:
            raise Again from None
        if _lost:
            raise NotHandedOver(_lost[0])
        number, asked = asked, asked + 1
        if fresh or number >= len(known) or known[number][0] != call:
            if len(fresh) > MOST:
                raise Again
            fresh.append(call)
            return Hole()
        row = known[number][1]
        if "raised" in row:
            last = "raised " + row["error"]
            kind = getattr(builtins, row["raised"], Exception)
            thrown = (kind if isinstance(kind, type) and issubclass(kind, Exception) else Exception)(row["error"])
            raise thrown
        value = decode(row["value"])
        try:
            last = "it gave " + (type(value).__name__ if hasattr(value, "__next__") else repr(value))[:200]
        except ValueError:  # an integer of thousands of digits
            last = "it gave a huge number"
        return value

    def check(holds: Any, text: str) -> None:
        nonlocal asserts
        asserts += 1
        try:
            held = bool(holds())
        except Exception:
            if fresh:
                return
            raise
        if not held and not fresh:
            raise AssertionError(text)

    vars(program).update({payload["entry"]: candidate, "__assert__": check})
    failed = unreadable = None
    try:
        program.check(candidate)
    except Again:
        pass
    except NotHandedOver as error:
        unreadable = str(error)
    except AssertionError as error:
        failed = str(error) or "an assert"
    except Exception as error:
        failed = "" if error is thrown else describe(error)
    turn = {"kept": asked - len(fresh), "calls": fresh, "asked": asked, "asserts": asserts}
    yield {**turn, "failed": failed, "unreadable": unreadable, "last": last}
