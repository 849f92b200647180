"""Answers that are a number."""

from ...signatures.errors import TaskError
from ..files import Row
from ..verdicts import number
from .form import Gold
from .text import TextForm


class NumberForm(TextForm):
    """A number, compared by value."""

    kind = "number"
    ask = 'Show each step; end with the line "#### number".'
    brief = 'Questions whose answer is a number. The response works through the steps; its last line is "#### " and the number.'
    steps = True
    judge = staticmethod(number.judged)
    completion = staticmethod(number.completion)

    def read(self, row: Row, where: str, question: str) -> Gold:
        found = super().read(row, where, question)
        work, mark, answer = map(str.strip, found.answer.rpartition("####"))
        if number.read(answer) is None:
            raise TaskError(f"{where}: no single number can be read from the answer {answer[-40:]!r}; mend or delete the row")
        self.worked = self.worked or bool(mark)
        return found._replace(answer=answer, solution=found.solution or work)
