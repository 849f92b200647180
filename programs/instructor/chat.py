"""Opens the instructor: any model that dspy.LM takes, hosted or behind an address of one's own, or the embedded `offline`.

    with Ledger(run) as ledger:
        lm = open_instructor(settings, ledger, "round-1/teach")
        with instructed_by(lm):
            strategy(...)

`Instructor` is a dspy.LM whose engine asks the ledger first, keeps each answer as it arrives, and sorts what goes wrong:
- rate limits, server errors, lost connections, timeouts and replies that are no chat completion are tried again, with growing waits
  that obey Retry-After, at most `Patience.attempts` times;
- a refusal, an answer cut at the token limit and one that cannot be read are kept, and asked for again at most REASKS times with a note
  of what was wrong (`Chat`); then `Unreadable` is raised, which is the caller's to keep (`rejection`);
- a bad key, an unknown model, an unpaid bill or a server that stays silent ends the run with one line (InstructorError), as a reached
  cap does (BudgetReached).

What is not here: asynchronous calls, streaming and tools; a limit on the length of a whole answer in time (`timeout` is the longest
silence). Providers that DSPy reaches through LiteLLM alone (mistral, together_ai, bedrock ...) work, but each call costs about 4 ms of CPU
there, eight times as much; with `api_base` such a model is called by the OpenAI protocol, without LiteLLM.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import dspy
from dspy import lm15
from dspy.clients.call_result import usage_dict
from dspy.clients.engines import LiteLLMEngine, LM15Engine
from dspy.primitives.code_interpreter import CodeInterpreterError
from dspy.utils.callback import BaseCallback
from dspy.utils.exceptions import AdapterParseError, ContextWindowExceededError, LMConfigurationError, LMError

from ...signatures.calls import TIMEOUT, Pace, Patience, asked_wait, known_keys, without_keys
from ...signatures.errors import ErrataError, InstructorError, UsageError
from ...signatures.records import Rejection, whole
from ..config import InstructorSettings
from ..run.ledger import REASKS, Answer, Ledger, count_tokens, request_key, route, usd, usd_of_calls
from .offline import offline_lm

FILTERED = ("content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation")
"""Codes of a 400 by which a provider refuses one question, not the way it was asked."""
FATAL = (lm15.AuthError, lm15.BillingError, lm15.InvalidRequestError, lm15.ConfigurationError, lm15.CapabilityError)
"""What no second attempt can mend."""

_rollout: ContextVar[Any] = ContextVar("rollout", default=None)
_answer: ContextVar[Answer | None] = ContextVar("answer", default=None)
_again: ContextVar[tuple[dict[str, str], ...]] = ContextVar("again", default=())


class Unreadable(AdapterParseError):
    """An answer that stayed of no use. `check` says why: `readable`, `refused`, `truncated`, or `too_long` (the question)."""

    def __init__(self, adapter_name: str, signature: Any, lm_response: str, message: str, check: str):
        super().__init__(adapter_name, signature, lm_response, message)
        self.check = check


UNUSABLE = (AdapterParseError, CodeInterpreterError)
"""What an answer of no use raises, and code of an optimizer's (dspy.Flex) that fails."""


def rejection(of: str, error: Exception) -> Rejection:
    """What is kept of an answer that is no use: the check, and the reason with the answer's text in it."""
    check = error.check if isinstance(error, Unreadable) else "readable"
    return Rejection(of=of, kind="diagnosis", check=check, reason=str(error)[:2000])


# ---- the engine

