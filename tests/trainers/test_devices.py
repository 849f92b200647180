"""Training on several devices, as two processes of the CPU: the rows of a step, the losses and the weights are those of one device, and a
kill of any process ends all and costs nothing."""

import json
import os
from pathlib import Path

import models
import pytest
from safetensors.torch import load_file

from errata.signatures.errors import TrainerError, UsageError
from errata.trainers import sft
from errata.trainers.gpus import require_devices
from errata.trainers.settings import TargetSettings, TrainSettings
from errata.trainers.sft import job_key, train

CPU = TrainSettings(device="cpu", devices=2, batch_size=16)
GPUS = TrainSettings(devices=2, batch_size=16)


@pytest.fixture
def gpus(monkeypatch, tmp_path):
    """A function that says which GPUs this machine has."""

    def there(names: str) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))  # no nvidia-smi
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", names)

    return there


# ---------------------------------------------------------------- what is refused, and what the processes see


@pytest.mark.parametrize(
    ("settings", "stages", "said"),
    [
        ({"stages": ["sft", "grpo"]}, ("sft", "grpo"), "and the stage grpo trains on one device alone: take 1, or leave"),
        ({"stages": ["sdft"]}, ("sdft",), "and the stage sdft trains on one device alone"),
        ({"batch_size": 15}, ("sft",), "share the 15 rows of a step unevenly: give a train.batch_size that is a multiple of 2"),
        ({"batch_size": 2}, ("kto",), "give a train.batch_size of 4 or more"),
        ({"device": "cuda:1"}, ("sft",), "and train.device names one, cuda:1: take cuda or cpu"),
        ({"sft": {"per_device_train_batch_size": 4}}, ("sft",), "the 1 parts of a step (train.sft.gradient_accumulation_steps) unevenly"),
        ({"dpo": {"train_sampling_strategy": "sequential"}}, ("dpo",), "with which train.dpo.train_sampling_strategy cannot be set"),
        ({"devices": 3, "batch_size": 15}, ("sft",), "train.devices is 3, and this process sees 2 GPUs (nvidia-smi, CUDA_VISIBLE_DEVICES)"),
    ],
)
def test_what_several_devices_cannot_share_is_refused_in_one_line(gpus, settings, stages, said):
    gpus("0,1")
    with pytest.raises(UsageError) as error:
        require_devices(GPUS.model_copy(update=settings), stages)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_two_gpus_are_not_trained_on_where_there_are_none_and_processes_of_the_cpu_are(gpus):
    gpus("")
    with pytest.raises(UsageError, match=r"this process sees no NVIDIA GPU .*: take 1, or train.device cpu"):
        require_devices(GPUS, ("sft",))
    require_devices(CPU, ("sft", "dpo", "kto"))
    require_devices(CPU.model_copy(update={"sft": {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 4}}), ("sft",))


def test_devices_are_refused_before_a_training_has_a_folder(gpus, tmp_path):
    gpus("0")
    with pytest.raises(UsageError, match=r"train\.devices is 2, and this process sees 1 GPU "):
        train(models.sums(4), TargetSettings(), GPUS, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_processes_of_a_training_see_as_many_gpus_as_they_are_and_share_the_cores(gpus, tmp_path, monkeypatch):
    began = []

    def begin(command, **options):
        if command[0] == "nvidia-smi":
            raise FileNotFoundError
        began.append((command, options["env"]))
        raise OSError("not begun")

    monkeypatch.setattr(sft.subprocess, "Popen", begin)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(12)))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    for names, settings, seen in (
        ("GPU-a,GPU-b,GPU-c", GPUS, "GPU-a,GPU-b"),
        ("3,1", GPUS, "3,1"),
        ("3,1", CPU, ""),
        ("3,1", GPUS.model_copy(update={"devices": 1}), "3"),
    ):
        gpus(names)
        with pytest.raises(TrainerError, match="not begun"):
            train(models.sums(4), TargetSettings(), settings, tmp_path / "out")
        command, env = began.pop()
        assert "-P" in command
        assert env["CUDA_VISIBLE_DEVICES"] == seen
        assert env.get("OMP_NUM_THREADS") == ("6" if settings.devices == 2 else None)


def test_the_number_of_devices_is_no_part_of_what_a_training_is():
    assert job_key("base", "data", CPU, 0) == job_key("base", "data", CPU.model_copy(update={"devices": 4}), 0)
    assert job_key("base", "data", CPU, 0) != job_key("base", "data", CPU.model_copy(update={"batch_size": 8}), 0)


# ---------------------------------------------------------------- two processes


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> TargetSettings:
    return TargetSettings(model=str(models.make("llama", tmp_path_factory.mktemp("model"))))


def course(out: Path, *names: str) -> list[tuple]:
    return [tuple(row[name] for name in names) for row in json.loads((out / "course.json").read_text())]


def alike(one: Path, two: Path) -> bool:
    """Whether two trainings came to the same weights, but for the order in which numbers are added."""
    files = [next((out / "weights").glob("*.safetensors")) for out in (one, two)]
    assert files[0].name == files[1].name
    first, second = map(load_file, files)
    return all(first[name].allclose(second[name], atol=1e-4) for name in first)


def same_course(one: Path, two: Path) -> bool:
    assert course(one, "step", "epoch", "learning_rate") == course(two, "step", "epoch", "learning_rate")
    return all(abs(a[0] - b[0]) < 1e-4 for a, b in zip(course(one, "loss"), course(two, "loss"), strict=True))


@pytest.mark.slow  # a training in processes: half a minute each
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"method": "lora", "learning_rate": 1e-2},
        {"sft": {"logging_steps": 1, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 8}},
        {"sft": {"logging_steps": 1, "packing": True}, "batch_size": 4},
    ],
    ids=["full", "lora", "in parts", "packed"],
)
def test_two_processes_train_as_one_does_step_by_step(target, tmp_path, more):
    rows = models.sums(51)  # the last step has three, less than a part
    settings = CPU.model_copy(update={"epochs": 2, "noise": 0, "sft": {"logging_steps": 1}} | more)
    one = train(rows, target, settings.model_copy(update={"devices": 1}), tmp_path / "one", in_process=True)
    two = train(rows, target, settings, tmp_path / "two")
    assert two.steps == one.steps >= 8 or "packing" in settings.sft
    assert (two.rows_in, two.rows_kept) == (one.rows_in, one.rows_kept) == (51, 51)
    assert same_course(tmp_path / "one", tmp_path / "two") and alike(tmp_path / "one", tmp_path / "two")
    assert {path.name for path in (tmp_path / "two").iterdir()} - {"train.log"} == {path.name for path in (tmp_path / "one").iterdir()}
    assert train(rows, target, settings.model_copy(update={"devices": 1}), tmp_path / "two") == two  # the same training, which is finished
