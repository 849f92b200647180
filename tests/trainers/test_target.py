"""The target: loading, its hash, its prompts, its answers."""

import json
import os
import shutil
import threading
import weakref
from pathlib import Path

import models
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    DynamicCache,
    GPTNeoConfig,
    GPTNeoForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    PreTrainedModel,
)

from errata.signatures.errors import TargetError
from errata.trainers.chat import encode, loop_end
from errata.trainers.settings import TargetSettings
from errata.trainers.target import Target, new_cache
from errata.trainers.weights import weights_hash

KINDS = ("llama", "qwen2", "mistral", "plain")
PROMPTS = [[{"role": "user", "content": f"Tom has {i} apples " + "and more apples " * (i % 5)}] for i in range(24)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {kind: models.make(kind, root / kind) for kind in KINDS}


@pytest.fixture(autouse=True)
def short_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that these short answers are gathered into new batches several times, as long ones are."""
    monkeypatch.setattr("errata.trainers.target.ROUND", 32)


def load(folder: Path, **more) -> Target:
    return Target.load(TargetSettings(model=str(folder), **more))


@pytest.mark.parametrize("kind", KINDS)
def test_every_batch_size_gives_the_same_texts(folders, kind):
    alone = dict(load(folders[kind], batch_size=1).generate(PROMPTS, max_new_tokens=40))
    together = dict(load(folders[kind], batch_size=24).generate(PROMPTS, max_new_tokens=40))
    assert alone == together
    assert sorted(alone) == list(range(24))
    assert len({completion.text for completion in alone.values()}) > 1


def test_models_are_loaded_by_one_thread_at_a_time(folders):
    """transformers switches the tying of embeddings off while it loads; two threads at once left it off for the rest of the process."""
    tie, hashes = PreTrainedModel.tie_weights, []
    threads = [threading.Thread(target=lambda: hashes.append(load(folders["llama"]).hash)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert PreTrainedModel.tie_weights is tie
    assert hashes == [load(folders["llama"]).hash] * 16


def endless(folder: Path, **more) -> Target:
    """A model whose answers never end, and which repeats itself: random weights do when the embeddings are tied."""
    target = load(
        folder if folder.exists() else models.make("llama", folder, tie_word_embeddings=True, max_position_embeddings=512), **more
    )
    target.ends, target.model.generation_config.eos_token_id = [], None
    return target


def asked_of(target: Target, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows the model is given, call by call."""
    calls: list[int] = []
    generate = target.model.generate
    monkeypatch.setattr(target.model, "generate", lambda **given: calls.append(len(given["input_ids"])) or generate(**given))
    return calls


def test_answers_come_as_soon_as_they_are_finished_and_batches_stay_full(tmp_path, monkeypatch):
    target = endless(tmp_path / "endless", batch_size=4)
    calls = asked_of(target, monkeypatch)
    came = []
    for place, said in target.generate(PROMPTS, max_new_tokens=100):
        came.append((len(calls), place, said.finish))
    assert came[0][0] <= 5, "the first rows were held back while others began"
    for done, (number, _, _) in enumerate(came):
        assert sum(calls[:number]) / 4 - done <= 2 * 4, "more than two batches are begun and not finished"
    assert sorted(place for _, place, _ in came) == list(range(24)) and {finish for *_, finish in came} == {"length"}
    assert calls == [4] * (6 * 4)  # 24 rows in rounds of 32 new tokens, the last of 4


def test_a_looping_answer_is_cut_where_the_loop_begins_whatever_the_batch(tmp_path, monkeypatch):
    folder = tmp_path / "endless"
    asked = PROMPTS[:17]
    whole = dict(endless(folder).generate(asked, max_new_tokens=140))
    target = endless(folder, stop_loops=True)
    calls = asked_of(target, monkeypatch)
    cut = dict(target.generate(asked, max_new_tokens=140))
    ends = {place: loop_end(said.ids) for place, said in whole.items()}
    assert len({end is None for end in ends.values()}) == 2
    for place, said in cut.items():
        assert said.ids == whole[place].ids[: ends[place]] and said.tokens == len(said.ids)
        assert said.finish == ("loop" if ends[place] else "length") and whole[place].text.startswith(said.text)
    assert sum(calls) <= 17 * 5 - len([end for end in ends.values() if end])
    assert cut == dict(endless(folder, stop_loops=True, batch_size=5).generate(asked, max_new_tokens=140))


def test_an_answer_that_does_not_loop_is_the_same_with_loops_stopped(folders):
    whole, asked = (dict(load(folders["qwen2"], **more).generate(PROMPTS, max_new_tokens=60)) for more in ({}, {"stop_loops": True}))
    assert whole == asked and len({said.text for said in whole.values()}) > 1


def test_no_server_is_asked_to_stop_loops():
    with pytest.raises(ValueError, match="a server ends its answers itself: leave it out"):
        TargetSettings(api_base="http://127.0.0.1:1/v1", stop_loops=True)


def test_greedy_answers_are_those_of_plain_transformers(folders):
    target = load(folders["llama"])
    ids = target.tokenizer.apply_chat_template(PROMPTS[3], add_generation_prompt=True, return_tensors="pt")["input_ids"]
    out = target.model.generate(ids, max_new_tokens=100, do_sample=False)[0, ids.shape[1] :]
    ((_, completion),) = target.generate([PROMPTS[3]], max_new_tokens=100)
    assert completion.text == target.tokenizer.decode(out, skip_special_tokens=True)
    assert completion.tokens == len(out)


@pytest.mark.parametrize("size", [{}, {"sliding_window": 48}])
def test_long_answers_are_those_of_plain_transformers_whoever_ends_before_them(tmp_path, monkeypatch, size):
    target = load(models.make("mistral", tmp_path / "m", **size), batch_size=6)
    target.ends = list(range(3, 231, 30))  # so that answers are of all lengths
    target.model.generation_config.eos_token_id = target.ends
    asked = PROMPTS[:18]
    left: list[int] = []
    select = DynamicCache.batch_select_indices
    monkeypatch.setattr(DynamicCache, "batch_select_indices", lambda cache, rows: left.append(len(rows)) or select(cache, rows))
    answers = dict(target.generate(asked, max_new_tokens=100))
    assert len({answer.tokens for answer in answers.values()}) > 8 and max(answer.tokens for answer in answers.values()) == 100
    assert left and {*left} <= {1, 2, 3, 4, 5}, "no batch went on without some of its rows"
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "m")
    for place, prompt in enumerate(asked):
        ids = torch.tensor(encode(target.tokenizer, [target.render(prompt)]))
        out = plain.generate(ids, max_new_tokens=100, do_sample=False, eos_token_id=target.ends)[0, ids.shape[1] :]
        assert answers[place].ids == tuple(out.tolist())
    monkeypatch.setattr("errata.trainers.target.new_cache", lambda model: None)
    assert dict(target.generate(asked, max_new_tokens=100)) == answers


