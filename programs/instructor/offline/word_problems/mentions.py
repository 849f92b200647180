"""The numbers of a text as they stand in it: in digits, in words and as fractions, each with its value and its unit.

Not covered: whether a number may vary (fixed.py) and what it means in a solution (reading.py).
"""

import re
from dataclasses import dataclass, replace
from fractions import Fraction

from ....samples.calculations import NUMBER, number, singular
from .kit import WORDS


@dataclass(frozen=True)
class Mention:
    """A number as it stands in a text."""

    start: int
    end: int
    text: str
    value: Fraction
    style: str  # `digits`, `commas`, `decimal`, `word`, `part` (the "third" of two-thirds), or `fraction` (never varied)
    unit: str = ""  # `$`, `%`, `/` for the two numbers of a fraction, or the next word in the singular; empty if no word follows
    fixed: str = ""  # why it must not vary; empty: it may

    @property
    def counts(self) -> bool:
        """Whether it counts or measures things, and is neither an amount of money nor a percent."""
        return self.unit not in ("$", "%")


_TENS = ("thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_WORD_VALUE = {word: n for n, word in enumerate(WORDS)} | {word: 10 * n for n, word in enumerate(_TENS, 3)}
_SCALE = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
_PARTS = {"half": 2, "third": 3, "fourth": 4, "quarter": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10}
_PART = "|".join(list(_PARTS)[1:])
_PART_AFTER = "of|as|that|the|more|less|fewer|his|her|their|its|what|longer|times"
WORD = "|".join(sorted(_WORD_VALUE, key=len, reverse=True))  # a number word, as a pattern
ANY_NUMBER = re.compile(
    r"(?i)(?P<mixed>(?<![\d./])\d+\s+\d+/\d+(?![\d/]))"
    r"|(?P<frac>(?<![\d./])\d+\s?/\s?\d+(?![\d/]|\.\d))"
    r"|(?P<num>(?<![\d.])(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+))"
    rf"|(?P<word>\b(?:{WORD})(?:(?:[-\s]|\sand\s)(?:{WORD}|hundred|thousand|million))*\b)"
)
"""A number in digits or words."""


def word_value(text: str) -> Fraction:
    """The value of number words. Raises KeyError on other words."""
    total = current = 0
    for word in re.split(r"[-\s]+", text.lower()):
        if word in _SCALE:
            current = max(current, 1) * _SCALE[word]
            if word != "hundred":
                total, current = total + current, 0
        elif word != "and":
            current += _WORD_VALUE[word]
    return Fraction(total + current)


def value_of(text: str) -> Fraction:
    """The value of a number in digits or in words."""
    return number(text) if text[0].isdigit() or text[0] == "." else word_value(text)


def numbers_in(text: str, fractions: bool = False) -> list[Mention]:
    """The numbers of a text in order. With `fractions`, a fraction counts as two numbers."""
    found: list[Mention] = []
    for match in ANY_NUMBER.finditer(text):
        pieces = _pieces(text, match) if fractions else []
        found += pieces or [_mention(text, match)]
    if fractions:
        for match in re.finditer(rf"\ba\s({_PART})\b(?=\s+(?:{_PART_AFTER})\b)", text):
            found.append(Mention(match.start(1), match.end(1), match[1], Fraction(_PARTS[match[1]]), "part", "/"))
        found.sort(key=lambda m: m.start)
    return found


def _pieces(text: str, match: re.Match[str]) -> list[Mention]:
    """The two numbers of "2/3" or of "two-thirds"; empty for anything else."""
    raw, start, end = match[0], match.start(), match.end()
    if match["frac"]:
        top, bottom = map(int, re.split(r"\s?/\s?", raw))
        if not 0 < top < bottom <= 12 or re.match(r"\s?/", text[end:]):
            return []
        return [
            Mention(start + m.start(), start + m.end(), m[0], number(m[0]), "digits", "/", "zero or one" if m[0] == "1" else "")
            for m in NUMBER.finditer(raw)
        ]
    spelled = re.match(rf"[-\s]({_PART})(s?)\b(?=\s+(?:{_PART_AFTER})\b)", text[end:]) if match["word"] else None
    if not spelled or word_value(raw) >= 5:
        return []
    close = end + spelled.end()
    return [
        Mention(start, end, raw, word_value(raw), "word", "/", "the top of a fraction"),
        Mention(end + 1, close, text[end + 1 : close], Fraction(_PARTS[spelled[1].lower()]), "part", "/"),
    ]


def _mention(text: str, match: re.Match[str]) -> Mention:
    raw, start, end = match[0], match.start(), match.end()
    after = text[end:]
    if match["mixed"]:
        whole, top, bottom = map(int, re.split(r"\s+|/", raw))
        value, style = whole + Fraction(top, bottom or 1), "fraction"
    elif match["frac"]:
        top, bottom = map(int, re.split(r"\s?/\s?", raw))
        value, style = Fraction(top, bottom or 1), "fraction"
    elif match["num"]:
        value, style = number(raw), "commas" if "," in raw else "decimal" if "." in raw else "digits"
    else:
        value, style = word_value(raw), "word"
        part = re.match(rf"[-\s](half|halves|{_PART})s?\b", after)
        if part and value < 10 and not re.match(r"[-\s](?:third|fourth|fifth|sixth)s?\s(?:grade|of\s[A-Z])", after):
            end += part.end()
            value, style = value / _PARTS["half" if part[1] == "halves" else part[1]], "fraction"
            raw, after = text[start:end], text[end:]
    scale = re.match(r"[-\s](hundred|thousand|million|billion)\b", after)
    half = re.match(r"\s+and\s+(?:a|one)[-\s](half|quarter|third)", after)
    if scale and style != "fraction":
        value, style = value * _SCALE[scale[1]], "fraction"
    elif half:
        value, style = value + Fraction(1, _PARTS[half[1]]), "fraction"
    found = Mention(start, end, raw, value, style, _unit(text[:start], after))
    return replace(found, fixed="a long number word") if style == "word" and (value > 20 or re.search(r"[\s-]", raw)) else found


def _unit(before: str, after: str) -> str:
    if re.search(r"\$\s?$", before) or re.match(r"\s?(?:\$(?!\s?\d)|dollars?\b)", after):
        return "$"
    if re.match(r"\s?(?:%|percent|per cent)", after):
        return "%"
    more = r"(?:(?:more|fewer|less|extra|additional|other|of\sthe|of\shis|of\sher|of\stheir)\s)*"
    noun = re.match(rf"[-\s]*(?:\$\d+[-\s])?{more}([A-Za-z]+)", after)
    return singular(noun[1]) if noun else ""
