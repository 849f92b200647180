"""Answers in Python: found in free text, judged in the sandbox without meeting a test, with attacks and counter-cases."""

import gc
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from errata.sandbox import Limits, open_sandbox
from errata.signatures.errors import SandboxError, UsageError
from errata.signatures.records import ProgramRun
from errata.tasks import doctor, load_task
from errata.tasks.verdicts import code

SHARED = Path(os.environ.get("ERRATA_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
PROMPT = 'import math\n\ndef half(x):\n    """ Half of x.\n    >>> half(4)\n    2.0\n    """\n'
HALF = code.Item(PROMPT, "half", "def check(candidate):\n    assert candidate(4) == 2\n    assert abs(candidate(1) - 0.5) < 1e-6\n")


@pytest.fixture(scope="module")
def runner():
    with open_sandbox(workers=1) as sandbox:
        yield lambda source, harness, payload: sandbox.run(source, harness, payload, within(source))


def within(source: str) -> Limits:
    """A loop without an end is given little time."""
    return Limits(seconds=0.3 if "while True" in source else 3)


@pytest.fixture(scope="module")
def judge(runner):
    return code.Judge(runner)


def item(test: str, entry: str = "f", prompt: str = "") -> code.Item:
    lines = "".join(f"    {line}\n" for line in test.split("\n"))
    return code.Item(prompt, entry, f"def check(candidate):\n{lines}")


@pytest.mark.parametrize(
    "response",
    [
        "def half(x):\n    return x / 2",
        "Sure:\n```python\ndef half(x):\n    return x / 2\n```\nIt divides.",
        "```\nhalf = lambda x: x / 2\n```",
        "    return x / 2",
        "    return x / 2\n\nThis halves the number.",
        "```python\n    return x / 2\n```",
        "First try:\n```python\ndef half(x):\n    return x // 2\n```\nBetter:\n```python\ndef half(x):\n    return x / 2\n```\nUse:\n"
        "```python\nprint(half(3))\n```",
        "def half(x):\n    return x / 2\n\nThis function divides by two.",
        "Here it is: \n\nimport math\n\ndef half(x):\n    return math.fsum([x]) / 2\nDone!",
        "[BEGIN]\ndef half(x):\n    return x / 2\n[DONE]",
        "```python\ndef half(x):\n    return math.fsum([x]) / 2\n```",  # the prompt's own import counts
        "```python\ndef half(x):\n    return x / 2",  # cut before the fence was closed
        "```python\nfrom __future__ import annotations\ndef half(x: Number):\n    return x / 2\n```",
    ],
)
def test_a_right_function_is_found_in_free_text(judge, response):
    verdict = judge.verdict(HALF, response)
    assert (verdict.correct, verdict.reason) == (True, "right")
    assert "/ 2" in verdict.extracted


@pytest.mark.parametrize("response", ["", "I cannot write code.", "```python\n```", "It is x / 2.", "```bash\nls\n```"])
def test_a_response_without_code_is_no_answer(judge, response):
    verdict = judge.verdict(HALF, response)
    assert (verdict.correct, verdict.extracted, verdict.reason) == (False, None, "no answer")


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        ("```python\ndef double(x):\n    return 2 * x\n```", "defines no function 'half'"),
        ("def half(x):\n    return x", "assert candidate(4) == 2: it gave 4"),
        ("def half(x):\n    return x // 2", "< 1e-06: it gave 0"),
        ("def half(x):\n    return x / 0", "ZeroDivisionError"),
        ("```python\ndef half(x):\n    return (x\n```", "SyntaxError"),
        ("def half(x):\n    while True: pass", "timeout"),
        ("def half(x):\n    return half(x)", "RecursionError"),
        ("def half(x):\n    return 'a' * 10**9", "raised MemoryError"),
        ("def half(x):\n    raise SystemExit(0)", "SystemExit"),
        ("import numpy\ndef half(x):\n    return x / 2", "No module named 'numpy'"),
        ("def half(x: Number):\n    return x / 2", "name 'Number' is not defined"),
        ("def half(x):\n    pass", "it gave None"),
    ],
)
def test_a_wrong_function_is_wrong_with_its_reason(judge, response, reason):
    verdict = judge.verdict(HALF, response)
    assert verdict.correct is False
    assert reason in verdict.reason
    assert verdict.extracted is not None


