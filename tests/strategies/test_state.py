"""Saved states: the same prompts after loading, those of 0.1.0 too; what is not a state of the strategy is refused in one line."""

import json
from pathlib import Path

import dspy
import pytest
from scripted import FAILURE

from errata.programs import Cycle, LearnFromContrast, LearnFromError, load_config
from errata.programs.config import CycleConfig, GenerateSettings
from errata.programs.rehearse import Shown, prompts
from errata.programs.run import layout
from errata.programs.strategies.named import load_strategy
from errata.programs.strategies.state import pinned
from errata.signatures.errors import RunError, UsageError


def test_optimizers_find_every_predictor_and_state_is_plain_json(tmp_path):
    strategy = LearnFromContrast()
    assert {name for name, _ in strategy.named_predictors()} == {"diagnose.predict", "write.write", "write.repair"}
    strategy.diagnose.predict.signature = strategy.diagnose.predict.signature.with_instructions("Other words.")
    strategy.save(tmp_path / "state.json")
    other = LearnFromContrast()
    other.load(tmp_path / "state.json")
    assert other.diagnose.predict.signature.instructions == "Other words."


def test_a_saved_strategy_sends_the_same_prompts_with_its_instructions_and_demos(tmp_path):
    strategy = LearnFromError()
    strategy.diagnose.predict.signature = strategy.diagnose.predict.signature.with_instructions("Other words.")
    strategy.write.write.demos = [
        dspy.Example(augmented=True, question="q", refusal="", program=dspy.Code["python"](code="x = 1")),
        dspy.Example(augmented=True, question="q2", refusal="no", program=None),
    ]
    strategy.write.write.lm = dspy.LM("openai/mine", api_base="http://elsewhere", api_key="secret")
    strategy.save(tmp_path / "state.json")
    assert "elsewhere" not in (tmp_path / "state.json").read_text()
    strategy.write.write.lm = None
    loaded = load_strategy(GenerateSettings(state=str(tmp_path / "state.json")))
    before, after = (prompts(one, Shown(FAILURE, None), "sums") for one in (strategy, loaded))
    assert after == before
    assert "x = 1" in after[1].messages[2]["content"]


def test_a_state_that_0_1_0_saved_is_loaded_with_its_words_and_demonstrations():
    folder = Path(__file__).parent
    loaded = load_strategy(GenerateSettings(state=str(folder / "state_0_1_0_error.json")))
    diagnose, write, _ = prompts(loaded, Shown(FAILURE, None), "sums")
    assert "Say in one line where the response departs." in diagnose.messages[0]["content"]
    assert "Ann has 3 pens and buys 2." in write.messages[1]["content"]
    assert "ANCHORS = {}" in write.messages[2]["content"]
    mix = load_strategy(GenerateSettings(strategy="Mix", state=str(folder / "state_0_1_0_mix.json")))
    assert mix.members[1].write.repair.signature.instructions == "Mend what the complaint names."


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state["write.write"].update(lm={"model": "m", "api_base": "http://evil"}), "brings a model of its own"),
        (lambda state: state.pop("write.repair"), "holds diagnose.predict, write.write, but LearnFromError needs"),
        (lambda state: state["write.write"].update(forward="x"), "write.write is not a saved predictor"),
        (lambda state: state["write.write"]["signature"]["fields"].pop(), "has other fields than that of LearnFromError"),
        (lambda state: state["write.write"]["demos"].append({"weather": "fine"}), "has other fields than that of LearnFromError"),
    ],
)
def test_a_state_that_is_not_of_the_strategy_is_refused_in_one_line(tmp_path, change, said):
    path = tmp_path / "state.json"
    LearnFromError().save(path)
    state = json.loads(path.read_text())
    change(state)
    path.write_text(json.dumps(state))
    with pytest.raises(UsageError, match=said):
        load_strategy(GenerateSettings(state=str(path)))


@pytest.mark.parametrize(("text", "said"), [(None, "cannot be read"), ("{", "is not JSON"), ("[]", "must be a mapping")])
def test_a_file_that_is_not_a_state_is_a_usage_error(tmp_path, text, said):
    path = tmp_path / "state.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError, match=said):
        pinned(CycleConfig(generate=GenerateSettings(state=str(path))))


def test_a_run_is_not_continued_with_another_state_wherever_the_file_lies(tmp_path):
    def opened(path):
        config = load_config(overrides={"errors": "all", "items.train": 2, "generate.state": str(path)})
        return Cycle(config, tmp_path / "run", lambda line: None)

    strategy = LearnFromError()
    strategy.save(tmp_path / "state.json")
    with opened(tmp_path / "state.json") as loop:
        loop.run(until="mine")
    (tmp_path / "state.json").rename(tmp_path / "moved.json")
    with opened(tmp_path / "moved.json"):
        pass
    strategy.diagnose.predict.signature = strategy.diagnose.predict.signature.with_instructions("Other words.")
    strategy.save(tmp_path / "moved.json")
    with pytest.raises(RunError, match=r"was made with generate\.state_hash"), opened(tmp_path / "moved.json"):
        pass


def test_a_run_goes_on_with_its_copy_of_a_state_that_is_gone(tmp_path):
    said = []

    def opened(path):
        config = load_config(overrides={"errors": "all", "items.train": 2, "generate.state": str(path)})
        return Cycle(config, tmp_path / "run", said.append)

    strategy, file, copy = LearnFromError(), tmp_path / "state.json", tmp_path / "run" / layout.STATE
    strategy.diagnose.predict.signature = strategy.diagnose.predict.signature.with_instructions("Own words.")
    strategy.save(file)
    with opened(file) as loop:
        loop.run(until="mine")
    assert copy.read_bytes() == file.read_bytes()
    file.unlink()
    with opened(file) as loop:
        assert loop.strategy.diagnose.predict.signature.instructions == "Own words."
    assert f"strategy state: the copy that the run keeps counts, {copy}" in said
    with pytest.raises(UsageError, match=r"other.json cannot be read: No such file or directory; a run begun with it goes on by --run RUN"):
        opened(tmp_path / "other.json")
    LearnFromError().save(file)
    with (
        pytest.raises(RunError, match=r"the strategy's state has changed: .* give --strategy-state the state\.json of the run"),
        opened(file),
    ):
        pass
    with opened(copy) as loop:  # what that message says
        assert loop.strategy.diagnose.predict.signature.instructions == "Own words."


def test_a_state_in_the_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "s.json").write_bytes(Path(__file__).with_name("state_0_1_0_error.json").read_bytes())
    config = load_config(overrides={"generate.state": "~/s.json"})
    assert pinned(config).generate.state_hash
