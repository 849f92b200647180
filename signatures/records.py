"""The frozen rows that flow between the stages, from an error to the weights.

Every record is immutable, refuses unknown fields, and has an `id` that is a hash of its content (of the fields named in `_identity`),
so that equal content has the same id in any run on any machine. Each record names its parents by id, so that a training row can be
walked back to the error behind it. Behaviour lives elsewhere.
"""

import hashlib
import json
from functools import cached_property
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, computed_field, model_validator

Message = dict[str, str]
"""One chat message: {"role": "system" | "user" | "assistant", "content": text}."""


def content_hash(value: Any) -> str:
    """Hash of a JSON-able value: 16 hex digits of the SHA-256 of its canonical JSON."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


class Record(BaseModel):
    """Base of all records."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
    _identity: ClassVar[tuple[str, ...]] = ()

    @computed_field  # type: ignore[prop-decorator]
    @cached_property
    def id(self) -> str:
        """Content hash of the identifying fields, 16 hex digits. Written with each row, computed anew when it is read."""
        names = set(self._identity) or set(type(self).model_fields)
        return content_hash([type(self).__name__, self.model_dump(mode="json", include=names)])

    @model_validator(mode="before")
    @classmethod
    def _without_id(cls, data: Any) -> Any:
        return {name: value for name, value in data.items() if name != "id"} if isinstance(data, dict) else data


class Example(Record):
    """One item of a task."""

    _identity = ("task", "question", "answer")

    task: str
    """Name of the task, e.g. `sums` or `gsm8k`."""
    split: str
    """`train` (errors are mined here), `dev` (the gate decides) or `test` (only reports read it)."""
    question: str
    answer: str
    """Gold answer in the form that the task's verdict reads, e.g. "72"."""
    solution: str = ""
    """Worked reference solution, empty where the data has none."""
    skill: str = ""
    """Skill or subject label for tables, empty where the data has none."""
    meta: dict[str, Any] = {}


class Verdict(Record):
    """What a task says of a response."""

    correct: bool | None
    """None: unjudged, a fault of the machinery; never counted as wrong and never mined as an error."""
    extracted: str | None
    """The answer that was read from the response; None when nothing readable was found."""
    reason: str
    """`right`, `wrong`, `no answer` (nothing readable was found), or what kept it from being judged."""


class Attempt(Record):
    """A response of a target to an example, with its verdict."""

    _identity = ("example", "response", "target")

    example: Example
    response: str
    verdict: Verdict
    target: str = ""
    """Hash of the weights that answered; empty for recorded answers."""
    finish: str = "stop"
    """`stop`, or `length` when the token limit cut the response."""

    @classmethod
    def unanswered(cls, example: Example) -> "Attempt":
        """An item taken as an error without an answer."""
        return cls(example=example, response="", verdict=Verdict(correct=False, extracted=None, reason="no answer"))


class Failure(Record):
    """A wrong attempt, with the solved neighbours that a contrast shows beside it."""

    _identity = ("attempt",)

    attempt: Attempt
    contrasts: tuple[Attempt, ...] = ()

    @computed_field  # type: ignore[prop-decorator]
    @cached_property
    def id(self) -> str:
        return content_hash(["Failure", self.attempt.example.id, self.attempt.response])


class Diagnosis(Record):
    """What the instructor says of one or several failures of one kind."""

    failure_ids: tuple[str, ...]
    strategy: str
    verdict: Literal["error", "reference_wrong", "ambiguous"]
    """Only an `error` teaches; the other two say that the item itself is at fault."""
    skill: str
    misconception: str
    evidence: str
    teach: str
    boundary: str = ""
    """Contrast only: what divides the solved neighbours from the error."""


class SampleProgram(Record):
    """A Python module after the contract of docs/design.md: draw, make, optionally wrong, ANCHORS."""

    _identity = ("diagnosis_id", "source", "anchors", "skill", "attempt")

    diagnosis_id: str
    source: str
    anchors: tuple[str, ...]
    """Ids of the failures that the program must rebuild."""
    skill: str = ""
    attempt: int = 0
    """0 for the first writing, n for the nth repair."""
    kind: Literal["number", "choice", "code"] = Field(default="number", exclude_if=lambda kind: kind == "number")
    """Whose contract it keeps (errata.programs.kinds)."""
    task: str = Field(default="", exclude_if=lambda name: not name)
    """Name of the task whose errors it was written for."""


