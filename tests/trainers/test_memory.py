"""The device that a target runs on, and how full its memory is."""

import pytest
import torch

from errata.trainers import memory
from errata.trainers.memory import choose_device, first_batch, fitting_batch, has_bfloat16, memory_used


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


def test_a_cpu_begins_with_as_many_prompts_as_its_cores_answer_soon_and_its_memory_holds(monkeypatch):
    cores = lambda count: monkeypatch.setattr(memory.os, "sched_getaffinity", lambda process: set(range(count)), raising=False)  # noqa: E731
    cores(2)
    assert [first_batch(size, "cpu") for size in (200_000, 135_000_000, 1_500_000_000, 7_000_000_000)] == [256, 64, 32, 4]
    cores(32)
    assert [first_batch(size, "cpu") for size in (1_500_000_000, 7_000_000_000, 70_000_000_000)] == [64, 64, 8]
    assert [first_batch(size, "mps") for size in (200_000, 135_000_000, 7_000_000_000)] == [256, 16, 4]
    monkeypatch.setattr(memory, "free", lambda device: 8_000)
    assert [fitting_batch(64, each, "cpu") for each in (0, 10, 100, 3_000, 100_000)] == [64, 64, 40, 1, 1]
    assert fitting_batch(64, 100_000, "cuda") == 64  # it says so itself


def test_narrow_instructions_are_those_that_linux_names(monkeypatch, tmp_path):
    file = tmp_path / "cpuinfo"
    monkeypatch.setattr(memory, "CPUINFO", file)
    assert not memory.cpu_bfloat16()  # another system
    for flags, able in (("fpu avx512f avx512_bf16 amx_tile", True), ("fp asimd bf16 i8mm", True), ("fpu avx2 avx512f", False)):
        file.write_text(f"processor : 0\nflags\t\t: {flags}\n")
        assert memory.cpu_bfloat16() is able
