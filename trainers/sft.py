"""Fine-tunes a target on rows with TRL's SFTTrainer, in a child process.

`train` is the whole face; `python -m errata.trainers.sft JOB.json PARENT_PID` is the child that it starts.
What lies in the folder of a training:

    manifest.json  written last: what was trained on what, with which library versions, and the report
    weights/       a model folder (full) or an adapter folder (LoRA)
    train.log      what the libraries said
    job.json, checkpoints/   while it is under way; a killed training continues from here

Does NOT cover: several GPUs, preference training, choosing the rows.
"""

import ctypes
import errno
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..signatures import errors
from ..signatures.errors import ErrataError, TrainerError, UsageError, did_you_mean
from ..signatures.records import TrainReport, TrainRow, content_hash, sealed
from .settings import TargetSettings, TrainSettings
from .weights import finished

LORA: dict[str, Any] = {"r": 16, "lora_alpha": 32, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}
_LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "tokenizers")
_COMPLETE = "complete.json"
_RENDERED = "rows are rendered with the target's own tokenizer and chat template"
_NOT_YOURS = {
    "output_dir": "checkpoints lie in the training's folder",
    "resume_from_checkpoint": "a killed training continues by itself",
    "assistant_only_loss": "the loss is on the completion alone already",
    "chat_template_path": _RENDERED,
    "eos_token": _RENDERED,
    "pad_token": _RENDERED,
    "dataset_text_field": _RENDERED,
    "dataset_kwargs": _RENDERED,
}

Progress = Callable[[dict[str, Any]], None]


