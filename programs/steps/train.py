"""Train: the target is trained in stages, each in a child process: on the rows of a round, on its own answers, and on pairs of answers.

A stage starts from the weights that the one before it left; the gate chooses among what stands after each. Where a stage has no pairs to
train on, it and those behind it are left out, and the round says why.

While a stage trains, a small target on a CPU answers here what will be asked for later: dev of the weights that the stage starts from, for
the gate, and what is reported at the end of those that the run began with, where no judge is paid for it. The answers are kept as ever: who
asks later finds them.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import copy_context
from functools import partial
from typing import Any

from ...trainers.settings import SMALL, TargetSettings
from ...trainers.sft import distil, practise, prefer
from ...trainers.sft import train as fine_tune
from ..run import layout
from ..run.directory import disk_errors
from .pairs import STAGES as PREFERENCE
from .pairs import pairs
from .practice import practice
from .rows import contexts
from .session import Session


def train(run: Session, number: int) -> None:
    """Train the weights that a round starts from, stage by stage. Nothing where a stage wants rows and the round has none, as the stages
    after it build on what it leaves; stages on own answers alone want none."""
    facts = run.stage(number, "assemble").facts()
    count = facts["samples"] + facts["replay"]
    if not count and "sft" in run.config.train.order:
        return
    for place, stage in enumerate(run.config.train.order):
        if not _stage(run, number, place, stage, count):
            return


def _stage(run: Session, number: int, place: int, stage: str, count: int) -> bool:
    """Whether there was something to train on."""
    out = layout.training(run.path, number, place)
    target = run.candidate(number, place - 1) if place else run.base(number)
    settings = run.config.train.model_copy(update={"method": "lora"}) if target.api_base else run.config.train
    rows = run.stage(number, "assemble").file(layout.ROWS)  # the trainer reads them from there, one at a time
    go, what, on = partial(fine_tune, rows), "loss", f"{count} rows"
    if stage == "grpo":
        go, what, on = partial(practise, practice(run, number, place)), "reward", "its own answers"
    elif stage in PREFERENCE:
        found = pairs(run, number, place)
        if not (count := found.facts()["pairs"]):
            run.say(f"round {number}: no {stage}, and no stage behind it: {found.facts()['reason']}")
            return False
        go = partial(prefer, stage, found.file(layout.PAIRS))
        what, on = "margin", f"{count} pairs"
    elif stage == "sdft":
        shown = contexts(run.task, run.path, number)
        go = partial(distil, shown.file(layout.CONTEXTS), run.task.max_new_tokens)
        on = f"{shown.facts()['rows']} rows, with their solutions shown to the teacher"
    if place in layout.trainings(run.path, number):
        go(target, settings, out, seed=run.config.seed)  # only looks whether what stands there is what was made
        return True
    run.ledger.check_time()
    ahead = _measured_ahead(run, target) if _room_beside(run) else nullcontext()
    run.close_target()  # its memory is the child's
    title = f"round {number}: {'train' if stage == 'sft' else stage}"
    run.say(f"{title} on {on}")

    def step(now: dict[str, Any]) -> None:
        figure = what if what in now else "loss"
        run.progress.at(title, now["step"], now["steps"], f"{figure} {now[figure]:.3f}")
        run.ledger.check_time()

    with disk_errors(out), run.progress.busy(title), ahead:
        report = go(target, settings, out, seed=run.config.seed, in_process=run.in_process, on_progress=step)
    first, last = report.rewards or report.margins or (report.loss_first, report.loss_last)
    held = f", at most {most / 1e9:.1f} GB" if (most := layout.training_peak(out)) else ""
    stopped = f"; {report.stopped}" if report.stopped else ""
    run.say(f"{title}: {report.steps} steps, {what} {first:.3f} to {last:.3f}{held}{stopped}")
    return True


@contextmanager
def _measured_ahead(run: Session, target: TargetSettings) -> Iterator[None]:
    """Answers while the body trains `target`. An error in the body ends the answering too."""

    def work() -> None:
        asked = [(task, "dev") for task in run.tasks]
        if target == run.config.target and not run.until:
            # the run may end before its report, and a judge of prose would have been paid for nothing
            asked += [one for one in run.reported if one not in asked and one[0].kind != "prose"]
        try:
            for task, split in asked:
                run.scores(task, split, target)
        except Exception:  # the same is asked for later, and told then
            pass

    thread = threading.Thread(target=copy_context().run, args=(work,), daemon=True)
    thread.start()
    try:
        yield
        thread.join()
    finally:
        while thread.is_alive():  # an error, or an interrupt: without its target the answering ends
            run.close_target()
            thread.join(0.1)


def _room_beside(run: Session) -> bool:
    """Whether the target that is open may answer beside a training: the run goes on to its gate, the target takes little memory, none of a
    GPU, and a core is left for it."""
    target, cores = run.loaded, os.cpu_count() or 1
    if run.until not in (None, "gate"):
        return False
    return not run.in_process and cores > 1 and getattr(target, "device", "") == "cpu" and target.parameters < SMALL
