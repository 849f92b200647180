"""Models as they are found: tokens without embeddings, templates and adapters of other forms, values that are no numbers."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import models
import pytest
import torch
from peft import IA3Config, LoraConfig, PrefixTuningConfig, PromptTuningConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from errata.signatures.errors import ErrataError, TargetError, TrainerError
from errata.trainers import sft
from errata.trainers.settings import TargetSettings, TrainSettings
from errata.trainers.target import Target

ASK = [[{"role": "user", "content": f"Tom has {number} apples " + "and more " * number}] for number in range(3)]
PARTS = (
    "{% for m in messages %}{{ m['role'] }}: {% for c in m['content'] %}{% if c['type'] == 'text' %}{{ c['text'] }}{% endif %}{% endfor %}"
    "<|eot_id|>{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
)
PLAIN = (
    "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}<|eot_id|>{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.make("llama", tmp_path_factory.mktemp("models") / "llama")


@pytest.fixture
def folder(llama: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(llama, tmp_path / "model"))


def answers(folder: Path, prompts=ASK, **more) -> dict:
    target = Target.load(TargetSettings(model=str(folder), device="cpu", **more))
    return dict(target.generate(prompts, max_new_tokens=8))


def train(folder: Path, out: Path, rows: int = 8, **settings):
    given = {"method": "full", "epochs": 1, "batch_size": 4, **settings}
    return sft.train(models.sums(rows), TargetSettings(model=str(folder)), TrainSettings(**given), out, in_process=True)


def template(folder: Path, text: str | None, **named: str) -> None:
    (folder / "chat_template.jinja").unlink()
    if named:
        (folder / "additional_chat_templates").mkdir()
    for name, value in named.items():
        (folder / "additional_chat_templates" / f"{name}.jinja").write_text(value)
    if text is not None:
        (folder / "chat_template.jinja").write_text(text)


def grown(folder: Path, **special: str) -> None:
    """The tokenizer with tokens that the embeddings do not hold."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens(special)
    tokenizer.save_pretrained(folder)


def poison(file: Path, value: float) -> str:
    tensors = load_file(file)
    name = sorted(tensors)[3]
    tensors[name].view(-1)[5] = value
    save_file(tensors, file, metadata={"format": "pt"})
    return name


def test_a_pad_token_beyond_the_embeddings_is_not_needed(llama, folder, tmp_path):
    grown(folder, pad_token="[PAD]")
    assert answers(folder) == answers(llama)
    assert train(folder, tmp_path / "out").rows_kept == 8


def test_another_token_beyond_the_embeddings_is_one_line_where_a_text_holds_it(folder, tmp_path):
    grown(folder, additional_special_tokens=["<tool>"])
    assert len(answers(folder)) == 3
    with pytest.raises(TargetError, match=r"'<tool>' with the id \d+, and the target has \d+ embeddings: save the model after"):
        answers(folder, [[{"role": "user", "content": "use <tool> here"}]])
    template(folder, "{{ '<tool>' }}" + PLAIN)
    with pytest.raises(TargetError, match="'<tool>'"):
        train(folder, tmp_path / "out")


def test_an_end_token_beyond_the_embeddings_teaches_the_end_that_there_is(folder, tmp_path):
    grown(folder, eos_token="<over>")
    assert len(answers(folder)) == 3
    assert train(folder, tmp_path / "out").rows_kept == 8


def test_a_template_that_wants_parts_is_sent_parts(folder, tmp_path):
    template(folder, PARTS)
    target = Target.load(TargetSettings(model=str(folder), device="cpu"))
    assert target.render(ASK[1]) == "user: Tom has 1 apples and more <|eot_id|>assistant: "
    system = [{"role": "system", "content": "Be brief."}, *ASK[0]]
    assert target.render(system) == "system: Be brief.<|eot_id|>user: Tom has 0 apples <|eot_id|>assistant: "
    assert train(folder, tmp_path / "out").rows_kept == 8


@pytest.mark.parametrize(
    "text",
    [
        "{% for m in messages %}{{ m['role'] }}: {{ m['content'][0]['text'] }}{% endfor %}",
        "{% for m in messages %}{{ m['role'] + ': ' + m['content'][0].text }}{% endfor %}",
        "{% for m in messages %}{% for c in m['content'] | selectattr('type', 'equalto', 'text') %}{{ c['text'] }}{% endfor %}{% endfor %}",
        "{% for m in messages %}{% set c = m['content'] %}{{ c if c is string else c[0]['text'] }}{% endfor %}",
    ],
)
def test_the_users_text_is_in_the_prompt_in_whatever_way_a_template_takes_it(folder, text):
    template(folder, text)
    assert "Tom has 0 apples" in Target.load(TargetSettings(model=str(folder), device="cpu")).render(ASK[0])


