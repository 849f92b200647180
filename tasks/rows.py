"""Tasks over rows that lie in a file, a folder or on the hub: the splits, their order, and one-line errors for bad rows.

A path is a file (.jsonl, .json, .parquet), all of it train, or a folder with train, dev (or validation, val) and test files. Where a folder
has train and no dev, about a tenth of train, chosen by a hash of the question, is dev. Without a path a task reads its data set from the
hub through `datasets`, once, when items are first asked for. It does not cover compressed files, or files larger than memory.
"""

import hashlib
import json
import os
import random
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from ..signatures.errors import TaskError, UsageError
from ..signatures.records import Example, whole
from .base import SPLITS, Judging, check_split

Row = dict[str, Any]
ENDINGS = (".jsonl", ".json", ".parquet")
_NAMES = {"train": ("train",), "dev": ("dev", "validation", "val", "valid"), "test": ("test",)}
DEPTH = 64
"""Deepest nesting of lists and objects in a row."""


class RowTask(Judging):
    """What tasks over rows have in common. A subclass names itself and says how a row becomes an example."""

    name: str
    kind: str
    brief: str
    max_new_tokens: int = 512
    twin: str | None = None
    hub: ClassVar[tuple[str, str | None, dict[str, str]] | None] = None
    """(data set, config, {our split: its split}) on the hub; None: it must be given a path."""
    dev_share: ClassVar[float] = 0.1
    """The part of train that becomes dev where the data have no dev."""

    data: Mapping[str, str] = MappingProxyType({})
    """See errata.tasks.base.Task."""

    _rows: dict[str, list[Example]] | None = None

    def __init__(self, path: Path | None = None):
        if path:
            self.load_path(path)

    def load_path(self, path: Path) -> None:
        """Read the items from a file or folder."""
        self.load(from_path(path), one_file=not path.is_dir())
        self.data = file_hashes(path, [file for _, file in files_under(path)])

    def load_hub(self, name: str, config: str | None, splits: dict[str, str]) -> None:
        """Read the items from a data set on the hub."""
        self.load(from_hub(name, config, splits))
        self.data = row_hashes(self._rows or {})

    def load(self, found: Iterable[tuple[str, str, Row]], one_file: bool = False) -> None:
        """Make examples of (split, where, row)."""
        rows: dict[str, list[Example]] = {}
        for split, where, row in found:
            rows.setdefault(split, []).append(self.read(row, split, where))
        self.keep(rows, one_file)

    def keep(self, rows: dict[str, list[Example]], one_file: bool = False) -> None:
        """Take examples as the task's splits. Without dev a share of train becomes it, unless all came from one file. No item twice."""
        if "train" in rows and "dev" not in rows and not one_file:
            train = rows["train"]
            rows["dev"] = [row.model_copy(update={"split": "dev"}) for row in train if share(row.question) < self.dev_share]
            rows["train"] = [row for row in train if share(row.question) >= self.dev_share]
        self._rows = {split: list({row.id: row for row in found}.values()) for split, found in rows.items()}

    def read(self, row: Row, split: str, where: str) -> Example:
        """The example that a row holds; `where` names it in errors. Raises TaskError."""
        raise NotImplementedError

    def examples(self, split: str, limit: int | None = None, seed: int = 0) -> list[Example]:
        """Items of a split, in the data's order for seed 0 and shuffled by any other; none for a split that the data lack."""
        check_split(self.name, split)
        if self._rows is None:
            if self.hub is None:
                raise UsageError(f"task {self.name} needs its data: write {self.name}:PATH, a JSONL file or a folder with such files")
            self.load_hub(*self.hub)
        rows = list((self._rows or {}).get(split, []))
        if seed:
            random.Random(f"{self.name} {split} {seed}").shuffle(rows)
        return rows[:limit]


def share(text: str) -> float:
    """A number from 0 to 1 that depends on the text alone, evenly spread."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:6], "big") / 2**48


def field(row: Row, name: str, where: str, number: bool = True) -> str:
    """A field's text; a number counts as text, unless `number` is False. Raises TaskError when the field is missing, empty or neither."""
    value = row.get(name)
    if number and isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        what = "is missing" if name not in row else f"must be text that is not empty, it is {str(value)[:40]!r}"
        raise TaskError(f"{where}: field {name!r} {what} (fields there: {fields_of(row)}); add it or delete the row")
    return value


def fields_of(row: Row) -> str:
    """The names of a row's fields, for a message."""
    return ", ".join(map(repr, row)) or "none"


def file_hashes(path: Path, files: Iterable[Path]) -> dict[str, str]:
    """{name of a file, seen from the folder `path` or from that of the file `path`: SHA-256 of its bytes}."""
    place = path if path.is_dir() else path.parent
    return {Path(os.path.relpath(file, place)).as_posix(): file_hash(file) for file in files}


