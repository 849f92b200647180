"""The task `gsm8k:PATH` and its files, good and bad."""

import bz2
import contextlib
import gzip
import hashlib
import io
import json
import lzma
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from errata.programs.config import CycleConfig
from errata.programs.doctor import examine
from errata.signatures.errors import SandboxError, TaskError
from errata.signatures.records import Example, Verdict
from errata.tasks import doctor, load_task
from errata.tasks.doctor import doubts
from errata.tasks.settings import TableSettings
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
    "utf-16 without a mark": ('{"question": "x"}\n'.encode("utf-16-le"), ["line 1", "UTF-16"]),
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


@pytest.mark.parametrize(
    ("train", "dev", "settings"),
    [
        ({"question": "How much is 1 + 1?", "answer": "2"}, {"question": "how  much is 1 + 1?\n", "answer": "2"}, {"verdict": "number"}),
        (
            {"question": "Ice is", "choices": ["iron", "water"], "answer": "B"},
            {"question": "Ice is", "choices": ["water", "iron"], "answer": "A"},
            {"verdict": "choice", "choices": "choices"},
        ),
    ],
)
def test_doctor_counts_held_out_items_that_train_asks_in_another_form(tmp_path, train, dev, settings):
    write(tmp_path / "train.jsonl", [train])
    write(tmp_path / "dev.jsonl", [dev])
    said = doubts(load_task(f"jsonl:{tmp_path}", TableSettings(**settings)))
    assert [line.partition(",")[0] for line in said] == ["1 held-out item is asked in train too"]


def test_tasks_import_neither_torch_nor_datasets():
    code = "import sys, errata.tasks.world.sums, errata.tasks.sets.gsm8k; print({'torch', 'datasets', 'dspy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# ---- containers, packings, tables, folders

