"""The loop on the embedded defaults, small: whole, killed at every boundary and in the middle of its work, and broken on purpose."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from typer.testing import CliRunner

from errata.cli import app
from errata.programs import report
from errata.programs.config import load_config, settled
from errata.programs.cycle import Cycle
from errata.programs.report.trace import Lineage, as_text
from errata.programs.run import layout
from errata.programs.run.directory import RunDir
from errata.programs.steps import gate
from errata.programs.steps.practice import Practice
from errata.programs.view import sources
from errata.signatures.errors import UsageError
from errata.signatures.records import GateDecision, Sample, TeachingResult
from errata.tasks import load_task

ERRATA = [sys.executable, "-m", "errata.cli"]
SMALL = {
    "items.train": 100,
    "items.dev": 24,
    "items.test": 24,
    "generate.failures": 8,
    "generate.rows": 60,
    "generate.probe": 2,
    "train.epochs": 1,
    "train.stages": ["sft"],  # one in stages is below
    "train.save_steps": 2,
    "rounds": 2,
    "gate.alpha": 1.0,
    "gate.margin": 1.0,
}
FLAGS = [flag for name, value in SMALL.items() for flag in ("--set", f"{name}={value}")]
VOLATILE = {"lock", "train.log", "job.json", "seconds.json"}
"""Files that may differ between two runs: they are no result."""
TIMES = re.compile(rb'"when": \{[^}]*\}|- (finished|time taken): .*|<dt>(finished|time taken)<dd>.*')


def cycle(run, *flags, **kwargs):
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run([*ERRATA, "cycle", "--run", str(run), *FLAGS, *flags], capture_output=True, text=True, env=env, **kwargs)


def ran(*args):
    """As `cycle`, any command, in this process: no seconds go to imports."""
    done = CliRunner().invoke(app, [*map(str, args)])
    return subprocess.CompletedProcess(args, done.exit_code, done.stdout, done.stderr)


def files(run):
    """Every result of a run: path inside it -> bytes; of a report without its times and the place of the run."""
    found = (path for path in sorted(run.rglob("*")) if path.is_file() and path.name not in VOLATILE)
    return {str(path.relative_to(run)): TIMES.sub(b"", path.read_bytes()).replace(bytes(run), b"RUN") for path in found}


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """An uninterrupted run of two rounds: one trains in a child process, as a user's does, the other in this one, which is quicker."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Cycle, "in_process", property(lambda loop: loop.decided(1)))
        done = ran("cycle", "--run", run, *FLAGS)
    assert done.returncode == 0, done.stderr
    return run, done


def test_a_cycle_ends_with_a_table_of_skills_and_the_place_of_its_report(finished):
    run, done = finished
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[:3] for line in lines if line[1:3] == ["test", "24"]] == [["sums", "test", "24"], ["sums_plus", "test", "24"]]
    assert "round 1: accepted" in done.stdout or "round 1: rejected" in done.stdout
    assert f"report: {run}/report.html" in done.stdout
    for whose in ("weights as given", "weights of round 1"):
        assert f"evaluate sums-dev, {whose}: " in done.stderr
    assert (run / "report.html").stat().st_size > 5000


def test_every_stage_left_its_rows_and_no_part(finished):
    run, _ = finished
    names = {str(path.relative_to(run)) for path in run.rglob("*.jsonl")}
    for number in (1, 2):
        for name in ("mine/attempts", "teach/taught", "probe/attempts", "assemble/samples", "assemble/rows", "gate/decision"):
            assert f"round-{number}/{name}.jsonl" in names
    assert not list(run.rglob("*.part"))
    rows = [json.loads(line) for line in (run / "round-1/assemble/rows.jsonl").read_bytes().split(b"\n") if line]
    assert len(rows) == 120
    assert all(row["completion"][0]["content"].splitlines()[-1].startswith("#### ") for row in rows)


def test_the_second_round_starts_from_what_the_first_left(finished):
    run, _ = finished
    decision = json.loads((run / "round-1/gate/decision.jsonl").read_bytes())
    first, second = (json.loads((run / f"round-{n}/train/manifest.json").read_bytes())["report"] for n in (1, 2))
    assert second["base"] == (first["weights"] if decision["accepted"] else first["base"])
    assert second["weights"] not in (first["base"], first["weights"])


