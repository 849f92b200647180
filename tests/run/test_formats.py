"""The number format that a run answers in is decided once, on verdicts, and stays."""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM

from errata.programs.config import CycleConfig
from errata.programs.cycle import Cycle
from errata.programs.report.export import answering
from errata.programs.run import formats
from errata.trainers.settings import TargetSettings
from errata.trainers.weights import TINY, companions


@pytest.fixture(scope="module")
def stored_in_16_bits(tmp_path_factory):
    """`tiny`, stored in bfloat16."""
    folder = tmp_path_factory.mktemp("half")
    AutoModelForCausalLM.from_pretrained(TINY, dtype=torch.bfloat16).save_pretrained(folder)
    for path in companions(TINY):
        if path.name != "config.json":
            (folder / path.name).write_bytes(path.read_bytes())
    return str(folder)


@pytest.fixture
def able(monkeypatch):
    """A CPU with instructions for bfloat16, for which no model is too small."""
    monkeypatch.setattr("errata.trainers.estimate.cpu_bfloat16", lambda: True)
    monkeypatch.setattr("errata.trainers.estimate.SMALL", 0)


def opened(path, model, said, *, asked=None, shared=True, **target):
    """The target of a run at `path`, opened, and the run's run.json."""
    loop = Cycle(CycleConfig(target=TargetSettings(model=model, **target)), path, said.append)
    loop.formats = shared
    with loop as run:
        (path / "round-1" / "teach").mkdir(parents=True, exist_ok=True)
        (path / "round-1" / "teach" / "taught.jsonl.part").write_text("x")  # begun, so that its config is held to
        found = run.open_target(run.config.target, asked)
        return found.dtype, json.loads((path / "run.json").read_bytes()).get("format")


def test_a_run_whose_verdicts_agree_answers_in_bfloat16_and_so_does_its_continuation(able, stored_in_16_bits, tmp_path, monkeypatch):
    said: list[str] = []
    dtype, kept = opened(tmp_path, stored_in_16_bits, said)
    assert dtype == kept["dtype"] == "bfloat16"
    assert kept["items"] == 64 and kept["agreed"] >= 61 and set(kept["right"]) == {"float32", "bfloat16"}
    assert any(line == f"target answers in bfloat16: {kept['why']}" for line in said)
    monkeypatch.setattr("errata.trainers.estimate.cpu_bfloat16", lambda: False)  # continued on another machine
    said.clear()
    assert opened(tmp_path, stored_in_16_bits, said) == ("bfloat16", kept)
    assert not any("answers in" in line for line in said)
    assert answering(tmp_path, TargetSettings(model="other")).dtype == "bfloat16"


def test_a_run_whose_verdicts_differ_answers_in_float32(able, stored_in_16_bits, tmp_path, monkeypatch):
    ask = formats.attempts

    def unlike(task, items, target):
        for place, (item, row) in enumerate(ask(task, items, target)):
            wrong = row.verdict.model_copy(update={"correct": not row.verdict.correct})
            yield item, row.model_copy(update={"verdict": wrong}) if target.dtype == "bfloat16" and place < 10 else row

    monkeypatch.setattr(formats, "attempts", unlike)
    dtype, kept = opened(tmp_path, stored_in_16_bits, [])
    assert dtype == kept["dtype"] == "float32" and kept["agreed"] <= 60


def test_what_was_decided_stays_when_the_run_looks_at_its_data_again(able, stored_in_16_bits, tmp_path):
    config = CycleConfig(target=TargetSettings(model=stored_in_16_bits))
    with Cycle(config, tmp_path, lambda line: None) as run:
        run.open_target(config.target, 50)
        assert run.held_out and formats.decided(tmp_path) is not None  # nothing was answered yet


def test_a_few_questions_are_answered_in_float32_without_a_look(able, stored_in_16_bits, tmp_path):
    dtype, kept = opened(tmp_path, stored_in_16_bits, [], asked=50)
    assert dtype == kept["dtype"] == "float32" and "items" not in kept


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("place", ["round-1/mine", "evaluate/0000/t-dev"])
def test_a_run_that_began_where_nothing_was_open_goes_on_in_float32(able, stored_in_16_bits, tmp_path, monkeypatch, place, shared):
    with monkeypatch.context() as before:
        before.setattr("errata.trainers.estimate.cpu_bfloat16", lambda: False)
        assert opened(tmp_path / "run", stored_in_16_bits, []) == ("float32", None)
    answers = tmp_path / "run" / place / "attempts.jsonl.part"
    answers.parent.mkdir(parents=True)
    answers.write_text("x")
    run = tmp_path / ("run" if shared else "another")  # one of the same comparison
    dtype, kept = opened(run, stored_in_16_bits, [], shared=True if shared else tmp_path)
    assert dtype == kept["dtype"] == "float32" and "already" in kept["why"]


@pytest.mark.parametrize("case", ["tiny", "set", "wide", "old"])
def test_nothing_is_decided_where_nothing_is_open(case, stored_in_16_bits, tmp_path, monkeypatch):
    monkeypatch.setattr("errata.trainers.estimate.cpu_bfloat16", lambda: case != "old")
    monkeypatch.setattr("errata.trainers.estimate.SMALL", 20_000_000 if case == "tiny" else 0)
    model = "tiny" if case == "wide" else stored_in_16_bits
    assert opened(tmp_path, model, [], **({"dtype": "float32"} if case == "set" else {})) == ("float32", None)


def test_runs_of_a_comparison_answer_in_one_format(able, stored_in_16_bits, tmp_path, monkeypatch):
    first = opened(tmp_path / "a", stored_in_16_bits, [], shared=tmp_path)
    monkeypatch.setattr(formats, "attempts", None)  # nobody looks again
    said: list[str] = []
    assert opened(tmp_path / "b", stored_in_16_bits, said, shared=tmp_path) == first
    assert first[0] == "bfloat16" and any("answers in bfloat16" in line for line in said)
    assert opened(tmp_path / "c", stored_in_16_bits, [], shared=False) == ("float32", None)  # on a node of a cluster
