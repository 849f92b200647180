"""The check `agreed`: rows whose answer the instructor asserts are solved again, without the answer, and dropped where the solves disagree.

A fact in a program's table cannot be proved by running the program. The same model answers the bare questions, a few in a call, in an
order that mixes programs, so that no question helps with another.

What is not here: rows whose answer is computed, which a program's anchor stands for.
"""

import random
from collections import defaultdict
from collections.abc import Sequence

import dspy
from dspy.utils.exceptions import AdapterParseError

from ...signatures.calls import in_flight
from ...signatures.records import Rejection, Sample
from ...signatures.teach import SolveQuestions
from ...tasks import Task, member
from ..samples.kinds import example_of

QUESTIONS = 8
"""Questions in a call."""
FEWEST = 4
"""Asserted rows from which on a program's share counts."""


class Agree(dspy.Module):
    """Asks for the answers of bare questions."""

    def __init__(self, signature: type[dspy.Signature] = SolveQuestions):
        super().__init__()
        self.solve = dspy.Predict(signature)

    def forward(self, questions: Sequence[str], brief: str, again: int = 0) -> list[str]:
        """One call; an answer a question, all empty when they are not as many. `again` numbers the solves of the same questions."""
        text = "\n\n".join(f"({number}) {question}" for number, question in enumerate(questions, 1))
        config = {"rollout_id": again} if again else {}
        try:
            answers = self.solve(task=brief, questions=text, config=config).answers
        except AdapterParseError:
            return [""] * len(questions)
        return [str(answer).strip() for answer in answers] if len(answers) == len(questions) else [""] * len(questions)


def agreed(samples: Sequence[Sample], task: Task, solves: int, share: float, width: int, seed: int) -> tuple[list[Sample], list[Rejection]]:
    """The rows without the asserted ones that most of `solves` solves did not come to, nor any row of a program of which they came to
    less than `share`. Rows that stay are marked. Calls the LM of the context, `width` calls at a time."""
    asserted = [sample for sample in samples if sample.asserted]
    random.Random(f"agreed:{seed}").shuffle(asserted)
    batches = [(again, asserted[start : start + QUESTIONS]) for again in range(solves) for start in range(0, len(asserted), QUESTIONS)]
    solver = Agree()

    def one(batch: tuple[int, list[Sample]]) -> list[str]:
        return solver([example_of(task, sample).question for sample in batch[1]], member(task, batch[1][0].task).brief, batch[0])

    said: dict[str, list[str]] = defaultdict(list)
    for (_, rows), answers in in_flight(one, batches, width):
        for sample, answer in zip(rows, answers, strict=True):
            said[sample.id].append(answer)
    right = {sample.id for sample in asserted if 2 * sum(_right(task, sample, answer) for answer in said[sample.id]) > solves}
    programs: dict[str, list[bool]] = defaultdict(list)
    for sample in asserted:
        programs[sample.program_id].append(sample.id in right)
    doubtful = {name for name, rows in programs.items() if len(rows) >= FEWEST and sum(rows) < share * len(rows)}
    kept, rejections = [], []
    for name in sorted(doubtful):
        reason = f"independent solves came to {sum(programs[name])} of {len(programs[name])} of its asserted answers"
        rejections.append(Rejection(of=name, kind="program", check="agreed", reason=reason))
    for sample in samples:
        if sample.asserted and sample.id not in right:
            heard = ", ".join(sorted(answer or "(nothing readable)" for answer in said[sample.id]))
            reason = f"solved without the answer it is {heard}, not {sample.answer}: {sample.question[:200]}"
            rejections.append(Rejection(of=sample.id, kind="sample", check="agreed", reason=reason, program=sample.program_id))
        elif sample.program_id in doubtful:
            reason = f"its program {sample.program_id} was refused"
            rejections.append(Rejection(of=sample.id, kind="sample", check="agreed", reason=reason, program=sample.program_id))
        else:
            kept.append(sample.model_copy(update={"agreed": True}) if sample.asserted else sample)
    return kept, rejections


def _right(task: Task, sample: Sample, answer: str) -> bool:
    own = member(task, sample.task)
    return bool(answer) and bool(own.verdict(example_of(task, sample), own.completion("", answer)).correct)
