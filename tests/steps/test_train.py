"""What is answered beside a training. The trainings themselves: tests/trainers; whole rounds: tests/test_cycle.py."""

import time

import pytest

from errata.programs.config import Budget, load_config
from errata.programs.cycle import Cycle
from errata.programs.run import layout
from errata.programs.steps import train as step
from errata.programs.steps.mine import mine
from errata.signatures.errors import BudgetReached, TrainerError
from errata.signatures.records import TrainReport
from errata.trainers.weights import weights_hash

SMALL = {
    "task": "sums",
    "guards": [],
    "items": {"train": 8, "dev": 8, "test": 8},
    "train": {"stages": ["sft"]},
}
REPORT = {"base": "", "data": "", "weights": "", "steps": 1, "loss_first": 1.0, "loss_last": 1.0, "versions": {}}
ROWS = dict.fromkeys(("rows_in", "rows_kept"), 1) | {"rows_truncated": 0}


@pytest.fixture
def begun(tmp_path):
    """A run whose round 1 is mined and has one row to train on."""
    with Cycle(load_config(None, SMALL), tmp_path / "run", lambda line: None) as run:
        mine(run, 1)
        assemble = run.stage(1, "assemble")
        assemble.finish({layout.ROWS: []}, samples=1, replay=0, shortfall="")
        yield run


def evaluated(run, *splits):
    weights = weights_hash(run.config.target)
    return [layout.evaluation(run.path, weights, "sums", split).done for split in splits]


def trainer(monkeypatch, train):
    """Has `train()` in the place of the child process that trains."""

    def run(rows, target, settings, out, **more):
        train()
        return TrainReport.model_validate(REPORT | ROWS)

    monkeypatch.setattr(step, "fine_tune", run)


def until(true, seconds=60):
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.02)


def test_while_a_small_target_is_trained_dev_and_what_the_end_reports_are_answered(begun, monkeypatch):
    seen = []

    def train():
        until(lambda: all(evaluated(begun, "dev", "test")))
        seen.extend(evaluated(begun, "dev", "test"))

    trainer(monkeypatch, train)
    step.train(begun, 1)
    assert seen == [True, True]


def test_what_a_judge_would_be_paid_for_is_answered_ahead_only_where_the_gate_needs_it(begun, monkeypatch):
    trainer(monkeypatch, lambda: None)
    monkeypatch.setattr(begun.task, "kind", "prose")
    step.train(begun, 1)
    assert evaluated(begun, "dev", "test") == [True, False]


@pytest.mark.parametrize(("stop", "expected"), [("train", [False, False]), ("gate", [True, False])])
def test_a_run_that_stops_early_answers_nothing_beside_its_training_that_it_will_not_come_to(begun, monkeypatch, stop, expected):
    trainer(monkeypatch, lambda: None)
    begun.until = stop
    step.train(begun, 1)
    assert evaluated(begun, "dev", "test") == expected


def test_a_training_that_fails_ends_what_is_answered_beside_it(begun, monkeypatch):
    def train():
        raise TrainerError("the disk is full")

    trainer(monkeypatch, train)
    with pytest.raises(TrainerError, match="the disk is full"):
        step.train(begun, 1)
    assert begun.loaded is None
    assert all(len(begun.scores(begun.task, split, begun.config.target)) == 8 for split in ("dev", "test"))  # what was kept is whole


def test_the_cap_on_time_is_looked_at_at_each_step_that_is_told(begun, monkeypatch):
    def run(rows, target, settings, out, on_progress, **more):
        begun.ledger.budget = Budget(max_time=0)
        on_progress({"step": 1, "steps": 2, "loss": 1.0})

    monkeypatch.setattr(step, "fine_tune", run)
    with pytest.raises(BudgetReached, match="the cap of 0 seconds is reached"):
        step.train(begun, 1)


def test_nothing_is_answered_beside_a_training_in_the_same_process(begun, monkeypatch):
    trainer(monkeypatch, lambda: time.sleep(0.5))
    begun.in_process = True
    step.train(begun, 1)
    assert evaluated(begun, "dev", "test") == [False, False]


def test_what_goes_wrong_beside_a_training_does_not_end_it_and_is_told_where_it_is_asked_for(begun, monkeypatch):
    def broken(*given):
        raise TrainerError("no such item")

    trained = []
    trainer(monkeypatch, lambda: trained.append(True))
    monkeypatch.setattr(begun.task, "prompt", broken)
    step.train(begun, 1)
    assert trained == [True]
    with pytest.raises(TrainerError, match="no such item"):
        begun.scores(begun.task, "dev", begun.config.target)
