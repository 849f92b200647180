"""The files for launchers: each has the form that its launcher documents, and calls errata as errata is called."""

import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import jsonschema
import pytest
import typer
import yaml

from errata.cli import app

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SLURM, SKYPILOT, RAY = (EXAMPLES / name for name in ("slurm.sh", "skypilot.yaml", "ray_cluster.yaml"))
SBATCH = {
    "account", "array", "chdir", "comment", "constraint", "cpus-per-gpu", "cpus-per-task", "dependency", "error", "exclude", "exclusive",
    "export", "gpus", "gpus-per-node", "gpus-per-task", "gres", "hint", "job-name", "mail-type", "mail-user", "mem", "mem-per-cpu",
    "mem-per-gpu", "no-requeue", "nodelist", "nodes", "ntasks", "ntasks-per-node", "open-mode", "output", "partition", "qos", "requeue",
    "reservation", "signal", "time", "tmp", "wait-all-nodes",
}  # fmt: skip
"""Options of sbatch, of its manual page (slurm.schedmd.com/sbatch.html)."""
SKY = {"name", "workdir", "num_nodes", "resources", "envs", "secrets", "volumes", "file_mounts", "setup", "run", "config", "service"}
SKY_RESOURCES = {
    "infra", "accelerators", "accelerator_args", "cpus", "memory", "instance_type", "use_spot", "disk_size", "disk_tier", "network_tier",
    "image_id", "ports", "labels", "autostop", "any_of", "ordered", "job_recovery",
}  # fmt: skip
SKY_MOUNT = {"name", "source", "store", "persistent", "mode", "config"}
"""Fields of a task of SkyPilot (docs/source/reference/yaml-spec.rst in skypilot-org/skypilot)."""


def test_the_slurm_script_is_bash_with_options_that_sbatch_knows():
    subprocess.run(["bash", "-n", str(SLURM)], check=True)
    lines = SLURM.read_text(encoding="utf-8").splitlines()
    given = [re.fullmatch(r"#SBATCH --([a-z-]+)(?:=(\S+))?", line) for line in lines if line.startswith("#SBATCH")]
    assert given and all(given)
    options = {one[1]: one[2] for one in given if one}
    assert options.keys() <= SBATCH
    assert "requeue" in options and options["open-mode"] == "append"
    assert re.fullmatch(r"B:USR1@\d+", options["signal"] or "")  # to the script alone, which ends its run
    first = next(number for number, line in enumerate(lines) if line.strip() and not line.startswith("#"))
    assert not [line for line in lines[first:] if line.startswith("#SBATCH")]  # sbatch reads them up to the first command


ERRATA = """#!/bin/bash
trap 'echo ended >> told; kill $!; exit 143' TERM
echo "$@" >> told
until (( 0x$(awk '/SigCgt/ {print $2}' /proc/$PPID/status) & 0x200 )); do sleep 0.02; done  # the script waits for the signal
kill -USR1 $PPID
sleep 60 &
wait
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_slurm_script_ends_its_run_and_queues_it_again_when_time_is_nearly_over(tmp_path):
    """By stand-ins for errata and scontrol."""
    (tmp_path / "errata").write_text(ERRATA)
    (tmp_path / "scontrol").write_text('#!/bin/bash\necho scontrol "$@" >> told\n')
    for name in ("errata", "scontrol"):
        (tmp_path / name).chmod(0o755)
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_JOB_ID": "17", "SLURM_GPUS_ON_NODE": "4"}
    subprocess.run(["bash", str(SLURM)], cwd=tmp_path, env=env)
    told = (tmp_path / "told").read_text().splitlines()
    assert told[0].startswith("cycle ") and told[0].endswith("--set train.devices=4")
    assert told[1:] == ["ended", "scontrol requeue 17"]


def test_the_skypilot_task_has_the_fields_that_skypilot_documents():
    task = yaml.safe_load(SKYPILOT.read_text(encoding="utf-8"))
    assert task.keys() <= SKY and task["resources"].keys() <= SKY_RESOURCES
    (mount,) = task["file_mounts"].values()
    assert mount.keys() <= SKY_MOUNT and mount["mode"] == "MOUNT_CACHED"  # MOUNT writes no file in place
    for script in (task["setup"], task["run"]):
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    assert set(task["secrets"].values()) == {None}  # keys come from the caller's environment


@pytest.mark.skipif(find_spec("ray") is None, reason="its schema comes with ray")
def test_the_ray_cluster_is_what_rays_own_schema_asks_for():
    import json

    spec = find_spec("ray")
    assert spec and spec.origin
    schema = json.loads((Path(spec.origin).parent / "autoscaler/ray-schema.json").read_text(encoding="utf-8"))
    cluster = yaml.safe_load(RAY.read_text(encoding="utf-8"))
    jsonschema.validate(cluster, schema)
    types = cluster["available_node_types"]
    assert cluster["head_node_type"] in types
    assert sum(kind.get("max_workers", 0) for kind in types.values()) <= cluster["max_workers"]


@pytest.mark.parametrize("path", [SLURM, SKYPILOT, RAY], ids=lambda path: path.name)
def test_every_command_of_a_launcher_has_the_options_that_it_is_given(path):
    text = path.read_text(encoding="utf-8")
    called = re.findall(r"(?:^|&& )\s*errata ([^&'\n]+)|'[^'\n]*&& errata ([^'\n]+)'", text, re.MULTILINE)
    assert called
    errata = typer.main.get_command(app)
    for name, *words in (shlex.split(re.sub(r"\$\w+", "4", one or other)) for one, other in called):
        errata.commands[name].make_context(name, words)
        configs = [word for word in words if word.startswith("examples/")]
        assert all((EXAMPLES.parent / word).is_file() for word in configs)
