"""The loop, as a story: mine errors, teach, probe, assemble rows, train, and let the gate decide; the next round starts from the weights
that were accepted last.

Each step (a file in errata.programs.steps) reads what the steps before it wrote into the run directory, writes its own rows and its
manifest, and does nothing where its manifest stands. So a run continues after a kill, and ends with the same bytes.
What is not here: what all steps share (errata.programs.steps.session), and how a run is shown (errata.programs.report).
"""

from collections.abc import Sequence
from contextlib import nullcontext
from math import ceil
from typing import Any

from ..signatures.errors import ErrataError, InstructorError, TargetError, TaskError, UsageError, did_you_mean
from ..signatures.records import Attempt, Example, Failure, sealed
from ..signatures.routes import missing_key
from ..tasks import Task, member, parts
from ..trainers.devices.gpus import require_devices
from ..trainers.served.vllm import find_vllm
from ..trainers.settings import AUTO, GRPO_ANSWERS, GRPO_STEPS, too_small
from ..trainers.weights import weights_hash
from .config import InstructorSettings
from .form.look import look
from .instructor.engine import open_instructor
from .instructor.offline import RECOMBINED, reach
from .patterns.chosen import of_errors
from .rehearse import Estimate, estimate, judging
from .run import layout
from .run.cluster import refuse_absent
from .run.directory import read_json, to_json, write_atomic
from .run.ledger import Ledger
from .samples.kinds import KINDS
from .steps.agree import PROSE, QUESTIONS, Agree
from .steps.assemble import asked_rows, assemble
from .steps.gate import gate
from .steps.mine import mine, mined, require_recorded
from .steps.probe import probe, probes
from .steps.session import Session
from .steps.teach import diagnose, require_chosen, require_fitting, teach
from .steps.train import train

STEPS = (mine, teach, probe, assemble, train, gate)
AHEAD = (mine, diagnose)
"""Up to the diagnoses alone, ahead of any program."""
NAMES = tuple(step.__name__ for step in (*STEPS, diagnose))
LOOKED_AT = 20
"""Train items whose completions are judged before anything is asked."""


