"""Tasks: what is asked and how it is judged. `load_task` turns a name into a task; imports are light (no torch, no datasets)."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from ..signatures.errors import UsageError, near
from .answers import Helpers
from .base import Judge, Judging, Opinion, Runner, Task
from .doctor import Finding, doctor
from .sets.bbh import Bbh
from .sets.gsm8k import Gsm8k, GsmPlus
from .sets.mbpp import HumanEval, Mbpp
from .sets.mmlu import Arc, Mmlu
from .sets.reasoning_gym import ReasoningGym
from .table import Prefix, TableSettings, TableTask
from .trace import TAGS, Tag
from .union import Union, member, parts
from .world.facts import FactsTask
from .world.lists import ListsTask
from .world.mixed import MixedTask
from .world.sums import SumsTask

__all__ = ["Finding", "Judge", "Opinion", "Runner", "Task", "doctor", "joined", "load_task", "member", "parts", "refuse_unread"]

KNOWN = (
    "sums", "sums_plus", "lists", "lists_plus", "facts", "facts_plus", "mixed",
    "gsm8k:PATH", "gsm_plus[:PATH]", "mmlu[:PATH]", "arc[:PATH]", "mbpp[:PATH]", "humaneval[:PATH]", "bbh:PATH",
    "reasoning_gym:NAME", "jsonl:PATH", "parquet:PATH", "hf:NAME[CONFIG]",
)  # fmt: skip
"""How each task is written; a task whose path may be left out comes from the hub then. Several are joined by `+`."""

_SETS: dict[str, Callable[[Path | None], Task]] = {"gsm8k": Gsm8k, "gsm_plus": GsmPlus, "mmlu": Mmlu, "arc": Arc}
TABLES = ("jsonl", "parquet", "hf")
"""The tasks that read rows as `table` says."""
_NAMES = [known.partition(":")[0].partition("[")[0] for known in KNOWN]
_JOINED = re.compile(rf"\+(?=(?:{'|'.join(_NAMES)})\b)")  # a path may hold a plus


def joined(name: str) -> list[str]:
    """The tasks of a name, as each is written: two of "sums+gsm8k:PATH"."""
    return _JOINED.split(name)


def refuse_unread(table: TableSettings, names: Sequence[str]) -> None:
    """Raise UsageError where settings of a table are given, and none of the tasks `names` is one."""
    if any(one.partition(":")[0] in TABLES for name in names for one in joined(name)):
        return
    changed = [name for name, value in TableSettings() if getattr(table, name) != value]
    if changed:
        what = f"table.{changed[0]} is set, and {' and '.join(names)} does not read it: only {', '.join(TABLES)} do"
        raise UsageError(f"{what}; leave it out, or give rows of your own, --task jsonl:PATH")


def load_task(
    name: str,
    table: TableSettings | None = None,
    runner: Runner | None = None,
    items: bool = True,
    tags: Sequence[Tag] = TAGS,
    beside: Task | None = None,
    judge: Judge | None = None,
) -> Task:
    """The task called `name`, written as in KNOWN.

    `table` says how the columns of jsonl:, parquet: and hf: are read; `runner` runs the answers of code tasks, e.g. `Sandbox.run`; `judge`
    is the language model of the verdict `judge`, e.g. that of `open_judge` of errata.programs.instructor.judge.
    `tags` are those around a reasoning trace, which is no answer (errata.tasks.trace). `beside`: a task of the same config; what stands
    before the questions of its first table stands before those of every table here.
    Without `items` nothing is fetched from the hub, and gsm8k needs no path, until examples are asked for: the task judges, and reads
    rows from elsewhere.
    Raises UsageError for an unknown name, naming the nearest one, or a missing path, runner or judge, and TaskError for unusable data.
    """
    names = joined(name)
    found: list[Task] = []
    for written in names:
        tables = [one for one in (*(parts(beside) if beside else ()), *found) if isinstance(one, TableTask)]
        found.append(_task(written, table, Helpers(runner, judge), tables[0].prefix if tables else None))
    for one in found:
        if isinstance(one, Judging):
            one.trace_tags = tags
    task = found[0] if len(found) == 1 else Union(found)
    if items:
        task.examples("train", 0)  # data that cannot be had are told of now, not an hour later
    return task


def _task(name: str, table: TableSettings | None, helpers: Helpers, prefix: Prefix | None) -> Task:
    runner = helpers.runner
    kind, colon, rest = name.partition(":")
    path = Path(rest).expanduser() if rest else None
    match kind:
        case "sums" | "sums_plus" if not colon:
            return SumsTask(kind)
        case "facts" | "facts_plus" if not colon:
            return FactsTask(kind)
        case "lists" | "lists_plus" if not colon:
            return ListsTask(kind, runner)
        case "mixed" if not colon:
            return MixedTask(runner)
        case "gsm8k" | "gsm_plus" | "mmlu" | "arc":
            return _SETS[kind](path)
        case "mbpp" | "humaneval":
            return {"mbpp": Mbpp, "humaneval": HumanEval}[kind](path, runner)
        case "bbh":
            if path is None:
                raise UsageError("task bbh needs its data: write bbh:PATH, the published folder of JSON files, one a subtask")
            return Bbh(path)
        case "reasoning_gym":
            return ReasoningGym(rest)
        case table_ if table_ in TABLES:
            return TableTask(name, table, helpers, prefix)
    found = near(kind.replace("-", "_"), _NAMES)
    hint = f"did you mean {KNOWN[_NAMES.index(found)]}? " if found else ""
    raise UsageError(f"no task is called {name!r}: {hint}known tasks are {', '.join(KNOWN)}; several are joined by +")
