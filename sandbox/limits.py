"""What one program may use, and the check of what comes back of it.

The worker enforces `Limits` while a program runs. The answer is untrusted all the same, because the program shares its interpreter with
what writes the answer: `judge` looks at every byte again, in this process. What is not here: how a program is run (pool.py, worker.py),
and whether a row makes sense to who asked for it.
"""

import json
from dataclasses import dataclass
from typing import Any

from ..signatures.errors import SandboxError
from ..signatures.records import ProgramRun

DEPTH = 64
"""Deepest nesting of lists and dicts in a row."""
SLACK = 64 << 10
"""Bytes that an answer may take beside its rows."""


@dataclass(frozen=True)
class Limits:
    """What one program may use."""

    seconds: float = 10.0
    """Wall-clock time for loading the program and running the harness, seconds."""
    memory_mb: int = 256
    """Memory, MiB; the interpreter itself takes 25 of them."""
    output_bytes: int = 4 << 20
    """All rows together, as JSON bytes."""
    rows: int = 100_000
    """Number of rows."""
    print_bytes: int = 1 << 20
    """What it may print on both streams together, bytes; the last 2,000 characters are kept in `stderr_tail`."""

    def __post_init__(self) -> None:
        for name, least, most in (
            ("seconds", 0.05, 3600),
            ("memory_mb", 32, 4096),
            ("output_bytes", 2, 256 << 20),
            ("rows", 0, 10**7),
            ("print_bytes", 0, 256 << 20),
        ):
            if not least <= getattr(self, name) <= most:
                raise SandboxError(f"the limit {name} is {getattr(self, name)}: it must be from {least} to {most}")


def judge(answer: bytes, seconds: float, limits: Limits) -> ProgramRun:
    """The run that an answer tells of; believes nothing that it did not check."""
    status = answer[:1]
    if status in b"TK" and status:
        return ProgramRun(outcome="timeout", seconds=seconds, error=f"it ran longer than {limits.seconds:g} s")
    if status == b"M":
        return ProgramRun(outcome="memory", seconds=seconds, error=f"{limits.memory_mb} MiB do not hold the interpreter")
    if status == b"O":
        return ProgramRun(outcome="output", seconds=seconds, error=f"its answer takes more than {limits.output_bytes} bytes")
    if status != b"G":
        what = _clean(answer[1:].decode("utf-8", "replace"), 300) or "its process ended"
        return ProgramRun(outcome="crash", seconds=seconds, error=f"the program destroyed its interpreter: {what}")
    try:
        frame = json.loads(answer[1:], parse_constant=_no_constant)
        outcome, error, tail, rows = (frame[name] for name in ("outcome", "error", "tail", "rows"))
        if not (
            outcome in ("ok", "error", "memory", "output") and isinstance(error, str) and isinstance(tail, str) and isinstance(rows, list)
        ):
            raise ValueError(outcome)
    except (ValueError, KeyError, TypeError, RecursionError):
        return ProgramRun(outcome="crash", seconds=seconds, error="what the program left behind is not an answer")
    if outcome == "ok":
        outcome, error = _fault(rows, len(answer), limits) or ("ok", "")
    return ProgramRun(
        outcome=outcome,
        rows=tuple(rows) if outcome == "ok" else (),
        seconds=seconds,
        error=_clean(error, 1000),
        stderr_tail=_clean(tail[-2000:], 2000),
    )


def _fault(rows: list[Any], size: int, limits: Limits) -> tuple[str, str] | None:
    """What is wrong with rows that claim to be fine, as (outcome, error)."""
    if len(rows) > limits.rows:
        return "output", f"it yielded more than {limits.rows} rows"
    if size > limits.output_bytes + SLACK:
        return "output", f"its rows take more than {limits.output_bytes} bytes"
    for index, row in enumerate(rows):
        if not _shallow(row, DEPTH):
            return "error", f"row {index} is nested more than {DEPTH} deep"
    try:
        json.dumps(rows, allow_nan=False, ensure_ascii=False).encode()  # 1e999 and lone surrogates stand in valid JSON
    except ValueError:
        for index, row in enumerate(rows):
            try:
                json.dumps(row, allow_nan=False, ensure_ascii=False).encode()
            except UnicodeEncodeError:
                return "error", f"row {index} holds a lone surrogate"
            except ValueError:
                return "error", f"row {index} holds a number that is not finite"
    return None


def _shallow(value: Any, left: int) -> bool:
    if type(value) is dict:
        value = value.values()
    elif type(value) is not list:
        return True
    return left > 0 and all(_shallow(item, left - 1) for item in value if type(item) in (dict, list))


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _clean(text: str, length: int) -> str:
    """The first `length` characters, fit to be printed: no lone surrogates, no terminal escapes."""
    text = text[:length]
    return text if text.isprintable() else "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)
