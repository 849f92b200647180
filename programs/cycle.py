"""The loop: evaluate, split, contrast, teach, probe, assemble, train, evaluate again, gate; the next round from the accepted weights.

Each step is a stage of the run directory, so `Cycle.run` continues whatever a kill left, and ends with the same bytes. Evaluations are
kept by the hash of the weights, so that none is made twice. Stages raise plain errors; the command line prints them.

What is not here: what each step does (its module), and how a run is shown (errata.programs.report).
"""

import random
import sys
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import cached_property
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import dspy

from ..sandbox import Limits, Sandbox, open_sandbox
from ..signatures.calls import in_flight
from ..signatures.errors import BudgetReached, ErrataError, TaskError, UsageError, did_you_mean
from ..signatures.records import (
    Attempt,
    Example,
    Failure,
    GateDecision,
    ProgramRun,
    Rejection,
    Sample,
    SampleProgram,
    Taught,
    TrainReport,
    TrainRow,
    sealed,
)
from ..tasks import Task, load_task, member, parts
from ..trainers import open_target
from ..trainers.settings import TargetSettings
from ..trainers.tracking import Tracker
from .config import CycleConfig, GateSettings
from .instructor.chat import Calls, calling, instructed_by
from .instructor.engine import open_instructor
from .instructor.interpreter import interpreting
from .instructor.offline import EMBEDDED
from .run.directory import STEPS, RunDir, Stage, disk_errors, slug, to_json, write_atomic
from .run.evaluate import evaluate
from .run.ledger import Budget, Ledger
from .run.progress import Progress
from .run.summary import untaught
from .samples.checks import prove, targeted
from .samples.draw import draw_rows, draws
from .samples.filters import row_checks
from .samples.kinds import example_of, kind_of, sample_of
from .samples.style import styles
from .stats import counts
from .steps.agree import QUESTIONS, Agree, agreed
from .steps.allocation import weights
from .steps.assemble import Assembly, assemble, checked, replay, replay_count, train_rows
from .steps.gate import decide
from .steps.library import retired, standings
from .steps.words import Words
from .strategies.contrast import with_contrasts
from .strategies.named import load_strategy
from .strategies.rehearse import Estimate, estimate
from .strategies.strategy import pinned

T = TypeVar("T")
PROBE_SEED = -2
"""Seed of probe rows: never one of training (>= 0) or of the checks (-1)."""


class Mined(NamedTuple):
    failures: list[Failure]
    """What is taught from: errors, or what else the strategy asks for."""
    solved: list[Attempt]
    items: list[Example]
    """All train items of the round."""


class Probed(NamedTuple):
    masses: dict[str, float]
    """Program id -> the share of its probe rows that the target fails."""
    rejections: list[Rejection]
    """Of programs that have nothing to teach."""
    attempts: Sequence[Attempt] = ()


