"""Problems whose answer is prose. A language model judges it, so that each look at one costs a call: an anchor is judged, with what `wrong`
gives for it; drawn rows are looked at here without a call, and solved independently in part (errata.programs.steps.agree).

Not here: the rubric (errata.tasks.answers.prose).
"""

from ....signatures.records import Attempt, Example
from ....tasks import Task
from ..kind import Draw, Kind, Row, likeness

ECHO = 0.9  # likeness over words from which on an answer is a copy of its question


class ProseKind(Kind):
    """An answer in a few sentences that meets a rubric."""

    name = "prose"
    texts = ("question", "answer")
    others = ("asserted", "solution")
    most = 0.6
    asserted = True

    def finish(self, row: Row, draw: Draw | None) -> Row:
        row = super().finish(row | {"asserted": True}, draw)  # no program can prove prose
        return row | {"answer": row["answer"].strip()}

    def consistent(self, task: Task, made: Example) -> str | None:
        """Of its form alone: a judge would be asked of each drawn row."""
        if likeness(made.answer, made.question) >= ECHO:
            return f"the answer repeats its question: {made.answer[:200]!r}"
        return None

    def anchored(self, task: Task, gold: Example, made: Example) -> str | None:
        verdict = task.verdict(gold, made.answer)
        if verdict.correct is not False:  # what could not be judged is no fault of the program's
            return None
        return f"answers {made.answer[:200]!r}, which the judge of the task does not pass, {verdict.reason}"

    def told(self, task: Task, attempt: Attempt, row: Row) -> str | None:
        verdict = task.verdict(attempt.example, row["wrong"])
        if verdict.correct is not True:
            return None
        return f"is {row['wrong'][:200]!r}, which the judge of the task passes, {verdict.reason}: make the mistake of the model's response"

    def misses(self, task: Task, made: Example, wrong: str) -> bool:
        return _plain(wrong) == _plain(made.answer)


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