class Cycle(Session):
    """One run of the loop: `with Cycle(config, path) as loop: loop.run()`."""

    _looked = False  # whether it was said what the embedded instructor can teach

    def run(self, until: str | None = None) -> int:
        """All rounds, then the test; or, with `until` (one of NAMES), the first round that is not finished, up to that step. Returns the
        number of the round that it came to. Raises as `refuse_early` does."""
        self.refuse_early(until)
        self.until = until
        if self.config.target.servers and until in (None, "gate") and not self.decided(self.config.rounds):
            self.open_target(self.config.target).require_loading()
        for number in range(1, self.config.rounds + 1):
            finished = self.decided(number)
            for step in AHEAD if until == "diagnose" else STEPS:
                with nullcontext() if finished else self.clock(layout.named(number, step.__name__)):
                    step(self, number)
                    if step is mine and number == 1:
                        look(self)
                if step.__name__ == until and not finished:
                    return number
        if not until:
            self.finish()
        return self.config.rounds

    def finish(self) -> None:
        """Evaluate the test split of the task and of each guard, before and after, and write result.json for the report."""
        for task, split in self.reported:
            if split == "dev":
                self.say(f"{task.name} is reported on dev, which the gate has seen: it has no test items here")
        before, after = self.config.target, self.base(self.config.rounds + 1)
        again = (self.path / layout.RESULT).exists() and read_json(self.path / layout.RESULT)["rounds"] == self.config.rounds
        with nullcontext() if again else self.clock("test"):
            for settings in dict.fromkeys((before, after)):
                for task, split in self.reported:
                    self.scores(task, split, settings)
        result = {"before": weights_hash(before), "after": weights_hash(after), "rounds": self.config.rounds}
        result["evaluations"] = [[task.name, split] for task, split in self.reported]
        write_atomic(self.path / layout.RESULT, to_json(sealed(result)))

    # ---- what cannot be run is told before anything is written

    def refuse_early(self, until: str | None = None, dry_run: bool = False) -> None:
        """Raise what `run(until)` would refuse, before the run directory is opened and anything is written. A dry run needs no key."""
        if until not in (None, *NAMES):
            raise UsageError(f"there is no step {until!r}; choose one of {', '.join(NAMES)}{did_you_mean(until or '', NAMES)}")
        recorded = self.config.errors == "recorded"
        if self.config.target.api_base == AUTO and not self.config.cluster and not dry_run and not self.decided(self.config.rounds):
            find_vllm(self.config.target.vllm_python)
        if self.config.cluster and not dry_run:
            refuse_absent(self.config.cluster)
        self._refuse_unjudged(dry_run)
        if until != "mine":
            require_recorded(self)
            require_chosen(self)
        if until != "mine" and self.config.generate.library is not None:
            require_fitting(self)
        elif until != "mine" and self.strategy.source != "none":
            self._refuse_unteachable(recorded)
            if self.config.instructor.batch and self.config.instructor.model != "offline":
                open_instructor(self.config.instructor, Ledger(None, self.config.budget))  # a provider without batches
            taught = dry_run or self.stage(self.config.rounds, "teach").done
            if not taught:
                _require_key("instructor", self.config.instructor)
        if until in (None, "train", "gate"):
            require_devices(self.config.train, self.config.train.order)
            self._refuse_small()
            if recorded:
                self._refuse_unchecked()
            for task in self.tasks:
                if not task.examples("dev", 1):
                    raise TaskError(f"task {task.name} has no dev items for the gate to decide on; give it a folder that holds dev.jsonl")
            if self.config.target.api_base and not self.config.target.model:
                raise UsageError(
                    "training needs the weights that the server has on this machine too: name their folder or hub id with --target; "
                    "`errata evaluate` and `errata generate` go without"
                )

    def _refuse_unjudged(self, dry_run: bool) -> None:
        """A judge that could not be asked, where a task needs one."""
        if self.judge is None or not any(task.kind == "prose" for task in self.tasks):
            return
        open_instructor(self.judge.lm_settings, Ledger(None, self.config.budget))  # settings that the model cannot take, an unknown price
        if not dry_run and not self.decided(self.config.rounds):
            _require_key("judge", self.judge.lm_settings)

    def _refuse_small(self) -> None:
        """A stage that is too much for the target, where its size is known before anything is loaded."""
        if "sdft" not in self.config.train.order or not self.config.target.model:
            return
        from ..trainers.estimate import shape_of  # loads torch

        try:
            parameters = shape_of(self.config.target.model).parameters
        except TargetError:  # of a kind whose size is not told by its files: the training says it
            return
        if reason := too_small(parameters, self.config.train):
            raise UsageError(reason)

    def _refuse_unteachable(self, recorded: bool) -> None:
        for task in parts(self.task):
            rows = layout.attempts(self.path, 1) if recorded else []
            items: Sequence[Example] = [row.example for row in rows if row.example.task == task.name]
            offline = self.config.instructor.model == "offline"
            if not recorded:
                items = task.examples("train", self.config.items.train, seed=self.config.seed + 1)
            if reason := unteachable(task, items):
                raise UsageError(reason)
            # of recorded errors, which cost nothing, the embedded instructor says one by one that it cannot read them
            alone = recorded and task.kind in ("number", "choice", "code", "several", *RECOMBINED)
            if offline and not alone and not self._looked and (found := reach(task, items)):
                if found.refusal:
                    raise UsageError(found.refusal)
                self.say(found.told)
        self._looked = True

    def _refuse_unchecked(self) -> None:
        """Recorded answers can be taught without the task's data, not trained on."""
        try:
            reason = "" if self.task.examples("dev", 1) else f"{self.config.task} has no dev items for the gate to decide on"
        except ErrataError as error:
            reason = str(error)
        stage = self.stage(1, "assemble")
        if not reason and stage.done and stage.facts()["samples"] and not stage.facts()["held_out"]:
            reason = "the rows were drawn without dev and test items to keep away from"
        if reason:
            other = f"import the answers into another --run with the task's data, e.g. --task {self.task.name.partition(':')[0]}:FOLDER"
            raise UsageError(f"nothing can be trained here, {reason}; {other}")

    # ---- what it would cost

    def estimate(self, until: str | None = None) -> Estimate:
        """Calls, tokens and cost of the first round's teaching, or with `until="diagnose"` of its diagnoses, before anything is spent or
        run: from the errors where they are mined, else from train items as if their solutions were wrong answers, at most as many as the
        config lets be analysed."""
        if self.config.generate.library is not None:
            return self._estimated([], 0, until)
        if self.stage(1, "mine").done or self.config.errors == "recorded":
            mine(self, 1)
            chosen = of_errors(self.path, self.chosen) if self.chosen else None
            failures = [failure for failure in mined(self, 1).failures if chosen is None or failure.id in chosen]
            return self._estimated(failures, len(failures), until)
        examples = self.task.examples("train", self.config.items.train, seed=self.config.seed + 1)
        tried = [Attempt.unanswered(item).model_copy(update={"response": item.solution or item.answer}) for item in examples[:24]]
        failures = [Failure(attempt=row, contrasts=tuple(tried[: self.strategy.contrasts])) for row in tried]
        most = self.config.generate.failures
        count = len(examples) if most is None else min(most, len(examples))
        return self._estimated(failures if self.strategy.source != "none" else [], count, until)

    def _estimated(self, failures: Sequence[Failure], count: int, until: str | None) -> Estimate:
        """With the independent solves of a training set, where the task's answers are asserted, and what a judge of prose is asked."""
        generate, ahead = self.config.generate, until == "diagnose"
        shown = [failure.attempt.example for failure in failures[:QUESTIONS]]
        solves = 0
        if shown and not ahead and KINDS[shown[0].kind].asserted and "agreed" not in generate.skip:
            prose = shown[0].kind == "prose"
            most = min(asked_rows(self, count), PROSE * count) if prose else ceil(asked_rows(self, count) / QUESTIONS)
            solves = generate.solves * most
        brief = lambda example: member(self.task, example.task).brief  # noqa: E731
        solve = lambda: Agree()([example.question for example in shown], brief(shown[0]), prose=shown[0].kind == "prose")  # noqa: E731
        found = estimate(self.strategy, failures, brief, self.config.instructor, count, solve, solves, not ahead)
        return found._replace(judging=None if ahead else self._judging(count))

    def _judging(self, programs: int) -> dict[str, Any] | None:
        """What a judge of prose is asked in the first round, where each of so many errors gives a program, and in the test."""
        config, tasks = self.config, [task for task in self.tasks if task.kind == "prose"]
        if self.judge is None or not tasks:
            return None
        items = {split: [one for task in tasks for one in task.examples(split, getattr(config.items, split))] for split in ("dev", "test")}
        train = [one for task in parts(self.task) if task in tasks for one in task.examples("train", config.items.train)]
        calls = {"train": len(train)} if config.errors == "target" else {}
        candidates = config.gate.candidates(len(config.train.order), bool(self.guards))
        calls |= {"dev, before and after": (1 + candidates) * len(items["dev"]), "test, before and after": 2 * len(items["test"])}
        if train:
            calls |= judged_rows(self, programs)
        return judging(calls, [*train, *items["dev"]], config.table, config.judge, self.judge.lm_settings)


