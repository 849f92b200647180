"""The servers of a target, one or several that serve the same model: which is asked what, which is left out, and what is tried again.

A server takes its next question when it has room, those with the fewest under way first. Rate limits, server errors, lost connections and
replies that cannot be read are tried again, at another server at once where there is one, else after a wait. A server that fails again and
again is left out while others answer, and looked at after growing waits; one that was started anew is given the adapter again.
Does NOT cover: what a question says and what its answer means (target.py).
"""

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from queue import SimpleQueue
from typing import Any

from ...signatures.calls import Patience
from ...signatures.errors import TargetError
from ..chat import Completion
from ..settings import TargetSettings
from .client import CONNECT
from .server import Passing, Server

Ask = Callable[[Server, "Question"], Coroutine[Any, Any, Completion]]
FAULTS = 3
"""Faults of a server, one after another, that leave it out where others answer."""
SILENT = 30.0
"""Seconds without an answer after which a server is looked at."""


@dataclass(eq=False, slots=True)
class Question:
    """One question on its way."""

    index: int
    start: str
    """The beginning of its answer."""
    body: dict[str, Any]
    attempts: int = 0
    """Rounds in which every server that answers failed it."""
    tried: set[Server] = field(default_factory=set)
    """Servers that failed it in this round."""


@dataclass(eq=False)
class Work:
    """The questions of one call of `generate`, shared by the servers."""

    servers: Sequence[Server]
    fresh: Iterator[Question]
    results: "SimpleQueue[tuple[Question, Completion] | Exception]" = field(default_factory=SimpleQueue)
    again: deque[Question] = field(default_factory=deque)
    """Those that a server failed, for another one."""
    more: asyncio.Event = field(default_factory=asyncio.Event)

    def elsewhere(self, question: Question) -> bool:
        """Whether a server that may be asked has not failed the question in this round."""
        return any(server.open and server not in question.tried for server in self.servers)

    async def next(self, server: Server) -> Question:
        """The next question for a server, when it may be asked and there is one."""
        while True:
            if not server.out and (rest := server.not_before - time.monotonic()) > 0:
                await asyncio.sleep(rest)
            elif not server.out and (question := self._next(server)):
                return question
            else:
                await self.more.wait()

    def _next(self, server: Server) -> Question | None:
        for question in self.again:
            if server not in question.tried or not self.elsewhere(question):
                self.again.remove(question)
                return question
        return next(self.fresh, None)

    def put_back(self, question: Question) -> None:
        self.again.append(question)
        self.wake()

    def wake(self) -> None:
        """Let those that wait look again."""
        self.more.set()
        self.more.clear()


