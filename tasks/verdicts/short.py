"""Short answers in free text: what a response says, and whether that is the gold but for case, spaces, closing points and typography.

Two decimal numbers are equal by value: 18.0 is 18. A JSON object is read by its answer's field, and "answer" may be a word of another
language. A response that says several things in several fields is unread. It does not cover accents, synonyms or units.
"""

import re
from fractions import Fraction
from functools import lru_cache

from ...signatures.records import Example, Verdict
from ..base import scored
from . import structured
from .fold import ANSWER, IS, UNSPACED, folded, signs

MARKER = re.compile(
    r"(?i)(?:\banswer\b[*_`\"']{0,3}\s{0,8}(?:is\b)?\s{0,8}(?:[:：=→]|[-=]>)|####|\banswer\s{1,8}is\b"
    r"|^[ \t#*_]{0,12}(?:final\s|correct\s)?answer[ \t*_]{0,8}\n)[*_`]{0,3}[ \t]*",
    re.MULTILINE,
)
"""What stands before an answer."""
_TAIL = re.compile(r"(?:です|だ|でした|입니다|이다|है)?[.!。।\s]*$")
"""What ends a sentence that gives an answer, in languages that put "is" behind it."""
_TAG = r"</?(?:[biup]|em|strong|br|span|div|code)\s?/?>"
_LETTER = rf"[^\W{UNSPACED}]"
# stars around words: those of 10**2 are a sign
_BOLD = re.compile(rf"(?<!{_LETTER})(?<![*)\]])\*\*(?![\s*])((?:[^*]|(?<=[\w)])\*{{1,2}}(?=[\w(]))+)(?<=\S)\*\*(?!{_LETTER}|\*)")
_WRAPPED = re.compile(
    r"\\(?:f?boxed|text\w{0,2}|mathrm|mathbf|mathsf|mathit|mbox)\s?\{([^{}]*)\}|\\[()\[\]]"
    rf"|(?<!{_LETTER})(?<![$)\]])\$(?!\d)(?=[^\s$])([^$]*[^$\s])\$(?!{_LETTER}|\$)|\A\$(?!\d)|\$(?=[\s.!?]*\Z)"
    rf"|<([biup]|em|strong|span|div|code)\s?>([^<]*)</\3\s?>|\A(?:{_TAG})+|(?:{_TAG})+(?=[\s.]*\Z)|{_BOLD.pattern}"
)
_BOXED = re.compile(r"\\f?boxed\s?\{(?:[^{}\n]|\{[^{}\n]*\})*\}")
_BULLET = re.compile(r"(?:[-*•>]|\d{1,2}[.)])\s+(?=[^\W\d_])")
_DECIMAL = re.compile(
    rf"(?<!{_LETTER})(?<![.,])[-+]?(?:(?:\d{{1,3}}(?:,\d{{3}})+|\d{{1,60}})(?:\.\d{{1,60}})?|\.\d{{1,60}})(?!{_LETTER}|[.,]\d)"
)


def read(response: str) -> str | None:
    """The answer of a response: a JSON object's, the line behind the last "Answer:", "####" or "the answer is", else that of one line."""
    if (said := structured.answers(response)) is not None:
        return (said[0].strip() or None) if len({plain(one) for one in said}) == 1 else None
    if marks := list(MARKER.finditer(response)):
        return response[marks[-1].end() :].strip().partition("\n")[0].strip() or None
    text = signs(response)
    ends = [link.end() for match in ANSWER.finditer(text) if (link := IS.match(text, match.end()))]
    if ends:
        line = text[ends[-1] :].strip().partition("\n")[0]
        return line[: _TAIL.search(line[-20:]).start() + max(0, len(line) - 20)].strip() or None  # type: ignore[union-attr]
    if boxes := _BOXED.findall(response):
        return boxes[-1]
    lines = [line.strip() for line in response.split("\n") if line.strip() and not re.match(r"\s*(?:```|~~~)\w*\s*$", line)]
    return lines[0] if len(lines) == 1 else None


@lru_cache(maxsize=256)  # gold and answer are mostly the same text, which is folded several times for a verdict
def plain(text: str) -> str:
    """What two answers are compared by."""
    text = _WRAPPED.sub(r"\1\2\4\5", _WRAPPED.sub(r"\1\2\4\5", folded(text))).strip().strip("*`\"'")
    text = " ".join(text.rstrip(".!。").strip("*`\"'").split())
    return str(Fraction(text.replace(",", ""))) if _number(text) else text


def verdict(gold: str, given: str | None) -> Verdict:
    """`right`, `wrong`, or `no answer` where None was read."""
    bare = plain(gold)
    said = plain(given) if given is not None else ""
    forms = {said, said.strip("_ "), plain(_BULLET.sub("", given, count=1))} if given is not None else set()
    return scored(given is not None and (folded(gold) == folded(given) or (bare != "" and bare in forms)), given)


def judged(example: Example, response: str) -> Verdict:
    return verdict(example.answer, read(response))


def _number(text: str) -> bool:
    """Whether a text is a decimal number; 007 is a name."""
    return _DECIMAL.fullmatch(text) is not None and re.match(r"[-+]?0\d", text) is None


def holds(text: str, gold: str) -> bool:
    """Whether a text holds the gold: as whole words, where its script sets blanks between them, and a number by its value."""
    text, gold = folded(text if "*" in gold else _BOLD.sub(r"\1", text)), folded(gold)
    if _number(gold):
        value = Fraction(gold.replace(",", ""))
        return any(Fraction(match[0].replace(",", "")) == value for match in _DECIMAL.finditer(text))
    before = rf"(?<!{_LETTER})" if re.match(_LETTER, gold) else ""
    after = rf"(?!{_LETTER}|\+\+|#|[\u0300-\u036f\u0900-\u0903\u093a-\u094f])" if re.match(_LETTER, gold[-1:]) else ""
    return bool(gold) and gold in text and re.search(before + re.escape(gold) + after, text) is not None
