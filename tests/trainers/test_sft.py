"""Training: what is learned, what is refused, and that a kill costs nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import models
import pytest
import torch
from safetensors.torch import load_file

from errata.signatures.errors import BudgetReached, TrainerError, UsageError
from errata.signatures.records import TrainRow
from errata.trainers.chat import fingerprint
from errata.trainers.fit import _Sft, arguments
from errata.trainers.settings import Job, TargetSettings, TrainSettings
from errata.trainers.sft import check, failure, train
from errata.trainers.target import Target
from errata.trainers.weights import weights_hash

KINDS = ("llama", "qwen2", "mistral", "plain")
ROWS = models.sums(48)
QUICK = TrainSettings(epochs=2, save_steps=2, batch_size=16)  # 6 steps
TIMED = ("train.log", "seconds.json")
"""Files that hold times."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {kind: models.make(kind, root / kind) for kind in KINDS}


@pytest.fixture
def target(folders: dict[str, Path]) -> TargetSettings:
    return TargetSettings(model=str(folders["llama"]))


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and p.name not in TIMED}


# ---------------------------------------------------------------- rows in a file


def written(rows: Sequence[TrainRow], path: Path) -> Path:
    path.write_text("".join(row.model_dump_json() + "\n" for row in rows), encoding="utf-8")
    return path


def test_rows_in_a_file_train_to_the_same_bytes_as_rows_in_a_list(target, tmp_path):
    listed = train(ROWS, target, QUICK, tmp_path / "list", in_process=True)
    file = written(ROWS, tmp_path / "rows.jsonl")
    assert train(file, target, QUICK, tmp_path / "file", in_process=True) == listed
    assert files(tmp_path / "list") == files(tmp_path / "file")
    assert train(ROWS, target, QUICK, tmp_path / "file") == listed  # the same training, which is finished


@pytest.mark.slow  # a start of a child, which others of this file have too
def test_rows_in_a_file_train_to_the_same_bytes_in_a_child(target, tmp_path):
    file = written(ROWS, tmp_path / "rows.jsonl")
    assert train(file, target, QUICK, tmp_path / "child") == train(file, target, QUICK, tmp_path / "file", in_process=True)
    assert files(tmp_path / "file") == files(tmp_path / "child")


def test_a_file_of_rows_that_cannot_be_read_is_one_line(target, tmp_path):
    file = written(ROWS[:2], tmp_path / "rows.jsonl")
    file.write_bytes(file.read_bytes()[:-20] + b"\n")
    for path, reason in ((file, "line 2 is not a training row: delete"), (tmp_path / "none.jsonl", "cannot be read")):
        with pytest.raises(TrainerError, match=reason) as error:
            train(path, target, QUICK, tmp_path / "out")
        assert "\n" not in str(error.value)
    file.write_bytes(b"")
    with pytest.raises(TrainerError, match="there are no rows to train on"):
        train(file, target, QUICK, tmp_path / "out")


def test_rows_that_change_between_the_start_and_the_training_are_refused(target, tmp_path, monkeypatch):
    file = written(ROWS, tmp_path / "rows.jsonl")
    monkeypatch.setattr("errata.trainers.sft.check", lambda settings: written(ROWS[1:], file))
    with pytest.raises(TrainerError, match="was changed while the training started"):
        train(file, target, QUICK, tmp_path / "out", in_process=True)


# ---------------------------------------------------------------- training


@pytest.mark.parametrize("kind", KINDS)
def test_full_training_moves_the_weights_and_lowers_the_loss(folders, tmp_path, kind):
    before = TargetSettings(model=str(folders[kind]))
    report = train(ROWS, before, TrainSettings(epochs=4, learning_rate=3e-3), tmp_path / "out", in_process=True)
    assert (report.rows_in, report.rows_kept, report.rows_truncated, report.steps) == (48, 48, 0, 12)
    assert report.loss_last < 0.9 * report.loss_first
    assert report.base == weights_hash(before)
    trained = Target.load(TargetSettings(model=str(tmp_path / "out/weights")))
    assert report.weights == trained.hash != report.base
    old, new = load_file(folders[kind] / "model.safetensors"), load_file(tmp_path / "out/weights/model.safetensors")
    assert old.keys() == new.keys()
    assert all(not old[name].equal(new[name]) for name in old)
    # All else is the base's own, byte for byte.
    assert {n: b for n, b in files(tmp_path / "out/weights").items() if "safetensors" not in n} == {
        n: b for n, b in files(folders[kind]).items() if "safetensors" not in n
    }


