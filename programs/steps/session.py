"""One open run: its config, tasks, directory, ledger, sandbox, target and progress, which every step of a round uses.

Steps talk to each other through the run directory alone: what a session knows of a round, such as the weights that it starts from, is read
from there too.
What is not here: the steps (a file each beside this one), and their order (errata.programs.cycle).
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self, TypeVar

from ...sandbox import Limits, Sandbox, open_sandbox
from ...signatures.errors import BudgetReached, ErrataError, TaskError, UsageError
from ...signatures.records import Attempt, Example
from ...tasks import Task, load_task, parts, refuse_unread
from ...tasks.table import TableTask
from ...trainers import open_target
from ...trainers.served.vllm import Servers
from ...trainers.settings import AUTO, TargetSettings
from ...trainers.sft import STAGES, check
from ...trainers.tracking import Tracker
from ...trainers.weights import trained, weights_hash
from ..config import CycleConfig, settled
from ..instructor.judge import open_judge
from ..patterns.chosen import chosen, keep
from ..run import layout
from ..run.cluster import Cluster, open_cluster
from ..run.cluster_sandbox import ClusterSandbox
from ..run.cluster_target import ClusterTarget
from ..run.directory import RunDir, Stage, flatten, read_json, slug, to_json, write_atomic
from ..run.evaluate import Rows, attempts
from ..run.formats import answering, settle
from ..run.ledger import Ledger
from ..run.progress import Progress
from ..stats import OUTCOMES, counts
from ..strategies import state
from ..strategies.named import load_strategy

T = TypeVar("T")
Answers = Callable[[Sequence[Example]], Rows]


class Session:
    """`with Session(config, path) as run: ...`. The run directory is locked inside the `with`."""

    run_dir: RunDir
    ledger: Ledger
    until: str | None = None  # the step that this run stops after; None: it goes on to its test
    in_process = False
    """Whether trainings run in this process: no start of another one a round, but their memory stays."""
    formats: Path | bool = True
    """Where the target's number format is settled that the config leaves open: in this run, in a folder of several, or nowhere."""

    def __init__(self, config: CycleConfig, path: Path, say: Callable[[str], None] | Progress | None = None):
        """`say` takes progress, or one line of it at a time; None prints to stderr. Raises UsageError or TaskError for a task, guard or
        strategy that cannot be used, before anything is started."""
        self.path, self.config = path, (config := state.pinned(settled(config), path))
        self.progress = say if isinstance(say, Progress) else Progress(say or (lambda line: print(line, file=sys.stderr, flush=True)))
        self.say = self.progress.say
        self.judge = open_judge(config.judge, config.instructor, lambda: self.ledger)
        refuse_unread(config.table, (config.task, *(config.guards or ())))
        self.limits = Limits(seconds=config.sandbox.seconds, memory_mb=config.sandbox.memory_mb)
        runner = lambda source, harness, payload: self.sandbox.run(source, harness, payload, self.limits)  # noqa: E731  # for code tasks
        self.load = load = partial(load_task, table=config.table, runner=runner, tags=config.trace_tags, judge=self.judge)
        self.task = load(config.task, items=config.errors != "recorded")
        twins = tuple(task.twin for task in parts(self.task) if task.twin)
        self.guards = [load(name, beside=self.task) for name in (twins if config.guards is None else config.guards)]
        if len(set(map(slug, names := [task.name for task in self.tasks]))) < len(names):
            raise UsageError(f"task and guards are {', '.join(names)}: two of one name, or one folder, cannot be told apart; leave one out")
        self.strategy = load_strategy(config.generate, path)
        self.chosen, self._choice = chosen(config, self.strategy.source, path)
        if config.target.api_base and config.train.method == "full":
            raise UsageError("a served target is trained with LoRA, as its server is given adapters, not weights: set train.method to lora")
        if config.train.lora or any(getattr(config.train, stage) for stage in STAGES):
            check(config.train)  # a wrong field is told now, not after the instructor was paid
        sft, told = config.train.sft, flatten(config.model_dump(mode="json"))
        self.tracker = Tracker(sft.get("report_to"), path / "tracking", sft.get("run_name", str(path.absolute())), self.say, told)
        self._sandbox: Sandbox | None = None
        self._opening, self._clock_runs = threading.Lock(), False
        self.loaded: Any = None
        self._servers = None if config.cluster or config.target.api_base != AUTO else Servers(path / layout.SERVED, config.train, self.say)

    def __enter__(self) -> Self:
        """Raises RunError when the run directory is another's, of another config, or not writable."""
        with ExitStack() as opened:
            self.run_dir = opened.enter_context(RunDir(self.path, self.config, self._data()))
            self.ledger = opened.enter_context(Ledger(self.path, self.config.budget))
            keep(self.path, self.chosen, self._choice, self.say)
            state.keep(self.config.generate.state, self.path, self.say)
            self._opened = opened.pop_all()
        for one in (one for task in self.tasks for one in parts(task)):
            if isinstance(one, TableTask) and one.form.taken:
                self.say(f"{one.name}: {one.form.taken}")
        return self

    def __exit__(self, *error: Any) -> None:
        if self.judge and (told := self.judge.settled):
            self.say(told)
        try:
            self.close_target()
            self.tracker.close()
            if self._sandbox is not None:
                self._sandbox.close()
            self._sandbox = None
        finally:
            self._opened.__exit__(*error)

    # ---- rounds

    def stage(self, number: int, name: str) -> Stage:
        """The stage `name` of round `number`."""
        return layout.step(self.path, number, name)

    def decided(self, number: int) -> bool:
        return self.stage(number, "gate").done

    def base(self, number: int) -> TargetSettings:
        """The weights that round `number` starts from: those that were accepted last before it, or those that the config names."""
        for earlier in range(number - 1, 0, -1):
            if (decision := layout.decision(self.path, earlier)) and decision.accepted:
                return self.candidate(earlier, decision.stage)
        return self.config.target

    def candidate(self, number: int, place: int = 0) -> TargetSettings:
        """The weights that round `number` trained, as they stand after the stage at `place`."""
        return trained(self.candidate(number, place - 1) if place else self.base(number), layout.training(self.path, number, place))

    # ---- tasks and what they hold out

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The task, of several joined ones each member, and the guards."""
        return (*parts(self.task), *self.guards)

    @property
    def reported(self) -> list[tuple[Task, str]]:
        """Each task and guard with the split that is reported: test, or dev where test is empty."""
        tested = self.config.items.test != 0
        return [(task, "test" if tested and task.examples("test", 1) else "dev") for task in self.tasks]

    @cached_property
    def held_out(self) -> list[Example]:
        """Every dev, test and guard item that a training row must not overlap, one of each question; empty where recorded answers came
        without the task's data."""
        try:
            self.task.examples("dev", 0)
        except ErrataError as error:
            if self.config.errors != "recorded":
                raise
            self.say(f"rows are checked against no dev or test items ({error}); they cannot be trained on")
            return []
        questions: dict[str, Example] = {}
        for task in self.tasks:
            for split in ("dev", "test"):
                # those that are measured, and where there are more of them the others too
                for limit in (getattr(self.config.items, split), None):
                    questions |= {example.question: example for example in task.examples(split, limit, seed=self.config.seed)}
        if hasattr(self, "run_dir"):  # else what opens it looks
            self.run_dir.check(self.config, self._data())  # of recorded answers, a data set on the hub is first read here
        return list(questions.values())

    def _data(self) -> list[tuple[str, Mapping[str, str]]]:
        return [(task.name, task.data) for task in self.tasks]

    # ---- the target and the sandbox

    def scores(self, task: Task, split: str, target: TargetSettings) -> Sequence[Attempt]:
        """The target's attempts at a held-out split, kept by the hash of its weights."""
        examples = task.examples(split, getattr(self.config.items, split), seed=self.config.seed)
        if not examples:
            raise TaskError(f"task {task.name} has no {split} items; give it a folder that holds {split}.jsonl, or another --split")
        stage = layout.evaluation(self.path, weights_hash(target), task.name, split)
        return self.evaluate(stage, task, examples, target, f"evaluate {stage.path.name}, {_whose(self, target)}")

    def evaluate(self, stage: Stage, task: Task, examples: Sequence[Example], target: TargetSettings, title: str) -> Sequence[Attempt]:
        """The target's attempts at the examples; it is opened only when an answer is missing."""
        return self.attempts(stage, examples, lambda missing: attempts(task, missing, self.open_target(target, len(missing))), title)

    def attempts(self, stage: Stage, examples: Sequence[Example], answers: Answers, title: str) -> Sequence[Attempt]:
        """One attempt an item, written into the stage as `answers` gives them, or read from it where it is done; each is read again
        whenever it is asked for."""
        if stage.done:
            return stage.rows(layout.ATTEMPTS, Attempt)
        self.ledger.check_time()
        produce = lambda missing: self.counted(title, answers(missing), len(missing))  # noqa: E731
        rows = stage.collect(layout.ATTEMPTS, examples, lambda example: example.id, produce, Attempt)
        count = counts(rows)
        stage.finish({layout.ATTEMPTS: rows}, **count)
        extra = "".join(f", {count[name]} {name.replace('_', ' ')}" for name in OUTCOMES if count.get(name))
        self.say(f"{title}: {count['right']} of {count['items']} right{extra}")
        return rows

    def open_target(self, settings: TargetSettings, asked: int | None = None) -> Any:
        """The target with these weights, ready to answer; another one that was open is closed. `asked`: as formats.settle has it."""
        with self.progress.busy(f"open target {settings.title}"):
            settings = self._servers.serving(settings) if self._servers else _in_its_format(self, settings, asked)
            if self.loaded is not None and self.loaded.settings == settings:
                return self.loaded
            self.close_target(servers=False)
            far = ClusterTarget(self.cluster, settings) if self.config.cluster and not settings.servers else None
            self.loaded = far or open_target(settings, self.say, *([self._servers.away] if self._servers else []))
        if told := _about(self.loaded):
            self.say(told)
        return self.loaded

    def close_target(self, servers: bool = True) -> None:
        """Free the memory of the target, and of the `servers` that were started for it."""
        if self.loaded is not None:
            self.loaded.close()
            self.loaded = None
        if servers and self._servers:
            self._servers.stop()

    @property
    def sandbox(self) -> Sandbox:
        """Opened when it is first asked for; another one may be set before, and is closed with the run too."""
        with self._opening:  # several calls in flight ask for it at once
            if self._sandbox is None:
                self._sandbox = ClusterSandbox(self.cluster) if self.config.cluster else open_sandbox(workers=self.config.sandbox.workers)
            return self._sandbox

    @sandbox.setter
    def sandbox(self, sandbox: Sandbox | None) -> None:
        self._sandbox = sandbox

    @cached_property
    def cluster(self) -> Cluster:
        """Opened when it is first asked for; left with the run."""
        return self._opened.enter_context(open_cluster(self.config.cluster or "auto", self.say))

    # ---- progress and time

    def counted(self, title: str, rows: Generator[T], total: int, width: int = 1) -> Generator[T]:
        """The same rows, `width` under way at a time, while progress is told, until the cap on time is reached."""
        self.progress.at(title, 0, total)
        if self.loaded is not None:
            self.loaded.on_share = partial(self.progress.share, title)
        try:
            for number, row in enumerate(rows, 1):
                yield row
                self.progress.at(title, number, total, width=width)
                try:
                    self.ledger.check_time()
                except BudgetReached as reached:
                    rows.throw(reached)  # what is under way is finished, what has not begun is dropped
        finally:
            self.progress.end(title)

    @contextmanager
    def clock(self, name: str) -> Iterator[None]:
        """Add the seconds of what is inside to those of `name` in seconds.json; inside another clock it does nothing."""
        if self._clock_runs:
            yield
            return
        self._clock_runs = True
        wall, cpu = time.monotonic(), cpu_seconds()
        try:
            with self.progress.within(name):
                yield
        finally:
            self._clock_runs = False
            add_seconds(self.path, name, time.monotonic() - wall, cpu_seconds() - cpu)


