"""The target: a local causal language model that answers prompts in batches.

Loads `tiny`, a folder or a hub id with transformers, with an optional PEFT adapter; asks with its own chat template.
Does NOT cover: servers (errata.trainers.served), encoder-decoder models, quantized loading, more than one device.
"""

import gc
import hashlib
import json
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers
from jinja2.exceptions import TemplateError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig, LogitsProcessorList

from ..signatures.errors import TargetError
from ..signatures.records import Message, content_hash
from .settings import TargetSettings

TINY = Path(__file__).parent / "tiny"
BASE_FILE = "base.json"
"""Beside an adapter of Errata's: the hash of the weights that the adapter belongs to."""
SMALL = 20_000_000
"""Parameters of a small model: changed whole by default, computed with one thread, asked in wide batches."""
WIDEST = 1024
"""Prompts that are answered at once at most, however much memory there is."""
ROUND = 128
"""New tokens before the unfinished rows of all batches are gathered into new ones, so that a few long answers do not
hold up a batch of short ones. Each round reads its prompts again: at 64 and below that cost more than it saved on 83-token answers."""
_TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "merges.txt", "vocab.txt", "tokenizer.model", "chat_template.jinja", "chat_template.json",
)  # fmt: skip
# Some templates write the day; always the same one, so that a run continued tomorrow asks with the same prompts.
_DATE = "{% macro strftime_now(format) %}26 Jul 2024{% endmacro %}"
# Fields that name a place or a library version and change no answer.
_INCIDENTAL = {
    "_name_or_path",
    "name_or_path",
    "transformers_version",
    "base_model_name_or_path",
    "peft_version",
    "revision",
}


class Completion(NamedTuple):
    """One answer."""

    text: str
    """Without the prompt and without special tokens."""
    finish: str
    """`stop`, or `length` when the token limit or the model's context cut it."""
    tokens: int
    """New tokens, the end token included."""


class _Row(NamedTuple):
    place: int
    ids: list[int]
    """The prompt and what was answered so far."""
    new: int
    """How many of `ids` were answered."""
    seed: str
    begun: str = ""
    """What the answer begins with; among `ids`, and not counted in `new`."""


# ---------------------------------------------------------------- where it lies, and which it is


def folder_of(model: str) -> Path:
    """Folder with the model's files; a hub id is fetched, or found in the hub's cache. Raises TargetError."""
    if not model:
        raise TargetError("the target's weights are not on this machine: name their folder or hub id with --target")
    folder = TINY if model == "tiny" else Path(model).expanduser()
    if model != "tiny" and not folder.is_dir():
        if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", model) or model.startswith(".") or folder.exists():
            raise TargetError(f"no model folder at {model}: give `tiny`, a folder with config.json, or a hub id")
        folder = _fetch(model)
    if not (folder / "config.json").is_file():
        if (folder / "adapter_config.json").is_file():
            raise TargetError(f"{model} holds an adapter, not a model: give its base as the model and this as the adapter")
        raise TargetError(f"{model} has no config.json, so it is not a model that transformers can load")
    if not _weight_files(folder):
        raise TargetError(
            f"{model} has no weights (*.safetensors) beside its config.json; others (*.bin) are pickles, which can hold code and are not "
            "loaded: where you trust them, save the model again with transformers 5"
        )
    return folder


def _fetch(model: str) -> Path:
    from huggingface_hub import snapshot_download

    patterns = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "*.py", "README.md", "LICEN[CS]E*", "NOTICE*"]
    try:
        return Path(snapshot_download(model, allow_patterns=patterns, ignore_patterns=["*/*"]))
    except Exception as error:  # a hub error has many types: no such id, no right, no network, no space
        why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise TargetError(f"no folder named {model}, and the hub did not give it ({why}): give a folder") from None


def _weight_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def companions(folder: Path) -> list[Path]:
    """The files that make a model folder beside its weights: configs, tokenizer, chat template, code."""
    named = (folder / name for name in ("config.json", "generation_config.json", *_TOKENIZER_FILES))
    return [path for path in (*named, *sorted(folder.glob("*.py"))) if path.is_file()]


