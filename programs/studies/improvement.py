"""What an optimization achieved: the optimized strategy against the one that it started from, on held-out failures, paired.

`compare` makes the figures, `changes` says what changed in the prompts. Scores are compared by a permutation test of the pairs'
differences, programs and each check by the exact McNemar test (errata.programs.stats).

What is not here: the optimization (errata.programs.studies.optimize), scores (errata.programs.studies.scoring), and how it is shown
(errata.programs.studies.optimize_page).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...signatures.records import Failure, SampleProgram
from ..report.records import Change
from ..stats import paired_outcomes, sign_flips
from ..strategies.strategy import Strategy
from .records import Changed, HeldOut, Improvement, Outcome, Scores
from .scoring import Score


class Taken(NamedTuple):
    """A held-out failure and what a strategy made of it."""

    failure: Failure
    score: Score
    program: SampleProgram | None


def compare(before: Mapping[str, Taken], after: Mapping[str, Taken], alpha: float, seed: int) -> Improvement:
    """Two strategies on the same failures."""
    taken = list(zip(before.values(), after.values(), strict=True))
    pairs = [(old.score, new.score) for old, new in taken]
    gains = [new.score - old.score for old, new in pairs]
    gain, p = float(np.mean(gains)), sign_flips(gains, seed)
    old_mean, new_mean = _means(pairs, lambda score: score.score)
    return Improvement(
        better=gain > 0 and p <= alpha,
        score=Scores(before=old_mean, after=new_mean, gain=gain, p_value=p),
        programs=_paired(pairs, lambda score: score.passed),
        checks={name: _paired(pairs, lambda score, name=name: score.checks[name]) for name in pairs[0][0].checks},  # type: ignore[misc]
        missed=_means(pairs, lambda score: score.missed),
        distinct=_means(pairs, lambda score: score.distinct),
        drafts=_means(pairs, lambda score: score.drafts),
        tokens=_means(pairs, lambda score: score.tokens),
        rows=[
            HeldOut(failure=old.score.failure_id, question=old.failure.attempt.example.question, before=_outcome(old), after=_outcome(new))
            for old, new in taken
        ],
    )


def _paired(pairs: Sequence[tuple[Score, Score]], passed: Callable[[Score], bool]) -> Change:
    return Change(**paired_outcomes([(passed(old), passed(new)) for old, new in pairs]))


def _means(pairs: Sequence[tuple[Score, Score]], figure: Callable[[Score], float | None]) -> tuple[Any, Any]:
    """The mean of each side, over the scores that have the figure; None where no score has it."""
    known = ([value for value in map(figure, side) if value is not None] for side in zip(*pairs, strict=True))
    old, new = (float(np.mean(values)) if values else None for values in known)
    return old, new


def _outcome(row: Taken) -> Outcome:
    program = row.program.source if row.program else None
    return Outcome(score=row.score.score, passed=row.score.passed, feedback=row.score.feedback, program=program)


def changes(baseline: Strategy, candidate: Strategy) -> list[Changed]:
    """The predictors whose instructions (of dspy.Flex: whose source) or demonstrations the optimizer changed."""
    old, new = (strategy.dump_state() for strategy in (baseline, candidate))
    found = []
    for name, pair in {name: (old[name], new[name]) for name in old}.items():
        before, after = (one["module_src"] if "module_src" in one else one["signature"]["instructions"] for one in pair)
        had, demos = (one.get("demos", []) for one in pair)
        if before != after or had != demos:
            found.append(Changed(predictor=name, before=before, after=after, demos=demos, had=len(had)))
    return found
