"""Gathers the requests of many threads into provider batches: each thread waits in `stream`, as for a single call.

A thread of its own, the courier, sends what was gathered once all threads at work wait for an answer (or nothing new has come for LATE
seconds, which is why no wait of one for another can last), asks with growing waits how far each batch is, and hands the answers out. What
is sent, and under which id, is written down before anything is waited for (errata.programs.run.batches): after a kill the same requests
find their batch again, also one whose id was never written down. Without `gather` nothing is sent in a batch; what an earlier start sent
in one is still waited for.

What is not here: the providers' forms (errata.signatures.batches.forms); requests that fail one by one, which are asked again and
counted as single calls are (errata.programs.instructor.engine).
"""

import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Collection
from concurrent.futures import Future
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import accumulate, islice
from math import ceil
from typing import Any, Protocol

from ..calls import WAVE, at_work
from ..errors import ErrataError, InstructorError
from ..replies import tidied
from ..transport import Heard, Transport
from . import Sent
from .forms import BatchRefused, Form, State, form_of

QUIET, LATE = 0.5, 30.0
"""Seconds without a new request after which a wave is sent: when all threads at work wait for answers, and in any case."""
BYTES = 90_000_000
"""Most bytes of the requests of a batch; OpenAI takes 200 MB, Anthropic 256 MB."""
TRIES = 3
"""How often a request is sent again whose batch failed, expired or lost it."""
FIRST, MOST = 1.0, 60.0
"""Seconds between two looks at a batch, growing from the first to the most."""
TROUBLES = 30
"""Requests about one batch that may fail in a row: some 25 minutes."""
TOLD = 5
"""After so many of them it is told again that they go on; first after three."""
SHORTEST, LONGEST = 2.0, 600.0
"""Seconds of the pauses, each twice the one before, after a batch that was more than the provider takes at a time."""
TICK = 0.1
"""Seconds of the courier's sleep."""


@dataclass
class Asking:
    """The call that this thread is about to make."""

    key: str
    batched: bool = False
    """Whether its answer came from a batch."""


asking: ContextVar[Asking | None] = ContextVar("asking", default=None)


class Journal(Protocol):
    """Where batches are written down (errata.programs.run.batches)."""

    sent: dict[str, Sent]
    holds: dict[str, str]
    """Key of a request -> the batch that holds it, or its answer."""

    @property
    def ids(self) -> set[str]: ...
    def begin(self, name: str, keys: Collection[str]) -> None: ...
    def made(self, name: str, batch: str | None) -> None: ...
    def end(self, name: str, lost: Collection[str]) -> None: ...


class Telling(Protocol):
    """Who is told of batches (errata.programs.run.progress)."""

    def say(self, line: str) -> None: ...
    def at(self, title: str, done: int, total: int | None) -> None: ...
    def end(self, title: str) -> None: ...


@dataclass
class _Wave:
    name: str
    keys: tuple[str, ...]
    at: float
    batch: str | None = None
    bodies: dict[str, bytes] | None = None
    """None: an earlier start sent it."""
    waiting: dict[str, "Future[Heard | None]"] = field(default_factory=dict)
    """Who waits for which key; None tells them to ask anew."""
    doubtful: bool = False
    """Whether it may have been made though its id is not known."""
    own: bool = False
    """Whether its id was told when it was made, and not found in a list or by an earlier start."""
    foreign: set[str] = field(default_factory=set)
    """Batches that looked like it and answered none of its keys."""
    looks: int = 0
    troubles: int = 0
    wait: float = field(default_factory=lambda: FIRST)
    due: float = 0.0

    def mistook(self, batch: str, replies: Collection[str]) -> bool:
        """Whether the batch is another run's, or another wave's: then the next one is looked for."""
        if self.own or not replies or not set(self.keys).isdisjoint(replies):
            return False
        self.foreign.add(batch)
        self.batch, self.doubtful = None, True
        return True

    def put_off(self, error: BatchRefused) -> str:
        """Make a request that failed again later. Now and then, what is waited for and how long that may go on; else empty."""
        self.troubles += 1
        waits = [max(min(MOST, FIRST * 2**n), error.wait or 0.0) for n in range(self.troubles, TROUBLES + 1)]
        self.due = time.monotonic() + waits[0]
        if self.troubles != 3 and self.troubles % TOLD:
            return ""
        what = f"batch {self.batch} cannot be asked for" if self.batch else f"a batch of {len(self.keys)} requests is not taken"
        goes_on = f"it is tried again for about {ceil(sum(waits) / 60)} min more; Ctrl-C loses nothing"
        return f"instructor: {what} ({error.said}), tried {self.troubles} times; {goes_on}"


