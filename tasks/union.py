"""Several tasks as one, written `sums+lists+facts`: items of each in turn, every one asked and judged by its own task.

What holds for an item is asked of `member(task, example.task)`; a plain task is its own member. It does not cover weights.
"""

from collections.abc import Mapping, Sequence
from itertools import zip_longest

from ..signatures.errors import UsageError
from ..signatures.records import Example, Message, Verdict
from .base import Task


class Union:
    """The members as one task. Raises UsageError when two have one name."""

    twin = None

    def __init__(self, members: Sequence[Task]):
        self.members = {task.name: task for task in members}
        if len(self.members) < len(members):
            raise UsageError(f"{', '.join(task.name for task in members)}: two tasks of one name cannot be told apart; leave one out")
        self.name = "+".join(self.members)
        kinds = {task.kind for task in members}
        self.kind = kinds.pop() if len(kinds) == 1 else "several"
        self.brief = "\n".join(task.brief for task in members)
        self.max_new_tokens = max(task.max_new_tokens for task in members)

    @property
    def data(self) -> Mapping[str, str]:
        return {f"{name}: {part}": known for name, task in self.members.items() for part, known in task.data.items()}

    def examples(self, split: str, limit: int | None = None, seed: int = 0) -> Sequence[Example]:
        """Items of the members in turn; of a limit each has its share, the first ones one more where it does not come out even."""
        count = len(self.members)
        limits = [None if limit is None else (limit + count - 1 - place) // count for place in range(count)]
        rows = [task.examples(split, most, seed) for task, most in zip(self.members.values(), limits, strict=True)]
        return [example for turn in zip_longest(*rows) for example in turn if example is not None]

    def prompt(self, example: Example) -> list[Message]:
        return self.members[example.task].prompt(example)

    def verdict(self, example: Example, response: str) -> Verdict:
        return self.members[example.task].verdict(example, response)

    def answered(self, response: str) -> str:
        return next(iter(self.members.values())).answered(response)

    def completion(self, solution: str, answer: str) -> str:
        """Raises TypeError: the form of an answer is its member's."""
        raise TypeError(f"{self.name} has no form of answer of its own; ask member(task, example.task)")

    def fault(self, answer: str) -> str:
        """Raises TypeError, as `completion` does."""
        return self.completion("", answer)


def member(task: Task, name: str) -> Task:
    """The task that an item, program or row of the task called `name` belongs to."""
    return task.members[name] if isinstance(task, Union) else task


def parts(task: Task) -> tuple[Task, ...]:
    """The tasks that are measured one by one: the members of a union, or the task itself."""
    return tuple(task.members.values()) if isinstance(task, Union) else (task,)
