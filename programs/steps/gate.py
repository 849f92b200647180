"""Gate: decides whether new weights are kept, by the same dev items before and after, paired (errata.programs.stats).

After a training in stages it chooses among what stands after each: of those that pass, the one that gains most on dev. Every p-value is
multiplied by their number, and intervals are as much wider, for the choice (Bonferroni). Where a guard alone turns down what gains most,
weights on the way back to those that the round began with stand beside them.
Beside that it measures how far the weights went from those that the run began with, on what these answered; that decides nothing.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from math import isfinite
from statistics import NormalDist
from typing import Any

from ...signatures.errors import TargetError, TrainerError
from ...signatures.records import Attempt, Forgetting, GateDecision
from ...signatures.rows import where
from ...tasks import Task, parts
from ...trainers.settings import TargetSettings
from ...trainers.sft import go_back
from ...trainers.weights import weights_hash
from ..config import GateSettings
from ..run import layout
from ..stats import change_interval, items_needed, judged, paired
from .probe import probe_after
from .session import Session


def gate(run: Session, number: int) -> None:
    """Compare each candidate with the weights that the round started from, on dev and on each guard's dev, and write the decision."""
    stage = run.stage(number, "gate")
    if stage.done:
        return
    places = layout.stages(run.path, number)
    if run.config.gate.keep == "last":
        places = places[-1:]
    if not places:
        why = [run.stage(number, "assemble").facts()["shortfall"], *(stage.facts()["reason"] for stage in layout.paired(run.path, number))]
        reason = f"nothing to train on: {'; '.join(filter(None, why))}"
        decision = decide(run.task.name, [], [], {}, GateSettings()).model_copy(update={"reason": reason})
    else:
        decision = among(run, number, places)
        probe_after(run, number, decision.stage)
    stage.finish({layout.DECISION: [decision]}, accepted=decision.accepted)
    run.say(f"round {number}: {'accepted' if decision.accepted else 'rejected'}: {decision.reason}")
    if decision.forgetting:
        run.say(f"round {number}: KL to the first weights, nats per token: {_told(decision.forgetting)}")
    figures = _figures(run, number, decision)
    run.progress.fact("round", number=number, **figures)
    run.tracker.log(number, {name: float(value) for name, value in figures.items() if isinstance(value, int | float)})


def among(run: Session, number: int, places: Sequence[int]) -> GateDecision:
    """The decision on what stands after the stages at `places`, and on a way back from there, which ends where it cannot be gone. On it,
    each is tested only where the one before it gained beyond chance, which needs no further correction of the gain (tests in a fixed
    order: Westfall and Krishen 2001, "Optimally weighted, fixed sequence and gatekeeper multiple testing procedures")."""
    decisions = [_decided(run, number, place, len(places)) for place in places]
    last = most = max(decisions, key=lambda one: one.difference)
    for place, share in enumerate(run.config.gate.way_back, len(places)):
        if last.accepted or _refusal(last.model_dump(), (), run.config.gate, 1) or not all(side["pairs"] for side in last.guards):
            break
        run.say(f"round {number}: {last.reason}: {share:g} of the way is looked at")
        run.ledger.check_time()
        run.close_target()  # its memory is the child's
        try:
            with run.progress.busy(f"round {number}: go back"):
                out = layout.training(run.path, number, place)
                go_back(run.candidate(number, most.stage), run.base(number), share, out, run.in_process)
        except TargetError as error:  # what was trained is not lost for that
            run.say(f"round {number}: no way back: {error}")
            break
        except TrainerError as error:
            raise TrainerError(f"{error}; with --set gate.back=[] the round is decided without a way back") from None
        decisions.append(last := _decided(run, number, place, len(places)))
    names = layout.stage_names(run.path, number, run.config.train.order)
    after = [f"after {' and '.join(names[: at + 1])}" for at in range(len(places))]
    return chosen(decisions, [*after, *(f"at {name}" for name in names[len(places) :])])


def _decided(run: Session, number: int, place: int, choices: int) -> GateDecision:
    """What the gate would say of the weights after one stage."""
    old, new = run.base(number), run.candidate(number, place)
    before, after = (_dev(run, one) for one in (old, new))
    pairs = {guard.name: (run.scores(guard, "dev", old), run.scores(guard, "dev", new)) for guard in run.guards}
    more: dict[str, Any] = {"stage": place, "forgetting": forgotten(run, number, place)}
    more |= {"benchmarks": tuple(task.name for task in parts(run.task))} if len(parts(run.task)) > 1 else {}
    decision = decide(run.task.name, before, after, pairs, run.config.gate, choices).model_copy(update=more)
    return marked(decision, chain(before, after))


