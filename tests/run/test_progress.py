"""Progress: a live line on a terminal, plain lines elsewhere, JSON lines for programs, nothing when quiet; stdout holds results alone."""

import io
import itertools
import json
import re
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from errata.cli import app
from errata.programs import Cycle
from errata.programs.config import load_config, settings
from errata.programs.run import progress
from errata.programs.run.progress import Progress, span
from errata.programs.start import JsonLines, Live, as_text, teller
from errata.programs.steps.gate import gate
from errata.trainers.tracking import Tracker


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_step_is_told_every_ten_seconds_with_its_rate_and_the_time_left(clock):
    said = []
    plain = Progress(said.append)
    for done in range(0, 101, 5):
        plain.at("mine", done, 100)
        plain.beat()
        clock[0] += 1
    plain.end("mine")
    assert said == ["mine: 50 of 100, 5 a second, about 10 s left", "mine: 100 of 100, 5 a second, about 0 s left"]


def test_what_comes_before_a_steps_length_is_known_is_no_part_of_its_rate(clock):
    said = []
    plain = Progress(said.append)
    with plain.busy("train"):
        clock[0] += 60  # a process starts
        plain.beat()
        plain.at("train", 400, 1000, "loss 0.5")  # a killed training goes on at step 400
        clock[0] += 20
        plain.at("train", 440, 1000, "loss 0.4")
        plain.beat()
    assert said == ["train: under way for 60 s", "train: 440 of 1000, 2 a second, about 5 min left, loss 0.4"]


def test_of_a_batch_that_comes_at_once_the_time_left_is_that_of_the_batch(clock):
    said = []
    plain = Progress(said.append)
    plain.at("mine", 0, 600)
    clock[0] += 20
    for done in range(1, 17):  # the first answer alone would say 600 times 20 seconds
        plain.at("mine", done, 600)
        clock[0] += 0.00001
    plain.beat()
    assert said == ["mine: 16 of 600, 0.8 a second, about 12 min left"]


def test_the_time_left_goes_down_while_a_long_batch_says_nothing(clock):
    said = []
    plain = Progress(said.append)
    plain.at("mine", 0, 100)
    clock[0] += 40
    plain.at("mine", 50, 100)
    plain.share("mine", 0.25)  # the target knows better: those that are left take longer
    for _ in range(5):
        plain.beat()
        clock[0] += 30
    assert [line.split(", ")[-1] for line in said] == [
        "about 2 min left", "about 90 s left", "about 60 s left", "about 30 s left", "under way for 3 min",
    ]  # fmt: skip


def test_answers_that_are_under_way_at_a_time_count_by_half(clock):
    said = []
    plain = Progress(said.append)
    plain.at("teach", 0, 80, width=8)
    clock[0] += 20
    plain.at("teach", 1, 80, width=8)  # the first of eight: the others are nearly there
    plain.beat()
    left = int(re.search(r"about (\d+) (s|min) left", said[-1])[1]) * 60
    assert 200 / 2 <= left <= 200 * 2 + 30


def test_half_a_minute_without_a_line_never_passes_whatever_is_under_way(clock):
    said, times = [], []
    plain = Progress(lambda line: (said.append(line), times.append(clock[0])))
    plain.say("begun")
    with plain.within("errata evaluate"), plain.within("round-1/mine"):
        for _ in range(100):  # a model is loaded
            clock[0] += 1
            plain.beat()
        with plain.busy("a sandbox check"):
            for _ in range(100):
                clock[0] += 1
                plain.beat()
        plain.at("mine", 0, 10)
        for _ in range(300):  # one long batch
            clock[0] += 1
            plain.beat()
    assert max(b - a for a, b in itertools.pairwise(times)) <= 30
    assert times[-1] - times[0] >= 470
    assert "round-1/mine: under way for 25 s" in said
    assert "a sandbox check: under way for 10 s" in said
    assert "mine: 0 of 10, under way for 5 min" in said


def test_a_silent_command_is_told_of_by_itself(monkeypatch):
    monkeypatch.setattr(Progress, "silence", 0.5)
    said = []
    plain = Progress(said.append)
    with plain.within("errata doctor"):
        time.sleep(1.4)
    count = len(said)
    assert count and set(said) <= {f"errata doctor: under way for {seconds} s" for seconds in (1, 2)}
    time.sleep(1.2)
    assert len(said) == count


def test_every_json_line_is_an_event(clock):
    written = []
    lines = JsonLines(written.append)
    lines.say('a "line"')
    lines.at("mine", 0, 10)
    clock[0] += 2
    lines.at("mine", 4, 10)
    lines.beat()
    lines.fact("round", number=1, accepted=True)
    said, step, figures = map(json.loads, written)
    assert said == {"event": "said", "text": 'a "line"'}
    assert (step["event"], step["done"], step["total"], step["per_second"], step["seconds_left"]) == ("step", 4, 10, 2.0, 3.0)
    assert figures == {"event": "round", "number": 1, "accepted": True}


@pytest.mark.parametrize("width", ["30", "80", "200"])
def test_a_terminal_keeps_what_was_said_and_clears_what_was_under_way(monkeypatch, width):
    monkeypatch.setenv("COLUMNS", width)
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    live = Live(stream)
    live.at("round 1: mine [bold]errors", 0, 10)
    live.at("round 1: mine [bold]errors", 5, 10)
    live.beat()
    live.say("target [red]tiny[/red]: 505k parameters, float32, cpu")
    live.end("round 1: mine [bold]errors")
    live.say("over")
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())
    assert "target [red]tiny[/red]: 505k parameters, float32, cpu\n" in text
    assert " of 10" in text
    assert text.endswith("over\n")
    assert stream.getvalue().count("\x1b[?25l") == stream.getvalue().count("\x1b[?25h") == 1  # the cursor is there again


