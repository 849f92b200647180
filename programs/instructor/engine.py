"""Opens the instructor: any model that dspy.LM takes, hosted or behind an address of one's own, or the embedded `offline`.

`Instructor` is a dspy.LM, and its `Engine` stands between it and the wire: it looks for each answer in the ledger first, and keeps each new
answer as it arrives. Rate limits, server errors, lost connections, timeouts and replies that are not a chat completion are tried again,
with growing waits that obey Retry-After, at most `Patience.attempts` times. A bad key, an unknown model, an unpaid bill, a limit that
`max_tokens` breaks or a server that stays silent ends the run with one line (InstructorError), as a reached cap does (BudgetReached). A
server that has answered may refuse a few questions. Not covered: unusable answers (errata.programs.instructor.chat), what sends a request
(errata.programs.instructor.wire), asynchronous calls, streaming, tools.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import dspy
from dspy import lm15
from dspy.clients.call_result import usage_dict
from dspy.utils.exceptions import LMConfigurationError, LMError

from ...signatures.batches.waves import TRIES, Asking, Waves, asking
from ...signatures.calls import PASSING, REFUSALS, REFUSED, Pace, Patience, Slots, asked_wait, known_keys, plain, without_keys
from ...signatures.errors import ErrataError, InstructorError, UsageError
from ...signatures.records import Example, whole
from ...signatures.replies import SAID, broken_limit, document, words
from ...signatures.routes import route
from ...signatures.transport import Transport
from ..config import InstructorSettings
from ..run.ledger import Answer, Ledger
from ..run.progress import Progress
from .offline import offline_lm
from .prices import count_tokens, usd, usd_of_calls
from .wire import wire

FILTERED = ("content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation")
"""Codes by which a provider refuses one question with status 400, while the form of the request is right."""
FATAL = (lm15.AuthError, lm15.BillingError, lm15.InvalidRequestError, lm15.ConfigurationError, lm15.CapabilityError)
"""What no second attempt can repair."""

FULL = (429, 503, 529)
"""Status codes of a server that has no room for a call; 529 is Anthropic's."""

USUAL = 1500
"""Tokens expected of an answer of which there is none yet, as of a program (errata.programs.rehearse)."""

