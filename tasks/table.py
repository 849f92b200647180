"""The tasks `jsonl:PATH`, `parquet:PATH` and `hf:NAME[CONFIG]`: any rows, with a column mapping and a verdict named in the config.

    task: jsonl:my/folder
    table: {question: prompt, answer: target, skill: topic, verdict: number}

Verdicts: `exact` (the marked or only answer equals the gold but for case, spaces, closing points and typography), `contains` (the gold
stands in the response, as whole words where its script has blanks between them), `regex` (what `pattern` finds last equals the gold),
`number`, `choice`, `code`, `math` (math-verify, an extra), `label` (one of a list that all rows share), `json` (equal as JSON
values), `judge` (prose, which a language model judges by `rubric`), or `module:function` or `FILE.py:NAME`, a DSPy metric of two to five
arguments (example, prediction, and None for the rest): the row's columns, `question` and `answer` are fields of the first, `answer` and
`response` of the second (plain objects with fields, not dspy's own classes); it returns a bool or a score.

A row may hold a conversation, whose last answer is the gold (`messages`); a system text and solved examples (`system`, `shots`) may stand
before each question. A system text that all rows share is the task's, and no part of their questions.

It does not cover rows whose answer is a list of several right ones, or images.
"""

import json
import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from ..signatures.errors import TaskError, UsageError
from ..signatures.records import Example, Message, Verdict
from ..signatures.rows import spooled, where
from .answers import FORMS, Helpers, MetricForm
from .answers.form import naming
from .cells import at, field, read_chat, words
from .chat import Conversation, conversation, transcript, turns, without
from .options import asked
from .rows import Row, RowTask, share
from .settings import TableSettings

__all__ = ["TableSettings", "TableTask"]


class Prefix(NamedTuple):
    """What stands before each question."""

    system: str = ""
    """Left out where an item's own turns begin with a system text."""
    shots: tuple[Example, ...] = ()
    """Items that are shown solved; no task that shows them has them as items."""
    shown: tuple[Message, ...] = ()
    """Their turns."""