@pytest.mark.parametrize("text", ["{% for m in messages %}{{ m['role'] }}: {% endfor %}", "user:", "{{ messages[0]['text'] }}"])
def test_a_template_that_drops_the_users_text_is_refused(folder, text):
    template(folder, text)
    with pytest.raises(TargetError, match="drops the user's text"):
        answers(folder)


def test_a_template_that_changes_the_users_text_and_keeps_it_is_used(folder):
    template(folder, "{% for m in messages %}{{ m['content'] | replace('apples', 'pears') }}{% endfor %}")
    assert Target.load(TargetSettings(model=str(folder), device="cpu")).render(ASK[0]) == "Tom has 0 pears "


def test_of_named_templates_the_default_is_used_or_the_only_one(llama, folder, tmp_path):
    template(folder, PLAIN, tools="{{ messages[0]['content'] }} with tools")
    assert Target.load(TargetSettings(model=str(folder), device="cpu")).render(ASK[0]).startswith("user: Tom has 0")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    shutil.rmtree(folder / "additional_chat_templates")
    (folder / "chat_template.jinja").unlink()
    for names, started in ((["only"], "user: Tom has 0"), (["default", "rag"], "user: Tom has 0")):
        named = [{"name": name, "template": PLAIN if name in ("only", "default") else "x"} for name in names]
        (folder / "tokenizer_config.json").write_text(json.dumps(config | {"chat_template": named}))
        assert Target.load(TargetSettings(model=str(folder), device="cpu")).render(ASK[0]).startswith(started)
    several = [{"name": name, "template": PLAIN} for name in ("tool_use", "rag")]
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"chat_template": several}))
    with pytest.raises(TargetError, match="has the chat templates rag, tool_use, and none is called default"):
        answers(folder)
    with pytest.raises(TargetError, match="none is called default"):
        train(folder, tmp_path / "out")


def test_named_templates_stay_with_the_trained_weights(folder, tmp_path):
    template(folder, PLAIN, tools="{{ messages[0]['content'] }} with tools")
    train(folder, tmp_path / "out")
    assert AutoTokenizer.from_pretrained(tmp_path / "out" / "weights").chat_template.keys() == {"default", "tools"}


OWN = {"HF_HUB_DISABLE_TELEMETRY": "0", "OMP_WAIT_POLICY": "ACTIVE"}


@pytest.mark.parametrize(
    ("module", "env", "told"),
    [
        ("errata.trainers.sft", {}, "1 PASSIVE"),
        pytest.param("errata.trainers.target", {}, "1 PASSIVE", marks=pytest.mark.slow),  # loads torch in a process of its own
        ("errata.trainers.sft", OWN, "0 ACTIVE"),
    ],
)
def test_nothing_is_sent_to_the_hub_and_threads_that_wait_do_not_spin_unless_the_user_says_so(module, env, told):
    shown = f"import os, sys; import {module}; print(os.environ['HF_HUB_DISABLE_TELEMETRY'], os.environ['OMP_WAIT_POLICY'])"
    env = {name: value for name, value in os.environ.items() if name not in OWN} | env
    assert subprocess.run([sys.executable, "-c", shown], env=env, capture_output=True, text=True).stdout.strip() == told


def adapter(folder: Path, config, out: Path, start=lambda model: None) -> Path:
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(folder), config)
    start(model)
    model.save_pretrained(out)
    return out


@pytest.mark.parametrize("kind", [PromptTuningConfig, PrefixTuningConfig])
def test_an_adapter_that_adds_tokens_is_refused_in_one_line(llama, tmp_path, kind):
    path = adapter(llama, kind(task_type="CAUSAL_LM", num_virtual_tokens=4), tmp_path / "a")
    with pytest.raises(TargetError, match=r"is of the kind (PROMPT|PREFIX)_TUNING, which adds tokens"):
        answers(llama, adapter=str(path))


def test_an_adapter_that_scales_weights_is_run(llama, tmp_path):
    def start(model):
        for name, parameter in model.named_parameters():
            if "ia3" in name:
                torch.nn.init.uniform_(parameter, 0.2, 3)

    given = IA3Config(task_type="CAUSAL_LM", target_modules=["k_proj", "v_proj", "down_proj"], feedforward_modules=["down_proj"])
    path = adapter(llama, given, tmp_path / "a", start)
    assert answers(llama, adapter=str(path)) != answers(llama)