def test_each_round_tells_how_far_its_weights_went_on_what_the_first_ones_answered(finished):
    run, done = finished
    rounds = json.loads((run / "report.json").read_bytes())["rounds"]
    for row in rounds:
        replay, guard = row["decision"]["forgetting"]
        assert (replay["on"], guard["on"], guard["prompts"]) == ("replay", "sums_plus", SMALL["items.dev"])
        assert 40 < replay["prompts"] <= 64 and replay["tokens"] > 10 * replay["prompts"]
        assert guard["kl"] > replay["kl"] > 0  # half of what it trains on is replay, in its own words
        assert f"| {replay['kl']:.4f} |" in (run / "report.md").read_text()
        assert f"KL to the first weights, nats per token: replay {replay['kl']:.3g}, sums_plus {guard['kl']:.3g}" in done.stderr


@pytest.mark.slow  # measures a whole gate again, 10 seconds
def test_a_gate_that_is_made_again_ends_with_the_same_bytes(finished, tmp_path):
    whole, _ = finished
    run = tmp_path / "whole"
    shutil.copytree(whole, run)
    for path in (run / "round-2/gate/manifest.json", run / "result.json", run / "round-2/probe-after/manifest.json"):
        path.unlink()
    done = cycle(run, "--json")
    assert done.returncode == 0, done.stderr
    assert files(run) == files(whole)
    (event,) = [row for row in map(json.loads, done.stderr.splitlines()) if row["event"] == "round"]
    replay, guard = json.loads((whole / "round-2/gate/decision.jsonl").read_bytes())["forgetting"]
    assert (event["number"], event["replay_kl"], event["sums_plus_kl"]) == (2, replay["kl"], guard["kl"])
    assert event["sums_plus_cross_entropy_rise"] == guard["cross_entropy_rise"]


def test_a_gate_that_goes_back_is_killed_on_the_way_and_goes_on(finished, tmp_path, monkeypatch):
    """The guard is made to turn down what was trained and what lies at 0.9 of the way; all else is real."""
    run = tmp_path / "run"
    shutil.copytree(finished[0], run, ignore=lambda folder, names: {"round-2", "gate", "result.json", "lock"} & {*names})
    decide, said, stop = gate.decide, [], [2]

    def fell(task, before, after, guards, settings, choices=1):
        if stop and len(layout.trainings(run, 1)) == stop[0]:
            stop.clear()
            raise KeyboardInterrupt
        real = decide(task, before, after, guards, settings, choices)
        lost = {"accepted": False, "reason": "guard sums_plus fell", "difference": 0.5, "p_value": 0.001, "fixed": 12, "broken": 0}
        return real.model_copy(update=lost if len(layout.trainings(run, 1)) < 3 else lost | {"accepted": True, "difference": 0.4})

    monkeypatch.setattr(gate, "decide", fell)

    def go():
        with Cycle(load_config(overrides=SMALL), run, said.append) as loop:
            loop.in_process = True
            gate.gate(loop, 1)
            return layout.decision(run, 1), loop.base(2)

    with pytest.raises(KeyboardInterrupt):
        go()
    made = files(run / "round-1/train-2")
    decision, base = go()
    assert files(run / "round-1/train-2") == made
    assert (decision.accepted, decision.stage) == (True, 2)
    assert decision.reason.startswith("at 0.8 of the way to sft: ")
    assert base.model == str(run / "round-1/train-3/weights")
    told = "\n".join(said)
    assert "round 1: guard sums_plus fell: 0.9 of the way is looked at" in told
    assert re.search(r"evaluate sums-dev, weights of round 1, 0.8 of the way to sft: \d+ of 24 right", told)
    assert {one.names: one.title for one in sources.read(str(run)) if "round 1" in one.title} == {
        ("1:sft", "1:1"): "round 1 after sft",
        ("1:2",): "round 1, 0.9 of the way to sft",
        ("1", "1:3", "accepted"): "round 1, 0.8 of the way to sft, accepted",
    }


