"""Answers that are an SQL query, judged by running it on the task's database."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ...signatures.errors import TaskError, UsageError
from ...signatures.records import Example, Verdict, content_hash
from ..cells import field
from ..files import Row
from ..rows import file_hash
from ..settings import TableSettings
from ..verdicts.sql.judge import Judge, Look, Source, is_sql
from ..verdicts.sql.text import bare, read
from .form import Form, Gold, Helpers, naming

_COLUMN = re.compile(r"\{([^{}]+)\}")


class SqlForm(Form):
    """One query for SQLite. All items ask one database, which is told once, or each names its own, which is shown with its question."""

    kind = "sql"
    ask = "Answer with one SQL query for SQLite alone."
    brief = (
        "Questions about a database, each answered with one SQL query for SQLite. It is run: its rows must be those of the reference, in "
        "the same order where the reference orders them. The order of the columns counts, their names do not."
    )

    def __init__(self, name: str, settings: TableSettings, helpers: Helpers):
        super().__init__(name, settings, helpers)
        if not settings.database:
            act = "CREATE TABLE and INSERT INTO as text, or the path of a file with such text or of a SQLite file"
            raise UsageError(f"the verdict `sql` needs table.database: {act}")
        self.data: dict[str, str] = {}
        self._judge = Judge()
        self._held: dict[str, tuple[Source, Look]] = {}
        self._written: Counter[str] = Counter()  # how golds are written
        self._first = ""
        self._only = None if not is_sql(settings.database) and _COLUMN.search(settings.database) else settings.database
        if self._only:
            self._first = self._take(self._only, "table.database")
            self.facts = f"The database:\n{self._held[self._first][1].facts}"

    def _take(self, database: str, where: str) -> str:
        """The name of the database that is given so, looked at once. Raises TaskError."""
        name = database if not is_sql(database) else content_hash(database)[:8]
        if name not in self._held:
            source = {"text": database}
            if not is_sql(database):
                path = Path(database).expanduser()
                try:
                    self.data |= {database: file_hash(path)}
                except (OSError, ValueError):
                    act = "write the path of a file, from where the command runs, or text with CREATE TABLE"
                    raise TaskError(f"{where}: no database can be read at {database[:80]!r}; {act}") from None
                source = {"path": str(path.resolve())}
            self._held[name] = source, self._judge.look(source, where)
        return name

    def read(self, row: Row, where: str, question: str) -> Gold:
        said = field(row, self.settings.answer, where, mend=naming(self.settings, row, "answer")).strip()
        query, why = read(said)
        if query is None:
            raise TaskError(f"{where}: no SQL query can be read from the answer {said[:40]!r} ({why}); mend or delete the row")
        self._written["```" if "```" in said else ";" if said.endswith(";") else ""] += 1
        if self._only:
            return Gold(question, query, {})
        name = self._take(
            _COLUMN.sub(
                lambda column: field(row, column[1], where, mend="name columns of the rows in table.database, or mend the row"),
                str(self.settings.database),
            ),
            where,
        )
        shown = f"Database {name}:\n{self._held[name][1].facts}\n\n{question}"
        return Gold(shown, query, {"database": name, "stem": question})

    def learn(self, train: Sequence[Example]) -> None:
        super().learn(train)
        if self.worked:
            self.ask = "Work it out, and end with one SQL query for SQLite in a ```sql block."

    def shown(self, example: Example) -> str:
        return example.question if self._only else self._with_schema(example)

    def asked(self, example: Example) -> str:
        alone = self.settings.ask and self._only  # the user's own words may show the tables
        return f"{example.question if alone else self._with_schema(example)}\n{self.settings.ask or self.ask}"

    def _with_schema(self, example: Example) -> str:
        held, stem = self._held.get(self._name(example)), example.meta.get("stem", example.question)
        return f"{held[1].schema}\n\n{stem}" if held else stem

    def _name(self, example: Example) -> str:
        return example.meta.get("database") or self._first

    def judge(self, example: Example, response: str) -> Verdict:
        name = self._name(example)
        if name not in self._held:
            known = ", ".join(list(self._held)[:9])
            return Verdict(correct=None, extracted=None, reason=f"the database {name[:80]!r} is not one of the task's ({known})")
        return self._judge.verdict(self._held[name][0], example.answer, response, example.meta.get("variations", ()))

    def completion(self, solution: str, answer: str) -> str:
        """The query as most golds are written, behind the solution where references show one."""
        style = self._written.most_common(1)[0][0] if self._written else ""
        answer = bare(answer)
        if solution.strip() and self.worked:
            return f"{solution.rstrip()}\n\n```sql\n{answer}\n```"
        return f"```sql\n{answer}\n```" if style == "```" else answer + style