MISSING = {
    "unittest": ("import unittest", "the module 'unittest'"),
    "asyncio": ("import asyncio", "the module 'asyncio'"),
    "concurrent.futures": ("from concurrent.futures import ThreadPoolExecutor", "the module 'concurrent"),
    "sqlite3": ("import sqlite3", "the module 'sqlite3'"),
    "threading": ("import threading; threading.Thread(target=print).start()", "threads"),
    "subprocess": ("import subprocess; subprocess.run(['ls'])", "the module 'subprocess'"),
    "ctypes": ("from ctypes import c_int", "the module 'ctypes'"),
    "socket": ("import socket; socket.socket()", "the module 'socket'"),
    "urllib.request": ("from urllib import request", "the module 'urllib.request'"),
}
"""What Python has and the sandbox lacks: a line that needs it, and how it is named."""


@pytest.mark.parametrize("missing", MISSING)
def test_an_answer_or_a_test_that_needs_what_the_sandbox_lacks_of_python_is_unjudged(judge, missing):
    line, named = MISSING[missing]
    plain, loop = item("assert candidate(1) == 1"), item("for n in (1, 2): assert candidate(n) == n")
    for answer in (f"{line}\ndef f(x):\n    return x\n", f"def f(x):\n    {line}\n    return x\n"):
        for test in (plain, loop):
            verdict = judge.verdict(test, answer)
            assert verdict.correct is None, (answer, verdict.reason)
            assert verdict.reason.startswith(f"the answer needs {named}")
    for own in (code.Item("", "f", f"{line}\n{plain.test}"), item(f"{line}\nassert candidate(1) == 1")):
        verdict = judge.verdict(own, "def f(x):\n    return x\n")
        assert (verdict.correct, verdict.reason.startswith(f"the item's own test needs {named}")) == (None, True)


@pytest.mark.parametrize("line", ["import numpy", "import os.nonsense", "from typing import Int", "import unitest", "from xml import doom"])
def test_an_answer_that_imports_what_python_does_not_have_is_wrong(judge, line):
    for answer in (f"{line}\ndef f(x):\n    return x\n", f"def f(x):\n    {line}\n    return x\n"):
        verdict = judge.verdict(item("assert candidate(1) == 1"), answer)
        assert verdict.correct is False
        assert "Error" in verdict.reason


def test_words_about_a_module_that_are_not_pythons_own_refusal_are_wrong_as_any_other(judge):
    said = "No module named 'asyncio'"
    for body in (f'raise ValueError("{said}")', f'return "{said}"'):
        assert judge.verdict(item("assert candidate(1) == 1\nassert True"), f"def f(x):\n    {body}\n").correct is False