def train(
    rows: Sequence[TrainRow],
    target: TargetSettings,
    settings: TrainSettings,
    out: Path,
    seed: int = 0,
    in_process: bool = False,
    on_progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> TrainReport:
    """Trains `target` on `rows` and leaves weights and manifest in `out`; a finished training is not done again.

    On a CPU the same rows, seed, settings and library versions give the same bytes, killed in between or not. `on_progress`
    is given {"step", "steps", "loss", "epoch"}. `in_process` trains in this process: no seconds lost on imports, no memory
    handed back. `stop`, set from another thread, ends the training process; started again it continues from its last checkpoint.
    Raises TrainerError (refused, failed, stopped, or `out` holds another training), UsageError, TargetError.
    """
    from .chat import fingerprint
    from .weights import weights_hash

    target = target.model_copy(update={"api_base": None})  # wherever it is served, it is trained here
    if not rows:
        raise TrainerError("no rows to train on: the stages before kept none")
    out = out.absolute()
    base, data = weights_hash(target), fingerprint(rows)
    key = content_hash([base, data, settings.model_dump(mode="json"), seed])
    manifest = out / "manifest.json"
    if manifest.is_file():
        found, report = finished(out)
        if found != key:
            raise TrainerError(f"{out} holds a finished training of other rows, weights, settings or seed: use another folder")
        _tidy(out)  # a kill may have come between the manifest and this
        return report
    job = {
        "key": key,
        "base": base,
        "data": data,
        "rows": [row.model_dump(mode="json") for row in rows],
        "target": target.model_dump(mode="json"),
        "settings": settings.model_dump(mode="json"),
        "seed": seed,
        "out": str(out),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        if in_process:
            report = _run(job, on_progress or (lambda _: None))
        else:
            _write(out / "job.json", json.dumps(job))
            report = TrainReport.model_validate(_child(out, settings, on_progress or (lambda _: None), stop))
        known = {"key": key, "base": base, "data": data, "settings": job["settings"], "seed": seed, "versions": report.versions}
        _write(manifest, json.dumps(sealed(known | {"report": report.model_dump(mode="json")}), indent=2, sort_keys=True) + "\n")
    except OSError as error:
        raise TrainerError(f"training into {out} failed: {error}; free space or choose another folder, then start it again") from None
    _tidy(out)
    return report


def _tidy(out: Path) -> None:
    """Leaves of a finished training what others read."""
    shutil.rmtree(out / "checkpoints", ignore_errors=True)
    (out / "job.json").unlink(missing_ok=True)


def check(settings: TrainSettings) -> None:
    """Refuses names in `sft` and `lora` that are no fields, or that Errata sets itself. Imports TRL. Raises UsageError."""
    from dataclasses import fields

    from peft import LoraConfig
    from trl import SFTConfig

    for part, given, config in (("sft", settings.sft, SFTConfig), ("lora", settings.lora, LoraConfig)):
        names = [field.name for field in fields(config) if field.init]
        for name in given:
            if name not in names:
                raise UsageError(f"{part}.{name} is not a field of {config.__name__}{did_you_mean(name, names)}")
            if part == "sft" and name in _NOT_YOURS:
                raise UsageError(f"sft.{name} cannot be set: {_NOT_YOURS[name]}; leave it out")


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


# ---------------------------------------------------------------- the parent's side


def _failed(error: str, log: Path) -> str:
    """One line on an error of a library's; each library words a full disk in its own way, around the system's words."""
    if any(os.strerror(number) in error for number in (errno.ENOSPC, errno.EDQUOT)):
        return f"the disk that holds {log.parent} is full; free some space and give the same command again: it continues"
    return f"training failed: {error} (log: {log})"


def _child(out: Path, settings: TrainSettings, on_progress: Progress, stop: threading.Event | None) -> dict[str, Any]:
    """Runs the job in `out` in a child process and gives its report. The child never outlives this call."""
    log = out / "train.log"
    # TensorBoard's files would else go with the checkpoints.
    env = {"TENSORBOARD_LOGGING_DIR": str(out / "tensorboard")} | os.environ | {"TOKENIZERS_PARALLELISM": "false"}
    # With several GPUs in sight, the trainer would want to use them all.
    index = int(settings.device.removeprefix("cuda:")) if settings.device.startswith("cuda:") else 0
    visible = env["CUDA_VISIBLE_DEVICES"].split(",") if "CUDA_VISIBLE_DEVICES" in env else [str(n) for n in range(index + 1)]
    env["CUDA_VISIBLE_DEVICES"] = visible[index] if index < len(visible) else ""
    # -P: a file named like a library in the user's folder must not be imported in its place.
    command = [sys.executable, "-P", "-m", f"{__package__}.sft", str(out / "job.json"), str(os.getpid())]
    with log.open("ab") as err:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err, env=env, start_new_session=True)
    assert child.stdout is not None
    if stop is not None:
        threading.Thread(target=_kill_when, args=(stop, child), daemon=True).start()
    last: dict[str, Any] = {}
    try:
        with child.stdout:
            for line in child.stdout:
                if not line.endswith(b"\n"):
                    break  # it was killed in the middle of a word
                last = json.loads(line)
                if "step" in last:
                    on_progress(last)
        child.wait()
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    if "report" in last:
        return last["report"]
    if "error" in last:
        kind: type[ErrataError] = getattr(errors, last["kind"], TrainerError)
        raise kind(last["error"] if kind is not TrainerError or last["told"] else _failed(last["error"], log))
    if stop is not None and stop.is_set():
        raise TrainerError(f"training into {out} was stopped: start it again to continue from its last checkpoint")
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    how = f"was killed by signal {-child.returncode} (9 is often the system, out of memory)" if child.returncode < 0 else "ended"
    raise TrainerError(f"the training process {how}: {lines[-1] if lines else 'it said nothing'} (log: {log})")


def _kill_when(stop: threading.Event, child: "subprocess.Popen[bytes]") -> None:
    while child.poll() is None:
        if stop.wait(0.2):
            child.kill()
            return


# ---------------------------------------------------------------- the child's side


def main(arguments: Sequence[str]) -> int:
    """The child: runs a job, writes one JSON object a line on stdout, the last with `report` or `error`."""
    _die_with_parent(int(arguments[1]))
    # Libraries print; only this module may write to the parent.
    parent = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def tell(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=parent, flush=True)
        if "report" not in message:
            print(json.dumps(message), file=sys.stderr, flush=True)

    try:
        report = _run(json.loads(Path(arguments[0]).read_text(encoding="utf-8")), tell)
    except ErrataError as error:
        tell({"error": str(error), "kind": type(error).__name__, "told": True})
        return error.exit_code
    except Exception as error:
        traceback.print_exc()
        text = " ".join(str(error).split())
        tell({"error": f"{type(error).__name__}: {text[:400]}", "kind": "TrainerError", "told": False})
        return 1
    tell({"report": report.model_dump(mode="json")})
    return 0


def _die_with_parent(parent: int) -> None:
    """On Linux, has the kernel kill this process when the parent ends in whatever way."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before we asked
        os._exit(1)


def _run(job: dict[str, Any], tell: Progress) -> TrainReport:
    """Trains in this process and leaves `weights` in the job's folder."""
    settings, target = TrainSettings.model_validate(job["settings"]), TargetSettings.model_validate(job["target"])
    check(settings)
    out = Path(job["out"])

    import datasets
    import torch
    from transformers import AutoConfig, GenerationConfig, PrinterCallback, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    from .chat import end_tokens, prepare
    from .memory import SMALL, choose_device, has_bfloat16, memory_ran_out, one_thread_for_small
    from .target import load_model, load_tokenizer
    from .weights import folder_of, weights_hash

    datasets.disable_progress_bars()
    device = choose_device("cuda" if settings.device.startswith("cuda:") else settings.device)
    folder, tokenizer = folder_of(target.model), load_tokenizer(target)
    config = AutoConfig.from_pretrained(folder, trust_remote_code=target.trust_remote_code)
    generation = GenerationConfig.from_pretrained(folder) if (folder / "generation_config.json").is_file() else None
    ends = end_tokens(tokenizer, config, generation)
    if tokenizer.pad_token is None and ends:
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(ends[0])  # labels are set already, so it masks nothing

    context = getattr(config.get_text_config(), "max_position_embeddings", None)
    asked = settings.sft.get("max_length", settings.max_length)
    limit = min((n for n in (asked, context) if n is not None), default=None)
    prepared = prepare(
        [TrainRow.model_validate(row) for row in job["rows"]],
        tokenizer,
        ends,
        limit,
        keep_end=settings.sft.get("truncation_mode") == "keep_end",
        completion_only=settings.sft.get("completion_only_loss") is not False,
    )
    bad = max(prepared.rows_truncated, prepared.rows_lost)
    if bad > settings.max_lost_share * prepared.rows_in or not prepared.rows_kept:
        act = "raise max_length" if limit == asked else f"that is the target's whole context of {context} tokens: shorten the rows"
        raise TrainerError(
            f"{bad} of {prepared.rows_in} rows are longer than {limit} tokens and would be cut "
            f"({prepared.rows_lost} with nothing left to learn), more than the share {settings.max_lost_share:g}: {act}"
        )

    method = settings.method
    half = has_bfloat16(device)
    model = load_model(target, torch.device("cpu"), "auto", trainable=True, **settings.sft.get("model_init_kwargs") or {})
    parameters = sum(p.numel() for p in model.parameters())
    if method == "auto":
        method = "full" if parameters < SMALL and not target.adapter else "lora"
    if method == "full" and target.adapter:
        raise TrainerError("method full cannot train on an adapter: use lora, or merge the adapter into the model first")
    for parameter in model.parameters():  # what learns is float32: a narrower format would round small updates away
        learns = parameter.requires_grad if target.adapter else method == "full"
        parameter.data = parameter.data.to(torch.bfloat16 if half and not learns else torch.float32)
    one_thread_for_small(parameters, device)

    checkpoints = out / "checkpoints"
    arguments = {
        "output_dir": str(checkpoints),
        "num_train_epochs": settings.epochs,
        "max_steps": settings.steps or -1,
        "learning_rate": settings.rate_of(method),
        "neftune_noise_alpha": settings.noise_of(method) or None,
        "per_device_train_batch_size": settings.batch_size,
        "max_length": limit,
        "seed": job["seed"],
        "warmup_steps": 0.05,
        "save_strategy": "steps",
        "save_steps": settings.save_steps,
        "save_total_limit": 2,
        # A window of the logged loss that spans a checkpoint would lose its first part in a continued training.
        "logging_steps": math.gcd(settings.save_steps, 10),
        "logging_first_step": True,
        "use_cpu": device.type == "cpu",
        "bf16": half,
        "activation_checkpointing": device.type == "cuda" and parameters > 1e9,  # torch 2.13 has none on MPS
        "dataloader_pin_memory": device.type == "cuda",
        "report_to": "none",
        "run_name": str(out.parent),
        "disable_tqdm": True,
    } | {name: value for name, value in settings.sft.items() if name not in ("max_length", "model_init_kwargs")}
    if not arguments.get("packing"):
        arguments["max_length"] = None  # cut and counted above
    key = job["key"]

    class Follow(TrainerCallback):
        """Tells the parent, and seals each checkpoint once it is whole."""

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            control.should_log = control.should_log or state.global_step >= state.max_steps

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if logs and "loss" in logs:
                tell({"step": state.global_step, "steps": state.max_steps, "loss": logs["loss"], "epoch": state.epoch})

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            _seal(checkpoints / f"checkpoint-{state.global_step}", key)

    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(**arguments),
        train_dataset=datasets.Dataset.from_dict(prepared.columns),
        processing_class=tokenizer,
        callbacks=[Follow()],
        peft_config=_lora(settings, target) if method == "lora" and not target.adapter else None,
    )
    trainer.remove_callback(PrinterCallback)
    last = _last_checkpoint(checkpoints, key)
    share = settings.blend_of(method)
    # before the checkpoint is read: a continued training blends with the same weights
    old = {} if share == 1 else {name: p.detach().cpu().clone() for name, p in _blended(trainer.model, method)}
    try:
        trainer.train(resume_from_checkpoint=str(last) if last else None)
    except (RuntimeError, MemoryError) as error:  # torch's own is a RuntimeError
        if not memory_ran_out(error):
            raise
        raise TrainerError(
            f"memory ran out on {device} with batches of {trainer.args.per_device_train_batch_size} rows of up to {limit} tokens: give the "
            "same command with a smaller --set train.batch_size (and train.sft.gradient_accumulation_steps for it) or train.max_length"
        ) from None
    with torch.no_grad():
        for name, p in _blended(trainer.model, method):
            if name in old:
                p.copy_(torch.lerp(old[name].to(p.device), p, share))
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]

    weights = out / "weights"
    base_alone = weights_hash(target.model_copy(update={"adapter": None}))
    _save(trainer.model, method, folder, out, base_alone, getattr(config, "dtype", None))
    trained = {"adapter": str(weights)} if method == "lora" else {"model": str(weights)}
    return TrainReport(
        base=job["base"],
        weights=weights_hash(target.model_copy(update=trained)),
        data=job["data"],
        rows_in=prepared.rows_in,
        rows_kept=prepared.rows_kept,
        rows_truncated=prepared.rows_truncated,
        steps=trainer.state.global_step,
        loss_first=losses[0],
        loss_last=losses[-1],
        versions={name: version(name) for name in _LIBRARIES},
    )


