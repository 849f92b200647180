"""Which weights a target has: its folders, the hash of their content, and the settings of what a training left behind.

Only reads files: neither torch nor transformers is loaded, so that a report and a served target can ask.
Does NOT cover: loading a model (target.py) and training one (sft.py).
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..signatures.errors import ErrataError, TargetError, TrainerError, first_line, memory_ran_out
from ..signatures.files import sha256
from ..signatures.records import TrainReport, content_hash, unsealed
from .dequantize import dequantized, gguf_file
from .settings import TargetSettings

TINY = Path(__file__).parent / "tiny"
BASE_FILE = "base.json"
"""Beside an adapter of Errata's: the hash of the weights that the adapter belongs to."""
_AGAIN = "put the old ones back, or delete {} and give `errata cycle` again, which trains anew"
_TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "merges.txt", "vocab.txt", "tokenizer.model", "chat_template.jinja", "chat_template.json",
)  # fmt: skip
# Fields that name a place or a library version and change no answer.
_INCIDENTAL = {"_name_or_path", "name_or_path", "transformers_version", "base_model_name_or_path", "peft_version", "revision"}


def folder_of(model: str) -> Path:
    """Folder with the model's files. A hub id is fetched, or found in the hub's cache; a GGUF file is dequantized into Errata's, or found
    there. Raises TargetError."""
    if not model:
        raise TargetError("the target's weights are not on this machine: name their folder or hub id with --target")
    if file := gguf_file(model):
        return dequantized(file)
    folder = TINY if model == "tiny" else Path(model).expanduser()
    if model != "tiny" and not folder.is_dir():
        if not hub_id(model):
            raise TargetError(f"no model folder at {model}: give `tiny`, a folder with config.json, a GGUF file, or a hub id")
        folder = _fetch(model)
    if not (folder / "config.json").is_file():
        if (folder / "adapter_config.json").is_file():
            raise TargetError(f"{model} holds an adapter, not a model: give its base as the model and this as the adapter")
        raise TargetError(f"{model} has no config.json, so it is not a model that transformers can load")
    if not any(folder.glob("*.safetensors")):
        others = "others (*.bin) are pickles, which can hold code and are not loaded"
        act = "where you trust them, save the model again with transformers 5"
        raise TargetError(f"{model} has no weights (*.safetensors) beside its config.json; {others}: {act}")
    return folder


def hub_id(model: str) -> bool:
    """Whether a name is no place on this machine and can be that of a model at the hub."""
    named = re.fullmatch(r"\w[\w.-]*(/[\w.-]+)?", model) and not model.lower().endswith(".gguf")
    return model != "tiny" and bool(named) and not Path(model).exists()


def _fetch(model: str) -> Path:
    from huggingface_hub import snapshot_download  # half a second, and most targets lie in a folder

    patterns = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "*.py", "README.md", "LICEN[CS]E*", "NOTICE*"]
    try:
        return Path(snapshot_download(model, allow_patterns=patterns, ignore_patterns=["*/*"]))
    except Exception as error:  # a hub error has many types: no such id, no right, no network, no space
        raise TargetError(f"no folder named {model}, and the hub did not give it ({first_line(error)}): give a folder") from None


def companions(folder: Path) -> list[Path]:
    """The files that make a model folder beside its weights: configs, tokenizer, chat template, code."""
    named = (folder / name for name in ("config.json", "generation_config.json", *_TOKENIZER_FILES))
    more = (*folder.glob("*.py"), *folder.glob("additional_chat_templates/*.jinja"))
    return [path for path in (*named, *sorted(more)) if path.is_file()]


