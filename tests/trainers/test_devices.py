"""Training on several devices, as two processes of the CPU: the rows of a step, the losses and the weights are those of one device, and a
kill of any process ends all and costs nothing."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import accelerate
import models
import pytest
from accelerate.data_loader import BatchSamplerShard, SeedableRandomSampler
from safetensors.torch import load_file
from torch.utils.data import BatchSampler, RandomSampler

from errata.signatures.errors import TrainerError, UsageError
from errata.trainers import sft
from errata.trainers.devices.gpus import require_devices
from errata.trainers.devices.ranks import InOrder, InStep
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
        ({"devices": 1, "batch_size": 1}, ("sft", "kto"), "give a train.batch_size of 2 or more"),
        ({"kto": {"per_device_train_batch_size": 1}}, ("kto",), "give a train.kto.per_device_train_batch_size of 2 or more"),
        ({"device": "cuda:1"}, ("sft",), "and train.device names one, cuda:1: take cuda or cpu"),
        ({"sft": {"per_device_train_batch_size": 4}}, ("sft",), "the 1 parts of a step (train.sft.gradient_accumulation_steps) unevenly"),
        ({"dpo": {"train_sampling_strategy": "sequential"}}, ("dpo",), "with which train.dpo.train_sampling_strategy cannot be set"),
        ({"dpo": {"fsdp": True}}, ("dpo",), "fsdp shares a model out in the stage sft alone, and among GPUs: leave train.dpo.fsdp out"),
        ({"device": "cpu", "sft": {"fsdp": True}}, ("sft",), "and among GPUs: leave train.sft.fsdp out"),
        ({"devices": 1, "sft": {"fsdp": True}}, ("sft",), "train.sft.fsdp shares a model out among devices, and train.devices is 1"),
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


# ---------------------------------------------------------------- the rows of a step


class _Told(InStep):
    """A Trainer of which a sampler asks its settings and how far it is."""

    def __init__(self, devices: int, parts: int, blank: bool, epoch: float):
        self.args = SimpleNamespace(
            world_size=devices,
            per_device_train_batch_size=12 // devices // parts,
            gradient_accumulation_steps=parts,
            data_seed=None,
            seed=7,
        )
        self.blank, self.state = blank, SimpleNamespace(epoch=epoch)


def steps_of(trainer: _Told, rows: int, lengths: list[int] | None = None) -> list[list[int]]:
    """The places of the rows that all devices take in each step of an epoch, as accelerate hands them out."""
    count, parts = trainer.args.world_size, trainer.args.gradient_accumulation_steps
    held = rows + (trainer.blank and count > 1)
    batches = BatchSampler(InOrder(trainer, held, True, lengths), trainer.args.per_device_train_batch_size, drop_last=False)
    shards = [list(BatchSamplerShard(batches, count, number)) for number in range(count)] if count > 1 else [list(batches)]
    assert len({len(shard) for shard in shards}) == 1  # who has one batch more waits for the others for ever
    return [
        [row for at in range(first, min(first + parts, len(shards[0]))) for shard in shards for row in shard[at]]
        for first in range(0, len(shards[0]), parts)
    ]


@pytest.mark.parametrize("rows", [12, 24, 25, 29, 35, 5, 1])
def test_devices_take_the_rows_of_each_step_that_one_device_takes_in_its_order(rows):
    for epoch in (0, 1):
        one = SeedableRandomSampler(RandomSampler(range(rows)), data_seed=7)
        one.set_epoch(epoch)
        alone = list(BatchSampler(one, 12, drop_last=False))
        for devices, parts in ((2, 1), (2, 3), (3, 2), (4, 1), (6, 2)):
            blank = steps_of(_Told(devices, parts, True, epoch + 0.5), rows)
            assert [[row for row in step if row < rows] for step in blank] == alone
            repeated = steps_of(_Told(devices, parts, False, epoch + 0.5), rows)
            assert [set(step) for step in repeated] == [set(step) for step in alone]
            assert [step[: len(own)] for step, own in zip(repeated, alone, strict=True)] == alone


@pytest.mark.parametrize("rows", [12, 24, 29, 5, 1000])
def test_rows_of_about_one_length_share_a_step_in_the_same_order_on_any_devices(rows):
    lengths = [20 + place * 7 % 13 if place % 40 else 500 for place in range(rows)]
    alone = steps_of(_Told(1, 1, True, 1.5), rows, lengths)
    assert sorted(row for step in alone for row in step) == list(range(rows))
    assert [len(step) for step in alone[:-1]] == [12] * (len(alone) - 1)
    if rows == 1000:
        padded = sum(len(step) * max(lengths[row] for row in step) for step in alone)
        plain = sum(len(step) * max(lengths[row] for row in step) for step in steps_of(_Told(1, 1, True, 1.5), rows))
        assert padded < 1.2 * sum(lengths) < plain / 2
        assert alone != steps_of(_Told(1, 1, True, 0.5), rows, lengths)  # another epoch
    for devices, parts in ((1, 3), (2, 1), (3, 2)):
        several = steps_of(_Told(devices, parts, True, 1.5), rows, lengths)
        assert [[row for row in step if row < rows] for step in several] == alone


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
    assert course(one, "step", "learning_rate") == course(two, "step", "learning_rate")
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


def processes(folder: Path) -> dict[int, str]:
    """Those whose command line names the folder: their ranks, empty for the one that started them."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(folder / "job.json").encode() in path.read_bytes():
                environment = dict(pair.split(b"=", 1) for pair in path.with_name("environ").read_bytes().split(b"\0") if b"=" in pair)
                found[int(path.parent.name)] = environment.get(b"RANK", b"").decode()
        except OSError:
            continue
    return found


