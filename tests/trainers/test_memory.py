"""The device that a target runs on, and how full its memory is."""

import pytest
import torch

from errata.trainers.memory import choose_device, has_bfloat16, memory_used


def test_the_memory_used_is_that_at_the_peak_of_all_who_share_the_device(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (30, 100))  # free, total
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 50)  # ours; the other 20 are others'
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 40)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 6)
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 8)
    assert (memory_used("cuda:1"), memory_used("mps"), memory_used("cpu")) == (0.6, 0.75, 1.0)


@pytest.mark.parametrize(
    ("cuda", "mps", "macos_14", "device", "bfloat16"),
    [
        (True, False, False, "cuda", True),
        (True, True, True, "cuda", True),
        (False, True, True, "mps", True),
        (False, True, False, "mps", False),
        (False, False, False, "cpu", False),
    ],
)
def test_auto_is_cuda_or_the_gpu_of_apple_silicon_or_the_cpu_in_this_order(monkeypatch, cuda, mps, macos_14, device, bfloat16):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    monkeypatch.setattr(torch.backends.mps, "is_macos_or_newer", lambda major, minor: macos_14 and (major, minor) == (14, 0))
    chosen = choose_device("auto")
    assert (chosen.type, has_bfloat16(chosen)) == (device, bfloat16)
