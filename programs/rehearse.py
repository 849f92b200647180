"""What a strategy would send to an instructor, and what that would cost. Nothing is sent.

The strategy itself is run. Each of its calls is rendered by the adapter that would send it, and answered with a stand-in: what a run
recorded of the failure, or a text such as "(the instructor's misconception)". `prompts` shows the calls for one failure; it refuses the
first program, so that the repair is shown too. `estimate` counts the calls, tokens and cost of teaching from many failures. Not covered:
exact counts of tokens, which differ by model (`count_tokens` goes by length, within a tenth of cl100k). A strategy that branches on what
the instructor says is followed along one branch only.
"""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin

import dspy
from dspy.utils import DummyLM

from ..signatures.errors import UsageError
from ..signatures.judging import JudgeAnswer
from ..signatures.reading import is_code
from ..signatures.records import Attempt, Example, Failure, Rejection, TeachingResult
from ..tasks.settings import TableSettings
from .config import CycleConfig, InstructorSettings, JudgeSettings
from .instructor.chat import REASKS, Chat
from .instructor.interpreter import interpreting
from .instructor.prices import CHARACTERS, count_tokens, usd_of_calls
from .run import layout
from .run.directory import read_config
from .strategies.contrast import with_contrasts
from .strategies.strategy import Strategy
from .strategies.write import Prove, no_programs

ADAPTERS: dict[str, Callable[[], dspy.Adapter]] = {"chat": lambda: Chat(0), "json": dspy.JSONAdapter, "xml": dspy.XMLAdapter}
"""Adapters by name: Errata calls its instructors by `chat`; the others are DSPy's, for those who call a strategy in code."""
EXTRA = 0.2  # share of the possible repairs that is expected. An assumption: of 30 programs of a strong model 29 passed at once
PROGRAM, TEXT = 1500, 80
"""Tokens expected of an output field; measured on the recorded answers of a strong model: 1462 a program, 80 a misconception."""
DOUBT = 0.1  # how far `count_tokens` may be off, as a share


class Shown(NamedTuple):
    """A failure with what a run recorded of it."""

    failure: Failure
    taught: TeachingResult | None


class _Dry(dspy.Adapter):
    """Renders each call as `inner` would send it, keeps it, and answers it with stand-ins."""

    def __init__(self, inner: dspy.Adapter, program: str, text: Callable[[str], str]):
        """`program` stands in for each program, `text` of a field's name for each text."""
        super().__init__()
        self.inner = inner
        self.program = program
        self.text = text
        self.calls: list[tuple[Any, list[dict[str, str]]]] = []  # the signature and the messages of each call

    def run(self, act: Callable[[], object]) -> None:
        """Do `act` with this adapter in the place of an instructor."""
        with dspy.context(lm=DummyLM([]), adapter=self, disable_history=True), interpreting():
            act()

    def __call__(self, lm: Any, lm_kwargs: Any, signature: Any, demos: Any, inputs: Any) -> list[dict[str, Any]]:
        messages = self.inner.format(signature, demos, inputs)
        self.calls.append((signature, [{"role": str(row["role"]), "content": str(row["content"])} for row in messages]))
        return [{name: self._stand_in(name, output.annotation, inputs) for name, output in signature.output_fields.items()}]

    def _stand_in(self, name: str, kind: Any, inputs: dict[str, Any]) -> Any:
        if is_code(kind):
            return kind(code=self.program)
        if get_origin(kind) is Literal:
            return get_args(kind)[0]
        if get_origin(kind) is list:  # the ids of all errors that the question shows
            return re.findall(r"^\d+\. id (\w+)$", str(inputs.get("failures", "")), re.MULTILINE)
        if name == "refusal":
            return ""
        return kind() if kind in (bool, int, float) else self.text(name)


def _tokens(messages: Sequence[dict[str, str]]) -> int:
    return count_tokens("".join(row["content"] for row in messages))


class Prompt(NamedTuple):
    """One call to the instructor."""

    predictor: str  # the name by which optimizers and saved states know it, e.g. `write.repair`
    messages: list[dict[str, str]]
    tokens: int  # by `count_tokens`, without the few tokens that a provider adds for each message


