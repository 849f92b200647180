"""What the target reads: prompts by its own chat template, and rows whose labels are the completion and nothing else."""

import tracemalloc
from collections import Counter
from pathlib import Path

import models
import pytest

from errata.signatures.errors import TargetError
from errata.signatures.records import TrainRow, content_hash
from errata.trainers.chat import IGNORED, encode, encoded, fingerprint, own_system, read_rows, render
from errata.trainers.settings import TargetSettings
from errata.trainers.target import Target, load_tokenizer

KINDS = ("llama", "qwen2", "mistral", "plain")
ROWS = models.sums(48)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {kind: models.make(kind, root / kind) for kind in KINDS}


def load(folder: Path) -> Target:
    return Target.load(TargetSettings(model=str(folder)))


@pytest.mark.parametrize("kind", ["llama", "mistral", "plain"])
def test_a_prompt_starts_with_exactly_one_bos(folders, kind):
    target = load(folders[kind])
    (ids,) = encode(target.tokenizer, [target.render(ROWS[0].prompt)])
    assert ids.count(target.tokenizer.bos_token_id) == 1
    assert ids[0] == target.tokenizer.bos_token_id


def test_a_template_without_system_role_gets_the_system_text_in_the_user_turn(folders):
    conversation = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2 + 2?"}]
    assert load(folders["mistral"]).render(conversation) == "<s>[INST] Be brief.\n\n2 + 2? [/INST]"
    assert load(folders["qwen2"]).render(conversation).startswith("<|im_start|>system\nBe brief.<|im_end|>")
    assert load(folders["plain"]).render(conversation) == "Be brief.\n\n2 + 2?\n\n"


