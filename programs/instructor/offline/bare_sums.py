"""Writes a sample program for a bare sum: a question that holds one chain of whole numbers, added and subtracted ("12 - 40 + 7 =").

Such a question has no story that other numbers could contradict, so terms, signs and, away from level 3, the number of terms are drawn
anew; results below zero are as good as others. Not covered: products, parentheses and decimals (word_problems/ reads their worked
solutions), and what the misconception would answer.
"""

import re
from fractions import Fraction

from ...samples.calculations import final_answer
from . import phrasings
from .template import filled

_CHAIN = re.compile(r"(?<![\w.,+*/^()=-])(?<![+*/^(=-] )-?\d+(?:\s[-+]\s-?\d+)+(?!\s?[\w.,*/^%)]*\d|\s?[*/^%]|\s[-+])")
_ASKED = re.compile(r"(?i)\b(?:calculate|compute|evaluate|solve|work\sout|what(?:'s|\sis)|problem|expression|value|result)\b[^.?!]*$")


def write(question: str, reference: str, failure_id: str, skill: str, phrased: bool = False) -> str | None:
    """The program's source; None if the question is not a bare sum, or its sum is not the reference's answer. `phrased`: in other wordings
    too."""
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
    others = phrasings.sums(before, after) if phrased else []
    return filled(
        "bare_sum",
        **phrasings.fields("(BEFORE, AFTER)", others),
        asked="question.join(PHRASINGS[phrasing])" if others else "BEFORE + question + AFTER",
        skill=re.sub(r"[^\w ,:-]", "", skill),
        before=repr(before),
        after=repr(after),
        digits=sorted(len(str(abs(term))) for term in terms),
        count=len(terms),
        negative=min(terms) < 0,
        failure=repr(failure_id),
        terms=terms,
        signs=signs,
    )