class ProgramRun(Record):
    """What came out of the sandbox."""

    outcome: str
    """`ok`, `error`, `timeout`, `memory`, `output` or `crash`."""
    rows: tuple[Any, ...] = ()
    seconds: float = 0.0
    error: str = ""
    stderr_tail: str = ""


class Sample(Record):
    """One generated problem. Row i depends on (source, seed, index, level) alone. Fields that only some kinds have are not written where
    they are empty."""

    _identity = ("program_id", "seed", "index", "level", "item")

    program_id: str
    """Empty for an item of the task itself."""
    seed: int
    index: int
    level: int
    question: str
    """Without the options, for a choice; with the examples that the host wrote, for code."""
    solution: str
    answer: str
    """A number (or a short text), the label of the right option, or a whole solution in Python."""
    wrong: str | None = None
    """What the misconception would answer; None when the program has no `wrong`."""
    choices: dict[str, str] | None = Field(default=None, exclude_if=lambda value: value is None)
    """Choice only: {label: text} in the order in which the options are shown."""
    entry_point: str | None = Field(default=None, exclude_if=lambda value: value is None)
    """Code only: the name of the function."""
    tests: str | None = Field(default=None, exclude_if=lambda value: value is None)
    """Code only: `check(candidate)` over values that the solution gave when it was run."""
    task: str = Field(default="", exclude_if=lambda name: not name)
    """Its program's, or its item's."""
    item: str | None = Field(default=None, exclude_if=lambda value: value is None)
    """Id of the task's own item that this row is, where no program made it (errata.programs.controls)."""
    asserted: bool = Field(default=False, exclude_if=lambda value: not value)
    """The answer rests on a fact that the instructor asserts, which running the program does not prove."""
    agreed: bool = Field(default=False, exclude_if=lambda value: not value)
    """Independent solves without the answer came to it too (asserted rows only)."""


class Rejection(Record):
    """A refused diagnosis, program or row, with the check that refused it and a reason that the repair call reads."""

    of: str
    """Id of what was refused."""
    kind: Literal["diagnosis", "program", "sample"]
    check: str
    reason: str


class Taught(Record):
    """What a strategy made of one failure, or of several that were taught together: the diagnosis, the program that passed the checks, and
    every refusal on the way."""

    failure_ids: tuple[str, ...]
    """What the instructor was shown; those that the program rebuilds are its anchors."""
    diagnosis: Diagnosis | None
    """None when the instructor's answer could not be read."""
    program: SampleProgram | None
    refused: tuple[SampleProgram, ...] = ()
    """Programs that a check refused, in the order of writing."""
    rejections: tuple[Rejection, ...] = ()


class TrainRow(Record):
    """One row for the trainer, as chat messages."""

    prompt: tuple[Message, ...]
    completion: tuple[Message, ...]
    source: str
    """Id of the `Sample`, or of the replayed `Attempt`, that the row was made from."""


class TrainReport(Record):
    """What a training did."""

    base: str
    """Hash of the weights that training started from."""
    weights: str
    """Hash of the weights it ended with."""
    data: str
    """Fingerprint of the training rows."""
    rows_in: int
    rows_kept: int
    rows_truncated: int
    steps: int
    loss_first: float
    loss_last: float
    versions: dict[str, str]


class GateDecision(Record):
    """Whether a candidate's weights are kept."""

    accepted: bool
    reason: str
    task: str
    benchmarks: tuple[str, ...] = Field(default=(), exclude_if=lambda names: not names)
    """The members of the task, where it is several."""
    pairs: int
    """Dev items judged both before and after."""
    unjudged: int
    before: float
    after: float
    difference: float
    low: float
    high: float
    fixed: int
    broken: int
    p_value: float
    guards: tuple[dict[str, Any], ...] = ()
