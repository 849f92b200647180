"""The processes of one training on several devices (`train.devices`): one a device, started by torchrun, numbered by rank from 0.

Each computes its part of a step's rows; torch's DistributedDataParallel, as transformers and accelerate set it up, sums the gradients. So
the rows of a step and the loss, over all tokens of the step, are those of one device. Rank 0 alone tells, seals checkpoints and saves.
Does NOT cover: starting them (trainers.sft), several machines.
"""

import json
import os
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow.compute as pc
import torch
from datasets import Dataset, concatenate_datasets
from torch import distributed
from torch.utils.data import RandomSampler, Sampler

from ...signatures.files import write_whole
from ..settings import GROUPED, Job

GROUP = 50
"""Steps whose rows are sorted together: the fewer, the more random; transformers takes as many."""


def rank(job: Job) -> int:
    return int(os.environ["RANK"]) if job.settings.devices > 1 else 0


def take_device(job: Job, device: torch.device) -> None:
    """What this process asks of `cuda` from now on is asked of its own GPU."""
    if job.settings.devices > 1 and device.type == "cuda":
        torch.cuda.set_device(rank(job))


def each(job: Job, name: str, value: Any) -> list[Any]:
    """What each rank has for `name`, by rank, once all have told it. By files: they are not connected yet, and rank 0 may read rows for
    longer than a connection would wait. Where one fails, torchrun ends those that wait."""
    if job.settings.devices == 1:
        return [value]
    files = [job.scratch / f"{name}-{number}.json" for number in range(job.settings.devices)]
    write_whole(files[rank(job)], json.dumps(value).encode())
    while not all(file.exists() for file in files):
        time.sleep(0.02)
    return [json.loads(file.read_bytes()) for file in files]


def of_first(job: Job, value: Any) -> Any:
    """What rank 0 has, at all ranks."""
    if job.settings.devices == 1:
        return value
    values = [value]
    distributed.broadcast_object_list(values, src=0)
    return values[0]


def anywhere(job: Job, found: bool) -> bool:
    """Whether any rank found it, once all have come here."""
    if job.settings.devices == 1:
        return found
    told = [False] * job.settings.devices
    distributed.all_gather_object(told, found)
    return any(told)


def only_first(job: Job) -> None:
    """Rank 0 goes on alone; the others end well."""
    if job.settings.devices > 1:
        distributed.destroy_process_group()
        if rank(job):
            raise SystemExit(0)


def reseed(job: Job) -> None:
    """Ranks draw noise and dropout of their own, not all the same on different rows."""
    if rank(job):
        torch.manual_seed(job.seed * 1_000_003 + rank(job))


def with_blank(data: Dataset) -> Dataset:
    """The rows, and behind them one without a token to learn."""
    return concatenate_datasets([data, data.select([0]).map(_unlearnt, keep_in_memory=True)])


def _unlearnt(row: dict[str, Any]) -> dict[str, Any]:
    return {"labels": [-100] * len(row["labels"])}


class InStep:
    """Of a Trainer: on several devices, the rows of a step and their order are those of one device, also where rows of about one length
    share a step."""

    blank: bool
    """Whether the last row is a blank one, with which parts of a step are filled up."""
    args: Any
    state: Any
    train_dataset: Any

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        grouped = self.args.train_sampling_strategy == GROUPED and "input_ids" in self.train_dataset.column_names
        if grouped:
            return InOrder(self, len(self.train_dataset), True, _lengths(self.train_dataset))
        if self.args.world_size == 1:
            return super()._get_train_sampler(train_dataset)  # type: ignore[misc]
        shuffled = isinstance(super()._get_train_sampler(train_dataset), RandomSampler)  # type: ignore[misc]
        return InOrder(self, len(self.train_dataset), shuffled)


def _lengths(data: Dataset) -> list[int]:
    """Tokens of each row."""
    parts = data.with_format("arrow").select_columns(["input_ids"]).iter(10_000)
    return [length for part in parts for length in pc.list_value_length(part.column("input_ids")).to_pylist()]


def grouped_by_length(order: Sequence[int], lengths: Sequence[int], step: int, drawn: torch.Generator) -> list[int]:
    """The places of `order`, so that the rows of a `step` are of about one length: those of GROUP steps at a time are sorted, then cut into
    steps, which come in random order. A last step that is not full stays the last. As transformers' LengthGroupedSampler, but by a
    generator of its own, so that a continued training has the same order."""
    steps = []
    for begin in range(0, len(order), GROUP * step):
        part = sorted(order[begin : begin + GROUP * step], key=lambda place: -lengths[place])
        steps += [part[at : at + step] for at in range(0, len(part), step)]
    rest = steps.pop() if steps and len(steps[-1]) < step else []
    return [place for number in torch.randperm(len(steps), generator=drawn).tolist() for place in steps[number]] + rest


class InOrder(Sampler[int]):
    """Places of the rows of an epoch, in the order of one device, filled up until each device has as many.

    They are filled up with the blank row, or with rows of the same last step. By itself accelerate takes the first rows of the epoch once
    more (BatchSamplerShard), and a continued training loses its epoch, so that rows come in the order of the first one (SkipBatchSampler
    hides the sampler from DataLoaderShard.set_epoch; accelerate 1.15, data_loader.py). The order is that of its SeedableRandomSampler.
    """

    def __init__(self, trainer: Any, length: int, shuffled: bool, lengths: Sequence[int] | None = None):
        self._trainer = trainer
        self._shuffled = shuffled
        self._lengths = lengths
        several = trainer.args.world_size > 1
        self._rows = length - (several and trainer.blank)
        self._total = -(-self._rows // self._together) * self._together if several else self._rows

    @property
    def _together(self) -> int:
        """Rows that all devices compute at once."""
        return self._trainer.args.per_device_train_batch_size * self._trainer.args.world_size

    def __len__(self) -> int:
        return self._total

    def __iter__(self) -> Iterator[int]:
        args = self._trainer.args
        epoch = int(self._trainer.state.epoch or 0)
        drawn = torch.Generator().manual_seed((args.data_seed or args.seed) + epoch)
        order = torch.randperm(self._rows, generator=drawn).tolist() if self._shuffled else list(range(self._rows))
        if self._lengths:
            order = grouped_by_length(order, self._lengths, self._step, drawn)
        last = order[(self._rows - 1) // self._step * self._step :]
        missing = self._total - self._rows
        return iter(order + ([self._rows] * missing if self._trainer.blank else (last * missing)[:missing]))

    @property
    def _step(self) -> int:
        """Rows of a step."""
        return self._together * self._trainer.args.gradient_accumulation_steps
