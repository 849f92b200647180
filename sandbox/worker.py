"""A worker process: CPython as a WASI component under wasmtime, a fresh instance for every program.

Started by process.py as `worker.main(["serve", COMPILED])` or `["compile", PACKED, COMPILED]`. Serving, it reads frames (4
bytes of length, then JSON) from its standard input and answers on its standard output with a frame whose first byte is
a status: `R` ready, and behind which walls, `F` failed to start, `G` the guest's own answer follows, `T` timeout, `M` not
enough memory to start, `O` answer too long, `C` the instance trapped.

The component may import clocks that tick by the millisecond at each look, random bytes that are the same in every run,
an empty environment and no directory; any other import ends the instance. Hence the same program gives the same bytes
on every machine. On Linux the process puts Landlock and seccomp around itself after loading (restrict.py), where the kernel has them. It
ends when its input ends or its parent is gone. What is not here: a second border elsewhere; there the component's walls are the only ones.
"""

import hashlib
import json
import lzma
import math
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import wasmtime
from wasmtime import component as wasm

from . import restrict

TICK = 0.05
"""Seconds between two looks at the deadline."""
SLACK = 64 << 10
"""Bytes that an answer may take beside its rows; limits.py, which this process does not import, allows the same."""


def engine() -> wasmtime.Engine:
    config = wasmtime.Config()
    config.epoch_interruption = True
    config.max_wasm_stack = 2 << 20
    # NaN's sign differs between CPUs, and math.copysign shows it.
    config.cranelift_nan_canonicalization = True
    config.wasm_relaxed_simd_deterministic = True
    return wasmtime.Engine(config)


def compile_component(packed: Path, compiled: Path) -> None:
    """Compile the shipped component (seconds, all cores) and write it beside its SHA-256, each under a temporary name
    first."""
    data = lzma.decompress(packed.read_bytes())
    if hashlib.sha256(data).hexdigest() != packed.with_name("guest.sha256").read_text().strip():
        raise ValueError(f"{packed} does not match its pinned hash; install errata again")
    code = bytes(wasm.Component(engine(), data).serialize())
    for path, content in (
        (compiled, code),
        (compiled.with_suffix(".sha256"), hashlib.sha256(code).hexdigest().encode()),
    ):
        part = path.with_name(f"{path.name}.{os.getpid()}")
        part.write_bytes(content)
        part.chmod(0o600)
        part.replace(path)


class _World:
    """The few things that an instance may ask of its host, the same in every run."""

    def __init__(self, engine: wasmtime.Engine, component: wasm.Component) -> None:
        self.linker = wasm.Linker(engine)
        imports = tuple(component.type.imports(engine))
        self.looks = self.draws = 0
        for interface, functions in (
            ("wasi:cli/environment", {"get-environment": lambda _: [], "get-arguments": lambda _: []}),
            ("wasi:clocks/monotonic-clock", {"now": lambda _: self._now(), "resolution": lambda _: 1_000_000}),
            (
                "wasi:clocks/wall-clock",
                {"now": lambda _: self._wall(self._now()), "resolution": lambda _: self._wall(1_000_000)},
            ),
            ("wasi:random/random", {"get-random-bytes": self._random}),
            ("wasi:filesystem/preopens", {"get-directories": lambda _: []}),
        ):
            name = next(name for name in imports if name.startswith(interface + "@"))
            with self.linker.root() as root, root.add_instance(name) as instance:
                for function, body in functions.items():
                    instance.add_func(function, body)
        self.linker.define_unknown_imports_as_traps(component)

    def _now(self) -> int:
        self.looks += 1
        return self.looks * 1_000_000  # ns; moves, so that a program that waits for the clock ends

    @staticmethod
    def _wall(nanoseconds: int) -> Any:
        moment = wasm.Record()
        seconds = 1_767_225_600 + nanoseconds // 10**9  # from 2026-01-01 UTC
        vars(moment).update(seconds=seconds, nanoseconds=nanoseconds % 10**9)
        return moment

    def _random(self, _: Any, count: int) -> bytes:
        self.draws += 1
        return hashlib.shake_128(str(self.draws).encode()).digest(min(count, 1 << 20))


