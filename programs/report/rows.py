"""The rows of a run, each file read once, for the report and for traces.

What is not here: where the files are (errata.programs.run.layout).
"""

from functools import cache, cached_property, partial
from pathlib import Path

from ...signatures.records import Attempt
from ..run import layout


class Rows:
    """A run's rows as they are asked for. What is not finished holds no rows."""

    def __init__(self, path: Path):
        self.path = path
        self.attempts = cache(partial(layout.attempts, path))
        self.taught = cache(partial(layout.taught, path))
        self.samples = cache(partial(layout.samples, path))
        self.training_report = cache(partial(layout.training_report, path))

    @cached_property
    def evaluated(self) -> dict[str, list[Attempt]]:
        """Attempts at held-out items, by the hash of the weights, benchmarks in alphabetical order."""
        found: dict[str, list[Attempt]] = {}
        for stage in layout.evaluations(self.path):
            found.setdefault(stage.path.parent.name, []).extend(stage.read(layout.ATTEMPTS, Attempt))
        return found
