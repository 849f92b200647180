"""The run directory: nothing that was done is lost, nothing half-written is taken for whole, one process at a time."""

import json
import os
import shutil
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from errata.programs.config import load_config
from errata.programs.run import directory as rundir
from errata.programs.run.directory import VERSION, RunDir, Stage, read_config, to_json
from errata.programs.run.ledger import Answer, Ledger, read_ledger
from errata.programs.steps.session import Session
from errata.signatures import files
from errata.signatures.errors import NoRunError, RunError, UsageError
from errata.signatures.files import foreign
from errata.signatures.records import Rejection, content_hash

ITEMS = ["a", "b", "c", "d"]


def row(item):
    return Rejection(of=item, kind="sample", check="x", reason="line\u2028separator and \u0085 and \n newline")


def collect(stage, produce):
    return stage.collect("rows.jsonl", ITEMS, str, produce, Rejection)


class Killed(BaseException):
    pass


def killed_after(count):
    def produce(missing):
        for number, item in enumerate(reversed(missing)):
            if number == count:
                raise Killed
            yield item, row(item)

    return produce


def test_a_killed_stage_keeps_its_rows_and_ends_with_the_bytes_of_one_that_was_not_killed(tmp_path):
    whole, broken = Stage(tmp_path / "whole"), Stage(tmp_path / "broken")
    whole.finish({"rows.jsonl": collect(whole, lambda missing: ((item, row(item)) for item in missing))}, n=4)
    with pytest.raises(Killed):
        collect(broken, killed_after(2))
    assert not broken.done
    asked = []

    def rest(missing):
        asked.extend(missing)
        return ((item, row(item)) for item in missing)

    broken.finish({"rows.jsonl": collect(broken, rest)}, n=4)
    assert asked == ["a", "b"]
    for name in ("rows.jsonl", "manifest.json"):
        assert (whole.path / name).read_bytes() == (broken.path / name).read_bytes()
    assert sorted(path.name for path in broken.path.iterdir()) == ["manifest.json", "rows.jsonl"]
    assert broken.read("rows.jsonl", Rejection) == [row(item) for item in ITEMS]


def test_a_row_that_a_kill_cut_in_the_middle_is_made_again(tmp_path):
    stage = Stage(tmp_path / "stage")
    with pytest.raises(Killed):
        collect(stage, killed_after(2))
    part = stage.path / "rows.jsonl.part"
    part.write_bytes(part.read_bytes()[:-10])
    assert list(collect(stage, lambda missing: ((item, row(item)) for item in missing))) == [row(item) for item in ITEMS]


def test_rows_of_a_part_in_another_form_are_kept_and_end_as_the_same_bytes(tmp_path):
    whole, other = Stage(tmp_path / "whole"), Stage(tmp_path / "other")
    whole.finish({"rows.jsonl": collect(whole, lambda missing: ((item, row(item)) for item in missing))})
    other.path.mkdir()
    values = [(item, row(item).model_dump(mode="json")) for item in "db"]
    lines = [
        json.dumps(["d", values[0][1], content_hash(values[0][1])]),
        json.dumps(list(values[1])),
    ]
    (other.path / "rows.jsonl.part").write_text("".join(f"{line}\n" for line in lines))
    asked = []

    def rest(missing):
        asked.extend(missing)
        return ((item, row(item)) for item in missing)

    other.finish({"rows.jsonl": collect(other, rest)})
    assert asked == ["a", "c"]
    assert (whole.path / "rows.jsonl").read_bytes() == (other.path / "rows.jsonl").read_bytes()


def test_items_of_one_key_are_one_row_that_of_the_last_at_the_place_of_the_first(tmp_path):
    stage, items = Stage(tmp_path / "stage"), ["a1", "b1", "a2", "c1"]
    asked = []

    def produce(missing):
        asked.extend(missing)
        return ((item, row(item)) for item in reversed(missing))

    rows = stage.collect("rows.jsonl", items, lambda item: item[0], produce, Rejection)
    assert asked == ["a2", "b1", "c1"]
    stage.finish({"rows.jsonl": rows})
    assert [one.of for one in rows] == [one.of for one in stage.read("rows.jsonl", Rejection)] == ["a2", "b1", "c1"]