def _dev(run: Session, target: TargetSettings) -> Sequence[Attempt]:
    """The target's attempts at dev; of a lone task they are read as they are asked for."""
    found = [run.scores(task, "dev", target) for task in parts(run.task)]
    return found[0] if len(found) == 1 else [row for rows in found for row in rows]


def marked(decision: GateDecision, rows: Iterable[Attempt]) -> GateDecision:
    """The decision, told as what it is where a language model judged the attempts that it rests on."""
    if not (lm := judged(rows)):
        return decision
    alike = f", alike in {lm['agreed']} of {lm['twice']} answers that it judged twice" if lm["twice"] else ""
    return decision.model_copy(update={"judged": lm, "reason": f"{decision.reason}; judged by {', '.join(lm['by'])}{alike}"})


def chosen(decisions: Sequence[GateDecision], stand: Sequence[str]) -> GateDecision:
    """Of those that the gate passes, else of all, the one that gains most, the earlier of equals. `stand` says where each stands."""
    if len(decisions) == 1:
        return decisions[0]
    rank = lambda one: (one.accepted and not one.unproven, one.difference, -one.stage)  # noqa: E731
    names = {"stage", "accepted", "reason", "difference", "p_value", "forgetting"}
    others = tuple({"stage": one.stage} | one.model_dump(mode="json", include=names) for one in decisions)
    best = max(decisions, key=rank)
    return best.model_copy(update={"considered": others, "reason": f"{stand[best.stage]}: {best.reason}"})


def decide(
    task: str,
    before: Sequence[Attempt],
    after: Sequence[Attempt],
    guards: Mapping[str, tuple[Sequence[Attempt], Sequence[Attempt]]],
    settings: GateSettings,
    choices: int = 1,
) -> GateDecision:
    """Keep the candidate, one of `choices`, when it gains on dev beyond chance and no guard falls by more than the margin (of the rule
    `not_worse`: no interval reaches below it); or always, where the settings say so, with what the gate found."""
    main = paired(before, after, alone=True)
    main["p_value"] = min(1.0, choices * main["p_value"])
    sides = [{"task": name, **paired(old, new, alone=True)} for name, (old, new) in guards.items()]
    refusal = _refusal(main, sides, settings, choices)
    kept = "no guard fell beyond the margin" if sides else ""
    if settings.rule == "not_worse":
        kept = f"no interval reaches below {-100 * settings.margin:g} points"
    reason = refusal or f"gain on dev, p = {main['p_value']:.2g}" + (f"; {kept}" if kept else "")
    unproven = settings.keep != "better" and bool(refusal)
    reason = f"kept as gate.keep says, though: {reason}" if unproven else reason
    return GateDecision(accepted=unproven or not refusal, unproven=unproven, reason=reason, task=task, guards=tuple(sides), **main)


def _refusal(main: Mapping[str, Any], sides: Sequence[Mapping[str, Any]], settings: GateSettings, choices: int) -> str:
    """Why the candidate is not kept; empty where it is."""
    if not main["pairs"]:
        return "no dev item was judged both before and after"
    if main["difference"] <= 0:
        return f"no gain on dev: {main['fixed']} fixed, {main['broken']} broken"
    if main["p_value"] > settings.alpha:
        return f"the gain on dev may be chance: p = {main['p_value']:.3g} > {settings.alpha:g}"
    if unknown := [side for side in sides if not side["pairs"]]:
        return f"guard {unknown[0]['task']} has no item that was judged both before and after"
    if fallen := [side for side in sides if side["difference"] < -settings.margin]:
        return f"guard {fallen[0]['task']} fell by {-100 * fallen[0]['difference']:.1f} points, more than {100 * settings.margin:g}"
    if settings.rule == "not_worse":
        named = [("dev", main), *((f"guard {side['task']}", side) for side in sides)]
        return next((reason for name, side in named if (reason := _perhaps_worse(name, side, settings.margin, choices))), "")
    return ""


