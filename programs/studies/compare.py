"""Strategies side by side: what `errata compare CONFIG` runs.

A comparison is a folder of ordinary run directories, one for each arm and seed (`<folder>/<arm>-<seed>/`), made by Cycle: each is locked,
continues where a kill left it, and opens with `errata report`. The run `vanilla-<seed>` is the target as it came: its errors and answers to
held-out items are made once for each seed and handed to the arms. Any number of processes may work on one folder: each takes the next
run that is neither done nor under way elsewhere.

What is equal in all arms: target, items of each split, errors of round 1, rounds, and the costs that `equal` names, by default generated
rows that are asked for and steps of training. Where arms spent unequally after all the page says so. Unless `gate` is set, each round's
weights are kept as they stand after its last stage, so that methods are compared and not the gate, whose finding is told beside them.

What is not here: what came of it (errata.programs.studies.compared), and how that is shown (errata.programs.studies.compare_page).
"""

import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, NamedTuple

from pydantic import Field, ValidationError

from ...signatures.errors import BudgetReached, BusyError, ErrataError, RunError, UsageError, did_you_mean
from ...signatures.files import foreign
from ...tasks.union import parts
from ...trainers.devices.gpus import VISIBLE, visible_gpus
from ...trainers.weights import weights_hash
from ..config import FREE, CycleConfig, Settings, explain, laid_over, read_mapping, settled
from ..cycle import Cycle
from ..run import layout
from ..run.directory import flatten, read_config, slug, to_json, write_atomic
from ..steps.mine import mine
from ..steps.rows import replay_count
from ..steps.session import add_seconds, cpu_seconds
from ..strategies.named import BUILT_IN
from ..strategies.state import pinned

VANILLA = "vanilla"
"""The arm that is always there: the target as it came."""
OPEN = ("generate", "train", "instructor")
"""Groups of the config in which arms may differ; the rest is what they are compared on."""
DONE = "compared.json"
"""Written last into the run directory of an arm and seed: the weights after each round, and the benchmarks they were measured on."""
FILE = "compare.json"
"""What was compared last in a folder; each run holds itself to its own config."""
Run = Callable[["Comparison", "Cell", Path, Callable[[str], None]], None]
"""What runs one arm and seed to its end, as `run_cell` does."""
WAIT = 3.0
"""Seconds between two looks for a run that another process has left."""


COSTS = {"rows": "rows", "steps": "steps of training", "seconds": "seconds of training", "tokens": "generated tokens"}
"""What arms can be equal in, and what it is called."""
CAPS = {"seconds": "seconds", "tokens": "rollouts"}
"""Costs that a cap of `train` holds equal, and that cap."""
SAMPLED = frozenset(("grpo", "sdft"))
"""Stages that sample answers as they train."""


