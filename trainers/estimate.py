"""How much memory and disk a target needs to be evaluated and trained, told from its files before anything is loaded.

Of a training are counted: weights, gradients, the optimizer's states, what autograd keeps of the longest rows (as `transformers` writes a
Llama-like layer, with sdpa attention), and the tile of logits that TRL makes at a time, never all of them. `docs/scaling.md` holds
estimates beside what was measured. Does NOT cover: quantized weights, what FSDP shares out, eager attention, a server's memory.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from huggingface_hub import get_safetensors_metadata, hf_hub_download, parse_local_safetensors_file_metadata, snapshot_download
from tokenizers import Tokenizer

from ..signatures.errors import TargetError, UsageError, first_line
from .dequantize import gguf_file, made, outline
from .memory import choose_device, cpu_bfloat16, first_batch, fitting_batch, has_bfloat16, keeps_freed
from .settings import SMALL, TargetSettings, TrainSettings
from .weights import TINY, folder_of, hub_id, naming

PROCESS = 750_000_000
"""Bytes that a process with torch, TRL and PEFT takes before it loads a model."""
MARGIN = 0.9
"""Share of the free memory that a training is planned to take: an estimate may be off, and others may ask for some."""
KEPT = 1.38
"""What a training takes of memory where freed blocks are kept, to what it has in use: 1.1 to 1.7 measured (scripts/bench_memory.py)."""
MARKS = 24
"""Tokens that a chat template adds to a question and its answer, about."""
ANSWER = 384
"""Tokens of prompt and answer that are counted in an evaluation: long ones, as most are of school sums."""
_TILE = (4096, 32768)  # tokens and entries of the vocabulary: TRL's kernels/chunked_logprob.py
_NAMES = {
    "hidden_size": ("n_embd", "d_model", "dim"),
    "num_hidden_layers": ("n_layer", "n_layers", "num_layers"),
    "num_attention_heads": ("n_head", "n_heads"),
    "intermediate_size": ("n_inner", "ffn_dim", "ffn_hidden_size", "d_ff"),
}
"""Older names in config.json."""


def _size(config: dict[str, Any], *names: str) -> int:
    """The first of these that is a size; 0: none is."""
    return next((value for name in names if isinstance(value := config.get(name), int) and value > 0), 0)


class Shape(NamedTuple):
    """The sizes of a model."""

    parameters: int
    layers: int
    hidden: int
    heads: int
    """Width of all query heads together."""
    keys: int
    """Width of all key heads together."""
    inner: int
    """Width of the feed-forward part, of the experts that a token takes together."""
    vocabulary: int
    context: int | None
    download: int = 0
    """Bytes that the hub would send first; 0 where the files are here."""
    half: bool = False
    """Whether most weights are stored in 16 bits."""

    @classmethod
    def of(cls, config: dict[str, Any], parameters: int, download: int = 0, half: bool = False) -> "Shape":
        """From config.json. Raises TargetError when it does not tell."""
        config = config.get("text_config") or config
        known = {name: _size(config, name, *others) for name, others in _NAMES.items()}
        hidden, layers, heads, inner = known.values()
        if not (hidden and layers):
            raise TargetError("its config.json does not name hidden_size and num_hidden_layers, so what it needs is not known: add them")
        heads = heads or 1
        head = _size(config, "head_dim") or hidden // heads
        inner = (_size(config, "moe_intermediate_size") or inner or 4 * hidden) * (_size(config, "num_experts_per_tok") or 1)
        keys = head * (_size(config, "num_key_value_heads") or heads)
        tokens, context = _size(config, "vocab_size"), _size(config, "max_position_embeddings", "n_positions") or None
        return cls(parameters, layers, hidden, head * heads, keys, inner, tokens, context, download, half)


def may_narrow(target: TargetSettings) -> bool:
    """Whether a target whose format is left open may answer in bfloat16 on the CPU that it runs on."""
    try:
        device = choose_device(target.device)
        return device.type == "cpu" and narrow(shape_of(target.model), device)
    except TargetError:  # told when it is opened
        return False


def cached(shape: Shape, width: int, tokens: int) -> int:
    """Bytes of an answer's keys and values, `width` bytes a number, of a prompt and its answer of so many tokens."""
    return 2 * width * min(tokens, shape.context or tokens) * shape.layers * shape.keys


class Need(NamedTuple):
    """Of one target, in bytes."""

    method: str
    """`full` or `lora`, as the training would choose."""
    at_once: int
    """Rows that are computed together in training."""
    tokens: int
    """Of each, at most."""
    evaluate: int
    train: int
    disk: int
    """What one round leaves in the run directory at most, checkpoints included."""


