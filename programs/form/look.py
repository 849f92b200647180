"""What the form of answers alone costs a target: how many of its answers to train items cannot be read, are cut, or loop; and where these
are many, whether other ways to ask the same items (errata.tasks.ways) are answered better. It is told and kept, and changes nothing.

What is not here: form and skill before and after a training (errata.programs.report), and the control that teaches form alone
(errata.programs.strategies.controls.FormOnly).
"""

import shlex
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from ...signatures.records import Attempt, Example
from ...tasks import Task, joined, parts
from ...tasks.ways import Loader, Way, ways
from ...trainers.chat import loops
from ...trainers.settings import TargetSettings
from ..config import CycleConfig
from ..run import layout
from ..run.directory import Stage
from ..stats import CUT, paired

SAMPLE, POOR = 64, 0.25
"""Answers that are looked at, and asked of each other way; and the share without form from which other ways are tried."""
SURE = 0.05
"""Greatest p (exact McNemar) at which more right answers are told as skill that the form hid: six more and none fewer give 0.03."""


class Run(Protocol):
    """What is used of an open run (errata.programs.steps.session)."""

    @property
    def path(self) -> Path: ...
    @property
    def config(self) -> CycleConfig: ...
    @property
    def task(self) -> Task: ...
    @property
    def load(self) -> Loader: ...
    @property
    def say(self) -> Callable[[str], None]: ...
    def stage(self, number: int, name: str, /) -> Stage: ...
    def evaluate(
        self, stage: Stage, task: Task, examples: Sequence[Example], target: TargetSettings, title: str, /
    ) -> Sequence[Attempt]: ...


def look(run: Run) -> None:
    """`form_of` the answers that were mined first, unless the run is past them or its config leaves it out."""
    if run.config.form == "say" and run.config.errors != "all" and not run.stage(1, "teach").done:
        form_of(run, layout.attempts(run.path, 1))


def ask_form(run: Run) -> dict[str, Any]:
    """`form_of` at answers to train items that were mined, or are asked for here. With what was found well it says so."""
    asked = [example for task in parts(run.task) for example in task.examples("train", SAMPLE, seed=run.config.seed + 1)]
    rows = layout.attempts(run.path, 1) or run.evaluate(
        layout.form(run.path, "as asked"), run.task, asked, run.config.target, "form: as asked"
    )
    if not (found := form_of(run, rows)):
        run.say(f"form: {seen(rows)['formed']} of {len(rows)} answers to train items have the form that is asked")
    return found


def form_of(run: Run, rows: Sequence[Attempt]) -> dict[str, Any]:
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
    loop = [row.finish == "loop" or (row.finish == "length" and loops(row.response)) for row in wrong]
    signs = [(row.verdict.extracted is None, row.finish in CUT, looping) for row, looping in zip(wrong, loop, strict=True)]
    kinds = {name: sum(sign[place] for sign in signs) for place, name in enumerate(("unread", "cut", "looping"))}
    return {"items": len(rows), "formed": len(rows) - sum(map(any, signs)), "right": len(rows) - len(wrong)} | kinds


def _tried(run: Run, rows: Sequence[Attempt], way: Way, task: Task) -> dict[str, Any]:
    """What a way gives on the same items; where it asks the same, the answers that are there are read anew."""
    same = [row for row in rows if row.example.question not in way.shown]
    if all(way.task.prompt(row.example) == task.prompt(row.example) for row in same):
        new = [row.model_copy(update={"verdict": way.task.verdict(row.example, row.response)}) for row in same]
    else:
        stage, title = layout.form(run.path, f"{task.name}-{way.name}"), f"form, {task.name}: {way.name}"
        new = list(run.evaluate(stage, way.task, [row.example for row in same], run.config.target, title))
    change = {name: value for name, value in paired(same, new).items() if name in ("fixed", "broken", "p_value")}
    return {"name": way.name, "set": list(way.settings), "given": seen(same), "found": seen(new)} | change


def as_lines(fact: dict[str, Any]) -> list[str]:
    """What was found, in one or two lines: the measure, and the way that is answered best."""
    bad, kinds = fact["items"] - fact["formed"], ", ".join(f"{fact[one]} {one}" for one in ("unread", "cut", "looping") if fact[one])
    lines = [f"{bad} of {fact['items']} answers to train items lack the form that is asked ({kinds}); {fact['right']} right"]
    if best := max(fact["ways"], key=lambda way: (way["found"]["right"], way["found"]["formed"]), default=None):
        old, new = best["given"], best["found"]
        gives = f"with {best['name']} {new['formed']} of {new['items']} have it, {new['right']} right"
        gives += f" (as asked {old['formed']}, {old['right']} right)"
        sure = best["p_value"] <= SURE
        use = f"; in another --run: {shlex.join(word for one in best['set'] for word in ('--set', one))}"
        if new["right"] > old["right"] and sure:
            lines.append(f"form hides skill: {gives}{use}")
        elif new["formed"] > old["formed"]:
            lines.append(f"the form needs no training, the skill does: {gives}{use}")
        else:
            lines.append(f"no other way to ask helps: {gives}")
    return lines
