"""What the instructor was asked, what it answered and what that cost: one append-only file in the run directory, and sums over it.

Each line of `answers.jsonl` is one event: an answer (kept as it arrives, under the hash of the whole request), an attempt that failed,
or an answer that was taken from the file instead of the server. The sums are those of the lines, so after a kill they are as right as
the file. Caps are looked at before each attempt; what is under way when one is reached is finished and kept. `estimate` tells calls,
tokens and cost before anything is spent, from the prompts that a strategy would send.

What is not here: the calls themselves (errata.programs.instructor.chat). Lines are flushed to the operating system, not to the disk: a
killed
process loses none, a power cut may lose the last ones. Prices are those that DSPy ships, in USD: subscriptions, discounts and hosted
tools are not known to it.
"""

import hashlib
import json
import os
import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from io import FileIO
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "true")  # otherwise the first price asked for fetches a list from the network

import dspy
from dspy.clients.costs import estimate_cost
from dspy.clients.engines import LM15Engine
from dspy.lm15 import Message, Request, Response, RouterConfig, UnknownModelError, UnsupportedFeatureError, Usage
from dspy.utils import DummyLM

from ...signatures.errors import BudgetReached
from ...signatures.records import Example, Failure, Rejection, sealed, unsealed
from ..config import InstructorSettings
from ..instructor.interpreter import interpreting
from .directory import append, disk_errors, read_lines, to_json, write_atomic

FILE = "answers.jsonl"
REASKS = 1
"""How often an answer that is no use (unreadable, refused, cut) is asked for again."""
CHARACTERS = 3.5
"""Characters a token; measured with cl100k on the instructor's prompts (3.6) and on programs of a strong model (3.4)."""


def count_tokens(text: str) -> int:
    """Tokens of a text, approximated by its length: within a tenth of cl100k on English and Python."""
    return round(len(text) / CHARACTERS)


# ---- the records


@dataclass(frozen=True)
class Answer:
    """One answer of an instructor, as it is kept."""

    text: str
    finish: str
    """`stop`, `length` (cut at the token limit), `content_filter`, or what else the provider says."""
    tokens_in: int
    tokens_out: int
    reported: bool
    """Whether the server counted the tokens; otherwise `count_tokens` did."""
    usd: float | None
    """None where no price is known."""
    refusal: str = ""

    @property
    def fault(self) -> Literal["refused", "truncated"] | None:
        """Why the answer is no use, whatever it says."""
        if self.refusal or self.finish == "content_filter":
            return "refused"
        return "truncated" if self.finish == "length" else None


@dataclass
class Sums:
    """What one stage asked for."""

    calls: int = 0
    """Answers that came from the server."""
    failed: int = 0
    """Attempts that failed, whether or not they were repeated."""
    cached: int = 0
    """Answers taken from the file."""
    tokens_in: int = 0
    tokens_out: int = 0
    approximated: int = 0
    """Answers whose tokens the server did not count."""
    usd: float | None = 0.0
    """None: at least one answer has no known price."""

    def __add__(self, other: "Sums") -> "Sums":
        usd = None if self.usd is None or other.usd is None else self.usd + other.usd
        return Sums(**{name: value + getattr(other, name) for name, value in vars(self).items() if name != "usd"}, usd=usd)

    def document(self) -> dict[str, Any]:
        """For JSON and tables: a cost that is not known is `unknown`, never 0."""
        return asdict(self) | {"usd": "unknown" if self.usd is None else round(self.usd, 6)}