def test_a_finished_run_is_not_run_again(finished):
    run, done = finished
    before = files(run)
    again = ran("cycle", "--run", run, *FLAGS)
    assert again.returncode == 0
    assert again.stdout == done.stdout
    assert files(run) == before


def test_no_training_row_is_a_held_out_item(finished):
    run, _ = finished
    held = {json.loads(line)["example"]["question"] for path in run.glob("evaluate/*/*/attempts.jsonl") for line in path.open()}
    rows = [json.loads(line) for path in run.glob("round-*/assemble/rows.jsonl") for line in path.open()]
    assert held and rows
    asked = [message["content"] for row in rows for message in row["prompt"]]
    assert not [question for question in held if any(question in text for text in asked)]


def watch_and_kill(run, seen):
    """Start a cycle and SIGKILL its whole group once `seen()` is true. Returns whether it was killed before it ended."""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [*ERRATA, "cycle", "--run", str(run), *FLAGS],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=env,
    ) as process:
        while process.poll() is None:
            if seen():
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                return True
            time.sleep(0.002)
    return False


def lines(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.slow  # about 12 starts of a process that loads torch
@pytest.mark.timeout(1800)
def test_a_run_killed_at_every_boundary_and_inside_generation_and_training_ends_with_the_same_bytes(finished, tmp_path):
    whole, _ = finished
    run = tmp_path / "whole"  # the report names it
    boundaries = [
        lambda: lines(run / "round-1/mine/attempts.jsonl.part") >= 10,
        lambda: (run / "round-1/mine/manifest.json").exists(),
        lambda: lines(run / "round-1/teach/taught.jsonl.part") >= 3,
        lambda: (run / "round-1/teach/manifest.json").exists(),
        lambda: (run / "round-1/probe/manifest.json").exists(),
        lambda: (run / "round-1/assemble/manifest.json").exists(),
        lambda: any((run / "round-1/train").glob("checkpoints/*")),
        lambda: (run / "round-1/train/manifest.json").exists(),
        lambda: any(run.glob("evaluate/*/sums-dev/manifest.json")),
        lambda: (run / "round-1/gate/manifest.json").exists(),
        lambda: (run / "round-2/teach/manifest.json").exists(),
        lambda: (run / "round-2/train/manifest.json").exists(),
        lambda: (run / "result.json").exists(),
    ]
    killed = [watch_and_kill(run, seen) for seen in boundaries]
    # the last one may end in the instant between its result and the signal
    assert all(killed[:-1])
    done = cycle(run)
    assert done.returncode == 0, done.stderr
    mine, theirs = files(run), files(whole)
    assert mine.keys() == theirs.keys()
    different = [name for name in mine if mine[name] != theirs[name]]
    assert different == []


def test_the_sandbox_is_opened_once_however_many_threads_ask_for_it_at_once(tmp_path, monkeypatch):
    from errata.programs.steps import session as module

    opened = []

    class Slow:
        def __init__(self, **_):
            opened.append(self)
            time.sleep(0.05)

        def close(self):
            opened.remove(self)

    monkeypatch.setattr(module, "open_sandbox", Slow)
    with module.Session(load_config(), tmp_path / "run", say=lambda line: None) as loop, ThreadPoolExecutor(16) as pool:
        ready = threading.Barrier(16)
        found = list(pool.map(lambda _: (ready.wait(), loop.sandbox)[1], range(16)))
        assert opened == [found[0]] == list(set(found))
    assert opened == []


def test_an_interrupt_says_how_to_continue_and_leaves_a_usable_run(tmp_path):
    run = tmp_path / "run"
    command = [*ERRATA, "generate", "--as-errors", "--run", str(run), *FLAGS]  # asks no target: no torch is loaded
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while lines(run / "round-1/teach/taught.jsonl.part") < 1:
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "errata: interrupted; what was done is kept, and the same command continues"
    with RunDir(run, settled(load_config(overrides=SMALL | {"errors": "all"}))):
        pass


def test_lineage_goes_from_a_row_to_its_error_and_from_an_item_to_rows_of_its_skill(finished):
    run, _ = finished

    def trace(name):
        done = ran("trace", run, name)
        assert done.returncode == 0, done.stderr
        return done.stdout

    sample = json.loads((run / "round-1/assemble/samples.jsonl").open().readline())
    told = trace(sample["id"])
    taught = [json.loads(line) for line in (run / "round-1/teach/taught.jsonl").open()]
    parent = next(row for row in taught if row["program"] and row["program"]["id"] == sample["program_id"])
    assert f"sample {sample['id']}: round 1" in told
    assert f"program {sample['program_id']}" in told
    assert f"error {parent['failure_ids'][0]}" in told
    assert parent["diagnosis"]["misconception"] in told
    attempts = [json.loads(line) for line in (run / "round-1/mine/attempts.jsonl").open()]
    error = next(row for row in attempts if row["example"]["id"] in told)
    skill = error["example"]["skill"]
    base = json.loads((run / "result.json").read_bytes())["before"]
    items = [json.loads(line)["example"] for line in (run / "evaluate" / base / "sums-test/attempts.jsonl").open()]
    item = next(row for row in items if row["skill"] == skill)
    assert f"training rows come from errors of skill {skill!r}" in trace(item["id"][:12])


def said(*args):
    """The JSON document of a command in this process."""
    done = CliRunner().invoke(app, [*map(str, args), "--json", *(["-q"] if args[0] in ("generate", "train") else [])])
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_commands_that_stop_early_tell_of_the_round_that_they_worked_on(finished):
    run, _ = finished
    taught = [json.loads(line) for line in (run / "round-2/teach/taught.jsonl").open()]
    made = said("generate", "--run", run)
    assert made["round"] == 2
    assert made["failures"] == len(taught)
    dropped = [json.loads(line) for line in (run / "round-2/assemble/rejections.jsonl").open()]
    late = sum(row["kind"] == "program" for row in dropped)  # a program whose rows were refused
    assert made["programs"]["accepted"] == sum(row["program"] is not None for row in taught) - late
    trained = said("train", "--run", run)
    assert (trained["round"], trained["weights"], trained["decided"]) == (2, str(run / "round-2/train/weights"), True)
    assert trained["report"]["rows_kept"] == 120


def test_lineage_as_a_document_holds_the_records_themselves(finished):
    run, _ = finished
    sample = json.loads((run / "round-2/assemble/samples.jsonl").open().readline())
    document = said("trace", run, sample["id"])
    assert (document["kind"], document["round"], document["trained_on"]) == ("sample", 2, True)
    assert document["sample"] == sample
    taught = [json.loads(line) for path in run.glob("round-*/teach/taught.jsonl") for line in path.open()]
    parent = next(row for row in taught if row["program"] and row["program"]["id"] == sample["program_id"])
    assert document["program"]["diagnosis"] == parent["diagnosis"]
    (error,) = document["program"]["errors"]
    assert error["id"] == parent["failure_ids"][0]
    alone = said("trace", run, error["id"])
    became = alone.pop("became")
    assert alone == error
    assert f"studied; rebuilt by program {sample['program_id']}" in [one["told"] for one in became]
    base = json.loads((run / "result.json").read_bytes())["before"]
    item = json.loads((run / "evaluate" / base / "sums-test/attempts.jsonl").open().readline())
    shown = said("trace", run, item["example"]["id"])
    assert (shown["kind"], shown["item"]) == ("item", item["example"])
    assert shown["attempts"][0] == {"weights": base, "attempt": item}


def test_an_unknown_id_is_a_usage_error(finished):
    done = ran("trace", finished[0], "nosuchid")
    assert done.returncode == 2
    assert f"{finished[0]} holds nothing with the id 'nosuchid'; it has samples (e.g. " in done.stderr


def ids(value):
    """Every id in a document, and of records inside it, but those of verdicts and measurements."""
    if isinstance(value, list):
        return [name for one in value for name in ids(one)]
    if not isinstance(value, dict):
        return []
    inside = [name for key, one in value.items() if key not in ("verdict", "forgetting") for name in ids(one)]
    return [*([value["id"]] if "id" in value else []), *inside]


def test_the_id_of_any_row_in_the_files_of_a_run_can_be_traced(finished):
    run, _ = finished
    lineage, kinds = Lineage(run), {}
    for file in run.rglob("*.jsonl"):
        rows = [json.loads(line) for line in file.open()]
        names = {name for row in rows[:3] + rows[-3:] for name in ids(row)}
        documents = [lineage.trace(name) for name in names]
        assert documents and all(as_text(one) for one in documents)
        kinds.setdefault(file.stem, set()).update(one["kind"] for one in documents)
    least = {
        "attempts": {"item", "program"},
        "taught": {"program"},
        "samples": {"sample"},
        "rejections": {"refused"},
        "rows": {"sample", "item"},
        "library": {"program"},
        "decision": {"weights"},
    }
    assert kinds.keys() == least.keys() and all(kinds[name] >= wanted for name, wanted in least.items()), kinds
    base = json.loads((run / "result.json").read_bytes())["before"]
    assert as_text(lineage.trace(base)) == f"weights {base}: as given: no round of this run made them"


def test_a_replayed_row_is_traced_to_the_answer_that_was_trained_on_again(finished):
    run, _ = finished
    rows = [json.loads(line) for line in (run / "round-2/assemble/rows.jsonl").open()]
    answers = {row["id"]: row for row in map(json.loads, (run / "round-2/mine/attempts.jsonl").open())}
    row = next(row for row in rows if row["source"] in answers)
    document = Lineage(run).trace(row["id"])
    assert document["id"] == answers[row["source"]]["example"]["id"]
    assert document["attempts"][-1]["attempt"]["response"] == row["completion"][0]["content"]
    assert 2 in document["replayed"] and "this answer was trained on again" in as_text(document)


def test_a_refused_row_is_traced_to_the_refusal_and_its_program(finished):
    run, _ = finished
    refusals = [json.loads(line) for line in (run / "round-1/assemble/rejections.jsonl").open()]
    refusal = next(row for row in refusals if row["kind"] == "sample")
    text = as_text(Lineage(run).trace(refusal["of"])).splitlines()
    assert text[:2] == [
        f"row {refusal['of']}: refused in round 1 by check {refusal['check']}, so it was not trained on",
        f"  reason: {refusal['reason']}",
    ]
    assert text[2].startswith(f"program {refusal['program']}: ")


def test_the_beginning_of_several_ids_is_told_two_of_them_whatever_they_are_of(finished):
    lineage = Lineage(finished[0])
    names = sorted({*lineage.samples, *lineage.taught, *lineage.failures, *lineage.items, *lineage.made, *lineage.mined})
    begun = [name for name in names if name.startswith("a")]
    with pytest.raises(UsageError, match=f"'a' begins {len(begun)} ids, e.g. {begun[0]} and {begun[1]}; give more of it"):
        lineage.trace("a")
    with pytest.raises(UsageError, match="holds nothing with the id ''; it has samples"):
        lineage.trace(" ")


def test_the_report_is_one_page_that_loads_nothing_and_escapes_what_models_wrote(finished):
    run, _ = finished
    html = (run / "report.html").read_text()
    for forbidden in ("<script", "<link", "<img", "http://", "https://", "@import", "url("):
        assert forbidden not in html
    document = json.loads((run / "report.json").read_bytes())
    assert [row["number"] for row in document["rounds"]] == [1, 2]
    assert document["evaluations"]["sums test"]["before"]["items"] == 24
    assert document["not_checked"]
    done = ran("report", run, "--json")
    assert json.loads(done.stdout)["evaluations"] == document["evaluations"]


@pytest.fixture(scope="module")
def gsm8k(tmp_path_factory):
    """A folder in GSM8K's form, of problems that `tiny` knows."""
    folder = tmp_path_factory.mktemp("gsm8k")
    for split, count in (("train", 120), ("dev", 30), ("test", 30)):
        rows = [
            {"question": e.question, "answer": e.solution if "####" in e.solution else f"{e.solution}\n#### {e.answer}"}
            for e in load_task("sums").examples(split, count)
        ]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.mark.slow
def test_a_cycle_on_gsm8k_comes_to_its_end_and_its_report(gsm8k, tmp_path):
    done = ran("cycle", "--run", tmp_path / "run", *FLAGS, "--task", f"gsm8k:{gsm8k}", "--rounds", "1")
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line.split()[:3] == ["gsm8k", "test", "24"]]
    assert (tmp_path / "run/report.html").exists()


