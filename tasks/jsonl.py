"""Reads JSON lines, and says in one line what is wrong with a file that is none.

Lines end at "\\n" alone: U+2028 and U+0085 may stand inside strings. A byte order mark and blank lines are skipped. It
does not cover compressed files or files larger than memory.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..signatures.errors import TaskError
from ..signatures.records import whole

DEPTH = 64
"""Deepest nesting of lists and objects in a row."""


def read_jsonl(path: Path, fields: tuple[str, ...]) -> list[tuple[int, dict[str, Any]]]:
    """(line number, row) of each line; every row holds `fields` as non-empty text.

    Raises TaskError, naming file, line, fault and remedy, for a missing, unreadable, empty or malformed file.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise TaskError(f"{path}: no such file; give the path of a JSONL file or of a folder that holds train.jsonl") from None
    except OSError as error:
        raise TaskError(f"{path}: cannot be read ({error.strerror}); give a JSONL file that you may read") from None
    rows = []
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if line.strip():
            rows.append((number, _row(path, number, line, fields)))
    if not rows:
        raise TaskError(f"{path}: holds no rows; give a JSONL file with one JSON object a line")
    return rows


def _row(path: Path, number: int, line: bytes, fields: tuple[str, ...]) -> dict[str, Any]:
    where = f"{path}, line {number}"
    try:
        row = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise TaskError(f"{where}: byte {error.start + 1} is not UTF-8; save the file as UTF-8") from None
    except (ValueError, RecursionError) as error:
        # A plain ValueError is an integer of thousands of digits.
        what = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply or a number too long"
        raise TaskError(f"{where}: not JSON ({what}); each line must be one JSON object, mend or delete this one") from None
    refuse_odd(where, line, row, "line")
    if not isinstance(row, dict):
        raise TaskError(f"{where}: {type(row).__name__} instead of an object; each line must be one JSON object")
    for field in fields:
        if field not in row:
            there = ", ".join(map(repr, row)) or "none"
            raise TaskError(f"{where}: field {field!r} is missing (fields there: {there}); add it or delete the line")
        if not isinstance(row[field], str) or not row[field].strip():
            raise TaskError(f"{where}: field {field!r} must be text that is not empty, it is {json.dumps(row[field])[:40]}")
    return row


def refuse_odd(where: str, data: bytes, value: Any, what: str) -> None:
    """Raise TaskError where the value that `data` is the JSON of cannot be a part of records: it is nested too deeply, or holds half a
    character, which is no UTF-8."""
    if data.count(b"[") + data.count(b"{") > DEPTH and _deep(value, DEPTH):
        raise TaskError(f"{where}: nested more than {DEPTH} deep; mend or delete this {what}")
    if rb"\ud" in data.lower() and whole(value) != value:
        raise TaskError(f"{where}: half of a surrogate pair (\\ud800 and its like) is no text; mend or delete this {what}")


def _deep(value: Any, left: int) -> bool:
    inner: Iterable[Any] = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(left == 0 or _deep(one, left - 1) for one in inner)
