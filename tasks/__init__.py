"""Tasks: what is asked and how it is judged. `load_task` turns a name into a task; imports are light (no torch, no
datasets)."""

import difflib
from pathlib import Path

from ..signatures.errors import UsageError
from .base import Task
from .doctor import Finding, doctor

__all__ = ["Finding", "Task", "doctor", "load_task"]


def load_task(name: str) -> Task:
    """The task called `sums`, `sums_plus` or `gsm8k:PATH` (a JSONL file, or a folder with train.jsonl, test.jsonl,
    dev.jsonl).

    Raises UsageError for an unknown name, naming the nearest one, and TaskError for unusable data.
    """
    kind, _, path = name.partition(":")
    if kind == "gsm8k":
        if not path:
            raise UsageError("task gsm8k needs its data: write gsm8k:PATH, a JSONL file or a folder with train.jsonl and test.jsonl")
        from .gsm8k import Gsm8k

        return Gsm8k(Path(path).expanduser())
    from .sums import SUMS, SUMS_PLUS

    tasks: dict[str, Task] = {"sums": SUMS, "sums_plus": SUMS_PLUS}
    if name in tasks:
        return tasks[name]
    known = [*tasks, "gsm8k:PATH"]
    near = difflib.get_close_matches(kind.lower(), ["sums", "sums_plus", "gsm8k"], n=1, cutoff=0.5)
    hint = f"did you mean {'gsm8k:PATH' if near == ['gsm8k'] else near[0]}? " if near else ""
    raise UsageError(f"no task is called {name!r}: {hint}known tasks are {', '.join(known)}")