NO_CHAT = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What reading a reply raises when its JSON has an unexpected shape."""

last_answer: ContextVar[Answer | None] = ContextVar("last_answer", default=None)
"""The answer that the last call of this context got, as the ledger keeps it."""
_rollout: ContextVar[Any] = ContextVar("rollout", default=None)


class Engine:
    """What stands between dspy.LM and the wire: `complete(Request) -> Response`, as DSPy asks of an engine. Thread-safe."""

    def __init__(
        self,
        settings: InstructorSettings,
        ledger: Ledger,
        stage: str,
        timeout: float | None = None,
        patience: Patience | None = None,
        progress: Progress | None = None,
    ):
        self.settings = settings
        self.ledger = ledger
        self.stage = stage
        self.patience = patience or Patience(attempts=TRIES if settings.batch else Patience().attempts)
        timeout = timeout or settings.timeout

        def around(transport: Transport) -> Transport | Waves:
            if not (settings.batch or ledger.has_batches):
                return transport
            return Waves(transport, ledger.batches, settings.batch, timeout, ledger.check_time, progress or Progress(lambda line: None))

        self.wire, self._name = wire(settings, timeout, around)
        self.keys = known_keys()
        self.slots = Slots(None if settings.in_flight == "auto" and not settings.batch else settings.width)
        self._pace = Pace(self.patience)
        self._answered, self._refused = ledger.answers, 0

    def __deepcopy__(self, memo: object) -> "Engine":
        return self  # copies of a program share the one ledger

    def complete(self, request: lm15.Request) -> lm15.Response:
        """One answer, from the ledger or the server. Raises InstructorError or BudgetReached, which end the run, and ContextLengthError,
        which is about this request only."""
        if request.tools:
            raise lm15.UnsupportedFeatureError("an instructor answers in text; it is given no tools", feature="tools")
        key = request_key(request, _rollout.get())
        with self.ledger.asking(key) as kept:
            if kept is None:
                answer = self._ask(request, key)
            else:
                answer = kept
                self.ledger.reuse(self.stage, key)
        last_answer.set(answer)
        usage = lm15.Usage() if kept else lm15.Usage(input_tokens=answer.tokens_in, output_tokens=answer.tokens_out)
        finish: Any = answer.finish
        return lm15.Response(None, request.model, lm15.Message.assistant(answer.text), finish_reason=finish, usage=usage)

    def _ask(self, request: lm15.Request, key: str) -> Answer:
        """Send the request until it is answered; the answer is kept."""
        for attempt in range(1, self.patience.attempts + 1):
            try:
                answer = self._attempt(request, key)
                self._answered += 1
                return answer
            except lm15.LM15Error as error:
                if final := self._final(error, request.config.max_tokens or self.settings.max_tokens):
                    raise final from None
                if over := self._pace.again(attempt, _asked_wait(error)):
                    raise self._end(error, over) from None
        raise AssertionError("unreachable")

    def _final(self, error: lm15.LM15Error, asked: int) -> Exception | None:
        """What is raised where no further attempt helps; None where one may. `asked`: the most tokens that were asked for."""
        status, said = getattr(error, "status", None), self._said(error)
        if status in PASSING and not isinstance(error, lm15.BillingError):
            return None
        limit = broken_limit(said, asked) if status not in (401, 402, 403, 404) else None
        if limit and limit.by_answer:
            most = f": its limit is {limit.most} tokens, so --set instructor.max_tokens={max(1, limit.most // 2)}" if limit.most else ""
            return self._end(
                InstructorError(f"instructor.max_tokens {asked} is more than {self.settings.model} takes{most} (it says: {said})")
            )
        if limit or isinstance(error, lm15.ContextLengthError):
            return lm15.ContextLengthError(said)
        if status in REFUSED and self._answered and not isinstance(error, lm15.UnsupportedModelError):
            self._refused += 1
            if self._refused <= max(REFUSALS, self._answered // 100):
                return lm15.InvalidRequestError(said)
        if isinstance(error, FATAL) or 400 <= (status or 0) < 500:
            return self._end(error, "check its name, key, address and settings")
        return None

    def _attempt(self, request: lm15.Request, key: str) -> Answer:
        with self.slots:
            self._pace.ready()
            began = time.monotonic()
            try:
                with self.ledger.attempt(self.stage, key, *self._expected(request)), _asking(key) as call:
                    answer = self._read(request, self._send(request), call.batched)
                self.slots.answered(time.monotonic() - began, answer.tokens_out)
                self.ledger.keep(self.stage, key, answer)
                return answer
            except lm15.LM15Error as error:
                if getattr(error, "status", None) in FULL or isinstance(error, lm15.TimeoutError):
                    self.slots.refused(began)
                raise
            except ErrataError as error:  # a reached cap, or a full disk
                raise self._end(error) from None

    def _send(self, request: lm15.Request) -> lm15.Response:
        """One attempt. A provider that refuses the question has answered it."""
        try:
            return self.wire.complete(replace(request, model=self._name))
        except lm15.InvalidRequestError as error:
            if error.provider_code in FILTERED:
                message = lm15.Message.assistant([lm15.RefusalPart(error.message)])
                return lm15.Response(None, request.model, message, "content_filter", lm15.Usage(input_tokens=0, output_tokens=0))
            raise
        except NO_CHAT as error:
            raise lm15.ProviderError(f"the reply is not a chat completion: {error}") from None

    def _expected(self, request: lm15.Request) -> tuple[int, float]:
        """Tokens and USD that are set aside for a request of a wave, so that the wave stops at a cap; single calls are few, and pass it."""
        if not self.settings.batch:
            return 0, 0.0
        tokens_in, tokens_out = count_tokens(_text(request)), self.ledger.tokens_out(USUAL)
        return tokens_in + tokens_out, usd_of_calls(self.settings, 1, tokens_in, tokens_out) or 0.0

    def _read(self, request: lm15.Request, response: lm15.Response, batched: bool) -> Answer:
        texts = [part.text for part in response.message.parts if isinstance(part, lm15.TextPart)]
        refusal = "".join(part.text for part in response.message.parts if isinstance(part, lm15.RefusalPart))
        text = self._clean("".join(texts))
        usage = usage_dict(response, route(self.settings.model)[0])
        reported = "prompt_tokens" in usage and "completion_tokens" in usage
        if reported:
            tokens_in, tokens_out = usage["prompt_tokens"], usage["completion_tokens"]
        else:
            tokens_in, tokens_out = count_tokens(_text(request)), count_tokens(text)
        cost = usd(self.settings, response, request, batched) if reported else usd_of_calls(self.settings, 1, tokens_in, tokens_out)
        return Answer(text, response.finish_reason, tokens_in, tokens_out, reported, cost, self._clean(refusal))

    def _end(self, error: Exception, advice: str = "") -> ErrataError:
        """The error that ends the run, for this call and for all that have not been sent yet."""
        if isinstance(error, ErrataError):
            return self._pace.end(error)
        said = f"{self._said(error)} ({advice}); give the same command again to go on: nothing done is lost"
        return self._pace.end(InstructorError(f"instructor {self.settings.model}: {said}"))

    def _said(self, error: Exception) -> str:
        """The server's words. LiteLLM puts its own before them, and hands them on as they came."""
        said = getattr(error, "message", "") or str(error)
        if (start := said.find("{")) >= 0:
            with suppress(ValueError):
                document(inner := said[start : said.rfind("}") + 1].encode("utf-8", "replace"))
                said = words(inner) or said
        first = next(iter(said.strip().splitlines()), "")
        return plain(self._clean(first))[:SAID] or type(error).__name__

    def _clean(self, text: str) -> str:
        """Without keys: an answer may be shown to the server again before any record holds it."""
        cleaned: str = whole(without_keys(text, self.keys))
        return cleaned