class Runner:
    """Runs one request after the other, each in its own instance."""

    def __init__(self, compiled: str) -> None:
        self.engine = engine()
        self.component = wasm.Component.deserialize_file(self.engine, compiled)
        self.world = _World(self.engine, self.component)

    def run(self, request: dict[str, Any], seconds: float, memory_mb: int, output_bytes: int) -> bytes:
        """The answer's status byte and text."""
        self.world.looks = self.world.draws = 0
        store = wasmtime.Store(self.engine)
        started = time.monotonic()
        try:
            store.set_limits(memory_size=memory_mb << 20)
            store.set_epoch_deadline(math.ceil(seconds / TICK) + 1)
            instance = self.world.linker.instantiate(store, self.component)
            function = instance.get_func(store, "run")
            assert function is not None
            answer = function(store, json.dumps(request)).encode("utf-8", "replace")
        except (wasmtime.WasmtimeError, wasmtime.Trap, UnicodeDecodeError) as error:
            if time.monotonic() - started >= seconds:
                return b"T"
            if "exceeds memory limits" in str(error):
                return b"M"
            return b"C" + _reason(str(error)).encode("utf-8", "replace")[:300]
        finally:
            store.close()
        return b"G" + answer if len(answer) <= output_bytes + SLACK else b"O"


def _reason(trap: str) -> str:
    last = trap.strip().rpartition("\n")[2].strip()
    missing = re.search("unknown import: `([^`]*)`", last)
    if missing:
        return f"it asked for {missing[1]}, which is not there"
    return f"{last} (as a rule, memory or the stack ran out)" if "wasm trap" in last else last


def _read(count: int) -> bytes:
    parts = []
    while count:
        part = os.read(0, count)
        if not part:
            os._exit(0)
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _write(data: bytes) -> None:
    data = len(data).to_bytes(4, "big") + data
    while data:
        data = data[os.write(1, data) :]


def _tick(engine: wasmtime.Engine, parent: int) -> None:
    while os.getppid() == parent:
        engine.increment_epoch()
        time.sleep(TICK)
    os._exit(0)


def put_up(name: str, wall: Callable[[], None]) -> list[str]:
    """The name of a wall that stands now; empty where the kernel lacks it, and the component's own walls do."""
    if restrict.supported():
        with suppress(OSError):
            wall()
            return [name]
    return []


def serve(compiled: str) -> None:
    parent = os.getppid()
    if sys.platform == "win32":
        import msvcrt

        for stream in (0, 1):
            msvcrt.setmode(stream, os.O_BINARY)
    try:
        runner = Runner(compiled)
        # One program before it says that it is ready, so that a broken wasmtime shows here; and before the walls, which refuse calls that
        # wasmtime may need at its first use.
        probe = {
            "source": "",
            "harness": "def main(p, x): yield x",
            "payload": 1,
            "rows": 1,
            "output_bytes": 99,
            "print_bytes": 9,
        }
        answer = runner.run(probe, 60, 256, 99)
        if not answer.startswith(b'G{"outcome": "ok"'):
            raise RuntimeError(f"the guest answered {answer[:300]!r}")
        walls = put_up("landlock", restrict.deny_files)
        threading.Thread(target=_tick, args=(runner.engine, parent), daemon=True).start()
        if walls:
            walls += put_up("seccomp", restrict.deny_calls)
    except Exception as error:
        _write(b"F" + f"{type(error).__name__}: {error}".encode()[:1000])
        return
    _write(b"R" + ",".join(walls).encode())
    while True:
        request = json.loads(_read(int.from_bytes(_read(4), "big")))
        seconds, memory_mb = request.pop("seconds"), request.pop("memory_mb")
        _write(runner.run(request, seconds, memory_mb, request["output_bytes"]))


def main(arguments: list[str]) -> None:
    if arguments[0] == "compile":
        compile_component(Path(arguments[1]), Path(arguments[2]))
    else:
        serve(arguments[1])
