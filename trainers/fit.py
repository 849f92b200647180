"""Fine-tunes a target in this process with TRL's SFTTrainer: rows as tokens on the disk, the last whole checkpoint, the weights saved.

What other kinds of training share has a function of its own: `opened`, `learner`, `shared_arguments`, `finish`, `report`, and others.
Does NOT cover: the child process and the manifest (sft.py), what the processes of several devices agree on (devices.ranks).
"""

import json
import math
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import datasets
import pyarrow as pa
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, GenerationConfig, PrinterCallback
from trl import SFTConfig, SFTTrainer

from ..signatures.errors import BudgetReached, TargetError, TrainerError, memory_ran_out
from ..signatures.files import write_whole
from ..signatures.records import Message, TrainReport, TrainRow
from .chat import AT_ONCE, Completion, check_ids, encoded, end_tokens, given_rows
from .devices.ranks import InStep, each, only_first, rank, take_device, with_blank
from .estimate import Shape, checkpoints, most_kept, rows_at_once, shape_of
from .judge import Judge
from .memory import choose_device, free, has_bfloat16, keep_freed, keeps_freed, one_thread_for_small, peak
from .settings import Job, OnProgress, TrainSettings
from .stages.follow import LOGGED, Finished, Follow, at_once_before, followed, last_checkpoint
from .target import Target, load_model, load_tokenizer, not_numbers
from .weights import BASE_FILE, companions, folder_of, weights_hash

LORA: dict[str, Any] = {"r": 16, "lora_alpha": 32, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}
COURSE = "course.json"
"""The file of what a training logged on the way, by step."""
SECONDS = "seconds.json"
"""The file of the seconds that its steps took, and of the most memory that its last start held."""
T = TypeVar("T")
_TOKENS = pa.schema({"input_ids": pa.list_(pa.int64()), "labels": pa.list_(pa.int64())})


class _Sft(InStep, SFTTrainer):
    blank = True


class Opened(NamedTuple):
    """What every kind of training begins with."""

    device: torch.device
    tokenizer: Any
    config: Any
    ends: list[int]
    """Ids of the tokens that end an answer."""


def opened(job: Job) -> Opened:
    """The device, tokenizer and config of a job's target. Raises TargetError."""
    settings, target = job.settings, job.target
    datasets.disable_progress_bars()
    device = choose_device("cuda" if settings.device.startswith("cuda:") else settings.device)
    take_device(job, device)
    folder, tokenizer = folder_of(target.model), load_tokenizer(target)
    config = AutoConfig.from_pretrained(folder, trust_remote_code=target.trust_remote_code)
    generation = GenerationConfig.from_pretrained(folder) if (folder / "generation_config.json").is_file() else None
    if getattr(config, "quantization_config", None):
        raise TrainerError(
            f"{target.model} is quantized, and what is rounded so cannot be trained here: give the model that it was made from"
        )
    size = config.get_text_config().vocab_size
    ends = [token for token in end_tokens(tokenizer, config, generation) if token < size]
    if (tokenizer.pad_token is None or tokenizer.pad_token_id >= size) and ends:
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(ends[0])  # labels are set already, so it masks nothing
    return Opened(device, tokenizer, config, ends)


def fit(job: Job, tell: OnProgress, judge: Judge | None = None) -> TrainReport:
    """Trains as the job says, on its rows alone, and leaves `weights` in its folder. Raises TrainerError, TargetError."""
    settings = job.settings
    device, tokenizer, config, ends = opened(job)
    limit = longest_row(job, config)
    data, counts = _tokens(job, tokenizer, ends, limit, config.get_text_config().vocab_size)
    refuse_cut(job, counts, limit)
    last = last_checkpoint(job)
    longest = limit if settings.sft.get("packing") else counts["longest"]
    at_once = at_once_before(last, settings.rows_each) or fitting(job, device, longest)
    model, method = learner(job, device, at_once, longest)
    args = SFTConfig(**arguments(job, method, device, model.num_parameters(), limit, at_once))
    trainer = _Sft(model=model, args=args, train_dataset=data, **given_to_all(job, method, tokenizer, tell))
    if settings.devices > 1:
        trainer.train_dataset = with_blank(trainer.train_dataset)
    batches = f"on {device} with batches of {trainer.args.per_device_train_batch_size} rows of up to {limit} tokens"
    finish(trainer, job, method, last, config, batches)
    return report(job, method, trainer, counts, len(data))


