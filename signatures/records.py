"""The frozen rows that flow between the stages, from an error to the weights.

Every record is immutable, refuses unknown fields, and has an `id`, a hash of its content (of the fields in `_identity`), the same in any
run on any machine. Each names its parents by id, so that a training row can be walked back to its error. Behaviour lives elsewhere.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, computed_field, field_validator, model_validator

_HALF = re.compile("[\ud800-\udfff]")
REASON = 2_000
"""Characters of the longest reason of a refusal: a repair call pays for each."""
Message = dict[str, str]
"""One chat message: a role (system, user, assistant, tool) and the content; a prompt's first may be `tools`, a JSON list of functions."""
Kind = Literal["number", "choice", "code", "text", "label", "json", "sql", "tools", "prose"]
"""What an answer is: a number, the letter of one of several options, code that must pass a test, a short text, one of labels that are the
same for all items, a JSON value, an SQL query, calls of tools, or prose that a language model judges."""

UNCLOSED, SEVERAL = "unclosed reasoning", "several answers"
"""Reasons of a verdict on a response that ends inside its reasoning trace, and on one that chooses several options."""
_canonical = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode


def content_hash(value: Any) -> str:
    """Hash of a JSON-able value: 16 hex digits of the SHA-256 of its canonical JSON."""
    return hashlib.sha256(_canonical(value).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def sealed(document: dict[str, Any]) -> dict[str, Any]:
    """The document with a hash of itself, so that `unsealed` notices a changed byte."""
    return document | {"seal": content_hash(document)}


def unsealed(document: Any) -> Any:
    """The document without its hash; one that has none is returned as it is. Raises ValueError when it is not as it was sealed."""
    if not isinstance(document, dict) or "seal" not in document:
        return document
    rest = {name: value for name, value in document.items() if name != "seal"}
    if document["seal"] != content_hash(rest):
        raise ValueError("it is not as it was written")
    return rest


def whole(value: Any) -> Any:
    """The value with U+FFFD in place of each lone surrogate of its texts. Such half characters stand in valid JSON ("\\ud800"), which
    models and servers write, but in no UTF-8. Looks into lists, tuples and dicts."""
    if isinstance(value, str):
        if value.isascii() or not _HALF.search(value):
            return value
        return _HALF.sub("\ufffd", value)
    if isinstance(value, dict):
        return {whole(name): whole(inner) for name, inner in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(whole, value))
    return value


class Record(BaseModel):
    """Base of all records. Its texts can be written: a lone surrogate becomes U+FFFD."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
    _identity: ClassVar[tuple[str, ...]] = ()
    _hashed_as: ClassVar[str] = ""
    """The name that the id is made with, where it is not the class's: a record that is renamed keeps its ids."""

    @computed_field  # type: ignore[prop-decorator]
    @cached_property
    def id(self) -> str:
        """Content hash of the identifying fields, 16 hex digits. Written with each row, computed anew when it is read."""
        names = set(self._identity) or set(type(self).model_fields)
        return content_hash([self._hashed_as or type(self).__name__, self.model_dump(mode="json", include=names)])

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As pydantic's; the id of a copy with another identity is computed anew."""
        copy = super().model_copy(update=update, deep=deep)
        if not self._identity or (update and not update.keys().isdisjoint(self._identity)):
            copy.__dict__.pop("id", None)
        return copy

    @model_validator(mode="before")
    @classmethod
    def _clean(cls, data: Any, info: ValidationInfo) -> Any:
        """Without the id, and with texts that can be written; pydantic reads no others from JSON."""
        if not isinstance(data, dict):
            return data
        rest = {name: value for name, value in data.items() if name != "id"}
        return rest if info.mode == "json" else {name: whole(value) for name, value in rest.items()}


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
    kind: Kind = Field(default="number", exclude_if=lambda kind: kind == "number")
    meta: dict[str, Any] = {}
    """What its task's verdict needs beside the answer: of a choice its `choices`, {label: text}; of code `entry_point` and `test`."""


class Verdict(Record):
    """What a task says of a response."""

    correct: bool | None
    """None: unjudged, a fault of the machinery; never counted as wrong and never mined as an error."""
    extracted: str | None
    """The answer that was read from the response; None when nothing readable was found."""
    reason: str
    """`right`; what is wrong, e.g. `wrong`, `no answer` (nothing readable was found), `several answers`; or why it is unjudged."""
    answer: str | None = Field(default=None, exclude_if=lambda value: value is None)
    """The response without its reasoning trace; None where it has none."""
    fields: dict[str, bool] | None = Field(default=None, exclude_if=lambda value: value is None)
    """Of an answer with fields, which are right; None: it has none."""
    judge: str = Field(default="", exclude_if=lambda value: not value)
    """The language model that judged it; empty where the task itself did."""
    again: bool | None = Field(default=None, exclude_if=lambda value: value is None)
    """Its second opinion; None: it was asked once."""


class Attempt(Record):
    """A response of a target to an example, with its verdict."""

    _identity = ("example", "response", "target")

    example: Example
    response: str
    verdict: Verdict
    target: str = ""
    """Hash of the weights that answered; empty for recorded answers."""
    finish: str = "stop"
    """`stop`, `length` when the token limit cut the response, or `loop` when it was cut because it repeated itself."""
    tokens: int | None = Field(default=None, exclude_if=lambda tokens: tokens is None)
    """New tokens of the response; None where nobody counted them."""

    @computed_field  # type: ignore[prop-decorator]
    @cached_property
    def id(self) -> str:
        # the item's kind follows from its task, and attempts of Errata 0.1 do not say it
        content = self.model_dump(mode="json", include=set(self._identity), exclude={"example": {"kind"}})
        return content_hash(["Attempt", content])

    @property
    def answered(self) -> str:
        """The response without its reasoning trace."""
        return self.response if self.verdict.answer is None else self.verdict.answer

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
    kind: Kind = Field(default="number", exclude_if=lambda kind: kind == "number")
    """Whose contract it keeps (signatures/contracts)."""
    task: str = Field(default="", exclude_if=lambda name: not name)
    """Name of the task whose errors it was written for."""
    parents: tuple[str, ...] = Field(default=(), exclude_if=lambda ids: not ids)
    """Ids of the programs that it was fused of; empty for one that an instructor wrote."""


class LibraryProgram(Record):
    """A kept program with what proves it again elsewhere."""

    program: SampleProgram
    diagnosis: Diagnosis | None = None
    """None: its file says none."""
    errors: tuple[Attempt, ...] = ()
    """The errors that it rebuilds, one an anchor, as far as they are recorded."""


class ProgramRun(Record):
    """What came out of the sandbox."""

    outcome: str
    """`ok`, `error`, `timeout`, `memory`, `output` or `crash`."""
    rows: tuple[Any, ...] = ()
    seconds: float = 0.0
    error: str = ""
    stderr_tail: str = ""


class Sample(Record):
    """One row of a training set and what became of it. What a program draws depends on (source, seed, index, level) alone."""

    _identity = ("program_id", "seed", "index", "level", "item")

    program_id: str
    """Empty for an item of the task itself."""
    seed: int
    index: int
    level: int
    example: Example
    """The problem, as an item of the task that it was made for, with its worked solution."""
    wrong: str | None = None
    """What the misconception would answer; None when the program has no `wrong`."""
    wrong_solution: str | None = Field(default=None, exclude_if=lambda value: value is None)
    """How the misconception comes to it, worked out like a solution; None where the program does not say."""
    item: str | None = Field(default=None, exclude_if=lambda value: value is None)
    """Id of the task's own item that this row is, where no program made it (errata.programs.strategies.controls)."""
    asserted: bool = Field(default=False, exclude_if=lambda value: not value)
    """The answer rests on a fact that the instructor asserts, which running the program does not prove."""
    agreed: bool = Field(default=False, exclude_if=lambda value: not value)
    """Independent solves without the answer came to it too (asserted rows only)."""
    passed: float | None = Field(default=None, exclude_if=lambda value: value is None)
    """Share of the target's sampled answers that were right, by true calculations; None where it was not asked."""
    own: str | None = Field(default=None, exclude_if=lambda value: value is None)
    """The target's own right answer, which is trained on in place of the worked solution."""
    lesson: Literal["worked", "correction", "hint"] = Field(default="worked", exclude_if=lambda value: value == "worked")
    """What the row teaches with (errata.programs.steps.lessons)."""
    mistake: str | None = Field(default=None, exclude_if=lambda value: value is None)
    """Correction only: the wrong answer that is shown."""
    correction: str | None = Field(default=None, exclude_if=lambda value: value is None)
    """Correction only: what is trained on, the first wrong step and the right way from there."""


class Rollout(Record):
    """One sampled answer of the target to a generated question."""

    _hashed_as = "Try"

    response: str
    correct: bool | None
    """As the task judges it; None: unjudged."""
    reason: str
    finish: str = "stop"
    """`stop`, `length` when the token limit cut the response, or `loop` when it was cut because it repeated itself."""
    answer: str | None = Field(default=None, exclude_if=lambda value: value is None)
    """The response without its reasoning trace; None where it has none."""

    @classmethod
    def of(cls, response: str, verdict: Verdict, finish: str) -> "Rollout":
        return cls(response=response, correct=verdict.correct, reason=verdict.reason, finish=finish, answer=verdict.answer)

    @property
    def answered(self) -> str:
        """The response without its reasoning trace."""
        return self.response if self.answer is None else self.answer


class Rollouts(Record):
    """What the target answered when it was asked one generated question several times, before it was trained on it."""

    _identity = ("question", "target")
    _hashed_as = "Tries"

    question: str
    """Id of the question as an item of the task."""
    target: str
    """Hash of the weights that answered."""
    tries: tuple[Rollout, ...]
    found: str | None = Field(default=None, exclude_if=lambda value: value is None)
    """The right answer that a search came to where none of `tries` was right."""
    tokens: int
    """New tokens of tries and search together."""


class Rejection(Record):
    """A refused diagnosis, program or row, with the check that refused it and a reason that the repair call reads."""

    of: str
    """Id of what was refused."""
    kind: Literal["diagnosis", "program", "sample"]
    check: str
    reason: str
    """At most `REASON` characters; the middle of a longer one is left out."""
    program: str = Field(default="", exclude_if=lambda value: not value)
    """Of a row: the program that it was drawn from."""

    @field_validator("reason")
    @classmethod
    def _bounded(cls, reason: str) -> str:
        kept = REASON - 100  # the rest is for the words that say so
        if len(reason) <= REASON:
            return reason
        return f"{reason[: kept - 400]} [... {len(reason) - kept:,} characters left out ...] {reason[-400:]}"


class Standing(Record):
    """How a program of the library fared in a round."""

    _identity = ("program_id", "round")

    program_id: str
    round: int
    skill: str
    probed: int
    """Probe rows that the target answered and that were judged."""
    failed: int
    """Of these, the ones it got wrong: failed / probed is the program's hit rate."""
    weight: float
    """Its weight in the round's budget, against the other programs'; 0: no rows."""
    drawn: int
    """Rows that were drawn and checked."""
    kept: int
    """Of these, the ones that are trained on: kept / drawn is its acceptance."""
    refused: dict[str, int] = {}
    """The others, by the check that refused them."""
    retired: str = Field(default="", exclude_if=lambda value: not value)
    """Why it is neither probed nor drawn from again; empty while it is."""


class TeachingResult(Record):
    """What a strategy made of one failure, or of several that were taught together: the diagnosis, the program that passed the checks, and
    every refusal on the way."""

    _hashed_as = "Taught"

    failure_ids: tuple[str, ...]
    """What the diagnosis is of; those that the program rebuilds are its anchors."""
    diagnosis: Diagnosis | None
    """None when the instructor's answer could not be read."""
    program: SampleProgram | None
    refused: tuple[SampleProgram, ...] = ()
    """Programs that a check refused, in the order of writing."""
    rejections: tuple[Rejection, ...] = ()
    calls: int = Field(default=0, exclude_if=lambda value: not value)
    """How often the instructor was asked for it, with what was asked again; answers that were kept from an earlier start count too."""


class TrainRow(Record):
    """One row for the trainer, as chat messages."""

    prompt: tuple[Message, ...]
    completion: tuple[Message, ...]
    source: str
    """Id of the `Sample`, or of the replayed `Attempt`, that the row was made from."""

    @property
    def taught(self) -> list[Any]:
        """What decides the weights."""
        return [self.prompt, self.completion]


class Pair(Record):
    """A right and a wrong answer to one question: a row of preference training."""

    prompt: tuple[Message, ...]
    chosen: tuple[Message, ...]
    rejected: tuple[Message, ...]
    source: str
    """Id of the `Sample`, or of the `Failure`, whose question it is."""
    chosen_from: Literal["own", "solution"]
    """Whether the target answered so itself, or it is the worked solution."""
    rejected_from: Literal["own", "wrong"]
    """Whether the target answered so itself, or it is what the program's `wrong` works out."""

    @property
    def taught(self) -> list[Any]:
        """What decides the weights."""
        return [self.prompt, self.chosen, self.rejected]


class ContextRow(Record):
    """A question with what its teacher is shown and its student is not: a row of self-distillation."""

    prompt: tuple[Message, ...]
    """As the target is asked; the last message is the user's."""
    context: str
    """What stands behind that message for the teacher."""
    source: str
    """Id of the `Sample` whose question it is."""

    @property
    def taught(self) -> list[Any]:
        """What decides the weights."""
        return [self.prompt, self.context]


class TrainReport(Record):
    """What a training did. Its seconds, which differ from one to the next, lie in a file beside it (errata.trainers.sft)."""

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
    rewards: tuple[float, float] | None = Field(default=None, exclude_if=lambda value: value is None)
    """Of a training on own answers, the mean reward of its first and last logged steps."""
    margins: tuple[float, float] | None = Field(default=None, exclude_if=lambda value: value is None)
    """Of a training on pairs, by how much more it prefers right answers to wrong ones than it did before, in beta-fold nats."""
    generated_tokens: int = Field(default=0, exclude_if=lambda tokens: not tokens)
    rollouts: int = Field(default=0, exclude_if=lambda answers: not answers)
    """Of a training on own answers, how many the target sampled, and their new tokens, those of prompts that were exchanged too."""
    stopped: str = Field(default="", exclude_if=lambda value: not value)
    """Which budget ended it, and at which step; empty: it took all its steps."""
    back: float | None = Field(default=None, exclude_if=lambda value: value is None)
    """Of weights that no training made: how far they lie on the way from those that the round began with to `base`."""
    at_once: int = Field(default=0, exclude_if=lambda rows: not rows)
    """Rows (or answers) that were computed together; the gradients of a step's parts were summed. 0: made before this was told."""
    versions: dict[str, str]


class Forgetting(Record):
    """How far weights went from those that the run began with, over the tokens of answers that the latter gave."""

    on: str
    """`replay`, train items that the run's first weights solved, or the name of a guard, whose dev items are meant."""
    prompts: int = 0
    tokens: int = 0
    kl: float | None = None
    """KL(first weights || these), nats per token; None: not measured, as `reason` says."""
    cross_entropy_rise: float | None = None
    """Cross-entropy of the tokens under these weights minus that under the first ones, nats per token."""
    reason: str = Field(default="", exclude_if=lambda value: not value)


class GateDecision(Record):
    """Whether a candidate's weights are kept."""

    accepted: bool
    reason: str
    task: str
    benchmarks: tuple[str, ...] = Field(default=(), exclude_if=lambda names: not names)
    """The members of the task, where it is several."""
    pairs: int
    """Dev items judged before, after, or both; an answer that cannot be judged then counts as not right."""
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
    forgetting: tuple[Forgetting, ...] = Field(default=(), exclude_if=lambda value: not value)
    """On replayed items and on each guard; empty where it was not asked for."""
    unproven: bool = Field(default=False, exclude_if=lambda value: not value)
    """Kept because `gate.keep` is `always` or `last`, though the gate would have rejected it."""
    stage: int = Field(default=0, exclude_if=lambda value: not value)
    """The place in `train.stages` of the stage after which the weights stand; behind these stand those on a way back."""
    judged: dict[str, Any] | None = Field(default=None, exclude_if=lambda value: value is None)
    """Of dev items that a language model judged: by which, how many, how many of these twice, and how often both verdicts agreed."""
    considered: tuple[dict[str, Any], ...] = Field(default=(), exclude_if=lambda value: not value)
    """Of a training in several stages, or with a way back: what the gate found of each. Their p-values are corrected for the choice."""
