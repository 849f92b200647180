"""The task `gsm8k:PATH` and its files, good and bad."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from errata.signatures.errors import TaskError
from errata.signatures.records import Example, Verdict
from errata.tasks import doctor, load_task
from errata.tasks.verdicts import number

GOOD = [{"question": f"What is {n} + 1?", "answer": f"{n}+1=<<{n}+1={n + 1}>>{n + 1}\n#### {n + 1}"} for n in range(200)]


def write(path: Path, rows: list[dict]) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8", newline="\n")
    return path


def test_a_lone_file_is_all_train(tmp_path):
    task = load_task(f"gsm8k:{write(tmp_path / 'some.jsonl', GOOD)}")
    assert [example.answer for example in task.examples("train", 3)] == ["1", "2", "3"]
    assert len(task.examples("train")) == 200
    assert task.examples("dev") == task.examples("test") == []


def test_a_folder_without_dev_gets_a_fixed_share_of_train(tmp_path):
    write(tmp_path / "train.jsonl", GOOD)
    write(tmp_path / "test.jsonl", GOOD[:5])
    task = load_task(f"gsm8k:{tmp_path}")
    train, dev = task.examples("train"), task.examples("dev")
    assert len(train) + len(dev) == 200
    assert 5 <= len(dev) <= 50
    assert not {e.question for e in train} & {e.question for e in dev}
    assert len(task.examples("test")) == 5
    write(tmp_path / "train.jsonl", GOOD[::-1])
    assert {e.id for e in load_task(f"gsm8k:{tmp_path}").examples("dev")} == {e.id for e in dev}


def test_a_folder_with_dev_keeps_all_of_train(tmp_path):
    write(tmp_path / "train.jsonl", GOOD)
    write(tmp_path / "dev.jsonl", GOOD[:7])
    task = load_task(f"gsm8k:{tmp_path}")
    assert (len(task.examples("train")), len(task.examples("dev")), len(task.examples("test"))) == (200, 7, 0)


def test_what_was_read_is_named_from_its_folder_and_told_by_its_content(tmp_path):
    write(tmp_path / "a/train.jsonl", GOOD)
    write(tmp_path / "a/test.jsonl", GOOD[:5])
    write(tmp_path / "a/notes.jsonl", GOOD)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    here, there = (load_task(f"gsm8k:{tmp_path / name}").data for name in "ab")
    assert here == there
    assert here["test.jsonl"] == hashlib.sha256((tmp_path / "a/test.jsonl").read_bytes()).hexdigest()
    assert sorted(here) == ["test.jsonl", "train.jsonl"]
    assert load_task(f"jsonl:{tmp_path / 'a'}").data == here
    assert load_task(f"gsm8k:{tmp_path / 'a/train.jsonl'}").data == {"train.jsonl": here["train.jsonl"]}
    write(tmp_path / "b/train.jsonl", [GOOD[0] | {"answer": "#### 7"}, *GOOD[1:]])
    changed = load_task(f"gsm8k:{tmp_path / 'b'}").data
    assert changed["test.jsonl"] == here["test.jsonl"] and changed["train.jsonl"] != here["train.jsonl"]
    assert load_task("sums").data == {}


def test_line_separators_inside_strings_and_a_byte_order_mark_are_harmless(tmp_path):
    rows = [{"question": "a\u2028b\u0085c?", "answer": "#### 5"}, *GOOD[:2]]
    file = write(tmp_path / "x.jsonl", rows)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n") + b"\n\n")
    questions = [example.question for example in load_task(f"gsm8k:{file}").examples("train")]
    assert questions == [row["question"] for row in rows]


BAD = {
    "text": (b"# A title\nno JSON here\n", ["line 1", "not JSON"]),
    "middle": (json.dumps(GOOD[0]).encode() + b"\n{broken\n" + json.dumps(GOOD[1]).encode(), ["line 2", "not JSON"]),
    "list": (b"[1, 2]\n", ["line 1", "list instead of an object"]),
    "field": (json.dumps(GOOD[0]).encode() + b'\n{"question": "x", "solution": "5"}\n', ["line 2", "'answer'", "'solution'"]),
    "number field": (b'{"question": 5, "answer": "#### 5"}\n', ["line 1", "'question'", "text"]),
    "gold": (b'{"question": "x", "answer": "#### none"}\n', ["line 1", "no number"]),
    "empty": (b"", ["no rows"]),
    "blank": (b"\n \n", ["no rows"]),
    "latin": ('{"question": "caf\xe9", "answer": "#### 5"}\n'.encode("latin-1"), ["line 1", "not UTF-8"]),
    "utf-16": ('{"question": "x"}\n'.encode("utf-16"), ["line 1", "not UTF-8"]),
    "deep": (b"[" * 100_000 + b"\n", ["line 1", "not JSON"]),
    "huge": (b'{"question": "x", "answer": ' + b"9" * 5000 + b"}\n", ["line 1"]),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_one_line_that_names_the_file_and_the_fault(tmp_path, case):
    data, words = BAD[case]
    file = tmp_path / "bad.jsonl"
    file.write_bytes(data)
    with pytest.raises(TaskError) as caught:
        load_task(f"gsm8k:{file}")
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in [str(file), *words])


def test_a_missing_file_and_a_folder_without_data_are_refused(tmp_path):
    with pytest.raises(TaskError, match="no such file"):
        load_task(f"gsm8k:{tmp_path / 'none.jsonl'}")
    with pytest.raises(TaskError, match=r"no train, dev or test file"):
        load_task(f"gsm8k:{tmp_path}")


def test_doctor_names_a_gold_that_its_own_verdict_rejects():
    class Odd:
        name, kind, max_new_tokens, brief = "odd", "number", 10, ""

        def examples(self, split, limit=None, seed=0):
            answers = ["7", "half past three"] if split == "train" else []
            return [Example(task="odd", split=split, question=f"q {answer}", answer=answer) for answer in answers]

        def prompt(self, example):
            return number.prompt(example)

        def verdict(self, example, response) -> Verdict:
            return number.verdict(example.answer, response)

        def completion(self, solution, answer):
            return number.completion(solution, answer)

    checked, findings = doctor(Odd())
    assert checked == 2
    assert [finding.example.answer for finding in findings] == ["half past three"]


def test_tasks_import_neither_torch_nor_datasets():
    code = "import sys, errata.tasks.world.sums, errata.tasks.sets.gsm8k; print({'torch', 'datasets', 'dspy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
