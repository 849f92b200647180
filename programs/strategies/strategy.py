"""Strategies: dspy.Modules that turn failures into programs. Compose one from a Diagnose and a Write.

`LearnFromError` and `LearnFromContrast` are the two of "LLMs-as-Instructors" (arXiv 2407.00497). What is not here: strategies that are
made of others or that study no errors (the files beside this one), and the form of a saved state (errata.programs.strategies.state).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import dspy

from ...signatures.records import Example, Failure, Rejection, TeachingResult
from ...signatures.teach import DiagnoseContrast, DiagnoseError, RepairForContrast, WriteForContrast
from ...tasks import Task
from ..instructor.chat import UNUSABLE, rejection
from . import state
from .diagnose import Diagnose
from .write import Prove, Write


class Strategy(dspy.Module):
    """Diagnose failures that are taught together, then write a program for them. The predictors inside are what prompt optimizers find."""

    source: Literal["errors", "train", "none"] = "errors"
    """What the cycle gives to it: `errors`; as many `train` items at random, solved or not, as errors without an answer; or `none`.
    Only for programs from errors it is asked whether the target solves their rows already."""

    def __init__(self, diagnose: Diagnose, write: Write, contrasts: int = 0):
        """`contrasts`: how many solved neighbours each failure brings along."""
        super().__init__()
        self.diagnose = diagnose
        self.write = write
        self.contrasts = contrasts

    def groups(self, failures: Sequence[Failure]) -> list[tuple[Failure, ...]]:
        """The failures as they are taught: each alone, unless a strategy puts several together."""
        return [(failure,) for failure in failures]

    def forward(self, failures: Sequence[Failure], brief: str, prove: Prove) -> TeachingResult:
        """Both steps, for one of `groups`. An item that is itself at fault (`reference_wrong`, `ambiguous`) gets no program."""
        ids = tuple(failure.id for failure in failures)
        try:
            diagnosis = self.diagnose(failures=failures, brief=brief, strategy=type(self).__name__)
        except UNUSABLE as error:
            return TeachingResult(failure_ids=ids, diagnosis=None, program=None, rejections=(rejection(ids[0], error),))
        if diagnosis.verdict != "error":
            refusal = Rejection(of=diagnosis.id, kind="diagnosis", check=diagnosis.verdict, reason=diagnosis.misconception)
            return TeachingResult(failure_ids=ids, diagnosis=diagnosis, program=None, rejections=(refusal,))
        meant = [failure for failure in failures if failure.id in diagnosis.failure_ids]
        return self.write(failures=meant, diagnosis=diagnosis, brief=brief, prove=prove)

    def derive(self, taught: Sequence[TeachingResult], prove: Prove) -> list[TeachingResult]:
        """Further rows, made of what was taught in a round without another failure; empty unless a strategy says otherwise. They are made
        again when a run is continued: paid calls are taken from its ledger."""
        return []

    def items(self, task: Task, mined: Sequence[Example], count: int, seed: int) -> list[Example]:
        """Items to train on as they are, with their reference solutions; empty unless a strategy says otherwise. The first `count` that
        pass the row checks are taken, programs fill the rest. `mined`: the train items that the target was asked."""
        return []

    def save(self, path: str | Path, *_: Any, **__: Any) -> None:
        """Write instructions and demonstrations as JSON in DSPy's own form, whole or not at all; never a model, its address or its key."""
        state.save(self, Path(path))

    def load(self, path: str | Path, *_: Any, **__: Any) -> None:
        """Take instructions and demonstrations from a file of `save`. Raises UsageError for another file, or another strategy's."""
        state.load(self, Path(path))


class LearnFromError(Strategy):
    """LE: the failure alone."""

    def __init__(self, reference: bool = True, repairs: int = 2):
        super().__init__(Diagnose(DiagnoseError, reference=reference), Write(repairs=repairs))


class LearnFromContrast(Strategy):
    """LEC: the failure beside the most similar questions that the target solved; programs run from those to the failure."""

    def __init__(self, reference: bool = True, repairs: int = 2, contrasts: int = 3):
        write = Write(WriteForContrast, RepairForContrast, repairs=repairs)
        super().__init__(Diagnose(DiagnoseContrast, reference=reference), write, contrasts=contrasts)