def shape_of(model: str) -> Shape:
    """The sizes of the model in a folder or at the hub. Neither loads nor fetches weights. Raises TargetError."""
    if hub_id(model):
        try:
            return shape_of(snapshot_download(model, local_files_only=True))
        except Exception:  # not here, or not whole: ask the hub
            return _at_the_hub(model)
    if (file := gguf_file(model)) and not made(file):
        config, parameters, half = outline(file)
        return Shape.of(config, parameters, half=half)
    with naming(model):
        folder = folder_of(model)
        counts = [parse_local_safetensors_file_metadata(path).parameter_count for path in folder.glob("*.safetensors")]
        config = dict(json.loads((folder / "config.json").read_text(encoding="utf-8")))
        index = folder / "model.safetensors.index.json"
        named = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()) if index.is_file() else set()
        if missing := sorted(name for name in named if not (folder / name).is_file()):
            raise TargetError(f"{model} lacks {len(missing)} of its {len(named)} files of weights, e.g. {missing[0]}: fetch it again")
        return Shape.of(config, sum(sum(count.values()) for count in counts), half=_half(sum(map(Counter, counts), Counter())))


def shape_known(config: dict[str, Any], parameters: int) -> Shape | None:
    """The sizes that a config tells; None: it does not."""
    try:
        return Shape.of(config, parameters)
    except TargetError:
        return None


def _at_the_hub(model: str) -> Shape:
    widths = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "I8": 1, "U8": 1}
    try:
        found = get_safetensors_metadata(model).parameter_count
        config = json.loads(Path(hf_hub_download(model, "config.json")).read_text(encoding="utf-8"))
    except Exception as error:  # a hub error has many types: no such id, no right, no network
        raise TargetError(f"{model} is not on this machine, and the hub did not tell its size ({first_line(error)})") from None
    return Shape.of(config, sum(found.values()), sum(count * widths.get(kind, 4) for kind, count in found.items()), _half(found))


def _half(kinds: Mapping[Any, int]) -> bool:
    """Whether most weights are stored in 16 bits; `kinds` counts them by format."""
    return 2 * sum(kinds.get(kind, 0) for kind in ("BF16", "F16")) > sum(kinds.values())


def narrow(shape: Shape, device: torch.device) -> bool:
    """Whether bfloat16 is worth a try: on a GPU that can, and on a CPU that has instructions for it where the weights are stored in 16
    bits and are not few."""
    return has_bfloat16(device) or (device.type == "cpu" and shape.half and shape.parameters >= SMALL and cpu_bfloat16())


def need(shape: Shape, target: TargetSettings, train: TrainSettings, room: int, longest: int | None = None) -> Need:
    """What a target of this shape needs, where `room` bytes are free on the device that trains. The `longest` row has so many tokens; None:
    as many as `train` allows."""
    device, at = choose_device(target.device), choose_device(train.device)
    half = 2 if target.dtype in ("bfloat16", "float16") or (target.dtype == "auto" and has_bfloat16(device)) else 4
    each, prompts = cached(shape, half, ANSWER), target.batch_size or 1  # a GPU's batch halves by itself
    if device.type == "cpu" and not target.batch_size:
        prompts = fitting_batch(first_batch(shape.parameters, "cpu"), each, "cpu")
    cache = each * prompts
    method = train.method_for(shape.parameters, target.adapter)
    asked = None if train.sft.get("max_length", 0) is None else _whole(train, "sft", "max_length", train.max_length)
    tokens = min((size for size in (asked, shape.context, longest) if size), default=train.max_length)
    at_once = rows_at_once(shape, method, train, tokens, room - _process(at))
    learns = shape.parameters if method == "full" else _adapter(shape, train)
    return Need(
        method=method,
        at_once=at_once,
        tokens=tokens,
        evaluate=half * shape.parameters + cache + _process(device),
        train=int(kept(shape, method, train, tokens, room - _process(at)) * training(shape, method, train, at_once, tokens)) + _process(at),
        disk=(2 * 12 + 4) * learns,
    )


