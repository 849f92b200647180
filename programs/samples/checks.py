"""The checks that a program must pass before it teaches. Every refusal is a Rejection whose reason a repair call reads.

A check is a function from a Trial (what two runs in the sandbox showed of the program) to a complaint, None when it passes; add one by
writing it and naming it in CHECKS, cheap ones first. `targeted` needs the target and is applied by the cycle.
Not here: what the checks ask of a row by kind (errata.programs.samples.kind), and the checks of rows (errata.programs.samples.filters).
"""

import statistics
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from os.path import commonprefix
from typing import Any

from ...sandbox import Limits, Sandbox
from ...signatures.records import Attempt, Example, Failure, Rejection, SampleProgram
from ...tasks import Task, member
from ..stats import grouped
from .harness import Drawn, run_program
from .kind import ALIKE, Draw, Kind, likeness
from .kinds import KINDS
from .phrasing import foreign, phrasings, wordings
from .style import reference, step_count

DRAWS: tuple[Draw, ...] = tuple((-1, index, 1 + index % 5) for index in range(200))
"""The draws that a program is judged on; seed -1 is never used for training rows."""
AGAIN = slice(None, None, -6)
"""Those that are drawn again: of each level, as 6 and 5 share no divisor."""
DISTINCT_SHARE = 0.25  # least share of the draws that must be distinct problems: 50 of 200
FAILED_SHARE = 0.05  # largest share of draws that may fail (a draw that found no sensible numbers, say)
TELLING_SHARE = 0.1  # largest share of drawn rows on which `wrong` may give the right answer; such rows are dropped
SIMPLER = 0.5
"""Least share of the steps of the errors' reference solutions that the drawn rows' solutions have on the median. Of ten programs that a
strong instructor wrote for GSM8K two are at 0.5, because they put two calculations on one line."""
SHORT = 200  # characters of a value in a complaint
COMMON = 0.05  # least share of the draws from which on the texts of one answer are looked at for themselves
LESSONS = 6  # fewest different solutions (code) or questions with their right options (choice) among the draws


@dataclass(frozen=True)
class Trial:
    """What was seen of a program."""

    program: SampleProgram
    failures: Sequence[Failure]
    task: Task
    first: Drawn  # its anchors (in the order of program.anchors) and DRAWS
    again: Drawn  # every fifth of DRAWS, in reverse order, from a fresh sandbox
    simpler: float = SIMPLER  # least share of the references' steps
    phrasings: int = 1  # least number of ways in which the questions are phrased

    @property
    def kind(self) -> Kind:
        return KINDS[self.program.kind]

    @cached_property
    def problems(self) -> list[tuple[Example, str | None]]:
        """The draws that did not fail as items of the task, each with what the misconception answers to it."""
        return [(self.kind.example(self.task.name, row), row.get("wrong")) for row in good(self.first.rows)]


Check = Callable[[Trial], str | None]


def runs(trial: Trial) -> str | None:
    """Loads within the limits, and its rows have the right shape and agree with themselves."""
    run = trial.first.run
    if run.outcome != "ok":
        return f"{run.outcome}: {run.error}".strip()
    failed = [row["error"] for row in trial.first.rows if "error" in row]
    if len(failed) > FAILED_SHARE * len(trial.first.rows):
        error, count = Counter(failed).most_common(1)[0]
        _, index, level = next(draw for draw, row in zip(DRAWS, trial.first.rows, strict=True) if row.get("error") == error)
        first = f" (first draw {index} at level {level})" if count < len(trial.first.rows) else ""
        return f"{len(failed)} of {len(trial.first.rows)} draws failed, {count} of them{first} with {error}"
    complaints = (trial.kind.consistent(trial.task, made) for made, _ in trial.problems[:: trial.kind.spread])
    return next(filter(None, complaints), None) or _asks(trial)


def _asks(trial: Trial) -> str | None:
    """What keeps a conversation from being one that is to be answered."""
    ends = ((trial.task.prompt(made)[-1]["role"], made.question) for made, _ in trial.problems)
    other = next(((role, question) for role, question in ends if role in ("assistant", "system")), None)
    if other is None:
        return None
    return f"a question must end with a turn of the user's, and this one ends with one of the {other[0]}: {short(other[1][-SHORT:])}"


