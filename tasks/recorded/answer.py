"""The record of one recorded answer, and what all forms of files share."""

from typing import NamedTuple

from ...signatures.records import Example
from ..rows import Row


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