def sampled(trainer: Any, job: Job, asked: Sequence[Sequence[Message]], most: int, temperature: float, seed: int) -> list[Completion]:
    """One answer a prompt, of at most so many tokens, by the model under training, as the target answers in its task."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    target = Target(job.target, model, trainer.processing_class, model.device, hash="")
    try:
        answers = dict(target.generate(asked, max_new_tokens=most, temperature=temperature, seed=seed))
    finally:
        model.train()
    return [answers[place] for place in range(len(asked))]


def longest_row(job: Job, config: Any) -> int | None:
    """Most tokens of a row: as set, or the target's context where that is shorter; None: no limit."""
    context = getattr(config.get_text_config(), "max_position_embeddings", None)
    asked = getattr(job.settings, job.stage).get("max_length", job.settings.max_length)
    return min((n for n in (asked, context) if n is not None), default=None)


def refuse_cut(job: Job, counts: Mapping[str, int], limit: int | None) -> None:
    """Raises TrainerError where too many of the `rows` are `truncated` at the limit or `lost`, or nothing is left of them."""
    bad, share = max(counts["truncated"], counts["lost"]), job.settings.max_lost_share
    if bad > share * counts["rows"] or counts["lost"] == counts["rows"]:
        asked = getattr(job.settings, job.stage).get("max_length", job.settings.max_length)
        act = "raise max_length" if limit == asked else f"that is the target's whole context of {limit} tokens: shorten the rows"
        cut = f"{bad} of {counts['rows']} rows are longer than {limit} tokens and would be cut"
        raise TrainerError(f"{cut} ({counts['lost']} with nothing left to learn), more than the share {share:g}: {act}")


def new_adapter(job: Job, method: str) -> LoraConfig | None:
    """The adapter that a training begins; None: it trains the weights, or the target's own adapter."""
    begins = method == "lora" and not job.target.adapter
    return LoraConfig(**LORA | {"base_model_name_or_path": job.target.model} | job.settings.lora) if begins else None


def given_to_all(job: Job, method: str, tokenizer: Any, tell: OnProgress) -> dict[str, Any]:
    """What a trainer of any kind is given beside its model, arguments and rows."""
    return {"processing_class": tokenizer, "callbacks": [Follow(tell, job)], "peft_config": new_adapter(job, method)}


def finish(trainer: Any, job: Job, method: str, last: Path | None, config: Any, where: str) -> None:
    """Trains to the end, from the checkpoint `last` on, blends with the old weights and saves. `where`: device and batches in words."""
    trainer.remove_callback(PrinterCallback)
    learned: Any = trainer.model  # with its adapter
    share = job.settings.strength(method, job.stage)[1]
    # What is blended: all that learns, but of the two matrices of an adapter only the one that began as zeros, which scales their product.
    # Kept before the checkpoint is read: a continued training blends with the same weights.
    learn = [(name, p) for name, p in learned.named_parameters() if p.requires_grad and not re.search(r"\.lora_(A|embedding_B)\b", name)]
    old = {name: p.detach().cpu().clone() for name, p in learn if share < 1 and rank(job) == 0}
    rate = "train.learning_rate" if job.stage == "sft" else f"train.{job.stage}.learning_rate"
    stop_without_number(trainer, rate)
    if planned(trainer) <= 1:
        trainer.args.warmup_steps = 0  # the first step of a warm-up has the rate 0
    run(trainer, last, where)
    learned = whole(trainer, job)
    if not_numbers(learned):
        raise TrainerError(_DIVERGED.format("weights are", trainer.state.global_step, trainer.args.learning_rate, rate))
    blend(learned, old, share)
    save(learned, method, job, getattr(config, "dtype", None))


def planned(trainer: Any) -> float:
    """Steps that a training will take at most."""
    args = trainer.args
    each = args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size
    return args.max_steps if args.max_steps > 0 else math.ceil(len(trainer.train_dataset) / each) * args.num_train_epochs


