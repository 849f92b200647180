"""The environment as other libraries take it. Each is imported where it is used: none is needed for the rest.

A row travels through tables as JSON text in the column `entry`, since the options of a choice differ from row to row.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .rows import LEVELS, Environment, Row, score


def said(completion: Any) -> str:
    """The text of a completion: a text, or chat messages of which the last one counts."""
    if isinstance(completion, str):
        return completion
    last = completion[-1] if completion else {"content": ""}
    content = last["content"] if isinstance(last, dict) else last.content
    return content if isinstance(content, str) else ""


# ---- TRL


def dataset(size: int = 1000, seed: int = 0, levels: Sequence[int] = LEVELS) -> Any:
    """A `datasets.Dataset` for GRPOTrainer, with the columns prompt, question, answer, skill, level, program and entry."""
    import datasets

    shown = ("prompt", "question", "answer", "skill", "level", "program")
    rows = [{name: row[name] for name in shown} | {"entry": json.dumps(row)} for row in Environment(size, seed, levels)]
    return datasets.Dataset.from_list(rows)


def reward(completions: Sequence[Any], entry: Sequence[str], **others: Any) -> list[float | None]:
    """The task's verdict on each completion, as GRPOTrainer asks for it; None leaves a completion that cannot be judged out."""
    return [score(said(completion), json.loads(text)) for completion, text in zip(completions, entry, strict=True)]


reward_funcs = [reward]


# ---- reasoning-gym


def procedural_dataset(size: int = 500, seed: int = 0, levels: Sequence[int] = LEVELS) -> Any:
    """A `reasoning_gym.dataset.ProceduralDataset`; the rest of a row stands in its `metadata`."""
    from reasoning_gym.dataset import ProceduralDataset

    @dataclass
    class Config:
        levels: Sequence[int]
        size: int
        seed: int

    class Rows(ProceduralDataset):
        """Our rows as reasoning-gym's entries."""

        def __getitem__(self, idx: int) -> Row:
            row = Environment(size, seed, levels)[idx]
            known = {"source_dataset": __package__, "source_index": idx, "difficulty": {"level": row["level"]}}
            return {"question": row["prompt"][-1]["content"], "answer": row["answer"], "metadata": known | {"entry": row}}

        def score_answer(self, answer: str | None, entry: Row) -> float:
            return score(answer or "", entry["metadata"]["entry"]) or 0.0

    return Rows(Config(levels, size, seed), seed, size)


# ---- verifiers up to 0.3


def load_environment(size: int = 1000, seed: int = 0, levels: Sequence[int] = LEVELS, eval_size: int = 100, eval_seed: int = 1) -> Any:
    """A `verifiers.SingleTurnEnv`: what `verifiers.load_environment` of versions up to 0.3 calls."""
    import datasets
    import verifiers as vf

    def table(count: int, first: int) -> Any:
        rows = Environment(count, first, levels)
        return datasets.Dataset.from_list(
            [{"prompt": row["prompt"], "answer": row["answer"], "info": {"entry": json.dumps(row)}} for row in rows]
        )

    def correct(completion: Any, info: Any, **others: Any) -> float:
        held = json.loads(info) if isinstance(info, str) else info
        return score(said(completion), json.loads(held["entry"])) or 0.0

    rubric = vf.Rubric(funcs=[correct], weights=[1.0])
    return vf.SingleTurnEnv(dataset=table(size, seed), eval_dataset=table(eval_size, eval_seed), rubric=rubric)
