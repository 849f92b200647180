"""The parts of a report as frozen records with the fields of report.json: a page that asks for another field fails and shows no empty cell.

Shares are of judged items and lie in [0, 1]; `low` and `high` bound their 95 % interval. None: not measured. What is not here: how the
parts are read from a run (errata.programs.report.document).
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ...signatures.records import GateDecision, TrainReport
from ..config import CycleConfig


class Document(BaseModel):
    """Base of all parts of documents: frozen, with known fields alone."""

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)


class Counts(Document):
    """Items by outcome (errata.programs.stats.counts)."""

    items: int
    right: int
    wrong: int
    no_answer: int
    unclosed: int = Field(default=0, exclude_if=lambda value: not value)
    """Responses that end inside their reasoning trace."""
    cut: int
    looped: int = Field(default=0, exclude_if=lambda value: not value)
    """Of those that were cut, the ones that repeated themselves (`target.stop_loops`)."""
    unjudged: int

    @property
    def read(self) -> int:
        """Items whose answer could be read: what is right among them is skill, what is not read is form."""
        return self.right + self.wrong - self.no_answer - self.unclosed


class Share(Counts):
    """The share that is right."""

    share: float | None
    """None: no item was judged."""
    low: float
    high: float


class Change(Document):
    """Two evaluations of the same items (errata.programs.stats.paired)."""

    pairs: int
    unjudged: int
    before: float
    after: float
    difference: float
    low: float
    high: float
    fixed: int
    broken: int
    p_value: float
    p_holm: float | None = Field(default=None, exclude_if=lambda value: value is None)
    """Of one skill of several: the p-value corrected for their number (errata.programs.stats.holm)."""


class Sides(Document):
    """Before and after of some items."""

    before: Share
    after: Share
    change: Change


class Judged(Document):
    """What language models judged (errata.programs.stats.judged)."""

    by: list[str]
    answers: int
    twice: int
    agreed: int


class Compared(Sides):
    """Before and after of a benchmark."""

    skills: dict[str, Sides]
    judged: Annotated[Judged | None, Field(exclude_if=lambda found: found is None)] = None


class Answered(Document):
    """How often items of one gold label got one label."""

    gold: str
    answered: str | None
    """None: nothing readable, or several labels."""
    before: int
    after: int


class Evaluation(Compared):
    """A benchmark at the begin and at the end of a run."""

    fixed: list[str]
    """Ids of items that were wrong before and are right after."""
    broken: list[str]
    labels: list[Answered] = Field(default=[], exclude_if=lambda cells: not cells)
    """The confusion matrix without its empty cells, where all items have the same labels; the commonest gold label first."""
    fields: dict[str, Sides] = Field(default={}, exclude_if=lambda sides: not sides)
    """Of answers with fields, each field by itself: an item counts as right where the field is."""


class Stop(Document):
    """A benchmark after one round."""

    round: int
    """0: the weights that the run began with."""
    weights: str
    kept: bool
    parent: int | None = Field(serialization_alias="from")
    """The round that the weights were trained from; None at round 0."""
    all: Share
    skills: dict[str, Share]


class Failing(Share):
    """Attempts at the probe rows of some programs."""

    mass: float
    """How many of the studied errors the target would make again: the share of failed rows, summed over the errors that programs rebuild;
    where several rebuild one, their mean share."""


IN_NONE = "in no pattern"
"""Where errors stand that no pattern holds."""


class Mass(Document):
    """The new programs of a round for one diagnosed skill, or one pattern of errors."""

    skill: str
    misconceptions: dict[str, int]
    """The commonest, with how many programs each."""
    programs: int
    errors: int
    rows: int
    before: Failing
    after: Failing | None


class Style(Document):
    """Length of texts (errata.programs.samples.style): medians."""

    texts: int
    words: float | None
    steps: float | None


IfAsked = Annotated[int | None, Field(exclude_if=lambda count: count is None)]
"""Left out of the JSON where the target was not asked."""


class Words(Document):
    """Rows by whose words they are in and by their lesson, and what the target answered to their questions, if it was asked."""

    own_words: int
    worked: int
    correction: int
    hint: int
    questions: IfAsked = None
    items: IfAsked = None
    right: IfAsked = None
    """Questions that the target solved at least once."""
    found: IfAsked = None
    """Questions that a search solved."""
    tokens: IfAsked = None


class Phrased(Document):
    """How the rows of programs are phrased (errata.programs.samples.phrasing)."""

    programs: int
    ways: float
    """Phrasings a program; the median."""
    own: float
    """Share of the rows that are phrased as most rows of their program are."""
    most: float
    """Share of the rows that the commonest phrasing of all holds."""
    example: str
    """A question of the commonest phrasing."""


class Standings(Document):
    """How programs fared in a round, in sums."""

    programs: int
    retired: int
    probed: int
    failed: int
    drawn: int
    kept: int
    refused: dict[str, int]
    practised: int = Field(default=0, exclude_if=lambda answers: not answers)
    """Answers that were sampled to draws of them in training."""
    rewarded: int = Field(default=0, exclude_if=lambda answers: not answers)
    """Of these, the right ones."""


class Library(Standings):
    """The programs of all rounds so far."""

    reasons: dict[str, str]
    """Why a program retires, by its id."""
    skills: dict[str, Standings]


class Asserted(Document):
    """Rows whose answer the instructor asserts."""

    rows: int
    agreed: int
    """Those that independent solves came to."""


class Practised(Document):
    """What sampled answers were worth to the questions of one skill, over the steps of a training."""

    skill: str
    solved: bool = False
    """Items that the target solved before, which are to hold it where it is."""
    answers: int
    first: float | None
    """Share that was right in the first third of the steps."""
    last: float | None
    """The same in the last third."""


class Trained(Document):
    """One stage of a round's training."""

    name: str
    report: TrainReport
    stands: bool
    """Whether its weights are the ones that the gate chose."""
    found: str
    """What the gate found of the weights after it; empty where it is the only stage."""
    course: list[dict[str, float]]
    """What was logged on the way, by step (errata.trainers.stages.follow.LOGGED)."""
    practised: list[Practised] = Field(default=[], exclude_if=lambda rows: not rows)


