"""Controls: what a strategy that studies errors is compared with. None of them sees an error or an answer of the target.

`Mimic` has train items rewritten, whether the target solves them or not (the paper calls it AugGPT). `GoldOnly` trains on the source data:
the items that the target was asked, with their reference solutions; `FormOnly` on the same items with their answers shuffled. `Uniform`
trains on other train items, drawn evenly over the skills of the task (of several tasks, evenly over them first). Not covered: training as
many rows and steps for each (`generate.rows` and `train`).
"""

import random
from collections.abc import Callable, Sequence
from itertools import groupby, zip_longest

import dspy

from ...signatures.records import Diagnosis, Example, Failure
from ...signatures.teach import RepairRewrite, RewriteItem
from ...tasks import Task
from .diagnose import Diagnose
from .strategy import Strategy
from .write import Write


class Undiagnosed(Diagnose):
    """Takes the place of a diagnosis: no call, no words."""

    def __init__(self) -> None:
        dspy.Module.__init__(self)

    def forward(self, failures: Sequence[Failure], brief: str, strategy: str) -> Diagnosis:
        skill = failures[0].attempt.example.skill or "(not diagnosed)"
        ids = tuple(failure.id for failure in failures)
        return Diagnosis(failure_ids=ids, strategy=strategy, verdict="error", skill=skill, misconception="", evidence="", teach="")


class Mimic(Strategy):
    """Programs for train items at random, as many as errors would be taught. The instructor sees only the item and its reference."""

    source = "train"

    def __init__(self, repairs: int = 2):
        super().__init__(Undiagnosed(), Write(RewriteItem, RepairRewrite, repairs=repairs))


class _Uninstructed(Strategy):
    """Trains on items as they are; asks no instructor."""

    source = "none"

    def __init__(self) -> None:
        dspy.Module.__init__(self)
        self.contrasts = 0

    def groups(self, failures: Sequence[Failure]) -> list[tuple[Failure, ...]]:
        return []


class GoldOnly(_Uninstructed):
    """The items that the target was asked, in random order, whether it solves them or not."""

    def items(self, task: Task, mined: Sequence[Example], count: int, seed: int) -> list[Example]:
        return random.Random(f"gold:{seed}").sample(list(mined), len(mined))


SHUFFLED = "answer_of"
"""In the `meta` of a row whose answer belongs to another item: the id of that item."""


class FormOnly(_Uninstructed):
    """The items that the target was asked, each with the solution and answer of another one, drawn at random: questions, answers and their
    frequencies are those of GoldOnly, and only what leads from the one to the other is gone. What it gains is what the form alone gives
    (after the random labels of Min et al. 2022, arXiv 2202.12837). As it also teaches not to mind the question, it may cost a target skill
    that it had: GoldOnly less FormOnly is at most what the skill gave."""

    def items(self, task: Task, mined: Sequence[Example], count: int, seed: int) -> list[Example]:
        groups = _groups(random.Random(f"form:{seed}").sample(list(mined), len(mined)), lambda example: example.task)
        # in random order each is given what the next one has: none keeps its own
        return _in_turn([[*filter(None, map(_with_answer, rows, rows[1:] + rows[:1]))] for rows in groups if rows[1:]])


def _with_answer(item: Example, other: Example) -> Example | None:
    """The item as if the other's answer were its own; None where that is none of its options."""
    if other.answer not in item.meta.get("choices", {other.answer}):
        return None
    said = {"answer": other.answer, "solution": other.solution, "meta": item.meta | {SHUFFLED: other.id}}
    return item.model_copy(update=said)


class Uniform(_Uninstructed):
    """Train items that the target was not asked, evenly over skills. A task that reads its items from a file has no more than it has."""

    def items(self, task: Task, mined: Sequence[Example], count: int, seed: int) -> list[Example]:
        asked = {example.question for example in mined}
        # no items are mined with this seed; enough is drawn to make up for those that were asked or will be refused
        drawn = task.examples("train", 2 * count + len(asked), seed=seed + 1_000_003)
        fresh = [example for example in drawn if example.question not in asked]
        return _in_turn([_in_turn(_groups(rows, lambda example: example.skill)) for rows in _groups(fresh, lambda example: example.task)])


def _groups(rows: Sequence[Example], name: Callable[[Example], str]) -> list[list[Example]]:
    return [list(group) for _, group in groupby(sorted(rows, key=name), key=name)]


def _in_turn(groups: Sequence[Sequence[Example]]) -> list[Example]:
    """One row of each group in turn, until all are taken."""
    return [row for turn in zip_longest(*groups) for row in turn if row is not None]
