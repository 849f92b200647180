"""Answers that are a number."""

from ...signatures.errors import TaskError
from ..files import Row
from ..verdicts import number
from .form import Form, Gold


class NumberForm(Form):
    """A number, compared by value."""

    kind = "number"
    ask = 'Show each step; end with the line "#### number".'
    brief = 'Questions whose answer is a number. The response works through the steps; its last line is "#### " and the number.'
    judge = staticmethod(number.judged)
    completion = staticmethod(number.completion)

    def read(self, row: Row, where: str, question: str) -> Gold:
        found = super().read(row, where, question)
        answer = found.answer.rpartition("####")[2].strip()
        if number.read(answer) is None:
            raise TaskError(f"{where}: no single number can be read from the answer {answer[-40:]!r}; mend or delete the row")
        return found._replace(answer=answer)
