"""The target behind DSPy: a `dspy.LM` that answers from a local model, and Errata's trainer as its `dspy.Provider`.

    lm = target_lm("tiny")
    student.set_lm(lm)
    dspy.BootstrapFinetune(metric=metric, train_kwargs={"epochs": 2}).compile(student, trainset=examples)

Calls that several threads make at about the same time are answered in one batch. A training leaves its weights in a folder of their own,
and its LM answers from them under a name that holds their hash, so that no cache mixes old and new.
Does NOT cover: served models (a `dspy.LM` with an api_base), streaming, tools, images, reinforcement.
"""

import asyncio
import re
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import dspy
from dspy import lm15
from dspy.clients.provider import TrainingJob
from dspy.clients.utils_finetune import TrainingStatus, get_finetune_directory
from filelock import FileLock
from pydantic import ValidationError

from ..signatures.errors import TargetError, TrainerError, UsageError, did_you_mean
from ..signatures.records import Message, TrainRow, content_hash
from .chat import Completion, encode, fingerprint
from .settings import TargetSettings, TrainSettings
from .sft import check, job_key, train
from .target import Target
from .weights import trained, weights_hash

Data = Sequence[dict[str, Any]]
MAX_TOKENS = 1024
"""New tokens of an answer where the call does not say."""
_HONOURED = {"max_tokens", "temperature", "stop", "seed", "cache", "service_tier", "user_id", "store"}
"""Fields of lm15.Config that the target obeys, or that change no answer."""
_ROLES = {"user": "user", "assistant": "assistant", "developer": "system"}
_TRAINING = threading.Lock()
"""One training at a time in a process: two would fight for the memory, and two threads cannot import TRL at once."""


def target_lm(settings: TargetSettings | str = "tiny", engine: "TargetEngine | None" = None, **more: Any) -> dspy.LM:
    """A `dspy.LM` that answers from a local model and can be fine-tuned; `settings` may be just the model.

    Greedy unless a temperature is given. The model is loaded on the first call; `lm.kill()` frees it and a later call loads it again.
    `more` goes to dspy.LM, e.g. max_tokens, temperature, train_kwargs, or `cache=True` (off by default). LMs that share an `engine` share
    loaded models. Raises TargetError: no such model, no weights.
    """
    settings = TargetSettings(model=settings) if isinstance(settings, str) else settings
    engine = engine or TargetEngine()
    options = {"max_tokens": MAX_TOKENS, "cache": False, "num_retries": 0} | more
    return dspy.LM(engine.add(settings), engine=engine, async_engine=_AsyncEngine(engine), provider=TargetProvider(engine), **options)


def weights_of(model: str) -> str:
    """The hash of the weights in the name of a target behind DSPy; empty for any other model's name."""
    return found[1] if (found := re.fullmatch(r"local/.*@([0-9a-f]{16})(-[-a-z0-9]+)?", model)) else ""


class _Call(NamedTuple):
    """One request on its way. Calls whose first four fields are equal are answered in one batch."""

    model: str
    max_tokens: int
    temperature: float
    seed: int
    prompt: list[Message]
    stop: tuple[str, ...]
    future: "Future[lm15.Response]"


