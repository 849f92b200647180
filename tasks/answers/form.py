"""What all forms of answer share: how a row's gold answer is read, what is asked of the model, how a response is judged, and how an answer
is written to be trained on.

A form knows nothing of where rows come from or of the rest of the prompt (errata.tasks.table). What it judges with beside the two texts,
a sandbox or a language model, it is handed.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from ...signatures.records import Example, Kind, Message, Verdict
from ..base import Judge, Runner, ended
from ..cells import GOLDS, QUESTIONS, field
from ..files import Row
from ..settings import TableSettings
from ..trace import readable


class Helpers(NamedTuple):
    """What a verdict may need beside the texts."""

    runner: Runner | None = None
    """Runs code apart from this process."""
    judge: Judge | None = None
    """Judges prose."""


class Gold(NamedTuple):
    """What a row says beside its question."""

    question: str
    """The question as it is shown: with the options of a choice, say."""
    answer: str
    meta: dict[str, Any]
    solution: str = ""
    """Words beside the answer, where the row names no solution."""


class Form:
    """One form of answer, as the `table` of a config sets it. A subclass says what it needs otherwise."""

    kind: Kind = "text"
    ask = 'Think it through; end with the line "Answer: " and the answer alone.'
    """Text behind each question, which says in which form to answer."""
    brief = 'Questions with a short answer. The last line of a response is "Answer: " and the answer alone.'
    """Tells the instructor the same."""
    facts: str = ""
    """What the instructor is told beside it, or beside the user's own `table.brief`."""
    system: str = ""
    """The system text that stands before each question."""
    steps = False
    """Whether `ask` wants the work shown, so that it is trained on where no reference shows any."""
    worked = False
    """Whether references show their work: train items have a solution, or gold answers hold one."""
    taken: str = ""
    """What was taken of the train items where the settings leave it open, for the user; empty: nothing."""
    setting: str = ""
    """The setting that says the same."""
    settles = False
    """Whether `settled` changes items, once the form has learned."""
    data: Mapping[str, str] = MappingProxyType({})
    """Files that are read beside the rows -> a hash of each."""

    def __init__(self, name: str, settings: TableSettings, helpers: Helpers):
        """`name`: the task's. Raises UsageError for settings that the form cannot do with."""
        self.settings = settings

    def read(self, row: Row, where: str, question: str) -> Gold:
        """What a row says beside its `question`; `where` names the row in errors. Raises TaskError."""
        # what a metric may want of the row, as far as it is JSON
        columns = {name: value for name, value in row.items() if _is_json(value)}
        answer = field(row, self.settings.answer, where, mend=naming(self.settings, row, "answer")).strip()
        return Gold(question, answer, {"columns": columns})

    def learn(self, train: Sequence[Example]) -> None:
        """Look at the train items once, before anything is asked: the style of their answers, say. Raises TaskError."""
        self.worked = self.worked or any(example.solution for example in train)

    def settled(self, example: Example) -> Example:
        """The item without what the form has `learned` that all share."""
        return example

    def shown(self, example: Example) -> str:
        """The question as the model reads it where the prompt says elsewhere in which form to answer."""
        return example.question

    def asked(self, example: Example) -> str:
        """The question as the user's message of the prompt; alone where `table.ask` is a blank."""
        ask = self.settings.ask or self.ask
        return f"{example.question}\n{ask}" if ask.strip() else example.question

    def before(self, example: Example) -> list[Message]:
        """Messages before all others of the prompt."""
        return []

    def readable(self, answer: str) -> str:
        """What `judge` is given of an answer: without the marks of turns and of answers."""
        return readable(answer, self.kind)

    def judge(self, example: Example, response: str) -> Verdict:
        """`right`, `wrong`, `no answer`, or why it is unjudged."""
        raise NotImplementedError

    def fault(self, answer: str) -> str:
        """Why no item of the task could have this gold answer; empty: one could."""
        return ""

    def doubt(self, example: Example) -> str:
        """Why an item is not taught as it stands, though its gold answer can be judged; empty: it is."""
        return ""

    def bare(self, answer: str) -> str:
        """The answer as golds are written, and nothing else."""
        return self.completion("", answer)

    def completion(self, solution: str, answer: str) -> str:
        """The text to train on: the solution, ending in the answer in the form that is asked for."""
        return ended(solution, f"Answer: {answer}")


_USUAL = {
    "question": QUESTIONS,
    "answer": ("answer", *GOLDS, "label", "answerKey", "output", "completion", "response", "solution"),
    "choices": ("choices", "options"),
}
"""Names that columns often have, by the setting that takes one."""


def naming(settings: TableSettings, row: Row, setting: str) -> str:
    """What to do when a setting's column is missing, with the columns that may be meant."""
    names = {one: str(getattr(settings, one)) for one in (setting, "question", "answer")}
    if names[setting] in row:
        return ""
    flags: dict[str, str] = {}
    for one in sorted((one for one, name in names.items() if name not in row and "{" not in name), key=list(_USUAL).index):
        other = next((name for name in _USUAL[one] if name in row and name not in flags.values()), "COLUMN")
        flags[f"--set table.{one}"] = other
    return f"name the column with {' '.join(f'{flag}={name}' for flag, name in flags.items())}, or mend the row"


def _is_json(value: Any) -> bool:
    """Whether a column is a text, a number or a list as JSON has them."""
    inner = [more for one in value for more in (one.values() if isinstance(one, dict) else [one])] if isinstance(value, list) else []
    return isinstance(value, (str, int, float, list)) and all(one is None or _is_json(one) for one in inner)