def weights_hash(settings: TargetSettings) -> str:
    """Content hash of weights, config, tokenizer, chat template and adapter: 16 hex digits, the same in any folder.

    Weights that only a server has are known by its address and their name there: the hash stays when the server is given others.
    Reads files and loads no model. Raises TargetError.
    """
    with naming(settings.model):
        parts: list[Any] = []
        if settings.api_base and not settings.model:
            where = settings.api_base if isinstance(settings.api_base, str) else sorted(settings.servers)  # in any order
            parts += ["served", where, settings.served_name]
        else:
            folder = folder_of(settings.model)
            files = [*sorted(folder.glob("*.safetensors")), *(p for p in companions(folder) if p.name != "generation_config.json")]
            parts += [[path.name, _file_hash(path)] for path in files]
            generation = folder / "generation_config.json"  # of it, only what ends an answer counts
            parts.append(json.loads(generation.read_text(encoding="utf-8")).get("eos_token_id") if generation.is_file() else None)
        if settings.adapter:
            adapter = adapter_folder(settings.adapter)
            adapter_files = [adapter / "adapter_config.json", *sorted(adapter.glob("adapter_model.*"))]
            parts.append([[path.name, _file_hash(path)] for path in adapter_files])
    return content_hash(parts)


def _file_hash(path: Path) -> str:
    if path.suffix == ".json" and path.name != "tokenizer.json":
        value = json.loads(path.read_text(encoding="utf-8"))
        return content_hash({k: v for k, v in value.items() if k not in _INCIDENTAL} if isinstance(value, dict) else value)
    blob = path.resolve()
    # The hub's cache names large files by their SHA-256 already.
    if blob.parent.name == "blobs" and re.fullmatch(r"[0-9a-f]{64}", blob.name):
        return blob.name
    return sha256(path)


def adapter_folder(adapter: str) -> Path:
    """The folder of a PEFT adapter. Raises TargetError."""
    folder = Path(adapter).expanduser()
    if not (folder / "adapter_config.json").is_file() or not (folder / "adapter_model.safetensors").is_file():
        raise TargetError(f"no PEFT adapter at {adapter}: a folder with adapter_config.json and adapter_model.safetensors is needed")
    return folder


def check_base(settings: TargetSettings) -> None:
    """Raises TargetError when the adapter says that it was trained on other weights than the model's."""
    file = adapter_folder(settings.adapter or "") / BASE_FILE
    if file.is_file():
        wanted = json.loads(file.read_text(encoding="utf-8"))["base"]
        if wanted != (got := weights_hash(settings.model_copy(update={"adapter": None}))):
            raise TargetError(f"{not_its_adapter(settings)}it was trained on the weights {wanted}, and these are {got}")


def not_its_adapter(settings: TargetSettings) -> str:
    return f"the adapter at {settings.adapter} does not belong to {settings.model}: "


@contextmanager
def naming(model: str) -> Iterator[None]:
    """Turns what reading or loading a model's files raises into a TargetError that names the model."""
    try:
        yield
    except TargetError:
        raise
    except Exception as error:  # a damaged folder raises nearly anything
        if memory_ran_out(error):
            raise TargetError(f"{model} does not fit in memory: use a smaller model or a narrower dtype") from None
        own_code = "runs Python code of its own: read it, then set trust_remote_code to true"
        why = own_code if "trust_remote_code" in str(error) else f"cannot be loaded: {first_line(error)}"
        raise TargetError(f"{model} {why}") from None


def trained(target: TargetSettings, out: Path) -> TargetSettings:
    """The settings of the weights that a finished training of `target` left in `out`.

    Raises TrainerError when they are not those that its manifest names: gone, changed or damaged."""
    weights = out / "weights"
    if not weights.is_dir():
        raise TrainerError(f"{weights} is missing: {_AGAIN.format(out)}")
    adapter = (weights / "adapter_config.json").exists()
    settings = target.model_copy(update={"adapter": str(weights)} if adapter else {"model": str(weights), "adapter": None})
    try:
        found = weights_hash(settings)
    except ErrataError:
        found = "none"
    if found != (wanted := finished(out)[1].weights):
        what = "base or adapter have" if adapter else "a file has"
        raise TrainerError(f"{weights} are not those that were trained ({found}, not {wanted}): {what} changed since; {_AGAIN.format(out)}")
    return settings


def finished(out: Path) -> tuple[str, TrainReport]:
    """The key and the report of a finished training. Raises TrainerError when its manifest is damaged."""
    try:
        found = unsealed(json.loads((out / "manifest.json").read_bytes()))
        return found["key"], TrainReport.model_validate(found["report"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise TrainerError(f"{out}/manifest.json is damaged; {_AGAIN.format(out)}") from None
