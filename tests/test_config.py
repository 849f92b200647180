"""The config: a written file is read back as it was, every field is explained in it, and a name of version 0.1.0 is understood."""

import json
import re
import time

import pytest
import yaml

from errata.programs.config import CycleConfig, fields, load_config, parse_override
from errata.programs.report.config_file import commented
from errata.programs.run.directory import read_config, to_json
from errata.signatures.errors import UsageError


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"task": "gsm8k:data/it's: #1", "target.model": "org/model", "instructor.model": "openai/gpt-5-mini"},
        {"task": "jsonl:a.jsonl", "table.question": "{context}\n\n{question}", "table.choices": ["a", "b"], "guards": ["sums"]},
        {"target.api_base": "http://localhost:8000/v1", "target.server_paths": [["/a", "/b"]], "train.sft": {"report_to": "wandb"}},
    ],
)
def test_a_written_config_is_read_back_as_it_was(tmp_path, overrides):
    config = load_config(overrides=overrides)
    file = tmp_path / "c.yaml"
    file.write_text(commented(config), encoding="utf-8")
    assert load_config(file) == config


def test_every_field_stands_in_a_written_config_with_its_documentation_and_can_be_uncommented():
    text = commented(load_config())
    loaded = yaml.safe_load(re.sub(r"(?m)^( *)#(\w+: )", r"\1\2", text))
    assert CycleConfig.model_validate(loaded) == CycleConfig()
    words = " ".join(re.sub(r"(?m)^ *# ", "", text).split())
    for name, field in fields():
        if name not in ("generate.state_hash", "generate.library_hash"):
            group, _, leaf = name.rpartition(".")
            assert leaf in (loaded[group] if group else loaded)
            assert " ".join(field.description.split()) in words


def test_the_old_name_of_the_allocation_is_read_in_a_run_a_file_and_a_flag_and_written_by_its_new_one(tmp_path):
    old = load_config().model_dump(mode="json")
    old["generate"]["budget"] = "uniform"
    del old["generate"]["allocation"]
    (tmp_path / "run.json").write_bytes(to_json({"config": old}))
    (tmp_path / "c.yaml").write_text("generate: {budget: uniform}")
    wanted = load_config(overrides={"generate.allocation": "uniform"})
    assert read_config(tmp_path) == load_config(tmp_path / "c.yaml") == load_config(overrides={"generate.budget": "uniform"}) == wanted
    assert "budget" not in json.loads(wanted.model_dump_json())["generate"]
    with pytest.raises(UsageError, match=r"generate\.budget = 'even' is not usable"):
        load_config(overrides={"generate.budget": "even"})


@pytest.mark.parametrize("backend", ["auto", "wasi"])
def test_a_config_or_run_that_named_the_wasi_sandbox_still_loads(tmp_path, backend):
    old = CycleConfig().model_dump(mode="json")
    old["sandbox"]["backend"] = backend
    (tmp_path / "run.json").write_bytes(to_json({"config": old}))
    (tmp_path / "old.yaml").write_text(f"sandbox:\n  backend: {backend}\n  workers: 3\n")
    assert read_config(tmp_path) == CycleConfig() == load_config(overrides={"sandbox.backend": backend})
    assert load_config(tmp_path / "old.yaml").sandbox.workers == 3


def test_the_linux_backend_is_refused_in_one_line_that_says_what_to_do(tmp_path):
    old = CycleConfig().model_dump(mode="json")
    old["sandbox"]["backend"] = "linux"
    (tmp_path / "run.json").write_bytes(to_json({"config": old}))
    (tmp_path / "old.yaml").write_text("sandbox:\n  backend: linux\n")
    for load in (
        lambda: read_config(tmp_path),
        lambda: load_config(tmp_path / "old.yaml"),
        lambda: load_config(overrides={"sandbox.backend": "linux"}),
    ):
        with pytest.raises(UsageError, match=r"is 'linux', which is gone: [^\n]*; take the field out") as caught:
            load()
        assert "\n" not in str(caught.value)


def aliased(levels: int) -> str:
    lines = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(["a0: &a0 [x, x, x, x, x, x, x, x, x]", *lines, f"task: *a{levels - 1}", ""])


@pytest.mark.parametrize("text", [aliased(9), aliased(40), "task: &a [*a]\n", "items: &a {train: *a}\n"])
def test_aliases_that_stand_for_too_much_are_refused_at_once_and_in_one_line(tmp_path, text):
    (tmp_path / "c.yaml").write_text(text)
    start = time.process_time()
    with pytest.raises(UsageError, match="its aliases stand for more than 10,000 values, or hold themselves") as refused:
        load_config(tmp_path / "c.yaml")
    assert time.process_time() - start < 1
    assert "\n" not in str(refused.value)


