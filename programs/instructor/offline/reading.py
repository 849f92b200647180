"""Reads a word problem: the numbers of its question, and its worked solution as a chain of steps over them.

A literal of a step is the value of an earlier step, a number of the question, or a constant that a word of the question
justifies ("twice", "week", "%"). Where a literal can be read in two ways that would differ under other numbers, or in none,
`read` refuses with `Unreadable`: a program built on a guess would teach falsehoods.

Solutions are read in the form of GSM8K: calculator marks `<<48/2=24>>`, plain `48 / 2 = 24`, and a last line `#### 24` or
`A: 24`. Not covered: rounding, equations with unknowns, times of day, dates, and steps done in the head.
"""

import itertools
import random
import re
from dataclasses import dataclass, field, replace
from fractions import Fraction

from ...samples.calculations import (
    MARK,
    NUMBER,
    Node,
    Step,
    Unreadable,
    body,
    evaluate,
    final_answer,
    number,
    singular,
    steps_of,
)
from .kit import WORDS

# leaves of a resolved expression are ("q", i) for mention i of the question, ("s", j) for step j, and ("c", Fraction)


@dataclass(frozen=True)
class Mention:
    """A number as it stands in a text."""

    start: int
    end: int
    text: str
    value: Fraction
    style: str
    """`digits`, `commas`, `decimal`, `word`, or `fraction` (never varied)."""
    unit: str = ""
    """`$`, `%`, or the next word in the singular; empty where there is none."""
    fixed: str = ""
    """Why it must not vary; empty where it may."""


@dataclass
class Reading:
    """A question and its solution as a chain over the question's numbers."""

    question: str
    solution: str
    answer: Fraction
    mentions: list[Mention]
    steps: list[Step]
    final: int
    """Index of the step that gives the answer."""
    nodes: list[Node] = field(default_factory=list)
    """What each step computes, over resolved leaves."""
    slots: list[tuple[int, int, Node]] = field(default_factory=list)
    """Spans of the solution that hold a number, with what it is."""
    bare: list[tuple[int, int]] = field(default_factory=list)
    """Spans of lines of the solution whose words hold a number that nothing explains."""


# ---------------------------------------------------------------------------------------------------------------- numbers

