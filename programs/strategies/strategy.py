"""Strategies: dspy.Modules that turn failures into programs. Compose one from a Diagnose and a Write.

`LearnFromError` and `LearnFromContrast` are the two of "LLMs-as-Instructors" (arXiv 2407.00497).
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import dspy
from dspy.primitives.code_interpreter import CodeInterpreterError
from dspy.utils.saving import get_dependency_versions

from ...signatures.errors import UsageError
from ...signatures.records import Example, Failure, Rejection, TeachingResult, content_hash, whole
from ...signatures.teach import DiagnoseContrast, DiagnoseError, RepairForContrast, WriteForContrast
from ...tasks import Task
from ..config import CycleConfig
from ..instructor.chat import UNUSABLE, rejection
from ..run.directory import to_json, write_atomic
from .diagnose import Diagnose
from .write import Prove, Write


class Strategy(dspy.Module):
    """Diagnose failures that are taught together, then write a program for them. The predictors inside are what prompt optimizers find."""

    source: Literal["errors", "train", "none"] = "errors"
    """What the cycle hands it: `errors`; as many `train` items at random, whether solved or not, as errors without an answer; or `none`.
    Whether the target solves a program's rows already is asked of programs from errors only."""

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
        """Further rows, made of what was taught in a round without another failure; none unless a strategy says otherwise.

        They are made anew when a run is continued: paid calls are taken from its ledger."""
        return []

    def items(self, task: Task, mined: Sequence[Example], count: int, seed: int) -> list[Example]:
        """Items to train on as they are, with their reference solutions; none unless a strategy says otherwise.

        The first `count` that pass the row checks are taken, programs fill the rest. `mined`: the train items that the target was asked."""
        return []

    def save(self, path: str | Path, *_: Any, **__: Any) -> None:
        """Write instructions and demonstrations as JSON in DSPy's own form, whole or not at all; never a model, its address or its key."""
        state = self.dump_state()
        for one in state.values():
            one["lm"] = None
        write_atomic(Path(path), to_json(state | {"metadata": {"dependency_versions": get_dependency_versions()}}))

    def load(self, path: str | Path, *_: Any, **__: Any) -> None:
        """Take instructions and demonstrations from a file of `save`. Raises UsageError when it is none, or another strategy's."""
        state = _read_state(Path(path))
        names = {name for name, _ in self.named_parameters()}
        if state.keys() != names:
            held = ", ".join(sorted(state)) or "nothing"
            raise UsageError(f"strategy state {path} holds {held}, but {type(self).__name__} needs {', '.join(sorted(names))}")
        coded = {name for name, parameter in self.named_parameters() if isinstance(parameter, dspy.Flex)}
        if coded != {name for name in names if "module_src" in state[name]}:
            raise UsageError(f"strategy state {path}: what is code there and here differs from {type(self).__name__}; optimize it again")
        for name, predictor in self.named_predictors():
            known = [_is_demo(demo, predictor.signature) for demo in state[name]["demos"]]
            if len(state[name]["signature"]["fields"]) != len(predictor.signature.fields) or not all(known):
                raise UsageError(f"strategy state {path}: {name} has other fields than that of {type(self).__name__}; optimize it again")
        try:
            self.load_state(state)
        except (SyntaxError, CodeInterpreterError) as error:
            raise UsageError(f"strategy state {path}: its code cannot be read ({error}); optimize it again") from error


class LearnFromError(Strategy):
    """LE: the failure alone."""

    def __init__(self, reference: bool = True, repairs: int = 2):
        super().__init__(Diagnose(DiagnoseError, reference=reference), Write(repairs=repairs))


class LearnFromContrast(Strategy):
    """LEC: the failure beside the most similar questions that the target solved; programs run from those to the failure."""

    def __init__(self, reference: bool = True, repairs: int = 2, contrasts: int = 3):
        write = Write(WriteForContrast, RepairForContrast, repairs=repairs)
        super().__init__(Diagnose(DiagnoseContrast, reference=reference), write, contrasts=contrasts)


def pinned(config: CycleConfig) -> CycleConfig:
    """The config with the hash of its strategy's state, as it is now. Raises UsageError when the file is none."""
    state = config.generate.state
    found = None if state is None else content_hash(_read_state(Path(state)))
    return config.model_copy(update={"generate": config.generate.model_copy(update={"state_hash": found})})


def _read_state(path: Path) -> dict[str, dict[str, Any]]:
    """The state of each predictor, without what DSPy adds of the versions it was saved with."""
    try:
        state = whole(json.loads(path.read_bytes()))
    except OSError as error:
        raise UsageError(f"strategy state {path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"strategy state {path} is not JSON; give a file that errata optimize or Strategy.save wrote") from error
    if not isinstance(state, dict):
        raise UsageError(f"strategy state {path} must be a mapping of predictors to states; give a file that Strategy.save wrote")
    state.pop("metadata", None)
    for name, one in state.items():
        if isinstance(one, dict) and isinstance(one.get("module_src"), str) and one.keys() == {"module_src", "lm"} and not one["lm"]:
            continue  # of dspy.Flex: code of an optimizer's, which runs in the sandbox alone
        signature = one.get("signature") if isinstance(one, dict) else None
        if (
            not isinstance(signature, dict)
            or not isinstance(signature.get("instructions"), str)
            or not isinstance(signature.get("fields"), list)
            or not all(isinstance(field, dict) and _has_texts(field) for field in signature["fields"])
            or not isinstance(one.get("demos"), list)
            or not one.keys() <= {"traces", "train", "demos", "signature", "lm"}
        ):
            raise UsageError(f"strategy state {path}: {name} is no saved predictor; give a file that Strategy.save wrote")
        if one.get("lm"):
            raise UsageError(f"strategy state {path}: {name} brings a model of its own; set its lm to null, and name it with --instructor")
    return state


def _has_texts(field: dict[str, Any]) -> bool:
    return isinstance(field.get("prefix"), str) and isinstance(field.get("description"), str)


def _is_demo(demo: Any, signature: Any) -> bool:
    return isinstance(demo, dict) and set(demo) <= {*signature.fields, "augmented"}