def test_a_batch_that_goes_on_is_not_read_again(tmp_path, monkeypatch):
    target = endless(tmp_path / "endless", batch_size=8)
    read: list[int] = []
    target.model.register_forward_pre_hook(lambda _, args, given: read.append(given["input_ids"].numel()), with_kwargs=True)
    assert len(dict(target.generate(PROMPTS[:8], max_new_tokens=100))) == 8
    width = max(map(len, encode(target.tokenizer, [target.render(prompt) for prompt in PROMPTS[:8]])))
    assert sum(read) == 8 * (width + 99)


def family(folder: Path, model: PreTrainedModel) -> Target:
    """A target of a random model that `models` does not make."""
    models.make("plain", folder)
    model.save_pretrained(folder)
    target = load(folder, batch_size=6)
    target.ends, target.model.generation_config.eos_token_id = [], None
    return target


SMALL = {"vocab_size": 400, "hidden_size": 32, "num_attention_heads": 4, "initializer_range": 0.2, "pad_token_id": 0}
SCALED = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0] * 4, "long_factor": [2.0, 3.0, 4.0, 5.0]}


def test_a_model_that_takes_another_cache_for_long_texts_is_read_again(tmp_path):
    config = Phi3Config(
        **SMALL, intermediate_size=48, num_hidden_layers=2, original_max_position_embeddings=90, rope_parameters=SCALED, eos_token_id=2
    )
    target, asked = family(tmp_path / "phi", Phi3ForCausalLM(config)), PROMPTS[:1]
    ids = torch.tensor(encode(target.tokenizer, [target.render(asked[0])]))
    assert ids.shape[1] < 80
    out = target.model.generate(ids, max_new_tokens=100, do_sample=False)[0, ids.shape[1] :]
    assert dict(target.generate(asked, max_new_tokens=100))[0].ids == tuple(out.tolist())
    assert {said.tokens for _, said in target.generate(PROMPTS, max_new_tokens=100)} == {100}


