"""A run directory that is worked on elsewhere: what it holds goes there in pieces of a bounded size, and what is made there comes back the
same way while the work goes on.

Carried are the finished stages, each with its manifest last; the lines of files that are only appended to (paid answers, batches under
way, rows of stages under way), as they are written; and the files beside them. What a training under way holds stays where it is,
checkpoints too: where that machine is lost the training begins again, and ends with the same weights.
What is not here: who works where (errata.programs.studies.compare_cluster), and what travels by (errata.programs.run.cluster).
"""

import mmap
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ...signatures.errors import RunError
from ...signatures.files import sync
from ...trainers.sft import UNDER_WAY
from ..run import layout
from ..run.directory import LOCK, Stage, disk_errors

SIZE = 8 << 20
"""Most bytes of a piece; one line of a file that is appended to is never cut."""
MANIFEST, UNFINISHED = "manifest.json", ".tmp"
PAID = (layout.ANSWERS, layout.BATCHES)
"""What tells of requests that were paid for; it is appended to, and goes first."""


class Piece(NamedTuple):
    """A part of a file."""

    name: str
    """Under the run directory, with `/` between folders."""
    offset: int
    """Where in the file it belongs, bytes."""
    data: bytes
    last: bool
    """Whether the file ends with it, and can be put in its place."""
    appended: bool
    """Whether the file is one that is only appended to; then the piece holds whole lines."""


class Sender:
    """What of a run directory is not carried yet."""

    def __init__(self, run: Path, seal: str = ""):
        """`seal` is the name of a file beside the stages that goes last: with it the run is done."""
        self._run, self._seal = run, seal
        self._lines: dict[str, int] = {}
        """Bytes that were carried of each file that is appended to."""
        self._whole: dict[str, tuple[int, int]] = {}
        """Size and time of change of each other file as it was carried."""

    def seen(self) -> None:
        """What stands there is known at the other end."""
        for path in self._growing():
            self._lines[self._name(path)] = _whole_lines(path)
        for path in self._files(over=True):
            self._whole[self._name(path)] = _state(path)

    def pieces(self, over: bool = False) -> Iterator[Piece]:
        """What is new since the last time; `over`: the work has ended, so that its logs come too. A piece counts as carried when the next
        one is asked for."""
        for path in self._growing():
            yield from self._new_lines(path)
        for path in self._files(over):
            name = self._name(path)
            if self._whole.get(name) != (state := _state(path)):
                yield from _parts(path, name)
                self._whole[name] = state

    def _name(self, path: Path) -> str:
        return path.relative_to(self._run).as_posix()

    def _growing(self) -> list[Path]:
        parts = (path for path in sorted(self._run.glob("*/**/*.part")) if not (path.parent / MANIFEST).exists())
        return [path for path in (*(self._run / name for name in PAID), *parts) if path.is_file()]

    def _new_lines(self, path: Path) -> Iterator[Piece]:
        name = self._name(path)
        with suppress(FileNotFoundError), path.open("rb") as file:  # its stage was finished just now
            while True:
                file.seek(sent := self._lines.get(name, 0))
                data = file.read(SIZE)
                if data and b"\n" not in data:
                    data += file.readline()
                if not (data := data[: data.rfind(b"\n") + 1]):
                    return
                yield Piece(name, sent, data, False, True)
                self._lines[name] = sent + len(data)

    def _files(self, over: bool) -> Iterator[Path]:
        """In the order in which they may stand at the other end: what a stage was told before the stage, its manifest behind its files, an
        earlier stage before a later one, and the seal last."""
        run = self._run
        manifests = sorted(run.glob(f"*/**/{MANIFEST}"), key=lambda path: (path.stat().st_mtime_ns, path))
        beside = [path for path in run.iterdir() if path.name not in (LOCK, *PAID, self._seal)]
        loose = [*layout.journals(run)]
        if over:
            loose += [*run.glob("*/**/*.log"), *run.glob("tracking/**/*")]
        stages = [path for manifest in manifests for path in (*_others(manifest), manifest)]
        for path in dict.fromkeys((*loose, *stages, *sorted(beside), run / self._seal)):
            if path.suffix not in (UNFINISHED, ".part") and path.is_file() and not path.is_symlink():
                yield path


def _others(manifest: Path) -> Iterator[Path]:
    """The other files of a finished stage."""
    for path in sorted(manifest.parent.iterdir()):
        if path != manifest and path.name not in UNDER_WAY:
            yield from sorted(path.rglob("*")) if path.is_dir() else [path]


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _whole_lines(path: Path) -> int:
    """Bytes of the lines of a file that are written to their end."""
    if not path.stat().st_size:
        return 0
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.rfind(b"\n") + 1


def _parts(path: Path, name: str) -> Iterator[Piece]:
    with path.open("rb") as file:  # one that is replaced meanwhile is read to its end as it was
        size, offset = os.fstat(file.fileno()).st_size, 0
        while True:
            data = file.read(min(SIZE, size - offset))
            last = offset + len(data) >= size or not data
            yield Piece(name, offset, data, last, False)
            offset += len(data)
            if last:
                return


def put(run: Path, piece: Piece) -> None:
    """Write a piece into the run directory, which the caller has locked: a file that is appended to grows, any other is in its place once
    it is whole. Raises RunError for a name that leads elsewhere, a piece that does not fit what stands there, and a disk that is full."""
    path = _inside(run, piece.name)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        place = path if piece.appended else path.with_name(path.name + UNFINISHED)
        if piece.appended and place.exists():
            held = _whole_lines(place)
        else:
            held = place.stat().st_size if piece.offset and place.exists() else 0
        if held != piece.offset:
            raise RunError(f"{place} holds {held} bytes where what came begins at {piece.offset}; give the same command again")
        with place.open("r+b" if place.exists() else "wb") as file:
            file.seek(piece.offset)
            file.truncate()
            file.write(piece.data)
        if piece.last:
            sync(place)
            place.replace(path)
    if piece.last and path.name == MANIFEST:
        Stage(path.parent).drop_parts()


def _inside(run: Path, name: str) -> Path:
    """Where a file of a run directory lies. Raises RunError for a name that none of its files has."""
    pure = PurePosixPath(name)
    path = run / pure
    wrong = pure.is_absolute() or ".." in pure.parts or str(pure) != name or not name.isprintable() or "\\" in name
    if wrong or not pure.name or name == LOCK or pure.suffix == UNFINISHED:
        raise RunError(f"{name[:100]!r} came from another machine and is no file of a run directory; nothing was written")
    if any(folder.is_symlink() for folder in (path, *path.parents[: len(pure.parts)])):
        raise RunError(f"{path} is a link or lies behind one, so what came from another machine is not written there; take the link away")
    return path
