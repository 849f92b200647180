"""Problems whose answer is a short text.

Not here: what makes two texts the same answer (the task's verdict does), and solving asserted answers again (errata.programs.steps.agree).
"""

from ....signatures.records import Attempt
from ....tasks import Task
from ..kind import Kind, Row


class TextKind(Kind):
    """A short text that the program worked out."""

    name = "text"
    texts = ("question", "answer")
    others = ("asserted", "solution")

    def told(self, task: Task, attempt: Attempt, row: Row) -> str | None:
        """The response is right where wrong() is taken for the gold answer: what a verdict reads of it may be the whole response."""
        instead = attempt.example.model_copy(update={"answer": row["wrong"]})
        if task.verdict(instead, attempt.response).correct:
            return None
        return f"is {row['wrong']!r}, but the model answered {attempt.verdict.extracted!r}"
