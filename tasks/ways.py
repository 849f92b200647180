"""Other ways to ask and to read the same items of a task: worked examples before the question, the question alone, a looser verdict.

Each is a task of its own that the user's settings could have made, with the settings that make it. What is not here: what each gives
(errata.programs.form.look).
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple, Protocol

from ..signatures.errors import ErrataError
from .base import Task
from .settings import TableSettings
from .table import TableTask

SHOTS = 3
"""Worked examples that are tried."""
_TABLES = ("jsonl", "parquet", "hf")
_STEPS = ("number", "exact", "contains", "math")
"""Verdicts whose own words for the form may be left away: others name labels, options or a schema that a model must know."""


class Loader(Protocol):
    def __call__(self, name: str, *, table: TableSettings) -> Task: ...


class Way(NamedTuple):
    """One other way."""

    name: str
    settings: tuple[str, ...]
    """What makes it, each as `--set` takes it."""
    task: Task
    shown: frozenset[str]
    """Questions that it shows solved."""


def ways(written: str, table: TableSettings, load: Loader) -> Iterator[Way]:
    """The other ways of the task that is `written` so, the likeliest first. None where rows are not read as `table` says: of published sets
    only gsm8k has a table's form. Those that its data do not allow, as train is too short, are left out."""
    kind, _, place = written.partition(":")
    given: tuple[str, ...] = ()
    if kind == "gsm8k" and place:
        table, written = TableSettings(verdict="number", solution="answer", max_new_tokens=400), f"jsonl:{place}"
        given = (f"task={written}", "table.verdict=number", "table.solution=answer", "table.max_new_tokens=400")
    elif kind not in _TABLES:
        return
    tried: list[tuple[str, dict[str, object], str]] = []
    if not table.shots:
        tried.append((f"{SHOTS} worked examples", {"shots": SHOTS}, f"table.shots={SHOTS}"))
    if table.verdict in _STEPS and not (table.ask or table.system):
        tried.append(("the question alone", {"ask": " "}, "table.ask=' '"))
    if table.verdict == "exact":
        tried.append(("the verdict contains", {"verdict": "contains"}, "table.verdict=contains"))
    for name, changed, told in tried:
        with suppress(ErrataError):
            task = load(written, table=table.model_copy(update=changed))
            shown = task.prefix.shots if isinstance(task, TableTask) else ()
            yield Way(name, (*given, told), task, frozenset(one.question for one in shown))