class TargetEngine:
    """The engine contract of `dspy.LM` over local targets: one attempt, one candidate, no cache, any number of threads.

    A thread of its own runs the models. It answers together what has come when no further call came for `window` seconds, when ten
    windows are over, or when `width` calls wait.
    """

    def __init__(self, window: float = 0.01, width: int = 64):
        self.window = window
        self.width = width
        self.models: dict[str, TargetSettings] = {}
        """Settings by the name that a request gives."""
        self._targets: dict[str, Target] = {}
        self.waiting: list[_Call] = []
        """Calls that no batch has taken yet."""
        self._changed = threading.Condition()
        self._asked: Counter[str] = Counter()
        self._worker = ThreadPoolExecutor(1, "errata-target")

    def add(self, settings: TargetSettings, like: str | None = None) -> str:
        """The name of these weights for a request, `local/<model>@<hash>`, or `like` another name with their hash. Raises TargetError."""
        name = f"{like.rpartition('@')[0] if like else f'local/{Path(settings.model).name}'}@{weights_hash(settings)}"
        name += "-stop-loops" * settings.stop_loops + f"-{settings.dtype}" * (settings.dtype != "auto")  # DSPy keeps answers by this name
        self.models[name] = settings
        return name

    def complete(self, request: lm15.Request) -> lm15.Response:
        """Answers one request. A sampled answer depends on the weights, the request and how often it came before, not on the batch.

        Raises lm15.UnsupportedFeatureError for what a target cannot do, TargetError when it cannot be loaded or was closed.
        """
        return self.submit(request).result()

    def submit(self, request: lm15.Request) -> "Future[lm15.Response]":
        """`complete`, without waiting."""
        config, prompt = request.config, _prompt(request)
        tokens, temperature, seed = config.max_tokens or MAX_TOKENS, config.temperature or 0.0, 0
        with self._changed:
            if temperature:  # candidates and repeats are sampled anew, the same in every process that asks in this order
                key = content_hash([request.model, prompt, config.max_tokens, temperature, config.seed])
                seed = int(content_hash([config.seed, self._asked[key]]), 16)
                self._asked[key] += 1
            call = _Call(request.model, tokens, temperature, seed, prompt, tuple(config.stop or ()), Future())
            self.waiting.append(call)
            self._changed.notify()
            self._worker.submit(self._answer)
        return call.future

    def open(self, model: str) -> None:
        """Loads a model now. Raises TargetError."""
        self._worker.submit(self._open, model).result()

    def close(self, model: str | None = None) -> None:
        """Frees a model (None: all). Calls that wait for it get a TargetError; the batch under way is answered first."""
        with self._changed:
            dropped = [call for call in self.waiting if model in (None, call.model)]
            self.waiting = [call for call in self.waiting if model not in (None, call.model)]
            self._changed.notify()
        for call in dropped:
            if call.future.set_running_or_notify_cancel():
                call.future.set_exception(TargetError(f"{call.model} was closed before it answered: ask again to load it again"))
        self._worker.submit(self._free, model).result()

    def _free(self, model: str | None) -> None:
        for name in [name for name in self._targets if model in (None, name)]:
            self._targets.pop(name).close()

    def _open(self, model: str) -> Target:
        if model not in self.models:
            raise TargetError(f"no target is called {model} here (known: {', '.join(self.models)}): make its LM with target_lm")
        if model not in self._targets:
            target = Target.load(self.models[model])
            if target.hash != weights_of(model):
                target.close()
                where = target.settings.model
                raise TargetError(f"the weights at {where} changed, they are {target.hash} now: make the LM of {model} again")
            self._targets[model] = target
        return self._targets[model]

    def _answer(self) -> None:
        """In the engine's thread: answers the calls that wait; none are left when an earlier turn took them along."""
        groups: dict[tuple[Any, ...], list[_Call]] = {}
        for call in self._gather():
            if call.future.set_running_or_notify_cancel():
                groups.setdefault(call[:4], []).append(call)
        for calls in groups.values():
            try:
                self._answer_together(calls)
            except BaseException as error:  # whoever waits must learn of it
                for call in calls:
                    if not call.future.done():
                        call.future.set_exception(error)

    def _gather(self) -> list[_Call]:
        with self._changed:
            end = time.monotonic() + 10 * self.window
            while 0 < len(self.waiting) < self.width and (rest := end - time.monotonic()) > 0:
                if not self._changed.wait(min(self.window, rest)):
                    break
            batch, self.waiting = self.waiting[: self.width], self.waiting[self.width :]
        return batch

    def _answer_together(self, calls: list[_Call]) -> None:
        """One batch of calls that differ only in their prompts."""
        target = self._open(calls[0].model)
        asked: list[tuple[_Call, int]] = []
        for call in calls:
            try:
                asked.append((call, len(encode(target.tokenizer, [target.render(call.prompt)])[0])))
            except TargetError as error:  # the template refuses this conversation; the others are answered
                call.future.set_exception(error)
        _, tokens_each, temperature, seed, *_ = calls[0]
        prompts = [call.prompt for call, _ in asked]
        for index, completion in target.generate(prompts, max_new_tokens=tokens_each, temperature=temperature, seed=seed):
            call, tokens = asked[index]
            call.future.set_result(_response(call, tokens, completion))

    def __deepcopy__(self, memo: Any) -> "TargetEngine":
        """A copied program asks the same loaded models."""
        return self

    def dump_state(self) -> dict[str, Any]:
        return {"models": {name: settings.model_dump(mode="json") for name, settings in self.models.items()}}

    @classmethod
    def load_state(cls, state: dict[str, Any]) -> "TargetEngine":
        """An engine for the LM of a saved program. It answers but cannot be trained, and a file never makes it trust a model's own code:
        for either, set an LM of `target_lm`."""
        engine, safe = cls(), {"trust_remote_code": False}
        engine.models = {name: TargetSettings.model_validate(value | safe) for name, value in state["models"].items()}
        return engine


