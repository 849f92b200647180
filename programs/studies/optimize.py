"""Prompt optimization as an experiment: a strategy, recorded failures, one of DSPy's optimizers and a number of evaluations; what comes of
it is a better strategy, or the finding that none was found.

    with Cycle(config, path) as loop:
        result = Optimization(loop, [Path("runs/mine")], OptimizeSettings(optimizer="gepa")).run()

The failures are train errors of a run or an import, in three parts that share no question: the optimizer learns from `train`, chooses by
`validation`, and baseline and optimized strategy are compared on `held`, paired. Dev, test and guard items are never looked at.

It continues after a kill by being run again: optimizers are deterministic for a seed, every answer of an instructor is in the ledger and
every proof in the journal, so what was done costs nothing the second time. The optimizers' own checkpoints (GEPA's `log_dir`) are pickles,
and not used. A reached cap, a bad key and an interrupt end the optimizer at once.

Strategies that run code of an optimizer's (dspy.Flex) run it in the run's sandbox.

What is not here: the metric (errata.programs.studies.scoring), what each optimizer is given (errata.programs.studies.optimizers), and what
came of it (errata.programs.studies.improvement). An optimizer's own settings are handed through (`options`).
"""

import contextlib
import logging
import os
import random
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from math import fsum
from pathlib import Path
from typing import Any, TextIO

import dspy
import numpy as np
from pydantic import ValidationError

from ...signatures.calls import in_flight
from ...signatures.errors import ErrataError, RunError, UsageError
from ...signatures.records import Failure, content_hash
from ...tasks import parts
from ...tasks.options import asked
from ..config import CycleConfig, InstructorSettings, explain
from ..cycle import Cycle, unteachable
from ..instructor.chat import instructed_by
from ..instructor.engine import Engine, Instructor, open_instructor
from ..instructor.interpreter import interpreting
from ..instructor.offline import offline_lm
from ..rehearse import recorded_failures, require_prompt
from ..report.records import Bill
from ..run.directory import disk_errors, read_json, slug, to_json, write_atomic
from ..run.progress import Progress
from ..steps.teach import train_rows
from ..strategies.named import load_strategy
from ..strategies.state import pinned
from ..strategies.strategy import Strategy
from .improvement import Taken, changes, compare
from .optimize_page import markdown, page
from .optimizers import REWRITING, arguments, check_options, plan, saveable, teleprompter
from .probe_training import probe_training
from .records import Optimized, Tried
from .scoring import Halt, Journal, Lesson, Measure, Score, examples, halting, score_only
from .settings import LEAST, OptimizeSettings

PRESETS = {"light": 6, "medium": 12, "heavy": 24}
"""Evaluations for each failure of train and validation."""
TRAIN, VALIDATION = 0.4, 0.3
"""Shares of the questions; the rest is held out."""