def prompts(strategy: Strategy, shown: Shown, brief: str, adapter: str = "chat") -> list[Prompt]:
    """The calls that `strategy` makes for a failure, in order. Raises UsageError for an unknown adapter."""
    if adapter not in ADAPTERS:
        raise UsageError(f"there is no adapter {adapter!r}; choose {', '.join(ADAPTERS)}")
    taught = shown.taught
    known = taught.diagnosis.model_dump(mode="json") if taught and taught.diagnosis else {}
    written = [program.source for program in (*taught.refused, taught.program) if program] if taught else []
    refusals = [row for row in taught.rejections if row.kind == "program"] if taught else []
    refusals += [Rejection(of="", kind="program", check="(the check)", reason="(why it refused the program)")]
    left = refusals[:1]  # as the run refused the first program, if it did
    stand_in = lambda name: str(known.get(name) or f"(the instructor's {name})")  # noqa: E731
    prove = lambda program: left.pop() if left else None  # noqa: E731
    dry = _Dry(ADAPTERS[adapter](), written[0] if written else "(the program of the instructor)", stand_in)
    dry.run(lambda: strategy(failures=(shown.failure,), brief=brief, prove=prove))
    named = list(strategy.named_predictors())

    def name_of(signature: Any) -> str:
        return next((name for name, predictor in named if predictor.signature.equals(signature)), signature.__name__)

    return [Prompt(name_of(signature), messages, _tokens(messages)) for signature, messages in dry.calls]


def require_prompt(strategy: Strategy, config: CycleConfig) -> None:
    """Raise UsageError for a strategy that asks no instructor."""
    if not list(strategy.named_parameters()):
        raise UsageError(f"strategy {config.generate.strategy} asks no instructor: it has no prompt")


def text(prompt: Prompt) -> str:
    """A prompt for reading."""
    parts = [f"==== {prompt.predictor}: about {prompt.tokens:,} tokens ({CHARACTERS} characters each) ===="]
    parts += [f"---- {message['role']} ----\n{message['content']}" for message in prompt.messages]
    return "\n\n".join(parts)


def recorded_failures(run: Path, contrasts: int) -> list[Shown]:
    """The train errors of all rounds of a run, each once, with what was taught of it. Empty when no round has mined. Raises NoRunError."""
    read_config(run)
    found: dict[str, Shown] = {}
    for number in layout.rounds(run):
        rows = [row for row in layout.attempts(run, number) if row.example.split == "train"]
        taught = {name: row for row in layout.taught(run, number) for name in row.failure_ids}
        failures = list(layout.failures(rows).values())
        if contrasts:
            failures = with_contrasts(failures, [row for row in rows if row.verdict.correct], contrasts)
        for failure in failures:
            found.setdefault(failure.id, Shown(failure, taught.get(failure.id)))
    return list(found.values())


def unanswered(examples: Sequence[Example]) -> list[Shown]:
    """Items as errors without an answer, for when there is no run."""
    return [Shown(Failure(attempt=Attempt.unanswered(example)), None) for example in examples]


def choose(found: Sequence[Shown], wanted: str | None) -> Shown:
    """The failure whose id, or whose item's id, begins with `wanted`; None: one at random, always the same. Raises UsageError when there is
    none, or several."""
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


class Span(NamedTuple):
    low: int
    expected: int
    high: int


class Estimate(NamedTuple):
    """What teaching from some failures will ask for. `high` is a bound: every repair and every second question is needed, and every answer
    is as long as it may be. Attempts that fail on the way (rate limits) are not counted."""

    failures: int
    calls: Span
    tokens_in: Span
    tokens_out: Span
    usd: tuple[float, float, float] | None  # None: the price is not known
    judging: dict[str, Any] | None = None  # what a judge of prose is asked (`judging`); None: there is none
    batch: bool = False  # whether the cost is that of provider batches, half of single calls

    def document(self) -> dict[str, Any]:
        """For JSON and tables."""
        spans = {name: getattr(self, name)._asdict() for name in ("calls", "tokens_in", "tokens_out")}
        cost = "unknown" if self.usd is None else dict(zip(Span._fields, (round(value, 4) for value in self.usd), strict=True))
        more = {"judging": self.judging, "batch": self.batch}
        return {"failures": self.failures, **spans, "usd": cost, **{name: value for name, value in more.items() if value}}