def test_of_a_stage_of_many_rows_none_is_held(tmp_path):
    stage, count = Stage(tmp_path / "stage"), 2_000
    produce = lambda missing: ((item, row(str(item) * 200)) for item in missing)  # noqa: E731
    tracemalloc.start()
    try:
        stage.finish({"rows.jsonl": stage.collect("rows.jsonl", range(count), str, produce, Rejection)})
        assert sum(len(one.of) > 199 for one in stage.rows("rows.jsonl", Rejection)) == count
        assert tracemalloc.get_traced_memory()[1] < count * 400  # a row is over 1,500
    finally:
        tracemalloc.stop()


def test_a_damaged_row_in_the_middle_is_named_and_the_others_are_kept(tmp_path):
    stage = Stage(tmp_path / "stage")
    with pytest.raises(Killed):
        collect(stage, killed_after(3))
    part = stage.path / "rows.jsonl.part"
    lines = part.read_bytes().split(b"\n")
    part.write_bytes(b"\n".join([lines[0], b'["c", {"of": 1', *lines[2:]]))
    before = part.read_bytes()
    with pytest.raises(RunError, match=r"rows\.jsonl\.part line 2 is damaged; delete that line"):
        collect(stage, killed_after(0))
    assert part.read_bytes() == before


def test_a_finished_stage_with_a_flipped_byte_is_detected(tmp_path):
    stage = Stage(tmp_path / "stage")
    stage.finish({"rows.jsonl": [row("a")]})
    path = stage.path / "rows.jsonl"
    data = bytearray(path.read_bytes())
    data[10] ^= 1
    path.write_bytes(data)
    with pytest.raises(RunError, match=r"rows\.jsonl is not what its manifest says"):
        stage.read("rows.jsonl", Rejection)


@pytest.mark.parametrize("name", ["manifest.json", "rows.jsonl", "other.jsonl.part"])
def test_no_byte_of_a_stage_flips_unnoticed(tmp_path, name):
    done, under_way = Stage(tmp_path / "done"), Stage(tmp_path / "under way")
    done.finish({"rows.jsonl": [row("a")]}, count=1)
    with pytest.raises(Killed):
        under_way.collect("other.jsonl", ITEMS, str, killed_after(1), Rejection)

    def read():
        under_way.collect("other.jsonl", ["d"], str, killed_after(0), Rejection)
        return done.read("rows.jsonl", Rejection), done.facts()

    before = read()
    (path,) = tmp_path.rglob(name)
    data = path.read_bytes()
    for place in range(len(data) - 1):  # the last one ends a line that a kill may have cut
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        try:
            found = read()
        except RunError as error:
            assert str(path) in str(error) or name == "manifest.json"
            continue
        except Killed:  # the row has another key now: it would be made again
            continue
        assert found == before  # a blank, or a letter of the word `seal`
    path.write_bytes(data)
    assert read() == before


def test_a_run_whose_rows_have_another_form_is_refused_in_one_line_that_says_what_reads_it(tmp_path):
    with RunDir(tmp_path, load_config()):
        pass
    path = tmp_path / "run.json"
    document = json.loads(path.read_bytes())
    assert document["version"] == VERSION
    for version, maker in ((None, "Errata 0.1,"), (VERSION + 1, "a later version of Errata,")):
        old = {"version": version, "config": document["config"], "data": []}
        path.write_bytes(to_json({name: value for name, value in old.items() if value is not None}))
        assert read_config(tmp_path) == load_config()  # without a round there are no rows
        (tmp_path / "round-1/mine").mkdir(parents=True)
        (tmp_path / "round-1/mine/attempts.jsonl").write_text("{}\n")
        for use in (lambda: read_config(tmp_path), lambda: RunDir(tmp_path, load_config())):
            with pytest.raises(RunError, match=f"was made by {maker} whose rows .*; use that version .*in another --run") as caught:
                use()
            assert "\n" not in str(caught.value)
        shutil.rmtree(tmp_path / "round-1")
    with RunDir(tmp_path, load_config()):
        assert json.loads(path.read_bytes())["version"] == VERSION


