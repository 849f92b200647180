"""Answers that choose one of several options, shown with letters."""

import contextlib
import string

from ...signatures.errors import TaskError, UsageError
from ..cells import at, column, fields_of, text_of
from ..files import Row
from ..options import Options, gold, options
from ..verdicts import choice
from .form import Form, Gold, naming


class ChoiceForm(Form):
    """The letter of one option of several."""

    kind = "choice"
    ask = 'Think it through; end with the line "Answer: " and the letter of the one right option.'
    brief = 'Questions with labelled options, one of them right. The response reasons; its last line is "Answer: " and the letter.'
    steps = True
    judge = staticmethod(choice.judged)
    completion = staticmethod(choice.completion)

    def read(self, row: Row, where: str, question: str) -> Gold:
        found = self._options(row, where)
        answer = gold(column(row, self.settings.answer, where, naming(self.settings, row, "answer")), found, where)
        return Gold(choice.question(question, found.choices), answer, {"choices": found.choices})

    def bare(self, answer: str) -> str:
        return answer

    def _options(self, row: Row, where: str) -> Options:
        names = self.settings.choices
        if names is None:
            raise UsageError("the verdict `choice` needs table.choices: the column with the options, or one column an option")
        if isinstance(names, str):
            return options(column(row, names, where, naming(self.settings, row, "choices")), where)
        held = {}
        for name in names:
            with contextlib.suppress(KeyError):
                held[name] = at(row, name)
        there = list(held)
        if not there and (text_of(row.get(self.settings.answer)) or "").casefold() in map(str.casefold, names):
            return options(list(names), where)  # the same options for every row
        if len(there) < len(names):
            missing = ", ".join(repr(name) for name in names if name not in row)
            mend = "mend table.choices: columns, or the options themselves with one of them as the answer"
            raise TaskError(f"{where}: field {missing} is missing (fields there: {fields_of(row)}); {mend}")
        labels = "".join(names) in string.ascii_uppercase  # the columns A, B, C, D
        found = options([[name, held[name]] if labels else held[name] for name in names], where)
        return found if labels else found._replace(columns=names)