@contextmanager
def _asking(key: str) -> Iterator[Asking]:
    """What a batch is told of the call of this thread."""
    token = asking.set(call := Asking(key))
    try:
        yield call
    finally:
        asking.reset(token)


def _asked_wait(error: lm15.LM15Error) -> float | None:
    """Seconds that the server asks to wait; LiteLLM leaves them in the headers of an error below its own."""
    if error.retry_after is not None:
        return error.retry_after
    below: BaseException | None = error
    while below is not None:
        said = getattr(getattr(below, "response", None), "headers", {}).get("retry-after")
        if said:
            return asked_wait(said)
        below = below.__cause__ or below.__context__
    return None


def _text(request: lm15.Request) -> str:
    system = request.system if isinstance(request.system, str) else ""
    return system + "".join(part.text for message in request.messages for part in message.parts if isinstance(part, lm15.TextPart))


def request_key(request: lm15.Request, rollout: Any) -> str:
    """Hash of everything that an answer depends on: model, messages, sampling settings, and the rollout id that tells askings apart."""
    text = json.dumps([request, rollout], default=lambda part: {field.name: getattr(part, field.name) for field in fields(part)})
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class Instructor(dspy.LM):
    """A dspy.LM over an `Engine`. A question that was asked already gets its kept answer, unless another `rollout_id` comes with it."""

    def __init__(self, engine: Engine):
        """Raises UsageError for settings that the model cannot take."""
        settings = engine.settings
        try:
            super().__init__(
                settings.model, temperature=settings.temperature, max_tokens=settings.max_tokens, engine=engine, cache=False, num_retries=0
            )
        except (LMConfigurationError, ValueError) as error:
            raise UsageError(f"instructor {settings.model}: {' '.join(str(error).split())}") from error

    def __call__(self, prompt: Any = None, *, messages: Any = None, **kwargs: Any) -> Any:
        """As dspy.LM, but InstructorError and BudgetReached are raised as they are, not inside DSPy's own error."""
        token = _rollout.set(kwargs.get("rollout_id", self.kwargs.get("rollout_id")))
        try:
            return super().__call__(prompt, messages=messages, **kwargs)
        except LMError as error:
            if isinstance(error.__cause__, ErrataError):
                raise error.__cause__ from None
            raise
        finally:
            _rollout.reset(token)


def open_instructor(
    settings: InstructorSettings,
    ledger: Ledger | Path | None = None,
    stage: str = "instructor",
    timeout: float | None = None,
    patience: Patience | None = None,
    rows: Callable[[], Iterable[Example]] | None = None,
    progress: Progress | None = None,
) -> dspy.LM:
    """The instructor that `settings.model` names. `ledger` keeps and counts its answers under `stage`; a path: a ledger in that folder;
    None: a ledger in memory. `rows`: the train items that the embedded instructor may recombine. `progress` is told of batches. Raises
    UsageError for settings that the model cannot take, and for a cap on cost when the price is not known."""
    if settings.model == "offline":
        return offline_lm(rows)
    if not isinstance(ledger, Ledger):
        ledger = Ledger(ledger)
    if ledger.budget.max_cost is not None and usd_of_calls(settings, 1, 1, 1) is None:
        raise UsageError(
            f"the price of instructor {settings.model} is not known, so --max-cost cannot hold; give --max-calls or --max-tokens"
        )
    return Instructor(Engine(settings, ledger, stage, timeout, patience, progress))


def settled_on(lm: dspy.LM, who: str = "instructor") -> str:
    """A line on how many calls a growing `in_flight` came to; empty where there is nothing to say."""
    told = lm.engine.slots.told if isinstance(lm, Instructor) and isinstance(lm.engine, Engine) else ""
    return told and f"{who}: in_flight auto came to {told}"
