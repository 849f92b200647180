"""Decides whether a candidate's weights are kept: the same dev items before and after, paired.

The test and the interval are those of errata.programs.stats.
"""

from collections.abc import Mapping, Sequence

from ...signatures.records import Attempt, GateDecision
from ..config import GateSettings
from ..stats import paired


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
