"""What goes on beside the steps of a training of any kind: it tells the parent, counts what is spent, ends at a budget, and seals the
checkpoints from which a killed training continues.

Does NOT cover: what a step computes, and the state that the libraries put into a checkpoint.
"""

import json
import math
import shutil
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from ...signatures.errors import UsageError
from ..devices.ranks import anywhere, of_first, rank, reseed
from ..memory import give_back
from ..settings import Job, OnProgress
from ..target import not_numbers

LOGGED = {name: name for name in ("step", "epoch", "loss", "learning_rate", "grad_norm", "reward", "reward_std", "kl", "entropy")} | {
    "tokens": "completions/mean_length",
    "cut": "completions/clipped_ratio",
    "without_spread": "groups_without_spread",
    "margin": "rewards/margins",
    "accuracy": "rewards/accuracies",
    "chosen": "rewards/chosen",
    "rejected": "rewards/rejected",
}
"""Fields of what is kept of the course of a training, and what TRL calls them; those from `reward` on are of one on own answers, those from
`margin` on of one on pairs."""
_COMPLETE = "complete.json"
_LONG = 300.0
"""Seconds after which a checkpoint is due, however few steps that are; it waits for a step that is logged."""
_SILENT = 30.0
"""Seconds after which a step is told that is not logged, with the figures of the last one that was."""


@dataclass
class Spent:
    """What a training took so far: from its start to the last checkpoint, and from there in this process."""

    seconds: float = 0.0
    """Of steps, with the answers that are sampled for them and the time of their judge; without imports, loading and saving."""
    tokens: int = 0
    """New tokens of sampled answers."""
    rollouts: int = 0
    """Sampled answers."""


class Finished(Exception):
    """The checkpoint stands at the last step: where that is within an epoch, transformers would go on from there with one more."""


class Follow(TrainerCallback):
    """Tells the parent, counts what is spent, and seals each checkpoint once it is whole."""

    def __init__(self, tell: OnProgress, job: Job):
        self.tell = tell
        self.job = job
        self.spent = Spent()
        self.stopped = ""
        """Which budget ended the training, and at which step; empty: it took all its steps."""
        self.capped = ""
        """Why it is to go on another time; empty: it is not."""
        self._since = self._saved = self._told = 0.0
        self._figures: dict[str, float] = {}
        """What was logged last."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        most, answers = self.job.settings.rollouts, getattr(args, "generation_batch_size", 0)
        if most is not None and answers > most:
            raise UsageError(f"train.rollouts is {most:,}, and a step samples {answers:,} answers: set it to that or more")
        if state.global_step:
            seal = json.loads((self._checkpoint(state) / _COMPLETE).read_text(encoding="utf-8"))
            for field in fields(Spent):
                setattr(self.spent, field.name, seal.get(field.name, field.default))
        reseed(self.job)
        self._since = self._saved = time.monotonic()
        if state.global_step >= state.max_steps:
            raise Finished

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._count()

    def _count(self) -> None:
        now = time.monotonic()
        self.spent.seconds += now - self._since
        self._since = now

    def _checkpoint(self, state: Any) -> Path:
        return self.job.checkpoints / f"checkpoint-{state.global_step}"

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        give_back()
        self._count()
        done = state.global_step >= state.max_steps
        if not done and (reached := of_first(self.job, self._reached(getattr(args, "generation_batch_size", 0)))):
            self.stopped = f"stopped after {reached}, at step {state.global_step} of {state.max_steps}"
            control.should_training_stop = True
            control.should_save = False
        elif not done and state.global_step % state.logging_steps == 0:
            cap = self.job.cap.read_text(encoding="utf-8") if self.job.cap.exists() else ""
            self.capped, late = of_first(self.job, (cap, time.monotonic() - self._saved > _LONG))
            control.should_training_stop |= bool(self.capped)
            control.should_save |= args.save_strategy != "no" and (late or bool(self.capped))
        control.should_log = control.should_log or control.should_training_stop or done
        if self._figures and not control.should_log and time.monotonic() - self._told > _SILENT:
            self._tell(state, self._figures)

    def _reached(self, answers: int) -> str:
        """The budget that leaves no room for another step, which samples so many `answers`."""
        settings = self.job.settings
        if settings.seconds is not None and self.spent.seconds >= settings.seconds:
            return f"{settings.seconds:g} s"
        if settings.rollouts is not None and answers and self.spent.rollouts + answers > settings.rollouts:
            return f"{self.spent.rollouts:,} of {settings.rollouts:,} answers"
        return ""

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if logs and "loss" in logs:
            reward = {name: logs[LOGGED[name]] for name in ("reward", "margin") if LOGGED[name] in logs}
            self._tell(state, {"loss": logs["loss"]} | reward)

    def _tell(self, state: Any, figures: dict[str, float]) -> None:
        self._figures, self._told = figures, time.monotonic()
        self.tell({"step": state.global_step, "steps": state.max_steps, "epoch": state.epoch} | figures)

    def on_save(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        self._saved = time.monotonic()
        if anywhere(self.job, bool(not_numbers(model))) or rank(self.job) or self.stopped:  # each rank has put its own file there by now
            return  # of no numbers, the last whole one stays; who continues from where a budget ended would take one more step
        self._count()
        checkpoint = self._checkpoint(state)
        sizes = {path.name: path.stat().st_size for path in checkpoint.iterdir() if path.is_file()}
        seal = {"key": self.job.key, "sizes": sizes, "at_once": args.per_device_train_batch_size}
        (checkpoint / _COMPLETE).write_text(json.dumps(seal | asdict(self.spent)), encoding="utf-8")


def followed(trainer: Any) -> Follow:
    """Who follows the trainer."""
    return next(one for one in trainer.callback_handler.callbacks if isinstance(one, Follow))


def last_checkpoint(job: Job) -> Path | None:
    """The newest whole checkpoint of this job. Others are removed: half-written, damaged, or of another job."""
    whole: list[tuple[int, Path]] = []
    for path in job.checkpoints.glob("checkpoint-*"):
        try:
            seal = json.loads((path / _COMPLETE).read_text(encoding="utf-8"))
            good = seal["key"] == job.key and all((path / name).stat().st_size == size for name, size in seal["sizes"].items())
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            good = False
        if good:
            whole.append((int(path.name.rpartition("-")[2]), path))
        elif rank(job) == 0:
            shutil.rmtree(path)
    return max(whole)[1] if whole else None


def at_once_before(checkpoint: Path | None, most: int) -> int | None:
    """How many rows were computed together up to this checkpoint: a continued training goes on so, to end with the same bytes. On more
    devices than before, with `most` rows each, a part of them."""
    before = json.loads((checkpoint / _COMPLETE).read_text(encoding="utf-8")).get("at_once") if checkpoint else None
    return before and math.gcd(before, most)
