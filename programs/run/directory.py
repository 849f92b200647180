"""A run directory: stages whose rows are written as they finish, and whose manifest is written last.

A stage is a folder. While it works, each finished row is appended to `<name>.part` under a key; when all are there, the rows are written to
`<name>` in the order of the items, and then `manifest.json` with the hash of each file. A run that was killed continues with the rows that
are missing, and ends with the same bytes. One process at a time works on a run directory; the lock goes with the process.

What is not here: what the stages do (errata.programs.steps). No time stamp and no duration is written into a stage.
"""

import errno
import hashlib
import json
import mmap
import os
import re
import shutil
import threading
from array import array
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from io import BufferedReader, FileIO, RawIOBase
from pathlib import Path
from typing import Any, TypeVar

from ...signatures.errors import BusyError, NoRunError, RunError, places_near
from ...signatures.files import foreign, write_whole
from ...signatures.records import Record, content_hash, sealed, unsealed
from ...signatures.rows import Rows, at, reader
from ...signatures.terminal import command
from ..config import BACK, FREE, IMPORTED, TRAINED, CycleConfig

Data = Sequence[tuple[str, Mapping[str, str]]]
"""Tasks by name, and what each was read from: a file or split -> a hash of it."""
STEPS = ("mine", "teach", "probe", "assemble", "train", "gate")
"""Steps of a round, in order, each a stage."""
UNWRITABLE = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENOENT, errno.EISDIR, errno.EIO, errno.ENAMETOOLONG,
    errno.ELOOP,
)  # fmt: skip
"""What the user must mend about a path, or choose another."""
LOCK = "lock"
"""The file by which one process at a time works on a run directory."""
PROBED = 0.2
"""Seconds that a process waits for the lock: `worked_on` holds it for a moment."""
VERSION = 2
"""Of the form of a run's rows, kept in run.json."""
MADE_BY = {1: "Errata 0.1"}
"""Earlier form -> who wrote it."""
T = TypeVar("T")
R = TypeVar("R", bound=Record)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full disk, a missing permission or a read-only file system into a RunError of one line."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RunError(f"the disk that holds {path} is full; free some space and give the same command again: it continues") from error
        if error.errno in UNWRITABLE:
            raise RunError(f"{path} cannot be written ({error.strerror}); get the right to, or choose another place") from error
        raise


def write_atomic(path: Path, data: bytes) -> None:
    """Write a whole file or nothing, into a folder that is made where it is missing. Raises RunError."""
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)


