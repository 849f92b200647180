"""Recorded answers as input: every form of file, what joins an answer to its item, and the loop that goes on from them."""

import json
import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow
import pytest
from typer.testing import CliRunner

from errata.cli import app
from errata.programs.config import load_config
from errata.programs.cycle import Cycle
from errata.programs.run.directory import Stage
from errata.programs.steps import recorded
from errata.signatures.errors import RunError, TaskError, UsageError
from errata.signatures.records import Attempt
from errata.tasks import load_task

SHARED = Path(os.environ.get("ERRATA_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))

PENS = "Ann has 3 pens and buys 4. How many pens has she?"
NUTS = "Bob had 12 nuts and ate 5. How many are left?"
GOLD = {PENS: "3 + 4 = <<3+4=7>>7 pens\n#### 7", NUTS: "12 - 5 = <<12-5=7>>7 nuts\n#### 7"}
ICE = {"question": "What is ice?", "A": "iron", "B": "water", "C": "salt", "D": "sand", "answer": "B", "subject": "chemistry"}
ADD = {"prompt": "def add(a, b):\n    '''Sum.'''\n", "entry_point": "add", "test": "def check(f):\n    assert f(1, 2) == 3\n", "task_id": 7}


def jsonl(path: Path, *rows: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows))
    return path


def gsm8k(folder: Path) -> Path:
    """The task's own data: pens is a train item, nuts a test item."""
    jsonl(folder / "train.jsonl", {"id": "pens", "question": PENS, "answer": GOLD[PENS]})
    jsonl(folder / "dev.jsonl", {"id": "dev", "question": "What is 1 plus 1?", "answer": "1+1=<<1+1=2>>2\n#### 2"})
    jsonl(folder / "test.jsonl", {"id": "nuts", "question": NUTS, "answer": GOLD[NUTS]})
    return folder


def taken(tmp_path, paths, task="gsm8k", runner=None, **options):
    """(attempts, what the command prints) of files that are taken in."""
    opened = load_task(task, runner=runner, items=False)
    answers = recorded.load([paths] if isinstance(paths, Path) else paths, opened, recorded.source_of(task), **options)
    stage = Stage(tmp_path / "run/round-1/mine")
    document = recorded.take(answers, opened, stage, tmp_path / "run")
    return stage.read("attempts.jsonl", Attempt), document


def verdicts(rows):
    return [(row.verdict.correct, row.verdict.extracted) for row in rows]


# ---- rows


def test_rows_that_carry_their_gold_need_no_data_of_the_task(tmp_path):
    file = jsonl(
        tmp_path / "a.jsonl",
        {"question": PENS, "answer": GOLD[PENS], "response": "3 + 4 = 7\n#### 7"},
        {"question": NUTS, "answer": "A: 7", "response": "12 - 5 = 6\n#### 6"},
        {"question": NUTS, "answer": 7, "response": "I do not know."},
        {"question": NUTS, "answer": "7", "response": "12 - 5 is", "finish_reason": "length"},
        {"question": NUTS, "answer": "7", "response": None},
    )
    rows, document = taken(tmp_path, file)
    assert verdicts(rows) == [(True, "7"), (False, "6"), (False, None), (False, "5"), (None, None)]
    assert {name: document[name] for name in ("items", "right", "wrong", "no_answer", "cut", "unjudged", "held_out")} == {
        "items": 5, "right": 1, "wrong": 3, "no_answer": 1, "cut": 1, "unjudged": 1, "held_out": 0,
    }  # fmt: skip
    assert [(row.example.answer, row.example.split) for row in rows] == [("7", "train")] * 5
    written = (tmp_path / "run/attempts.jsonl").read_bytes().split(b"\n")[:-1]
    assert [json.loads(line)["verdict"]["correct"] for line in written] == [True, False, False, False, None]
    assert json.loads(written[0])["example"]["question"] == PENS


@pytest.mark.parametrize(
    ("row", "fields"),
    [
        ({"question": PENS, "reference": "7", "answer": "#### 7"}, {}),
        ({"problem": PENS, "ground_truth": "A: 7", "completion": "#### 7"}, {}),
        ({"prompt": PENS, "target": "7", "output": 7}, {}),
        ({"question": PENS, "answer": "7", "prediction": "#### 9", "generation": "#### 7"}, {"response": "generation"}),
        ({"q": PENS, "a": "7", "said": "#### 7"}, {"question": "q", "answer": "a", "response": "said"}),
        ({"question": PENS, "answer": "#### 7", "label": "7"}, {"response": "answer", "answer": "label"}),
        ({"question": PENS, "answer": "7", "completion": "#### 9", "response": "#### 7"}, {}),
    ],
)
def test_names_of_fields_are_told_apart_or_mapped(tmp_path, row, fields):
    rows, _ = taken(tmp_path, jsonl(tmp_path / "a.jsonl", row), fields=fields)
    assert verdicts(rows) == [(True, "7")]


def test_the_response_is_never_its_own_gold(tmp_path):
    file = jsonl(tmp_path / "a.jsonl", {"question": PENS, "answer": "#### 9"})
    with pytest.raises(TaskError, match=r"no response .*--field response=NAME"):
        taken(tmp_path, file)
    with pytest.raises(TaskError, match="field 'answer' is missing"):
        taken(tmp_path, file, fields={"response": "answer"})
    folder = gsm8k(tmp_path / "data")
    rows, _ = taken(tmp_path, file, f"gsm8k:{folder}", fields={"response": "answer"})
    assert verdicts(rows) == [(False, "9")]


def test_duplicates_count_and_lists_hold_several_answers(tmp_path):
    row = {"question": PENS, "answer": "7", "response": "#### 8"}
    file = jsonl(tmp_path / "a.jsonl", row, row, row | {"response": ["#### 7", "#### 8"]})
    rows, document = taken(tmp_path, file)
    assert verdicts(rows) == [(False, "8"), (False, "8"), (True, "7"), (False, "8")]
    assert document["files"][0]["answers"] == 4


def test_strings_may_hold_line_separators(tmp_path):
    rows, _ = taken(tmp_path, jsonl(tmp_path / "a.jsonl", {"question": PENS + "\u2028\x85?", "answer": "7", "response": "so\u2028#### 7"}))
    assert rows[0].example.question == PENS + "\u2028\x85?"
    assert rows[0].response == "so\u2028#### 7"
    assert len((tmp_path / "run/attempts.jsonl").read_bytes().split(b"\n")) == 2


def test_answers_of_several_models_in_a_row_are_all_taken_or_those_of_one(tmp_path):
    row = {
        "question": PENS,
        "ground_truth": "3 + 4 = <<3+4=7>>7\nA: 7",
        "small": {"is_correct": False, "solution": "3 + 4 = 8\nA: 8"},
        "large": {"is_correct": True, "solution": "3 + 4 = 7\nA: 7"},
    }
    file = jsonl(tmp_path / "a.jsonl", row)
    rows, document = taken(tmp_path, file)
    assert [(row.example.meta["model"], row.verdict.correct) for row in rows] == [("small", False), ("large", True)]
    assert document["files"][0]["forms"] == {"models": 2}
    rows, document = taken(tmp_path / "one", file, model="large")
    assert verdicts(rows) == [(True, "7")]
    assert document["files"][0]["left_out"] == 1
    with pytest.raises(UsageError, match="models there: large, small"):
        taken(tmp_path / "none", file, model="medium")


def test_options_and_subjects_come_with_the_row(tmp_path):
    file = jsonl(tmp_path / "a.jsonl", ICE | {"response": "The answer is B."}, ICE | {"response": "The answer is C."})
    rows, _ = taken(tmp_path, file, "mmlu")
    assert verdicts(rows) == [(True, "B"), (False, "C")]
    assert rows[0].example.skill == "chemistry"


def test_code_is_judged_by_what_the_model_said_not_by_the_body_that_was_cut_out(tmp_path):
    from errata.sandbox import open_sandbox

    good = "```python\ndef add(a, b):\n    return a + b\n```"
    file = jsonl(
        tmp_path / "a.jsonl",
        ADD | {"completion": "    return a - b", "response": good, "passed": False},
        ADD | {"completion": "    return a + b", "response": good.replace("+", "-"), "passed": True},
    )
    with open_sandbox(workers=1) as sandbox:
        rows, _ = taken(tmp_path, file, "mbpp", runner=sandbox.run)
    assert [row.verdict.correct for row in rows] == [True, False]


def test_rows_of_erratas_own_come_back_as_they_were(tmp_path):
    first, _ = taken(tmp_path, jsonl(tmp_path / "a.jsonl", {"question": PENS, "answer": GOLD[PENS], "response": "#### 8"}))
    again, document = taken(tmp_path / "again", tmp_path / "run/attempts.jsonl")
    assert [row.id for row in again] == [row.id for row in first]
    assert again[0].example.solution == GOLD[PENS]
    assert document["files"][0]["forms"] == {"errata": 1}


# ---- joining


def test_gold_is_joined_by_question_or_id_and_held_out_items_stand_apart(tmp_path):
    task = f"gsm8k:{gsm8k(tmp_path / 'data')}"
    file = jsonl(
        tmp_path / "a.jsonl",
        {"question": PENS, "response": "#### 8"},
        {"id": "pens", "response": "#### 7"},
        {"id": "nuts", "response": "#### 5"},
        {"question": f"  {NUTS}\n", "answer": "7", "response": "#### 4"},
    )
    rows, document = taken(tmp_path, file, task)
    assert [(row.example.question.strip(), row.example.split, row.verdict.correct) for row in rows] == [
        (PENS, "train", False),
        (PENS, "train", True),
        (NUTS, "test", False),
        (NUTS, "test", False),
    ]
    assert document["held_out"] == 2


def test_an_id_of_another_question_does_not_join(tmp_path):
    task = f"gsm8k:{gsm8k(tmp_path / 'data')}"
    rows, _ = taken(tmp_path, jsonl(tmp_path / "a.jsonl", {"id": "nuts", "question": PENS, "response": "#### 7"}), task)
    assert rows[0].example.question == PENS
    with pytest.raises(TaskError, match="no item of this question or id"):
        taken(tmp_path, jsonl(tmp_path / "b.jsonl", {"id": "nuts", "question": "What is 2 plus 2?", "response": "#### 4"}), task)


def test_a_question_of_several_items_does_not_join_alone(tmp_path):
    other = ICE | {"A": "glass", "answer": "A"}
    data = jsonl(tmp_path / "mmlu.jsonl", ICE, other)
    with pytest.raises(TaskError, match="several items of mmlu have this question"):
        taken(tmp_path, jsonl(tmp_path / "a.jsonl", {"question": "What is ice?", "response": "B"}), f"mmlu:{data}")
    whole = jsonl(tmp_path / "b.jsonl", other | {"response": "A"})
    rows, _ = taken(tmp_path, whole, f"mmlu:{data}")
    assert verdicts(rows) == [(True, "A")]


# ---- bad files


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"question": "?", "answer": "7"', "line 2: not JSON"),
        (b'["no", "object"]', "line 2: list instead of an object"),
        (b'{"question": "?", "answer": "7"}', "line 2: no response"),
        (b'{"question": "?", "response": "7"}', "line 2: field 'answer' is missing"),
        (b'{"question": "?", "answer": "seven", "response": "7"}', "line 2: no number can be read"),
        (b'{"question": "?", "answer": "7", "response": {"text": "7"}}', "line 2: field 'response' must be text"),
        (b'{"question": "?", "answer": "7", "output": "7", "completion": "8"}', "line 2: 'completion' and 'output' may both"),
        (b'{"question": "\xff", "answer": "7", "response": "7"}', "line 2: byte 15 is not UTF-8"),
        (b'{"doc_id": 1, "resps": [["7"]]}', "line 2: field 'doc' is missing"),
        (b'{"doc": {"question": "?", "answer": "7"}, "resps": [[["7", "8", "9"], 4]]}', "line 2: field 'resps' holds int"),
        (b'{"example": {"question": "?"}, "response": "7"}', "line 2: not an attempt of Errata's"),
    ],
)
def test_a_bad_line_in_the_middle_is_told_with_its_number_and_nothing_is_written(tmp_path, line, said):
    good = json.dumps({"question": PENS, "answer": "7", "response": "#### 7"}).encode()
    (tmp_path / "a.jsonl").write_bytes(b"\n".join([good, line, good, b""]))
    done = CliRunner().invoke(app, ["import", str(tmp_path / "a.jsonl"), "--task", "gsm8k", "--run", str(tmp_path / "run")])
    assert done.exit_code == 1
    assert said in done.stderr.replace("b'", "'")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_what_the_answers_answer_must_be_said(tmp_path):
    file = jsonl(tmp_path / "a.jsonl", {"question": PENS, "answer": "7", "response": "7"})
    for flags, said in [([], "--task gsm8k"), (["--task", "gsm8k", "--field", "response"], "--field takes NAME=FIELD")]:
        done = CliRunner().invoke(app, ["import", str(file), "--run", str(tmp_path / "run"), *flags])
        assert done.exit_code == 2
        assert said in done.stderr
        assert not (tmp_path / "run").exists()


