"""Small random models of several families for tests, with tokenizers trained on the spot and real-style chat templates.

Not covered: weights that know anything; for that, train one.
"""

import json
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from errata.signatures.records import TrainRow

# Writes BOS itself, as Llama 3 does, while its tokenizer adds one to plain text too.
LLAMA = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n"
    "{{ m['content'] | trim }}<|eot_id|>"
    "{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
# Puts in a system turn of its own and writes a line break after the end token.
QWEN = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# Knows no system role.
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'] + ' [/INST]' }}"
    "{% else %}{{ m['content'] + eos_token }}{% endif %}{% endfor %}"
)
_SIZE: dict[str, float] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "tie_word_embeddings": False,  # tied and random, a model repeats one token for ever
    "initializer_range": 0.2,
}
_CORPUS = [
    "Tom has 12 apples and buys 7 more. How many apples does he have now? 19. 0 1 2 3 4 5 6 7 8 9 + - * / =",
    "Ann sells 30 cards at 4 dollars each. She gets 30 * 4 = 120 dollars.\n#### 120",
    "You are a helpful assistant. Answer with one number. system user assistant",
]


def make(kind: str, folder: Path, seed: int = 0, **size: float) -> Path:
    """Saves a `llama`, `qwen2`, `mistral` or `plain` (a Llama without template) in `folder`; `size` changes its config."""
    config_class, model_class, template, specials, names = {
        "llama": (
            LlamaConfig,
            LlamaForCausalLM,
            LLAMA,
            ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
            {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"},
        ),
        "qwen2": (
            Qwen2Config,
            Qwen2ForCausalLM,
            QWEN,
            ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
            {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"},
        ),
        "mistral": (
            MistralConfig,
            MistralForCausalLM,
            MISTRAL,
            ["<unk>", "<s>", "</s>"],
            {"bos_token": "<s>", "eos_token": "</s>"},
        ),
        "plain": (LlamaConfig, LlamaForCausalLM, None, ["<s>", "</s>"], {"bos_token": "<s>", "eos_token": "</s>"}),
    }[kind]
    tokenizer = _tokenizer(kind, specials, names)
    tokenizer.chat_template = template
    ends = [i for i, token in enumerate(specials) if token in ("<|end_of_text|>", "<|endoftext|>", "<|eot_id|>", "<|im_end|>", "</s>")]
    transformers.logging.disable_progress_bar()
    torch.manual_seed(seed)
    bos = specials.index(names["bos_token"]) if "bos_token" in names else None
    config = config_class(vocab_size=len(tokenizer), bos_token_id=bos, eos_token_id=ends[-1], pad_token_id=None, **_SIZE | size)
    model = model_class(config)
    # A real instruct model names several ends and asks for sampling.
    model.generation_config = GenerationConfig(bos_token_id=bos, eos_token_id=ends, do_sample=True, temperature=0.6, top_p=0.9)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer(kind: str, specials: list[str], names: dict[str, str]) -> PreTrainedTokenizerFast:
    inner = Tokenizer(models.BPE(unk_token="<unk>" if kind == "mistral" else None))
    alphabet: list[str] = []
    if kind == "mistral":  # spaces as marks at the head of words, as sentencepiece writes them
        inner.pre_tokenizer, inner.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
        alphabet = [chr(c) for c in range(33, 127)] + ["\n"]
    else:
        inner.pre_tokenizer, inner.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    inner.train_from_iterator(
        _CORPUS,
        trainers.BpeTrainer(vocab_size=400, special_tokens=specials, initial_alphabet=alphabet, show_progress=False),
    )
    if "bos_token" in names:
        bos = names["bos_token"]
        inner.post_processor = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, specials.index(bos))])
    return PreTrainedTokenizerFast(tokenizer_object=inner, **names)


def sums(count: int, start: int = 0) -> list[TrainRow]:
    """Rows of small sums."""
    return [
        TrainRow(
            prompt=({"role": "user", "content": f"Tom has {i % 17} apples and buys {i % 13} more. How many?"},),
            completion=({"role": "assistant", "content": f"{i % 17} + {i % 13} = {i % 17 + i % 13}\n#### {i % 17 + i % 13}"},),
            source=f"row{i}",
        )
        for i in range(start, start + count)
    ]


def outline(folder: Path, parameters: int, **config: int) -> Path:
    """A folder that tells the sizes of a model and holds none: its config, and weights without content that take no room on the disk."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    head = json.dumps({"w": {"dtype": "F32", "shape": [parameters], "data_offsets": [0, 4 * parameters]}}).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        file.truncate(8 + len(head) + 4 * parameters)
    return folder
