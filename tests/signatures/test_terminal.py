"""A printed command can be pasted; nothing that others wrote steers the terminal."""

import json
import shlex
from pathlib import Path

import pytest

from errata.signatures.terminal import command, visible

HOSTILE = ["\x1b[31m", "\x1b]0;title\x07", "\x9b2J", "a\rb", "a\x08b", "\x7f", "\u202eabc", "\u200b", "\ufeff", "\ud800", "\U000e0041"]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_steers_a_terminal_is_shown_by_its_number(text):
    shown = visible(f"say {text}.")
    assert shown.isprintable()
    assert shown.startswith("say ") and shown.endswith(".")


@pytest.mark.parametrize("text", ["plain", "tab\tand\nline", "a\r\nb", "naïve 日本 é", "👩\u200d🔧 ok"])
def test_what_people_write_stays(text):
    assert visible(text) == text.replace("\r\n", "\n")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_json_document_means_the_same_when_it_is_made_visible(text):
    assert json.loads(visible(json.dumps({text: [text]}, ensure_ascii=False))) == {text: [text]}


@pytest.mark.parametrize("path", ["runs/x", "runs x/1", "it's", 'a"b', "$HOME", "a;b", "~/x", "*", "日本 x", "a\\b", "new\nline"])
def test_a_shell_reads_a_printed_command_as_it_was_meant(path):
    assert shlex.split(command("report", Path(path))) == ["errata", "report", path]


def test_a_path_with_a_leading_dash_is_no_option():
    assert shlex.split(command("report", Path("-x"), "--json")) == ["errata", "report", "./-x", "--json"]