def test_a_batch_never_grows_wider_than_the_context_by_what_has_left_it(tmp_path):
    config = GPTNeoConfig(**SMALL, num_layers=2, num_heads=4, attention_types=[[["global"], 2]], max_position_embeddings=100)
    target = family(tmp_path / "neo", GPTNeoForCausalLM(config))
    alone = [next(target.generate([prompt], max_new_tokens=160))[1] for prompt in PROMPTS[:5]]
    assert len({said.tokens for said in alone}) > 2, "all answers end at once"
    together = dict(target.generate(PROMPTS[:5], max_new_tokens=160))
    assert [together[place].ids for place in range(5)] == [said.ids for said in alone]


def test_rows_that_cannot_be_chosen_for_want_of_memory_are_read_again(tmp_path, monkeypatch):
    target = load(models.make("mistral", tmp_path / "m"), batch_size=6)
    target.ends = list(range(3, 231, 30))
    target.model.generation_config.eos_token_id = target.ends
    expected, failed = dict(target.generate(PROMPTS[:12], max_new_tokens=100)), []
    monkeypatch.setattr(DynamicCache, "batch_select_indices", lambda *_: failed.append(1) or real_cpu_error())
    assert dict(target.generate(PROMPTS[:12], max_new_tokens=100)) == expected
    assert failed