def whole(trainer: Any, job: Job) -> Any:
    """The trained model, at rank 0, where the other ranks end. What FSDP has shared out among the devices is put together in a new one on
    the CPU (accelerate 1.15, Accelerator.get_state_dict)."""
    shared_out = trainer.accelerator.get_state_dict(trainer.model) if trainer.is_fsdp_enabled else None
    only_first(job)
    if shared_out is None:
        return trainer.model
    model, method = learner(job, trainer.args.device, 1, None)
    if adapter := new_adapter(job, method):
        model = get_peft_model(model, adapter)
    model.load_state_dict(shared_out)
    return model


def report(job: Job, method: str, trainer: Any, counts: Mapping[str, int], kept: int) -> TrainReport:
    """What a training did, of whose `rows` this many were `kept`. Its course lies beside the weights. Raises TrainerError when its budget
    ended before anything was learned."""
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    course = [{name: entry[field] for name, field in LOGGED.items() if field in entry} for entry in logged]
    write_whole(job.out / COURSE, (json.dumps(course, indent=1, sort_keys=True) + "\n").encode())
    spent, stopped = followed(trainer).spent, followed(trainer).stopped
    keep_seconds(job, spent.seconds, str(trainer.args.device))
    trained = {"adapter": str(job.weights)} if method == "lora" else {"model": str(job.weights)}
    rewards, margins = ([entry[name] for entry in course if name in entry] for name in ("reward", "margin"))
    weights = weights_hash(job.target.model_copy(update=trained))
    idle = not any(entry.get("learning_rate", 1) for entry in course)  # the first step of a warm-up moves nothing
    if stopped and (idle or weights == job.base):
        raise TrainerError(f"nothing was learned before the budget ended: {stopped}; give more in train.seconds or train.rollouts")
    return TrainReport(
        base=job.base,
        weights=weights,
        data=job.data,
        rows_in=counts["rows"],
        rows_kept=kept,
        rows_truncated=counts.get("truncated", 0),
        steps=trainer.state.global_step,
        loss_first=course[0]["loss"],
        loss_last=course[-1]["loss"],
        rewards=(rewards[0], rewards[-1]) if rewards else None,
        margins=(margins[0], margins[-1]) if margins else None,
        generated_tokens=spent.tokens,
        rollouts=spent.rollouts,
        stopped=stopped,
        at_once=trainer.args.per_device_train_batch_size,
        versions=versions(),
    )


def keep_seconds(job: Job, seconds: float, device: str) -> None:
    """Writes down what the steps took, and the most memory that was held on the device."""
    write_whole(job.out / SECONDS, (json.dumps({"seconds": round(seconds, 2), "peak_bytes": peak(device)}) + "\n").encode())


def versions() -> dict[str, str]:
    """Of the libraries that decide what weights come out."""
    return {name: version(name) for name in ("torch", "transformers", "trl", "peft", "accelerate", "tokenizers")}


def _tokens(job: Job, tokenizer: Any, ends: Sequence[int], limit: int | None, size: int) -> tuple[datasets.Dataset, Counter[str]]:
    """The job's rows as ids of `size` tokens, and the counts of `encoded`. Read and written a part at a time, by rank 0, and then mapped
    from the disk, so that memory does not grow with the rows."""
    counts: Counter[str] = Counter()
    file = job.scratch / "tokens.arrow"
    if rank(job) == 0:
        _write_tokens(file, encoded(given_rows(job, TrainRow), tokenizer, ends, limit, counts, job.settings.sft), tokenizer, size)
    counts = Counter(each(job, "rows", counts)[0])
    return datasets.Dataset.from_file(str(file)), counts


def _write_tokens(file: Path, rows: Iterator[dict[str, list[int]]], tokenizer: Any, size: int) -> None:
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, _TOKENS) as writer:
        while part := list(islice(rows, AT_ONCE)):
            check_ids(tokenizer, (row["input_ids"] for row in part), size)
            writer.write_batch(pa.RecordBatch.from_pylist(part, _TOKENS))