def test_training_teaches_the_answers_and_to_stop(folders, tmp_path):
    rows = ROWS[:4]
    settings = TrainSettings(epochs=60, batch_size=4, learning_rate=1e-2, noise=0, blend=1.0)
    train(rows, TargetSettings(model=str(folders["qwen2"])), settings, tmp_path / "out", in_process=True)
    answers = dict(Target.load(TargetSettings(model=str(tmp_path / "out/weights"))).generate([r.prompt for r in rows], max_new_tokens=60))
    assert [answers[i].text for i in range(4)] == [row.completion[0]["content"] for row in rows]
    assert {answer.finish for answer in answers.values()} == {"stop"}


def test_an_adapter_is_trained_beside_the_base_and_then_trained_on(target, tmp_path):
    settings = TrainSettings(method="lora", epochs=2, learning_rate=1e-2)
    first = train(ROWS, target, settings, tmp_path / "first", in_process=True)
    assert first.loss_last < first.loss_first
    assert not list((tmp_path / "first/weights").glob("model*"))
    adapted = target.model_copy(update={"adapter": str(tmp_path / "first/weights")})
    assert first.base == weights_hash(target)
    assert first.weights == weights_hash(adapted) == Target.load(adapted).hash

    second = train(ROWS, adapted, settings.model_copy(update={"method": "auto"}), tmp_path / "second", in_process=True)
    assert second.base == first.weights
    assert abs(second.loss_first - first.loss_last) < abs(second.loss_first - first.loss_first)
    one, two = (load_file(tmp_path / name / "weights/adapter_model.safetensors") for name in ("first", "second"))
    assert one.keys() == two.keys()
    assert all(not one[name].equal(two[name]) for name in one)
    again = target.model_copy(update={"adapter": str(tmp_path / "second/weights")})
    prompts = [row.prompt for row in ROWS[:4]]
    assert list(Target.load(again).generate(prompts, max_new_tokens=20)) != list(Target.load(target).generate(prompts, max_new_tokens=20))


def test_a_training_of_fixed_steps_takes_them_whatever_the_rows(target, tmp_path):
    settings = QUICK.model_copy(update={"steps": 5})
    reports = [train(ROWS[:count], target, settings, tmp_path / f"{count}", in_process=True) for count in (16, 48)]
    assert [(report.steps, report.rows_kept) for report in reports] == [(5, 16), (5, 48)]


def test_a_finished_training_is_not_done_again_and_another_is_refused(target, tmp_path):
    report = train(ROWS, target, QUICK, tmp_path, in_process=True)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    assert train(ROWS, target, QUICK, tmp_path) == report
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before
    for rows, seed in ((ROWS[1:], 0), (ROWS, 1)):
        with pytest.raises(TrainerError, match="holds a finished training of other rows"):
            train(rows, target, QUICK, tmp_path, seed=seed)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert (manifest["base"], manifest["data"]) == (weights_hash(target), fingerprint(ROWS))
    assert manifest["versions"]["trl"]
    assert sorted(p.name for p in tmp_path.iterdir() if p.name not in TIMED) == ["course.json", "manifest.json", "weights"]
    assert json.loads((tmp_path / "seconds.json").read_text())["seconds"] > 0
    assert report.generated_tokens == 0


def test_fields_of_sft_config_and_lora_config_reach_the_trainer(target, tmp_path):
    report = train(ROWS, target, QUICK.model_copy(update={"sft": {"max_steps": 3}}), tmp_path / "a", in_process=True)
    assert report.steps == 3
    lora = TrainSettings(method="lora", lora={"r": 3, "target_modules": ["q_proj"]}, sft={"max_steps": 1, "warmup_steps": 0})
    train(ROWS, target, lora, tmp_path / "b", in_process=True)
    shapes = {name: tuple(t.shape) for name, t in load_file(tmp_path / "b/weights/adapter_model.safetensors").items()}
    assert shapes and all("q_proj" in name and 3 in shape for name, shape in shapes.items())


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"sft": {"learning_rat": 1}}, "sft.learning_rat is not a field of SFTConfig; did you mean learning_rate?"),
        ({"sft": {"output_dir": "x"}}, "sft.output_dir cannot be set"),
        ({"lora": {"rr": 1}}, "lora.rr is not a field of LoraConfig"),
        ({"sft": {"packing": True}, "curriculum": True}, "sft.packing puts rows together by length, not by level as curriculum does"),
    ],
)
def test_an_unknown_field_or_one_that_cannot_be_set_is_a_usage_error(settings, reason):
    with pytest.raises(UsageError) as error:
        check(TrainSettings(**settings))
    assert str(error.value).startswith(reason)