def wait(done, seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def saved(out: Path, step: int) -> bool:
    return (out / f"checkpoints/checkpoint-{step}/complete.json").exists()


@pytest.mark.slow  # two trainings in processes
@pytest.mark.timeout(1200)
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_kill_of_one_process_or_of_the_command_ends_all_and_the_training_goes_on_with_the_same_rows(target, tmp_path):
    rows, out = models.sums(51), tmp_path / "out"
    settings = CPU.model_copy(update={"epochs": 30, "noise": 0, "save_steps": 6, "sft": {"logging_steps": 1}})

    def kill() -> None:
        wait(lambda: saved(out, 6))  # in the second epoch
        os.kill(next(process for process, rank in processes(out).items() if rank == "1"), signal.SIGKILL)

    beside = threading.Thread(target=kill)
    beside.start()
    with pytest.raises(TrainerError, match=r"process of rank 1 was killed by signal 9 .*: start it again \(log: .*train\.log\)"):
        train(rows, target, settings, out)
    beside.join()
    assert processes(out) == {}
    before = max(int(path.name.rpartition("-")[2]) for path in out.glob("checkpoints/checkpoint-*"))

    given = tmp_path / "rows.jsonl"
    given.write_text("".join(row.model_dump_json() + "\n" for row in rows))
    code = (
        "from pathlib import Path; from errata.trainers.settings import *; from errata.trainers.sft import train\n"
        f"train(Path({str(given)!r}), TargetSettings.model_validate_json({target.model_dump_json()!r}), "
        f"TrainSettings.model_validate_json({settings.model_dump_json()!r}), Path({str(out)!r}))"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as parent:
        wait(lambda: any(saved(out, step) for step in range(before + 6, before + 24, 6)))
        assert sorted(processes(out).values()) == ["", "0", "1"]
        parent.send_signal(signal.SIGKILL)
    wait(lambda: not processes(out), 60)
    assert not (out / "manifest.json").exists()

    steps: list[int] = []
    one = settings.model_copy(update={"devices": 1})
    report = train(rows, target, one, out, in_process=True, on_progress=lambda now: steps.append(now["step"]))
    assert min(steps) > before + 6 and report.steps == 120
    train(rows, target, one, tmp_path / "whole", in_process=True)
    assert same_course(tmp_path / "whole", out)


@pytest.mark.slow  # a training in processes
def test_a_time_budget_ends_all_processes_at_the_step_that_rank_0_names(target, tmp_path):
    settings = CPU.model_copy(update={"epochs": 5000, "seconds": 2.0, "save_steps": 1000})
    report = train(models.sums(32), target, settings, tmp_path)
    assert report.stopped.startswith("stopped after 2 s, at step ") and report.weights != report.base


@pytest.mark.slow  # a training in processes
def test_an_error_in_the_processes_is_one_line_and_said_once(target, tmp_path):
    settings = CPU.model_copy(update={"sft": {"eval_strategy": "steps"}})
    with pytest.raises(TrainerError, match=r"^training failed: ValueError: .*eval.* \(log: .*train\.log\)$"):
        train(models.sums(32), target, settings, tmp_path)
    assert processes(tmp_path) == {}


@pytest.mark.slow  # trainings in processes
@pytest.mark.parametrize("stage", ["dpo", "kto"])
def test_two_processes_train_on_pairs_as_one_does(target, tmp_path, stage):
    from errata.signatures.records import Pair

    wrong = ({"role": "assistant", "content": "#### 0"},)
    pairs = [
        Pair(prompt=row.prompt, chosen=row.completion, rejected=wrong, source=row.source, chosen_from="solution", rejected_from="wrong")
        for row in models.sums(48)
    ]
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(pair.model_dump_json() + "\n" for pair in pairs))
    # TRL's loss of dpo is a mean of those of the parts of a step; the KL of kto is estimated over all that is computed at once
    parts = {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 2} if stage == "dpo" else {}
    settings = CPU.model_copy(update={stage: {"logging_steps": 1, "learning_rate": 1e-3} | parts})
    prefer = lambda devices, name: sft.prefer(stage, file, target, settings.model_copy(update={"devices": devices}), tmp_path / name)  # noqa: E731
    one, two = prefer(1, "one"), prefer(2, "two")
    assert one.steps == two.steps == (3 if stage == "dpo" else 6)  # kto takes each answer by itself
    first, second = (course(tmp_path / name, "loss") for name in ("one", "two"))
    assert all(abs(a[0] - b[0]) < 1e-4 for a, b in zip(first, second, strict=True)), (first, second)


@pytest.mark.slow  # a training in processes
@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_model_that_is_shared_out_is_trained_and_saved_as_a_whole_one(target, tmp_path, monkeypatch, method):
    """accelerate shares models out among GPUs alone. In a copy of it with one line more, it does so among processes of the CPU too."""
    shutil.copytree(Path(accelerate.__file__).parent, tmp_path / "copy/accelerate")
    file = tmp_path / "copy/accelerate/state.py"
    kinds = "                DistributedType.MULTI_NEURON,\n            ]:\n"
    before, after = file.read_text().split(kinds)
    file.write_text(before + kinds.replace("            ]", "                DistributedType.MULTI_CPU,\n            ]") + after)
    monkeypatch.setattr(sft, "require_devices", lambda settings, stages: None)
    settings = CPU.model_copy(
        update={"method": method, "epochs": 2, "noise": 0, "blend": 0.5, "save_steps": 3, "sft": {"logging_steps": 1}}
    )
    train(models.sums(51), target, settings.model_copy(update={"devices": 1}), tmp_path / "one", in_process=True)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "copy"))
    train(models.sums(51), target, settings.model_copy(update={"sft": {"logging_steps": 1, "fsdp": True}}), tmp_path / "two")
    assert "DDP" not in (tmp_path / "two/train.log").read_text()  # torch's warning of unused parameters, which a whole model has
    assert same_course(tmp_path / "one", tmp_path / "two") and alike(tmp_path / "one", tmp_path / "two")
