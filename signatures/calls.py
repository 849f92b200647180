"""What the calls to one server share, an instructor's or a served target's: how many are under way, how failed ones are repeated,
the error that ends them all, and that no key is printed. Does NOT cover: the calls themselves, and which failures are repeated.
"""

import os
import random
import re
import threading
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextvars import copy_context
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import NamedTuple, TypeVar

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


class Patience(NamedTuple):
    """How failed attempts are repeated."""

    attempts: int = 6
    first: float = 1.0
    """Seconds before the second attempt; doubled each time, times a random factor of 0.5 to 1.5."""
    most: float = 120.0
    """Longest wait, seconds. A server that asks for more ends the run."""


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
        if asked is not None and asked > self.patience.most:
            return f"the server asks to wait {asked:.0f} s"
        if attempt == self.patience.attempts:
            return f"tried {attempt} times"
        own = min(self.patience.most, self.patience.first * 2 ** (attempt - 1)) * random.uniform(0.5, 1.5)
        if asked is not None:  # holds for all calls, and is never cut short
            with self._lock:
                self._not_before = max(self._not_before, time.monotonic() + asked)
            own *= 0.1  # spreads those who wait for the same moment
        self._over.wait(max(0.0, self._not_before - time.monotonic()) + own)
        return None

    def end(self, error: ErrataError) -> ErrataError:
        """The error that ends this call and all that have not been sent yet: the first that was given."""
        with self._lock:
            if self._error is None:
                self._error = error
            self._over.set()
            return self._error


def in_flight(work: Callable[[T], R], items: Sequence[T], width: int) -> Generator[tuple[T, R]]:
    """(item, work(item)) as they finish, `width` at a time, each in a copy of the caller's context.

    An error, of `work` or thrown in, stops what has not begun and waits for what is under way; an interrupt or `close` does not wait.
    """
    pool, wait = ThreadPoolExecutor(max_workers=width), True
    waiting = {pool.submit(copy_context().run, work, item): item for item in items}
    try:
        for future in as_completed(waiting):
            yield waiting[future], future.result()
    except BaseException as error:
        wait = isinstance(error, Exception)  # when interrupted, a server that is silent must not hold the user up
        raise
    finally:
        pool.shutdown(wait=wait, cancel_futures=True)


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
