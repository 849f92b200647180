"""The trust border: runs untrusted Python under limits and hands back JSON rows. `open_sandbox()` is the door; see
pool.py."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .guest import MODULES
    from .pool import Job, Limits, Sandbox, open_sandbox

__all__ = ["MODULES", "Job", "Limits", "Sandbox", "open_sandbox"]


def __getattr__(name: str) -> Any:
    # Lazy, because the worker processes import this package too and need none of pool.py.
    if name == "MODULES":
        from .guest import MODULES

        return MODULES
    if name in __all__:
        from . import pool

        return getattr(pool, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
