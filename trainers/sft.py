"""Fine-tunes a target on rows, in a child process or in this one: what was trained is written down, and a kill costs nothing.

In the folder of a training lie manifest.json (written last: what was trained on what, with which library versions, and the report),
weights/ (a model or an adapter), course.json (what was logged on the way), seconds.json (what its steps took, over all starts), train.log
(what the libraries said), and, while it is under way, job.json, rows/ and checkpoints/.
Does NOT cover: the training itself (fit.py), choosing the rows.
"""

import ctypes
import errno
import gc
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import fields
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from ..signatures import errors
from ..signatures.errors import BudgetReached, ErrataError, TrainerError, UsageError, did_you_mean
from ..signatures.files import write_whole
from ..signatures.records import ContextRow, Pair, TrainReport, TrainRow, content_hash, sealed
from .chat import R, fingerprint, read_rows
from .devices.gpus import VISIBLE, require_devices, visible_gpus
from .judge import ASK, Judge, PipeJudge, answered
from .settings import Job, OnProgress, TargetSettings, TrainSettings
from .weights import finished, weights_hash


class Stage(NamedTuple):
    """A kind of training."""

    module: str
    """In this package, whose `fit(job, tell, judge)` trains; it alone loads TRL."""
    config: tuple[str, str]
    """Module and class of the settings that are handed through."""


STAGES = {
    "sft": Stage("fit", ("trl", "SFTConfig")),
    "grpo": Stage("stages.grpo", ("trl", "GRPOConfig")),
    "dpo": Stage("stages.preference", ("trl", "DPOConfig")),
    "kto": Stage("stages.preference", ("trl", "KTOConfig")),
    "sdft": Stage("stages.sdft", ("trl.experimental.sdft", "SDFTConfig")),
}
"""By the names of `TrainSettings.stages`."""
_NOT_YOURS = {
    "output_dir": "checkpoints lie in the training's folder",
    "resume_from_checkpoint": "a killed training continues by itself",
    "assistant_only_loss": "the loss is on the completion already",
} | dict.fromkeys(
    ("chat_template_path", "eos_token", "pad_token", "dataset_text_field", "dataset_kwargs"),
    "rows are rendered with the target's own tokenizer and chat template",
)
_NOT_IN = {
    "sdft": dict.fromkeys(
        ("max_prompt_length", "teacher_prompt_template", "chat_template_kwargs", "generate_from_teacher"),
        "the target is asked as in its task, and its teacher with the context behind that",
    )
    | dict.fromkeys(
        ("use_vllm", "use_teacher_server", "cache_implementation", "generation_kwargs", "top_p", "top_k", "min_p", "repetition_penalty"),
        "answers are sampled as the target answers in its task",
    )
    | dict.fromkeys(("num_iterations", "steps_per_generation", "generation_batch_size"), "each step has answers of its own"),
}
"""Of one stage, what has no meaning there."""
UNDER_WAY = ("checkpoints", "rows", "job.json")
"""What lies in the folder of a training only until it is finished."""
_NOTHING = "there are no rows to train on: the steps before kept no row"


def train(
    rows: Sequence[TrainRow] | Path,
    target: TargetSettings,
    settings: TrainSettings,
    out: Path,
    seed: int = 0,
    in_process: bool = False,
    on_progress: OnProgress | None = None,
    stop: threading.Event | None = None,
) -> TrainReport:
    """Trains `target` on `rows` and leaves weights and manifest in `out`; a finished training is not done again.

    Rows in a file of JSON lines are never held together. On a CPU the same rows, seed, settings and library versions give the same
    bytes, killed in between or not. `in_process` trains in this process, on one device: no seconds lost on imports, no memory handed back.
    `stop`, set from another thread, ends the training process; a BudgetReached that `on_progress` raises ends it with a checkpoint, and is
    raised again. Raises TrainerError (refused, failed, stopped, or `out` holds another
    training), UsageError, TargetError.
    """
    if isinstance(rows, Path):
        return _settled(_of_file("sft", TrainRow, rows, target, settings, out, seed), None, (), in_process, on_progress, stop)
    if not rows:
        raise TrainerError(_NOTHING)
    return _settled(_job("sft", fingerprint(rows), target, settings, out, seed), None, rows, in_process, on_progress, stop)


def practise(
    judge: Judge,
    target: TargetSettings,
    settings: TrainSettings,
    out: Path,
    seed: int = 0,
    in_process: bool = False,
    on_progress: OnProgress | None = None,
    stop: threading.Event | None = None,
) -> TrainReport:
    """Trains `target` by GRPO on its own answers to the prompts of `judge`; all else as `train`. What the judge raises ends the training,
    which continues from its last checkpoint when it is started again."""
    job = _job("grpo", judge.fingerprint, target, settings, out, seed).model_copy(update={"answer_tokens": judge.answer_tokens})
    return _settled(job, judge, (), in_process, on_progress, stop)


