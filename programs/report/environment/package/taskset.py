"""The environment for verifiers from 0.4 on: a taskset whose reward is the task's verdict, and the plain chat loop to ask it with."""

from collections.abc import Iterator
from typing import Any

import verifiers.v1 as vf
from verifiers.v1.harnesses.null import NullHarness

from .rows import LEVELS, Environment, score


class ErrataData(vf.TaskData):
    """A problem; `entry` is its whole row."""

    entry: dict[str, Any]


class ErrataTask(vf.Task[ErrataData]):
    """Judges the last reply."""

    @vf.reward(weight=1.0)
    async def correct(self, trace: vf.Trace) -> float:
        return score(trace.last_reply, self.data.entry) or 0.0


class ErrataConfig(vf.TasksetConfig):
    """Which rows there are."""

    size: int = 1000
    seed: int = 0
    levels: tuple[int, ...] = LEVELS


class ErrataTaskset(vf.Taskset[ErrataTask, ErrataConfig]):
    """The rows as tasks."""

    def load(self) -> Iterator[ErrataTask]:
        for row in Environment(self.config.size, self.config.seed, self.config.levels):
            prompt = [vf.UserMessage(content=one["content"]) for one in row["prompt"] if one["role"] == "user"]
            system = "\n".join(one["content"] for one in row["prompt"] if one["role"] == "system") or None
            name = f"{row['program']}-{row['seed']}-{row['index']}-{row['level']}"
            yield ErrataTask(ErrataData(id=name, prompt=prompt, system_prompt=system, entry=row), self.config.task)


class ErrataHarness(NullHarness):
    """No tools: verifiers would let the model run commands otherwise."""
