"""JSON values in free text: what a response gives, and whether that is the gold.

A value is read that can be read in one way: in a fence or between sentences, with single or curly quotes, bare names of fields, comments,
trailing commas, and Python's True, False and None. It is read whole or not at all: what is cut off, names a field twice, or holds NaN is
not JSON. Compared are values: the order of fields and spacing do not count, 18.0 is 18, "18" is not, and texts are equal in one typography
(errata.tasks.verdicts.fold) without outer and double blanks, their case kept.

It does not cover answers that are a JSON object around one short answer (errata.tasks.verdicts.structured), nor whether a value has the
form that was asked for (errata.tasks.schema).
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import cache
from itertools import islice
from typing import Any, NamedTuple

from ...signatures.records import SEVERAL, whole
from .fold import signs
from .short import MARKER

MOST, DEPTH, TRIES = 100_000, 64, 200
"""Longest text that is read, in characters; deepest nesting; brackets at which a value is looked for."""
_TOKEN = re.compile(
    r"""(?:[\s\ufeff]|//[^\n]*|/\*(?:[^*]|\*(?!/))*+\*/)*+(?:
    (?P<text>"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+'|“(?:[^“”\\]|\\.)*+”)
    |(?P<number>-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][-+]?[0-9]++)?(?![\w.]))
    |(?P<word>[^\W\d][\w$-]*+)|(?P<sign>[{}\[\],:])|(?P<end>\Z)|(?P<other>.))""",
    re.VERBOSE | re.DOTALL,
)
_WORDS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
_MARK = re.compile(r"\\.|\"", re.DOTALL)
_FENCE = re.compile(r"\s*(?:```|~~~)\w*\s*\n?(.*?)(?:```|~~~)?\s*", re.DOTALL)


class NotJson(ValueError):
    """What a text holds in the place of one value."""

    def __init__(self, reason: str, place: int = 0):
        super().__init__(reason)
        self.place = place


class Found(NamedTuple):
    """A value and where it stands in its text."""

    value: Any
    start: int
    end: int


def read(text: str, like: Any = None) -> Found:
    """The one value that a text gives; of several kinds those of `like`, a list or an object, count. Of several that are the same the last
    one is meant, and with "Answer:" or the like those behind it. Raises NotJson with the reason of a verdict."""
    if not text.strip():
        raise NotJson("no answer")
    if len(text) > MOST:
        raise NotJson(f"not JSON: {len(text):,} characters, more than {MOST:,}")
    found, fault = _all(text)
    if alone := _scalar(text):
        if isinstance(alone.value, str) and isinstance(like, dict | list):  # written as JSON twice
            return read(alone.value, like)
        found = [alone]
    found = [one for one in found if isinstance(like, dict | list) and type(one.value) is type(like)] or found
    marks = [mark.end() for mark in MARKER.finditer(text)]
    found = [one for one in found if marks and one.start >= marks[-1]] or found
    if not found:
        raise NotJson(f"not JSON: {fault or 'no object or list is in it'}")
    if any(differs(found[0].value, one.value) for one in found[1:]):
        raise NotJson(SEVERAL)
    return found[-1]


def _scalar(text: str) -> Found | None:
    """A text, number, bool or null that is the whole text."""
    body = fenced[1] if (fenced := _FENCE.fullmatch(text)) else text
    token = _TOKEN.match(body)
    if token is None or token.lastgroup not in ("text", "number", "word") or body[token.end() :].strip():
        return None
    try:
        return Found(_plain(token), text.index(body), text.index(body) + len(body))
    except NotJson:
        return None


def _all(text: str) -> tuple[list[Found], str]:
    """All lists and objects that are not inside others, and what is wrong with the one that was read farthest of those that are broken."""
    found: list[Found] = []
    broken = NotJson("")
    place = 0
    for opener in islice(re.finditer(r"[{\[]", text), TRIES):
        if opener.start() < place:
            continue
        try:
            value, place = _container(text, opener.start())
            found.append(Found(whole(value), opener.start(), place))
        except NotJson as error:
            first = _TOKEN.match(text, opener.end())
            # what stands inside a value that breaks off later than at its first word is a part of it
            place = opener.end() if first and error.place <= first.start(str(first.lastgroup)) else _closed(text, opener.start())
            if error.place - opener.start() > broken.place:
                broken = NotJson(str(error), error.place - opener.start())
    return found, str(broken)


def _closed(text: str, start: int) -> int:
    """Behind the bracket that closes the one at `start`, or the text's end."""
    depth = 0
    for token in _TOKEN.finditer(text, start):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(token["sign"] or "", 0)
        if depth == 0:
            return token.end()
    return len(text)


