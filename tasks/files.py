"""From a file to its rows: JSON lines, JSON, CSV, TSV or parquet, in UTF-8 or UTF-16, also packed by gzip, bzip2, xz or zstd.

What a file is, is told by what stands in it; its name decides only that a text is a table (.csv, .tsv). A single JSON object that holds the
rows in a list ({"data": [...]}), or a list for each split ({"train": [...], "test": [...]}), is opened. What is not read (archives,
workbooks, other encodings, broken files) is refused with what to do. It does not cover folders (errata.tasks.rows), nor files larger than
memory that are one JSON document.
"""

import bz2
import csv
import gzip
import io
import itertools
import json
import lzma
import re
import shlex
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..signatures.errors import TaskError
from ..signatures.records import whole

Row = dict[str, Any]
NAMES = {"train": ("train",), "dev": ("dev", "validation", "val", "valid"), "test": ("test",)}
"""Our splits, and what others call them."""
ENDING = re.compile(r"(?i)\.(jsonl|ndjson|json|parquet|csv|tsv)(\.(gz|bz2|xz|zst))?$")
"""How the name of a file with rows ends."""
CONTAINERS = ("data", "rows", "examples", "items", "instances", "records", "results", "questions", "predictions")
_PARTS = ("messages", "conversations", "conversation", "prompt", "choices", "outputs", "output", "candidates", "content")
"""Lists of objects that are a part of one row: chats, options, a server's reply."""
_MARK = b"\xef\xbb\xbf"
DEPTH = 64
"""Deepest nesting of lists and objects in a row."""
csv.field_size_limit(1 << 30)


def _zstd(path: Path) -> Any:
    import pyarrow

    return pyarrow.CompressedInputStream(str(path), "zstd")


