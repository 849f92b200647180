"""Judges mathematical answers (LaTeX, expressions, sets, intervals) with math-verify, in a child process with a time limit.

The library's own limit works in a main thread alone, and its simplifications may run for ever; here a child that takes too long is killed,
and the item is unjudged. An extra: `pip install -e '.[math]'` in a checkout. Answers are data: they are parsed, never run.
"""

import contextlib
import importlib.util
import json
import subprocess
import sys
import threading
from pathlib import Path

from ...signatures.errors import UsageError, with_extra
from ...signatures.records import Verdict
from ..base import scored
from . import number

SECONDS = 10.0
"""Limit for one answer, seconds."""
MOST = 20_000
"""Characters at the end of a response that are read."""
_START_SECONDS = 120.0
_SHOWN = 500

_CHILD = Path(__file__).with_name("mathverify_child.py")


class MathVerify:
    """A child process that judges one answer after the other. Thread-safe; ends with this process."""

    def __init__(self) -> None:
        if importlib.util.find_spec("math_verify") is None:
            raise UsageError(f"the verdict `math` needs its library: {with_extra('math')}")
        self._lock = threading.Lock()
        self.child: subprocess.Popen[str] | None = None

    def verdict(self, gold: str, response: str) -> Verdict:
        """`right`, `wrong` or `no answer`; unjudged when the gold cannot be parsed, or the library fails or takes too long."""
        with self._lock:
            if self.child is None:
                self.child = subprocess.Popen(
                    [sys.executable, "-P", str(_CHILD)],  # -P: this folder is not where it looks for modules
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                    encoding="utf-8",
                )
                self._read(_START_SECONDS)
            answer = self._ask(json.dumps([gold, response[-MOST:]]))
        if answer is None:
            return Verdict(correct=None, extracted=None, reason=f"math-verify took longer than {SECONDS:g} s or ended")
        if isinstance(answer, str):
            return Verdict(correct=None, extracted=None, reason=f"math-verify failed: {' '.join(answer.split())[:200]}")
        readable, given, right = answer
        if not readable:
            return Verdict(correct=None, extracted=given, reason=f"the gold answer {gold[:_SHOWN]!r} cannot be read as mathematics")
        if given is None and number.read(gold) is not None:
            return number.verdict(gold, response)  # ½, and digits of other scripts, are nothing to the library
        return scored(right, given and given[:_SHOWN])

    def _ask(self, line: str) -> list | str | None:
        assert self.child is not None and self.child.stdin is not None
        try:
            self.child.stdin.write(line + "\n")
            self.child.stdin.flush()
        except OSError:
            self.child.kill()
        return self._read(SECONDS)

    def _read(self, seconds: float) -> list | str | None:
        """The child's next line; None: it took too long or ended, and is killed."""
        child = self.child
        assert child is not None and child.stdout is not None
        timer = threading.Timer(seconds, child.kill)
        timer.daemon = True
        timer.start()
        try:
            line = child.stdout.readline()
        finally:
            timer.cancel()
        if line:
            return json.loads(line)
        child.kill()
        with contextlib.suppress(OSError), child:  # waits for it and closes its pipes
            self.child = None
        return None

    def __del__(self) -> None:
        if child := getattr(self, "child", None):
            child.kill()
