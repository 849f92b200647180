"""A way back: weights between those that a training began with and those that it ended with, of a model and of an adapter."""

from pathlib import Path

import models
import pytest
import torch
from safetensors.torch import load_file

from errata.signatures.errors import TargetError, TrainerError, UsageError
from errata.trainers.fit import between as between_two
from errata.trainers.settings import TargetSettings, TrainSettings
from errata.trainers.sft import go_back, train
from errata.trainers.target import Target, load_model
from errata.trainers.weights import companions, trained, weights_hash

QUICK = TrainSettings(batch_size=8, steps=4, method="full", blend=1.0, noise=0, learning_rate=3e-3)
LORA = QUICK.model_copy(update={"method": "lora", "learning_rate": 3e-2})
ROWS = models.sums(24)


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    return TargetSettings(model=str(models.make("llama", tmp_path_factory.mktemp("models") / "llama")))


@pytest.fixture(scope="module")
def whole(target, tmp_path_factory):
    """The target, trained whole."""
    train(ROWS, target, QUICK, out := tmp_path_factory.mktemp("whole") / "out", in_process=True)
    return trained(target, out)


@pytest.fixture(scope="module")
def adapted(target, tmp_path_factory):
    """The target with an adapter, and with the same after it was trained on."""
    path = tmp_path_factory.mktemp("adapted")
    train(ROWS, target, LORA, path / "first", in_process=True)
    first = trained(target, path / "first")
    train(ROWS, first, LORA, path / "second", seed=1, in_process=True)
    return first, trained(first, path / "second")


def tensors(settings):
    return dict(load_model(settings, torch.device("cpu"), torch.float32).named_parameters())


def between(old, new, share, found):
    """Whether each tensor lies where it should, and some move at all."""
    assert old.keys() == new.keys() == found.keys()
    assert any(not torch.equal(old[name], new[name]) for name in old)
    for name in old:
        torch.testing.assert_close(found[name], old[name] + share * (new[name] - old[name]), atol=1e-6, rtol=1e-5)


def test_a_models_weights_lie_between_old_and_trained_ones(target, whole, tmp_path):
    report = go_back(whole, target, 0.75, tmp_path / "out", in_process=True)
    made = trained(whole, tmp_path / "out")
    between(tensors(target), tensors(whole), 0.75, tensors(made))
    assert (report.back, report.base, report.weights, report.steps) == (0.75, weights_hash(whole), weights_hash(made), 0)
    assert {path.name for path in companions(tmp_path / "out/weights")} == {path.name for path in companions(Path(whole.model))}


def test_where_the_first_weights_are_served_the_way_leads_to_those_that_the_server_answers_with(target, adapted, tmp_path):
    served = target.model_copy(update={"api_base": "http://127.0.0.1:9/v1"})  # nobody listens there
    reports = [go_back(adapted[0], start, 0.9, tmp_path / name, in_process=True) for start, name in ((target, "own"), (served, "served"))]
    assert reports[0] == reports[1]


def test_a_new_adapter_goes_back_to_the_model_without_one(target, adapted, tmp_path):
    go_back(adapted[0], target, 0.9, tmp_path / "out", in_process=True)
    made = trained(adapted[0], tmp_path / "out")
    assert made.adapter == str(tmp_path / "out/weights") and made.model == target.model
    between(tensors(target), tensors(adapted[0]), 0.9, tensors(made))  # a frozen adapter is merged


def test_an_adapter_that_was_trained_on_goes_back_to_what_it_was(adapted, tmp_path):
    first, second = adapted
    go_back(second, first, 0.8, tmp_path / "out", in_process=True)
    files = [load_file(f"{place}/adapter_model.safetensors") for place in (first.adapter, second.adapter, tmp_path / "out/weights")]
    between(files[0], files[1], 0.8, files[2])


def test_in_16_bits_the_share_is_right_in_the_mean():
    """Most weights of a training in bfloat16 differ by their last digit alone, and nothing lies between."""
    old = torch.rand(40_000, generator=torch.Generator().manual_seed(1)).add(1).to(torch.bfloat16)
    new = torch.nextafter(old, torch.tensor(9.0, dtype=torch.bfloat16))
    for share in (0.9, 0.5):
        found = between_two(old, new, share, torch.Generator().manual_seed(0))
        assert found.dtype == torch.bfloat16 and ((found == old) | (found == new)).all()
        assert (found == new).float().mean().item() == pytest.approx(share, abs=0.02)
    assert torch.equal(between_two(old.float(), new.float(), 0.5, torch.Generator()), (old.float() + new.float()) / 2)


