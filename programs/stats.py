"""All statistics, over records and numbers; no input or output.

- Attempts at items: `counts` by outcome, `share` right with its Wilson interval (Wilson 1927), `by_skill`, `by_field`, and
  `answers` by gold answer.
- Two evaluations of the same items: `paired`, with the exact two-sided McNemar test and the adjusted Wald interval for paired proportions
  of Bonett and Price (2012), "Adjusted Wald confidence interval for a difference of binomial proportions based on paired data", J. Educ.
  Behav. Stat. 37(4). `pairs_needed` and `least_difference` plan one: Connor (1987), "Sample size for testing differences in proportions
  for the paired-sample design", Biometrics 43, with the continuity correction of Edwards (1948), which the exact test comes near.
- Several trainings: `t_interval` and `paired_t` over seeds (Student), `permutation` over the items of two arms, `sign_flips` over paired
  scores, and `holm` for several p-values (Holm 1979, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6).

NumPy and SciPy are loaded only by the functions that need them: commands which only read a run start quickly.
"""

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from math import ceil, exp, lgamma, log, sqrt
from typing import Any, Literal

from ..signatures.records import UNCLOSED, Attempt
from ..signatures.rows import grouped, mapped, where

CUT = ("length", "loop")
"""How an answer ends that was cut."""
Z = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""
POWER = 0.8416212335729143
"""Its 80 % quantile."""
EXACT = 5000
"""Most changed items whose McNemar test is summed in whole numbers; above, in logarithms."""
Outcome = Literal["no_answer", "unclosed", "cut", "looped", "unjudged"]
OUTCOMES: tuple[Outcome, ...] = ("no_answer", "unclosed", "cut", "looped", "unjudged")
"""What `counts` tells beside right and wrong."""
RARE = ("unclosed", "looped")
"""What it tells only where there is any."""
SWAPS = 19_999
"""Random swaps of `permutation`; its least p-value is one in SWAPS + 1."""
FLIPS = 9_999
"""Random flips of `sign_flips` where there are too many to try all."""


def counts(rows: Iterable[Attempt]) -> dict[str, int]:
    """Items by outcome. `no_answer`, `unclosed` (reasoning) and `cut` (at the token limit or in a loop) are parts of `wrong`, `looped` of
    `cut`; `unjudged` is not an outcome of the target."""
    ways = Counter(_way(row) for row in rows)
    wrong = {way: count for way, count in ways.items() if way[0] is False}
    unclosed = sum(count for (_, closed, _, _), count in wrong.items() if not closed)
    return {
        "items": ways.total(),
        "right": sum(count for way, count in ways.items() if way[0]),
        "wrong": sum(wrong.values()),
        "no_answer": sum(count for (_, _, read, _), count in wrong.items() if not read) - unclosed,
        **({"unclosed": unclosed} if unclosed else {}),
        "cut": sum(count for (_, _, _, finish), count in wrong.items() if finish in CUT),
        **({"looped": looped} if (looped := sum(count for (*_, finish), count in wrong.items() if finish == "loop")) else {}),
        "unjudged": sum(count for way, count in ways.items() if way[0] is None),
    }


def _way(row: Attempt) -> tuple[bool | None, bool, bool, str]:
    """Whether an attempt is right, its reasoning is closed, and something was read of it; and how it ended."""
    verdict = row.verdict
    return verdict.correct, verdict.reason != UNCLOSED, verdict.extracted is not None, row.finish


def share(rows: Iterable[Attempt]) -> dict[str, Any]:
    """Share right of the judged rows (None when none is), its Wilson 95 % interval, and `counts`, as one JSON-able dict."""
    count = counts(rows)
    judged = count["right"] + count["wrong"]
    low, high = wilson(count["right"], judged) if judged else (0.0, 1.0)
    return {"share": count["right"] / judged if judged else None, "low": low, "high": high} | count


def wilson(right: int, n: int) -> tuple[float, float]:
    """The Wilson 95 % interval of the share `right` of `n` (above 0)."""
    p = right / n
    denominator = 2 * (n + Z**2)
    center = (2 * n * p + Z**2) / denominator
    half = Z / denominator * sqrt(4 * n * p * (1 - p) + Z**2)
    return 0.0 if right == 0 else center - half, 1.0 if right == n else center + half


