"""From an answer to its example: a row that carries its gold is read by the task, another is joined by id or by the exact question."""

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from ...signatures.errors import TaskError, UsageError
from ...signatures.records import Example, whole
from ..base import SPLITS, Task
from ..cells import text_of, words
from ..chat import ROLES, transcript
from ..options import asked
from ..rows import Row, file_hash, from_path
from ..table import TableTask
from ..union import Union, parts
from .answer import RecordedAnswer
from .forms import IDS, read

LOGS = re.compile(r"samples_.*\.jsonl|.*\.eval")
"""Names of files that lm-evaluation-harness and inspect write."""


class Recorded(NamedTuple):
    """What files hold: answers that have met their examples, and what was read of each file."""

    rows: list[tuple[Example, RecordedAnswer]]
    files: list[dict[str, Any]]


@runtime_checkable
class ReadsRows(Protocol):
    """A task that makes an example of a row that carries its gold."""

    def read(self, row: Row, split: str, where: str) -> Example: ...


def load(
    paths: Sequence[Path], task: Task, source: Path | None = None, fields: dict[str, str] | None = None, model: str | None = None
) -> Recorded:
    """The answers of the files, each with its example. `source` is the task's own data, None: it was given without data; `fields` maps our
    names (response, question, answer, id, or one that the task reads) to the file's; `model` keeps the answers of one model.

    Raises TaskError, naming file, line, what is missing and what to do, and UsageError when no answer is of `model`.
    """
    items = _Items(task, source)
    fields = dict(fields or {})
    for ours in fields.keys() & {"question", "answer"}:  # a table reads them under the names of its columns
        fields.setdefault(getattr(getattr(task, "settings", None), ours, ours), fields[ours])
    rows, files = [], []
    models: set[str] = set()
    unknown: list[TaskError] = []
    for path in _files(paths):
        kept = skipped = 0
        why: Counter[str] = Counter()
        forms: Counter[str] = Counter()
        for answer in read(path, fields):
            forms[answer.form] += 1
            models.add(answer.model)
            if answer.skipped or model not in (None, answer.model):
                skipped += 1
                why.update([answer.skipped or "of another model"])
                continue
            try:
                example = items.example(answer)
            except TaskError as error:
                kept += 1
                unknown.append(error)
                continue
            if example.question in items.shown:
                skipped += 1
                why.update(["it stands solved before each question (table.shots)"])
                continue
            kept += 1
            rows.append((example, _spoken(answer._replace(response=whole(answer.response)), example)))
        facts = {"file": str(path), "sha256": file_hash(path), "forms": dict(forms), "answers": kept, "left_out": skipped}
        files.append(facts | ({"left_out_because": dict(why)} if why else {}))
    if unknown:
        more = f" ({len(unknown) - 1} more of {len(unknown) + len(rows)} answers like it)" if unknown[1:] else ""
        fact, act = unknown[0].parts
        raise TaskError("; ".join(filter(None, (fact + more, act))))
    if not rows and model is None:
        raise UsageError("all answers are left out, as they are to items that stand solved before each question; set fewer table.shots")
    if not rows:
        there = ", ".join(sorted(filter(None, models))) or "none is named"
        raise UsageError(f"no answer is of model {model!r}; models there: {there}")
    return Recorded(rows, files)


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    """The files, and of a folder those that lm-evaluation-harness and inspect write. Raises TaskError when it holds none."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        found = sorted(file for file in path.rglob("*") if LOGS.fullmatch(file.name))
        if not found:
            raise TaskError(f"{path}: a folder without samples_*.jsonl of lm-evaluation-harness or .eval of inspect; name the files")
        yield from found


def parse_field(text: str) -> tuple[str, str]:
    """Our name and the file's, of --field NAME=FIELD."""
    ours, equals, theirs = text.partition("=")
    if not equals or not ours.strip() or not theirs.strip():
        raise UsageError(f"--field takes NAME=FIELD, e.g. --field response=output, not {text!r}")
    return ours.strip(), theirs.strip()


def source_of(task: str) -> Path | None:
    """The path in a task's name: gsm8k:PATH."""
    kind, _, rest = task.partition(":")
    return Path(rest).expanduser() if rest and kind not in ("hf", "reasoning_gym") else None