def anchored(trial: Trial) -> str | None:
    """Each anchor rebuilds its error's gold answer, by the task's own verdict, and a recognisable question."""
    failures = {failure.id: failure for failure in trial.failures}
    for name, row in zip(trial.program.anchors, trial.first.anchors, strict=True):
        gold = failures[name].attempt.example
        if "error" in row:
            return f"make(**ANCHORS[{name!r}]) failed: {row['error']}"
        made = trial.kind.example(trial.task.name, row)
        complaint = trial.kind.anchored(trial.task, gold, made)
        if complaint:
            return f"make(**ANCHORS[{name!r}]) {complaint}"
        if _roles(trial, made) != _roles(trial, gold):
            told = "write each turn of its own on a new line behind its role (System:, User:, Assistant:)"
            return f"the question of make(**ANCHORS[{name!r}]) has other turns than the error's own conversation: {told}"
        if (alike := likeness(row["question"], trial.kind.stem(gold))) < ALIKE:
            ours, own = apart(row["question"], trial.kind.stem(gold))
            told = f"{alike:.2f} alike over words, {ALIKE} are needed: {ours}, and the error's own is {own}"
            return f"the question of make(**ANCHORS[{name!r}]) is not recognisably the error's own, {told}"
    return None


def _roles(trial: Trial, item: Example) -> list[str]:
    """Who says what the target is asked with."""
    return [message["role"] for message in trial.task.prompt(item) if message["role"] != "tools"]


def deterministic(trial: Trial) -> str | None:
    """The same draw gives the same row in a fresh sandbox, whatever was drawn before it."""
    if trial.again.run.outcome != "ok":
        return f"a second run ended with {trial.again.run.outcome}: {trial.again.run.error}"
    for (_, index, level), row, again in zip(DRAWS[AGAIN], trial.first.rows[AGAIN], trial.again.rows, strict=True):
        if row != again:
            field = next(name for name in sorted(row.keys() | again.keys()) if row.get(name) != again.get(name))
            one, other = apart(row.get(field), again.get(field))
            return f"draw {index} at level {level} gave another {field!r} when it was drawn again, in another order: {one}, then {other}"
    return None


def diverse(trial: Trial) -> str | None:
    """Enough distinct problems, by the shape of their kind: names and the order of numbers do not count; and enough ways to phrase them."""
    distinct = len({trial.kind.shape(made) for made, _ in trial.problems})
    needed = DISTINCT_SHARE * len(trial.first.rows)
    if distinct >= needed:
        lessons = {trial.kind.lesson(made) for made, _ in trial.problems}
        if lessons == {None} or len(lessons) >= LESSONS:
            return _phrased(trial)
        return f"the draws hold only {len(lessons)} different {trial.kind.taught}, {LESSONS} are needed: vary what is to be done or known"
    texts = len({row["question"] for row in good(trial.first.rows)})
    other = f" ({texts} distinct texts, but most differ only in names or in the order of the numbers)" if texts >= needed else ""
    return f"only {distinct} distinct problems in {len(trial.first.rows)} draws, {needed:.0f} are needed{other}"


def _phrased(trial: Trial) -> str | None:
    questions = [trial.kind.stem(made) for made, _ in trial.problems]
    if not trial.kind.asks:
        return _worded(trial)
    ways = len(phrasings(questions))
    if all(foreign(trial.kind.stem(failure.attempt.example)) for failure in trial.failures):
        ways = max(ways, wordings(questions, trial.phrasings))
    if ways >= trial.phrasings:
        return None
    same = "are all phrased the same way" if ways < 2 else f"are phrased in only {ways} ways"
    return (
        f"the {len(questions)} questions {same}, {trial.phrasings} are needed, e.g. {short(questions[0])}: let draw() choose among so many "
        "phrasings for make() to write, e.g. the question first, facts in another order, an idle fact; another name, thing, number or verb "
        "is no other phrasing"
    )


def _worded(trial: Trial) -> str | None:
    """Texts are compared by all their words, those of each answer apart."""
    for answer, made in grouped([made for made, _ in trial.problems], lambda made: made.answer).items():
        texts = [example.question for example in made]
        if len(texts) >= COMMON * len(trial.problems) and (ways := wordings(texts, trial.phrasings)) < trial.phrasings:
            return (
                f"the {len(texts)} texts of {answer!r} are worded in only {ways} {'way' if ways == 1 else 'ways'}, {trial.phrasings} are "
                f"needed, e.g. {short(texts[0])}: let draw() choose among so many texts that share less than half of their words"
            )
    return None


def formed(trial: Trial) -> str | None:
    """Answers are written as gold answers are, where these show in how few ways that is."""
    odd = [(made, fault) for made, _ in trial.problems if (fault := trial.task.fault(made.answer))]
    if len(odd) <= FAILED_SHARE * len(trial.first.rows):
        return None
    made, fault = odd[0]
    count = f"{len(odd)} of {len(trial.first.rows)} drawn rows"
    return f"{count} have an answer that no item of the task could have, e.g. {short(made.answer)}: {fault}"


def balanced(trial: Trial) -> str | None:
    """The answers of the draws are of all the sorts that its errors are about; only labels are of sorts."""
    failures = {failure.id: failure.attempt for failure in trial.failures}
    return trial.kind.one_sided([failures[name] for name in trial.program.anchors], [made for made, _ in trial.problems])


