"""Answers in prose, which no text can be compared with: a language model judges them by a rubric, and by a reference where there is one."""

from ...signatures.errors import UsageError
from ...signatures.records import Example, Verdict
from ..cells import words
from ..files import Row
from ..settings import TableSettings
from .form import Form, Gold, Helpers

SHOWN = 200  # characters of a response that a verdict repeats


class ProseForm(Form):
    """Whatever the rubric asks for. The column of a gold answer may be missing or empty; where it is not, it holds one right answer."""

    kind = "prose"
    ask = ""
    brief = "Questions that are answered in a few sentences; the response is the answer alone."

    def __init__(self, name: str, settings: TableSettings, helpers: Helpers):
        super().__init__(name, settings, helpers)
        self._rubric = settings.rubric.strip()
        if not self._rubric:
            raise UsageError("the verdict `judge` needs table.rubric: what a right answer must do, in words")
        if helpers.judge is None:
            told = f"task {name} is judged by a language model, and there is none: the embedded instructor `offline` cannot judge"
            raise UsageError(f"{told}; name one, e.g. --set judge.model=openai/gpt-5-mini (in code: load_task(..., judge=...))")
        self._judge = helpers.judge
        self.facts = f"A language model judges the response by this rubric: {self._rubric}"

    def read(self, row: Row, where: str, question: str) -> Gold:
        return Gold(question, words(row.get(self.settings.answer)).strip(), {})

    def judge(self, example: Example, response: str) -> Verdict:
        """The reference itself is right, and what is blank is wrong: neither costs a call."""
        said = response.strip()
        if not said:
            return Verdict(correct=False, extracted=None, reason="no answer")
        if said == example.answer:
            return Verdict(correct=True, extracted=said[:SHOWN], reason="right: it is the reference")
        question = f"(The system message before it: {self.system})\n\n{example.question}" if self.system else example.question
        found = self._judge(self._rubric, question, example.answer, said)
        reason = found.reason if found.correct is None else f"{'right' if found.correct else 'wrong'}: {found.reason}"
        return Verdict(correct=found.correct, extracted=said[:SHOWN], reason=reason, judge=self._judge.name, again=found.again)

    def completion(self, solution: str, answer: str) -> str:
        """The answer alone: what it rests on is not part of it."""
        return answer