LIARS = {
    "equality": "class L(int):\n    def __eq__(self, other): return True\n    def __lt__(self, other): return True\n"
    "    def __sub__(self, other): return 0\n    __hash__ = None\ndef f(x):\n    return L(99)\n",
    "everything": "class L:\n    def __eq__(self, other): return True\n    def __getattr__(self, name): return self\n"
    "    def __iter__(self): return iter([2, 3])\n    def __len__(self): return 2\ndef f(x):\n    return L()\n",
    "list": "class L(list):\n    def __eq__(self, other): return True\n    def __iter__(self): return iter([2, 3])\n"
    "    def __len__(self): return 2\n    def __getitem__(self, i): return 2\ndef f(x):\n    return L([9, 9])\n",
    "class": "class L:\n    @property\n    def __class__(self): return list\n    def __eq__(self, other): return True\n"
    "def f(x):\n    return L()\n",
    "caller": "import sys\ndef f(x):\n    frame = sys._getframe()\n    while frame:\n        for name, value in frame.f_globals.items():\n"
    "            if name == 'check': return 2\n        frame = frame.f_back\n    return 'no test in sight'\n",
    "exit": "import os\ndef f(x):\n    os._exit(0)\n",
    "patch": "import builtins\nbuiltins.AssertionError = Exception\nbuiltins.bool = lambda x: True\n"
    "builtins.isinstance = lambda a, b: True\ndef f(x):\n    return 99\n",
    "harness": "import sys\nfor module in list(sys.modules.values()):\n    if hasattr(module, 'encode') and hasattr(module, 'decode'):\n"
    "        module.encode = lambda value, deep=0: True\ndef f(x):\n    return 99\n",
}


@pytest.mark.parametrize("liar", LIARS)
@pytest.mark.parametrize("test", ["assert candidate(1) == 2", "assert list(candidate(1)) == [2, 3]", "assert candidate(1) == [2, 3]"])
def test_an_object_that_lies_about_equality_passes_no_test(judge, liar, test):
    assert judge.verdict(item(test), LIARS[liar]).correct is False


def test_expected_values_never_enter_the_run_of_the_answer(runner):
    seen = []

    def watched(source, harness, payload):
        seen.append((source, json.dumps(payload)))
        return runner(source, harness, payload)

    code.Judge(watched).verdict(item("assert candidate(1) == 'secret-7261', 'a word'"), "def f(x):\n    return marker_of_answer\n")
    answers = [run for run in seen if "marker_of_answer" in run[0]]
    tests = [run for run in seen if "secret-7261" in run[0] + run[1]]
    assert answers and tests
    assert not set(answers) & set(tests)


VALUES = {
    "tuple": ("(1, 2)", "[1, 2]"),
    "set": ("{1, 'a', (2, 3)}", "[1, 'a', (2, 3)]"),
    "dict with other keys": ("{1: 'a', (1, 2): {3}, None: b'x'}", "{'1': 'a'}"),
    "float": ("0.1 + 0.2", "0.3"),
    "infinity": ("float('inf')", "1e308"),
    "bytes": ("b'\\xff'", "'\\xff'"),
    "complex": ("(1+2j)", "(1, 2)"),
    "big integer": ("7 ** 9000", "7 ** 9000 + 1"),
    "lone surrogate": ("'\\ud800'", "'?'"),
    "nested": ("[[(1, {2: [3.5, None, True]})]]", "[[(1, {2: [3.5, None, 0]})]]"),
    "range": ("range(3)", "[0, 1, 2]"),
    "fraction": ("__import__('fractions').Fraction(1, 3)", "1/3"),
    "deque": ("__import__('collections').deque([1])", "[1]"),
    "counter": ("__import__('collections').Counter('aab')", "{'a': 2}"),
    "boolean": ("True", "'True'"),
}


@pytest.mark.parametrize("value", VALUES)
def test_values_come_back_as_they_are(judge, value):
    right, wrong = VALUES[value]
    test = item(f"assert candidate({right}) == {right}\nassert type(candidate({right})) in (type({right}), dict)")
    assert judge.verdict(test, f"def f(x):\n    return {right}\n").correct is True
    assert judge.verdict(test, f"def f(x):\n    return {wrong}\n").correct is False
    assert judge.verdict(test, "def f(x):\n    return x\n").correct is True


