"""A child process that judges: it reads one JSON value a line and answers with one, and is killed when it takes too long.

What runs in it may run for ever, take all memory or crash; this process goes on, and the next question finds a fresh child. The child is a
script beside its user and writes one line when it is ready. Not here: what a child may do while it lives.
"""

import contextlib
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

START_SECONDS = 120.0
"""Limit for the imports of a child."""


class Child:
    """One child, started when it is first asked. Thread-safe; ends with this process."""

    def __init__(self, script: Path):
        self.process: subprocess.Popen[str] | None = None
        self._script = script
        self._lock = threading.Lock()

    def ask(self, question: Any, seconds: float) -> Any:
        """The child's answer to a JSON value; None: it took longer than `seconds` or ended, and the next question starts another."""
        with self._lock:
            if self.process is None or self.process.poll() is not None:
                self.process = subprocess.Popen(
                    [sys.executable, "-P", str(self._script)],  # -P: its folder is not where it looks for modules
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                    encoding="utf-8",
                )
                self._read(self.process, START_SECONDS)
            return self._exchange(self.process, json.dumps(question), seconds) if self.process else None

    def _exchange(self, process: subprocess.Popen[str], line: str, seconds: float) -> Any:
        assert process.stdin is not None
        try:
            process.stdin.write(line + "\n")
            process.stdin.flush()
        except OSError:
            process.kill()
        return self._read(process, seconds)

    def _read(self, process: subprocess.Popen[str], seconds: float) -> Any:
        """The child's next line."""
        assert process.stdout is not None
        timer = threading.Timer(seconds, process.kill)
        timer.daemon = True
        timer.start()
        try:
            line = process.stdout.readline()
        finally:
            timer.cancel()
        if line.endswith("\n"):
            return json.loads(line)
        process.kill()
        with contextlib.suppress(OSError), process:  # waits for it and closes its pipes
            self.process = None
        return None

    def __del__(self) -> None:
        if process := getattr(self, "process", None):
            process.kill()