def judged_rows(run: Session, programs: int) -> dict[str, int]:
    """Answers in prose that so many programs let be judged, by what they are for. Prompts that a stage on own answers exchanges come on
    top."""
    generate, train, rows = run.config.generate, run.config.train, asked_rows(run, programs)
    own = train.grpo.get("max_steps", GRPO_STEPS) * GRPO_ANSWERS if "grpo" in train.order else 0
    return {
        "anchors": 2 * programs,
        "probe, before and after": 2 * programs * generate.probe if probes(run) else 0,
        "independent solves": 0 if "agreed" in generate.skip else generate.solves * min(rows, PROSE * programs),
        "sampled answers": rows * generate.samples if generate.completion == "target" else 0,
        "answers of grpo": min(own, train.rollouts or own),
        "pairs": 2 * rows if {"dpo", "kto"} & {*train.order} else 0,
    }


def _require_key(party: str, settings: InstructorSettings) -> None:
    if key := missing_key(settings.model, settings.api_base):
        name = f"{party} {settings.model} needs a key in {key}, which is not set"
        raise InstructorError(f"{name}: export {key}=..., or name a server of your own with {party}.api_base")


def unteachable(task: Task, items: Sequence[Example]) -> str | None:
    """Why no instructor can write programs for a task (not one of several joined) with these train items, which is that no row could pass:
    what would be trained on is never judged right, seen for the first of them. None: it is. Answers whose verdict runs code or asks a
    model are not looked at."""
    if task.kind in ("code", "sql", "prose", "several"):
        return None
    fault = ""
    for item in items[:LOOKED_AT]:
        # a drawn problem has no columns but its question and answer
        drawn = item.model_copy(update={"meta": {name: value for name, value in item.meta.items() if name != "columns"}})
        said = task.completion(item.solution, item.answer)
        verdict = task.verdict(drawn, said)
        if verdict.correct:
            return None
        alone = task.verdict(item, said).correct
        act = (
            "its verdict must judge by question and answer alone"
            if alone
            else "mend table.completion, or the golds that errata doctor names"
        )
        fault = fault or f"{said[:80]!r}, to the gold {item.answer[:40]!r}, is found {verdict.reason}; {act}"
    return f"what would be trained on for {task.name} is not judged right by its own verdict: {fault}" if fault else None
