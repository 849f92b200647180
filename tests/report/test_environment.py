"""An exported environment: the sandbox's rows and the task's verdicts without Errata, in the hands of TRL, reasoning-gym and verifiers."""

import importlib
import json
import subprocess
import sys
import venv

import pytest
from lent import SMALL, errata, small_run, with_wrong
from readings import readings

from errata.programs.config import load_config
from errata.programs.report.environment.build import reaches_out
from errata.programs.run import layout, library
from errata.programs.run.directory import RunDir
from errata.programs.samples.draw import draw_rows
from errata.sandbox import Limits
from errata.signatures.records import Diagnosis, Failure, SampleProgram, TeachingResult
from errata.tasks import load_task
from errata.tasks.verdicts import number


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    held = [*library.of_run(small_run(folder / "first")), with_wrong()]
    (folder / "programs.jsonl").write_text("".join(row.model_dump_json() + "\n" for row in held))
    done = errata("generate", *SMALL, "--library", folder / "programs.jsonl", "--run", folder / "run")
    assert done.exit_code == 0, done.output
    assert len(library.of_run(folder / "run")) == len(held)
    return folder / "run"


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "small-problems"
    done = errata("export", run, "--environment", "--out", out, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["package"], found["programs"], found["left_out"]) == ("small_problems", len(library.of_run(run)), {})
    return out


@pytest.fixture(scope="module")
def made(exported):
    """The package, imported into this process."""
    sys.path.insert(0, str(exported))
    yield importlib.import_module("small_problems")
    sys.path.remove(str(exported))


def test_its_rows_are_those_that_the_sandbox_gives(run, made, sandbox):
    for held in library.of_run(run):
        wanted = [(seed, index, level) for seed in (0, 7) for index in (0, 3, 10_000_000) for level in (1, 2, 3, 4, 5)]
        rows = {
            (row.seed, row.index, row.level): row for row in draw_rows(sandbox, Limits(seconds=10, memory_mb=256), held.program, wanted)
        }
        for draw in wanted:
            row, mine = made.draw(held.program.id, *draw), rows.get(draw)
            assert (row is None) == (mine is None)
            if row is not None and mine is not None:
                said = [row[name] for name in ("question", "answer", "solution", "task", "kind", "meta", "wrong")]
                example = mine.example
                assert said == [example.question, example.answer, example.solution, example.task, example.kind, example.meta, mine.wrong]


def test_it_asks_and_judges_as_the_tasks_do(made):
    tasks = {name: load_task(name) for name in ("sums", "facts")}
    record = importlib.import_module("errata.signatures.records").Example
    for row in made.Environment(40, seed=2):
        task = tasks[row["task"]]
        example = record(task=task.name, split="train", question=row["question"], answer=row["answer"], kind=row["kind"], meta=row["meta"])
        assert row["prompt"] == task.prompt(example)
        said = task.completion(row["solution"], row["answer"])
        for response in (said, f"<think>#### 1, or A</think>{said}", "<think>so", "", "#### 1", "B", row["wrong"] or "none"):
            assert made.score(response, row) == float(bool(task.verdict(example, response).correct))


def test_it_reads_numbers_as_errata_does(made):
    row = next(row for row in made.Environment(10) if row["kind"] == "number")
    for text, read in [*readings("number"), *readings("number_more")]:
        for gold in (read or "1", "7"):
            assert made.score(text, row | {"answer": gold, "question": ""}) == float(bool(number.verdict(gold, text).correct))


def test_a_sequence_of_rows_is_the_same_for_the_same_arguments(made):
    rows = made.Environment(12, seed=4, levels=(1, 5))
    assert (len(rows), list(rows)) == (12, [rows[place] for place in range(12)])
    assert rows[-1] == list(made.Environment(12, seed=4, levels=(1, 5)))[11]
    assert rows[2:4] == [rows[2], rows[3]]
    assert {row["program"] for row in rows} == set(made.PROGRAMS)
    assert list(rows) != list(made.Environment(12, seed=5, levels=(1, 5)))
    assert rows.score_answer(rows[0]["answer"], rows[0]) == 1.0
    assert rows.score_answer(None, rows[0]) == 0.0
    with pytest.raises(IndexError):
        rows[12]
    with pytest.raises(ValueError, match="no program 'x'"):
        made.Environment(1, programs=["x"])


