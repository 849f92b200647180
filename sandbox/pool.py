"""Runs untrusted Python programs under limits and hands back JSON rows; nothing else of a program reaches the host.

    with open_sandbox() as sandbox:
        run = sandbox.run("def double(x): return 2 * x", "def main(program, x): yield program.double(x)", 21)
        assert run.outcome == "ok" and run.rows == (42,)

`source` is untrusted. It is executed as a real module named `program`. `harness` is the host's own text; it defines
`main(program, payload)`, a generator of JSON-able rows, runs in the same interpreter after the program has loaded, and
finds a helper `describe(exception) -> str` there, one line with the program's line, for rows that it wants to fail one
by one.

Promises, each with an attack test in tests/test_sandbox*.py:
- time, memory, rows, bytes of rows and bytes printed are bounded by `Limits`; whatever runs over ends with its own
  outcome,
- a program reads and writes no file, starts no process, opens no socket, sends no signal, and sees nothing of the
  environment,
- every program meets a fresh interpreter: nothing that one leaves behind reaches the next,
- rows are checked on this side: JSON only, finite numbers, no lone surrogate, at most `DEPTH` deep. `rows` is empty
  unless all is well,
- no program can make `run` raise, hang, or answer for another program,
- with the `wasi` backend, the same (source, harness, payload) gives the same bytes on every machine, and they are
  native CPython's, except that functions of the C library (sin, cos, exp, cbrt ...) may differ from another library's
  in the last bit,
- workers end with their parent, however it ends.

NOT covered: a program can forge its own rows (it shares the interpreter with the harness), so what the host wants kept
secret, such as expected answers, must not be in the payload or the harness. Side channels, and faults in wasmtime or
the kernel.
"""

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import queue
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, Protocol

from ..signatures.errors import SandboxError
from ..signatures.records import ProgramRun

DEPTH = 64
"""Deepest nesting of lists and dicts in a row."""
SOURCE_BYTES = 1 << 20
"""Longest source that is looked at, in bytes."""
GRACE = 2.0
"""Seconds that a worker may overrun its own deadline before it is killed."""
_START_SECONDS = 60.0
_KEPT = 3
_HERE = Path(__file__).resolve().parent
_MEND = "reinstall it with `pip install --force-reinstall 'wasmtime>=50,<51'`"


@dataclass(frozen=True)
class Limits:
    """What one program may use."""

    seconds: float = 10.0
    """Wall-clock time for loading the program and running the harness, seconds."""
    memory_mb: int = 256
    """Memory, MiB; with `wasi` it includes the interpreter's own 25."""
    output_bytes: int = 4 << 20
    """All rows together, as JSON bytes."""
    rows: int = 100_000
    """Number of rows."""
    print_bytes: int = 1 << 20
    """What it may print on both streams together, bytes; the last 2,000 characters are kept in `stderr_tail`."""

    def __post_init__(self) -> None:
        for name, least, most in (
            ("seconds", 0.05, 3600),
            ("memory_mb", 32, 4096),
            ("output_bytes", 2, 256 << 20),
            ("rows", 0, 10**7),
            ("print_bytes", 0, 256 << 20),
        ):
            if not least <= getattr(self, name) <= most:
                raise SandboxError(f"the limit {name} is {getattr(self, name)}: it must be from {least} to {most}")


@dataclass(frozen=True)
class Job:
    """One call of `Sandbox.run`, for `Sandbox.map`."""

    source: str
    harness: str
    payload: Any = None
    limits: Limits = Limits()


class _Runner(Protocol):
    """One place where a program can run. Answers with a status byte (see worker.py) and the guest's text; `X` is a dead
    process."""

    walls: str

    def ask(self, request: bytes, limits: Limits) -> bytes: ...

    def alive(self) -> bool:
        """Whether it can be asked."""

    def end(self) -> None:
        """Kill the process; from any thread."""

    def drop(self) -> None:
        """Kill the process and let go of its pipes; from the thread that uses it."""


