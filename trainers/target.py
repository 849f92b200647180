"""The target: a local causal language model that answers prompts in batches.

Loads `tiny`, a folder or a hub id with transformers, with an optional PEFT adapter; asks with its own chat template.
Does NOT cover: servers (errata.trainers.served), encoder-decoder models, quantized loading, more than one device.
"""

import json
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from inspect import signature
from math import ceil
from typing import Any, NamedTuple, cast

import torch
import transformers
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    DynamicCache,
    GenerationConfig,
    LogitsProcessorList,
)
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from ..signatures.errors import TargetError, first_line, memory_ran_out
from ..signatures.records import Message, content_hash
from .chat import Answers, Completion, Prompts, check_ids, encode, end_tokens, loop_end, render
from .dequantize import LOADING, about
from .estimate import cached, shape_known
from .memory import choose_device, cpu_bfloat16, first_batch, fitting_batch, has_bfloat16, memory_used, one_thread_for_small, release
from .settings import TargetSettings
from .weights import adapter_folder, check_base, folder_of, naming, not_its_adapter, weights_hash

WIDEST = 1024
"""Prompts that are answered at once at most, however much memory there is."""
ROUND = 128
"""New tokens before finished answers are handed out. A batch that is half full or less is parted then where others wait, so that a few long
answers do not hold up many short ones: its rows join others of as many new tokens in new batches, which read their prompts again. At 64 and
below that cost more than it saved on 83-token answers."""
GROW = 32
"""Tokens that a cache's memory is lengthened by at a time."""
NEW = 4.0
"""Cost of a new token of an answer, in tokens of a prompt: on a CPU, 4.3 of the shipped model and 4.7 of one of 135M parameters."""
PRODUCTS = "errata_products"
"""Name of the attention that `attend_by_products` sets."""


class _Row(NamedTuple):
    place: int
    ids: list[int]
    """The prompt and what was answered so far."""
    new: int
    """How many of `ids` were answered."""
    seed: str
    begun: str = ""
    """What the answer begins with; among `ids`, and not counted in `new`."""


class _Layer(DynamicLayer):
    """Keys and values of one layer (B, H, S, D) with room behind them, where transformers' own copies them all at each new token: a third
    of the time at 64 answers and 300 tokens of a model of 135M parameters on a CPU.

    `whole`: a further token is given the room as well, masked, as matrix products are fast on memory in one piece.
    """

    _room: list[torch.Tensor] | None = None
    """Memory of keys and of values with free places behind them; `keys` and `values` are the first S."""

    def __init__(self, whole: bool):
        super().__init__()
        self._whole = whole

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        end = self.get_seq_length() + query_length
        return (self._size(end) if self._whole and query_length == 1 else end), 0

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        old, new = self.get_seq_length(), (key_states, value_states)
        end = old + key_states.shape[-2]
        if self._room is None or self._room[0].shape[-2] < end:
            self._room = [one.new_zeros((*one.shape[:2], self._size(end), one.shape[-1])) for one in new]
            for room, held in zip(self._room, (self.keys, self.values), strict=True) if old else ():
                room[:, :, :old] = cast(torch.Tensor, held)
        for room, one in zip(self._room, new, strict=True):
            room[:, :, old:end] = one
        self.keys, self.values = (room[:, :, :end] for room in self._room)
        return (self._room[0], self._room[1]) if self._whole and end == old + 1 else (self.keys, self.values)

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        self._room = None
        super().batch_select_indices(indices)

    def _size(self, end: int) -> int:
        held = self._room[0].shape[-2] if self._room else 0
        return held if end <= held else end + GROW