def judged(rows: Iterable[Attempt]) -> dict[str, Any] | None:
    """Of the attempts that language models judged: which models, how many `answers`, how many of these `twice`, and in how many of the
    latter both verdicts `agreed`. None where there are no such attempts."""
    told = [*{row.id: row.verdict for row in rows if row.verdict.judge}.values()]  # the same one may stand on both sides
    twice = [one for one in told if one.again is not None]
    found = {"by": sorted({one.judge for one in told}), "answers": len(told), "twice": len(twice)}
    return found | {"agreed": sum(one.again == one.correct for one in twice)} if told else None


def by_skill(rows: Sequence[Attempt]) -> dict[str, Sequence[Attempt]]:
    """Attempts by the skill of their example, skills in alphabetical order."""
    found = grouped(rows, lambda row: row.example.skill or "(all)")
    return dict(sorted(found.items(), key=lambda some: some[0].replace("(all)", "")))


def by_field(rows: Sequence[Attempt]) -> dict[str, Sequence[Attempt]]:
    """Attempts at answers with fields, once for each field, with that field's verdict; fields in the order of the answers. An item whose
    response could not be looked into has none right."""
    names = dict.fromkeys(name for row in rows for name in row.verdict.fields or ())

    def of(name: str, row: Attempt) -> Attempt:
        right = (row.verdict.fields or {name: False})[name] if row.verdict.correct is not None else None
        return row.model_copy(update={"verdict": row.verdict.model_copy(update={"correct": right})})

    some = {name: where(rows, lambda row, name=name: name in (row.verdict.fields or names)) for name in names}  # type: ignore[misc]
    return {name: mapped(found, partial(of, name)) for name, found in some.items()}


def answers(rows: Sequence[Attempt]) -> dict[tuple[str, str | None], int]:
    """(gold answer, read answer) -> how many of the judged attempts: the confusion matrix, in which None stands for what is unread. Options
    are told by their words. Empty where the items share no answers: where they are not labels, or choices among other options each."""
    shared = {frozenset(row.example.meta["choices"].values()) if row.example.kind == "choice" else row.example.kind for row in rows}
    if len(shared) != 1 or not (isinstance(one := shared.pop(), frozenset) or one == "label"):
        return {}

    def said(row: Attempt) -> tuple[str, str | None]:
        gold, read = row.example.answer, row.verdict.extracted
        if row.example.kind == "label":
            return gold, read
        words = row.example.meta["choices"]
        return words.get(gold, gold), words.get(read)

    return dict(Counter(said(row) for row in rows if row.verdict.correct is not None))


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


def paired(before: Sequence[Attempt], after: Sequence[Attempt], alone: bool = False) -> dict[str, Any]:
    """`paired_outcomes` of two evaluations of the same items. Where some can be compared, what is unjudged on one side `alone` counts as
    not right there, if asked: weights must not gain by answers that nobody can judge."""
    theirs = {row.example.id: row.verdict.correct for row in after}
    pairs = [(row.verdict.correct, theirs[row.example.id]) for row in before if row.example.id in theirs]
    if alone and any(None not in pair for pair in pairs):
        pairs = [pair if pair == (None, None) else (bool(pair[0]), bool(pair[1])) for pair in pairs]
    return paired_outcomes(pairs)


def paired_outcomes(pairs: Sequence[tuple[bool | None, bool | None]]) -> dict[str, Any]:
    """Compare the outcomes (before, after) of the same items, as shares and the 95 % interval of their difference. Pairs with an unjudged
    side (None) are left out and counted."""
    judged = [(old, new) for old, new in pairs if old is not None and new is not None]
    n = len(judged)
    fixed = sum(not old and bool(new) for old, new in judged)
    broken = sum(bool(old) and not new for old, new in judged)
    low, high = change_interval(n, fixed, broken)
    return {
        "pairs": n,
        "unjudged": len(pairs) - n,
        "before": sum(bool(old) for old, _ in judged) / n if n else 0.0,
        "after": sum(bool(new) for _, new in judged) / n if n else 0.0,
        "difference": (fixed - broken) / n if n else 0.0,
        "low": low,
        "high": high,
        "fixed": fixed,
        "broken": broken,
        "p_value": mcnemar(fixed, broken),
    }


def change_interval(n: float, fixed: float, broken: float, z: float = Z) -> tuple[float, float]:
    """The interval of the change (fixed - broken) / n in the share right of `n` items; `z` is the quantile of its level."""
    up, down = (fixed + 1) / (n + 2), (broken + 1) / (n + 2)
    half = z * ((up + down - (up - down) ** 2) / (n + 2)) ** 0.5
    return max(-1.0, up - down - half), min(1.0, up - down + half)


