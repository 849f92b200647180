"""What the graders of others' logs said of an answer, which stands beside it in the log.

lm-evaluation-harness writes each metric of a row under its name and says under which filter (lm_eval/evaluator.py, `logged_samples`);
a grade is called as its results call it: `exact_match,strict-match`. inspect writes `scores` by scorer, with the values C, I, P and N, and
NaN where it could not score (inspect_ai/scorer/_metric.py). Only right and wrong are taken: a share, a part or a distance is neither.
"""

from collections.abc import Iterator
from typing import Any

from ..cells import text_of
from ..files import Row
from .answer import Grade

HARNESS = (
    "doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics", "doc_hash", "prompt_hash", "target_hash",
)  # fmt: skip
"""Fields of a sample of lm-evaluation-harness that are no metric."""
OWN = ("is_correct", "correct", "passed", "is_right")
"""Fields of others' rows that say whether an answer is right."""
_SAID = {"c": True, "i": False, "n": False, "yes": True, "no": False, "true": True, "false": False, "correct": True, "incorrect": False}
INVALID = "[invalid]"
"""What a filter of lm-evaluation-harness gives where it finds no answer (lm_eval/filters/extraction.py, `fallback`)."""


def right(value: Any) -> bool | None:
    """Whether a grade says right or wrong; None: neither."""
    if isinstance(value, str):
        return _SAID.get(value.strip().lower())
    return bool(value) if isinstance(value, bool | int | float) and value in (0, 1) else None


def of_harness(row: Row) -> tuple[Grade, ...]:
    """One a metric of the row that is a number or a truth value, in the order of the row."""
    names = row["metrics"] if isinstance(row.get("metrics"), list) else [name for name in row if name not in HARNESS]
    cut = row.get("filtered_resps")
    while isinstance(cut, list) and cut:
        cut = cut[0]
    read = cut if isinstance(cut, str) else None
    kind = str(row.get("filter") or "none")
    behind = "" if kind == "none" else f",{kind}"
    values = {name: row.get(name) for name in names if isinstance(name, str)}
    kept = {name: value for name, value in values.items() if isinstance(value, bool | int | float)}
    return tuple(Grade(f"{name}{behind}", right(value), None if read == INVALID else read, str(value)) for name, value in kept.items())


def of_inspect(sample: Row) -> tuple[Grade, ...]:
    """One a scorer, or a value of a scorer that gives several."""
    scores = sample.get("scores") or {"score": sample.get("score")}
    known = scores.items() if isinstance(scores, dict) else ()
    return tuple(grade for name, score in known if isinstance(score, dict) for grade in _of_score(name, score))


def _of_score(name: str, score: Row) -> Iterator[Grade]:
    value, read = score.get("value"), text_of(score.get("answer"))
    several = value if isinstance(value, dict) else {"": value}
    for inner, one in several.items():
        if isinstance(one, str | bool | int | float):
            yield Grade(f"{name}/{inner}" if inner else name, right(one), read, str(one))


def of_row(row: Row) -> tuple[Grade, ...]:
    """One a field of a row that says right or wrong."""
    return tuple(Grade(name, right(row[name]), None, str(row[name])) for name in OWN if right(row.get(name)) is not None)
