"""Tasks over rows that lie in a file, a folder or on the hub: the splits, their order, and one-line errors for bad rows.

A path is a file, all of it train unless it names its splits, or a folder with train, dev (or validation, val) and test files, also as the
hub lays them out (data/train-00000-of-00001.parquet, default/train/0000.parquet). Where the data have train and no dev, about a tenth of
train, chosen by a hash of the question, is dev. Without a path a task reads its data set from the hub through `datasets`, once, when items
are first asked for. It does not cover what stands in a file (errata.tasks.files).
"""

import hashlib
import json
import os
import random
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

from ..signatures.errors import TaskError, UsageError
from ..signatures.records import Example, Kind
from ..signatures.rows import Spool, at, spooled, unique, where
from . import files
from .base import SPLITS, Judging, check_split
from .cells import asked, field
from .files import Row

__all__ = ["Row", "RowTask", "field", "file_hash", "file_hashes", "from_path", "share"]


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

    _rows: dict[str, Sequence[Example]] | None = None

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
        """Make examples of (split, place, row); the place names a row in errors."""
        spools: dict[str, Spool] = {}
        for split, place, row in found:
            if split not in spools:
                spools[split] = Spool()
            spools[split].add(self.read(row, split, place))
        self.keep({split: spool.rows() for split, spool in spools.items()}, one_file and len(spools) == 1)

    def keep(self, rows: Mapping[str, Sequence[Example]], one_file: bool = False) -> None:
        """Take examples as the task's splits. Without dev a share of train becomes it, unless all came from one file. No item twice."""
        if "train" in rows and "dev" not in rows and not one_file:
            train = rows["train"]
            dev = where(train, lambda row: share(row.question) < self.dev_share)
            rows = {**rows, "train": where(train, lambda row: share(row.question) >= self.dev_share)}
            rows["dev"] = spooled(row.model_copy(update={"split": "dev"}) for row in dev)
        self._rows = {split: unique(found, lambda row: row.id) for split, found in rows.items()}

    def answer_with(self, kind: Kind) -> None:
        """Take the answers of all items as answers of this kind."""
        self.kind = kind
        self.change(lambda row: row.model_copy(update={"kind": kind}))

    def change(self, change: Callable[[Example], Example]) -> None:
        """Change all items."""
        self._rows = {split: spooled(map(change, rows)) for split, rows in (self._rows or {}).items()}

    def read(self, row: Row, split: str, where: str) -> Example:
        """The example that a row holds; `where` names it in errors. Raises TaskError."""
        raise NotImplementedError

    def examples(self, split: str, limit: int | None = None, seed: int = 0) -> Sequence[Example]:
        """Items of a split, in the data's order for seed 0 and shuffled by any other; none for a split that the data lack. They lie in a
        temporary file and are read as they are asked for."""
        check_split(self.name, split)
        if self._rows is None:
            if self.hub is None:
                raise UsageError(f"task {self.name} needs its data: write {self.name}:PATH, a JSONL file or a folder with such files")
            self.load_hub(*self.hub)
        rows = (self._rows or {}).get(split, [])
        order = array("Q", range(len(rows)))
        if seed:
            random.Random(f"{self.name} {split} {seed}").shuffle(order)
        return at(rows, order[:limit])


def share(text: str) -> float:
    """A number from 0 to 1 that depends on the text alone, evenly spread."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:6], "big") / 2**48


def file_hashes(path: Path, files: Iterable[Path]) -> dict[str, str]:
    """{name of a file, seen from the folder `path` or from that of the file `path`: SHA-256 of its bytes}."""
    place = path if path.is_dir() else path.parent
    return {Path(os.path.relpath(file, place)).as_posix(): file_hash(file) for file in files}


def file_hash(file: Path) -> str:
    """SHA-256 of a file's bytes."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def row_hashes(rows: Mapping[str, Sequence[Example]]) -> dict[str, str]:
    """{split on the hub: SHA-256 of its items}. A revision of the data set that changes no item changes none of them."""
    hashes = {}
    for split, examples in rows.items():
        sha = hashlib.sha256()
        for row in examples:
            text = json.dumps([row.question, row.answer, row.solution, row.skill, row.meta], sort_keys=True, default=str)
            sha.update(text.encode() + b"\n")
        hashes[f"{split} (hub)"] = sha.hexdigest()
    return hashes


# From a folder or the hub to rows -----------------------------------------------------------------------------------------


def from_path(path: Path) -> Iterator[tuple[str, str, Row]]:
    """(split, where, row) of every row under a path. Raises TaskError."""
    for split, file in files_under(path):
        yield from ((named or split, where, asked(row)) for named, where, row in files.rows(file))


def files_under(path: Path) -> list[tuple[str, Path]]:
    """(split, file) of a folder's files, or of a lone file, which is all train. A folder in which only one folder has data is that folder.
    Raises TaskError when there are none, or several."""
    if not path.is_dir():
        return [("train", path)]
    try:
        found = _below(path, 2)
    except OSError as error:
        raise TaskError(f"{path}: cannot be read ({error.strerror}); give a folder that you may read") from None
    if found:
        return found
    there = [file.name for file in sorted(path.iterdir()) if files.ENDING.search(file.name)]
    act = f"give one file, e.g. {path / there[0]}, or name it train{''.join(Path(there[0]).suffixes)}" if there else "give another folder"
    raise TaskError(f"{path}: holds no train, dev or test file (files with rows there: {', '.join(there[:9]) or 'none'}); {act}")


def _below(folder: Path, depth: int) -> list[tuple[str, Path]]:
    if (found := _split_files(folder)) or not depth:
        return found
    inside = [(one, _below(one, depth - 1)) for one in sorted(folder.iterdir()) if one.is_dir() and one.name[0] not in "._"]
    some = [(one, found) for one, found in inside if found]
    if len(some) > 1:
        names = ", ".join(one.name for one, _ in some[:9])
        raise TaskError(f"{folder}: several folders in it hold data ({names}); give one of them, e.g. {some[0][0]}")
    return some[0][1] if some else []


def _split_files(folder: Path) -> list[tuple[str, Path]]:
    """Files of the splits as people name them: train.jsonl, train-00000-of-00001.parquet, or all in train/."""
    found = []
    for split in SPLITS:
        for name in files.NAMES[split]:
            if (folder / name / "state.json").is_file():
                raise TaskError(f"{folder}: is of datasets' save_to_disk; write each split with to_parquet('{name}.parquet')")
            for pattern, part in ((rf"(?i){name}", ""), (rf"(?i){name}-\d{{5}}-of-\d{{5}}.*", ""), (".*", name)):
                inside = sorted((folder / part).iterdir()) if (folder / part).is_dir() else []
                stems = [(file, files.ENDING.search(file.name)) for file in inside]
                some = [file for file, end in stems if end and re.fullmatch(pattern, file.name[: end.start()]) and file.is_file()]
                if some:
                    found += [(split, file) for file in some]
                    break
    return found


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
            yield ours, f"{shown} {theirs}, row {number}", asked(dict(row))
