"""The saved state of a strategy: the instructions and demonstrations that an optimizer found, as JSON in DSPy's own form.

A state never holds a model, its address or its key. What is not here: how it is found (errata.programs.studies.optimize).
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
from dspy.primitives.code_interpreter import CodeInterpreterError
from dspy.utils.saving import get_dependency_versions
from pydantic import BaseModel, ConfigDict, TypeAdapter

from ...signatures.errors import UsageError
from ...signatures.records import content_hash, whole
from ..config import CycleConfig
from ..patterns.chosen import meant
from ..run import layout, library
from ..run.directory import read_config, to_json, write_atomic


class _Field(BaseModel):
    prefix: str
    description: str


class _Signature(BaseModel):
    instructions: str
    fields: list[_Field]


class _Predictor(BaseModel):
    model_config = ConfigDict(extra="forbid")
    signature: _Signature
    demos: list[Any]
    traces: Any = None
    train: Any = None
    lm: Any = None


class _Code(BaseModel):
    """Of dspy.Flex: code that an optimizer wrote. It runs in the sandbox only."""

    model_config = ConfigDict(extra="forbid")
    module_src: str
    lm: Any


_SAVED: TypeAdapter[_Predictor | _Code] = TypeAdapter(_Predictor | _Code)


def save(strategy: dspy.Module, path: Path) -> None:
    """Write the state of `strategy`, whole or not at all."""
    state = strategy.dump_state()
    for one in state.values():
        one["lm"] = None
    write_atomic(path, to_json(state | {"metadata": {"dependency_versions": get_dependency_versions()}}))


def load(strategy: dspy.Module, path: Path) -> None:
    """Put a state that `save` wrote into `strategy`. Raises UsageError for another file, or for the state of another strategy."""
    state = _read(path)
    name = type(strategy).__name__
    parameters = dict(strategy.named_parameters())
    if state.keys() != parameters.keys():
        held = ", ".join(sorted(state)) or "nothing"
        raise UsageError(f"strategy state {path} holds {held}, but {name} needs {', '.join(sorted(parameters))}")
    for part, parameter in parameters.items():
        if isinstance(parameter, dspy.Flex) != ("module_src" in state[part]):
            raise UsageError(f"strategy state {path}: {part} is code either there or in {name}, but not in both; optimize it again")
    for part, predictor in strategy.named_predictors():
        saved, fields = state[part], predictor.signature.fields
        known = all(isinstance(demo, dict) and demo.keys() <= {*fields, "augmented"} for demo in saved["demos"])
        if len(saved["signature"]["fields"]) != len(fields) or not known:
            raise UsageError(f"strategy state {path}: {part} has other fields than that of {name}; optimize it again")
    try:
        strategy.load_state(state)
    except (SyntaxError, CodeInterpreterError) as error:
        raise UsageError(f"strategy state {path}: its code cannot be read ({error}); optimize it again") from error


def held(name: str, run: Path | None) -> Path:
    """The file of a state; where it is gone, the copy of a run that was begun with it."""
    file, copy = Path(os.path.expanduser(name)), (run or Path()) / layout.STATE  # noqa: PTH111  # never raises
    return copy if run and not file.exists() and copy.exists() and read_config(run).generate.state == name else file


def keep(name: str | None, run: Path, say: Callable[[str], None]) -> None:
    """Copy the state, where there is one, into the run, or say that the copy counts."""
    if name is not None and (file := held(name, run)) != run / layout.STATE:
        write_atomic(run / layout.STATE, file.read_bytes())
    elif name is not None:
        say(f"strategy state: the copy that the run keeps counts, {run / layout.STATE}")


def pinned(config: CycleConfig, run: Path | None = None) -> CycleConfig:
    """The config with the hashes of its strategy's state, its library and its choice of patterns, as they are now or as `run` has taken
    them. Raises UsageError when the file is not a state, where there is no library, or when a file of patterns cannot be used."""
    state, lent, chosen = config.generate.state, config.generate.library, config.generate.patterns
    found = {"library_hash": None, "state_hash": None if state is None else content_hash(_read(held(state, run)))}
    if lent is not None:
        taken = layout.source(run, 1) if run else None
        found["library_hash"] = taken["hash"] if taken and taken["path"] == str(Path(lent)) else library.read(Path(lent)).hash
    found["patterns_hash"] = None if chosen is None else meant(chosen, config.generate.patterns_hash, run)[0].hash
    return config.model_copy(update={"generate": config.generate.model_copy(update=found)})


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """The state of each predictor, without the versions that it was saved with."""
    try:
        state = whole(json.loads(path.expanduser().read_bytes()))
    except OSError as error:
        raise UsageError(f"strategy state {path} cannot be read: {error.strerror}; a run begun with it goes on by --run RUN") from error
    except (ValueError, RuntimeError) as error:
        raise UsageError(f"strategy state {path} is not JSON; give a file that errata optimize or Strategy.save wrote") from error
    if not isinstance(state, dict):
        raise UsageError(f"strategy state {path} must be a mapping of predictors to states; give a file that Strategy.save wrote")
    state.pop("metadata", None)
    for name, one in state.items():
        try:
            saved = _SAVED.validate_python(one)
        except ValueError as error:
            raise UsageError(f"strategy state {path}: {name} is not a saved predictor; give a file that Strategy.save wrote") from error
        if saved.lm:
            raise UsageError(f"strategy state {path}: {name} brings a model of its own; set its lm to null, and name it with --instructor")
    return state
