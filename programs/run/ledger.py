"""What the instructor was asked, what it answered and what that cost: one append-only file in the run directory, and sums over it.

Each line of the file is one event: an answer (under the hash of the whole request), an attempt that failed, or an answer that was taken
from the file instead of the server. The sums are those of the lines, so after a kill they are as right as the file. Caps are checked before
each attempt; a call that is under way when a cap is reached is finished and kept.

What is not here: calls and prices (errata.programs.instructor), and estimates (errata.programs.rehearse). Lines are flushed to the
operating system, not to the disk: a killed process loses none, a power cut may lose the last ones.
"""

import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ...signatures.errors import BudgetReached, ErrataError
from ...signatures.records import sealed, unsealed
from ..config import Budget
from .batches import Batches
from .directory import Lines, to_json, write_atomic
from .layout import ANSWERS, BATCHES, SPENT


@dataclass(frozen=True)
class Answer:
    """One answer of an instructor, as it is kept."""

    text: str
    finish: str
    """`stop`, `length` (cut at the token limit), `content_filter`, or what else the provider says."""
    tokens_in: int
    tokens_out: int
    reported: bool
    """Whether the server counted the tokens; if not, they are approximated by the length of the text."""
    usd: float | None
    """None: no price is known."""
    refusal: str = ""

    @property
    def fault(self) -> Literal["refused", "truncated"] | None:
        """Why the answer cannot be used, whatever it says."""
        if self.refusal or self.finish == "content_filter":
            return "refused"
        return "truncated" if self.finish == "length" else None


@dataclass
class Sums:
    """What one stage asked for."""

    calls: int = 0
    """Answers that came from the server."""
    failed: int = 0
    """Attempts that failed, whether or not they were repeated."""
    cached: int = 0
    """Answers taken from the file."""
    tokens_in: int = 0
    tokens_out: int = 0
    approximated: int = 0
    """Answers whose tokens the server did not count."""
    usd: float | None = 0.0
    """None: at least one answer has no known price."""

    def __add__(self, other: "Sums") -> "Sums":
        usd = None if self.usd is None or other.usd is None else self.usd + other.usd
        return Sums(**{name: value + getattr(other, name) for name, value in vars(self).items() if name != "usd"}, usd=usd)

    def document(self) -> dict[str, Any]:
        """For JSON and tables: an unknown cost is `unknown`, never 0."""
        return asdict(self) | {"usd": "unknown" if self.usd is None else round(self.usd, 6)}


def read_ledger(run: Path) -> dict[str, Any]:
    """The sums of a run directory, also of a run that was killed; no stages when no instructor was called."""
    return Ledger(run).document()


