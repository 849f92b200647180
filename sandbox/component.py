"""The shipped WASI component, compiled for this machine and kept for the next process.

guest.wasm.xz is CPython with guest.py in it (scripts/make_sandbox.py). Compiling it takes about 5 s and makes a file of 42 MB, which stands
in the user's cache folder under a name that holds all it depends on. The compiled file is code that wasmtime trusts, so it must be ours
and whole. What is not here: how it is compiled and run (worker.py).
"""

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import stat
import tempfile
import threading
import weakref
from pathlib import Path

from ..signatures.errors import SandboxError
from ..signatures.files import cache_folder
from .process import HERE, MEND, Deadline, WorkerProcess, drop, start_python

COMPILE_SECONDS = 600.0
KEPT = 3
"""Compiled files that stay in the cache, this version's and those of others: 42 MB each."""


def _wasmtime() -> tuple[str, Path]:
    """wasmtime's version and the folder that it is imported from. Raises SandboxError where it is not installed."""
    spec = importlib.util.find_spec("wasmtime")
    try:
        version = importlib.metadata.version("wasmtime")
    except importlib.metadata.PackageNotFoundError:
        version = ""
    if spec is None or spec.origin is None or not version:
        raise SandboxError(f"the sandbox needs wasmtime, which is not installed here: {MEND}")
    return version, Path(spec.origin).parent.parent


def _key(version: str) -> str:
    """Names what the compiled code depends on: wasmtime, platform, CPU, artifact, and worker.py, which
    holds the configuration."""
    cpu = platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line for line in lines if line.lower().startswith(("flags", "features")))
    except (OSError, StopIteration):
        pass
    parts = (
        version,
        platform.system(),
        platform.machine(),
        " ".join(sorted(cpu.split())),
        (HERE / "guest.sha256").read_text().strip(),
        (HERE / "worker.py").read_text(),
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


class Component:
    """The compiled component on disk, compiled on first use and kept for the next process where there can be a cache.

    Raises SandboxError where wasmtime is missing or broken; the message holds the command that mends it.
    """

    def __init__(self) -> None:
        version, site = _wasmtime()
        self._paths = [HERE.parent, site]
        folder = cache_folder()
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="errata-"))
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._file = folder / f"guest-{_key(version)}.cwasm"
        if not _sound(self._file):
            self._compile()
        self._lock = threading.Lock()

    def _compile(self) -> None:
        process = start_python(self._paths, ["compile", str(HERE / "guest.wasm.xz"), str(self._file)])
        try:
            with Deadline(process, COMPILE_SECONDS):
                process.wait()
        finally:
            drop(process)
        if not _sound(self._file):
            raise SandboxError(
                f"the sandbox's component cannot be compiled into {self._file.parent}: see that its disk has 60 MB free, or {MEND}"
            )

        # Other versions' files, 42 MB each, beyond the newest few: nothing else would ever take them away.
        for old in sorted(self._file.parent.glob("guest-*.cwasm"), key=lambda path: -path.stat().st_mtime)[KEPT:]:
            old.unlink(missing_ok=True)
            old.with_suffix(".sha256").unlink(missing_ok=True)

    def start(self) -> WorkerProcess:
        try:
            return WorkerProcess(self._file, self._paths)
        except SandboxError:
            with self._lock:  # wasmtime may refuse a file of another CPU that has our key: make it again, once
                self._compile()
            return WorkerProcess(self._file, self._paths)
