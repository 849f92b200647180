"""Floor 2: the only place with torch, transformers, trl and peft.

`settings`, `weights`, `chat` and `served` load none of them; the other modules do.
"""

import os
from collections.abc import Callable

from ..signatures.errors import TargetError
from .chat import AnyTarget
from .settings import AUTO, TargetSettings

__all__ = ["open_target"]

# Read by libraries when they are loaded, here and in child processes. Threads that wait must not spin: on a busy machine two of them stand
# still. And nothing is sent that the user did not ask for.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


def open_target(
    settings: TargetSettings, say: Callable[[str], None] = lambda line: None, away: Callable[[str], bool] = lambda address: False
) -> AnyTarget:
    """The target that the settings name, ready to answer: loaded in this process, or found at its servers, of which `say` is told, in a
    line, when one is left out or back, and `away` is asked, where Errata started them, whether one is started again. Raises TargetError."""
    if settings.api_base == AUTO:
        raise TargetError("target.api_base auto is for runs, which start the servers: give the addresses of servers, or null")
    if settings.api_base:
        from .served.target import ServedTarget

        return ServedTarget.connect(settings, say=say, away=away)
    from .target import Target

    return Target.load(settings)