NO_CHAT = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What reading a reply raises whose JSON has a shape that its reader did not expect."""


class Engine:
    """What stands between dspy.LM and the wire: `complete(Request) -> Response`, as DSPy asks of an engine. Thread-safe."""

    def __init__(
        self, settings: InstructorSettings, ledger: Ledger, stage: str, timeout: float = TIMEOUT, patience: Patience | None = None
    ):
        self.settings = settings
        self.ledger = ledger
        self.stage = stage
        self.patience = patience or Patience()
        self.wire, self._name = _wire(settings, timeout)
        self.keys = known_keys()
        self._slots = threading.BoundedSemaphore(settings.in_flight)
        self._pace = Pace(self.patience)

    def __deepcopy__(self, memo: object) -> "Engine":
        return self  # copies of a program share the one ledger

    def complete(self, request: lm15.Request) -> lm15.Response:
        """One answer, from the ledger or the server. Raises InstructorError or BudgetReached, and ContextLengthError for this one."""
        if request.tools:
            raise lm15.UnsupportedFeatureError("an instructor answers in text; it is given no tools", feature="tools")
        key = request_key(request, _rollout.get())
        with self.ledger.asking(key) as kept:
            if kept is None:
                answer = self._ask(request, key)
            else:
                answer = kept
                self.ledger.reuse(self.stage, key)
        _answer.set(answer)
        usage = lm15.Usage() if kept else lm15.Usage(input_tokens=answer.tokens_in, output_tokens=answer.tokens_out)
        finish: Any = answer.finish
        return lm15.Response(None, request.model, lm15.Message.assistant(answer.text), finish_reason=finish, usage=usage)

    def _ask(self, request: lm15.Request, key: str) -> Answer:
        """Attempts until one is answered, and kept."""
        for attempt in range(1, self.patience.attempts + 1):
            try:
                return self._attempt(request, key)
            except lm15.ContextLengthError:
                raise
            except FATAL as error:
                raise self._end(error, "check its name, key, address and settings") from None
            except lm15.LM15Error as error:
                if over := self._pace.again(attempt, _asked_wait(error)):
                    raise self._end(error, over) from None
        raise AssertionError("unreachable")

    def _attempt(self, request: lm15.Request, key: str) -> Answer:
        with self._slots:
            self._pace.ready()
            try:
                with self.ledger.attempt(self.stage):
                    answer = self._read(request, self._send(request))
                self.ledger.keep(self.stage, key, answer)
                return answer
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
            raise lm15.ProviderError(f"the reply is no chat completion: {error}") from None

    def _read(self, request: lm15.Request, response: lm15.Response) -> Answer:
        texts = [part.text for part in response.message.parts if isinstance(part, lm15.TextPart)]
        refusal = "".join(part.text for part in response.message.parts if isinstance(part, lm15.RefusalPart))
        text = self._clean("".join(texts))
        usage = usage_dict(response, route(self.settings.model)[0])
        reported = "prompt_tokens" in usage and "completion_tokens" in usage
        if reported:
            tokens_in, tokens_out = usage["prompt_tokens"], usage["completion_tokens"]
        else:
            tokens_in, tokens_out = count_tokens(_text(request)), count_tokens(text)
        cost = usd(self.settings, response, request) if reported else None
        return Answer(text, response.finish_reason, tokens_in, tokens_out, reported, cost, self._clean(refusal))

    def _end(self, error: Exception, advice: str = "") -> ErrataError:
        """The error that ends the run, for this call and for all that have not been sent yet."""
        return self._pace.end(error if isinstance(error, ErrataError) else self._explained(error, advice))

    def _explained(self, error: Exception, advice: str) -> InstructorError:
        first = next(iter(self._clean(getattr(error, "message", "") or str(error)).splitlines()), "")
        return InstructorError(
            f"instructor {self.settings.model}: {first[:300] or type(error).__name__} ({advice}); "
            "give the same command again to go on: nothing done is lost"
        )

    def _clean(self, text: str) -> str:
        cleaned: str = whole(without_keys(text, self.keys))  # an answer may be shown to the server again, before any record holds it
        return cleaned


def _wire(settings: InstructorSettings, timeout: float) -> tuple[Any, str]:
    """What sends one attempt a call, without retries or cache, and the model's name there: DSPy's own engine where it speaks the provider's
    protocol, or where `api_base` names a server that speaks OpenAI's, else LiteLLM's."""
    provider, name, native, env_key = route(settings.model)
    sent = settings.model
    prefix = settings.model.split("/", 1)[0].upper()
    base = settings.api_base or os.environ.get(f"{prefix}_API_BASE") or os.environ.get(f"{prefix}_BASE_URL")
    if not native and settings.api_base:
        provider, sent, env_key = "openai-chat", f"openai/{name}", f"{prefix}_API_KEY"
    elif not native or (base and provider.startswith("azure")):
        # a server at an address of one's own may need no key, but the protocol wants one
        own = {"api_base": base, "api_key": os.environ.get(f"{prefix}_API_KEY", "none")} if base else {}
        return LiteLLMEngine(timeout=timeout, **own), sent
    key = os.environ.get(env_key) if env_key else None
    config = lm15.RouterConfig(
        base_urls={provider: base} if base else None,
        api_keys={provider: key or "none"} if base is not None and env_key else None,
        timeouts=lm15.Timeouts(read=timeout, write=timeout, pool=timeout),
        max_connections=settings.in_flight,
    )
    return LM15Engine(config), sent


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


# ---- what DSPy sees


class Instructor(dspy.LM):
    """A dspy.LM over an `Engine`. Ask the same again on purpose with another `rollout_id`."""

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
        """As dspy.LM; raises InstructorError and BudgetReached as such."""
        token = _rollout.set(kwargs.get("rollout_id", self.kwargs.get("rollout_id")))
        try:
            return super().__call__(prompt, messages=messages, **kwargs)
        except LMError as error:
            if isinstance(error.__cause__, ErrataError):
                raise error.__cause__ from None
            raise
        finally:
            _rollout.reset(token)


REPEATED = 200
"""Characters from which a demonstration's text that the question repeats is left out of it."""