def test_files_of_no_known_form_are_one_line(tmp_path):
    for name, data, said in [
        ("empty.jsonl", b"\n", "holds no rows"),
        ("log.json", b'{"results": {}}', "neither a log of inspect"),
        ("a.jsonl", b"\x1f\x8b\x08\x00", "is compressed"),
        ("cut.eval", b"PK\x03\x04 and no more", "not a whole zip"),
    ]:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(TaskError, match=said):
            taken(tmp_path, tmp_path / name)
    with pytest.raises(TaskError, match="No such file"):
        taken(tmp_path, tmp_path / "absent.jsonl")


# ---- lm-evaluation-harness


def harness(doc, resps, filter_="none", arguments=None, **more):
    arguments = arguments or {"gen_args_0": {"arg_0": "Question: ...", "arg_1": {"until": ["\n\n"]}}}
    return {"doc_id": 0, "doc": doc, "arguments": arguments, "resps": resps, "filtered_resps": ["cut"], "filter": filter_, **more}


def test_harness_samples_count_once_not_once_a_filter_and_in_the_models_words(tmp_path):
    pens, nuts = ({"question": question, "answer": GOLD[question]} for question in (PENS, NUTS))
    file = jsonl(
        tmp_path / "samples_gsm8k.jsonl",
        harness(pens, [["so\n#### 7"]], "strict-match", target=GOLD[PENS]),
        harness(nuts, [["so\n#### 6", "well\n#### 7"]], "strict-match"),
        harness(pens, [["so\n#### 7"]], "flexible-extract"),
        harness(nuts, [["so\n#### 6", "well\n#### 7"]], "flexible-extract"),
    )
    rows, document = taken(tmp_path, file)
    assert [row.response for row in rows] == ["so\n#### 7", "so\n#### 6", "well\n#### 7"]
    assert [row.verdict.correct for row in rows] == [True, False, True]
    assert document["files"][0] | {"sha256": "", "file": ""} == {
        "file": "", "sha256": "", "forms": {"lm-eval": 5}, "answers": 3, "left_out": 2,
    }  # fmt: skip


