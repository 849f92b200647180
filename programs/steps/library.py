"""The library of a run: how its programs fare round by round, and which are done with.

Programs that passed the checks are drawn from in every later round, at other seeds and levels. Each round keeps a row a program: how many
of its probe rows the target failed (its hit rate), how many of its drawn rows the checks let pass (its acceptance), and, once the target
has mastered its rows, that it retires: it is neither probed nor drawn from again.

What is not here: probing and drawing (the cycle does), and what share of the rows a program is given (errata.programs.steps.allocation).
"""

from collections.abc import Mapping

from ...signatures.records import Attempt, SampleProgram, Standing
from .probe import Probed


def standings(
    number: int,
    library: Mapping[str, SampleProgram],
    probed: Probed,
    weights: Mapping[str, float],
    kept: Mapping[str, int],
    dropped: Mapping[str, Mapping[str, int]],
) -> list[Standing]:
    """A row a program of `library`, none of which had retired before. `kept` and `dropped` (by check) count the rows that were drawn."""
    tried: dict[str, list[Attempt]] = {}
    for attempt in probed.attempts:
        if attempt.verdict.correct is not None:
            tried.setdefault(attempt.example.meta["program"], []).append(attempt)
    reasons = {row.of: row.reason for row in probed.rejections}
    rows = []
    for name, program in library.items():
        refused = dict(sorted(dropped.get(name, {}).items()))
        own = tried.get(name, [])
        rows.append(
            Standing(
                program_id=name,
                round=number,
                skill=program.skill,
                probed=len(own),
                failed=sum(row.verdict.correct is False for row in own),
                weight=weights.get(name, 0.0),
                drawn=kept.get(name, 0) + sum(refused.values()),
                kept=kept.get(name, 0),
                refused=refused,
                retired=reasons.get(name, ""),
            )
        )
    return rows