def test_off_may_stand_in_a_file_and_a_flag_without_quotes(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("form: off\n")
    assert load_config(file).form == load_config(overrides=dict([parse_override("form=off")])).form == "off"
    for value in ("form=on", "form=", "form=0"):
        with pytest.raises(UsageError, match="is not usable: Input should be 'say' or 'off'"):
            load_config(overrides=dict([parse_override(value)]))


def test_a_few_aliases_are_followed(tmp_path):
    (tmp_path / "c.yaml").write_text("items: &few {train: 3, dev: 4}\nbudget: &b {}\ngenerate: *b\n")
    assert load_config(tmp_path / "c.yaml").items.train == 3


@pytest.mark.parametrize(
    "text", [f"items: {{train: {'x' * 100_000}}}", f"{'x' * 100_000}: 1", f"items: {{train: [{'x, ' * 9_000}]}}", f"task: *{'x' * 100_000}"]
)
def test_a_message_shows_little_of_a_value_however_large_it_is(tmp_path, text):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(UsageError) as refused:
        load_config(tmp_path / "c.yaml")
    assert len(str(refused.value)) < 1000 + len(str(tmp_path))


@pytest.mark.parametrize(
    ("blend", "said"),
    [
        ({"grpp": 0.5}, "'grpp' is not a stage: name sft, grpo, dpo, kto, sdft"),
        ({"sft": 2}, "2 is not above 0 and at most 1"),
        (0, "0 is not above 0 and at most 1"),
    ],
)
def test_a_blend_that_cannot_be_is_told_by_what_is_wrong_with_it(blend, said):
    with pytest.raises(UsageError, match=said):
        load_config(overrides={"train.blend": blend})


def test_a_blend_may_be_given_by_stage():
    train = load_config(overrides={"train.blend": {"sft": 0.5}}).train
    assert [train.strength("full", stage)[1] for stage in ("sft", "grpo")] == [0.5, 1.0]


ONE, TWO = "http://one:8000/v1", "https://two/v1"


@pytest.mark.parametrize(
    ("given", "kept"),
    [(ONE, ONE), ([ONE], ONE), ([ONE, TWO], (ONE, TWO)), (f"{ONE},{TWO}", (ONE, TWO)), ([f"{ONE}, {TWO}"], (ONE, TWO)), (None, None)],
)
def test_a_target_has_one_server_or_several_however_they_are_written(given, kept):
    target = load_config(overrides={"target.api_base": given}).target
    assert target.api_base == kept
    assert target.servers == (() if kept is None else (kept,) if isinstance(kept, str) else kept)
    again = load_config(overrides={"target.api_base": target.model_dump(mode="json")["api_base"]})
    assert again.target == target


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], "the list is empty"),
        ("", "'' is not an address"),
        ([ONE, ""], "'' is not an address"),
        ("localhost:8000/v1", "'localhost:8000/v1' is not an address"),
        ([ONE, "localhost:8000/v1"], "'localhost:8000/v1' is not an address"),
        (f"{ONE},localhost:8000/v1", "'localhost:8000/v1' is not an address"),
        (f"{ONE},auto", "'auto' is not an address"),
        (f"{ONE},htp://two/v1,{TWO}", "'htp://two/v1' is not an address"),
        (f"{ONE} {TWO}", "is not an address: put a comma between several"),
        ([ONE, 7], "7 is not an address"),
        ({"one": ONE}, "is not an address"),
        ("https://", "'https://' is not an address"),
        ([ONE, TWO, f"{ONE}/"], f"{ONE} stands twice"),
    ],
)
def test_a_list_of_servers_that_cannot_be_meant_is_told_in_one_line(given, told):
    with pytest.raises(UsageError, match=re.escape(told)) as caught:
        load_config(overrides={"target.api_base": given})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("given", ["http://me:pa,ss@two/v1", f"{ONE},http://me:pass@two/v1", [ONE, "http://me:pass@two/v1"]])
def test_a_password_of_one_server_of_several_is_not_shown(given):
    with pytest.raises(UsageError, match=r"target\.api_base holds a user or password") as caught:
        load_config(overrides={"target.api_base": given})
    assert "pa" not in str(caught.value).replace("password", "")
