r"""Numbers in text, read whole or not at all: a text is made plain, then taken apart into numbers and what stands between them. Numbers
that belong together (a range, a date, a pair, a sum without its result) are one thing without a value: none alone is what was said.

Values are fractions, never floats. Which number of a text is its answer is said in errata.tasks.verdicts.number; what is read how is a
table in docs/tasks.md. Not here: numbers in words ("seven"), the comma as a decimal point (1.200,50), and conversion of units.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

LONGEST = 60
"""Digits of the longest number that is read; a longer run of digits is a model in a loop."""

# ---- one way to write each thing

_SAME = {
    ord(sign): plain
    for signs, plain in {
        "−": "-", "‘’ʼ′": "'", "“”″": '"', "⁄∕": "/", "٫": ".", "٬": ",", "٪": "%", "、": ",", "×✕✖⋅∙·∗": "×", "→⇒⟶⟹➔➜≈≅": "=",
        "≠≥≦≧≪≫±∓√∛‰‱⌊⌋⌈⌉∞": "≤", "\ufe0f\u20e3": "", "\u2028\u2029": "\n",
    }.items()
    for sign in signs
}  # fmt: skip
_HALVES = "".join(chr(code) for code in range(0xBC, 0x2190) if unicodedata.decomposition(chr(code)).startswith("<fraction>"))
_KINDS = {"Cf": "", "Zs": " ", "Pd": "-", "Sc": "$"}  # what is not seen, blanks, dashes, currencies
_RAISED, _LOWERED = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "₀₁₂₃₄₅₆₇₈₉"


@lru_cache(maxsize=10_000)
def _sign(sign: str) -> str:
    """A sign beyond ASCII in plain form; "" for one that is not seen."""
    category = unicodedata.category(sign)
    if category == "Nd":
        return str(unicodedata.decimal(sign))
    if category in _KINDS:
        return _KINDS[category]
    return unicodedata.normalize("NFKC", sign.translate(_SAME)).translate(_SAME)


def _frac(found: re.Match[str]) -> str:
    """\\frac{1}{2} as 1/2, and a fraction of anything but numbers as what has no value."""
    top, low = (re.sub(r"\s", "", found[a] or found[b] or "") for a, b in ((1, 2), (3, 4)))
    minus = "-" * (top.startswith("-") != low.startswith("-"))
    top, low = top.removeprefix("-"), low.removeprefix("-")
    apart = " " if found.string[found.start() - 1 : found.start()].isdigit() else ""
    return f"{apart}{minus}{top}/{low} " if re.fullmatch(r"[\d.,]+/[\d.,]+", f"{top}/{low}") else " ≤0 "


_Plainer = str | Callable[[re.Match[str]], str]
_ANY: dict[str, _Plainer] = {
    rf"[{_RAISED}]++": lambda found: f"^{{{unicodedata.normalize('NFKC', found[0]).translate(_SAME)}}}",
    rf"[{_LOWERED}]++": lambda found: f"_{{{unicodedata.normalize('NFKC', found[0])}}}",
    rf"(\d)?([{_HALVES}])": lambda found: f"{found[1]} {_sign(found[2])} " if found[1] else f"{_sign(found[2])} ",
    "(?<=\\d)[\u0300-\u036f]": "≤",  # a digit struck through
    r"[^\x00-\x7f]": lambda found: _sign(found[0]),
    # calculator marks repeat what stands before and behind them; struck text is taken back; tags are no text
    r"<<[^<>]*+>>(?=\s?-?[\d$])|~~[^~\n]++~~|<(?:del|strike)>[^<]*+</(?:del|strike)>": "",
    r"<<[^<>=]*+=?([^<>]*+)>>": r" \1 ",
    r"<\|[^<>|\n]{0,40}\|>|</?[A-Za-z][^<>\n]{0,80}>": " ",
    r"[ \t]{2,}+": "  ",
    r"(?<!=)=++>|(?<!-)-++>": "=",
    r"[<>!]=|\+/?-": "≤",
    r"(?<=[\d)])\*\*(?=[-\d({])": "^",
    r"[*_`]{2,}+|`": " ",
    r"(?<![^\W_])(?:USD|EUR|GBP|CAD|AUD|CHF|INR|JPY|CNY|Rs\.?)(?=\d)": "$",
    r"(?i)\b(?:negative|minus) (?=[$.\d])": "-",
}
_LATEX: dict[str, _Plainer] = {
    r"\\(?:cancel|sout) ?\{[^{}]*+\}": "",
    r"\\!|\\(?:left|right|big|Big|displaystyle|bf|rm|it|sf|therefore|blacksquare|square)(?![a-zA-Z])": "",
    r"\\\\": ";",
    r"\\n(?![a-zA-Z])": "\n",
    r"\{\\?([,-])\}": r"\1",
    r"\\([$%#&_{}])": r"\1",
    r"\^\s?\{?\\circ\s?\}?|\\degree": "°",
    r"\\[,;:> ()\[\]]|\\q?quad(?![a-zA-Z])": " ",
    r"\\(?:text|mathrm|mathbf|mathit|textbf|textit|mbox|operatorname|boldsymbol)\s?\{([^{}]*+)\}": r" \1 ",
    r"\\[dtc]?frac\s?(?:\{([^{}]*+)\}|(\d))\s?(?:\{([^{}]*+)\}|(\d))": _frac,
    r"\\(?:times|cdot|ast)(?![a-zA-Z])": "×",
    r"\\(?:to|(?:long|Long)?[rR]ightarrow|implies|approx|simeq)(?![a-zA-Z])": "=",
    r"\\[lc]?dots": "...",
    r"\\(?!f?box(?:ed)?\b)[a-zA-Z]+": "≤",
}


_PATTERNS = [(re.compile(pattern), by) for pattern, by in (_LATEX | _ANY).items()]


def plain(text: str) -> str:
    """The text with one way to write each thing: digits, signs, fractions, separators and emphasis of any dress."""
    for pattern, by in _PATTERNS[0 if "\\" in text else len(_LATEX) :]:
        text = pattern.sub(by, text)
    return text


# ---- one number

_GROUPED = r"(?:[1-9]\d{{0,2}}(?P<{0}>[,' _])\d{{3}}(?:(?P={0})\d{{3}})*|[1-9]\d?(?:,\d\d)+,\d{{3}}|\d*)(?:\.\d+)?"
_EXPONENT = r"(?:\{ ?[-+]?\d+ ?\}|\( ?[-+]?\d+ ?\)|[-+]?\d+(?![.,]?\d))"
_NUMBER = re.compile(
    r"(?P<body>\d+(?: and)? {1,2}\d+/\d+(?![.,:/]*\d)|\d+ / \d+(?! ?[.,:/] ?\d)|[1-9]\d{0,2}(?: \d{3})+(?!\d)(?:\.\d+)?(?![.,'/:_]?\d)"
    r"|\.?\d+(?:[.,'_:/]+\d+|\.\(\d+\))*+)(?:[eE](?P<e>[+-]?\d+)(?![^\W_]))?"
    rf"(?: ?[×x*] ?10 ?\^ ?(?P<times>{_EXPONENT}))?(?: ?\^ ?(?P<power>{_EXPONENT}))?"
)
_MIXED = re.compile(r"(\d+)(?: and)? +(\d+)/(\d+)")
_RATIO = re.compile(rf"({_GROUPED.format('a')}) ?/ ?({_GROUPED.format('b')})")
_SINGLE = re.compile(_GROUPED.format("a"))


def _digits(text: str) -> Fraction:
    return Fraction(re.sub("[,' _]", "", text))


def _worth(found: re.Match[str]) -> Fraction:
    """What a number as written is worth. Raises ValueError or ZeroDivisionError where its digits do not form one number."""
    body, power = found["body"], found["power"]
    cut = "." in body and found.string.startswith("..", found.end())  # 0.333...
    if cut or len(found[0]) > LONGEST or (power and ("/" in body or found["e"] or found["times"])):
        raise ValueError
    if body.isdecimal():  # as nearly all are
        value = Fraction(int(body))
    elif mixed := _MIXED.fullmatch(body):
        part = Fraction(int(mixed[2]), int(mixed[3]))
        if part >= 1:
            raise ValueError
        value = int(mixed[1]) + part
    elif ratio := _RATIO.fullmatch(body):
        value = _digits(ratio[1]) / _digits(ratio[3])
    elif _SINGLE.fullmatch(body):
        value = _digits(body)
    else:
        raise ValueError
    exponents = [int(text.strip("{}() ")[:9]) for text in (power, found["e"], found["times"]) if text]
    if abs(sum(exponents)) * (len(body) if power else 1) > 3 * LONGEST:
        raise ValueError
    if exponents:
        value = value ** exponents[0] if power else value * Fraction(10) ** sum(exponents)
    if max(value.numerator, value.denominator) >= 10**LONGEST:
        raise ValueError
    return value


# ---- what stands beside a number

SCALES = {
    "hundred": 10**2,
    "thousand": 10**3,
    "dozen": 12,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
    "lakh": 10**5,
    "crore": 10**7,
}
_AFTER = re.compile(r"(?P<gap> ?)(?P<word>[^\W\d_]\w*)")
_SPOILED_AFTER = re.compile(
    r"\.?≤| ≤|\.\(\d| ?[<>] ?[\w.]|, ?[-+]?≤|\^|_\{? ?\w|-[A-Z]\b|\+(?!\w)| ?[+×] ?[^\W\d_(]|\*[^\W\d_]| \* [^\W\d_]|\([a-z]\b"
    r"| and (?:an? |one )?(?:half|third|quarter)| ?[十百千万萬亿億兆点點半]| ?分之"
)
_UNKNOWN = re.compile(r"(?:[xyznkKMBij]|bn|mn)(?![^\W_])")  # 2x, 5k: a product, or who knows how many
_NO_UNIT = re.compile(r"(?:[xyz]|π|pi|squared|cubed|factorial|recurring|repeating|[kKM]|bn|mil)(?![^\W_])")
_UNIT = re.compile(r"[a-zA-Z]{1,3}[23]")  # m2, cm3


def _signed(found: re.Match[str], first: bool) -> tuple[Fraction, str]:
    """The value with the sign and the scale that stand beside it, and the scale. Raises ValueError where it is a part of something else."""
    value, before, after = _worth(found), found.string[: found.start()], found.string[found.end() :]
    outer = before.rstrip("$ '\"({[")
    gap, sign, left = before[len(outer) :], outer[-1:], outer[:-1]
    leads = re.search(r"(?:[=(:\[{]|\b(?:is|are|be|was))[ $'\"({\[]*\Z", left) or (first and not left.strip(" '\"$({["))
    glued = left[-1:].isalnum()
    if (
        sign == "≤"
        or (sign in "^_+" and sign and glued)
        or (sign == "+" and not leads and left.rstrip()[-1:].isalpha())
        or (sign in "<>" and sign and (first or not gap or left.rpartition("\n")[2].strip(" >")))
        or (sign in "*×/" and sign and (glued or " " in gap) and left.rstrip()[-1:].isalpha())
        or (sign and sign in "*×/," and left.rstrip("-+ ").endswith("≤"))
        or (sign.isalpha() and gap == "(")
        or (sign == "-" and left.endswith("|") and after.startswith("|"))
    ):
        raise ValueError
    if sign == "-":
        if " " in gap:
            value = -value if leads else value
        elif glued or left.endswith((")", "-")) or (found["power"] and int(found["power"].strip("{}() ")) % 2 == 0):
            raise ValueError
        else:
            value = -value
    if _SPOILED_AFTER.match(after):
        raise ValueError
    if unit := _AFTER.match(after):
        word = unit["word"]
        if (not unit["gap"] and (_UNKNOWN.match(word) or (re.search(r"\d", word) and not _UNIT.fullmatch(word)))) or _NO_UNIT.match(word):
            raise ValueError
        scale = word.lower().removesuffix("s")
        while scale in SCALES:
            value, last = value * SCALES[scale], scale
            unit = _AFTER.match(after, unit.end())
            if unit is None or (scale := unit["word"].lower().removesuffix("s")) not in SCALES:
                return value, last
    return value, ""


# ---- numbers that belong together

_TOKEN = re.compile(
    r"(?P<times>(?<=\d)[xX](?=\d))|(?P<word>[^\W\d_]+)(?P<name>[\d_][\w.]*| ?\^ ?\{?-?\d\}?(?!\d))?"
    r"|(?P<number>\.?\d)|(?P<blank> +)|(?P<end>\n|[.!?](?=\s|$))|(?P<sign>.)"
)
_WORDS = {
    word: code
    for code, words in {
        "j": "and or und oder et ou",
        "r": "to of by plus minus times over through thru until till versus vs bis",
        "u": "foot feet ft inch inches hour hours h hr hrs minute minutes min mins pound pounds lb lbs dollar dollars yard yards",
        "p": "a after are as at because before days equal equals for from give gives has have he if in is it leaves left make makes more"
        " per she since so than that the they was we when which while with within",
    }.items()
    for word in words.split()
}  # fmt: skip
_SIGNS = {
    sign: code
    for signs, code in {"+×*/^~": "+", "-": "-", "=": "=", "<>≤": "<", ",;&|": ",", ")]}$%°\"'#": ""}.items()
    for sign in signs or code
}  # fmt: skip
_RESULT = re.compile(r"[wu]{0,3}(?:=[wup]{0,3}[(t]?)+[-+]?")
_SUM = re.compile(r"[wu]{0,3}[-+t][-+(t]*")
_JOINED = re.compile(r"r?[wu]?|[wu]{0,3}-?(?:,j?|[jr]|r[wup]{0,3}r)[-+(t]*|[,j][w+]{1,2}=[-+]?|[wu]{0,2}<")
_SPANNED = re.compile(r"(?:u(?:,?j)?)?|[wu]{0,3}-?r(?:[wup]{0,3}r)?[-+(t]*|[wu]{0,2}<")


class Thing(NamedTuple):
    """A number of a text, or several that belong together."""

    start: int
    end: int
    value: Fraction | None
    """None: it is not one number."""
    sum: bool = False
    """Several numbers with an operator between them, and no result."""
    scale: str = ""
    """The word of `SCALES` that the value was multiplied by."""


def things(text: str, marked: bool = False, listed: bool = True) -> Iterator[Thing]:
    """The numbers of a plain text in order. `marked`: it begins with its answer. Without `listed` the numbers of a list ("3, 4 and 5") are
    each a thing of its own."""
    last: Thing | None = None
    between, at = "", 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        assert token is not None
        if not token["number"]:
            between += _code(token)
            at = token.end()
            continue
        found = _NUMBER.match(text, at)
        assert found is not None
        try:
            value, scale = _signed(found, marked and last is None)
            thing = Thing(at, found.end(), value, scale=scale)
        except (ValueError, ZeroDivisionError):
            thing = Thing(at, found.end(), None)
        if last is not None:
            if _RESULT.fullmatch(between):
                thing = thing._replace(start=last.start)
            elif (summed := _SUM.fullmatch(between)) or _joined(text[: last.start], between, listed):
                thing = Thing(last.start, found.end(), None, last.sum or bool(summed))
            else:
                yield last
        last, between, at = thing, "", found.end()
    if last is not None:
        yield last


def _joined(before: str, between: str, listed: bool) -> bool:
    """Whether what stands between two numbers makes them one thing, after what stands before them."""
    pair = re.search(r"\bbetween [$-]?\Z", before) or (between in (",", ",-") and re.search(r"[(\[{][$-]?\Z", before))
    return (_JOINED if listed or pair else _SPANNED).fullmatch(between) is not None


def _code(token: re.Match[str]) -> str:
    """A letter for what stands between numbers: w(ord), u(nit), j(oins), r(ange), p(art of a sentence), + - = , or t(ight bracket)."""
    text, before = token[0], token.string[token.start() - 1 : token.start()]
    if word := token["word"]:
        if word in ("x", "X") and not token["name"]:
            return "+"
        if word in ("st", "nd", "rd", "th") and before.isdigit():
            return ""
        long = ord(word[0]) > 0x2E80 and len(word) > 2  # a script without blanks: a sentence
        return "p" if long or token["name"] else _WORDS.get(word.lower(), "w")
    if token["times"] or token["blank"] or token["end"]:
        return "+" if token["times"] else "." if token["end"] else ""
    if text in "([{":
        return "(" if before in ("", " ", "\n") else "t" if before.isalnum() or before == ")" else ""
    if text == ":":
        return "+" if before in ("", " ") else "."
    inside = before.isdigit() and token.string[token.end() : token.end() + 1].isdigit()
    return _SIGNS.get(text, "t" if inside else ".")