class Ledger(AbstractContextManager["Ledger"]):
    """The answers and sums of one run, for all stages and threads of a process; the run's lock keeps other processes out."""

    def __init__(self, run: Path | None, budget: Budget | None = None):
        """`run` is the run directory; None keeps all in memory. Raises RunError when a line is damaged."""
        self.path = None if run is None else run / ANSWERS
        self.budget = budget or Budget()
        self.started = time.monotonic()
        self._stages: dict[str, Sums] = defaultdict(Sums)
        self._answers: dict[str, Answer] = {}
        self._paid = 0.0
        """USD for the answers whose price is known."""
        self._lines = (
            Lines(self.path, lambda line, _: self._add(json.loads(line)), "delete that line (its answer is asked for again)")
            if self.path
            else None
        )
        self._lock = threading.RLock()
        self._asking: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._under_way = 0
        self._expected: dict[str, tuple[int, float]] = {}
        self._expects = (0, 0.0)
        self._batches: Batches | None = None

    @property
    def batches(self) -> Batches:
        """Which requests were sent in provider batches. Raises RunError when a line of their file is damaged."""
        with self._lock:
            self._batches = self._batches or Batches(self.path and self.path.with_name(BATCHES))
            return self._batches

    @property
    def has_batches(self) -> bool:
        return self._batches is not None or (self.path is not None and self.path.with_name(BATCHES).exists())

    def tokens_out(self, usual: int) -> int:
        """Tokens of an answer, the mean of those that are kept; `usual` where there are none."""
        with self._lock:
            total = sum(self._stages.values(), Sums())
        return round(total.tokens_out / total.calls) if total.calls else usual

    @property
    def answers(self) -> int:
        """Answers that are kept."""
        return len(self._answers)

    def check_time(self) -> None:
        """Raises BudgetReached when the cap on time is reached; for steps that ask no instructor."""
        self._check(Sums())

    @contextmanager
    def asking(self, key: str) -> Iterator[Answer | None]:
        """The answer that is kept under `key`; None: the caller must ask, and others who want the same wait until it has."""
        with self._lock:
            lock = self._asking[key]
        with lock:
            yield self._answers.get(key)

    @contextmanager
    def attempt(self, stage: str, key: str = "", tokens: int = 0, usd: float = 0.0) -> Iterator[None]:
        """Put this around the sending of one request. Raises BudgetReached instead when a cap is reached, or would be by what is under way;
        of the request `key`, `tokens` in and out and `usd` are expected. An attempt that raises is counted as failed (after an ErrataError
        nothing was sent, or what was sent goes on); the answer of any other must be given to `keep`."""
        with self._lock:
            under_way = Sums(calls=self._under_way, tokens_in=self._expects[0])
            self._check(sum(self._stages.values(), under_way), self._paid + self._expects[1])
            self._under_way += 1
            self._expected[key] = tokens, usd
            self._expects = (self._expects[0] + tokens, self._expects[1] + usd)
        try:
            yield
        except ErrataError:
            with self._lock:
                self._ended(key)
            raise
        except BaseException as error:
            self._write({"stage": stage, "failed": type(error).__name__}, key)
            raise

    def keep(self, stage: str, key: str, answer: Answer) -> None:
        """Write the answer of an attempt."""
        self._write({"stage": stage, "key": key, "answer": vars(answer)}, key)

    def reuse(self, stage: str, key: str) -> None:
        """Count an answer that was taken from the file."""
        self._write({"stage": stage, "cached": key})

    def document(self) -> dict[str, Any]:
        """Sums by stage, and their total."""
        with self._lock:
            total = sum(self._stages.values(), Sums())
            return {"stages": {name: sums.document() for name, sums in self._stages.items()}, "total": total.document()}

    def close(self) -> None:
        """Close the file and write the sums beside it, for readers; also when an earlier start was killed before it could."""
        for one in (self._lines, self._batches):
            if one:
                one.close()
        if self.path and self._stages:
            sums, path = to_json(self.document()), self.path.with_name(SPENT)
            if not path.exists() or path.read_bytes() != sums:
                write_atomic(path, sums)

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check(self, spent: Sums, usd: float = 0.0) -> None:
        """Raises BudgetReached when a cap is reached. Calls, tokens and `usd`, where a price is known, count over all starts of the run."""
        caps, sent, tokens, reached = self.budget, spent.calls + spent.failed, spent.tokens_in + spent.tokens_out, ""
        more = " or expected of what is under way" if self._expects[0] else ""
        if caps.max_calls is not None and sent >= caps.max_calls:
            reached = f"the cap of {caps.max_calls} calls is reached ({sent} sent); give a higher --max-calls"
        elif caps.max_tokens is not None and tokens >= caps.max_tokens:
            reached = f"the cap of {caps.max_tokens} tokens is reached ({tokens} used{more}); give a higher --max-tokens"
        elif caps.max_cost is not None and usd >= caps.max_cost:
            reached = f"the cap of {caps.max_cost:g} USD is reached ({usd:.4f} spent{more}); give a higher --max-cost"
        elif caps.max_time is not None and time.monotonic() - self.started >= caps.max_time:
            reached = f"the cap of {caps.max_time:g} seconds is reached; give the same command again"
        if reached:
            raise BudgetReached(f"{reached} to go on: what is done is kept")

    def _add(self, line: dict[str, Any]) -> None:
        line = unsealed(line)
        if "failed" in line:
            more = Sums(failed=1)
        elif "cached" in line:
            more = Sums(cached=1)
        else:
            answer = self._answers[line["key"]] = Answer(**line["answer"])
            self._paid += answer.usd or 0.0
            more = Sums(1, 0, 0, answer.tokens_in, answer.tokens_out, int(not answer.reported), answer.usd)
        self._stages[line["stage"]] += more

    def _ended(self, key: str) -> None:
        """An attempt is no longer under way."""
        self._under_way -= 1
        tokens, usd = self._expected.pop(key, (0, 0.0))
        self._expects = (self._expects[0] - tokens, self._expects[1] - usd)

    def _write(self, line: dict[str, Any], ended: str | None = None) -> None:
        """`ended`: the attempt of this key is over. Both are booked under one lock, or a cap could seem reached too early."""
        data = json.dumps(sealed(line), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
        with self._lock:
            if ended is not None:
                self._ended(ended)
            if self._lines:
                self._lines.add(data)
            self._add(line)