def test_an_adapter_of_another_base_or_kind_is_one_line(llama, folder, tmp_path):
    wider = models.make("llama", tmp_path / "wider", hidden_size=64)
    deeper = models.make("llama", tmp_path / "deeper", num_hidden_layers=3)
    lora = LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"])
    for other in (wider, deeper):
        path = adapter(other, lora, tmp_path / f"{other.name}-a")
        with pytest.raises(TargetError, match="does not belong to") as caught:
            answers(llama, adapter=str(path))
        assert "\n" not in str(caught.value)
    config = json.loads((path / "adapter_config.json").read_text())
    (path / "adapter_config.json").write_text(json.dumps(config | {"peft_type": "SOMETHING_NEW"}))
    with pytest.raises(TargetError, match="does not belong to"):
        answers(llama, adapter=str(path))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_no_numbers_are_named_before_the_first_question(folder, tmp_path, value):
    name = poison(folder / "model.safetensors", value)
    with pytest.raises(TargetError, match=f"its tensor {name} holds values that are no numbers"):
        answers(folder)
    with pytest.raises(TargetError, match="no numbers"):
        train(folder, tmp_path / "out")
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_an_adapter_of_values_that_are_no_numbers_is_named(llama, tmp_path):
    path = adapter(llama, LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"]), tmp_path / "a")
    poison(path / "adapter_model.safetensors", float("nan"))
    with pytest.raises(TargetError, match=r"a: its tensor .* holds values that are no numbers"):
        answers(llama, adapter=str(path))


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_loss_that_is_no_number_ends_the_training_at_its_step_and_saves_nothing(llama, tmp_path, method):
    with pytest.raises(TrainerError, match=r"the loss is not a number at step \d with the learning rate 1e\+30: give a lower"):
        train(llama, tmp_path / "out", 32, method=method, learning_rate=1e30)
    assert not (tmp_path / "out" / "weights").exists() and not (tmp_path / "out" / "manifest.json").exists()


def test_the_last_step_may_not_ruin_the_weights_either(llama, tmp_path):
    with pytest.raises(TrainerError, match="the weights are not a number at step 1"):
        train(llama, tmp_path / "out", 4, learning_rate=1e38, steps=1, sft={"warmup_steps": 0, "max_grad_norm": 1e38})
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_the_last_whole_checkpoint_is_kept_when_the_loss_is_no_number(llama, tmp_path, monkeypatch):
    from trl import SFTTrainer

    step = SFTTrainer.training_step

    def broken(self, *args, **named):
        return step(self, *args, **named) * (float("nan") if self.state.global_step == 3 else 1)

    monkeypatch.setattr(SFTTrainer, "training_step", broken)
    with pytest.raises(TrainerError, match="at step 4"):
        train(llama, tmp_path / "out", 32, save_steps=2)
    assert [path.name for path in (tmp_path / "out" / "checkpoints").glob("checkpoint-*")] == ["checkpoint-2"]


def test_a_missing_shard_or_a_tensor_of_another_shape_is_one_line(llama, folder, tmp_path):
    sharded = tmp_path / "sharded"
    AutoModelForCausalLM.from_pretrained(folder).save_pretrained(sharded, max_shard_size="100KB")
    for path in folder.iterdir():
        if path.suffix != ".safetensors" and not (sharded / path.name).exists():
            shutil.copyfile(path, sharded / path.name)
    assert answers(sharded) == answers(llama)
    sorted(sharded.glob("*.safetensors"))[0].unlink()
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"] = torch.ones(7)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    for broken in (sharded, folder):
        with pytest.raises(TargetError, match="cannot be loaded") as caught:
            answers(broken)
        assert "\n" not in str(caught.value)


def test_a_quantized_model_is_not_trained(folder, tmp_path):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": {"quant_method": "gptq", "bits": 4}}))
    for attempt in (lambda: answers(folder), lambda: train(folder, tmp_path / "out")):
        with pytest.raises(ErrataError) as caught:
            attempt()
        assert "\n" not in str(caught.value)
    assert "is quantized" in str(caught.value)


def test_a_model_without_a_template_a_pad_or_an_end_token_answers(folder):
    template(folder, None)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({k: v for k, v in config.items() if k not in ("eos_token", "pad_token")}))
    assert len(answers(folder)) == 3
