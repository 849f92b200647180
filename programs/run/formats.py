"""The number format that a target in this process answers in, where `target.dtype` is `auto` and the CPU has instructions for bfloat16.

Decided once, before the first answer: bfloat16, where the weights are stored in 16 bits and the verdicts on 64 train items are the same as
in float32 but for 5 %. What was decided, and on what, stands in run.json, so that a run that is continued answers as it began; of a
comparison it stands beside its runs, for all of them.
What is not here: targets of servers and of clusters, which answer as they are started, GPUs (trainers.target), and the format of a training
(trainers.estimate).
"""

import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from ...signatures.errors import ErrataError
from ...signatures.records import Attempt, sealed
from ...tasks import Task, parts
from ...trainers import open_target
from ...trainers.settings import TargetSettings
from . import layout
from .directory import read_config, read_json, to_json, write_atomic
from .evaluate import attempts

LOOKED_AT, AGREED = 64, 0.95
"""Train items that are answered in both formats, and the least share of verdicts that must be the same."""
FEW = 256
"""With fewer questions to ask, the look would take longer than what it saves."""
FILE = "format.json"
"""Of a comparison: what is decided for all its runs."""
Format = dict[str, Any]
"""`dtype` (`float32` or `bfloat16`), `why`, and where it was looked at `items`, `agreed`, `same_texts` and `right` by format."""


def decided(run: Path) -> Format | None:
    """What the run at `run` decided; None: nothing yet, or there was nothing to decide."""
    return read_json(run / "run.json").get("format")


def answering(run: Path, target: TargetSettings) -> TargetSettings:
    """The target's settings with the format that it answered in."""
    known = decided(run) if target.dtype == "auto" and not target.api_base else None
    return target.model_copy(update={"dtype": known["dtype"]}) if known else target


def settle(
    run: Path, target: TargetSettings, task: Task, asked: int | None, say: Callable[[str], None], shared: Path | Literal[True]
) -> None:
    """Decides for the run at `run`, where that is open and was not done yet: for it alone, or for all runs of the folder `shared`.

    `target` is the one that the run begins with, and `asked` how many questions wait for it now (None: many)."""
    if target.dtype != "auto" or target.api_base or decided(run):
        return
    from ...trainers.estimate import may_narrow  # loads torch

    if not may_narrow(target):
        return
    if shared is True:
        found = _late([run]) or _few(asked) or _looked(target, task, say)
    else:
        from filelock import FileLock

        with FileLock(shared / f"{FILE}.lock"):  # of several processes the others wait, and take what it found
            file = shared / FILE
            runs = [other.parent for other in shared.glob("*/run.json")]
            found = read_json(file) if file.exists() else _late(runs) or _few(asked) or _looked(target, task, say)
            write_atomic(file, to_json(sealed(found)))
    say(f"target answers in {found['dtype']}: {found['why']}")
    document = read_json(run / "run.json") | {"format": found}
    write_atomic(run / "run.json", to_json(sealed(document)))


def _late(runs: Sequence[Path]) -> Format | None:
    """As these runs began, on a machine where nothing was open, or by an Errata that did not look: answers of two formats are not mixed."""
    if any(layout.answered(run, read_config(run).errors == "target") for run in runs):
        return {"dtype": "float32", "why": "it has answered in it already"}
    return None


def _few(asked: int | None) -> Format | None:
    if asked is None or asked >= FEW:
        return None
    return {"dtype": "float32", "why": f"{asked} questions are too few to try bfloat16 first; target.dtype takes it"}


def _looked(target: TargetSettings, task: Task, say: Callable[[str], None]) -> Format:
    """Answers train items in both formats and compares the verdicts."""
    if any(one.kind == "prose" for one in parts(task)):
        return {"dtype": "float32", "why": "to try bfloat16 first would pay the judge twice for each answer; target.dtype takes it"}
    try:
        items = list(islice(task.examples("train", LOOKED_AT), LOOKED_AT))
    except ErrataError:
        items = []
    if len(items) < LOOKED_AT:
        return {"dtype": "float32", "why": f"bfloat16 is taken after a look at {LOOKED_AT} train items, and there are {len(items)}"}
    say(f"this CPU has instructions for bfloat16: {LOOKED_AT} train items are answered in it and in float32 (target.dtype leaves that out)")
    answers: dict[str, dict[str, Attempt]] = {}
    seconds: dict[str, float] = {}
    for dtype in ("bfloat16", "float32"):
        model = open_target(target.model_copy(update={"dtype": dtype}))
        begun = time.process_time()
        answers[dtype] = {item.id: row for item, row in attempts(task, items, model)}
        seconds[dtype] = time.process_time() - begun
        model.close()
    pairs = [(row, answers["bfloat16"][key]) for key, row in answers["float32"].items()]
    agreed = sum(one.verdict.correct == other.verdict.correct for one, other in pairs)
    right = {dtype: sum(bool(row.verdict.correct) for row in rows.values()) for dtype, rows in answers.items()}
    dtype = "bfloat16" if agreed >= AGREED * len(pairs) else "float32"
    faster = seconds["float32"] / max(seconds["bfloat16"], 0.01)
    say(f"bfloat16 took {seconds['bfloat16']:.0f} CPU seconds for {len(pairs)} answers, float32 {faster:.1f} times as long")
    same = sum(one.response == other.response for one, other in pairs)
    rights = f"right: {right['float32']} and {right['bfloat16']}"
    why = f"of {len(pairs)} train items {agreed} have the same verdict in float32 and bfloat16 ({rights}), and {same} the same text"
    return {"dtype": dtype, "why": why, "items": len(pairs), "agreed": agreed, "same_texts": same, "right": right}
