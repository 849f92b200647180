"""What the calls to one server share, an instructor's or a served target's: how many are under way, how failed ones are repeated,
the error that ends them all, and that no key is printed. Does NOT cover: the calls themselves, and which failures are repeated.
"""

import os
import random
import re
import threading
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from contextvars import copy_context
from email.utils import parsedate_to_datetime
from functools import lru_cache
from statistics import median
from typing import NamedTuple, Self, TypeVar

from .errors import ErrataError
from .terminal import UNSEEN

T = TypeVar("T")
R = TypeVar("R")

_PASSWORD = re.compile(r"://[^/\s:@]*:([^/\s@]+)@")
TIMEOUT = 600.0
"""Longest time of a whole reply, seconds: models that think long send nothing meanwhile."""

PASSING = (408, 409, 425, 429)
"""Status codes below 500 that pass by themselves."""
REFUSED = (400, 413, 422)
"""Status codes of a request that the server does not take, which may be about its one question."""
REFUSALS = 5
"""Questions that a server may refuse in any case, once it has answered another."""


START, CEILING = 8, 256
"""Calls under way at the same time that a growing number begins with, and its most: 256 calls take 512 threads."""
WAVE = 2000
"""Requests of a provider batch, each of which a thread waits for; a wave that is wider goes in several."""
SLOWER = 2.0
"""A growing number grows no further where answers take this many times as long as they did at best."""
ALIKE = 100
"""Tokens that are added to those of an answer before its seconds are divided by them: what a call takes for reading the question."""


class Patience(NamedTuple):
    """How failed attempts are repeated."""

    attempts: int = 6
    first: float = 1.0
    """Seconds before the second attempt; doubled each time, times a random factor of 0.5 to 1.5."""
    most: float = 120.0
    """Longest wait, seconds. A server that asks for more ends the run."""

    def pause(self, attempt: int, asked: float | None) -> float | str:
        """Seconds to wait after the failed attempt of this number, or why no other follows. `asked`: the wait in seconds that the server
        wants; the caller keeps it, and this one on top spreads those who wait for the same moment."""
        if asked is not None and asked > self.most:
            return f"the server asks to wait {asked:.0f} s"
        if attempt >= self.attempts:
            return f"tried {attempt} times"
        own = min(self.most, self.first * 2 ** (attempt - 1)) * random.uniform(0.5, 1.5)
        return own if asked is None else own * 0.1


class Pace:
    """The waits that all calls to one server share, and the error that ends them. Thread-safe."""

    def __init__(self, patience: Patience):
        self.patience = patience
        self._lock = threading.Lock()
        self._not_before = 0.0
        self._over = threading.Event()
        self._error: ErrataError | None = None

    def ready(self) -> None:
        """Return when the server may be asked. Raises the error that ended the calls."""
        while not self._over.is_set() and (rest := self._not_before - time.monotonic()) > 0:
            self._over.wait(rest)
        if self._error is not None:
            raise self._error

    def again(self, attempt: int, asked: float | None) -> str | None:
        """After the failed attempt of this number: wait for the next one, or say at once why no other follows. `asked`: the wait in
        seconds that the server wants."""
        own = self.patience.pause(attempt, asked)
        if isinstance(own, str):
            return own
        if asked is not None:  # holds for all calls, and is never cut short
            with self._lock:
                self._not_before = max(self._not_before, time.monotonic() + asked)
        self._over.wait(max(0.0, self._not_before - time.monotonic()) + own)
        return None

    def end(self, error: ErrataError) -> ErrataError:
        """The error that ends this call and all that have not been sent yet: the first that was given."""
        with self._lock:
            if self._error is None:
                self._error = error
            self._over.set()
            return self._error


