"""What a task is: examples of each split, the prompt, the verdict, and the text to train on.

A new task is one file with a class of this shape and a line in `load_task`. Running code is not here: a code task is handed its runner.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from ..signatures.errors import UsageError
from ..signatures.records import UNCLOSED, Example, Message, ProgramRun, Verdict
from .trace import TAGS, Tag, parted, readable

SPLITS = ("train", "dev", "test")
"""Errors are mined in train, the gate decides on dev, only reports read test."""


def check_split(task: str, split: str) -> None:
    """Raise UsageError for a split that does not exist."""
    if split not in SPLITS:
        raise UsageError(f"{task} has no split {split!r}: use one of {', '.join(SPLITS)}")


def scored(right: bool, given: str | None) -> Verdict:
    """`right` or `wrong` of the answer that was read; `no answer` when nothing was (None)."""
    if given is None:
        return Verdict(correct=False, extracted=None, reason="no answer")
    return Verdict(correct=right, extracted=given, reason="right" if right else "wrong")


def ended(solution: str, tail: str, alone: bool = True) -> str:
    """The solution, ending in `tail`; not doubled where it is the last line already, or the end of it if it need not stand `alone`."""
    body = solution.rstrip()
    if body.rpartition("\n")[2].strip() == tail or (not alone and body.endswith(tail)):
        return body
    return f"{body}\n{tail}" if body else tail


class Runner(Protocol):
    """Runs untrusted source apart from this process: `Sandbox.run` of errata.sandbox, or a call that goes there.

    Raises SandboxError when the sandbox itself fails; nothing that a program does raises.
    """

    def __call__(self, source: str, harness: str, payload: Any, /) -> ProgramRun: ...


class Opinion(NamedTuple):
    """What a language model says of a response."""

    correct: bool | None
    """None: its answer could not be used, or it was asked nothing."""
    reason: str
    again: bool | None = None
    """What it said when it was asked a second time; None: it was asked once, or the second answer could not be used."""


class Judge(Protocol):
    """A language model that judges prose (errata.programs.instructor.judge). Thread-safe; raises what ends a run, such as a reached cap."""

    @property
    def name(self) -> str:
        """The model."""
        ...

    def __call__(self, rubric: str, question: str, reference: str, response: str, /) -> Opinion: ...


class Task(Protocol):
    """One task. Examples are the same for the same (split, limit, seed) on any machine."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str:
        """What an answer is, a `Kind` of errata.signatures.records; "several": it differs from item to item."""
        ...

    @property
    def max_new_tokens(self) -> int:
        """Tokens that a response may have."""
        ...

    @property
    def brief(self) -> str:
        """One paragraph that tells the instructor what is asked and in which form it is answered."""
        ...

    @property
    def twin(self) -> str | None:
        """Name of the task's out-of-domain twin, which guards it unless the config says otherwise; None: it has no twin."""
        ...

    @property
    def data(self) -> Mapping[str, str]:
        """What the items were read from (a file below the path that was given, a split on the hub, a library's version) -> a hash of it.

        Empty: the task makes its items itself, or has not read them yet."""
        ...

    def examples(self, split: str, limit: int | None = None, seed: int = 0) -> Sequence[Example]:
        """Items of a split, all of them or the first `limit`. Raises UsageError for an unknown split."""
        ...

    def prompt(self, example: Example) -> list[Message]:
        """Chat messages to the target."""
        ...

    def verdict(self, example: Example, response: str) -> Verdict:
        """What the task says of a response."""
        ...

    def answered(self, response: str) -> str:
        """The response without its reasoning trace."""
        ...

    def completion(self, solution: str, answer: str) -> str:
        """The assistant's text to train on: the worked solution, ending in the answer form."""
        ...

    def fault(self, answer: str) -> str:
        """Why no item of the task could have this gold answer, e.g. as it breaks the schema; empty: one could."""
        ...


class Judging:
    """What all tasks have in common: a response is judged without its reasoning trace. A subclass says how an answer is judged."""

    kind: str = ""
    trace_tags: Sequence[Tag] = TAGS

    def verdict(self, example: Example, response: str) -> Verdict:
        """What `judge` says of the answer in a response; `unclosed reasoning` where the response ends before its answer begins."""
        said = parted(response, self.trace_tags)
        if said.closed:
            found = self.judge(example, self.readable(said.answer))
        else:
            found = Verdict(correct=False, extracted=None, reason=UNCLOSED)
        return found if said.answer == response else found.model_copy(update={"answer": said.answer})

    def answered(self, response: str) -> str:
        """The response without its reasoning trace."""
        return parted(response, self.trace_tags).answer

    def readable(self, answer: str) -> str:
        """What `judge` is given of an answer."""
        return readable(answer, self.kind)

    def fault(self, answer: str) -> str:
        """Why no item of the task could have this gold answer; empty: one could."""
        return ""

    def judge(self, example: Example, response: str) -> Verdict:
        """`right`, `wrong`, `no answer`, or why it is unjudged, of a response without its trace."""
        raise NotImplementedError