TESTS = {
    "is": ("assert candidate(2) is True\nassert candidate(3) is False", "return x % 2 == 0", "return 1 - x % 2"),
    "in": ("assert candidate(2) in (3, 4)", "return x + 1", "return x"),
    "not": ("assert not candidate(2)\nassert candidate(3)", "return x > 2", "return True"),
    "isclose": ("import math\nassert math.isclose(candidate(2), 2 / 3, rel_tol=1e-9)", "return x / 3", "return 0.67"),
    "sorted": ("assert sorted(candidate(3)) == [0, 1, 2]", "return iter([2, 0, 1])", "return [2, 1]"),
    "set": ("assert set(candidate(3)) == {0, 1, 2}", "return (n for n in [2, 0, 1, 1])", "return [1]"),
    "loop": ("for n in range(50):\n    assert candidate(n) == n * n", "return x * x", "return x * x if x < 40 else 0"),
    "random": (
        "import random\nfor _ in range(20):\n    n = random.randint(0, 99)\n    assert candidate(n) == n + 1",
        "return x + 1",
        "return x",
    ),
    "helper": ("def twice(n): return 2 * n\nassert candidate(4) == twice(4)", "return x * 2", "return x"),
    "depends": ("a = candidate(1)\nb = candidate(a)\nassert candidate(b) == 8", "return 2 * x", "return x + 2"),
    "raises": (
        "try:\n    candidate(-1)\n    assert False\nexcept ValueError:\n    pass\nassert candidate(1) == 1",
        "if x < 0: raise ValueError(x)\n    return x",
        "return x",
    ),
    "two results in one": ("assert candidate(1) + candidate(2) == 3", "return x", "return 2"),
    "keywords": ("assert candidate(x=3) == 3", "return x", "return 0"),
}


@pytest.mark.parametrize("test", TESTS)
def test_tests_of_every_shape_are_taken_apart(judge, test):
    text, right, wrong = TESTS[test]
    assert judge.verdict(item(text), f"def f(x):\n    {right}\n").reason == "right"
    assert judge.verdict(item(text), f"def f(x):\n    {wrong}\n").correct is False


def test_objects_of_the_prompts_classes_go_over_and_back(judge):
    prompt = "class Pair:\n    def __init__(self, a, b):\n        self.a, self.b = a, b\n\ndef f(p):\n    ''' swap '''\n"
    test = item("q = candidate(Pair(1, 2))\nassert (q.a, q.b) == (2, 1)", prompt=prompt)
    assert judge.verdict(test, "def f(p):\n    return Pair(p.b, p.a)\n").reason == "right"
    assert judge.verdict(test, "def f(p):\n    return p\n").correct is False
    liar = "class Pair:\n    def __getattr__(self, name): return 7\n    def __eq__(self, other): return True\n"
    liar += "def f(p):\n    return Pair()\n"
    assert judge.verdict(test, liar).correct is not True


def test_what_cannot_be_judged_is_unjudged_and_says_why(judge):
    right = "def f(x):\n    return 1\n"
    assert judge.verdict(code.Item("", "f", "def check(candidate):\n    assert candidate(["), right).correct is None
    nothing = judge.verdict(item("pass"), right)
    assert (nothing.correct, "asks nothing" in nothing.reason) == (None, True)
    broken = judge.verdict(code.Item("", "f", "import numpy\ndef check(candidate):\n    assert candidate(1) == 1\n"), right)
    assert (broken.correct, "own test" in broken.reason) == (None, True)
    own = judge.verdict(item("assert candidate(1).area() == 1"), "class S:\n    def area(self): return 1\ndef f(x):\n    return S()\n")
    assert own.correct is None


def test_a_fault_of_the_sandbox_is_unjudged():
    def faulty(source, harness, payload):
        raise SandboxError("the sandbox is closed")

    verdict = code.Judge(faulty).verdict(HALF, "def half(x):\n    return x / 2")
    assert verdict.correct is None
    assert "sandbox is closed" in verdict.reason


