"""Mine: the target answers train items. What it fails is taught from, what it solves is replayed and contrasted with.

Unjudged attempts are neither. Where errors are not the target's own, no target answers: all items count as errors, or recorded answers were
imported. By the first answers it is told what their form alone costs; it changes nothing.

What is not here: other ways to ask (errata.tasks.ways), form and skill before and after a training (errata.programs.report), and the
control that teaches form alone (errata.programs.strategies.controls.FormOnly).
"""

import random
import shlex
from collections.abc import Sequence
from itertools import islice
from typing import Any, NamedTuple

from ...signatures.errors import UsageError
from ...signatures.records import Attempt, Example, Failure
from ...signatures.rows import mapped, unique, where
from ...signatures.terminal import command
from ...tasks import Task, joined, parts
from ...tasks.ways import Way, ways
from ..run import layout
from ..run.directory import Stage
from ..stats import CUT, counts
from ..strategies.contrast import with_contrasts
from .rows import looping
from .session import Session

SAMPLE, POOR = 64, 0.25
"""Answers that are looked at, and asked of each other way; and the share without form from which other ways are tried."""


class Mined(NamedTuple):
    """What a round works with."""

    failures: list[Failure]
    """What is taught from: errors, or what else the strategy asks for."""
    solved: Sequence[Attempt]
    """They and all items are read from the run as they are asked for."""
    items: Sequence[Example]
    """All train items of the round."""


def mine(run: Session, number: int) -> None:
    """Write the attempts at the train items of a round; of the first, say what the form of answers alone costs."""
    stage = run.stage(number, "mine")
    if not stage.done:
        _ask(run, number, stage)
    if number == 1 and run.config.form == "say" and run.config.errors != "all" and not run.stage(1, "teach").done:
        form_of(run, layout.attempts(run.path, 1))


def _ask(run: Session, number: int, stage: Stage) -> None:
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
    held_out = {example.question for example in run.held_out}
    examples = run.task.examples("train", run.config.items.train, seed=run.config.seed + number)
    kept = where(examples, lambda example: example.question not in held_out)
    if len(kept) < len(examples):
        run.say(f"round {number}: {len(examples) - len(kept)} train items are left out: they are dev, test or guard items too")
    return kept


def mined(run: Session, number: int) -> Mined:
    """What the mining of a round found, once it is done. A strategy that is not taught from errors gets as many items at random."""
    rows = layout.attempts(run.path, number)
    if run.config.errors == "recorded" and number == 1:
        rows = where(rows, lambda row: row.example.split == "train")
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


# ---- what the form of answers costs


def ask_form(run: Session) -> dict[str, Any]:
    """`form_of` at answers to train items that were mined, or are asked for here. With what was found well it says so."""
    asked = [example for task in parts(run.task) for example in task.examples("train", SAMPLE, seed=run.config.seed + 1)]
    rows = layout.attempts(run.path, 1) or run.evaluate(
        layout.form(run.path, "as asked"), run.task, asked, run.config.target, "form: as asked"
    )
    if not (found := form_of(run, rows)):
        run.say(f"form: {seen(rows)['formed']} of {len(rows)} answers to train items have the form that is asked")
    return found


def form_of(run: Session, rows: Sequence[Attempt]) -> dict[str, Any]:
    """Tell what the form costs, by the first answers of each task to train items, and keep it in the run: by the task's name what was
    found. Nothing is told, kept or asked where the form is well. Recorded answers are looked at, and no other way is tried."""
    stage, found = layout.form(run.path), dict[str, Any]()
    if stage.done:
        return stage.facts()
    for task, written in zip(parts(run.task), joined(run.config.task), strict=True):
        some = list(islice((row for row in rows if row.example.task == task.name and row.verdict.correct is not None), SAMPLE))
        fact = seen(some)
        if len(some) - fact["formed"] >= max(1, POOR * len(some)):
            other = ways(written, run.config.table, run.load) if some[0].target else ()
            found[task.name] = fact | {"ways": [_tried(run, some, way, task) for way in other]}
            for line in as_lines(found[task.name]):
                run.say(f"form, {task.name}: {line}")
    if found:
        stage.finish({}, **found)
    return found


def seen(rows: Sequence[Attempt]) -> dict[str, int]:
    """Answers by form: `formed` are read, whole and do not loop; `unread`, `cut` and `looping` overlap. A right one has its form."""
    wrong = [row for row in rows if not row.verdict.correct]
    signs = [(row.verdict.extracted is None, row.finish in CUT, looping(row)) for row in wrong]
    kinds = {name: sum(sign[place] for sign in signs) for place, name in enumerate(("unread", "cut", "looping"))}
    return {"items": len(rows), "formed": len(rows) - sum(map(any, signs)), "right": len(rows) - len(wrong)} | kinds


def _tried(run: Session, rows: Sequence[Attempt], way: Way, task: Task) -> dict[str, Any]:
    """What a way gives on the same items; where it asks the same, the answers that are there are read anew."""
    same = [row for row in rows if row.example.question not in way.shown]
    if all(way.task.prompt(row.example) == task.prompt(row.example) for row in same):
        new = [row.model_copy(update={"verdict": way.task.verdict(row.example, row.response)}) for row in same]
    else:
        stage, title = layout.form(run.path, f"{task.name}-{way.name}"), f"form, {task.name}: {way.name}"
        new = list(run.evaluate(stage, way.task, [row.example for row in same], run.config.target, title))
    return {"name": way.name, "set": list(way.settings), "given": seen(same), "found": seen(new)}


def as_lines(fact: dict[str, Any]) -> list[str]:
    """What was found, in one or two lines: the measure, and the way that is answered best."""
    bad, kinds = fact["items"] - fact["formed"], ", ".join(f"{fact[one]} {one}" for one in ("unread", "cut", "looping") if fact[one])
    lines = [f"{bad} of {fact['items']} answers to train items lack the form that is asked ({kinds}); {fact['right']} are right"]
    if best := max(fact["ways"], key=lambda way: (way["found"]["right"], way["found"]["formed"]), default=None):
        old, new = best["given"], best["found"]
        gives = f"with {best['name']} {new['formed']} of {new['items']} have it, {new['right']} are right"
        gives += f" (as asked {old['formed']} and {old['right']})"
        better = new["formed"] > old["formed"] or new["right"] > old["right"]
        flags = shlex.join(word for one in best["set"] for word in ("--set", one))
        lines.append(f"form, not skill: {gives}; in another --run: {flags}" if better else f"no other way to ask helps: {gives}")
    return lines