def _container(text: str, start: int) -> tuple[Any, int]:
    """The list or object that begins at `start`, and where it ends. Without recursion, so that depth breaks nothing. Raises NotJson."""
    holders: list[Any] = []
    names: list[str] = []
    want, place = "value", start  # the token that may come: value, item (a value or the end), name, colon, comma (or the end)
    while True:
        token = _TOKEN.match(text, place)
        assert token, "the pattern takes any text"
        kind, said = str(token.lastgroup), token[str(token.lastgroup)]
        at, place = token.start(kind), token.end()
        if kind == "end" or (kind == "other" and said in "\"'“"):
            raise NotJson("it is cut off" if kind == "end" else "a text is not closed", at)
        if holders and said == ("}" if isinstance(holders[-1], dict) else "]") and want in ("item", "name", "comma") and kind == "sign":
            done = holders.pop()
            if not holders:
                return done, place
            names.pop()
            want = "comma"
        elif want == "comma" and said == ",":
            want = "name" if isinstance(holders[-1], dict) else "item"
        elif want == "colon" and said == ":":
            want = "value"
        elif want == "name" and kind in ("text", "word"):
            name = said if kind == "word" else _plain(token)
            if name in holders[-1]:
                raise NotJson(f"the field {name!r} is there twice", at)
            names[-1], want = name, "colon"
        elif want in ("value", "item") and (kind in ("text", "number", "word") or said in ("{", "[")):
            value = {} if said == "{" else [] if said == "[" else _plain(token)
            if holders and isinstance(holders[-1], dict):
                holders[-1][names[-1]] = value
            elif holders:
                holders[-1].append(value)
            want = "comma"
            if said in ("{", "["):
                holders.append(value)
                names.append("")
                want = "name" if said == "{" else "item"
            if len(holders) > DEPTH:
                raise NotJson(f"it is nested more than {DEPTH} deep", at)
        else:
            raise NotJson(f"{' '.join(text[at : at + 20].split())!r} stands where {_WANTED[want]} should", at)


_WANTED = {"value": "a value", "item": "a value", "name": "the name of a field", "colon": "a colon", "comma": "a comma or the end"}


def _plain(token: re.Match[str]) -> Any:
    """The value of a token that is a text, a number or a word. Raises NotJson."""
    kind = str(token.lastgroup)
    said, at = token[kind], token.start(kind)
    try:
        if kind == "text":
            inner = _MARK.sub(lambda one: {"\\'": "'", '"': '\\"'}.get(one[0], one[0]), said[1:-1])
            return json.loads(f'"{inner}"', strict=False)
        if kind == "word":
            return _WORDS[said]
        value = json.loads(said)
    except KeyError:
        raise NotJson(f"{said[:20]!r} is no value of JSON", at) from None
    except ValueError:
        what = "a backslash in a text escapes nothing" if kind == "text" else "a number is too long"
        raise NotJson(what, at) from None
    if not math.isfinite(value if isinstance(value, float) else 0):
        raise NotJson("a number is too large", at)
    return value


# ---- comparing


def differs(gold: Any, given: Any, tolerance: float = 0.0, unordered: bool = False) -> str:
    """Where a value is not the gold's and what stands there, e.g. "items[0].quantity is 3, not 2"; empty: they are equal. `tolerance`: by
    what share of the gold's number another may differ; `unordered`: whether the order of lists does not count."""
    return next(_differences("", gold, given, tolerance, unordered), "")