class Comparison(Settings):
    """What is compared with what: the file of `errata compare`."""

    base: dict[str, Any] = {}
    """The config that all arms share, as in a file for --config (docs/config.md). Its task, or the members of a union of tasks, are the
    benchmarks in domain; its guards are those out of domain. Its budget is that of each run."""
    arms: dict[str, dict[str, Any]] = Field(min_length=1)
    """Name -> what the arm sets differently: dotted names of fields of `generate`, `train` and `instructor` -> values. `vanilla`, the
    target without training, is always there."""
    controls: tuple[str, ...] = (VANILLA,)
    """Arms that each other arm is tested against. A built-in strategy that is no arm becomes one of its own name, with nothing else set."""
    pairs: tuple[tuple[str, str], ...] = ()
    """Further tests: pairs of an arm and the arm that it is tested against. All p-values are corrected for the number of all tests."""
    seeds: tuple[int, ...] = Field(default=(0, 1, 2, 3, 4), min_length=1)
    """One run for each arm and seed; the seed draws items, errors, rows and the order of training."""
    rounds: int = Field(default=1, ge=1)
    """Rounds of each run."""
    gate: bool = False
    """Whether weights that the gate rejects are dropped, and the best stage of a round is chosen on dev; otherwise each round goes on from
    what the last stage of the one before trained."""
    equal: tuple[Literal["rows", "steps", "seconds", "tokens"], ...] = ("rows", "steps")
    """Costs that are held equal among arms, as far as an arm does not set otherwise: generated `rows` that are asked for (`generate.rows`);
    `steps` of training on rows (`train.steps`, as many as the base's whole training set takes); `seconds` of a round's training, at most
    those of base.train.seconds, shared out evenly among its stages; `tokens` that the target generates, by at most as many sampled answers
    as base.train.rollouts says, shared out evenly among the stages on own answers. Arms that spent 10 % less than another are told."""
    cluster: str | None = None
    """A Ray cluster whose nodes do the runs, as in a config (docs/scaling.md); here or in the base. None: this machine."""
    in_process: bool = False
    """Whether trainings run in the comparing process, for small targets on a CPU: the same weights, about ten CPU seconds a round less, but
    their memory is kept."""

    def config(self, arm: str, seed: int) -> CycleConfig:
        """The config of one run. Raises UsageError for an unknown field."""
        shared: dict[str, Any] = {"form": "off", "seed": seed, "rounds": self.rounds, "gate.keep": "better" if self.gate else "always"}
        base, own = laid_over(self.base, shared), self.arms.get(arm, {})
        stages = settled(laid_over(self.base, shared | own)).train.order
        if len(stages) > 1 and not self.gate:
            shared["gate.keep"] = "last"
        if "steps" in self.equal:
            shared["train.steps"] = steps(base)
        if "seconds" in self.equal and base.train.seconds:
            shared["train.seconds"] = base.train.seconds / len(stages)
        if "tokens" in self.equal and base.train.rollouts:
            shared["train.rollouts"] = base.train.rollouts // max(1, sum(stage in SAMPLED for stage in stages))
        return laid_over(self.base, shared | own)


class Cell(NamedTuple):
    """One run of a comparison."""

    arm: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.arm}-{self.seed}"


def load(path: Path, overrides: dict[str, Any] | None = None) -> Comparison:
    """The comparison that a YAML file describes, with `overrides` (dotted names to values) laid over its base.

    Raises UsageError in one line for what cannot be compared.
    """
    data = read_mapping(path)
    try:
        comparison = Comparison.model_validate(data)
    except ValidationError as error:
        raise UsageError(explain(error, path, Comparison)) from error
    for complaint in _complaints(comparison):
        raise UsageError(f"{path}: {complaint}")
    own = {"cluster": comparison.cluster} if comparison.cluster else {}
    whole = laid_over(comparison.base, own | (overrides or {}), path)
    if whole.errors == "recorded":
        raise UsageError(f"{path}: recorded errors cannot be compared on: leave base.errors out, so that the target's own are mined")
    for cost, cap in CAPS.items():
        if cost in comparison.equal and getattr(whole.train, cap) is None:
            raise UsageError(f"{path}: equal names {cost}, but nothing says how many: set base.train.{cap}")
    fixed = whole.model_dump(mode="json", exclude={"seed": True, "rounds": True, "gate": {"keep"}, "cluster": True})
    arms = {name: own for name, own in comparison.arms.items() if name != VANILLA}
    arms |= {name: {"generate.strategy": name} for name in comparison.controls if name not in (VANILLA, *arms)}
    comparison = comparison.model_copy(update={"base": fixed, "arms": arms, "cluster": whole.cluster})
    for name in arms:
        try:
            comparison.config(name, comparison.seeds[0])
        except UsageError as error:
            raise UsageError(f"{path}: arm {name}: {error}") from None
    return comparison


