"""The device a target runs on, and how much memory is there. Does NOT cover: how much a target needs (estimate.py), several devices."""

import ctypes
import gc
import math
import os
import platform
import sys
from pathlib import Path

import torch

from ..signatures.errors import TargetError
from .settings import SMALL

CPUINFO = Path("/proc/cpuinfo")


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


def cpu_bfloat16() -> bool:
    """Whether this machine's CPU has instructions for bfloat16, as Linux tells. Without them torch computes in it, more slowly than in
    float32."""
    return CPUINFO.exists() and not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(CPUINFO.read_text().split())


def one_thread_for_small(parameters: int, device: torch.device) -> None:
    """Has this process compute with one thread where a second only waits: while another process was busy, two threads answered
    12 items a CPU-second and one 89 (0.2M parameters, 2 cores). It also keeps the bytes of a training apart from the cores."""
    if device.type == "cpu" and parameters < SMALL:
        torch.set_num_threads(1)


def keeps_freed(parameters: int, device: torch.device) -> bool:
    """Whether `keep_freed` makes a difference here: glibc, on a CPU, with a model whose blocks are large."""
    return device.type == "cpu" and parameters >= SMALL and platform.libc_ver()[0] == "glibc"


_most: int | None = None
"""Bytes that this process holds before `give_back` does anything; None: glibc gives back by itself."""


def keep_freed(most: int | None) -> None:
    """Has glibc keep freed blocks of this process for the next step, until it holds `most` bytes, or, None, give those of 256 KiB and more
    back to the system at once. Given back, each comes as new pages that the kernel fills with zeros first, which is half of a training's
    time; kept, they do not always fit what is asked for next. SmolLM2-135M, full, 16 rows of 115 tokens in bfloat16: 17.7 CPU seconds a
    step and 6.9 GB, not 34.3 and 6.0."""
    global _most
    _most = most
    # M_MMAP_MAX, M_TRIM_THRESHOLD and M_ARENA_MAX (one: others cannot hold large blocks), or glibc's own of the first two, which an earlier
    # training of this process may have set, and M_MMAP_THRESHOLD
    settings = ((-4, 0), (-1, -1), (-8, 1)) if most else ((-4, 2**16), (-1, 2**17), (-3, 2**18))
    for name, value in settings:
        ctypes.CDLL(None).mallopt(name, value)


def give_back() -> None:
    """Between two steps: gives all freed blocks back where this process holds more than `keep_freed` was told. Steps of many lengths leave
    ever more of them that fit nothing: of a training that began with 12 GB, the 224th step held 18.7."""
    if _most and int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") > _most:
        ctypes.CDLL(None).malloc_trim(0)


A_SECOND = 25e9
"""Products of a weight and a number that a core of a CPU makes in a second, in float32; with instructions for bfloat16 some more."""


def first_batch(parameters: int, device: str) -> int:
    """Prompts at once, to begin with. A CPU reads its weights once for a whole batch, so that wide ones pay: as many, from 4 to 64, as let
    it make their next tokens in about a second. MPS does not start wide, because it swaps to the disk long before it says that memory ran
    out."""
    if device == "cuda":
        return 256 if parameters < 2e9 else 64
    if parameters < SMALL:
        return 256
    if device == "mps":
        return 16 if parameters < 1e9 else 4
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 2 ** int(math.log2(min(64, max(4, A_SECOND * cores / parameters))))


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


def peak(device: str) -> int | None:
    """Most bytes that this process has held: of a GPU, else of the machine; None where the system does not tell."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device)
    if device.startswith("mps"):
        return torch.mps.driver_allocated_memory()
    if sys.platform == "win32":
        return None
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def fitting_batch(prompts: int, each: int, device: str) -> int:
    """How many of so many prompts, whose answers take `each` bytes, are begun together: all on a GPU, which says when its memory runs out.
    A process on a CPU is killed then, so that half of what is free stays free."""
    return prompts if device != "cpu" or not each else max(1, min(prompts, free(device) // 2 // each))


def release() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()


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