def tokens_of(model: str, texts: Sequence[str]) -> int:
    """Tokens of the longest text by the target's tokenizer, or by its length where that is not on this machine, and of a chat's marks."""
    gguf = gguf_file(model)
    folder = made(gguf) if gguf else TINY if model == "tiny" else Path(model).expanduser()
    file = folder / "tokenizer.json" if folder else None
    if file is None or not file.is_file():
        return MARKS + max((len(text.encode()) // 3 for text in texts), default=0)
    with naming(model):
        return MARKS + max((len(row.ids) for row in Tokenizer.from_file(str(file)).encode_batch(list(texts))), default=0)


def rows_at_once(shape: Shape, method: str, train: TrainSettings, longest: int, room: int) -> int:
    """How many of the rows of a step, of `longest` tokens at most, a device computes together: all of its own, or the largest equal part
    that fits into `room` bytes; 1 where none does. `train.sft.per_device_train_batch_size` wins."""
    if "per_device_train_batch_size" in train.sft:
        return _whole(train, "sft", "per_device_train_batch_size", 8)
    share = MARGIN / kept(shape, method, train, longest, room)
    parts = [size for size in range(train.rows_each, 0, -1) if train.rows_each % size == 0]
    return next((size for size in parts if training(shape, method, train, size, longest) <= share * room), 1)


def kept(shape: Shape, method: str, train: TrainSettings, longest: int, room: int, rows: int | None = None) -> float:
    """KEPT where freed blocks are kept: where that makes a difference, and so many `rows` at a time fit so. Else 1. A plan asks without
    `rows`: whether as many as are set, or one, fit."""
    rows = rows or _whole(train, "sft", "per_device_train_batch_size", 1)
    fits = KEPT * training(shape, method, train, rows, longest) <= MARGIN * room
    return KEPT if fits and keeps_freed(shape.parameters, choose_device(train.device)) else 1.0


def most_kept(shape: Shape, method: str, train: TrainSettings, longest: int, room: int, rows: int) -> int | None:
    """Bytes that a process takes with a training of so many `rows` at a time that keeps freed blocks; None where they are not kept."""
    factor = kept(shape, method, train, longest, room, rows)
    return int(factor * training(shape, method, train, rows, longest)) + _process(choose_device(train.device)) if factor > 1 else None


def training(shape: Shape, method: str, train: TrainSettings, rows: int, longest: int) -> int:
    """Bytes at the peak of a training that computes `rows` rows of `longest` tokens at a time, beside what the process took before."""
    device, sft = choose_device(train.device), train.sft
    mixed = bool(sft.get("bf16", has_bfloat16(device)))
    half = mixed if device.type == "cpu" else has_bfloat16(device)  # what is frozen
    width = 2 if mixed else 4
    tokens = rows * longest
    layer, stream = tokens * width * _kept(shape, method, mixed, train, longest), tokens * shape.hidden * (4 if method == "full" else width)
    checkpointed = sft.get("activation_checkpointing", sft.get("gradient_checkpointing", checkpoints(device, shape.parameters)))
    tile = min(tokens, _TILE[0]) * min(shape.vocabulary, _TILE[1]) * (2 * width if device.type == "cuda" else width + 7 * 4)
    tile += 4 * shape.vocabulary * shape.hidden if method == "full" else 0  # the gradient of the output layer, before it is added
    computed = shape.layers * stream + max(tile, 2 * layer) if checkpointed else shape.layers * layer + max(tile, layer)
    learns = shape.parameters if method == "full" else _adapter(shape, train)
    frozen = 0 if method == "full" else shape.parameters * (2 if half else 4)
    copies = 2 * shape.parameters if mixed and not (frozen and half) else 0  # autocast keeps the weights in both formats
    blended = 4 * learns if train.strength(method)[1] < 1 and device.type == "cpu" else 0  # the old weights, kept for the end
    held = frozen + copies + blended + learns * (4 + _optimizer(str(sft.get("optim", ""))))
    # the gradients; they stand beside the activations when the rows of a step come in parts. DistributedDataParallel holds them once more
    sums = 4 * learns * (1 + (train.devices > 1))
    parts = rows < train.rows_each or _whole(train, "sft", "gradient_accumulation_steps", 1) > 1
    return held + (sums + computed if parts else max(sums, computed))


def checkpoints(device: torch.device, parameters: int) -> bool:
    """Whether activations are computed again in the backward pass by default; torch 2.13 cannot on MPS."""
    return device.type == "cuda" and parameters > 1e9


def _kept(shape: Shape, method: str, mixed: bool, train: TrainSettings, longest: int) -> int:
    """Numbers that autograd keeps for a token and layer. Counted on Llama by saved_tensors_hooks: inputs of the projections, which PEFT's
    float32 adapters and autocast keep once for each; the float32 inside of the norms; queries, keys, values, answers and the mask of
    attention; gate, its activation, up, and their product."""
    hidden = {(False, "lora"): 4, (False, "full"): 6, (True, "lora"): 9, (True, "full"): 13}[mixed, method]
    rank = 7 * _whole(train, "lora", "r", 16) if method == "lora" else 0
    return hidden * shape.hidden + 4 * shape.heads + 4 * shape.inner + longest + rank


def _adapter(shape: Shape, train: TrainSettings) -> int:
    """Parameters of an adapter on all linear layers."""
    ends = 7 * shape.hidden + 2 * shape.heads + 2 * shape.keys + 3 * shape.inner
    return shape.layers * _whole(train, "lora", "r", 16) * ends


def _whole(train: TrainSettings, part: str, name: str, usual: int) -> int:
    """A field that is handed through to a library. Raises UsageError when it is no number."""
    value = getattr(train, part).get(name, usual)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UsageError(f"train.{part}.{name} is {value!r}: give a whole number of at least 1")
    return value


def _optimizer(name: str) -> int:
    """Bytes of an optimizer's states for a parameter; Adam has two of 4."""
    return 0 if name.startswith(("sgd", "adafactor")) else 2 if "8bit" in name else 8


def _process(device: torch.device) -> int:
    return PROCESS if device.type == "cpu" else 0
