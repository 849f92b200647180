"""A target behind an OpenAI-compatible server. It answers chat completions; adapters are loaded into it by vLLM's API.

    VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 vllm serve Qwen/Qwen2.5-0.5B-Instruct --enable-lora

An adapter is loaded under a name made of the hash of its weights, so that no name ever stands for two sets of weights. Rate limits,
server errors, lost connections and replies that cannot be read are tried again. A server may refuse a few questions, which stay unjudged;
any other refusal ends the calls.
Does NOT cover: proof that the server has the weights that `target.model` names, prompts (the server's own chat template renders them),
loading adapters into servers other than vLLM, streaming.
"""

import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, TypeVar

import httpx

from ...signatures.calls import PASSING, REFUSALS, REFUSED, Pace, Patience, asked_wait, in_flight, known_keys, plain, without_keys
from ...signatures.errors import ErrataError, TargetError
from ...signatures.records import content_hash
from ...signatures.replies import Reply, answered, broken_limit, document, exchange, words
from ..chat import Answers, Completion, Prompts, tools_apart, tools_told
from ..settings import TargetSettings, vllm_rank
from ..weights import adapter_folder, check_base, weights_hash

T = TypeVar("T")
Read = Callable[[Reply], T]
IN_FLIGHT = 64
"""Questions under way at once by default: enough to keep a server's batches full."""
PLAIN = {"repetition_penalty": 1.0, "top_k": -1}
"""Sampling fields of vLLM and SGLang beside OpenAI's. Both would else take the model's own defaults (generation_config.json), and a
repetition penalty changes the greedy answer too."""
LOADING = "vLLM loads adapters when it is started with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1"


class _Passing(Exception):
    """A failure that may be gone at the next attempt; `asked` is the wait in seconds that the server wants."""

    def __init__(self, message: str, asked: float | None = None):
        super().__init__(message)
        self.asked = asked


