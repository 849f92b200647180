"""The task `reasoning_gym:NAME` (an extra; skipped where the library is absent)."""

import subprocess
import sys

import pytest

from errata.programs import Cycle, load_config, report
from errata.signatures.errors import UsageError
from errata.signatures.records import Example
from errata.tasks import doctor, load_task
from errata.tasks.sets.reasoning_gym import worked


def test_without_the_library_one_line_says_how_to_get_it():
    code = (
        "import sys\nsys.modules['reasoning_gym'] = None\nfrom errata.tasks import load_task\n"
        "try:\n    load_task('reasoning_gym:chain_sum')\nexcept Exception as error:\n    print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("UsageError")
    assert "pip install -e '.[reasoning-gym]' in a checkout of Errata" in done.stdout


@pytest.fixture(scope="module")
def library():
    return pytest.importorskip("reasoning_gym", reason="needs the extra reasoning-gym")


def test_splits_are_the_same_on_any_machine_and_share_no_question(library):
    task = load_task("reasoning_gym:chain_sum,max_terms=2,max_digits=1")
    splits = {split: task.examples(split, 40) for split in ("train", "dev", "test")}
    again = load_task("reasoning_gym:chain_sum,max_terms=2,max_digits=1")
    for split, found in splits.items():
        assert again.examples(split, 40) == found
        assert [row.id for row in task.examples(split, 10)] == [row.id for row in found[:10]]
        assert len({row.question for row in found}) == len(found)
    # so few problems exist that any two seeds would share some, were the split not a property of the question
    for seed in range(4):
        other = {row.question for row in task.examples("train", 100, seed=seed)}
        assert not other & {row.question for split in ("dev", "test") for row in splits[split]}
    assert task.examples("train", 20, seed=1) != task.examples("train", 20, seed=2)


def test_a_generator_without_enough_problems_ends(library):
    task = load_task("reasoning_gym:chain_sum,min_terms=2,max_terms=2,min_digits=1,max_digits=1")
    assert 0 < len(task.examples("dev", 1000)) < 1000


@pytest.mark.parametrize("name", ["chain_sum", "leg_counting", "spell_backward", "number_sorting", "syllogism", "caesar_cipher", "arc_1d"])
def test_golds_pass_the_librarys_scorer_and_changed_ones_fail(library, name):
    checked, findings = doctor(load_task(f"reasoning_gym:{name}"), 5)
    assert checked == 15
    assert findings == []


def test_answers_are_read_and_missing_ones_told_apart(library):
    task = load_task("reasoning_gym:chain_sum")
    (example,) = task.examples("dev", 1)
    for response in (
        f"First this.\nAnswer: {example.answer}",
        f"<answer>{example.answer}</answer>",
        f"The answer is {example.answer}.",
        example.answer,
    ):
        assert task.verdict(example, response).reason == "right", response
    assert task.verdict(example, f"Answer: 9{example.answer}").reason == "wrong"
    assert task.verdict(example, "").reason == "no answer"
    assert (
        task.verdict(example, "One has to add and to subtract all of these numbers, one after the other, from left to right.").reason
        == "no answer"
    )
    assert task.verdict(example, task.completion("Step by step.", example.answer)).correct


def test_an_item_of_another_version_is_unjudged(library):
    task = load_task("reasoning_gym:chain_sum")
    (example,) = task.examples("dev", 1)
    assert task.verdict(example.model_copy(update={"question": "another"}), "Answer: 1").correct is None


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("chain_summ", "did you mean chain_sum"),
        ("chain_sum,terms=3", "refuses"),
        ("chain_sum,max_terms", "name=value"),
        ("", "no generator"),
    ],
)
def test_wrong_names_and_settings_are_one_line(library, spec, words):
    with pytest.raises(UsageError) as caught:
        load_task(f"reasoning_gym:{spec}")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("question", "answer", "steps"),
    [
        ("Calculate 4 + 3 - 12 =", "-5", "4 + 3 = <<4+3=7>>7\n7 - 12 = <<7-12=-5>>-5"),
        (
            "Calculate -5 * (3 - 4.5) / 3.",
            "2.5",
            "3 - 4.5 = <<3-4.5=-1.5>>-1.5\n-5 * (-1.5) = <<-5*(-1.5)=7.5>>7.5\n7.5 / 3 = <<7.5/3=2.5>>2.5",
        ),
        ("Calculate 4 + 3.", "8", ""),
        ("Calculate 1 / 3 * 3.", "1", ""),  # no decimal is exact
        ("Calculate 2 ** 3.", "8", ""),
        ("Calculate 9 / 0.", "0", ""),
        ("Compare 1 + 2 and 2 + 1.", "3", ""),
    ],
)
def test_a_written_expression_is_worked_out_step_by_step(question, answer, steps):
    assert worked(question, answer) == steps


def test_a_problem_that_no_generator_drew_is_scored_by_its_gold_answer(library):
    task = load_task("reasoning_gym:chain_sum")
    row = Example(task=task.name, split="train", question="Calculate 4 - 9 =", answer="-5")
    assert task.verdict(row, task.completion("4 - 9 = -5", "-5")).reason == "right"
    assert task.verdict(row, "Answer: 5").reason == "wrong"


@pytest.mark.slow
def test_a_round_on_chain_sum_goes_from_errors_to_a_decision_on_tiny(library, tmp_path):
    settings = {"task": "reasoning_gym:chain_sum", "items.train": 40, "items.dev": 30, "items.test": 20}
    settings |= {"generate.failures": 12, "generate.rows": 96, "generate.probe": 0, "train.epochs": 2, "train.stages": ["sft"]}
    with Cycle(load_config(overrides=settings), tmp_path / "run", say=lambda line: None) as loop:
        loop.run()
    (row,) = report.write(tmp_path / "run").rounds
    assert (row.failures, row.programs, row.decision.pairs) == (12, 12, 30)
    assert row.samples > 48
    assert row.train.loss_last < 0.8 * row.train.loss_first
