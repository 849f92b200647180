"""How good a strategy's answer to one failure is, on the student's side: a score from 0 to 1, and feedback in words.

The score of a program is how far it comes through the checks. When it passes all of them, it also counts how many of its rows the target
fails (does it reproduce the weakness?), how different its rows are, and what it cost:

    0.6 checks + 0.2 misses of the target + 0.1 distinct draws + 0.1 cost        (without a target: the rest over 0.8)

Half of the checks' share is for `anchored`, the other half is shared by the others; checks behind the one that refused count as failed. A
refusal of the instructor, an unreadable answer and an item called faulty score 0: they teach nothing. Cost is 4000 / (4000 + tokens).

What was proven of a program is kept in a journal, so that an optimization which was killed repeats no sandbox run and no probe.

What is not here: optimizers (errata.programs.studies.optimizers), and a judge of prose: wording counts only by what it leads to.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import dspy

from ...sandbox import Limits, Sandbox
from ...signatures.records import Failure, Record, Rejection, SampleProgram, TeachingResult, content_hash
from ...tasks import Task, member
from ...trainers.target import Target
from ..config import GenerateSettings
from ..instructor.chat import UNUSABLE, Chat, calling, reasks
from ..instructor.prices import count_tokens
from ..run.directory import Lines
from ..run.evaluate import attempts
from ..samples.checks import CHECKS, prove, targeted
from ..samples.draw import draw_rows, draws
from ..samples.kinds import KINDS
from ..strategies.strategy import Strategy

SEED = -3
"""Seed of the rows that are looked at here: never one of training, of the checks or of the loop's probe."""
ROWS = 40
"""Rows that are drawn of a program that passed, to count distinct problems."""
PROBE = 8
"""Rows of them that the target tries."""
CHECKED, MISSED, DISTINCT, CHEAP = 0.6, 0.2, 0.1, 0.1
TOKENS = 4000
"""Tokens at which the share of cost is half: about one diagnosis and one program without demonstrations."""


class Halt(BaseException):
    """Ends an optimizer at once. Not an Exception: optimizers catch those and book them as a score of 0."""

    def __init__(self, error: Exception):
        super().__init__(str(error))
        self.error = error


@contextmanager
def halting() -> Iterator[None]:
    """Turn what ends the run (a reached cap, a bad key, a full disk, a bug) into a Halt; an answer that cannot be read does not end it."""
    try:
        yield
    except UNUSABLE:
        raise
    except Exception as error:
        raise Halt(error) from error


class Proof(Record):
    """What the checks said of a program."""

    refusal: Rejection | None


class Look(Record):
    """What was seen of a program that passed the checks."""

    rows: int
    """Rows that could be drawn, of ROWS."""
    distinct: int
    tried: int = 0
    """Rows that the target answered, and that could be judged; 0 without a target."""
    missed: int = 0
    solved: str = ""
    """A row that the target solved: it gave the game away."""
    refusal: Rejection | None = None
    """Not targeted: the target solves nearly all rows."""


class Score(Record):
    """What became of one failure."""

    failure_id: str
    score: float
    passed: bool
    checks: dict[str, bool]
    """Each check by name, of the last program; those behind the one that refused count as failed. All False without a program."""
    drafts: int
    tokens: int
    """In and out of the instructor, by `count_tokens`."""
    missed: float | None
    """Share of the probe that the target failed; None: it tried no row."""
    distinct: float | None
    feedback: str


R = TypeVar("R", bound=Record)


class Journal:
    """Records by key, one line each, as they come. Thread-safe."""

    def __init__(self, path: Path):
        """Raises RunError for a damaged line."""
        self._known: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._lines = Lines(path, lambda line, _: self._take(json.loads(line)), "delete that line (its work is done again)")

    def _take(self, line: Any) -> None:
        key, value = line
        self._known[key] = value

    def once(self, key: str, record: type[R], make: Callable[[], R]) -> R:
        """The record that is kept under `key`; it is made and written when it is missing. Two threads may make the same one."""
        if key in self._known:
            return record.model_validate(self._known[key])
        made = make()
        with self._lock:
            if key not in self._known:
                line = [key, made.model_dump(mode="json")]
                self._lines.add(json.dumps(line).encode())
                self._lines.close()
                self._take(line)
        return made


