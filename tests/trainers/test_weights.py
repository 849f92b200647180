"""Which weights: the hash is of their content and follows it, and asking for it loads no model library."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import models
import pytest

from errata.trainers.settings import TargetSettings
from errata.trainers.target import Target
from errata.trainers.weights import weights_hash


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.make("llama", tmp_path_factory.mktemp("models") / "llama")


def test_the_hash_is_of_the_content_and_not_of_the_place(llama, tmp_path):
    copy = shutil.copytree(llama, tmp_path / "elsewhere")
    settings = TargetSettings(model=str(copy))
    original = weights_hash(TargetSettings(model=str(llama)))
    assert weights_hash(settings) == original == Target.load(settings).hash
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"_name_or_path": "x", "transformers_version": "0"}))
    assert weights_hash(settings) == original
    (copy / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 0.1}))
    assert weights_hash(settings) != original


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "chat_template.jinja"])
def test_the_hash_changes_with_weights_tokenizer_and_template(llama, tmp_path, name):
    copy = shutil.copytree(llama, tmp_path / "copy")
    before = weights_hash(TargetSettings(model=str(copy)))
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[:-2] + b" " + content[-1:])
    assert weights_hash(TargetSettings(model=str(copy))) != before


def test_the_hubs_cache_is_hashed_by_its_names_with_the_same_result(llama, tmp_path):
    snapshot = shutil.copytree(llama, tmp_path / "models--a--b/snapshots/rev")
    before = weights_hash(TargetSettings(model=str(snapshot)))
    weights = snapshot / "model.safetensors"
    blob = tmp_path / "models--a--b/blobs" / hashlib.sha256(weights.read_bytes()).hexdigest()
    blob.parent.mkdir()
    weights.rename(blob)
    weights.symlink_to(blob)
    assert weights_hash(TargetSettings(model=str(snapshot))) == before


@pytest.mark.parametrize("module", ["weights", "chat", "served", "sft", "settings"])
def test_what_reports_and_served_targets_ask_loads_no_model_library(module):
    heavy = {"torch", "transformers", "trl", "peft", "datasets", "dspy"}
    code = f"import sys, errata.trainers.{module}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
