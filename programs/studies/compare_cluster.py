"""A comparison on a cluster: each arm and seed is run on a node, on one of its GPUs, and its run directory grows here meanwhile.

This process holds the lock of each run that is under way, gives the node what the run holds, and takes back what is made: finished stages
as they finish, paid answers as they are written. So a run whose node died goes on elsewhere from there, as does one of a command that was
killed, on a cluster or on one machine. No key travels: a node has its own in its environment. Neither do data: what the config names by a
path must lie under the same path on each node, and data that differ from this machine's are refused.

What is not here: the runs (errata.programs.studies.compare), the form of what travels (errata.programs.studies.carry), and nodes
(errata.programs.run.cluster).
"""

import os
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from tempfile import gettempdir, mkdtemp
from typing import Any, NamedTuple

from ...signatures import errors
from ...signatures.calls import known_keys, without_keys
from ...signatures.errors import BusyError, ErrataError, InstructorError, RunError
from ...trainers.weights import weights_hash
from ..cycle import Cycle
from ..run.cluster import Cluster, SeatLost, here
from ..run.directory import LOCK, RunDir
from .carry import SIZE, UNFINISHED, Piece, Sender, put
from .compare import DONE, VANILLA, Cell, Comparison, cells, is_done, lend, run_cell, work

LOSSES = 3
"""How often a run may lose its node before anything more of it came back; then it is set aside."""
LOOK = 0.2
"""Seconds between two looks for what a run has written."""
PATIENCE = 2.0
"""Most seconds that a node lets this process wait for news."""
LINES, LENGTH = 20, 2000
"""Most lines of progress that come at a time, the last ones, and most characters of one."""
PLACE, OLD = "errata-cell-", 60.0
"""Scratch folders begin so; those that a killed process left are removed when they are so many seconds old."""


class News(NamedTuple):
    """What came of a run since the last time."""

    lines: list[str]
    pieces: list[Piece]
    ended: bool
    failure: tuple[str, str] | None = None
    """Of a run that ended: the kind of the error, empty for a fault of ours, and what it says."""


class Desk:
    """Lives on a node, where one run is worked on in a scratch folder; all calls come from one thread of one process."""

    def __init__(self, comparison: str, cell: tuple[str, int], out: str, known: dict[str, Any]):
        """`out` is the comparison's folder where the command was given, and `known` what must be here as it is there."""
        self._comparison, self._cell = Comparison.model_validate_json(comparison), Cell(*cell)
        self._out, self._known, self._here = out, known, here()
        self._scratch, self._lock = _scratch()
        self._run = self._scratch / self._cell.name
        self._sender = Sender(self._run, DONE)
        self._said: deque[str] = deque(maxlen=LINES)
        self._failure: tuple[str, str] | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._pieces: Iterator[Piece] = iter(())
        self._full = False
        """Whether there may be more of what was seen last."""

    def take(self, pieces: list[Piece]) -> None:
        for piece in pieces:
            put(self._run, piece)

    def begin(self, folder: str) -> None:
        """Start the run, with what was taken; in the folder of the command where this node has it, so that relative paths mean the same."""
        self._sender.seen()
        with suppress(OSError):
            os.chdir(folder)
        self._say(f"{self._cell.name}: on {self._here}")
        self._thread.start()

    def news(self) -> News:
        """What is new, at most about SIZE bytes of it, waited for a little; the end is told when everything else was."""
        deadline = time.monotonic() + PATIENCE
        while True:
            if not self._full:
                self._thread.join(LOOK)  # also where there is news at once: lines come in no flood
            over = not self._thread.is_alive()
            pieces = self._new(over)
            lines = [self._said.popleft() for _ in range(len(self._said))]
            ended = over and not pieces
            if ended:
                rmtree(self._scratch, ignore_errors=True)
            if pieces or lines or ended or time.monotonic() > deadline:
                return News(lines, pieces, ended, self._failure if ended else None)

    def _new(self, over: bool) -> list[Piece]:
        taken: list[Piece] = []
        for source in (self._pieces, self._sender.pieces(over)):
            self._pieces = source
            for piece in source:
                taken.append(piece)
                self._full = sum(len(piece.data) for piece in taken) >= SIZE
                if self._full:
                    return taken
        return taken

    def _say(self, line: str) -> None:
        self._said.append(self._as_there(line)[:LENGTH])

    def _as_there(self, text: str) -> str:
        """A text with the paths that the command's user knows, and without the node's keys."""
        return without_keys(text.replace(str(self._scratch), self._out), known_keys())

    def _work(self) -> None:
        try:
            run_cell(self._comparison, self._cell, self._scratch, self._say, self._require)
        except ErrataError as error:
            keys = "; a node has the keys that were in the environment of its `ray start`" if isinstance(error, InstructorError) else ""
            self._failure = errors.kind_of(error), self._as_there(f"{error} (on {self._here}{keys})")
        except BaseException:
            self._failure = "", self._as_there(f"on {self._here}:\n{traceback.format_exc()}")

    def _require(self, loop: Cycle) -> None:
        """Raises RunError where this node has other data or weights."""
        wanted = self._known
        for what, found in _known(loop).items():
            if wanted.get(what) and found and wanted[what] != found:
                raise RunError(f"{what} are not those of the machine that gave the command: copy them to the node")


def _known(loop: Cycle) -> dict[str, Any]:
    """What must be the same where a run is worked on, by what it is called; empty of what is not known here."""
    known: dict[str, Any] = {f"the data of task {task.name}": dict(task.data) for task in loop.tasks}
    model = loop.config.target.model
    if model and Path(model).expanduser().is_dir():  # one of the hub is not fetched for that
        known[f"the weights in {model}"] = weights_hash(loop.config.target)
    return known