class Sandbox:
    """A pool of places to run programs in. Thread-safe: `run` blocks, and as many threads run at once as there are
    workers.

    Made by `open_sandbox`; a context manager. Cannot be used after `close`, nor in a forked child (SandboxError).
    """

    def __init__(self, workers: int, start: Any, backend: str) -> None:
        self.workers = workers
        self.backend = backend
        """`wasi`, `linux`, or `rlimits` (no isolation)."""
        self._start = start
        self._pid = os.getpid()
        self._closed = False
        self._live: set[_Runner] = set()
        self._free: queue.LifoQueue[_Runner | None] = queue.LifoQueue()
        for _ in range(workers - 1):
            self._free.put(None)
        first = self._new()  # raises here, not at the first program
        self.walls: str = first.walls
        """The kernel's walls around a worker, e.g. `landlock,seccomp`; empty where there are none."""
        self._free.put(first)
        weakref.finalize(self, _end_all, self._live)

    def run(self, source: str, harness: str, payload: Any = None, limits: Limits = Limits()) -> ProgramRun:
        """Run one program.

        Outcomes: `ok`; `error` (it did not load, the harness raised, or a row is not JSON: `error` says what and on
        which line); `timeout`; `memory`; `output` (too many or too long rows, or too much printed); `crash` (the
        interpreter was destroyed).

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
        runner = self._free.get()
        try:
            if runner is not None and not runner.alive():  # killed from outside while it was idle
                self._drop(runner)
                runner = None
            if runner is None:
                runner = self._new()
            started = time.monotonic()
            answer = runner.ask(request, limits)
            seconds = time.monotonic() - started
            if self._closed:
                raise SandboxError("the sandbox was closed while a program ran")
            if answer[:1] == b"F":
                raise SandboxError(f"the sandbox cannot isolate a program any more: {answer[1:].decode('utf-8', 'replace')}")
            if answer[:1] in b"XK":  # the process is gone: the next program gets a new one
                self._drop(runner)
                runner = None
            return _judge(answer, seconds, limits)
        except BaseException:
            # Also Ctrl-C: a worker in the middle of a program cannot be used again.
            if runner is not None:
                self._drop(runner)
                runner = None
            raise
        finally:
            self._free.put(runner)

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
        for runner in tuple(self._live):
            runner.end()
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

    def _new(self) -> _Runner:
        if self._closed:
            raise SandboxError("the sandbox is closed: open another one")
        runner: _Runner = self._start()
        self._live.add(runner)
        return runner

    def _drop(self, runner: _Runner) -> None:
        runner.drop()
        self._live.discard(runner)


def _end_all(runners: set[_Runner]) -> None:
    for runner in tuple(runners):
        runner.drop()


# What comes back is judged --------------------------------------------------------------------------------------------


def _judge(answer: bytes, seconds: float, limits: Limits) -> ProgramRun:
    """The run that an answer tells of; believes nothing that it did not check."""
    status = answer[:1]
    if status in b"TK" and status:
        return ProgramRun(outcome="timeout", seconds=seconds, error=f"it ran longer than {limits.seconds:g} s")
    if status == b"M":
        return ProgramRun(outcome="memory", seconds=seconds, error=f"{limits.memory_mb} MiB do not hold the interpreter")
    if status == b"O":
        return ProgramRun(outcome="output", seconds=seconds, error=f"its answer takes more than {limits.output_bytes} bytes")
    if status != b"G":
        what = _clean(answer[1:].decode("utf-8", "replace"), 300) or "its process ended"
        return ProgramRun(outcome="crash", seconds=seconds, error=f"the program destroyed its interpreter: {what}")
    try:
        frame = json.loads(answer[1:], parse_constant=_no_constant)
        outcome, error, tail, rows = (frame[name] for name in ("outcome", "error", "tail", "rows"))
        if not (
            outcome in ("ok", "error", "memory", "output") and isinstance(error, str) and isinstance(tail, str) and isinstance(rows, list)
        ):
            raise ValueError(outcome)
    except (ValueError, KeyError, TypeError, RecursionError):
        return ProgramRun(outcome="crash", seconds=seconds, error="what the program left behind is not an answer")
    if outcome == "ok":
        outcome, error = _fault(rows, len(answer), limits) or ("ok", "")
    return ProgramRun(
        outcome=outcome,
        rows=tuple(rows) if outcome == "ok" else (),
        seconds=seconds,
        error=_clean(error, 1000),
        stderr_tail=_clean(tail[-2000:], 2000),
    )


def _fault(rows: list[Any], size: int, limits: Limits) -> tuple[str, str] | None:
    """What is wrong with rows that claim to be fine, as (outcome, error)."""
    if len(rows) > limits.rows:
        return "output", f"it yielded more than {limits.rows} rows"
    if size > limits.output_bytes + (64 << 10):
        return "output", f"its rows take more than {limits.output_bytes} bytes"
    for index, row in enumerate(rows):
        if not _shallow(row, DEPTH):
            return "error", f"row {index} is nested more than {DEPTH} deep"
    try:
        json.dumps(rows, allow_nan=False, ensure_ascii=False).encode()  # 1e999 and lone surrogates stand in valid JSON
    except ValueError:
        for index, row in enumerate(rows):
            try:
                json.dumps(row, allow_nan=False, ensure_ascii=False).encode()
            except UnicodeEncodeError:
                return "error", f"row {index} holds a lone surrogate"
            except ValueError:
                return "error", f"row {index} holds a number that is not finite"
    return None


def _shallow(value: Any, left: int) -> bool:
    if type(value) is dict:
        value = value.values()
    elif type(value) is not list:
        return True
    return left > 0 and all(_shallow(item, left - 1) for item in value if type(item) in (dict, list))


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _clean(text: str, length: int) -> str:
    """The first `length` characters, fit to be printed: no lone surrogates, no terminal escapes."""
    text = text[:length]
    return text if text.isprintable() else "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)


# Where programs run ---------------------------------------------------------------------------------------------------


def _python(flags: list[str], paths: list[Path], module: str, arguments: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start `module.main(arguments)` of this package in a process group of its own, without the parent's __main__ or
    environment."""
    script = f"import sys; sys.path[:0] = {[str(path) for path in paths]!r}; from {_HERE.name}.{module} import main; main({arguments!r})"
    for name in ("SYSTEMROOT", "LD_LIBRARY_PATH"):  # what Python itself may need to start
        if name in os.environ:
            environment = {name: os.environ[name], **environment}
    try:
        return subprocess.Popen(
            [sys.executable, *flags, "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd=Path(sys.executable).anchor,
            start_new_session=True,
            bufsize=0,
        )
    except OSError as error:
        raise SandboxError(f"no process can be started for the sandbox ({error}): free some memory or processes") from error


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and its group, and wait for it."""
    if process.poll() is None:
        if hasattr(os, "killpg"):
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except OSError:
                pass
        process.kill()
    process.wait()


def _drop(process: subprocess.Popen[bytes]) -> None:
    _end(process)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def _read(pipe: IO[bytes], count: int) -> bytes:
    """Up to `count` bytes; fewer when the pipe ends."""
    data = bytearray()
    while len(data) < count:
        part = pipe.read(min(count - len(data), 1 << 20))
        if not part:
            break
        data += part
    return bytes(data)


class _Deadline:
    """Ends a process when a block takes too long; `passed` says so afterwards."""

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        self.passed = False
        self._process = process
        self._timer = threading.Timer(seconds, self._pass)
        self._timer.daemon = True

    def _pass(self) -> None:
        self.passed = True
        _end(self._process)

    def __enter__(self) -> "_Deadline":
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join()  # else it might strike during the next program


class _Wasi:
    """A worker process (worker.py) that runs one program after the other, each in a fresh instance."""

    def __init__(self, compiled: Path, paths: list[Path]) -> None:
        self._process = _python(["-I", "-S"], paths, "worker", ["serve", str(compiled)], {})
        with _Deadline(self._process, _START_SECONDS):
            answer = self._receive(1000)
        if answer[:1] != b"R":
            self.drop()
            raise SandboxError(f"the wasmtime worker did not start ({answer[1:].decode('utf-8', 'replace') or 'it ended'}): {_MEND}")
        self.walls = answer[1:].decode()

    def ask(self, request: bytes, limits: Limits) -> bytes:
        with _Deadline(self._process, limits.seconds + GRACE) as deadline:
            try:
                self._send(request)
            except OSError:
                return b"X"
            answer = self._receive(limits.output_bytes + (1 << 20))
        return b"K" if deadline.passed else answer

    def _send(self, request: bytes) -> None:
        assert self._process.stdin is not None
        data = memoryview(len(request).to_bytes(4, "big") + request)
        while data:
            data = data[self._process.stdin.write(data) or 0 :]

    def _receive(self, most: int) -> bytes:
        assert self._process.stdout is not None
        length = int.from_bytes(_read(self._process.stdout, 4), "big")
        answer = _read(self._process.stdout, length) if 0 < length <= most else b""
        return answer if answer and len(answer) == length else b"X"

    def alive(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        _end(self._process)

    def drop(self) -> None:
        _drop(self._process)


class _Linux:
    """A fresh process (child.py) for every program."""

    def __init__(self, walls: bool) -> None:
        self.walls = "rlimits,landlock,seccomp" if walls else "rlimits"
        self._mode = "walls" if walls else "rlimits"
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, request: bytes, limits: Limits) -> bytes:
        process = _python(["-s", "-P", "-S"], [_HERE.parent], "child", [self._mode], {"PYTHONHASHSEED": "0"})
        self._process = process
        assert process.stdin is not None and process.stdout is not None
        try:
            with _Deadline(process, _START_SECONDS):
                try:
                    process.stdin.write(request)
                    process.stdin.close()
                except OSError:
                    return b"Fthe child did not start"
                ready = process.stdout.read(1)
            if ready != b"R":
                return b"F" + _read(process.stdout, 1000)
            with _Deadline(process, limits.seconds) as deadline:
                answer = _read(process.stdout, limits.output_bytes + (64 << 10) + 1)
            if deadline.passed:
                return b"T"
            if len(answer) > limits.output_bytes + (64 << 10):
                return b"O"
            if answer:
                return b"G" + answer
            try:
                code = process.wait(1)
            except subprocess.TimeoutExpired:
                code = 0
            if code == -signal.SIGXCPU:
                return b"T"
            return b"C" + (f"signal {-code}" if code < 0 else f"exit status {code}").encode()
        finally:
            self.drop()

    def alive(self) -> bool:
        return True  # there is no process between two programs

    def end(self) -> None:
        if self._process is not None:
            _end(self._process)

    def drop(self) -> None:
        if self._process is not None:
            _drop(self._process)


# The compiled component -----------------------------------------------------------------------------------------------


def _cache_folder() -> Path | None:
    """The user's cache folder for compiled code, made private; None when there is none to be trusted or written."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        folder = Path(base or "~/.cache").expanduser() / "errata"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if hasattr(os, "getuid"):
            folder.chmod(0o700)
            if folder.stat().st_uid != os.getuid():  # the file is code: whoever can write it owns us
                return None
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except (OSError, RuntimeError):
        return None


def _key() -> str:
    """Names what the compiled code depends on: wasmtime, platform, CPU, artifact, and worker.py, which holds the
    configuration."""
    cpu = platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line for line in lines if line.lower().startswith(("flags", "features")))
    except (OSError, StopIteration):
        pass
    parts = (
        importlib.metadata.version("wasmtime"),
        platform.system(),
        platform.machine(),
        " ".join(sorted(cpu.split())),
        (_HERE / "guest.sha256").read_text().strip(),
        (_HERE / "worker.py").read_text(),
    )
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _sound(compiled: Path) -> bool:
    """Whether a cached file is whole and ours."""
    try:
        about = compiled.lstat()
        if not stat.S_ISREG(about.st_mode) or (hasattr(os, "getuid") and about.st_uid != os.getuid()):
            return False
        with compiled.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return digest == compiled.with_suffix(".sha256").read_text().strip()
    except OSError:
        return False


