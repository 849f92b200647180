"""Floor 3: the dspy.Modules and the loop. This is the public face: `from errata.programs import Cycle, LearnFromError`.

Names are imported when they are first asked for, so that the command line's `--help` loads neither dspy nor torch.
"""

from importlib import import_module
from typing import Any

_FACE = {
    "Cycle": "cycle",
    "CycleConfig": "config",
    "load_config": "config",
    "RunDir": "rundir",
    "Stage": "rundir",
    "Strategy": "strategy",
    "LearnFromError": "strategy",
    "LearnFromContrast": "strategy",
    "LearnFromClusters": "clusters",
    "Fuse": "fuse",
    "Mix": "mix",
    "Mimic": "controls",
    "GoldOnly": "controls",
    "Uniform": "controls",
    "load_strategy": "strategies",
    "Diagnose": "diagnose",
    "Write": "write",
    "with_contrasts": "contrast",
    "Encoder": "contrast",
    "prove": "checks",
    "decide": "gate",
    "paired": "gate",
    "open_instructor": "instructor",
    "instructed_by": "instructor",
    "Ledger": "ledger",
    "Budget": "ledger",
    "SandboxInterpreter": "interpreter",
    "Lineage": "trace",
    "Plain": "module",
    "answers": "module",
    "metric": "module",
    "mine_module": "module",
    "trainset": "module",
    "target_lm": ".trainers.provider",
    "weights_of": ".trainers.provider",
}
__all__ = sorted(_FACE)


def __getattr__(name: str) -> Any:
    if name not in _FACE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_FACE[name]}", __name__), name)
