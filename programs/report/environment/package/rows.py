"""Rows, each of which follows from (program, seed, index, level) alone, and the worth of an answer to one.

The programs, the harness that calls them, the kinds of problems and the verdicts are Errata's own files (_errata/), so that a row here is
the row that its sandbox gives. There is no sandbox here: a program runs in this process, with your rights.
"""

import json
import sys
import types
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ._errata.programs.samples.kind import Kind, finished, guest
from ._errata.programs.samples.kinds.choice import ChoiceKind
from ._errata.programs.samples.kinds.number import NumberKind
from ._errata.programs.samples.kinds.text import TextKind
from ._errata.signatures.records import Example, Verdict
from ._errata.tasks.base import Judging
from ._errata.tasks.verdicts import choice, number, short

Row = dict[str, Any]
HERE = Path(__file__).parent
PROVENANCE: dict[str, Any] = json.loads((HERE / "provenance.json").read_text(encoding="utf-8"))
"""Where this is from: task, target, instructor, run, dates, versions."""
PROGRAMS: dict[str, dict[str, Any]] = {
    row["program"]["id"]: row for row in map(json.loads, (HERE / "programs.jsonl").read_text(encoding="utf-8").split("\n")[:-1])
}
"""Id of a program -> the program, the diagnosis that it was written for, and the errors that it rebuilds."""
TASKS: dict[str, dict[str, Any]] = json.loads((HERE / "tasks.json").read_text(encoding="utf-8"))
"""Name of a task -> its `verdict`, its `prompt` with MARK in the place of the question, and the `tags` of reasoning traces."""
MARK = "<question>"
LEVELS: tuple[int, ...] = tuple(PROVENANCE["levels"])
"""The levels, 1 to 5, that rows are drawn at in turn unless others are asked for; 3 is as hard as the errors."""
SPAN, TRIES = 10_000_000, 20
"""Indices that each program has for itself in an Environment, and how many of them are tried for one row."""
KINDS: dict[str, Kind] = {"number": NumberKind(), "choice": ChoiceKind(), "text": TextKind()}
JUDGES = {"number": number.judged, "choice": choice.judged, "exact": short.judged}


class Judge(Judging):
    """The verdict of a task: a reasoning trace is set aside first."""

    def __init__(self, task: str):
        self.judge = JUDGES[TASKS[task]["verdict"]]
        self.trace_tags = [tag if isinstance(tag, str) else tuple(tag) for tag in TASKS[task]["tags"]]


@cache
def judge(task: str) -> Judge:
    return Judge(task)


@cache
def harness() -> types.ModuleType:
    """Errata's harness, which calls draw, make and wrong of a program."""
    module = types.ModuleType(f"{__package__}.harness")
    exec(compile(guest("harness.py") + guest("plain.py"), "harness.py", "exec", dont_inherit=True), vars(module))
    return module


@cache
def module(program: str) -> types.ModuleType:
    """A program, loaded once."""
    name = f"{__package__}.program_{program}"
    made = sys.modules[name] = types.ModuleType(name)  # a dataclass looks its module up there
    exec(compile(PROGRAMS[program]["program"]["source"], f"{program}.py", "exec", dont_inherit=True), vars(made))
    return made


def draw(program: str, seed: int, index: int, level: int) -> Row | None:
    """The row of a program at (seed, index, level); None where it gives none there."""
    held = PROGRAMS[program]["program"]
    kind = KINDS[held.get("kind", "number")]
    payload = {"texts": kind.texts, "values": kind.values, "others": kind.others, "anchors": [], "draws": [[seed, index, level]]}
    (raw,) = harness().main(module(program), payload)
    row = finished(json.loads(json.dumps(raw)), kind, (seed, index, level))
    if "error" in row:
        return None
    made = kind.example(held["task"], row)
    messages = [{**one, "content": one["content"].replace(MARK, made.question, 1)} for one in TASKS[made.task]["prompt"]]
    return {
        "prompt": messages,
        "question": made.question,
        "answer": made.answer,
        "solution": made.solution,
        "wrong": row.get("wrong"),
        "skill": held.get("skill", ""),
        "level": level,
        "program": program,
        "seed": seed,
        "index": index,
        "task": made.task,
        "kind": made.kind,
        "meta": made.meta,
    }


def verdict(response: str, row: Row) -> Verdict:
    """What the task says of a response to a row: whether it is right, what was read, and why."""
    example = Example(row["task"], "train", row["question"], row["answer"], row["solution"], kind=row["kind"], meta=row["meta"])
    return judge(row["task"]).verdict(example, response)


def score(response: str, row: Row) -> float | None:
    """1 for a right response, 0 for another, None for one that cannot be judged."""
    correct = verdict(response, row).correct
    return None if correct is None else float(correct)


class Environment(Sequence[Row]):
    """`size` rows of all programs in turn. The same arguments give the same rows, anywhere. Rows on which the misconception would give the
    right answer are passed over; two programs may ask the same question."""

    def __init__(self, size: int = 1000, seed: int = 0, levels: Sequence[int] = LEVELS, programs: Sequence[str] | None = None):
        """`programs`: ids of those that are drawn from; None: all."""
        self.size, self.seed, self.levels = size, seed, tuple(levels)
        self.programs = tuple(PROGRAMS if programs is None else programs)
        if unknown := [name for name in self.programs if name not in PROGRAMS]:
            raise ValueError(f"there is no program {unknown[0]!r} here; PROGRAMS names all")
        if size < 0 or not self.programs or not self.levels or not set(self.levels) <= {1, 2, 3, 4, 5}:
            raise ValueError("an environment has a size from 0 up, at least one program, and levels from 1 to 5")

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[Row]:
        return map(self.__getitem__, range(self.size))

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return [self[place] for place in range(self.size)[at]]
        turn, place = divmod(range(self.size)[at], len(self.programs))
        for again in range(TRIES):
            index = place * SPAN + again * (SPAN // TRIES) + turn
            row = draw(self.programs[place], self.seed, index, self.levels[turn % len(self.levels)])
            if row is not None and (row["wrong"] is None or not score(row["wrong"], row)):
                return row
        raise ValueError(f"program {self.programs[place]} gave no row in {TRIES} tries; leave it out with programs=[...]")

    def score_answer(self, answer: str | None, entry: Row) -> float:
        """reasoning-gym's name for `score`; what cannot be judged is worth 0."""
        return score(answer or "", entry) or 0.0
