"""The costly last look at an optimized strategy: a short training on the programs of each strategy, compared on train items.

What is not here: the cheap scores of programs (errata.programs.studies.scoring).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from ...signatures.records import Attempt, Example, SampleProgram, TrainRow
from ...trainers.sft import train
from ...trainers.weights import trained
from ..cycle import Cycle
from ..report.records import Change
from ..run.directory import disk_errors
from ..samples.draw import Supply
from ..samples.filters import row_filters
from ..stats import paired
from ..steps.rows import replay, replay_count, train_rows
from .improvement import Taken
from .records import ShortTraining
from .settings import OptimizeSettings


def probe_training(
    loop: Cycle, settings: OptimizeSettings, used: Collection[str], before: Iterable[Taken], after: Iterable[Taken]
) -> ShortTraining | None:
    """Train the target shortly on the programs of `before` and on those of `after`, and compare on train items of no `used` question.

    None when a strategy left no rows to train on.
    """
    seed = settings.seed
    pool = loop.task.examples("train", 4 * (loop.config.items.dev or 600), seed=seed + 7919)
    items = [example for example in pool if example.question not in used][: loop.config.items.dev]
    start = loop.evaluate(loop.run_dir.stage("optimize/probe/start"), loop.task, items, loop.config.target, "probe training: before")
    # half is measured, half is what may be replayed: the same item is never in both
    measured, other = items[::2], {example.id for example in items[1::2]}
    solved = [row for row in start if row.verdict.correct and row.example.id in other]
    found: dict[str, Sequence[Attempt]] = {"start": [row for row in start if row.example.id not in other]}
    for title, rows in (("baseline", before), ("optimized", after)):
        programs = {row.program.id: row.program for row in rows if row.program}
        data = _rows(loop, programs, solved, [*loop.held_out, *measured], settings)
        if not data:
            return None
        out = loop.path / "optimize/probe" / title
        with disk_errors(out):
            loop.close_target()
            train(data, loop.config.target, loop.config.train, out / "train", seed=seed)
        stage, target = loop.run_dir.stage(f"optimize/probe/{title}/measure"), trained(loop.config.target, out / "train")
        found[title] = loop.evaluate(stage, loop.task, measured, target, f"probe training: {title}")
    return ShortTraining(
        items=len(measured),
        gain_of_baseline=Change(**paired(found["start"], found["baseline"])),
        gain_of_optimized=Change(**paired(found["start"], found["optimized"])),
        optimized_over_baseline=Change(**paired(found["baseline"], found["optimized"])),
    )


def _rows(
    loop: Cycle, programs: Mapping[str, SampleProgram], solved: Sequence[Attempt], held_out: Sequence[Example], settings: OptimizeSettings
) -> list[TrainRow]:
    levels, total, seed = loop.config.generate.levels, settings.probe_training, settings.seed
    supply = Supply(programs, dict.fromkeys(programs, 1.0), total, seed, levels)
    samples = [sample for kept, _ in supply.rows(row_filters(loop.task, held_out), loop.sandbox, loop.limits) for sample in kept]
    count = replay_count(len(samples), loop.config.generate.replay)
    return train_rows(loop.task, samples, replay(solved, count, seed), seed) if samples else []