@pytest.mark.slow  # a whole cycle, 17 seconds
def test_a_train_item_that_is_also_a_dev_item_is_left_out(gsm8k, tmp_path):
    folder = tmp_path / "overlap"
    folder.mkdir()
    for split in ("dev", "test"):
        (folder / f"{split}.jsonl").write_bytes((gsm8k / f"{split}.jsonl").read_bytes())
    (folder / "train.jsonl").write_bytes((gsm8k / "train.jsonl").read_bytes() + (gsm8k / "dev.jsonl").read_bytes())
    command = ["generate", "--task", f"gsm8k:{folder}", "--as-errors", "--run", str(tmp_path / "run"), "--json"]
    done = ran(*command)
    assert json.loads(done.stdout)["failures"] == 120
    assert "30 train items are left out" in done.stderr


def test_missing_dev_items_are_told_before_anything_is_done(gsm8k, tmp_path):
    done = ran("cycle", "--run", tmp_path / "run", "--task", f"gsm8k:{gsm8k / 'train.jsonl'}")
    assert done.returncode == 1
    assert "has no dev items for the gate to decide on" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (["--set", "guards=[sums_plus, sums]"], 2, "two of one name, or one folder, cannot be told apart"),
        (["--set", "generate.levels=[]"], 2, "generate.levels"),
        (["--task", "sumz"], 2, "no task is called 'sumz': did you mean sums?"),
        (["--task", "gsm8k:nowhere.jsonl"], 1, "nowhere.jsonl"),
        (["--target", "no/such-model"], 1, "no/such-model"),
        (["--strategy", "LearnFromErrors"], 2, "there is no strategy 'LearnFromErrors'"),
        (["--set", "train.epoch=1"], 2, "did you mean `train.epochs`?"),
        (["--set", "rounds"], 2, "--set takes name=value"),
        (["--config", "nowhere.yaml"], 2, "nowhere.yaml cannot be read"),
        (["--rounds", "0"], 2, "rounds = 0 is not usable"),
        (
            ["--set", "train.stages=[sft, sdft]"],
            2,
            "a target of 504,672 parameters cannot use a hint that it is shown; sdft needs 100,000,000",
        ),
    ],
)
def test_bad_input_is_one_line_with_its_exit_code(tmp_path, monkeypatch, flags, code, said):
    monkeypatch.chdir(tmp_path)
    done = ran("cycle", "--run", "run", "-q", *flags)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


