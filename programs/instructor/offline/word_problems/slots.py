"""What each number in the words of a solution is, so that a program can write it anew.

A line whose words hold a number that nothing explains is `bare`: a program keeps its computations only. Not covered: the words
themselves, which stay as they are.
"""

import itertools
import re
from fractions import Fraction

from ....samples.calculations import MARK, NUMBER, Node, Unreadable, number, singular
from .constants import constants_of
from .expressions import HUNDRED
from .mentions import ANY_NUMBER, value_of
from .resolve import Reading

Span = tuple[int, int]

_RELATIONS = {
    2: r"twice|doubl\w*|half|halv\w*|both", 3: r"tripl\w*|thrice|thirds?", 4: r"quadrupl\w*|quarters?|fourths?", 5: "fifths?",
    6: "sixths?", 7: "sevenths?", 8: "eighths?", 9: "ninths?", 10: "tenths?", 12: "dozens?",
}  # fmt: skip
"""Words that tell a number without naming it."""
_COMPANY = re.compile(
    r"(?:friends?|people|persons?|boys|girls|kids|children|men|women|brothers|sisters|siblings|students|players|teams|girlfriends|"
    r"workers|of|together|days|years|months|weeks|houses|groups|teachers|families|classes|schools|countries|types|kinds|animals|items)"
)


def explain(reading: Reading) -> None:
    """Explains every number in the solution's words, or marks its line as bare. Raises Unreadable."""
    text = reading.solution
    known = {(start, end): node for start, end, node in reading.slots}
    known |= {step.result: ("s", j) for j, step in enumerate(reading.steps) if step.result}
    marks = [mark.span() for mark in MARK.finditer(text)]
    _explain_marks(reading, known)
    used = reading.used
    moving: dict[Fraction, list[Node]] = {}
    for i in sorted(used):
        moving.setdefault(reading.mentions[i].value, [("q", i)])
    for j, step in enumerate(reading.steps):
        moving.setdefault(step.value, []).append(("s", j))
    for match in ANY_NUMBER.finditer(text):
        both = match["frac"] or match["mixed"]
        for start, end in [m.span() for m in NUMBER.finditer(text, *match.span())] if both else [match.span()]:
            if any(a <= start and end <= b for a, b in known) or _inside(start, marks):
                continue
            node = _meaning(reading, (start, end), moving, known)
            if node is None:
                reading.bare.append(_line(text, start))
            elif node[0] != "c":
                known[(start, end)] = node
    _refuse_equations_in_words(reading, known, marks)
    reading.bare += [_line(text, a) for (a, b), node in known.items() if node[0] != "c" and re.match(r"(?:st|nd|rd|th)\b", text[b:])]
    reading.bare += [_line(text, at) for at in _told_otherwise(reading, known, marks)]
    reading.slots = sorted((a, b, node) for (a, b), node in known.items())


def _explain_marks(reading: Reading, known: dict[Span, Node]) -> None:
    """The results inside of calculator marks."""
    text = reading.solution
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


def _told_otherwise(reading: Reading, known: dict[Span, Node], marks: list[Span]) -> list[int]:
    """Where the words tell a varying number in a way that would not vary with it: "the other 2/3", "a quarter" for 25 %."""
    text, mentions, found = reading.solution, reading.mentions, []
    tops = {(top.value, bottom.value) for top, bottom in itertools.pairwise(mentions) if top.unit == bottom.unit == "/"}
    slashed = {m.value for m in mentions if m.unit == "/"}
    for match in re.finditer(r"(\d+)\s?/\s?(\d+)", text):
        top, bottom = Fraction(match[1]), Fraction(match[2])
        stays = known.get(match.span(1), ("c",))[0] == "c"
        if bottom in slashed and (top, bottom) not in tops and stays and not _inside(match.start(), marks):
            found.append(match.start())
    used = [mentions[i] for i in reading.used]
    for worth, words in _RELATIONS.items():
        for match in re.finditer(rf"\b(?:{words})\b", text, re.IGNORECASE):
            told = re.search(rf"\b{match[0][:4]}", reading.question, re.IGNORECASE)
            as_part = any(m.style == "part" and m.value == worth for m in used)
            as_percent = any(m.unit == "%" and m.value == Fraction(100, worth) for m in used)
            if as_part or as_percent or (not told and any(m.value == worth for m in used)):
                # the question says "three times" and the solution "triple": only the first would vary
                found.append(match.start())
    return found


