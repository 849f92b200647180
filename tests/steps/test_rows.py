"""What is trained on: what a teacher is shown of a row, and its student is not."""

from errata.programs.run import layout
from errata.programs.run.directory import Stage
from errata.programs.steps.rows import context_row, contexts
from errata.signatures.records import ContextRow, Diagnosis, Example, Sample, SampleProgram, TeachingResult
from errata.tasks import load_task

ITEM = Example(task="sums", split="train", question="What is 2 + 3?", solution="2 + 3 = <<2+3=5>>5", answer="5")
SAID = Diagnosis(
    failure_ids=("f",),
    strategy="LearnFromError",
    verdict="error",
    skill="adding",
    misconception="It subtracts.",
    evidence="-1",
    teach="Add.",
)


def test_a_teacher_is_shown_the_solution_and_the_diagnosis_and_the_student_is_asked_as_in_the_task():
    task = load_task("sums")
    row = context_row(task, Sample(program_id="p", seed=1, index=0, level=3, example=ITEM), SAID)
    assert list(row.prompt) == task.prompt(ITEM)
    assert row.context.split("\n\n") == [
        f"This is an example of a right answer:\n{task.completion(ITEM.solution, ITEM.answer)}",
        "What it takes: adding\nA mistake that is often made here: It subtracts.",
        "Now answer with a response of your own, in the same form.",
    ]


def test_rows_of_programs_of_earlier_rounds_carry_their_diagnosis_and_the_tasks_own_items_none(tmp_path):
    program = SampleProgram(diagnosis_id=SAID.id, source="x", anchors=("f",))
    samples = [
        Sample(program_id=program.id, seed=2, index=0, level=3, example=ITEM),
        Sample(program_id="", seed=2, index=1, level=3, example=ITEM, item=ITEM.id),
    ]
    layout.step(tmp_path, 1, "teach").finish({layout.TAUGHT: [TeachingResult(failure_ids=("f",), diagnosis=SAID, program=program)]})
    layout.step(tmp_path, 2, "assemble").finish({layout.SAMPLES: samples})
    stage = contexts(load_task("sums"), tmp_path, 2)
    rows = stage.read(layout.CONTEXTS, ContextRow)
    assert [("It subtracts." in row.context, row.source) for row in rows] == [(True, samples[0].id), (False, samples[1].id)]
    assert stage.facts()["rows"] == 2
    assert isinstance(contexts(load_task("sums"), tmp_path, 2), Stage)  # made once
