"""What a row teaches with: the worked solution, the correction of a wrong answer, or a hint (its first step) and then the answer.

A correction shows the target's own wrong answer (or, of a choice and of code, what the misconception answers), and goes on from its first
wrong step, as in LEMA (Learning from Mistakes, arXiv 2310.20689). That step is computed and never guessed: of numbers the first calculation
that is false or that the worked solution does not come to, of a choice the option itself, of code the first test that fails. Where it
cannot be told, the row stays a worked one. A wrong step is named by its place and not repeated, so that no false calculation is trained on.
"""

import random
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from ...signatures.records import UNCLOSED, Message, Rollout, Rollouts, Sample
from ...tasks import Task, member
from ...tasks.verdicts import number, short
from ..samples.calculations import calculated

ASK = "That is wrong. Say which step is the first wrong one, and go on from there the right way."
"""What the user says to a wrong answer."""


def lesson_of(sample: Sample, shares: Mapping[Any, float]) -> str:
    """The lesson that falls to a row, by its id, in proportion to the shares."""
    names = sorted(name for name in shares if shares[name] > 0)
    return random.Random(f"lesson:{sample.id}").choices(names, [shares[name] for name in names])[0]


def messages(task: Task, sample: Sample) -> list[Message]:
    """The prompt of a row: the task's own, with what the lesson adds."""
    *before, last = task.prompt(sample.example)
    if sample.lesson == "correction":
        return [*before, last, {"role": "assistant", "content": sample.mistake or ""}, {"role": "user", "content": ASK}]
    return [*before, last | {"content": f"{last['content']}\nHint: {hint(task, sample)}"} if sample.lesson == "hint" else last]


def completion(task: Task, sample: Sample) -> str:
    """What is trained on: the correction, the target's own words where the row has them, or the worked solution."""
    return sample.correction or sample.own or worked(task, sample)


def worked(task: Task, sample: Sample) -> str:
    """The worked solution in the form of an answer."""
    example = sample.example
    return member(task, example.task).completion(example.solution, example.answer)


def hint(task: Task, sample: Sample) -> str | None:
    """The first step of the worked solution; None where it has no other, or tells the answer."""
    example = sample.example
    lines = [line for line in example.solution.splitlines() if line.strip()]
    if example.kind in ("number", "text") and lines and lines[-1] == member(task, example.task).completion("", example.answer).strip():
        lines = lines[:-1]
    if not lines or (example.kind == "number" and len(lines) < 2):
        return None
    if example.kind == "number":
        told = number.same(number.read(example.answer), number.extract(lines[0]))
    elif example.kind == "choice":
        told = example.meta["choices"][example.answer].lower() in lines[0].lower()
    else:  # where no tool is to be called, the words are the answer
        told = short.holds(lines[0], example.answer) or (example.kind == "tools" and example.answer == "[]")
    return None if told else lines[0].strip()


def correction(task: Task, sample: Sample, mistake: str, reason: str) -> str | None:
    """What is wrong in a wrong answer and the right way from there; None where the first wrong step cannot be told. `reason` is the
    verdict's, which names the test that code fails."""
    example, right = sample.example, worked(task, sample)
    if example.kind == "prose":
        return None  # it has no steps, and what its judge says of it is nothing to teach
    if example.kind == "number":
        text = _from_the_wrong_step(mistake, right)
    elif example.kind == "choice":
        said = task.verdict(example, mistake).extracted
        text = f"{said} is wrong.\n{right}" if said in example.meta["choices"] else None
    else:  # the verdict on code names the test that fails; on SQL the rows, of data that nobody was shown too
        told = reason.removeprefix("wrong: ").partition(" where the data are varied")[0]
        text = None if reason in ("no answer", "wrong", UNCLOSED) else f"It is wrong: {told}\n{right}"
    # the text around an answer may mislead the task's own reader
    return text if text is not None and task.verdict(example, text).correct else None


def _from_the_wrong_step(mistake: str, solution: str) -> str | None:
    """Compares calculations, line by line."""
    mine, theirs = _lines(mistake), _lines(solution)
    right = {value for _, values, _ in theirs for value in values}
    reached: set[Fraction] = set()
    if not any(values for _, values, _ in mine) or not right:
        return None
    for place, (_, values, false) in enumerate(mine, 1):
        strange = [value for value in values if value not in right]
        if false or strange or place == len(mine):
            # one that leaves the way and comes back to it may be as good as the way
            if not false and strange and any(value in right - reached for _, later, _ in mine[place:] for value in later):
                return None
            on = next((at for at, row in enumerate(theirs) if not reached.issuperset(row[1])), len(theirs) - 1)
            return "\n".join([f"Step {place} is wrong.", *(line for line, _, _ in theirs[on:])])
        reached.update(values)
    return None


def _lines(text: str) -> list[tuple[str, list[Fraction], bool]]:
    """Each line that is not blank, the results of its calculations, and whether one of them is false."""
    return [(line, *calculated(line)) for line in text.splitlines() if line.strip()]


def solves(one: Rollout) -> bool:
    """Whether an answer is right and all its calculations are true: what is right by luck shows no skill and teaches no way."""
    return bool(one.correct) and not calculated(one.answered)[1]


def passed(tries: Rollouts) -> float | None:
    """Share of the judged tries that solve the question."""
    judged = [one for one in tries.tries if one.correct is not None]
    return sum(map(solves, judged)) / len(judged) if judged else None


def own(tries: Rollouts) -> str | None:
    """The target's own answer that is trained on: the first that solves the question and ended by itself, or what the search found."""
    return next((one.response for one in tries.tries if solves(one) and one.finish == "stop"), tries.found)