@dataclass(frozen=True)
class Budget:
    """Caps on a run; None is no cap. Calls, tokens and cost count over all starts of the run, time from the making of this record."""

    max_calls: int | None = None
    """Attempts sent, those that failed among them."""
    max_tokens: int | None = None
    """Tokens in and out. Calls under way when the cap is reached are finished, and may pass it."""
    max_cost: float | None = None
    """USD; may be passed as max_tokens may."""
    max_time: float | None = None
    """Seconds."""
    started: float = field(default_factory=time.monotonic)

    def check(self, spent: Sums) -> None:
        """Raises BudgetReached when a cap is reached."""
        sent = spent.calls + spent.failed
        tokens = spent.tokens_in + spent.tokens_out
        reached = None
        if self.max_calls is not None and sent >= self.max_calls:
            reached = f"the cap of {self.max_calls} calls is reached ({sent} sent); give a higher --max-calls"
        elif self.max_tokens is not None and tokens >= self.max_tokens:
            reached = f"the cap of {self.max_tokens} tokens is reached ({tokens} used); give a higher --max-tokens"
        elif self.max_cost is not None and spent.usd is not None and spent.usd >= self.max_cost:
            reached = f"the cap of {self.max_cost:g} USD is reached ({spent.usd:.4f} spent); give a higher --max-cost"
        elif self.max_time is not None and time.monotonic() - self.started >= self.max_time:
            reached = f"the cap of {self.max_time:g} seconds is reached; give the same command again"
        if reached:
            raise BudgetReached(f"{reached} to go on: what is done is kept")


# ---- the file


class _Fold:
    """The sums by stage and the answers by key, line by line."""

    def __init__(self, path: Path | None):
        """Raises RunError for a damaged line; a last line that a kill cut is left out."""
        self.stages: dict[str, Sums] = defaultdict(Sums)
        self.answers: dict[str, Answer] = {}
        self.whole = read_lines(path, self.add, "delete that line (its answer is asked for again)") if path else 0

    def add(self, line: dict[str, Any]) -> None:
        line = unsealed(line)
        sums = self.stages[line["stage"]]
        if "failed" in line:
            sums.failed += 1
        elif "cached" in line:
            sums.cached += 1
        else:
            answer = Answer(**line["answer"])
            self.answers[line["key"]] = answer
            usd = None if sums.usd is None or answer.usd is None else sums.usd + answer.usd
            sums.calls += 1
            sums.tokens_in += answer.tokens_in
            sums.tokens_out += answer.tokens_out
            sums.approximated += not answer.reported
            sums.usd = usd

    def document(self) -> dict[str, Any]:
        """Sums by stage, and their total."""
        total = sum(self.stages.values(), Sums())
        return {"stages": {name: sums.document() for name, sums in self.stages.items()}, "total": total.document()}


def read_ledger(run: Path) -> dict[str, Any]:
    """The sums of a run directory, also of one that was killed; no stages where no instructor was called."""
    return _Fold(run / FILE).document()


class Ledger:
    """The answers and sums of one run, for all stages and threads of a process; the run's lock keeps other processes out."""

    def __init__(self, run: Path | None, budget: Budget | None = None):
        """`run` is the run directory; None keeps all in memory. Raises RunError when a line other than the last is damaged."""
        self.path = None if run is None else run / FILE
        self.budget = budget or Budget()
        self._file: FileIO | None = None
        self._fold = _Fold(self.path)
        self._whole: int | None = self._fold.whole
        """Bytes that the file keeps when it is first opened; None once it was."""
        self._lock = threading.RLock()
        self._asking: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._under_way = 0

    def check_time(self) -> None:
        """Raises BudgetReached when the cap on time is reached; for steps that ask no instructor."""
        self.budget.check(Sums())

    @contextmanager
    def asking(self, key: str) -> Iterator[Answer | None]:
        """The answer that is kept under `key`. Where it is None the caller asks, and others who want the same wait meanwhile."""
        with self._lock:
            lock = self._asking[key]
        with lock:
            yield self._fold.answers.get(key)

    @contextmanager
    def attempt(self, stage: str) -> Iterator[None]:
        """Around the sending of one request: BudgetReached instead of it when a cap is reached; an attempt that raises has failed.

        One that does not must be given to `keep`.
        """
        with self._lock:
            self.budget.check(sum(self._fold.stages.values(), Sums(calls=self._under_way)))
            self._under_way += 1
        try:
            yield
        except BaseException as error:
            self._write({"stage": stage, "failed": type(error).__name__}, ended=True)
            raise

    def keep(self, stage: str, key: str, answer: Answer) -> None:
        """Write the answer of an attempt."""
        self._write({"stage": stage, "key": key, "answer": vars(answer)}, ended=True)

    def reuse(self, stage: str, key: str) -> None:
        """Count an answer that was taken from the file."""
        self._write({"stage": stage, "cached": key})

    def document(self) -> dict[str, Any]:
        """Sums by stage, and their total."""
        with self._lock:
            return self._fold.document()

    def close(self) -> None:
        """Close the file and write ledger.json (for readers; the sums themselves are those of answers.jsonl), also where the start before
        was killed before it could."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if self.path is not None and self._fold.stages:
            sums, path = to_json(self.document()), self.path.with_name("ledger.json")
            if not path.exists() or path.read_bytes() != sums:
                write_atomic(path, sums)

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, line: dict[str, Any], ended: bool = False) -> None:
        """`ended`: an attempt is no longer under way; told in one step with the line, or a cap could seem reached too early."""
        data = json.dumps(sealed(line), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass") + b"\n"
        with self._lock:
            self._under_way -= ended
            if self.path is not None:
                with disk_errors(self.path):
                    file = self._file or self._open(self.path)
                    append(file, data)
            self._fold.add(line)

    def _open(self, path: Path) -> FileIO:
        """At the first line, so that a run without calls has no file. A last line that a kill cut is dropped. A call that was under way
        when the ledger was closed opens it again."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)
        if self._whole is not None:
            self._file.truncate(self._whole)
            self._whole = None
        return self._file


