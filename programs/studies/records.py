"""The documents of a comparison and of an optimization as frozen records: the fields of their comparison.json.

What is not here: how they are made (errata.programs.studies.compared, errata.programs.studies.improvement) and how they are shown
(errata.programs.studies.compare_page, errata.programs.studies.optimize_page).
"""

from typing import Any, Literal

from ..report.records import Document

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
    steps: int
    gate: Literal["accepted", "rejected"]
    """What the gate found, whether it was applied or not."""
    reason: str
    seed: int


class Price(Document):
    """Cost of one row, or of one point of the average in domain; None: there is none to divide by."""

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
    seeds: list[int]
    missing_seeds: list[int]
    rounds: int
    gate: bool
    benchmarks: dict[str, list[str]]
    """By side: in domain, and out of domain when there are guards."""
    items: dict[str, int]
    weights: str
    arms: dict[str, TrainedArm | Arm]
    tests: list[PairedTest]
    notes: list[str]
    """Where arms were not equal after all, and what was not measured."""
    command: str
    errata: str

    @property
    def trained(self) -> dict[str, TrainedArm]:
        return {name: arm for name, arm in self.arms.items() if isinstance(arm, TrainedArm)}