def test_a_template_that_drops_the_system_role_gets_its_text_too(folders):
    target = load(folders["qwen2"])
    target.tokenizer.chat_template = "{% for m in messages %}{% if m['role'] == 'user' %}<{{ m['content'] }}>{% endif %}{% endfor %}"
    assert target.render([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2 + 2?"}]) == "<Be brief.\n\n2 + 2?>"


def test_what_a_template_says_by_itself_as_system_text_is_known(folders):
    tokenizers = {kind: load_tokenizer(TargetSettings(model=str(folders[kind]))) for kind in KINDS}
    said = {kind: own_system(tokenizer) for kind, tokenizer in tokenizers.items()}
    assert said == {"llama": "", "qwen2": "You are a helpful assistant.", "mistral": "", "plain": ""}
    tokenizers["llama"].chat_template = "{{ raise_exception('no') }}"
    assert own_system(tokenizers["llama"]) == ""


def test_a_conversation_that_the_template_refuses_is_a_target_error(folders):
    with pytest.raises(TargetError, match="must alternate"):
        load(folders["mistral"]).render([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}])


def test_a_template_that_writes_the_date_gives_the_same_prompt_on_any_day(folders):
    target = load(folders["qwen2"])
    target.tokenizer.chat_template = "{{ strftime_now('%d %B %Y') }} {{ messages[0]['content'] }}"
    assert target.render([{"role": "user", "content": "2 + 2?"}]) == "26 Jul 2024 2 + 2?"


def prepare(rows, tokenizer, ends, limit, **sft):
    """The rows as tokens, and how many there were, were cut, and were lost."""
    counts: Counter[str] = Counter()
    kept = list(encoded(rows, tokenizer, ends, limit, counts, sft))
    return kept, (counts["rows"], counts["truncated"], counts["lost"])


@pytest.mark.parametrize("kind", KINDS)
def test_the_labels_are_exactly_the_completion_and_its_end_token(folders, kind):
    loaded = Target.load(TargetSettings(model=str(folders[kind])))
    tokenizer = loaded.tokenizer
    kept, counts = prepare(ROWS, tokenizer, [tokenizer.eos_token_id], None)
    assert (len(kept), counts) == (48, (48, 0, 0))
    for row, one in zip(ROWS, kept, strict=True):
        ids, labels = one["input_ids"], one["labels"]
        learned = [label for label in labels if label != IGNORED]
        assert tokenizer.decode(learned) == row.completion[0]["content"] + tokenizer.eos_token
        assert learned[-1] == tokenizer.eos_token_id
        # The context is, token by token, what the target is asked with.
        assert ids[: len(ids) - len(learned)] == encode(tokenizer, [loaded.render(row.prompt)])[0]
        assert ids[len(ids) - len(learned) :] == learned


TURNS = (
    {"role": "system", "content": "Answer with one number."},
    {"role": "user", "content": "Ann sells 3 cards."}, {"role": "assistant", "content": "3"},
    {"role": "user", "content": "Tom has 12 apples."}, {"role": "assistant", "content": "Yes?"},
    {"role": "user", "content": "And 7 more?"},
)  # fmt: skip
"""A system text, a solved example, and an item of two turns."""
EACH = "{{ m['role'] }}: {{ m['content'] }}<|eot_id|>"
OPEN = "{% if add_generation_prompt %}assistant: {% endif %}"
ODD = {
    "drops the system text": "{% for m in messages if m['role'] != 'system' %}" + EACH + "{% endfor %}" + OPEN,
    "opens with a thought": "{% for m in messages %}"
    + EACH
    + "{% endfor %}{% if add_generation_prompt %}assistant: <think></think>{% endif %}",
    "wants parts": "{% for m in messages %}{{ m['role'] }}: {{ m['content'][0]['text'] }}<|eot_id|>{% endfor %}" + OPEN,
}


@pytest.mark.parametrize("kind", [*KINDS, *ODD])
def test_of_a_system_text_solved_examples_and_turns_only_the_last_answer_is_learned(folders, kind):
    tokenizer = load_tokenizer(TargetSettings(model=str(folders.get(kind, folders["llama"]))))
    tokenizer.chat_template = ODD.get(kind, tokenizer.chat_template)
    row = TrainRow(prompt=TURNS, completion=({"role": "assistant", "content": "12 + 7 = 19\n#### 19"},), source="")
    ((one,), _) = prepare([row], tokenizer, [tokenizer.eos_token_id], None)
    start = sum(label == IGNORED for label in one["labels"])
    assert tokenizer.decode(one["labels"][start:]) == "12 + 7 = 19\n#### 19" + tokenizer.eos_token
    (asked,) = encode(tokenizer, [render(tokenizer, TURNS)])
    assert one["input_ids"][:start] == asked
    text, places = tokenizer.decode(asked), [tokenizer.decode(asked).find(turn["content"]) for turn in TURNS]
    assert (
        places == sorted(places) and places[0] >= 0 and all(text.count(turn["content"]) == 1 for turn in TURNS if len(turn["content"]) > 1)
    )


@pytest.mark.parametrize("kept", ["loop.last", "m['role'] == 'user'"])
def test_a_template_that_drops_earlier_turns_is_refused(folders, kept):
    tokenizer = load_tokenizer(TargetSettings(model=str(folders["llama"])))
    tokenizer.chat_template = "{% for m in messages %}{% if " + kept + " %}" + EACH + "{% endif %}{% endfor %}" + OPEN
    assert render(tokenizer, TURNS[-1:]) == "user: And 7 more?<|eot_id|>assistant: "
    with pytest.raises(TargetError, match="drops turns that stand before the last one"):
        render(tokenizer, TURNS)


def test_a_system_text_that_the_question_repeats_is_missed_where_it_is_dropped(folders):
    tokenizer = load_tokenizer(TargetSettings(model=str(folders["llama"])))
    tokenizer.chat_template = ODD["drops the system text"]
    asked = [{"role": "system", "content": "Add."}, {"role": "user", "content": "Add. 2 and 2?"}]
    assert render(tokenizer, asked) == "user: Add.\n\nAdd. 2 and 2?<|eot_id|>assistant: "


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_the_rows_are_those_that_trl_would_make(folders, kind, tmp_path):
    from datasets import Dataset
    from transformers import AutoModelForCausalLM
    from trl import SFTConfig, SFTTrainer

    tokenizer = load_tokenizer(TargetSettings(model=str(folders[kind])))
    ours = prepare(ROWS[:8], tokenizer, [tokenizer.eos_token_id], None)[0]
    theirs = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(folders[kind]),
        args=SFTConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, report_to="none"),
        train_dataset=Dataset.from_list([{"prompt": list(r.prompt), "completion": list(r.completion)} for r in ROWS[:8]]),
        processing_class=tokenizer,
    ).train_dataset
    for i in range(8):
        length = len(ours[i]["input_ids"])
        assert theirs[i]["input_ids"][:length] == ours[i]["input_ids"]
        assert theirs[i]["labels"][:length] == ours[i]["labels"]
        assert tokenizer.decode(theirs[i]["input_ids"][length:]).strip() == ""