def base_of(model: Any) -> Any:
    """transformers' own model of one with an adapter, or itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def new_cache(model: Any) -> Any:
    """What a model keeps of a batch's tokens, so that the batch goes on without reading them again. None where that is not all keys and
    values of each token."""
    inner = base_of(model)
    if "past_key_values" not in signature(inner.forward).parameters:
        return None
    cache = DynamicCache(config=model.config.get_text_config(decoder=True))
    kinds = {type(layer) for layer in cache.layers}
    whole = inner.config._attn_implementation == PRODUCTS
    cache.layers = [_Layer(whole) if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache if kinds <= {DynamicLayer, DynamicSlidingWindowLayer} else None


def attend_by_products(model: Any) -> None:
    """Has a model whose attention is torch's, and that reads masks as a cache with room needs it, take `PRODUCTS`."""
    inner = base_of(model)
    if inner.config._attn_implementation == "sdpa" and inner.is_backend_compatible() and inner._can_compile_fullgraph:
        AttentionInterface.register(PRODUCTS, _products)
        AttentionMaskInterface.register(PRODUCTS, _mask)
        inner.set_attn_implementation(PRODUCTS)


def _mask(*args: Any, **more: Any) -> torch.Tensor | None:
    """That of torch's attention, but never left out for a single token: a cache has room behind it, also where no row is padded."""
    return sdpa_mask(*args, **more | {"allow_is_causal_skip": more["q_length"] > 1 and more.get("allow_is_causal_skip", True)})


def _products(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: torch.Tensor | None, **more: Any
) -> tuple[torch.Tensor, None]:
    """Attention (B, 1, H, D) of one new token each (B, H, 1, D) as two matrix products, its scores in the model's dtype as in transformers'
    own `eager`: half the time of torch's kernel, which does all else. `attention_mask` (B, 1 or H, 1, S) is true where a token looks."""
    plain = attention_mask is None or attention_mask.dtype == torch.bool
    if query.shape[2] > 1 or not plain or any(more.get(name) is not None for name in ("position_bias", "softcap", "s_aux")):
        return sdpa_attention_forward(module, query, key, value, attention_mask, **more)
    (batch, heads, _, size), (groups, length) = query.shape, key.shape[1:3]
    scaled = query.reshape(batch * groups, heads // groups, size) * (more.get("scaling") or size**-0.5)
    scores = torch.bmm(scaled, key.reshape(batch * groups, length, size).transpose(1, 2)).view(batch, heads, 1, length)
    if attention_mask is not None:
        scores.masked_fill_(~attention_mask, torch.finfo(scores.dtype).min)
    weights = torch.softmax(scores, -1).view(batch * groups, heads // groups, length)
    return torch.bmm(weights, value.reshape(batch * groups, length, -1)).view(batch, 1, heads, -1), None


def load_tokenizer(settings: TargetSettings) -> Any:
    """The model's own tokenizer. Raises TargetError."""
    transformers.logging.set_verbosity_error()
    folder = folder_of(settings.model)
    with naming(settings.model):
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=settings.trust_remote_code)


def load_model(settings: TargetSettings, device: torch.device, dtype: torch.dtype | str, trainable: bool = False, **more: Any) -> Any:
    """The model with its adapter on `device`; with `trainable` an adapter stays a PeftModel. `more` goes to from_pretrained.

    A frozen float32 adapter is merged: the same numbers at the speed of the model alone. In narrower formats merging would round the
    adapter away, and one that parts tied embeddings, or has biases of its own, cannot be merged. Raises TargetError.
    """
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    folder = folder_of(settings.model)
    with LOADING, naming(settings.model):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=settings.trust_remote_code)
        more |= {"config": config, "dtype": dtype, "use_safetensors": True, "output_loading_info": True}
        loaded = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=settings.trust_remote_code, **more)
        model, found = cast(Any, loaded)
        if missing := sorted(found["missing_keys"]):  # they would be random numbers
            raise TargetError(f"{settings.model}: its weights lack {len(missing)} tensors that its config names, e.g. {missing[0]}")
    if settings.adapter:
        with LOADING:
            model = _with_adapter(model, settings, trainable)
        biases = getattr(model.active_peft_config, "lora_bias", False)
        if not trainable and model.dtype == torch.float32 and not biases and not ties_broken(model):
            model = model.merge_and_unload()
    with naming(settings.model):  # the device's memory may be the smaller one
        model.to(device)
    if bad := not_numbers(model):
        raise TargetError(
            f"{settings.adapter or settings.model}: its tensor {bad} holds values that are no numbers: fetch or train it anew"
        )
    return model


