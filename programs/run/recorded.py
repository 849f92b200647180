"""Answers that a model has already given, taken in the place of the target's own: judged by the task into round 1's `mine`.

An answer to a dev or test item is judged and counted, but stands apart from train: the instructor never sees it. Duplicates count.
Not here: reading the files (errata.tasks.recorded).
"""

from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import Any

from ...signatures.errors import RunError
from ...signatures.records import Attempt, Example, Verdict, content_hash
from ...tasks import Task
from ...tasks.recorded.answer import RecordedAnswer
from ...tasks.recorded.join import Recorded
from ..stats import counts
from . import layout
from .directory import Stage, write_atomic
from .evaluate import judged


def take(recorded: Recorded, task: Task, stage: Stage, folder: Path) -> dict[str, Any]:
    """Judge the answers into the stage (round 1's `mine`) and copy its rows to <folder>/attempts.jsonl; what `errata import` prints.
    Continues where a kill left it. Raises RunError when the stage holds other answers."""
    sources = [content_hash([example.id, answer.response, answer.finish]) for example, answer in recorded.rows]
    if stage.done and stage.facts().get("answers") != content_hash(sources):
        raise RunError(f"{folder} holds other recorded answers; choose another --run")
    key = lambda index: f"{index}:{sources[index]}"  # noqa: E731
    rows = stage.collect(layout.ATTEMPTS, range(len(sources)), key, lambda missing: _judged(recorded.rows, missing, task), Attempt)
    held_out = sum(row.example.split != "train" for row in rows)
    found = counts(rows) | {"held_out": held_out}
    if not stage.done:
        stage.finish({layout.ATTEMPTS: rows}, **found, answers=content_hash(sources), read=recorded.files)
    copy = folder / layout.ATTEMPTS
    write_atomic(copy, (stage.path / layout.ATTEMPTS).read_bytes())
    reasons = Counter(row.verdict.reason for row in rows if row.verdict.correct is None)
    return found | {"attempts": str(copy), "files": recorded.files, "unjudged_reasons": dict(reasons.most_common())}


def _judged(rows: Sequence[tuple[Example, RecordedAnswer]], missing: Iterable[int], task: Task) -> Generator[tuple[int, Attempt]]:
    def judge(index: int) -> tuple[int, Attempt]:
        example, answer = rows[index]
        said, verdict = answer.response or "", Verdict(correct=None, extracted=None, reason=answer.fault)
        if answer.response is not None:
            verdict = task.verdict(example, said)
        return index, Attempt(example=example, response=said, verdict=verdict, target=answer.target, finish=answer.finish)

    return judged(task, judge, missing)
