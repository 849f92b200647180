"""Short answers in free text: what a response says, and whether that is the gold but for case, spaces and closing points."""

import re

from ...signatures.records import Verdict
from ..base import scored

MARKER = re.compile(r"(?i)(?:\banswer\b\s*(?:is\b)?\s*:|####|\banswer\s+is\b)[ \t]*")
"""What stands before an answer."""


def read(response: str) -> str | None:
    """The answer of a response: the line behind the last "Answer:", "####" or "the answer is", else a response of one line."""
    if marks := list(MARKER.finditer(response)):
        return response[marks[-1].end() :].strip().partition("\n")[0].strip() or None
    lines = [line.strip() for line in response.split("\n") if line.strip()]
    return lines[0] if len(lines) == 1 else None


def plain(text: str) -> str:
    """What two answers are compared by."""
    text = text.strip().strip("*`\"'").casefold()
    return " ".join(text.rstrip(".!").split())


def verdict(gold: str, given: str | None) -> Verdict:
    """`right`, `wrong`, or `no answer` where None was read."""
    return scored(given is not None and plain(gold) == plain(given), given)