def test_training_is_refused_when_too_many_rows_would_be_cut(target, tmp_path):
    long = [TrainRow(prompt=row.prompt, completion=({"role": "assistant", "content": "1 + " * 40},), source="x") for row in ROWS[:3]]
    settings = TrainSettings(max_length=90, epochs=1)
    with pytest.raises(TrainerError, match=r"3 of 51 rows are longer than 90 tokens.*raise max_length") as error:
        train([*ROWS, *long], target, settings, tmp_path / "a", in_process=True)
    assert "\n" not in str(error.value)
    report = train([*ROWS, *long], target, settings.model_copy(update={"max_lost_share": 0.1}), tmp_path / "b", in_process=True)
    assert (report.rows_in, report.rows_kept, report.rows_truncated) == (51, 51, 3)
    longest = [TrainRow(prompt=row.prompt, completion=({"role": "assistant", "content": "1 + " * 200},), source="x") for row in ROWS[:3]]
    with pytest.raises(TrainerError, match="whole context of 256 tokens"):
        train([*ROWS, *longest], target, TrainSettings(), tmp_path / "c", in_process=True)
    with pytest.raises(TrainerError, match="there are no rows to train on"):
        train([], target, settings, tmp_path / "d")


# ---------------------------------------------------------------- the child, and kills


def _processes(folder: Path) -> list[int]:
    """Ids of the processes whose command line names `folder`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(folder).encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


class _Stop(BaseException):
    pass


def _stop_at(step: int):
    def on_progress(message) -> None:
        if message["step"] >= step:
            raise _Stop

    return on_progress


@pytest.mark.slow  # a start of a child that loads TRL, 6 seconds
def test_a_failed_child_is_one_line_with_its_log(target, tmp_path):
    settings = QUICK.model_copy(update={"sft": {"eval_strategy": "steps"}})
    with pytest.raises(TrainerError, match=r"training failed: ValueError: .*eval.* \(log: .*train\.log\)") as error:
        train(ROWS, target, settings, tmp_path)
    assert "\n" not in str(error.value)
    assert "Traceback" in (tmp_path / "train.log").read_text()
    assert not (tmp_path / "manifest.json").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_child_that_the_system_kills_is_one_line(target, tmp_path):
    def kill() -> None:
        _wait(lambda: _processes(tmp_path))
        for process in _processes(tmp_path):
            os.kill(process, signal.SIGKILL)

    with (
        ThreadPoolExecutor() as beside,
        pytest.raises(TrainerError, match=r"the training process was killed by signal 9 .*out of memory.* \(log: .*train\.log\)"),
    ):
        beside.submit(kill)
        train(ROWS, target, QUICK, tmp_path)
    assert not (tmp_path / "manifest.json").exists()


def test_memory_that_runs_out_in_training_is_one_line_and_says_what_to_set(target, tmp_path, monkeypatch):
    from trl import SFTTrainer

    def fail(words: str) -> None:
        def raise_it(*_, **__):
            raise RuntimeError(words)

        monkeypatch.setattr(SFTTrainer, "training_step", raise_it)

    fail("MPS backend out of memory (MPS allocated: 8.93 GB, max allowed: 9.07 GB).\nTry ...")
    with pytest.raises(
        TrainerError, match=r"memory ran out on \w+ with batches of 16 rows of up to 256 tokens: .*--set train.batch_size"
    ) as error:
        train(ROWS, target, QUICK, tmp_path, in_process=True)
    assert "\n" not in str(error.value)
    fail("size mismatch")
    with pytest.raises(RuntimeError, match="size mismatch"):
        train(ROWS, target, QUICK, tmp_path, in_process=True)


def test_a_folder_that_cannot_be_written_is_a_trainer_error(target, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainerError, match=r"training into .* failed: .*; free space or choose another folder") as error:
        train(ROWS, target, QUICK, tmp_path / "file/out", in_process=True)
    assert "\n" not in str(error.value)


@pytest.fixture(scope="module")
def killed(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with `out`, a training whose parent was killed after a checkpoint, and the process's own `cwd`, `home` and `hub`."""
    root = tmp_path_factory.mktemp("killed")
    for name in ("cwd", "home", "hub"):
        (root / name).mkdir()
    settings = TargetSettings(model=str(folders["llama"])).model_dump_json(), QUICK.model_dump_json()
    rows = written(ROWS, root / "rows.jsonl")
    script = (
        "from pathlib import Path; from errata.trainers.settings import *; from errata.trainers.sft import train\n"
        f"train(Path({str(rows)!r}), TargetSettings.model_validate_json({settings[0]!r}), "
        f"TrainSettings.model_validate_json({settings[1]!r}), Path({str(root / 'out')!r}))"
    )
    places = {"HOME": str(root / "home"), "HF_HOME": str(root / "hub")}
    with (root / "stdout").open("wb") as stdout:
        parent = subprocess.Popen([sys.executable, "-c", script], cwd=root / "cwd", env=os.environ | places, stdout=stdout)
    _wait(lambda: list((root / "out").glob("checkpoints/*/complete.json")))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    return root


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_killed_full_training_leaves_no_child_and_continues_to_the_same_bytes(target, tmp_path, killed):
    out = killed / "out"
    _wait(lambda: not _processes(out))
    assert not (out / "manifest.json").exists()
    whole = train(ROWS, target, QUICK, tmp_path / "whole", in_process=True)
    steps: list[int] = []
    report = train(ROWS, target, QUICK, out, in_process=True, on_progress=lambda message: steps.append(message["step"]))
    assert report == whole
    assert min(steps, default=6) > 2
    assert files(out) == files(tmp_path / "whole")