class Pool:
    """The servers, used inside one event loop. Not covered: two calls of `answer` at once, which would each take the whole room."""

    def __init__(self, settings: TargetSettings, name: str, patience: Patience, seconds: float):
        """`name`: what the adapter is called at the servers; empty: there is none. `seconds`: longest time of a whole reply."""
        key = os.environ.get(settings.api_key_env, "").strip()
        self.servers = [Server(address, settings, key, seconds) for address in settings.servers]
        self.base, self.adapter = "", name
        """What the servers call the model without adapter, and with it."""
        self.say: Callable[[str], None] = lambda line: None
        self.away: Callable[[str], bool] = lambda address: False
        """Whether who started the server at an address is starting it again; begins that where it ended. Raises TargetError."""
        self._patience = patience

    @property
    def answering(self) -> list[Server]:
        """Those that are not left out."""
        return [server for server in self.servers if not server.out]

    async def open(self) -> bool:
        """Find the model at each server, without waiting for one that is not there, and load the adapter. Returns whether all are vLLM or
        SGLang. Raises TargetError."""
        found: dict[Server, list[dict[str, Any]]] = {}
        dead: dict[Server, Passing] = {}

        async def meet(server: Server) -> None:
            try:
                found[server] = await server.models(CONNECT)
            except Passing as fault:
                dead[server] = fault

        await each(self.servers, meet)
        if not found:
            told = "; ".join(f"{server.address} ({fault})" for server, fault in dead.items())
            (what, act) = ("a server at", "start it") if len(dead) == 1 else ("any server:", "start one")
            raise TargetError(f"no answer from {what} {told}: {act}, or correct target.api_base")
        for server in self.servers:
            if server in dead:
                self._leave(server, str(dead[server]))
        for server in self.answering:
            self._same(server, found[server])
        await self.each(lambda server: self._fit(server, found[server]))
        return all(any(card.get("owned_by") in ("vllm", "sglang") for card in cards) for cards in found.values())

    async def each(self, attempt: Callable[[Server], Coroutine[Any, Any, None]]) -> None:
        """Do the same at each server that answers, with patience. Raises TargetError."""

        async def patiently(server: Server) -> None:
            for number in count(1):
                try:
                    await attempt(server)
                    return
                except Passing as fault:
                    await self._pause(server, number, fault)

        await each(self.answering, patiently)

    def _same(self, server: Server, cards: Sequence[dict[str, Any]]) -> None:
        """Raises TargetError when the server has not the model that the others have."""
        name = server.own_name(cards)
        self.base = self.base or name
        if name != self.base:
            several = f"the server at {server.address} serves {server.clean(name)}, and another one {server.clean(self.base)}"
            raise TargetError(f"{several}: all servers of target.api_base must serve the same model")

    async def _fit(self, server: Server, cards: Sequence[dict[str, Any]]) -> None:
        """Raises Passing, and TargetError when the server has not the model, or does not take the adapter that it lacks."""
        self._same(server, cards)
        if self.adapter and self.adapter not in [card["id"] for card in cards]:
            await server.load(self.adapter)

    def _leave(self, server: Server, why: str) -> None:
        """Ask a server nothing until a look finds it well again."""
        server.out = True
        self._wait_for(server)
        self.say(f"the server at {server.address} is left out ({why}): the other servers answer, and it is asked again later")

    def _wait_for(self, server: Server) -> None:
        server.look_at = time.monotonic() + min(self._patience.most, self._patience.first * 2 ** min(server.looks, 30))
        server.looks += 1

    async def _watch(self, work: Work) -> None:
        """Look at the servers that are left out, and at those that are silent."""
        while True:
            await asyncio.sleep(min(1.0, self._patience.first))
            now = time.monotonic()
            silent = [one for one in self.answering if one.under_way and now - one.heard > SILENT]
            due = [one for one in self.servers if one.out and now > one.look_at]
            await each([*silent, *due], lambda server: self._look(server, work))

    async def _look(self, server: Server, work: Work) -> None:
        try:
            if server.out and self.away(server.address):
                server.look_at = time.monotonic() + self._patience.first
                return
            await self._fit(server, await server.models(CONNECT))
        except (Passing, TargetError) as fault:
            if server.out:
                self._wait_for(server)
                if isinstance(fault, TargetError) and server.told != str(fault):  # it is there, and not as it must be
                    server.told = str(fault)
                    self.say(server.told)
            elif len(self.answering) > 1:
                self._leave(server, str(fault))
                await server.drop()  # what is under way there goes to the others
        else:
            if server.out:
                server.out, server.faults = False, 0
                self.say(f"the server at {server.address} answers again")
        work.wake()

    async def _pause(self, server: Server, attempt: int, fault: Passing) -> None:
        """Wait after the failed attempt of this number. Raises TargetError when patience is over."""
        pause = self._patience.pause(attempt, fault.asked)
        if isinstance(pause, str):
            advice = "give the same command again to go on: nothing done is lost"
            raise TargetError(f"the server at {server.address}: {fault} ({pause}); {advice}")
        await asyncio.sleep(max(0.0, server.not_before - time.monotonic()) + pause)

    async def restored(self, server: Server, loads: int) -> bool:
        """Whether a server that had lost the adapter, as one that was started anew, has it again. `loads`: as it was when it was asked."""
        async with server.restoring:
            if self.adapter and server.loads == loads:
                cards = await server.models(CONNECT)
                if self.adapter not in [card["id"] for card in cards]:
                    await self._fit(server, cards)
            return server.loads != loads

    # ---- the questions

    async def answer(self, work: Work, width: int, ask: Ask) -> None:
        """Ask until this is cancelled, `width` questions at a time at each server. Results and errors go to `work`."""

        async def told(part: Coroutine[Any, Any, None]) -> None:
            try:
                await part
            except Exception as error:
                work.results.put(error)

        async with asyncio.TaskGroup() as group:
            for _ in range(width):
                for server in self.servers:  # in turn, so that a few questions are spread
                    group.create_task(told(self._lane(server, work, ask)))
            if len(self.servers) > 1:
                group.create_task(told(self._watch(work)))

    async def _lane(self, server: Server, work: Work, ask: Ask) -> None:
        """Ask one question after another at a server."""
        failed = 0
        while True:
            question = await work.next(server)
            mine = True
            while mine:
                if not server.under_way:
                    server.heard = time.monotonic()
                server.under_way += 1
                try:
                    work.results.put((question, await ask(server, question)))
                    server.faults = server.looks = failed = 0
                    mine = False
                except Passing as fault:
                    failed += 1
                    mine = await self._again(server, question, fault, work, failed)
                finally:
                    server.under_way -= 1

    async def _again(self, server: Server, question: Question, fault: Passing, work: Work, failed: int) -> bool:
        """After a fault: whether this server is to be asked the question again, which is else another's; in due time. `failed`: faults of
        this lane, one after another."""
        server.faults += fault.ill
        if server.faults >= FAULTS and not server.out and len(self.answering) > 1:
            self._leave(server, str(fault))
        question.tried.add(server)
        work.wake()  # what waits for a server that rests or is out is another's now
        if work.elsewhere(question):
            work.put_back(question)
            if not server.out:  # a server that fails at once must not run through all questions
                pause = self._patience.pause(min(failed, self._patience.attempts - 1), None)
                await asyncio.sleep(pause if isinstance(pause, float) else 0.0)
            return False
        question.tried.clear()
        question.attempts += 1
        while self.away(server.address):
            await asyncio.sleep(self._patience.first)
        await self._pause(server, question.attempts, fault)
        if server.out:
            work.put_back(question)
        return not server.out


async def each(servers: Sequence[Server], work: Callable[[Server], Coroutine[Any, Any, None]]) -> None:
    """Do the same at several servers at once. Raises the first error."""
    await asyncio.gather(*(work(server) for server in servers))