@pytest.mark.parametrize("form", ["named", "listed"])
@pytest.mark.parametrize("options", [["A", "B", "C", "D"], ["iron", "water", "salt", "sand"]])
def test_where_options_were_scored_the_likeliest_is_the_response(tmp_path, form, options):
    doc = {"question": "What is ice?", "subject": "chemistry", "choices": ["iron", "water", "salt", "sand"], "answer": 1}
    pairs = [["What is ice?", f" {option}"] for option in options]
    named = {f"gen_args_{index}": {"arg_0": ask, "arg_1": option} for index, (ask, option) in enumerate(pairs)}
    right = [[["-3.5", "False"]], [["-0.5", "True"]], [["-9.0", "False"]], [["-12.25", "False"]]]
    wrong = [[[-0.1, True]], [[-0.5, False]], [[-9.0, False]], [[-12.25, False]]]
    rows_ = [harness(doc, resps, arguments=named if form == "named" else pairs, target="1") for resps in (right, wrong)]
    rows, _ = taken(tmp_path, jsonl(tmp_path / "samples_mmlu.jsonl", *rows_), "mmlu")
    assert verdicts(rows) == [(True, "B"), (False, "A")]


# ---- logs of inspect


def sample(number, asked, said, target="7", stop="stop", **more):
    choices = [{"message": {"role": "assistant", "content": said}, "stop_reason": stop}]
    return {"id": number, "epoch": 1, "input": asked, "target": target, "metadata": {}, "output": {"choices": choices}, **more}