def prefer(
    stage: str,
    pairs: Path,
    target: TargetSettings,
    settings: TrainSettings,
    out: Path,
    seed: int = 0,
    in_process: bool = False,
    on_progress: OnProgress | None = None,
) -> TrainReport:
    """Trains `target` in the stage `dpo` or `kto` on a file of `Pair`s; all else as `train`."""
    return _settled(_of_file(stage, Pair, pairs, target, settings, out, seed), None, (), in_process, on_progress, None)


def distil(
    contexts: Path,
    answer_tokens: int,
    target: TargetSettings,
    settings: TrainSettings,
    out: Path,
    seed: int = 0,
    in_process: bool = False,
    on_progress: OnProgress | None = None,
) -> TrainReport:
    """Trains `target` in the stage `sdft` on a file of `ContextRow`s, with answers of at most `answer_tokens`; all else as `train`."""
    job = _of_file("sdft", ContextRow, contexts, target, settings, out, seed).model_copy(update={"answer_tokens": answer_tokens})
    return _settled(job, None, (), in_process, on_progress, None)


def go_back(target: TargetSettings, start: TargetSettings, share: float, out: Path, in_process: bool = False) -> TrainReport:
    """Leaves in `out` weights that lie at `share` of the way from `start` to `target`, as a training leaves its own. Nothing is trained.
    Raises TrainerError, and TargetError where the two are not of one shape or cannot be loaded."""
    job = _job("back", content_hash([weights_hash(start), share]), target, TrainSettings(), out, 0)
    return _settled(job.model_copy(update={"start": start, "share": share}), None, (), in_process, None, None)


def _of_file(stage: str, kind: type[R], file: Path, target: TargetSettings, settings: TrainSettings, out: Path, seed: int) -> Job:
    """A job on the rows of a file, which stay there. Raises TrainerError where there are none."""
    if next(read_rows(file, kind), None) is None:
        raise TrainerError("there are no pairs to train on: give more answers, or another train.stages" if kind is Pair else _NOTHING)
    job = _job(stage, fingerprint(read_rows(file, kind)), target, settings, out, seed)
    return job.model_copy(update={"rows": file.absolute()})


def _job(stage: str, data: str, target: TargetSettings, settings: TrainSettings, out: Path, seed: int) -> Job:
    target = target.model_copy(update={"api_base": None})  # wherever it is served, it is trained here
    out, base = out.absolute(), weights_hash(target)
    file = out / "rows" / "given.jsonl"
    key = job_key(base, data, settings, seed) if stage == "sft" else content_hash([stage, base, data, _deciding(settings), seed])
    return Job(key=key, base=base, data=data, rows=file, target=target, settings=settings, seed=seed, out=out, stage=stage)


def _settled(
    job: Job, judge: Judge | None, rows: Sequence[TrainRow], in_process: bool, on_progress: OnProgress | None, stop: threading.Event | None
) -> TrainReport:
    """The report of the job, which is done unless its folder holds it."""
    out = job.out
    if (out / "manifest.json").is_file():
        found, report = finished(out)
        if found != job.key:
            raise TrainerError(f"{out} holds a finished training of other rows, weights, settings or seed: use another folder")
        _tidy(out)  # a kill may have come between the manifest and this
        return report

    def tell(message: dict[str, Any]) -> None:
        try:
            if on_progress is not None:
                on_progress(message)
        except BudgetReached as reached:
            write_whole(job.cap, str(reached).encode())

    require_devices(job.settings, (job.stage,))
    try:
        shutil.rmtree(job.scratch, ignore_errors=True)  # of an attempt that was killed
        job.scratch.mkdir(parents=True)
        if rows:
            job.rows.write_text("".join(row.model_dump_json() + "\n" for row in rows), encoding="utf-8")
        report = _loaded(job)(job, tell, judge) if in_process and job.settings.devices == 1 else _child(job, tell, judge, stop)
        known = job.model_dump(mode="json", include={"key", "base", "data", "settings", "seed", "stage"})
        manifest = known | {"versions": report.versions, "report": report.model_dump(mode="json")}
        write_whole(out / "manifest.json", (json.dumps(sealed(manifest), indent=2, sort_keys=True) + "\n").encode())
    except OSError as error:
        raise TrainerError(f"training into {out} failed: {error}; free space or choose another folder, then start it again") from None
    _tidy(out)
    return report


def job_key(base: str, data: str, settings: TrainSettings, seed: int) -> str:
    """Hash of all that decides the weights of a supervised training: 16 hex digits. On how many devices it computes does not, but for the
    last digits of the weights: a training may be continued on fewer or more, and is the same when it is finished."""
    return content_hash([base, data, _deciding(settings), seed])