_TENS = {"thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
_WORD_VALUE = {word: n for n, word in enumerate(WORDS)} | _TENS | {"twenty": 20}
_SCALE = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
_PARTS = {
    "half": 2,
    "halve": 2,
    "third": 3,
    "fourth": 4,
    "quarter": 4,
    "fifth": 5,
    "sixth": 6,
    "seventh": 7,
    "eighth": 8,
    "ninth": 9,
    "tenth": 10,
    "twelfth": 12,
    "twentieth": 20,
}
_PART_WORDS = "third|fourth|quarter|fifth|sixth|seventh|eighth|ninth|tenth"
_PART_AFTER = "of|as|that|the|more|less|fewer|his|her|their|its|what|longer|times"
_ANY_WORD = "|".join(sorted(_WORD_VALUE, key=len, reverse=True))
_NUMBER = re.compile(
    r"(?P<mixed>(?<![\d./])\d+\s+\d+/\d+(?![\d/]))"
    r"|(?P<frac>(?<![\d./])\d+\s?/\s?\d+(?![\d/]|\.\d))"
    r"|(?P<num>(?<![\d.])(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+))"
    rf"|(?P<word>\b(?:{_ANY_WORD})(?:(?:[-\s]|\sand\s)(?:{_ANY_WORD}|hundred|thousand|million))*\b)",
    re.IGNORECASE,
)


def _word_value(text: str) -> Fraction:
    total = current = 0
    for word in re.split(r"[-\s]+", text.lower()):
        if word in _SCALE:
            current = max(current, 1) * _SCALE[word]
            if word != "hundred":
                total, current = total + current, 0
        elif word != "and":
            current += _WORD_VALUE[word]
    return Fraction(total + current)


_UNITS_IN = {
    ("minute", "hour"),
    ("second", "minute"),
    ("hour", "day"),
    ("day", "week"),
    ("month", "year"),
    ("week", "year"),
    ("day", "year"),
    ("day", "month"),
    ("week", "month"),
    ("inch", "foot"),
    ("foot", "yard"),
    ("ounce", "pound"),
    ("foot", "mile"),
    ("cent", "dollar"),
    ("cup", "gallon"),
    ("quart", "gallon"),
    ("ounce", "cup"),
    ("cup", "quart"),
    ("ounce", "gallon"),
    ("pint", "gallon"),
    ("gram", "kilogram"),
    ("meter", "kilometer"),
    ("centimeter", "meter"),
    ("ml", "liter"),
    ("milliliter", "liter"),
    ("pound", "ton"),
    ("year", "decade"),
    ("year", "century"),
    ("ounce", "quart"),
    ("ounce", "pint"),
    ("teaspoon", "tablespoon"),
    ("tablespoon", "cup"),
    ("cent", "quarter"),
}
_CONVERSIONS = {60, 24, 7, 12, 52, 365, 30, 31, 4, 3, 16, 100, 1000, 5280, 36, 2000, 8, 2, 10, 128, 32, 25, 366, 28}
_FACTS = re.compile(
    r"(?:leg|wheel|eye|side|arm|finger|toe|wing|tentacle|ear|tire|state|planet|continent|inning|half|"
    r"halve|corner|edge|face|season|string|hand|parent|grandparent|twin|dimension|suit|horn|"
    r"time zone|live|pointer|thumb|toenail|fingernail|teeth|tooth|rib|ocean|chromosome|digit|oclock|vowel|consonant|letter|inning|strike)"
)
_WORLD = re.compile(
    r"\b(?:flags?|Taipei|Eiffel|Everest|Kilimanjaro|Empire State|Statue of|Burj|Great Wall|Titanic|Earth|Mars|Jupiter|Saturn|Venus|Mercury|"
    r"Neptune|[Ss]olar [Ss]ystem|Nile|Bible|Constitution|alphabet|piano|deck of|card deck|marathon|Olympic\w*|light[- ]?years?|"
    r"speed of (?:light|sound)|[Ss]afe amount|recommended daily|freez\w+ point|boil\w* point|chess\w*|United States|"
    r"Great Lakes|Beatles|Harry Potter|Mount\s[A-Z]\w+|[Pp]opulation of|Mississippi|Amazon River|Chrysler|Golden Gate|Big Ben|Sears Tower|"
    r"(?:baby|milk|wisdom) teeth|"
    r"[Ff]evers?|body temperature)\b"
)
_PLACES = re.compile(r"\b(?:between|from)\s[A-Z]\w+(?:\s[A-Z]\w+){0,2}\s(?:and|to)\s[A-Z]\w+\b(?!['’])")
_NAMED = re.compile(
    r"\b(?:house|building|lot|lap|player|person|team|group|truck|train|movie|game|shop|store|station|gate|pool|tank|shelf|drawer|track|zone|"
    r"district|site|room|grade|level|chapter|route|highway|exit|section|phase|day|week|month|year|page|problem|"
    r"no\.|version|size|model|flight|bus|apartment|class|type|lane|street|round|unit|january|february|"
    r"march|april|may|june|july|august|september|october|november|december|under|age[sd]?|ages|between|"
    r"top|first|last|next|every|other|past|another|second|third|final|remaining|these|those|all|only|of the|"
    r"the|both|additional|extra|#)\s*#?$",
    re.IGNORECASE,
)
_SOFT_NAMED = {
    "first",
    "last",
    "next",
    "every",
    "other",
    "past",
    "another",
    "remaining",
    "of the",
    "the",
    "additional",
    "extra",
    "only",
    "under",
    "all",
    "final",
    "between",
}


_MEASURED = re.compile(
    r"-(?:hour|week|month|ounce|oz|pound|page|mile|gallon|foot|inch|liter|minute|item|question|piece|mg|ml|gram|acre|meter|kilometer|cm|"
    r"square|cup|quart|point|slice|year-old|dollar|kg|lb|km|pint|yard|word|seat|feet)"
)


def _fixed(text: str, m: Mention) -> str:
    """Why the number at `m` must stay as it is; empty where it may vary."""
    before, after = text[: m.start], text[m.end :]
    word = m.style == "word"
    if m.style == "fraction":
        return "a fraction"
    if m.value in (0, 1):
        return "zero or one"
    if re.match(r"\s*[-\s](?:million|billion|thousand|hundred|dozen and a half)|\s+and\s+(?:a|one)[-\s](?:half|third|quarter)", after):
        return "part of a larger number"
    if re.match(r"(?:st|nd|rd|th)\b", after):
        return "an ordinal"
    if re.match(r"\s?-\s?[A-Za-z]", after) and not (m.style in ("digits", "decimal") and _MEASURED.match(after)):
        return "part of a compound"
    if re.search(r"\bratio", text) and (re.match(r":\d", after) or re.search(r"\d:$", before)) and not re.match(r":\d+:", after):
        return ""
    if re.search(r"[A-Za-z_:/#-]$", before) or re.match(r"[:/]\s?\d|[A-Z]|-\d", after) or re.search(r"\d\s?[:–-]\s?$", before):
        return "part of a name, a ratio or a range"
    if re.match(r"\s?(?:a\.?m\b|p\.?m\b|o'?clock|A\.?M\b|P\.?M\b|noon|:\d)", after):
        return "a time of day"
    if (
        m.unit != "$"
        and m.style == "digits"
        and 1700 <= m.value <= 2100
        and (
            re.search(r"(?:\b(?:in|since|by|from|until|of|year|during|and|to|between|after|before)\s|,\s)$", before, re.IGNORECASE)
            or (m.value >= 1900 and not re.match(r"\s[a-z]+s\b", after))
        )
    ):
        return "a year"
    if (
        m.unit != "$"
        and re.search(r"\bat\s$", before)
        and not re.match(
            r"\s?(?:%|percent|mile|mph|km|kilo|cent|word|page|foot|feet|"
            r"meter|degree|dollar|a\b|per\b|each\b|bird|store|point)",
            after,
        )
    ):
        return "a time of day"
    if re.search(r"\b[Aa]n\s\$?$", before):
        return "after an article"
    if (
        m.unit not in ("$", "%")
        and m.value <= 12
        and (
            (re.search(r"\bfrom\s$", before) and re.match(r"\s(?:to|until|till)\s\d", after))
            or re.search(r"\bfrom\s\d+\s(?:to|until|till)\s$", before)
        )
    ):
        return "part of a name, a ratio or a range"
    if m.value == 5 and m.unit == "day" and re.search(r"\bweek(?:end|day)s?\b|\bschool\b|Saturday|Sunday", text):
        return "the days of a working week"
    named = _NAMED.search(before)
    if named and m.unit not in ("$", "%"):
        name = named.group(0).strip().lower()
        if name not in _SOFT_NAMED or (word and name in ("of the", "the", "other", "all", "remaining", "only")):
            return "a name"
        if m.value <= 6 and name in ("other", "the", "of the", "all", "remaining"):
            return "refers to things named before"
    if m.unit not in ("$", "%") and _FACTS.fullmatch(m.unit):
        return "a fact about the thing"
    around = re.split(r"[.!?]\s", before)[-1] + re.split(r"[.!?]\s", text[m.start :] + " ")[0]
    if m.unit not in ("$", "%") and (_WORLD.search(around) or (m.unit in ("mile", "kilometer", "km") and _PLACES.search(around))):
        return "a fact about the world"
    if re.match(r"\sweeks?\b", after) and m.value in (4, 52) and re.search(r"\bmonth|\byear", text):
        return "a conversion"
    if m.unit == "$" and re.match(r"(?:\sdollars)?['’]?\sworth\sof\b", after):
        return "the worth of things that are counted elsewhere"
    if m.unit == "$" and re.match(r"(?:\s|-)(?:bill|note|coin)s?\b", after):
        return "a denomination"
    sentence = re.split(r"[.!?)]\s|\(", before)[-1]
    if re.match(r"\s*(?:Remember|Note|Recall|Hint|Assume|remember|note|Use)\b", sentence):
        return "a fact told for the question"
    if re.match(r"\s+of\s+(?:them|these|those|whom|us|which)\b", after) and word and m.value <= 4:
        return "refers to things named before"
    into = re.match(r"\s*(\w+)\s+(?:in|per|to|makes?|make up|equals?)\s+(?:(?:a|an|one|every|each|1)\s+)?(\w+)", after)
    if (
        into
        and m.value in _CONVERSIONS
        and (singular(into[1]), singular(into[2])) in _UNITS_IN
        and _conversion(m.value, singular(into[1]), singular(into[2]))
    ):
        return "a conversion"
    back = re.search(r"(?:\b1|\bone|\bA|\ba|\bper|\bEach|\beach)\s+(\w+)\s+(?:is|has|=|equals|contains|weighs)\s+(?:equal to\s+)?$", before)
    if back and (m.unit, singular(back[1])) in _UNITS_IN:
        return "a conversion"
    around = text[max(0, m.start - 60) : m.end + 60]
    if (
        m.unit == "point"
        and m.value <= 3
        and (re.search(r"basketball", text) or re.match(r"[-\s]points?\s(?:goal|shot|basket|throw)", after))
    ):
        return "a rule of a game"
    if m.unit in ("game", "match", "team", "round") and re.search(r"\btournament\b", text):
        return "a rule of a game"
    if m.unit == "hour" and m.value in (8, 40) and re.search(r"\bovertime\b", text):
        return "the hours of a working day or week"
    if re.match(r"[-\s]minute[-\s](?:soccer|football|basketball|hockey|rugby)", after):
        return "a rule of a game"
    if m.unit in ("point", "") and re.search(r"touchdown|field goal|free throw|pointer|three-point|two-point", around):
        return "a rule of a game"
    if re.search(r"\b(?:buy|get|Buy|Get)\s(?:\w+\s)?$", before) and re.search(r"\bfree\b", after[:60]):
        return "an offer"
    if 2 <= m.value <= 8 and m.unit not in ("$", "%") and m.value in _listed(re.split(r"[.!?]\s", after)[0]):
        return "a list follows"
    if word and re.match(r"\s+\w+(?:\s\w+)?\s*[,:]\s(?:\w+\s)?[A-Z]\w+(?:,|\sand\s)", after):
        return "a list follows"
    if (
        m.unit
        in (
            "person",
            "friend",
            "sister",
            "brother",
            "child",
            "kid",
            "son",
            "daughter",
            "cousin",
            "sibling",
            "student",
            "girl",
            "boy",
            "man",
            "woman",
            "neighbor",
            "classmate",
            "roommate",
            "employee",
        )
        and m.value <= 6
        and re.match(r"\s+\w+\s*(?:,|:|named|called|\()", after)
        and re.search(r"[A-Z]\w+,? and [A-Z]\w+|[a-z] and [a-z]", after[:90])
    ):
        return "a list may follow"
    return ""


_PERSONS = re.compile(r"\b[A-Z][a-z]+(?:,\s[A-Z][a-z]+)+,?\sand\s[A-Z][a-z]+\b")


def _named_together(text: str) -> set[int]:
    """How many names stand in the lists of names of a text: 3 for "Melinda, Zoe and Joel want"."""
    return {len(re.split(r",\s(?:and\s)?|\sand\s", found)) for found in _PERSONS.findall(text)}


def _listed(text: str) -> set[int]:
    """How many things the lists of a text name: 3 for "groups: purple, yellow, and green"."""
    text = re.sub(r"^\s*[A-Za-z]+\s*[,:]", "", text)
    lists = re.findall(r"\b[A-Za-z]+(?:,\s(?:[A-Za-z]+\s){0,2}[A-Za-z]+)+,?\sand\s[A-Za-z]+", text)
    return {len(re.findall(r",\s(?!and\b)", found)) + 2 for found in lists}


_CONVERSION_VALUES = {
    ("minute", "hour"): {60},
    ("second", "minute"): {60},
    ("hour", "day"): {24},
    ("day", "week"): {7},
    ("month", "year"): {12},
    ("week", "year"): {52},
    ("day", "year"): {365, 360, 366},
    ("day", "month"): {28, 30, 31},
    ("week", "month"): {4},
}


def _conversion(value: Fraction, small: str, large: str) -> bool:
    return value in _CONVERSION_VALUES.get((small, large), _CONVERSIONS)


def mentions_of(text: str, fractions: bool = False) -> list[Mention]:
    """The numbers of a question in order, each with its unit and the reason that keeps it fixed, if any.

    With `fractions`, a fraction in digits counts as two numbers that may vary.
    """
    found: list[Mention] = []
    for match in _NUMBER.finditer(text):
        raw, start, end = match.group(0), match.start(), match.end()
        after = text[end:]
        if match["mixed"]:
            whole, top, bottom = map(int, re.split(r"\s+|/", raw))
            value, style = whole + Fraction(top, bottom or 1), "fraction"
        elif match["frac"]:
            top, bottom = map(int, re.split(r"\s?/\s?", raw))
            value, style = Fraction(top, bottom or 1), "fraction"
            if fractions and 0 < top < bottom <= 12 and not re.match(r"\s?/", after):
                for piece in NUMBER.finditer(raw):
                    why = "zero or one" if piece[0] == "1" else ""
                    found.append(Mention(start + piece.start(), start + piece.end(), piece[0], number(piece[0]), "digits", "/", why))
                continue
        elif match["num"]:
            value = number(raw)
            style = "commas" if "," in raw else "decimal" if "." in raw else "digits"
        else:
            value, style = _word_value(raw), "word"
            spelled = re.match(rf"[-\s]({_PART_WORDS})(s?)\b(?=\s+(?:{_PART_AFTER})\b)", after)
            if fractions and spelled and value < 5:
                found.append(Mention(start, end, raw, value, "word", "/", "the top of a fraction"))
                close = end + spelled.end()
                found.append(Mention(end + 1, close, text[end + 1 : close], Fraction(_PARTS[spelled[1].lower()]), "part", "/"))
                continue
            part = re.match(r"[-\s](half|halves|third|fourth|quarter|fifth|sixth|seventh|eighth|ninth|tenth)s?\b", after)
            if part and value < 10 and not re.match(r"[-\s](?:third|fourth|fifth|sixth)s?\s(?:grade|of\s[A-Z])", after):
                end += part.end()
                value, style = value / _PARTS[part[1].rstrip("s") if part[1] != "halves" else "half"], "fraction"
                raw, after = text[start:end], text[end:]
        scale = re.match(r"[-\s](hundred|thousand|million|billion)\b", after)
        half = re.match(r"\s+and\s+(?:a|one)[-\s](half|quarter|third)", after)
        if scale and style != "fraction":
            value *= _SCALE[scale[1]]
            style = "fraction"
        elif half:
            value, style = value + Fraction(1, _PARTS[half[1]]), "fraction"
        money = re.search(r"\$\s?$", text[:start]) or re.match(r"\s?(?:\$(?!\s?\d)|dollars?\b)", after)
        percent = re.match(r"\s?(?:%|percent|per cent)", after)
        noun = re.match(
            r"[-\s]*(?:\$\d+[-\s])?(?:(?:more|fewer|less|extra|additional|other|of\sthe|of\shis|of\sher|of\stheir)\s)*([A-Za-z]+)", after
        )
        unit = "$" if money else "%" if percent else singular(noun[1]) if noun else ""
        mention = Mention(start, end, raw, value, style, unit)
        if style == "word" and (value > 20 or re.search(r"[\s-]", raw)):
            mention = replace(mention, fixed="a long number word")
        found.append(replace(mention, fixed=mention.fixed or _fixed(text, mention)))
    if fractions:
        for match in re.finditer(rf"\ba\s({_PART_WORDS})\b(?=\s+(?:{_PART_AFTER})\b)", text):
            found.append(Mention(match.start(1), match.end(1), match[1], Fraction(_PARTS[match[1]]), "part", "/"))
        found.sort(key=lambda m: m.start)
    return _fix_company(text, found)


_ORDINALS = "first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth"
_ENUMERATED = {
    "kind",
    "type",
    "part",
    "sort",
    "group",
    "child",
    "sibling",
    "friend",
    "brother",
    "sister",
    "son",
    "daughter",
    "person",
    "of",
    "kid",
    "different",
    "way",
    "section",
    "stage",
    "phase",
    "cousin",
    "people",
    "separate",
    "and",
    "who",
}


def _fix_company(text: str, found: list[Mention]) -> list[Mention]:
    """Fixes numbers which the rest of the question speaks for: enumerated things, and numbers equal to a fixed one."""
    listed = re.search(rf"\b(?:{_ORDINALS}|the other|another one|1st|2nd)\b", text, re.IGNORECASE)
    ranks = {
        _ORDINALS.split("|").index(word.lower()) + 1
        for word in re.findall(rf"\b({_ORDINALS})\b(?!\s(?:of|as|the|that))", text, re.IGNORECASE)
    }
    ranks |= {int(n) for n in re.findall(r"\b(\d+)(?:st|nd|rd|th)\b", text)}
    out = []
    for i, m in enumerate(found):
        why = m.fixed
        if (
            not why
            and listed
            and m.value <= 6
            and m.style != "decimal"
            and (
                m.unit in _ENUMERATED
                or (
                    m.unit.isalpha()
                    and re.search(rf"\b(?:{_ORDINALS}|last|other|another|final)\s(?:\w+\s)?{m.unit[:4]}", text, re.IGNORECASE)
                )
            )
        ):
            why = "things are enumerated"
        if (
            not why
            and m.unit not in ("$", "%")
            and m.style != "decimal"
            and m.value > 2
            and (m.value in ranks or m.value + 1 in ranks)
            and max(ranks) > 2
        ):
            why = "an ordinal counts up to it"
        if not why and m.value in _named_together(text) and m.unit not in ("$", "%") and m.style != "decimal":
            why = "a list of names"
        if not why and m.value == 2 and m.unit not in ("$", "%") and re.search(r"\b(?:both|neither|either)\b", text, re.IGNORECASE):
            why = "the text speaks of both"
        if not why:
            for k, other in enumerate(found):
                if k != i and other.value == m.value and other.fixed:
                    why = "another number is equal to it"
        out.append(replace(m, fixed=why))
    return out


# -------------------------------------------------------------------------------------------------------------- constants

_CONSTANTS = [
    (
        r"\b(?:twice|doubl\w*|half|halv\w+|pairs?|couples?|both|round[- ]?trip|each way|back and forth|there and back|perimeter|"
        r"biweekly|every other|either|twins?|duo)\b",
        ["2", "1/2", "0.5"],
    ),
    (r"\b(?:thirds?|tripl\w*|thrice|triangle)\b", ["3", "1/3"]),
    (r"\b(?:two[- ]thirds)\b", ["2", "3"]),
    (r"\b(?:quarters?|fourths?|quadrupl\w*|square)\b", ["4", "1/4", "0.25"]),
    (r"\bquarters\b", ["25", "0.25"]),
    (r"\bdimes?\b", ["10", "0.1"]),
    (r"\bnickels?\b", ["5", "0.05"]),
    (r"\bpenn(?:y|ies)\b", ["0.01"]),
    (r"\bfifths?\b", ["5", "0.2"]),
    (r"\bsixths?\b", ["6"]),
    (r"\bsevenths?\b", ["7"]),
    (r"\beighths?\b", ["8"]),
    (r"\bninths?\b", ["9"]),
    (r"\btenths?\b", ["10", "0.1"]),
    (r"\btwentieths?\b", ["20"]),
    (r"\bhalf\b.*(?:%|percent)|(?:%|percent).*\bhalf\b", ["50"]),
    (r"\bdozens?\b", ["12"]),
    (r"\bhalf[- ](?:a[- ])?dozen\b", ["6"]),
    (r"\b(?:weeks?|weekly|daily|every day|each day|per day|a day|days?)\b", ["7"]),
    (
        r"\bweekdays?|workweek|work(?:ing)? days?|school days?|"
        r"school week|monday",
        ["5"],
    ),
    (r"\bweekends?\b", ["2"]),
    (r"\b(?:year|annual|yearly|years)\b", ["12", "52", "365", "4"]),
    (r"\bmonth(?:s|ly)?\b", ["12", "30", "4"]),
    (r"\bleap\b", ["366"]),
    (r"\b(?:april|june|september|november)\b", ["30"]),
    (r"\bfebruary\b", ["28"]),
    (r"\b(?:january|march|may|july|august|october|december)\b", ["31"]),
    (r"\b(?:hours?|hourly|minutes?|mph|km/h)\b", ["60"]),
    (r"\bseconds?\b", ["60"]),
    (r"\bhours?\b.*\bseconds?\b|\bseconds?\b.*\bhours?\b", ["3600"]),
    (r"\b(?:days?|daily)\b", ["24"]),
    (r"\bhalf (?:an|hour)", ["30"]),
    (r"\bquarter (?:of an )?hour", ["15"]),
    (r"\b(?:feet|foot|inch(?:es)?)\b", ["12"]),
    (r"\byards?\b", ["3", "36"]),
    (r"\b(?:pounds?|ounces?)\b", ["16"]),
    (r"\btons?\b", ["2000"]),
    (r"\bmiles?\b", ["5280"]),
    (r"\bgallons?\b", ["4", "16", "8", "128", "2"]),
    (r"\bquarts?\b", ["4", "2", "32"]),
    (r"\bpints?\b", ["2", "8", "16"]),
    (r"\bcups?\b", ["8", "16"]),
    (r"\b(?:kilo\w+|km|kg)\b", ["1000"]),
    (r"\b(?:ml|milli\w+)\b", ["1000"]),
    (r"\b(?:cm|centimeters?|meters?)\b", ["100"]),
    (r"\bmeters?\b", ["1000"]),
    (r"%|\bpercent\w*|\bper cent", ["100", "1", "0.01"]),
    (r"\bcents?\b|¢", ["100", "0.01"]),
    (r"\bdecades?\b", ["10"]),
    (r"\bcentur(?:y|ies)\b", ["100"]),
    (r"\bmillions?\b", ["1000000"]),
    (r"\bthousands?\b", ["1000"]),
    (r"\bhundreds?\b", ["100"]),
    (
        r"\b(?:cows?|dogs?|cats?|horses?|goats?|sheep|lions?|cars?|tables?|pigs?|elephants?|rabbits?|deer|kangaroos?)\b.*\b(?:legs?|wheels?|feet|paws?"
        r"|tires?)\b|\b(?:legs?|wheels?|feet|paws?|tires?)\b.*\b(?:cows?|dogs?|cats?|horses?|goats?|cars?|tables?|pigs?)\b",
        ["4"],
    ),
    (r"\b(?:chickens?|birds?|ducks?|bicycles?|bikes?|motorcycles?)\b.*\b(?:legs?|wheels?|feet|tires?)\b", ["2"]),
    (r"\b(?:tricycles?)\b", ["3"]),
    (r"\bspiders?\b", ["8"]),
    (r"\binsects?|\bants?\b", ["6"]),
    (r"\b(?:shoes?|socks?|feet|eyes|hands)\b", ["2"]),
    (r"\b(?:rectang\w+|field|garden|fence)\b", ["2"]),
    (r"\b(?:square|rectang\w+)\b", ["4"]),
    (r"\bpentagon\b", ["5"]),
    (r"\bhexagon\b", ["6"]),
    (r"\bcubes?\b", ["6", "12", "8"]),
    (r"\btriplets?\b", ["3"]),
    (r"\bgross\b", ["144"]),
    (r"\bdegrees?\b", ["180", "360"]),
    (r"\bsupplementary|triangle\b", ["180"]),
    (r"\bcomplementary\b", ["90"]),
]


_STRONG_WORDS = {
    Fraction(2): r"\b(?:twice|doubl\w*|half|halv\w+|pairs?|couples?|both|round[- ]?trip|each way|weekends?|perimeter|twins?|biweekly)\b",
    Fraction(3): r"\b(?:thirds?|tripl\w*|thrice|yards?|tricycles?)\b",
    Fraction(4): r"\b(?:quarters?|fourths?|quadrupl\w*|square|months?)\b",
    Fraction(5): r"\b(?:fifths?|weekdays?|workweek|nickels?|school days?|work ?days?|monday\s(?:to|through|until)\sfriday)\b",
    Fraction(7): r"\b(?:weeks?|weekly|daily|every day|sevenths?)\b",
    Fraction(12): r"\b(?:dozens?|years?|annual|yearly|feet|foot|inch\w*)\b",
    Fraction(60): r"\b(?:hours?|minutes?|hourly|seconds?)\b",
    Fraction(100): r"%|percent|cents?\b|\bmeters?|\bcm\b",
    Fraction(24): r"\b(?:days?|daily)\b.*\bhours?\b|\bhours?\b.*\b(?:days?|daily)\b",
    Fraction(52): r"\b(?:year|annual|yearly)\b",
    Fraction(365): r"\b(?:year|annual|yearly)\b",
    Fraction(25): r"\bquarters\b|\bfourth\b.*%",
    Fraction(10): r"\b(?:dimes?|tenths?|decades?)\b",
    Fraction(6): r"\b(?:sixths?|half[- ](?:a[- ])?dozen|hexagon|insects?|cubes?)\b",
    Fraction(30): r"\bhalf (?:an|hour)|\bmonths?\b|\b(?:april|june|september|november)\b",
    Fraction(16): r"\bounces?\b.*\bpounds?\b|\bpounds?\b.*\bounces?\b",
    Fraction(50): r"\bhalf\b.*(?:%|percent)|(?:%|percent).*\bhalf\b",
    Fraction(8): r"\beighths?\b|\bspiders?\b|\bgallons?\b.*\bpints?\b",
}


_LIMBS = re.compile(
    r"\b(?:legs?|wheels?|feet|paws?|tires?|sides?|eyes?|ears?|hands?|shoes?|socks?|gloves?|corners?|antennae)\b", re.IGNORECASE
)


def _names(question: str) -> set[str]:
    """Words of a question that look like names of people."""
    common = "If|The|How|He|She|They|What|It|In|On|At|A|An|His|Her|For|There|Each|Then|When|After|All"
    return set(re.findall(rf"\b(?!(?:{common})\b)[A-Z][a-z]+", question))


def weak(value: Fraction, question: str) -> bool:
    """Whether a constant is so unlikely here that a number of the question which equals it is meant."""
    if value in (2, 3, 4, 6, 8) and _LIMBS.search(question):
        return False
    if value in (2, 4) and re.search(r"\b(?:rectang\w*|fenc\w+|frame\w*|border\w*|perimeter)\b", question, re.IGNORECASE):
        return False
    if value == len(_names(question)) and re.search(r"\b(?:average|mean|equally|evenly|shar\w+|split|divid\w+|each)\b", question):
        return False
    words = _STRONG_WORDS.get(value)
    return value > 1 and (words is None or not re.search(words, question, re.IGNORECASE | re.DOTALL))


def constants_of(question: str, mentions: list[Mention]) -> set[Fraction]:
    """The constants that words of the question justify."""
    found = {Fraction(1)}
    for pattern, values in _CONSTANTS:
        if re.search(pattern, question, re.IGNORECASE | re.DOTALL):
            found |= {Fraction(v) for v in values}
    for m in mentions:
        if m.style == "fraction":
            rest = m.value % 1
            found |= {m.value, Fraction(rest.denominator), Fraction(rest.numerator), 1 - rest, Fraction(rest.denominator - rest.numerator)}
            if "%" in question or "percent" in question:
                found.add(rest * 100)
            parts = [int(p) for p in re.findall(r"\d+", m.text)]
            found |= {Fraction(p) for p in parts}
    names = _names(question)
    if re.search(r"\b(?:average|mean|equally|evenly|share[sd]?|split|each|combined|they all|altogether|total)\b", question):
        found |= {Fraction(n) for n in range(2, min(len(names), 5) + 1)}
    return found


def told(value: Fraction, question: str, mentions: list[Mention]) -> int:
    """How often numbers and words of the question tell of a value."""
    words = sum(len(re.findall(pattern, question, re.IGNORECASE)) for pattern, values in _CONSTANTS if value in map(Fraction, values))
    fractions = sum(m.style == "fraction" and value in (m.value.numerator, m.value.denominator) for m in mentions)
    return words + fractions + sum(m.value == value for m in mentions)


# ------------------------------------------------------------------------------------------------------------- resolution


def read(question: str, reference: str, fractions: bool = False) -> Reading:
    """Question and reference solution as a chain; raises Unreadable with the reason."""
    answer = final_answer(reference)
    if answer is None:
        raise Unreadable("no final answer")
    text = body(reference)
    mentions = mentions_of(question, fractions)
    steps, slips = steps_of(text, given={m.value for m in mentions})
    if not steps:
        raise Unreadable("no computation in the solution")
    for slip in slips:
        close = abs(slip.value - slip.written) <= abs(slip.value) / 50
        raise Unreadable(f"{'intermediate not clean' if close else 'reference arithmetic is false'}: {slip.text}")
    final = max((j for j, step in enumerate(steps) if step.value == answer), default=-1)
    if final < 0:
        raise Unreadable(f"final answer is not a step's result: {plain(answer)}")
    if final != len(steps) - 1 and steps[-1].value != answer:
        raise Unreadable("final answer is not the last step's result")
    reading = Reading(question, text, answer, mentions, steps, final)
    _resolve(reading)
    _doubt(reading)
    _slots(reading)
    return reading


_TIMES = {"twice": Fraction(2), "half": Fraction(1, 2), "double": Fraction(2), "triple": Fraction(3), "thrice": Fraction(3)}
_COMPARED = re.compile(
    rf"\b(?P<a>[A-Z][a-z]+|who)(?:'s|’s)?\s(?:\w+\s){{1,3}}?\$?(?P<k>\d+|{_ANY_WORD}|twice|half|double|triple|thrice)\s(?P<how>[^.?!,;]{{0,40}}?)"
    r"\b(?:as|than)\s(?P<b>[A-Z][a-z]+)\b"
)
_COMPARED_KINDS = re.compile(
    rf"\b(?P<k>\d+|{_ANY_WORD}|twice|half|thrice)\s(?P<how>(?:times\s)?as\s(?:many|much)\s)(?P<a>[a-z]+)\sas\s(?:there\sare\s)?(?P<b>[a-z]{{3,}}s)\b"
)
_RATIONED = re.compile(
    r"\b(?:twice|half|doubl\w+)\s(?:as\s(?:many|much)|the\s(?:amount|number|distance|price|cost|size|length))", re.IGNORECASE
)


_COMPARED_MULTIPLE = re.compile(
    rf"\b(?P<a>[A-Z][a-z]+)(?:'s|’s)?\s(?:\w+\s){{1,3}}?\$?(?P<k>\d+|{_ANY_WORD})\s(?:\w+\s){{0,2}}?(?P<how>less|fewer|more|younger|older)\s"
    rf"(?:\w+\s){{0,2}}?than\s(?:\w+\s){{0,2}}?(?:twice|half|thrice|double|(?:\d+|{_ANY_WORD})\stimes)\b"
)


_REPEATED = re.compile(r"\b(?:each|both|same|returns?|returned|back|again|twice|double|apiece|every)\b(?!\smorning)", re.IGNORECASE)


def _doubt(reading: Reading) -> None:
    """Raises Unreadable where the solution seems to follow another question: a comparison computed backwards, or fewer doublings than
    the question tells of."""
    question = reading.question
    relations: list[tuple[str, str, str, Fraction]] = []
    for match in (*_COMPARED.finditer(question), *_COMPARED_KINDS.finditer(question)):
        word, how = match["k"].lower(), match["how"]
        shares = re.search(r"%|percent|times", how)
        k = _TIMES.get(word) or (number(word) if word.isdigit() else _word_value(word))
        a = match["a"]
        if a == "who":
            names = re.findall(r"\b[A-Z][a-z]+\b", question[: match.start()])
            a = names[-1] if names else ""
        if word in _TIMES or re.match(r"times\s", how):
            relations.append((a, match["b"], "*", k))
        elif re.search(r"\b(?:more|older|taller|longer|heavier|higher|bigger|farther|further)\s", how) and not shares:
            relations.append((a, match["b"], "+", k))
        elif re.search(r"\b(?:fewer|less|younger|shorter|lighter|lower|smaller)\s", how) and not shares:
            relations.append((a, match["b"], "-", k))
    for match in _COMPARED_MULTIPLE.finditer(question):
        word = match["k"].lower()
        k = number(word) if word.isdigit() else _word_value(word)
        relations.append((match["a"], "", "+" if match["how"] in ("more", "older") else "-", k))
    for a, b, op, k in relations:
        for who, away in ((a, True), (b, False)) if b else ((a, True),):
            for n in _given(reading, who):
                if n == k:
                    continue
                right = {"*": n / k if away else n * k, "+": n - k if away else n + k, "-": n + k if away else n - k}[op]
                wrong = {"*": n * k if away else n / k, "+": n + k if away else n - k, "-": n - k if away else n + k}[op]
                results = {step.value for step in reading.steps if n in [v for *_, v in step.leaves]}
                if wrong in results and right not in results:
                    raise Unreadable(f"a comparison is computed backwards: {a} and {b}")
    for i, m in enumerate(reading.mentions):
        roles = {side for node in reading.nodes for side in sides(node, ("q", i))} if m.unit == "time" else set()
        if len(roles) > 1:
            raise Unreadable("a ratio both multiplies and divides")
    for step, node in zip(reading.steps, reading.nodes, strict=True):
        single = node[0] == "+" and node[1] == node[2] and node[1][0] == "q"
        if single and sum(m.value == step.value / 2 for m in reading.mentions) == 1 and not _REPEATED.search(question):
            raise Unreadable(f"a number is added to itself: {plain(step.value / 2)}")
    percents = {m.value for m in reading.mentions if m.unit == "%"}
    used = {value for step in reading.steps for *_, value in step.leaves}
    for v in percents:
        share = v / 100
        if not used & {v, share, 100 - v, 1 - share, 100 + v, 1 + share, 1 / share if share else v} and not _fractions_told(v, used):
            raise Unreadable(f"a percent is not used: {plain(v)}")
    told = len(_RATIONED.findall(question))
    worth = {Fraction(2), Fraction(1, 2), Fraction(50), Fraction(3), Fraction(3, 2)}
    if told > 1 and told > sum(v in worth for step in reading.steps for *_, v in step.leaves):
        raise Unreadable("fewer doublings than the question tells of")


def _fractions_told(percent: Fraction, used: set[Fraction]) -> bool:
    """Whether a percent is written as a fraction: 25 % as 1/4."""
    share = percent / 100
    return share.denominator in used and (share.numerator == 1 or share.numerator in used)


def sides(node: Node, leaf: Node) -> set[str]:
    """Whether a leaf multiplies ("*") or divides ("/") in an expression."""
    if node[0] not in ("+", "-", "*", "/", "neg", "pct"):
        return set()
    mine = {node[0] if node[0] == "*" or node[2] == leaf else "*"} if node[0] in ("*", "/") and leaf in node[1:] else set()
    return mine.union(*(sides(part, leaf) for part in node[1:]))


def _given(reading: Reading, who: str) -> list[Fraction]:
    """What the question plainly gives to a name ("Ann has 5"), or says to be there of a kind ("15 apples")."""
    if who[:1].isupper():
        verbs = "has|had|is|was|have|weighs|ate|sold|bought|made|ran|scored|read|got|owns"
        plainly = re.finditer(rf"\b{who}\s(?:\w+\s){{0,2}}?(?:{verbs})\s(?:only\s)?\$?", reading.question)
        starts = {match.end() for match in plainly}
        found = [m for m in reading.mentions if m.start in starts]
    else:
        found = [m for m in reading.mentions if m.unit == singular(who)]
    return [
        m.value
        for m in found
        if m.unit not in ("%", "time", "more", "less", "fewer")
        and not re.match(
            r"\s(?:\w+\s){0,3}?(?:more|less|fewer|times|older|younger|taller|longer|shorter|as|than)\b", reading.question[m.end :]
        )
    ]


def plain(value: Fraction) -> str:
    """A number as digits, up to six decimals."""
    return str(value.numerator) if value.denominator == 1 else f"{float(value):.6f}".rstrip("0").rstrip(".")


def candidates(
    value: Fraction,
    mentions: list[Mention],
    values: list[Fraction],
    constants: set[Fraction],
    faint: set[Fraction] | frozenset[Fraction] = frozenset(),
) -> list[Node]:
    """Every honest source of a literal: numbers of the question, earlier steps, justified constants; then percents' kin."""
    found: list[Node] = []
    for i, m in enumerate(mentions):
        if m.value == value:
            found.append(("c", value) if m.fixed else ("q", i))
    found += [("s", j) for j, v in enumerate(values) if v == value]
    if value in constants and not (found and value in faint):
        found.append(("c", value))
    if not found:
        hundred: Node = ("c", Fraction(100))
        one: Node = ("c", Fraction(1))
        for i, m in enumerate(mentions):
            node: Node = ("c", m.value) if m.fixed else ("q", i)
            share: Node = ("/", node, hundred)
            if m.unit == "%":
                for kin, worth in (
                    (share, m.value / 100),
                    (("-", hundred, node), 100 - m.value),
                    (("+", hundred, node), 100 + m.value),
                    (("-", one, share), 1 - m.value / 100),
                    (("+", one, share), 1 + m.value / 100),
                ):
                    if worth == value:
                        found.append(kin)
            elif m.unit in ("cent", "¢") and m.value / 100 == value:
                found.append(share)
    unique: list[Node] = []
    seen_q: set[tuple] = set()
    for node in found:
        # equal numbers of one unit are one quantity: the first mention stands for all
        key = ("q", mentions[node[1]].value) if node[0] == "q" else node
        if key not in seen_q:
            seen_q.add(key)
            unique.append(node)
    return unique


def leaves_of(node: Node):
    """Every resolved leaf of an expression."""
    if node[0] in ("q", "s", "c", "leaf"):
        yield node
    else:
        for part in node[1:]:
            yield from leaves_of(part)


def substitute(node: Node, leaves: list[Node]) -> Node:
    """The expression with its ("leaf", k) replaced by `leaves[k]`."""
    if node[0] == "leaf":
        return leaves[node[1]]
    return (node[0], *(substitute(part, leaves) if isinstance(part, tuple) else part for part in node[1:]))


def chain_values(nodes: list[Node], numbers: dict[int, Fraction]) -> list[Fraction]:
    """Values of all steps for given values of the question's mentions. Raises ZeroDivisionError."""
    values: list[Fraction] = []
    for node in nodes:
        values.append(evaluate(node, lambda n: n[1] if n[0] == "c" else numbers[n[1]] if n[0] == "q" else values[n[1]]))
    return values


def _resolve(reading: Reading) -> None:
    constants = constants_of(reading.question, reading.mentions)
    fractions = {
        v
        for m in reading.mentions
        if m.style == "fraction"
        for v in (Fraction((m.value % 1).denominator), Fraction((m.value % 1).numerator))
    }
    faint = {v for v in constants if weak(v, reading.question) and v not in fractions}
    steps = reading.steps
    spoken = [value for step in steps for *_, value in step.leaves]
    for v in {m.value for m in reading.mentions}:
        alike = [m for m in reading.mentions if m.value == v]
        if len({m.unit for m in alike}) > 1 and spoken.count(v) < len(alike):
            # one of them may be told by the text's structure alone
            reading.mentions = [
                replace(m, fixed=m.fixed or "another number is equal to it") if m.value == v else m for m in reading.mentions
            ]
    values = [step.value for step in steps]
    calendar = {Fraction(v) for v in (7, 12, 24, 30, 31, 52, 60, 365)} & (constants - faint)
    reading.mentions = [
        replace(m, fixed="may be a constant")
        if not m.fixed
        and m.value in calendar
        and m.unit not in ("$", "%", "mph")
        and re.search(r"month|week|dai?ly?|hour|year|minute|annual", reading.question[max(0, m.start - 30) : m.end + 40])
        else m
        for m in reading.mentions
    ]
    for v in {m.value for m in reading.mentions if not m.fixed and m.unit not in ("$", "%")}:
        count = sum(m.value == v and not m.fixed for m in reading.mentions)
        words = len(re.findall(_MULTIPLES[v], reading.question, re.IGNORECASE)) if v in _MULTIPLES else 0
        words += v in (2, 3, 4, 6, 8) and v in constants and bool(_LIMBS.search(reading.question))
        told = [
            hint
            for step in steps
            for hint, (*_, value) in zip(_hints(reading.solution, step), step.leaves, strict=True)
            if value in (v, 1 / v)
        ]
        nouns = {m.unit for m in reading.mentions if m.value == v}
        if (words and len(told) < count + words) or (2 <= v <= 5 and count == 1 and len(told) > 1 and not set(told) <= nouns):
            # "twice" and "two friends", or two lattes and a pair of unnumbered croissants: which of them a 2 is cannot be told
            reading.mentions = [replace(x, fixed=x.fixed or "may be a constant") if x.value == v else x for x in reading.mentions]
    uses = [(value, _roles(step.node).get(k, "")) for step in steps for k, (_a, _b, value) in enumerate(step.leaves)]
    for m in reading.mentions:
        # the number of things that a sum lists belongs to the text, not to the draw
        counted = not m.fixed and m.unit not in ("$", "%") and 3 <= m.value <= 7 and any(_terms(step.node) == m.value for step in steps)
        if counted and all(role == "*" for value, role in uses if value == m.value):
            reading.mentions = [replace(x, fixed="counts the terms of a sum") if x.value == m.value else x for x in reading.mentions]
    for _ in range(2):
        options: list[list[Node]] = []
        for j, step in enumerate(steps):
            average = {Fraction(_terms(s.node)) for s in steps[: j + 1] if _terms(s.node) > 1}
            roles = _roles(step.node)
            shares = {m.value for m in reading.mentions if m.unit == "%"} | {Fraction(100), Fraction(1, 100)}
            hundreds = _hundreds(step.node, [v for *_, v in step.leaves], shares)
            percent = "%" in reading.solution[step.start : step.end] or len([v for *_, v in step.leaves if v in shares]) > 1
            for k, (_start, _end, value) in enumerate(step.leaves):
                found = _sift(
                    candidates(value, reading.mentions, values[:j], constants, faint), roles.get(k, ""), value, reading.mentions, percent
                )
                found = found + [kin for kin in _complements(value, reading.mentions) if kin not in found]
                if k in hundreds and value in constants:
                    found = [("c", value)]
                if k in _unit_fractions(step.node, [v for *_, v in step.leaves]):
                    found = [n for n in found if n[0] != "q" or reading.mentions[n[1]].unit == "/"] or [("c", value)]
                if not found and value in average and re.search(r"\b(?:average|mean|equally|evenly)\b", reading.question):
                    found = [("c", value)]
                if not found:
                    raise Unreadable(f"number not found in question: {plain(value)} in step {j + 1}")
                options.append(found)
        size = 1
        for found in options:
            size *= len(found)
            if size > 3000:
                raise Unreadable(f"ambiguous number: {size}+ readings")
        readings = (
            sorted((_unused(reading, choice), choice) for choice in _choices(options))
            if size > 1
            else [(0, tuple(found[0] for found in options))]
        )
        best = [choice for score, choice in readings if score == readings[0][0]]
        if not _agree(reading, best) and len(best) <= 200:
            # the words around the numbers may tell: "32 cups * $3" means the step that counts cups
            hints = [hint for step in steps for hint in _hints(reading.solution, step)]
            fits = [sum(bool(hint) and _noun(reading, node) == hint for hint, node in zip(hints, choice, strict=True)) for choice in best]
            best = [choice for fit, choice in zip(fits, best, strict=True) if fit == max(fits)]
        if _agree(reading, best):
            _settle(reading, best[0])
            return
        clash = {m.value for m in reading.mentions if not m.fixed and m.value in constants - faint}
        clash &= {value for step in steps for *_, value in step.leaves}
        if not clash:
            break
        reading.mentions = [replace(m, fixed="may be a constant") if m.value in clash else m for m in reading.mentions]
    unclear = next(found for found in options if len(found) > 1)
    raise Unreadable(f"ambiguous number: {plain(_anchor_value(reading, unclear[0]))}")


_MULTIPLES = {
    Fraction(2): r"\b(?:twice|doubl\w+|half|halves|both|round[- ]?trip)\b",
    Fraction(3): r"\b(?:thrice|tripl\w+|thirds?)\b",
    Fraction(4): r"\b(?:quadrupl\w+|quarters?|fourths?)\b",
    Fraction(5): r"\b(?:weekdays?|workweek|nickels?|fifths?|monday\s(?:to|through|until)\sfriday)\b",
    Fraction(12): r"\bdozens?\b",
}
RELATIONAL = {Fraction(v) for v in (2, 3, 4, 5, 6, 8, 9, 10)}


def _roles(node: Node, above: str = "") -> dict[int, str]:
    """How each literal takes part: "+" when added or subtracted, "*" when it multiplies or divides."""
    if node[0] == "leaf":
        return {node[1]: above}
    role = "+" if node[0] in ("+", "-") else "*" if node[0] in ("*", "/") else above
    return {k: v for part in node[1:] for k, v in _roles(part, role).items()}


def _hundreds(node: Node, values: list[Fraction], percents: set[Fraction]) -> set[int]:
    """The literals 100 that a percent is divided by: nothing but the hundred of "percent"."""
    if node[0] == "leaf":
        return set()
    mine = set()
    if node[0] == "/" and node[1][0] == node[2][0] == "leaf" and values[node[2][1]] == 100 and values[node[1][1]] in percents:
        mine = {node[2][1]}
    return mine.union(*(_hundreds(part, values, percents) for part in node[1:] if isinstance(part, tuple)))


def _unit_fractions(node: Node, values: list[Fraction]) -> set[int]:
    """The literals below a written 1: the 2 of "1/2 * 40 * 20" is a half, whatever else is two."""
    if node[0] == "leaf":
        return set()
    mine = set()
    if node[0] == "/" and node[1][0] == node[2][0] == "leaf" and values[node[1][1]] == 1:
        mine = {node[2][1]}
    return mine.union(*(_unit_fractions(part, values) for part in node[1:] if isinstance(part, tuple)))


def _sift(found: list[Node], role: str, value: Fraction, mentions: list[Mention], percent: bool) -> list[Node]:
    """Drops what the operation tells apart: "twice" never adds 2, and 40 % is a bare 40 only where a hundred is near."""
    if len(found) < 2:
        return found
    if not percent and any(node[0] in ("s", "c") for node in found):
        found = [node for node in found if node[0] != "q" or mentions[node[1]].unit != "%"]
    if role == "+" and value in RELATIONAL:
        return [node for node in found if node[0] != "c" or any(m.value == value and m.fixed for m in mentions)] or found
    return found


def _complements(value: Fraction, mentions: list[Mention]) -> list[Node]:
    """What the rest of a varying fraction may be: the 2 of 2/3 where the question says 1/3."""
    found: list[Node] = []
    for top, bottom in itertools.pairwise(mentions):
        if bottom.unit == "/" and not bottom.fixed and top.unit == "/" and bottom.value - top.value == value and value > 1:
            over = mentions.index(bottom)
            found.append(("-", ("q", over), ("c", top.value) if top.fixed else ("q", over - 1)))
    for i, m in enumerate(mentions):
        lone = m.style == "part" and not (i and mentions[i - 1].unit == "/" and mentions[i - 1].end + 1 == m.start)
        if lone and not m.fixed and m.value - 1 == value and value > 1:
            found.append(("-", ("q", i), ("c", Fraction(1))))
    return found


def _hints(text: str, step: Step) -> list[str]:
    """For each literal of a step, the noun that follows it in the words; empty where there is none or it is not certain."""
    low = text.rfind("\n", 0, step.start) + 1
    found = []
    for start, end, value in step.leaves:
        spans = [(start, end)]
        if [v for *_, v in step.leaves].count(value) > 1:
            found.append("")  # which of the two a noun speaks of cannot be told
            continue
        if step.marked:
            spans = [
                m.span() for m in NUMBER.finditer(text, low, step.end) if number(m[0]) == value and "<<" not in text[m.end() : m.end() + 3]
            ]
            spans = [span for span in spans if not any(m.start() <= span[0] < m.end() for m in MARK.finditer(text))]
        nouns = {singular(m[1]) for _, b in spans if (m := re.match(r"\s([A-Za-z]{3,})", text[b : b + 30]))}
        found.append(nouns.pop() if len(nouns) == 1 else "")
    return found


def _noun(reading: Reading, node: Node) -> str:
    return reading.mentions[node[1]].unit if node[0] == "q" else reading.steps[node[1]].unit if node[0] == "s" else ""


def _choices(options: list[list[Node]]):
    return itertools.product(*options)


def _anchor_value(reading: Reading, node: Node) -> Fraction:
    return evaluate(node, lambda n: n[1] if n[0] == "c" else reading.mentions[n[1]].value if n[0] == "q" else reading.steps[n[1]].value)


def _terms(node: Node) -> int:
    return _terms(node[1]) + _terms(node[2]) if node[0] == "+" else 1


def _nodes(reading: Reading, choice: tuple[Node, ...]) -> list[Node]:
    nodes, k = [], 0
    for step in reading.steps:
        nodes.append(substitute(step.node, list(choice[k : k + len(step.leaves)])))
        k += len(step.leaves)
    return nodes


def _unused(reading: Reading, choice: tuple[Node, ...]) -> int:
    """How much of the problem a reading leaves aside: intermediates first, then numbers of the question."""
    used = {leaf for node in choice for leaf in leaves_of(node)}
    steps = sum(("s", j) not in used for j in range(len(reading.steps)) if j != reading.final)
    numbers = {m.value for m in reading.mentions if not m.fixed} - {reading.mentions[i].value for kind, i in used if kind == "q"}
    return 10 * steps + len(numbers)


def _agree(reading: Reading, choices: list[tuple[Node, ...]]) -> bool:
    """Whether all readings compute the same under other numbers."""
    if len(choices) == 1:
        return True
    rng = random.Random(0)
    programs = [_nodes(reading, choice) for choice in choices[:200]]
    for _ in range(3):
        by_value = {m.value: m.value * Fraction(rng.randint(50, 150), rng.randint(50, 99)) for m in reading.mentions}
        numbers = {i: m.value if m.fixed else by_value[m.value] for i, m in enumerate(reading.mentions)}
        try:
            if len({tuple(chain_values(nodes, numbers)) for nodes in programs}) > 1:
                return False
        except ZeroDivisionError:
            return False
    return True


def _settle(reading: Reading, choice: tuple[Node, ...]) -> None:
    k = 0
    for step in reading.steps:
        for start, end, _ in step.leaves:
            reading.slots.append((start, end, choice[k]))
            k += 1
    reading.nodes = _nodes(reading, choice)


def used_mentions(reading: Reading) -> set[int]:
    """Indices of the question's numbers that the chain uses."""
    return {leaf[1] for node in reading.nodes for leaf in leaves_of(node) if leaf[0] == "q"}


# ------------------------------------------------------------------------------------------------------- the solution's words

_RELATIONS = {
    "twic": 2,
    "doub": 2,
    "half": 2,
    "halv": 2,
    "both": 2,
    "trip": 3,
    "thri": 3,
    "thir": 3,
    "quad": 4,
    "quar": 4,
    "four": 4,
    "fift": 5,
    "sixt": 6,
    "seve": 7,
    "eigh": 8,
    "nint": 9,
    "tent": 10,
    "doze": 12,
}
_RELATION = re.compile(
    r"\b(?:twice|doubl\w*|half|halv\w*|both|tripl\w*|thrice|thirds?|quadrupl\w*|quarters?|fourths?|fifths?|sixths?|sevenths?|"
    r"eighths?|ninths?|tenths?|dozens?)\b",
    re.IGNORECASE,
)


def _slots(reading: Reading) -> None:
    """Explains every number in the solution's words, or marks its line as bare."""
    text = reading.solution
    known = {span[:2]: span[2] for span in reading.slots}
    for j, step in enumerate(reading.steps):
        if step.result:
            known[step.result] = ("s", j)
    for mark in MARK.finditer(text):
        right = mark.start(1) + mark[1].rfind("=") + 1
        literal = NUMBER.search(text, right, mark.end(1))
        owner = next((j for j, s in enumerate(reading.steps) if s.marked and s.start <= right <= s.end), None)
        if literal and owner is not None:
            known[literal.span()] = ("s", owner)
            bare = NUMBER.fullmatch(text, mark.start(1), right - 1)
            if bare and bare.span() not in known and number(bare[0]) == reading.steps[owner].value:
                # <<6=6>> after words that compute the 6
                known[bare.span()] = ("s", owner)
        elif literal and literal.span() not in known:
            reading.bare.append(_line(text, mark.start()))
    used = used_mentions(reading)
    moving: dict[Fraction, list[Node]] = {}
    for i in sorted(used):
        moving.setdefault(reading.mentions[i].value, [("q", i)])
    for j, step in enumerate(reading.steps):
        moving.setdefault(step.value, []).append(("s", j))
    for match in _NUMBER.finditer(text):
        for start, end in _parts(text, match):
            if (start, end) in known or any(a <= start and end <= b for a, b in known):
                continue
            if any(m.start() <= start < m.end() for m in MARK.finditer(text)):
                continue
            node = _explain(reading, text, start, end, moving, known)
            if node is None:
                reading.bare.append(_line(text, start))
            elif node[0] != "c":
                known[(start, end)] = node
    _refuse_equations_in_words(reading, known)
    for (start, end), node in known.items():
        if node[0] != "c" and re.match(r"(?:st|nd|rd|th)\b", text[end:]):
            reading.bare.append(_line(text, start))
    tops = {(top.value, bottom.value) for top, bottom in itertools.pairwise(reading.mentions) if top.unit == bottom.unit == "/"}
    slashed = {m.value for m in reading.mentions if m.unit == "/"}
    for match in re.finditer(r"(\d+)\s?/\s?(\d+)", text):
        pair = (Fraction(match[1]), Fraction(match[2]))
        inside = any(a <= match.start() < b for m in MARK.finditer(text) for a, b in [m.span()])
        if slashed and pair[1] in slashed and pair not in tops and not inside and known.get(match.span(1), ("c",))[0] == "c":
            # "the other 2/3": the 2 would stay while the 3 varies
            reading.bare.append(_line(text, match.start()))
    varying = {reading.mentions[i].value for i in used}
    for match in _RELATION.finditer(text):
        stem = match[0].lower()[:4]
        parts = {reading.mentions[i].value for i in used if reading.mentions[i].style == "part"}
        percents = {reading.mentions[i].value for i in used if reading.mentions[i].unit == "%"}
        worth = _RELATIONS[stem]
        told = re.search(rf"\b{stem}", reading.question, re.IGNORECASE)
        if worth in parts or Fraction(100, worth) in percents or (worth in varying and not told):
            # the question says "three times" and the solution "triple", or 25 % and "a quarter": only the first would vary
            reading.bare.append(_line(text, match.start()))
    reading.slots = sorted((a, b, node) for (a, b), node in known.items())


def _refuse_equations_in_words(reading: Reading, known: dict) -> None:
    """Raises Unreadable where the words equate a varying number with one that no step computes ("1/2 a cup = 4 ounces")."""
    text = reading.solution
    for match in re.finditer(r"=\s*\$?\s*(" + NUMBER.pattern + ")", text):
        if any(m.start() <= match.start() < m.end() for m in MARK.finditer(text)) or known.get(match.span(1), ("c",))[0] == "s":
            continue
        if re.match(r"\s*[-+*/x×÷][-+*/x×÷\s\d$.,()%]*=\s*\$?<<", text[match.end() :]):
            continue  # "28/2 = <<28/2=14>>14": the computation once more
        low = max(text.rfind("\n", 0, match.start()), text.rfind(". ", 0, match.start()), text.rfind("=", 0, match.start())) + 1
        varies = any(not m.fixed and m.value == number(match[1]) for m in reading.mentions) and re.search(r"\d", text[low : match.start()])
        if varies or any(node[0] != "c" and low <= a and b <= match.start() for (a, b), node in known.items()):
            raise Unreadable(f"equation in the words: {' '.join(text[low : match.end()].split())}")


_COMPANY = re.compile(
    r"(?:friends?|people|persons?|boys|girls|kids|children|men|women|brothers|sisters|siblings|students|players|teams|girlfriends|"
    r"workers|of|together|days|years|months|weeks|houses|groups|teachers|families|classes|schools|countries|types|kinds|animals|items)"
)


def _parts(text: str, match: re.Match) -> list[tuple[int, int]]:
    if match["frac"] or match["mixed"]:
        return [m.span() for m in NUMBER.finditer(text, match.start(), match.end())]
    return [match.span()]


def _line(text: str, at: int) -> tuple[int, int]:
    start = text.rfind("\n", 0, at) + 1
    end = text.find("\n", at)
    return start, len(text) if end < 0 else end


def _explain(reading: Reading, text: str, start: int, end: int, moving: dict[Fraction, list[Node]], known: dict) -> Node | None:
    """What a number in the solution's words is: a node, or None where that is not certain."""
    raw = text[start:end]
    try:
        value = number(raw) if raw[0].isdigit() or raw[0] == "." else _word_value(raw)
    except (ValueError, KeyError):
        return None
    _low, high = _line(text, start)
    following = min((s.end for s in reading.steps if s.end > start and s.end <= high), default=None)
    if following is not None:
        step = next(s for s in reading.steps if s.end == following)
        same = [known[(a, b)] for a, b, v in step.leaves if v == value and (a, b) in known]
        if same and all(n == same[0] for n in same) and raw[0] in "0123456789.":
            return same[0]
    sources = moving.get(value, [])
    company = re.match(r"\s([A-Za-z]+)", text[end:])
    if (
        sources
        and company
        and _COMPANY.fullmatch(company[1])
        and re.search(r"\b(?:the|these|those|all|them|of|between|among)\s$", text[:start], re.IGNORECASE)
        and not any(n[0] == "q" and reading.mentions[n[1]].unit == singular(company[1]) for n in sources)
    ):
        return None  # "the three friends" are counted by the text, whatever else is three
    if sources and all(n[0] == "s" for n in sources) and any(m.fixed and m.value == value for m in reading.mentions):
        return None  # a number of the question that stays, or a result that is equal to it
    percent = re.match(r"\s?(?:%|percent)", text[end:])
    if not sources and percent:
        for j, step in enumerate(reading.steps):
            if step.value * 100 == value:
                sources = [("*", ("c", Fraction(100)), ("s", j))]
        for i in used_mentions(reading):
            m = reading.mentions[i]
            if not sources and m.unit == "%" and 100 - m.value == value:
                sources = [("-", ("c", Fraction(100)), ("q", i))]
    earlier = [n for n in sources if n[0] != "s" or reading.steps[n[1]].end <= end]
    if raw[0] not in "0123456789." and (value <= 2 or len(earlier) == 0):
        # "the two of them", "one of each": words about the text, which does not vary
        return ("c", value) if not sources else None
    if len(earlier) == 1:
        return earlier[0]
    if not sources:
        fixed = {m.value for m in reading.mentions} - {reading.mentions[i].value for i in used_mentions(reading)}
        if value in fixed or value in constants_of(reading.question, reading.mentions):
            return ("c", value)
        return None
    later = [n for n in sources if n not in earlier]
    return later[0] if not earlier and len(later) == 1 else None