class Round(Document):
    """One round."""

    number: int
    mined: Counts
    failures: int
    programs: int
    diagnosed: int
    proven: int
    refused: dict[str, int]
    """Failures without a program, by the check that had the last word."""
    complaints: dict[str, int]
    """Refused drafts by check."""
    at_fault: list[str]
    skills: dict[str, int]
    samples: int
    shortfall: str = ""
    """Why there were fewer rows than wanted, by filter; empty where there were enough."""
    pairs: list[str] = Field(default=[], exclude_if=lambda lines: not lines)
    """Of each stage on pairs, how many there were, and whose answers."""
    replay: int
    style: dict[str, Style]
    words: Words
    phrased: Annotated[Phrased | None, Field(exclude_if=lambda found: found is None)] = None
    """None where no row came of a program."""
    library: Library
    asserted: Asserted
    items: int
    programs_refused_by_probe: int
    programs_refused_by_solves: int
    rows_refused: dict[str, int]
    masses: list[Mass]
    """The kinds of errors by diagnosed skill."""
    patterns: list[Mass] = Field(default=[], exclude_if=lambda rows: not rows)
    """The same by named pattern (errata.programs.patterns), whose name stands as the skill."""
    train: TrainReport | None
    """That of the stage whose weights the gate chose."""
    stages: list[Trained] = []
    dev: Compared | None
    decision: GateDecision

    @property
    def kept(self) -> int:
        """Programs that no check refused, also after they were written."""
        return self.programs - self.programs_refused_by_probe - self.programs_refused_by_solves

    @property
    def lost(self) -> dict[str, int]:
        """Errors that no program is kept for, by the check that had the last word."""
        late = {"targeted": self.programs_refused_by_probe, "agreed": self.programs_refused_by_solves}
        return self.refused | {name: count for name, count in late.items() if count}

    @property
    def guards(self) -> dict[str, Change]:
        """What the training changed on each guard."""
        return {
            str(guard["task"]): Change(**{name: guard[name] for name in Change.model_fields if name in guard})
            for guard in self.decision.guards
        }


class Spent(Document):
    """What the instructor was asked for."""

    calls: int
    cached: int
    failed: int
    tokens_in: int
    tokens_out: int
    approximated: int
    usd: float | Literal["unknown"]


class Bill(Document):
    """What was spent, by stage and in all."""

    stages: dict[str, Spent]
    total: Spent


class Weights(Document):
    """Hashes of the weights."""

    before: str
    after: str


class When(Document):
    """When a run was finished, and how long its steps took."""

    finished: str
    """UTC, to the second."""
    seconds: float


class Answer(Document):
    """What a run achieved, in words."""

    verdict: Literal["better", "worse", "mixed", "same", "unchanged"]
    """`unchanged`: no round was accepted."""
    headline: str
    lines: list[str]


class Source(Document):
    """The library that a run's programs came from."""

    path: str
    hash: str
    says: dict[str, Any]
    """What it tells of itself: `task`, `target`, `instructor`, ..., as far as it does."""

    @property
    def writer(self) -> str:
        """Who wrote the programs, as far as it is known."""
        return str(self.says.get("instructor") or "an instructor that the library does not name")


class Report(Document):
    """report.json."""

    config: CycleConfig
    when: When | None
    """None: the run does not say."""
    target: Weights
    accepted: list[int]
    guards: list[str]
    evaluations: dict[str, Evaluation]
    """By benchmark: `task split`."""
    course: dict[str, list[Stop]]
    rounds: list[Round]
    instructor: Bill
    source: Source | None = Field(default=None, exclude_if=lambda value: value is None)
    """None: the run's instructor wrote its programs."""
    form: dict[str, dict[str, Any]] = Field(default={}, exclude_if=lambda found: not found)
    """By task, what the form of answers alone cost at the start, and what other ways to ask gave (errata.programs.form.look)."""
    work: dict[str, dict[str, int]]
    """By stage: `answers` that the target gave, `steps` of training and the `rows` trained on."""
    not_checked: list[str]
    answer: Answer

    def is_guard(self, benchmark: str) -> bool:
        """Whether a benchmark was measured to see that nothing was forgotten."""
        return benchmark.rsplit(" ", 1)[0] in self.guards
