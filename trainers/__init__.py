"""Floor 2: the only place with torch, transformers, trl and peft.

`settings`, `weights`, `chat` and `served` load none of them; the other modules do.
"""

from .chat import AnyTarget
from .settings import TargetSettings

__all__ = ["open_target"]


def open_target(settings: TargetSettings) -> AnyTarget:
    """The target that the settings name, ready to answer: loaded in this process, or found at its server. Raises TargetError."""
    if settings.api_base:
        from .served import ServedTarget

        return ServedTarget.connect(settings)
    from .target import Target

    return Target.load(settings)
