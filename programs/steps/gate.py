"""Decides whether a candidate's weights are kept: the same dev items before and after, paired.

The test is the exact two-sided McNemar test (a binomial test on the items that changed). The interval of the difference is the
adjusted Wald interval for paired proportions of Bonett and Price (2012), "Adjusted Wald confidence interval for a difference of
binomial proportions based on paired data", J. Educ. Behav. Stat. 37(4).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from scipy.stats import binomtest, norm

from ...signatures.records import Attempt, GateDecision
from ..config import GateSettings


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
    half = float(norm.ppf(0.975)) * ((up + down - (up - down) ** 2) / (n + 2)) ** 0.5
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
        "p_value": float(binomtest(fixed, fixed + broken).pvalue) if fixed + broken else 1.0,
    }


def decide(
    task: str,
    before: Sequence[Attempt],
    after: Sequence[Attempt],
    guards: Mapping[str, tuple[Sequence[Attempt], Sequence[Attempt]]],
    settings: GateSettings,
) -> GateDecision:
    """Keep the candidate when it gains on dev beyond chance and no guard falls by more than the margin; or always, where the settings
    say so, with what the gate found."""
    main = paired(before, after)
    sides = [{"task": name, **paired(old, new)} for name, (old, new) in guards.items()]
    fallen = [side for side in sides if side["difference"] < -settings.margin]
    unknown = [side for side in sides if not side["pairs"]]
    if not main["pairs"]:
        reason = "no dev item was judged both before and after"
    elif main["difference"] <= 0:
        reason = f"no gain on dev: {main['fixed']} fixed, {main['broken']} broken"
    elif main["p_value"] > settings.alpha:
        reason = f"the gain on dev may be chance: p = {main['p_value']:.3g} > {settings.alpha:g}"
    elif unknown:
        reason = f"guard {unknown[0]['task']} has no item that was judged both before and after"
    elif fallen:
        side = fallen[0]
        reason = f"guard {side['task']} fell by {-100 * side['difference']:.1f} points, more than {100 * settings.margin:g}"
    else:
        reason = f"gain on dev, p = {main['p_value']:.2g}" + ("; no guard fell beyond the margin" if sides else "")
    better = bool(main["pairs"]) and main["difference"] > 0 and main["p_value"] <= settings.alpha and not fallen and not unknown
    unproven = settings.keep == "always" and not better
    reason = f"kept as gate.keep says, though: {reason}" if unproven else reason
    return GateDecision(accepted=better or unproven, unproven=unproven, reason=reason, task=task, guards=tuple(sides), **main)
