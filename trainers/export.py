"""Writes the weights of a target into a folder of their own: a whole model, or the adapter alone.

Does NOT cover: which weights, the model card, and the move of the finished folder to its place (errata.programs.report.export).
"""

import json
import shutil
import warnings
from pathlib import Path

import torch

from ..signatures.errors import TargetError, first_line
from .memory import choose_device, has_bfloat16
from .settings import TargetSettings
from .target import load_model, ties_broken
from .weights import BASE_FILE, companions, folder_of, weights_hash

_PLACES = ("_name_or_path", "name_or_path")
"""Fields of old configs that hold the path on the machine where the file was written."""
_LEGAL = ("LICENSE*", "LICENCE*", "NOTICE*")


def write_model(target: TargetSettings, out: Path) -> str:
    """Write a folder that transformers loads without anything beside it: the model, or base and adapter merged into one.

    All but the weights stays the base's own. The sum of a merge is taken in float32 and rounded once to the base's number format.
    Returns the format's name. Raises TargetError, also for an adapter that cannot be merged.
    """
    base = folder_of(target.model)
    out.mkdir(parents=True)
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    if target.adapter is None:
        for path in [*base.glob("*.safetensors"), *base.glob("*.bin"), *base.glob("*.index.json")]:
            shutil.copyfile(path, out / path.name)
    else:
        config["dtype"] = _merge(target, out)
    for path in (*companions(base), *(path for pattern in _LEGAL for path in base.glob(pattern))):
        _copy(path, out / path.relative_to(base))
    return str(config.get("dtype") or config.get("torch_dtype") or "unknown")


def _merge(target: TargetSettings, out: Path) -> str:
    """Saves base + adapter as one model; the name of its number format."""
    model = load_model(target, torch.device("cpu"), "auto", trainable=True)
    if ties_broken(model):
        why = f"changes embeddings that {target.model} shares between input and output; merged, it would be another model"
        raise TargetError(f"the adapter at {target.adapter} {why}: export it with --adapter")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of peft's, nothing to act on here
        try:
            merged = model.merge_and_unload()
        except RuntimeError as error:  # e.g. biases of its own where the model has none
            raise TargetError(f"the adapter at {target.adapter} cannot be merged: {first_line(error)}; export it with --adapter") from None
    if bad := [name for name, p in merged.named_parameters() if not torch.isfinite(p).all()]:
        raise TargetError(f"{target.model} with the adapter at {target.adapter} has numbers that are not finite, e.g. in {bad[0]}")
    merged.save_pretrained(str(out))
    return str(merged.dtype).removeprefix("torch.")


def write_adapter(target: TargetSettings, out: Path, base: str) -> int:
    """Write the adapter of `target` alone, named as belonging to `base`. Returns its largest rank (0 where it has none)."""
    folder = Path(target.adapter or "").expanduser()
    out.mkdir(parents=True)
    for path in (*folder.glob("adapter_model.*"), folder / BASE_FILE):
        if path.is_file():
            shutil.copyfile(path, out / path.name)
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = base
    (out / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return max([config.get("r") or 0, *(config.get("rank_pattern") or {}).values()])


def measured_in(target: TargetSettings) -> str:
    """The number format that the target answered in, where the settings or the CPU fix it; empty: that of its files, or a server's."""
    if target.servers or target.dtype != "auto":
        return "" if target.servers else target.dtype
    cpu = target.device == "cpu" or (target.device == "auto" and not has_bfloat16(choose_device("auto")))
    return "float32" if cpu else ""


def same_weights(written: TargetSettings, wanted: str) -> None:
    """Raises TargetError when what was written reads as other weights than those that were meant."""
    if (got := weights_hash(written)) != wanted:
        raise TargetError(f"the copy of the weights reads as {got}, not {wanted}: the files changed meanwhile, or the disk is at fault")


def _copy(path: Path, to: Path) -> None:
    """A copy that names no place on this machine."""
    to.parent.mkdir(exist_ok=True)
    value = json.loads(path.read_text(encoding="utf-8")) if path.suffix == ".json" else None
    if isinstance(value, dict) and not value.keys().isdisjoint(_PLACES):
        kept = {name: inner for name, inner in value.items() if name not in _PLACES}
        to.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    else:
        shutil.copyfile(path, to)
