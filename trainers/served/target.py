"""A target behind OpenAI-compatible servers. They answer chat completions; adapters are loaded into them by vLLM's API.

Servers may refuse a few questions, which stay unjudged; any other refusal ends the calls. Answers do not hang on which server gives them.
Does NOT cover: proof that the servers have the weights that `target.model` names, prompts (a server's own chat template renders them),
streaming; which server is asked, and how often (pool.py).
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

from ...signatures.calls import REFUSALS, REFUSED, Patience
from ...signatures.errors import TargetError
from ...signatures.records import content_hash
from ...signatures.replies import answered, broken_limit
from ..chat import Answers, Completion, Prompts, tools_apart, tools_told
from ..settings import TargetSettings
from ..weights import check_base, weights_hash
from .client import Loop
from .pool import Pool, Question, Work, each
from .server import Refused, Server

IN_FLIGHT = 64
"""Questions under way at a server at once by default: enough to keep its batches full."""
PLAIN = {"repetition_penalty": 1.0, "top_k": -1}
"""Sampling fields of vLLM and SGLang beside OpenAI's. Both would else take the model's own defaults (generation_config.json), and a
repetition penalty changes the greedy answer too."""


class ServedTarget:
    """A model of one server or of several. Use `ServedTarget.connect`. It answers as `Target` does."""

    def __init__(self, settings: TargetSettings, patience: Patience | None = None, timeout: float | None = None):
        self.settings = settings
        self.hash = weights_hash(settings)
        """Content hash of all that is known to decide the answers; keys every cache."""
        self.name = ""
        """What the servers call these weights."""
        self.on_share: Callable[[float], None] = lambda share: None
        self.fields: dict[str, Any] = {}
        """Sampling fields beside OpenAI's that the servers read."""
        self._width = settings.batch_size or IN_FLIGHT
        self._choice: str | None = None
        self._probing = asyncio.Lock()
        adapter = f"errata-{self.hash}" if settings.adapter else ""
        self._pool = Pool(settings, adapter, patience or Patience(), timeout or settings.timeout)
        self._where = f"the server{'s' * (len(settings.servers) > 1)} at {', '.join(server.address for server in self._pool.servers)}"
        self._loop: Loop | None = Loop()

    @classmethod
    def connect(
        cls,
        settings: TargetSettings,
        patience: Patience | None = None,
        timeout: float | None = None,
        say: Callable[[str], None] = lambda line: None,
        away: Callable[[str], bool] = lambda address: False,
    ) -> "ServedTarget":
        """Finds the model at the servers, and loads the adapter there where it has one. `timeout`: see `target.timeout`; `say` is told, in
        a line, of a server that is left out or back; `away`: see `Pool.away`.

        Raises TargetError: no server answers, a wrong key, no such model or not the same one, an adapter that is not loaded or belongs to
        other weights.
        """
        served = cls(settings, patience, timeout)
        served._pool.say, served._pool.away = say, away
        try:
            if settings.adapter and settings.model:
                check_base(settings)
            if served._run(served._pool.open()):
                served.fields = PLAIN
            served.name = served._pool.adapter or served._pool.base
        except BaseException:
            served.close()
            raise
        return served

    def generate(
        self, prompts: Prompts, *, max_new_tokens: int, temperature: float = 0.0, seed: int = 0, begun: Sequence[str] | None = None
    ) -> Answers:
        """See `AnyTarget`. Only vLLM and SGLang go on from a beginning. Each prompt is asked with a seed of its own."""
        if begun is not None and not self.fields:
            raise TargetError(f"{self._where} cannot go on from the beginning of an answer: only vLLM and SGLang can")
        fixed = {"model": self.name, "max_tokens": max_new_tokens, "temperature": temperature, "top_p": 1.0} | self.fields
        work, total = Work(self._pool.servers, _questions(prompts, fixed, seed, begun)), len(prompts)
        assert self._loop is not None, "closed"
        asking = self._loop.start(self._pool.answer(work, min(self._width, total), self._answer))
        refused: list[tuple[int, Completion]] = []
        try:
            for number in range(1, total + 1):
                found = work.results.get()
                if isinstance(found, Exception):
                    raise found
                question, completion = found
                width = self._width * len(self._pool.answering)
                self.on_share((number + min(width, total - number) / 2) / total)  # half of each that is under way
                if completion.fault:
                    refused.append((question.index, completion))
                    if len(refused) > max(REFUSALS, self.settings.refusals * total):
                        raise self._refuses(self._where, f"{len(refused)} of {total} questions refused, the last one", completion.fault)
                else:
                    text = _joined(question.start, completion.text) if begun else completion.text
                    yield question.index, completion._replace(text=text)
        finally:
            asking.cancel()  # nobody waits for what is still under way
        if refused and len(refused) == total:
            raise self._refuses(self._where, "refused", refused[0][1].fault)
        yield from refused  # last, so that none is kept of a server that refuses all

    def require_loading(self) -> None:
        """Raises TargetError when a server has no door for adapters, so that nothing is trained for it in vain."""
        self._run(self._pool.each(Server.require_loading))

    def close(self) -> None:
        """Unloads the adapter where it was loaded here; the target answers no more."""
        if self._loop is not None:
            try:
                self._run(each(self._pool.servers, Server.unload))
            finally:
                self._loop.close()
                self._loop = None

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        assert self._loop is not None, "closed"
        return self._loop.run(work)

    async def _answer(self, server: Server, question: Question) -> Completion:
        """Raises Passing, and TargetError for a refusal that is about no question."""
        while True:
            body, loads = question.body, server.loads
            try:
                completion = await server.ask("/chat/completions", await self._sent(server, body), _completion)
                return completion._replace(text=server.unkeyed(completion.text))
            except Refused as refused:
                said = str(refused)
                if refused.status == 404 and await self._pool.restored(server, loads):
                    continue
                if refused.status not in REFUSED:
                    raise self._refuses(f"the server at {server.address}", f"refused (HTTP {refused.status})", said) from None
                if not broken_limit(said, body.get("max_tokens", 0)):
                    return Completion("", "refused", 0, fault=said)
                if "max_tokens" not in body:
                    return Completion("", "length", 0)
                # prompt and limit are more than the context together: without a limit the answer gets the room that is left
                question.body = {name: value for name, value in body.items() if name != "max_tokens"}

    def _refuses(self, where: str, what: str, said: str) -> TargetError:
        return TargetError(f"{where} {what} to answer as {self.name}: {said}")

    async def _sent(self, server: Server, body: dict[str, Any]) -> dict[str, Any]:
        """A request with its tools in the way in which the servers show them to the model: the tokens of the first prompt tell."""
        if not tools_apart(body["messages"])[0]:
            return body
        async with self._probing:
            if self._choice is None:
                counts: dict[str, float] = {}
                for way in ("bare", "none", "auto", "none", "auto"):  # what was refused is tried twice: a 500 may have been a fault
                    if way in counts:
                        continue
                    try:  # llama.cpp says 500 where it was not started for tools
                        asked = _given_tools(body | {"max_tokens": 1}, way)
                        final = None if way == "bare" else 500
                        counts[way] = await server.ask("/chat/completions", asked, _prompt_tokens, final=final)
                    except Refused as refused:
                        if way == "bare" or broken_limit(str(refused), 1):  # it is about this prompt: another one tells
                            return _given_tools(body, "")
                self._choice = next((way for way in counts if counts[way] > counts["bare"]), "")
        return _given_tools(body, self._choice)