def test_of_a_new_adapter_embeddings_and_whole_modules_go_back_too(target, tmp_path):
    settings = LORA.model_copy(update={"lora": {"target_modules": ["embed_tokens", "q_proj"], "modules_to_save": ["norm"]}})
    train(ROWS, target, settings, tmp_path / "first", in_process=True)
    first = trained(target, tmp_path / "first")
    go_back(first, target, 0.5, tmp_path / "out", in_process=True)
    made = trained(first, tmp_path / "out")
    old, new, found = tensors(target), tensors(first), tensors(made)
    moved = [name for name in old if not torch.equal(old[name], new[name])]
    assert any("norm" in name for name in moved) and any("embed" in name for name in moved) and any("q_proj" in name for name in moved)
    between(old, new, 0.5, found)


def test_it_is_made_once_and_another_way_does_not_write_over_it(target, whole, tmp_path):
    report = go_back(whole, target, 0.9, tmp_path / "out", in_process=True)
    made = (tmp_path / "out/weights/model.safetensors").stat()
    assert go_back(whole, target, 0.9, tmp_path / "out", in_process=True) == report
    assert (tmp_path / "out/weights/model.safetensors").stat().st_mtime_ns == made.st_mtime_ns
    with pytest.raises(TrainerError, match="holds a finished training of other rows, weights, settings or seed"):
        go_back(whole, target, 0.8, tmp_path / "out", in_process=True)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["manifest.json", "seconds.json", "weights"]


def test_weights_of_another_shape_are_refused(whole, tmp_path):
    other = TargetSettings(model=str(models.make("qwen2", tmp_path / "other")))
    with pytest.raises(TargetError, match=r"has other weights than .*: no way leads back"):
        go_back(whole, other, 0.9, tmp_path / "out", in_process=True)
    assert not (tmp_path / "out/manifest.json").exists()


@pytest.mark.slow  # the start of a child
def test_a_child_process_makes_the_same_bytes(target, whole, tmp_path):
    reports = [go_back(whole, target, 0.9, tmp_path / name, in_process=name == "own") for name in ("own", "child")]
    assert reports[0] == reports[1]
    assert len({(tmp_path / name / "weights/model.safetensors").read_bytes() for name in ("own", "child")}) == 1


@pytest.mark.parametrize("lora", [{"use_dora": True}, {"target_modules": ["embed_tokens", "q_proj"], "modules_to_save": ["norm"]}])
def test_almost_nothing_of_a_training_is_almost_the_model_as_it_was(target, tmp_path, lora):
    settings = LORA.model_copy(update={"lora": lora})
    train(ROWS, target, settings, tmp_path / "whole", in_process=True)
    go_back(trained(target, tmp_path / "whole"), target, 1e-6, tmp_path / "back", in_process=True)
    train(ROWS, target, settings.model_copy(update={"blend": 1e-6}), tmp_path / "blend", in_process=True)
    old = tensors(target)
    assert any((weight - old[name]).abs().max() > 1e-3 for name, weight in tensors(trained(target, tmp_path / "whole")).items())
    for made in ("back", "blend"):
        for name, weight in tensors(trained(target, tmp_path / made)).items():
            torch.testing.assert_close(weight, old[name], atol=1e-5, rtol=1e-4)


def test_an_adapter_with_biases_of_its_own_is_trained_and_answers(target, tmp_path):
    train(ROWS, target, LORA.model_copy(update={"lora": {"lora_bias": True}}), tmp_path / "out", in_process=True)
    assert list(Target.load(trained(target, tmp_path / "out")).generate([ROWS[0].prompt], max_new_tokens=4))


def test_an_adapter_that_changes_the_weights_below_it_is_refused(target, tmp_path):
    with pytest.raises(UsageError, match=r"lora\.init_lora_weights cannot be pissa: it changes the weights below"):
        train(ROWS, target, LORA.model_copy(update={"lora": {"init_lora_weights": "pissa"}}), tmp_path / "out", in_process=True)