def test_a_flipped_byte_of_the_config_or_of_an_answer_is_named(tmp_path):
    with RunDir(tmp_path, load_config()), Ledger(tmp_path) as ledger, ledger.attempt("teach"):
        ledger.keep("teach", "key", Answer("seven", "stop", 10, 20, True, 0.5))
    for name, old, new, said in (
        ("run.json", b"1500", b"1501", r"run\.json is damaged"),
        ("answers.jsonl", b"seven", b"eleven", r"answers\.jsonl line 1 is damaged; delete that line"),
    ):
        data = (tmp_path / name).read_bytes()
        assert old in data
        (tmp_path / name).write_bytes(data.replace(old, new))
        with pytest.raises(RunError, match=said):
            read_config(tmp_path)
            read_ledger(tmp_path)
        (tmp_path / name).write_bytes(data)
    assert read_config(tmp_path) == load_config()
    assert read_ledger(tmp_path)["total"]["calls"] == 1


def test_a_full_disk_is_told_in_one_line_and_the_run_continues(tmp_path, monkeypatch):
    stage = Stage(tmp_path / "stage")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rundir.os, "fsync", full)
    with pytest.raises(RunError, match=r"disk that holds .* is full; free some space and give the same command again"):
        stage.finish({"rows.jsonl": [row("a")]})
    monkeypatch.undo()
    assert not stage.done
    assert list(stage.path.iterdir()) == []
    stage.finish({"rows.jsonl": [row("a")]})
    assert stage.done


def test_a_second_process_is_refused_while_the_first_works(tmp_path):
    code = (
        "from pathlib import Path\nfrom errata.programs.run.directory import RunDir\nfrom errata.programs.config import load_config\n"
        f"RunDir(Path({str(tmp_path / 'run')!r}), load_config())"
    )
    with RunDir(tmp_path / "run", load_config()):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "another process is working on" in done.stderr
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).returncode == 0


def test_a_run_of_another_config_is_refused_with_the_field_that_differs(tmp_path):
    with RunDir(tmp_path / "run", load_config()) as run:
        run.stage("round-1/mine").finish({"rows.jsonl": [row("a")]})
    with pytest.raises(RunError, match=r"was made with generate\.repairs = 2, not 1"):
        RunDir(tmp_path / "run", load_config(overrides={"generate.repairs": 1}))
    # what changes no row may change
    with RunDir(tmp_path / "run", load_config(overrides={"rounds": 3, "budget.max_calls": 5, "sandbox.workers": 1})):
        pass


OLD = {"train.jsonl": "a1", "dev.jsonl": "b2"}


def begun(path, task="gsm8k:here", *data):
    """A run over `data` in which something was done."""
    with RunDir(path, load_config(overrides={"task": task}), data) as run:
        run.stage("round-1/mine").finish({"rows.jsonl": [row("a")]})
    return path


@pytest.mark.parametrize(
    ("new", "said"),
    [
        (OLD | {"train.jsonl": "a2"}, "train.jsonl has changed; put them back"),
        ({"train.jsonl": "a1"}, "dev.jsonl is gone"),
        (OLD | {"test.jsonl": "c3"}, "test.jsonl is new"),
    ],
)
def test_a_run_whose_data_changed_is_refused_with_the_files_that_changed(tmp_path, new, said):
    path = begun(tmp_path / "run", "gsm8k:here", ("gsm8k", OLD), ("guard", {}))
    before = (path / "run.json").read_bytes()
    config = load_config(overrides={"task": "gsm8k:here"})
    with pytest.raises(RunError, match="the data of task gsm8k are not those that") as caught:
        RunDir(path, config, [("gsm8k", new), ("guard", {})])
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert (path / "run.json").read_bytes() == before
    with RunDir(path, config, [("gsm8k", OLD), ("guard", {})]):
        assert (path / "run.json").read_bytes() == before


def test_a_run_goes_on_where_its_data_moved_and_nowhere_else(tmp_path):
    path = begun(tmp_path / "run", "gsm8k:here", ("gsm8k", OLD))
    moved = load_config(overrides={"task": "gsm8k:there"})
    for other in ([("gsm8k", OLD | {"train.jsonl": "a2"})], [("gsm_plus", OLD)], [("gsm8k", OLD), ("guard", OLD)], []):
        with pytest.raises(RunError, match="was made with task = 'gsm8k:here', not 'gsm8k:there'"):
            RunDir(path, moved, other)
    with RunDir(path, moved, [("gsm8k", OLD)]):
        assert read_config(path).task == "gsm8k:there"


