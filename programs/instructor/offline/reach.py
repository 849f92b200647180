"""What the embedded instructor can teach of a task: it writes a program for each of a sample of train items, as if they were errors.

Not covered: whether these programs pass the checks, which run them.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from ....signatures.records import Example
from ....tasks import Task
from ....tasks.verdicts.number import read
from ...samples.calculations import Unreadable
from .engine import RECOMBINED, writer
from .recombine.rows import Rows

OWN = ("sums", "sums_plus", "lists", "lists_plus", "facts", "facts_plus", "mixed")
"""The tasks that it was made for: they are not read first."""
SAMPLE = 40
"""Items of another task that are read; of labels and JSON, which take no time, all."""
_TEXTS = "answers are texts"
TAUGHT = {"number", "choice", "code", *RECOMBINED}


class Reach(NamedTuple):
    """How many of the items that were looked at it can teach, and why not the others."""

    task: str
    taught: int
    items: int
    refused: Counter[str]
    """Reason -> items."""

    @property
    def refusal(self) -> str:
        """Why the task is not to be begun with it; empty where it can teach some of it."""
        other = "name another, e.g. --instructor openai/gpt-5-mini; `errata evaluate` needs none"
        return "" if self.taught else f"{self.told}: {other}"

    @property
    def told(self) -> str:
        count = f"{self.taught} of {self.items}" if self.taught else f"none of {self.items}"
        said = f"the embedded instructor can teach {count} train items of {self.task}"
        if not self.refused:
            return said
        reason, most = self.refused.most_common(1)[0]
        return f"{said}; {most} not, as {reason}"


def reach(task: Task, items: Sequence[Example]) -> Reach | None:
    """What it can teach of these train items of a task that is not joined; None for a task that it was made for, and without items."""
    if task.name in OWN or not items:
        return None
    if task.kind not in TAUGHT | {"text"}:
        reason = f"answers of the kind {task.kind} are beyond it"
        return Reach(task.name, 0, len(items), Counter({reason: len(items)}))
    rows = Rows(lambda: task.examples("train"))
    some = items if task.kind in RECOMBINED else items[:SAMPLE]
    refused = Counter(reason for item in some if (reason := _refusal(item, rows)))
    if texts := [reason for reason in refused if reason.startswith(_TEXTS)]:  # each with an example of its own
        refused[texts[0]] = sum([refused.pop(reason) for reason in texts])
    return Reach(task.name, len(some) - refused.total(), len(some), refused)


def _refusal(item: Example, rows: Rows) -> str:
    """Why it writes no program for an item; empty where it writes one."""
    if item.kind not in TAUGHT or (item.kind == "number" and read(item.answer) is None):
        return f"{_TEXTS}, e.g. {item.answer[:40]!r}"
    reference = f"{item.solution}\n#### {item.answer}"
    if item.kind == "code":
        reference = f"{item.answer}\n\nIt must pass:\n{item.meta['test']}"
    try:
        if known := RECOMBINED.get(item.kind):
            return known.refusal(rows, item)
        writer(item.kind, rows)(item.question, reference, "", "item", "", careful=False, phrased=False)
    except Unreadable as reason:
        return str(reason)
    return ""