def telling(trial: Trial) -> str | None:
    """`wrong` gives what the target answered at the anchor, and another answer than the right one on drawn rows."""
    failures = {failure.id: failure for failure in trial.failures}
    for name, row in zip(trial.program.anchors, trial.first.anchors, strict=True):
        attempt, said = failures[name].attempt, failures[name].attempt.verdict.extracted
        if "wrong" not in row or said is None:
            continue
        complaint = f"is None, but the model answered {said!r}" if row["wrong"] is None else trial.kind.told(trial.task, attempt, row)
        if complaint:
            return f"wrong(**ANCHORS[{name!r}]) {complaint}"
    for row in good([*trial.first.anchors, *trial.first.rows]):
        text = row.get("wrong_solution") or ("" if trial.kind.name == "label" else None)  # of labels any answer can be looked at
        if trial.kind.name != "code" and row.get("wrong") is not None and text is not None:
            made = trial.kind.example(trial.task.name, row | {"answer": row["wrong"], "solution": text})
            if complaint := trial.kind.consistent(trial.task, made):
                return f"wrong() does not come to its own answer: {complaint}"
    told = [(made, wrong) for made, wrong in trial.problems if wrong is not None]
    equal = [(made, wrong) for made, wrong in told if trial.kind.misses(trial.task, made, wrong)]
    if len(equal) > TELLING_SHARE * len(told):
        made, wrong = equal[0]
        return (
            f"wrong() gives the right answer on {len(equal)} of {len(told)} drawn rows, e.g. {short(wrong)} to "
            f"{short(trial.kind.stem(made))}, which cannot tell the misconception from the skill"
        )
    return None


def simpler(trial: Trial) -> str | None:
    """On the median the solutions of drawn rows take about as many steps as the reference solutions of the errors, where there are any."""
    failures = {failure.id: failure for failure in trial.failures}
    anchors = [failures[name].attempt.example for name in trial.program.anchors]
    references = [step_count(text, trial.kind.name) for example in anchors if (text := reference(trial.task, example)) is not None]
    rows = [step_count(trial.task.completion(made.solution, made.answer), trial.kind.name) for made, _ in trial.problems]
    if not references or not rows:
        return None
    mine, theirs = statistics.median(rows), statistics.median(references)
    if mine >= trial.simpler * theirs:
        return None
    return (
        f"the drawn problems are simpler than the error: their solutions take {mine:g} steps on the median, its reference takes {theirs:g}"
    )


CHECKS: dict[str, Check] = {check.__name__: check for check in (runs, anchored, deterministic, formed, balanced, diverse, telling, simpler)}


def prove(
    program: SampleProgram,
    failures: Sequence[Failure],
    task: Task,
    sandbox: Sandbox,
    limits: Limits,
    skip: Collection[str] = (),
    least: float = SIMPLER,
    ways: int = 1,
) -> Rejection | None:
    """Run a program twice and apply the model-free checks but those to `skip`; the first complaint, or None when it passes all. `least` is
    the share of the references' steps under which rows are simpler than the errors; `ways`: in how many questions must be phrased."""
    first = run_program(sandbox, program.source, program.anchors, DRAWS, limits, program.kind)
    # a program that did not even run once is not run again
    again = run_program(sandbox, program.source, (), DRAWS[AGAIN], limits, program.kind) if first.run.outcome == "ok" else first
    trial = Trial(program, failures, member(task, program.task), first, again, least, ways)
    for name, check in CHECKS.items():
        if name not in skip and (complaint := check(trial)):
            return Rejection(of=program.id, kind="program", check=name, reason=complaint)
    return None


def targeted(program: SampleProgram, probe: Sequence[Attempt], solved: float) -> Rejection | None:
    """Refuse a program when the target already solves at least the share `solved` of its probe rows."""
    if not probe:
        return Rejection(of=program.id, kind="program", check="runs", reason="no row could be drawn for the probe")
    judged = [row.verdict.correct for row in probe if row.verdict.correct is not None]
    if not judged or sum(judged) < solved * len(judged):
        return None
    reason = f"the target solves {sum(judged)} of {len(judged)} of its rows: nothing to teach"
    return Rejection(of=program.id, kind="program", check="targeted", reason=reason)


def short(value: Any) -> str:
    """A value for a complaint."""
    text = repr(value)
    return text if len(text) <= SHORT else f"{text[:SHORT]} [...]"


def apart(one: Any, other: Any) -> tuple[str, str]:
    """Two values for a complaint; long ones from a little before where they differ."""
    texts = repr(one), repr(other)
    start = max(0, len(commonprefix(texts)) - 30) if max(map(len, texts)) > SHORT else 0
    first, second = (
        f"{'[...] ' if start else ''}{text[start : start + SHORT]}{' [...]' if len(text) > start + SHORT else ''}" for text in texts
    )
    return first, second


def good(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if "error" not in row]