def test_a_cache_is_kept_where_the_model_takes_one(folders):
    llama = load(folders["llama"]).model
    assert {type(layer).__name__ for layer in new_cache(llama).layers} == {"_Layer"}
    assert new_cache(get_peft_model(llama, LoraConfig(r=2, target_modules=["q_proj"]))) is not None
    assert new_cache(MambaForCausalLM(MambaConfig(hidden_size=8, num_hidden_layers=1, vocab_size=20, state_size=2))) is None


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_goes_on_from_a_beginning_and_holds_it(folders, kind):
    target = load(folders[kind])
    starts = ["Tom buys 12 apples.\n", "", "  Then 7\n"]
    answers = dict(target.generate(PROMPTS[:3], max_new_tokens=12, begun=starts))
    assert all(answers[place].text.startswith(start) for place, start in enumerate(starts))
    assert answers[1] == dict(target.generate(PROMPTS[1:2], max_new_tokens=12))[0]
    assert all(completion.tokens <= 12 for completion in answers.values())
    ids = encode(target.tokenizer, [target.render(PROMPTS[0]) + starts[0]])[0]
    out = target.model.generate(torch.tensor([ids]), max_new_tokens=12)[0].tolist()
    whole = target.tokenizer.decode(out, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    assert whole.endswith(answers[0].text)


def test_what_tiny_answers_goes_on_as_it_would_have(short_rounds):
    target = Target.load(TargetSettings())
    prompt = [{"role": "user", "content": "Ann has 3 boxes of 4 pens. Ann gives 2 pens to Tom. How many pens does Ann have left?"}]
    ((_, whole),) = target.generate([prompt], max_new_tokens=128)
    start = whole.text.splitlines(keepends=True)[0]
    ((_, rest),) = target.generate([prompt], max_new_tokens=128, begun=[start])
    assert (rest.text, rest.finish) == (whole.text, "stop")
    assert 0 < rest.tokens < whole.tokens
    drawn = [dict(target.generate([prompt] * 6, max_new_tokens=64, temperature=1.0, seed=3, begun=[start] * 6)) for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert len({answer.text for answer in drawn[0].values()}) > 1


def test_an_answer_is_cut_at_any_of_several_end_tokens(folders):
    target = load(folders["llama"])
    ((_, whole),) = target.generate([PROMPTS[0]], max_new_tokens=20)
    assert (whole.finish, whole.tokens) == ("length", 20)
    ids = encode(target.tokenizer, [target.render(PROMPTS[0])])[0]
    out = target.model.generate(torch.tensor([ids]), max_new_tokens=20)[0, len(ids) :].tolist()
    target.model.generation_config.eos_token_id = target.ends = [*target.ends, out[7]]
    ((_, cut),) = target.generate([PROMPTS[0]], max_new_tokens=20)
    assert (cut.finish, cut.tokens) == ("stop", out.index(out[7]) + 1)
    assert cut.text == target.tokenizer.decode(out[: cut.tokens - 1], skip_special_tokens=True)


def test_sampling_depends_on_the_seed_and_not_on_the_batch(folders):
    def sample(batch_size: int, seed: int, prompts=PROMPTS) -> dict:
        target = load(folders["qwen2"], batch_size=batch_size)
        return dict(target.generate(prompts, max_new_tokens=70, temperature=1.0, seed=seed))

    assert sample(24, 1) == sample(5, 1)
    assert sample(24, 1)[3] == sample(24, 1, PROMPTS[3:])[0]
    assert sample(24, 1) != sample(24, 2)
    twice = sample(24, 1, [PROMPTS[0], PROMPTS[0]])
    assert twice[0] != twice[1]


def test_sampling_depends_on_no_neighbour_that_meets_the_end_of_the_context(folders):
    target = load(folders["plain"])
    near = [[{"role": "user", "content": "7 " * count}] for count in (228, 230, 235)]
    alone = [dict(target.generate(PROMPTS[:1], max_new_tokens=70, temperature=1.0, seed=seed))[0] for seed in range(6)]
    assert alone == [dict(target.generate([*PROMPTS[:1], *near], max_new_tokens=70, temperature=1.0, seed=seed))[0] for seed in range(6)]
    assert {said.finish for _, said in target.generate(near, max_new_tokens=70, temperature=1.0)} == {"length"}


def test_a_full_context_ends_an_answer_with_length_and_no_error(folders):
    target = load(folders["plain"])
    long = [{"role": "user", "content": "7 " * 240}]
    longer = [{"role": "user", "content": "7 " * 400}]
    answers = dict(target.generate([long, PROMPTS[0], longer], max_new_tokens=100))
    assert target.context == 256
    assert 0 < answers[0].tokens < 100
    assert answers[0].finish == "length"
    assert answers[1] == next(target.generate([PROMPTS[0]], max_new_tokens=100))[1]
    assert answers[2][:3] == ("", "length", 0)


def test_memory_that_runs_out_halves_the_batch_and_loses_nothing(folders, monkeypatch):
    target = load(folders["llama"], batch_size=24)
    expected = dict(target.generate(PROMPTS, max_new_tokens=10))
    generate = target.model.generate

    def small(**inputs):
        if len(inputs["input_ids"]) > 7:
            raise MemoryError
        return generate(**inputs)

    monkeypatch.setattr(target.model, "generate", small)
    assert dict(target.generate(PROMPTS, max_new_tokens=10)) == expected
    monkeypatch.setattr(target.model, "generate", lambda **inputs: (_ for _ in ()).throw(MemoryError))
    with pytest.raises(TargetError, match="memory ran out on a single prompt"):
        list(target.generate(PROMPTS, max_new_tokens=10))


def test_the_tensors_of_a_failed_attempt_are_gone_before_its_memory_is_handed_back(folders, monkeypatch):
    target = load(folders["llama"], batch_size=4)
    generate, freed = target.model.generate, []
    failed: list[weakref.ref] = []

    def small(**inputs):
        if len(inputs["input_ids"]) > 2:
            cache = torch.ones(8)
            failed.append(weakref.ref(cache))
            raise torch.OutOfMemoryError("CUDA out of memory")
        return generate(**inputs)

    monkeypatch.setattr(target.model, "generate", small)
    monkeypatch.setattr("errata.trainers.target.release", lambda: freed.append([one() for one in failed]))
    assert len(dict(target.generate(PROMPTS[:4], max_new_tokens=3))) == 4
    assert freed == [[None]]


def real_cpu_error() -> None:
    torch.empty(1 << 50)


def told(words: str):
    def raise_it() -> None:
        raise RuntimeError(words)

    return raise_it


@pytest.mark.parametrize(
    "fail",
    [
        real_cpu_error,
        told("MPS backend out of memory (MPS allocated: 8.93 GB, other allocations: 40.00 MB, max allowed: 9.07 GB)."),
        told("Invalid buffer size: 21.60 GB"),
        told("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_memory_that_runs_out_is_known_by_its_words_on_any_device_and_nothing_else_is(folders, monkeypatch, fail):
    target = load(folders["llama"], batch_size=4)
    widths = []
    generate = target.model.generate

    def small(**inputs):
        widths.append(len(inputs["input_ids"]))
        return fail() if widths[-1] > 2 else generate(**inputs)

    monkeypatch.setattr(target.model, "generate", small)
    assert len(dict(target.generate(PROMPTS[:4], max_new_tokens=3))) == 4
    assert widths == [4, 2, 2]
    monkeypatch.setattr(target.model, "generate", lambda **_: told("size mismatch")())
    with pytest.raises(RuntimeError, match="size mismatch"):
        list(target.generate(PROMPTS, max_new_tokens=3))


def test_batches_grow_while_memory_is_left_and_never_again_past_what_failed(folders, monkeypatch):
    expected = dict(load(folders["llama"]).generate(PROMPTS, max_new_tokens=8))
    used = {"share": 0.1}
    monkeypatch.setattr("errata.trainers.target.memory_used", lambda device: used["share"])
    monkeypatch.setattr("errata.trainers.target.first_batch", lambda *_: 2)

    def widths(settings: dict, most: int = 100) -> list[int]:
        target = load(folders["llama"], **settings)
        seen: list[int] = []
        generate = target.model.generate

        def watched(**inputs):
            seen.append(len(inputs["input_ids"]))
            if seen[-1] > most:
                raise MemoryError
            return generate(**inputs)

        monkeypatch.setattr(target.model, "generate", watched)
        assert dict(target.generate(PROMPTS, max_new_tokens=8)) == expected
        return seen

    assert widths({}) == [2, 4, 8, 10]
    assert widths({}, most=5) == [2, 4, 8, 4, 4, 4, 4, 2]
    assert widths({"batch_size": 9}) == [9, 9, 6]
    used["share"] = 0.6
    assert widths({})[:3] == [2, 2, 2]


def test_a_model_too_large_for_the_device_is_one_line(folders, monkeypatch):
    monkeypatch.setattr(torch.nn.Module, "to", lambda *_, **__: real_cpu_error())
    with pytest.raises(TargetError, match="does not fit in memory: use a smaller model or a narrower dtype"):
        load(folders["llama"])


def test_loading_and_asking_print_nothing(folders, capfd):
    capfd.readouterr()
    target = load(folders["llama"])
    list(target.generate(PROMPTS[:2], max_new_tokens=4))
    target.close()
    assert capfd.readouterr() == ("", "")
    assert (target.device, target.dtype) == ("cpu", "float32") or target.device in ("cuda", "mps")


def test_every_broken_model_is_refused_in_one_line(folders, tmp_path):
    def broken(name: str, change) -> str:
        folder = shutil.copytree(folders["llama"], tmp_path / name)
        change(folder)
        return str(folder)

    def configure(**fields):
        def change(folder: Path) -> None:
            config = json.loads((folder / "config.json").read_text())
            (folder / "config.json").write_text(json.dumps(config | fields))

        return change

    own_code = {"model_type": "own", "auto_map": {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}}
    cases = [
        (str(tmp_path / "nowhere"), "no model folder at"),
        ("./nowhere", "no model folder at"),
        (broken("no-config", lambda f: (f / "config.json").unlink()), "has no config.json"),
        (broken("no-weights", lambda f: (f / "model.safetensors").unlink()), "has no weights"),
        (broken("cut", lambda f: os.truncate(f / "model.safetensors", 1000)), "cannot be loaded"),
        (broken("bad-config", lambda f: (f / "config.json").write_text("{")), "cannot be loaded"),
        (broken("no-tokenizer", lambda f: [p.unlink() for p in f.glob("tokenizer*")]), "cannot be loaded"),
        (broken("unknown", configure(model_type="unheard")), "cannot be loaded.*unheard"),
        (broken("own-code", configure(**own_code)), "trust_remote_code"),
        (broken("other-shape", configure(hidden_size=64)), "cannot be loaded"),
        (broken("a-layer-more", configure(num_hidden_layers=3)), "its weights lack 9 tensors"),
    ]
    for model, reason in cases:
        with pytest.raises(TargetError, match=reason) as error:
            Target.load(TargetSettings(model=model))
        assert "\n" not in str(error.value)


def test_a_hub_id_that_cannot_be_had_is_a_target_error(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(TargetError, match="nobody/no-such-model") as error:
        Target.load(TargetSettings(model="nobody/no-such-model"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("bfloat16", [True, False])
def test_weights_of_a_format_that_the_gpu_lacks_are_read_as_float32(tmp_path, monkeypatch, bfloat16):
    folder = models.make("llama", tmp_path / "model")
    half = torch.nn.Module.to
    AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).save_pretrained(folder)
    monkeypatch.setattr("errata.trainers.target.choose_device", lambda device: torch.device("mps"))
    monkeypatch.setattr("errata.trainers.target.has_bfloat16", lambda device: bfloat16)
    monkeypatch.setattr(torch.nn.Module, "to", lambda self, where: half(self, "cpu"))
    assert load(folder).dtype == ("bfloat16" if bfloat16 else "float32")
    assert load(folder, dtype="float16").dtype == "float16"


@pytest.mark.parametrize(("device", "reason"), [("cuda:99", "CUDA devices"), ("toaster", "no such device")])
def test_a_device_that_is_not_there_is_refused(folders, device, reason):
    with pytest.raises(TargetError, match=reason):
        load(folders["llama"], device=device)


def test_an_adapter_is_refused_as_a_model_and_on_another_model(folders, tmp_path):
    from peft import LoraConfig, get_peft_model

    base = AutoModelForCausalLM.from_pretrained(folders["llama"])
    get_peft_model(base, LoraConfig(r=4, target_modules="all-linear")).save_pretrained(str(tmp_path / "adapter"))
    adapter = str(tmp_path / "adapter")
    with pytest.raises(TargetError, match="holds an adapter, not a model"):
        Target.load(TargetSettings(model=adapter))
    with pytest.raises(TargetError, match="no PEFT adapter at"):
        load(folders["llama"], adapter=str(folders["llama"]))
    assert load(folders["llama"], adapter=adapter).hash != load(folders["llama"]).hash

    wide = models.make("llama", tmp_path / "wide", hidden_size=64)
    flat = models.make("llama", tmp_path / "flat", num_hidden_layers=1)
    for other in (wide, flat):
        with pytest.raises(TargetError, match="does not belong to"):
            load(other, adapter=adapter)
    # Of the same shape, only the base's hash can tell; Errata leaves it beside the adapters that it trains.
    (tmp_path / "adapter/base.json").write_text(json.dumps({"base": weights_hash(TargetSettings(model=str(folders["llama"])))}))
    load(folders["llama"], adapter=adapter)
    twin = models.make("llama", tmp_path / "twin", seed=1)
    with pytest.raises(TargetError, match="was trained on the weights"):
        load(twin, adapter=adapter)