def fitting(job: Job, device: torch.device, longest: int | None) -> int:
    """How many rows of a step a device computes together: as many as the memory that is free now, of the fullest one, allows."""
    planned = _planned(rows_at_once, job, device, longest)
    return min(each(job, "at_once", planned)) if planned else job.settings.rows_each


def _planned(plan: Callable[[Shape, str, TrainSettings, int, int], T], job: Job, device: torch.device, longest: int | None) -> T | None:
    """What a plan of trainers.estimate says for rows of so many tokens, None: as long as may be, and the memory that is free now. None: the
    need of a target of this kind is not known."""
    settings = job.settings.model_copy(update={"device": device.type})
    try:
        shape = shape_of(job.target.model)
    except TargetError:
        return None
    room = free(settings.device) // (settings.devices if settings.device == "cpu" else 1)
    return plan(shape, settings.method_for(shape.parameters, job.target.adapter), settings, longest or settings.max_length, room)


def learner(job: Job, device: torch.device, rows: int, longest: int | None) -> tuple[Any, str]:
    """The target's model, still on the CPU, and how it is trained: `full` or `lora`. So many rows, the longest of so many tokens, will be
    computed together. Raises TrainerError, TargetError."""
    settings, target = job.settings, job.target
    most = _planned(partial(most_kept, rows=rows), job, device, longest)  # of the memory that is free before the model takes some
    model = load_model(target, torch.device("cpu"), "auto", trainable=True, **getattr(settings, job.stage).get("model_init_kwargs") or {})
    parameters = model.num_parameters()
    method = settings.method_for(parameters, target.adapter)
    if method == "full" and target.adapter:
        raise TrainerError("method full cannot train on an adapter: use lora, or merge the adapter into the model first")
    half = computes_narrow(job, device)
    for parameter in model.parameters():  # what learns is float32: a narrower format would round small updates away
        learns = parameter.requires_grad if target.adapter else method == "full"
        parameter.data = parameter.data.to(torch.bfloat16 if half and not learns else torch.float32)
    one_thread_for_small(parameters, device)
    if keeps_freed(parameters, device):
        keep_freed(most)
    return model, method


def computes_narrow(job: Job, device: torch.device) -> bool:
    """Whether a training computes in bfloat16, with what is frozen in it: as set on a CPU, else as the device allows."""
    own = has_bfloat16(device)
    return bool(getattr(job.settings, job.stage).get("bf16", own)) if device.type == "cpu" else own


def shared_arguments(job: Job, method: str, device: torch.device, parameters: int) -> dict[str, Any]:
    """The fields of a trainer's config that are the same for every kind of training."""
    settings = job.settings
    return {
        "output_dir": str(job.checkpoints),
        "learning_rate": settings.strength(method, job.stage)[0],
        "seed": job.seed,
        "save_strategy": "steps",
        "save_steps": settings.save_steps,
        "save_total_limit": 2,
        # A window of the logged loss that spans a checkpoint would lose its first part in a continued training.
        "logging_steps": math.gcd(settings.save_steps, 10),
        "logging_first_step": True,
        "use_cpu": device.type == "cpu",
        "bf16": computes_narrow(job, device),
        "activation_checkpointing": checkpoints(device, parameters),
        "dataloader_pin_memory": device.type == "cuda",
        "report_to": "none",
        # of a round its run, under whose name the rounds' figures go too
        "run_name": str(job.out.parents[1] if job.out.parent.name.startswith("round-") else job.out.parent),
        "disable_tqdm": True,
    }


def arguments(job: Job, method: str, device: torch.device, parameters: int, limit: int | None, at_once: int) -> dict[str, Any]:
    """The fields of SFTConfig: Errata's own, and over them those that `train.sft` names."""
    settings = job.settings
    given = (
        shared_arguments(job, method, device, parameters)
        | {
            "num_train_epochs": settings.epochs,
            "max_steps": settings.steps or -1,
            "neftune_noise_alpha": settings.strength(method)[2] or None,
            "per_device_train_batch_size": at_once,
            "max_length": limit,
            "warmup_steps": 0.05,
            "train_sampling_strategy": settings.sampling(parameters),
        }
        | {name: value for name, value in settings.sft.items() if name not in ("max_length", "model_init_kwargs")}
    )
    if "per_device_train_batch_size" not in settings.sft:  # the rows of a step stay as they are, in their order
        given["gradient_accumulation_steps"] = settings.rows_each // at_once * settings.sft.get("gradient_accumulation_steps", 1)
    elif settings.devices > 1:
        given["gradient_accumulation_steps"] //= settings.devices
    if not given.get("packing"):
        given["max_length"] = None  # rows are cut and counted already
    return given


