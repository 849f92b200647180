"""What the pages say is what the code does."""

import importlib.util
import json
import re
import shlex
import shutil
from pathlib import Path

import dspy
import pytest
import typer
import yaml
from typer.testing import CliRunner

from errata.cli import app
from errata.programs import Cycle, config
from errata.programs.report import config_file
from errata.tasks import Opinion, doctor, load_task

ROOT = Path(__file__).resolve().parents[1]
LAUNCHERS = ("skypilot.yaml", "ray_cluster.yaml")
CONFIGS = [path for path in sorted((ROOT / "examples").glob("*.yaml")) if path.name not in LAUNCHERS]
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


@pytest.mark.parametrize("name", ["config.md", "cli.md", "api.md", "tasks.md"])
def test_pages_that_are_drawn_from_the_code_are_current(name):
    spec = importlib.util.spec_from_file_location("make_docs", ROOT / "scripts/make_docs.py")
    make_docs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_docs)
    drawn = make_docs.config_file.page() if name == "config.md" else getattr(make_docs, name.removesuffix(".md"))()
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == drawn, "run python scripts/make_docs.py"


def commands(page, *languages):
    """The lines of a page that call errata, words split; lines that go on are joined."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    found = "\n".join(re.findall(rf"```(?:{'|'.join(languages)})\n(.*?)```", text, re.DOTALL)).replace("\\\n", " ")
    return [shlex.split(line, comments=True)[1:] for line in found.splitlines() if line.startswith("errata ")]


PAGES = sorted(path.name for path in (ROOT / "docs").glob("*.md") if path.name not in ("cli.md", "LOG.md"))


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_has_the_options_that_it_is_given(page):
    errata = typer.main.get_command(app)
    for name, *words in commands(page, "bash", "console"):
        errata.commands[name].make_context(name, words)


@pytest.mark.slow
@pytest.mark.parametrize("page", ["quickstart.md", "tasks.md", "scaling.md"])
def test_the_commands_of_a_page_run_as_they_stand_on_few_items(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    few = {
        "items.train": 80,
        "items.dev": 20,
        "items.test": 20,
        "generate.failures": 6,
        "generate.rows": 40,
        "train.epochs": 1,
        "train.stages": ["sft"],
    }
    ran = commands(page, "bash")
    assert ran
    for words in ran:
        more = [flag for name, value in few.items() for flag in ("--set", f"{name}={value}")] if words[0] == "cycle" else []
        done = CliRunner().invoke(app, [*words, *more])
        assert done.exit_code == 0, (words, done.output)


def test_each_mapping_of_a_table_on_the_page_of_tasks_is_that_of_an_example():
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/tasks.md").read_text(encoding="utf-8"), re.DOTALL)
    examples = [config.load_config(path) for path in CONFIGS]
    assert blocks
    for block in blocks:
        shown = config.laid_over(yaml.safe_load(block), {})
        assert (shown.task, shown.table, shown.guards) in [(one.task, one.table, one.guards) for one in examples], block


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_an_example_is_complete_without_network_key_or_model(path, tmp_path, monkeypatch):
    def refuse(*_):
        raise AssertionError("an example's dry run reached for the network")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    folder = tmp_path / "data/gsm8k"
    folder.mkdir(parents=True)
    for split, count in (("train", 60), ("test", 5)):
        items = load_task("sums").examples(split, count)
        rows = [{"question": e.question, "answer": f"{e.solution.split('####')[0]}\n#### {e.answer}"} for e in items]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = CliRunner().invoke(app, ["cycle", "--config", str(path), "--dry-run", "--json", "-q"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["calls"]["expected"] > 0


def _with_data():
    """The configs whose items lie in examples/ too."""
    return [path for path in CONFIGS if "jsonl:examples/" in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", _with_data(), ids=lambda path: path.stem)
def test_the_gold_answers_of_an_example_are_right_by_its_own_verdict_and_others_wrong(path, monkeypatch):
    def judge(rubric, question, reference, response):
        return Opinion(False, "it is not the reference")

    monkeypatch.chdir(ROOT)
    judge.name = "a judge that knows the reference alone"
    loaded = config.load_config(path)
    checked, findings = doctor(load_task(loaded.task, loaded.table, judge=judge), 60)
    assert checked >= 80 and findings == []


def test_the_site_has_every_page_and_every_page_is_linked():
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    listed = re.findall(r"[\w/-]+\.md", json.dumps(nav))
    there = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    assert sorted(listed) == sorted(there)
    for name in there:
        for link in re.findall(r"\]\(([^)#]+)\)", (ROOT / "docs" / name).read_text(encoding="utf-8")):
            assert "://" in link or (ROOT / "docs" / name).parent.joinpath(link).exists(), (name, link)


def test_every_field_of_the_config_is_documented():
    for line in config_file.describe():
        assert re.search(r"\): \S", line), line


def test_the_tutorial_on_strategies_runs_as_it_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/strategies.md").read_text(encoding="utf-8")
    python = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "mine.py").write_text(python[0], encoding="utf-8")
    assert len(python[0].strip().splitlines()) < 25
    prompted, generated = re.search(r"```bash\n(.*?)```", page, re.DOTALL)[1].strip().splitlines()
    done = CliRunner().invoke(app, shlex.split(prompted)[1:])
    assert done.exit_code == 0, done.output
    assert "one sentence that a pupil would say" in done.stdout
    done = CliRunner().invoke(app, shlex.split(generated)[1:])
    assert done.exit_code == 0, done.output
    taught = (tmp_path / "runs/mine/round-1/teach/taught.jsonl").read_text(encoding="utf-8").splitlines()
    strategies = [json.loads(line)["diagnosis"]["strategy"] for line in taught]
    assert set(strategies) == {"BySkill", "Fuse"}
    space = {"__name__": "tutorial"}
    exec(compile("\n".join(python), "strategies.md", "exec"), space)
    assert (tmp_path / "runs/mixed/round-1/assemble/samples.jsonl").stat().st_size > 1000
    assert space["again"].members[0].diagnose.predict.signature.instructions == "Find the first wrong step."


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
