"""What the calls to one server share, an instructor's or a served target's: how many are under way, how failed ones are repeated,
the error that ends them all, and that no key is printed. Does NOT cover: the calls themselves, and which failures are repeated.
"""

import os
import random
import re
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextvars import copy_context
from email.utils import parsedate_to_datetime
from typing import NamedTuple, TypeVar

from .errors import ErrataError

T = TypeVar("T")
R = TypeVar("R")

_PASSWORD = re.compile(r"://[^/\s:@]*:([^/\s@]+)@")
TIMEOUT = 600.0
"""Longest silence of a server, seconds: models that think long send nothing meanwhile."""


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
    except ValueError:
        return None


def known_keys() -> list[str]:
    """Values of the environment that look like keys, and passwords in its addresses (of servers and proxies), longest first."""
    names = ("KEY", "TOKEN", "SECRET", "PASSWORD")
    found = {value.strip() for name, value in os.environ.items() if name.upper().endswith(names)}
    found.update(match.group(1) for value in os.environ.values() for match in _PASSWORD.finditer(value))
    return sorted((value for value in found if len(value) >= 8), key=len, reverse=True)


def without_keys(text: str, keys: Sequence[str]) -> str:
    """The text without the keys, which a server may repeat in what it says."""
    for key in keys:
        text = text.replace(key, "(key)")
    return text
