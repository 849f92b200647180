"""Attention of single new tokens by matrix products, as CPUs with bfloat16 take it: the same answers as by torch's kernel."""

import models
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    FalconConfig,
    FalconForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from errata.trainers.chat import encode
from errata.trainers.settings import TargetSettings
from errata.trainers.target import PRODUCTS, Target, attend_by_products, new_cache

SIZES = {"vocab_size": 120, "hidden_size": 48, "intermediate_size": 48, "num_hidden_layers": 3, "initializer_range": 0.3, "pad_token_id": 0}
HEADS = {"num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 8}
TOKENS = 21


@pytest.fixture(autouse=True)
def little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a cache grows several times in a few tokens."""
    monkeypatch.setattr("errata.trainers.target.GROW", 6)


def made(kind: str) -> PreTrainedModel:
    torch.manual_seed(3)
    match kind:
        case "llama":
            return LlamaForCausalLM(LlamaConfig(**SIZES, **HEADS))
        case "qwen3":
            return Qwen3ForCausalLM(Qwen3Config(**SIZES, **HEADS))
        case "phi3, a head of its own for each":
            return Phi3ForCausalLM(Phi3Config(**SIZES, num_attention_heads=4, num_key_value_heads=4))
        case "gemma3, with layers of a sliding window":
            kinds = ["sliding_attention", "full_attention", "sliding_attention"]
            return Gemma3ForCausalLM(Gemma3TextConfig(**SIZES, **HEADS, sliding_window=24, layer_types=kinds))
        case "gpt2":
            return GPT2LMHeadModel(GPT2Config(vocab_size=120, n_embd=48, n_layer=3, n_head=4, initializer_range=0.3, n_positions=200))
        case "llama, with an adapter":
            return get_peft_model(made("llama"), LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False))
        case _:
            return FalconForCausalLM(FalconConfig(vocab_size=120, hidden_size=32, num_hidden_layers=2, num_attention_heads=4))


KINDS = ["llama", "qwen3", "phi3, a head of its own for each", "gemma3, with layers of a sliding window", "gpt2", "llama, with an adapter"]


def logits(model: PreTrainedModel, prompt: int) -> torch.Tensor:
    """(rows, tokens, vocabulary): of rows padded at the left, whose second leaves the batch half way, over given tokens."""
    random = torch.Generator().manual_seed(5)
    ids = torch.randint(1, 120, (3, prompt + TOKENS), generator=random)
    mask = torch.ones_like(ids)
    for row in range(3):
        mask[row, : min(row * 4, prompt - 1)] = 0
    places = (mask.cumsum(-1) - 1).clamp(min=0)
    cache, found = new_cache(model), []
    for end in range(prompt, prompt + TOKENS):
        if end == prompt + TOKENS // 2:
            cache.batch_select_indices(torch.tensor([0, 2]))
            ids, mask, places = ids[[0, 2]], mask[[0, 2]], places[[0, 2]]
        now = slice(cache.get_seq_length(), end)
        with torch.inference_mode():
            out = model(input_ids=ids[:, now], attention_mask=mask[:, :end], position_ids=places[:, now], past_key_values=cache)
        found.append(out.logits[[0, -1], -1].float())
    return torch.stack(found, 1)


@pytest.mark.parametrize("prompt", [1, 14])
@pytest.mark.parametrize("kind", KINDS)
def test_products_give_what_the_kernel_gives(kind, prompt, monkeypatch):
    model = made(kind).eval()
    expected = logits(model, prompt)
    assert expected.std() > 0.1 and expected.argmax(-1).unique().numel() > 5
    attend_by_products(model)
    assert model.config._attn_implementation == PRODUCTS
    asked: list[int] = []
    product = torch.bmm
    monkeypatch.setattr(torch, "bmm", lambda one, other: asked.append(1) or product(one, other))
    torch.testing.assert_close(logits(model, prompt), expected, atol=2e-4, rtol=2e-4)
    assert len(asked) == 2 * 3 * (TOKENS - (prompt > 1))


@pytest.mark.parametrize("kind", ["llama", "qwen2", "mistral", "plain"])
def test_answers_by_products_are_those_of_the_kernel_also_where_no_row_is_padded(tmp_path, kind):
    target = Target.load(TargetSettings(model=str(models.make(kind, tmp_path / "m")), device="cpu"))
    alike = [[{"role": "user", "content": f"Tom has {number} apples"}] for number in range(1, 9)]
    together = [*alike, [{"role": "user", "content": "Tom has 3 apples and 4 more apples than Ann"}]]
    assert len({len(ids) for ids in encode(target.tokenizer, list(map(target.render, alike)))}) == 1

    def answers() -> list:
        alone = [next(target.generate([prompt], max_new_tokens=40)) for prompt in together]
        return [alone, *(sorted(target.generate(some, max_new_tokens=40)) for some in (alike, together))]

    expected = answers()
    assert len({answer.text for _, answer in expected[2]}) > 1
    attend_by_products(target.model)
    assert target.model.config._attn_implementation == PRODUCTS and answers() == expected


def test_products_in_bfloat16_are_as_near_to_float32_as_the_kernel_is():
    model = made("llama").eval()
    expected = logits(model, 14).log_softmax(-1)
    model.to(torch.bfloat16)
    by_kernel = (logits(model, 14).log_softmax(-1) - expected).abs().mean()
    attend_by_products(model)
    assert (logits(model, 14).log_softmax(-1) - expected).abs().mean() < 2 * by_kernel


def test_a_model_that_attends_in_its_own_way_is_left_alone():
    model = made("falcon")
    attend_by_products(model)
    assert model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize(
    ("dtype", "able", "attention"), [("bfloat16", True, PRODUCTS), ("bfloat16", False, "sdpa"), ("float32", True, "sdpa")]
)
def test_a_cpu_with_bfloat16_attends_by_products(tmp_path, monkeypatch, dtype, able, attention):
    monkeypatch.setattr("errata.trainers.target.cpu_bfloat16", lambda: able)
    target = Target.load(TargetSettings(model=str(models.make("llama", tmp_path / "m")), dtype=dtype, device="cpu"))
    assert target.model.config._attn_implementation == attention
    answers = dict(
        target.generate([[{"role": "user", "content": "Tom has " + "4 apples " * size}] for size in range(5)], max_new_tokens=50)
    )
    assert len(answers) == 5 and all(answer.tokens for answer in answers.values())