def _questions(prompts: Prompts, fixed: dict[str, Any], seed: int, begun: Sequence[str] | None) -> Iterator[Question]:
    seen: Counter[str] = Counter()
    for index, prompt in enumerate(prompts):
        start = begun[index] if begun else ""
        asked = [*prompt, {"role": "assistant", "content": start}] if start else list(prompt)
        text = content_hash(asked)
        own_seed = int(content_hash([seed, text, seen[text]]), 16) >> 33  # 31 bits: servers read a signed integer
        seen[text] += 1
        more = {"continue_final_message": True, "add_generation_prompt": False} if start else {}
        yield Question(index, start, {**fixed, "messages": asked, "seed": own_seed} | more)


def _given_tools(body: dict[str, Any], choice: str) -> dict[str, Any]:
    """A request with tools: by `tool_choice` (with `none` the answer is text, but some servers show tools with `auto` alone), told in the
    system text where that is empty, or without them (`bare`)."""
    tools, messages = tools_apart(body["messages"])
    if not choice:
        return body | {"messages": tools_told(tools, messages)}
    return body | {"messages": messages} | ({} if choice == "bare" else {"tools": tools, "tool_choice": choice})


def _prompt_tokens(body: bytes) -> float:
    """Tokens of the prompt; without end where the server does not tell."""
    return answered(body).usage.get("prompt_tokens", float("inf"))


def _joined(start: str, rest: str) -> str:
    """An answer from its beginning on. Some chat templates drop the line break at the end of the beginning, which then opens the rest."""
    return start.rstrip("\n") + rest if rest.startswith("\n") else start + rest


def _completion(body: bytes) -> Completion:
    """The answer. Reasoning that the server keeps apart stands before it, as the model wrote it."""
    said = answered(body)
    text = "\n".join(filter(None, (said.text or said.refusal, said.calls)))
    if said.thought:
        text = f"<think>\n{said.thought}" + (f"\n</think>\n{text}" if text or said.finish != "length" else "")
    used = said.usage.get("completion_tokens")
    return Completion(text, "length" if said.finish == "length" else "stop", used if isinstance(used, int) else max(1, len(text) // 4))
