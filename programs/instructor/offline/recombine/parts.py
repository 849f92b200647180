"""A text as parts: sentences, an opening clause, and in them the values that other texts have too in other forms.

A part is a tuple of pieces, each a text or a slot for a value. Parts are of one skeleton when
they differ in case, blanks and values alone. Not covered: parts that mean the same in other words.
"""

import re
from collections.abc import Collection, Iterator
from typing import NamedTuple


class Slot(NamedTuple):
    """A value in a text."""

    kind: str
    value: str


Piece = str | Slot
Part = tuple[Piece, ...]
"""Pieces in order; the last text ends with the blanks that stand behind the part."""

_END = re.compile(r"(?<=[.!?])(?<!\bMr\.)(?<!\bMrs\.)(?<!\bMs\.)(?<!\bDr\.)(?<!\bSt\.)(?<!\bNo\.)\s+|\n+")
_OPENING = re.compile(r"\s*[\w'.]+(?:[ \t][\w'.]+){0,3}[,:;!]\s+(?=\S)")
"""A clause of at most four words before the rest of a sentence: `Hi team, `."""
COUNTED = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_SLOT = re.compile(
    r"[\w.+-]+@[\w-]+\.\w+|[$€£#]?\b\w*\d(?:[\w]|[-/:.,](?=\w))*%?"  # an e-mail address, anything with a digit
    rf"|(?<=[a-z,] )[A-Z][a-z']+(?:[ -][A-Z][a-z']+)*|\b(?:{'|'.join(COUNTED)})\b"  # capitalised words inside a sentence, a number word
)
_WORD = re.compile(r"\w[\w']*")


def sentences(text: str, openings: Collection[str]) -> Iterator[str]:
    """The text in order, cut behind each sentence and line, and behind an opening clause whose form is one of `openings`."""
    ends = {found.end() for found in _END.finditer(text)} | {len(text)}
    if (found := _OPENING.match(text)) and form(found[0]) in openings:
        ends.add(found.end())
    start = 0
    for end in sorted(ends):
        if text[start:end].strip():
            yield text[start:end]
            start = end


def opening(text: str) -> str:
    """The form of the clause that a text opens with; empty where it has none."""
    found = _OPENING.match(text)
    return form(found[0]) if found else ""


def pieces(text: str, ordinary: Collection[str]) -> Part:
    """A part cut at its values. The class of a slot is the form of its value, or of a name the word before it. `ordinary`: words that stand
    somewhere in small letters, and so are no names."""
    found: list[Piece] = []
    done = 0
    for match in _SLOT.finditer(text):
        value = match[0]
        name = value[0].isupper() and not any(letter.isdigit() for letter in value)
        if name and value.lower() in ordinary:
            continue
        before = (_WORD.findall(text[: match.start()].lower()) or [""])[-1]
        kind = f"{before} Name" if name else "number" if value in COUNTED else form(value)
        found += [*([text[done : match.start()]] if text[done : match.start()] else []), Slot(kind, value)]
        done = match.end()
    return tuple([*found, text[done:]] if text[done:] else found)


def form(text: str) -> str:
    """What texts with other values share: each digit is 0."""
    return "e-mail" if "@" in text else re.sub(r"\d", "0", text).strip().lower()


def plain(part: Part) -> str:
    """The part as it stands in its text."""
    return "".join(piece if isinstance(piece, str) else piece.value for piece in part)


def skeleton(part: Part) -> str:
    text = "".join(piece.lower() if isinstance(piece, str) else f"[{piece.kind}]" for piece in part)
    return " ".join(text.split()).rstrip(".!,")


def words(text: str) -> list[str]:
    """Words in small letters, without those that hold a digit."""
    return [word.lower() for word in _WORD.findall(text) if not any(letter.isdigit() for letter in word)]
