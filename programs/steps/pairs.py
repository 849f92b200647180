"""Pairs: a right and a wrong answer to one question, for the stages that train on preferences (dpo, kto).

Questions are the round's rows and the train items that the target failed, but not the rows of the probe: those are asked again after the
training. Each is answered a few times by the weights that the stage starts from, so that both sides are the target's own where it gives
both. Else the right one is the worked solution, and the wrong one what was mined, or what the program's `wrong` works out. Both are judged
by the task. A cut answer is on neither side: it does not say where it goes wrong. Nor is one that is right by a false calculation.
What is not here: sampling (words.py), training (errata.trainers.stages.preference), and taking pairs out of a run (errata.programs.report).
"""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from ...signatures.records import Attempt, Example, Pair, Rollout, Rollouts, Sample
from ...tasks import Task, member
from ..run import layout
from ..run.directory import Stage
from ..run.evaluate import judged
from ..run.layout import PAIRS, TRIES
from .lessons import solves, worked
from .mine import mined
from .session import Session
from .words import ask

STAGES = ("dpo", "kto")
MOST = 2
"""Pairs of one question."""


class Question(NamedTuple):
    """What may become pairs."""

    example: Example
    source: str
    """Id of its sample, or of the error."""
    solution: str
    """The worked solution in the form of an answer; empty where there is none."""
    wrong: str = ""
    """What the misconception answers, likewise."""
    known: tuple[Rollout, ...] = ()
    """What the target answered before in this round."""


def pairs(run: Session, number: int, place: int) -> Stage:
    """The pairs of the stage at `place` of a round's training, made where they are not."""
    stage = layout.pairs(run.path, number, place)
    count = run.config.train.samples
    if stage.done:
        if stage.facts().get("samples", count) == count:
            return stage
        (stage.path / "manifest.json").unlink()  # nothing was trained on them yet, or it could not differ
    asked = questions(run, number)
    tries = _sampled(run, number, place, stage, asked)
    made: list[Pair] = []
    left: Counter[str] = Counter()
    keep = run.config.generate.trace == "keep"
    for rows, refused in judged(run.task, lambda one: paired(run.task, one, tries.get(one.example.id), keep), asked):
        made += rows
        left += refused
    facts: dict[str, Any] = {side: dict(Counter(getattr(row, f"{side}_from") for row in made)) for side in ("chosen", "rejected")}
    told = "; ".join(f"{side} " + ", ".join(f"{name} {count}" for name, count in facts[side].items()) for side in facts)
    why = ", ".join(f"{reason} {count}" for reason, count in left.most_common())
    facts |= {"samples": count, "left_out": dict(left.most_common()), "tokens": sum(row.tokens for row in tries.values())}
    facts["told"] = f"{len(made)} pairs of {len(asked)} questions{f': {told}' if made else ''}"
    facts["reason"] = "" if made else f"none of {len(asked)} questions has a right and a wrong answer{f'; left out: {why}' if why else ''}"
    stage.finish({PAIRS: made} | ({TRIES: list(tries.values())} if tries else {}), questions=len(asked), pairs=len(made), **facts)
    run.say(f"round {number}: {facts['told']}")
    return stage


def questions(run: Session, number: int) -> list[Question]:
    """The round's rows and the train items that the target failed, each once."""
    words = run.stage(number, "words")
    before = {row.question: row.tries for row in words.read(TRIES, Rollouts)} if words.done and (words.path / TRIES).exists() else {}
    found: dict[str, Question] = {}
    for sample in layout.samples(run.path, number):
        example = sample.example
        found[example.id] = Question(example, sample.id, worked(run.task, sample), imagined(run.task, sample), before.get(example.id, ()))
    for failure in mined(run, number).failures:
        attempt = failure.attempt
        if attempt.example.split == "train" and attempt.example.id not in found:
            found[attempt.example.id] = Question(attempt.example, failure.id, _reference(run.task, attempt.example), "", _known(attempt))
    return list(found.values())


def imagined(task: Task, sample: Sample) -> str:
    """What the misconception answers; empty where the program does not work it out: a bare answer would differ from a worked one in its
    length first."""
    example, completion = sample.example, member(task, sample.example.task).completion
    bare = example.kind == "code" or completion("", example.answer) == worked(task, sample)
    if sample.wrong is None or not (bare or sample.wrong_solution):
        return ""
    return completion(sample.wrong_solution or "", sample.wrong)


def _reference(task: Task, example: Example) -> str:
    there = example.solution or example.kind == "code"
    return member(task, example.task).completion(example.solution, example.answer) if there else ""


def _known(attempt: Attempt) -> tuple[Rollout, ...]:
    return (Rollout.of(attempt.response, attempt.verdict, attempt.finish),) if attempt.response else ()


def _sampled(run: Session, number: int, place: int, stage: Stage, asked: Sequence[Question]) -> dict[str, Rollouts]:
    """Answers of the weights that the training stage starts from, by the id of the question."""
    count, items = run.config.train.samples, [question.example for question in asked]
    if not count or not items:
        return {}
    base = run.candidate(number, place - 1) if place else run.base(number)
    sampled = partial(ask, run.task, count=count, temperature=run.config.generate.temperature, seed=run.config.seed * 1000 + number)
    title = f"round {number}: sample {count} answers to {len(items)} questions"
    produce = lambda missing: run.counted(title, sampled(missing, target=run.open_target(base)), len(missing))  # noqa: E731
    return {row.question: row for row in stage.collect(TRIES, items, lambda example: example.id, produce, Rollouts)}


def paired(task: Task, question: Question, tries: Rollouts | None, keep: bool) -> tuple[list[Pair], Counter[str]]:
    """The pairs of a question, of the target's own answers first, and why answers were left out. `keep`: with their reasoning traces."""
    own: dict[bool, list[str]] = {True: [], False: []}
    left: Counter[str] = Counter()
    for one in (*(tries.tries if tries else ()), *question.known):
        text = one.response if keep else one.answered
        if one.correct is None:
            left["unjudged"] += 1
        elif one.finish != "stop" or not text.strip():
            left["cut"] += 1
        elif one.correct and not solves(one):
            left["right by luck"] += 1
        elif text not in own[one.correct]:
            own[one.correct].append(text)

    def made(text: str, right: bool) -> list[str]:
        """The text that nobody sampled, where it is what it should be."""
        if not text:
            return []
        if task.verdict(question.example, text).correct is right:
            return [text]
        left["a solution that is not right" if right else "a wrong() that is not wrong"] += 1
        return []

    rejected = own[False][:MOST] or made(question.wrong, False)
    chosen = (own[True] or made(question.solution, True)) if rejected else []
    said = lambda text: ({"role": "assistant", "content": text},)  # noqa: E731
    rows = [
        Pair(
            prompt=tuple(task.prompt(question.example)),
            chosen=said(chosen[place % len(chosen)]),
            rejected=said(text),
            source=question.source,
            chosen_from="own" if own[True] else "solution",
            rejected_from="own" if own[False] else "wrong",
        )
        for place, text in enumerate(rejected)
        if chosen
    ]
    return rows, left