# ---- prices


class Route(NamedTuple):
    """Where a model name leads."""

    provider: str
    name: str
    """The model's name at the provider."""
    native: bool
    """Whether DSPy speaks the provider's protocol itself; otherwise LiteLLM does."""
    env_key: str | None
    """The variable that the key is read from, where one is needed and known."""


@lru_cache
def route(model: str) -> Route:
    """The route of a model name as dspy.LM takes it; no network, no key."""
    try:
        resolved = LM15Engine(RouterConfig(env={})).resolve(model)
        return Route(resolved.provider, resolved.model, True, resolved.env_key)
    except (UnknownModelError, UnsupportedFeatureError):
        provider, _, name = model.partition("/")
        return Route(provider if name else "openai", name or provider, False, None)


def usd(settings: InstructorSettings, response: Response, request: Request | None = None) -> float | None:
    """What a response cost, or None: no price is known of a model that is not listed, nor of a server at an address of one's own."""
    if settings.model == "offline":
        return 0.0
    if settings.api_base is not None:
        return None
    provider, name, _, _ = route(settings.model)
    return estimate_cost(response, provider=provider, requested_model=name, request=request)[0]


def usd_of_calls(settings: InstructorSettings, calls: float, tokens_in: float, tokens_out: float) -> float | None:
    """What so many calls cost that share these tokens; one by one, since long prompts have prices of their own."""
    usage = Usage(input_tokens=round(tokens_in / max(1, calls)), output_tokens=round(tokens_out / max(1, calls)))
    one = usd(settings, Response(None, route(settings.model).name, Message.assistant(""), finish_reason="stop", usage=usage))
    return None if one is None else one * calls


# ---- before anything is spent

EXTRA = 0.2
"""Share of the possible repairs that is expected. An assumption: of 30 programs of a strong model 29 passed at once."""
WORDS = {"program": 1500, "text": 80}
"""Tokens expected of an output field; measured on the recorded answers of a strong model: 1462 a program, 80 a misconception."""
DOUBT = 0.1
"""How far `count_tokens` may be off, as a share."""


class Span(NamedTuple):
    low: int
    expected: int
    high: int


class Estimate(NamedTuple):
    """What teaching from some failures will ask for. `high` is a bound: every repair and every re-ask is needed, every answer is as long
    as it may be. Attempts that fail on the way (rate limits) are not in it."""

    failures: int
    calls: Span
    tokens_in: Span
    tokens_out: Span
    usd: tuple[float, float, float] | None
    """None where no price is known."""

    def document(self) -> dict[str, Any]:
        """For JSON and tables."""
        spans = {name: getattr(self, name)._asdict() for name in ("calls", "tokens_in", "tokens_out")}
        cost = "unknown" if self.usd is None else dict(zip(Span._fields, (round(value, 4) for value in self.usd), strict=True))
        return {"failures": self.failures, **spans, "usd": cost}


