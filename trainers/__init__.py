"""Floor 2: the only place with torch, transformers, trl and peft. `settings` is light, the other modules not."""

from typing import TYPE_CHECKING

from .settings import TargetSettings

if TYPE_CHECKING:
    from .served import ServedTarget
    from .target import Target

__all__ = ["open_target"]


def open_target(settings: TargetSettings) -> "Target | ServedTarget":
    """The target that the settings name, ready to answer: loaded in this process, or found at its server. Raises TargetError."""
    if settings.api_base:
        from .served import ServedTarget

        return ServedTarget.connect(settings)
    from .target import Target

    return Target.load(settings)