SAMPLES = [
    sample(1, PENS, "so\n#### 7"),
    sample(
        2,
        [{"role": "system", "content": "Answer."}, {"role": "user", "content": NUTS}],
        [{"type": "reasoning", "reasoning": "12 - 5 = 7"}, {"type": "text", "text": "#### 6"}],
        stop="max_tokens",
    ),
    sample(3, "attachment://a", "attachment://b", attachments={"a": PENS, "b": "#### 8"}),
    {**sample(4, NUTS, ""), "output": {"choices": []}, "error": {"message": "no connection"}},
]


def eval_log(path: Path, samples: list[dict], packed: str) -> Path:
    """A .eval file, deflated, or in Zstandard as inspect writes it, which Python's zipfile cannot."""
    members = {"_journal/start.json": {"eval": {"model": "m"}}, "header.json": {"version": 2, "eval": {"model": "m"}}}
    members |= {f"samples/{one['id']}_epoch_1.json": one for one in samples}
    kind = zipfile.ZIP_DEFLATED if packed == "deflate" else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, value in members.items():
            data = json.dumps(value).encode()
            archive.writestr(name, data if packed == "deflate" else pyarrow.compress(data, "zstd", asbytes=True))
    if packed == "zstd":
        raw = bytearray(path.read_bytes())
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                struct.pack_into("<H", raw, info.header_offset + 8, 93)
            at = archive.start_dir
        while raw[at : at + 4] == b"PK\x01\x02":
            struct.pack_into("<H", raw, at + 10, 93)
            at += 46 + sum(struct.unpack_from("<HHH", raw, at + 28))
        path.write_bytes(raw)
    return path