def weights_hash(settings: TargetSettings) -> str:
    """Content hash of weights, config, tokenizer, chat template and adapter: 16 hex digits, the same in any folder.

    Weights that only a server has are known by its address and their name there: the hash stays when the server is given others.
    Reads files and loads no model. Raises TargetError.
    """
    with _naming(settings.model):
        parts: list[Any] = []
        if settings.api_base and not settings.model:
            parts += ["served", settings.api_base, settings.served_name]
        else:
            folder = folder_of(settings.model)
            files = [path for path in (*_weight_files(folder), *companions(folder)) if path.name != "generation_config.json"]
            parts += [[path.name, _file_hash(path)] for path in files]
            parts.append(_eos_of_files(folder))
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
    stat = path.stat()
    return _sha256(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=256)
def _sha256(path: Path, size: int, modified: int) -> str:
    """Kept by size and time of change: a run asks for the hash of the same gigabytes many times."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _eos_of_files(folder: Path) -> Any:
    path = folder / "generation_config.json"
    return json.loads(path.read_text(encoding="utf-8")).get("eos_token_id") if path.is_file() else None


def adapter_folder(adapter: str) -> Path:
    """The folder of a PEFT adapter. Raises TargetError."""
    folder = Path(adapter).expanduser()
    if not (folder / "adapter_config.json").is_file() or not (folder / "adapter_model.safetensors").is_file():
        raise TargetError(f"no PEFT adapter at {adapter}: a folder with adapter_config.json and adapter_model.safetensors is needed")
    return folder


# ---------------------------------------------------------------- loading


def choose_device(device: str) -> torch.device:
    """`auto` is CUDA where there is one, else MPS (Apple silicon), else CPU. Raises TargetError when the device named is not there."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise TargetError(f"no such device: {device}; give auto, cpu, cuda, cuda:N or mps") from None
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise TargetError(f"device {device}: this machine has {torch.cuda.device_count()} CUDA devices; use cpu or auto")
    if chosen.type == "mps" and not torch.backends.mps.is_available():
        raise TargetError("device mps was asked for and this machine has none: use cpu or auto")
    return chosen


def has_bfloat16(device: torch.device) -> bool:
    """Whether a GPU computes in bfloat16, as the Trainer judges it too; of a CPU False: small models are slower in it."""
    if device.type == "mps":
        return torch.backends.mps.is_macos_or_newer(14, 0)
    return device.type == "cuda" and torch.cuda.is_bf16_supported()


def load_tokenizer(settings: TargetSettings) -> Any:
    """The model's own tokenizer. Raises TargetError."""
    transformers.logging.set_verbosity_error()
    folder = folder_of(settings.model)
    with _naming(settings.model):
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=settings.trust_remote_code)


def load_model(settings: TargetSettings, device: torch.device, dtype: torch.dtype | str, trainable: bool = False, **more: Any) -> Any:
    """The model with its adapter on `device`; with `trainable` an adapter stays a PeftModel. Raises TargetError.

    A frozen float32 adapter is merged: the same numbers at the speed of the model alone. In narrower formats merging
    would round the adapter away, and one that parts tied embeddings cannot be merged. `more` goes to from_pretrained.
    """
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    folder = folder_of(settings.model)
    with _naming(settings.model):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=settings.trust_remote_code)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            trust_remote_code=settings.trust_remote_code,
            use_safetensors=True,
            output_loading_info=True,
            **more,
        )
        model, found = loaded
        if missing := sorted(found["missing_keys"]):  # they would be random numbers
            raise TargetError(f"{settings.model}: its weights lack {len(missing)} tensors that its config names, e.g. {missing[0]}")
    if settings.adapter:
        model = _with_adapter(model, settings, trainable)
        if not trainable and model.dtype == torch.float32 and not ties_broken(model):
            model = model.merge_and_unload()
    with _naming(settings.model):  # the device's memory may be the smaller one
        model.to(device)
    return model


def _with_adapter(model: Any, settings: TargetSettings, trainable: bool) -> Any:
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors import safe_open

    folder = adapter_folder(settings.adapter or "")
    refusal = _strange_adapter(settings)
    check_base(settings)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of peft's use of transformers, nothing to act on here
            loaded = PeftModel.from_pretrained(model, str(folder), is_trainable=trainable)
    except (RuntimeError, ValueError) as error:
        raise TargetError(f"{refusal}{_first_line(error)}") from None
    # by any other name peft would ask the hub for the base's config
    loaded.active_peft_config.base_model_name_or_path = str(folder_of(settings.model))
    file = folder / "adapter_model.safetensors"
    if file.is_file():  # peft leaves out tensors that the model has no place for with a warning only
        with safe_open(file, "pt") as tensors:
            strange = set(tensors.keys()) ^ set(get_peft_model_state_dict(loaded))
        if strange:
            raise TargetError(f"{refusal}{len(strange)} tensors differ, e.g. {min(strange)}")
    return loaded


