"""What an optimization achieved: the optimized strategy against the one that it started from, on held-out failures, paired.

`compare` makes the figures, `document` says what changed in the prompts. Scores are compared by a permutation test of the pairs'
differences, programs and each check by the exact McNemar test (errata.programs.stats).

What is not here: the optimization (errata.programs.studies.optimize), scores (errata.programs.studies.scoring), and how it is shown
(errata.programs.studies.optimize_page).
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...signatures.records import Failure, SampleProgram
from ..stats import paired_outcomes, sign_flips
from ..strategies.strategy import Strategy
from .scoring import Score

FIGURES = {"missed": "rows that the target fails", "distinct": "distinct draws", "drafts": "drafts", "tokens": "tokens a failure"}


class Taken(NamedTuple):
    """A held-out failure and what a strategy made of it."""

    failure: Failure
    score: Score
    program: SampleProgram | None


# ---- figures


def compare(before: Mapping[str, Taken], after: Mapping[str, Taken], alpha: float, seed: int) -> dict[str, Any]:
    """Two strategies on the same failures. `better`: the mean score rises, with a p-value of at most `alpha`."""
    old, new = ([row.score for row in rows.values()] for rows in (before, after))
    gains = [b.score - a.score for a, b in zip(old, new, strict=True)]
    gain, p = float(np.mean(gains)), sign_flips(gains, seed)
    return {
        "better": gain > 0 and p <= alpha,
        "score": {"before": _mean(old, "score"), "after": _mean(new, "score"), "gain": gain, "p_value": p},
        "programs": paired_outcomes([(a.passed, b.passed) for a, b in zip(old, new, strict=True)]),
        "checks": {
            name: paired_outcomes([(a.checks[name], b.checks[name]) for a, b in zip(old, new, strict=True)]) for name in old[0].checks
        },
        **{name: [_mean(rows, name) for rows in (old, new)] for name in FIGURES},
        "rows": [
            {
                "failure": a.score.failure_id,
                "question": a.failure.attempt.example.question,
                **{side: _taken(row) for side, row in (("before", a), ("after", b))},
            }
            for a, b in zip(before.values(), after.values(), strict=True)
        ],
    }


def _taken(row: Taken) -> dict[str, Any]:
    program = row.program.source if row.program else None
    return {"score": row.score.score, "passed": row.score.passed, "feedback": row.score.feedback, "program": program}


def _mean(rows: Sequence[Score], name: str) -> float | None:
    """Over the rows that have one."""
    values = [getattr(row, name) for row in rows if getattr(row, name) is not None]
    return float(np.mean(values)) if values else None


# ---- what changed


def document(baseline: Strategy, candidate: Strategy) -> dict[str, Any]:
    """`changed`: for each predictor that the optimizer changed its instructions (of dspy.Flex: its source) and demonstrations."""
    old, new = (strategy.dump_state() for strategy in (baseline, candidate))
    found = []
    for name in old:
        texts = [one["module_src"] if "module_src" in one else one["signature"]["instructions"] for one in (old[name], new[name])]
        demos = [one.get("demos", []) for one in (old[name], new[name])]
        if texts[0] != texts[1] or demos[0] != demos[1]:
            found.append({"predictor": name, "before": texts[0], "after": texts[1], "demos": demos[1], "had": len(demos[0])})
    return {"changed": found}