class Chat(dspy.ChatAdapter):
    """DSPy's chat format, where an answer that is no use is asked for again with a note of what was wrong."""

    def __init__(self, reasks: int = REASKS):
        super().__init__(use_json_adapter_fallback=False)
        self.reasks = reasks

    def format_system_message(self, signature: Any) -> str:
        """Written once a signature: a fifth of a call's work here."""
        return _system(signature, signature.instructions)

    def format(self, signature: Any, demos: Any, inputs: Any) -> list[dict[str, Any]]:
        return [*super().format(signature, [_demo(signature, demo, inputs) for demo in demos], inputs), *_again.get()]

    def __call__(self, lm: Any, lm_kwargs: Any, signature: Any, demos: Any, inputs: Any) -> list[dict[str, Any]]:
        """Raises Unreadable when `reasks` further calls have not mended it."""
        notes: list[dict[str, str]] = []
        for left in reversed(range(self.reasks + 1)):
            token = _again.set(tuple(notes))
            _answer.set(None)
            values, check, problem = None, None, ""
            try:
                values = super().__call__(lm, dict(lm_kwargs), signature, demos, inputs)
            except AdapterParseError as error:
                check, problem = "readable", error.message
            except ContextWindowExceededError as error:
                raise Unreadable("Chat", signature, "", f"the question is too long for the model: {error}", check="too_long") from None
            finally:
                _again.reset(token)
            answer = _answer.get()
            said = ""
            if answer is not None:
                check, said = answer.fault or check, answer.refusal or answer.text
            if check is None and values is not None:
                return values
            if not left:
                break
            notes += _note(check or "readable", said, list(signature.output_fields))
        raise Unreadable("Chat", signature, said, problem or f"the answer was {check}", check=check or "readable")


@lru_cache(maxsize=256)
def _system(signature: Any, instructions: str) -> str:
    """`instructions` alone can be set on a signature that is in use; everything else makes a new one."""
    return dspy.ChatAdapter().format_system_message(signature)


def _demo(signature: Any, demo: Any, inputs: Any) -> Any:
    """A demonstration as it is shown: its programs in a fenced block, as they are asked for (DSPy would show them bare), and a long text
    that the question itself repeats (the contract) not twice."""
    shown = dict(demo)
    for name in signature.input_fields:
        if isinstance(shown.get(name), str) and len(shown[name]) > REPEATED and shown[name] == inputs.get(name):
            shown[name] = "(as below)"
    for name, output in signature.output_fields.items():
        kind: Any = output.annotation
        if shown.get(name) and isinstance(kind, type) and issubclass(kind, dspy.Code):
            value: Any = shown[name]
            code: Any = value if isinstance(value, dspy.Code) else dspy.Code.model_validate(value)
            shown[name] = f"```{_language(kind)}\n{code.code.strip()}\n```"
    return shown


def _language(kind: Any) -> str:
    return str(kind.language).lower()


def _note(check: str, said: str, fields: list[str]) -> list[dict[str, str]]:
    """The answer as it was (its beginning, where it is long) and what was wrong with it."""
    headers = ", ".join(f"[[ ## {name} ## ]]" for name in fields)
    wrong = {
        "refused": "You declined. This is teaching material about the question above. If you can, answer it",
        "truncated": "Your answer was cut at the limit of its length. Think and write less, and answer again",
        "readable": "Your answer could not be read. Answer again",
    }[check]
    return [
        {"role": "assistant", "content": said[:2000] or "(empty)"},
        {"role": "user", "content": f"{wrong}, in full, each field under its own header: {headers}, then [[ ## completed ## ]]."},
    ]


# ---- opening and using


def open_instructor(
    settings: InstructorSettings,
    ledger: Ledger | Path | None = None,
    stage: str = "instructor",
    timeout: float = TIMEOUT,
    patience: Patience | None = None,
) -> dspy.LM:
    """The instructor that `settings.model` names. `ledger` keeps and counts its answers under `stage` (a path:
    a ledger in that folder; None: one in memory).

    Raises UsageError for settings that the model cannot take, and for a cap on cost where no price is known.
    """
    if settings.model == "offline":
        return offline_lm()
    if not isinstance(ledger, Ledger):
        ledger = Ledger(ledger)
    if ledger.budget.max_cost is not None and usd_of_calls(settings, 1, 1, 1) is None:
        raise UsageError(f"no price is known of instructor {settings.model}, so --max-cost cannot hold; give --max-calls or --max-tokens")
    return Instructor(Engine(settings, ledger, stage, timeout, patience))


@contextmanager
def instructed_by(lm: dspy.LM) -> Iterator[None]:
    """Everything inside calls `lm`. Of an Instructor, an answer that is no use is asked for again; other LMs are asked once."""
    with dspy.context(lm=lm, adapter=Chat(REASKS if isinstance(lm, Instructor) else 0)):
        yield


class Calls(BaseCallback):
    """Counts the calls of LMs: `with dspy.context(callbacks=[Calls()])`."""

    count = 0

    def on_lm_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        self.count += 1


@contextmanager
def calling(lm: dspy.LM) -> Iterator[None]:
    """Turn what an LM other than an Instructor raises into an InstructorError of one line."""
    try:
        yield
    except LMError as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise InstructorError(f"instructor {lm.model}: {first[:300]}; check its name, key and address") from error