def to_json(value: Any) -> bytes:
    """Canonical indented JSON with a final newline."""
    return (json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode("utf-8", "surrogatepass")


def append(file: RawIOBase, line: bytes) -> None:
    """Write all of `line` to an unbuffered file: nothing stays behind that a later close would try again."""
    rest = memoryview(line)
    while rest:
        rest = rest[file.write(rest) or 0 :]


class Lines:
    """A file of JSON lines that is read once and then appended to; a last line that a kill cut is dropped. Thread-safe."""

    def __init__(self, path: Path, take: Callable[[bytes, int], None], advice: str):
        """Hand each line that stands there to `take`, with the place of its first byte. Raises RunError with `advice` where `take` raises
        what reading JSON of another form raises."""
        self.path = path
        self._lock = threading.Lock()
        self._file: FileIO | None = None
        self._whole = 0
        """Bytes of the lines that are written to their end."""

        def read(file: BufferedReader) -> None:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    return
                try:
                    take(line, self._whole)
                except (ValueError, TypeError, KeyError, RecursionError) as error:
                    raise RunError(f"{path} line {number} is damaged; {advice}") from error
                self._whole += len(line)

        _read(path, read)

    def open(self) -> FileIO:
        """The file, made or opened where it is not open."""
        if self._file is None:
            with disk_errors(self.path):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self.path.open("ab", buffering=0)
                self._file.truncate(self._whole)
        return self._file

    def add(self, line: bytes) -> int:
        """Append a line, given without its line feed, and say where it begins; a file that was closed is opened again."""
        with self._lock, disk_errors(self.path):
            file, begin = self.open(), self._whole
            try:
                append(file, line + b"\n")
            except OSError:
                self.close()  # what was written of the line is cut off when the file is opened again
                raise
            self._whole += len(line) + 1
            return begin

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _read(path: Path, read: Callable[[BufferedReader], T]) -> T | None:
    """What `read` makes of a file of a run directory; None when there is no such file. Raises RunError when it cannot be read."""
    try:
        with path.open("rb") as file:
            return read(file)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
            return None
        raise RunError(f"{path} cannot be read ({error.strerror}); make it readable, and give the same command again") from error


def read_json(path: Path) -> Any:
    """A JSON document of a run directory, without its seal. Raises RunError when it is missing or damaged."""
    data = _read(path, BufferedReader.read)
    if data is None:
        raise RunError(f"{path} is missing; give the same `errata cycle --run` again to make it")
    try:
        return unsealed(json.loads(data))
    except (ValueError, RecursionError) as error:
        what = "it" if (path.parent / "run.json").exists() else "it, or its folder,"
        raise RunError(f"{path} is damaged; delete {what} and give the same `errata cycle --run` again") from error


class RowWriter:
    """A file of a stage that is written row by row, under a name that counts for nothing until the stage is finished."""

    def __init__(self, path: Path):
        self.path = path.with_name(path.name + ".tmp")
        self.rows = self.bytes = 0
        self._hash = hashlib.sha256()
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("wb")

    def add(self, row: Record) -> None:
        self.add_line(row.model_dump_json().encode("utf-8") + b"\n")

    def add_line(self, line: bytes) -> None:
        """`line` ends with its line feed."""
        with self._writing():
            self._file.write(line)
        self._hash.update(line)
        self.rows += 1
        self.bytes += len(line)

    @contextmanager
    def read(self) -> Iterator[memoryview]:
        """The bytes that were written, which are dropped after."""
        with self._writing():
            self._file.close()
        try:
            if self.bytes:
                with self.path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data, memoryview(data) as view:
                    yield view
            else:
                yield memoryview(b"")
        finally:
            self.path.unlink()

    def keep(self, name: Path) -> str:
        """Put the whole file in its place; its hash."""
        with self._writing():
            with self._file:
                self._file.flush()
                os.fsync(self._file.fileno())
            self.path.replace(name)
        return self._hash.hexdigest()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """A file that cannot be written to its end is dropped."""
        try:
            with disk_errors(self.path):
                yield
        except (OSError, RunError):
            with suppress(OSError):  # closing tries once more to write what is left
                self._file.close()
            self.path.unlink(missing_ok=True)
            raise


def _seal(data: bytes) -> str:
    """Tells whether a row of a part is as it was written."""
    return hashlib.sha256(data).hexdigest()[:16]


class Stage:
    """One folder of a run. `done` once its manifest stands."""

    def __init__(self, path: Path):
        self.path = path

    @property
    def done(self) -> bool:
        return (self.path / "manifest.json").exists()

    def facts(self) -> dict[str, Any]:
        """The facts that `finish` was given. Raises RunError when the manifest is damaged."""
        return self._manifest()["facts"]

    def file(self, name: str) -> Path:
        """Where a file of a finished stage lies. Raises RunError when it is not the one that the manifest names."""
        path = self.path / name
        wanted = self._manifest()["files"].get(name)
        if wanted is None or _read(path, lambda file: hashlib.file_digest(file, "sha256").hexdigest()) != wanted:
            raise RunError(f"{path} is not what its manifest says: it was changed or damaged; delete {self.path} to make the stage again")
        return path

    def rows(self, name: str, record: type[R]) -> Rows[R]:
        """The rows of a finished stage, read one by one as they are asked for. Raises RunError when the file is not the one that the
        manifest names, and later for a row that cannot be read."""
        return Rows.of_lines(self.file(name).open("rb"), self._reader(name, record))

    def read(self, name: str, record: type[R]) -> list[R]:
        """All rows of a finished stage. Raises as `rows` does."""
        return list(self.rows(name, record))

    def _reader(self, name: str, record: type[R]) -> Callable[[bytes], R]:
        """What makes a row of its line."""
        read = reader(record)

        def row(line: bytes) -> R:
            try:
                return read(line)
            except ValueError as error:
                again = f"delete {self.path} to make the stage again"
                raise RunError(f"{self.path / name} holds rows of another version of Errata; {again}") from error

        return row

    def collect(
        self,
        name: str,
        items: Sequence[T],
        key: Callable[[T], str],
        produce: Callable[[Sequence[T]], Generator[tuple[T, R]]],
        record: type[R],
    ) -> Rows[R]:
        """One row an item, in the order of `items`; of items with one key the last counts, at the place of the first. The rows of
        `<name>.part` are kept, `produce` makes the others in any order. Each row is appended as it comes, so that a kill loses only what
        was under way, and is read from there: what is held of it is its place."""
        if self.done:
            return self.rows(name, record)
        places = {key(item): place for place, item in enumerate(items)}
        starts, sizes = array("Q", bytes(8 * len(items))), array("I", bytes(4 * len(items)))
        other: list[tuple[str, R]] = []

        def held(name: str, start: int, size: int) -> None:
            if (place := places.get(name)) is not None:
                starts[place], sizes[place] = start, size

        def take(line: bytes, begin: int) -> None:
            name, value, *seal = json.loads(line)
            head = len(json.dumps(name)) + 3
            data = line[head : -len(", '0123456789abcdef']\n")]
            if seal == [_seal(data)]:
                held(name, begin + head, len(data))
            elif seal in ([], [content_hash(value)]):  # in another form than the finished file's, as it was written once
                other.append((name, record.model_validate(value)))
            else:
                raise ValueError(seal)

        def add(name: str, row: R) -> None:
            data, head = row.model_dump_json().encode(), json.dumps(name).encode()
            held(name, part.add(b'[%b, %b, "%b"]' % (head, data, _seal(data).encode())) + len(head) + 3, len(data))

        part = Lines(self.path / f"{name}.part", take, "delete that line (its row is made again) or the file")
        part.open()
        with closing(part):
            for found, row in other:
                add(found, row)
            if missing := at(items, [place for place in places.values() if not sizes[place]]):
                with closing(produce(missing)) as produced:
                    for item, row in produced:
                        add(key(item), row)
        rows = Rows(part.path.open("rb"), self._reader(name, record), starts, sizes)
        return rows if len(places) == len(items) else rows.at(places.values())

    def writer(self, name: str) -> RowWriter:
        """A file whose rows are written one by one; hand it to `finish` under this name."""
        return RowWriter(self.path / name)

    def finish(self, files: Mapping[str, Iterable[Record] | RowWriter], **facts: Any) -> None:
        """Write the files, then the manifest, then drop the parts. Rows that were collected are copied as they stand there."""
        hashes = {}
        for name, rows in files.items():
            writer = rows if isinstance(rows, RowWriter) else self.writer(name)
            if isinstance(rows, Rows):
                for line in rows.lines():
                    writer.add_line(line.rstrip(b"\n") + b"\n")
            elif not isinstance(rows, RowWriter):
                for row in rows:
                    writer.add(row)
            hashes[name] = writer.keep(self.path / name)
        write_atomic(self.path / "manifest.json", to_json(sealed({"files": hashes, "facts": facts})))
        self.drop_parts()

    def drop_parts(self) -> None:
        """Of a finished stage, when its rows stand in its files."""
        for part in self.path.glob("*.part"):
            part.unlink()

    def _manifest(self) -> dict[str, Any]:
        manifest = read_json(self.path / "manifest.json")
        if not isinstance(manifest, dict) or not all(isinstance(manifest.get(name), dict) for name in ("files", "facts")):
            raise RunError(f"{self.path / 'manifest.json'} is damaged; delete {self.path} to make the stage again")
        return manifest


class RunDir(AbstractContextManager["RunDir"]):
    """A run directory under one lock, made for one config."""

    def __init__(self, path: Path, config: CycleConfig, data: Data = ()):
        """Open or make the run directory at `path`. Raises BusyError when another process holds it, and RunError when it was made with
        another config (fields in config.FREE may differ) or other data, holds files but no run, or cannot be written."""
        from filelock import FileLock, Timeout  # it brings asyncio: 0.1 s that commands which only read a run do without

        self.path = path
        self._made = [folder for folder in (path, *path.parents) if not folder.exists()]
        """Folders that are made here, the innermost first."""
        with disk_errors(path):
            if foreign(path, "run.json", LOCK):
                raise RunError(f"{path} holds files but no run.json: it is not a run directory; choose another --run")
            path.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(path / LOCK, timeout=PROBED)
            try:
                self._lock.acquire()
            except Timeout:
                raise BusyError(f"another process is working on {path}; wait for it, or choose another --run") from None
        try:
            self.check(config, data)
            with disk_errors(path):  # a kill may have come within a writing, or between a manifest and the removal of the parts
                for left in path.rglob("*.[0-9]*-[0-9]*.tmp"):
                    left.unlink(missing_ok=True)  # write_whole's, also of one that lives: it writes again
                for manifest in path.glob("*/**/manifest.json"):
                    Stage(manifest.parent).drop_parts()
        except BaseException:
            self._forget()
            self._lock.release()
            raise

    def check(self, config: CycleConfig, data: Data = ()) -> None:
        """Raise RunError where config or data are not those of the run; write down what is new in them."""
        path = self.path / "run.json"
        # where nothing was done yet, another config is no other run
        begun = any(file.is_file() and file.suffix != ".log" and file.stat().st_size for file in self.path.glob("*/**/*"))
        if path.exists() and begun:
            known = _read_data(path)
            data = [(task, read or dict(known).get(task, {})) for task, read in data]
            mine, theirs = (flatten(one.model_dump(mode="json")) for one in (config, read_config(self.path)))
            free: tuple[str, ...] = FREE
            if config.errors == "recorded" and not any(map(any, map(self.path.glob, ("*/train", "*/words", "*/pairs", "evaluate")))):
                free += TRAINED if any(self.path.glob("*/teach")) else tuple(set(CycleConfig.model_fields) - set(IMPORTED))
            if not any(self.path.glob("*/train/manifest.json")):
                free += ("train",)  # nothing is trained yet: one that cannot be done here may be set otherwise
            if known and known == data:
                free += ("task", "guards")  # the same data, perhaps at another place
            if config.target.model and mine["target.api_base"] and theirs.get("target.api_base"):
                free += ("target.api_base",)  # a server may move; it is known which weights it has
            drawn = any(self.path.glob("*/assemble/manifest.json"))
            free += () if drawn else ("generate.patterns_hash",)  # no row was drawn yet by what was chosen before
            fixed = ("train.curriculum",) if drawn else ()  # the order in which rows were written
            for name in sorted(mine.keys() | theirs.keys()):
                open_ = name not in fixed and any(name == one or name.startswith(one + ".") for one in free)
                old, new = theirs.get(name), mine.get(name)
                if old != new and not open_:
                    act = (None not in (old, new) and BACK.get(name)) or "give the same config to continue it"
                    raise RunError(f"{self.path} was made with {name} = {old!r}, not {new!r}; {act}, or choose another --run")
            self._refuse_other_data(dict(known), data)
        # caps belong to one command, not to the run
        settled = config.model_dump(mode="json", exclude={"budget"})
        read = [{"task": name, "read": dict(found)} for name, found in data]
        more: dict[str, Any] = {}
        with suppress(RunError, AttributeError, KeyError, TypeError):  # none yet, or one that is written anew
            before = read_json(path)
            if begun or before["config"]["target"] == settled["target"]:
                more = {"format": before["format"]}  # the run answers as it began
        document = to_json(sealed({"version": VERSION, "config": settled, "data": read} | more))
        if not path.exists() or path.read_bytes() != document:
            write_atomic(path, document)

    def _refuse_other_data(self, known: Mapping[str, Mapping[str, str]], data: Data) -> None:
        for task, new in data:
            old = known.get(task) or new
            change = lambda name: "is new" if name not in old else "is gone" if name not in new else "has changed"  # noqa: B023, E731
            if changed := [f"{name} {change(name)}" for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]:
                more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
                raise RunError(
                    f"the data of task {task} are not those that {self.path} was begun with: {', '.join(changed[:3])}{more}; "
                    "put them back to continue it, or choose another --run"
                )

    def stage(self, name: str) -> Stage:
        return Stage(self.path / name)

    def close(self) -> None:
        self._lock.release()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind:
            self._forget()
        self.close()

    def _forget(self) -> None:
        """Remove a run that was begun here and came to nothing: a mistyped target, a dry run. What holds rows or paid answers is kept."""
        held = (file for file in self.path.rglob("*") if file.suffix in (".jsonl", ".part") or file.name == "manifest.json")
        if self._made and not any(file.stat().st_size for file in held):
            shutil.rmtree(self.path, ignore_errors=True)
            for folder in self._made[1:]:
                with suppress(OSError):  # it holds other things by now
                    folder.rmdir()


def worked_on(path: Path) -> bool | None:
    """Whether a process is working on a run directory now; None: the file system cannot tell."""
    try:
        import fcntl

        with suppress(FileNotFoundError), (path / LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # as filelock does (filelock/_unix.py), but beside others that look
        return False
    except BlockingIOError:
        return True
    except (ImportError, OSError):
        return None


def _read_data(path: Path) -> list[tuple[str, Mapping[str, str]]]:
    """The data in a run.json; none in one of before data were kept there."""
    try:
        return [(str(one["task"]), dict(one["read"])) for one in read_json(path).get("data", [])]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path} is damaged") from error


def slug(name: str) -> str:
    """A task's name as the name of a folder."""
    return re.sub(r"[^\w.-]+", "_", name)


def read_config(path: Path) -> CycleConfig:
    """The config of a run directory. Raises NoRunError where there is none, RunError where it cannot be read or used."""
    if (data := _read(path / "run.json", BufferedReader.read)) is None:
        mend = places_near(path, "run.json", "runs") or f"; `{command('cycle', '--run', path)}` makes one"
        raise NoRunError(f"{path} is not a run directory: it has no run.json{mend}")
    try:
        document = unsealed(json.loads(data))
        version = document.get("version", 1)
        if version != VERSION and any(folder.name in STEPS for folder in path.glob("*/*")):
            raise RunError(
                f"{path} was made by {MADE_BY.get(version, 'a later version of Errata')}, whose rows have another form; "
                "use that version to read or continue it, or begin again in another --run"
            )
        return CycleConfig.model_validate(document["config"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RunError(f"{path}/run.json is damaged; put a copy of it back, or choose another --run") from error


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one dict of dotted names."""
    if not isinstance(value, dict) or not value:
        return {prefix: value}
    parts = (flatten(inner, f"{prefix}.{name}" if prefix else name) for name, inner in value.items())
    return {name: inner for part in parts for name, inner in part.items()}