ROWS = [{"question": "a, b; c?", "answer": "1"}, {"question": 'so "d"\nand é?', "answer": "2"}]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)
TABLE = 'question,answer\n"a, b; c?",1\n"so ""d""\nand é?",2\n'
PACKED = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": lambda data: pyarrow.compress(data, "zstd", asbytes=True)}
READ = {
    "lines.json": LINES,
    "list.json": json.dumps(ROWS),
    "list.jsonl": json.dumps(ROWS),
    "pretty.json": json.dumps(ROWS, indent=2),
    "pretty.jsonl": json.dumps(ROWS, indent=2),
    "list_of_lines.json": "[" + LINES.strip().replace("\n", ",\n") + "]",
    "data.json": json.dumps({"version": 1, "data": ROWS}),
    "rows.json": json.dumps({"rows": ROWS}),
    "lines.ndjson": LINES,
    "lines.txt": LINES,
    "mark.jsonl": b"\xef\xbb\xbf" + LINES.encode(),
    "ends.jsonl": LINES.replace("\n", "\r\n\r\n"),
    "wide.jsonl": LINES.encode("utf-16"),
    "wide_big.json": b"\xfe\xff" + json.dumps(ROWS).encode("utf-16-be"),
    "table.csv": TABLE,
    "mark.csv": b"\xef\xbb\xbf" + TABLE.encode(),
    "wide.csv": TABLE.encode("utf-16"),
    "ends.csv": TABLE.replace("\n", "\r\n"),
    "old_ends.csv": TABLE.replace("\n", "\r"),
    "blanks.csv": "\n" + TABLE.replace("answer\n", "answer\n\n,\n"),
    "index.csv": ",question,answer\n" + "".join(f"{n},{line}" for n, line in enumerate(['"a, b; c?",1\n', '"so ""d""\nand é?",2\n'])),
    "semicolon.csv": 'question;answer\n"a, b; c?";1\n"so ""d""\nand é?";2\n',
    "table.tsv": 'question\tanswer\na, b; c?\t1\n"so ""d""\nand é?"\t2\n',
    **{f"packed.jsonl.{name}": pack(LINES.encode()) for name, pack in PACKED.items()},
    **{f"table.csv.{name}": pack(TABLE.encode()) for name, pack in PACKED.items()},
    "any.json": json.dumps({"exercises": ROWS}),
    "numbered.json": json.dumps({"0": ROWS[0], "1": ROWS[1]}),
    "marks.jsonl": b"".join(b"\xef\xbb\xbf" + line.encode() for line in LINES.splitlines(keepends=True)),
    "spaced.csv": 'question, answer\n"a, b; c?", "1"\n"so ""d""\nand é?", "2"\n',
    "unnamed": gzip.compress(LINES.encode()),
    "twice.jsonl.gz": gzip.compress(LINES[: LINES.index("\n") + 1].encode()) + gzip.compress(LINES[LINES.index("\n") + 1 :].encode()),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_rows_are_read_from_every_usual_container(tmp_path, name):
    data = READ[name]
    (tmp_path / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    rows = load_task(f"jsonl:{tmp_path / name}").examples("train")
    assert [{"question": row.question, "answer": row.answer} for row in rows] == ROWS


def test_a_file_may_hold_a_list_for_each_split(tmp_path):
    many = [{"question": f"q{n}", "answer": str(n)} for n in range(60)]
    (tmp_path / "a.json").write_text(json.dumps({"train": many, "test": ROWS}))
    task = load_task(f"jsonl:{tmp_path / 'a.json'}")
    assert len(task.examples("train")) + len(task.examples("dev")) == 60 and task.examples("dev")
    assert len(task.examples("test")) == 2
    (tmp_path / "b.json").write_text(json.dumps({"train": many, "validation": ROWS}))
    assert [len(load_task(f"jsonl:{tmp_path / 'b.json'}").examples(split)) for split in ("train", "dev", "test")] == [60, 2, 0]


def packed_tar(packing):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode=f"w:{packing}") as archive:
        info = tarfile.TarInfo("a.jsonl")
        info.size = len(LINES.encode())
        archive.addfile(info, io.BytesIO(LINES.encode()))
    return data.getvalue()


LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
LATIN = "question,answer\nHow is the café?,1\n".encode("cp1252")
REFUSED = {
    "latin.csv": (LATIN, "line 2: byte 15 is not UTF-8, the file looks like Windows-1252; save it as UTF-8, e.g. iconv -f WINDOWS-1252"),
    "japan.jsonl": ('{"question": "東京"}\n'.encode("shift_jis"), "is not UTF-8; save it as UTF-8"),
    "cut.jsonl.gz": (gzip.compress(LINES.encode() * 99)[:-9], "is damaged"),
    "cut.jsonl.bz2": (bz2.compress(LINES.encode() * 99)[:-9], "is damaged"),
    "cut.jsonl.xz": (lzma.compress(LINES.encode() * 99)[:-9], "is damaged"),
    "cut.jsonl.zst": (pyarrow.compress(LINES.encode() * 99, "zstd", asbytes=True)[:-9], "is damaged"),
    "bad.gz": (b"\x1f\x8b\x08\x00no gzip at all", "is damaged"),
    "a.zip": (b"PK\x03\x04....", "a zip archive or a workbook; unpack it"),
    "a.xlsx": (b"PK\x03\x04....", "save the sheet as CSV in UTF-8"),
    "a.xls": (b"\xd0\xcf\x11\xe0....", "save the sheet as CSV"),
    "a.arrow": (b"ARROW1\0\0", "is an Arrow file; write it with"),
    "a.pkl": (b"\x80\x04\x95...", "is a pickle"),
    "a.parquet": (b"no parquet", "not a parquet file that can be read"),
    "broken.jsonl": (LINES + "{broken\n" + LINES, "line 3: not JSON"),
    "cut.jsonl": (LINES + '{"question": "c", "ans', "line 3: not JSON"),
    "broken.json": (json.dumps(ROWS, indent=2).replace(",\n    ", "\n    ", 1), "line 4: not JSON: Expecting ',' delimiter; mend the file"),
    "two.json": (json.dumps(ROWS, indent=2) * 2, "line 10: not JSON: a second document begins; put one object on each line"),
    "columns.json": (json.dumps({"question": {"0": "a"}, "answer": {"0": "1"}}), "holds columns, not rows"),
    "lists.json": (json.dumps({"question": ["a", "b"], "answer": ["1", "2"]}), "holds columns, not rows"),
    "twice.csv": ("question,answer,answer\na,1,2\n", "the column 'answer' is there twice"),
    "long.csv": ("question,answer\na,1\nb,2,3\n", "line 3: 3 cells under 2 columns"),
    "short.csv": ("question,answer\na,1\nb\n", "line 3: 1 cells under 2 columns"),
    "open.csv": ('question,answer\n"a,1\n', "line 2: not a table"),
    "names.csv": ("question,answer\n", "holds no rows"),
    "empty.csv": ("", "holds no rows"),
    "empty.json": ("[]", "holds no rows"),
    "null.json": ("null", "NoneType instead of an object"),
    "texts.json": ('["a", "b"]', "list instead of an object"),
    "keys.json": (json.dumps({"a/1": ROWS[0], "a/2": ROWS[1]}), "or rows by their keys; write it row by row"),
    "pointer.jsonl": (LFS, "a pointer of Git LFS, not the file itself; fetch it with `git lfs pull`"),
    "pointer.parquet": (LFS, "a pointer of Git LFS"),
    "new.pkl": (b"\x80\x05...", "is a pickle"),
    "a.7z": (b"7z\xbc\xaf...", "is an archive"),
    "a.tar": (packed_tar(""), "is an archive; unpack it"),
    "a.tar.gz": (packed_tar("gz"), "is an archive; unpack it"),
    "pickle.gz": (gzip.compress(b"\x80\x04..."), "is a pickle"),
    "twice.gz": (gzip.compress(gzip.compress(LINES.encode())), "is packed twice; unpack it once"),
    "a.lz4": (b"\x04\x22M\x18...", "packed in a way that is not read"),
    "a.orc": (b"ORC...", "in a format that is not read"),
    "page.csv": ("<!DOCTYPE html>\n<html>\n", "is a web page, not the data"),
    "page.jsonl": ("<html>\n<body>\n", "is a web page"),
}  # fmt: skip


def no_sandbox(workers):
    raise SandboxError("not needed here")


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_read_is_refused_by_doctor_with_the_mend_that_fits(tmp_path, monkeypatch, name):
    data, said = REFUSED[name]
    (tmp_path / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    with pytest.raises(TaskError) as caught:
        load_task(f"jsonl:{tmp_path / name}")
    assert said in str(caught.value) and "\n" not in str(caught.value) and "; " in str(caught.value)
    monkeypatch.setattr("errata.programs.doctor._machine", lambda config: [])
    monkeypatch.setattr("errata.programs.doctor.open_sandbox", no_sandbox)
    (found,) = [one for one in examine(CycleConfig(task=f"jsonl:{tmp_path / name}", guards=())) if one.what.startswith("gold")]
    assert not found.ok and f"{found.said}; {found.mend}" == str(caught.value)


def test_the_one_row_of_a_file_may_have_a_list_of_objects_under_a_name_of_rows(tmp_path):
    file = write(tmp_path / "train.jsonl", [{"question": "How many?", "answer": "2", "items": [{"price": 1}, {"price": 2}]}])
    assert [one.question for one in load_task(f"jsonl:{file}", TableSettings(verdict="number")).examples("train")] == ["How many?"]


def test_times_of_a_zone_that_is_not_known_are_refused_in_one_line(tmp_path):
    times = pyarrow.array([0], pyarrow.timestamp("s", tz="Mars/Olympus"))
    pyarrow.parquet.write_table(pyarrow.table({"question": ["1 + 1?"], "answer": ["2"], "at": times}), tmp_path / "train.parquet")
    with pytest.raises(TaskError, match=r"its times have a zone that is not known here \(.*Mars/Olympus.*\); write them in UTC"):
        load_task(f"jsonl:{tmp_path}")


def test_only_the_first_object_of_a_file_that_has_rows_below_it_is_a_row(tmp_path):
    write(tmp_path / "a.jsonl", [{"question": "q", "answer": "1", "data": ROWS}, {"question": "r", "answer": "2"}])
    assert [row.question for row in load_task(f"jsonl:{tmp_path / 'a.jsonl'}").examples("train")] == ["q", "r"]


@pytest.mark.parametrize(
    "names",
    [
        ["train.jsonl", "test.jsonl"],
        ["train.csv", "validation.csv.gz", "test.tsv"],
        ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet", "data/test-00000-of-00001-0a1b.parquet"],
        ["main/train-00000-of-00001.parquet", "main/test-00000-of-00001.parquet"],
        ["default/train/0000.parquet", "default/train/0001.parquet", "default/test/0000.parquet"],
        ["data/train.jsonl", "data/test.jsonl", ".cache/train.jsonl"],
        ["train/a.jsonl", "train/b.csv", "test/c.parquet"],
    ],
)
def test_folders_are_read_in_the_layouts_of_the_hub(tmp_path, names):
    for at, name in enumerate(names):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        table = pyarrow.table({"question": [f"q{at}"], "answer": ["1"]})
        if ".parquet" in name:
            pyarrow.parquet.write_table(table, file)
        else:
            text = json.dumps({"question": f"q{at}", "answer": "1"}) if ".jsonl" in name else "question,answer\n" + f"q{at},1\n"
            text = text.replace(",", "\t") if ".tsv" in name else text
            file.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    task = load_task(f"parquet:{tmp_path}")
    seen = [example.question for split in ("train", "dev", "test") for example in task.examples(split)]
    assert sorted(seen) == [f"q{at}" for at, name in enumerate(names) if not name.startswith(".")]
    assert sorted(task.data) == sorted(name for name in names if not name.startswith("."))


def test_a_folder_of_several_configs_or_of_other_files_is_refused_with_what_is_there(tmp_path):
    for name in ("main", "socratic"):
        (tmp_path / "two" / name).mkdir(parents=True)
        write(tmp_path / "two" / name / "train.jsonl", GOOD[:1])
    with pytest.raises(TaskError, match=r"several folders in it hold data \(main, socratic\); give one of them"):
        load_task(f"gsm8k:{tmp_path / 'two'}")
    write(tmp_path / "other/questions.jsonl", GOOD[:1])
    with pytest.raises(TaskError, match=r"no train, dev or test file .*questions.jsonl.*; give one file"):
        load_task(f"gsm8k:{tmp_path / 'other'}")
    (tmp_path / "saved/train").mkdir(parents=True)
    (tmp_path / "saved/train/state.json").write_text("{}")
    with pytest.raises(TaskError, match=r"save_to_disk; write each split with to_parquet"):
        load_task(f"gsm8k:{tmp_path / 'saved'}")


def test_reading_takes_time_in_proportion_to_the_text(tmp_path):
    def seconds(name, text):
        (tmp_path / name).write_text(text)
        began = time.process_time()
        with contextlib.suppress(TaskError):
            load_task(f"jsonl:{tmp_path / name}")
        return time.process_time() - began

    for name, text in [
        ("a.jsonl", " " * 40_000),
        ("a.json", "[" * 60_000),
        ("a.csv", '"' * 60_001),
        ("b.csv", "question,answer\n" + "a,b" * 20_000),
        ("c.csv", "".join(f"column{n}," for n in range(5_000)) + "\n"),
    ]:
        more = "".join(f"column{n}," for n in range(20_000)) + "\n" if name == "c.csv" else text * 4
        assert seconds(name, more) < 12 * max(seconds(name, text), 0.02)