def check_base(settings: TargetSettings) -> None:
    """Raises TargetError when the adapter says that it was trained on other weights than the model's."""
    file = adapter_folder(settings.adapter or "") / BASE_FILE
    if file.is_file():
        wanted = json.loads(file.read_text(encoding="utf-8"))["base"]
        if wanted != (got := weights_hash(settings.model_copy(update={"adapter": None}))):
            raise TargetError(f"{_strange_adapter(settings)}it was trained on the weights {wanted}, and these are {got}")


def _strange_adapter(settings: TargetSettings) -> str:
    return f"the adapter at {settings.adapter} does not belong to {settings.model}: "


def ties_broken(model: Any) -> bool:
    """Whether the adapter of a PeftModel changes one side of embeddings that are tied: merged, it would change the other side too."""
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    inner = model.get_base_model()
    sides = (inner.get_input_embeddings(), inner.get_output_embeddings())
    tied = inner.config.get_text_config().tie_word_embeddings
    return tied and any(isinstance(side, BaseTunerLayer | AuxiliaryTrainingWrapper) for side in sides)


@contextmanager
def _naming(model: str) -> Iterator[None]:
    """Turns what transformers raises while it reads a model's files into a TargetError that names the model."""
    try:
        yield
    except TargetError:
        raise
    except Exception as error:  # a damaged folder raises nearly anything
        if memory_ran_out(error):
            raise TargetError(f"{model} does not fit in memory: use a smaller model or a narrower dtype") from None
        if "trust_remote_code" in str(error):
            why = "runs Python code of its own: read it, then set trust_remote_code to true"
        else:
            why = f"cannot be loaded: {_first_line(error)}"
        raise TargetError(f"{model} {why}") from None


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines[:2])[:300]}"


def one_thread_for_small(parameters: int, device: torch.device) -> None:
    """Has this process compute with one thread where a second only waits: while another process was busy, two threads answered
    12 items a CPU-second and one 89 (0.2M parameters, 2 cores). It also keeps the bytes of a training apart from the cores."""
    if device.type == "cpu" and parameters < SMALL:
        torch.set_num_threads(1)


# ---------------------------------------------------------------- prompts


def render(tokenizer: Any, messages: Sequence[Message], generate: bool = True) -> str:
    """The text of a conversation by the model's own chat template, with the opening of the answer when `generate`.

    A template that refuses or drops the system role gets the system text at the head of the first user turn. Without a
    template: the contents, with a blank line after each. Raises TargetError when the template refuses the conversation.
    """
    messages = list(messages)
    if not tokenizer.chat_template:
        return "".join(f"{message['content']}\n\n" for message in messages)
    system = messages[0]["content"].strip() if messages and messages[0]["role"] == "system" else ""
    try:
        text = tokenizer.apply_chat_template(
            messages, chat_template=_DATE + tokenizer.get_chat_template(), tokenize=False, add_generation_prompt=generate
        )
        if not system or system in text:
            return text
    except TemplateError as error:
        if not system:
            raise TargetError(f"the target's chat template refuses the conversation: {_first_line(error)}") from None
    first, *rest = messages[1:] or [{"role": "user", "content": ""}]
    return render(tokenizer, [{"role": first["role"], "content": f"{system}\n\n{first['content']}".strip()}, *rest], generate)


