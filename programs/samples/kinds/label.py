"""Problems whose answer is one of the task's labels: texts to be classified.

Not here: which labels there are (the task's verdict knows), and solving asserted answers again (errata.programs.steps.agree).
"""

from collections import Counter
from collections.abc import Sequence

from ....signatures.records import Attempt, Example
from ....tasks import Task
from ..kind import Kind

LEAST = 0.4
"""A program's draws hold each label that its errors are about at least so often, against the share that is even: with two, 40 of 200."""
MOST = 0.6
"""Largest share of a program's training rows that one label may have."""


class LabelKind(Kind):
    """One label of a closed set. A program must give several: texts of one label alone teach to answer with it, whatever is asked."""

    name = "label"
    texts = ("question", "answer")
    others = ("asserted", "solution")
    asserted = True
    asks = False
    most = MOST

    def consistent(self, task: Task, made: Example) -> str | None:
        verdict = task.verdict(made, task.completion(made.solution, made.answer))
        if verdict.correct:
            return None
        known = (
            f"write it as the task does: {verdict.extracted!r}" if verdict.extracted else f"no label of the task is read ({verdict.reason})"
        )
        return f"the answer {made.answer!r} is not one of the task's labels: {known}"

    def one_sided(self, attempts: Sequence[Attempt], made: Sequence[Example]) -> str | None:
        """Each gold label of the errors, and each label that the model gave to them, is the answer of enough of the draws."""
        wanted = {name for row in attempts for name in (row.example.answer, row.verdict.extracted) if name is not None}
        counted = Counter(example.answer for example in made)
        total, needed = counted.total(), LEAST / max(2, len(wanted)) * counted.total()
        told = ", ".join(f"{count} {name!r}" for name, count in counted.most_common())
        for name in sorted(wanted):
            if counted[name] < needed:
                return f"only {counted[name]} of {total} draws have the label {name!r}, {needed:.0f} are needed ({told}): {_ACT}"
        if len(wanted) < 2 and total - counted[next(iter(wanted))] < needed:
            return (
                f"only {total - counted[next(iter(wanted))]} of {total} draws have another label, {needed:.0f} are needed ({told}): {_ACT}"
            )
        return None


_ACT = (
    "let draw() choose the label first, the error's gold label and the one that the model gave at least, and make texts of both that are "
    "alike but for what decides"
)