def estimate(
    strategy: Strategy,
    failures: Sequence[Failure],
    brief: Callable[[Example], str],
    settings: InstructorSettings,
    count: int | None = None,
    solve: Callable[[], object] | None = None,
    solves: int = 0,
    programs: bool = True,
) -> Estimate:
    """Calls, tokens and cost of a strategy on `count` failures like `failures` (None: on these). `brief` tells what an item's task is.
    `solves` calls like the one that `solve` makes are added: the independent solves of asserted rows. Without `programs` only diagnoses
    are asked for."""
    count = len(failures) if count is None else count
    share = count / max(1, len(failures))

    def load(scale: float, refusal: Rejection | None) -> list[float]:
        """Calls, tokens in and tokens out when every program passes, or when every program is refused."""
        taught = _load(
            scale, lambda: _teach(strategy, failures, brief, (lambda program: refusal) if programs else no_programs, bool(refusal))
        )
        solved = _load(scale, solve) if solve and solves else (0, 0, 0)
        return [share * one + solves * other for one, other in zip(taught, solved, strict=True)]

    refusal = Rejection(of="", kind="program", check="anchored", reason="x" * 300)
    terse, passed, refused = load(0.5, None), load(1.0, None), load(1.0, refusal)
    calls, tokens_in, tokens_out = (few + EXTRA * (many - few) for few, many in zip(passed, refused, strict=True))
    most = refused[0] * (1 + REASKS)
    most_in = (1 + REASKS) * refused[1] + most * PROGRAM  # a second question repeats the answer that could not be used
    rows = [
        (terse[0], (1 - DOUBT) * terse[1], terse[2]),
        (calls, tokens_in, tokens_out),
        (most, (1 + DOUBT) * most_in, most * settings.max_tokens),
    ]
    costs = [cost for row in rows if (cost := usd_of_calls(settings, *row)) is not None]
    usd = (costs[0], costs[1], costs[2]) if len(costs) == 3 else None
    spans = [Span(*map(round, column)) for column in zip(*rows, strict=True)]
    return Estimate(count, spans[0], spans[1], spans[2], usd, batch=settings.batch)


def judging(
    calls: Mapping[str, int], examples: Sequence[Example], table: TableSettings, judge: JudgeSettings, lm: InstructorSettings
) -> dict[str, Any]:
    """Calls, tokens and cost of a judge of prose, `lm`: `calls` by what they are for, on items like `examples`, a share of them twice. Each
    counts once: an answer that was judged before costs nothing, one whose verdict cannot be read costs a second call."""
    texts = []
    for example in examples[:: len(examples) // 20 + 1]:
        answer = example.answer or "x" * 300
        fields = {"rubric": f"{table.rubric}\n{table.system}", "question": example.question, "reference": answer, "response": f"> {answer}"}
        texts.append(_tokens(Chat(0).format(JudgeAnswer, [], fields)))
    count = round((1 + judge.twice) * sum(calls.values()))
    tokens_in, tokens_out = count * round(sum(texts) / max(1, len(texts))), count * TEXT
    usd = usd_of_calls(lm, count, tokens_in, tokens_out)
    told = {"model": lm.model, "calls": count, "for": {name: number for name, number in calls.items() if number}, "twice": judge.twice}
    return told | {"tokens_in": tokens_in, "tokens_out": tokens_out, "usd": "unknown" if usd is None else round(usd, 4)}


def _teach(strategy: Strategy, failures: Sequence[Failure], brief: Callable[[Example], str], prove: Prove, alone: bool) -> None:
    """Teach from the failures; `alone`: also each by itself of those that are taught together."""
    groups = strategy.groups(failures)
    if alone:  # what a program of several failures does not rebuild is taught alone
        groups = [*groups, *((failure,) for group in groups if len(group) > 1 for failure in group)]
    for group in groups:
        strategy(failures=group, brief=brief(group[0].attempt.example), prove=prove)


def _load(scale: float, act: Callable[[], object]) -> tuple[int, int, int]:
    """Calls, tokens in and tokens out of `act`, with answers of `scale` times the expected length."""
    program, text = round(scale * PROGRAM), round(scale * TEXT)
    dry = _Dry(Chat(0), "x" * round(program * CHARACTERS), lambda name: "x" * round(text * CHARACTERS))
    dry.run(act)
    outputs = [output.annotation for signature, _ in dry.calls for output in signature.output_fields.values()]
    tokens_out = sum(program if is_code(kind) else text for kind in outputs)
    return len(dry.calls), sum(_tokens(messages) for _, messages in dry.calls), tokens_out