def encode(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of rendered texts. A chat template writes its own BOS; plain text gets the tokenizer's."""
    if not texts:
        return []
    plain = not tokenizer.chat_template
    ids = tokenizer(list(texts), add_special_tokens=plain, return_attention_mask=False)["input_ids"]
    if plain and tokenizer.eos_token_id is not None:  # some tokenizers close every text; a prompt must stay open
        ids = [row[:-1] if len(row) > 1 and row[-1] == tokenizer.eos_token_id else row for row in ids]
    return ids


def end_tokens(tokenizer: Any, config: Any, generation_config: Any) -> list[int]:
    """Ids that end an answer: of the generation config, the config and the tokenizer, without repeats."""
    found: list[int] = []
    for ids in (
        generation_config and generation_config.eos_token_id,
        config.get_text_config().eos_token_id,
        tokenizer.eos_token_id,
    ):
        found += ids if isinstance(ids, list) else [] if ids is None else [ids]
    return list(dict.fromkeys(found))


# ---------------------------------------------------------------- answers


class Target:
    """A loaded model. Use `Target.load`."""

    def __init__(self, settings: TargetSettings, model: Any, tokenizer: Any, device: torch.device, hash: str):
        self.settings = settings
        self.model = model
        self.tokenizer = tokenizer
        self.device = str(device)
        self.dtype = str(model.dtype).removeprefix("torch.")
        self.parameters: int = sum(p.numel() for p in model.parameters())
        self.hash = hash
        """Content hash of all that decides the answers; keys every cache."""
        self.context: int | None = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        """Most tokens of prompt and answer together; None where the model names no limit."""
        self._ends = end_tokens(tokenizer, model.config, model.generation_config)
        self._batch_size = settings.batch_size or _batch_size(self.parameters, device.type)
        self._most = settings.batch_size or WIDEST
        """No batch is wider: as set, or as the memory allowed."""
        # The model's own sampling defaults (temperature, penalties) would change what "greedy" means.
        model.generation_config = GenerationConfig(
            eos_token_id=self._ends or None,
            pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else (self._ends or [0])[0],
            bos_token_id=tokenizer.bos_token_id,
        )
        self.summary = f"{self.parameters / 1e6:,.1f}M parameters, {self.dtype} on {self.device}, batches of {self._batch_size} at first"
        """One line for the user: what was chosen."""
        model.eval()
        one_thread_for_small(self.parameters, device)

    @classmethod
    def load(cls, settings: TargetSettings) -> "Target":
        """Loads model, adapter and tokenizer. Raises TargetError: no such model, no weights, an adapter of another,
        no such device, code of its own without trust."""
        device = choose_device(settings.device)
        own = "auto" if has_bfloat16(device) else torch.float32
        dtype: Any = own if settings.dtype == "auto" else getattr(torch, settings.dtype)
        tokenizer = load_tokenizer(settings)
        return cls(settings, load_model(settings, device, dtype), tokenizer, device, weights_hash(settings))

    def render(self, messages: Sequence[Message]) -> str:
        """The text that the model is given for a conversation; see `render` of this module."""
        return render(self.tokenizer, messages)

    def generate(
        self,
        prompts: Sequence[Sequence[Message]],
        *,
        max_new_tokens: int,
        temperature: float = 0.0,
        seed: int = 0,
        begun: Sequence[str] | None = None,
    ) -> Iterator[tuple[int, Completion]]:
        """Yields (index of the prompt, completion) as they finish, in no fixed order. Greedy at temperature 0.

        `begun` holds the beginning of each answer, best cut at the end of a line; the completion's text has it too, its tokens are the new
        ones. A sampled text depends on (weights, prompt, beginning, how often both came before, seed), not on batch or order. A prompt that
        fills the context alone gets a completion without a new token and with finish `length`. Raises TargetError.
        """
        starts = [""] * len(prompts) if begun is None else begun
        texts = [self.render(prompt) + start for prompt, start in zip(prompts, starts, strict=True)]
        seen: Counter[str] = Counter()
        rows = []
        for index, (text, ids) in enumerate(zip(texts, encode(self.tokenizer, texts), strict=True)):
            rows.append(_Row(index, ids or self._ends[:1], 0, content_hash([seed, text, seen[text]]), starts[index]))
            seen[text] += 1
        while rows:
            # Longest first: if memory runs out, it does so at once.
            rows.sort(key=lambda row: (-len(row.ids), row.place))
            unfinished: list[_Row] = []
            while rows:
                batch, steps = self._next_batch(rows, max_new_tokens)
                answers: list[list[int]] | None = None
                try:
                    answers = self._step(batch, steps, temperature) if steps > 0 else [[] for _ in batch]
                except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
                    self._shrink(batch, error)
                if answers is None:  # only here: until it is let go, the error holds the frames with the tensors of the failed attempt
                    _free()
                    continue
                del rows[: len(batch)]
                self._widen(len(batch))
                for row, answer in zip(batch, answers, strict=True):
                    ids, new = row.ids + answer, row.new + len(answer)
                    stopped = bool(answer) and answer[-1] in self._ends
                    if stopped or steps <= 0 or new >= max_new_tokens or len(ids) >= (self.context or len(ids) + 1):
                        yield row.place, self._completion(row.begun, ids, new, stopped)
                    else:
                        unfinished.append(row._replace(ids=ids, new=new))
            rows = unfinished

    def _next_batch(self, rows: list[_Row], limit: int) -> tuple[list[_Row], int]:
        """The next rows (longest first) and the new tokens to make, 0 when the first row can take no more."""
        first = rows[0]
        room = limit if self.context is None else self.context - len(first.ids)
        if room <= 0 or limit <= first.new:
            return [first], 0
        batch = rows[: self._batch_size]
        return batch, min(ROUND, room, *(limit - row.new for row in batch))

    def _step(self, batch: list[_Row], steps: int, temperature: float) -> list[list[int]]:
        """Up to `steps` new tokens for each row, cut after the first end token."""
        width = max(len(row.ids) for row in batch)
        pad = self.model.generation_config.pad_token_id
        ids = torch.tensor([[pad] * (width - len(row.ids)) + row.ids for row in batch], device=self.device)  # (B, S)
        mask = torch.tensor([[0] * (width - len(row.ids)) + [1] * len(row.ids) for row in batch], device=self.device)
        noise = LogitsProcessorList([_gumbel(batch, temperature, self.device)] if temperature > 0 else [])
        with torch.inference_mode():
            out = self.model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=steps, do_sample=False, logits_processor=noise)
        return [self._cut(row) for row in out[:, width:].tolist()]

    def _cut(self, ids: list[int]) -> list[int]:
        end = next((i for i, token in enumerate(ids) if token in self._ends), None)
        return ids if end is None else ids[: end + 1]

    def _completion(self, begun: str, ids: list[int], new: int, stopped: bool) -> Completion:
        head, tail = ids[: len(ids) - new], ids[len(ids) - new : len(ids) - stopped]
        # behind a beginning, what new tokens say depends on those before them: some tokenizers drop a leading space
        text = self._decode(head + tail).removeprefix(self._decode(head)) if begun else self._decode(tail)
        return Completion(begun + text, "stop" if stopped else "length", new)

    def _decode(self, ids: list[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def _widen(self, rows: int) -> None:
        """Doubles the batch where a full one has left more than half of the GPU's memory unused."""
        if rows == self._batch_size and 2 * rows <= self._most and _memory_used(self.device) < 0.45:
            self._batch_size = 2 * rows

    def _shrink(self, batch: list[_Row], error: BaseException) -> None:
        if not memory_ran_out(error):
            raise error
        if len(batch) == 1:
            raise TargetError(f"memory ran out on a single prompt of {len(batch[0].ids)} tokens: use a smaller model or dtype") from None
        self._batch_size = self._most = len(batch) // 2

    def close(self) -> None:
        """Frees the model's memory; the target answers no more."""
        self.model = None
        _free()


def _batch_size(parameters: int, device: str) -> int:
    """Prompts at once, to begin with. On a CPU wide batches pay for small models only. CUDA starts wide; MPS does not, because it swaps to
    the disk long before it says that memory ran out. Both go on by trial."""
    if device != "cuda":
        return 256 if parameters < SMALL else 16 if parameters < 1e9 else 4
    return 256 if parameters < 2e9 else 64


def _gumbel(batch: list[_Row], temperature: float, device: str) -> Callable[[Any, Any], Any]:
    """Sampling as the greedy choice over logits / temperature + Gumbel noise: each row has a generator of its own."""
    generators = []
    for row in batch:
        key = int(content_hash([row.seed, row.new]), 16) >> 1
        generators.append(torch.Generator(device).manual_seed(key))

    def add_noise(input_ids: Any, scores: Any) -> Any:  # (B, S), (B, V) -> (B, V)
        noise = torch.stack([torch.empty(scores.shape[1], device=device).exponential_(generator=g) for g in generators])
        return scores.float() / temperature - noise.log()

    return add_noise


def _memory_used(device: str) -> float:
    """Share of a GPU's memory that is taken at the peak: of CUDA by this process since it began or by others, of MPS by this process
    alone, of what the system recommends; 1 of a CPU."""
    if device.startswith("mps"):
        return torch.mps.driver_allocated_memory() / torch.mps.recommended_max_memory()
    if not device.startswith("cuda"):
        return 1.0
    free, total = torch.cuda.mem_get_info(device)
    others = total - free - torch.cuda.memory_reserved(device)
    return (others + torch.cuda.max_memory_allocated(device)) / total


def memory_ran_out(error: BaseException) -> bool:
    """CUDA has a type for it; the CPU's allocator and MPS say it in words."""
    words = ("DefaultCPUAllocator", "out of memory", "Invalid buffer size", "ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    )


def _free() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
