"""One worker process as its parent sees it: started, asked, and ended.

The process runs worker.py, whose docstring says what the status bytes mean. Everything that is read from it is untrusted. What is not
here: which worker serves which program (pool.py), and what an answer is worth (limits.py).
"""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

from ..signatures.errors import SandboxError
from .limits import Limits

GRACE = 2.0
"""Seconds that a worker may overrun its own deadline before it is killed."""
START_SECONDS = 60.0
"""Longest start of a worker, seconds."""
MEND = "pip install --force-reinstall 'wasmtime>=50,<51'"
"""The command that mends a missing or broken wasmtime."""
HERE = Path(__file__).resolve().parent


def start_python(paths: list[Path], arguments: list[str]) -> subprocess.Popen[bytes]:
    """Start `worker.main(arguments)` in a process group of its own, with `paths` to import from and without the parent's __main__ or
    environment."""
    script = f"import sys; sys.path[:0] = {[str(path) for path in paths]!r}; from {HERE.name}.worker import main; main({arguments!r})"
    # what Python itself may need to start
    environment = {name: os.environ[name] for name in ("SYSTEMROOT", "LD_LIBRARY_PATH") if name in os.environ}
    try:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", script],
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


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and its group, and wait for it; from any thread."""
    if process.poll() is None:
        if hasattr(os, "killpg"):
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except OSError:
                pass
        process.kill()
    process.wait()


def drop(process: subprocess.Popen[bytes]) -> None:
    """End a process and let go of its pipes; from the thread that uses it."""
    end(process)
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


class Deadline:
    """Ends a process when a block takes too long; `passed` says so afterwards."""

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        self.passed = False
        self._process = process
        self._timer = threading.Timer(seconds, self._pass)
        self._timer.daemon = True

    def _pass(self) -> None:
        self.passed = True
        end(self._process)

    def __enter__(self) -> "Deadline":
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join()  # else it might strike during the next program


class WorkerProcess:
    """A worker that runs one program after the other, each in a fresh instance. Its first byte of an answer is a status (see worker.py);
    `K` says that it was killed at its deadline, `X` that the process is dead."""

    def __init__(self, compiled: Path, paths: list[Path]) -> None:
        self._process = start_python(paths, ["serve", str(compiled)])
        with Deadline(self._process, START_SECONDS):
            answer = self._receive(1000)
        if answer[:1] != b"R":
            self.drop()
            raise SandboxError(f"the wasmtime worker did not start ({answer[1:].decode('utf-8', 'replace') or 'it ended'}): {MEND}")
        self.walls = answer[1:].decode()
        """The kernel's walls around it, e.g. `landlock,seccomp`; empty where it has none."""

    def ask(self, request: bytes, limits: Limits) -> bytes:
        with Deadline(self._process, limits.seconds + GRACE) as deadline:
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

    @property
    def pid(self) -> int:
        return self._process.pid

    def alive(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        end(self._process)

    def drop(self) -> None:
        drop(self._process)
