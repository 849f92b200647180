"""Contrast: which solved questions a failure brings along, and how its program runs from those to the failure."""

import re

from scripted import DIAGNOSIS, FAILURE, SOLVED, program, shown, taught

from errata.programs import LearnFromContrast, with_contrasts
from errata.programs.instructor.chat import instructed_by
from errata.programs.instructor.offline import offline_lm
from errata.programs.samples.checks import prove
from errata.programs.samples.draw import draw_rows, draws
from errata.sandbox import Limits
from errata.signatures.records import Attempt, Failure
from errata.tasks import load_task


def test_contrast_shows_the_nearest_solved_questions_and_keeps_the_boundary():
    failure = with_contrasts([FAILURE], SOLVED, 2)[0]
    assert [row.example.answer for row in failure.contrasts] == ["13", "30"]
    strategy = LearnFromContrast(contrasts=2)
    answers = [DIAGNOSIS | {"boundary": "products yes, losses no"}, program("x = 1")]
    result, calls = taught(strategy, answers, failure=failure)
    assert "13 it is" in shown(calls[0])
    assert "A train leaves" not in shown(calls[0])
    assert result.diagnosis.boundary == "products yes, losses no"
    assert "products yes, losses no" in shown(calls[1])


def test_the_embedded_instructors_program_runs_from_the_solved_side_to_the_failed_one(sandbox):
    task = load_task("sums")
    items = task.examples("train", 60, seed=3)
    failed, near = (next(item for item in items if item.skill == skill) for skill in ("packs_left_share", "packs_plus"))
    failure = Failure(attempt=Attempt(example=failed, response="#### 1", verdict=task.verdict(failed, "#### 1")))
    solved = Attempt(example=near, response=near.solution, verdict=task.verdict(near, near.solution))
    failure = failure.model_copy(update={"contrasts": (solved,)})
    strategy = LearnFromContrast()
    strategy.write.phrasings = 1  # so that a row's story is told by its words
    with instructed_by(offline_lm()):
        made = strategy(failures=(failure,), brief=task.brief, prove=lambda program: prove(program, [failure], task, sandbox, Limits()))
    assert made.program and made.rejections == ()
    rows = draw_rows(sandbox, Limits(), made.program, draws(0, (1, 2, 3, 4, 5), 0, 20))
    for row in rows:
        story = near if row.level < 3 else failed
        assert re.sub(r"\d+", "0", row.example.question) == re.sub(r"\d+", "0", story.question)


def test_contrast_works_with_fewer_solved_questions_than_asked_for_and_with_another_encoder():
    class Length:
        def encode(self, texts):
            return [[len(text), 1] for text in texts]

    assert with_contrasts([FAILURE], [], 3) == [FAILURE]
    assert len(with_contrasts([FAILURE], SOLVED[:1], 3)[0].contrasts) == 1
    assert len(with_contrasts([FAILURE], SOLVED, 2, Length())[0].contrasts) == 2
