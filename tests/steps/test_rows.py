"""What is trained on: what a teacher is shown of a row, and its student is not."""

from errata.programs.run import layout
from errata.programs.run.directory import Stage
from errata.programs.steps.rows import TrainingSet, context_row, contexts, train_row
from errata.signatures.records import Attempt, ContextRow, Diagnosis, Example, Sample, SampleProgram, TeachingResult, TrainRow, Verdict
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


def test_a_curriculum_gives_the_easiest_rows_first_and_replayed_ones_throughout(tmp_path):
    task, stage = load_task("sums"), layout.step(tmp_path, 1, "assemble")
    samples = [Sample(program_id="p", seed=1, index=index, level=index % 5 + 1, example=ITEM) for index in range(100)]
    solved = [Attempt(example=ITEM, response="#### 5", verdict=Verdict(correct=True, extracted="5", reason="right")) for _ in range(50)]
    levels = {sample.id: sample.level for sample in samples}
    for curriculum in (True, False):
        rows = TrainingSet(task, stage)
        for sample in samples:
            rows.add(train_row(task, sample), sample.level)
        with rows.shuffled(solved, 3, curriculum=curriculum).read() as file:
            order = [levels.get(TrainRow.model_validate_json(line).source) for line in bytes(file).splitlines()]
        drawn = [level for level in order if level]
        assert len(order) == 150
        assert (drawn == sorted(drawn)) == curriculum
        assert drawn[:20] != [1] * 20 or curriculum
        assert all(None in order[begin : begin + 50] for begin in (0, 50, 100))
