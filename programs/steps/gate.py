"""Gate: decides whether new weights are kept, by the same dev items before and after, paired (errata.programs.stats).

After a training in stages it chooses among what stands after each: of those that pass, the one that gains most on dev. Every p-value is
multiplied by their number, for the choice (Bonferroni).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ...signatures.records import Attempt, GateDecision
from ...tasks import parts
from ..config import GateSettings
from ..run import layout
from ..stats import paired
from .probe import probe_after
from .session import Session


def gate(run: Session, number: int) -> None:
    """Compare each candidate with the weights that the round started from, on dev and on each guard's dev, and write the decision."""
    stage = run.stage(number, "gate")
    if stage.done:
        return
    places = layout.trainings(run.path, number)
    if run.config.gate.keep == "last":
        places = places[-1:]
    if not places:
        reason = f"nothing to train on: {run.stage(number, 'assemble').facts()['shortfall']}"
        decision = decide(run.task.name, [], [], {}, GateSettings()).model_copy(update={"reason": reason})
    else:
        decision = chosen([_decided(run, number, place, len(places)) for place in places], run.config.train.stages)
        probe_after(run, number, decision.stage)
    stage.finish({layout.DECISION: [decision]}, accepted=decision.accepted)
    run.say(f"round {number}: {'accepted' if decision.accepted else 'rejected'}: {decision.reason}")
    figures = _figures(run, number, decision)
    run.progress.fact("round", number=number, **figures)
    run.tracker.log(number, {name: float(value) for name, value in figures.items() if isinstance(value, int | float)})


def _decided(run: Session, number: int, place: int, choices: int) -> GateDecision:
    """What the gate would say of the weights after one stage."""
    old, new = run.base(number), run.candidate(number, place)
    before, after = ([row for task in parts(run.task) for row in run.scores(task, "dev", one)] for one in (old, new))
    pairs = {guard.name: (run.scores(guard, "dev", old), run.scores(guard, "dev", new)) for guard in run.guards}
    more = {"stage": place} | ({"benchmarks": tuple(task.name for task in parts(run.task))} if len(parts(run.task)) > 1 else {})
    return decide(run.task.name, before, after, pairs, run.config.gate, choices).model_copy(update=more)


def chosen(decisions: Sequence[GateDecision], stages: Sequence[str]) -> GateDecision:
    """Of those that the gate passes, else of all, the one that gains most, the earlier of equals. `stages` are their names."""
    if len(decisions) == 1:
        return decisions[0]
    rank = lambda one: (one.accepted and not one.unproven, one.difference, -one.stage)  # noqa: E731
    names = ("stage", "accepted", "reason", "difference", "p_value")
    others = tuple({name: getattr(one, name) for name in names} for one in decisions)
    best = max(decisions, key=rank)
    return best.model_copy(update={"considered": others, "reason": f"after {' and '.join(stages[: best.stage + 1])}: {best.reason}"})


def decide(
    task: str,
    before: Sequence[Attempt],
    after: Sequence[Attempt],
    guards: Mapping[str, tuple[Sequence[Attempt], Sequence[Attempt]]],
    settings: GateSettings,
    choices: int = 1,
) -> GateDecision:
    """Keep the candidate, one of `choices`, when it gains on dev beyond chance and no guard falls by more than the margin; or always, where
    the settings say so, with what the gate found."""
    main = paired(before, after)
    main["p_value"] = min(1.0, choices * main["p_value"])
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
        reason = f"guard {fallen[0]['task']} fell by {-100 * fallen[0]['difference']:.1f} points, more than {100 * settings.margin:g}"
    else:
        reason = f"gain on dev, p = {main['p_value']:.2g}" + ("; no guard fell beyond the margin" if sides else "")
    better = bool(main["pairs"]) and main["difference"] > 0 and main["p_value"] <= settings.alpha and not fallen and not unknown
    unproven = settings.keep != "better" and not better
    reason = f"kept as gate.keep says, though: {reason}" if unproven else reason
    return GateDecision(accepted=better or unproven, unproven=unproven, reason=reason, task=task, guards=tuple(sides), **main)


def _figures(run: Session, number: int, decision: GateDecision) -> dict[str, Any]:
    """What programs and trackers are told of a round that was decided here: dev and guards (shares), rows, cost so far."""
    teach, rows = (run.stage(number, name).facts() for name in ("teach", "assemble"))
    spent = run.ledger.document()["total"]
    names = ("accepted", "before", "after", "low", "high", "fixed", "broken", "p_value")
    figures = {name: getattr(decision, name) for name in names}
    for guard in decision.guards:
        figures |= {f"{guard['task']}_{side}": guard[side] for side in ("before", "after")}
    figures |= {"failures": teach["failures"], "programs": teach["programs"], "rows": rows["samples"], "replayed": rows["replay"]}
    return figures | {"calls": spent["calls"], "tokens": spent["tokens_in"] + spent["tokens_out"], "usd": spent["usd"]}