def _in_its_format(run: Session, settings: TargetSettings, asked: int | None) -> TargetSettings:
    """The settings with the number format that the run answers in."""
    if run.formats is False or run.config.cluster:
        return settings
    settle(run.path, run.config.target, run.task, asked, run.say, run.formats)
    return answering(run.path, settings)


def _whose(run: Session, target: TargetSettings) -> str:
    """Which weights these are, as a line of progress says it."""
    stages = run.config.train.order
    for number in range(1, run.config.rounds + 1):
        for place, stage in enumerate(layout.stage_names(run.path, number, stages)):
            if str(layout.weights(run.path, number, place)) in (target.adapter, target.model):
                after = f" after {stage}" if len(stages) > 1 else ""
                return f"weights of round {number}{after if stage in stages else f', {stage}'}"
    return "weights as given"


def _about(target: Any) -> str:
    """What a user is told of a target that was opened; empty: nothing."""
    settings = target.settings
    if not settings.api_base:
        return f"target {settings.model}{f' + adapter {settings.adapter}' if settings.adapter else ''}: {target.summary}"
    known = f"{target.name} at {', '.join(settings.servers)} is known by its name alone"
    return "" if settings.model else f"{known}: when the server is given other weights, choose another --run"


def cpu_seconds() -> float:
    """CPU seconds of this process and of the children that it waited for."""
    return sum(os.times()[:4])


def add_seconds(run: Path, name: str, wall: float, cpu: float) -> None:
    """Add to what seconds.json of a run says of `name`, unless it is nothing. What a killed step took is not in it."""
    if round(wall, 2) == 0:
        return
    path = run / layout.SECONDS
    known = read_json(path) if path.exists() else {}
    old = known.get(name, {"wall": 0.0, "cpu": 0.0})
    ended = datetime.now(UTC).isoformat(timespec="seconds")
    known[name] = {"wall": round(old["wall"] + wall, 2), "cpu": round(old["cpu"] + cpu, 2), "ended": ended}
    write_atomic(path, to_json(known))
