"""The one door between a training and what it is trained for: a training knows no task, it asks for prompts and for what answers are worth.

`Judge` is implemented by who knows the task (errata.programs.steps.practice). In a child process `PipeJudge` stands for it: each question
is a line on the child's stdout, each answer a line on its stdin, and `answered` is what the parent does with a question.
Does NOT cover: how answers are sampled and learned from (stages/grpo.py).
"""

import json
from collections.abc import Callable, Sequence
from typing import IO, Any, NamedTuple, Protocol

from ..signatures.records import Message
from .settings import Job

ASK = "ask"
"""What a child's message is called that waits for an answer."""


class Prompt(NamedTuple):
    """Something to practise on."""

    key: str
    """What its answers are handed back with."""
    messages: Sequence[Message]
    pinned: bool = False
    """Whether it stays in the step though all its answers are worth the same: what is not to be forgotten."""


class Given(NamedTuple):
    """One sampled answer."""

    key: str
    """That of its prompt."""
    text: str
    finish: str
    """`stop`, or `length` when the token limit cut it."""


class Judge(Protocol):
    """Gives prompts and judges answers. What it gives depends on its own start and on what it was told since, so that a training that
    continues from a checkpoint is given the same again."""

    fingerprint: str
    """Content hash of what its prompts are made of."""
    answer_tokens: int
    """Most new tokens of an answer."""

    def rewind(self, step: int) -> None:
        """Forget what was asked and told in steps from `step` (0 is the first) on."""
        ...

    def prompts(self, step: int, count: int) -> list[Prompt]:
        """`count` prompts for a step; fewer where there are no more."""
        ...

    def rewards(self, step: int, answers: Sequence[Given]) -> list[float | None]:
        """What each answer is worth, 0 to 1; None: it could not be judged. The answers to one prompt come together."""
        ...


class PipeJudge:
    """The judge of the parent process, as its child sees it."""

    def __init__(self, job: Job, tell: Callable[[dict[str, Any]], None], answers: IO[str]):
        self.fingerprint = job.data
        self.answer_tokens = job.answer_tokens
        self._tell = tell
        self._answers = answers

    def _ask(self, **question: Any) -> Any:
        self._tell({ASK: question})
        line = self._answers.readline()
        if not line.endswith("\n"):
            raise EOFError("the judge of the answers is gone")
        return json.loads(line)

    def rewind(self, step: int) -> None:
        self._ask(rewind=step)

    def prompts(self, step: int, count: int) -> list[Prompt]:
        return [Prompt(*row) for row in self._ask(prompts=count, step=step)]

    def rewards(self, step: int, answers: Sequence[Given]) -> list[float | None]:
        return list(self._ask(rewards=list(answers), step=step))


def answered(judge: Judge, question: dict[str, Any]) -> Any:
    """What the judge says to a question of a `PipeJudge`, as JSON can hold it."""
    if "rewind" in question:
        return judge.rewind(question["rewind"])
    if "prompts" in question:
        return judge.prompts(question["step"], question["prompts"])
    return judge.rewards(question["step"], [Given(*row) for row in question["rewards"]])
