"""How a run's progress is told, in plain lines; a live display and JSON lines are other forms of it (errata.programs.start).

`say` is given what stays (one line), `at` and `share` how far a step is, until its `end`, and `fact` what a program wants to read. A beat a
second tells of steps, also of one that is silent.

What is not here: what is told (errata.programs.steps), and errors, which stay one plain line in every form.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ...signatures.terminal import visible


@dataclass
class Step:
    """A step under way. Times are those of time.monotonic."""

    first: float
    """When it began."""
    began: float
    """When its length became known: what comes before, such as the start of a process, does not count in the rate."""
    base: int
    """What was done by then."""
    done: int
    total: int | None
    note: str
    told: float
    share: float = 0.0
    """How much of its work was done..."""
    at: float = 0.0
    """...at this time."""
    weighed: bool = False
    """Whether the share was told: items differ, and come in batches. Otherwise it is that of the items."""

    def rate(self) -> float:
        """Items a second."""
        return (self.done - self.base) / max(self.at - self.began, 1e-9)

    def left(self, now: float) -> float | None:
        """Seconds to its end; None: not known, or over already."""
        if not self.total or not self.share:
            return None
        left = (self.at - self.began) / self.share - (now - self.began)
        return max(0.0, left) if left > 0 or self.done == self.total else None


class Progress:
    """Plain lines: of a step under way one every ten seconds, and where there is none one every 25 seconds (`within`)."""

    every = 10.0
    """Seconds between two lines of one step."""
    silence = 25.0
    """Most seconds without a line."""

    def __init__(self, write: Callable[[str], None]):
        self.write = write
        self._steps: dict[str, Step] = {}
        self._under: list[tuple[str, float]] = []
        self._said = time.monotonic()
        self._lock = threading.RLock()

    def tell(self, line: str) -> None:
        """Write a line."""
        self._said = time.monotonic()
        self.write(line)

    def say(self, line: str) -> None:
        self.tell(visible(line))

    def at(self, title: str, done: int, total: int | None, note: str = "", width: int = 1) -> None:
        """`done` of `total` (None: not known yet) are done in this step, `width` are under way at a time. The next beat tells it: many come
        at once, and what the first of them says of the time left is wrong."""
        title, now = visible(title), time.monotonic()
        with self._lock:
            step = self._steps.get(title)
            if step is None or step.total is None:
                first = step or Step(now, now, 0, 0, None, "", now)
                step = self._steps[title] = Step(first.first, now, done, done, total, "", first.told)
            step.done, step.note = done, visible(note)
            if total and done > step.base and not step.weighed:
                ahead = total - done
                step.share, step.at = (done - step.base + min(width - 1, ahead) / 2) / (total - step.base), now

    def share(self, title: str, share: float) -> None:
        """How much of the work of a step is done, where that is known better than by its items."""
        with self._lock:
            if step := self._steps.get(visible(title)):
                step.share, step.at, step.weighed = share, time.monotonic(), True

    def step(self, title: str, step: Step, now: float) -> None:
        """Tell of a step under way."""
        self.tell(f"{title}: {', '.join(told(step, now))}")

    def end(self, title: str) -> None:
        """The step is over, done or not."""
        with self._lock:
            self._steps.pop(visible(title), None)

    def fact(self, event: str, **fields: Any) -> None:
        """Something for programs; a reader is told the same in a line of `say`."""

    @contextmanager
    def busy(self, title: str) -> Iterator[None]:
        """A step whose length is not known."""
        self.at(title, 0, None)
        try:
            yield
        finally:
            self.end(title)

    @contextmanager
    def within(self, title: str) -> Iterator[None]:
        """Beats while it lasts: steps are told when they are due, and this where no step is and nothing was told for long."""
        over = threading.Event()
        self._under.append((visible(title), time.monotonic()))
        if len(self._under) == 1:
            threading.Thread(target=self._beat, args=(over,), daemon=True).start()
        try:
            yield
        finally:
            over.set()
            self._under.pop()

    def _beat(self, over: threading.Event) -> None:
        while not over.wait(1.0):
            self.beat()

    def beat(self) -> None:
        """Tell of the steps that are due, and of what is under way where nothing was told for long."""
        now = time.monotonic()
        with self._lock:
            for title, step in self._steps.items():
                if now - step.told >= self.every:
                    step.told = now
                    self.step(title, step, now)
            if now - self._said >= self.silence and self._under:
                title, began = self._under[-1]
                self.step(title, Step(began, began, 0, 0, None, "", now), now)


def told(step: Step, now: float) -> list[str]:
    """How far a step is, in parts of a line."""
    rate, left = step.rate(), step.left(now)
    count = f"{step.done} of {step.total}" if step.total else str(step.done or "")
    speed = f"{rate:.3g} a second" if rate > 0 else ""
    time_left = f"about {span(left)} left" if left is not None else f"under way for {span(now - step.first)}"
    return [part for part in (count, speed, time_left, step.note) if part]


def span(seconds: float) -> str:
    """A time in words: 12 s, 3 min, 2 h 5 min."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
