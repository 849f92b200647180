"""Which program a response stands for: the forms in which models write code, what is left unread, and the time that reading takes."""

import contextlib
import io
import json
import time
from pathlib import Path

import pytest
from readings import readings

from errata.tasks.verdicts.source import Item, extract

PROMPT = 'def add_all(xs):\n    """Sum of xs."""\n'
ITEM = Item(PROMPT, "add_all", "def check(candidate):\n    assert candidate([1, 2, 3]) == 6\n")
ANSWERS = [json.loads(line) for line in (Path(__file__).parent / "answers_code.jsonl").read_text(encoding="utf-8").split("\n") if line]
"""What it is, the response, and whether the program in it sums a list; the sandbox judges others like them in test_code.py."""


def sums(source: str) -> bool:
    names: dict = {"__name__": "program"}
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            exec(compile(source, "program", "exec"), names)
            return names["add_all"]([1, 2, 3]) == 6
        except (Exception, SystemExit):
            return False


@pytest.mark.parametrize(("text", "read"), readings("code"))
def test_code_is_read_as_a_careful_user_would(text, read):
    assert extract(Item('def f(x):\n    """Half of x."""\n', "f", ITEM.test), text) == read


@pytest.mark.filterwarnings("ignore:coroutine")
@pytest.mark.parametrize(("response", "wanted"), [row[1:] for row in ANSWERS], ids=[row[0] for row in ANSWERS])
def test_the_program_of_a_response_does_what_the_response_shows(response, wanted):
    source = extract(ITEM, response)
    assert ("no answer" if source is None else "right" if sums(source) else "wrong") == wanted


METHOD = Item("class Solution:\n    def add_all(self, xs: list[int]) -> int:\n        ", "add_all", ITEM.test, owner="Solution")


@pytest.mark.parametrize(
    "response",
    [
        "class Solution:\n    def add_all(self, xs):\n        return sum(xs)",
        "```python\nclass Base:\n    def add_all(self, xs):\n        return sum(xs)\n\nclass Solution(Base):\n    pass\n```",
        "class A:\n    def add_all(self, xs):\n        pass\n\nclass Solution:\n    def add_all(self, xs):\n        return sum(xs)\n",
        "return sum(xs)",
        "        return sum(xs)",
        "t = 0\n        for x in xs:\n            t += x\n        return t",
        "t = 0\nfor x in xs:\n    t += x\nreturn t",
        "```python\ndef add_all(xs):\n    return sum(xs)\n```",
    ],
)
def test_a_method_that_is_asked_for_is_found_and_its_body_put_back(response):
    assert sums(extract(METHOD, response))


def test_a_body_is_put_under_a_signature_without_a_docstring_and_behind_an_open_last_line():
    for prompt in ("def add_all(xs):", "def add_all(xs):\n", "import os\n\n\ndef add_all(xs):\n    ", "def add_all(xs):\n\t'''Sum.'''\n"):
        for body in ("return sum(xs)", "    return sum(xs)", "t = 0\n    for x in xs:\n        t += x\n    return t"):
            assert sums(extract(Item(prompt, "add_all", ITEM.test), body)), (prompt, body)


HOSTILE = {
    "fences": lambda n: "```\n" * n,
    "blocks": lambda n: "```python\ndef f(x):\n    return 1\n```\n" * (n // 4),
    "strings that never end": lambda n: '```python\n\\"""\n```\n' * (n // 2),
    "indentation": lambda n: " " * 40 * n + "x\n" + "    t = 1 1\n" * n,
    "beginnings": lambda n: "def add_all(\n" * n,
    "brackets": lambda n: "def add_all(xs):\n" + "  (\n" * 2 * n,
    "definitions": lambda n: "def add_all(xs):\n    return 0\n\nWell done\n\n" * (n // 4),
    "tags": lambda n: "<a>" * 2 * n,
    "assignments": lambda n: "a = = b\n" * n,
    "entities": lambda n: "&lt;" * 5 * n,
    "sessions": lambda n: ">>> def f(x):\n" * 2 * n,
    "chains": lambda n: (
        "".join(f"```python\ndef f{i}(x):\n    return f{i + 1}(x)\n```\n" for i in range(n // 4)) + "def add_all(xs):\n    f0(xs)"
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_reading_takes_time_in_proportion_to_the_text(kind):
    def seconds(n: int) -> float:
        text = HOSTILE[kind](n)
        start = time.process_time()
        extract(ITEM, text)
        return time.process_time() - start

    assert seconds(4000) < 12 * max(seconds(1000), 0.01)