class _Refused(Exception):
    """The server's final word on one request."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


class ServedTarget:
    """A model of a server. Use `ServedTarget.connect`. It answers as `Target` does."""

    def __init__(self, settings: TargetSettings, patience: Patience | None = None, timeout: float | None = None):
        self.settings = settings
        self.address = settings.servers[0].rstrip("/")
        self.hash = weights_hash(settings)
        """Content hash of all that is known to decide the answers; keys every cache."""
        self.name = ""
        """What the server calls these weights."""
        key = os.environ.get(settings.api_key_env, "").strip()
        self._keys = sorted({*known_keys(), *([key] if key else [])}, key=len, reverse=True)
        self.on_share: Callable[[float], None] = lambda share: None
        self._pace = Pace(patience or Patience())
        self._width = settings.batch_size or IN_FLIGHT
        self.fields: dict[str, Any] = {}
        """Sampling fields beside OpenAI's that this server reads."""
        self._loaded = False
        self._choice: str | None = None
        limits = httpx.Limits(max_connections=self._width, max_keepalive_connections=self._width)
        self._seconds = timeout or settings.timeout
        self._client = httpx.Client(headers={"Authorization": f"Bearer {key}"} if key else {}, timeout=self._seconds, limits=limits)

    @classmethod
    def connect(cls, settings: TargetSettings, patience: Patience | None = None, timeout: float | None = None) -> "ServedTarget":
        """Finds the model at the server, and loads the adapter there where it has one. `timeout`: see `target.timeout`.

        Raises TargetError: no server, a wrong key, no such model, an adapter that is not loaded or belongs to other weights.
        """
        served = cls(settings, patience, timeout)
        try:
            cards = served._listed()
            served.name = served._own_name(cards)
            if any(card.get("owned_by") in ("vllm", "sglang") for card in cards):
                served.fields = PLAIN
            if settings.adapter:
                if settings.model:
                    check_base(settings)
                served.name = f"errata-{served.hash}"
                if served.name not in [card["id"] for card in cards]:
                    served._load()
        except BaseException:
            served.close()
            raise
        return served

    def generate(
        self, prompts: Prompts, *, max_new_tokens: int, temperature: float = 0.0, seed: int = 0, begun: Sequence[str] | None = None
    ) -> Answers:
        """See `AnyTarget`. Only vLLM and SGLang go on from a beginning. Each prompt is asked with a seed of its own."""
        if begun is not None and not self.fields:
            raise TargetError(f"the server at {self.address} cannot go on from the beginning of an answer: only vLLM and SGLang can")
        seen: Counter[str] = Counter()
        questions = []
        for index, prompt in enumerate(prompts):
            start = begun[index] if begun else ""
            asked = [*prompt, {"role": "assistant", "content": start}] if start else list(prompt)
            text = content_hash(asked)
            own_seed = int(content_hash([seed, text, seen[text]]), 16) >> 33  # 31 bits: servers read a signed integer
            seen[text] += 1
            body = {"model": self.name, "messages": asked, "max_tokens": max_new_tokens, "temperature": temperature}
            body |= {"continue_final_message": True, "add_generation_prompt": False} if start else {}
            questions.append((index, self._sent(body | {"top_p": 1.0, "seed": own_seed} | self.fields)))
        refused: list[tuple[int, Completion]] = []
        with closing(in_flight(lambda question: self._answer(question[1]), questions, self._width)) as answers:
            for count, ((index, _), completion) in enumerate(answers, 1):
                self.on_share((count + min(self._width, len(questions) - count) / 2) / len(questions))  # half of each that is under way
                if completion.fault:
                    refused.append((index, completion))
                    if len(refused) > max(REFUSALS, self.settings.refusals * len(questions)):
                        raise self._refuses(f"{len(refused)} of {len(questions)} questions refused, the last one", completion)
                else:
                    yield index, completion._replace(text=_joined(begun[index], completion.text)) if begun else completion
        if refused and len(refused) == len(questions):
            raise self._refuses("refused", refused[0][1])
        yield from refused  # last, so that none is kept of a server that refuses all

    def require_loading(self) -> None:
        """Raises TargetError when the server has no door for adapters, so that nothing is trained for it in vain."""
        try:
            self._call("/load_lora_adapter", {"lora_name": "", "lora_path": ""}, lambda reply: None)
        except _Refused as refused:  # vLLM: both must be provided
            if refused.status in (404, 405):
                raise TargetError(f"the server at {self.address} cannot be given the adapters that a cycle trains: {LOADING}") from None

    def close(self) -> None:
        """Unloads the adapter that was loaded here; the target answers no more."""
        if self._loaded:
            try:
                self._once("/unload_lora_adapter", {"lora_name": self.name}, lambda reply: None, timeout=5.0)
            except (_Passing, _Refused, TargetError):
                pass  # the name may stay with the server: it never stands for other weights
            self._loaded = False
        self._client.close()

    def _listed(self) -> list[dict[str, Any]]:
        """The server's models, as it describes them. Asked once, without waiting for a server that is not there."""
        try:
            return self._once("/models", None, _cards)
        except _Passing as fault:
            raise TargetError(f"no answer from a server at {self.address} ({fault}): start it, or correct target.api_base") from None
        except _Refused as refused:
            act = "correct target.api_base, which mostly ends in /v1"
            raise TargetError(f"the server at {self.address} lists no models (HTTP {refused.status}): {act}") from None

    def _own_name(self, cards: Sequence[dict[str, Any]]) -> str:
        """The name of the model without adapters: as set, or as `target.model` is written, or the only one there is."""
        wanted, names = self.settings.served_name, [card["id"] for card in cards]
        there = f"the server at {self.address} serves {self._clean(', '.join(names[:50])) or 'nothing'}"
        if wanted is not None:
            if wanted not in names:
                raise TargetError(f"no model is called {wanted}: {there}; set target.served_name to one of its names")
            return wanted
        bases = [card["id"] for card in cards if not card.get("parent")]
        if self.settings.model in bases:
            return self.settings.model
        if len(bases) != 1 or not self.settings.model:
            raise TargetError(f"{there}: say which is the target with --set target.served_name=NAME")
        return bases[0]

    def _load(self) -> None:
        path = self._path_there()
        try:
            # 500 is what vLLM makes of every complaint of its engine about an adapter (load_lora_adapter in its openai/models/serving.py,
            # 055e47c; earlier ones said 400): trying again does not help
            self._call("/load_lora_adapter", {"lora_name": self.name, "lora_path": path}, lambda reply: None, final=500)
        except _Refused as refused:
            if "already been loaded" in str(refused):  # another process of Errata was quicker, with the same weights
                return
            why = self._why_not_loaded(refused)
            raise TargetError(f"the server at {self.address} did not load the adapter {path}: {why}; then give the same command") from None
        self._loaded = True

    def _why_not_loaded(self, refused: _Refused) -> str:
        said = str(refused).lower()
        if "max_lora_rank" in said:
            rank = json.loads((adapter_folder(self.settings.adapter or "") / "adapter_config.json").read_text(encoding="utf-8"))["r"]
            return f"{refused}; start it with --max-lora-rank {vllm_rank(rank)} or more"
        if "no adapter found" in said or "no such file" in said:
            return "it sees no such folder; share the folder with it, and say with target.server_paths where it sees it"
        if refused.status in (404, 405) or "not enabled" in said:
            return f"{refused}; {LOADING}"
        return f"{refused} (HTTP {refused.status}); repair that"

    def _path_there(self) -> str:
        """The adapter's folder as the server sees it."""
        folder = adapter_folder(self.settings.adapter or "").absolute()
        for here, there in sorted(self.settings.server_paths, key=lambda pair: -len(pair[0])):
            if folder.is_relative_to(base := Path(here).expanduser().absolute()):
                return f"{there.rstrip('/')}/{folder.relative_to(base).as_posix()}"
        return str(folder)

    def _refuses(self, what: str, completion: Completion) -> ErrataError:
        return self._pace.end(TargetError(f"the server at {self.address} {what} to answer as {self.name}: {completion.fault}"))

    def _answer(self, body: dict[str, Any]) -> Completion:
        try:
            completion = self._call("/chat/completions", body, _completion)
            return completion._replace(text=without_keys(completion.text, self._keys))
        except _Refused as refused:
            said = str(refused)
            if refused.status not in REFUSED:
                raise self._refuses(f"refused (HTTP {refused.status})", Completion("", "refused", 0, fault=said)) from None
            if not broken_limit(said, body.get("max_tokens", 0)):
                return Completion("", "refused", 0, fault=said)
        if "max_tokens" not in body:
            return Completion("", "length", 0)
        # the prompt and the limit are more than the context together: without a limit the answer gets the room that is left
        return self._answer({name: value for name, value in body.items() if name != "max_tokens"})

    def _sent(self, body: dict[str, Any]) -> dict[str, Any]:
        """A request with its tools in the way in which this server shows them to the model: the tokens of the first prompt tell."""
        if not tools_apart(body["messages"])[0]:
            return body
        if self._choice is None:
            counts = {"bare": 0.0}
            for way in ("bare", "none", "auto"):
                with suppress(_Refused):  # llama.cpp says 500 where it was not started for tools
                    counts[way] = self._call("/chat/completions", _given_tools(body | {"max_tokens": 1}, way), _prompt_tokens, final=500)
            self._choice = next((way for way, tokens in counts.items() if tokens > counts["bare"]), "")
        return _given_tools(body, self._choice)

    def _call(self, path: str, body: dict[str, Any], read: Read[T], final: int | None = None) -> T:
        """Attempts until one is answered; a status of `final` is an answer. Raises _Refused, and TargetError when patience is over."""
        for attempt in range(1, self._pace.patience.attempts + 1):
            self._pace.ready()
            try:
                return self._once(path, body, read, final=final)
            except _Passing as fault:
                if over := self._pace.again(attempt, fault.asked):
                    advice = "give the same command again to go on: nothing done is lost"
                    raise self._pace.end(TargetError(f"the server at {self.address}: {fault} ({over}); {advice}")) from None
        raise AssertionError("unreachable")

    def _once(self, path: str, body: dict[str, Any] | None, read: Read[T], timeout: float | None = None, final: int | None = None) -> T:
        """One attempt; with a body a POST. Raises _Passing, _Refused, and TargetError for a wrong key."""
        method, url = "POST" if body else "GET", f"{self.address}{path}"
        try:
            reply = exchange(self._client, method, url, timeout or self._seconds, json=body)
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise _Passing(self._clean(str(error)) or type(error).__name__) from None
        except httpx.InvalidURL as error:
            raise TargetError(f"the address {self.address} is not usable ({error}): correct target.api_base") from None
        status, said = reply.status, self._clean(words(reply.body)) if reply.status != 200 else ""
        if status != final and (status in PASSING or status >= 500):
            raise _Passing(f"HTTP {status}, {said}".rstrip(", "), asked_wait(reply.headers.get("retry-after")))
        if status in (401, 403):
            key = f"set {self.settings.api_key_env} to its key, or target.api_key_env to the name of another variable"
            raise self._pace.end(TargetError(f"the server at {self.address} wants another key (HTTP {status}, {said}): {key}"))
        if not 200 <= status < 300:
            moved = f"it has moved to {self._clean(reply.headers.get('location', ''))[:200]}" if 300 <= status < 400 else ""
            raise _Refused(status, moved or said or f"HTTP {status} without a word")
        try:
            return read(reply)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            shown = self._clean(str(error))[:100] if isinstance(error, ValueError) else ""
            raise _Passing(f"a reply that cannot be read: {shown or self._clean(words(reply.body))[:100]!r}") from None

    def _clean(self, text: str) -> str:
        return plain(without_keys(text, self._keys))


