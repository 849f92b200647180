"""Recorded answers as input: every form of file, and what joins an answer to its item."""

import json
import os
import struct
import zipfile
from pathlib import Path

import pyarrow
import pytest
from recordings import GOLD, NUTS, PENS, gsm8k, jsonl, taken, verdicts
from typer.testing import CliRunner

from errata.cli import app
from errata.signatures.errors import TaskError, UsageError
from errata.tasks import load_task
from errata.tasks.base import SPLITS
from errata.tasks.recorded import inspect_log, join
from errata.tasks.settings import TableSettings

SHARED = Path(os.environ.get("ERRATA_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
ICE = {"question": "What is ice?", "A": "iron", "B": "water", "C": "salt", "D": "sand", "answer": "B", "subject": "chemistry"}
ADDER = {"name": "add", "description": "Sum.", "parameters": {"a": {"type": "integer"}, "b": {"type": "string"}}}
ADD = {"prompt": "def add(a, b):\n    '''Sum.'''\n", "entry_point": "add", "test": "def check(f):\n    assert f(1, 2) == 3\n", "task_id": 7}


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
    assert verdicts(rows) == [(True, "7"), (False, "6"), (False, None), (False, None), (None, None)]
    assert {name: document[name] for name in ("items", "right", "wrong", "no_answer", "cut", "unjudged", "held_out")} == {
        "items": 5, "right": 1, "wrong": 3, "no_answer": 2, "cut": 1, "unjudged": 1, "held_out": 0,
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


def test_rows_of_an_earlier_errata_that_name_no_kind_are_given_that_of_their_task(tmp_path):
    first, _ = taken(tmp_path, jsonl(tmp_path / "a.jsonl", ICE | {"response": "Answer: C"}), "mmlu")
    (line,) = (tmp_path / "run/attempts.jsonl").read_text().splitlines()
    old = json.loads(line)
    assert old["example"].pop("kind") == "choice"
    again, _ = taken(tmp_path / "again", jsonl(tmp_path / "old.jsonl", old), "mmlu")
    assert [row.example for row in again] == [row.example for row in first]


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
    with pytest.raises(TaskError, match="several items of mmlu have this id or question"):
        taken(tmp_path, jsonl(tmp_path / "a.jsonl", {"question": "What is ice?", "response": "B"}), f"mmlu:{data}")
    whole = jsonl(tmp_path / "b.jsonl", other | {"response": "A"})
    rows, _ = taken(tmp_path, whole, f"mmlu:{data}")
    assert verdicts(rows) == [(True, "A")]


def test_an_id_that_each_split_gives_anew_does_not_join_alone(tmp_path):
    for split, question in (("train", NUTS), ("test", PENS)):
        jsonl(tmp_path / "data" / f"{split}.jsonl", {"id": "0", "question": question, "answer": "#### 7"})
    task = f"gsm8k:{tmp_path / 'data'}"
    with pytest.raises(TaskError, match="several items of gsm8k have this id or question"):
        taken(tmp_path, jsonl(tmp_path / "a.jsonl", {"id": "0", "response": "#### 7"}), task)
    rows, _ = taken(tmp_path, jsonl(tmp_path / "b.jsonl", {"id": "0", "question": PENS, "response": "#### 7"}), task)
    assert (rows[0].example.question, rows[0].example.split) == (PENS, "test")


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
        ("a.jsonl", b"\x1f\x8b\x08\x00", "is damaged"),
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
        "left_out_because": {"the same response under another filter": 2},
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
    assert [row.response for row in rows] == ["Answer: B", "Answer: A"]


def test_a_row_with_its_gold_is_joined_to_one_of_several_tasks_or_refused_in_one_line(tmp_path):
    for name, question in (("m", PENS), ("n", NUTS)):
        jsonl(tmp_path / name / "test.jsonl", {"question": question, "answer": "7"})
    both = f"jsonl:{tmp_path}/m+jsonl:{tmp_path}/n"
    task = load_task(both, TableSettings(verdict="number"))
    file = jsonl(tmp_path / "a.jsonl", {"question": NUTS, "answer": "8", "response": "#### 7"})
    ((example, _),) = join.load([file], task, join.source_of(both)).rows
    assert (example.task, example.answer) == ("jsonl:n", "7")
    strange = jsonl(tmp_path / "b.jsonl", {"question": "What is 1 plus 1?", "answer": "2", "response": "#### 2"})
    with pytest.raises(TaskError, match=r"carries no item of jsonl:m\+jsonl:n, and .* has no item of this question"):
        join.load([strange], task, join.source_of(both))


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


def test_calls_of_tools_in_logs_of_inspect_are_part_of_what_was_said(tmp_path):
    """In its ToolCall form the function is a text; a long argument is kept apart."""
    tools = jsonl(
        tmp_path / "data/test.jsonl",
        {"question": PENS, "answer": '[{"name": "add", "arguments": {"a": 3, "b": "four"}}]', "tools": [ADDER]},
    )
    call = {"id": "1", "type": "function", "function": "add", "arguments": {"a": 3, "b": "attachment://b"}}
    log = [sample(1, [{"role": "user", "content": PENS}], ""), sample(2, [{"role": "user", "content": PENS}], "I add.")]
    for one in log:
        one["output"]["choices"][0]["message"]["tool_calls"] = [call]
        del one["target"]
        one["attachments"] = {"b": "four"}
    turns = [
        {"role": "user", "content": "Add."},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "7"},
        {"role": "user", "content": PENS},
    ]
    (tmp_path / "log.json").write_text(json.dumps({"eval": {}, "samples": log}))
    task = load_task(f"jsonl:{tools.parent}", TableSettings(verdict="tools"))
    rows = join.load([tmp_path / "log.json"], task, tools.parent).rows
    called = '<tool_call>\n{"name": "add", "arguments": {"a": 3, "b": "four"}}\n</tool_call>'
    assert [answer.response for _, answer in rows] == [called, f"I add.\n{called}"]
    assert [task.verdict(example, answer.response).correct for example, answer in rows] == [True, True]
    ((_, answer),) = inspect_log.from_json({"eval": {}, "samples": [sample(3, turns, "7", attachments={"b": "four"})]}, tmp_path)
    assert [turn["content"] for turn in answer.row["turns"]] == ["Add.", called, "7", PENS]


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


# ---- shared data


@pytest.mark.parametrize(
    ("files", "task", "expected"),
    [
        (["gsm8k/recorded_gpt3_solutions.jsonl"], "gsm8k", (2640, 986)),
        # four were right by luck, as their last number is the gold: "a total of 25 singers (15 + 10)" where 10 is asked
        (["recorded_mistral7b/gsm8k_right.jsonl"], "gsm8k", (1585, 1581)),
        (["recorded_mistral7b/mmlu_wrong.jsonl", "recorded_mistral7b/mmlu_right.jsonl"], "mmlu", (908, 541)),
    ],
)
@pytest.mark.slow
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


def test_an_answer_to_a_held_out_item_is_no_train_item_however_it_was_shown(tmp_path):
    for split in SPLITS:
        rows = ({"id": f"{split}{n}", "question": f"What is {n} {split}?", "answer": f"{n}"} for n in range(3))
        jsonl(tmp_path / f"data/{split}.jsonl", *rows)
    rows = [
        {"question": "what  is 0 TEST?", "answer": "0", "response": "9"},
        {"id": "test1", "question": "Answer briefly.\nWhat is 1 test?", "answer": "1", "response": "9"},
        {"id": "test2", "prompt": "Question: What is 2 test?\nAnswer:", "answer": "2", "response": "9"},
        {"id": "train0", "question": "Answer briefly.\nWhat is 0 train?", "answer": "0", "response": "9"},
        {"id": "test0", "question": "What is something else?", "answer": "1", "response": "9"},
    ]
    task = load_task(f"jsonl:{tmp_path / 'data'}", TableSettings(verdict="number"))
    found = join.load([jsonl(tmp_path / "log.jsonl", *rows)], task, tmp_path / "data").rows
    assert [example.split for example, _ in found] == ["test", "test", "test", "train", "train"]