def _differences(path: str, gold: Any, given: Any, tolerance: float, unordered: bool) -> Iterator[str]:
    here = path or "the answer"
    if isinstance(gold, dict) and isinstance(given, dict):
        inner = f"{path}." if path else ""
        yield from (f"field {inner}{name} is missing" for name in gold if name not in given)
        for name, value in gold.items():
            if name in given:
                yield from _differences(f"{inner}{name}", value, given[name], tolerance, unordered)
        yield from (f"field {inner}{str(name)[:60]} is not asked for" for name in given if name not in gold)
    elif isinstance(gold, list) and isinstance(given, list):
        if len(gold) != len(given):
            yield f"{here} has length {len(given)}, not {len(gold)}"
        elif unordered:
            yield from _unmatched(here, gold, given, tolerance)
        else:
            for place, (one, other) in enumerate(zip(gold, given, strict=True)):
                yield from _differences(f"{path}[{place}]", one, other, tolerance, unordered)
    elif not _same(gold, given, tolerance):
        yield f"{here} is {_shown(given)}, not {_shown(gold)}"


def _unmatched(here: str, gold: Sequence[Any], given: Sequence[Any], tolerance: float) -> Iterator[str]:
    same: dict[str, list[int]] = {}
    for place, one in enumerate(given):
        same.setdefault(_sorted(one), []).append(place)
    # what is the same to the letter is taken first, so that a long list in another order costs little
    held: dict[int, int] = {}  # place in `given` -> place in `gold`
    for first, one in enumerate(gold):
        if places := same.get(_sorted(one)):
            held[places.pop()] = first
    if tolerance < 1 and all(isinstance(one, int | float) and not isinstance(one, bool) for one in (*gold, *given)):
        left = iter(sorted(given))  # of numbers in order each takes the first that is near
        yield from (f"{here} lacks {_shown(one)}" for one in sorted(gold) if not any(_same(one, other, tolerance) for other in left))
        return
    fits = cache(lambda first: [at for at, other in enumerate(given) if not differs(gold[first], other, tolerance, True)])
    for first in sorted(set(range(len(gold))) - set(held.values())):
        free = (at for at, other in enumerate(given) if at not in held and not differs(gold[first], other, tolerance, True))
        if (at := next(free, None)) is not None:
            held[at] = first
        elif not tolerance or not _placed(first, fits, held):
            yield f"{here} lacks {_shown(gold[first])}"
            return


def _placed(first: int, fits: Callable[[int], list[int]], held: dict[int, int]) -> bool:
    """Give one of the gold's a place from which another moves, as a tolerance lets that fit several; False: there is none."""
    turns: list[Any] = [(first, -1, None)]  # who looks for a place, the one it then leaves, and who takes that
    seen = set()
    while turns:
        turn = turns.pop()
        for place in sorted(fits(turn[0]), key=held.__contains__):  # a free one first
            if place not in held:
                while turn:
                    (held[place], place, turn) = turn
                return True
            if place not in seen:
                seen.add(place)
                turns.append((held[place], place, turn))
    return False


def _sorted(value: Any) -> str:
    """A text of the value in which no order counts."""
    if isinstance(value, dict):
        return f"{{{','.join(sorted(f'{json.dumps(name)}:{_sorted(one)}' for name, one in value.items()))}}}"
    return f"[{','.join(sorted(map(_sorted, value)))}]" if isinstance(value, list) else json.dumps(value)


def _same(gold: Any, given: Any, tolerance: float) -> bool:
    """Of two values that are not both lists or both objects."""
    if isinstance(gold, str) and isinstance(given, str):
        return " ".join(signs(gold).split()) == " ".join(signs(given).split())
    numbers = [one for one in (gold, given) if isinstance(one, int | float) and not isinstance(one, bool)]
    if len(numbers) == 2:
        return bool(gold == given) or (tolerance > 0 and abs(Fraction(given) - Fraction(gold)) <= Fraction(tolerance) * abs(Fraction(gold)))
    return type(gold) is type(given) and bool(gold == given)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}..."