_DIVERGED = "the {} not a number at step {} with the learning rate {:g}: give a lower --set {}; nothing was saved"


def stop_without_number(trainer: Any, rate: str) -> None:
    """Ends the training with a TrainerError at the first loss that is no number, for nothing is learned from there on. `rate` names the
    setting of the learning rate."""
    step = trainer.training_step

    def watched(*args: Any, **named: Any) -> Any:
        loss = step(*args, **named)
        if not loss.isfinite().all():
            raise TrainerError(_DIVERGED.format("loss is", trainer.state.global_step + 1, trainer.args.learning_rate, rate))
        return loss

    trainer.training_step = watched


def run(trainer: Any, last: Path | None, where: str) -> None:
    """Trains to the end, from the checkpoint `last` on. Raises TrainerError when memory runs out, BudgetReached at a cap."""
    try:
        with suppress(Finished):
            trainer.train(resume_from_checkpoint=str(last) if last else None)
    except (RuntimeError, MemoryError) as error:  # torch's own is a RuntimeError
        if not memory_ran_out(error):
            raise
        smaller = "a smaller --set train.batch_size (and train.sft.gradient_accumulation_steps for it) or train.max_length"
        raise TrainerError(f"memory ran out {where}: give the same command with {smaller}") from None
    if (follow := followed(trainer)).capped:
        only_first(follow.job)
        raise BudgetReached(follow.capped)


def blend(model: Any, old: dict[str, torch.Tensor], share: float) -> None:
    """Moves each parameter of `old` to `share` of the way from its old value to its trained one."""
    chance = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name in old:
                p.copy_(between(old[name].to(p.device), p, share, chance))


def between(old: torch.Tensor, new: torch.Tensor, share: float, chance: torch.Generator) -> torch.Tensor:
    """`share` of the way from `old` to `new`, computed in float32, in the format of `new`; where that is a narrower one, rounded to one of
    its two neighbours with the chance that makes the mean right (stochastic rounding; Gupta et al. 2015, arXiv 1502.02551)."""
    exact = torch.lerp(old.float(), new.float(), share)
    near = exact.to(new.dtype)
    if new.dtype not in (torch.bfloat16, torch.float16):
        return near
    off = exact - near.float()
    other = torch.nextafter(near, torch.copysign(torch.tensor(torch.inf, dtype=near.dtype), off.to(near.dtype)))
    step = (other.float() - near.float()).abs()
    return torch.where(torch.rand(exact.shape, generator=chance).to(step.device) * step < off.abs(), other, near)


def save(model: Any, method: str, job: Job, dtype: Any) -> None:
    """Writes the job's `weights` in one move, with nothing in it that differs between equal trainings."""
    temporary = job.out / "weights.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    if method == "lora":
        # a training on pairs holds a copy of the adapter as it was beside it
        model.save_pretrained(str(temporary), selected_adapters=["default"])
        (temporary / "README.md").unlink(missing_ok=True)
        # peft keeps module names in sets, whose order changes from process to process.
        path = temporary / "adapter_config.json"
        config = {k: sorted(v) if isinstance(v, list) else v for k, v in json.loads(path.read_text(encoding="utf-8")).items()}
        path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        base = weights_hash(job.target.model_copy(update={"adapter": None}))
        (temporary / BASE_FILE).write_text(json.dumps({"base": base}) + "\n", encoding="utf-8")
    else:
        if dtype is not None:
            model.to(dtype)
        model.save_pretrained(str(temporary))
        # All but the weights stays the base's own: the trainer changes pad tokens and defaults on the way.
        folder = folder_of(job.target.model)
        for path in companions(folder):
            copy = temporary / path.relative_to(folder)
            copy.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, copy)
    shutil.rmtree(job.weights, ignore_errors=True)
    temporary.replace(job.weights)
