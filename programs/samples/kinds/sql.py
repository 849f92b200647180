"""Problems that ask for an SQL query. The host runs it on the task's database, and on that database as the program varies it.

Not here: running queries (the task's verdict). A program computes no result, and never sees the database.
"""

from typing import Any

from ....signatures.records import Attempt, Example
from ....tasks import Task
from ....tasks.verdicts.sql.text import bare, plain
from ..kind import Draw, Kind, Row, problem_shape

VARIATIONS, LONGEST = 5, 5000  # most variations of a problem, and characters of the longest
NOTHING = "SELECT NULL WHERE 0"


class SqlKind(Kind):
    """A query; its result is the host's."""

    name = "sql"
    texts = ("question", "answer")
    others = ("asserted", "solution", "variations", "database")
    taught = "queries"

    def finish(self, row: Row, draw: Draw | None) -> Row:
        row = super().finish(row, draw)
        variations, database = row.pop("variations", None) or [], row.pop("database", None)
        texts = isinstance(variations, list) and all(isinstance(text, str) and text.strip() for text in variations)
        if not texts or len(variations) > VARIATIONS or max(map(len, variations), default=0) > LONGEST:
            raise ValueError(
                f"make() must return at most {VARIATIONS} str under 'variations', each of INSERT, UPDATE and DELETE statements and of "
                f"{LONGEST} characters at most, not {str(variations)[:200]}"
            )
        if database is not None and not isinstance(database, str):
            raise ValueError(f"make() must return the name of a database under 'database', not {database!r}")
        return row | {"answer": bare(row["answer"]), "variations": variations, "database": database}

    def meta(self, row: Row) -> dict[str, Any]:
        meta = {"variations": row["variations"], "database": row["database"]}
        return {name: value for name, value in meta.items() if value}

    def consistent(self, task: Task, made: Example) -> str | None:
        verdict = task.verdict(made, task.completion(made.solution, made.answer))
        if not verdict.correct:
            return f"the answer {made.answer[:300]!r} cannot be used: {verdict.reason}"
        empty = task.verdict(made.model_copy(update={"answer": NOTHING}), task.completion("", made.answer))
        if empty.correct:
            where = "the database and on each variation" if made.meta.get("variations") else "the database"
            act = "use values that stand in the data, or INSERT such rows in a variation"
            return f"the answer {made.answer[:300]!r} gives no row on {where}: {act}"
        return None

    def anchored(self, task: Task, gold: Example, made: Example) -> str | None:
        if made.meta.get("database") != gold.meta.get("database"):
            return f"asks the database {made.meta.get('database')!r}, but the error's own is {gold.meta.get('database')!r}"
        verdict = task.verdict(gold, task.completion("", made.answer))
        return None if verdict.correct else f"answers {made.answer[:300]!r}, which is not right for the error: {verdict.reason}"

    def told(self, task: Task, attempt: Attempt, row: Row) -> str | None:
        gold, said = attempt.example, task.completion("", row["wrong"])
        model = task.verdict(gold.model_copy(update={"answer": str(attempt.verdict.extracted)}), said)
        # a query of the model's that fails has no result
        if model.correct or (model.correct is None and _fails(task, gold, said)):
            return None
        how = (
            f"does not give what the model's query gives: {model.reason}" if model.correct is False else "runs, but the model's query fails"
        )
        return f"is {row['wrong'][:300]!r}, which {how}"

    def stem(self, example: Example) -> str:
        return example.meta.get("stem", example.question)

    def text(self, example: Example) -> str:
        return self.stem(example)

    def lesson(self, example: Example) -> Any:
        return plain(example.answer)

    def overlap(self, example: Example) -> str:
        return self.stem(example)

    def shape(self, example: Example) -> Any:
        return problem_shape(self.stem(example), plain(example.answer, masked=True))


def _fails(task: Task, gold: Example, said: str) -> bool:
    """Whether a query cannot be run at all."""
    verdict = task.verdict(gold, said)
    return verdict.correct is False and not verdict.reason.startswith("wrong")
