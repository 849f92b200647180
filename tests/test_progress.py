"""Progress: a live line on a terminal, plain lines elsewhere, JSON lines for programs, nothing when quiet; stdout holds results alone."""

import io
import json
import re
import sys

import pytest
from typer.testing import CliRunner

from errata.cli import app
from errata.programs import progress
from errata.programs.config import load_config, settings, told
from errata.programs.progress import JsonLines, Live, Plain, span, teller


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
    plain = Plain(said.append)
    for done in range(0, 101, 5):
        plain.at("mine", done, 100)
        clock[0] += 1
    plain.end("mine")
    assert said == ["mine: 50 of 100, 5 a second, about 10 s left", "mine: 100 of 100, 5 a second, about 0 s left"]


def test_what_comes_before_a_steps_length_is_known_is_no_part_of_its_rate(clock):
    said = []
    plain = Plain(said.append)
    with plain.busy("train"):
        clock[0] += 60  # a process starts
        plain.at("train", 400, 1000, "loss 0.5")  # a killed training goes on at step 400
        clock[0] += 20
        plain.at("train", 440, 1000, "loss 0.4")
    assert said[-1] == "train: 440 of 1000, 2 a second, about 5 min left, loss 0.4"


def test_every_json_line_is_an_event(clock):
    written = []
    lines = JsonLines(written.append)
    lines.say('a "line"')
    lines.at("mine", 0, 10)
    clock[0] += 2
    lines.at("mine", 4, 10)
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
        (Terminal(), "dumb", False, False, Plain),
        (Terminal(), "xterm", False, True, JsonLines),
        (io.StringIO(), "xterm", False, False, Plain),
        (Terminal(), "xterm", True, True, Plain),
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


def test_what_is_set_is_told_first_and_every_default_after_it():
    config = load_config(overrides={"task": "gsm8k:data", "train.epochs": 1})
    first, *rest = told(config)
    assert first == "set: task gsm8k:data, train.epochs 1.0"
    _, default = settings(config)
    text = "\n".join(rest)
    for name in default:
        group, _, leaf = name.rpartition(".")
        assert group == "table" or f" {leaf} " in text, name
    assert told(load_config())[0] == "set: nothing, all stands at its default"