@dataclass(eq=False)
class Measure:
    """Scores what a strategy made of a failure. One for all copies of a program and all threads."""

    task: Task
    failures: Mapping[str, Failure]
    """By id."""
    sandbox: Callable[[], Sandbox]
    limits: Limits
    journal: Journal
    target: Callable[[], Target] | None = None
    """None: nothing is said of what it misses."""
    generate: GenerateSettings = field(default_factory=GenerateSettings)
    """Gives the levels and what the checks go by."""
    watch: Callable[[], None] = lambda: None
    """Is called before each evaluation of an optimizer, and may raise what ends the run."""
    told: Callable[[Strategy, Score], None] | None = None
    """Is told of each evaluation of an optimizer."""
    _asking: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __deepcopy__(self, memo: object) -> "Measure":
        return self

    @property
    def names(self) -> list[str]:
        """The checks, in order."""
        names = [*CHECKS, *(["targeted"] if self.target else [])]
        return [name for name in names if name not in self.generate.skip]

    @property
    def passing(self) -> float:
        """The least score of a program that passes every check; no other reaches it."""
        return CHECKED / self._most - 1e-9

    @property
    def _most(self) -> float:
        return CHECKED + DISTINCT + CHEAP + (MISSED if self.target else 0.0)

    def prove(self, program: SampleProgram, failure: Failure) -> Rejection | None:
        """The model-free checks, and that the target does not solve its rows already."""

        def proven() -> Proof:
            asked = (self.generate.skip, self.generate.simpler, self.generate.ways)
            return Proof(refusal=prove(program, [failure], self.task, self.sandbox(), self.limits, *asked))

        key = content_hash(["proof", self.task.name, failure.id, program.source])
        proof = self.journal.once(key, Proof, proven)
        refusal = proof.refusal or self.look(program).refusal
        # kept by its source, which another diagnosis may come to as well
        return refusal and refusal.model_copy(update={"of": program.id})

    def look(self, program: SampleProgram) -> Look:
        """What is seen of a program that passed the checks; drawn and tried once."""
        key = content_hash(["look", self.task.name, program.anchors, program.source, self.target is not None])
        return self.journal.once(key, Look, lambda: self._drawn(program))

    def _drawn(self, program: SampleProgram) -> Look:
        samples = draw_rows(self.sandbox(), self.limits, program, draws(SEED, self.generate.levels, 0, ROWS))
        distinct = len({KINDS[program.kind].shape(sample.example) for sample in samples})
        if self.target is None:
            return Look(rows=len(samples), distinct=distinct)
        examples = [sample.example for sample in samples[:PROBE]]
        with self._asking:
            tried = [row for _, row in attempts(self.task, examples, self.target())]
        judged = [row for row in tried if row.verdict.correct is not None]
        solved = [row for row in judged if row.verdict.correct]
        return Look(
            rows=len(samples),
            distinct=distinct,
            tried=len(judged),
            missed=len(judged) - len(solved),
            solved=min((f"{row.example.question} Answered: {row.answered}" for row in solved), default=""),
            refusal=None if "targeted" in self.generate.skip else targeted(program, tried, self.generate.solved),
        )

    def score(self, taught: TeachingResult, tokens: int) -> Score:
        """The score of what a strategy made of a failure for `tokens` tokens."""
        names, program = self.names, taught.program
        look = self.look(program) if program else None
        refused = [row.check for row in taught.rejections if row.kind == "program"]
        reached = len(names) if program else names.index(refused[-1]) if refused and refused[-1] in names else 0
        checks = {name: place < reached for place, name in enumerate(names)}
        parts = {name: 0.5 if name == "anchored" else 0.5 / len(set(names) - {"anchored"}) for name in names}
        total = CHECKED * sum(parts[name] for name, passed in checks.items() if passed) / sum(parts.values())
        missed = look.missed / look.tried if look and look.tried else None
        distinct = look.distinct / ROWS if look else None
        if look:
            total += MISSED * (missed or 0.0) + DISTINCT * look.distinct / ROWS + CHEAP * TOKENS / (TOKENS + tokens)
        return Score(
            failure_id=taught.failure_ids[0],
            score=total / self._most,
            passed=program is not None,
            checks=checks,
            drafts=len(taught.refused) + (program is not None),
            tokens=tokens,
            missed=missed,
            distinct=distinct,
            feedback=feedback(taught, look, tokens),
        )


