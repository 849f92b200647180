"""Answers that are a number."""

from collections.abc import Sequence

from ...signatures.errors import TaskError
from ...signatures.records import Example
from ..files import Row
from ..verdicts import number
from .form import Form, Gold
from .shapes import Shapes


class NumberForm(Form):
    """A number, compared by value."""

    kind = "number"
    ask = 'Show each step; end with the line "#### number".'
    brief = 'Questions whose answer is a number. The response works through the steps; its last line is "#### " and the number.'
    steps = True
    judge = staticmethod(number.judged)
    completion = staticmethod(number.completion)

    def read(self, row: Row, where: str, question: str) -> Gold:
        found = super().read(row, where, question)
        _, mark, answer = map(str.strip, found.answer.rpartition("####"))
        if number.read(answer) is None:
            raise TaskError(f"{where}: no single number can be read from the answer {answer[-40:]!r}; mend or delete the row")
        self.works = self.works or bool(mark)
        return found._replace(answer=answer)

    def learn(self, train: Sequence[Example]) -> None:
        self._shapes = Shapes([example.answer for example in train])

    def fault(self, answer: str) -> str:
        return self._shapes.fault(answer)

    def bare(self, answer: str) -> str:
        return answer