def _lora(settings: TrainSettings, target: TargetSettings) -> Any:
    from peft import LoraConfig

    return LoraConfig(**LORA | {"base_model_name_or_path": target.model} | settings.lora)


def _blended(model: Any, method: str) -> Iterator[tuple[str, Any]]:
    """The parameters that `blend` moves back: all that learn, or the B matrices of an adapter, whose product with A they scale."""
    return ((name, p) for name, p in model.named_parameters() if p.requires_grad and (method == "full" or "lora_B" in name))


def _seal(checkpoint: Path, key: str) -> None:
    """Marks a checkpoint as whole and as this job's."""
    sizes = {path.name: path.stat().st_size for path in checkpoint.iterdir() if path.is_file()}
    _write(checkpoint / _COMPLETE, json.dumps({"key": key, "sizes": sizes}))


def _last_checkpoint(folder: Path, key: str) -> Path | None:
    """The newest whole checkpoint of this job. Others are removed: half-written, damaged, or of another job."""
    whole: list[tuple[int, Path]] = []
    for path in folder.glob("checkpoint-*"):
        try:
            seal = json.loads((path / _COMPLETE).read_text(encoding="utf-8"))
            good = seal["key"] == key and all((path / name).stat().st_size == size for name, size in seal["sizes"].items())
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            good = False
        if good:
            whole.append((int(path.name.rpartition("-")[2]), path))
        else:
            shutil.rmtree(path)
    return max(whole)[1] if whole else None


def _save(model: Any, method: str, base: Path, out: Path, base_hash: str, dtype: Any) -> None:
    """Writes `weights` in one move, with nothing in it that differs between equal trainings."""
    from .weights import BASE_FILE, companions

    temporary, weights = out / "weights.tmp", out / "weights"
    shutil.rmtree(temporary, ignore_errors=True)
    if method == "lora":
        model.save_pretrained(str(temporary))
        (temporary / "README.md").unlink(missing_ok=True)
        # peft keeps module names in sets, whose order changes from process to process.
        path = temporary / "adapter_config.json"
        config = {k: sorted(v) if isinstance(v, list) else v for k, v in json.loads(path.read_text(encoding="utf-8")).items()}
        path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        (temporary / BASE_FILE).write_text(json.dumps({"base": base_hash}) + "\n", encoding="utf-8")
    else:
        if dtype is not None:
            model.to(dtype)
        model.save_pretrained(str(temporary))
        # All but the weights stays the base's own: the trainer changes pad tokens and defaults on the way.
        for path in companions(base):
            shutil.copyfile(path, temporary / path.name)
    shutil.rmtree(weights, ignore_errors=True)
    temporary.replace(weights)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
