"""The check `agreed`: rows whose answer the instructor asserts are solved again, without the answer, and dropped where the solves disagree.

A fact in a program's table cannot be proved by running the program. The same model answers the bare questions, a few in a call, in an order
that mixes programs, so that no question helps with another. Prose is answered one question a call, and judged beside the row's own answer,
which is another call: of a program the first PROSE rows stand for all.

What is not here: rows whose answer is computed, which a program's anchor stands for.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import dspy
from dspy.utils.exceptions import AdapterParseError

from ...signatures.calls import in_flight
from ...signatures.judging import AnswerQuestion
from ...signatures.records import Rejection, Sample
from ...signatures.rows import grouped
from ...signatures.teach import SolveQuestions
from ...tasks import Task, member
from ..config import GenerateSettings
from ..instructor.chat import calling, instructed_by
from ..instructor.engine import settled_on
from ..samples.kinds import KINDS

QUESTIONS = 8
"""Questions in a call."""
FEWEST = 4
"""Asserted rows from which on a program's share counts."""
PROSE = 6
"""Rows in prose that are solved of each program."""


class Agree(dspy.Module):
    """Asks for the answers of bare questions."""

    def __init__(self, signature: type[dspy.Signature] = SolveQuestions, prose: type[dspy.Signature] = AnswerQuestion):
        super().__init__()
        self.solve = dspy.Predict(signature)
        self.answer = dspy.Predict(prose)

    def forward(self, questions: Sequence[str], brief: str, again: int = 0, prose: bool = False) -> list[str]:
        """One call; an answer a question, all empty when they are not as many. `again` numbers the solves of the same questions. In
        `prose` one question is asked."""
        text = "\n\n".join(f"({number}) {question}" for number, question in enumerate(questions, 1))
        config = {"rollout_id": again} if again else {}
        try:
            if prose:
                return [self.answer(task=brief, question=questions[0], config=config).answer.strip()]
            answers = self.solve(task=brief, questions=text, config=config).answers
        except AdapterParseError:
            return [""] * len(questions)
        return [str(answer).strip() for answer in answers] if len(answers) == len(questions) else [""] * len(questions)


@dataclass
class Agreed:
    """A filter: rows whose answer is asserted pass where most of several solves come to it, and are marked. A program of whose rows too few
    are confirmed is refused with all rows that come after."""

    task: Task
    settings: GenerateSettings
    seed: int
    width: int
    """Calls in flight."""
    open_lm: Callable[[], dspy.LM] | None
    """Is asked before each batch of solves; without it all rows pass unmarked."""
    say: Callable[[str], None]
    confirmed: dict[str, list[bool]] = field(default_factory=lambda: defaultdict(list))
    """Program id -> of each of its asserted rows so far, whether the solves came to it."""
    doubtful: dict[str, str] = field(default_factory=dict)
    """Program id -> why it is refused."""

    def __call__(self, samples: Sequence[Sample]) -> tuple[list[Sample], list[Rejection]]:
        """The rows that pass, and the refusals of others and of programs."""
        if not self.settings.solves or "agreed" in self.settings.skip or self.open_lm is None:
            return list(samples), []
        asked = self._asked(samples)
        said: Mapping[str, list[str]] = {}
        judged: dict[str, list[bool]] = {}
        if asked:
            self.say(f"solve {len(asked)} rows independently, whose answer the instructor asserts")
            said = self._solve(asked, self.open_lm())
            judged = {row.id: marks for row, marks in in_flight(lambda row: self._judged(row, said[row.id]), asked, self.width)}
        right = {name for name, marks in judged.items() if 2 * sum(marks) > len(marks)}
        wrong = {name for name, marks in judged.items() if marks} - right
        if asked:
            self.say(f"the solves agree with {len(right)} of them; {len(wrong)} others are dropped")
        rejections = self._doubt([row for row in asked if all(said[row.id])], right, wrong)  # what cannot be read speaks against no program
        kept = []
        for sample in samples:
            reason = f"its program {sample.program_id} was refused" if sample.program_id in self.doubtful else None
            if sample.id in wrong:
                stem = KINDS[sample.example.kind].stem(sample.example)
                heard = ", ".join(sorted(answer or "(nothing readable)" for answer in said[sample.id]))
                reason = f"solved without the answer it is {heard}, not {sample.example.answer}: {stem[:200]}"
            if reason:
                rejections.append(Rejection(of=sample.id, kind="sample", check="agreed", reason=reason, program=sample.program_id))
            else:
                kept.append(sample.model_copy(update={"agreed": True}) if sample.id in right else sample)
        return kept, rejections

    def _asked(self, samples: Sequence[Sample]) -> list[Sample]:
        """The asserted rows that are solved: all of them, of prose the first of each program."""
        seen = Counter({name: len(rows) for name, rows in self.confirmed.items()})
        asked = []
        for sample in samples:
            if sample.asserted and (sample.example.kind != "prose" or seen[sample.program_id] < PROSE):
                seen[sample.program_id] += 1
                asked.append(sample)
        return asked

    def _solve(self, asserted: Sequence[Sample], lm: dspy.LM) -> dict[str, list[str]]:
        """What each solve of each row came to, by the row's id."""
        rows = list(asserted)
        random.Random(f"agreed:{self.seed}").shuffle(rows)
        prose = [row for row in rows if row.example.kind == "prose"]
        rows = [row for row in rows if row.example.kind != "prose"]
        alike = grouped(rows, lambda row: row.example.task).values()  # questions of one call have one brief
        some = [[row] for row in prose] + [list(one[start : start + QUESTIONS]) for one in alike for start in range(0, len(one), QUESTIONS)]
        batches = [(again, batch) for again in range(self.settings.solves) for batch in some]

        def one(batch: tuple[int, list[Sample]]) -> list[str]:
            examples = [sample.example for sample in batch[1]]
            brief, prose = member(self.task, examples[0].task).brief, examples[0].kind == "prose"
            return Agree()([example.question for example in examples], brief, batch[0], prose)

        said: dict[str, list[str]] = defaultdict(list)
        with instructed_by(lm), calling(lm):
            for (_, rows), answers in in_flight(one, batches, self.width):
                for sample, answer in zip(rows, answers, strict=True):
                    said[sample.id].append(answer)
        if told := settled_on(lm):
            self.say(told)
        return said

    def _judged(self, row: Sample, answers: Sequence[str]) -> list[bool]:
        """Whether each answer is the row's own; what cannot be judged is left out."""
        own = member(self.task, row.example.task)
        marks = [own.verdict(row.example, own.completion("", answer)).correct if answer else False for answer in answers]
        return [mark for mark in marks if mark is not None]

    def _doubt(self, asked: Sequence[Sample], right: Collection[str], wrong: Collection[str]) -> list[Rejection]:
        """The programs that are refused from now on."""
        for sample in asked:
            if sample.id in right or sample.id in wrong:
                self.confirmed[sample.program_id].append(sample.id in right)
        found = []
        for name, rows in sorted(self.confirmed.items()):
            if name not in self.doubtful and len(rows) >= FEWEST and sum(rows) < self.settings.agreed * len(rows):
                self.doubtful[name] = f"independent solves came to {sum(rows)} of {len(rows)} of its asserted answers"
                found.append(Rejection(of=name, kind="program", check="agreed", reason=self.doubtful[name]))
        return found