def file_hash(file: Path) -> str:
    """SHA-256 of a file's bytes."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def row_hashes(rows: dict[str, list[Example]]) -> dict[str, str]:
    """{split on the hub: SHA-256 of its items}. A revision of the data set that changes no item changes none of them."""
    hashes = {}
    for split, examples in rows.items():
        sha = hashlib.sha256()
        for row in examples:
            text = json.dumps([row.question, row.answer, row.solution, row.skill, row.meta], sort_keys=True, default=str)
            sha.update(text.encode() + b"\n")
        hashes[f"{split} (hub)"] = sha.hexdigest()
    return hashes


# From a file or the hub to rows -------------------------------------------------------------------------------------------


def from_path(path: Path) -> Iterator[tuple[str, str, Row]]:
    """(split, where, row) of every row under a path. Raises TaskError."""
    files = files_under(path)
    if not files:
        raise TaskError(f"{path}: holds no train, dev or test file ({', '.join(ENDINGS)}); give a folder that does, or one file")
    for split, file in files:
        yield from ((split, *found) for found in read_file(file))


def files_under(path: Path) -> list[tuple[str, Path]]:
    """(split, file) of a folder's files, or of a lone file, which is all train."""
    if not path.is_dir():
        return [("train", path)]
    found = [(split, path / f"{name}{ending}") for split in SPLITS for name in _NAMES[split] for ending in ENDINGS]
    return [(split, file) for split, file in found if file.is_file()]


def read_file(path: Path) -> list[tuple[str, Row]]:
    """(where, row) of each row of a .parquet, .json (a list of objects, or {"data": [...]}) or JSONL file. Raises TaskError."""
    if path.suffix == ".parquet":
        return _parquet(path)
    if path.suffix == ".json":
        data = read_json(path)
        rows = data.get("data") if isinstance(data, dict) else data
        if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
            raise TaskError(f"{path}: must hold a list of objects that is not empty; one JSON object a line goes into a .jsonl file")
        return [(f"{path}, row {number}", row) for number, row in enumerate(rows, start=1)]
    found = []
    for where, row in json_lines(path):
        refuse_odd(where, row, "line")
        if not isinstance(row, dict):
            raise TaskError(f"{where}: {type(row).__name__} instead of an object; each line must be one JSON object")
        found.append((where, row))
    if not found:
        raise TaskError(f"{path}: holds no rows; give a JSONL file with one JSON object a line")
    return found


def json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """(where, value) of each line of a file. Raises TaskError, naming file, line, fault and remedy.

    Lines end at "\\n" alone: U+2028 and U+0085 may stand inside strings. A byte order mark and blank lines are skipped.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                where = f"{path}, line {number}"
                line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
                if not line.strip():
                    continue
                try:
                    yield where, json.loads(line.decode("utf-8"))
                except UnicodeDecodeError as error:
                    raise TaskError(f"{where}: byte {error.start + 1} is not UTF-8; save the file as UTF-8") from None
                except (ValueError, RecursionError) as error:
                    # a plain ValueError is an integer of thousands of digits
                    what = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply or a number too long"
                    raise TaskError(f"{where}: not JSON ({what}); each line must be one JSON object, mend or delete this one") from None
    except FileNotFoundError:
        raise TaskError(f"{path}: no such file; give the path of a JSONL file or of a folder that holds train.jsonl") from None
    except OSError as error:
        raise TaskError(f"{path}: cannot be read ({error.strerror}); give a JSONL file that you may read") from None


def read_json(path: Path) -> Any:
    """What a JSON file holds. Raises TaskError."""
    try:
        value = json.loads(path.read_bytes().removeprefix(b"\xef\xbb\xbf").decode("utf-8"))
    except FileNotFoundError:
        raise TaskError(f"{path}: no such file; give the path of a JSON file") from None
    except OSError as error:
        raise TaskError(f"{path}: cannot be read ({error.strerror}); give a file that you may read") from None
    except (ValueError, RecursionError) as error:
        raise TaskError(f"{path}: not JSON ({str(error)[:100]}); mend the file") from None
    refuse_odd(str(path), value, "file")
    return value


def refuse_odd(where: str, value: Any, what: str) -> None:
    """Raise TaskError for a JSON value that cannot be a part of records: nested too deeply, or with half a character."""
    if _deep(value, DEPTH):
        raise TaskError(f"{where}: nested more than {DEPTH} deep; mend or delete this {what}")
    if whole(value) != value:
        raise TaskError(f"{where}: half of a surrogate pair (\\ud800 and its like) is not text; mend or delete this {what}")


def _deep(value: Any, left: int) -> bool:
    inner: Iterable[Any] = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(left == 0 or _deep(one, left - 1) for one in inner)


def _parquet(path: Path) -> list[tuple[str, Row]]:
    import pyarrow
    import pyarrow.parquet

    try:
        rows = pyarrow.parquet.read_table(path).to_pylist()
    except FileNotFoundError:
        raise TaskError(f"{path}: no such file; give the path of a parquet file") from None
    except (OSError, pyarrow.ArrowException) as error:
        raise TaskError(f"{path}: not a parquet file that can be read ({str(error).splitlines()[0][:100]}); write it again") from None
    if not rows:
        raise TaskError(f"{path}: holds no rows; give a file that does")
    return [(f"{path}, row {number}", row) for number, row in enumerate(rows, start=1)]


def from_hub(name: str, config: str | None, splits: dict[str, str]) -> Iterator[tuple[str, str, Row]]:
    """(split, where, row) of a data set on the hub, {our split: its split}. Raises TaskError when it cannot be had."""
    import datasets

    shown = f"{name}[{config}]" if config else name
    for ours, theirs in splits.items():
        try:
            rows = datasets.load_dataset(name, config, split=theirs)
        except Exception as error:  # the hub's, the network's and the library's own errors have no base in common
            why = " ".join(str(error).split())[:160]
            raise TaskError(
                f"data set {shown}, split {theirs!r}, cannot be loaded ({type(error).__name__}: {why}); "
                "check its name, its splits (table.splits) and the network, or give the path of a local copy"
            ) from None
        for number, row in enumerate(rows, start=1):
            yield ours, f"{shown} {theirs}, row {number}", dict(row)
