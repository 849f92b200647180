"""All statistics, over records and numbers; no input or output.

- Attempts at items: `counts` by outcome, `share` right with its Wilson interval (Wilson 1927), `by_skill`.
- Two evaluations of the same items: `paired`, with the exact two-sided McNemar test and the adjusted Wald interval for paired proportions
  of Bonett and Price (2012), "Adjusted Wald confidence interval for a difference of binomial proportions based on paired data", J. Educ.
  Behav. Stat. 37(4).

Everything here needs the standard library alone, so that commands which only read a run start quickly.
"""

from collections.abc import Sequence
from math import exp, lgamma, log, sqrt
from typing import Any

from ..signatures.records import Attempt

Z = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""
EXACT = 5000
"""Most changed items whose McNemar test is summed in whole numbers; above, in logarithms."""


def counts(rows: Sequence[Attempt]) -> dict[str, int]:
    """Items by outcome. `no_answer` and `cut` (at the token limit) are parts of `wrong`; `unjudged` is not an outcome of the target."""
    judged = [row for row in rows if row.verdict.correct is not None]
    wrong = [row for row in judged if not row.verdict.correct]
    return {
        "items": len(rows),
        "right": len(judged) - len(wrong),
        "wrong": len(wrong),
        "no_answer": sum(row.verdict.extracted is None for row in wrong),
        "cut": sum(row.finish == "length" for row in wrong),
        "unjudged": len(rows) - len(judged),
    }


def accuracy(rows: Sequence[Attempt]) -> tuple[float, float, float]:
    """(share right, low, high) over the judged rows, with the Wilson 95 % interval; (nan, 0, 1) when none is judged."""
    count = counts(rows)
    judged = count["items"] - count["unjudged"]
    if not judged:
        return float("nan"), 0.0, 1.0
    return count["right"] / judged, *wilson(count["right"], judged)


def wilson(right: int, n: int) -> tuple[float, float]:
    """The Wilson 95 % interval of the share `right` of `n` (above 0)."""
    p = right / n
    denominator = 2 * (n + Z**2)
    center = (2 * n * p + Z**2) / denominator
    half = Z / denominator * sqrt(4 * n * p * (1 - p) + Z**2)
    return 0.0 if right == 0 else center - half, 1.0 if right == n else center + half


def share(rows: Sequence[Attempt]) -> dict[str, Any]:
    """`accuracy` and `counts` as one JSON-able dict; share is None when nothing is judged."""
    right, low, high = accuracy(rows)
    return {"share": None if right != right else right, "low": low, "high": high} | counts(rows)


def by_skill(rows: Sequence[Attempt]) -> dict[str, list[Attempt]]:
    """Attempts by the skill of their example, skills in alphabetical order."""
    groups: dict[str, list[Attempt]] = {}
    for row in sorted(rows, key=lambda row: row.example.skill):
        groups.setdefault(row.example.skill or "(all)", []).append(row)
    return groups


def mcnemar(fixed: int, broken: int) -> float:
    """The exact two-sided p-value of `fixed` against `broken` items: a fair coin gives a split at least as uneven."""
    n, few = fixed + broken, min(fixed, broken)
    if 2 * few == n:
        return 1.0
    if n <= EXACT:
        term = total = 1
        for place in range(few):
            term = term * (n - place) // (place + 1)
            total += term
        return 2 * total / 2**n
    chances = (exp(lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) - n * log(2)) for k in range(few, -1, -1))
    return min(1.0, 2 * sum(chances))


def paired(before: Sequence[Attempt], after: Sequence[Attempt]) -> dict[str, Any]:
    """Compare two evaluations of the same items. Pairs with an unjudged side are left out and counted.

    Returns pairs, unjudged, before, after, difference (shares), low, high (95 % interval of the difference), fixed, broken, p_value.
    """
    theirs = {row.example.id: row.verdict.correct for row in after}
    both = [(row.verdict.correct, theirs[row.example.id]) for row in before if row.example.id in theirs]
    judged = [(old, new) for old, new in both if old is not None and new is not None]
    n = len(judged)
    fixed = sum(not old and bool(new) for old, new in judged)
    broken = sum(bool(old) and not new for old, new in judged)
    up, down = (fixed + 1) / (n + 2), (broken + 1) / (n + 2)
    half = Z * ((up + down - (up - down) ** 2) / (n + 2)) ** 0.5
    return {
        "pairs": n,
        "unjudged": len(both) - n,
        "before": sum(bool(old) for old, _ in judged) / n if n else 0.0,
        "after": sum(bool(new) for _, new in judged) / n if n else 0.0,
        "difference": (fixed - broken) / n if n else 0.0,
        "low": max(-1.0, up - down - half),
        "high": min(1.0, up - down + half),
        "fixed": fixed,
        "broken": broken,
        "p_value": mcnemar(fixed, broken),
    }
