"""Draws of sample programs: how many rows each gives, at which levels, and the samples that come of them.

Not here: running a program (errata.programs.samples.harness), and the checks of rows (errata.programs.samples.filters).
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle, islice
from typing import Any

from ...sandbox import Limits, Sandbox
from ...signatures.records import Sample, SampleProgram
from .harness import run_program
from .kind import Draw


def shares(masses: Mapping[str, float], total: int) -> dict[str, int]:
    """Whole rows a program, in proportion to mass, summing to `total` (largest remainder; ties by id). Empty when no mass is above 0."""
    mass = sum(masses.values())
    if not mass:
        return {}
    exact = {name: total * value / mass for name, value in masses.items()}
    whole = {name: int(value) for name, value in exact.items()}
    order = sorted(exact, key=lambda name: (whole[name] - exact[name], name))
    for name in order[: total - sum(whole.values())]:
        whole[name] += 1
    return whole


def draws(seed: int, levels: Sequence[int], start: int, count: int) -> list[Draw]:
    """`count` draws from index `start`, at the levels in turn."""
    return [(seed, index, level) for index, level in zip(range(start, start + count), islice(cycle(levels), start, None), strict=False)]


def draw_rows(sandbox: Sandbox, limits: Limits, program: SampleProgram, wanted: Sequence[Draw]) -> list[Sample]:
    """The samples of the draws that did not fail. A program that breaks a limit here gives none."""
    drawn = run_program(sandbox, program.source, (), wanted, limits, program.kind)
    return samples(program, wanted, drawn.rows) if drawn.rows else []


def samples(program: SampleProgram, draws: Iterable[Draw], rows: Iterable[dict[str, Any]]) -> list[Sample]:
    """The rows that did not fail, as records."""
    return [
        Sample(
            program_id=program.id,
            task=program.task,
            seed=seed,
            index=index,
            level=level,
            **{name: row[name] for name in row if name in Sample.model_fields},
        )
        for (seed, index, level), row in zip(draws, rows, strict=True)
        if "error" not in row
    ]
