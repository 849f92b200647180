"""Constants that words of a question justify: "twice" is 2, "week" is 7, "%" is 100.

Not covered: which of several equal numbers a solution means (reading.py).
"""

import re
from fractions import Fraction

from .mentions import Mention

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
    (r"\b(?:dimes?|tenths?)\b", ["10", "0.1"]),
    (r"\bnickels?\b", ["5", "0.05"]),
    (r"\bpenn(?:y|ies)\b", ["0.01"]),
    (r"\bfifths?\b", ["5", "0.2"]),
    (r"\b(?:sixths?|half[- ](?:a[- ])?dozen|hexagon)\b|\binsects?|\bants?\b", ["6"]),
    (r"\b(?:eighths?|spiders?)\b", ["8"]),
    (r"\bninths?\b", ["9"]),
    (r"\btwentieths?\b", ["20"]),
    (r"\bhalf\b.*(?:%|percent)|(?:%|percent).*\bhalf\b", ["50"]),
    (r"\b(?:sevenths?|weeks?|weekly|daily|every day|each day|per day|a day|days?)\b", ["7"]),
    (r"\bweekdays?|workweek|work(?:ing)? days?|school days?|school week|monday|\bpentagon\b", ["5"]),
    (r"\b(?:weekends?|shoes?|socks?|feet|eyes|hands|rectang\w+|field|garden|fence)\b", ["2"]),
    (r"\b(?:year|annual|yearly|years)\b", ["12", "52", "365", "4"]),
    (r"\bmonth(?:s|ly)?\b", ["12", "30", "4"]),
    (r"\bleap\b", ["366"]),
    (r"\b(?:april|june|september|november)\b|\bhalf (?:an|hour)", ["30"]),
    (r"\bfebruary\b", ["28"]),
    (r"\b(?:january|march|may|july|august|october|december)\b", ["31"]),
    (r"\b(?:hours?|hourly|minutes?|mph|km/h|seconds?)\b", ["60"]),
    (r"\bhours?\b.*\bseconds?\b|\bseconds?\b.*\bhours?\b", ["3600"]),
    (r"\b(?:days?|daily)\b", ["24"]),
    (r"\bquarter (?:of an )?hour", ["15"]),
    (r"\b(?:dozens?|feet|foot|inch(?:es)?)\b", ["12"]),
    (r"\byards?\b", ["3", "36"]),
    (r"\b(?:pounds?|ounces?)\b", ["16"]),
    (r"\btons?\b", ["2000"]),
    (r"\bmiles?\b", ["5280"]),
    (r"\bgallons?\b", ["4", "16", "8", "128", "2"]),
    (r"\bquarts?\b", ["4", "2", "32"]),
    (r"\bpints?\b", ["2", "8", "16"]),
    (r"\bcups?\b", ["8", "16"]),
    (r"\b(?:kilo\w+|km|kg|ml|milli\w+|meters?|thousands?)\b", ["1000"]),
    (r"\b(?:cm|centimeters?|meters?|centur(?:y|ies)|hundreds?)\b", ["100"]),
    (r"%|\bpercent\w*|\bper cent", ["100", "1", "0.01"]),
    (r"\bcents?\b|¢", ["100", "0.01"]),
    (r"\bdecades?\b", ["10"]),
    (r"\bmillions?\b", ["1000000"]),
    (
        r"\b(?:cows?|dogs?|cats?|horses?|goats?|sheep|lions?|cars?|tables?|pigs?|elephants?|rabbits?|deer|kangaroos?)\b.*\b(?:legs?|wheels?|feet|paws?"
        r"|tires?)\b|\b(?:legs?|wheels?|feet|paws?|tires?)\b.*\b(?:cows?|dogs?|cats?|horses?|goats?|cars?|tables?|pigs?)\b",
        ["4"],
    ),
    (r"\b(?:chickens?|birds?|ducks?|bicycles?|bikes?|motorcycles?)\b.*\b(?:legs?|wheels?|feet|tires?)\b", ["2"]),
    (r"\b(?:tricycles?|triplets?)\b", ["3"]),
    (r"\b(?:square|rectang\w+)\b", ["4"]),
    (r"\bcubes?\b", ["6", "12", "8"]),
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
MULTIPLES = {
    Fraction(2): r"\b(?:twice|doubl\w+|half|halves|both|round[- ]?trip)\b",
    Fraction(3): r"\b(?:thrice|tripl\w+|thirds?)\b",
    Fraction(4): r"\b(?:quadrupl\w+|quarters?|fourths?)\b",
    Fraction(5): r"\b(?:weekdays?|workweek|nickels?|fifths?|monday\s(?:to|through|until)\sfriday)\b",
    Fraction(12): r"\bdozens?\b",
}
"""Words that multiply or divide by a number without naming it."""
RELATIONAL = {Fraction(v) for v in (2, 3, 4, 5, 6, 8, 9, 10)}  # what words like "twice" and "a third" stand for
LIMBS = re.compile(r"(?i)\b(?:legs?|wheels?|feet|paws?|tires?|sides?|eyes?|ears?|hands?|shoes?|socks?|gloves?|corners?|antennae)\b")


def _names(question: str) -> set[str]:
    """Words of a question that look like names of people."""
    common = "If|The|How|He|She|They|What|It|In|On|At|A|An|His|Her|For|There|Each|Then|When|After|All"
    return set(re.findall(rf"\b(?!(?:{common})\b)[A-Z][a-z]+", question))


def weak(value: Fraction, question: str) -> bool:
    """Whether a constant is so unlikely here that a number of the question which equals it is meant."""
    if value in (2, 3, 4, 6, 8) and LIMBS.search(question):
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
            found |= {Fraction(part) for part in re.findall(r"\d+", m.text)}
    if re.search(r"\b(?:average|mean|equally|evenly|share[sd]?|split|each|combined|they all|altogether|total)\b", question):
        found |= {Fraction(n) for n in range(2, min(len(_names(question)), 5) + 1)}
    return found


def told(value: Fraction, question: str, mentions: list[Mention]) -> int:
    """How often numbers and words of the question tell of a value."""
    words = sum(len(re.findall(pattern, question, re.IGNORECASE)) for pattern, values in _CONSTANTS if value in map(Fraction, values))
    fractions = sum(m.style == "fraction" and value in (m.value.numerator, m.value.denominator) for m in mentions)
    return words + fractions + sum(m.value == value for m in mentions)
