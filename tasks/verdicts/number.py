r"""The number that a response answers, and the verdict of tasks whose answer is a number.

The last explicit marker wins ("#### 72", "A: 72", "Answer: 72", "the answer is 72", "\boxed{72}"); without one, the last number in the
text. A marked sentence that ends in a sum ("the answer is 3 + 4 = 7") gives what follows its "=". A number is read whole or not at all
(errata.tasks.verdicts.numerals): a range, a date or a pair is no answer. A percent sign is a unit and is dropped: "20 %" is 20 (GSM8K's
golds are bare numbers), and 0.2 is not 20. Nothing is rounded: 33.33 is not 100/3.
"""

import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from ...signatures.records import Example, Message, Verdict
from ..base import ended, scored
from .numerals import SCALES, Thing, plain, things

_REGION = 400
"""Characters behind a marker, and before the last digit of a text without one, that are looked at."""
_BARE = 6
"""Words of the longest line that is hardly more than its answer."""
_MARKER = re.compile(
    r"(?P<direct>####|^[ \t]{0,2}A:)(?=[^\w\n]{0,12}(?:[A-Z]{1,3}\$? ?)?\.?\d|[^\n\d]{0,200}\Z)"
    r"|(?<![^\W_])answer\b[^\w\n]{0,4}(?:[^\n.\d]{0,60}?\bis\b|[:=])"
    r"|\\(?:f?boxed|fbox)\b",
    re.IGNORECASE | re.MULTILINE,
)
_BOXES = re.compile(r"\}\s?\$?(?:\s?(?:,|\band\b|\bor\b)){1,2}\s?\$?\s?\\(?:f?boxed|fbox)\s?\{")
_SENTENCE_END = re.compile(r"\n|[.!?](?=\s|$)")


class Answer(NamedTuple):
    """What a text says: the value of its number; or None, and what stands there in place of one number ("" for nothing)."""

    value: Fraction | None
    text: str = ""
    scale: str = ""
    """The word that the value was multiplied by: "million"."""


def _boxed(text: str, at: int) -> str:
    """What stands in the braces at a place, or the word there. A factorial is no number that is read."""
    rest = text[at : at + _REGION].lstrip()
    depth = 0
    for place, sign in enumerate(rest):
        depth += (sign == "{") - (sign == "}")
        if depth <= 0:
            rest = rest[:place] if place else rest.split(" ")[0].partition("\n")[0]
            break
    return rest.removeprefix("{").replace("\n", " ").replace("!", "≤")


def _marked(text: str) -> tuple[re.Match[str], str] | None:
    """The last marker with an answer behind it, and the text that it points at, up to the end of its sentence. What is boxed or stands in a
    last line of "####" is the answer even where it is no number."""
    for marker in reversed(list(_MARKER.finditer(text))):
        if marker[0].startswith("\\"):
            rest = _boxed(text, marker.end())
        else:
            rest = text[marker.end() : marker.end() + _REGION].lstrip()
            end = _SENTENCE_END.search(rest)
            rest = rest[: end.start()] if end else rest
        sure = marker["direct"] or marker[0].startswith("\\")
        if rest.strip(" {}*$.:") if sure else any(map(str.isdigit, rest)):
            return marker, rest
    return None


def find(response: str) -> Answer:
    """The number that a response gives as its answer."""
    text = _BOXES.sub(" or ", plain(response)).rstrip()
    marked = _marked(text)
    if marked is not None:
        marker, region = marked
        first = next(things(region, marked=True), None)
        if first is None:
            return Answer(None, region)
        if first.sum and marker[0][0] in "aA" and not marker["direct"]:
            # "the answer: milk = 30 gallons - 2 gallons" is worked out further down
            return _last(text)
        return Answer(first.value, region[first.start : first.end], first.scale)
    return _last(text)


def _last(text: str) -> Answer:
    """The last number of a plain text."""
    end = next((at for at in range(len(text) - 1, -1, -1) if text[at].isdigit()), None)
    if end is None:
        return Answer(None)
    start = text.rfind("\n", 0, end) + 1
    line = text[start : start + 2 * _REGION].partition("\n")[0]
    window = text[max(start * line.startswith("####"), end - _REGION) : end + _REGION]
    # in prose a list is several numbers, and the last of them counts; a bare "3 and 4" is not one number
    bare = line.startswith("####") or len(line.split()) <= _BARE
    *others, last = [*things(window, marked=not re.search(r"[^\W\d_]", text), listed=bare)] or [Thing(0, 0, None)]
    if last.sum and others and re.search(r"\([$-]?\Z", window[: last.start]) and window.startswith(")", last.end):
        last = others[-1]  # "he has $72 left ($144 - $72)"
    return Answer(last.value, window[last.start : last.end], last.scale)


def extract(response: str) -> Fraction | None:
    """The number that a response gives as its answer; None when nothing readable was found."""
    return find(response).value


@lru_cache(1024)  # the gold of a row is asked for again and again while its program is checked
def read(gold: str) -> Fraction | None:
    """A gold answer's value: the text must hold exactly one number."""
    text = plain(gold)
    found = list(things(text[:_REGION], marked=True)) if len(text) <= _REGION else []
    return found[0].value if len(found) == 1 else None


def same(left: Fraction | None, right: Fraction | None) -> bool:
    """Equal as numbers; None, nothing read, equals nothing, not even None."""
    return left is not None and right is not None and left == right


def show(value: Fraction) -> str:
    """Shortest exact text: "72", "7.5", or "1/3" where no decimal is exact."""
    if value.denominator == 1:
        return str(value.numerator)
    places = next((places for places in range(value.denominator.bit_length()) if 10**places % value.denominator == 0), None)
    if places is None:
        return f"{value.numerator}/{value.denominator}"
    digits = f"{abs(value.numerator) * 10**places // value.denominator:0{places + 1}d}"
    return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:]}"


def verdict(gold: str, response: str, question: str = "") -> Verdict:
    """`right`, `wrong`, `no answer`, or what is not one number; unjudged when the gold itself is not one number. "2 million" is 2 too where
    the question counts in millions."""
    expected, given = read(gold), find(response)
    if given.value is not None and given.scale and given.scale in question and same(expected, given.value / SCALES[given.scale]):
        given = Answer(expected)
    shown = None if given.value is None else show(given.value)
    if expected is None:
        return Verdict(correct=None, extracted=shown, reason=f"the gold answer {gold[:200]!r} is not a number")
    if shown is None and given.text:
        return Verdict(correct=False, extracted=None, reason=f"not one number: {given.text[:80]!r}")
    return scored(same(expected, given.value), shown)


def judged(example: Example, response: str) -> Verdict:
    return verdict(example.answer, response, example.question)


def prompt(example: Example) -> list[Message]:
    """One user message: the question and the answer form."""
    return [{"role": "user", "content": f'{example.question}\nShow each step; end with the line "#### number".'}]


def completion(solution: str, answer: str) -> str:
    """The worked solution with "#### answer" as its last line, GSM8K's form."""
    return ended(solution, f"#### {answer}")
