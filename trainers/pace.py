"""How fast a target answers and learns on this machine, from a look of well under a minute, and what many answers and rows take then.

The look: one batch of the task's prompts gets its first tokens, and four rows are trained on twice. How long answers become is told by how
many of them end meanwhile, as if an answer were as likely to end with any token as with any other.
Does NOT cover: servers, nodes of a cluster, trainings on own answers and on pairs.
"""

import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from math import ceil
from pathlib import Path
from typing import NamedTuple

from ..signatures.records import TrainRow
from .chat import Prompts
from .settings import TargetSettings, TrainSettings
from .sft import train as fine_tune
from .target import ROUND, Target

LOOK = 96
"""New tokens of the look."""
ROWS = 4
"""Rows of each step of the look."""


class Pace(NamedTuple):
    """Seconds, by the clock that was given."""

    load: float
    """Until the target can answer."""
    prompt: float
    """To read a prompt, in a batch."""
    token: float
    """For a new token of one answer, in a batch."""
    ends: float
    """Chance that an answer ends with a token."""
    start: float
    """Of a training, until its first step and after its last."""
    row: float
    """Of a training, for one row."""

    def answer(self, limit: int) -> float:
        """Seconds for an answer of at most so many tokens."""
        going = [(1 - self.ends) ** (ROUND * number) for number in range(ceil(limit / ROUND))]
        return self.prompt + self.token * sum(share * min(ROUND, limit - ROUND * number) for number, share in enumerate(going))


def look(
    target: TargetSettings,
    train: TrainSettings,
    prompts: Prompts,
    rows: Sequence[TrainRow],
    limit: int,
    clock: Callable[[], float] = time.monotonic,
) -> Pace:
    """Measures. `prompts` are more than a batch, `rows` those that a training would learn, `limit` the most tokens of an answer. Raises
    TargetError and TrainerError."""
    begun = clock()
    model = Target.load(target)
    load, begun = clock() - begun, clock()
    asked = [prompts[place % len(prompts)] for place in range(model.batch_size)]
    list(model.generate(asked[:1], max_new_tokens=2))  # first calls set up kernels
    begun = clock()
    list(model.generate(asked, max_new_tokens=1))
    read, begun = clock() - begun, clock()
    given = [said for _, said in model.generate(asked, max_new_tokens=min(LOOK, limit))]
    answered, steps = clock() - begun, max(said.tokens for said in given)
    model.close()
    ended = sum(said.finish == "stop" for said in given)
    told: list[float] = []
    step = lambda now: told.append(clock())  # noqa: E731
    sft = {name: value for name, value in train.sft.items() if name not in ("num_train_epochs", "max_steps", "report_to")}
    short = {"steps": 2, "epochs": 1.0, "batch_size": ROWS, "devices": 1, "seconds": None, "max_lost_share": 1.0, "sft": sft}
    begun = clock()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of peft's and TRL's use of transformers, nothing to act on here
        few = [rows[place % len(rows)] for place in range(2 * ROWS)]
        fine_tune(few, target, train.model_copy(update=short), Path(folder) / "out", in_process=True, on_progress=step)
    whole, one = clock() - begun, told[-1] - told[0]
    return Pace(
        load=load,
        prompt=read / len(asked),
        token=max(0.0, answered - read) / max(1, steps - 1) / len(asked),
        ends=ended / max(1, sum(said.tokens for said in given)),
        start=max(0.0, whole - 2 * one),
        row=one / ROWS,
    )