class Optimization:
    """One optimization inside an open Cycle, in `<run>/optimize`."""

    def __init__(
        self,
        loop: Cycle,
        sources: Sequence[Path],
        settings: OptimizeSettings,
        lm: dspy.LM | None = None,
        reflection: dspy.LM | None = None,
    ):
        """`sources`: run directories whose train errors are learnt from. `lm` and `reflection` are opened from the names in config and
        settings when None. Raises UsageError for too few failures or an optimizer that cannot be had, before anything is spent."""
        self.loop = loop
        self.settings = settings
        self.path = loop.path / "optimize"
        self.optimizer = teleprompter(settings.optimizer)
        check_options(self.optimizer, settings.options)
        asked = settings.evaluations
        if asked not in PRESETS and not (asked.isdecimal() and int(asked)):
            raise UsageError(f"--evaluations takes {', '.join(PRESETS)} or a number, not {asked!r}")
        require_prompt(loop.strategy, loop.config)
        rewriter = settings.reflection or loop.config.instructor.model
        if not (reflection or lm) and rewriter == "offline" and settings.optimizer in REWRITING:
            raise UsageError(
                f"{settings.optimizer} wants a model that can rewrite instructions, and the embedded instructor cannot; "
                "name one with --reflection MODEL, or choose --optimizer bootstrap"
            )
        self.parts = split(self._failures(sources), settings.seed, settings.failures)
        self._agree(sources)
        items = [failure.attempt.example for part in self.parts.values() for failure in part.values()]
        for task in parts(loop.task):
            mine = [item for item in items if item.task == task.name]
            if reason := unteachable(task, mine):
                raise UsageError(reason)
        self.lm = lm or self._open(self._named(None), "optimize/instructor")
        self.reflection = reflection or lm or self._open(self._named(settings.reflection), "optimize/reflection")
        failures = {name: failure for part in self.parts.values() for name, failure in part.items()}
        self.measure = Measure(
            loop.task,
            failures,
            lambda: loop.sandbox,
            loop.limits,
            Journal(self.path / "journal.jsonl"),
            (lambda: loop.open_target(loop.config.target)) if settings.target else None,
            loop.config.generate,
        )
        self.measure.watch = loop.ledger.check_time
        self.search = Search(loop.progress, self.evaluations, len(self.parts["validation"]))

    @property
    def evaluations(self) -> int:
        """What the optimizer may spend, a strategy on a failure each."""
        each, asked = PRESETS.get(self.settings.evaluations), self.settings.evaluations
        return int(asked) if each is None else each * (len(self.parts["train"]) + len(self.parts["validation"]))

    def run(self) -> Optimized:
        """Optimize, compare, write `candidate.json`, `comparison.json` and `report.md`; what `errata optimize` prints.

        Raises what ended the optimizer: BudgetReached, InstructorError, or a UsageError for options that it does not take.
        """
        sizes = ", ".join(f"{len(part)} {name}" for name, part in self.parts.items())
        self.loop.say(f"optimize {self.loop.config.generate.strategy} with {self.settings.optimizer}: {sizes}")
        baseline = load_strategy(self.loop.config.generate, self.loop.path)
        candidate = self._optimized(baseline)
        search = self.search.end()
        with disk_errors(self.path):
            candidate.save(self.path / "candidate.json")
        before, after = self._held("baseline", baseline), self._held("optimized", candidate)
        more: dict[str, Any] = dict(compare(before, after, self.settings.alpha, self.settings.seed))
        if self.settings.probe_training:
            used = {failure.attempt.example.question for failure in self.measure.failures.values()}
            more["probe_training"] = probe_training(self.loop, self.settings, used, before.values(), after.values())
        result = Optimized(
            **more,
            run=str(self.loop.path),
            strategy=self.loop.config.generate.strategy,
            settings=self.settings,
            instructor=self.loop.config.instructor.model,
            task=self.loop.task.name,
            search=search,
            parts={name: len(part) for name, part in self.parts.items()},
            candidate=str(self.path / "candidate.json"),
            changed=changes(baseline, candidate),
            spent=Bill(**self.loop.ledger.document()),
        )
        write_atomic(self.path / "comparison.json", to_json(result.document()))
        for name, text in (("report.md", markdown(result)), ("report.html", page(result))):
            write_atomic(self.path / name, text.encode("utf-8", "replace"))
        return result

    def _failures(self, sources: Sequence[Path]) -> dict[str, Failure]:
        """The train errors of the sources, without those whose question is also a dev, test or guard item."""
        found: dict[str, Failure] = {}
        known = {task.name for task in parts(self.loop.task)}
        for source in sources:
            mined = {shown.failure.id: shown.failure for shown in recorded_failures(source, self.loop.strategy.contrasts)}
            others = {failure.attempt.example.task for failure in mined.values()} - known
            if others:
                raise UsageError(f"{source} holds errors of {', '.join(sorted(others))}, not of {self.loop.task.name}")
            found |= mined
        held_out = set(map(asked, self.loop.held_out))
        kept = {name: failure for name, failure in found.items() if asked(failure.attempt.example) not in held_out}
        if len(kept) < len(found):
            self.loop.say(f"{len(found) - len(kept)} errors are left out: their questions are dev, test or guard items too")
        return kept

    def _agree(self, sources: Sequence[Path]) -> None:
        """Raise RunError when the run directory was begun with other settings or failures."""
        mine = self.settings.model_dump(mode="json") | {"parts": {name: sorted(part) for name, part in self.parts.items()}}
        path = self.path / "settings.json"
        if not path.exists():
            write_atomic(path, to_json(mine))
            return
        theirs = read_json(path)
        theirs = {"parts": theirs.pop("parts", None)} | OptimizeSettings.model_validate(theirs).model_dump(mode="json")
        for name, value in mine.items():
            if value != theirs[name]:
                said = "other failures" if name == "parts" else f"{name} = {theirs[name]!r}, not {value!r}"
                raise RunError(f"{self.loop.path} was begun with {said}; give the same to continue it, or choose another --run")

    def _open(self, settings: InstructorSettings, stage: str) -> dspy.LM:
        if settings.model == "offline":
            return offline_lm(partial(train_rows, self.loop))
        return Halting(open_instructor(settings, self.loop.ledger, stage))

    def _optimized(self, baseline: Strategy) -> Strategy:
        lesson = Lesson(baseline.deepcopy(), self.measure)
        train, validation = examples(self.parts["train"]), examples(self.parts["validation"])
        log, name = self.path / "optimizer.log", self.optimizer.__name__
        self.measure.told = self.search.told
        with disk_errors(log), _told_to(log, self.loop) as file, _seeded(self.settings.seed), self._instructed():
            try:
                made = self._compile(lesson, train, validation)
            except ErrataError:
                raise
            except Exception as error:  # what a strategy or a check raises is a Halt: this is the optimizer's own
                traceback.print_exc(file=file)
                said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
                raise UsageError(f"{name} failed: {said}; see --option and {log}") from error
        self.measure.told = None
        return saveable(made, name, baseline)

    @contextlib.contextmanager
    def _instructed(self) -> Iterator[None]:
        """The instructor answers, and what ended the run raises as it is."""
        try:
            with instructed_by(self.lm), interpreting(lambda: self.loop.sandbox, self.loop.limits):
                yield
        except Halt as halt:
            raise halt.error from None

    def _compile(self, lesson: Lesson, train: list[dspy.Example], validation: list[dspy.Example]) -> Any:
        """Runs the optimizer, with what it takes of what can be given."""
        teacher, width = self.settings.teacher, self._named(None).width
        chosen: dict[str, Any] = {
            "metric": score_only,
            "num_threads": width,
            "seed": self.settings.seed,
            "trainset": train,
            "valset": validation,
            "reflection_lm": self.reflection,
            "prompt_model": self.reflection,
            "max_errors": 10**9,  # an evaluation that fails as a whole scores 0; what must end the run is a Halt
            "eval_kwargs": {"num_threads": width, "display_progress": False},
        }
        if teacher is not None:
            chosen["teacher_settings"] = {"lm": self._open(self._named(teacher), "optimize/teacher")}
        chosen |= plan(self.settings.optimizer, self.evaluations, len(train), len(validation), self.measure) | self.settings.options
        made, compiling = arguments(self.optimizer, "__init__"), arguments(self.optimizer, "compile")
        optimizer = self.optimizer(**{name: chosen[name] for name in made if name in chosen})
        return optimizer.compile(lesson, **{name: chosen[name] for name in compiling if name in chosen and name != "student"})

    def _named(self, model: str | None) -> InstructorSettings:
        """The instructor's settings, perhaps for another model; never in batches: an optimizer asks step by step."""
        settings = self.loop.config.instructor
        return settings.model_copy(update={"model": model or settings.model, "batch": False})

    def _held(self, title: str, strategy: Strategy) -> dict[str, Taken]:
        """Each held-out failure taught by a strategy: its score and program, in the order of the failures."""
        lesson = Lesson(strategy, self.measure)

        def one(name: str) -> Taken:
            made = lesson(failure=name)
            return Taken(self.measure.failures[name], made.scored, made.taught.program)

        with self._instructed():
            rows = dict(in_flight(one, list(self.parts["held"]), self._named(None).width))
        passed = sum(row.score.passed for row in rows.values())
        mean = sum(row.score.score for row in rows.values()) / len(rows)
        self.loop.say(f"{title}: {passed} of {len(rows)} held-out failures got a program, mean score {mean:.3f}")
        return {name: rows[name] for name in self.parts["held"]}


