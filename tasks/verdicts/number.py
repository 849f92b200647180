r"""Exact numbers read from free text, and the verdict of tasks whose answer is a number.

The last explicit marker wins ("#### 72", "A: 72", "Answer: 72", "the answer is 72", "\boxed{72}"); without one, the last number in the
text. A marked sentence that ends in a sum ("the answer is 3 + 4 = 7") gives what follows the last "=". Values are fractions, never floats:
7.5, 1,200, -3, $-3, −3, 1/2, 1 1/2, ½, $18.00, 20 %, 1.2e3, 1.2 × 10^3, \frac{1}{2}, 160 windows. A percent sign is a unit and is dropped:
"20 %" is 20 (GSM8K's golds are bare numbers), and 0.2 is not 20. Digits that do not form one number (1,20 or 3:30 or 1.2.3 or 3/4/2020) are
not read in part: such an answer is "no answer". Nothing is rounded: 33.33 is not 100/3.

It does not cover numbers in words ("seven", "2 million" is 2), other digit groupings (1.200,50), or unit conversion.
"""

import re
from fractions import Fraction

from ...signatures.records import Example, Message, Verdict
from ..base import ended, scored

_LONGEST = 60
"""Characters of the longest number that is read; a longer run of digits is a model in a loop."""

_REPLACED = (
    (re.compile(r"[−‐‑‒–—﹣-]"), "-"),  # every dash is a minus or, between words, is skipped
    (re.compile(r"\\[dt]?frac\s*\{\s*(-?\d+)\s*\}\s*\{\s*(\d+)\s*\}"), r" \1/\2 "),
    (re.compile(r"\\(?:text|mathrm|mathbf|textbf)\s*\{([^{}]*)\}"), r" \1"),
    (re.compile(r"\\times|\\cdot"), "×"),
    (re.compile(r"\\([$%])"), r"\1"),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"(?<=\d)(?:\\[,! ]|[\u00a0\u2009\u202f])(?=\d{3}(?!\d))"), ""),
    *((re.compile(sign), f" {plain}") for sign, plain in zip("¼½¾⅓⅔", ("1/4", "1/2", "3/4", "1/3", "2/3"), strict=True)),
    (re.compile("⁄"), "/"),
    (re.compile(r"[*_`]{2,}|\\[()\[\]]"), " "),
)

# A run of characters that may form a number. A minus counts where no operand stands before it (5-3 is not -3), a letter before
# the digits makes them part of a name (x2).
_RUN = re.compile(
    r"(?P<minus>(?<![\w).%])(?<!\d )-\s?(?=[$€£]|(?<=-)[\d.]))?(?:[$€£]\s?)?(?P<inner>(?<=[$€£ ])-)?"
    r"(?P<body>(?<![\w.,:/])(?:\d+[ ]+(?=\d+/\d))?(?:\d|\.\d)[\d,.:/]*(?:[eE][+-]?\d+(?!\w))?)"
    r"(?P<power>\s?[×x*]\s?10\^\{?-?\d+\}?)?"
)
_PLAIN = re.compile(
    r"(?P<whole>\d+)[ ]+(?P<part>\d+/\d+)"
    r"|(?P<ratio>\d+/\d+)"
    r"|(?P<decimal>(?:\d{1,3}(?:,\d{3})+|\d*)(?:\.\d+)?)(?:[eE](?P<e>[+-]?\d+))?"
)

_MARKER = re.compile(
    r"(?P<direct>####|^[ \t]*A:)[ \t]*[^\w\n.\-$€£]{0,4}(?=[ \t]*-?[ \t]?[$€£]?[ \t]?-?\.?\d)"
    r"|\banswer\b[^\w\n]{0,4}(?:[^\n.\d]{0,60}?\bis\b|[:=])"
    r"|\\boxed\s*(?=\{)",
    re.IGNORECASE | re.MULTILINE,
)
_UNDONE = re.compile(r"(?:\s+[a-z]+){0,3}\s+[-+*/×]\s+[$€£]?\d", re.IGNORECASE)
_SENTENCE_END = re.compile(r"\n|[.;!?](?=\s|$)")


def _normal(text: str) -> str:
    for pattern, by in _REPLACED:
        text = pattern.sub(by, text)
    return text


def _value(run: re.Match[str]) -> Fraction | None:
    """What a run of digits is worth; None when it is not one number."""
    body = run["body"].rstrip(",.:/")
    match = _PLAIN.fullmatch(body)
    if match is None or len(body) > _LONGEST:
        return None
    try:
        if match["whole"]:
            part = Fraction(match["part"])
            if part >= 1:
                return None
            value = int(match["whole"]) + part
        elif match["ratio"]:
            value = Fraction(match["ratio"])
        else:
            exponent = int(match["e"] or 0) + int(re.sub(r"[{}]", "", run["power"].partition("^")[2]) if run["power"] else 0)
            if abs(exponent) > _LONGEST:
                return None
            value = Fraction(match["decimal"].replace(",", "")) * Fraction(10) ** exponent
    except (ValueError, ZeroDivisionError):
        return None
    return -value if run["minus"] or run["inner"] else value


def _marked(text: str) -> str | None:
    """The text that the last marker points at, up to the end of its sentence; None: no marker has digits behind it."""
    found = None
    for marker in _MARKER.finditer(text):
        rest = text[marker.end() : marker.end() + 400]
        if marker[0].startswith("\\"):
            rest = rest[1:].partition("}")[0]
        else:
            end = _SENTENCE_END.search(rest.lstrip())
            rest = rest.lstrip()[: end.start()] if end else rest
        if any(char.isdigit() for char in rest):
            found = rest
    return found


def extract(response: str) -> Fraction | None:
    """The number that a response gives as its answer; None when nothing readable was found."""
    text = _normal(response)
    marked = _marked(text)
    if marked is None:
        runs = list(_RUN.finditer(text))
        return _value(runs[-1]) if runs else None
    tail = marked.rpartition("=")[2]
    run = _RUN.search(tail) or _RUN.search(marked)
    if run and run.string is tail and _UNDONE.match(tail, run.end()):
        # "the answer: milk = 30 gallons - 2 gallons" is worked out further down
        run = list(_RUN.finditer(text))[-1]
    return _value(run) if run else None


def read(gold: str) -> Fraction | None:
    """A gold answer's value: the text must hold exactly one number."""
    runs = list(_RUN.finditer(_normal(gold)))
    return _value(runs[0]) if len(runs) == 1 else None


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


def verdict(gold: str, response: str) -> Verdict:
    """`right`, `wrong`, or `no answer`; unjudged when the gold itself is not one number."""
    expected, given = read(gold), extract(response)
    shown = None if given is None else show(given)
    if expected is None:
        return Verdict(correct=None, extracted=shown, reason=f"the gold answer {gold!r} is not a number")
    return scored(same(expected, given), shown)


def judged(example: Example, response: str) -> Verdict:
    return verdict(example.answer, response)


def prompt(example: Example) -> list[Message]:
    """One user message: the question and the answer form."""
    return [{"role": "user", "content": f'{example.question}\nShow each step; end with the line "#### number".'}]


def completion(solution: str, answer: str) -> str:
    """The worked solution with "#### answer" as its last line, GSM8K's form."""
    return ended(solution, f"#### {answer}")