@pytest.mark.parametrize("packed", ["json", "deflate", "zstd"])
def test_logs_of_inspect_are_read_in_their_forms(tmp_path, packed):
    if packed == "json":
        path = tmp_path / "log.json"
        path.write_text(json.dumps({"version": 2, "status": "success", "eval": {"model": "m"}, "samples": SAMPLES}))
    else:
        path = eval_log(tmp_path / "log.eval", SAMPLES, packed)
    rows, document = taken(tmp_path, path)
    assert [row.example.question for row in rows] == [PENS, NUTS, PENS, NUTS]
    assert verdicts(rows) == [(True, "7"), (False, "6"), (False, "8"), (None, None)]
    assert [row.finish for row in rows] == ["stop", "length", "stop", "stop"]
    assert document["unjudged_reasons"] == {"the recorded run ended in an error here": 1}
    assert rows[0].example.meta["model"] == "m"


@pytest.mark.parametrize("task", ["mmlu", "arc"])
def test_options_of_inspect_are_read(tmp_path, task):
    log = [sample(1, "What is ice?", "ANSWER: B", "B", choices=["iron", "water", "salt", "sand"])]
    (tmp_path / "log.json").write_text(json.dumps({"eval": {}, "samples": log}))
    rows, _ = taken(tmp_path, tmp_path / "log.json", task)
    assert verdicts(rows) == [(True, "B")]
    assert rows[0].example.question == "What is ice?\nA. iron\nB. water\nC. salt\nD. sand"