def _scratch() -> tuple[Path, Any]:
    """A folder of this process alone, and what shows others that it lives. What dead ones left is removed."""
    from filelock import FileLock, Timeout

    for left in Path(gettempdir()).glob(f"{PLACE}*"):
        with suppress(OSError, Timeout):
            if time.time() - left.stat().st_mtime > OLD:
                with FileLock(left / LOCK, timeout=0):
                    rmtree(left, ignore_errors=True)
    folder = Path(mkdtemp(prefix=PLACE))
    lock = FileLock(folder / LOCK)
    lock.acquire()
    return folder, lock


# ---- here


class _Stopped(Exception):
    """The command ends."""


class Runner:
    """Runs arms and seeds on a cluster, as run_cell does in this process."""

    def __init__(self, cluster: Cluster, needs: dict[str, float]):
        self._cluster, self._needs = cluster, needs
        self._lock, self._under_way = threading.Lock(), set[Cell]()
        self.full, self.over = threading.Event(), threading.Event()
        """No run is begun any more; and those under way end at once."""

    def __call__(self, comparison: Comparison, cell: Cell, out: Path, say: Callable[[str], None]) -> None:
        """Run one arm and seed to its end, somewhere. Raises BusyError while it is under way already, and what the run raised."""
        if self.full.is_set():
            raise _Stopped
        with self._lock:
            if cell in self._under_way:
                raise BusyError(f"{cell.name} is under way")
            self._under_way.add(cell)
        try:
            self._run(comparison, cell, out, say)
        finally:
            self._under_way.discard(cell)

    def _run(self, comparison: Comparison, cell: Cell, out: Path, say: Callable[[str], None]) -> None:
        loop = Cycle(comparison.config(cell.arm, cell.seed), out / cell.name, say)
        known = _known(loop)
        with RunDir(loop.path, loop.config, [(task.name, task.data) for task in loop.tasks]):
            if is_done(out, cell):
                return
            if cell.arm != VANILLA:
                lend(out / Cell(VANILLA, cell.seed).name, loop.path)
            losses = 0
            while True:
                came = 0
                try:
                    with self._cluster.seat(Desk, comparison.model_dump_json(), tuple(cell), str(out), known, **self._needs) as desk:
                        self._give(desk, loop.path)
                        for news in self._news(desk):
                            came += self._taken(news, loop.path, say)
                    return
                except SeatLost as lost:
                    losses = 1 if came else losses + 1
                    if losses >= LOSSES:
                        act = "look for what ends processes on the nodes (memory, mostly); the same command goes on"
                        raise RunError(f"its node was lost {losses} times, and nothing more came back ({lost}): {act}") from None
                    say(f"{cell.name}: its node was lost ({lost}); it is begun elsewhere, from what came back")

    def _give(self, desk: Any, run: Path) -> None:
        for left in run.glob(f"**/*{UNFINISHED}"):  # what a lost node had begun to send
            left.unlink()
        taken: list[Piece] = []
        for piece in Sender(run, DONE).pieces():
            taken.append(piece)
            if sum(len(one.data) for one in taken) >= SIZE:
                desk.ask("take", taken, going=self._going)
                taken = []
        desk.ask("take", taken, going=self._going)
        desk.ask("begin", str(Path.cwd()), going=self._going)

    def _news(self, desk: Any) -> Iterator[News]:
        while True:
            yield (news := desk.ask("news", going=self._going))
            if news.ended:
                return

    def _taken(self, news: News, run: Path, say: Callable[[str], None]) -> int:
        """Write down what came, and say how much it was. Raises what the run raised."""
        for line in news.lines:
            say(line)
        for piece in news.pieces:
            put(run, piece)
        if news.failure:
            kind, said = news.failure
            raise getattr(errors, kind)(said) if kind else RuntimeError(said)
        return len(news.pieces)

    def _going(self) -> None:
        if self.over.is_set():
            raise _Stopped


def work_on_cluster(comparison: Comparison, out: Path, cluster: Cluster, jobs: int | None, say: Callable[[str], None]) -> None:
    """`compare.work` on a cluster: as many runs at a time as it has GPUs, or, without any, CPUs; at most `jobs`. When one of them reaches a
    cap no other is begun. Raises as `work` does."""
    needs = _needs(comparison, cluster)
    places = min(jobs or 10**6, max(1, cluster.places(Desk, None, **needs)), len(cells(comparison)))
    runner, failed = Runner(cluster, needs), dict[Cell, ErrataError]()

    def worker() -> None:
        with suppress(_Stopped):
            work(comparison, out, say, runner, failed)

    with ThreadPoolExecutor(places) as pool:
        under_way = [pool.submit(worker) for _ in range(places)]
        try:
            ended, _ = wait(under_way, return_when=FIRST_EXCEPTION)
            runner.full.set()
            for one in ended:
                one.result()
            wait(under_way)
        except ErrataError:  # what is under way is let end
            wait(under_way)
            raise
        finally:
            runner.full.set()
            runner.over.set()


def _needs(comparison: Comparison, cluster: Cluster) -> dict[str, float]:
    """What a run takes of a node: GPUs for a training's devices where the config uses any and the cluster has some, else CPUs."""
    configs = [comparison.config(arm, comparison.seeds[0]) for arm in comparison.arms]
    each = float(max(config.train.devices for config in configs))
    on_cpu = all({config.target.device, config.train.device} == {"cpu"} for config in configs)
    if not on_cpu and cluster.places(Desk, None, cpus=0, gpus=1):
        return {"cpus": 1, "gpus": each}
    return {"cpus": each, "gpus": 0}