def test_training_writes_into_its_folder_alone_and_prints_nothing(killed):
    assert [p for name in ("cwd", "hub", "home") for p in (killed / name).rglob("*") if p.is_file()] == []
    assert (killed / "stdout").read_bytes() == b""


@pytest.mark.slow  # as the full one, 25 seconds
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_an_interrupted_adapter_training_leaves_no_child_and_continues_to_the_same_bytes(target, tmp_path):
    settings = QUICK.model_copy(update={"method": "lora"})
    whole = train(ROWS, target, settings, tmp_path / "whole", in_process=True)
    with pytest.raises(_Stop):
        train(ROWS, target, settings, tmp_path / "stopped", on_progress=_stop_at(4))
    assert not _processes(tmp_path / "stopped")
    steps: list[int] = []
    assert train(ROWS, target, settings, tmp_path / "stopped", in_process=True, on_progress=lambda m: steps.append(m["step"])) == whole
    assert min(steps) > 2
    assert files(tmp_path / "stopped") == files(tmp_path / "whole")


@pytest.mark.parametrize("method", ["full", "lora"])
def test_half_written_and_damaged_checkpoints_are_not_used(target, tmp_path, method):
    sft = {"save_total_limit": 5, "train_sampling_strategy": "group_by_length"}  # whose order a continued training has to find again
    settings = QUICK.model_copy(update={"method": method, "sft": sft})
    train(ROWS, target, settings, tmp_path / "whole", in_process=True)
    out = tmp_path / "stopped"
    with pytest.raises(_Stop):
        train(ROWS, target, settings, out, in_process=True, on_progress=_stop_at(6))
    assert sorted(p.name for p in (out / "checkpoints").glob("c*")) == ["checkpoint-2", "checkpoint-4"]
    damaged = next((out / "checkpoints/checkpoint-4").glob("*model*.safetensors"))
    os.truncate(damaged, damaged.stat().st_size // 2)
    (out / "checkpoints/checkpoint-6").mkdir()
    (out / "checkpoints/checkpoint-6/trainer_state.json").write_text("{}")
    steps: list[int] = []
    train(ROWS, target, settings, out, in_process=True, on_progress=lambda message: steps.append(message["step"]))
    assert min(steps) == 4
    assert files(out) == files(tmp_path / "whole")


@pytest.mark.parametrize("set_so", [{"method": "full"}, {"method": "lora"}, {"steps": 4}])  # the last: within an epoch
def test_a_kill_between_the_last_step_and_the_manifest_costs_no_step_and_adds_none(target, tmp_path, set_so, monkeypatch):
    settings = QUICK.model_copy(update=set_so)
    whole = train(ROWS, target, settings, tmp_path / "whole", in_process=True)

    def stop(*_):
        raise _Stop

    with monkeypatch.context() as patch, pytest.raises(_Stop):
        patch.setattr("errata.trainers.fit.save", stop)
        train(ROWS, target, settings, tmp_path / "stopped", in_process=True)
    steps: list[int] = []
    assert train(ROWS, target, settings, tmp_path / "stopped", in_process=True, on_progress=lambda m: steps.append(m["step"])) == whole
    assert steps == []
    assert files(tmp_path / "stopped") == files(tmp_path / "whole")


@pytest.mark.parametrize("sft", [{}, {"save_strategy": "no"}])
def test_where_steps_take_long_a_checkpoint_is_made_at_a_logged_step_too(target, tmp_path, monkeypatch, sft):
    monkeypatch.setattr("errata.trainers.stages.follow._LONG", 0.0)
    settings = QUICK.model_copy(
        update={"batch_size": 4, "save_steps": 200, "sft": sft}
    )  # 24 steps, of which the tenth and twentieth are told
    train(ROWS, target, settings, tmp_path / "whole", in_process=True)
    with pytest.raises(_Stop):
        train(ROWS, target, settings, tmp_path / "stopped", in_process=True, on_progress=_stop_at(20))
    found = [path.name for path in (tmp_path / "stopped/checkpoints").glob("c*")]
    assert found == ([] if sft else ["checkpoint-10"])
    steps: list[int] = []
    train(ROWS, target, settings, tmp_path / "stopped", in_process=True, on_progress=lambda m: steps.append(m["step"]))
    assert steps == ([1, 10, 20, 24] if sft else [20, 24])
    assert files(tmp_path / "stopped") == files(tmp_path / "whole")


def test_a_cap_that_is_reached_ends_at_a_checkpoint_however_far_the_next_one_is(target, tmp_path):
    def late(now):
        raise BudgetReached("the cap is reached")

    settings, out = QUICK.model_copy(update={"batch_size": 4, "epochs": 4, "save_steps": 200}), tmp_path / "capped"  # 48 steps
    for step in (10, 30):  # told at the first and at the twentieth
        with pytest.raises(BudgetReached, match="the cap is reached"):
            train(ROWS, target, settings, out, in_process=True, on_progress=late)
        assert (out / f"checkpoints/checkpoint-{step}/complete.json").exists()
    assert train(ROWS, target, settings, out, in_process=True) == train(ROWS, target, settings, tmp_path / "whole", in_process=True)
    assert files(out) == files(tmp_path / "whole")


def test_a_step_that_is_not_logged_is_told_where_it_takes_long(target, tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr("errata.trainers.stages.follow._SILENT", 0.0)
    settings = QUICK.model_copy(update={"batch_size": 8, "save_steps": 10})
    train(ROWS, target, settings, tmp_path, in_process=True, on_progress=lambda message: told.append((message["step"], message["loss"])))
    assert [step for step, _ in told] == list(range(1, 13))
    first, tenth = (loss for step, loss in told if step in (1, 10))
    assert [loss for _, loss in told[:11]] == [first] * 9 + [tenth] * 2
    assert [row["step"] for row in json.loads((tmp_path / "course.json").read_text())] == [1, 10, 12]


def test_seconds_of_a_stopped_training_are_counted_up_to_its_checkpoint(target, tmp_path):
    with pytest.raises(_Stop):
        train(ROWS, target, QUICK, tmp_path, in_process=True, on_progress=_stop_at(4))
    assert json.loads(max(tmp_path.glob("checkpoints/*/complete.json")).read_text())["seconds"] > 0
    _spent(tmp_path, 1000.0)
    train(ROWS, target, QUICK, tmp_path, in_process=True)
    assert json.loads((tmp_path / "seconds.json").read_text())["seconds"] > 1000


def test_seconds_of_all_starts_end_a_training_which_keeps_what_it_learned_on_the_planned_schedule(target, tmp_path):
    whole = train(ROWS, target, QUICK, tmp_path / "whole", in_process=True)
    with pytest.raises(_Stop):
        train(ROWS, target, QUICK.model_copy(update={"seconds": 500}), tmp_path / "short", in_process=True, on_progress=_stop_at(4))
    _spent(tmp_path / "short", 600.0)
    report = train(ROWS, target, QUICK.model_copy(update={"seconds": 500}), tmp_path / "short", in_process=True)
    assert (report.steps, report.stopped) == (3, "stopped after 500 s, at step 3 of 6")
    assert (whole.steps, whole.stopped) == (6, "")
    assert report.weights not in (report.base, whole.weights)
    rates = [[row["learning_rate"] for row in json.loads((tmp_path / name / "course.json").read_text())] for name in ("whole", "short")]
    assert rates[1][:2] == rates[0][:2]
    assert 0 < rates[1][-1] < 1e-3  # of three steps in all, the last would have had none


def _spent(out: Path, seconds: float) -> None:
    """Let a training that was killed have taken so long."""
    seal = max(out.glob("checkpoints/*/complete.json"))
    seal.write_text(json.dumps(json.loads(seal.read_text()) | {"seconds": seconds}))


def test_a_budget_that_ends_before_anything_is_learned_is_told(target, tmp_path):
    with pytest.raises(
        TrainerError, match=r"nothing was learned before the budget ended: stopped after 1e-09 s, at step 1 of 6; give more"
    ):
        train(ROWS, target, QUICK.model_copy(update={"seconds": 1e-9}), tmp_path, in_process=True)


def test_checkpoints_of_another_job_are_not_continued(target, tmp_path):
    with pytest.raises(_Stop):
        train(ROWS, target, QUICK, tmp_path / "a", in_process=True, on_progress=_stop_at(4))
    steps: list[int] = []
    report = train(ROWS[::-1], target, QUICK, tmp_path / "a", in_process=True, on_progress=lambda m: steps.append(m["step"]))
    assert steps[0] == 1
    assert report == train(ROWS[::-1], target, QUICK, tmp_path / "b", in_process=True)


def _wait(done, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def test_a_full_disk_is_told_as_such_in_the_words_of_any_library(tmp_path):
    for error in ("OSError: [Errno 28] No space left on device", "SafetensorError: I/O error: No space left on device (os error 28)"):
        assert failure(error, tmp_path / "train.log").startswith(f"the disk that holds {tmp_path} is full; free some space")
    assert failure("ValueError: x", tmp_path / "train.log").startswith("training failed: ValueError: x (log:")


@pytest.mark.parametrize(("folder", "name"), [("runs/x/round-2/train", "runs/x"), ("tuned/a1b2", "tuned")])
def test_a_tracker_sees_the_trainings_of_a_run_under_the_name_of_the_run(tmp_path, folder, name):
    place = {"rows": tmp_path / "rows.jsonl", "out": tmp_path / folder}
    job = Job(key="k", base="b", data="d", target=TargetSettings(), settings=TrainSettings(), seed=0, **place)
    assert arguments(job, "full", torch.device("cpu"), 10, 100, 4)["run_name"] == str(tmp_path / name)


def test_rows_come_at_random_by_length_or_as_they_are_written(tmp_path):
    job = Job(key="k", base="b", data="d", target=TargetSettings(), settings=TrainSettings(), seed=0, rows=tmp_path, out=tmp_path)
    easy = job.model_copy(update={"settings": TrainSettings(curriculum=True)})
    orders = [
        arguments(one, "full", torch.device("cpu"), size, 100, 4)["train_sampling_strategy"]
        for one in (job, easy)
        for size in (10, 135_000_000)
    ]
    assert orders == ["random", "group_by_length", "sequential", "sequential"]


def test_a_curriculum_takes_the_rows_of_each_pass_in_their_order(target, tmp_path, monkeypatch):
    taken, compute = [], _Sft.training_step
    record = lambda self, model, inputs, *rest: taken.append(inputs["input_ids"].sum(1).tolist()) or compute(self, model, inputs, *rest)  # noqa: E731
    monkeypatch.setattr(_Sft, "training_step", record)
    for order in (ROWS, ROWS[::-1]):
        train(order, target, QUICK.model_copy(update={"curriculum": True}), tmp_path / str(len(taken)), in_process=True)
    first, second, first_back = ([row for step in taken[begin : begin + 3] for row in step] for begin in (0, 3, 6))
    assert len(first) == 48
    assert first == second == first_back[::-1]
