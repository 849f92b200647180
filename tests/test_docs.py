"""What the pages say is what the code does."""

import re
import shlex
from pathlib import Path

import dspy
import pytest
from typer.testing import CliRunner

from errata.cli import app
from errata.programs import Cycle, config

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_ci_runs_the_readmes_test_command_as_it_stands():
    install, test = (block.strip() for block in blocks("bash")[:2])
    assert install.endswith("errata cycle") and "\n" not in install
    assert test in (ROOT / ".ci/run").read_text().splitlines()


def test_the_readmes_code_runs(tmp_path, monkeypatch):
    ran, tuned = [], []
    monkeypatch.setattr(Cycle, "run", lambda loop: ran.append(loop))
    monkeypatch.setattr(dspy.BootstrapFinetune, "compile", lambda finetune, student, trainset: tuned.append((student, trainset)))
    monkeypatch.chdir(tmp_path)
    exec(compile("\n".join(blocks("python")), "README.md", "exec"), {"__name__": "readme"})
    (loop,) = ran
    assert type(loop.strategy).__name__ == "Analogy"
    assert loop.config.rounds == 2
    assert (tmp_path / "runs/analogy/run.json").exists()
    assert (tmp_path / "runs/program/round-1/mine/manifest.json").exists()
    ((program, data),) = tuned
    assert program.lm.provider.finetunable
    assert len(data) == 200


def test_the_config_page_is_drawn_from_the_fields():
    page = (ROOT / "docs/config.md").read_text(encoding="utf-8")
    assert page.split("\n\n", 2)[2].strip() == "\n".join(config.describe())


def test_every_field_of_the_config_is_documented():
    for line in config.describe():
        assert re.search(r"\): \S", line), line


@pytest.mark.slow
def test_the_walk_through_prompt_optimization_runs_as_it_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/optimize.md").read_text(encoding="utf-8")
    said = {}
    for block in re.findall(r"```bash\n(.*?)```", page, re.DOTALL):
        for command in block.strip().splitlines():
            done = CliRunner().invoke(app, shlex.split(command)[1:])
            assert done.exit_code == 0, (command, done.output)
            said[command] = done.output
            if command.startswith("errata optimize"):
                assert (tmp_path / "better.json").exists() == ("--force" in command)
    assert sum("not better, so better.json was not written" in output for output in said.values()) == 1
    assert (tmp_path / "runs/taught/round-1/assemble/samples.jsonl").exists()
    assert "| mean score |" in (tmp_path / "runs/better/optimize/report.md").read_text()
    assert (tmp_path / "runs/better/optimize/report.html").exists()
