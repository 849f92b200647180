"""Checks a task before a run: every gold answer passes its own verdict, and a wrong answer fails.

Of an item without a gold answer (some code tasks have tests alone) only the wrong answer is checked. It does not check that a gold answer
is true, nor answers in prose, which a language model judges.
"""

from dataclasses import dataclass
from fractions import Fraction

from ..signatures.records import Example
from .base import SPLITS, Task
from .options import asked
from .table import TableTask
from .union import member
from .verdicts import number


@dataclass(frozen=True)
class Finding:
    """A gold answer that its own verdict does not read right."""

    example: Example
    reason: str


def doctor(task: Task, limit: int | None = None) -> tuple[int, list[Finding]]:
    """Number of items checked over all splits, and those that fail; `limit` items of each split, None for all."""
    findings, checked = [], 0
    for split in SPLITS:
        for example in task.examples(split, limit):
            checked += 1
            if reason := _fault(member(task, example.task), example):
                findings.append(Finding(example, reason))
    return checked, findings


def doubts(task: Task, limit: int | None = None) -> list[str]:
    """What of a table's items is perhaps a mistake in the data: one question with several gold answers, held-out items that stand in train
    too, and what `Form.doubt` says."""
    if not isinstance(task, TableTask):
        return []
    items = [example for split in SPLITS for example in task.examples(split, limit)]
    said = []
    shown: dict[str, list[Example]] = {}
    alike: dict[tuple[str, str], list[Example]] = {}  # by what is asked and the gold answer, in whatever order options stand
    for example in items:
        shown.setdefault(repr(task.prompt(example)), []).append(example)
        alike.setdefault((asked(example), example.meta.get("choices", {}).get(example.answer, example.answer)), []).append(example)
    golds = shown.values() if task.kind not in ("prose", "code") else ()
    if several := [some for some in golds if len({one.answer for one in some}) > 1]:
        two = list(dict.fromkeys(f"{one.answer[:60]!r} ({one.split})" for one in several[0]))[:2]
        count = f"{len(several)} questions have" if several[1:] else "one question has"
        said.append(f"{count} several gold answers, e.g. {several[0][0].question[-80:]!r}: {' and '.join(two)}")
    known = [some for some in alike.values() if some[0].split == "train"]  # the first of SPLITS
    if held := [one for some in known for one in some if one.split != "train"]:
        what = "held-out items are" if held[1:] else "held-out item is"
        said.append(f"{len(held)} {what} asked in train too, e.g. {held[0].question[-80:]!r} ({held[0].split}): there memory is measured")
    own = {"role": "system", "content": task.settings.system}
    if task.settings.system and items and not any(own in task.prompt(example) for example in items):
        said.append("table.system is shown with none of them, as each row has a system turn of its own")
    if odd := [(example, why) for example in items if (why := task.form.doubt(example))]:
        many = "gold answers" if odd[1:] else "gold answer"
        said.append(f"{len(odd)} {many} cannot be taught, e.g. that to {odd[0][0].question[-80:]!r}: {odd[0][1]}")
    return said


def _fault(task: Task, example: Example) -> str:
    kind = example.kind if task.kind == "several" else task.kind
    if kind == "prose":
        return ""  # what the rubric says of a text takes a language model, and a call an item
    tried = [("a changed answer", False, _changed(kind, example)), ("an empty response", False, "")]
    if example.answer:
        completion = task.completion(example.solution, example.answer)
        tried = [("the bare answer", True, example.answer), ("the completion", True, completion), *tried]
    for what, right, response in tried:
        verdict = task.verdict(example, response)
        if verdict.correct is None:
            return f"it cannot be judged: {verdict.reason}; leave the item out"
        if right and not verdict.correct:
            return f"{what} is judged {verdict.reason!r} (read {verdict.extracted!r}, gold {example.answer!r})"
        if verdict.correct and not right:
            return f"{what} is not judged wrong but {verdict.reason!r} (gold {example.answer!r})"
    return ""


def _changed(kind: str, example: Example) -> str:
    """A response that is surely wrong."""
    if kind == "number":
        return f"#### {number.show((number.read(example.answer) or Fraction(0)) + 1)}"
    if kind == "choice":
        return next((label for label in example.meta["choices"] if label != example.answer), "")
    if kind == "code":
        return f"def {example.meta['entry_point']}(*args, **kwargs):\n    raise NotImplementedError\n"
    if kind == "tools":
        return '[{"name": "zqxj", "arguments": {}}]'
    return "SELECT 'zqxj'" if kind == "sql" else "zqxj"
