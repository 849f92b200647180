"""Practice: what the target is asked while it trains on its own answers, and what these are worth.

Prompts are draws of kept programs that no other step makes, and train items that the target failed or solved, or that a strategy chose
beside them (`Uniform`). They come from arms: the programs of a skill at a level, or the failed, the fresh or the solved items of a skill.
How often an arm is drawn from follows the share p of answers to it that were right lately, by p (1 - p): where answers do not differ
nothing is learned. An arm that always or never succeeds is tried now and then, as the target changes. A part of each step's prompts are
items that the target solved before: they stay in the step though all answers are right, so that the KL term holds the target there, and a
skill that begins to fail is asked more.
The reward is the task's verdict; an answer with a false calculation, and one that was cut, earns nothing.
What is not here: the training (errata.trainers.stages.grpo). What a judge gives follows from the seed and from its journal.
"""

import json
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from ...signatures.files import write_whole
from ...signatures.records import Example, Rollout, SampleProgram, content_hash
from ...tasks import Task
from ...tasks.options import asked
from ...trainers.judge import Given, Prompt
from ..run import layout
from ..run.evaluate import judged
from ..samples.draw import draw_rows
from ..samples.filters import Frame, Unseen
from ..stats import grouped
from ..strategies.controls import SHUFFLED
from .lessons import solves
from .session import Session

SEED = -3
"""Seed of practice draws: never one of training (>= 0), of the checks (-1) or of the probe (-2)."""
LEVELS = (1, 2, 3, 4, 5)
AHEAD = 8
"""Rows that a program draws at once."""
ITEMS = 0.25
"""Share of a step's prompts that are train items which the target failed, where there are programs too."""
TRIES = 20
"""How often an arm is chosen for each prompt that is wanted, before a step goes without it."""
PINNED = 0.4
"""Share of a step's prompts that are train items which the target solved, where it failed any or there are programs."""
FADES = 0.7
"""What is left of the weight of older answers when new ones come."""
LEAST = 0.02
"""Weight of an arm whose answers were all worth the same."""


Draw = Callable[[SampleProgram, int, int], Example | None]
"""(program, level, index) -> its row; None where the program gives none at this level."""


class Drawn(NamedTuple):
    """A question and where it came from."""

    arm: str
    example: Example
    program: SampleProgram | None = None
    """What made it; None for a train item."""


@dataclass
class Arm:
    """Prompts of one kind, and how the target fared there."""

    name: str
    programs: Sequence[SampleProgram] = ()
    level: int = 0
    items: Sequence[Example] = ()
    solved: bool = False
    """Whether they are items that the target solved, whose prompts stay in a step whatever its answers are worth."""
    right: float = 0.0
    tried: float = 0.0
    turn: int = 0
    """How many prompts were taken: programs, or items, give in turn."""

    @property
    def weight(self) -> float:
        """How often it is drawn from, beside others."""
        share = (self.right + 1) / (self.tried + 2)
        if self.solved:
            return 1 - share
        return (len(self.programs) + len(self.items)) * max(LEAST, 4 * share * (1 - share))

    def saw(self, right: int, tried: int) -> None:
        self.right, self.tried = FADES * self.right + right, FADES * self.tried + tried