def feedback(taught: TeachingResult, look: Look | None, tokens: int) -> str:
    """What a reflecting model reads: what went wrong and why, draft by draft, then what is left to gain."""
    said = []
    if taught.diagnosis is None:
        said.append(f"The diagnosis is of no use: {taught.rejections[-1].reason[:500]}")
    elif taught.diagnosis.verdict != "error":
        said.append(
            f"The item was called {taught.diagnosis.verdict}, so it teaches nothing ({taught.diagnosis.misconception[:300]}). That is "
            "right only where the reference is truly wrong or the question truly has several fair answers."
        )
    draft = 0
    for row in taught.rejections:
        if row.kind == "program":
            draft += 1
            said.append(f"Draft {draft} was refused by the check `{row.check}`: {row.reason[:600]}")
        elif row.check == "instructor":
            said.append(f"No program was written: {row.reason[:300]}")
    if look is None:
        return "\n".join([*said, "No program came of it."])
    said.append(f"{'The repaired program' if draft else 'The first program'} passed every check.")
    said.append(f"{look.distinct} of {look.rows} drawn problems are distinct.")
    if look.tried:
        said.append(f"The model fails {look.missed} of {look.tried} of its rows.")
    if look.solved:
        said.append(f"A row that taught nothing, for the model solved it: {look.solved[:400]}")
    return "\n".join([*said, f"Prompts and answers took about {tokens} tokens."])


class _Metered(Chat):
    """Counts what goes out and comes back."""

    tokens = 0

    def format(self, signature: Any, demos: Any, inputs: Any) -> list[dict[str, Any]]:
        messages = super().format(signature, demos, inputs)
        self.tokens += count_tokens("".join(str(row["content"]) for row in messages))
        return messages

    def parse(self, signature: Any, completion: str) -> dict[str, Any]:
        self.tokens += count_tokens(completion)
        return super().parse(signature, completion)


class Lesson(dspy.Module):
    """What optimizers work on: a strategy in its place, from the id of a failure to what became of it."""

    def __init__(self, strategy: Strategy, measure: Measure):
        super().__init__()
        self.strategy = strategy
        self.measure = measure

    def forward(self, failure: str) -> dspy.Prediction:
        """The program (empty: none), what was said of it, and the `Score`. Raises Halt for an error that ends the run."""
        lm, shown = dspy.settings.lm, self.measure.failures[failure]
        adapter = _Metered(reasks(lm))
        with halting():
            self.measure.watch()
            with dspy.context(adapter=adapter), calling(lm):
                taught = self.strategy(
                    failures=(shown,),
                    brief=member(self.measure.task, shown.attempt.example.task).brief,
                    prove=lambda program: self.measure.prove(program, shown),
                )
            scored = self.measure.score(taught, adapter.tokens)
            if self.measure.told:
                self.measure.told(self.strategy, scored)
        source = taught.program.source if taught.program else ""
        return dspy.Prediction(program=source, outcome=scored.feedback, scored=scored, taught=taught)


def examples(failures: Mapping[str, Failure]) -> list[dspy.Example]:
    """The failures as DSPy's optimizers take them; the item's own texts are labels, for those that reflect."""
    return [
        dspy.Example(
            failure=name,
            question=failure.attempt.example.question,
            reference=failure.attempt.example.answer,
            response=failure.attempt.response,
        ).with_inputs("failure")
        for name, failure in failures.items()
    ]


def with_feedback(gold: Any, prediction: Any, trace: Any = None, pred_name: Any = None, pred_trace: Any = None) -> dspy.Prediction:
    """Score and words, as GEPA and SIMBA take them; what failed as a whole scores 0."""
    scored = getattr(prediction, "scored", None)
    if scored is None:
        return dspy.Prediction(score=0.0, feedback="The call failed as a whole; nothing came back.")
    return dspy.Prediction(score=scored.score, feedback=scored.feedback)


def score_only(gold: Any, prediction: Any, trace: Any = None) -> float:
    """The score alone."""
    return float(with_feedback(gold, prediction).score)