def test_a_damaged_log_of_inspect_is_one_line(tmp_path):
    path = eval_log(tmp_path / "log.eval", SAMPLES, "zstd")
    raw = bytearray(path.read_bytes())
    at = raw.find(b"samples/1_epoch_1.json") + len("samples/1_epoch_1.json")
    raw[at : at + 30] = b"\0" * 30
    path.write_bytes(raw)
    with pytest.raises(TaskError, match=r"samples/1_epoch_1.json: cannot be unpacked"):
        taken(tmp_path, path)


# ---- the loop


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


def test_the_same_answers_continue_and_others_are_refused(tmp_path, monkeypatch):
    rows = [{"question": question, "answer": GOLD[question], "response": "#### 8"} for question in (PENS, NUTS)]
    task = load_task("gsm8k", items=False)
    answers = recorded.load([jsonl(tmp_path / "a.jsonl", *rows)], task)
    whole = recorded.take(answers, task, Stage(tmp_path / "whole/round-1/mine"), tmp_path / "whole")
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
        recorded.take(answers, task, stage, tmp_path / "run")
    assert not stage.done
    only(NUTS)  # the first answer is judged already
    continued = recorded.take(answers, task, stage, tmp_path / "run")
    assert continued | {"attempts": ""} == whole | {"attempts": ""}
    assert (tmp_path / "run/attempts.jsonl").read_bytes() == (tmp_path / "whole/attempts.jsonl").read_bytes()
    other = recorded.load([jsonl(tmp_path / "b.jsonl", rows[0])], task)
    with pytest.raises(RunError, match="holds other recorded answers"):
        recorded.take(other, task, stage, tmp_path / "run")


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
    begin(tmp_path / "run/round-1/teach")
    with pytest.raises(RunError, match=r"generate\.rows = 9"), Cycle(load_config(None, base | {"generate.rows": 8}), tmp_path / "run"):
        pass
    with Cycle(load_config(None, base | {"generate.rows": 9, "target.model": "third"}), tmp_path / "run"):
        pass
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
    small = {"items.dev": 20, "items.test": 20, "generate.failures": 4, "generate.rows": 32, "train.epochs": 1, "guards": "[]"}
    flags = [flag for name, value in small.items() for flag in ("--set", f"{name}={value}")]
    done = errata("cycle", "--run", run, "--target", "tiny", *flags)
    assert done.returncode == 0, done.stderr
    assert "round 1: accepted" in done.stdout or "round 1: rejected" in done.stdout
    assert (run / "round-1/train/weights").exists()


# ---- shared data


@pytest.mark.parametrize(
    ("files", "task", "expected"),
    [
        (["gsm8k/recorded_gpt3_solutions.jsonl"], "gsm8k", (2640, 986)),
        (["recorded_mistral7b/gsm8k_right.jsonl"], "gsm8k", (1585, 1582)),
        (["recorded_mistral7b/mmlu_wrong.jsonl", "recorded_mistral7b/mmlu_right.jsonl"], "mmlu", (908, 541)),
    ],
)
def test_recordings_are_taken_as_they_are(tmp_path, files, task, expected):
    paths = [SHARED / name for name in files]
    for path in paths:
        if not path.exists():
            pytest.skip(f"no {path}: set ERRATA_SHARED_DATA to the folder with the public data")
    rows, document = taken(tmp_path, paths, task)
    assert (document["items"], document["right"]) == expected
    if "gpt3" in files[0]:
        published = [value["is_correct"] for line in paths[0].read_bytes().split(b"\n") if line for value in json.loads(line).values() if isinstance(value, dict)]  # fmt: skip  # noqa: E501
        assert [row.verdict.correct for row in rows] == published