class Slots(AbstractContextManager["Slots"]):
    """How many calls to one server are under way: `with slots:` around each. A fixed number, or one that follows TCP (RFC 5681): one
    more for each answer until the first sign that it is too much, then one more for as many answers as it is; half, of at least one,
    after a call that the server had no room for. Where the seconds a token of as many answers, their median, are more than SLOWER times
    those at best, it goes back to where they would be just that much (Little's law), but not below START. Thread-safe."""

    def __init__(self, width: int | None):
        """`width`: the fixed number; None: from START on, at most CEILING."""
        self.grows, self.limit = width is None, float(width or START)
        self.most, self.halved = int(self.limit), 0
        self._free = threading.Condition()
        self.busy, self._cut = 0, 0.0
        self._steep, self._slow = True, False
        self._best, self._round, self._wanted = float("inf"), list[float](), int(self.limit)

    def __enter__(self) -> Self:
        with self._free:
            self._free.wait_for(lambda: self.busy < int(self.limit))
            self.busy += 1
        return self

    def __exit__(self, *_: object) -> None:
        with self._free:
            self.busy -= 1
            self._free.notify()

    def answered(self, seconds: float, tokens: int) -> None:
        """Of a call under way: it was answered, with so many tokens."""
        with self._free:
            if not self.grows:
                return
            self._round.append(seconds / (tokens + ALIKE))
            if len(self._round) >= self._wanted:
                pace = median(self._round)
                self._round.clear()
                self._best = min(self._best, pace)
                self._slow = pace > SLOWER * self._best
                if self._slow:
                    self._steep = False
                    self.limit = min(self.limit, max(START, self.limit * SLOWER * self._best / pace))
                self._wanted = max(START, int(self.limit))
            if self.busy >= int(self.limit) and not self._slow:  # it is what holds calls back
                self.limit = min(CEILING, self.limit + (1 if self._steep else 1 / self.limit))
                self.most = max(self.most, int(self.limit))
                self._free.notify()

    def refused(self, began: float) -> None:
        """Of a call under way that began then (time.monotonic): the server had no room for it, or it came to no end in time."""
        with self._free:
            if self.grows and began >= self._cut:  # those that were under way together are one sign
                self.limit, self._cut, self._steep = max(1.0, self.limit // 2), time.monotonic(), False
                self.halved += 1

    @property
    def told(self) -> str:
        """What a growing number came to; empty of a fixed one."""
        halved = f", halved {self.halved} times by rate limits, overload or timeouts" if self.halved else ""
        return f"{int(self.limit)} calls at a time (at most {self.most}{halved})" if self.grows else ""


_LOOK = 5.0
"""Seconds after which a wait begins anew."""


def _finished(futures: Iterable[Future[R]]) -> Iterator[Future[R]]:
    """As `as_completed`, but no wait is endless: a signal that comes just before one begins would be seen when it ends (CPython waits for a
    lock without looking first)."""
    left = dict.fromkeys(futures)
    while left:
        try:
            for future in as_completed(left, timeout=_LOOK):
                del left[future]
                yield future
        except TimeoutError:
            continue


def in_flight(work: Callable[[T], R], items: Sequence[T], width: int) -> Generator[tuple[T, R]]:
    """(item, work(item)) as they finish, `width` at a time, each in a copy of the caller's context.

    An error, of `work` or thrown in, stops what has not begun and waits for what is under way; an interrupt or `close` does not wait.
    """

    def worked(item: T) -> R:
        _WORKING.add(me := threading.get_ident())
        try:
            return work(item)
        finally:
            _WORKING.discard(me)

    pool, wait = ThreadPoolExecutor(max_workers=width), True
    waiting = {pool.submit(copy_context().run, worked, item): item for item in items}
    try:
        for future in _finished(waiting):
            yield waiting[future], future.result()
    except BaseException as error:
        wait = isinstance(error, Exception)  # when interrupted, a server that is silent must not hold the user up
        raise
    finally:
        pool.shutdown(wait=wait, cancel_futures=True)


_WORKING: set[int] = set()


def at_work() -> int:
    """Threads of this process that `in_flight` keeps at work, those included that wait for an answer."""
    return len(_WORKING)


def asked_wait(retry_after: str | None) -> float | None:
    """Seconds that a Retry-After header asks for, as a number or a date; None without a readable one."""
    if not retry_after:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def known_keys() -> list[str]:
    """Values of the environment that look like keys, and passwords in its addresses (of servers and proxies), longest first."""
    names = ("KEY", "TOKEN", "SECRET", "PASSWORD")
    found = {value.strip() for name, value in os.environ.items() if name.upper().endswith(names)}
    found.update(match.group(1) for value in os.environ.values() for match in _PASSWORD.finditer(value))
    return sorted((value for value in found if len(value) >= 8), key=len, reverse=True)


def without_keys(text: str, keys: Sequence[str]) -> str:
    """The text without the keys, which a server may repeat in what it says, also broken by blanks, percent-encoded, as hex or as base64."""
    for key in keys:
        text = _forms(key).sub("(key)", text)
    return text


@lru_cache(maxsize=64)
def _forms(key: str) -> re.Pattern[str]:
    """Matches a key in every form in which it is told."""
    data = key.encode("utf-8", "surrogatepass")
    found = {data.hex(), data.hex().upper()}
    for before in range(3):  # a key inside a longer text begins at any of three places of a group; what its neighbours decide is left out
        for encode in (b64encode, urlsafe_b64encode):
            text = encode(b" " * before + data).decode().rstrip("=")
            found.add(text[(0, 2, 3)[before] : len(text) - bool((before + len(data)) % 3)])
    letters = [f"(?:{re.escape(one)}|{''.join(f'%{byte:02x}' for byte in one.encode('utf-8', 'surrogatepass'))})" for one in key]
    broken = r"[\s\u200b-\u200d\ufeff]{0,3}".join(letters)
    return re.compile("|".join([f"(?i:{broken})", *map(re.escape, sorted(found, key=len, reverse=True))]))


_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])?")


def plain(text: str) -> str:
    """The text as one line that changes nothing about a terminal: without escape sequences and characters that are not seen."""
    return UNSEEN.sub("", " ".join(_ESCAPES.sub("", text).split()))