class _Component:
    """The compiled component on disk, compiled on first use (about 5 s) and kept for the next process where a cache can
    be."""

    def __init__(self, paths: list[Path]) -> None:
        self._paths = paths
        folder = _cache_folder()
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="errata-"))
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._file = folder / f"guest-{_key()}.cwasm"
        if not _sound(self._file):
            self._compile()
        self._lock = threading.Lock()

    def _compile(self) -> None:
        process = _python(["-I", "-S"], self._paths, "worker", ["compile", str(_HERE / "guest.wasm.xz"), str(self._file)], {})
        try:
            with _Deadline(process, 600):
                process.wait()
        finally:
            _drop(process)
        if not _sound(self._file):
            raise SandboxError(f"the sandbox's component cannot be compiled into {self._file.parent}: see that its disk has 60 MB free")

        # Other versions' files, 42 MB each, beyond the newest few: nothing else would ever take them away.
        for old in sorted(self._file.parent.glob("guest-*.cwasm"), key=lambda path: -path.stat().st_mtime)[_KEPT:]:
            old.unlink(missing_ok=True)
            old.with_suffix(".sha256").unlink(missing_ok=True)

    def start(self) -> _Wasi:
        try:
            return _Wasi(self._file, self._paths)
        except SandboxError:
            with self._lock:  # wasmtime may refuse a file of another CPU that has our key: make it again, once
                self._compile()
            return _Wasi(self._file, self._paths)