def test_data_that_are_read_later_are_kept_from_then_on(tmp_path):
    path = begun(tmp_path / "run", "mmlu", ("mmlu", {}))
    config = load_config(overrides={"task": "mmlu"})
    with RunDir(path, config, [("mmlu", {})]) as run:
        run.check(config, [("mmlu", OLD)])
    with RunDir(path, config, [("mmlu", {})]):
        pass
    with pytest.raises(RunError, match=r"train\.jsonl has changed"):
        RunDir(path, config, [("mmlu", OLD | {"train.jsonl": "a2"})])


def test_a_run_in_which_nothing_was_done_takes_another_config(tmp_path):
    with RunDir(tmp_path / "run", load_config(overrides={"target.model": "no/such"})):
        pass
    with RunDir(tmp_path / "run", load_config()):
        assert read_config(tmp_path / "run").target.model == "tiny"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_rows_that_a_full_disk_does_not_take_are_told_in_one_line(tmp_path):
    with (
        pytest.raises(RunError, match="is full; free some space"),
        rundir.disk_errors(tmp_path),
        Path("/dev/full").open("ab", buffering=0) as file,
    ):
        rundir.append(file, b"row")


def test_a_folder_with_other_files_is_not_taken_for_a_run(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(RunError, match="holds files but no run"):
        RunDir(tmp_path, load_config())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["thesis.tex"]


def test_a_run_that_another_process_begins_between_two_looks_is_no_folder_of_others(tmp_path, monkeypatch):
    listed = Path.iterdir

    def meanwhile(path):
        for name in ("lock", "run.json", "round-1.log"):
            (path / name).write_text("{}")
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", meanwhile)
    assert not foreign(tmp_path, "run.json", "lock")
    assert foreign(tmp_path, "other.json", "lock")


def test_many_writers_of_one_file_do_not_meet(tmp_path):
    file, texts = tmp_path / "compare.json", [bytes([65 + number]) * 10_000 for number in range(8)]

    def write(text):
        for _ in range(20):
            rundir.write_atomic(file, text)

    with ThreadPoolExecutor(len(texts)) as pool:
        list(pool.map(write, texts))
    assert file.read_bytes() in texts
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_told_in_one_line(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(RunError, match="cannot be written"):
        RunDir(tmp_path / "run", load_config())


def test_a_file_in_the_way_of_the_run_directory_is_told_in_one_line(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        RunDir(tmp_path / "run", load_config())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("generate:\n  strategi: x", "there is no field `generate.strategi`; did you mean `generate.strategy`?"),
        ("rounds: many", "rounds = 'many' is not usable"),
        ("rounds: [", "not valid YAML"),
        ("- a\n- b", "must be a mapping"),
        ("items: {dev: 0}", "items.dev = 0 is not usable"),
    ],
)
def test_a_wrong_config_is_told_in_one_line(tmp_path, text, said):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        load_config(path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_flags_win_over_the_file_and_the_file_over_the_defaults(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("rounds: 2\nitems:\n  dev: 10\n  test: 20\n")
    config = load_config(path, {"items.dev": 30})
    assert (config.rounds, config.items.dev, config.items.test, config.items.train) == (2, 30, 20, 1500)


def test_how_to_train_is_open_until_something_is_trained(tmp_path):
    path, other = tmp_path / "run", load_config(overrides={"train.batch_size": 4})
    with RunDir(path, load_config()):
        (path / "round-1/teach").mkdir(parents=True)
        (path / "round-1/teach/taught.jsonl").write_text("{}\n")
    with RunDir(path, other):
        assert rundir.read_config(path) == other
        (path / "round-1/train").mkdir()
        (path / "round-1/train/manifest.json").write_text("{}")
    with pytest.raises(RunError, match=r"was made with train\.batch_size = 4, not 16"):
        RunDir(path, load_config())


def test_the_order_of_rows_is_open_until_they_are_written(tmp_path):
    path, easy = tmp_path / "run", load_config(overrides={"train.curriculum": True, "train.batch_size": 4})
    with RunDir(path, load_config()):
        (path / "round-1/teach").mkdir(parents=True)
        (path / "round-1/teach/taught.jsonl").write_text("{}\n")
    with RunDir(path, easy):
        (path / "round-1/assemble").mkdir()
        (path / "round-1/assemble/manifest.json").write_text("{}")
    told = r"was made with train\.curriculum = True, not False; its rows were written in the order that this asks for: leave train"
    with pytest.raises(RunError, match=told):
        RunDir(path, load_config())
    with RunDir(path, load_config(overrides={"train.curriculum": True})):
        pass


def test_a_part_that_a_kill_left_beside_its_finished_file_is_dropped(tmp_path):
    with RunDir(tmp_path / "run", load_config()) as run:
        for name in ("round-1/teach", "round-1/mine"):
            (run.path / name).mkdir(parents=True)
            (run.path / name / "rows.jsonl.part").write_text("")
        (run.path / "round-1/teach/manifest.json").write_text("{}")
    with RunDir(tmp_path / "run", load_config()) as run:
        assert [part.parent.name for part in run.path.glob("**/*.part")] == ["mine"]


WRITE_AND_DIE = """
import os, signal, sys
from pathlib import Path
from errata.signatures import files

files.sync = lambda path: os.kill(os.getpid(), signal.SIGKILL)
files.write_whole(Path(sys.argv[1]), b"half")
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is sent")
def test_what_a_process_that_was_killed_within_a_writing_left_is_dropped_and_no_file_of_another_kind(tmp_path):
    with RunDir(tmp_path / "run", load_config()) as run:
        (train := run.path / "round-1/train").mkdir(parents=True)
    for path in (run.path / "seconds.json", train / "course.json"):
        subprocess.run([sys.executable, "-c", WRITE_AND_DIE, path], check=False)
    assert len(list(run.path.rglob("*.tmp"))) == 2
    others = [train / "rows-4-5.jsonl.tmp", train / "weights.tmp"]
    for path in others:
        path.write_text("half")
    with RunDir(run.path, load_config()):
        assert sorted(run.path.rglob("*.tmp")) == others


@pytest.mark.parametrize("times", [1, 2])
def test_a_writer_whose_temporary_file_was_dropped_writes_again(tmp_path, monkeypatch, times):
    """A page beside the run may be written while another process opens the run."""
    sync, dropped = files.sync, []

    def dropping(path):
        sync(path)
        if len(dropped) < times:
            dropped.append(path.unlink())

    monkeypatch.setattr(files, "sync", dropping)
    if times == 1:
        rundir.write_atomic(tmp_path / "report.json", b"whole")
        assert (tmp_path / "report.json").read_bytes() == b"whole"
    else:
        with pytest.raises(RunError, match="cannot be written"):
            rundir.write_atomic(tmp_path / "report.json", b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"][: 2 - times]


def test_a_config_that_cannot_be_read_is_not_told_as_a_missing_one(tmp_path):
    with pytest.raises(NoRunError, match=r"it has no run\.json"):
        read_config(tmp_path)
    (tmp_path / "run.json").mkdir()
    with pytest.raises(RunError, match=r"run\.json cannot be read \(Is a directory\)") as told:
        read_config(tmp_path)
    assert not isinstance(told.value, NoRunError)


def test_advice_for_a_damaged_file_never_names_the_folder_of_a_whole_run(tmp_path):
    with RunDir(tmp_path / "run", load_config()) as run:
        for name, said in (("seconds.json", "delete it and give"), ("round-1/gate/manifest.json", "delete it, or its folder, and give")):
            (file := run.path / name).parent.mkdir(parents=True, exist_ok=True)
            file.write_text("{")
            with pytest.raises(RunError, match=said):
                rundir.read_json(file)


def test_a_task_and_a_guard_whose_names_make_one_folder_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("orders v2", "orders_v2"):
        (folder := tmp_path / name).mkdir()
        for split in ("train", "dev", "test"):
            (folder / f"{split}.jsonl").write_text(json.dumps({"question": f"{split} of {name}?", "answer": "1"}) + "\n")
    config = load_config(overrides={"task": "jsonl:orders v2", "guards": ["jsonl:orders_v2"]})
    with pytest.raises(UsageError, match="two of one name, or one folder, cannot be told apart; leave one out"):
        Session(config, tmp_path / "run")
