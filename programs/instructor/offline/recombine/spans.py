"""Where a text says a value of a JSON document: the places of strings, numbers, dates and times, each with the form that it has there.

Values of one form can stand in each other's place: digits for digits, one for one alone ("1 mug", "2 mugs"), a plural for a plural. Not
covered: values that a text says in other words, numbers above a hundred in words, and ranges.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date, time
from functools import lru_cache
from typing import Any, NamedTuple

_UNITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen",
          "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
WORDS = dict(zip(_UNITS, range(20), strict=True)) | {word: 10 * place for place, word in enumerate(_TENS, 2)}
WORDS |= {f"{ten}-{_UNITS[one]}": WORDS[ten] + one for ten in _TENS for one in range(1, 10)}
WORDS |= {"a dozen": 12, "half a dozen": 6, "a couple of": 2, "a pair of": 2, "a hundred": 100}
_ARTICLE = {"a": 1, "an": 1}
_DIGITS = re.compile(r"(?:(?<![\w.,:/-])-?|(?<=(?<!\w)[xX×]))\d+(?:,\d{3})*(?:\.\d+)?(?![\d:/]|-\d|(?:st|nd|rd|th)\b)")
_WORD = re.compile(rf"(?i)\b(?:{'|'.join(sorted([*WORDS, *_ARTICLE], key=len, reverse=True))})\b")
_DATES: dict[str, Callable[[date], str]] = {
    "5 March 2024": lambda day: f"{day.day} {day:%B %Y}",
    "5 Mar 2024": lambda day: f"{day.day} {day:%b %Y}",
    "5th March 2024": lambda day: f"{_th(day.day)} {day:%B %Y}",
    "5th of March 2024": lambda day: f"{_th(day.day)} of {day:%B %Y}",
    "March 5, 2024": lambda day: f"{day:%B} {day.day}, {day.year}",
    "March 5 2024": lambda day: f"{day:%B} {day.day} {day.year}",
    "March 5th, 2024": lambda day: f"{day:%B} {_th(day.day)}, {day.year}",
    "Mar 5, 2024": lambda day: f"{day:%b} {day.day}, {day.year}",
    "05/03/2024": lambda day: f"{day:%d/%m/%Y}",
    "03/05/2024": lambda day: f"{day:%m/%d/%Y}",
    "5/3/2024": lambda day: f"{day.day}/{day.month}/{day.year}",
    "3/5/2024": lambda day: f"{day.month}/{day.day}/{day.year}",
    "05.03.2024": lambda day: f"{day:%d.%m.%Y}",
    "5.3.2024": lambda day: f"{day.day}.{day.month}.{day.year}",
    "2024/03/05": lambda day: f"{day:%Y/%m/%d}",
    "5th of March": lambda day: f"{_th(day.day)} of {day:%B}",
    "5th March": lambda day: f"{_th(day.day)} {day:%B}",
    "March 5th": lambda day: f"{day:%B} {_th(day.day)}",
    "March 5": lambda day: f"{day:%B} {day.day}",
    "Mar 5": lambda day: f"{day:%b} {day.day}",
    "5 March": lambda day: f"{day.day} {day:%B}",
    "5 Mar": lambda day: f"{day.day} {day:%b}",
}
_TIMES: dict[str, Callable[[time], str]] = {
    "7:30 pm": lambda at: f"{_hour(at)}:{at:%M} {_half(at)}",
    "7:30pm": lambda at: f"{_hour(at)}:{at:%M}{_half(at)}",
    "7.30 pm": lambda at: f"{_hour(at)}.{at:%M} {_half(at)}",
    "7 pm": lambda at: f"{_hour(at)} {_half(at)}" if not at.minute else "",
    "7pm": lambda at: f"{_hour(at)}{_half(at)}" if not at.minute else "",
    "19:30": lambda at: f"{at.hour}:{at:%M}",
    "19.30": lambda at: f"{at.hour}.{at:%M}",
    "noon": lambda at: "noon" if at == time(12) else "midnight" if at == time(0) else "",
}


class Span(NamedTuple):
    """A place that says a value."""

    start: int
    end: int
    form: str


def spans(value: Any, text: str) -> tuple[Span, ...]:
    """Every place that says the value, in its closest form; empty for what no text says as such: true, false and null."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return ()
    return _numbers(value, text) if isinstance(value, (int, float)) else _texts(value, text)


@lru_cache(maxsize=10_000)
def _texts(value: str, text: str) -> tuple[Span, ...]:
    for form, written in _written(value) if value.strip() else ():
        found = tuple(Span(match.start(), match.end(), form) for match in _places(written, text, form))
        if found:
            return found
    return ()


@lru_cache(maxsize=10_000)
def _numbers(value: float, text: str) -> tuple[Span, ...]:
    return tuple(_counted(value, text))


def _counted(value: float, text: str) -> Iterator[Span]:
    one = ", one" if value == 1 else ""
    for found in _DIGITS.finditer(text):
        if float(found[0].replace(",", "")) == value:
            yield Span(found.start(), found.end(), ("1,000" if "," in found[0] else "0.0" if "." in found[0] else "0") + one)
    for found in _WORD.finditer(text):
        word = found[0].lower().replace(" ", "-") if found[0].lower().replace(" ", "-") in WORDS else found[0].lower()
        if (WORDS | _ARTICLE)[word] == value:
            yield Span(found.start(), found.end(), ("article" if word in _ARTICLE else "word") + one)


def _written(value: str) -> Iterator[tuple[str, str]]:
    """(form, text) of a string as texts may have it, the closest first."""
    yield "as it is", value
    with suppress(ValueError):
        day = date.fromisoformat(value[:10])
        yield from ((form, write(day)) for form, write in _DATES.items() if len(value) == 10)
    with suppress(ValueError):
        if re.fullmatch(r"\d\d:\d\d", value):
            yield from ((form, said) for form, write in _TIMES.items() if (said := write(time.fromisoformat(value))))
    yield "other case", value
    if spaced := re.sub(r"[_-]", " ", value):
        yield "apart", spaced
    if value[-1].isalpha():
        yield "plural", re.sub(r"(?i)([^aeiou])y$", r"\1ie", value) + "s"
        yield "plural", value + "es"
        yield "singular", re.sub(r"(?i)ies$", "y", value) if value.endswith("ies") else value.removesuffix("s")


def _places(written: str, text: str, form: str) -> Iterator[re.Match[str]]:
    if written.casefold() not in text.casefold():  # most forms are not there, and patterns cost more
        return iter(())
    flags = 0 if form == "as it is" else re.IGNORECASE
    return re.finditer(rf"(?<!\w){re.escape(written)}(?!\w)", text, flags)


def _th(day: int) -> str:
    return f"{day}{'th' if 10 <= day <= 20 else {1: 'st', 2: 'nd', 3: 'rd'}.get(day % 10, 'th')}"


def _hour(at: time) -> int:
    return at.hour % 12 or 12


def _half(at: time) -> str:
    return "am" if at.hour < 12 else "pm"