def items_needed(n: int, fixed: int, broken: int, margin: float, z: float = Z) -> int | None:
    """Of how many items, with the same shares fixed and broken, the interval of the change would not reach below -margin; None: of no
    number, as the change itself reaches there."""
    if (fixed - broken) / n <= -margin:
        return None
    short = lambda items: change_interval(items, fixed * items / n, broken * items / n, z)[0] < -margin  # noqa: E731
    few, many = 0, 1
    while short(many):
        few, many = many, 2 * many
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (middle, many) if short(middle) else (few, middle)
    return many


def pairs_needed(changed: float, difference: float) -> int | None:
    """Items in which McNemar's test at 0.05 finds a true `difference` of the shares right with 80 % power, where the share `changed` of the
    items is fixed or broken. None: no number, as there is no difference."""
    if not difference:
        return None
    gap = abs(difference)
    few = ((Z * sqrt(changed) + POWER * sqrt(max(0.0, changed - gap**2))) / gap) ** 2
    return ceil(few / 4 * (1 + sqrt(1 + 4 / (few * gap))) ** 2 - 1e-9)


def least_difference(n: int, changed: float) -> float | None:
    """The least true difference that `n` items show with 80 % power where the share `changed` of them changes, or more, as a difference
    takes that many. None: they are too few to show any."""
    shown = lambda gap: (pairs_needed(max(changed, gap), gap) or n + 1) <= n  # noqa: E731
    if not shown(1.0):
        return None
    low, high = 0.0, 1.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (low, middle) if shown(middle) else (middle, high)
    return high


def right_share(outcomes: Iterable[bool | None]) -> float | None:
    """Share right of the judged outcomes; None when none is judged."""
    judged = [right for right in outcomes if right is not None]
    return sum(judged) / len(judged) if judged else None


# ---- over seeds, items and scores


def t_interval(values: Sequence[float]) -> tuple[float, float | None, float | None]:
    """(mean, low, high): the 95 % interval of Student's t over seeds; low and high are None for a single seed."""
    from scipy.stats import t

    mean = statistics.mean(values)
    if len(values) < 2:
        return mean, None, None
    half = float(t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / len(values) ** 0.5
    return mean, mean - half, mean + half


def paired_t(mine: Sequence[float], theirs: Sequence[float]) -> float | None:
    """Two-sided p-value of the paired t test over seeds; None with one seed, or when all differences are equal."""
    from scipy.stats import ttest_rel

    differences = [a - b for a, b in zip(mine, theirs, strict=True)]
    if len(differences) < 2 or max(differences) - min(differences) < 1e-12:
        return None
    return float(ttest_rel(mine, theirs).pvalue)


def permutation(groups: Iterable[tuple[int, int, float]], seed: int = 0) -> float:
    """Two-sided p-value of the paired permutation test over items. A group is (items that only the arm solves, items that only the control
    solves, weight of an item); items that both or neither solve change nothing when they are swapped."""
    import numpy as np

    rng = np.random.default_rng(seed)
    seen, drawn = 0.0, np.zeros(SWAPS)
    for won, lost, weight in groups:
        seen += weight * (won - lost)
        drawn += weight * (2 * rng.binomial(won + lost, 0.5, SWAPS) - (won + lost))
    return float((1 + np.sum(np.abs(drawn) >= abs(seen) - 1e-12)) / (SWAPS + 1))


def sign_flips(differences: Sequence[float], seed: int) -> float:
    """Two-sided p-value of the mean of paired differences: how often random signs give a mean at least as far from 0."""
    import numpy as np
    from scipy.stats import permutation_test

    if not any(differences):
        return 1.0
    rng = np.random.default_rng(seed)
    drawn = permutation_test((np.array(differences),), np.mean, permutation_type="samples", n_resamples=FLIPS, rng=rng)
    return float(drawn.pvalue)


def holm(values: Sequence[float | None]) -> list[float | None]:
    """p-values corrected for their number, in the same order; None stays None and is not counted."""
    order = sorted((value, place) for place, value in enumerate(values) if value is not None)
    corrected: list[float | None] = [None] * len(values)
    least = 0.0
    for rank, (value, place) in enumerate(order):
        least = max(least, min(1.0, (len(order) - rank) * value))
        corrected[place] = least
    return corrected
