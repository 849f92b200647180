"""The child process of errata.tasks.verdicts.sql.judge: runs untrusted queries in SQLite, and says whether their results are the same.

A query may read and no more: an authorizer refuses what writes, attaches a file, sets a pragma or loads code, and functions that give
another result each time. Limits: one statement, steps of SQLite's virtual machine, rows, bytes of a value, of a result and of SQLite's
heap. The data never change: a variation is undone behind each question. What no limit here stops, such as one call of trim() on long
texts, the parent stops by its clock. The process is an ordinary one: a fault of SQLite itself that lets a query run code is not covered.

A line of stdin: {"database", "variations", "gold", "tail", "given"}, or {"database"} alone. A line of stdout: {"states": see `compared`, of
the database as it stands and then of each variation}, see `looked`, or {"fault"}.
"""

import contextlib
import json
import math
import sqlite3
import sys
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

STEPS, LOOK = 50_000_000, 2_000_000
"""Steps of SQLite's virtual machine for one query, a few seconds, and for one that looks at what is there."""
EVERY = 10_000
ROWS, BYTES = 20_000, 16_000_000
"""Of one result."""
LIMITS = {sqlite3.SQLITE_LIMIT_LENGTH: 1_000_000, sqlite3.SQLITE_LIMIT_SQL_LENGTH: 100_000, sqlite3.SQLITE_LIMIT_ATTACHED: 0}
"""Bytes of a value, bytes of a query, files beside the database."""
HEAP, COPY = 600_000_000, 100_000_000
"""Bytes of all that SQLite holds, and of a file that is copied into memory because its data are varied."""
OPEN = 3
"""Databases that are kept open."""
_READS = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
RIGHTS: dict[str, tuple[set[int] | None, str]] = {
    "read": (_READS, "only reading is allowed"),
    "change": (
        _READS | {sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE},
        "only INSERT, UPDATE and DELETE are allowed",
    ),
    "build": (None, "no other file may be attached"),
}
"""What a statement may do, None: all but to attach files and load code; and what it is told otherwise."""
UNSAFE = {"load_extension", "fts3_tokenizer", "readfile", "writefile", "edit"}
UNSTEADY = {"random", "randomblob", "changes", "total_changes", "last_insert_rowid"}
SHOWN, VALUES, LOOKED = 3, 12, 10_000
"""Rows of a table, and different values of a column, that a look gives at most; rows that it looks at."""

Row = tuple[Any, ...]


class Refused(Exception):
    """What a query did wrong, in words."""