def _complaints(comparison: Comparison) -> Iterator[str]:
    """What the file says that cannot be compared."""
    arms, base, seeds = comparison.arms, comparison.base, comparison.seeds
    if arms.get(VANILLA):
        yield f"{VANILLA} is the target without training, and has no settings; call the arm otherwise"
    if not arms.keys() - {VANILLA}:
        yield f"no arm is left beside {VANILLA}; name one under `arms`"
    for name, own in arms.items():
        if slug(name) != name:
            yield f"an arm's name is the name of a folder; write letters, digits, _ . or - instead of {name!r}"
        for field in own:
            if field.split(".")[0] not in OPEN or "." not in field:
                yield (
                    f"arm {name} sets {field}, but arms may differ in fields of {', '.join(OPEN)} alone, e.g. generate.strategy; "
                    "what they share stands under `base`"
                )
            if field == "train.epochs" and "steps" in comparison.equal:
                yield f"arm {name} sets {field}, but all arms train for the same steps; set train.steps, or base.train.epochs"
    for name in comparison.controls:
        known = (VANILLA, *arms, *BUILT_IN)
        if name not in known:
            yield f"control {name!r} is neither an arm nor a built-in strategy; choose of {', '.join(known)}{did_you_mean(name, known)}"
    for pair in comparison.pairs:
        known = (*arms, *comparison.controls)
        if other := [name for name in pair if name not in known]:
            yield f"pair {' - '.join(pair)}: {other[0]!r} is no arm; choose of {', '.join(known)}{did_you_mean(other[0], known)}"
    if len(set(seeds)) < len(seeds) or min(seeds) < 0:
        yield f"seeds are {', '.join(map(str, seeds))}; give different numbers from 0 on"
    for field, instead in (("seed", "seeds"), ("rounds", "rounds")):
        if field in base:
            yield f"base.{field} belongs to the comparison; write `{instead}` beside `base`"
    if "keep" in (base.get("gate") or {}):
        yield "base.gate.keep belongs to the comparison; write `gate: true` beside `base` to drop what the gate rejects"


def steps(config: CycleConfig) -> int:
    """Steps of training that a whole training set of the config takes: of its generated rows and the replay beside them."""
    if config.train.steps is not None:
        return config.train.steps
    rows = asked_rows(config)
    total = rows + replay_count(rows, config.generate.replay)
    return max(1, ceil(ceil(total / config.train.batch_size) * config.train.epochs))


def asked_rows(config: CycleConfig) -> int:
    """Generated rows of a round that a config asks for."""
    return config.generate.rows or 1000


def cells(comparison: Comparison) -> list[Cell]:
    """All runs, seed by seed, so that whole seeds are there early."""
    return [Cell(arm, seed) for seed in comparison.seeds for arm in (VANILLA, *comparison.arms)]


def is_done(out: Path, cell: Cell) -> bool:
    return (out / cell.name / DONE).exists()


def refuse_others(comparison: Comparison, out: Path) -> None:
    """Raises RunError where a run that is done was made with another config than its arm has now: it would be told as what it is not. Those
    that are not done are held to theirs when they go on."""
    for cell in filter(partial(is_done, out), cells(comparison)):
        run, free = out / cell.name, {*FREE, *OPEN, "gate"} if cell.arm == VANILLA else {*FREE} - {"rounds"}
        config = pinned(settled(comparison.config(cell.arm, cell.seed)), run)
        mine, theirs = (flatten(one.model_dump(mode="json")) for one in (config, read_config(run)))
        for name in sorted(mine.keys() | theirs.keys()):
            old, new = theirs.get(name), mine.get(name)
            if old != new and not any(name == one or name.startswith(f"{one}.") for one in free):
                raise RunError(f"{run} was made with {name} = {old!r}, not {new!r}; give the same config again, or choose another --out")


# ---- one run


def run_cell(
    comparison: Comparison, cell: Cell, out: Path, say: Callable[[str], None], require: Callable[[Cycle], None] | None = None
) -> None:
    """Run one arm and seed to its end. Raises BusyError while another process works on it, what Cycle raises, and what `require` does."""
    loop = Cycle(comparison.config(cell.arm, cell.seed), out / cell.name, lambda line: say(f"{cell.name}: {line}"))
    if require:
        require(loop)
    loop.in_process = comparison.in_process
    loop.formats = out if require is None else False  # nodes of a cluster might settle it one this way, one that way
    wall, cpu = time.monotonic(), cpu_seconds()
    with loop:
        if is_done(out, cell):
            return
        try:
            run_open(loop, cell, out)
        finally:
            add_seconds(loop.path, "whole", time.monotonic() - wall, cpu_seconds() - cpu)


