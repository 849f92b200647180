"""The record of one recorded answer, and what all forms of files share."""

from collections.abc import Mapping
from typing import NamedTuple

from ...signatures.records import Example
from ..rows import Row


class Grade(NamedTuple):
    """What a grader of the log's own said of an answer."""

    by: str
    """Its name, e.g. `exact_match,strict-match` or `match`."""
    right: bool | None
    """None: neither right nor wrong."""
    read: str | None
    """What it read of the answer; None: nothing, or it does not say."""
    said: str
    """Its value as it stands in the log."""


class RecordedAnswer(NamedTuple):
    """One recorded answer, before it meets the task."""

    where: str
    """File and line, for messages and lineage."""
    form: str
    row: Row
    """The item's own fields, as the task's reader takes them; empty for `errata`. `turns`: the conversation that was asked, where it has
    several turns."""
    response: str | None
    """None: nothing was recorded, a fault of the machinery."""
    finish: str = "stop"
    model: str = ""
    fault: str = "no response was recorded"
    """Why there is no response."""
    example: Example | None = None
    """The example itself, of rows of Errata's own."""
    target: str = ""
    """Hash of the weights that answered, where Errata recorded it."""
    picked: tuple[int, int] | None = None
    """(index of the option with the highest likelihood, options), where options were scored."""
    skipped: str = ""
    """Why it does not count, as it stands in the file once more."""
    grades: tuple[Grade, ...] = ()
    """What stands beside it in the file; Errata's own verdicts never rest on it."""
    task: str = ""
    """The task that the log names; empty where it names none."""
    settings: Mapping[str, str] = {}
    """How the model was asked, as far as the log says it."""