class Base:
    """One open database."""

    def __init__(self, source: dict[str, str], varied: bool):
        """`source`: {"path": a SQLite file, or a text of SQL} or {"text": SQL}; `varied`: its data will be changed, and so copied."""
        path = Path(source.get("path", ""))
        self.connection = db = sqlite3.connect(":memory:", isolation_level=None, cached_statements=0)
        db.execute(f"PRAGMA hard_heap_limit={HEAP}")
        if "path" in source and _is_sqlite(path):
            file = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None, cached_statements=0)
            if varied:
                pages, size = (file.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
                if pages * size > COPY:
                    raise Refused(f"it has {pages * size:,} bytes, and data of at most {COPY:,} bytes can be varied")
                file.backup(db)
                file.close()
            else:
                self.connection = db = file
        else:
            text = source["text"] if "text" in source else path.read_text(encoding="utf-8", errors="replace")
            self._guarded(lambda: db.executescript(text), "build", 10 * STEPS)
            if db.in_transaction:
                db.execute("COMMIT")
        db.execute("PRAGMA temp_store=MEMORY")  # what is sorted takes of the heap, not of the disk
        for name in ("json_each", "json_tree"):  # a table that is made at its first use, which no query may do
            with contextlib.suppress(sqlite3.Error):  # SQLite may be built without them
                db.execute(f"SELECT 1 FROM {name}('[]')")
        db.text_factory = lambda data: data.decode(errors="replace")
        for limit, most in LIMITS.items():
            db.setlimit(limit, most)

    def rows(self, query: str, steps: int = STEPS) -> tuple[list[Row], int]:
        """The result and its number of columns. Raises Refused."""
        return self._guarded(lambda: _fetched(self.connection.execute(query)), "read", steps)

    def vary(self, script: str) -> None:
        """Change the data. Raises Refused."""
        self._guarded(lambda: [self.connection.execute(statement).fetchall() for statement in statements(script)], "change", STEPS)

    def _guarded(self, act: Callable[[], Any], rights: str, steps: int) -> Any:
        """Do it with these rights and steps. Raises Refused."""
        allowed, refusal = RIGHTS[rights]
        left = steps // EVERY
        denied = ""

        def late() -> bool:
            nonlocal left
            left -= 1
            return left < 0

        def decide(action: int, one: str | None, two: str | None, *_: str | None) -> int:
            nonlocal denied
            if action == sqlite3.SQLITE_FUNCTION and str(two).lower() in UNSAFE | (UNSTEADY if allowed else set()):
                denied = f"{two}() is not allowed"
            elif action == sqlite3.SQLITE_ATTACH or (allowed and action not in allowed):
                denied = refusal
            else:  # a pragma at the head of a dump is passed over
                return sqlite3.SQLITE_IGNORE if action == sqlite3.SQLITE_PRAGMA else sqlite3.SQLITE_OK
            return sqlite3.SQLITE_DENY

        self.connection.set_progress_handler(late, EVERY)
        self.connection.set_authorizer(decide)
        try:
            return act()
        except MemoryError:
            raise Refused("it takes too much memory") from None
        except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as error:
            raise Refused(denied or ("it takes too long" if left < 0 else f"not SQL: {error}")) from None
        finally:
            self.connection.set_authorizer(None)
            self.connection.set_progress_handler(None, 0)


def _is_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(16) == b"SQLite format 3\0"


def _fetched(cursor: sqlite3.Cursor) -> tuple[list[Row], int]:
    if cursor.description is None:
        raise Refused("not SQL: no query")
    rows: list[Row] = []
    size = 0
    for row in cursor:
        size += sum(len(value) if isinstance(value, str | bytes) else 8 for value in row)
        rows.append(row)
        if len(rows) > ROWS or size > BYTES:
            raise Refused(f"its result is larger than {ROWS:,} rows or {BYTES // 1_000_000} MB")
    return rows, len(cursor.description)


def statements(script: str) -> Iterator[str]:
    """The statements of a text, by SQLite's own reading of quotes and comments."""
    start = 0
    for place, sign in enumerate(script):
        if sign == ";" and sqlite3.complete_statement(script[start : place + 1]):
            yield script[start : place + 1]
            start = place + 1
    if script[start:].strip():
        yield script[start:]


# Comparing --------------------------------------------------------------------------------------------------------------------


def _key(row: Row) -> list[Any]:
    """What rows are sorted by: numbers that differ by rounding alone stay beside each other, long whole ones do not."""
    return [
        (0, 0.0, "") if value is None
        else (1, float(f"{value:.8g}"), "") if isinstance(value, int | float)
        else (2, 0.0, value) if isinstance(value, str)
        else (3, 0.0, value.hex())
        for value in row
    ] + [float(f"{value:.12g}") if value % 1 else value for value in row if isinstance(value, int | float)]  # fmt: skip


def _equal(one: Row, other: Row) -> bool:
    """Whether two rows are the same: numbers with a fraction by tolerance, all else to the letter."""
    return len(one) == len(other) and all(
        a == b or (isinstance(a, int | float) and isinstance(b, int | float) and float in (type(a), type(b)) and _close(a, b))
        for a, b in zip(one, other, strict=True)
    )


def _close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)


def listed(one: Sequence[Row], other: Sequence[Row]) -> bool:
    """Whether two results are the same in this order."""
    return len(one) == len(other) and all(map(_equal, one, other))


def together(one: Sequence[Row], other: Sequence[Row]) -> bool:
    """Whether two results are the same in some order."""
    return len(one) == len(other) and listed(sorted(one, key=_key), sorted(other, key=_key))


def _tied(up: Sequence[Row], down: Sequence[Row], given: Sequence[Row]) -> bool:
    """Whether a result is ordered as the gold orders, where it leaves open the order of some rows: `up` and `down` are the gold's with such
    rows one way round and the other, so that what lies between two places up to which both hold the same rows may lie in any order."""
    start = 0
    owed: Counter[tuple[Any, ...]] = Counter()
    for end, rows in enumerate(zip(up, down, strict=True), 1):
        for row, count in zip(rows, (1, -1), strict=True):
            key = tuple(_key(row))
            owed[key] += count
            if not owed[key]:
                del owed[key]
        if not owed:
            if not together(up[start:end], given[start:end]):
                return False
            start = end
    return start == len(up) == len(given)