class _AsyncEngine(NamedTuple):
    """The same engine for `acall`."""

    engine: TargetEngine

    async def complete(self, request: lm15.Request) -> lm15.Response:
        return await asyncio.wrap_future(self.engine.submit(request))

    def dump_state(self) -> dict[str, Any]:
        return self.engine.dump_state()

    @classmethod
    def load_state(cls, state: dict[str, Any]) -> "_AsyncEngine":
        return cls(TargetEngine.load_state(state))


def _prompt(request: lm15.Request) -> list[Message]:
    """The conversation as chat messages. Raises lm15.UnsupportedFeatureError rather than leave something out."""
    refused = [f.name for f in fields(lm15.Config) if f.name not in _HONOURED and getattr(request.config, f.name) != f.default]
    if name := next(iter(refused), "tools" if request.tools else ""):
        raise lm15.UnsupportedFeatureError(f"a local target does not know {name}: leave it out", feature=name)
    system = request.system if isinstance(request.system, str) else "\n".join(map(_text, request.system or ()))
    messages = [{"role": "system", "content": system}] if system else []
    for message in request.messages:
        if message.role not in _ROLES:
            raise lm15.UnsupportedFeatureError(f"a local target does not know messages of role {message.role}", feature=message.role)
        messages.append({"role": _ROLES[message.role], "content": "\n".join(map(_text, message.parts))})
    return messages


def _text(part: Any) -> str:
    if not isinstance(part, lm15.TextPart):
        raise lm15.UnsupportedFeatureError(f"a local target reads only text, not {part.type}", feature=part.type)
    return part.text


def _response(call: _Call, tokens: int, completion: Completion) -> lm15.Response:
    known = {"loop": "length", "refused": "content_filter"}
    text, finish = completion.text, known.get(completion.finish, completion.finish)
    if ends := [text.find(word) for word in call.stop if word in text]:
        text, finish = text[: min(ends)], "stop"
    message = lm15.Message.assistant([lm15.TextPart(text)])
    usage = lm15.Usage(input_tokens=tokens, output_tokens=completion.tokens)
    return lm15.Response(id=None, model=call.model, message=message, finish_reason=finish, usage=usage)


