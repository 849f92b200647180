"""The train rows that the embedded instructor recombines. Held-out items never come here: who opens the instructor hands it train."""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from .....signatures.records import Example
from ....samples.calculations import Unreadable

T = TypeVar("T")


class Rows:
    """Train items by task, read when they are first asked for."""

    def __init__(self, load: Callable[[], Iterable[Example]] | None = None):
        self._load = load
        self._tasks: dict[str, list[Example]] | None = None
        self._reading, self._learning = threading.Lock(), threading.Lock()
        self._learned: dict[tuple[str, str], Any] = {}

    def beside(self, question: str, kind: str) -> Sequence[Example]:
        """The rows of the task that asks this question: of the first task of the kind where none holds it, as with recorded errors. Raises
        Unreadable where there are no rows that can be recombined."""
        tasks = [rows for rows in self._read().values() if rows[0].kind == kind]
        own = [rows for rows in tasks if any(row.question == question for row in rows)]
        found = (own or tasks or [[]])[0]
        if not found:
            raise Unreadable(f"answers of the kind {kind} are taught from train rows, and none of this task were handed over")
        if any("messages" in row.meta for row in found):
            raise Unreadable("conversations of several turns are not recombined")
        return found

    def kind_of(self, question: str) -> str:
        """The kind of the item that asks this question, or the one kind that all rows are of; empty where it cannot be told."""
        found = {row.kind for rows in self._read().values() for row in rows if row.question == question}
        kinds = found or {rows[0].kind for rows in self._read().values()}
        return kinds.pop() if len(kinds) == 1 else ""

    def learned(self, name: tuple[str, str], learn: Callable[[], T]) -> T:
        """What was learned of a task's rows, once: the requests that come at the same time wait for it."""
        with self._learning:
            if name not in self._learned:
                self._learned[name] = learn()
            found: T = self._learned[name]
            return found

    def _read(self) -> dict[str, list[Example]]:
        with self._reading:
            if self._tasks is None:
                found = defaultdict(list)
                for row in self._load() if self._load else ():
                    if row.split == "train":
                        found[row.task].append(row)
                self._tasks = dict(found)
            return self._tasks