def _refuse_equations_in_words(reading: Reading, known: dict[Span, Node], marks: list[Span]) -> None:
    """Raises Unreadable where the words equate a varying number with one that no step computes ("1/2 a cup = 4 ounces")."""
    text = reading.solution
    for match in re.finditer(rf"=\s*\$?\s*({NUMBER.pattern})", text):
        if _inside(match.start(), marks) or known.get(match.span(1), ("c",))[0] == "s":
            continue
        if re.match(r"\s*[-+*/x×÷][-+*/x×÷\s\d$.,()%]*=\s*\$?<<", text[match.end() :]):
            continue  # "28/2 = <<28/2=14>>14": the computation once more
        low = max(text.rfind(sign, 0, match.start()) for sign in ("\n", ". ", "=")) + 1
        varies = any(not m.fixed and m.value == number(match[1]) for m in reading.mentions) and re.search(r"\d", text[low : match.start()])
        if varies or any(node[0] != "c" and low <= a and b <= match.start() for (a, b), node in known.items()):
            raise Unreadable(f"equation in the words: {' '.join(text[low : match.end()].split())}")


def _inside(at: int, spans: list[Span]) -> bool:
    return any(start <= at < end for start, end in spans)


def _line(text: str, at: int) -> tuple[int, int]:
    start = text.rfind("\n", 0, at) + 1
    end = text.find("\n", at)
    return start, len(text) if end < 0 else end


def _meaning(reading: Reading, span: Span, moving: dict[Fraction, list[Node]], known: dict[Span, Node]) -> Node | None:
    """What a number in the solution's words is; None if that is not certain."""
    text, (start, end) = reading.solution, span
    raw, digits = text[start:end], text[start] in "0123456789."
    try:
        value = value_of(raw)
    except (ValueError, KeyError):
        return None
    _low, high = _line(text, start)
    following = next((s for s in sorted(reading.steps, key=lambda s: s.end) if start < s.end <= high), None)
    same = {known[(a, b)] for a, b, v in following.leaves if v == value and (a, b) in known} if following else set()
    if len(same) == 1 and digits:
        return same.pop()
    sources = moving.get(value, [])
    # a number of the question that stays may be meant, and not the result that is equal to it
    stays = all(n[0] == "s" for n in sources) and any(m.fixed and m.value == value for m in reading.mentions)
    if sources and (stays or _counted_by_the_text(reading, span, sources)):
        return None
    if not sources and re.match(r"\s?(?:%|percent)", text[end:]):
        sources = _percents(reading, value)
    earlier = [n for n in sources if n[0] != "s" or reading.steps[n[1]].end <= end]
    if not digits and (value <= 2 or not earlier):
        # "the two of them", "one of each": words about the text, which does not vary
        return ("c", value) if not sources else None
    if len(earlier) == 1:
        return earlier[0]
    if not sources:
        fixed = {m.value for m in reading.mentions} - {reading.mentions[i].value for i in reading.used}
        return ("c", value) if value in fixed or value in constants_of(reading.question, reading.mentions) else None
    return sources[0] if not earlier and len(sources) == 1 else None


def _counted_by_the_text(reading: Reading, span: Span, sources: list[Node]) -> bool:
    """Whether "the three friends" are counted by the text, whatever else is three."""
    text, (start, end) = reading.solution, span
    company = re.match(r"\s([A-Za-z]+)", text[end:])
    if not company or not _COMPANY.fullmatch(company[1]):
        return False
    if not re.search(r"\b(?:the|these|those|all|them|of|between|among)\s$", text[:start], re.IGNORECASE):
        return False
    return not any(n[0] == "q" and reading.mentions[n[1]].unit == singular(company[1]) for n in sources)


def _percents(reading: Reading, value: Fraction) -> list[Node]:
    """What a percent in the words may be: a share that a step comes to, or the rest of a percent of the question."""
    shares = [j for j, step in enumerate(reading.steps) if step.value * 100 == value]
    if shares:
        return [("*", HUNDRED, ("s", shares[-1]))]
    rests = [i for i in reading.used if reading.mentions[i].unit == "%" and 100 - reading.mentions[i].value == value]
    return [("-", HUNDRED, ("q", rests[0]))] if rests else []