def test_no_colour_is_drawn_where_none_is_wanted(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    stream = Terminal()
    Live(stream).say("round 1: accepted: gain on dev")
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", stream.getvalue())


def test_the_form_is_that_of_the_stream(monkeypatch):
    for stream, term, quiet, as_json, form in (
        (Terminal(), "xterm", False, False, Live),
        (Terminal(), "dumb", False, False, Progress),
        (Terminal(), "xterm", False, True, JsonLines),
        (io.StringIO(), "xterm", False, False, Progress),
        (Terminal(), "xterm", True, True, Progress),
    ):
        monkeypatch.setenv("TERM", term)
        monkeypatch.setattr(sys, "stderr", stream)
        found = teller(quiet, as_json)
        found.say("a line")
        assert type(found) is form
        assert bool(stream.getvalue()) != quiet


def test_times_are_told_in_words():
    assert [span(seconds) for seconds in (0.4, 99, 130, 7500)] == ["0 s", "99 s", "2 min", "2 h 5 min"]


def test_json_is_one_document_on_stdout_and_events_on_stderr(tmp_path):
    command = ["evaluate", "--task", "sums", "--limit", "6", "--run", str(tmp_path / "run"), "--set", "train.epochs=2", "--json"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["items"] == 6
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert events[0]["event"] == "settings"
    assert events[0]["set"] == {"items.test": 6, "train.epochs": 2.0}
    assert events[0]["default"]["gate.alpha"] == 0.05
    assert any(event.get("text", "").startswith("evaluate sums-test, weights as given: ") for event in events)
    quiet = CliRunner().invoke(app, [*command, "-q"])
    assert (quiet.stdout, quiet.stderr) == (done.stdout, "")


def test_what_is_set_is_told_first_and_the_defaults_in_one_line_or_each_when_wanted():
    config = load_config(overrides={"task": "gsm8k:data", "train.epochs": 1})
    first, *rest = as_text(config, verbose=True)
    assert first == "set: task gsm8k:data, train.epochs 1.0"
    _, default = settings(config)
    assert as_text(config) == [first, f"defaults: {len(default)} other settings stand at theirs; run.json holds them, -v tells them"]
    text = "\n".join(rest)
    for name in default:
        group, _, leaf = name.rpartition(".")
        assert group == "table" or f" {leaf} " in text, name
    assert as_text(load_config())[0] == "set: nothing, all stands at its default"


class Recorder:
    """A tracker as transformers has them."""

    seen: list = []
    told: list = []

    def on_train_begin(self, args, state, control, **_):
        self.seen.append(("begin", args.run_name))
        self.told.append(args.to_dict())

    def on_log(self, args, state, control, logs=None, **_):
        self.seen.append((state.global_step, logs))
        if state.global_step == 3:
            raise ConnectionError("no network")

    def on_train_end(self, args, state, control, **_):
        self.seen.append(("end", args.run_name))


@pytest.fixture
def recorder(monkeypatch):
    from transformers.integrations import integration_utils

    monkeypatch.setattr(Recorder, "seen", [])
    monkeypatch.setattr(Recorder, "told", [])
    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "recorder", Recorder)
    return Recorder.seen


def test_trackers_get_each_rounds_figures_and_cost_no_run(recorder, tmp_path):
    said = []
    tracker = Tracker(["recorder"], tmp_path, "runs/x", said.append)
    tracker.log(1, {"before": 0.5})
    tracker.log(3, {"before": 0.75})
    tracker.close()
    assert recorder == [("begin", "runs/x"), (1, {"eval_before": 0.5}), (3, {"eval_before": 0.75}), ("end", "runs/x")]
    assert said == ["tracker ['recorder']: ConnectionError: no network; the run goes on without it"]
    Tracker("nosuchtracker", tmp_path, "runs/x", said.append).log(1, {})
    assert "nosuchtracker is not supported" in said[-1]
    Tracker(None, tmp_path, "runs/x", said.append).log(1, {"before": 0.5})
    assert len(recorder) == 4


def test_a_rounds_figures_go_to_programs_and_to_the_tracker_when_it_is_decided(recorder, tmp_path):
    written = []
    config = load_config(overrides={"train.sft": {"report_to": "recorder"}})
    with Cycle(config, tmp_path / "run", JsonLines(written.append)) as loop:
        loop.run_dir.stage("round-1/teach").finish({}, failures=9, programs=0)
        loop.run_dir.stage("round-1/assemble").finish({}, samples=0, replay=0, shortfall="no program is left")
        gate(loop, 1)
        gate(loop, 1)  # decided already: told once
    (event,) = [json.loads(line) for line in written if json.loads(line)["event"] == "round"]
    assert (event["number"], event["accepted"], event["failures"], event["programs"], event["calls"]) == (1, False, 9, 0, 0)
    assert recorder[0] == ("begin", str(tmp_path / "run"))
    assert (Recorder.told[0]["train.sft.report_to"], Recorder.told[0]["gate.alpha"]) == ("recorder", 0.05)
    figures = dict(recorder)[1]
    assert (figures["eval_accepted"], figures["eval_failures"], figures["eval_usd"]) == (0.0, 9.0, 0.0)


def test_an_interrupt_that_a_library_swallows_ends_the_command_all_the_same():
    code = (
        "import os, signal, threading, time\nfrom errata.programs import start\nstart.GRACE = 0.5\nwith start.one_line_errors():\n"
        "    threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT]).start()\n"
        "    try:\n        time.sleep(60)\n    except KeyboardInterrupt:\n        time.sleep(60)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.splitlines() == ["errata: interrupted; what was done is kept, and the same command continues"]