def test_forged_rows_are_wrong():
    def forging(source, harness, payload):
        if "known" in payload:
            row = {"kept": 0, "calls": [["l"]], "asked": 1, "asserts": 1, "failed": None, "unreadable": None, "last": None}
            return ProgramRun(outcome="ok", rows=(row,))
        return ProgramRun(outcome="ok", rows=({"value": 1}, {"value": 2}))

    assert code.Judge(forging).verdict(HALF, "def half(x):\n    return x / 2").correct is False


def rows(path: Path, *lines: dict) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


EVAL = {"task_id": "T/0", "prompt": PROMPT, "canonical_solution": "    return x / 2\n", "test": HALF.test, "entry_point": "half"}
PUBLISHED = {
    "task_id": 2,
    "text": "Write a function to find the shared elements.",
    "code": "def shared(a, b):\r\n\treturn tuple(set(a) & set(b))",
    "test_list": ["assert set(shared((3, 4), (4, 5))) == {4}", "assert set(shared((1,), (2,))) == set()"],
    "test_setup_code": "",
}


def test_humaneval_rows_pass_doctor_and_a_bad_gold_is_named(runner, tmp_path):
    task = load_task(f"humaneval:{rows(tmp_path / 'test.jsonl', EVAL).parent}", runner=runner)
    assert doctor(task) == (1, [])
    bad = load_task(f"humaneval:{rows(tmp_path / 'bad' / 'test.jsonl', EVAL | {'canonical_solution': '    return x'})}", runner=runner)
    assert len(doctor(bad)[1]) == 1


def test_doctor_names_the_module_that_a_gold_or_a_test_needs_and_the_sandbox_lacks(runner, tmp_path):
    gold = PUBLISHED | {"code": "import sqlite3\ndef shared(a, b):\n    return tuple(set(a) & set(b))"}
    test = {**EVAL, "test": "import unittest\n" + EVAL["test"], "canonical_solution": ""}
    _, findings = doctor(load_task(f"mbpp:{rows(tmp_path / 'some.jsonl', gold, test)}", runner=runner))
    assert [finding.reason.partition(", which")[0] for finding in findings] == [
        "it cannot be judged: the answer needs the module 'sqlite3'",
        "it cannot be judged: the item's own test needs the module 'unittest'",
    ]
    assert not any("\n" in finding.reason for finding in findings)


def test_mbpp_is_read_in_both_forms(runner, tmp_path):
    task = load_task(f"mbpp:{rows(tmp_path / 'some.jsonl', PUBLISHED, {**EVAL, 'canonical_solution': None})}", runner=runner)
    first, second = task.examples("train")
    assert first.meta["entry_point"] == "shared"
    assert "assert set(shared(" in task.prompt(first)[0]["content"]
    assert second.answer == ""
    assert doctor(task) == (2, [])
    assert task.verdict(first, "```python\ndef shared(a, b):\n    return a\n```").correct is False


def test_an_item_without_gold_whose_test_is_cut_off_is_found_by_doctor(runner, tmp_path):
    cut = {**EVAL, "canonical_solution": "", "test": "def check(candidate):\n    assert candidate(4) == [[1, 2"}
    _, findings = doctor(load_task(f"mbpp:{rows(tmp_path / 'some.jsonl', cut)}", runner=runner))
    assert "own test is not Python" in findings[0].reason


def test_a_code_task_without_a_runner_is_refused_in_one_line(tmp_path):
    with pytest.raises(UsageError, match=r"runner=sandbox\.run"):
        load_task(f"humaneval:{rows(tmp_path / 'test.jsonl', EVAL)}")


def test_the_completion_is_judged_right(runner, tmp_path):
    task = load_task(f"mbpp:{rows(tmp_path / 'some.jsonl', PUBLISHED)}", runner=runner)
    (example,) = task.examples("train")
    assert task.verdict(example, task.completion("Sets have an intersection.", example.answer)).reason == "right"


def shared_rows(name: str) -> list[dict]:
    file = SHARED / name
    if not file.exists():
        pytest.skip(f"no {file}: set ERRATA_SHARED_DATA to the folder with the public data")
    return [json.loads(line) for line in file.read_bytes().split(b"\n") if line]