class Halting(Instructor):
    """An Instructor whose fatal errors no optimizer can swallow: GEPA logs a failed reflection and tries again, without end."""

    def __init__(self, inner: dspy.LM):
        assert isinstance(inner, Instructor) and isinstance(inner.engine, Engine)
        super().__init__(inner.engine)

    def __call__(self, prompt: Any = None, *, messages: Any = None, **kwargs: Any) -> Any:
        """As Instructor; raises Halt."""
        with halting():
            return super().__call__(prompt, messages=messages, **kwargs)


# ---- the failures


def split(failures: Mapping[str, Failure], seed: int, most: int | None = None) -> dict[str, dict[str, Failure]]:
    """Failures by part, at random; two of the same question (case and blanks aside) never stand in different parts.

    Raises UsageError for fewer than LEAST questions.
    """
    questions: dict[str, list[str]] = {}
    for name in sorted(failures):
        key = " ".join(failures[name].attempt.example.question.lower().split())
        questions.setdefault(key, []).append(name)
    if len(questions) < LEAST:
        raise UsageError(f"{len(questions)} train errors of different questions are too few to learn and to test on; give at least {LEAST}")
    order = sorted(questions)
    random.Random(f"optimize:{seed}").shuffle(order)
    order = order[:most]
    first, second = round(TRAIN * len(order)), round(TRAIN * len(order)) + round(VALIDATION * len(order))
    cuts = {"train": order[:first], "validation": order[first:second], "held": order[second:]}
    return {part: {name: failures[name] for key in keys for name in questions[key]} for part, keys in cuts.items()}


