"""One word for each party that can fail, and the exit code that the command line gives it.

Stages raise these with a message of one line that states the fact, the cause and the next act. Everything else keeps its
traceback: it is a bug of Errata's.
"""

import difflib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


class ErrataError(Exception):
    """Something that the user can fix; the command line prints it in one line, without a traceback."""

    exit_code = 1

    @property
    def parts(self) -> tuple[str, str]:
        """The fact with its cause, and the next act, which stands behind the last semicolon; empty where the message names none."""
        fact, _, act = str(self).rpartition("; ")
        return (fact, act) if fact else (act, "")


class UsageError(ErrataError):
    """A wrong flag, name or config value: nothing was started."""

    exit_code = 2


class TaskError(ErrataError):
    """A data file or a task's gold answers are not usable."""


class TargetError(ErrataError):
    """The target model cannot be loaded or cannot generate."""


class InstructorError(ErrataError):
    """The instructor cannot be reached or cannot answer."""


class SandboxError(ErrataError):
    """The sandbox itself (not the program in it) is unusable."""


class TrainerError(ErrataError):
    """Training was refused or failed."""


class ClusterError(ErrataError):
    """The cluster cannot be reached, or has no node that can do the work."""


class RunError(ErrataError):
    """The run directory cannot be used: another config, another process, a damaged or unwritable file."""


class NoRunError(UsageError, RunError):
    """What is named as a run is none."""


class BusyError(RunError):
    """Another process is working on the run directory."""


class BudgetReached(ErrataError):
    """A cap that the user set (calls, tokens, cost, time) is reached; what is done is kept."""

    exit_code = 4


def kind_of(error: ErrataError) -> str:
    """The name of its kind here: another process raises it again as `getattr(errors, name)`."""
    return next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == __name__)


def did_you_mean(word: str, known: Iterable[str], quote: str = "") -> str:
    """`; did you mean X?` with the near word, or nothing: the end of a message about a word that is not known."""
    found = near(word, known)
    return f"; did you mean {quote}{found}{quote}?" if found else ""


def near(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most like this one, whatever the case; None when none is like it."""
    low = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), low, n=1, cutoff=0.5)
    return low[found[0]] if found else None


def places_near(path: Path, name: str, what: str) -> str:
    """`; WHAT near it: A, B, ...`, with folders that hold a file of this name in a place, or else around it, or beside it: the end of a
    message about a place that is none."""
    found: list[Path] = []
    with suppress(OSError):  # a name that is too long, a folder that may not be looked into
        around = [folder for folder in (*path.parents, *path.absolute().parents) if (folder / name).is_file()]
        inside, beside = (sorted(file.parent for file in folder.glob(f"*/{name}")) for folder in (path, path.parent))
        found = inside or around[:1] or beside
    more = ", ..." if found[3:] else ""
    told = f"; {what} near it: {', '.join(map(str, found[:3]))}{more}" if found else ""
    return told + did_you_mean(path.name, [place.name for place in found])


def with_extra(name: str) -> str:
    """What installs an extra. The package is on no index yet, and `errata` there is another project's."""
    return f"pip install -e '.[{name}]' in a checkout of Errata"


def first_line(error: BaseException) -> str:
    """Type and first words of an error of a library's."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines[:2])[:300]}"


def memory_ran_out(error: BaseException) -> bool:
    """CUDA has a type for it, a RuntimeError; all say it in words."""
    words = ("DefaultCPUAllocator", "out of memory", "Invalid buffer size", "ALLOC_FAILED")
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(word in str(error) for word in words))
