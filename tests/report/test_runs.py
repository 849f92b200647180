"""The list of runs: it names nothing that a terminal would obey, hides no run behind a damaged one, and says what is worked on."""

import io
import json
import re
import subprocess
import sys
import threading

import pytest
from fake_run import fake_run
from pages import HOSTILE
from typer.testing import CliRunner

from errata.cli import app
from errata.programs import report
from errata.programs.config import load_config
from errata.programs.report.runs import as_text, goes_on, listed, watch
from errata.programs.run import layout
from errata.programs.run.directory import RunDir, read_config, worked_on


def test_a_damaged_run_is_listed_beside_the_others_and_texts_of_data_stay_text(tmp_path):
    report.write(fake_run(tmp_path / "hostile", {"t": ["a"]}, rounds=1, text=HOSTILE))
    (fake_run(tmp_path / "broken", {"t": ["a"]}, rounds=1) / "run.json").write_text("{")
    text = as_text(listed(tmp_path))
    assert "hostile\n  t, tiny taught by openai/some with LearnFromError\n  finished after 1 round, accepted 1\n" in text
    assert "broken\n  cannot be read: " in text
    assert all(c == "\n" or c.isprintable() for c in text)


def test_what_a_run_at_work_takes_away_while_it_is_looked_at_ends_no_watch(tmp_path, monkeypatch):
    for name in ("one", "two"):
        fake_run(tmp_path / name, {"t": ["a"]}, rounds=1)
    read = layout.decision

    def gone(path, number):
        return (path / "gone").open() if path.name == "one" else read(path, number)

    monkeypatch.setattr(layout, "decision", gone)
    told = []
    watch(tmp_path, io.StringIO(), told.append, looks=1)
    assert sorted(line.partition(" ")[2] for line in told) == [
        f"{tmp_path}/one: cannot be read: {tmp_path}/one/gone (No such file or directory); look again",
        f"{tmp_path}/two: finished after 1 round, accepted 1",
    ]


def test_watching_tells_each_run_once_and_again_when_it_changes(tmp_path, monkeypatch):
    first = fake_run(tmp_path / "one", {"t": ["a"]}, rounds=1)
    told, looked = [], []

    def later(_):
        looked.append(True)
        if len(looked) == 1:
            fake_run(tmp_path / "two", {"t": ["a"]}, rounds=1)
        if len(looked) == 3:
            (first / "result.json").unlink()

    monkeypatch.setattr("errata.programs.report.runs.time.sleep", later)
    watch(tmp_path, io.StringIO(), told.append, looks=5)
    assert [re.sub(r"^\d\d:\d\d:\d\d ", "", line) for line in told] == [
        f"{tmp_path}/one: finished after 1 round, accepted 1",
        f"{tmp_path}/two: finished after 1 round, accepted 1",
        f"{tmp_path}/one: round 1 of 1: gate done, accepted 1",
    ]
    told.clear()
    watch(tmp_path, io.StringIO(), told.append, as_json=True, looks=2)
    (document,) = map(json.loads, told)
    assert sorted(run["run"] for run in document["runs"]) == [f"{tmp_path}/one", f"{tmp_path}/two"]


@pytest.mark.parametrize("held", [True, False])
def test_a_run_is_listed_as_worked_on_while_a_process_holds_it_and_no_longer(tmp_path, held):
    path = fake_run(tmp_path / "run", {"t": ["a"]}, rounds=1)
    (path / "evaluate/w9/t-dev").mkdir(parents=True)
    (path / "evaluate/w9/t-dev/attempts.jsonl.part").write_text("[]\n" * 7)
    (path / "result.json").unlink()
    code = "import filelock, sys; lock = filelock.FileLock(sys.argv[1]); lock.acquire(); print('held', flush=True); sys.stdin.read()"
    holder = subprocess.Popen([sys.executable, "-c", code, path / "lock"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    if not held:
        holder.kill()  # as a machine that runs out of memory does: nothing is written that says so
        holder.wait()
    text = as_text(listed(path))
    assert ("round 1 of 1: gate done; measuring t-dev, 7 rows so far, accepted 1; a process is working on it now" in text) is held
    now = "a process is working on it now: give the same command again later"
    assert goes_on(path) == (now if held else f"`errata cycle --run {path}` continues it")
    assert ("round 1 of 1: gate done, accepted 1\n" in text) is not held
    holder.communicate("")


@pytest.mark.parametrize("done", [True, False])
def test_an_optimization_is_told_by_its_report_or_goes_on_by_its_own_command(tmp_path, done):
    path = tmp_path / "run"
    RunDir(path, load_config()).close()
    (path / "optimize").mkdir()
    if done:
        (path / "optimize/report.html").write_text("")
    act = f"its report is {path}/optimize/report.html" if done else "the same errata optimize command continues it"
    assert goes_on(path) == act
    assert as_text(listed(path)).splitlines()[-2:] == ["  an optimization", f"  {act}"]
    for command in (["report", path], ["view", path], ["trace", path, "abc"]):
        said = CliRunner().invoke(app, [*map(str, command)])
        assert said.exit_code != 0 and said.stderr.endswith(f"; {act}\n")


def test_looking_at_runs_refuses_no_process_that_begins_to_work_meanwhile(tmp_path):
    path = fake_run(tmp_path / "run", {"t": ["a"]}, rounds=1)
    ended = threading.Event()
    watcher = threading.Thread(target=lambda: [worked_on(path) for _ in iter(ended.is_set, True)])
    watcher.start()
    try:
        for _ in range(50):
            RunDir(path, read_config(path)).close()
    finally:
        ended.set()
        watcher.join()
