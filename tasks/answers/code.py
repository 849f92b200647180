"""Answers that are a Python function, judged by the row's tests."""

from ...signatures.records import Example, Verdict
from ..cells import field, words
from ..files import Row
from ..settings import TableSettings
from ..verdicts import code
from .form import Form, Gold, Helpers


class CodeForm(Form):
    """A function in one ```python block. The column of a gold answer may be missing: tests judge."""

    kind = "code"
    ask = ""
    brief = "Python functions to be written, judged by tests that call them. The response holds the whole function in one ```python block."
    completion = staticmethod(code.completion)

    def __init__(self, name: str, settings: TableSettings, helpers: Helpers):
        super().__init__(name, settings, helpers)
        self._judge = code.Judge(code.runner_or_refuse(name, helpers.runner))

    def read(self, row: Row, where: str, question: str) -> Gold:
        settings = self.settings
        entry, test = field(row, settings.entry_point, where), field(row, settings.test, where)
        meta = {"entry_point": entry, "test": test, "prompt": question if f"def {entry}" in question else ""}
        return Gold(question, words(row.get(settings.answer)), meta)

    def bare(self, answer: str) -> str:
        return answer

    def asked(self, example: Example) -> str:
        return super().asked(example) if self.settings.ask else code.prompt(example)[0]["content"]

    def judge(self, example: Example, response: str) -> Verdict:
        return self._judge.verdict(code.item_of(example), response)