def run_open(loop: Cycle, cell: Cell, out: Path) -> None:
    """Everything that an open run has left to do; its `compared.json` last."""
    targets = [loop.config.target]
    if cell.arm == VANILLA:
        with loop.clock(layout.named(1, "mine")):
            mine(loop, 1)
    else:
        lend(out / Cell(VANILLA, cell.seed).name, loop.path)
        loop.run()
        targets += [loop.base(number + 1) for number in range(1, loop.config.rounds + 1)]
    with loop.clock("test"):
        for target in targets:
            for task, split in loop.reported:
                for one in ["dev", split] if cell.arm == VANILLA else [split]:
                    loop.scores(task, one, target)
    document = {
        "weights": list(map(weights_hash, targets)),
        "evaluations": [[task.name, split] for task, split in loop.reported],
        "in_domain": [task.name for task in parts(loop.task)],
    }
    write_atomic(loop.path / DONE, to_json(document))


def lend(source: Path, run: Path) -> None:
    """Copy the finished stages of one run into another, each as a whole: its manifest last."""
    for manifest in sorted(source.glob("*/**/manifest.json")):
        stage = run / manifest.parent.relative_to(source)
        if (stage / manifest.name).exists():
            continue
        others = [path for path in manifest.parent.iterdir() if path.is_file() and path != manifest]
        for path in (*others, manifest):
            write_atomic(stage / path.name, path.read_bytes())


# ---- all of them


def begin(comparison: Comparison, out: Path, elsewhere: bool = False) -> None:
    """Refuse what could not be run before anything is written: an arm with an unknown strategy or task, or a folder of other things. Where
    the runs are done `elsewhere`, neither keys nor GPUs are asked for here.

    Raises UsageError, TaskError or RunError.
    """
    for arm in comparison.arms:
        config = comparison.config(arm, comparison.seeds[0])
        if elsewhere:  # where there may be more GPUs
            config = config.model_copy(update={"train": config.train.model_copy(update={"devices": 1})})
        try:
            Cycle(config, out / arm).refuse_early(dry_run=elsewhere)
        except ErrataError as error:
            raise type(error)(f"arm {arm}: {error}") from None
    if foreign(out, FILE):
        raise RunError(f"{out} holds files but no {FILE}: it is not the folder of a comparison; choose another --out")
    refuse_others(comparison, out)
    document = to_json(comparison.model_dump(mode="json", exclude={"cluster"}))
    if not (out / FILE).exists() or (out / FILE).read_bytes() != document:
        write_atomic(out / FILE, document)


def forget(out: Path) -> None:
    """Remove the folder of a comparison of which no run came to anything: a mistyped target."""
    if [path.name for path in out.iterdir()] == [FILE]:
        (out / FILE).unlink()
        for folder in (out, *([out.parent] if out.parent == Path("runs") else [])):
            with suppress(OSError):  # it holds other things
                folder.rmdir()


def work(
    comparison: Comparison,
    out: Path,
    say: Callable[[str], None],
    run: Run | None = None,
    failed: dict[Cell, ErrataError] | None = None,
) -> None:
    """Run what is neither done nor under way elsewhere until all is done; what other processes work on is waited for.

    A run that fails is told of and set aside, and the others go on. Raises BudgetReached at once, and at the end RunError for those that
    failed. `run` is run_cell unless it is given; several threads with one `failed` give up a run once.
    """
    failed = {} if failed is None else failed
    waiting = False
    while True:
        left = [cell for cell in cells(comparison) if not is_done(out, cell)]
        todo = [cell for cell in left if not failed.keys() & {cell, Cell(VANILLA, cell.seed)}]
        if not todo:
            break
        for cell in [cell for cell in todo if cell.arm == VANILLA or is_done(out, Cell(VANILLA, cell.seed))]:
            try:
                (run or run_cell)(comparison, cell, out, say)
            except BusyError:
                continue
            except BudgetReached as error:
                raise BudgetReached(f"{cell.name}: {error}") from None
            except ErrataError as error:
                failed[cell] = error
                say(f"{cell.name} failed: {error}")
            waiting = False
            break
        else:
            if not waiting and not run:
                say(f"{len(todo)} runs are left, and other processes work on those that can be begun: waiting for them")
            waiting = True
            time.sleep(WAIT)
    if failed:
        first, reason = next(iter(failed.items()))
        said = f"{len(left)} of {len(cells(comparison))} runs are not done; {first.name}: {str(reason).replace('--run', '--out')}"
        raise RunError(f"{said}; the same command goes on")