@pytest.mark.slow
def test_every_canonical_solution_of_humaneval_passes(judge):
    for row in shared_rows("humaneval/test.jsonl"):
        found = judge.verdict(code.Item(row["prompt"], row["entry_point"], row["test"]), row["prompt"] + row["canonical_solution"])
        assert found.reason == "right", row["task_id"]


@pytest.mark.slow
@pytest.mark.parametrize("side", ["right", "wrong"])
def test_recorded_completions_of_mbpp_are_judged_as_published(judge, side):
    for row in shared_rows(f"recorded_mistral7b/mbpp_{side}.jsonl"):
        found = judge.verdict(code.Item(row["prompt"], row["entry_point"], row["test"]), row["completion"])
        assert found.correct is row["passed"], (row["task_id"], found.reason, row["result"])


PLAIN = ["assert candidate(2) == 4", "assert candidate(x=3) == 9", "assert candidate(-1) == 1"]


@pytest.mark.parametrize(
    "answer",
    [
        "def f(x):\n    return x * x\n",
        "def f(x):\n    return x + 2\n",
        "def f(x):\n    return 9\n",
        "def f(x):\n    raise KeyError(x)\n",
        "class Always:\n    def __eq__(self, other):\n        return True\ndef f(x):\n    return Always()\n",
        "def f(x):\n    return float(x * x)\n",
        "def f(x):\n    import os\n    os._exit(0)\n",
        "def f(x):\n    while True: pass\n",
        "def g(x):\n    return x * x\n",
    ],
)
def test_a_plain_test_is_judged_in_one_run_as_it_is_in_three(sandbox, answer):
    runs = []

    def watched(*run):
        runs.append(run)
        return sandbox.run(*run, within(answer))

    short, long = item("\n".join(PLAIN)), item("\n".join([*PLAIN, "assert True"]))
    assert code.plain_cases(short) and code.plain_cases(long) is None
    plain = code.Judge(watched).verdict(short, answer)
    assert len(runs) <= 1
    assert not any("9" in json.dumps(payload) for _, _, payload in runs)
    whole = code.Judge(watched).verdict(long, answer)
    assert (plain.correct, plain.extracted) == (whole.correct, whole.extracted)


MORE = ("candidate(1) is True", "candidate(n) == 1", "candidate(1) == 1, 'why'", "candidate(...) == 1", "candidate(1) == 1 == 1")


@pytest.mark.parametrize("line", [f"assert {text}" for text in MORE])
def test_a_test_that_is_more_than_literals_is_run(line):
    assert code.plain_cases(item(line)) is None


def test_threads_that_parse_at_the_same_time_do_not_disturb_each_other():
    """CPython before 3.11.8 raises SystemError when a garbage collection lets another thread parse in the midst of a parse."""
    before = sys.getswitchinterval(), gc.get_threshold()

    class Slow:
        """Trash whose end gives other threads time."""

        def __init__(self):
            self.me = self

        def __del__(self):
            sum(range(2000))

    def deeper(depth: int) -> list[bool]:
        if depth:
            return deeper(depth - 1)
        return [all(Slow() for _ in range(20)) and code.is_literal("[1, [2, 3]]") and code.parse(source) is not None for _ in range(40)]

    source = "\n".join(f"def f{i}(x):\n    return [x * {i} + (x - {i}) for x in range({i}) if x % 2]" for i in range(40))
    gc.freeze()  # so often, only what comes from now on is looked through
    try:
        sys.setswitchinterval(1e-5)
        gc.set_threshold(50)
        with ThreadPoolExecutor(6) as pool:
            assert all(map(all, pool.map(deeper, range(0, 42, 7))))
    finally:
        gc.unfreeze()
        sys.setswitchinterval(before[0])
        gc.set_threshold(*before[1])
