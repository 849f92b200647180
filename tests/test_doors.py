"""No way in, and no way out for keys: what may run code is listed here with its reason, nothing is unpickled, code that comes with a model
is off, and keys of the environment reach nothing that a run writes or prints."""

import ast
import json
import logging
import os
import re
from pathlib import Path

import pytest
from openai_server import OpenAIServer, Reply, fault
from typer.testing import CliRunner

from errata.cli import app
from errata.programs.config import load_config
from errata.signatures.errors import UsageError
from errata.trainers.settings import TargetSettings

ROOT = Path(__file__).resolve().parents[1]
DOORS = {"eval", "exec", "compile", "__import__", "import_module", "exec_module", "run_path", "run_module", "popen"}
HARMLESS = {("re", "compile"), ("regex", "compile"), ("optimizer", "compile"), ("model", "eval")}
LOADERS = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
ALLOWED = {
    ("programs/__init__.py", "import_module"): "the package's own modules, by the names of its face",
    (
        "programs/instructor/offline/word_problems/tune.py",
        "exec",
    ): "arithmetic over names and numbers of the embedded instructor's own making",
    ("programs/instructor/offline/word_problems/tune.py", "compile"): "the same",
    ("programs/run/cluster.py", "import_module"): "on a node: the package's own work, by the name that the run's process sends",
    ("programs/studies/optimizers.py", "import_module"): "an optimizer that the user names, package.module:Class",
    ("signatures/files.py", "exec_module"): "a file of strategies or metrics that the user names, FILE.py:NAME",
    ("sandbox/guest.py", "import_module"): "inside the sandbox",
    ("sandbox/guest.py", "exec"): "inside the sandbox",
    ("sandbox/guest.py", "compile"): "inside the sandbox",
    ("trainers/sft.py", "import_module"): "the package's own kinds of training, and TRL's settings of each",
    ("programs/report/environment/package/rows.py", "exec"): "in an exported package alone: a program that was checked there",
    ("programs/report/environment/package/rows.py", "compile"): "the same",
    ("tasks/answers/text.py", "import_module"): "a metric that the user names, module:function",
}


def package():
    """The files that run on the host; those in a folder `guest` run in the sandbox, and are read as text."""
    for folder in ("programs", "sandbox", "signatures", "tasks", "trainers"):
        yield from (path for path in sorted((ROOT / folder).rglob("*.py")) if path.parent.name != "guest")
    yield ROOT / "cli.py"


def calls(path):
    """(name, call) of each call in a file; of a.b.c() the name is c."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            function = node.func
            owner = function.value.id if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) else ""
            name = function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
            yield owner, name, node


def test_code_is_run_at_the_listed_places_alone():
    found = set()
    for path in package():
        for owner, name, _ in calls(path):
            if name in DOORS and (owner, name) not in HARMLESS:
                found.add((path.relative_to(ROOT).as_posix(), name))
    assert found == set(ALLOWED)


def test_no_file_of_the_host_imports_what_runs_in_the_sandbox():
    for path in (path for path in package() if path.is_relative_to(ROOT / "programs")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if "guest" in name.split(".")], path


def test_nothing_is_unpickled_and_no_other_loader_runs_code():
    for path in package():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not LOADERS.intersection(name.split(".")[0] for name in names), path
        for owner, name, call in calls(path):
            where = f"{path}:{call.lineno}"
            assert (owner, name) not in (("torch", "load"), ("numpy", "load"), ("np", "load"), ("yaml", "load"), ("os", "system")), where
            for keyword in call.keywords:
                value = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
                assert not (keyword.arg in ("shell", "allow_pickle", "trust_remote_code") and value), where


def test_code_that_comes_with_a_model_is_off_unless_it_is_asked_for_by_name():
    assert TargetSettings().trust_remote_code is False
    for path in package():
        for _, name, call in calls(path):
            if name == "from_pretrained" and ast.unparse(call.func).startswith("Auto"):
                given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
                assert re.fullmatch(r"False|(settings|target)\.trust_remote_code", given["trust_remote_code"]), f"{path}:{call.lineno}"


def test_weights_that_are_pickles_are_refused(tmp_path):
    from errata.signatures.errors import TargetError
    from errata.trainers.weights import folder_of

    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(TargetError, match="are pickles, which can hold code and are not loaded"):
        folder_of(str(tmp_path))


# ---- keys

CANARIES = {
    "OPENAI_API_KEY": "sk-canary-openai-0001",
    "ANTHROPIC_API_KEY": "sk-canary-anthropic-0002",
    "HF_TOKEN": "hf_canary-hub-0003",
    "HTTP_PROXY_OF_MINE": "http://me:canary-password-0004@proxy.example:3128",
    "MY_SECRET": "canary-secret-0005",
}
SECRETS = [value.partition("://me:")[2].partition("@")[0] or value for value in CANARIES.values()]


def echo(body, number):
    """A server that says everything it can about the caller, then answers so."""
    if number == 1:
        return fault(500, f"bad luck for {' '.join(SECRETS)}", retry_after="0", x_key=SECRETS[0])
    if "messages" not in body:
        return Reply(body=b'{"data": [{"id": "m"}]}')
    return Reply(f"I know {' and '.join(SECRETS)}\n#### 7")


@pytest.mark.parametrize("ends", [False, True], ids=["answers", "refuses"])
def test_keys_reach_nothing_that_a_run_writes_or_prints(tmp_path, monkeypatch, caplog, ends):
    caplog.set_level(logging.INFO)  # below, HTTP libraries log the headers of replies
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_API_BASE", "_BASE_URL")):
            monkeypatch.delenv(name)
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    for start, split in enumerate(("train", "dev", "test")):
        numbers = range(20 * start, 20 * start + 12)
        rows = [{"question": f"What is {n} + 4?", "answer": f"{n}+4=<<{n}+4={n + 4}>>{n + 4}\n#### {n + 4}"} for n in numbers]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def script(body, number):
        return fault(401, f"no right for {SECRETS}") if ends and number > 2 else echo(body, number)

    with OpenAIServer(script) as server:
        flags = ["--task", f"gsm8k:{tmp_path}", "--served", server.url, "--run", str(tmp_path / "run"), "--set", "target.served_name=m"]
        flags += ["--set", "target.model=''", "--set", "items.train=4", "--set", f"instructor.api_base={server.url}"]
        flags += ["--instructor", "openai/m"]
        for one in ("generate.probe=0", "instructor.in_flight=1", "target.batch_size=1"):
            flags += ["--set", one]
        said = ""
        for command in ("evaluate", "generate"):
            done = CliRunner().invoke(app, [command, *flags])
            assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
            said += done.output + done.stderr
        assert f"Bearer {CANARIES['OPENAI_API_KEY']}" in {seen.authorization for seen in server.seen}, said
    assert any((tmp_path / "run").rglob("*.jsonl*"))
    said += caplog.text
    for path in (tmp_path / "run").rglob("*"):
        said += path.read_text(errors="replace") if path.is_file() else ""
    assert "(key)" in said
    assert [secret for secret in SECRETS if secret in said] == []


def test_a_password_in_an_address_is_refused_before_it_is_written_and_is_not_printed():
    for name in ("target.api_base", "instructor.api_base"):
        with pytest.raises(UsageError, match=f"{name} holds a user or password") as caught:
            load_config(overrides={name: "http://me:canary-password-0004@localhost:8000/v1"})
        assert "canary" not in str(caught.value)