_PACKED: dict[bytes, Callable[[Path], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open, b"(\xb5/\xfd": _zstd}
"""First bytes of a packed file -> what unpacks it."""
_REFUSED = {
    b"PK\x03\x04": "is a zip archive or a workbook; unpack it and give what it holds, or save the sheet as CSV in UTF-8",
    b"\xd0\xcf\x11\xe0": "is a workbook of Excel; save the sheet as CSV in UTF-8",
    b"ARROW1": "is an Arrow file; write it with datasets' to_parquet or to_json",
    b"\xff\xff\xff\xff": "is an Arrow file; write it with datasets' to_parquet or to_json",
    b"FEA1": "is an Arrow file; write it with datasets' to_parquet or to_json",
    **{bytes([0x80, protocol]): "is a pickle, which could run code; write the rows as JSON lines" for protocol in range(2, 6)},
    b"SQLite": "is a database; write the table as CSV in UTF-8",
    b"version https://git-lfs": "is a pointer of Git LFS, not the file itself; fetch it with `git lfs pull`, or download it again",
    **dict.fromkeys((b"7z\xbc\xaf", b"Rar!"), "is an archive; unpack it and give what it holds"),
    **dict.fromkeys((b"\x04\x22M\x18", b"\xffLZ4", b"\x1f\x9d"), "is packed in a way that is not read; unpack it, or pack it with gzip"),
    **dict.fromkeys(
        (b"ORC", b"Obj\x01", b"\x93NUMPY", b"\x89HDF", b"%PDF"), "is in a format that is not read; write the rows as JSON lines or parquet"
    ),
    **dict.fromkeys((b"<!DOCTYPE", b"<!doctype", b"<html"), "is a web page, not the data; download the file itself"),
}
"""First bytes of what is not read -> what it is; what to do."""


def values(path: Path) -> Iterator[tuple[str, str, Any]]:
    """(split, where, value) of what a file holds, one by one; the split is empty where the file names none. Raises TaskError, naming file,
    line, fault and remedy."""
    found = map(_shallow, _values(path))
    first, second = next(found, None), next(found, None)
    if first is None:
        raise TaskError(f"{path}: holds no rows; give a file with rows, e.g. JSON lines, one object a line")
    if second is None and isinstance(first[1], dict):
        yield from _opened(path, *first)
        return
    for where, value in itertools.chain([first], [second] if second else [], found):
        yield "", where, value


def rows(path: Path) -> Iterator[tuple[str, str, Row]]:
    """(split, where, row) of each row of a file. Raises TaskError also for what cannot be a part of records."""
    for split, where, row in values(path):
        if not isinstance(row, dict):
            raise TaskError(f"{where}: {type(row).__name__} instead of an object; each line must be one JSON object")
        if whole(row) != row:
            raise TaskError(f"{where}: half of a surrogate pair (\\ud800 and its like) is not text; mend or delete this row")
        yield split, where, row


def _opened(path: Path, where: str, value: Row) -> Iterator[tuple[str, str, Any]]:
    """What a single object holds: rows in a list, a list for each split, or itself."""
    lists = [name for name, inner in value.items() if isinstance(inner, list) and inner and all(isinstance(row, dict) for row in inner)]
    splits = {theirs: ours for ours, names in NAMES.items() for theirs in names}
    parts = lists if len(lists) == len(value) and splits.keys() >= value.keys() else [name for name in lists if name in CONTAINERS]
    if not parts and len(value) == 1 and not value.keys() & {*_PARTS}:
        parts = lists  # under any name, if there is nothing else
    inner = list(value.values())
    if len(inner) > 1 and all(isinstance(one, dict) and not any(map(str.isdigit, one)) for one in inner) and all(map(str.isdigit, value)):
        yield from (("", f"{path}, {name}", row) for name, row in value.items())  # rows by their number
        return
    columns = all(isinstance(one, dict) and one.keys() == inner[0].keys() for one in inner)
    columns |= not lists and all(isinstance(one, list) and len(one) == len(inner[0]) for one in inner)
    if columns and not parts and len(inner) > 1:
        raise TaskError(f"{path}: holds columns, not rows, or rows by their keys; write it row by row: pandas' to_json(orient='records')")
    if not parts or "question" in value or (len(parts) > 1 and parts[0] in CONTAINERS):
        yield "", where, value
        return
    for name in parts:
        for number, row in enumerate(value[name], start=1):
            yield splits.get(name, ""), f"{path}, {name}, row {number}", row


def _values(path: Path) -> Iterator[tuple[str, Any]]:
    """(where, value): rows of a table, lines of JSON lines, elements of a JSON list, or one JSON document."""
    lines = enumerate(_lines(path), start=1)
    first = next(((number, line) for number, line in lines if line.strip()), None)
    if first is None:
        return
    number, line = first
    found = ENDING.search(path.name)
    ending = found[1].lower() if found else ""
    if ending == "parquet" or line.startswith(b"PAR1"):
        yield from _parquet(path, b"".join([line, *(line for _, line in lines)]))
        return
    if ending in ("csv", "tsv"):
        yield from _table(path, number, itertools.chain([first], lines), ",;\t" if ending == "csv" else "\t,;")
        return
    where = f"{path}, line {number}"
    value, fault = _line(path, *first)
    if isinstance(value, dict):
        yield where, value
        for number, line in lines:
            if line.strip():
                value, fault = _line(path, number, line)
                if fault:
                    raise fault
                yield f"{path}, line {number}", value
        return
    # not JSON lines: one document, over one line or many
    text = "".join(_text(path, at, one) for at, one in itertools.chain([first], lines))
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        lines_of_json = ending != "json" and not line.startswith(b"[") and len(line.strip()) > 2
        if fault is None or lines_of_json or not isinstance(error, json.JSONDecodeError):
            raise fault or TaskError(f"{where}: {type(value).__name__} instead of an object; each line must be one JSON object") from None
        more = "a second document begins; put one object on each line" if error.msg == "Extra data" else f"{error.msg}; mend the file"
        raise TaskError(f"{path}, line {number + error.lineno - 1}: not JSON: {more}") from None
    if isinstance(document, list) and not (document and not isinstance(document[0], dict)):
        yield from ((f"{path}, row {number}", row) for number, row in enumerate(document, start=1))
    else:
        yield where, document


def _line(path: Path, number: int, line: bytes) -> tuple[Any, TaskError | None]:
    """The JSON value of a line, or why there is none."""
    try:
        return json.loads(_text(path, number, line.removeprefix(_MARK))), None  # also where files were put together
    except (ValueError, RecursionError) as error:
        # a plain ValueError is an integer of thousands of digits
        what = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply or a number too long"
        if b"\0" in line:
            what = "it holds NUL bytes, as UTF-16 does"
        return None, TaskError(f"{path}, line {number}: not JSON ({what}); each line must be one JSON object, mend or delete this one")


def _text(path: Path, number: int, line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        # in texts of Western languages letters beyond ASCII stand alone
        west = not re.search(rb"[\x80-\xff]{2}", line)
        looks, name = (", the file looks like Windows-1252", "WINDOWS-1252") if west else ("", "ITS_ENCODING")
        mend = f"save it as UTF-8, e.g. iconv -f {name} -t UTF-8 {shlex.quote(str(path))} > utf8{path.suffix}"
        raise TaskError(f"{path}, line {number}: byte {error.start + 1} is not UTF-8{looks}; {mend}") from None


def _lines(path: Path) -> Iterator[bytes]:
    r"""Lines of a file with their ends, unpacked, in UTF-8, without a byte order mark. They end at \n alone: U+2028 and U+0085 may stand
    inside strings."""
    unpack: Callable[[Path], Any] | None = None
    try:
        with path.open("rb") as file:
            head = file.read(512)
        _known(path, head)
        unpack = next((opener for magic, opener in _PACKED.items() if head.startswith(magic)), None)
        opened = io.BufferedReader(unpack(path)) if unpack else path.open("rb")
        with opened as file:
            if unpack:
                _known(path, head := file.peek(512))
            if unpack and any(head.startswith(magic) for magic in _PACKED):
                raise TaskError(f"{path}: is packed twice; unpack it once")
            first = file.readline()
            if first[:2] in (b"\xff\xfe", b"\xfe\xff"):
                yield from io.BytesIO((first + file.read()).decode("utf-16").encode())
                return
            yield first.removeprefix(_MARK)
            yield from file
    except FileNotFoundError:
        raise TaskError(f"{path}: no such file; give the path of a file with rows, or of a folder that holds train.jsonl") from None
    except (EOFError, OSError, ValueError, zlib.error, lzma.LZMAError) as error:
        if unpack is None and isinstance(error, OSError):
            raise TaskError(f"{path}: cannot be read ({error.strerror}); give a file that you may read") from None
        raise TaskError(f"{path}: is damaged ({' '.join(str(error).split())[:80]}); copy or pack the file again") from None


def _known(path: Path, head: bytes) -> None:
    """Raises TaskError for the first bytes of a file that is not read."""
    refused = next((said for magic, said in _REFUSED.items() if head.startswith(magic)), None)
    if refused is None and head[257:262] == b"ustar":
        refused = "is an archive; unpack it and give what it holds"
    if refused:
        raise TaskError(f"{path}: {refused}")


def _table(path: Path, start: int, lines: Iterator[tuple[int, bytes]], delimiters: str) -> Iterator[tuple[str, Row]]:
    """Rows of a CSV or TSV file with a line of names; the delimiter is the one that gives that line the most cells."""
    # of the three ends that a line can have, one is left
    texts = (part for number, line in lines for part in io.StringIO(_text(path, number, line), newline=None))
    names = next(texts)
    delimiter = max(delimiters, key=lambda one: len(next(csv.reader([names], delimiter=one))))
    blank = any(cell.startswith(" ") for cell in next(csv.reader([names], delimiter=delimiter)))  # written with ", " between the cells
    reader = csv.reader(itertools.chain([names], texts), delimiter=delimiter, strict=True, skipinitialspace=blank)
    header, begin = None, 0
    try:
        for cells in reader:
            where, begin = f"{path}, line {start + begin}", reader.line_num
            if header is None:
                header = [cell.strip() for cell in cells]
                if twice := [name for name, times in Counter(header).items() if name and times > 1]:
                    raise TaskError(f"{where}: the column {twice[0]!r} is there twice; rename one")
            elif any(cell.strip() for cell in cells):
                if len(cells) != len(header):
                    what = f"{len(cells)} cells under {len(header)} columns"
                    raise TaskError(f"{where}: {what}; put cells that hold {delimiter!r} or a line's end in double quotes")
                yield where, {name: cell for name, cell in zip(header, cells, strict=True) if name}
    except csv.Error as error:
        raise TaskError(f"{path}, line {start + begin}: not a table ({error}); close its quotes, and save it as CSV in UTF-8") from None


def _parquet(path: Path, data: bytes) -> Iterator[tuple[str, Row]]:
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        for batch in pyarrow.parquet.ParquetFile(pyarrow.BufferReader(data)).iter_batches():
            for at, kind in enumerate(batch.schema.types):
                if "float" in str(kind).replace("float64", ""):  # 0.1, not 0.10000000149011612
                    column = batch.column(at).cast(_floats(kind, pyarrow.string())).cast(_floats(kind, pyarrow.float64()))
                    batch = batch.set_column(at, batch.schema.names[at], column)
            for row in batch.to_pylist():
                number += 1
                yield f"{path}, row {number}", {name: value for name, value in row.items() if not name.startswith("__index_level_")}
    except LookupError as error:
        raise TaskError(f"{path}: its times have a zone that is not known here ({error}); write them in UTC, or as text") from None
    except (OSError, pyarrow.ArrowException, ValueError, OverflowError) as error:
        why = (str(error).splitlines() or [""])[0][:100]
        raise TaskError(f"{path}: not a parquet file that can be read ({why}); write it again") from None


def _floats(kind: Any, put: Any) -> Any:
    """An Arrow type with another in the place of its float32, also inside lists and structs."""
    import pyarrow

    if pyarrow.types.is_list(kind):
        return pyarrow.list_(_floats(kind.value_type, put))
    if pyarrow.types.is_struct(kind):
        return pyarrow.struct([(field.name, _floats(field.type, put)) for field in kind])
    return put if kind == pyarrow.float32() else kind


def _shallow(found: tuple[str, Any]) -> tuple[str, Any]:
    if _deep(found[1], DEPTH):
        raise TaskError(f"{found[0]}: nested more than {DEPTH} deep; mend or delete this row")
    return found


def _deep(value: Any, left: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(left == 0 or _deep(one, left - 1) for one in inner)