class Waves:
    """Stands before a transport, as lm15 takes one. Thread-safe."""

    def __init__(self, inner: Transport, batches: Journal, gather: bool, seconds: float, alive: Callable[[], None], progress: Telling):
        """`seconds`: longest time of one request about a batch. `alive` is asked now and then: the ErrataError that it raises ends all."""
        self._inner, self._batches, self._gather, self._seconds = inner, batches, gather, seconds
        self._alive, self._progress = alive, progress
        self._form: Form | None = None
        self._new: dict[str, tuple[bytes, Future[Heard | None]]] = {}
        self._open: dict[str, _Wave] = {}
        self._landed: dict[str, Heard] = {}
        self._tries: Counter[str] = Counter()
        self._most, self._pause, self._not_before = WAVE, SHORTEST, 0.0
        self._last, self._blocked = 0.0, 0
        self._courier: threading.Thread | None = None
        self._lock = threading.RLock()

    def stream(self, request: Any) -> Heard:
        """The reply to a request, as the transport behind gives it. Raises InstructorError and BudgetReached, which leave the batches as
        they are."""
        call = asking.get()
        while call is not None:
            with self._lock:
                if call.key in self._landed:
                    call.batched = True
                    return self._landed.pop(call.key)
                waiting = self._join(call.key, request)
                self._blocked += waiting is not None
            if waiting is None:
                break
            try:
                heard = waiting.result()
            finally:
                with self._lock:
                    self._blocked -= 1
            if heard is not None:
                call.batched = True
                return heard
        return self._inner.stream(request)

    def close(self) -> None:
        self._inner.close()

    def _join(self, key: str, request: Any) -> "Future[Heard | None] | None":
        """The answer to come, of the batch that holds the key or the next one; None: the request goes alone."""
        name = self._batches.holds.get(key)
        if name is None and not self._gather:
            return None
        self._form = self._form or form_of(request.url, list(request.headers), self._seconds)
        waiting: Future[Heard | None] = Future()
        if name is None:
            self._new[key], self._last = (request.body, waiting), time.monotonic()
        else:
            if name not in self._open:
                sent = self._batches.sent[name]
                self._open[name] = _Wave(name, sent.keys, sent.at, sent.batch, doubtful=sent.batch is None)
            self._open[name].waiting[key] = waiting
        if self._courier is None:
            self._courier = threading.Thread(target=self._carry, daemon=True)
            self._courier.start()
        return waiting

    # ---- the courier

    def _carry(self) -> None:
        try:
            while self._turn():
                time.sleep(TICK)
        except BaseException as error:
            self._give_up(error)

    def _turn(self) -> bool:
        """One round of what is due; False when nothing is left to do."""
        with self._lock:
            if not self._new and not any(wave.waiting for wave in self._open.values()):
                self._courier = None
                return False
        self._alive()
        if not threading.main_thread().is_alive():  # the interpreter waits for those who wait here
            raise InstructorError("the program has ended; give the same command again to go on")
        while wave := self._gathered():
            self._batches.begin(wave.name, wave.keys)
        with self._lock:
            due = [wave for wave in self._open.values() if wave.due <= time.monotonic()]
        for wave in due:
            try:
                if wave.batch is None:
                    self._make(wave)
                else:
                    self._look(wave, wave.batch)
            except BatchRefused as error:
                self._trouble(wave, error)
            else:  # that a list does not name it says nothing of the next try to make it
                wave.troubles = 0 if wave.batch else wave.troubles
        return True

    def _gathered(self) -> _Wave | None:
        """The requests that are sent now."""
        with self._lock:
            quiet = time.monotonic() - self._last
            all_wait = quiet >= QUIET and self._blocked >= at_work()
            if not self._new or (len(self._new) < self._most and not all_wait and quiet < LATE):
                return None
            if self._most < WAVE and (self._open or time.monotonic() < self._not_before):
                return None  # the provider takes no more than this at a time
            sizes = accumulate(len(body) for body, _ in self._new.values())
            keys = [key for key, size in islice(zip(self._new, sizes, strict=True), self._most) if size <= BYTES] or list(self._new)[:1]
            taken = {key: self._new.pop(key) for key in keys}
            bodies = {key: body for key, (body, _) in taken.items()}
            wave = _Wave(uuid.uuid4().hex, tuple(bodies), time.time(), None, bodies, {key: future for key, (_, future) in taken.items()})
            self._open[wave.name] = wave
            return wave

    def _make(self, wave: _Wave) -> None:
        """Send a wave, or find it where it may have been sent already."""
        form = self._at()
        if wave.doubtful:
            wave.batch = form.find(wave.name, wave.at, len(wave.keys), self._batches.ids | wave.foreign)
            if wave.batch is None:
                wave.looks += 1
                if wave.looks < 2:  # a list may lag behind
                    wave.due = time.monotonic() + FIRST
                    return
                wave.doubtful, wave.looks = False, 0
        if wave.batch is None:
            if wave.bodies is None:
                self._again(wave)
                return
            wave.doubtful = True  # until its id is written down
            wave.batch, wave.own = form.create(wave.name, wave.bodies), True
        self._batches.made(wave.name, wave.batch)
        wave.doubtful, wave.bodies, wave.due = False, None, time.monotonic() + wave.wait
        self._progress.say(
            f"instructor: {len(wave.keys)} requests are in batch {wave.batch}; it may take a day, and the same command finds it again"
        )

    def _look(self, wave: _Wave, batch: str) -> None:
        """Ask how far a batch is, and hand out its answers when it is over."""
        form = self._at()
        state = form.state(batch)
        self._progress.at(f"batch {batch}", state.done, state.total or len(wave.keys))
        if not state.over:
            wave.wait = min(MOST, 1.5 * wave.wait)
            wave.due = time.monotonic() + wave.wait
            return
        replies: dict[str, Heard] = {}
        for key, heard in form.results(state):
            if key not in replies or replies[key].status >= 400:
                replies[key] = heard
        self._progress.end(f"batch {batch}")
        if wave.mistook(batch, replies):
            self._batches.made(wave.name, None)
        elif state.failed:
            self._failed(wave, state.failed)
        else:
            self._land(wave, state, replies)

    def _land(self, wave: _Wave, state: State, replies: dict[str, Heard]) -> None:
        lost = {key for key in wave.keys if key not in replies or replies[key].status >= 400}
        with self._lock:
            self._batches.end(wave.name, lost)
            self._open.pop(wave.name, None)
            self._landed |= {key: replies[key] for key in set(wave.keys) - lost - wave.waiting.keys()}
        self._progress.say(f"instructor: batch {wave.batch} answered {len(wave.keys) - len(lost)} of {len(wave.keys)} requests")
        for key, waiting in wave.waiting.items():
            if state.cancelled and key in lost:
                if self._gather:
                    waiting.set_exception(InstructorError(_CANCELLED.format(wave.batch, len(lost))))
                else:
                    waiting.set_result(None)
            else:
                waiting.set_result(replies.get(key, _LOST))

    def _failed(self, wave: _Wave, said: str) -> None:
        """A batch that failed as a whole: it goes again, later and in halves where the provider takes no more at a time."""
        full = "token_limit" in said or "enqueued" in said.lower()
        if full:
            self._most = max(1, min(self._most, len(wave.keys)) // 2)
            self._pause = min(LONGEST, 2 * self._pause)
            self._not_before = time.monotonic() + self._pause
        if not full or len(wave.keys) == 1:
            self._tries.update(wave.keys)
        self._again(wave, said)

    def _again(self, wave: _Wave, said: str = "") -> None:
        """Its requests are asked anew; those that were often enough end the run."""
        with self._lock:
            self._batches.end(wave.name, wave.keys)
            self._open.pop(wave.name, None)
        for key, waiting in wave.waiting.items():
            if self._tries[key] < TRIES:
                waiting.set_result(None)
            else:
                waiting.set_exception(InstructorError(f"batch {wave.batch} failed ({said}), tried {TRIES} times; {_GO_ON}"))

    def _trouble(self, wave: _Wave, error: BatchRefused) -> None:
        """A request about a batch that failed: it is made again later, or ends the run and leaves the batch as it is."""
        if wave.batch is None and error.status == 413 and len(wave.keys) > 1:
            self._most = len(wave.keys) // 2
            self._again(wave)
        elif error.passes and wave.troubles < TROUBLES:
            if told := wave.put_off(error):
                self._progress.say(told)
        else:
            raise InstructorError(_told(wave, error, self._at().base))

    def _give_up(self, error: BaseException) -> None:
        """Everybody who waits gets the error. Batches stay as they are, and are found again."""
        told = error if isinstance(error, ErrataError) else InstructorError(f"batches: {type(error).__name__}: {error}"[:300])
        with self._lock:
            waiting = [future for _, future in self._new.values()]
            waiting += [future for wave in self._open.values() for future in wave.waiting.values()]
            self._new, self._open, self._courier = {}, {}, None
        for future in waiting:
            if not future.done():
                future.set_exception(told)

    def _at(self) -> Form:
        assert self._form is not None
        return self._form


_GO_ON = "give the same command again to go on"
_CANCELLED = f"batch {{}} was cancelled at the provider, and {{}} of its requests have no answer; {_GO_ON}"
_LOST = Heard(503, [], tidied(503, json.dumps({"error": {"message": "its batch gave no answer to this request"}}).encode(), chat=True))


def _told(wave: _Wave, error: BatchRefused, base: str) -> str:
    """Why a wave cannot go on, and what helps."""
    if wave.batch is None and error.status in (404, 405):
        return f"the server at {base} has no batches ({error.said}): --set instructor.batch=false"
    if wave.batch is None:
        return f"a batch of {len(wave.keys)} requests was not taken ({error.said}); check model, key and address, and {_GO_ON}"
    if error.status == 404:
        lines = "or take the lines that name it out of its run's batches.jsonl, and its requests are sent again"
        return f"batch {wave.batch} is not known to the server ({error.said}): give the key that sent it, {lines}"
    return f"batch {wave.batch} cannot be asked for ({error.said}); {_GO_ON}: it is found again"
