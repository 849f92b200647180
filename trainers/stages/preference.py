"""Trains a target on pairs of a right and a wrong answer in this process, with TRL's DPOTrainer (Rafailov et al. 2023, arXiv 2305.18290),
or, each answer by itself, KTOTrainer (Ethayarajh et al. 2024, arXiv 2402.01306).

The reference is the target as it was: a copy of its weights, its adapter switched off, or a copy of the adapter that is trained on.
TRL is given finished ids, those of supervised training. A pair of which an answer is too long is left out: cut, it would not say where it
goes wrong.
Does NOT cover: making pairs (errata.programs.steps.pairs), the child process and the manifest (sft.py).
"""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from datasets import Dataset
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer

from ...signatures.records import Pair, TrainReport, TrainRow
from ..chat import AT_ONCE, check_ids, given_rows, with_ends
from ..devices.ranks import InStep
from ..fit import finish, fitting, given_to_all, learner, longest_row, opened, refuse_cut, report
from ..fit import shared_arguments as shared
from ..judge import Judge
from ..settings import Job, OnProgress
from .follow import at_once_before, last_checkpoint

PREFERENCE: dict[str, dict[str, Any]] = {
    "dpo": {"num_train_epochs": 1.0, "beta": 0.1, "loss_type": ["sigmoid", "sft"]},
    "kto": {"num_train_epochs": 1.0, "beta": 0.1},
}
"""The settings that are ours, by stage."""


class _AsGiven:
    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        """Ids as they are given."""
        return dataset


class _Dpo(_AsGiven, InStep, DPOTrainer):
    blank = False


class _Kto(_AsGiven, InStep, KTOTrainer):
    blank = False


def fit(job: Job, tell: OnProgress, judge: Judge | None = None) -> TrainReport:
    """Trains as the job says, on its pairs alone, and leaves `weights` in its folder. Raises TrainerError, TargetError."""
    device, tokenizer, config, ends = opened(job)
    limit, counts = longest_row(job, config), Counter[str]()
    rows = list(paired(job, tokenizer, ends, limit, counts))
    refuse_cut(job, counts, limit)
    check_ids(tokenizer, (ids for row in rows for ids in row.values()), config.get_text_config().vocab_size)
    last = last_checkpoint(job)
    before = at_once_before(last, job.settings.rows_each)
    at_once = before or fitting(job, device, 2 * counts["longest"])  # two answers a pair
    if job.stage == "kto":
        at_once = two_or_more(at_once, job.settings.rows_each)
    model, method = learner(job, device, at_once, 2 * counts["longest"])
    given = shared(job, method, device, model.num_parameters()) | {
        "per_device_train_batch_size": at_once,
        "gradient_accumulation_steps": max(1, job.settings.rows_each // at_once),
        "max_length": None,  # rows that are too long are left out already
        "warmup_steps": 0.05,
        "trust_remote_code": job.target.trust_remote_code,
    }
    told = {name: value for name, value in getattr(job.settings, job.stage).items() if name != "max_length"}
    if job.settings.devices > 1 and "per_device_train_batch_size" in told:
        told["gradient_accumulation_steps"] //= job.settings.devices
    data, made = (rows, _dpo) if job.stage == "dpo" else (unpaired(rows, job.seed), _kto)
    trainer = made(data, given | PREFERENCE[job.stage] | told, model=model, **given_to_all(job, method, tokenizer, tell))
    batches = f"on {device} with batches of {trainer.args.per_device_train_batch_size} rows of up to {limit} tokens"
    finish(trainer, job, method, last, config, batches)
    return report(job, method, trainer, counts, len(rows))


def paired(job: Job, tokenizer: Any, ends: Sequence[int], limit: int | None, counts: Counter[str]) -> Iterator[dict[str, list[int]]]:
    """The job's pairs as `prompt_ids`, `chosen_ids` and `rejected_ids`. Counts `rows`, those left out as `truncated` and `lost`, and keeps
    the tokens of the `longest`."""
    pairs = given_rows(job, Pair)
    while part := list(islice(pairs, AT_ONCE)):
        sides = [TrainRow(prompt=pair.prompt, completion=one, source=pair.source) for pair in part for one in (pair.chosen, pair.rejected)]
        both = with_ends(sides, tokenizer, ends)
        for (right, start), (wrong, _) in zip(both, both, strict=True):
            counts["rows"] += 1
            longest = max(len(right), len(wrong))
            if limit is not None and longest > limit:
                counts.update(("truncated", "lost"))
                continue
            counts["longest"] = max(counts["longest"], longest)
            yield {"prompt_ids": right[:start], "chosen_ids": right[start:], "rejected_ids": wrong[start:]}


def unpaired(rows: Sequence[dict[str, list[int]]], seed: int) -> list[dict[str, Any]]:
    """Each answer of the pairs once, as `prompt_ids`, `completion_ids` and `label` (whether it is right), in random order."""
    both = (("chosen_ids", True), ("rejected_ids", False))
    single = {(*row["prompt_ids"], -1, *row[name]): (row["prompt_ids"], row[name], label) for row in rows for name, label in both}
    mixed = [{"prompt_ids": prompt, "completion_ids": answer, "label": label} for prompt, answer, label in single.values()]
    random.Random(f"pairs:{seed}").shuffle(mixed)
    return mixed


def _dpo(rows: list[dict[str, Any]], given: dict[str, Any], **more: Any) -> Any:
    return _Dpo(args=DPOConfig(**given), train_dataset=Dataset.from_list(rows), **more)


def _kto(rows: list[dict[str, Any]], given: dict[str, Any], **more: Any) -> Any:
    """With the rarer kind of answers weighing as much as the other, and each prompt beside the answer of its neighbour in the batch, by
    which TRL estimates the KL to the reference, over the batches of all devices."""
    right = sum(row["label"] for row in rows)
    wrong = len(rows) - right
    weights = {"desirable_weight": max(1.0, wrong / right), "undesirable_weight": max(1.0, right / wrong)}
    args = KTOConfig(**weights | given)
    neighboured(rows, args.per_device_train_batch_size * args.world_size)
    return _Kto(args=args, train_dataset=Dataset.from_list(rows), **more)


def two_or_more(at_once: int, rows: int) -> int:
    """Rows that are computed at once, of the `rows` of a step: an equal part of them, and two or more, as each is compared with another."""
    return next((size for size in range(max(2, at_once), rows + 1) if rows % size == 0), 2)


def neighboured(rows: list[dict[str, Any]], size: int) -> None:
    """Give each row of a batch of `size` the answer of the row before it; the first one that of the last, and a row that is alone in the
    last batch that of the batch before."""
    for start in range(0, len(rows), size):
        batch = rows[start : start + size]
        first = batch[-1] if len(batch) > 1 else rows[start - 1]
        for row, before in zip(batch, [first, *batch], strict=False):
            row["KL_completion_ids"] = before["completion_ids"]
