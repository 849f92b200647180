"""Which numbers of a question must stay as they are: names, dates, facts of the world, and what the rest of the text speaks of.

Each reason is one row of a table: what it is called, and the test of a number in its place. The first that holds is the reason.
Not covered: numbers that the steps of the solution tie together (related.py).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from ....samples.calculations import singular
from .mentions import Mention, numbers_in

_UNIT_PAIRS = re.compile(
    r"minute hour|second minute|hour day|day week|month year|week year|day year|day month|week month|inch foot|foot yard|ounce pound|"
    r"foot mile|cent dollar|cup gallon|quart gallon|ounce cup|cup quart|ounce gallon|pint gallon|gram kilogram|meter kilometer|"
    r"centimeter meter|ml liter|milliliter liter|pound ton|year decade|year century|ounce quart|ounce pint|teaspoon tablespoon|"
    r"tablespoon cup|cent quarter"
)
"""A unit, and a larger one that it is a part of."""
_FACTORS = {60, 24, 7, 12, 52, 365, 30, 31, 4, 3, 16, 100, 1000, 5280, 36, 2000, 8, 2, 10, 128, 32, 25, 366, 28}
_FACTORS_OF = {
    "minute hour": {60}, "second minute": {60}, "hour day": {24}, "day week": {7}, "month year": {12}, "week year": {52},
    "day year": {365, 366}, "day month": {28, 30, 31}, "week month": {4},
}  # fmt: skip
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
    r"(?i)\b(?:house|building|lot|lap|player|person|team|group|truck|train|movie|game|shop|store|station|gate|pool|tank|shelf|drawer|track|zone|"
    r"district|site|room|grade|level|chapter|route|highway|exit|section|phase|day|week|month|year|page|problem|"
    r"no\.|version|size|model|flight|bus|apartment|class|type|lane|street|round|unit|january|february|"
    r"march|april|may|june|july|august|september|october|november|december|under|age[sd]?|ages|between|"
    r"top|first|last|next|every|other|past|another|second|third|final|remaining|these|those|all|only|of the|"
    r"the|both|additional|extra|#)\s*#?$"
)
_SOFT_NAMES = re.compile(r"first|last|next|every|other|past|another|remaining|of the|the|additional|extra|only|under|all|final|between")
"""Words before a number that name nothing by themselves."""
_MEASURED = re.compile(
    r"-(?:hour|week|month|ounce|oz|pound|page|mile|gallon|foot|inch|liter|minute|item|question|piece|mg|ml|gram|acre|meter|kilometer|cm|"
    r"square|cup|quart|point|slice|year-old|dollar|kg|lb|km|pint|yard|word|seat|feet)"
)
_COMPANY = re.compile(
    r"person|friend|sister|brother|child|kid|son|daughter|cousin|sibling|student|girl|boy|man|woman|neighbor|classmate|roommate|employee"
)


@dataclass(frozen=True)
class _Place:
    """A number where it stands in its question."""

    text: str
    m: Mention

    def after(self, pattern: str | re.Pattern[str]) -> re.Match[str] | None:
        return re.match(pattern, self.text[self.m.end :])

    def before(self, pattern: str, flags: int = 0) -> re.Match[str] | None:
        return re.search(pattern + "$", self.text[: self.m.start], flags)

    @property
    def sentence(self) -> str:
        """The sentence that it stands in."""
        before = re.split(r"[.!?]\s", self.text[: self.m.start])[-1]
        return before + re.split(r"[.!?]\s", self.text[self.m.start :] + " ")[0]

    @property
    def name(self) -> str:
        """The word before it that a number may be the name of ("house 2"); empty for others."""
        named = _NAMED.search(self.text[: self.m.start]) if self.m.counts else None
        return named[0].strip().lower() if named else ""


def _year(p: _Place) -> bool:
    if p.m.unit == "$" or p.m.style != "digits" or not 1700 <= p.m.value <= 2100:
        return False
    dated = p.before(r"(?:\b(?:in|since|by|from|until|of|year|during|and|to|between|after|before)\s|,\s)", re.IGNORECASE)
    return bool(dated) or (p.m.value >= 1900 and not p.after(r"\s[a-z]+s\b"))


def _hour(p: _Place) -> bool:
    measured = r"\s?(?:%|percent|mile|mph|km|kilo|cent|word|page|foot|feet|meter|degree|dollar|a\b|per\b|each\b|bird|store|point)"
    return p.m.unit != "$" and bool(p.before(r"\bat\s")) and not p.after(measured)


def _range(p: _Place) -> bool:
    first = p.before(r"\bfrom\s") and p.after(r"\s(?:to|until|till)\s\d")
    return p.m.counts and p.m.value <= 12 and bool(first or p.before(r"\bfrom\s\d+\s(?:to|until|till)\s"))


def _converts(p: _Place) -> bool:
    into = p.after(r"\s*(\w+)\s+(?:in|per|to|makes?|make up|equals?)\s+(?:(?:a|an|one|every|each|1)\s+)?(\w+)")
    pair = f"{singular(into[1])} {singular(into[2])}" if into else ""
    if _UNIT_PAIRS.fullmatch(pair) and p.m.value in _FACTORS_OF.get(pair, _FACTORS):
        return True
    back = p.before(r"(?:\b1|\bone|\bA|\ba|\bper|\bEach|\beach)\s+(\w+)\s+(?:is|has|=|equals|contains|weighs)\s+(?:equal to\s+)?")
    return bool(back and _UNIT_PAIRS.fullmatch(f"{p.m.unit} {singular(back[1])}"))


def _rule_of_a_game(p: _Place) -> bool:
    unit, around = p.m.unit, p.text[max(0, p.m.start - 60) : p.m.end + 60]
    if unit == "point" and p.m.value <= 3 and (re.search(r"basketball", p.text) or p.after(r"[-\s]points?\s(?:goal|shot|basket|throw)")):
        return True
    if unit in ("game", "match", "team", "round") and re.search(r"\btournament\b", p.text):
        return True
    if p.after(r"[-\s]minute[-\s](?:soccer|football|basketball|hockey|rugby)"):
        return True
    return unit in ("point", "") and bool(re.search(r"touchdown|field goal|free throw|pointer|three-point|two-point", around))


def _list_follows(p: _Place) -> bool:
    listed = _listed(re.split(r"[.!?]\s", p.text[p.m.end :])[0])
    spelled = p.m.style == "word" and p.after(r"\s+\w+(?:\s\w+)?\s*[,:]\s(?:\w+\s)?[A-Z]\w+(?:,|\sand\s)")
    return bool((2 <= p.m.value <= 8 and p.m.counts and p.m.value in listed) or spelled)


def _people_follow(p: _Place) -> bool:
    if not _COMPANY.fullmatch(p.m.unit) or p.m.value > 6 or not p.after(r"\s+\w+\s*(?:,|:|named|called|\()"):
        return False
    return bool(re.search(r"[A-Z]\w+,? and [A-Z]\w+|[a-z] and [a-z]", p.text[p.m.end :][:90]))


_REASONS: tuple[tuple[str, Callable[[_Place], object]], ...] = (
    ("a fraction", lambda p: p.m.style == "fraction"),
    ("zero or one", lambda p: p.m.value in (0, 1)),
    (
        "part of a larger number",
        lambda p: p.after(r"\s*[-\s](?:million|billion|thousand|hundred|dozen and a half)|\s+and\s+(?:a|one)[-\s](?:half|third|quarter)"),
    ),
    ("an ordinal", lambda p: p.after(r"(?:st|nd|rd|th)\b")),
    ("part of a compound", lambda p: p.after(r"\s?-\s?[A-Za-z]") and not (p.m.style in ("digits", "decimal") and p.after(_MEASURED))),
    ("", lambda p: re.search(r"\bratio", p.text) and (p.after(r":\d") or p.before(r"\d:")) and not p.after(r":\d+:")),
    (
        "part of a name, a ratio or a range",
        lambda p: p.before(r"[A-Za-z_:/#-]") or p.after(r"[:/]\s?\d|[A-Z]|-\d") or p.before(r"\d\s?[:–-]\s?"),
    ),
    ("a time of day", lambda p: p.after(r"\s?(?:a\.?m\b|p\.?m\b|o'?clock|A\.?M\b|P\.?M\b|noon|:\d)")),
    ("a year", _year),
    ("a time of day", _hour),
    ("after an article", lambda p: p.before(r"\b[Aa]n\s\$?")),
    ("part of a name, a ratio or a range", _range),
    (
        "the days of a working week",
        lambda p: p.m.value == 5 and p.m.unit == "day" and re.search(r"\bweek(?:end|day)s?\b|\bschool\b|Saturday|Sunday", p.text),
    ),
    ("a name", lambda p: p.name and not _SOFT_NAMES.fullmatch(p.name)),
    ("a name", lambda p: p.m.style == "word" and p.name in ("of the", "the", "other", "all", "remaining", "only")),
    ("refers to things named before", lambda p: p.m.value <= 6 and p.name in ("other", "the", "of the", "all", "remaining")),
    ("a fact about the thing", lambda p: p.m.counts and _FACTS.fullmatch(p.m.unit)),
    ("a fact about the world", lambda p: p.m.counts and _WORLD.search(p.sentence)),
    ("a fact about the world", lambda p: p.m.unit in ("mile", "kilometer", "km") and _PLACES.search(p.sentence)),
    ("a conversion", lambda p: p.m.value in (4, 52) and p.after(r"\sweeks?\b") and re.search(r"\bmonth|\byear", p.text)),
    ("the worth of things that are counted elsewhere", lambda p: p.m.unit == "$" and p.after(r"(?:\sdollars)?['’]?\sworth\sof\b")),
    ("a denomination", lambda p: p.m.unit == "$" and p.after(r"(?:\s|-)(?:bill|note|coin)s?\b")),
    (
        "a fact told for the question",
        lambda p: re.match(
            r"\s*(?:Remember|Note|Recall|Hint|Assume|remember|note|Use)\b", re.split(r"[.!?)]\s|\(", p.text[: p.m.start])[-1]
        ),
    ),
    (
        "refers to things named before",
        lambda p: p.m.style == "word" and p.m.value <= 4 and p.after(r"\s+of\s+(?:them|these|those|whom|us|which)\b"),
    ),
    ("a conversion", _converts),
    ("a rule of a game", _rule_of_a_game),
    ("the hours of a working day or week", lambda p: p.m.unit == "hour" and p.m.value in (8, 40) and re.search(r"\bovertime\b", p.text)),
    ("an offer", lambda p: p.before(r"\b(?:buy|get|Buy|Get)\s(?:\w+\s)?") and re.search(r"\bfree\b", p.text[p.m.end :][:60])),
    ("a list follows", _list_follows),
    ("a list may follow", _people_follow),
)
"""Why a number must stay, in the order in which it is asked; the ratio "3:2" may vary."""


def mentions_of(text: str, fractions: bool = False) -> list[Mention]:
    """The numbers of a question in order, each with its unit and the reason that keeps it fixed, if any. With `fractions`, a fraction
    counts as two numbers that may vary."""
    found = numbers_in(text, fractions)
    for i, m in enumerate(found):
        if not m.fixed and m.unit != "/":
            found[i] = replace(m, fixed=next((reason for reason, holds in _REASONS if holds(_Place(text, m))), ""))
    return [replace(m, fixed=_kept_by_company(text, m, found)) for m in found]


_PERSONS = re.compile(r"\b[A-Z][a-z]+(?:,\s[A-Z][a-z]+)+,?\sand\s[A-Z][a-z]+\b")
_ORDINALS = "first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth"
_ENUMERATED = re.compile(
    r"kind|type|part|sort|group|child|sibling|friend|brother|sister|son|daughter|person|of|kid|different|way|section|stage|phase|cousin|"
    r"people|separate|and|who"
)


def _listed(text: str) -> set[int]:
    """How many things the lists of a text name: 3 for "groups: purple, yellow, and green"."""
    text = re.sub(r"^\s*[A-Za-z]+\s*[,:]", "", text)
    lists = re.findall(r"\b[A-Za-z]+(?:,\s(?:[A-Za-z]+\s){0,2}[A-Za-z]+)+,?\sand\s[A-Za-z]+", text)
    return {len(re.findall(r",\s(?!and\b)", found)) + 2 for found in lists}


def _ranks(text: str) -> set[int]:
    """The ordinals of a text."""
    words = re.findall(rf"\b({_ORDINALS})\b(?!\s(?:of|as|the|that))", text, re.IGNORECASE)
    ranks = {_ORDINALS.split("|").index(word.lower()) + 1 for word in words}
    return ranks | {int(n) for n in re.findall(r"\b(\d+)(?:st|nd|rd|th)\b", text)}


def _enumerates(text: str, m: Mention) -> bool:
    """Whether the text goes through the things that a number counts: "the first", "the other"."""
    if not re.search(rf"\b(?:{_ORDINALS}|the other|another one|1st|2nd)\b", text, re.IGNORECASE):
        return False
    ranked = rf"\b(?:{_ORDINALS}|last|other|another|final)\s(?:\w+\s)?{m.unit[:4]}"
    return bool(_ENUMERATED.fullmatch(m.unit) or (m.unit.isalpha() and re.search(ranked, text, re.IGNORECASE)))


def _kept_by_company(text: str, m: Mention, found: list[Mention]) -> str:
    """Why a number stays, its own reason first, then that the rest of the question speaks for it."""
    if m.fixed:
        return m.fixed
    if m.value <= 6 and m.style != "decimal" and _enumerates(text, m):
        return "things are enumerated"
    counted = m.counts and m.style != "decimal"
    ranks = _ranks(text)
    if counted and m.value > 2 and ranks & {m.value, m.value + 1} and max(ranks) > 2:
        return "an ordinal counts up to it"
    if counted and m.value in {len(re.split(r",\s(?:and\s)?|\sand\s", found)) for found in _PERSONS.findall(text)}:
        return "a list of names"
    if m.value == 2 and m.counts and re.search(r"\b(?:both|neither|either)\b", text, re.IGNORECASE):
        return "the text speaks of both"
    return "another number is equal to it" if any(other.value == m.value and other.fixed for other in found) else ""
