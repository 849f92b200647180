"""Rows that lie in a file and are read one by one, each time that they are asked for: of a million only their places are held.

Not here: whether the file is the one that was written (errata.programs.run.directory). It must not change while its rows are used.
"""

import os
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from io import BufferedReader
from typing import IO, Any, TypeVar, overload

from pydantic_core import from_json, to_json

from .errors import TaskError
from .records import Attempt, Example, Record, Verdict

T = TypeVar("T")
K = TypeVar("K")
R = TypeVar("R", bound=Record)


class Rows(Sequence[T]):
    """Rows of a file, in any order. Threads may read them side by side."""

    def __init__(self, file: IO[bytes], read: Callable[[bytes], T], starts: "array[int]", sizes: "array[int]"):
        """`read` makes a row of its bytes; `starts` ("Q") and `sizes` ("I") are those of each row."""
        self._file, self._read, self._starts, self._sizes = file, read, starts, sizes

    @classmethod
    def of_lines(cls, file: BufferedReader, read: Callable[[bytes], T]) -> "Rows[T]":
        """One row a line."""
        starts, sizes, end = array("Q"), array("I"), 0
        for line in file:
            if line != b"\n":
                starts.append(end)
                sizes.append(len(line))
            end += len(line)
        return cls(file, read, starts, sizes)

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, place: int) -> T: ...
    @overload
    def __getitem__(self, place: slice) -> "Rows[T]": ...
    def __getitem__(self, place: int | slice) -> "T | Rows[T]":
        if isinstance(place, slice):
            return Rows(self._file, self._read, self._starts[place], self._sizes[place])
        return self._read(os.pread(self._file.fileno(), self._sizes[place], self._starts[place]))

    def __iter__(self) -> Iterator[T]:
        return map(self._read, self.lines())

    def lines(self) -> Iterator[bytes]:
        """The bytes of each row, as they stand in the file."""
        for start, size in zip(self._starts, self._sizes, strict=True):
            yield os.pread(self._file.fileno(), size, start)  # the file is open as long as it is read

    def changed(self, change: Callable[[T], K]) -> "Rows[K]":
        """What `change` makes of each row, each time that it is read."""
        read = self._read
        return Rows(self._file, lambda data: change(read(data)), self._starts, self._sizes)

    def at(self, places: Iterable[int]) -> "Rows[T]":
        """The rows at these places, in their order."""
        order = array("Q", places)
        starts, sizes = (array(of.typecode, map(of.__getitem__, order)) for of in (self._starts, self._sizes))
        return Rows(self._file, self._read, starts, sizes)


def reader(record: type[R]) -> Callable[[bytes], R]:
    """What makes a record of a line that Errata wrote, in a file whose hash tells of changes; it raises ValueError. An attempt is taken as
    it stands there: its ids, which take longer than all else, are not computed again."""
    return _attempt if record is Attempt else record.model_validate_json  # type: ignore[return-value]


def _attempt(line: bytes) -> Attempt:
    values = from_json(line)
    try:
        values |= {"example": _whole(Example, values["example"]), "verdict": _whole(Verdict, values["verdict"])}
        return _whole(Attempt, values)
    except (KeyError, TypeError):
        return Attempt.model_validate_json(line)


def _whole(record: type[R], values: dict[str, Any]) -> R:
    """A record of the values of a line. Raises KeyError where they are not those of such a record."""
    usual, names = _names(record)
    values = usual | values
    if len(values) != len(names):
        raise KeyError(record.__name__)
    return _restored(record, {name: values[name] for name in names})


def _restored(record: type[R], values: dict[str, Any]) -> R:
    """The record that had these values, which are kept as they are and not checked."""
    made = record.__new__(record)
    # all that a BaseModel is made of (pydantic/main.py, model_construct, 2.14)
    object.__setattr__(made, "__dict__", values)
    object.__setattr__(made, "__pydantic_fields_set__", set())
    object.__setattr__(made, "__pydantic_extra__", None)
    object.__setattr__(made, "__pydantic_private__", None)
    return made


@cache
def _names(record: type[Record]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What lines leave out where it is as usual, and all names of a whole line in their order."""
    fields = record.model_fields
    return {name: field.default for name, field in fields.items() if field.exclude_if}, (*fields, "id")


def _no_room(error: OSError) -> TaskError:
    what = f"items cannot be kept in the folder for temporary files ({error.strerror})"
    return TaskError(f"{what}; free space there, or name another folder with TMPDIR=FOLDER")


class Spool:
    """Items that are kept in a temporary file of this process, which goes with them. Their `meta` comes back as JSON would have it."""

    def __init__(self) -> None:
        """Raises TaskError, as the others do, where there is no room for the file."""
        try:
            self._file: Any = tempfile.TemporaryFile()  # noqa: SIM115 it is closed with the last of the rows
        except OSError as error:
            raise _no_room(error) from None
        self._starts, self._sizes, self._end = array("Q"), array("I"), 0

    def add(self, item: Example) -> None:
        _ = item.id  # is kept too: it is not computed again when the item is read
        data = to_json(vars(item), inf_nan_mode="constants")
        try:
            self._file.write(data)
        except OSError as error:
            raise _no_room(error) from None
        self._starts.append(self._end)
        self._sizes.append(len(data))
        self._end += len(data)

    def rows(self) -> Rows[Example]:
        """Those that were added, once all are."""
        try:
            self._file.flush()
        except OSError as error:
            raise _no_room(error) from None
        return Rows(self._file, lambda data: _restored(Example, from_json(data)), self._starts, self._sizes)


def spooled(items: Iterable[Example]) -> Rows[Example]:
    """The items as rows of a temporary file."""
    spool = Spool()
    for item in items:
        spool.add(item)
    return spool.rows()


def at(rows: Sequence[T], places: Iterable[int]) -> Sequence[T]:
    """The rows at these places, held as `rows` are."""
    return rows.at(places) if isinstance(rows, Rows) else [rows[place] for place in places]


def where(rows: Sequence[T], test: Callable[[T], bool]) -> Sequence[T]:
    """The rows that pass, held as `rows` are."""
    return at(rows, (place for place, row in enumerate(rows) if test(row)))


def mapped(rows: Sequence[T], change: Callable[[T], K]) -> Sequence[K]:
    """What `change` makes of the rows, held as `rows` are."""
    return rows.changed(change) if isinstance(rows, Rows) else [change(row) for row in rows]


def grouped(rows: Iterable[T], key: Callable[[T], K]) -> dict[K, Sequence[T]]:
    """Rows by their key, held as `rows` are; keys and rows in the order in which they come."""
    every = rows if isinstance(rows, Sequence) else list(rows)
    places: dict[K, array[int]] = {}
    for place, row in enumerate(every):
        places.setdefault(key(row), array("Q")).append(place)
    return {name: at(every, some) for name, some in places.items()}


def unique(rows: Sequence[T], key: Callable[[T], K]) -> Sequence[T]:
    """One row of each key, held as `rows` are: the last, at the place of the first."""
    places = {key(row): place for place, row in enumerate(rows)}
    return at(rows, places.values())