def test_each_program_says_where_it_is_from(run, exported, made):
    read = (exported / "README.md").read_text()
    for held in library.of_run(run):
        kept = made.PROGRAMS[held.program.id]
        assert kept["program"]["anchors"] == [Failure(attempt=row).id for row in held.errors]
        assert kept["diagnosis"]["misconception"] == held.diagnosis.misconception
        assert held.program.id in read and held.program.anchors[0] in read
    known = {"task": "sums+facts", "instructor": "unknown", "licence_of_the_data": "yours to say", "programs": len(made.PROGRAMS)}
    assert made.PROVENANCE.items() >= known.items()
    assert "with your rights" in read


CHECK = """
import sys, small_problems as made
assert not {"errata", "pydantic"} & set(sys.modules)
rows = list(made.Environment(1000, seed=1))
told = [row for row in rows if row["wrong"] is not None]
print(len(rows), sum(made.score(row["answer"], row) for row in rows), len(told) > 100, sum(made.score(row["wrong"], row) for row in told))
"""


def test_its_wheel_runs_in_an_empty_environment(exported, tmp_path):
    pip = [sys.executable, "-m", "pip"]
    subprocess.run([*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), str(exported)], check=True)
    venv.create(tmp_path / "env", with_pip=False)
    python = str(tmp_path / "env" / "bin" / "python")
    (wheel,) = tmp_path.glob("*.whl")
    subprocess.run([*pip, "--python", python, "install", "-q", "--no-deps", "--no-index", str(wheel)], check=True)
    done = subprocess.run([python, "-I", "-c", CHECK], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.split() == ["1000", "1000.0", "True", "0.0"], done.stderr


def test_reasoning_gym_takes_it_as_a_data_set(made):
    rows = made.procedural_dataset(size=6, seed=2)
    assert [row["answer"] for row in rows] == [row["answer"] for row in made.Environment(6, seed=2)]
    assert rows[0]["question"].startswith(made.Environment(6, seed=2)[0]["question"])
    assert [rows.score_answer(answer, rows[0]) for answer in (rows[0]["answer"], "", None)] == [1.0, 0.0, 0.0]


def test_rewards_are_given_for_chats_and_for_texts(made):
    row = made.Environment(1)[0]
    chats = [[{"role": "assistant", "content": text}] for text in (row["answer"], "no idea")]
    assert made.reward(completions=chats, entry=[json.dumps(row)] * 2, prompts=["", ""]) == [1.0, 0.0]
    assert made.reward(completions=[row["answer"]], entry=[json.dumps(row)]) == [1.0]


@pytest.mark.slow  # trains
def test_plain_trl_trains_on_it(made, tmp_path):
    from trl import GRPOConfig, GRPOTrainer

    from errata.trainers.weights import folder_of

    settings = {"per_device_train_batch_size": 8, "num_generations": 4, "max_completion_length": 64, "max_steps": 2, "learning_rate": 1e-4}
    config = GRPOConfig(str(tmp_path), **settings, use_cpu=True, bf16=False, report_to=[], save_strategy="no", logging_steps=1)
    trainer = GRPOTrainer(str(folder_of("tiny")), made.reward_funcs, config, made.dataset(16, levels=(1,)))
    trainer.train()
    rewards = [row["reward"] for row in trainer.state.log_history if "reward" in row]
    assert len(rewards) == 2
    assert all(0.0 <= reward <= 1.0 for reward in rewards)
    assert trainer.train_dataset.num_rows == 16


@pytest.mark.slow  # imports a large package
def test_the_loader_of_verifiers_finds_it(made):
    verifiers = pytest.importorskip("verifiers", reason="verifiers is not installed: pip install verifiers in an environment of its own")
    if "ErrataTaskset" not in made.__all__:
        found = verifiers.load_environment("small-problems", size=6, seed=3).get_dataset()
        assert found["answer"] == [row["answer"] for row in made.Environment(6, seed=3)]
        return
    v1 = importlib.import_module("verifiers.v1")
    config = v1.resolve_env_config({"taskset": {"id": "small-problems", "size": 6, "seed": 3}})
    tasks = list(v1.load_environment(config).taskset)
    assert [task.data.entry["answer"] for task in tasks] == [row["answer"] for row in made.Environment(6, seed=3)]


# ---- what is refused


def test_an_export_is_written_over_only_as_it_was_written(run, exported, tmp_path):
    out = tmp_path / "again"
    assert errata("export", run, "--environment", "--out", out).exit_code == 0
    (out / "notes").write_text("mine")
    assert errata("export", run, "--environment", "--out", out).exit_code == 0
    assert (out / "notes").read_text() == "mine"
    assert (out / "again" / "programs.jsonl").read_bytes() == (exported / "small_problems" / "programs.jsonl").read_bytes()
    (out / "README.md").write_text("changed")
    done = errata("export", run, "--environment", "--out", out)
    assert (done.exit_code, (out / "README.md").read_text()) == (1, "changed")
    assert "was changed since it was exported" in done.stderr
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.txt").write_text("a")
    done = errata("export", run, "--environment", "--out", tmp_path / "other")
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert "is no export of an environment" in done.stderr
    assert not list(tmp_path.glob(".*.partial"))


@pytest.mark.parametrize(
    ("words", "said"),
    [(("--out", "json"), "is no name for one"), (("--push", "me/it"), "leave --push"), (("--adapter",), "writes programs, no weights")],
)
def test_wrong_usage_is_told_in_one_line(run, words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = errata("export", run, "--environment", *words)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert said in done.stderr
    assert not list(tmp_path.iterdir())


def teaching(path, *programs):
    with RunDir(path, load_config(overrides={"task": "sums+lists"})) as made:
        blank = dict.fromkeys(("strategy", "skill", "misconception", "evidence", "teach"), "")
        diagnosis = Diagnosis(failure_ids=("a",), verdict="error", **blank)
        rows = [TeachingResult(failure_ids=("a",), diagnosis=diagnosis, program=program) for program in programs]
        made.stage("round-1/teach").finish({layout.TAUGHT: rows})
    return path


def test_a_run_without_programs_that_can_go_out_says_why(tmp_path):
    done = errata("export", teaching(tmp_path / "none"), "--environment")
    assert done.exit_code == 1
    assert "has no kept program to export" in done.stderr
    code = SampleProgram(diagnosis_id="d", source="x = 1", anchors=("a",), kind="code", task="lists")
    opened = SampleProgram(diagnosis_id="d", source="import os", anchors=("a",), task="sums")
    done = errata("export", teaching(tmp_path / "code", code, opened), "--environment")
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert "its answers are code, which Errata runs in its sandbox alone: 1" in done.stderr
    assert "it imports os: 1" in done.stderr
    assert not (tmp_path / "code" / "environment").exists()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import math\nfrom collections.abc import Sequence\n", ""),
        ("import os.path", "it imports os.path"),
        ("from subprocess import run", "it imports subprocess"),
        ("from . import x", "it imports "),
        ("def f():\n    return open('x')", "it names open"),
        ("x = (1).__class__", "it reads __class__"),
        ("import random\nrandom._os", "it reads _os"),
    ],
)
def test_a_program_that_could_reach_outside_is_seen(source, said):
    assert reaches_out(source) == said


def test_an_exported_environment_is_a_library(run, exported, tmp_path):
    done = errata("generate", *SMALL, "--library", exported, "--seed", 3, "--run", tmp_path / "run", "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (said["programs"]["accepted"], said["library"]["says"]["instructor"]) == (len(library.of_run(run)), "unknown")