def test_generate_from_a_file_of_questions_prints_one_document_and_leaves_samples(tmp_path):
    data = tmp_path / "train.jsonl"
    rows = [
        {
            "question": f"Ann has {n} bags with {n + 3} apples each. She eats {n - 1} apples. How many apples are left?",
            "answer": f"Ann has {n}*{n + 3}=<<{n}*{n + 3}={n * (n + 3)}>>{n * (n + 3)} apples.\n"
            f"Then {n * (n + 3)}-{n - 1}=<<{n * (n + 3)}-{n - 1}={n * (n + 3) - n + 1}>>{n * (n + 3) - n + 1} apples are left.\n"
            f"#### {n * (n + 3) - n + 1}",
        }
        for n in range(12, 17)
    ]
    rows.append({"question": "How many legs has a spider?", "answer": "It has eight.\n#### 8"})
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = ["generate", "--task", f"gsm8k:{data}", "--as-errors", "--instructor", "offline", "--run", str(tmp_path / "run"), "--json"]
    done = ran(*command)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["failures"] == 6
    assert document["programs"]["accepted"] == 5
    assert document["programs"]["refused"] == {"instructor": 1}
    assert document["samples"] == 40
    assert lines(tmp_path / "run/round-1/assemble/samples.jsonl") == 40
    limited = [*command[:-3], "--run", str(tmp_path / "two"), "--limit", "2", "--json"]
    assert json.loads(ran(*limited).stdout)["failures"] == 2
    assert Path(tmp_path / "two/run.json").exists()