def number_format(settings: TargetSettings, device: torch.device) -> Any:
    """The dtype of the weights, as `load_model` takes it."""
    own = "auto" if has_bfloat16(device) else torch.float32
    return own if settings.dtype == "auto" else getattr(torch, settings.dtype)


def not_numbers(model: Any) -> str | None:
    """Name of the first tensor with a value that is not finite."""
    for name, tensor in model.named_parameters():
        own = tensor.to_local() if hasattr(tensor, "to_local") else tensor  # of what FSDP shares out, the part that is here
        if own.is_floating_point() and not own.isfinite().all():
            return name
    return None


_NOT_WEIGHTS = {"PROMPT_TUNING", "MULTITASK_PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "CPT", "ADAPTION_PROMPT", "CARTRIDGE"}
"""Kinds of adapters that put tokens or prompts of their own before the text."""


def _with_adapter(model: Any, settings: TargetSettings, trainable: bool) -> Any:
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors import safe_open

    folder = adapter_folder(settings.adapter or "")
    refusal = not_its_adapter(settings)
    check_base(settings)
    kind = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8")).get("peft_type")
    if kind in _NOT_WEIGHTS:
        raise TargetError(
            f"the adapter at {settings.adapter} is of the kind {kind}, which adds tokens: only ones that change weights are run"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of peft's use of transformers, nothing to act on here
            loaded = PeftModel.from_pretrained(model, str(folder), is_trainable=trainable)
    except Exception as error:  # peft refuses with nearly any
        raise TargetError(f"{refusal}{first_line(error)}") from None
    # by any other name peft would ask the hub for the base's config
    loaded.active_peft_config.base_model_name_or_path = str(folder_of(settings.model))
    with safe_open(folder / "adapter_model.safetensors", "pt") as tensors:
        strange = set(tensors.keys()) ^ set(get_peft_model_state_dict(loaded))
    if strange:  # peft leaves out tensors that the model has no place for with a warning only
        raise TargetError(f"{refusal}{len(strange)} tensors differ, e.g. {min(strange)}")
    return loaded


def ties_broken(model: Any) -> bool:
    """Whether the adapter of a PeftModel changes one side of embeddings that are tied: merged, it would change the other side too."""
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    inner = model.get_base_model()
    sides = (inner.get_input_embeddings(), inner.get_output_embeddings())
    tied = inner.config.get_text_config().tie_word_embeddings
    return tied and any(isinstance(side, BaseTunerLayer | AuxiliaryTrainingWrapper) for side in sides)


class Target:
    """A loaded model. Use `Target.load`."""

    def __init__(self, settings: TargetSettings, model: Any, tokenizer: Any, device: torch.device, hash: str):
        self.settings = settings
        self.model = model
        self.tokenizer = tokenizer
        self.device = str(device)
        self.dtype = str(model.dtype).removeprefix("torch.")
        self.parameters: int = model.num_parameters()
        self.hash = hash
        """Content hash of all that decides the answers; keys every cache."""
        self.context: int | None = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        """Most tokens of prompt and answer together; None where the model names no limit."""
        self.on_share: Callable[[float], None] = lambda share: None
        self._size: int = model.get_input_embeddings().weight.shape[0]
        self.ends = [token for token in end_tokens(tokenizer, model.config, model.generation_config) if token < self._size]
        self._batch_size = settings.batch_size or first_batch(self.parameters, device.type)
        self._shape = shape_known(model.config.to_dict(), self.parameters)
        self._most = settings.batch_size or WIDEST
        """No batch is wider: as set, or as the memory allowed."""
        # The model's own sampling defaults (temperature, penalties) would change what "greedy" means.
        pad = tokenizer.pad_token_id if (tokenizer.pad_token_id or 0) < self._size else None
        pad = (self.ends or [0])[0] if pad is None else pad  # padding is masked, so any token will do
        model.generation_config = GenerationConfig(eos_token_id=self.ends or None, pad_token_id=pad, bos_token_id=tokenizer.bos_token_id)
        self.summary = f"{self.parameters / 1e6:,.1f}M parameters, {self.dtype} on {self.device}, batches of {self._batch_size} at first"
        """One line for the user: what was chosen."""
        model.eval()
        if device.type == "cpu" and model.dtype == torch.bfloat16 and cpu_bfloat16():
            attend_by_products(model)
        one_thread_for_small(self.parameters, device)

    @classmethod
    def load(cls, settings: TargetSettings, trainable: bool = False) -> "Target":
        """`trainable` as in `load_model`. Raises TargetError: no such model, no weights, an adapter of another, no such device, code of its
        own without trust."""
        device = choose_device(settings.device)
        tokenizer = load_tokenizer(settings)
        model = load_model(settings, device, number_format(settings, device), trainable)
        target = cls(settings, model, tokenizer, device, weights_hash(settings))
        target.summary += "".join(f"; {line}" for line in [about(settings.model)] if line)
        return target

    @property
    def batch_size(self) -> int:
        """Prompts that are answered at once, as of now."""
        return self._batch_size

    def render(self, messages: Sequence[Message]) -> str:
        """The text that the model is given for a conversation."""
        return render(self.tokenizer, messages)

    def generate(
        self, prompts: Prompts, *, max_new_tokens: int, temperature: float = 0.0, seed: int = 0, begun: Sequence[str] | None = None
    ) -> Answers:
        """See `AnyTarget`. A beginning is best cut at the end of a line."""
        starts = [""] * len(prompts) if begun is None else begun
        texts = [self.render(prompt) + start for prompt, start in zip(prompts, starts, strict=True)]
        seen: Counter[str] = Counter()
        rows = []
        encoded = encode(self.tokenizer, texts)
        check_ids(self.tokenizer, encoded, self._size)
        for index, (text, ids) in enumerate(zip(texts, encoded, strict=True)):
            rows.append(_Row(index, ids or self.ends[:1], 0, content_hash([seed, text, seen[text]]), starts[index]))
            seen[text] += 1
        # Longest first: if memory runs out, it does so at once.
        rows.sort(key=_longest)
        if self._shape and rows and not self.settings.batch_size:
            each = cached(self._shape, self.model.dtype.itemsize, len(rows[0].ids) + max_new_tokens + GROW)
            self._batch_size = fitting_batch(self._batch_size, each, self.device)
        under_way: list[_Row] = []
        going: list[_Row] = []
        """The batch that goes on as it is, with what `cache` holds of it."""
        cache: Any = None
        work = Work([len(row.ids) for row in rows], ceil(max_new_tokens / ROUND))
        while rows or under_way or going:
            # Answers of one length go on as soon as they fill a batch, the longest first: what is begun stays few, and is soon finished.
            full = [new for new, count in Counter(row.new for row in under_way).items() if count >= self._batch_size]
            fresh = bool(rows) and not full and not going
            waiting = going or (rows if fresh else [row for row in under_way if row.new == max(full)] if full else under_way)
            batch, steps = self._next_batch(waiting, max_new_tokens, len(going) or self._batch_size, sampled=temperature > 0)
            read, cache = not going, cache if going else new_cache(self.model)
            answers: list[list[int]] | None = None
            try:
                answers, cache = self._step(batch, steps, temperature, cache) if steps > 0 else ([[] for _ in batch], None)
            except (RuntimeError, MemoryError) as error:
                self._shrink(batch, error)
            if answers is None:  # only here: until it is let go, the error holds the frames with the tensors of the failed attempt
                under_way, going, cache = _by_length(under_way + going), [], None
                release()
                continue
            taken = {row.place for row in batch}
            if fresh:
                del rows[: len(batch)]
            if len(batch) == self._batch_size and 2 * len(batch) <= self._most and memory_used(self.device) < 0.45:
                self._batch_size *= 2
            limit = max_new_tokens if steps > 0 else 0
            further = [self._further(row, answer[: max_new_tokens - row.new], limit) for row, answer in zip(batch, answers, strict=True)]
            unfinished = {place: row for place, (row, finish) in enumerate(further) if not finish}
            goes_on = list(unfinished.values())
            under_way = [row for row in under_way if row.place not in taken]
            cache = self._kept(cache, list(unfinished), len(batch), others=bool(rows or under_way))
            going, under_way = (goes_on, under_way) if cache is not None else ([], _by_length(under_way + goes_on))
            lengths = [len(row.ids) for row in batch]
            self.on_share(work.batch(lengths, max(map(len, answers)), len(goes_on), fresh, read))
            yield from ((row.place, self._completion(row, finish)) for row, finish in further if finish)

    def _kept(self, cache: Any, places: list[int], size: int, others: bool) -> Any:
        """What is kept of a batch of `size` rows when those at `places` go on; None: nothing, as the batch is done, is parted for there are
        `others` to fill it up with, or would be wider with what has left it than the model's context."""
        if cache is None or not places or (others and 2 * len(places) <= self._batch_size):
            return None
        if self.context and cache.get_seq_length() + 1 + ROUND > self.context:
            return None
        try:
            if len(places) < size:
                cache.batch_select_indices(torch.tensor(places, device=self.device))
        except (RuntimeError, MemoryError) as error:
            if not memory_ran_out(error):
                raise
            return None
        return cache

    def _further(self, row: _Row, answer: list[int], limit: int) -> tuple[_Row, str]:
        """The row with the new tokens, and how it finished; empty: it goes on."""
        ids, new = row.ids + answer, row.new + len(answer)
        if self.settings.stop_loops and (end := loop_end(ids[len(ids) - new :])):
            return row._replace(ids=ids[: len(ids) - new + end], new=end), "loop"
        finish = "stop" if answer and answer[-1] in self.ends else ""
        if not finish and (new >= limit or len(ids) >= (self.context or len(ids) + 1)):
            finish = "length"
        return row._replace(ids=ids, new=new), finish

    def _next_batch(self, rows: list[_Row], limit: int, size: int, sampled: bool) -> tuple[list[_Row], int]:
        """The next rows and the new tokens to make, 0 when the first row can take no more. Of a row that may take fewer, what is too much
        is dropped. Noise begins anew in each round: where the first row's is cut short by the context, none with more room joins it."""
        first, batch = rows[0], rows[:size]
        if sampled and self.context:
            rooms = [min(ROUND, self.context - len(row.ids)) for row in batch]
            batch = [row for row, room in zip(batch, rooms, strict=True) if room == rooms[0]]
        room = limit if self.context is None else self.context - max(len(row.ids) for row in batch)
        if room <= 0 or limit <= first.new:
            return [first], 0
        return batch, min(ROUND, room, max(limit - row.new for row in batch))

    def _step(self, batch: list[_Row], steps: int, temperature: float, cache: Any) -> tuple[list[list[int]], Any]:
        """Up to `steps` new tokens for each row, cut after the first end token, and the cache, where the model filled the one that it was
        given (Phi-3 takes another for long texts). `cache` holds all but the last token of each, or nothing; None: it is asked without."""
        known = cache.get_seq_length() if cache is not None else 0
        width = known + 1 if known else max(len(row.ids) for row in batch)
        pad = self.model.generation_config.pad_token_id
        ids = torch.tensor([[pad] * (width - len(row.ids)) + row.ids for row in batch], device=self.device)  # (B, S)
        mask = torch.tensor([[0] * (width - len(row.ids)) + [1] * len(row.ids) for row in batch], device=self.device)
        noise = LogitsProcessorList([_gumbel(batch, temperature, self.device)] if temperature > 0 else [])
        asked: dict[str, Any] = {"max_new_tokens": steps, "do_sample": False, "logits_processor": noise}
        with torch.inference_mode():
            out = self.model.generate(input_ids=ids, attention_mask=mask, **asked | ({} if cache is None else {"past_key_values": cache}))
        cache = cache if cache is not None and cache.get_seq_length() == out.shape[1] - 1 else None
        return [row[: next((i + 1 for i, token in enumerate(row) if token in self.ends), None)] for row in out[:, width:].tolist()], cache

    def _completion(self, row: _Row, finish: str) -> Completion:
        begun, ids, new = row.begun, row.ids, row.new
        head, tail = ids[: len(ids) - new], ids[len(ids) - new : len(ids) - (finish == "stop")]
        # behind a beginning, what new tokens say depends on those before them: some tokenizers drop a leading space
        text = self._decode(head + tail).removeprefix(self._decode(head)) if begun else self._decode(tail)
        return Completion(begun + text, finish, new, tuple(ids[len(ids) - new :]))

    def _decode(self, ids: list[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def _shrink(self, batch: list[_Row], error: BaseException) -> None:
        if not memory_ran_out(error):
            raise error
        if len(batch) == 1:
            raise TargetError(f"memory ran out on a single prompt of {len(batch[0].ids)} tokens: use a smaller model or dtype") from None
        self._batch_size = self._most = len(batch) // 2

    def close(self) -> None:
        """Frees the model's memory; the target answers no more."""
        self.model = None
        release()


def _gumbel(batch: list[_Row], temperature: float, device: str) -> Callable[[Any, Any], Any]:
    """Sampling as the greedy choice over logits / temperature + Gumbel noise: each row has a generator of its own."""
    generators = [torch.Generator(device).manual_seed(int(content_hash([row.seed, row.new]), 16) >> 1) for row in batch]

    def add_noise(input_ids: Any, scores: Any) -> Any:  # (B, S), (B, V) -> (B, V)
        noise = torch.stack([torch.empty(scores.shape[1], device=device).exponential_(generator=g) for g in generators])
        return scores.float() / temperature - noise.log()

    return add_noise


def _longest(row: _Row) -> tuple[int, int]:
    return -len(row.ids), row.place


def _by_length(rows: list[_Row]) -> list[_Row]:
    """Rows of as many new tokens together, the longest first."""
    return sorted(rows, key=lambda row: (row.new, *_longest(row)))


class Work:
    """How much of answering many prompts is done: prompts differ in length, and answers in how many rounds they take.

    Of one call of `generate`: rows get some new tokens, and those that are not finished come again in a later batch.
    """

    def __init__(self, lengths: Sequence[int], rounds: int):
        """Rows of so many tokens each, and the most batches that one takes part in."""
        self._rounds = rounds
        self._left, self._tokens = len(lengths), sum(lengths)
        """Rows that have not begun, and their tokens."""
        self._begun = 0
        self._seen, self._steps, self._went_on = 0, 0.0, 0
        """Of the rows that have begun: how many, the new tokens that their first batch took, and how many of them it did not finish."""
        self._done = 0.0

    def batch(self, lengths: Sequence[int], steps: int, unfinished: int, fresh: bool, read: bool) -> float:
        """The share of all work that is done after a batch of rows with so many tokens, which took `steps` new tokens each. It was their
        first if `fresh`, and their tokens were `read` again if not kept; so many are `unfinished`. What is not done yet is taken to be like
        the first batches, and to go on without being read again."""
        rows = len(lengths)
        self._done += rows * (read * max(lengths) + NEW * steps)
        if fresh:
            self._left, self._tokens = self._left - rows, self._tokens - sum(lengths)
            self._seen, self._steps, self._went_on = self._seen + rows, self._steps + steps * rows, self._went_on + unfinished
        else:
            self._begun -= rows
        self._begun += unfinished
        each, goes_on = NEW * self._steps / self._seen, self._went_on / self._seen
        # further batches that a row takes which goes on: what went on once goes on more likely
        more = sum(((1 + goes_on) / 2) ** number for number in range(self._rounds - 1))
        ahead = self._tokens + each * self._left + more * each * (goes_on * self._left + self._begun)
        return self._done / (self._done + ahead) if ahead else 1.0
