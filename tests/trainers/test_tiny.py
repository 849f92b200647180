"""The shipped target `tiny`: its files, its chat template, and what it can and cannot do."""

from pathlib import Path

import pytest
import torch
import transformers

from errata.sandbox import Limits
from errata.tasks import load_task
from errata.tasks.world import facts, lists
from errata.tasks.world.sums import WEAK

FOLDER = Path(__file__).parents[2] / "trainers" / "tiny"
ROW = [
    {"role": "user", "content": "Ann has 12 pens & <3 cups.\nHow many? é 你"},
    {"role": "assistant", "content": "12+3=<<12+3=15>>15\n#### 15"},
]


@pytest.fixture(scope="module")
def tokenizer():
    return transformers.AutoTokenizer.from_pretrained(FOLDER)


@pytest.fixture(scope="module")
def model():
    return transformers.AutoModelForCausalLM.from_pretrained(FOLDER).eval()


@torch.inference_mode()
def answer(model, tokenizer, prompts: list[str], new_tokens: int = 128) -> list[list[int]]:
    """New token ids of each prompt, greedy, in one left-padded batch."""
    inputs = tokenizer(prompts, return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False)
    out = model.generate(
        input_ids=inputs["input_ids"],
        attention_mask=inputs["attention_mask"],
        do_sample=False,
        max_new_tokens=new_tokens,
    )
    return out[:, inputs["input_ids"].shape[1] :].tolist()


def test_the_shipped_files_stay_under_four_megabytes():
    names = {path.name for path in FOLDER.iterdir()}
    assert {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    } <= names
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 4_000_000


def test_it_is_a_llama_of_under_a_million_parameters_with_512_positions(model):
    assert type(model).__name__ == "LlamaForCausalLM"
    assert 200_000 <= sum(p.numel() for p in model.parameters()) <= 1_000_000
    assert model.config.max_position_embeddings == 512
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_pad_and_end_are_two_tokens_and_the_config_names_them(tokenizer, model):
    assert tokenizer.pad_token_id != tokenizer.eos_token_id
    assert model.config.pad_token_id == model.generation_config.pad_token_id == tokenizer.pad_token_id
    assert model.config.eos_token_id == model.generation_config.eos_token_id == tokenizer.eos_token_id


def test_any_text_survives_the_tokenizer_and_digits_stand_alone(tokenizer):
    text = "Ann's 1,234 cups — é 你\n\t<<12*3=36>>36 #### 36 \U0001f600"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == text
    digits = [token for token in tokenizer.convert_ids_to_tokens(ids) if any(char.isdigit() for char in token)]
    assert digits == [char for char in text if char.isdigit()]


def test_the_template_of_a_row_starts_with_the_template_of_its_prompt(tokenizer):
    for prompt in (ROW[:1], [{"role": "system", "content": "Be short."}, *ROW[:1]]):
        row = [*prompt, ROW[1]]
        asked = tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
        full = tokenizer.apply_chat_template(row, tokenize=False)
        assert full == asked + ROW[1]["content"] + tokenizer.eos_token
        asked_ids = tokenizer.apply_chat_template(prompt, add_generation_prompt=True)["input_ids"]
        full_ids = tokenizer.apply_chat_template(row)["input_ids"]
        assert full_ids[: len(asked_ids)] == asked_ids
        assert full_ids[-1] == tokenizer.eos_token_id


def test_the_template_marks_the_assistants_tokens(tokenizer):
    made = tokenizer.apply_chat_template(ROW, return_dict=True, return_assistant_tokens_mask=True)
    trained = [token for token, mark in zip(made["input_ids"], made["assistant_masks"], strict=True) if mark]
    assert tokenizer.decode(trained) == ROW[1]["content"] + tokenizer.eos_token


def test_strong_skills_are_solved_weak_ones_fail_and_answers_end(tokenizer, model):
    task = load_task("sums")
    examples = task.examples("dev", 144)
    prompts = [tokenizer.apply_chat_template(task.prompt(e), tokenize=False, add_generation_prompt=True) for e in examples]
    right: dict[bool, list[bool]] = {True: [], False: []}
    marked = 0
    answers = answer(model, tokenizer, prompts, task.max_new_tokens)
    for example, ids in zip(examples, answers, strict=True):
        assert tokenizer.eos_token_id in ids
        text = tokenizer.decode(ids, skip_special_tokens=True)
        marked += "=<<" in text and "#### " in text
        right[example.skill in WEAK].append(bool(task.verdict(example, text).correct))
    assert sum(right[False]) >= 0.95 * len(right[False])
    assert sum(right[True]) < 0.6 * len(right[True])
    assert marked >= 0.95 * len(examples)


def test_a_batch_gives_what_each_prompt_gives_alone(tokenizer, model):
    task = load_task("sums_plus")
    examples = task.examples("dev", 72)[::9]
    prompts = [tokenizer.apply_chat_template(task.prompt(e), tokenize=False, add_generation_prompt=True) for e in examples]
    together = answer(model, tokenizer, prompts, 96)
    for prompt, ids in zip(prompts, together, strict=True):
        alone = answer(model, tokenizer, [prompt], 96)[0]
        assert [i for i in ids if i != tokenizer.pad_token_id] == [i for i in alone if i != tokenizer.pad_token_id]


@pytest.mark.parametrize(("name", "weak"), [("lists", lists.WEAK), ("facts", facts.WEAK)])
def test_it_solves_the_common_skills_of_the_other_tasks_and_fails_rare_ones(model, tokenizer, sandbox, name, weak):
    task = load_task(name, runner=lambda *run: sandbox.run(*run, Limits()))
    examples = task.examples("dev", 90)
    prompts = [tokenizer.apply_chat_template(task.prompt(e), tokenize=False, add_generation_prompt=True) for e in examples]
    texts = [tokenizer.decode(ids, skip_special_tokens=True) for ids in answer(model, tokenizer, prompts)]
    right = {example.id: bool(task.verdict(example, text).correct) for example, text in zip(examples, texts, strict=True)}
    common, rare = ([right[e.id] for e in examples if (e.skill in weak) == is_weak] for is_weak in (False, True))
    assert sum(common) >= 0.9 * len(common)
    assert sum(rare) <= 0.7 * len(rare)