class _Rehearsal(dspy.ChatAdapter):
    """Renders each prompt as a run would, counts it, and answers with stand-ins of the expected length times `scale`; nothing is sent."""

    def __init__(self, scale: float):
        super().__init__(use_json_adapter_fallback=False)
        self.scale = scale
        self.calls = self.tokens_in = self.tokens_out = 0

    def __call__(self, lm: Any, lm_kwargs: Any, signature: Any, demos: Any, inputs: Any) -> list[dict[str, Any]]:
        values = {}
        self.calls += 1
        self.tokens_in += count_tokens("".join(str(message["content"]) for message in self.format(signature, demos, inputs)))
        for name, output in signature.output_fields.items():
            kind = output.annotation
            code = isinstance(kind, type) and issubclass(kind, dspy.Code)
            tokens = round(self.scale * WORDS["program" if code else "text"])
            text = "x" * round(tokens * CHARACTERS)
            values[name] = kind(code=text) if code else get_args(kind)[0] if get_origin(kind) is Literal else text
            if get_origin(kind) is list:  # all that are shown
                values[name] = re.findall(r"^\d+\. id (\w+)$", str(inputs.get("failures", "")), re.MULTILINE)
            self.tokens_out += tokens
        return [values]


def estimate(
    strategy: Any,
    failures: Sequence[Failure],
    brief: Callable[[Example], str],
    settings: InstructorSettings,
    count: int | None = None,
    solve: Callable[[], object] | None = None,
    solves: int = 0,
) -> Estimate:
    """Calls, tokens and cost of a strategy on `count` failures like `failures` (None: on these), without sending anything, `brief`
    telling what an item's task is; with them `solves` calls like the one that `solve` makes, of asserted rows.

    The strategy itself is run, with a check that every program passes and with one that none does; a strategy that branches on what the
    instructor says is estimated on its first branch.
    """
    count = len(failures) if count is None else count
    share = count / max(1, len(failures))
    refusal = Rejection(of="", kind="program", check="anchored", reason="x" * 300)

    def rehearse(scale: float, verdict: Rejection | None) -> tuple[float, float, float]:
        teaching, solving = _Rehearsal(scale), _Rehearsal(scale)
        with dspy.context(lm=DummyLM([]), adapter=teaching, disable_history=True), interpreting():
            groups = strategy.groups(failures)
            if verdict:  # what a program of several does not rebuild is taught alone
                groups = [*groups, *((failure,) for group in groups if len(group) > 1 for failure in group)]
            for group in groups:
                strategy(failures=group, brief=brief(group[0].attempt.example), prove=lambda program: verdict)
        if solve and solves:
            with dspy.context(lm=DummyLM([]), adapter=solving, disable_history=True):
                solve()
        taught, solved = ((part.calls, part.tokens_in, part.tokens_out) for part in (teaching, solving))
        calls, tokens_in, tokens_out = (share * one + solves * other for one, other in zip(taught, solved, strict=True))
        return calls, tokens_in, tokens_out

    terse, kind, strict = rehearse(0.5, None), rehearse(1.0, None), rehearse(1.0, refusal)
    calls, tokens_in, tokens_out = (few + EXTRA * (many - few) for few, many in zip(kind, strict, strict=True))
    most = strict[0] * (1 + REASKS)
    most_in = (1 + REASKS) * strict[1] + most * WORDS["program"]  # what is asked again brings the answer of no use along
    rows = [
        (terse[0], (1 - DOUBT) * terse[1], terse[2]),
        (calls, tokens_in, tokens_out),
        (most, (1 + DOUBT) * most_in, most * settings.max_tokens),
    ]
    costs = [cost for row in rows if (cost := usd_of_calls(settings, *row)) is not None]
    usd_span = (costs[0], costs[1], costs[2]) if len(costs) == 3 else None
    spans = [Span(*map(round, column)) for column in zip(*rows, strict=True)]
    return Estimate(count, spans[0], spans[1], spans[2], usd_span)


def request_key(request: Request, rollout: Any) -> str:
    """Hash of everything that an answer depends on: model, messages, sampling settings, and the rollout id that tells askings apart."""
    text = json.dumps([request, rollout], default=lambda part: {name: getattr(part, name) for name in _fields(part.__class__)})
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


@lru_cache
def _fields(kind: Any) -> tuple[str, ...]:
    return tuple(each.name for each in fields(kind))
