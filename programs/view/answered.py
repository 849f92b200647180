"""The record of what one set of weights, or one log, answered. Not here: where it comes from (errata.programs.view.sources)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ...signatures.records import Attempt
from ..stats import CUT

Benchmark = tuple[str, str]
"""Task and split; the split of a log is empty where the log does not name it."""
Outcome = Literal["right", "wrong", "cut", "unread", "unjudged"]
"""What became of an answer. `cut` (at the token limit, or in a loop) and `unread` (nothing readable was found) are wrong too; `unjudged` is
a fault of the machinery and counts neither way."""


@dataclass(frozen=True)
class Answered:
    """What one set of weights, or one log, answered."""

    source: str
    """What a person calls it, and `read` takes again: `runs/x@1:grpo`, `logs/samples_gsm8k.jsonl`."""
    title: str
    """The same in words: `round 1 after grpo, accepted`; of a log the model that it names."""
    weights: str
    """Hash of the weights; empty where nobody recorded it."""
    benchmarks: Mapping[Benchmark, Sequence[Attempt]]
    """By task and split, the answers in the order of the items, each with its question, gold, skill, verdict and reason."""
    names: tuple[str, ...] = ()
    """Of weights of a run all names that may stand behind the `@`; the first is that of `source`."""
    run: Path | None = None
    """The run directory that diagnoses, programs and rows of an item stand in; None: there is none."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """How it was asked and judged, as far as that is known: what must agree where two are compared."""
    fallen: bool = False
    """Whether it means the weights that a run began with only because no round was accepted."""
    tried: Sequence[str] = ()
    """Then the sources of what its rounds trained."""

    @property
    def items(self) -> int:
        """How many answers there are."""
        return sum(map(len, self.benchmarks.values()))


def outcome(row: Attempt) -> Outcome:
    """What became of an answer."""
    if row.verdict.correct is None:
        return "unjudged"
    if row.verdict.correct:
        return "right"
    return "cut" if row.finish in CUT else "unread" if row.verdict.extracted is None else "wrong"