def work_in_processes(comparison: Comparison, out: Path, jobs: int, say: Callable[[str], None], quiet: bool = False) -> None:
    """`work` in as many processes of this machine. They end with this one, however it ends. Raises RunError when runs failed."""
    if jobs == 1:
        work(comparison, out, say)
        return
    context = multiprocessing.get_context("spawn")  # a fork of a process that has threads may hang
    told = context.SimpleQueue()
    document = comparison.model_dump_json()
    workers = [context.Process(target=_worker, args=(document, out, quiet, told, gpus)) for gpus in gpus_of(comparison, jobs, say)]
    for worker in workers:
        worker.start()
    try:
        for worker in workers:
            worker.join()
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()
    if all(is_done(out, cell) for cell in cells(comparison)):
        return  # also what one worker gave up, and another did
    if not told.empty():
        message, code = told.get()
        raise (BudgetReached if code == BudgetReached.exit_code else RunError)(message)
    if any(worker.exitcode for worker in workers):
        codes = ", ".join(str(worker.exitcode) for worker in workers)
        raise RunError(f"worker processes ended with exit codes {codes} before all runs were done; the same command goes on")


def gpus_of(comparison: Comparison, jobs: int, say: Callable[[str], None]) -> list[str | None]:
    """What CUDA_VISIBLE_DEVICES is in each worker: GPUs of its own, as many as a training takes, and shared ones where there are too few.
    None: as here, for there is no GPU, the config names one, or takes none."""
    configs = [comparison.config(arm, comparison.seeds[0]) for arm in comparison.arms]
    wanted = {device for config in configs for device in (config.target.device, config.train.device)}
    gpus = visible_gpus() if wanted <= {"auto", "cuda", "cpu"} and wanted != {"cpu"} else ()
    each = max(config.train.devices if config.train.device != "cpu" else 1 for config in configs)
    if len(gpus) < each:
        return [None] * jobs
    shares = [",".join(gpus[first : first + each]) for first in range(0, len(gpus) - each + 1, each)]
    given = [shares[number % len(shares)] for number in range(jobs)]
    say(f"GPUs of the {jobs} jobs: {' | '.join(given)}")
    if jobs > len(shares):
        say(f"warning: {jobs} jobs share {len(gpus)} GPUs, so that memory may run out; --jobs {len(shares)} gives each {each} of its own")
    return list(given)


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(143)


def _worker(document: str, out: Path, quiet: bool, told: Any, gpus: str | None) -> None:
    if gpus is not None:
        os.environ[VISIBLE] = gpus  # read when torch looks for GPUs, here and in the processes of trainings
    parent = multiprocessing.parent_process()
    assert parent
    # a parent that was killed cannot end its workers
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    say = (lambda line: None) if quiet else (lambda line: print(line, file=sys.stderr, flush=True))
    try:
        work(Comparison.model_validate_json(document), out, say)
    except ErrataError as error:
        told.put((str(error), error.exit_code))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        os._exit(130)


# ---- before anything is run


def foretell(comparison: Comparison, out: Path) -> dict[str, Any]:
    """What would be run, and for each arm what teaching would ask of the instructor in a round (`estimate` is the first round's)."""
    arms = {}
    for name in comparison.arms:
        config = comparison.config(name, comparison.seeds[0])
        with TemporaryDirectory() as folder:
            loop = Cycle(config, Path(folder) / "run", lambda line: None)
            loop.refuse_early()
            with loop:
                estimate = loop.estimate().document()
        rounds = comparison.rounds * len(comparison.seeds)
        arms[name] = {"rows": asked_rows(config), "steps": steps(config), "estimate": estimate, "rounds": rounds}
    every = cells(comparison)
    done = [cell.name for cell in every if is_done(out, cell)]
    return {
        "runs": len(every),
        "done": len(done),
        "arms": arms,
        "seeds": list(comparison.seeds),
        "rounds": comparison.rounds,
        "items": comparison.base["items"],
    }
