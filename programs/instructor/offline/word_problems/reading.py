"""Reads a word problem, and refuses a reference solution that seems to follow another question than its own.

Not covered: false arithmetic (resolve.py) and gaps that only the original numbers bridge (related.py).
"""

import re
from fractions import Fraction

from ....samples.calculations import Unreadable, singular
from .expressions import sides
from .kit import show
from .mentions import WORD, value_of
from .resolve import Reading, resolve
from .slots import explain


def read(question: str, reference: str, fractions: bool = False) -> Reading:
    """Question and reference solution as a chain; raises Unreadable with the reason. With `fractions`, the numbers of a fraction vary."""
    reading = resolve(question, reference, fractions)
    _refuse_doubtful(reading)
    explain(reading)
    return reading


_TIMES = {"twice": Fraction(2), "half": Fraction(1, 2), "double": Fraction(2), "triple": Fraction(3), "thrice": Fraction(3)}
_COMPARED = re.compile(
    rf"\b(?P<a>[A-Z][a-z]+|who)(?:'s|’s)?\s(?:\w+\s){{1,3}}?\$?(?P<k>\d+|{WORD}|twice|half|double|triple|thrice)\s(?P<how>[^.?!,;]{{0,40}}?)"
    r"\b(?:as|than)\s(?P<b>[A-Z][a-z]+)\b"
)
_COMPARED_KINDS = re.compile(
    rf"\b(?P<k>\d+|{WORD}|twice|half|thrice)\s(?P<how>(?:times\s)?as\s(?:many|much)\s)(?P<a>[a-z]+)\sas\s(?:there\sare\s)?(?P<b>[a-z]{{3,}}s)\b"
)
_COMPARED_MULTIPLE = re.compile(
    rf"\b(?P<a>[A-Z][a-z]+)(?:'s|’s)?\s(?:\w+\s){{1,3}}?\$?(?P<k>\d+|{WORD})\s(?:\w+\s){{0,2}}?(?P<how>less|fewer|more|younger|older)\s"
    rf"(?:\w+\s){{0,2}}?than\s(?:\w+\s){{0,2}}?(?:twice|half|thrice|double|(?:\d+|{WORD})\stimes)\b"
)
_MORE = re.compile(r"\b(?:more|older|taller|longer|heavier|higher|bigger|farther|further)\s")
_LESS = re.compile(r"\b(?:fewer|less|younger|shorter|lighter|lower|smaller)\s")
_RATIONED = re.compile(r"(?i)\b(?:twice|half|doubl\w+)\s(?:as\s(?:many|much)|the\s(?:amount|number|distance|price|cost|size|length))")
_REPEATED = re.compile(r"(?i)\b(?:each|both|same|returns?|returned|back|again|twice|double|apiece|every)\b(?!\smorning)")


def _refuse_doubtful(reading: Reading) -> None:
    """Raises Unreadable where the solution seems to follow another question: a comparison computed backwards, a number added to itself,
    or fewer doublings or percents than the question tells of."""
    question = reading.question
    for a, b, op, k in _relations(question):
        for who, away in ((a, True), (b, False)) if b else ((a, True),):
            for n in _given(reading, who):
                if not k or n == k:
                    continue
                results = {step.value for step in reading.steps if n in [v for *_, v in step.leaves]}
                up = {"*": n * k, "+": n + k, "-": n - k}[op]
                down = {"*": n / k, "+": n - k, "-": n + k}[op]
                right, wrong = (down, up) if away else (up, down)
                if wrong in results and right not in results:
                    raise Unreadable(f"a comparison is computed backwards: {a} and {b}")
    for i, m in enumerate(reading.mentions):
        if m.unit == "time" and len({side for node in reading.nodes for side in sides(node, ("q", i))}) > 1:
            raise Unreadable("a ratio both multiplies and divides")
    for step, node in zip(reading.steps, reading.nodes, strict=True):
        single = node[0] == "+" and node[1] == node[2] and node[1][0] == "q"
        if single and sum(m.value == step.value / 2 for m in reading.mentions) == 1 and not _REPEATED.search(question):
            raise Unreadable(f"a number is added to itself: {show(step.value / 2)}")
    used = set(reading.spoken)
    for v in {m.value for m in reading.mentions if m.unit == "%"}:
        share = v / 100
        as_fraction = share.denominator in used and (share.numerator == 1 or share.numerator in used)
        if not as_fraction and not used & {v, share, 100 - v, 1 - share, 100 + v, 1 + share, 1 / share if share else v}:
            raise Unreadable(f"a percent is not used: {show(v)}")
    told = len(_RATIONED.findall(question))
    worth = {Fraction(2), Fraction(1, 2), Fraction(50), Fraction(3), Fraction(3, 2)}
    if told > 1 and told > sum(v in worth for v in reading.spoken):
        raise Unreadable("fewer doublings than the question tells of")


def _relations(question: str) -> list[tuple[str, str, str, Fraction]]:
    """(a, b, operation, number) of each "a has k more than b"; b is empty where a is compared with a multiple of another."""
    found = []
    for match in (*_COMPARED.finditer(question), *_COMPARED_KINDS.finditer(question)):
        word, how, a = match["k"].lower(), match["how"], match["a"]
        if a == "who":
            names = re.findall(r"\b[A-Z][a-z]+\b", question[: match.start()])
            a = names[-1] if names else ""
        shares = re.search(r"%|percent|times", how)
        if word in _TIMES or re.match(r"times\s", how):
            found.append((a, match["b"], "*", _TIMES.get(word) or value_of(word)))
        elif not shares and (_MORE.search(how) or _LESS.search(how)):
            found.append((a, match["b"], "+" if _MORE.search(how) else "-", value_of(word)))
    for match in _COMPARED_MULTIPLE.finditer(question):
        found.append((match["a"], "", "+" if match["how"] in ("more", "older") else "-", value_of(match["k"].lower())))
    return found


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