class _Items:
    """Finds the example that an answer belongs to."""

    def __init__(self, task: Task, source: Path | None):
        self._task = task
        self._source = source
        self._known = source is not None or not isinstance(task, ReadsRows) or task.name.startswith("hf:")
        self._kinds = {one.name: one.kind for one in parts(task)}
        self._shots = [shot for one in parts(task) if isinstance(one, TableTask) for shot in one.prefix.shots]
        self.shown = {shot.question for shot in self._shots}
        """Questions that stand solved before each other one."""

    def example(self, answer: RecordedAnswer) -> Example:
        """Raises TaskError when the row neither carries its gold nor is found among the task's items."""
        if answer.example is not None:
            return self._placed(answer.example, answer)
        example = self._own(answer)
        if isinstance(example, Example) and self._known:
            # the task's own item says more: its solution, its skill
            same = self._questions.get(_key(example.question)) or self._at_the_end(answer.row)
            example = next((one for one in same if one.answer == example.answer), example)
        if isinstance(example, TaskError):
            fact, _ = example.parts
            found, name = self._joined(answer), self._task.name
            if found is None and self._known:
                row, shown = answer.row, text_of(answer.row.get("question"))
                shown = shown or next((str(row[one]) for one in reversed(IDS) if row.get(one) is not None), "")
                what = f"{name} has no item of this question or id, {shown[:60]!r}"
                raise TaskError(f"{fact}, and {what}; mend the row, or --field answer=NAME")
            if found is None:
                raise TaskError(f"{fact}; map the gold with --field answer=NAME, or give the task with its data, {name}:PATH")
            example = found
        return self._placed(example, answer)

    def _own(self, answer: RecordedAnswer) -> Example | TaskError:
        """The example that the row itself carries, or why it carries none."""
        row = answer.row
        if row.get("turns"):
            if isinstance(self._task, TableTask):
                rest = {name: value for name, value in row.items() if name not in ("question", "turns")}
                row = rest | {self._task.settings.messages or "messages": row["turns"]}
            elif not row.get("question"):
                what = f"a chat of several questions, which {self._task.name} does not read"
                return TaskError(f"{answer.where}: {what}; give one question and its answer a row")
        if isinstance(self._task, ReadsRows):
            try:
                example = self._task.read(row, "train", answer.where)
                told = row.get("solution") if answer.form == "inspect" else None
                return example if example.solution or not isinstance(told, str) else example.model_copy(update={"solution": told})
            except TaskError as error:
                return error
        if self._task.kind == "number" and not isinstance(self._task, Union) and row.get("question") and row.get("answer") is not None:
            question, text, skill = str(row["question"]), str(row["answer"]), words(row.get("skill"))
            gold, solution = text.rpartition("####")[2].strip(), text if "####" in text else ""
            return Example(task=self._task.name, split="train", question=question, answer=gold, solution=solution, skill=skill)
        return TaskError(f"{answer.where}: the row carries no item of {self._task.name}")

    def _joined(self, answer: RecordedAnswer) -> Example | None:
        """The one item with the row's id, or else with its question; an id that is another question's says nothing."""
        if not self._known:
            return None
        row, ids = answer.row, self._ids
        question = _key(text_of(row.get("question")) or "")
        named = [one for name in IDS for one in ids.get(text_of(row.get(name)) or "", ())]
        asked = self._at_the_end(row) or self._questions.get(question, [])
        found = [example for example in named if question in _key(example.question)] or asked
        if len({example.id for example in found}) > 1:
            raise TaskError(f"{answer.where}: several items of {self._task.name} have this id or question; give the whole row")
        return found[0] if found else None

    def _at_the_end(self, row: Row) -> list[Example]:
        """Items whose turns are the last of the row's: a system text and solved examples may go before them."""
        turns = row.get("turns") or []
        if any(one["role"] not in ROLES for one in turns):
            return []
        keys = (_key(transcript(turns[place:])) for place in range(len(turns)))
        return next((self._questions[key] for key in keys if key in self._questions), [])

    def _placed(self, example: Example, answer: RecordedAnswer) -> Example:
        """The example in the split that its question has in the task, with where it was recorded."""
        split = example.split
        if self._known:
            key = asked(example)
            named = (one for name in IDS for one in self._ids.get(text_of(answer.row.get(name)) or "", ()))
            splits = [self._held_out.get(key), *(one.split for one in named if asked(one) in key)]  # which is shown in other words
            split = next((one for one in splits if one not in (None, "train")), split)
        if answer.example is not None:
            # attempts of Errata 0.1 do not say their kind
            kind = self._kinds.get(example.task)
            return example.model_copy(update={"split": split} | ({"kind": kind} if kind not in (None, "several") else {}))
        meta = example.meta | {"recorded": answer.where} | ({"model": answer.model} if answer.model else {})
        return example.model_copy(update={"split": split, "meta": meta})

    @cached_property
    def _questions(self) -> dict[str, list[Example]]:
        """Items by the words of their question, as it is shown and, for options, without them."""
        found: dict[str, list[Example]] = {}
        for example in itertools.chain(self._shots, *map(self._task.examples, SPLITS)):
            for text in {_key(example.question), _key(str(example.meta.get("stem", example.question)))}:
                found.setdefault(text, []).append(example)
        return found

    @cached_property
    def _held_out(self) -> dict[str, str]:
        """The split of each dev and test item, by what it asks."""
        return {asked(example): example.split for split in SPLITS[1:] for example in self._task.examples(split)}

    @cached_property
    def _ids(self) -> dict[str, list[Example]]:
        """Items by id: the data's own ids, which may be several items', and those of Errata's examples."""
        found = {example.id: [example] for same in self._questions.values() for example in same}
        if self._source is not None and isinstance(self._task, ReadsRows):
            for split, where, row in from_path(self._source):
                for name in IDS:
                    if key := text_of(row.get(name)):
                        found.setdefault(key, []).append(self._task.read(row, split, where))
        return found


def _key(question: str) -> str:
    return " ".join(question.split())


def _spoken(answer: RecordedAnswer, example: Example) -> RecordedAnswer:
    """Where options were scored, the label of the likeliest one is the response: its words may be part of another option's."""
    choices = example.meta.get("choices") or {}
    if answer.picked is None or len(choices) != answer.picked[1]:
        return answer
    return answer._replace(response=f"Answer: {list(choices)[answer.picked[0]]}")