def compared(db: Base, gold: str, tail: int | None, given: str) -> dict[str, Any]:
    """{"gold": rows, "given": rows, "same": bool, "moved": whether the order alone is wrong}, or {"fault": of the gold}, or {"error": of
    the given query}.

    `tail`: where in the gold further terms of its outermost ORDER BY would stand; None: it orders nothing.
    """
    try:
        right, columns = db.rows(gold)
        up = down = right
        ways = [", ".join(f"{number}{way}" for number in range(1, columns + 1)) for way in ("", " DESC")]
        with contextlib.suppress(Refused):  # two more columns to order by may be too many
            up, down = (db.rows(f"{gold[:tail]}, {more} {gold[tail:]}")[0] if tail is not None else right for more in ways)
    except Refused as error:
        return {"fault": f"the gold query fails: {error}"}
    try:
        said, _ = db.rows(given)
    except Refused as error:
        return {"error": str(error)}
    unordered = together(right, said)
    same = unordered if tail is None else any(listed(one, said) for one in (right, up, down)) or _tied(up, down, said)
    return {"gold": len(right), "given": len(said), "same": same, "moved": unordered and not same}


# Questions --------------------------------------------------------------------------------------------------------------------


class Bases:
    """The databases that are open, the one that was used last at the end."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, Base] = OrderedDict()

    def get(self, source: dict[str, str], varied: bool = False) -> Base:
        key = json.dumps([source, varied and "path" in source])
        if key not in self._held:
            while len(self._held) >= OPEN:
                self._held.popitem(last=False)[1].connection.close()
            self._held[key] = Base(source, varied)
        self._held.move_to_end(key)
        return self._held[key]

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        source, variations = asked["database"], asked.get("variations", [])
        try:
            db = self.get(source, bool(variations))
            if "gold" not in asked:
                return looked(db)
        except (Refused, OSError, sqlite3.Error, MemoryError) as error:
            return {"fault": f"the database cannot be read: {error or 'it takes too much memory'}"}
        states = []
        for script in ["", *variations]:
            db.connection.execute("BEGIN")
            try:
                db.vary(script)
                states.append(compared(db, asked["gold"], asked["tail"], asked["given"]))
            except Refused as error:
                states.append({"fault": f"the variation {script[:200]!r} fails: {error}"})
            finally:
                if db.connection.in_transaction:
                    db.connection.execute("ROLLBACK")
        return {"states": states}


def looked(db: Base) -> dict[str, Any]:
    """{"tables": [{"sql", "name", "columns", "count", "rows", "values"}]}: what one must know of a database to ask it something. `count` is
    at most LOOKED + 1, `values` are all texts of a column where they are few."""
    found = []
    named = "SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'view') AND substr(name, 1, 7) <> 'sqlite_' ORDER BY rowid"
    for name, sql in db.rows(named)[0]:
        table: dict[str, Any] = {"sql": sql, "name": name, "columns": [], "count": 0, "rows": [], "values": {}}
        found.append(table)
        shown = _quoted(name)
        with contextlib.suppress(Refused, sqlite3.Error):  # a view may be of a table that is gone, a value too large to be shown
            table["columns"] = [column for (column,) in db.connection.execute("SELECT name FROM pragma_table_info(?)", (name,))]
            table["count"] = db.rows(f"SELECT count(*) FROM (SELECT 1 FROM {shown} LIMIT {LOOKED + 1})", LOOK)[0][0][0]
            for column in table["columns"]:
                first = f"(SELECT {_quoted(column)} AS value FROM {shown} LIMIT {LOOKED})"
                some = [value for (value,) in db.rows(f"SELECT DISTINCT value FROM {first} LIMIT {VALUES + 1}", LOOK)[0]]
                if len(some) <= VALUES and all(isinstance(value, str) and len(value) <= 40 for value in some):
                    table["values"][column] = sorted(some)
            rows, _ = db.rows(f"SELECT * FROM {shown} LIMIT {SHOWN}", LOOK)
            table["rows"] = [[value if not isinstance(value, bytes) else "(bytes)" for value in row] for row in rows]
    return {"tables": found}


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def main() -> None:
    bases = Bases()
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        print(json.dumps(bases.answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
