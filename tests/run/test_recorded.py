"""The loop that goes on from recorded answers."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from openai_server import OpenAIServer, Reply
from recordings import GOLD, NUTS, PENS, gsm8k, jsonl
from typer.testing import CliRunner

from errata.cli import app
from errata.programs.config import load_config
from errata.programs.cycle import Cycle
from errata.programs.run.directory import Stage
from errata.programs.run.recorded import take
from errata.programs.steps.mine import mined, train_items
from errata.programs.steps.session import Session
from errata.signatures.errors import RunError
from errata.signatures.records import Example
from errata.tasks import load_task
from errata.tasks.options import asked
from errata.tasks.recorded import join
from errata.tasks.verdicts import choice


def errata(*args, **kwargs):
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, "-m", "errata.cli", *map(str, args)], capture_output=True, text=True, env=env, **kwargs)


def test_the_loop_teaches_from_recorded_errors_and_shows_the_instructor_no_held_out_item(tmp_path):
    task = f"gsm8k:{gsm8k(tmp_path / 'data')}"
    said = {"question": PENS, "response": "3 + 4 = <<3+4=8>>8\n#### 8"}, {"question": NUTS, "response": "#### 5"}
    file = jsonl(tmp_path / "a.jsonl", *said)
    run = tmp_path / "run"
    done = CliRunner().invoke(app, ["import", str(file), "--task", task, "--run", str(run), "--json"])
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["wrong"], document["held_out"], document["run"]) == (2, 1, str(run))
    assert Path(document["attempts"]).read_bytes() == (run / "round-1/mine/attempts.jsonl").read_bytes()
    done = CliRunner().invoke(app, ["generate", "--run", str(run), "--set", "generate.rows=20", "--json"])
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["failures"], document["programs"]["accepted"], document["samples"]) == (1, 1, 20)
    seen = (run / "round-1/teach/taught.jsonl").read_text() + (run / "round-1/assemble/rows.jsonl").read_text()
    assert "nuts" not in seen
    assert not (run / "evaluate").exists()


def test_recorded_errors_on_what_is_a_guards_item_too_are_not_taught(tmp_path):
    items = load_task("sums").examples("train", 4)
    jsonl(tmp_path / "guard/test.jsonl", {"question": items[0].question, "answer": items[0].answer})
    file = jsonl(tmp_path / "a.jsonl", *({"question": item.question, "response": "#### -1"} for item in items))
    run = tmp_path / "run"
    assert CliRunner().invoke(app, ["import", str(file), "--task", "sums", "--run", str(run)]).exit_code == 0
    config = load_config(None, {"task": "sums", "guards": [f"jsonl:{tmp_path / 'guard'}"], "errors": "recorded"})
    with Session(config, run, say=lambda line: None) as opened:
        found = mined(opened, 1)
    assert [row.attempt.example.question for row in found.failures] == [item.question for item in items[1:]]
    assert len(found.items) == 3


@pytest.mark.parametrize("changed", [lambda text: text + "\n", str.upper, lambda text: text.replace(" ", "  ")])
def test_a_train_item_that_asks_what_a_test_item_asks_is_not_mined(tmp_path, changed):
    items = load_task("sums").examples("train", 4)
    row = lambda one: {"question": one.question, "answer": one.answer, "solution": one.solution}  # noqa: E731
    jsonl(tmp_path / "data/test.jsonl", *map(row, items[:2]))
    jsonl(tmp_path / "data/dev.jsonl", row(items[2]))
    jsonl(tmp_path / "data/train.jsonl", *(row(one) | {"question": changed(one.question)} for one in items[:3]), row(items[3]))
    said = []
    with Session(load_config(None, {"task": f"jsonl:{tmp_path / 'data'}", "guards": []}), tmp_path / "run", say=said.append) as opened:
        assert [one.question for one in train_items(opened, 1)] == [items[3].question]
    assert any("3 train items are left out: they are dev, test or guard items too" in line for line in said)


def test_options_in_another_order_ask_the_same():
    one, other, third = (
        Example(task="t", split="test", question=choice.question("Which?", options), answer="A", kind="choice", meta={"choices": options})
        for options in ({"A": "Rome", "B": "Bern"}, {"A": "Bern", "B": "Rome"}, {"A": "Rome", "B": "Oslo"})
    )
    assert asked(one) == asked(other) != asked(third)


def test_recorded_errors_go_on_by_the_command_that_diagnose_prints(tmp_path):
    items = load_task("sums").examples("train", 6)
    file = jsonl(tmp_path / "a.jsonl", *({"question": one.question, "response": "#### -1"} for one in items))
    run = str(tmp_path / "run")
    assert CliRunner().invoke(app, ["import", str(file), "--task", "sums", "--run", run]).exit_code == 0
    assert CliRunner().invoke(app, ["diagnose", "--run", run]).exit_code == 0
    done = CliRunner().invoke(app, ["generate", "--run", run, "--patterns", f"{run}/patterns.yaml", "--set", "generate.rows=6", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["samples"] == 6


def test_diagnose_does_not_end_well_where_no_diagnosis_could_be_read(tmp_path):
    items = load_task("sums").examples("train", 2)
    file = jsonl(tmp_path / "a.jsonl", *({"question": one.question, "response": "#### -1"} for one in items))
    run = str(tmp_path / "run")
    assert CliRunner().invoke(app, ["import", str(file), "--task", "sums", "--run", run]).exit_code == 0
    with OpenAIServer(lambda body, number: Reply("I can only talk about the weather.")) as server:
        given = ["--instructor", "openai/loopback", "--set", f"instructor.api_base={server.url}"]
        done = CliRunner().invoke(app, ["diagnose", "--run", run, *given])
    assert done.exit_code == 1
    assert f"no diagnosis of 2 errors could be read; the reasons are in {run}/round-1/diagnose" in done.stderr
    assert (tmp_path / "run/answers.jsonl").exists()


def test_the_same_answers_continue_and_others_are_refused(tmp_path, monkeypatch):
    rows = [{"question": question, "answer": GOLD[question], "response": "#### 8"} for question in (PENS, NUTS)]
    task = load_task("gsm8k", items=False)
    answers = join.load([jsonl(tmp_path / "a.jsonl", *rows)], task)
    whole = take(answers, task, Stage(tmp_path / "whole/round-1/mine"), tmp_path / "whole")
    stage = Stage(tmp_path / "run/round-1/mine")
    judge = task.verdict

    def only(question):
        def verdict(example, response):
            if example.question != question:
                raise KeyboardInterrupt
            return judge(example, response)

        monkeypatch.setattr(task, "verdict", verdict)

    only(PENS)
    with pytest.raises(KeyboardInterrupt):
        take(answers, task, stage, tmp_path / "run")
    assert not stage.done
    only(NUTS)  # the first answer is judged already
    continued = take(answers, task, stage, tmp_path / "run")
    assert continued | {"attempts": ""} == whole | {"attempts": ""}
    assert (tmp_path / "run/attempts.jsonl").read_bytes() == (tmp_path / "whole/attempts.jsonl").read_bytes()
    other = join.load([jsonl(tmp_path / "b.jsonl", rows[0])], task)
    with pytest.raises(RunError, match="holds other recorded answers"):
        take(other, task, stage, tmp_path / "run")


def test_what_was_taught_without_the_tasks_data_is_not_trained_on(tmp_path):
    file = jsonl(tmp_path / "a.jsonl", {"question": PENS, "answer": GOLD[PENS], "response": "#### 8"})
    run = tmp_path / "run"
    assert CliRunner().invoke(app, ["import", str(file), "--task", "gsm8k", "--run", str(run)]).exit_code == 0
    assert CliRunner().invoke(app, ["generate", "--run", str(run), "--set", "generate.rows=10"]).exit_code == 0
    done = CliRunner().invoke(app, ["cycle", "--run", str(run), "--target", "tiny"])
    assert done.exit_code == 2
    assert "import the answers into another --run" in done.stderr


def begin(stage: Path) -> None:
    stage.mkdir(parents=True)
    (stage / "rows.part").write_text("a row")


def test_the_target_is_open_until_it_trains_the_task_never(tmp_path):
    folder = gsm8k(tmp_path / "data")
    base = {"task": f"gsm8k:{folder}", "errors": "recorded"}
    with Cycle(load_config(None, base), tmp_path / "run"):
        begin(tmp_path / "run/round-1/mine")
    with Cycle(load_config(None, base | {"generate.rows": 9, "target.model": "other"}), tmp_path / "run"):
        pass
    assert json.loads((tmp_path / "run/run.json").read_bytes())["config"]["target"]["model"] == "other"
    with pytest.raises(RunError, match="was made with task"), Cycle(load_config(None, base | {"task": "sums"}), tmp_path / "run"):
        pass
    judge = load_config(None, base | {"judge.model": "another/model"})  # it may have judged what was imported
    with pytest.raises(RunError, match="was made with judge"), Cycle(judge, tmp_path / "run"):
        pass
    begin(tmp_path / "run/round-1/teach")
    with pytest.raises(RunError, match=r"generate\.rows = 9"), Cycle(load_config(None, base | {"generate.rows": 8}), tmp_path / "run"):
        pass
    with Cycle(load_config(None, base | {"generate.rows": 9, "target.model": "third"}), tmp_path / "run"):
        pass
    run = tmp_path / "run"
    for stage in ("words", "pairs"):  # what the target said
        begin(asked := run / "round-1" / stage)
        with (
            pytest.raises(RunError, match=r"target\.model = 'third'"),
            Cycle(load_config(None, base | {"generate.rows": 9}), tmp_path / "run"),
        ):
            pass
        shutil.rmtree(asked)
    begin(tmp_path / "run/round-1/train")
    with pytest.raises(RunError, match=r"target\.model = 'third'"), Cycle(load_config(None, base | {"generate.rows": 9}), tmp_path / "run"):
        pass


def test_a_run_without_answers_says_how_to_get_them(tmp_path):
    (tmp_path / "c.yaml").write_text("task: sums\nerrors: recorded\n")
    done = CliRunner().invoke(app, ["generate", "--config", str(tmp_path / "c.yaml"), "--run", str(tmp_path / "run")])
    assert done.exit_code == 2
    assert "holds no recorded answers yet: errata import FILE" in done.stderr


@pytest.mark.slow  # a whole cycle in processes of its own
def test_a_target_is_trained_from_recorded_errors(tmp_path):
    """From the answers of one model to the gate's decision on another, without a word of the target in round 1's mine."""
    items = load_task("sums").examples("train", 12)
    rows = [{"question": item.question, "answer": item.solution, "response": "#### -1"} for item in items]
    run = tmp_path / "run"
    done = errata("import", jsonl(tmp_path / "a.jsonl", *rows), "--task", "sums", "--run", run, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["wrong"] == 12
    small = {
        "items.dev": 20,
        "items.test": 20,
        "generate.failures": 4,
        "generate.rows": 32,
        "train.epochs": 1,
        "train.stages": "[sft]",
        "guards": "[]",
    }
    flags = [flag for name, value in small.items() for flag in ("--set", f"{name}={value}")]
    done = errata("cycle", "--run", run, "--target", "tiny", *flags)
    assert done.returncode == 0, done.stderr
    assert "round 1: accepted" in done.stdout or "round 1: rejected" in done.stdout
    assert (run / "round-1/train/weights").exists()