def test_a_template_that_writes_no_end_token_still_teaches_to_stop(folders):
    tokenizer = load_tokenizer(TargetSettings(model=str(folders["llama"])))
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
    )
    labels = prepare(ROWS[:1], tokenizer, [tokenizer.eos_token_id], None)[0][0]["labels"]
    assert tokenizer.decode([n for n in labels if n != IGNORED]).endswith("\n#### 0\n<|eot_id|>")


def test_a_template_that_opens_an_answer_otherwise_is_learned_as_it_is_asked(folders):
    tokenizer = load_tokenizer(TargetSettings(model=str(folders["llama"])))
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}{{ eos_token }}{% endfor %}"
        "{% if add_generation_prompt %}assistant: <think></think>{% endif %}"
    )
    ((row,), _) = prepare(ROWS[1:2], tokenizer, [tokenizer.eos_token_id], None)
    assert "assistant: <think></think>1 + 1 = 2\n#### 2<|eot_id|>" in tokenizer.decode(row["input_ids"])
    assert tokenizer.decode([n for n in row["labels"] if n != IGNORED]) == "1 + 1 = 2\n#### 2<|eot_id|>"


def test_rows_cut_and_lost_are_counted(folders):
    tokenizer = load_tokenizer(TargetSettings(model=str(folders["plain"])))
    whole, _ = prepare(ROWS[:3], tokenizer, [1], None)
    lengths = [len(row["input_ids"]) for row in whole]
    starts = [sum(label == IGNORED for label in row["labels"]) for row in whole]
    kept, counts = prepare(ROWS[:3], tokenizer, [1], max(lengths) - 1)
    assert (len(kept), counts) == (3, (3, sum(n == max(lengths) for n in lengths), 0))
    assert prepare(ROWS[:3], tokenizer, [1], min(starts)) == ([], (3, 3, 3))
    kept, counts = prepare(ROWS[:3], tokenizer, [1], min(starts), truncation_mode="keep_end")
    assert (len(kept), counts) == (3, (3, 3, 0))


def test_the_fingerprint_is_of_what_the_rows_teach_in_their_order():
    assert fingerprint(ROWS) == fingerprint([row.model_copy(update={"source": "other"}) for row in ROWS])
    assert fingerprint(ROWS) != fingerprint(ROWS[::-1])
    assert fingerprint(ROWS) != fingerprint(ROWS[1:])
    odd = TrainRow(prompt=({"role": "user", "content": 'é "\u2028" \n'},), completion=({"role": "assistant", "content": "\\"},), source="s")
    for rows in ([], [odd], [*ROWS, odd]):
        assert fingerprint(rows) == content_hash([[row.prompt, row.completion] for row in rows])


def test_rows_in_a_file_are_not_held_in_memory(tmp_path):
    long = ROWS[0].model_copy(update={"prompt": ({"role": "user", "content": "7 " * 50_000},)})
    file = tmp_path / "rows.jsonl"
    file.write_text(200 * (long.model_dump_json() + "\n"))  # 20 MB
    tracemalloc.start()
    try:
        fingerprint(read_rows(file))
        assert tracemalloc.get_traced_memory()[1] < 4e6
    finally:
        tracemalloc.stop()
