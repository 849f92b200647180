"""Refused rows, drawn again: a run keeps of them an id and the reason, and what a program draws depends on seed, index and level alone.

What is not here: rows that no program drew. Where a program draws other rows than it did, nothing is found.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ....sandbox import Limits, open_sandbox
from ....signatures.records import Sample, SampleProgram
from ...config import CycleConfig
from ...run import layout
from ...samples.draw import DRY, JOB, drawn, draws, starts
from ...samples.kind import Draw


def redrawn(path: Path, number: int, config: CycleConfig, wanted: Mapping[str, str]) -> dict[str, Sample]:
    """The rows of a round whose ids are `wanted`, each with its program's id, as far as they are found."""
    stage, standing = layout.step(path, number, "assemble"), layout.standings(path, number)
    total = stage.facts().get("wanted", 0) - sum(not row.program_id for row in stage.rows(layout.SAMPLES, Sample))
    chosen = (path / layout.CHOSEN).exists()  # programs of patterns that are not kept have no weight, and no place
    begin = starts((row.program_id for row in standing if not row.retired and (row.weight or not chosen)), total)
    programs, asked = layout.library(path, number), set(wanted.values())
    seed, levels = config.seed * 1000 + number, config.generate.levels  # as errata.programs.steps.assemble draws

    def jobs() -> Iterator[tuple[SampleProgram, Sequence[Draw]]]:
        for row in standing:
            if row.program_id in asked and row.program_id in begin and row.program_id in programs:
                # draws that failed are not among those that the run counted
                count = row.drawn + max(DRY, row.drawn // 10)
                for start in range(0, count, JOB):
                    some = draws(seed, levels, begin[row.program_id] + start, min(JOB, count - start))
                    yield programs[row.program_id], some

    with open_sandbox(config.sandbox.workers) as sandbox:
        limits = Limits(seconds=config.sandbox.seconds, memory_mb=config.sandbox.memory_mb)
        return {row.id: row for some in drawn(sandbox, limits, jobs()) for row in some if row.id in wanted}
