"""The documents of a comparison and of an optimization as frozen records: the fields of their comparison.json.

What is not here: how they are made (errata.programs.studies.compared, errata.programs.studies.improvement) and how they are shown
(errata.programs.studies.compare_page, errata.programs.studies.optimize_page).
"""

from typing import Any, Literal

from ..report.records import Bill, Change, Document
from .settings import OptimizeSettings

# ---- a comparison


class Interval(Document):
    """A figure over seeds."""

    mean: float
    low: float | None
    """The 95 % interval of Student's t; None: a single seed."""
    high: float | None
    values: list[float]
    """One for each seed."""


class Weak(Document):
    """The skills that were weak after a round, and what they came to on test from then on."""

    after_round: int
    skills: list[tuple[str, str]]
    """(benchmark, skill)."""
    test: list[Interval | None]
    """Accuracy after this round and each later one, a mean over skills; None: a seed has no item of them."""
    others: list[Interval | None]
    """The same of all other skills."""
    next: Interval | None
    """What the next round added."""
    p_next: float | None


class Arm(Document):
    """Accuracies of one arm over all seeds: of the target as it came, then (but for vanilla) after each round."""

    benchmarks: dict[str, list[Interval]]
    averages: dict[str, list[Interval]]
    weak: list[Weak]


class Worst(Interval):
    """The gain on the benchmark that gained least."""

    benchmark: str


class Made(Document):
    """What one round of one seed made."""

    round: int
    rows: int
    replay: int
    stages: int
    """Stages of training that were done."""
    steps: int
    """Of these stages together."""
    gate: Literal["accepted", "rejected"]
    """What the gate found, whether it was applied or not."""
    reason: str
    seed: int


class Price(Document):
    """Cost of one row, or of one point of the average in domain; None: no row, or no gain, to divide by."""

    calls: float | None
    tokens: float | None
    usd: float | Literal["unknown"] | None


class Cost(Document):
    """What all seeds and rounds together asked of the instructor."""

    calls: int
    tokens: int
    usd: float | Literal["unknown"]
    rows: int
    rows_per_call: float | None
    per_row: Price
    per_point: Price


class Spent(Document):
    """What one run took, all rounds together: means over seeds."""

    rows: float
    """Generated rows, and items of the task's own that stand in their place."""
    steps: float
    """Of all stages of training."""
    seconds: float | None
    """Of these steps, as the trainer counts them; None: not kept."""
    tokens: float | None
    """New tokens that the target generated to be taught by them: its answers to train items, probes and drawn rows, for pairs, and those
    that a training sampled. None: not kept."""
    calls: float
    usd: float | Literal["unknown"]


class Dropped(Document):
    """What each check refused: rows with their share of all that were drawn, programs, and failures that got no program."""

    drawn: int
    rows: dict[str, int]
    row_shares: dict[str, float]
    programs: dict[str, int]
    failures: dict[str, int]


class Seconds(Document):
    wall: float
    cpu: float


class TrainedArm(Arm):
    """An arm that was trained, beside vanilla."""

    gains: dict[str, Interval]
    average_gains: dict[str, Interval]
    worst: Worst
    rounds: list[Made]
    cost: Cost
    spent: Spent
    dropped: Dropped
    seconds: dict[str, Seconds]
    """By step, a mean over runs, of all rounds together. `test` is the evaluation that only the report reads; `whole` is the run."""


class PairedTest(Document):
    """An arm against a control on an average, after the last round."""

    arm: str
    control: str
    average: str
    difference: Interval
    p_seeds: float | None
    p_items: float
    items_won: int
    items_lost: int
    unjudged: int
    p_seeds_holm: float | None = None
    p_items_holm: float | None = None


class Compared(Document):
    """comparison.json."""

    base: dict[str, Any]
    changes: dict[str, dict[str, Any]]
    """What each arm sets differently."""
    controls: list[str]
    pairs: list[tuple[str, str]]
    seeds: list[int]
    missing_seeds: list[int]
    rounds: int
    gate: bool
    equal: list[str]
    """The costs that arms were to be equal in: fields of `Spent`."""
    unequal: list[str]
    """Where they are not, in words."""
    benchmarks: dict[str, list[str]]
    """By side: in domain, and out of domain when there are guards."""
    items: dict[str, int]
    weights: str
    arms: dict[str, TrainedArm | Arm]
    tests: list[PairedTest]
    notes: list[str]
    """Where arms kept fewer rows than asked, and what was not measured."""
    command: str
    errata: str

    @property
    def trained(self) -> dict[str, TrainedArm]:
        return {name: arm for name, arm in self.arms.items() if isinstance(arm, TrainedArm)}


# ---- an optimization


class Scores(Document):
    """Mean scores of the two strategies, and the permutation test of their differences."""

    before: float
    after: float
    gain: float
    p_value: float


class Outcome(Document):
    """What a strategy made of a held-out failure."""

    score: float
    passed: bool
    feedback: str
    program: str | None


class HeldOut(Document):
    """A held-out failure, and what both strategies made of it."""

    failure: str
    question: str
    before: Outcome
    after: Outcome


class Changed(Document):
    """What the optimizer did to one predictor."""

    predictor: str
    before: str
    """Its instruction; of a dspy.Flex its source."""
    after: str
    demos: list[dict[str, Any]]
    had: int
    """Demonstrations before."""


class ShortTraining(Document):
    """What short trainings on the programs of each strategy came to."""

    items: int
    gain_of_baseline: Change
    gain_of_optimized: Change
    optimized_over_baseline: Change


class Tried(Document):
    """What the optimizer tried."""

    evaluations: int
    strategies: int
    best: float | None
    """Best mean score; None: no strategy was tried on as many failures as choose."""


class Improvement(Document):
    """The figures of two strategies on the same held-out failures: (baseline, optimized)."""

    better: bool
    """The mean score rises, with a p-value of at most `alpha`."""
    score: Scores
    programs: Change
    """The share of failures that got a program."""
    checks: dict[str, Change]
    missed: tuple[float | None, float | None]
    distinct: tuple[float | None, float | None]
    drafts: tuple[float | None, float | None]
    tokens: tuple[float | None, float | None]
    rows: list[HeldOut]


class Optimized(Improvement):
    """comparison.json of an optimization."""

    run: str
    strategy: str
    settings: OptimizeSettings
    instructor: str
    task: str
    search: Tried
    parts: dict[str, int]
    candidate: str
    changed: list[Changed]
    spent: Bill
    probe_training: ShortTraining | None = None
    """None: a strategy left nothing to train on, or (then JSON has no such field) a short training was not asked for."""

    @property
    def probed(self) -> bool:
        """Whether a short training was asked for."""
        return "probe_training" in self.model_fields_set

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return self.model_dump(mode="json", exclude=None if self.probed else {"probe_training"})
