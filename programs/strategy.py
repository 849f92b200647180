"""Strategies: dspy.Modules that turn failures into programs. Compose one from a Diagnose and a Write.

`LearnFromError` and `LearnFromContrast` are the two of "LLMs-as-Instructors" (arXiv 2407.00497).
"""

import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dspy
from dspy.utils.exceptions import AdapterParseError
from dspy.utils.saving import get_dependency_versions

from ..signatures.errors import UsageError
from ..signatures.records import Failure, Rejection, Taught, content_hash
from ..signatures.teach import DiagnoseContrast, DiagnoseError
from .config import CycleConfig, GenerateSettings
from .diagnose import Diagnose
from .instructor import rejection
from .rundir import to_json, write_atomic
from .write import Prove, Write


class Strategy(dspy.Module):
    """Diagnose failures that are taught together, then write a program for them. The predictors inside are what prompt optimizers find."""

    def __init__(self, diagnose: Diagnose, write: Write, contrasts: int = 0):
        """`contrasts`: how many solved neighbours each failure brings along."""
        super().__init__()
        self.diagnose = diagnose
        self.write = write
        self.contrasts = contrasts

    def groups(self, failures: Sequence[Failure]) -> list[tuple[Failure, ...]]:
        """The failures as they are taught: each alone, unless a strategy puts several together."""
        return [(failure,) for failure in failures]

    def forward(self, failures: Sequence[Failure], brief: str, prove: Prove) -> Taught:
        """Both steps, for one of `groups`. An item that is itself at fault (`reference_wrong`, `ambiguous`) gets no program."""
        ids = tuple(failure.id for failure in failures)
        try:
            diagnosis = self.diagnose(failures=failures, brief=brief, strategy=type(self).__name__)
        except AdapterParseError as error:
            return Taught(failure_ids=ids, diagnosis=None, program=None, rejections=(rejection(ids[0], error),))
        if diagnosis.verdict != "error":
            refusal = Rejection(of=diagnosis.id, kind="diagnosis", check=diagnosis.verdict, reason=diagnosis.misconception)
            return Taught(failure_ids=ids, diagnosis=diagnosis, program=None, rejections=(refusal,))
        return self.write(failures=failures, diagnosis=diagnosis, brief=brief, prove=prove)

    def save(self, path: str | Path, *_: Any, **__: Any) -> None:
        """Write instructions and demonstrations as JSON in DSPy's own form, whole or not at all; never a model, its address or its key."""
        state = self.dump_state()
        for one in state.values():
            one["lm"] = None
        write_atomic(Path(path), to_json(state | {"metadata": {"dependency_versions": get_dependency_versions()}}))

    def load(self, path: str | Path, *_: Any, **__: Any) -> None:
        """Take instructions and demonstrations from a file of `save`. Raises UsageError when it is none, or another strategy's."""
        state = _read_state(Path(path))
        names = {name for name, _ in self.named_predictors()}
        if state.keys() != names:
            held = ", ".join(sorted(state)) or "nothing"
            raise UsageError(f"strategy state {path} holds {held}, but {type(self).__name__} needs {', '.join(sorted(names))}")
        for name, predictor in self.named_predictors():
            known = [_is_demo(demo, predictor.signature) for demo in state[name]["demos"]]
            if len(state[name]["signature"]["fields"]) != len(predictor.signature.fields) or not all(known):
                raise UsageError(f"strategy state {path}: {name} has other fields than that of {type(self).__name__}; optimize it again")
        self.load_state(state)


class LearnFromError(Strategy):
    """LE: the failure alone."""

    def __init__(self, reference: bool = True, repairs: int = 2):
        super().__init__(Diagnose(DiagnoseError, reference=reference), Write(repairs=repairs))


class LearnFromContrast(Strategy):
    """LEC: the failure beside the most similar questions that the target solved."""

    def __init__(self, reference: bool = True, repairs: int = 2, contrasts: int = 3):
        super().__init__(Diagnose(DiagnoseContrast, reference=reference), Write(repairs=repairs), contrasts=contrasts)


def load_strategy(settings: GenerateSettings) -> Strategy:
    """The strategy that the config names, with its saved state: a built-in one, or `FILE.py:NAME`, a subclass of Strategy that takes no
    arguments, or one made of it. The file is yours, and is run like other Python of yours. Raises UsageError for what cannot be used."""
    strategy = _named(settings)
    if settings.state is not None:
        strategy.load(settings.state)
    return strategy


def _named(settings: GenerateSettings) -> Strategy:
    if settings.strategy == "LearnFromError":
        return LearnFromError(reference=settings.reference, repairs=settings.repairs)
    if settings.strategy == "LearnFromContrast":
        return LearnFromContrast(reference=settings.reference, repairs=settings.repairs, contrasts=settings.contrasts)
    path, _, name = settings.strategy.rpartition(":")
    if path.endswith(".py"):
        return _from_file(Path(path).expanduser(), name)
    raise UsageError(f"there is no strategy {settings.strategy!r}; choose LearnFromError, LearnFromContrast or FILE.py:NAME")


def _from_file(path: Path, name: str) -> Strategy:
    if not path.is_file():
        raise UsageError(f"strategy {path}:{name}: there is no file {path}; paths start from where the command runs")
    spec = importlib.util.spec_from_file_location(f"strategy_{path.stem}", path)
    assert spec and spec.loader  # of a name that ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # annotations that are strings are looked up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UsageError(f"strategy {path}:{name}: {path} fails with {_line(error)}") from error
    found = getattr(module, name, None)
    if isinstance(found, type) and issubclass(found, Strategy):
        own: Any = found
        try:
            found = own()
        except Exception as error:
            raise UsageError(f"strategy {path}:{name}: making one fails with {_line(error)}") from error
    if not isinstance(found, Strategy):
        what = "is not there" if found is None else f"is {type(found).__name__}"
        raise UsageError(f"strategy {path}:{name}: {name!r} {what}; give a subclass of errata.programs.Strategy, or one made of it")
    return found


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def pinned(config: CycleConfig) -> CycleConfig:
    """The config with the hash of its strategy's state, as it is now. Raises UsageError when the file is none."""
    state = config.generate.state
    found = None if state is None else content_hash(_read_state(Path(state)))
    return config.model_copy(update={"generate": config.generate.model_copy(update={"state_hash": found})})


def _read_state(path: Path) -> dict[str, dict[str, Any]]:
    """The state of each predictor, without what DSPy adds of the versions it was saved with."""
    try:
        state = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"strategy state {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"strategy state {path} is not JSON; give a file that errata optimize or Strategy.save wrote") from error
    if not isinstance(state, dict):
        raise UsageError(f"strategy state {path} must be a mapping of predictors to states; give a file that Strategy.save wrote")
    state.pop("metadata", None)
    for name, one in state.items():
        signature = one.get("signature") if isinstance(one, dict) else None
        if (
            not isinstance(signature, dict)
            or not isinstance(signature.get("instructions"), str)
            or not isinstance(signature.get("fields"), list)
            or not isinstance(one.get("demos"), list)
            or not one.keys() <= {"traces", "train", "demos", "signature", "lm"}
        ):
            raise UsageError(f"strategy state {path}: {name} is no saved predictor; give a file that Strategy.save wrote")
        if one.get("lm"):
            raise UsageError(f"strategy state {path}: {name} brings a model of its own; set its lm to null, and name it with --instructor")
    return state


def _is_demo(demo: Any, signature: Any) -> bool:
    return isinstance(demo, dict) and set(demo) <= {*signature.fields, "augmented"}