def open_sandbox(
    workers: int | None = None,
    backend: Literal["auto", "wasi", "linux"] = "auto",
    *,
    programs_can_read_my_files_and_use_the_network: bool = False,
) -> Sandbox:
    """Open a sandbox and start its first worker.

    Args:
        workers: how many programs run at once; one a core when None.
        backend: `wasi` (CPython as a WASI component under wasmtime: Linux, macOS, Windows), `linux` (a walled-in
        process for each
            program: Linux 5.13 or newer on x86_64 or aarch64), or `auto`, the first of them that works.
        programs_can_read_my_files_and_use_the_network: with this flag, and only when nothing better works, programs run
        behind
            rlimits alone. Its name is its risk.

    Raises:
        SandboxError: no backend works here; the message holds the command that mends it.
    """
    if workers is None:
        workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if workers < 1:
        raise SandboxError(f"workers is {workers}: it must be at least 1")
    reasons = []
    if backend in ("auto", "wasi"):
        spec = importlib.util.find_spec("wasmtime")
        if spec is None or spec.origin is None:
            reasons.append("wasmtime is not installed: install it with `pip install 'wasmtime>=50,<51'`")
        else:
            try:
                component = _Component([_HERE.parent, Path(spec.origin).parent.parent])
                return Sandbox(workers, component.start, "wasi")
            except SandboxError as error:
                reasons.append(str(error))
    if backend in ("auto", "linux"):
        try:
            return _open_linux(workers, walls=True)
        except SandboxError as error:
            reasons.append(str(error))
    if programs_can_read_my_files_and_use_the_network and hasattr(os, "fork"):
        return _open_linux(workers, walls=False)
    raise SandboxError("no sandbox works here: " + "; ".join(reasons))


def _open_linux(workers: int, walls: bool) -> Sandbox:
    from . import restrict

    if walls and not restrict.supported():
        raise SandboxError(f"the linux backend does not know {platform.system()} on {platform.machine()}: use wasmtime")
    sandbox = Sandbox(workers, lambda: _Linux(walls), "linux" if walls else "rlimits")
    try:
        probe = sandbox.run("", "def main(program, payload): yield payload", 1)
    except SandboxError:
        sandbox.close()
        raise
    if probe.rows != (1,):
        sandbox.close()
        raise SandboxError(f"the linux backend cannot run a program ({probe.error}): use wasmtime, `pip install 'wasmtime>=50,<51'`")
    return sandbox
