"""The records that Errata's verdicts and kinds of problems name, without pydantic: they stand in the place of its signatures/records.py."""

from dataclasses import dataclass, field, replace
from typing import Any

Message = dict[str, str]
Kind = str
Attempt = ProgramRun = Any
UNCLOSED, SEVERAL = "unclosed reasoning", "several answers"


@dataclass(frozen=True)
class Example:
    """One problem with its answer."""

    task: str
    split: str
    question: str
    answer: str
    solution: str = ""
    skill: str = ""
    kind: str = "number"
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """What a task says of a response; `correct` is None where it cannot be judged."""

    correct: bool | None
    extracted: str | None
    reason: str
    answer: str | None = None

    def model_copy(self, *, update: dict[str, Any]) -> "Verdict":
        return replace(self, **update)
