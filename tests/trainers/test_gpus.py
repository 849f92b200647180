"""Which GPUs there are, without loading torch: what the driver's tool counts, and what the environment leaves of it."""

import os
import subprocess
import sys

import pytest

from errata.trainers.devices.gpus import visible_gpus

LISTED = "".join(f"GPU {n}: NVIDIA H100 80GB HBM3 (UUID: GPU-{n}aaa)\n  MIG 1g.10gb Device 0: (UUID: MIG-{n})\n" for n in range(4))


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A function that makes this a machine whose nvidia-smi prints a text and ends with a code; None: without one."""

    def make(said: str | None, visible: str | None = None, code: int = 0) -> None:
        if said is not None:
            (tmp_path / "said").write_text(said)
            (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\ncat {tmp_path}/said\nexit {code}\n")
            (tmp_path / "nvidia-smi").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    return make


@pytest.mark.parametrize(
    ("said", "visible", "gpus"),
    [
        (LISTED, None, ("0", "1", "2", "3")),
        (LISTED, "2,0", ("2", "0")),
        (LISTED, " 1 , 3 ", ("1", "3")),
        (LISTED, "0,9,1", ("0",)),  # what stands behind a GPU that is not there is hidden too
        (LISTED, "", ()),
        (LISTED, "-1", ()),
        (LISTED, "1,1", ()),
        (LISTED, "NoDevFiles", ()),
        (LISTED, "GPU-2aaa,GPU-0aaa", ("GPU-2aaa", "GPU-0aaa")),
        (LISTED, "MIG-1", ("MIG-1",)),
        (None, None, ()),
        (None, "0,1", ("0", "1")),
    ],
)
def test_gpus_are_those_of_the_driver_that_the_environment_leaves(machine, said, visible, gpus):
    machine(said, visible)
    assert visible_gpus() == gpus


def test_a_driver_that_does_not_answer_has_no_gpus(machine):
    machine("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n", "0", code=9)
    assert visible_gpus() == ()


def test_gpus_are_told_without_loading_torch():
    code = "import sys; from errata.trainers.devices.gpus import visible_gpus; visible_gpus(); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"CUDA_VISIBLE_DEVICES": "0"})
