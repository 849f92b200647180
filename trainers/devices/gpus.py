"""Which GPUs this machine lends this process, and whether a training can use as many as it asks for, told without loading torch.

`CUDA_VISIBLE_DEVICES` is the list where it is set, read as torch 2.13 reads it (cuda/__init__.py, _parse_visible_devices): numbers, or the
ids of GPUs or MIG slices, up to the first that is no such thing; a name that stands twice hides all. Where it is not set, `nvidia-smi -L`
counts. Does NOT cover: GPUs of other makers, MIG slices that CUDA_VISIBLE_DEVICES does not name, how much memory is free (trainers.memory).
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import takewhile

from ...signatures.errors import UsageError
from ..settings import TrainSettings

VISIBLE = "CUDA_VISIBLE_DEVICES"
SEVERAL = ("sft", "dpo", "kto")
"""Stages that train on several devices. The others sample answers as they train, and the judge of these hears one process."""
_ORDER = (
    "accelerator_config", "auto_find_batch_size", "average_tokens_across_devices", "data_seed", "dataloader_drop_last", "deepspeed",
    "parallelism_config", "train_sampling_strategy",
)  # fmt: skip
"""Fields of a trainer's settings that would change the rows of a step, or the weights that a process holds."""


def visible_gpus() -> tuple[str, ...]:
    """For each GPU that this process may use, what `CUDA_VISIBLE_DEVICES` is set to in a process that is to see it alone. Empty: none."""
    installed = _installed()
    if VISIBLE not in os.environ:
        return tuple(map(str, range(installed or 0)))
    named = [name.strip() for name in os.environ[VISIBLE].split(",")]
    found = tuple(takewhile(lambda name: _is_gpu(name, installed), named))
    return found if len({*found}) == len(found) else ()


def _is_gpu(name: str, installed: int | None) -> bool:
    return name.startswith(("GPU-", "MIG-")) or (name.isdecimal() and (installed is None or int(name) < installed))


def _installed() -> int | None:
    """How many GPUs NVIDIA's driver tells of; None: there is no nvidia-smi to ask, as in some containers that do see GPUs."""
    try:
        said = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return len(re.findall(r"^GPU \d+:", said.stdout, re.MULTILINE)) if said.returncode == 0 else 0


def require_devices(settings: TrainSettings, stages: Sequence[str]) -> None:
    """Raises UsageError where these stages cannot be trained on as many devices as the settings say."""
    if settings.devices == 1 and settings.sft.get("fsdp"):
        raise UsageError("train.sft.fsdp shares a model out among devices, and train.devices is 1: set it to more, or leave fsdp out")
    if "kto" in stages:
        rows = "kto compares rows with each other, two or more a device: give a train."
        if settings.batch_size < 2 * settings.devices:
            raise UsageError(f"{rows}batch_size of {2 * settings.devices} or more")
        if settings.kto.get("per_device_train_batch_size") == 1:
            raise UsageError(f"{rows}kto.per_device_train_batch_size of 2 or more")
    if settings.devices > 1 and (why := next(_obstacles(settings, stages), "")):
        raise UsageError(f"train.devices is {settings.devices}, {why}")


def _obstacles(settings: TrainSettings, stages: Sequence[str]) -> Iterator[str]:
    count, device, rows = settings.devices, settings.device, settings.batch_size
    for stage in stages:
        if stage not in SEVERAL:
            yield f"and the stage {stage} trains on one device alone: take 1, or leave {stage} out of train.stages"
        given = getattr(settings, stage)
        for name in _ORDER:
            if name in given:
                yield f"with which train.{stage}.{name} cannot be set: leave it out, or take 1 device"
        if given.get("fsdp") and (stage != "sft" or device == "cpu"):
            yield f"and fsdp shares a model out in the stage sft alone, and among GPUs: leave train.{stage}.fsdp out"
        parts = given.get("gradient_accumulation_steps", 1)
        if "per_device_train_batch_size" in given and (not isinstance(parts, int) or parts % count):
            field = f"train.{stage}.gradient_accumulation_steps"
            yield f"which share the {parts} parts of a step ({field}) unevenly: give a multiple of {count}"
    if rows % count:
        yield f"which share the {rows} rows of a step unevenly: give a train.batch_size that is a multiple of {count}"
    if sys.platform != "linux":
        yield "and several are used on Linux alone, where their processes end with the command: take 1"
    if device not in ("auto", "cuda", "cpu"):
        yield f"and train.device names one, {device}: take cuda or cpu"
    if device != "cpu" and count > (there := len(visible_gpus())):
        why = "this process sees no NVIDIA GPU" if not there else f"this process sees {there} GPU{'s' * (there > 1)}"
        yield f"and {why} (nvidia-smi, {VISIBLE}): take {there or 1}, or train.device cpu for processes on its cores"