def _cards(reply: Reply) -> list[dict[str, Any]]:
    return [{**card, "id": str(card["id"])} for card in document(reply.body)["data"]]


def _given_tools(body: dict[str, Any], choice: str) -> dict[str, Any]:
    """A request with tools: by `tool_choice` (with `none` the answer is text, but some servers show tools with `auto` alone), told in the
    system text where that is empty, or without them (`bare`)."""
    tools, messages = tools_apart(body["messages"])
    if not choice:
        return body | {"messages": tools_told(tools, messages)}
    return body | {"messages": messages} | ({} if choice == "bare" else {"tools": tools, "tool_choice": choice})


def _prompt_tokens(reply: Reply) -> float:
    """Tokens of the prompt; without end where the server does not tell."""
    return answered(reply.body).usage.get("prompt_tokens", float("inf"))


def _joined(start: str, rest: str) -> str:
    """An answer from its beginning on. Some chat templates drop the line break at the end of the beginning, which then opens the rest."""
    return start.rstrip("\n") + rest if rest.startswith("\n") else start + rest


def _completion(reply: Reply) -> Completion:
    """The answer. Reasoning that the server keeps apart stands before it, as the model wrote it."""
    said = answered(reply.body)
    text = "\n".join(filter(None, (said.text or said.refusal, said.calls)))
    if said.thought:
        text = f"<think>\n{said.thought}" + (f"\n</think>\n{text}" if text or said.finish != "length" else "")
    used = said.usage.get("completion_tokens")
    return Completion(text, "length" if said.finish == "length" else "stop", used if isinstance(used, int) else max(1, len(text) // 4))
