"""What a user meets first: init, doctor, runs, near words, completion, closed pipes, commands to paste, nothing left over."""

import json
import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import models
import pytest
import torch
import typer
from fake_run import fake_run
from typer.testing import CliRunner

from errata.cli import app
from errata.programs import doctor as doctoring
from errata.programs.config import CycleConfig, Items, fields, load_config
from errata.programs.report import measured, texts
from errata.programs.report.rounds import diagnoses
from errata.programs.run.directory import RunDir, Stage, to_json
from errata.signatures.records import Attempt, Diagnosis, Example, GateDecision, TeachingResult, Verdict
from errata.trainers import estimate, memory
from errata.trainers.estimate import need, shape_of
from errata.trainers.pace import Pace
from errata.trainers.settings import TargetSettings, TrainSettings
from errata.trainers.target import load_model

SCRIPT = str(Path(sys.executable).with_name("errata"))


def errata(*args):
    return CliRunner().invoke(app, [str(arg) for arg in args])


# ---- init


def test_init_writes_no_file_over_and_says_what_comes_next(tmp_path):
    file = tmp_path / "mine.yaml"
    done = errata("init", file, "--task", f"gsm8k:{tmp_path}/none", "--target", "org/model", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["next"][0] == f"errata doctor --config {file}"
    before = file.read_bytes()
    assert load_config(file).target.model == "org/model"
    again = errata("init", file)
    assert (again.exit_code, file.read_bytes()) == (2, before)
    assert "is there already, and is not written over" in again.stderr
    assert "before it runs: " in errata("init", tmp_path / "b.yaml", "--task", f"gsm8k:{tmp_path}/none").stdout
    wrong = errata("init", tmp_path / "c.yaml", "--task", "sumz")
    assert (wrong.exit_code, (tmp_path / "c.yaml").exists()) == (2, False)


# ---- runs


def run(path, name, accepted=None, **overrides):
    config = load_config(overrides=overrides)
    with RunDir(path / name, config) as made:
        if accepted is None:
            return path / name
        made.stage("round-1/mine").finish({})
        figures = {"before": 0.5, "after": 0.75, "difference": 0.25, "low": 0.1, "high": 0.4, "p_value": 0.01}
        decision = GateDecision(accepted=accepted, reason="gain", task=config.task, pairs=40, unjudged=0, fixed=12, broken=2, **figures)
        made.stage("round-1/gate").finish({"decision.jsonl": [decision]})
    return path / name


def test_runs_are_listed_with_how_far_they_came_and_how_to_go_on(tmp_path):
    new = run(tmp_path, "new", **{"task": "gsm8k:x", "target.model": "org/m", "instructor.model": "openai/gpt-5-mini"})
    half = run(tmp_path, "half", accepted=True, rounds=2)
    whole = run(tmp_path, "deeper/whole", accepted=False)
    (whole / "result.json").write_bytes(to_json({}))
    bad = run(tmp_path, "bad")
    (bad / "run.json").write_text("{")
    found = {one["run"]: one for one in json.loads(errata("runs", tmp_path, "--json").stdout)["runs"]}
    assert set(found) == {str(path) for path in (new, half, whole, bad)}
    assert (found[str(new)]["task"], found[str(new)]["target"], found[str(new)]["reached"]) == ("gsm8k:x", "org/m", "nothing done yet")
    assert found[str(half)]["reached"] == "round 1 of 2: gate done"
    assert found[str(half)]["accepted"] == [1]
    assert found[str(half)]["gain"]["difference"] == 0.25
    assert found[str(half)]["next"] == f"errata cycle --run {half}"
    assert (found[str(whole)]["finished"], found[str(whole)]["next"]) == (True, f"errata report {whole}")
    assert "damaged" in found[str(bad)]["damaged"]
    text = errata("runs", tmp_path).stdout
    assert "sums dev, round 1: 50.0 -> 75.0 %, +25.0 [+10, +40]" in text
    assert "finished after 1 round, none accepted" in text
    assert errata("runs", half).stdout.startswith(f"{half}\n")


def test_a_folder_without_runs_is_said_to_be_one(tmp_path):
    assert "no runs in" in errata("runs", tmp_path).stdout
    assert errata("runs", tmp_path / "nowhere").exit_code == 2


# ---- evaluations


def test_an_evaluation_ends_with_three_wrong_answers_and_where_all_are(tmp_path):
    path = tmp_path / "a run"
    done = errata("evaluate", "--task", "lists_plus", "--limit", "12", "--run", path, "-q")
    document = json.loads(errata("evaluate", "--task", "lists_plus", "--limit", "12", "--run", path, "-q", "--json").stdout)
    assert document["wrong"] > 3 == len(document["wrong_answers"])
    answers = [json.loads(line) for line in Path(document["answers"]).read_text().splitlines()]
    wrong = {row["example"]["id"]: row for row in answers if row["verdict"]["correct"] is False}
    assert len(answers) == 12 and len(wrong) == document["wrong"]
    for one in document["wrong_answers"]:
        row = wrong[one["id"]]
        assert (one["gold"], one["read"], one["reason"]) == (
            row["example"]["answer"],
            row["verdict"]["extracted"],
            row["verdict"]["reason"],
        )
        assert one["question"][:40] in done.stdout
        assert errata("trace", path, one["id"]).stdout.startswith(f"item {one['id']}")
    assert done.stdout.splitlines()[-1] == f"all answers: {document['answers']}"
    traces = [line.strip() for line in done.stdout.splitlines() if "errata trace" in line]
    assert [parsed(line)[1] for line in traces] == [
        parsed(line)[1] | {"run": path, "id_": one["id"]} for line, one in zip(traces, document["wrong_answers"], strict=True)
    ]
    told = errata("report", path)
    assert told.exit_code == 0
    assert "lists_plus, target tiny: measured lists_plus-test" in told.stdout
    assert done.stdout.split("wrong answers:")[1] in told.stdout + "\n"
    known = json.loads(errata("report", path, "--json").stdout)
    assert (known["finished"], [one["wrong"] for one in known["evaluations"].values()]) == (False, [document["wrong"]])


def test_hostile_items_and_answers_are_shown_in_one_safe_line_each():
    evil = "\x1b]0;x\x07 \u202eabc\n" * 300
    example = Example(task="t", split="test", question=f"q {evil}", answer=f"a {evil}")
    verdict = Verdict(correct=False, extracted=f"r {evil}", reason=f"w {evil}")
    unjudged = Verdict(correct=None, extracted=None, reason=f"u {evil}")
    rows = [Attempt(example=example, response=evil, verdict=one) for one in (verdict, unjudged, verdict)]
    shown = measured.text("t test", Path("r"), measured.measured(Stage(Path("r/s")), rows))
    assert all(line.isprintable() and len(line) < 300 for line in shown.splitlines())
    assert "2 of 2 wrong answers:" in shown
    assert "unjudged: u ]0;x" in shown


def test_a_skill_that_is_called_all_does_not_stand_in_the_place_of_all():
    right = [Verdict(correct=value, extracted="1", reason="") for value in (True, True, False)]
    skills = ("adds", "adds", "all")
    rows = [
        Attempt(example=Example(task="t", split="test", question=f"{number}", answer="1", skill=skill), response="1", verdict=verdict)
        for number, (skill, verdict) in enumerate(zip(skills, right, strict=True))
    ]
    found = measured.measured(Stage(Path("r/s")), rows)["skills"]
    assert {name: (one["right"], one["items"]) for name, one in found.items()} == {"all": (2, 3), "adds": (2, 2), "all (skill)": (0, 1)}


def test_a_run_in_which_nothing_was_measured_says_how_to_go_on(tmp_path):
    path = run(tmp_path, "half", accepted=True, rounds=2)
    done = errata("report", path)
    assert done.exit_code == 1
    assert f"has not come to its end, round 1 of 2: gate done; `errata cycle --run {path}` continues it" in done.stderr


# ---- doctor


def findings(*args):
    done = errata("doctor", "--limit", "2", *args, "--json")
    document = json.loads(done.stdout)
    assert done.exit_code == (0 if document["ok"] else 1)
    return {finding["what"]: finding for finding in document["findings"]}


def test_doctor_finds_the_defaults_in_order_and_hints_at_extras(monkeypatch):
    monkeypatch.setattr(doctoring, "find_spec", lambda name: None)
    found = findings()
    assert all(finding["ok"] for finding in found.values())
    assert {"gold answers of sums", "sandbox", "device", "memory to train", "disk", "instructor offline"} <= found.keys()
    assert found["extra math"]["mend"] == "pip install -e '.[math]' in a checkout of Errata"


def test_doctor_looks_at_what_the_gate_decides_on(tmp_path):
    (tmp_path / "rows").mkdir()
    for split in ("train", "test"):
        (tmp_path / f"rows/{split}.jsonl").write_text(json.dumps({"question": f"What is 1+1 {split}?", "answer": "2"}) + "\n")
    found = findings("--task", f"jsonl:{tmp_path / 'rows'}", "--set", "table.verdict=number", "--set", "guards=[]")["held-out items"]
    assert (found["ok"], found["mend"]) == (False, "give it a folder that holds dev.jsonl")
    guards = findings("--set", "guards=[gsm8k:/nonexistent]")["guards"]
    assert not guards["ok"] and "/nonexistent" in guards["said"]
    assert findings("--set", "guards=[]")["held-out items"] == {
        "what": "held-out items", "ok": True, "said": "dev items of sums", "mend": None,
    }  # fmt: skip


def test_doctor_names_what_is_missing_and_what_mends_it(monkeypatch, tmp_path):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr(memory, "free", lambda device: 10**6)
    monkeypatch.setattr(doctoring.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    found = findings("--task", f"gsm8k:{tmp_path}/none", "--instructor", "openai/gpt-5-mini")
    bad = {what: finding["mend"] for what, finding in found.items() if not finding["ok"]}
    assert bad["instructor openai/gpt-5-mini"] == "export OPENAI_API_KEY=..."
    assert bad["memory to train"].startswith("a smaller target, or a device with more memory")
    assert bad["memory to evaluate"].startswith("--set target.dtype=bfloat16")
    assert "free some space" in bad["disk"]
    assert "no such file" in found[f"gold answers of gsm8k:{tmp_path}/none"]["said"]
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    assert findings("--instructor", "openai/gpt-5-mini")["instructor openai/gpt-5-mini"]["ok"]
    server = findings("--instructor", "openai/mine", "--set", "instructor.api_base=http://127.0.0.1:9/v1")["instructor openai/mine"]
    assert not server["ok"] and "does not answer" in server["said"]


SMOLLM2 = {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3,
           "vocab_size": 49152, "max_position_embeddings": 8192}  # fmt: skip


@pytest.mark.parametrize(
    ("gigabytes", "settings", "said", "mend"),
    [
        (200, {}, "lora, 16 of 16 rows a step computed together: at most about 39.8 GB of 200 GB", None),
        (16, {}, "lora, 2 of 16 rows a step computed together: at most about 8.6 GB of 16 GB", None),
        (
            16,
            {"device": "cpu", "devices": 2},
            "lora, 1 of 8 rows a step computed together on each device: at most about 5.12 GB of 8 GB",
            None,
        ),
        (4.5, {}, "lora, 1 of 16 rows a step", None),
        (5, {"method": "full"}, "full, 1 of 16 rows a step", "--set train.method=lora"),
        (9, {"sft": {"per_device_train_batch_size": 16}}, "lora, 16 of 16", "--set train.sft='{}'"),
        (3.2, {}, "lora, 1 of 16", """--set train.sft='{"activation_checkpointing": true}'"""),
        (2.3, {}, "lora, 1 of 16", "--set train.max_length=256"),
        (1, {}, "lora, 1 of 16", "a smaller target, or a device with more memory: no setting of the training is enough"),
    ],
)
def test_doctor_says_how_a_step_is_split_and_what_makes_a_training_fit(monkeypatch, tmp_path, gigabytes, settings, said, mend):
    monkeypatch.setattr(memory, "free", lambda device: int(gigabytes * 10**9))
    monkeypatch.setattr(estimate, "keeps_freed", lambda *_: True)  # as with glibc
    target = models.outline(tmp_path / "model", 134_515_008, **SMOLLM2)
    given = [part for name, value in settings.items() for part in ("--set", f"train.{name}={json.dumps(value)}")]
    found = findings("--target", target, *given)["memory to train"]
    assert found["said"].startswith(said)
    assert "with rows of 1024 tokens; about" in found["said"] and "with rows as long as the task's own" in found["said"]
    assert (found["ok"], found["mend"]) == (mend is None, mend)


def test_doctor_says_that_there_are_fewer_gpus_than_devices(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    found = findings("--set", "train.devices=2")["devices"]
    assert "this process sees no NVIDIA GPU" in found["said"] and found["mend"] == "--set train.devices=1"


def test_doctor_says_that_prompts_are_longer_than_the_target_reads(tmp_path):
    rows = [{"question": f"{number} pens " * 200, "answer": str(number)} for number in range(1, 4)]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = ["--task", f"jsonl:{tmp_path}", "--set", "table.verdict=number", "--set", "guards=[]"]
    found = findings(*given)["context"]
    assert found["ok"] and "and the target reads 512: such answers are cut" in found["said"] and "a longer context" in found["mend"]
    (tmp_path / "train.jsonl").write_text(json.dumps({"question": "2 pens and 3?", "answer": "5"}))
    assert "context" not in findings(*given)


def test_doctor_tells_the_time_of_a_cycle_from_a_look_at_the_target(monkeypatch):
    """Of `tiny`, taken for a larger one."""
    monkeypatch.setattr(doctoring, "SMALL", 0)
    config = CycleConfig(items=Items(train=40, dev=30, test=20), train=TrainSettings(stages=("sft",)))
    [found] = [one for one in doctoring.examine(config, 20) if one.what == "time of a cycle"]
    answers, rows = doctoring.work(config)
    # with each dev: sums and its guard; 8 rows of each of 40 programs, before and after; items, dev before, after and
    # twice on a way back, test before and after
    assert (answers, rows) == (40 + 2 * 8 * 40 + 4 * (2 * 30) + 2 * (2 * 20), 3 * (1000 + 160))
    own = config.model_copy(update={"generate": config.generate.model_copy(update={"completion": "target"})})
    corrected = config.model_copy(update={"generate": config.generate.model_copy(update={"lesson": {"correction": 1.0}})})
    assert {doctoring.work(one) for one in (own, corrected)} == {(answers + 1000 * 4, rows)}
    said = re.fullmatch(r"about .+: ([\d,]+) answers .+, ([\d,]+) rows of training .+, by a look of \d+ s, without the .+", found.said)
    assert found.ok and said and said.groups() == (f"{answers:,}", f"{rows:,.0f}")


def test_an_answer_takes_its_rounds_as_far_as_it_is_likely_to_go_on():
    pace = Pace(load=0, prompt=1.0, token=0.01, ends=0.0, start=0, row=0)
    assert pace.answer(128) == pytest.approx(1 + 1.28)
    assert pace.answer(400) == pytest.approx(1 + 4.0)  # it never ends: four rounds, and the prompt is read once
    assert pace._replace(ends=1.0).answer(400) == pytest.approx(1 + 1.28)  # the batch goes on while one of it does
    assert pace.answer(128) < pace._replace(ends=0.005).answer(400) < pace.answer(400)


def test_doctor_mends_a_target_by_what_is_wrong_with_it(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in ("empty", "unweighted", "adapter"):
        (tmp_path / name).mkdir()
    (tmp_path / "unweighted" / "config.json").write_text(json.dumps(SMOLLM2))
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    mend = lambda name: next(found["mend"] for what, found in findings("--target", name).items() if what.startswith("target "))  # noqa: E731
    for name in ("empty", "unweighted", "nowhere"):
        assert mend(tmp_path / name).startswith("--target FOLDER, with config.json, tokenizer and *.safetensors in it")
    assert mend(tmp_path / "adapter").startswith(f"--target BASE --set target.adapter={tmp_path}/adapter")
    assert mend("owner/nothing-of-that-name") == "hf download owner/nothing-of-that-name"
    wrong = findings("--set", f"target.adapter={tmp_path}/empty")["target tiny"]
    assert not wrong["ok"] and wrong["mend"].startswith("--set target.adapter=FOLDER")


def test_a_training_needs_more_memory_than_an_evaluation_and_lora_less_than_full():
    shape = shape_of("tiny")
    needs = {method: need(shape, TargetSettings(), TrainSettings(method=method), 10**15) for method in ("full", "lora")}
    model = load_model(TargetSettings(), torch.device("cpu"), "auto")
    assert shape.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert needs["full"].evaluate > 4 * shape.parameters
    assert needs["full"].evaluate < needs["lora"].train < needs["full"].train
    assert need(shape, TargetSettings(), TrainSettings(batch_size=1), 10**15).train < needs["full"].train


# ---- help


def test_the_help_of_a_flag_is_the_first_sentence_of_the_fields_documentation():
    told = " ".join(re.sub(r"[│╭╰─╮╯]", " ", errata("cycle", "--help").stdout).split())
    known = {name: field.description for name, field in fields()}
    for name in ("rounds", "budget.max_calls", "target.adapter"):
        first = " ".join(known[name].split()).partition(". ")[0].removesuffix(".").replace("`", "")
        assert first in told


# ---- names, completion, pipes


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["cycel"], "Did you mean 'cycle'?"),
        (["cycle", "--tasc", "sums"], "Possible options: --task"),
        (["evaluate", "--split", "tets"], "choose train, dev or test; did you mean test?"),
        (["cycle", "--task", "summs"], "did you mean sums?"),
        (["cycle", "--set", "generate.reapirs=1"], "did you mean `generate.repairs`?"),
        (["prompt", "LearnFromContrasts", "--task", "sums"], "did you mean LearnFromContrast?"),
        (["cycle", "--set", "tagret=1"], "did you mean `target`?"),
    ],
)
def test_a_wrong_word_names_the_near_one(args, said):
    done = errata(*args)
    assert done.exit_code == 2
    assert said in " ".join(re.sub(r"[│╭╰─╮╯]", " ", done.stderr).split())


def complete(words):
    line = f"errata {words}"
    env = {**os.environ, "_ERRATA_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    return subprocess.run([SCRIPT], env=env, capture_output=True, text=True).stdout.split()


def test_the_shell_completes_commands_and_options():
    assert complete("cy") == ["cycle"]
    assert complete("cycle --max-c") == ["--max-calls", "--max-cost"]


def test_a_reader_that_leaves_early_gets_no_traceback(tmp_path):
    file = tmp_path / "c.yaml"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {SCRIPT} --help | head -n 1 > /dev/null; {SCRIPT} init {file} | true"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert load_config(file) == load_config()


# ---- printed commands, versions


def parsed(line):
    """(command, what it was given) of a printed command line, read as a shell and the command's own parser read it."""
    program, name, *words = shlex.split(line)
    assert program == "errata"
    known = typer.main.get_command(app).commands[name]
    with known.make_context(name, words) as context:
        return name, context.params


def test_every_printed_command_means_the_run_that_it_names(tmp_path):
    path = fake_run(tmp_path / "runs x" / "it's", {"sums": ["total", "left"]}, rounds=2)
    begun = run(tmp_path / "runs x", "half", accepted=True, rounds=2)
    shown = errata("report", path).stdout + "\n".join(errata("runs", one).stdout for one in (path, begun))
    shown += errata("report", begun).stderr
    blank = dict.fromkeys(("round", "failures", "at_fault", "undiagnosed", "items", "right", "wrong", "no_answer", "cut", "unjudged"), 0)
    blank |= {"run": str(path), "skills": [], "report": None, "decided": False, "files": [], "held_out": 0}
    blank |= {"unjudged_reasons": {}, "attempts": "a", "patterns": None}
    shown += "\n".join(["", texts.diagnosed(blank), texts.trained(blank), texts.imported(blank)])
    html = (path / "report.html").read_text()
    shown += "\n" + re.search("<code>(errata trace .*?)</code>", html)[1].replace("&#39;", "'").replace("&#34;", '"')
    printed = re.findall(r"errata (?:cycle|generate|report|trace) (?:--run )?(?:'[^']*'|\"[^\"]*\"|[\w/.-])+(?: ID)?", shown)
    assert len(printed) >= 7, shown
    for line in printed:
        assert parsed(line)[1]["run"] in (path, begun), line


def test_the_version_is_that_of_the_distribution():
    done = errata("--version")
    assert (done.exit_code, done.stdout) == (0, f"errata-lm {version('errata-lm')}\n")


@pytest.mark.parametrize("command", sorted(typer.main.get_command(app).commands))
def test_every_command_can_be_quiet_and_answer_in_json(command):
    flags = {flag for parameter in typer.main.get_command(app).commands[command].params for flag in parameter.opts}
    assert {"-q", "--quiet", "--json"} <= flags


def test_a_home_folder_is_expanded_where_the_shell_left_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    fake_run(tmp_path / "home" / "x", {"sums": ["total"]})
    assert f"report: {tmp_path}/home/x/report.html" in errata("report", "~/x").stdout
    assert errata("init", "~/c.yaml").exit_code == 0
    assert errata("evaluate", "--config=~/c.yaml", "--run=~/y", "--limit", "2").exit_code == 0
    assert (tmp_path / "home" / "y" / "run.json").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    assert errata("report", "~nobodyhere/x").exit_code == 2


def test_an_escape_sequence_in_a_name_does_not_reach_the_terminal(tmp_path):
    evil = tmp_path / "e\x1b]0;vil\x07\x9b31m"
    done = errata("evaluate", "--limit", "2", "--run", evil)
    assert done.exit_code == 0
    said = done.stdout + done.stderr
    for words in (["runs", tmp_path], ["trace", evil, "\x1b[2J"], ["report", tmp_path / "\x1b[1mno"], ["cycle", "--task", "\x1b[1msums"]):
        shown = errata(*words)
        said += shown.stdout + shown.stderr
    assert "u001b" in said
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", said)


# ---- nothing is left over


@pytest.mark.parametrize(
    "words",
    [
        ["evaluate", "--target", "nosuch-model-here"],
        ["evaluate", "--task", "summs"],
        ["evaluate", "--served", "http://127.0.0.1:9/v1"],
        ["cycle", "--dry-run"],
        ["generate", "--dry-run", "--strategy", "LearnFromContrast"],
        ["diagnose", "--dry-run", "--run", "deep/er/one"],
        ["cycle", "--set", "generate.reapirs=1"],
        ["cycle", "--config", "none.yaml"],
        ["generate", "--set", "errors=recorded", "--dry-run"],
        ["cycle", "--set", "errors=recorded"],
        ["import", "none.jsonl", "--task", "sums"],
        ["train", "--target", "nosuch-model-here", "--run", "named"],
    ],
    ids=" ".join,
)
def test_a_dry_run_and_a_typo_leave_nothing_behind(words, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    done = errata(*words)
    assert (done.exit_code == 0) == ("recorded" not in " ".join(words) and "--dry-run" in words), done.output
    assert list(tmp_path.iterdir()) == []


def test_a_comparison_with_a_mistyped_target_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text("base: {target: {model: nosuch-model-here}}\narms: {A: {}}\nseeds: [0]\n")
    done = errata("compare", "c.yaml")
    assert done.exit_code == 1
    assert "nosuch-model-here" in done.stderr.splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["c.yaml"]


def test_a_dry_run_of_a_run_that_was_begun_changes_none_of_its_bytes(tmp_path):
    path = tmp_path / "run"
    assert errata("evaluate", "--run", path, "--limit", "2").exit_code == 0
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file() and file.name != "lock"}
    assert errata("cycle", "--run", path, "--dry-run", "--rounds", "5").exit_code == 0
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file() and file.name != "lock"} == before


def test_rows_and_paid_answers_are_kept_when_a_command_fails(tmp_path):
    for name in ("round-1/mine/attempts.jsonl.part", "answers.jsonl"):
        with pytest.raises(KeyError), RunDir(tmp_path / name[:5] / "run", load_config()):
            (tmp_path / name[:5] / "run" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name[:5] / "run" / name).write_text("{}")
            raise KeyError
        assert (tmp_path / name[:5] / "run" / name).read_text() == "{}"


def test_what_libraries_print_is_no_part_of_the_result():
    code = (
        "import os, sys, atexit, typer\nfrom errata.programs.start import takes\n"
        "def talk(start):\n"
        "    print('python talks'); os.system('echo children talk'); os.write(1, b'C talks')\n"
        "    atexit.register(lambda: print('the end talks'))\n    start.write('the result')\n"
        "takes()(talk)()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "the result\n"
    for said in ("python talks", "children talk", "C talks", "the end talks"):
        assert said in done.stderr


# ---- diagnose


def test_diagnoses_are_counted_by_skill_and_misconception(tmp_path):
    def taught(names, skill, misconception, verdict="error"):
        diagnosis = Diagnosis(
            failure_ids=names, strategy="S", verdict=verdict, skill=skill, misconception=misconception, evidence="", teach=""
        )
        return TeachingResult(failure_ids=names, diagnosis=diagnosis, program=None)

    rows = [taught(("a", "b"), "packs", "adds"), taught(("c",), "packs", "adds"), taught(("b",), "packs", "slips")]
    rows += [taught(("d",), "shares", "forgets"), taught(("e",), "shares", "none", "ambiguous")]
    rows.append(TeachingResult(failure_ids=("f",), diagnosis=None, program=None))
    with RunDir(tmp_path / "run", load_config()) as made:
        made.stage("round-1/teach").finish({"taught.jsonl": rows}, failures=6, programs=0)
    found = diagnoses(tmp_path / "run", 1)
    assert (found["failures"], found["at_fault"], found["undiagnosed"]) == (6, 1, 1)
    packs = [{"misconception": "adds", "failures": 3}, {"misconception": "slips", "failures": 1}]
    assert found["skills"][0] == {"skill": "packs", "failures": 3, "misconceptions": packs}
    assert found["skills"][1]["failures"] == 1


READING = {
    "report": ["{}"],
    "view": ["{}"],
    "trace": ["{}", "abc"],
    "diff": ["{}", "{}"],
    "runs": ["{}"],
    "export": ["{}"],
    "export rows": ["{}", "--data"],
    "export pairs": ["{}", "--pairs"],
    "export programs": ["{}", "--environment"],
    "prompt": ["--run", "{}"],
    "optimize": ["--from", "{}", "--optimizer", "bootstrap", "--out", "state.json"],
}
"""Command -> how it is given a run that it reads."""


@pytest.mark.parametrize("place", ["nowhere", "empty", "file.txt/run", "x" * 300])
@pytest.mark.parametrize("command", READING)
def test_what_is_no_run_is_wrong_usage_to_every_command_that_reads_one(command, place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("file.txt").write_text("text")
    done = errata(command.split()[0], *(word.format(place) for word in READING[command]), "-q")
    empty = command == "runs" and place == "empty"  # a folder of no runs
    assert (done.exit_code, len(done.stderr.splitlines())) == ((0, 0) if empty else (2, 1)), done.output + str(done.exception)
    assert empty or place in done.stderr


@pytest.mark.parametrize("words", [["view", "run", "--out"], ["init"], ["optimize", "--from", "run", "--optimizer", "bootstrap", "--out"]])
@pytest.mark.parametrize("place", [".", "file.txt/x.html", "x" * 300])
def test_a_place_that_cannot_be_written_is_told_in_one_line(words, place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fake_run(tmp_path / "run", {"sums": ["total"]})
    Path("file.txt").write_text("text")
    before = sorted(tmp_path.rglob("*"))
    done = errata(*words, place, "-q")
    assert (done.exit_code in (1, 2), len(done.stderr.splitlines())) == (True, 1), done.output + str(done.exception)
    assert place in done.stderr and sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_may_not_be_written_is_told_in_one_line(tmp_path, monkeypatch):
    path = fake_run(tmp_path / "run", {"sums": ["total"]})

    def refused(*_, **__):
        raise PermissionError(13, "Permission denied", str(tmp_path / "shut"))

    monkeypatch.setattr(Path, "is_dir", refused)
    told = f"errata: {tmp_path}/shut cannot be used (Permission denied); name another place\n"
    for named in (tmp_path / "shut", "shut"):
        monkeypatch.chdir(tmp_path)
        done = errata("view", path, "--out", named, "-q")
        assert (done.exit_code, done.stderr) == (1, told)


@pytest.mark.parametrize("flag", ["--library=~a.b/x", "--patterns=~a.b/x", "--strategy=~a.b/x.py:A", "--task=jsonl:~a.b/x"])
def test_a_name_without_a_home_folder_is_told_in_one_line(flag, tmp_path):
    done = errata("generate", flag, "--run", tmp_path / "run", "-q")
    assert done.exit_code == 2
    assert done.stderr == "errata: a path begins with ~ and a name that has no home folder; give the path in full\n"


def test_a_split_without_items_is_told_with_the_way_to_another(tmp_path):
    rows = "".join(json.dumps({"question": f"{n} + 1?", "answer": str(n + 1)}) + "\n" for n in range(40))
    (tmp_path / "train.jsonl").write_text(rows)
    flags = ["--task", f"jsonl:{tmp_path}", "--set", "items.dev=2", "--set", "table.max_new_tokens=4"]
    done = CliRunner().invoke(app, ["evaluate", *flags, "--run", str(tmp_path / "run")])
    assert done.exit_code == 1
    assert "has no test items; give it a folder that holds test.jsonl, or another --split" in done.output
    assert CliRunner().invoke(app, ["evaluate", *flags, "--run", str(tmp_path / "run"), "--split", "dev"]).exit_code == 0
