"""Goes a part of the way back: from weights that were trained to those that the training began with (WiSE-FT, Wortsman et al. 2022, arXiv
2109.01903, "Robust fine-tuning of zero-shot models"). Nothing is learned; what was forgotten on the way comes back first.

Of a model each weight lies at a share of the way from its old value to its trained one; of an adapter each of its own, or, where the
training began it, its B matrices, whose product with A they scale, and modules that it replaces. In formats of 16 bits most weights of a
training move by the last digit alone; there each is rounded up or down by chance, so that the share is right in the mean. Does NOT cover:
how far (errata.programs.steps.gate).
"""

import time
from collections.abc import Iterator
from typing import Any

import torch
from peft import load_peft_weights, set_peft_model_state_dict

from ...signatures.errors import TargetError
from ...signatures.records import TrainReport
from ..fit import blend, keep_seconds, save, versions
from ..judge import Judge
from ..settings import Job, OnProgress, TargetSettings
from ..target import load_model
from ..weights import weights_hash


def fit(job: Job, tell: OnProgress, judge: Judge | None = None) -> TrainReport:
    """Leaves `weights` in the job's folder: `job.share` of the way from `job.start` to `job.target`. Raises TargetError."""
    begun, start, target = time.monotonic(), job.start, job.target
    assert start is not None, "a way back leads somewhere"
    model = _loaded(target)
    learned = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    if not target.adapter:
        old = dict(_loaded(start).named_parameters())
    elif start.adapter:
        old = _of_adapter(model, learned, start.adapter)
    else:
        old = dict(_before_adapter(model, learned))
    if not old or any(name not in learned or learned[name].shape != weight.shape for name, weight in old.items()):
        raise TargetError(f"{target.adapter or target.model} has other weights than {start.adapter or start.model}: no way leads back")
    blend(model, old, job.share)
    save(model, "lora" if target.adapter else "full", job, None)
    keep_seconds(job, time.monotonic() - begun, "cpu")
    made = {"adapter": str(job.weights)} if target.adapter else {"model": str(job.weights)}
    weights = weights_hash(target.model_copy(update=made))
    return TrainReport(
        base=job.base,
        weights=weights,
        data=job.data,
        rows_in=0,
        rows_kept=0,
        rows_truncated=0,
        steps=0,
        loss_first=0.0,
        loss_last=0.0,
        back=job.share,
        versions=versions(),
    )


def _loaded(settings: TargetSettings) -> Any:
    """The model, in the format in which it is stored, with its adapter apart."""
    return load_model(settings, torch.device("cpu"), "auto", trainable=True)


def _before_adapter(model: Any, learned: dict[str, Any]) -> Iterator[tuple[str, torch.Tensor]]:
    """Of a new adapter, what changes nothing: B matrices of zeros, norms, and the model's own modules where it has some in their place."""
    own = dict(model.named_parameters())
    for name, weight in learned.items():
        if "lora_B" in name or "lora_embedding_B" in name:
            yield name, torch.zeros_like(weight)
        elif "lora_magnitude_vector" in name:  # of DoRA, which begins with the norms of the model's own rows
            below = own[name.replace("lora_magnitude_vector.default.weight", "base_layer.weight")]
            yield name, torch.linalg.norm(below.float(), dim=1).to(weight.dtype)
        elif "modules_to_save.default" in name:
            yield name, own[name.replace("modules_to_save.default", "original_module")]


def _of_adapter(model: Any, learned: dict[str, Any], adapter: str) -> dict[str, torch.Tensor]:
    """The weights of another adapter by the names of those that are `learned`, which stay as they are."""
    own = {name: weight.detach().clone() for name, weight in learned.items()}
    set_peft_model_state_dict(model, load_peft_weights(adapter, device="cpu"))
    old = {name: weight.detach().clone() for name, weight in learned.items()}
    with torch.no_grad():
        for name, weight in learned.items():
            weight.copy_(own[name])
    return old