@pytest.mark.slow  # trains for two tasks
def test_a_cycle_over_several_tasks_teaches_each_in_its_own_form_and_gates_on_all(tmp_path):
    data = tmp_path / "gsm8k"
    data.mkdir()
    texts = ["Ann has {} pens and buys {} more. How many pens has she?", "A box holds {} nuts and a bag {} nuts. How many nuts are there?"]
    for split, start in (("train", 3), ("dev", 40), ("test", 70)):
        rows = []
        for n in range(8):
            left, right = start + n, 2 * n + 5
            answer = f"<<{left}+{right}={left + right}>>\n#### {left + right}"
            rows.append({"question": texts[n % 2].format(left, right), "answer": answer})
        (data / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    numbers = {
        "items.train": 12,
        "items.dev": 8,
        "items.test": 8,
        "generate.failures": 6,
        "generate.rows": 24,
        "train.epochs": 1,
        "train.stages": ["sft"],
    }
    config = load_config(overrides={"task": f"sums+gsm8k:{data}", "errors": "all", "gate.alpha": 1.0, "gate.margin": 1.0, **numbers})
    said = []
    with Cycle(config, tmp_path / "run", said.append) as loop:
        assert [guard.name for guard in loop.guards] == ["sums_plus"]
        loop.run()
        taught = loop.run_dir.stage("round-1/teach").read("taught.jsonl", TeachingResult)
        samples = {row.id: row for row in loop.run_dir.stage("round-1/assemble").read("samples.jsonl", Sample)}
        decision = loop.run_dir.stage("round-1/gate").read("decision.jsonl", GateDecision)[0]
    assert {row.program.task for row in taught if row.program} == {"sums", "gsm8k"}
    assert {row.example.task for row in samples.values()} == {"sums", "gsm8k"}
    assert decision.task == "sums+gsm8k"
    assert decision.benchmarks == ("sums", "gsm8k")
    assert decision.pairs == 16
    document = report.write(tmp_path / "run")
    assert list(document.evaluations) == ["sums test", "gsm8k test", "sums_plus test"]


@pytest.mark.slow  # two rounds with three starts of a training process
def test_a_cycle_in_stages_interrupted_while_it_practises_goes_on_and_chooses_among_them(tmp_path, monkeypatch):
    one = SMALL | {"rounds": 1, "train.stages": ["sft", "grpo"], "train.grpo": {"max_steps": 3}, "train.save_steps": 1}
    config = load_config(overrides=one)

    def run(path):
        with Cycle(config, path, lambda line: None) as loop:
            loop.in_process = True
            loop.run()
            return loop.run_dir.stage("round-1/gate").read("decision.jsonl", GateDecision)[0], loop.base(2)

    decision, base = run(tmp_path / "whole")
    assert [row["stage"] for row in decision.considered] == [0, 1]
    assert decision.reason.startswith(("after sft: ", "after sft and grpo: "))
    if decision.accepted:
        assert base.model == str(tmp_path / "whole/round-1" / ("train", "train-2")[decision.stage] / "weights")
    journal = tmp_path / "whole/round-1/practice/stage-2.jsonl"
    assert {json.loads(line)["step"] for line in journal.read_text().splitlines()} == {0, 1, 2}

    rewards = Practice.rewards
    monkeypatch.setattr(Practice, "rewards", lambda self, step, answers: interrupted() if step == 2 else rewards(self, step, answers))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "again")
    monkeypatch.setattr(Practice, "rewards", rewards)
    assert run(tmp_path / "again")[0] == decision
    assert files(tmp_path / "again/round-1/train-2") == files(tmp_path / "whole/round-1/train-2")
    assert (tmp_path / "again/round-1/practice/stage-2.jsonl").read_bytes() == journal.read_bytes()


def interrupted():
    raise KeyboardInterrupt
