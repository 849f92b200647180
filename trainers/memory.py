"""The device a target runs on, how much memory is there, and how much a target needs, told from its files before anything is loaded.

The needs are rough figures, to tell "fits" from "does not": weights, gradients and optimizer states are counted, activations are taken from
Korthikanti et al. 2022 (arXiv 2205.05198: 34 bytes a token, hidden unit and layer at 16 bits) for the longest rows allowed.
Does NOT cover: quantized weights, other optimizers than Adam, several devices, a server's memory.
"""

import gc
import json
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

import torch
from huggingface_hub import get_safetensors_metadata, parse_local_safetensors_file_metadata, snapshot_download

from ..signatures.errors import TargetError
from .settings import SMALL, TargetSettings, TrainSettings
from .weights import first_line, folder_of


def choose_device(device: str) -> torch.device:
    """`auto` is CUDA where there is one, else MPS (Apple silicon), else CPU. Raises TargetError when the device named is not there."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise TargetError(f"no such device: {device}; give auto, cpu, cuda, cuda:N or mps") from None
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise TargetError(f"device {device}: this machine has {torch.cuda.device_count()} CUDA devices; use cpu or auto")
    if chosen.type == "mps" and not torch.backends.mps.is_available():
        raise TargetError("device mps was asked for and this machine has none: use cpu or auto")
    return chosen


def has_bfloat16(device: torch.device) -> bool:
    """Whether a GPU computes in bfloat16, as the Trainer judges it too; of a CPU False: small models are slower in it."""
    if device.type == "mps":
        return torch.backends.mps.is_macos_or_newer(14, 0)
    return device.type == "cuda" and torch.cuda.is_bf16_supported()


def one_thread_for_small(parameters: int, device: torch.device) -> None:
    """Has this process compute with one thread where a second only waits: while another process was busy, two threads answered
    12 items a CPU-second and one 89 (0.2M parameters, 2 cores). It also keeps the bytes of a training apart from the cores."""
    if device.type == "cpu" and parameters < SMALL:
        torch.set_num_threads(1)


def first_batch(parameters: int, device: str) -> int:
    """Prompts at once, to begin with. On a CPU wide batches pay for small models only. MPS does not start wide, because it swaps to the
    disk long before it says that memory ran out."""
    if device != "cuda":
        return 256 if parameters < SMALL else 16 if parameters < 1e9 else 4
    return 256 if parameters < 2e9 else 64


def memory_used(device: str) -> float:
    """Share of a GPU's memory that is taken at the peak. CUDA: by this process since it began and by others. MPS: by this process, of what
    the system recommends. CPU: always 1."""
    if device.startswith("mps"):
        return torch.mps.driver_allocated_memory() / torch.mps.recommended_max_memory()
    if not device.startswith("cuda"):
        return 1.0
    free, total = torch.cuda.mem_get_info(device)
    others = total - free - torch.cuda.memory_reserved(device)
    return (others + torch.cuda.max_memory_allocated(device)) / total


def release() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()


class Need(NamedTuple):
    """Of one target, in bytes."""

    parameters: int
    download: int
    """What the hub would send first; 0 where the files are here."""
    method: str
    """`full` or `lora`, as the training would choose."""
    evaluate: int
    train: int
    disk: int
    """What one round leaves in the run directory at most, checkpoints included."""


def need(target: TargetSettings, train: TrainSettings) -> Need:
    """Sizes of `target` and of its training. Neither loads nor fetches weights. Raises TargetError when the size cannot be known."""
    device = choose_device(target.device)
    parameters, download, config = _sizes(target.model)
    half = 2 if target.dtype in ("bfloat16", "float16") or (target.dtype == "auto" and device.type != "cpu") else 4
    method = train.method_for(parameters, target.adapter)
    learns = parameters if method == "full" else parameters // 50  # an adapter of rank 16 on all linear layers is 1 to 2 %
    mixed = device.type == "cuda"
    held = 4 * parameters if method == "full" or not mixed else 2 * parameters
    tokens = train.batch_size * train.max_length
    layers = int(config.get("num_hidden_layers") or 0)
    a_layer = 34 * tokens * int(config.get("hidden_size") or 0) * (1 if mixed else 2)
    checkpointed = mixed and parameters > 1e9
    activations = (a_layer + a_layer * layers // 17) if checkpointed else a_layer * layers
    logits = 3 * 4 * tokens * int(config.get("vocab_size") or 0)
    return Need(
        parameters=parameters,
        download=download,
        method=method,
        evaluate=int(1.25 * half * parameters),
        train=held + 16 * learns + activations + logits,
        disk=(2 * 12 + 4) * learns,
    )


def free(device: str) -> int:
    """Bytes that this process may still take on the device."""
    chosen = choose_device(device)
    if chosen.type == "cuda":
        return torch.cuda.mem_get_info(chosen)[0]
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")] if sys.platform != "win32" else [2**63]
    meminfo, cgroup = Path("/proc/meminfo"), Path("/sys/fs/cgroup")
    if meminfo.exists():
        limits += [1024 * int(line.split()[1]) for line in meminfo.read_text().splitlines() if line.startswith("MemAvailable:")]
    if (cgroup / "memory.max").exists() and (most := (cgroup / "memory.max").read_text().strip()) != "max":
        limits.append(int(most) - int((cgroup / "memory.current").read_text()))
    return min(limits)


def _sizes(model: str) -> tuple[int, int, dict[str, Any]]:
    """Parameters, bytes to fetch, and the text part of config.json."""
    if model != "tiny" and not Path(model).expanduser().is_dir():
        try:
            return _sizes(snapshot_download(model, local_files_only=True))
        except Exception:  # not here, or not whole: ask the hub
            return _at_the_hub(model)
    folder = folder_of(model)
    counts = (parse_local_safetensors_file_metadata(path).parameter_count for path in folder.glob("*.safetensors"))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return sum(sum(count.values()) for count in counts), 0, config.get("text_config", config)


def _at_the_hub(model: str) -> tuple[int, int, dict[str, Any]]:
    widths = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "I8": 1, "U8": 1}
    try:
        found = get_safetensors_metadata(model).parameter_count
    except Exception as error:  # a hub error has many types: no such id, no right, no network
        raise TargetError(f"{model} is not on this machine, and the hub did not tell its size ({first_line(error)})") from None
    return sum(found.values()), sum(count * widths.get(kind, 4) for kind, count in found.items()), {}
