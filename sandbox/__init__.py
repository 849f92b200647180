"""The trust border: runs untrusted Python under limits and hands back JSON rows. `open_sandbox()` is the door; see
pool.py."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .guest import MODULES
    from .limits import Limits
    from .pool import Job, Sandbox, open_sandbox
    from .process import MEND

__all__ = ["MEND", "MODULES", "Job", "Limits", "Sandbox", "open_sandbox"]


def __getattr__(name: str) -> Any:
    # Lazy, because the worker processes import this package too and need none of pool.py.
    if name in __all__:
        from . import guest, pool, process

        return getattr({"MODULES": guest, "MEND": process}.get(name, pool), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
