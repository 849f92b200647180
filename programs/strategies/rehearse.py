"""What an instructor would be sent: every prompt of a strategy for one failure, rendered by the adapter that sends it. Nothing is sent.

The strategy itself is run, and each call is answered with what a run recorded of the failure, or with a stand-in such as
"(the instructor's misconception)". The first program is refused, so that the repair is shown too.

What is not here: exact counts of tokens, which differ by model. `count_tokens` goes by length, within a tenth of cl100k.
"""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin

import dspy
from dspy.utils import DummyLM

from ...signatures.errors import UsageError
from ...signatures.records import Attempt, Example, Failure, Rejection, SampleProgram, Taught
from ..instructor.chat import Chat
from ..instructor.interpreter import interpreting
from ..run.directory import Stage
from ..run.ledger import CHARACTERS, count_tokens
from .contrast import with_contrasts
from .strategy import Strategy

ADAPTERS = ("chat", "json", "xml")
"""Names of adapters: Errata calls its instructors by `chat`; the others are DSPy's, for those who call a strategy in code."""


class Prompt(NamedTuple):
    """One call to the instructor."""

    predictor: str
    """The name by which optimizers and saved states know it, e.g. `write.repair`."""
    messages: list[dict[str, str]]
    tokens: int
    """By `count_tokens`, without the few tokens that a provider adds for each message."""


class Shown(NamedTuple):
    """A failure with what a run recorded of it."""

    failure: Failure
    taught: Taught | None


def prompts(strategy: Strategy, shown: Shown, brief: str, adapter: str = "chat") -> list[Prompt]:
    """The calls that `strategy` makes for a failure, in order. Raises UsageError for an unknown adapter."""
    made = {"chat": lambda: Chat(0), "json": dspy.JSONAdapter, "xml": dspy.XMLAdapter}.get(adapter)
    if made is None:
        raise UsageError(f"there is no adapter {adapter!r}; choose {', '.join(ADAPTERS)}")
    rendering = _Rendering(made(), strategy, shown.taught)
    with dspy.context(lm=DummyLM([]), adapter=rendering), interpreting():
        strategy(failures=(shown.failure,), brief=brief, prove=rendering.prove)
    return rendering.prompts


def text(prompt: Prompt) -> str:
    """A prompt for reading."""
    parts = [f"==== {prompt.predictor}: about {prompt.tokens:,} tokens ({CHARACTERS} characters each) ===="]
    parts += [f"---- {message['role']} ----\n{message['content']}" for message in prompt.messages]
    return "\n\n".join(parts)


def recorded_failures(run: Path, contrasts: int) -> list[Shown]:
    """The train errors of all rounds of a run, each once, with what was taught of it. None where no round has mined."""
    found: dict[str, Shown] = {}
    for folder in sorted(run.glob("round-[0-9]*"), key=lambda path: int(path.name.split("-")[1])):
        mine, teach = Stage(folder / "mine"), Stage(folder / "teach")
        rows = [row for row in mine.read("attempts.jsonl", Attempt) if row.example.split == "train"] if mine.done else []
        taught = {name: row for row in teach.read("taught.jsonl", Taught) for name in row.failure_ids} if teach.done else {}
        failures = [Failure(attempt=row) for row in rows if row.verdict.correct is False]
        if contrasts:
            failures = with_contrasts(failures, [row for row in rows if row.verdict.correct], contrasts)
        for failure in failures:
            found.setdefault(failure.id, Shown(failure, taught.get(failure.id)))
    return list(found.values())


def unanswered(examples: Sequence[Example]) -> list[Shown]:
    """Items as errors without an answer, where there is no run."""
    return [Shown(Failure(attempt=Attempt.unanswered(example)), None) for example in examples]


def choose(found: Sequence[Shown], wanted: str | None) -> Shown:
    """The failure whose id, or whose item's id, begins with `wanted`; None: one at random, always the same.

    Raises UsageError when there is none, or several.
    """
    if not found:
        raise UsageError("there is no train error to show; mine some first, e.g. errata generate --run DIR, or leave --run out")
    if wanted is None:
        return random.Random("prompt").choice(sorted(found, key=lambda row: row.failure.id))
    named = [row for row in found if row.failure.id.startswith(wanted) or row.failure.attempt.example.id.startswith(wanted)]
    if len(named) == 1:
        return named[0]
    near = " and ".join(row.failure.id for row in (named or found)[:2])
    if named:
        raise UsageError(f"{wanted!r} begins the ids of {len(named)} errors, e.g. {near}; give more of it")
    raise UsageError(f"no train error or item has the id {wanted!r}; ids look like {near}")


class _Rendering(dspy.Adapter):
    """Lets another adapter make each call to a model that answers with what is known, and keeps the messages."""

    def __init__(self, inner: dspy.Adapter, strategy: Strategy, taught: Taught | None):
        super().__init__()
        self.inner = inner
        self.names = [(predictor, name) for name, predictor in strategy.named_predictors()]
        self.known: dict[str, Any] = taught.diagnosis.model_dump(mode="json") if taught and taught.diagnosis else {}
        self.written = [program.source for program in (*taught.refused, taught.program) if program] if taught else []
        self.refusal = next((row for row in taught.rejections if row.kind == "program"), None) if taught else None
        self.prompts: list[Prompt] = []
        self.refused = False

    def __call__(self, lm: Any, lm_kwargs: Any, signature: Any, demos: Any, inputs: Any) -> list[dict[str, Any]]:
        answer = {name: self._answer(name, output.annotation) for name, output in signature.output_fields.items()}
        lm = DummyLM([answer], adapter=self.inner)
        values = self.inner(lm, {}, signature, demos, inputs)
        messages = [{"role": str(row["role"]), "content": str(row["content"])} for row in lm.history[-1]["messages"]]
        name = next((name for predictor, name in self.names if predictor.signature.equals(signature)), signature.__name__)
        self.prompts.append(Prompt(name, messages, count_tokens("".join(row["content"] for row in messages))))
        return values

    def _answer(self, name: str, kind: Any) -> Any:
        if isinstance(kind, type) and issubclass(kind, dspy.Code):
            return f"```python\n{self.written[0] if self.written else '(the program of the instructor)'}\n```"
        if get_origin(kind) is Literal:
            return get_args(kind)[0]
        if get_origin(kind) is list:
            return []
        if name == "refusal":
            return ""
        return self.known.get(name) or f"(the instructor's {name})"

    def prove(self, program: SampleProgram) -> Rejection | None:
        """Refuses the first program."""
        if self.refused:
            return None
        self.refused = True
        if self.refusal:
            return self.refusal
        return Rejection(of=program.id, kind="program", check="(the check)", reason="(why it refused the program)")