class TargetJob(TrainingJob):
    """A training that `dspy.LM.finetune` started. Its result is the LM of the new weights, or, as DSPy has it, the error."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.stop = threading.Event()
        self.progress: dict[str, Any] = {}
        """`step`, `steps`, `loss` and `epoch`, as last told by the trainer."""

    def status(self) -> TrainingStatus:
        if not self.done():
            return TrainingStatus.running if self.progress else TrainingStatus.pending
        if isinstance(super().result(), Exception):
            return TrainingStatus.cancelled if self.stop.is_set() else TrainingStatus.failed
        return TrainingStatus.succeeded

    def cancel(self) -> bool:
        """Ends the training process; the same training, started again, continues from its last checkpoint. False when it is over."""
        self.stop.set()
        return not self.done()

    def result(self, timeout: float | None = None) -> Any:
        """Waits; an interrupt of the wait ends the training too, which would otherwise hold the process up."""
        try:
            return super().result(timeout)
        except KeyboardInterrupt:
            self.cancel()
            raise


class TargetProvider(dspy.Provider):
    """Trains the targets of an engine with errata.trainers.sft, in a child process; `launch` loads one, `kill` frees it."""

    def __init__(self, engine: TargetEngine):
        super().__init__()
        self.engine = engine
        self.finetunable = True
        self.TrainingJob = TargetJob

    def launch(self, lm: dspy.LM, launch_kwargs: dict[str, Any] | None = None) -> None:
        """Raises TargetError."""
        self.engine.open(lm.model)

    def kill(self, lm: dspy.LM, launch_kwargs: dict[str, Any] | None = None) -> None:
        self.engine.close(lm.model)

    def finetune(
        self, job: TrainingJob, model: str, train_data: Data, train_data_format: Any, train_kwargs: dict[str, Any] | None = None
    ) -> str:
        """Trains `model` and gives the name of the new weights.

        `train_kwargs` are fields of TrainSettings or of trl.SFTConfig, `seed`, and `output_dir`, which must be empty or hold this very
        training; without it the weights lie in DSPy's folder for fine-tuning (DSPY_FINETUNEDIR), named by what was trained on what, and
        the same training is not done twice. Raises UsageError for unknown fields and formats, TargetError, TrainerError.
        """
        target = self.engine.models.get(model)
        if target is None:
            known = ", ".join(self.engine.models)
            raise UsageError(f"no target is called {model} here: leave finetuning_model out, or name one of {known}")
        with _TRAINING:
            settings, seed, out = train_settings(train_kwargs or {})
            rows = train_rows(train_data, train_data_format)
            if out is None:
                key = job_key(weights_hash(target), fingerprint(rows), settings, seed)
                out = Path(get_finetune_directory()) / f"{model.rpartition('@')[0].removeprefix('local/')}-{key}"
            out.parent.mkdir(parents=True, exist_ok=True)
            stop, tell = (job.stop, job.progress.update) if isinstance(job, TargetJob) else (None, None)
            with FileLock(f"{out}.lock"):
                train(rows, target, settings, out, seed=seed, on_progress=tell, stop=stop)
        return self.engine.add(trained(target, out), like=model)


def train_settings(given: dict[str, Any]) -> tuple[TrainSettings, int, Path | None]:
    """DSPy's train_kwargs as (settings, seed, folder). Raises UsageError, naming the nearest field, when one is unknown or wrong."""
    from trl import SFTConfig

    rest = dict(given)
    seed, folder = rest.pop("seed", 0), rest.pop("output_dir", None)
    if stage := next((name for name in ("stages", "practice", "rollouts", "samples") if name in rest), None):
        raise UsageError(f"train_kwargs: {stage} is of stages that follow rows, and a finetune of DSPy has rows alone: leave it out")
    own = {name: rest.pop(name) for name in list(rest) if name in TrainSettings.model_fields}
    names = [field.name for field in fields(SFTConfig) if field.init]
    for name in rest:
        if name not in names:
            hint = did_you_mean(name, [*TrainSettings.model_fields, "seed", *names])
            raise UsageError(f"train_kwargs: {name} is not a field of Errata's TrainSettings or of trl.SFTConfig{hint}")
    try:
        settings = TrainSettings(**own | {"sft": own.get("sft", {}) | rest})
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"train_kwargs: {'.'.join(map(str, first['loc']))} = {first['input']!r}: {first['msg']}") from None
    check(settings)
    return settings, seed, Path(folder) if folder else None


def train_rows(data: Data, form: Any) -> list[TrainRow]:
    """DSPy's training data as rows. `chat`: the last message is learned, those before it are its prompt. `completion`: the prompt is a user
    message, as `lm(prompt)` sends it. Raises UsageError for another format, TrainerError for a row that is not of its format."""
    name = getattr(form, "value", form) or "chat"
    if name not in ("chat", "completion"):
        raise UsageError(f"a target is not trained on data of format {name!r}: give chat or completion")
    rows = []
    for number, item in enumerate(data, 1):
        try:
            sides = [("user", "prompt"), ("assistant", "completion")]
            *prompt, answer = item["messages"] if name == "chat" else [{"role": role, "content": item[side]} for role, side in sides]
            rows.append(TrainRow(prompt=tuple(prompt), completion=(answer,), source=content_hash(item)))
            if any(message.keys() != {"role", "content"} for message in (*prompt, answer)) or answer["role"] != "assistant":
                raise ValueError("role and content each, the last the assistant's")
        except (KeyError, TypeError, ValueError) as error:
            why = " ".join(str(error).split())[:100]
            raise TrainerError(f"row {number} of the training data is not of format {name}: {why}") from None
    return rows
