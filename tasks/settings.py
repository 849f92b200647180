"""How rows of a table become questions, and how answers are judged: the part `table` of a config.

Not here: what a verdict does (errata.tasks.answers, a file for each form of answer).
"""

import re
import string
import warnings
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ..signatures.errors import UsageError
from .base import SPLITS
from .cells import text_of

VERDICTS = ("exact", "contains", "regex", "number", "choice", "code", "math", "label", "tools", "json", "sql", "judge")
"""The verdicts that have a name; any other is a DSPy metric."""
READ_BY = {
    "choices": ("choice", "label"), "test": ("code",), "entry_point": ("code",), "tools": ("tools",), "database": ("sql",),
    "schema": ("json",), "fields": ("json",), "tolerance": ("json",), "unordered": ("json",), "pattern": ("regex",), "rubric": ("judge",),
}  # fmt: skip
"""Settings that some verdicts alone read -> these verdicts."""


warnings.filterwarnings("ignore", 'Field name "schema"')  # of BaseModel's own, which is deprecated and never called


class TableSettings(BaseModel):
    """How rows become questions, and how answers are judged."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    question: str = "question"
    """Column of the question, or a text with columns in braces, e.g. `{context}\\n\\n{question}`; of a conversation `{question}` is the
    user's last turn."""
    messages: str | None = None
    """Column of a conversation, a list of turns with role and content, or from and value; an answer at its end is the gold answer, unless
    there is a column `answer`. None: `messages`, `conversations` or `prompt` where a row has such a column and no question."""
    system: str = ""
    """System text before each question; a system turn in a row's own messages stands in its place."""
    shots: int = Field(default=0, ge=0)
    """Solved examples that are shown before each question: so many items of train, always the same ones, which are taken out of train."""
    answer: str = "answer"
    """Column of the gold answer; for `choice` a label, the index from 0 of the right option, or its text."""
    solution: str | None = None
    """Column of a worked solution."""
    skill: str | None = None
    """Column of a subject or skill, for tables."""
    choices: str | tuple[str, ...] | None = None
    """For `choice`: the column with the options (a list, {label: text}, or a list of objects with label and text), or one column an option,
    or options that are the same for all rows, one of them the answer. For `label`: the labels, the same for all rows; left out: the gold
    answers of train, where they are few."""
    test: str = "test"
    """For `code`: column of the test, Python text that defines `check(candidate)`."""
    entry_point: str = "entry_point"
    """For `code`: column of the name of the function that the test calls."""
    verdict: str = "exact"
    """`exact`, `contains`, `regex`, `number`, `choice`, `code`, `math`, `label`, `tools`, `json`, `sql`, `judge`, or a DSPy metric,
    `module:function` or `FILE.py:NAME`."""
    tools: str | tuple[dict[str, Any], ...] | None = None
    """For `tools`: the column with the functions that an item may call (JSON Schema, in OpenAI's form or bare), or those of all items: the
    path of a .json file, or the list itself. Left out: the column `tools`."""
    schema: dict[str, Any] | str | None = None  # type: ignore[assignment]
    """For `json`: the JSON Schema of answers, or the path of a .json file with it; None: the schema that the train answers keep."""
    fields: tuple[str, ...] | None = None
    """For `json`: the fields that are judged, a field of a field as `outer.inner`; None: all, and no others may be there."""
    tolerance: float = Field(default=0.0, ge=0, lt=1)
    """For `json`: by what share of the gold's number a number may differ from it, e.g. 0.01; 0: not at all."""
    unordered: bool = False
    """For `json`: whether the order of lists does not count."""
    database: str | None = None
    """For `sql`: CREATE TABLE and INSERT INTO as text, or the path of a file with such text or of a SQLite file, from where the command
    runs. Columns in braces are filled in for each row: `dbs/{db_id}.sqlite`, `{schema}`."""
    pattern: str | None = None
    """For `regex`: what finds the answer in a response; its first group is the answer, the last find counts. It may take two seconds."""
    rubric: str = ""
    """For `judge`: what a right answer must do, as the language model that judges reads it; the gold answer is one that does, or empty."""
    full_score: float = 1.0
    """For a DSPy metric: the least score that is right."""
    ask: str = ""
    """Text behind each question that says in which form to answer; empty: that of the verdict, but none where the prompt is your own, with
    `system` or in rows that are conversations. A blank, `" "`: none, the question stands alone."""
    brief: str = ""
    """One paragraph that tells the instructor what is asked and in which form it is answered; empty: that of the verdict."""
    max_new_tokens: int = Field(default=512, ge=1)
    """Tokens that a response may have."""
    completion: str = ""
    """What is trained on: a text with `{answer}`, the answer as golds are written, and `{solution}` where one is to be shown, e.g.
    `{solution}\\n#### {answer}`. Empty: the solution and then the answer where some train item has a solution, or where the verdict itself
    asks for the steps (`number`, `choice`, `code`, `math`, and texts that are all numbers); else the answer alone. It is bare where `ask`,
    `system` or the rows' own turns say in which form to answer, and has the form that the verdict asks for elsewhere."""
    splits: dict[str, str] = {"train": "train", "test": "test"}
    """For `hf`: the data set's split for each of `train`, `dev` and `test` that it has."""

    def refuse_unread(self) -> None:
        """Raise UsageError for a setting that the verdict does not read."""
        defaults = TableSettings.model_fields
        for name, verdicts in READ_BY.items():
            if self.verdict not in verdicts and getattr(self, name) != defaults[name].default:
                fact = f"table.{name} is set, and the verdict {self.verdict} does not read it: only {' and '.join(verdicts)} do"
                raise UsageError(f"{fact if verdicts[1:] else f'{fact}es'}; leave it out, or set table.verdict={verdicts[0]}")

    @field_validator("verdict")
    @classmethod
    def _known_verdict(cls, value: str) -> str:
        if value not in VERDICTS and not re.fullmatch(r"([\w.]+|.+\.py):[\w.]+", value):
            raise ValueError(f"verdicts are {', '.join(VERDICTS)} and DSPy metrics as module:function or FILE.py:NAME")
        return value

    @field_validator("choices", mode="before")
    @classmethod
    def _texts(cls, value: Any) -> Any:
        """Numbers as they are read of data."""
        if not isinstance(value, list | tuple):
            return value
        if any(isinstance(one, bool) for one in value):
            raise ValueError("yes, no, on, off, true and false are not texts in YAML: put each in quotes")
        return tuple(text_of(one) if isinstance(one, int | float) else one for one in value)

    @field_validator("completion")
    @classmethod
    def _fills(cls, value: str) -> str:
        try:
            parts = [part[1:] for part in string.Formatter().parse(value) if part[1] is not None]
        except ValueError as error:
            raise ValueError(f"{error}; {{{{ stands for a brace") from None
        if value and (("answer", "", None) not in parts or not {("answer", "", None), ("solution", "", None)}.issuperset(parts)):
            raise ValueError("write a text with {answer}, and {solution} where one is to be shown; {{ stands for a brace")
        return value

    @field_validator("splits")
    @classmethod
    def _known_splits(cls, value: dict[str, str]) -> dict[str, str]:
        if not value or not set(value) <= set(SPLITS):
            raise ValueError(f"its keys must be some of {', '.join(SPLITS)}")
        return value