def _perhaps_worse(name: str, side: Mapping[str, Any], margin: float, choices: int) -> str:
    """What the interval of a benchmark's change leaves open, and how many items would close it; empty where it stays above -margin. The
    average over several benchmarks does too where each of them does."""
    outside = 0.05 / choices
    z = NormalDist().inv_cdf(1 - outside / 2)
    found = side["pairs"], side["fixed"], side["broken"]
    low, high = change_interval(*found, z)
    if low >= -margin:
        return ""
    needed = items_needed(*found, margin, z)
    act = "no number of items changes that" if needed is None else f"with such shares about {needed:,} items would do: raise items.dev"
    told = f"{name} may be worse: {side['fixed']} fixed and {side['broken']} broken of {side['pairs']:,} items leave an interval"
    return f"{told} ({100 * (1 - outside):.3g} %) of {100 * low:+.1f} to {100 * high:+.1f} points, below {-100 * margin:g}; {act}"


def forgotten(run: Session, number: int, place: int) -> tuple[Forgetting, ...]:
    """How far the weights after one stage went from those that the run began with, on answers of the latter: right ones to train items of
    the first round, as those that are replayed, and those to the dev items of each guard."""
    most, first = run.config.gate.forgetting, run.config.target
    if not most:
        return ()
    solved = where(layout.attempts(run.path, 1), lambda row: bool(row.verdict.correct) and row.example.split == "train")
    answers: dict[str, tuple[Task, Sequence[Attempt]]] = {"replay": (run.task, solved)}
    answers |= {guard.name: (guard, run.scores(guard, "dev", first)) for guard in run.guards}
    if first.api_base:
        return tuple(Forgetting(on=name, reason="not measured: the server gives no distributions") for name in answers)
    from ...trainers.forgetting import Said, moved  # with torch

    asked: list[list[Said]] = []
    given = weights_hash(first)
    for name, (task, rows) in answers.items():
        own = where(rows, lambda row: row.target == given)
        drawn = random.Random(f"forgetting:{run.config.seed}:{name}").sample(own, min(most, len(own)))
        asked.append([Said(task.prompt(row.example), row.response, row.finish == "stop") for row in drawn])
    run.ledger.check_time()
    run.close_target()  # its memory is for the two sides
    try:
        with run.progress.busy(f"round {number}: measure forgetting"):
            found = moved(first, run.candidate(number, place), asked)
    except TargetError as error:  # of memory, most likely: what was trained is not lost for that
        return tuple(Forgetting(on=name, reason=f"not measured: {error}") for name in answers)
    none = "not measured: no answer of the first weights is kept"
    broken = "not measured: the weights give no numbers"
    told = []
    for name, said, far in zip(answers, asked, found, strict=True):
        reason = none if not far.tokens else "" if isfinite(far.kl) and isfinite(far.rise) else broken
        figures = {} if reason else {"kl": round(far.kl, 6), "cross_entropy_rise": round(far.rise, 6)}
        told.append(Forgetting(on=name, prompts=len(said), tokens=far.tokens, reason=reason, **figures))
    return tuple(told)


def _told(rows: Sequence[Forgetting]) -> str:
    """Forgetting in a line; what was not measured has its reason, named once."""
    known = [f"{row.on} {row.kl:.3g}" for row in rows if row.kl is not None]
    return ", ".join([*known, *dict.fromkeys(row.reason for row in rows if row.reason)])


def _figures(run: Session, number: int, decision: GateDecision) -> dict[str, Any]:
    """What programs and trackers are told of a round that was decided here: dev and guards (shares), rows, cost so far."""
    teach, rows = (run.stage(number, name).facts() for name in ("teach", "assemble"))
    spent = run.ledger.document()["total"]
    names = ("accepted", "before", "after", "low", "high", "fixed", "broken", "p_value")
    figures = {name: getattr(decision, name) for name in names}
    for guard in decision.guards:
        figures |= {f"{guard['task']}_{side}": guard[side] for side in ("before", "after")}
    for row in decision.forgetting:
        figures |= {f"{row.on}_kl": row.kl, f"{row.on}_cross_entropy_rise": row.cross_entropy_rise} if row.kl is not None else {}
    figures |= {"failures": teach["failures"], "programs": teach["programs"], "rows": rows["samples"], "replayed": rows["replay"]}
    return figures | {"calls": spent["calls"], "tokens": spent["tokens_in"] + spent["tokens_out"], "usd": spent["usd"]}
