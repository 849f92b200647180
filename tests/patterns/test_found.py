"""What a pattern would be worth is told of the errors that training can mend, and of the target's own alone."""

import pytest

from errata.programs.config import load_config
from errata.programs.patterns.found import patterns
from errata.programs.run import layout
from errata.programs.run.directory import RunDir
from errata.signatures.records import Attempt, Diagnosis, Example, Failure, TeachingResult, Verdict


def answered(number, right):
    item = Example(task="sums", split="train", question=f"{number} + 2?", answer="4", skill="plus")
    return Attempt(example=item, response="5", verdict=Verdict(correct=right, extracted="5", reason=""), target="w0")


def written(path, faults, source=None, more_answers=()):
    """A run of eight answers, half of them wrong, each with a diagnosis; of `faults` the item itself is at fault."""
    rows = [answered(number, number > 3) for number in range(8)]
    told = []
    for place, row in enumerate(rows[:4]):
        verdict = "ambiguous" if place < faults else "error"
        words = {"skill": "adding", "misconception": "it subtracts", "evidence": "", "teach": ""}
        diagnosis = Diagnosis(failure_ids=(Failure(attempt=row).id,), strategy="S", verdict=verdict, **words)
        told.append(TeachingResult(failure_ids=diagnosis.failure_ids, diagnosis=diagnosis, program=None))
    with RunDir(path, load_config()) as run:
        run.stage("round-1/mine").finish({layout.ATTEMPTS: [*rows, *more_answers]}, items=8)
        more = ({layout.LENT: rows[:4]}, {"library": source}) if source else ({}, {})
        run.stage("round-1/teach").finish({layout.TAUGHT: told, **more[0]}, failures=4, **more[1])
    return patterns(path, 1)


@pytest.mark.parametrize("faults", [0, 1, 3])
def test_errors_of_items_at_fault_are_no_gain_of_any_pattern(tmp_path, faults):
    found = written(tmp_path / "run", faults)
    (pattern,) = found.patterns
    assert (found.source.at_fault, found.source.diagnosed) == (faults, 4 - faults)
    assert pattern.found.effect.at_most == 100 * (4 - faults) / 8  # of eight items as many can be mended
    assert pattern.found.effect.low < pattern.found.effect.at_most <= pattern.found.effect.high


def test_recorded_answers_to_held_out_items_are_no_part_of_the_accuracy_on_train_items(tmp_path):
    item = {"split": "test"}
    held = [row.model_copy(update={"example": row.example.model_copy(update=item)}) for row in (answered(9, False), answered(10, True))]
    assert written(tmp_path / "one", 1).patterns == written(tmp_path / "two", 1, more_answers=[*held, held[0]]).patterns


def test_the_example_of_a_pattern_is_one_of_its_errors_though_a_diagnosis_tells_of_others_too(tmp_path):
    rows = [answered(number, False) for number in range(2)]
    first, second = (Failure(attempt=row).id for row in rows)
    told = []
    for ids, said in (((first,), "it subtracts"), ((first, second), "forgets the unit of length")):
        words = {"skill": said, "misconception": said, "evidence": "", "teach": ""}
        diagnosis = Diagnosis(failure_ids=ids, strategy="S", verdict="error", **words)
        told.append(TeachingResult(failure_ids=ids, diagnosis=diagnosis, program=None))
    with RunDir(tmp_path / "run", load_config()) as run:
        run.stage("round-1/mine").finish({layout.ATTEMPTS: rows}, items=2)
        run.stage("round-1/teach").finish({layout.TAUGHT: told}, failures=2)
    found = patterns(tmp_path / "run", 1).patterns
    assert sorted((one.errors, one.found.example.error) for one in found) == sorted([((first,), first), ((second,), second)])


def test_errors_behind_a_library_say_nothing_of_this_targets_accuracy(tmp_path):
    found = written(tmp_path / "run", 0, {"path": "x", "hash": "y", "says": {}})
    assert found.patterns[0].found.effect is None
    assert "not answers of this target" in found.source.basis
