"""Judges mathematical answers (LaTeX, expressions, sets, intervals) with math-verify, in a child process with a time limit.

The library's own limit works in a main thread alone, and its simplifications may run for ever; here a child that takes too long is killed,
and the item is unjudged. An extra: `pip install -e '.[math]'` in a checkout. Answers are data: they are parsed, never run.
"""

import importlib.util
from pathlib import Path

from ...signatures.errors import UsageError, with_extra
from ...signatures.records import Verdict
from ..base import scored
from . import number
from .child import Child

SECONDS = 10.0
"""Limit for one answer, seconds."""
MOST = 20_000
"""Characters at the end of a response that are read."""
_SHOWN = 500

_CHILD = Path(__file__).with_name("mathverify_child.py")


class MathVerify:
    """Judges one answer after the other in one child process."""

    def __init__(self) -> None:
        if importlib.util.find_spec("math_verify") is None:
            raise UsageError(f"the verdict `math` needs its library: {with_extra('math')}")
        self.child = Child(_CHILD)

    def verdict(self, gold: str, response: str) -> Verdict:
        """`right`, `wrong` or `no answer`; unjudged when the gold cannot be parsed, or the library fails or takes too long."""
        answer = self.child.ask([gold, response[-MOST:]], SECONDS)
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
