"""The tasks `jsonl:PATH`, `parquet:PATH` and `hf:NAME[CONFIG]`: any rows, with a column mapping and a verdict named in the config.

    task: jsonl:my/folder
    table: {question: prompt, answer: target, skill: topic, verdict: number}

Verdicts: `exact` (the marked or only answer equals the gold but for case, spaces, closing points and typography), `contains` (the gold
stands in the response, as whole words where its script has blanks between them), `regex` (what `pattern` finds last equals the gold),
`number`, `choice`, `code`, `math` (math-verify, an extra), `label` (one of a list that all rows share), `json` (equal
as JSON values), or `module:function` or `FILE.py:NAME`, a DSPy metric of two to five arguments (example, prediction, and None for the
rest): the row's columns, `question` and `answer` are fields of the first, `answer` and `response` of the second (plain objects with fields,
not dspy's own classes); it returns a bool or a score.

It does not cover rows whose answer is a list of several right ones, chats of several turns, or images.
"""

import re
import string
from pathlib import Path

from ..signatures.errors import UsageError
from ..signatures.records import Example, Message, Verdict
from .answers import FORMS, Helpers, MetricForm
from .answers.form import naming
from .base import Runner
from .cells import field, words
from .rows import Row, RowTask
from .settings import TableSettings

__all__ = ["TableSettings", "TableTask"]


class TableTask(RowTask):
    """Rows with a column mapping. A bad file or mapping raises TaskError when the task is made, bad settings UsageError."""

    def __init__(self, name: str, settings: TableSettings | None = None, runner: Runner | None = None):
        self.settings = settings = settings or TableSettings()
        source, _, rest = name.partition(":")
        if not rest:
            raise UsageError(f"task {source} needs its data: write {source}:{'NAME' if source == 'hf' else 'PATH'}")
        self.name = f"{source}:{Path(rest).stem if source != 'hf' else rest}"
        self.form = FORMS.get(settings.verdict, MetricForm)(self.name, settings, Helpers(runner))
        self.kind = self.form.kind
        self.max_new_tokens = settings.max_new_tokens
        if source != "hf":
            self.load_path(Path(rest).expanduser())
        elif match := re.fullmatch(r"([^\[\]]+)(?:\[([^\[\]]+)\])?", rest):
            self.load_hub(match[1], match[2], settings.splits)
        else:
            raise UsageError(f"task hf:{rest} cannot be read: write hf:NAME or hf:NAME[CONFIG], e.g. hf:openai/gsm8k[main]")
        # a form may have learned from the rows what to tell
        self.brief = " ".join(filter(None, (settings.brief or self.form.brief, self.form.facts)))

    def keep(self, rows: dict[str, list[Example]], one_file: bool = False) -> None:
        super().keep(rows, one_file)
        self.form.learn(self.examples("train"))

    def read(self, row: Row, split: str, where: str) -> Example:
        settings = self.settings
        form = settings.question
        text = _filled(form, row, where) if "{" in form else field(row, form, where, mend=naming(settings, row, "question"))
        said = self.form.read(row, where, text)
        solution, skill = (words(row.get(column)) if column else "" for column in (settings.solution, settings.skill))
        return Example(
            task=self.name,
            split=split,
            kind=self.form.kind if self.form.kind != "text" else "number",
            question=said.question,
            answer=said.answer,
            solution=solution or said.solution,
            skill=skill,
            meta=said.meta,
        )

    def prompt(self, example: Example) -> list[Message]:
        return [*self.form.before(example), {"role": "user", "content": self.form.asked(example)}]

    def readable(self, answer: str) -> str:
        return self.form.readable(answer)

    def judge(self, example: Example, response: str) -> Verdict:
        return self.form.judge(example, response)

    def completion(self, solution: str, answer: str) -> str:
        """The solution, ending in the answer in the form that is asked for."""
        return self.form.completion(solution, answer)

    def fault(self, answer: str) -> str:
        return self.form.fault(answer)


def _filled(form: str, row: Row, where: str) -> str:
    """The text with the row's columns in the place of their names."""
    try:
        names = {name for _, name, _, _ in string.Formatter().parse(form) if name is not None}
        if bad := [name for name in names if not name or name.isdigit() or "." in name or "[" in name]:
            raise ValueError(f"{{{bad[0]}}} names no column")
        return form.format(**{name: field(row, name, where) for name in sorted(names)})
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UsageError(f"table.question {form!r} cannot be filled in ({error}): write {{column}}, and {{{{ for a brace") from None