class Practice:
    """A `Judge` (errata.trainers.judge) of one task."""

    def __init__(self, task: Task, arms: Callable[[], list[Arm]], rows: Draw, journal: Path, seed: int):
        """`arms` makes them as they are at the start."""
        self._task = task
        self._begin = arms
        self._rows = rows
        self._journal = journal
        self._seed = seed
        made = [[arm.name, [program.id for program in arm.programs], [item.id for item in arm.items]] for arm in arms()]
        self.fingerprint = content_hash([made, task.name, seed])
        self.answer_tokens = task.max_new_tokens
        journal.parent.mkdir(parents=True, exist_ok=True)
        self._restore([])  # the journal of an earlier start stays: the training says from which step on it goes

    def rewind(self, step: int) -> None:
        """Arms as they were before the step, by what the journal says of the steps before it."""
        # a kill may have left half a line behind them
        lines = self._journal.read_bytes().split(b"\n")[:-1] if self._journal.exists() else []
        known = [row for row in map(json.loads, lines) if row["step"] < step]
        write_whole(self._journal, "".join(json.dumps(row) + "\n" for row in known).encode())
        self._restore(known)

    def _restore(self, known: Sequence[Mapping[str, Any]]) -> None:
        self._arms = {arm.name: arm for arm in self._begin()}
        self._open: dict[str, Drawn] = {}
        self._calls: Counter[int] = Counter()
        for row in known:
            if (arm := self._arms.get(row["arm"])) is not None:
                arm.turn = max(arm.turn, row["turn"])
                arm.saw(row["right"], row["tried"])

    def prompts(self, step: int, count: int) -> list[Prompt]:
        """Solved items among the first prompts of a step, the rest from other arms; each arm by its weight."""
        call = self._calls[step]
        self._calls[step] += 1
        rng = random.Random(f"practice:{self._seed}:{step}:{call}")
        solved = [arm for arm in self._arms.values() if arm.solved]
        others = [arm for arm in self._arms.values() if not arm.solved]
        pinned = 0 if call else min(round(PINNED * count), sum(len(arm.items) for arm in solved))
        drawn: dict[str, Drawn] = {}  # by question: the same twice in a step teaches no more
        for _ in range(TRIES * count):
            some = solved if len(drawn) < pinned else others
            if len(drawn) == count or not some:
                break
            if (found := self._taken(self._chosen(some, rng))) is not None:
                drawn.setdefault(found.example.id, found)
        given = []
        for place, one in enumerate(drawn.values()):
            key = f"{step}.{call}.{place}"
            self._open[key] = one
            given.append(Prompt(key, self._task.prompt(one.example), pinned=self._arms[one.arm].solved))
        return given

    def _chosen(self, arms: Sequence[Arm], rng: random.Random) -> Arm:
        """An arm at random, of items or of programs first."""
        families = [[arm for arm in arms if bool(arm.items) == of_items] for of_items in (True, False)]
        some = families[rng.random() >= ITEMS] if all(families) else families[not families[0]]
        return rng.choices(some, [arm.weight for arm in some])[0]

    def _taken(self, arm: Arm) -> Drawn | None:
        """The arm's next question; None where no program of it gives any at its level."""
        if arm.items:
            arm.turn += 1
            return Drawn(arm.name, arm.items[(arm.turn - 1) % len(arm.items)])
        for turn in range(arm.turn, arm.turn + len(arm.programs)):
            index, place = divmod(turn, len(arm.programs))
            if (found := self._rows(arm.programs[place], arm.level, index)) is not None:
                arm.turn = turn + 1
                return Drawn(arm.name, found, arm.programs[place])
        return None

    def rewards(self, step: int, answers: Sequence[Given]) -> list[float | None]:
        """1 for a right answer by true calculations that ended by itself, 0 for another, None for one that cannot be judged."""
        worth = list(judged(self._task, self._worth, answers))
        known: dict[str, list[float]] = {}
        for given, reward in zip(answers, worth, strict=True):
            known.setdefault(given.key, []).extend([] if reward is None else [reward])
        with self._journal.open("a", encoding="utf-8") as file:
            for key, rewards in known.items():
                drawn, right, tried = self._open[key], int(sum(rewards)), len(rewards)
                self._arms[drawn.arm].saw(right, tried)
                row: dict[str, Any] = {"program": drawn.program.id} if drawn.program else {"item": drawn.example.id}
                skill = drawn.program.skill if drawn.program else drawn.example.skill
                row |= {"step": step, "arm": drawn.arm, "turn": self._arms[drawn.arm].turn, "skill": skill, "right": right, "tried": tried}
                if self._arms[drawn.arm].solved:
                    row["solved"] = True
                file.write(json.dumps(row) + "\n")
        return worth

    def _worth(self, given: Given) -> float | None:
        verdict = self._task.verdict(self._open[given.key].example, given.text)
        if verdict.correct is None:
            return None
        return float(solves(Rollout.of(given.text, verdict, given.finish)) and given.finish == "stop")


class Rows:
    """Rows of programs at the seed of practice that overlap no held-out item, drawn a few at once."""

    def __init__(self, run: Session):
        self._run = run
        self._drawn: dict[tuple[str, int, int], list[Example]] = {}

    @cached_property
    def _unseen(self) -> Unseen:
        """Built when a row is drawn: where a stage is finished none is."""
        held_out = self._run.held_out
        return Unseen(held_out, Frame(held_out))

    def __call__(self, program: SampleProgram, level: int, index: int) -> Example | None:
        """A row of a program; None where it gives none at this level."""
        block = (program.id, level, index // AHEAD)
        if block not in self._drawn:
            wanted = [(SEED, number, level) for number in range(block[2] * AHEAD, (block[2] + 1) * AHEAD)]
            made = draw_rows(self._run.sandbox, self._run.limits, program, wanted)
            self._drawn[block] = [row.example for row in made if self._unseen(row) is None]
        rows = self._drawn[block]
        return rows[index % len(rows)] if rows else None


def practice(run: Session, number: int, place: int) -> Practice:
    """The judge of the stage at `place` of a round's training."""
    source, gone = run.config.train.practice, layout.retired(run.path, number)
    programs = [program for name, program in layout.library(run.path, number).items() if name not in gone and source != "items"]
    by_skill = grouped(programs, lambda program: program.skill)
    tried = [row for row in layout.attempts(run.path, number) if row.example.split == "train" and source != "programs"]
    if run.config.errors == "recorded":  # others were looked at before they were asked
        held_out = set(map(asked, run.held_out))
        tried = [row for row in tried if asked(row.example) not in held_out]
    known = {row.example.id for row in tried}
    own = [row.example for row in layout.samples(run.path, number) if row.item and row.item not in known and source != "programs"]
    own = [item for item in own if SHUFFLED not in item.meta]  # with another item's answer
    of_items = {
        "failed": [row.example for row in tried if row.verdict.correct is False],
        "fresh": own,
        "solved": [row.example for row in tried if row.verdict.correct],
    }

    def arms() -> list[Arm]:
        drawn = [Arm(f"{skill} at level {level}", some, level) for skill, some in by_skill.items() for level in LEVELS]
        for kind, items in of_items.items():
            for skill, some in grouped(items, lambda item: item.skill).items():
                drawn.append(Arm(f"{kind} {skill}", items=some, solved=kind == "solved"))
        return drawn

    return Practice(run.task, arms, Rows(run), layout.practice(run.path, number, place), run.config.seed * 1000 + number)
