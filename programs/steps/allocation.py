"""How a round's rows are shared among its programs: by error mass, evenly, or by a bandit that looks at what earlier rows moved.

The bandit's arms are skills. Of an arm's failed probe rows in accepted rounds before, each that the target solved after training is a
success. By Thompson sampling (Thompson 1933; Chapelle and Li 2011) a chance of success is drawn from the Beta posterior of each arm over a
uniform prior; divided by the rows that the arm took (or the mean, where it took none), it is the fall of failures that one more row is
worth there (the learning progress of Graves et al. 2017, arXiv 1704.03003). A program's share is its error mass times this.
What is not here: error masses (the probe), whole rows out of shares (errata.programs.samples.draw), and programs of other skills that may
have moved an arm's rows too.
"""

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ...signatures.records import Attempt, SampleProgram
from ..run import layout


class Trained(NamedTuple):
    """An accepted round, as the bandit sees it."""

    before: Sequence[Attempt]
    """The round's probe."""
    after: Sequence[Attempt]
    """The next round's probe, which asks the same rows of the same programs."""
    rows: Mapping[str, int]
    """Program id -> rows that were trained on."""


class Arm(NamedTuple):
    """What a skill has shown."""

    fixed: int = 0
    left: int = 0
    rows: int = 0


def stands_for(program: SampleProgram) -> int:
    """How many errors a program stands for: those that it rebuilds; a fused one adds itself to what its parents stand for."""
    return 1 if program.parents else max(1, len(program.anchors))


def weights(
    policy: str, run: Path, number: int, library: Mapping[str, SampleProgram], masses: Mapping[str, float], seed: int
) -> dict[str, float]:
    """The weight of each program of `masses` in round `number`, by the policy `mass`, `uniform` or `bandit`. `masses` are the shares of its
    rows that the target fails; a program of several errors has that mass for each of them."""
    if policy == "uniform":
        return dict.fromkeys(masses, 1.0)
    masses = {name: mass * stands_for(library[name]) for name, mass in masses.items()}
    if policy == "bandit":
        past = (layout.standings(run, earlier) for earlier in range(1, number))
        skills = {row.program_id: row.skill for rows in past for row in rows}  # also of those that have retired
        skills |= {name: program.skill for name, program in library.items()}
        return thompson(masses, skills, arms(_trained(run, number), skills), seed)
    return masses


def _trained(run: Path, number: int) -> Iterator[Trained]:
    """The accepted rounds before `number` that were probed before and after."""
    for earlier in range(1, number):
        before, after = (layout.attempts(run, one, "probe") for one in (earlier, earlier + 1))
        decision = layout.decision(run, earlier)
        if decision and decision.accepted and before and after:
            yield Trained(before, after, {row.program_id: row.kept for row in layout.standings(run, earlier)})


def arms(rounds: Iterable[Trained], skills: Mapping[str, str]) -> dict[str, Arm]:
    """Each skill's arm; `skills` are those of the programs, by id."""
    fixed, left, rows = (Counter[str]() for _ in range(3))
    for one in rounds:
        now = {row.example.id: row.verdict.correct for row in one.after}
        for row in one.before:
            correct = now.get(row.example.id)
            if row.verdict.correct is False and correct is not None:
                (fixed if correct else left)[skills[row.example.meta["program"]]] += 1
        for program, count in one.rows.items():
            rows[skills[program]] += count
    return {skill: Arm(fixed[skill], left[skill], rows[skill]) for skill in sorted(fixed.keys() | left.keys() | rows.keys())}


def thompson(masses: Mapping[str, float], skills: Mapping[str, str], known: Mapping[str, Arm], seed: int) -> dict[str, float]:
    """Weights of the programs: mass times the fall that a row of its skill is worth, drawn at random with `seed`; the masses while no arm
    has shown anything. They are scaled so that the largest is 1."""
    found = {name: known.get(name, Arm()) for name in sorted({skills[program] for program in masses})}
    if not any(arm.fixed + arm.left for arm in known.values()) or not found:
        return dict(masses)
    mean = max(1.0, sum(arm.rows for arm in found.values()) / len(found))
    worth = {}
    for name, arm in found.items():
        chance = random.Random(f"budget:{seed}:{name}").betavariate(1 + arm.fixed, 1 + arm.left)
        worth[name] = chance / (arm.rows or mean)
    weights = {program: mass * worth[skills[program]] for program, mass in masses.items()}
    most = max(weights.values())
    return {program: weight / most for program, weight in weights.items()} if most else dict(masses)
