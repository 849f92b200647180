"""Runs untrusted Python programs under limits and hands back JSON rows; nothing else of a program reaches the host.

    with open_sandbox() as sandbox:
        run = sandbox.run("def double(x): return 2 * x", "def main(program, x): yield program.double(x)", 21)
        assert run.outcome == "ok" and run.rows == (42,)

`source` is untrusted. It is executed as a real module named `program`. `harness` is the host's own text; it defines
`main(program, payload)`, a generator of JSON-able rows, runs in the same interpreter after the program has loaded, and
finds a helper `describe(exception) -> str` there, one line with the program's line, for rows that it wants to fail one
by one.

Promises, each with an attack test in tests/sandbox/test_attacks.py:
- time, memory, rows, bytes of rows and bytes printed are bounded by `Limits`; whatever runs over ends with its own
  outcome,
- a program reads and writes no file, starts no process, opens no socket, sends no signal, and sees nothing of the
  environment,
- every program meets a fresh interpreter: nothing that one leaves behind reaches the next,
- rows are checked on this side: JSON only, finite numbers, no lone surrogate, at most `DEPTH` deep. `rows` is empty
  unless all is well,
- no program can make `run` raise, hang, or answer for another program,
- the same (source, harness, payload) gives the same bytes on every machine, and they are
  native CPython's, except that functions of the C library (sin, cos, exp, cbrt ...) may differ from another library's
  in the last bit,
- workers end with their parent, however it ends.

NOT covered: a program can forge its own rows (it shares the interpreter with the harness), so what the host wants kept
secret, such as expected answers, must not be in the payload or the harness. Side channels, and faults in wasmtime.

Which files do it: worker.py (the process) runs guest.py (inside the component) behind the kernel's walls (restrict.py); process.py is the
parent's side of a worker, component.py the compiled artifact, limits.py what a program may use and the check of what it answers.
"""

import json
import os
import queue
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from ..signatures.errors import SandboxError
from ..signatures.records import ProgramRun
from .component import Component
from .limits import Limits, judge
from .process import WorkerProcess

SOURCE_BYTES = 1 << 20
"""Longest source that is looked at, in bytes."""


@dataclass(frozen=True)
class Job:
    """One call of `Sandbox.run`, for `Sandbox.map`."""

    source: str
    harness: str
    payload: Any = None
    limits: Limits = field(default_factory=Limits)


class Sandbox:
    """A pool of places to run programs in. Thread-safe: `run` blocks, and as many threads run at once as there are
    workers.

    Made by `open_sandbox`; a context manager. Cannot be used after `close`, nor in a forked child (SandboxError).
    """

    def __init__(self, workers: int, start: Callable[[], WorkerProcess]) -> None:
        self.workers = workers
        self._start = start
        self._pid = os.getpid()
        self._closed = False
        self._live: set[WorkerProcess] = set()
        self._free: queue.LifoQueue[WorkerProcess | None] = queue.LifoQueue()
        for _ in range(workers - 1):
            self._free.put(None)
        self._free.put(self._new())  # raises here, not at the first program
        weakref.finalize(self, _end_all, self._live)

    def run(self, source: str, harness: str, payload: Any = None, limits: Limits = Limits()) -> ProgramRun:
        """Run one program.

        Outcomes: `ok`; `error` (it did not load, the harness raised, or a row is not JSON: `error` says what and on
        which line); `timeout`; `memory`; `output` (too many or too long rows, or too much printed); `crash` (the
        interpreter was destroyed, in two workers one after the other: one may have been killed from outside).

        Raises:
            SandboxError: the sandbox is closed or cannot start a worker. Nothing that a program does raises.
            TypeError, ValueError: `payload` is not JSON.
        """
        if len(source.encode("utf-8", "surrogatepass")) > SOURCE_BYTES:
            return ProgramRun(outcome="error", error=f"the source is longer than {SOURCE_BYTES} bytes")
        request = json.dumps(
            {
                "source": source,
                "harness": harness,
                "payload": payload,
                "rows": limits.rows,
                "output_bytes": limits.output_bytes,
                "print_bytes": limits.print_bytes,
                "seconds": limits.seconds,
                "memory_mb": limits.memory_mb,
            },
            allow_nan=False,
        ).encode()
        if os.getpid() != self._pid:
            raise SandboxError("a sandbox cannot be used in a forked process: open another one there")
        worker = self._free.get()
        try:
            answer, seconds = b"X", 0.0
            if worker is not None:
                answer, seconds = _asked(worker, request, limits)
                if answer[:1] == b"X" and not self._closed:  # by the program, or killed from outside, perhaps while it was idle
                    self._drop(worker)
                    worker = None
            if worker is None:
                worker = self._new()
                answer, seconds = _asked(worker, request, limits)
            if self._closed:
                raise SandboxError("the sandbox was closed while a program ran")
            if answer[:1] in b"XK":  # the process is gone: the next program gets a new one
                self._drop(worker)
                worker = None
            return judge(answer, seconds, limits)
        except BaseException:
            # Also Ctrl-C: a worker in the middle of a program cannot be used again.
            if worker is not None:
                self._drop(worker)
                worker = None
            raise
        finally:
            self._free.put(worker)

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers that are alive."""
        return sorted(worker.pid for worker in tuple(self._live) if worker.alive())

    def map(self, jobs: Iterable[Job]) -> Iterator[ProgramRun]:
        """Run many programs, `workers` at a time; the runs come in the order of the jobs, which are read as needed."""
        with ThreadPoolExecutor(self.workers) as threads:
            waiting: deque[Future[ProgramRun]] = deque()
            for job in jobs:
                waiting.append(threads.submit(self.run, job.source, job.harness, job.payload, job.limits))
                if len(waiting) > 2 * self.workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def close(self) -> None:
        """End all workers; a program that is running ends with a SandboxError in its thread."""
        self._closed = True
        for worker in tuple(self._live):
            worker.end()
        for _ in range(self._free.qsize()):
            try:
                idle = self._free.get_nowait()
            except queue.Empty:
                break
            if idle is not None:
                self._drop(idle)
            self._free.put(None)

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _new(self) -> WorkerProcess:
        if self._closed:
            raise SandboxError("the sandbox is closed: open another one")
        worker = self._start()
        self._live.add(worker)
        return worker

    def _drop(self, worker: WorkerProcess) -> None:
        worker.drop()
        self._live.discard(worker)


def _asked(worker: WorkerProcess, request: bytes, limits: Limits) -> tuple[bytes, float]:
    """Its answer, and the seconds that it took."""
    started = time.monotonic()
    return worker.ask(request, limits), time.monotonic() - started


def _end_all(workers: set[WorkerProcess]) -> None:
    for worker in tuple(workers):
        worker.drop()


def open_sandbox(workers: int | None = None) -> Sandbox:
    """Open a sandbox and start its first worker.

    Args:
        workers: how many programs run at once; one a core when None.

    Raises:
        SandboxError: it does not work here; the message holds the command that mends it.
    """
    if workers is None:
        workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if workers < 1:
        raise SandboxError(f"workers is {workers}: it must be at least 1")
    return Sandbox(workers, Component().start)
