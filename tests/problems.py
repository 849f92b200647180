"""Samples as programs draw them, without a program."""

from typing import Any

from errata.programs.samples.kinds import KINDS
from errata.signatures.records import Sample

ROW = ("question", "solution", "answer", "choices", "entry_point", "tests")


def drawn(index: int = 0, program_id: str = "p", task: str = "", **fields: Any) -> Sample:
    """`fields` are those of a row of its kind (choices: a choice, tests: code) and of a Sample; `kind` of its kind."""
    row = {"question": "q", "solution": "s", "answer": "1"} | {name: fields.pop(name) for name in ROW if name in fields}
    kind = fields.pop("kind", "choice" if "choices" in row else "code" if "tests" in row else "number")
    return Sample(program_id=program_id, seed=0, index=index, level=3, example=KINDS[kind].example(task, row), **fields)