def _deciding(settings: TrainSettings) -> dict[str, Any]:
    return settings.model_dump(mode="json", exclude={"devices"})


def _tidy(out: Path) -> None:
    """Leaves of a finished training what others read."""
    for name in UNDER_WAY:
        shutil.rmtree(out / name, ignore_errors=True)
        with suppress(OSError):
            (out / name).unlink(missing_ok=True)


def check(settings: TrainSettings) -> None:
    """Refuses names in `lora` and in the stages' own settings that are not fields there, or that Errata sets itself. Imports TRL. Raises
    UsageError."""
    for part, (module, name) in {"lora": ("peft", "LoraConfig"), **{stage: kind.config for stage, kind in STAGES.items()}}.items():
        if not (given := getattr(settings, part)):
            continue
        config = getattr(import_module(module), name)
        names = [field.name for field in fields(config) if field.init]
        for name in given:
            if name not in names:
                raise UsageError(f"{part}.{name} is not a field of {config.__name__}{did_you_mean(name, names)}")
            if part != "lora" and (why := (_NOT_YOURS | _NOT_IN.get(part, {})).get(name)):
                raise UsageError(f"{part}.{name} cannot be set: {why}; leave it out")
    begun = settings.lora.get("init_lora_weights")
    if isinstance(begun, str) and begun not in ("gaussian", "orthogonal"):
        why = "it changes the weights below the adapter, and what is measured against them, and the way back, would be wrong"
        raise UsageError(f"lora.init_lora_weights cannot be {begun}: {why}; leave it out")
    if settings.grpo.get("use_vllm"):
        _require_vllm(settings)
    if settings.curriculum and settings.sft.get("packing"):
        raise UsageError("sft.packing puts rows together by length, not by level as curriculum does; leave out one of them")
    if settings.sdft.get("teacher_model_kind") == "ema":
        why = "its average is in no checkpoint, so a killed training could not go on with it"
        raise UsageError(f"sdft.teacher_model_kind cannot be ema: {why}")


def _require_vllm(settings: TrainSettings) -> None:
    """Raises UsageError where answers cannot be sampled by vLLM on the GPU that trains."""
    without = "leave it out, and answers are sampled without vLLM"
    if settings.grpo.get("vllm_mode", "colocate") != "colocate":
        raise UsageError("grpo.vllm_mode can only be colocate: vLLM in the training process, on its GPU; leave it out")
    if settings.device in ("cpu", "mps") or not import_module("torch").cuda.is_available():
        raise UsageError(f"grpo.use_vllm needs a CUDA device, and the training has none: {without}")
    if not find_spec("vllm"):
        raise UsageError(f"grpo.use_vllm needs the package vllm, which is not installed: {without}")


def failure(error: str, log: Path) -> str:
    """One line on an error of a library's; each library words a full disk in its own way, around the system's words."""
    if any(os.strerror(number) in error for number in (errno.ENOSPC, errno.EDQUOT)):
        return f"the disk that holds {log.parent} is full; free some space and give the same command again: it continues"
    return f"training failed: {error} (log: {log})"