@contextlib.contextmanager
def _told_to(path: Path, loop: Cycle) -> Iterator[TextIO]:
    """What DSPy prints, its bars and its log go to the file, which is handed out; Errata's own lines go where they went."""
    stderr, write = sys.stderr, loop.progress.write

    def aloud(line: str) -> None:
        with contextlib.redirect_stderr(stderr):
            write(line)

    logs = [logging.getLogger(name) for name in ("dspy", "optuna")]
    kept = [(log, log.handlers, log.propagate) for log in logs]
    with path.open("a", encoding="utf-8") as file:
        loop.progress.write = aloud
        try:
            for log in logs:
                log.handlers, log.propagate = [logging.StreamHandler(file)], False
            with contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
                yield file
        finally:
            loop.progress.write = write
            for log, handlers, propagate in kept:
                log.handlers, log.propagate = handlers, propagate


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Some proposers draw from the global generators; the same draws again are what lets a killed run go on for free."""
    state, numbers = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)
        np.random.set_state(numbers)


# ---- progress


class Search:
    """What the optimizer has tried so far, told as it goes. Thread-safe."""

    def __init__(self, progress: Progress, planned: int, least: int):
        """`planned` evaluations; a strategy's mean score counts when it was tried on `least` failures."""
        self._progress = progress
        self._planned = planned
        self._least = least
        self._evaluations = 0
        self._scores: dict[str, dict[str, float]] = {}
        self._lock = threading.Lock()

    def told(self, strategy: Strategy, scored: Score) -> None:
        """One more evaluation."""
        name = content_hash([_prompts(parameter) for _, parameter in strategy.named_parameters()])
        with self._lock:
            self._evaluations += 1
            self._scores.setdefault(name, {})[scored.failure_id] = scored.score
            self._progress.at("optimize", self._evaluations, max(self._planned, self._evaluations), _tried(self._found()))

    def end(self) -> Tried:
        """Says the last line, and returns what was tried."""
        self._progress.end("optimize")
        found = self._found()
        self._progress.say(f"optimize: {found.evaluations} evaluations, {_tried(found)}")
        return found

    def _found(self) -> Tried:
        # fsum: the same mean in whatever order the evaluations ended
        means = [fsum(rows.values()) / len(rows) for rows in self._scores.values() if len(rows) >= self._least]
        return Tried(evaluations=self._evaluations, strategies=len(self._scores), best=max(means, default=None))


def _tried(found: Tried) -> str:
    return f"{found.strategies} strategies tried" + ("" if found.best is None else f", best mean score {found.best:.3f}")


def _prompts(parameter: Any) -> Any:
    """What a strategy is known by: optimizers hand copies around that differ in model or temperature alone."""
    if isinstance(parameter, dspy.Flex):
        return parameter.module_src
    return [parameter.signature.instructions, [{name: str(value) for name, value in dict(demo).items()} for demo in parameter.demos]]


# ---- what is kept


def check_place(out: Path) -> None:
    """Raise UsageError, before anything is spent, where `save` could not write."""
    if out.is_dir() or not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
        why = "is a folder" if out.is_dir() else f"lies in a folder that {'cannot be written' if out.parent.is_dir() else 'is not there'}"
        raise UsageError(f"--out {out} {why}; name a JSON file in a folder that is")


def save(result: Optimized, out: Path, force: bool) -> bool:
    """Copy the candidate to `out` when it is better, or with `force`; whether it was."""
    if saved := result.better or force:
        write_atomic(out, Path(result.candidate).read_bytes())
    return saved


def settings_of(values: Mapping[str, Any]) -> OptimizeSettings:
    """Settings from flags. Raises UsageError in one line."""
    try:
        return OptimizeSettings.model_validate(values)
    except ValidationError as error:
        raise UsageError(f"optimize: {explain(error, None, OptimizeSettings).removeprefix('config: ')}") from error


def default_run(config: CycleConfig, settings: OptimizeSettings, sources: Sequence[Path]) -> Path:
    """The default run directory: the same command continues the same run, with whatever caps."""
    fixed = pinned(config).model_dump(mode="json", exclude={"budget"})
    name = content_hash([fixed, settings.model_dump(mode="json"), [str(source) for source in sources]])[:6]
    return Path("runs") / f"optimize-{slug(config.generate.strategy)}-{name}"
