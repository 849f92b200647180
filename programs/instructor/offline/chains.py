"""Writes a sample program for a bare sum: a question that holds one chain of whole numbers, added and subtracted ("12 - 40 + 7 =").

Such a question has no story that other numbers could contradict, so terms, signs and, away from level 3, the number of terms are drawn
anew; results below zero are as good as others. Not covered: products, parentheses and decimals
(errata.programs.instructor.offline.writing reads
their worked solutions), and what the misconception would answer.
"""

import re
from fractions import Fraction

from ...samples.calculations import final_answer

_CHAIN = re.compile(r"(?<![\w.,+*/^()=-])(?<![+*/^(=-] )-?\d+(?:\s[-+]\s-?\d+)+(?!\s?[\w.,*/^%)]*\d|\s?[*/^%]|\s[-+])")
_ASKED = re.compile(r"(?i)\b(?:calculate|compute|evaluate|solve|work\sout|what(?:'s|\sis)|problem|expression|value|result)\b[^.?!]*$")

_PROGRAM = '''"""Practice for: {skill}. Terms and signs of one sum are drawn anew, and the sum is computed step by step."""

BEFORE = {before!r}
AFTER = {after!r}
DIGITS = {digits!r}  # of each term of the original
TERMS = {count}
NEGATIVE = {negative}  # whether terms may be below zero


def draw(rng, level):
    count = max(2, TERMS + {{1: -2, 2: rng.choice((-1, 0)), 5: 1}}.get(level, 0))
    terms = []
    for _ in range(count):
        digits = rng.choice(DIGITS)
        term = rng.randint(0 if digits == 1 else 10 ** (digits - 1), 10**digits - 1)
        terms.append(-term if NEGATIVE and rng.random() < 0.5 else term)
    return {{"terms": terms, "signs": [rng.choice("+-") for _ in terms[1:]]}}


def make(terms, signs):
    question, value, lines = str(terms[0]), terms[0], []
    for sign, term in zip(signs, terms[1:]):
        before, value = value, value + term if sign == "+" else value - term
        question += f" {{sign}} {{term}}"
        shown = f"({{term}})" if term < 0 else str(term)
        lines.append(f"{{before}} {{sign}} {{shown}} = <<{{before}}{{sign}}{{shown}}={{value}}>>{{value}}")
    return {{"question": BEFORE + question + AFTER, "solution": "\\n".join(lines), "answer": str(value)}}


ANCHORS = {{{failure!r}: {{"terms": {terms!r}, "signs": {signs!r}}}}}
'''


def write(question: str, reference: str, failure_id: str, skill: str) -> str | None:
    """The program's source; None when the question is not a bare sum, or its sum is not the reference's answer."""
    chains = list(_CHAIN.finditer(question))
    if len(chains) != 1:
        return None
    before, after = question[: chains[0].start()], question[chains[0].end() :]
    if re.search(r"\d", before + after) or not (_ASKED.search(before) or re.match(r"\s*=", after)):
        return None  # another number may say what to do with the sum; "the score was 5 - 3" asks for none
    first, *rest = re.split(r"\s([-+])\s", chains[0][0])
    terms, signs = [int(first), *map(int, rest[1::2])], rest[::2]
    value = terms[0] + sum(term if sign == "+" else -term for sign, term in zip(signs, terms[1:], strict=True))
    if final_answer(reference) != Fraction(value):
        return None
    return _PROGRAM.format(
        skill=re.sub(r"[^\w ,:-]", "", skill),
        before=before,
        after=after,
        digits=sorted(len(str(abs(term))) for term in terms),
        count=len(terms),
        negative=min(terms) < 0,
        failure=failure_id,
        terms=terms,
        signs=signs,
    )
