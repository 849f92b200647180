"""Whether a query gives what the gold query gives: both run in SQLite, and their results are compared.

The order of rows counts where the gold orders its rows, at the outermost level, and rows that the gold leaves in any order may come in any;
names of columns never count, their order does. On varied data (test suites of Zhong et al. 2020, arXiv 2010.02840) a query must be right in
each state. Two queries that agree on all of them may still differ elsewhere. Rights and limits of a query: errata.tasks.verdicts.sql.child.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ....signatures.errors import TaskError
from ....signatures.records import Verdict
from ..child import Child
from .child import LOOKED
from .text import bare, read, tail

SECONDS = 20.0
"""Limit for one comparison on one state of the data, by the clock; most queries that go on for ever are ended sooner, by their steps."""
LATE = "it takes too long"
MOST = 6_000
"""Characters of a database that are shown; of a larger one, the names of its tables and columns."""

Source = dict[str, str]
"""A database: {"path": of a SQLite file or a text of SQL}, or {"text": SQL}."""


def is_sql(text: str) -> bool:
    """Whether a text is tables and rows, not the path of a file."""
    return re.search(r"(?i)\bcreate\s+(?:temp\w*\s+)?(?:table|view|virtual)\b", text) is not None


class Judge:
    """Runs queries in one child process."""

    def __init__(self) -> None:
        self._child = Child(Path(__file__).with_name("child.py"))

    def look(self, database: Source, where: str) -> "Look":
        """What is in a database, which `where` names in errors. Raises TaskError where it cannot be read or is empty."""
        said = self._child.ask({"database": database}, SECONDS) or {"fault": f"the database cannot be read: {LATE}"}
        if "fault" in said:
            raise TaskError(f"{where}: {' '.join(said['fault'].split())[:300]}; mend it so that SQLite can read it")
        if not any(table["count"] for table in said["tables"]):
            raise TaskError(f"{where}: the database holds no row, so any query would be right; add INSERT INTO ... with some rows")
        return Look(said["tables"])

    def verdict(self, database: Source, gold: str, response: str, variations: Sequence[str] = ()) -> Verdict:
        """`right`, or why not; unjudged where the gold query or a variation fails."""
        query, why = read(response)
        if query is None:
            return Verdict(correct=False, extracted=None, reason=why)
        states = self._compared(database, gold, query, variations)
        faults = [state["fault"] for state in states if "fault" in state]
        if faults:
            return Verdict(correct=None, extracted=query, reason=faults[0][:300])
        reasons = [
            reason + (f" where the data are varied by {_short(variations[number - 1])}" if number else "")
            for number, state in enumerate(states)
            if (reason := _reason(state))
        ]
        return Verdict(correct=not reasons, extracted=query, reason=reasons[0] if reasons else "right")

    def _compared(self, database: Source, gold: str, query: str, variations: Sequence[str]) -> list[dict[str, Any]]:
        gold = bare(gold)
        asked = {"database": database, "variations": list(variations), "gold": gold, "tail": tail(gold), "given": query}
        seconds = SECONDS * (1 + len(variations))
        said = self._child.ask(asked, seconds)
        if said is None:  # which of the two it was, the gold alone shows
            alone = self._child.ask(asked | {"given": gold}, seconds)
            said = {"states": [{"error": LATE}]} if alone else {"fault": f"the gold query fails: {LATE}"}
        return said.get("states", [said])


def _reason(state: dict[str, Any]) -> str:
    """Why a query is not right; empty where it is."""
    if "error" in state:
        return " ".join(state["error"].split())[:300]
    if state["same"]:
        return ""
    given, gold = (f"{state[name]} row{'s' * (state[name] != 1)}" for name in ("given", "gold"))
    if state["given"] != state["gold"]:
        return f"wrong: {given} where {state['gold'] or 'none'} {'is' if state['gold'] == 1 else 'are'} right"
    return f"wrong: {gold} {'in another order' if state['moved'] else 'with other values'}"


def _short(script: str) -> str:
    text = " ".join(script.split())
    return repr(text if len(text) <= 80 else f"{text[:77]}...")


class Look:
    """What is shown of a database."""

    def __init__(self, tables: Sequence[dict[str, Any]]):
        whole = "\n".join(f"{table['sql'].strip().rstrip(';')};" for table in tables)
        names = [f"{table['name']}({', '.join(table['columns'])})" for table in tables]
        self.schema = whole if len(whole) <= MOST else _cut(names, "tables")
        """Its tables, as SQL where that is short."""
        told = [line for table in tables for line in _told(table)]
        self.facts = f"{self.schema}\n\n{_cut(told, 'lines')}"
        """The same, and some of the rows and values."""


def _told(table: dict[str, Any]) -> list[str]:
    rows = ", ".join(f"({', '.join(map(_value, row))})" for row in table["rows"])
    values = [f"{table['name']}.{name}: {', '.join(map(_value, some))}" for name, some in table["values"].items()]
    many = f"over {LOOKED:,} rows" if table["count"] > LOOKED else f"{table['count']} row{'s' * (table['count'] != 1)}"
    return [f"{table['name']} has {many}{', the first ' + rows if rows else ''}", *values]


def _value(value: Any) -> str:
    if value is None:
        return "NULL"
    text = str(value)[:40] + ("..." if len(str(value)) > 40 else "")
    return repr(text) if isinstance(value, str) else text


def _cut(lines: Sequence[str], what: str) -> str:
    """The first lines, as many as are shown."""
    kept: list[str] = []
    for number, line in enumerate(lines):
        if sum(map(len, kept)) + len(line) > MOST:
            kept.append(f"and {len(lines) - number} more {what}")
            break
        kept.append(line)
    return "\n".join(kept)
