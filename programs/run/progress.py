"""Where a run's progress is told: a live line a step on a terminal, plain lines elsewhere, JSON lines for programs, or nowhere.

`say` is given what stays (one line), `at` how far a step is, until its `end`, and `fact` what a program wants to read. All of it goes to
stderr, as it was when the teller was made, so that stdout holds the result alone.

What is not here: what is told (errata.programs.steps), and errors, which stay one plain line in every form.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TextIO

from ...signatures.terminal import visible


@dataclass
class _Step:
    began: float
    """When its length became known: what comes before, such as the start of a process, does not count in the rate."""
    base: int
    """What was done by then."""
    total: int | None
    told: float


class Progress:
    """Plain lines; of a step under way one every ten seconds."""

    every = 10.0
    """Seconds between two lines of one step."""

    def __init__(self, write: Callable[[str], None]):
        self.write = write
        self._steps: dict[str, _Step] = {}

    def say(self, line: str) -> None:
        self.write(visible(line))

    def at(self, title: str, done: int, total: int | None, note: str = "") -> None:
        """`done` of `total` are done in this step; None: how many there are is not known yet."""
        title, note, now = visible(title), visible(note), time.monotonic()
        step = self._steps.get(title)
        if step is None or step.total is None:
            step = self._steps[title] = _Step(now, done, total, step.told if step else now)
        rate = (done - step.base) / max(now - step.began, 1e-9)
        if self.due(step, now):
            step.told = now
            self.step(title, done, total, rate, note)

    def due(self, step: _Step, now: float) -> bool:
        return now - step.told >= self.every

    def step(self, title: str, done: int, total: int | None, rate: float, note: str) -> None:
        """Tell of a step under way; `rate` a second."""
        self.write(f"{title}: {', '.join(_told(done, total, rate, note)) or 'under way'}")

    def end(self, title: str) -> None:
        """The step is over, done or not."""
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


class JsonLines(Progress):
    """One JSON object a line: {"event": "said" | "step" | "settings" | "round", ...}."""

    every = 1.0

    def say(self, line: str) -> None:
        self.fact("said", text=line)

    def step(self, title: str, done: int, total: int | None, rate: float, note: str) -> None:
        left = (total - done) / rate if total and rate else None
        self.fact("step", title=title, done=done, total=total, per_second=rate, seconds_left=left, note=note)

    def fact(self, event: str, **fields: Any) -> None:
        self.write(visible(json.dumps({"event": event} | fields, ensure_ascii=False)))


class Live(Progress):
    """On a terminal: a step's line moves while it lasts, with a bar, its rate and the time left, and what is said stays above it."""

    def __init__(self, stream: TextIO):
        from rich import progress as bars
        from rich.console import Console
        from rich.table import Column

        self.console = Console(file=stream)
        super().__init__(self._print)
        column = Column(ratio=1, no_wrap=True, overflow="ellipsis")
        title = bars.TextColumn("{task.description}", markup=False, table_column=column)
        told = bars.TextColumn("{task.fields[told]}", markup=False)
        bar = [bars.BarColumn(30)] if self.console.width >= 100 else []
        self._bars = bars.Progress(title, *bar, told, console=self.console, transient=True, expand=True)
        self._shown: dict[str, Any] = {}

    def _print(self, line: str) -> None:
        from rich.text import Text

        text = Text(line)
        text.highlight_regex(r"^[^:;]{1,60}:(?= )", "bold")
        self.console.print(text, soft_wrap=True, highlight=False)

    def due(self, step: _Step, now: float) -> bool:
        return True  # the display draws at its own pace

    def step(self, title: str, done: int, total: int | None, rate: float, note: str) -> None:
        line = "  ".join(_told(done, total, rate, note))
        if title not in self._shown:
            self._shown[title] = self._bars.add_task(title, total=total, told=line)
            self._bars.start()
        self._bars.update(self._shown[title], completed=done, total=total, told=line)

    def end(self, title: str) -> None:
        title = visible(title)
        super().end(title)
        if title in self._shown:
            self._bars.remove_task(self._shown.pop(title))
        if not self._shown:
            self._bars.stop()


def teller(quiet: bool, as_json: bool) -> Progress:
    """What suits this process's stderr: nowhere when `quiet`, JSON lines, a live display on a terminal that can draw one, else lines."""
    stream = sys.stderr
    write = lambda line: None if quiet else print(line, file=stream, flush=True)  # noqa: E731
    if stream.isatty() and not quiet and not as_json:
        from rich.console import Console

        if not Console(file=stream).is_dumb_terminal:
            return Live(stream)
    return JsonLines(write) if as_json and not quiet else Progress(write)


def _told(done: int, total: int | None, rate: float, note: str) -> list[str]:
    count = f"{done} of {total}" if total else str(done or "")
    speed = f"{rate:.3g} a second" if rate > 0 else ""
    left = f"about {span((total - done) / rate)} left" if total and rate > 0 else ""
    return [part for part in (count, speed, left, note) if part]


def span(seconds: float) -> str:
    """A time in words: 12 s, 3 min, 2 h 5 min."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
