"""Mine: the target answers train items. What it fails is taught from, what it solves is replayed and contrasted with.

Unjudged attempts are neither. Where errors are not the target's own, no target answers: all items count as errors, or recorded answers were
imported.
"""

import random
from collections.abc import Sequence
from typing import NamedTuple

from ...signatures.errors import UsageError
from ...signatures.records import Attempt, Example, Failure
from ...signatures.rows import mapped, unique, where
from ...signatures.terminal import command
from ...tasks.options import asked
from ..run import layout
from ..stats import counts
from ..strategies.contrast import with_contrasts
from .session import Session


class Mined(NamedTuple):
    """What a round works with."""

    failures: list[Failure]
    """What is taught from: errors, or what else the strategy asks for."""
    solved: Sequence[Attempt]
    """They and all items are read from the run as they are asked for."""
    items: Sequence[Example]
    """All train items of the round."""


def mine(run: Session, number: int) -> None:
    """Write the attempts at the train items of a round."""
    stage = run.stage(number, "mine")
    if stage.done:
        return
    if number == 1:
        require_recorded(run)
    examples = train_items(run, number)
    if run.config.errors == "all":
        stage.finish({layout.ATTEMPTS: map(Attempt.unanswered, examples)}, **counts(map(Attempt.unanswered, examples)))
    else:
        run.evaluate(stage, run.task, examples, run.base(number), f"round {number}: mine errors")


def require_recorded(run: Session) -> None:
    """Raise UsageError where round 1 takes recorded answers and none were imported."""
    if run.config.errors == "recorded" and not run.stage(1, "mine").done:
        taken = command("import", "FILE", "--task", run.config.task, "--run", run.path)
        raise UsageError(f"{run.path} holds no recorded answers yet: {taken}")


def train_items(run: Session, number: int) -> Sequence[Example]:
    """Train items of a round, without those whose question is also a dev, test or guard item."""
    held_out = set(map(asked, run.held_out))
    examples = run.task.examples("train", run.config.items.train, seed=run.config.seed + number)
    kept = where(examples, lambda example: asked(example) not in held_out)
    if len(kept) < len(examples):
        run.say(f"round {number}: {len(examples) - len(kept)} train items are left out: they are dev, test or guard items too")
    return kept


def mined(run: Session, number: int) -> Mined:
    """What the mining of a round found, once it is done. A strategy that is not taught from errors gets as many items at random."""
    rows = layout.attempts(run.path, number)
    if run.config.errors == "recorded" and number == 1:
        held_out = set(map(asked, run.held_out))
        rows = where(rows, lambda row: row.example.split == "train" and asked(row.example) not in held_out)
    wrong, solved = layout.wrong(rows), where(rows, lambda row: bool(row.verdict.correct))
    items = mapped(unique(rows, lambda row: row.example.id), lambda row: row.example)
    most = run.config.generate.failures
    count = len(wrong) if most is None else min(most, len(wrong))
    rng = random.Random(f"failures:{run.config.seed}:{number}")
    if run.strategy.source != "errors":
        drawn = rng.sample(items, count) if run.strategy.source == "train" else []
        return Mined([Failure(attempt=Attempt.unanswered(item)) for item in drawn], solved, items)
    failures = [Failure(attempt=row) for row in (rng.sample(wrong, count) if count < len(wrong) else wrong)]
    if run.strategy.contrasts:
        failures = with_contrasts(failures, solved, run.strategy.contrasts)
    return Mined(failures, solved, items)
