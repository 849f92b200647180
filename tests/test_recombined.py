"""Cycles on labels and JSON with the embedded instructor and no key: whole on the shipped target, and a gain on one that can learn."""

import json
import sys
from pathlib import Path

import pytest

from errata.programs.config import load_config
from errata.programs.cycle import Cycle
from errata.programs.instructor.offline.recombine import ORIGIN
from errata.programs.run import layout
from errata.signatures.records import Sample
from errata.tasks import load_task

ROOT = Path(__file__).resolve().parents[1]
SMALL = {
    "items.train": 8,
    "items.dev": 6,
    "items.test": 6,
    "generate.failures": 2,
    "generate.rows": 16,
    "generate.probe": 0,
    "train.epochs": 1,
    "train.stages": ["sft"],
    "table.max_new_tokens": 8,  # `tiny` answers neither yet
    "sandbox": {"workers": 1, "seconds": 60},
}


@pytest.mark.parametrize("name", ["tickets", "orders"])
def test_a_cycle_teaches_from_train_rows_without_a_key(tmp_path, monkeypatch, name):
    monkeypatch.chdir(ROOT)
    config = load_config(ROOT / f"examples/{name}.yaml", SMALL)
    said = []
    with Cycle(config, tmp_path / "run", said.append) as loop:
        loop.in_process = True
        loop.run()
    assert any("the embedded instructor can teach 8 of 8 train items" in line for line in said)
    taught = layout.taught(tmp_path / "run", 1)
    assert len(taught) == 2
    for row in taught:
        assert row.program and row.diagnosis, row.rejections
        assert ORIGIN in row.program.source and ORIGIN in row.diagnosis.teach
    task = load_task(config.task, config.table)
    samples = layout.step(tmp_path / "run", 1, "assemble").read("samples.jsonl", Sample)
    assert len(samples) == 16
    held_out = {item.question for split in ("dev", "test") for item in task.examples(split)}
    for sample in samples:
        made = sample.example
        assert task.verdict(made, task.completion(made.solution, made.answer)).correct
        assert made.question not in held_out
        if made.kind == "json":
            assert json.loads(made.answer).keys() == {"customer", "items", "date", "express"}


@pytest.mark.slow  # trains a small model twice, about a minute of CPU
@pytest.mark.parametrize("name", ["tickets", "home"])
def test_a_cycle_of_the_embedded_instructor_ends_better_on_dev(tmp_path, monkeypatch, name):
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(ROOT / "scripts")
    evidence = __import__("evidence_recombined")
    found = evidence.cycle(tmp_path, name, "recombined", 0)
    sys.modules.pop("evidence_recombined")
    assert found.decision.accepted and found.decision.p_value < 0.05
    assert found.decision.before > 0  # it had the form, and a part of the skill
    assert found.after > found.before  # on test