def _environment(job: Job) -> dict[str, str]:
    """That of the child. It sees one GPU, the one that is asked for or the first, or the first of as many as are asked for: with several
    in sight, the trainer would use all. The processes of several devices share the cores."""
    # TensorBoard's files would else go with the checkpoints.
    env = {"TENSORBOARD_LOGGING_DIR": str(job.out / "tensorboard")} | os.environ
    device, count = job.settings.device, job.settings.devices
    if count > 1:
        share = {"OMP_NUM_THREADS": str(max(1, len(os.sched_getaffinity(0)) // count))}
        return share | env | {VISIBLE: ",".join(visible_gpus()[:count]) if device != "cpu" else ""}
    index = int(device.removeprefix("cuda:")) if device.startswith("cuda:") else 0
    visible = env[VISIBLE].split(",") if VISIBLE in env else [str(n) for n in range(index + 1)]
    return env | {VISIBLE: visible[index] if index < len(visible) else ""}


def _child(job: Job, tell: OnProgress, judge: Judge | None, stop: threading.Event | None) -> TrainReport:
    """Runs the job in a child process, which never outlives this call."""
    log, file = job.out / "train.log", job.out / "job.json"
    file.write_text(job.model_dump_json(), encoding="utf-8")
    # -P: a file named like a library in the user's folder must not be imported in its place.
    command = [sys.executable, "-P", "-m", f"{__package__}.sft", str(file), str(os.getpid())]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE if judge else subprocess.DEVNULL, "stdout": subprocess.PIPE}
    with log.open("ab") as err:
        begin = err.tell()
        child = subprocess.Popen(command, **pipes, stderr=err, env=_environment(job), start_new_session=True)
    assert child.stdout is not None
    if stop is not None:
        threading.Thread(target=_kill_when, args=(stop, child), daemon=True).start()
    last: dict[str, Any] = {}
    try:
        with child.stdout:
            for line in child.stdout:
                if not line.endswith(b"\n"):
                    break  # it was killed in the middle of a word
                said = json.loads(line)
                if "step" in said:
                    tell(said)
                elif ASK in said and judge is not None and child.stdin is not None:
                    child.stdin.write(json.dumps(answered(judge, said[ASK])).encode() + b"\n")
                    child.stdin.flush()
                last = last or {name: said[name] for name in ("report", "error", "kind") if name in said}
        child.wait()
    except BrokenPipeError:
        child.wait()  # it ended while its question was answered; what it said last tells why
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        if child.stdin is not None:
            with suppress(BrokenPipeError):
                child.stdin.close()
    if "report" in last:
        return TrainReport.model_validate(last["report"])
    said = log.read_bytes()[begin:].decode(errors="replace")
    killed = _killed_rank(said)
    if "error" in last and (last["kind"] or not killed):  # whose neighbour is killed fails too, in words of the connection
        kind: type[ErrataError] = getattr(errors, last["kind"], TrainerError)
        raise kind(last["error"] if last["kind"] else failure(last["error"], log))
    if stop is not None and stop.is_set():
        raise TrainerError(f"training into {job.out} was stopped: start it again to continue from its last checkpoint")
    if killed:
        raise TrainerError(f"the training process of {killed} (9 is often the system, out of memory): start it again (log: {log})")
    lines = said.strip().splitlines()
    how = f"was killed by signal {-child.returncode} (9 is often the system, out of memory)" if child.returncode < 0 else "ended"
    raise TrainerError(f"the training process {how}: {lines[-1] if lines else 'it said nothing'} (log: {log})")


def _killed_rank(said: str) -> str:
    """Which process of several a signal ended, in the words of torchrun 2.13 (elastic/multiprocessing/api.py); empty: none."""
    found = re.search(r"failed \(exitcode: -(\d+)\) local_rank: (\d+)", said)
    return f"rank {found[2]} was killed by signal {found[1]}" if found else ""


def _kill_when(stop: threading.Event, child: "subprocess.Popen[bytes]") -> None:
    while child.poll() is None:
        if stop.wait(0.2):
            child.kill()
            return


def main(arguments: Sequence[str]) -> int:
    """The child: runs a job, writes one JSON object a line on stdout, the last with `report` or `error`. Of a job on several devices it
    becomes torchrun, whose processes come here again with a third argument."""
    if sys.platform == "linux":  # the kernel kills this process when the parent ends in whatever way
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != int(arguments[1]):  # it ended before we asked
        return 1
    job = Job.model_validate_json(Path(arguments[0]).read_bytes())
    if job.settings.devices > 1 and len(arguments) == 2:
        again = ["--no-python", sys.executable, "-P", "-m", f"{__package__}.sft", arguments[0], str(os.getpid()), "rank"]
        own = ["--standalone", f"--nproc-per-node={job.settings.devices}", f"--log-dir={job.scratch}"]
        os.execv(sys.executable, [sys.executable, "-P", "-m", "torch.distributed.run", *own, *again])  # keeps its id and who kills it
    first = len(arguments) == 2 or os.environ["RANK"] == "0"
    # Libraries print; only this module may write to the parent.
    parent = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def tell(message: dict[str, Any]) -> None:
        if first or "error" in message:
            print(json.dumps(message), file=parent, flush=True)
        if "report" not in message and ASK not in message:
            print(json.dumps(message), file=sys.stderr, flush=True)

    try:
        gc.disable()
        fit = _loaded(job)
        gc.freeze()  # what libraries hold is no garbage: looking at it took a fifth of their loading, and then of a short training
        gc.enable()
        last: dict[str, Any] = {"report": fit(job, tell, PipeJudge(job, tell, sys.stdin)).model_dump(mode="json")}
    except ErrataError as error:
        last = {"error": str(error), "kind": type(error).__name__}
    except Exception as error:
        traceback.print_exc()
        last = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:400]}", "kind": ""}
    tell(last)
    return int("error" in last)


def _loaded(job: Job) -> Callable[[Job, OnProgress, Judge | None], TrainReport]:
    """What trains the job in this process. Loads torch and TRL, which the parent of a child process does without. Raises UsageError."""
    check(job.settings)
    return import_module(f".{STAGES[job.stage].module if job.start is None else 'stages.back'}", __package__).fit


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