class Cycle:
    """One run of the loop: `with Cycle(config, path) as loop: loop.run()`. The run directory is locked inside the `with`."""

    run_dir: RunDir
    ledger: Ledger
    in_process = False
    """Whether trainings run in this process: no start of another a round, but their memory stays."""

    def __init__(self, config: CycleConfig, path: Path, say: Callable[[str], None] | Progress | None = None):
        """`say` is what tells of progress, or gets one line of it at a time; None prints to stderr.

        Raises UsageError or TaskError for a task, guard or strategy that cannot be used, before anything is started.
        """
        self.config = config = pinned(config)
        self.path = path
        self.progress = say if isinstance(say, Progress) else Progress(say or (lambda line: print(line, file=sys.stderr, flush=True)))
        self.say = self.progress.say
        self.task = load_task(config.task, config.table, self._judge, items=config.errors != "recorded")
        twins = tuple(task.twin for task in parts(self.task) if task.twin)
        self.guards = [load_task(name, config.table, self._judge) for name in (twins if config.guards is None else config.guards)]
        names = [task.name for task in (*parts(self.task), *self.guards)]
        if len(set(names)) < len(names):
            raise UsageError(f"task and guards are {', '.join(names)}: two of one name cannot be told apart; leave one out")
        self.strategy = load_strategy(config.generate)
        if config.target.api_base and config.train.method == "full":
            raise UsageError("a served target is trained with LoRA, as its server is given adapters, not weights: set train.method to lora")
        if config.train.sft or config.train.lora:
            from ..trainers.sft import check

            check(config.train)  # a wrong field is told now, not after the instructor was paid
        self.tracker = Tracker(config.train.sft.get("report_to"), path / "tracking", str(path), self.say)
        self.limits = Limits(seconds=config.sandbox.seconds, memory_mb=config.sandbox.memory_mb)
        self._sandbox: Sandbox | None = None
        self._opening = threading.Lock()
        self._target: Any = None

    def __enter__(self) -> "Cycle":
        """Raises RunError when the run directory is another's, of another config, or not writable."""
        self.run_dir = RunDir(self.path, self.config, self._data())
        try:
            self.ledger = Ledger(self.path, Budget(**self.config.budget.model_dump()))
        except BaseException:
            self.run_dir.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._close_target()
        self.tracker.close()
        if self._sandbox is not None:
            self._sandbox.close()
            self._sandbox = None
        self.ledger.close()
        self.run_dir.close()

    # ---- the loop

    def check(self, until: str | None = None) -> None:
        """Raise what `run(until)` would refuse, before the run directory is opened and anything is written."""
        if until not in (None, *STEPS):
            raise UsageError(f"there is no step {until!r}; choose one of {', '.join(STEPS)}{did_you_mean(until or '', STEPS)}")
        recorded = self.config.errors == "recorded"
        # of recorded errors, which cost nothing, the embedded instructor says one by one that it cannot read them
        if until != "mine" and self.config.instructor.model == "offline" and not recorded and self.strategy.source != "none":
            for task in parts(self.task):
                if task.kind in ("choice", "code") and task.name not in EMBEDDED:
                    raise UsageError(
                        f"of {task.kind} the embedded instructor teaches {', '.join(EMBEDDED)} alone: name another for {task.name}, e.g. "
                        "--instructor openai/gpt-5-mini; `errata evaluate` needs none"
                    )
        if until in (None, "train", "gate"):
            if recorded:
                self._check_held_out()
            for task in (*parts(self.task), *self.guards):
                if not task.examples("dev", 1):
                    raise TaskError(f"task {task.name} has no dev items for the gate to decide on; give it a folder that holds dev.jsonl")
            if self.config.target.api_base and not self.config.target.model:
                raise UsageError(
                    "training needs the weights that the server has on this machine too: name their folder or hub id with --target; "
                    "`errata evaluate` and `errata generate` go without"
                )

    def run(self, until: str | None = None) -> int:
        """All rounds, then the test; or, with `until` (one of STEPS), the first round that is not finished, up to that step.

        Returns the number of the round that it came to. Raises as `check` does.
        """
        self.check(until)
        if self.config.target.api_base and until in (None, "gate") and not self.decided(self.config.rounds):
            self._open(self.config.target).require_loading()
        target = self.config.target
        for number in range(1, self.config.rounds + 1):
            if until and not self.decided(number):
                self.round(number, target, until)
                return number
            target = self.round(number, target)
        if not until:
            self.finish(target)
        return self.config.rounds

    def round(self, number: int, target: TargetSettings, until: str | None = None) -> TargetSettings:
        """One round from `target`; the settings of the weights that the next one starts from."""
        mined = self.mine(number, target)
        if until == "mine":
            return target
        self.teach(number, mined)
        if until == "teach":
            return target
        library = self.library(number)
        probed = self.probe(number, target, library)
        if until == "probe":
            return target
        rows = self.assemble(number, target, mined, library, probed)
        if until == "assemble":
            return target
        if rows:
            self.train(number, target, rows)
        if until == "train":
            return target
        decision = self.gate(number, target)
        return self.candidate(number, target) if decision.accepted else target

    def estimate(self) -> Estimate:
        """Calls, tokens and cost of the first round's teaching, before anything is spent or run.

        From the errors where they are mined, else from train items as if their solutions were wrong answers, at most as many as the
        config lets be analysed.
        """
        most = self.config.generate.failures
        if self.run_dir.stage("round-1/mine").done or self.config.errors == "recorded":
            failures = self.mine(1, self.config.target).failures
            return self._estimated(failures, len(failures))
        examples = self.task.examples("train", self.config.items.train, seed=self.config.seed + 1)
        tried = [Attempt.unanswered(item).model_copy(update={"response": item.solution or item.answer}) for item in examples[:24]]
        failures = [Failure(attempt=row, contrasts=tuple(tried[: self.strategy.contrasts])) for row in tried]
        failures = failures if self.strategy.source != "none" else []
        count = len(examples) if most is None else min(most, len(examples))
        return self._estimated(failures, count)

    def _estimated(self, failures: Sequence[Failure], count: int) -> Estimate:
        """With the independent solves of a whole training set, where the task's answers are asserted."""
        generate = self.config.generate
        shown = [failure.attempt.example for failure in failures[:QUESTIONS]]
        solves = 0
        if shown and kind_of(shown[0]).asserted and "agreed" not in generate.skip:
            solves = generate.solves * ceil(self._rows(count) / QUESTIONS)
        brief = lambda example: member(self.task, example.task).brief  # noqa: E731
        solve = lambda: Agree()([example.question for example in shown], brief(shown[0]))  # noqa: E731
        return estimate(self.strategy, failures, brief, self.config.instructor, count, solve, solves)

    def _rows(self, programs: int) -> int:
        """Generated rows of a round."""
        return self.config.generate.rows or (8 * programs if programs and self.config.errors == "all" else 1000)

    # ---- the steps of a round

    def mine(self, number: int, target: TargetSettings) -> Mined:
        """The target's attempts at train items: failures to teach from, and what it solved. Unjudged attempts are neither.

        A strategy that is not taught from errors gets as many items at random."""
        stage = self.run_dir.stage(f"round-{number}/mine")
        if self.config.errors == "recorded" and number == 1:
            if not stage.done:
                raise UsageError(
                    f"{self.path} holds no recorded answers yet: errata import FILE --task {self.config.task} --run {self.path}"
                )
            rows = [row for row in stage.read("attempts.jsonl", Attempt) if row.example.split == "train"]
        else:
            examples = [] if stage.done else self.train_items(number)
            if self.config.errors == "all" and not stage.done:
                rows = list(map(Attempt.unanswered, examples))
                stage.finish({"attempts.jsonl": rows}, **counts(rows))
            else:
                rows = self._evaluate(stage, self.task, examples, target, f"round {number}: mine errors")
        failures = list({row.id: row for row in (Failure(attempt=row) for row in rows if row.verdict.correct is False)}.values())
        solved = [row for row in rows if row.verdict.correct]
        most = self.config.generate.failures
        items = list({row.example.id: row.example for row in rows}.values())
        rng = random.Random(f"failures:{self.config.seed}:{number}")
        count = len(failures) if most is None else min(most, len(failures))
        if self.strategy.source != "errors":
            drawn = rng.sample(items, count) if self.strategy.source == "train" else []
            return Mined([Failure(attempt=Attempt.unanswered(item)) for item in drawn], solved, items)
        if count < len(failures):
            failures = rng.sample(failures, count)
        if self.strategy.contrasts:
            failures = with_contrasts(failures, solved, self.strategy.contrasts)
        return Mined(failures, solved, items)

    def train_items(self, number: int) -> list[Example]:
        """Train items of a round, without those whose question is also a dev, test or guard item."""
        held_out = {example.question for example in self.held_out}
        examples = self.task.examples("train", self.config.items.train, seed=self.config.seed + number)
        kept = [example for example in examples if example.question not in held_out]
        if len(kept) < len(examples):
            self.say(f"round {number}: {len(examples) - len(kept)} train items are left out: they are dev, test or guard items too")
        return kept

    def teach(self, number: int, mined: Mined) -> list[Taught]:
        """Diagnoses and programs for the failures, from the instructor."""
        return self.teach_failures(self.run_dir.stage(f"round-{number}/teach"), mined.failures, f"round {number}: teach")

    def teach_failures(self, stage: Stage, failures: Sequence[Failure], title: str) -> list[Taught]:
        """Run the strategy on its groups of failures, several calls in flight, each row written as it finishes. What a program of several
        failures does not rebuild is taught alone."""
        if stage.done:
            return stage.read("taught.jsonl", Taught)
        lm = open_instructor(self.config.instructor, self.ledger, str(stage.path.relative_to(self.path)))

        def one(group: tuple[Failure, ...]) -> Taught:
            calls = Calls()
            with calling(lm), dspy.context(callbacks=[calls]):
                taught: Taught = self.strategy(
                    failures=group,
                    brief=member(self.task, group[0].attempt.example.task).brief,
                    prove=lambda program: self.prove(program, group),
                )
            return taught.model_copy(update={"calls": calls.count})

        def teach(groups: list[tuple[Failure, ...]]) -> list[Taught]:
            produce = lambda missing: self.counted(title, in_flight(one, missing, self.config.instructor.in_flight), len(missing))  # noqa: E731
            return stage.collect("taught.jsonl", groups, lambda group: "+".join(failure.id for failure in group), produce, Taught)

        groups = self.strategy.groups(failures)
        with instructed_by(lm), interpreting(lambda: self.sandbox, self.limits):
            rows = teach(groups)
            claimed = {name for row in rows if row.program for name in row.program.anchors}
            alone = [(failure,) for group in groups if len(group) > 1 for failure in group if failure.id not in claimed]
            if alone:
                rows = teach([*groups, *alone])
            known = {failure.id: failure for failure in failures}
            made = self.strategy.derive(rows, lambda program: self.prove(program, [known[name] for name in program.anchors]))
            if made:
                self.say(
                    f"{title}: {sum(row.program is not None for row in made)} programs made of those that passed, of {len(made)} tried"
                )
            rows += made
        kept, left = [row for row in rows if row.program], untaught(rows)
        stage.finish({"taught.jsonl": rows}, failures=len(failures), programs=len(kept))
        self.say(f"{title}: {len(failures)} failures, {len(kept)} programs passed, {len(left)} failures without one")
        return rows

    def prove(self, program: SampleProgram, failures: Sequence[Failure]) -> Rejection | None:
        """The model-free checks, but those that the config skips."""
        generate = self.config.generate
        return prove(program, failures, self.task, self.sandbox, self.limits, generate.skip, generate.simpler)

    def probe(self, number: int, target: TargetSettings, library: Mapping[str, SampleProgram]) -> Probed:
        """Let the target try a few rows of each program of the library that has not retired."""
        count = self.config.generate.probe
        gone = retired(self.run_dir, number)
        active = [name for name in library if name not in gone]
        if not count or self.config.errors != "target" or self.strategy.source != "errors":
            return Probed(dict.fromkeys(active, 1.0), [])
        stage = self.run_dir.stage(f"round-{number}/probe")
        examples: dict[str, list[Example]] = {}
        if not stage.done:
            for place, (name, program) in enumerate(library.items()):
                if name in gone:
                    continue
                # each from another index: programs of one kind would draw the same rows, of which only one is asked; a program keeps its
                # place, so that each round probes the same rows
                wanted = draws(PROBE_SEED, self.config.generate.levels, place * count, count)
                rows = draw_rows(self.sandbox, self.limits, program, wanted)
                examples[name] = [self._probe_item(row) for row in rows]
        flat = [example for rows in examples.values() for example in rows]
        tried = self._evaluate(stage, self.task, flat, target, f"round {number}: probe {len(active)} programs")
        by_program: dict[str, list[Attempt]] = {name: [] for name in active}
        for attempt in tried:
            by_program[attempt.example.meta["program"]].append(attempt)
        probed = Probed({}, [], tried)
        for name, probe in by_program.items():
            refusal = targeted(library[name], probe, self.config.generate.solved)
            if refusal and refusal.check not in self.config.generate.skip:
                probed.rejections.append(refusal)
            else:
                probed.masses[name] = sum(row.verdict.correct is False for row in probe) / len(probe)
        return probed

    def probe_after(self, number: int, candidate: TargetSettings) -> None:
        """Let the candidate try the probe rows of the round's own programs, for the report: which errors it would make again."""
        probe = self.run_dir.stage(f"round-{number}/probe")
        if probe.done:
            own = {row.program.id for row in self.run_dir.stage(f"round-{number}/teach").read("taught.jsonl", Taught) if row.program}
            asked = [row.example for row in probe.read("attempts.jsonl", Attempt) if row.example.meta["program"] in own]
            stage = self.run_dir.stage(f"round-{number}/probe-after")
            self._evaluate(stage, self.task, asked, candidate, f"round {number}: probe the candidate")

    def _probe_item(self, sample: Sample) -> Example:
        example = example_of(self.task, sample)
        return example.model_copy(update={"solution": sample.solution, "meta": example.meta | {"program": sample.program_id}})

    def assemble(
        self, number: int, target: TargetSettings, mined: Mined, library: Mapping[str, SampleProgram], probed: Probed
    ) -> list[TrainRow]:
        """The training rows of a round; none when no program is left to draw from."""
        stage = self.run_dir.stage(f"round-{number}/assemble")
        if stage.done:
            return stage.read("rows.jsonl", TrainRow)
        generate = self.config.generate
        seed = self.config.seed * 1000 + number
        made = Assembly([], [])
        held_out = 0
        masses = weights(generate.allocation, self.run_dir, number, library, probed.masses, seed)
        total = self._rows(len(masses))
        items = self.strategy.items(self.task, mined.items, total, seed)
        if masses or items:
            others = self.held_out
            held_out = len(others)
            checks = row_checks(self.task, others, generate.skip)
            made = checked((sample_of(item, seed, index) for index, item in enumerate(items)), total, checks)
        if masses:
            left = total - len(made.samples)
            words = self._words(number, target, seed)
            with self.progress.busy(f"round {number}: assemble"):
                drawn = assemble(library, masses, left, seed, generate.levels, checks, self.sandbox, self.limits, words)
            words.finish()
            drawn = self._agreed(number, stage, drawn)
            made = Assembly(made.samples + drawn.samples, made.rejections + drawn.rejections)
        elif items and len(made.samples) < total:
            self.say(f"round {number}: {len(made.samples)} of {total} rows: task {self.task.name} has no more items of its own to give")
        count = replay_count(len(made.samples), generate.replay)
        # a contrast works on both sides of the boundary: half of its replay are the solved neighbours of the errors
        near = {row.id: row for failure in mined.failures for row in failure.contrasts}
        beside = count // 2 if near else 0
        replayed = replay(list(near.values()), beside, seed) + replay(mined.solved, count - beside, seed)
        rows = train_rows(self.task, made.samples, replayed, seed) if made.samples else []
        gone = retired(self.run_dir, number)
        active = {name: program for name, program in library.items() if name not in gone}
        standing = standings(number, active, probed.attempts, probed.rejections, masses, made.samples, made.rejections)
        stage.finish(
            {
                "samples.jsonl": made.samples,
                "rejections.jsonl": [*probed.rejections, *made.rejections],
                "rows.jsonl": rows,
                "library.jsonl": standing,
            },
            samples=len(made.samples),
            replay=len(replayed) if rows else 0,
            refused=len(made.rejections),
            held_out=held_out,
            style=styles(self.task, made.samples, [failure.attempt.example for failure in mined.failures], mined.solved),
        )
        self.say(f"round {number}: assemble {len(made.samples)} samples of {len(masses)} programs, {len(replayed)} replayed")
        if done := sum(bool(row.retired) for row in standing):
            self.say(f"round {number}: {done} programs retire: the target has mastered their rows")
        return rows

    def _words(self, number: int, target: TargetSettings, seed: int) -> Words:
        watch = lambda rows, total: self.counted(f"round {number}: ask the target {total} drawn questions", rows, total)  # noqa: E731
        return Words(self.run_dir.stage(f"round-{number}/words"), self.task, self.config.generate, seed, lambda: self._open(target), watch)

    def _agreed(self, number: int, stage: Stage, made: Assembly) -> Assembly:
        """The rows whose answer is asserted, solved independently; the gap is told where there is no model to solve them."""
        asserted = sum(sample.asserted for sample in made.samples)
        generate = self.config.generate
        if not asserted:
            return made
        if not generate.solves or "agreed" in generate.skip or self.config.instructor.model == "offline":
            self.say(f"round {number}: {asserted} rows rest on facts that no independent solve has confirmed")
            return made
        lm = open_instructor(self.config.instructor, self.ledger, str(stage.path.relative_to(self.path)))
        self.say(f"round {number}: solve {asserted} rows independently, whose answer the instructor asserts")
        with instructed_by(lm), calling(lm):
            width = self.config.instructor.in_flight
            after = agreed(made, self.task, generate.solves, generate.agreed, width, self.config.seed * 1000 + number)
        kept = sum(sample.asserted for sample in after.samples)
        self.say(f"round {number}: the solves agree with {kept} of them; the others are dropped")
        return after

    def train(self, number: int, target: TargetSettings, rows: Sequence[TrainRow]) -> TrainReport:
        """Fine-tune the target on the rows in a child process, into round-<number>/train."""
        from ..trainers.sft import train

        out = self.path / f"round-{number}/train"
        settings = self.config.train.model_copy(update={"method": "lora"}) if target.api_base else self.config.train
        if Stage(out).done:
            return train(rows, target, settings, out, seed=self.config.seed)
        self.ledger.check_time()
        self._close_target()  # its memory is the child's
        title = f"round {number}: train"
        self.say(f"{title} on {len(rows)} rows")
        step = lambda now: self.progress.at(title, now["step"], now["steps"], f"loss {now['loss']:.3f}")  # noqa: E731
        with disk_errors(out), self.progress.busy(title):
            report = train(rows, target, settings, out, seed=self.config.seed, in_process=self.in_process, on_progress=step)
        self.say(f"{title}: {report.steps} steps, loss {report.loss_first:.3f} to {report.loss_last:.3f}")
        return report

    def candidate(self, number: int, target: TargetSettings) -> TargetSettings:
        """The settings of the weights that round `number` trained from `target`."""
        from ..trainers.weights import trained

        return trained(target, self.path / f"round-{number}/train")

    def gate(self, number: int, target: TargetSettings) -> GateDecision:
        """Compare the candidate with the weights that it came from, on dev and on each guard's dev."""
        stage = self.run_dir.stage(f"round-{number}/gate")
        if stage.done:
            return stage.read("decision.jsonl", GateDecision)[0]
        if not self.run_dir.stage(f"round-{number}/train").done:
            decision = decide(self.task.name, [], [], {}, GateSettings())
            decision = decision.model_copy(update={"reason": "no program was left to train on"})
        else:
            after = self.candidate(number, target)
            main = [self._dev(settings) for settings in (target, after)]
            pairs = {guard.name: (self.scores(guard, "dev", target), self.scores(guard, "dev", after)) for guard in self.guards}
            self.probe_after(number, after)
            decision = decide(self.task.name, main[0], main[1], pairs, self.config.gate)
            if len(parts(self.task)) > 1:
                decision = decision.model_copy(update={"benchmarks": tuple(task.name for task in parts(self.task))})
        stage.finish({"decision.jsonl": [decision]}, accepted=decision.accepted)
        self.say(f"round {number}: {'accepted' if decision.accepted else 'rejected'}: {decision.reason}")
        figures = self._figures(number, decision)
        self.progress.fact("round", number=number, **figures)
        self.tracker.log(number, {name: float(value) for name, value in figures.items() if isinstance(value, int | float)})
        return decision

    def _figures(self, number: int, decision: GateDecision) -> dict[str, Any]:
        """What programs and trackers are told of a round that was decided here: dev and guards (shares), rows, cost so far."""
        teach, rows = (self.run_dir.stage(f"round-{number}/{name}").facts() for name in ("teach", "assemble"))
        spent = self.ledger.document()["total"]
        names = ("accepted", "before", "after", "low", "high", "fixed", "broken", "p_value")
        figures = {name: getattr(decision, name) for name in names}
        for guard in decision.guards:
            figures |= {f"{guard['task']}_{side}": guard[side] for side in ("before", "after")}
        figures |= {"failures": teach["failures"], "programs": teach["programs"], "rows": rows["samples"], "replayed": rows["replay"]}
        return figures | {"calls": spent["calls"], "tokens": spent["tokens_in"] + spent["tokens_out"], "usd": spent["usd"]}

    def decided(self, number: int) -> bool:
        return self.run_dir.stage(f"round-{number}/gate").done

    # ---- what the steps share

    def _dev(self, target: TargetSettings) -> list[Attempt]:
        """The target's attempts at the dev items of the task, or of all its members."""
        return [attempt for task in parts(self.task) for attempt in self.scores(task, "dev", target)]

    def scores(self, task: Task, split: str, target: TargetSettings) -> list[Attempt]:
        """The target's attempts at a held-out split, kept by the hash of its weights."""
        from ..trainers.weights import weights_hash

        examples = task.examples(split, getattr(self.config.items, split), seed=self.config.seed)
        if not examples:
            raise TaskError(f"task {task.name} has no {split} items; give it a folder that holds {split}.jsonl")
        name = slug(f"{task.name}-{split}")
        stage = self.run_dir.stage(f"evaluate/{weights_hash(target)}/{name}")
        return self._evaluate(stage, task, examples, target, f"evaluate {name}, {self._whose(target)}")

    def _whose(self, target: TargetSettings) -> str:
        for number in range(1, self.config.rounds + 1):
            if str(self.path / f"round-{number}/train/weights") in (target.model, target.adapter):
                return f"weights of round {number}"
        return "weights as given"

    def finish(self, target: TargetSettings) -> None:
        """Evaluate the test split of the task and of each guard, before and after, and write result.json for the report."""
        from ..trainers.weights import weights_hash

        done = self.reported
        for task, split in done:
            if split == "dev":
                self.say(f"{task.name} is reported on dev, which the gate has seen: it has no test items here")
        for settings in dict.fromkeys((self.config.target, target)):
            for task, split in done:
                self.scores(task, split, settings)
        result = {"before": weights_hash(self.config.target), "after": weights_hash(target), "rounds": self.config.rounds}
        evaluations = [[task.name, split] for task, split in done]
        write_atomic(self.path / "result.json", to_json(sealed(result | {"evaluations": evaluations})))

    @property
    def reported(self) -> list[tuple[Task, str]]:
        """The task (of a union, each member) and each guard, with the split that is reported: test, or dev where test is empty."""
        tested = self.config.items.test != 0
        tasks = (*parts(self.task), *self.guards)
        return [(task, "test" if tested and task.examples("test", 1) else "dev") for task in tasks]

    def library(self, number: int) -> dict[str, SampleProgram]:
        """The programs that passed the checks in rounds 1 to `number`, by id."""
        programs = {}
        for earlier in range(1, number + 1):
            for row in self.run_dir.stage(f"round-{earlier}/teach").read("taught.jsonl", Taught):
                if row.program:
                    programs[row.program.id] = row.program
        return programs

    @cached_property
    def held_out(self) -> list[Example]:
        """Every dev, test and guard item that a training row must not overlap, one of each question; none where recorded answers came
        without the task's data."""
        try:
            self.task.examples("dev", 0)
        except ErrataError as error:
            if self.config.errors != "recorded":
                raise
            self.say(f"rows are checked against no dev or test items ({error}); they cannot be trained on")
            return []
        questions: dict[str, Example] = {}
        for task in (*parts(self.task), *self.guards):
            for split in ("dev", "test"):
                # those that are measured, and where there are more of them the others too
                for limit in (getattr(self.config.items, split), None):
                    questions |= {example.question: example for example in task.examples(split, limit, seed=self.config.seed)}
        self.run_dir.check(self.config, self._data())  # of recorded answers, a data set on the hub is first read here
        return list(questions.values())

    def _data(self) -> list[tuple[str, Mapping[str, str]]]:
        return [(task.name, task.data) for task in (*parts(self.task), *self.guards)]

    def _judge(self, source: str, harness: str, payload: Any) -> ProgramRun:
        """Runs the answers of code tasks."""
        return self.sandbox.run(source, harness, payload, self.limits)

    def _check_held_out(self) -> None:
        """Recorded answers can be taught without the task's data, not trained on."""
        again = f"import the answers into another --run with the task's data, e.g. --task {self.task.name.partition(':')[0]}:FOLDER"
        try:
            known = self.task.examples("dev", 1)
        except ErrataError as error:
            raise UsageError(f"nothing can be trained here, {error}; {again}") from None
        if not known:
            raise UsageError(f"nothing can be trained here, {self.config.task} has no dev items for the gate to decide on; {again}")
        stage = Stage(self.path / "round-1/assemble")
        if stage.done and stage.facts()["samples"] and not stage.facts()["held_out"]:
            raise UsageError(f"nothing can be trained here, the rows were drawn without dev and test items to keep away from; {again}")

    @property
    def sandbox(self) -> Sandbox:
        with self._opening:  # several calls in flight ask for it at once
            if self._sandbox is None:
                self._sandbox = open_sandbox(workers=self.config.sandbox.workers, backend=self.config.sandbox.backend)
            return self._sandbox

    def _evaluate(self, stage: Stage, task: Task, examples: Sequence[Example], target: TargetSettings, title: str) -> list[Attempt]:
        if stage.done:
            return stage.read("attempts.jsonl", Attempt)
        self.ledger.check_time()
        rows = evaluate(stage, task, examples, lambda: self._open(target), lambda found, total: self.counted(title, found, total))
        count = counts(rows)
        extra = "".join(f", {count[name]} {name.replace('_', ' ')}" for name in ("no_answer", "cut", "unjudged") if count[name])
        self.say(f"{title}: {count['right']} of {count['items']} right{extra}")
        return rows

    def _open(self, settings: TargetSettings) -> Any:
        if self._target is None or self._target.settings != settings:
            self._close_target()
            self._target = open_target(settings)
            if settings.api_base and not settings.model:
                self.say(
                    f"{self._target.name} at {settings.api_base} is known by its name alone: when the server is given other weights, "
                    "choose another --run"
                )
            if not settings.api_base:
                beside = f" + adapter {settings.adapter}" if settings.adapter else ""
                self.say(f"target {settings.model}{beside}: {self._target.summary}")
        return self._target

    def _close_target(self) -> None:
        if self._target is not None:
            self._target.close()
            self._target = None

    def counted(self, title: str, rows: Generator[T], total: int) -> Generator[T]:
        """The same rows, while progress is told, until the cap on time is reached."""
        self.progress.at(title, 0, total)
        try:
            for number, row in enumerate(rows, 1):
                yield row
                self.progress.at(title, number, total)
                try:
                    self.ledger.check_time()
                except BudgetReached as reached:
                    rows.throw(reached)  # what is under way is finished, what has not begun is dropped
        finally:
            self.progress.end(title)