class TableTask(RowTask):
    """Rows with a column mapping. A bad file or mapping raises TaskError when the task is made, bad settings UsageError."""

    prefix = Prefix()
    chats = False
    """Whether questions may be transcripts of several turns (errata.tasks.chat)."""
    _trained: Literal["worked", "answer", "bare"] = "worked"
    """What is trained on where `table.completion` is empty: solution and answer, or the answer alone, in the form that the verdict asks
    for; or the answer bare, as golds are written."""
    _shared = ""
    """The system text with which all rows' own turns begin."""

    def __init__(self, name: str, settings: TableSettings | None = None, helpers: Helpers = Helpers(), prefix: Prefix | None = None):
        """`prefix`: of another table of the same config, before whose questions the same must stand."""
        self.settings = settings = settings or TableSettings()
        settings.refuse_unread()
        source, _, rest = name.partition(":")
        if not rest:
            raise UsageError(f"task {source} needs its data: write {source}:{'NAME' if source == 'hf' else 'PATH'}")
        self.name = f"{source}:{Path(rest).stem if source != 'hf' else rest}"
        self.form = FORMS.get(settings.verdict, MetricForm)(self.name, settings, helpers)
        self.kind = self.form.kind
        self.max_new_tokens = settings.max_new_tokens
        self._given = prefix
        self._absent = {f"table.{name}": column for name in ("solution", "skill") if (column := getattr(settings, name))}
        if source != "hf":
            self.load_path(Path(rest).expanduser())
        elif match := re.fullmatch(r"([^\[\]]+)(?:\[([^\[\]]+)\])?", rest):
            self.load_hub(match[1], match[2], settings.splits)
        else:
            raise UsageError(f"task hf:{rest} cannot be read: write hf:NAME or hf:NAME[CONFIG], e.g. hf:openai/gsm8k[main]")
        self.data = {**self.data, **self.form.data}

    @property
    def brief(self) -> str:  # type: ignore[override]
        """What the instructor is told, with what stands before each question."""
        told = [" ".join(filter(None, (self.settings.brief or self._form_told(), self.form.facts)))]
        if self.prefix.system:
            told.append(f"The model reads this system message first:\n{_short(self.prefix.system, 2000)}")
        if self.settings.ask:
            told.append(f"Behind each question the model reads:\n{_short(self.settings.ask, 1000)}")
        if shots := self.prefix.shots:
            last = transcript(self.prefix.shown[-1 - len(without(self._turns(shots[-1]), "")) :])
            told.append(f"Before each question stand {len(shots)} solved examples, the last of them:\n{_short(last, 1000)}")
        if self.chats:
            told.append(
                "A question may be a conversation of several turns: each begins with its role (User: or Assistant:) on a new line, the "
                "last one is the user's, and the response is the assistant's next turn. Questions are written in this form."
            )
        return "\n".join(told)

    def _form_told(self) -> str:
        """What is asked, and in which form it is answered, where the config does not say it."""
        asked = self.form.brief.partition(". ")[0]
        if self.settings.completion:
            return f"{asked}. A response has this form: {written(self.settings.completion, '{solution}', '{answer}')}"
        return f"{asked}. The response is the answer alone." if self._trained == "bare" else self.form.brief

    # ---- rows

    def read(self, row: Row, split: str, where: str) -> Example:
        settings = self.settings
        chat, form = self._chat(row, where), settings.question
        if chat:
            row, form = self._said(row, chat, where), form if "{" in form else "question"
        text = _filled(form, row, where) if "{" in form else field(row, form, where, mend=naming(settings, row, "question"))
        said = self.form.read(row, where, text)
        self._absent = {name: column for name, column in self._absent.items() if at(row, column, ...) is ...}
        solution, skill = (words(at(row, column, None)) if column else "" for column in (settings.solution, settings.skill))
        asked = [*chat.messages[:-1], chat.messages[-1] | {"content": said.question}] if chat else []
        example = Example(
            task=self.name,
            split=split,
            kind=self.form.kind,
            question=said.question,
            answer=said.answer,
            solution=solution or said.solution,
            skill=skill,
            meta=said.meta | ({"messages": asked} if asked else {}),
        )
        return example if self._rows is None else self._settled(example)

    def _chat(self, row: Row, where: str) -> Conversation | None:
        """The conversation that a row holds in place of a question."""
        settings = self.settings
        if settings.messages is not None:
            return conversation(row, settings.messages, where)
        if "question" not in row and (settings.question == "question" or "{question}" in settings.question):
            return conversation(row, None, where)
        several = len(read_chat(row.get(settings.question)) or []) > 1
        return conversation(row, settings.question, where) if several else None

    def _said(self, row: Row, chat: Conversation, where: str) -> Row:
        """The row with its last question, and with its last answer as the gold one where no column says it. Raises TaskError."""
        name = self.settings.answer
        there = at(row, name, None) is not None
        if not there and chat.answer is None:
            fact = f"{where}: the conversation ends with a turn of the user's, and no column {name!r} holds the gold answer"
            raise TaskError(f"{fact}; end it with the assistant's, name the column with --set table.answer=COLUMN, or delete the row")
        return row | {"question": chat.messages[-1]["content"]} | ({} if there else {name: chat.answer})

    def keep(self, rows: Mapping[str, Sequence[Example]], one_file: bool = False) -> None:
        """Once all rows are read, what they have in common is learned: the head of their conversations, the form of answers, what is
        trained on, and which of them are shown solved."""
        heads = {_head(example.meta.get("messages")) for found in rows.values() for example in found}
        self._shared = (heads.copy().pop() or "") if len(heads) == 1 else ""
        if heads != {None}:  # some come with turns
            said = (example.meta.get("messages", []) for found in rows.values() for example in found)
            self.chats = any(len(without(turns, self._shared)) > 1 for turns in said)
            rows = {split: spooled(map(self._settled, found)) for split, found in rows.items()}
        super().keep(rows, one_file)

        self.form.learn(self.examples("train"))
        if self.form.kind != self.kind:
            self.answer_with(self.form.kind)
        given = self._given or Prefix(self.settings.system)
        self.prefix = given._replace(system=self._shared or given.system)
        self.form.system = self.prefix.system

        self._trained = self._learned()
        if self._trained != "worked" and not self.settings.completion and (train := self.examples("train")):
            alone = self.completion("", train[0].answer)
            self.form.taken = f"no train row has a solution, so the answer alone is trained on, e.g. {alone[:80]!r}"
            self.form.setting = f"table.completion: {json.dumps(self.form.completion('{solution}', '{answer}'))}"

        absent = (f"no row has a column {column!r}, which {name} names" for name, column in self._absent.items())
        self.form.taken = "; ".join(filter(None, (*absent, self.form.taken)))

        if self.settings.shots and self._given is None:
            self.prefix = self._solved(self._picked(self.settings.shots))
        if shown := {one.question for one in self.prefix.shots}:
            kept = (self._rows or {}).items()
            self._rows = {split: where(found, lambda one: one.question not in shown) for split, found in kept}
        if self.form.settles:
            self.change(self.form.settled)

    def _settled(self, example: Example) -> Example:
        """The item with its turns but for the system text of all, as the question of a task with or without conversations."""
        said = example.meta.get("messages") or [{"role": "user", "content": example.question}]
        rest = without(said, self._shared)
        meta = {name: value for name, value in example.meta.items() if name != "messages"}
        question = transcript(rest) if self.chats else rest[-1]["content"]
        return example.model_copy(update={"question": question, "meta": meta | ({"messages": rest} if rest[1:] else {})})

    def _picked(self, count: int) -> tuple[Example, ...]:
        """Items of train to show, in an order that depends on their questions alone: of the shorter half, and of each gold answer one
        before a second of any."""
        train, held = self.examples("train"), {asked(one) for split in ("dev", "test") for one in self.examples(split)}
        free = [
            (len(one.question) + len(one.solution or one.answer), place, share(f"shot {one.question}"), one.answer)
            for place, one in enumerate(train)
            if (one.answer or one.solution) and asked(one) not in held
        ]
        if count > len(free) or count == len(train):
            what = f"{len(train)} train items, {len(free)} of them with an answer and not held out"
            raise UsageError(f"table.shots is {count}, and {self.name} has {what}: give it more, or set fewer shots")
        free.sort()
        seen: Counter[str] = Counter()
        turns = []
        for _, place, _, answer in sorted(free[: max(count, len(free) // 2)], key=lambda one: one[2]):
            turns.append((seen[answer], place))
            seen[answer] += 1
        return tuple(train[place] for _, place in sorted(turns, key=lambda turn: turn[0])[:count])

    def _solved(self, shots: tuple[Example, ...]) -> Prefix:
        """What stands before each question, with these items solved."""
        solved = ([*self._asked(one), {"role": "assistant", "content": self.completion(one.solution, one.answer)}] for one in shots)
        shown = tuple(turn for turns in solved for turn in turns if turn["role"] != "system")
        return self.prefix._replace(shots=shots, shown=shown)

    # ---- what is asked

    def prompt(self, example: Example) -> list[Message]:
        asked = self._asked(example)
        system: list[Message] = [{"role": "system", "content": self.prefix.system}] if self.prefix.system else []
        if asked[0]["role"] == "system":
            system, asked = asked[:1], asked[1:]
        return [*self.form.before(example), *system, *self.prefix.shown, *asked]

    def _asked(self, example: Example) -> list[Message]:
        """The item's own turns, the last with what says in which form to answer."""
        *before, last = self._turns(example)
        if last["role"] != "user":
            return [*before, last]
        alone = example.model_copy(update={"question": last["content"]}) if self.chats else example
        own = bool(self.prefix.system or self.chats or self.settings.messages) and not self.settings.ask
        return [*before, {"role": "user", "content": self.form.shown(alone) if own else self.form.asked(alone)}]

    def _turns(self, example: Example) -> list[Message]:
        if not self.chats:
            return [{"role": "user", "content": example.question}]
        return example.meta.get("messages") or turns(example.question)

    def readable(self, answer: str) -> str:
        return self.form.readable(answer)

    def judge(self, example: Example, response: str) -> Verdict:
        return self.form.judge(example, response)

    def completion(self, solution: str, answer: str) -> str:
        """What is trained on, as `table.completion` says."""
        if template := self.settings.completion:
            return written(template, solution.strip(), self.form.bare(answer))
        if self._trained == "bare":
            return self.form.bare(answer)
        return self.form.completion(solution if self._trained == "worked" else "", answer)

    def _learned(self) -> Literal["worked", "answer", "bare"]:
        """What is trained on. The forms of other kinds look at the train items themselves, and leave a solution out where they should."""
        if self.kind not in ("number", "choice", "text") or self.form.worked:
            return "worked"
        if self.settings.ask or self.prefix.system or self.chats or self.settings.messages:
            return "bare"
        return "worked" if self.form.steps or self.kind == "number" else "answer"

    def fault(self, answer: str) -> str:
        return self.form.fault(answer)


def _head(turns: Sequence[Message] | None) -> str | None:
    """The system text before the turns of an item, empty where there is none; None: the item has no turns."""
    return (turns[0]["content"] if turns[0]["role"] == "system" else "") if turns else None


def written(template: str, solution: str, answer: str) -> str:
    """`table.completion` filled in. Without a solution the lines that hold nothing else are left out, and one that ends in what stands
    behind it does not end so twice."""
    if not solution:
        template = "\n".join(line for line in template.split("\n") if "{solution}" not in line or "{answer}" in line)
    tail = template.rpartition("{solution}")[2]
    if solution and tail.startswith("\n"):
        ended = tail.format(answer=answer).strip()
        solution = solution.removesuffix(f"\n{ended}").rstrip()
    return template.format(solution=solution, answer=answer).strip()


def _short(text: str, most: int) -> str:
    """The text, or its two ends."""
    return text if len(text) <= most else f"{text[: most // 2]}\n[... {len(text) - most:,} characters left out ...]\n{text[-most // 2 :]}"


def _filled(form: str, row: Row, where: str) -> str:
    """The text with the row's columns in the place of their names."""
    try:
        names = {name for _, name, _, _ in string.Formatter().parse(form) if name is not None}
        if bad := [name for name in names if not name or name.isdigit() or "." in name or "[" in name]:
            raise ValueError(f"{{{bad[0]}}} names no column")
        return form.format(**{name: field(row, name, where) for name in sorted(names)})
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UsageError(f"table.question {form!r} cannot be filled in ({error}): write {{column}}, and {{{{ for a brace") from None
