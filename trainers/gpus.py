"""Which GPUs this machine lends this process, told without loading torch, so that who starts other processes can give each its own.

`CUDA_VISIBLE_DEVICES` is the list where it is set, read as torch 2.13 reads it (cuda/__init__.py, _parse_visible_devices): numbers, or the
ids of GPUs or MIG slices, up to the first that is no such thing; a name that stands twice hides all. Where it is not set, `nvidia-smi -L`
counts. Does NOT cover: GPUs of other makers, MIG slices that CUDA_VISIBLE_DEVICES does not name, how much memory is free (memory.py).
"""

import os
import re
import subprocess
from itertools import takewhile

VISIBLE = "CUDA_VISIBLE_DEVICES"


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
