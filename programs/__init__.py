"""Floor 3: the dspy.Modules and the loop. This is the public face: `from errata.programs import Cycle, LearnFromError`.

Names are imported when they are first asked for, so that the command line's `--help` loads neither dspy nor torch.
"""

from importlib import import_module
from typing import Any

_FACE = {
    "Cycle": "cycle",
    "CycleConfig": "config",
    "load_config": "config",
    "RunDir": "run.directory",
    "Stage": "run.directory",
    "Strategy": "strategies.strategy",
    "LearnFromError": "strategies.strategy",
    "LearnFromContrast": "strategies.strategy",
    "LearnFromClusters": "strategies.clusters",
    "Fuse": "strategies.fuse",
    "Mix": "strategies.mix",
    "Mimic": "strategies.controls",
    "FormOnly": "strategies.controls",
    "GoldOnly": "strategies.controls",
    "Uniform": "strategies.controls",
    "load_strategy": "strategies.named",
    "Diagnose": "strategies.diagnose",
    "Write": "strategies.write",
    "with_contrasts": "strategies.contrast",
    "Encoder": "strategies.contrast",
    "prove": "samples.checks",
    "decide": "steps.gate",
    "paired": "stats",
    "open_instructor": "instructor.engine",
    "instructed_by": "instructor.chat",
    "Ledger": "run.ledger",
    "Budget": "config",
    "SandboxInterpreter": "instructor.interpreter",
    "Lineage": "report.trace",
    "PlainAdapter": "module",
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
