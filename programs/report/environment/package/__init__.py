"""An environment that `errata export --environment` wrote: problems without end, each with a computed answer, and what an answer is worth.

It needs no Errata. `Environment` gives rows, `draw` one row of a program, `score` the worth of an answer; `dataset` and `reward_funcs` are
for TRL, `procedural_dataset` for reasoning-gym, `load_environment` for verifiers up to 0.3. For verifiers from 0.4 on this package exports
its taskset. Programs run in this process: read README.md first.
"""

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from .adapters import dataset, load_environment, procedural_dataset, reward, reward_funcs
from .rows import LEVELS, PROGRAMS, PROVENANCE, Environment, draw, score

__all__ = [
    "LEVELS",
    "PROGRAMS",
    "PROVENANCE",
    "Environment",
    "dataset",
    "draw",
    "load_environment",
    "procedural_dataset",
    "reward",
    "reward_funcs",
    "score",
]
TASKSET = ("ErrataTaskset", "ErrataHarness")
try:
    if tuple(map(int, version("verifiers").split(".")[:2])) >= (0, 4):
        __all__ += TASKSET  # its loader looks for them here
except (PackageNotFoundError, ValueError):
    pass


def __getattr__(name: str) -> Any:
    """The taskset is imported when verifiers asks for it."""
    if name in TASKSET and name in __all__:
        from . import taskset

        return getattr(taskset, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
