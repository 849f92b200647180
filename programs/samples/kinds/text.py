"""Problems whose answer is a short text.

Not here: what makes two texts the same answer (the task's verdict does), and solving asserted answers again (errata.programs.steps.agree).
"""

from ....signatures.records import Attempt, Example
from ....tasks import Task
from ..kind import Draw, Kind, Row


class TextKind(Kind):
    """A short text that the program worked out."""

    name = "text"
    texts = ("question", "answer")
    others = ("asserted", "solution")

    def finish(self, row: Row, draw: Draw | None) -> Row:
        row = super().finish(row, draw)
        solution = row.get("solution") or ""
        if not isinstance(solution, str):
            raise ValueError(f"make() must return a str under 'solution', or leave it out, not {solution!r}")
        return row | {"solution": solution}

    def anchored(self, task: Task, gold: Example, made: Example) -> str | None:
        verdict = task.verdict(gold, task.completion(made.solution, made.answer))
        return None if verdict.correct else f"answers {made.answer!r}, but the gold answer is {gold.answer!r} ({verdict.reason})"

    def told(self, task: Task, attempt: Attempt, row: Row) -> str | None:
        """The response is right where wrong() is taken for the gold answer: what a verdict reads of it may be the whole response."""
        instead = attempt.example.model_copy(update={"answer": row["wrong"]})
        if task.verdict(instead, attempt.response).correct:
            return None
        return f"is {row['wrong']!r}, but the model answered {attempt.verdict.extracted!r}"

    def misses(self, task: Task, made: Example, wrong: str) -> bool:
        return bool(task.verdict(made, task.completion("", wrong)).correct)
