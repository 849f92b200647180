"""The ledger: its sums are those of the server, a kill loses no paid answer, and caps stop a run cleanly."""

import json
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from asking import first, in_threads, opened, total
from dspy import lm15
from openai_server import OpenAIServer, Reply, fault
from typer.testing import CliRunner

from errata.cli import app
from errata.programs import Cycle
from errata.programs.config import Budget, CycleConfig, InstructorSettings, Items
from errata.programs.instructor.engine import open_instructor
from errata.programs.run.layout import ANSWERS
from errata.programs.run.ledger import Answer, Ledger, read_ledger
from errata.signatures.errors import BudgetReached, RunError
from errata.signatures.records import TeachingResult

pytestmark = pytest.mark.usefixtures("no_keys")


def test_the_sums_equal_what_the_server_served_under_64_threads(tmp_path):
    fell = set()

    def script(body, number):
        question = body["messages"][-1]["content"]
        if len(question) % 7 == 3 and question not in fell:
            fell.add(question)
            return fault(500)
        return Reply("word " * (number % 13 + 1), delay=0.01)

    with OpenAIServer(script) as server:
        with Ledger(tmp_path) as ledger:
            lms = [opened(server, ledger, stage, in_flight=64) for stage in ("one", "two")]
            work = lambda number: lms[number % 2](f"question {number} " + "x " * (number % 5))  # noqa: E731
            results = in_threads(work, range(600), 64)
            assert not [result for result in results if isinstance(result, Exception)]
            document = ledger.document()
        served = {"calls": server.served, "tokens_in": server.tokens_in, "tokens_out": server.tokens_out}
    assert served["calls"] == 600
    assert {name: document["total"][name] for name in served} == served
    assert document["total"]["failed"] == len(server.seen) - 600 == len(fell) > 20
    assert document["stages"]["one"]["calls"] == document["stages"]["two"]["calls"] == 300
    assert document == read_ledger(tmp_path) == json.loads((tmp_path / "ledger.json").read_bytes())


def test_a_line_that_a_kill_cut_is_dropped_and_its_answer_asked_for_again(tmp_path):
    with OpenAIServer(first(Reply("fine"))) as server:
        with Ledger(tmp_path) as ledger:
            lm = opened(server, ledger)
            lm("a"), lm("b")
        path = tmp_path / ANSWERS
        path.write_bytes(path.read_bytes()[:-7])
        with Ledger(tmp_path) as ledger:
            lm = opened(server, ledger)
            lm("a"), lm("b")
        assert [seen.last for seen in server.seen] == ["a", "b", "b"]
        assert read_ledger(tmp_path)["total"]["calls"] == 2


def test_an_answer_that_comes_after_the_end_is_kept_beside_the_others(tmp_path):
    kept = Answer("text", "stop", 1, 1, True, None)
    with Ledger(tmp_path) as ledger:
        ledger.keep("teach", "one", kept)
    ledger.keep("teach", "two", kept)
    assert read_ledger(tmp_path)["total"]["calls"] == 2


def test_a_run_without_calls_has_no_file(tmp_path):
    with Ledger(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_line_is_named(tmp_path):
    (tmp_path / ANSWERS).write_bytes(b'{"stage":"a","failed":"x"}\n{"stage":"a","answer":{}}\n{"stage":"a","failed":"x"}\n')
    with pytest.raises(RunError, match=r"answers\.jsonl line 2 is damaged"):
        Ledger(tmp_path)


CHILD = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from errata.programs.config import InstructorSettings
from errata.programs.instructor.engine import open_instructor
from errata.programs.run.ledger import Ledger

lm = open_instructor(InstructorSettings(model="openai/loopback", api_base=sys.argv[1], in_flight=4), Ledger(Path(sys.argv[2])))
with ThreadPoolExecutor(4) as pool:
    list(pool.map(lm, [f"question {number}" for number in range(60)]))
"""


def test_a_kill_loses_no_answer_that_was_paid_for_but_those_in_flight(tmp_path):
    enough = threading.Event()

    def script(body, number):
        if number == 25:
            enough.set()
        return Reply(f"answer to {body['messages'][-1]['content']}", delay=0.03)

    with OpenAIServer(script) as server:
        command = [sys.executable, "-c", textwrap.dedent(CHILD), server.url, str(tmp_path)]
        with subprocess.Popen(command) as child:
            assert enough.wait(120)
            child.send_signal(signal.SIGKILL)
        time.sleep(0.2)  # the server ends what it has begun
        before, served = list(server.seen), server.served
        kept = read_ledger(tmp_path)["total"]["calls"]
        assert kept >= served - 4
        assert kept >= 20
        with Ledger(tmp_path) as ledger:
            lm = opened(server, ledger, stage="instructor", max_tokens=InstructorSettings().max_tokens)
            questions = [f"question {number}" for number in range(60)]
            assert [lm(text) for text in questions] == [[f"answer to {text}"] for text in questions]
            assert (total(ledger)["calls"], total(ledger)["cached"]) == (60, kept)
        assert len(server.seen) - len(before) == 60 - kept
    written = tmp_path / "ledger.json"
    whole = written.read_bytes()
    for stale in (None, b"{}"):  # killed after its last answer, before the sums were written
        written.unlink() if stale is None else written.write_bytes(stale)
        with Ledger(tmp_path):
            pass
        assert written.read_bytes() == whole


def test_never_more_calls_are_sent_than_the_cap_and_what_is_done_is_kept(tmp_path):
    questions = [f"question {number}" for number in range(40)]
    with OpenAIServer(lambda body, number: fault(500) if number == 4 else Reply("fine", delay=0.02)) as server:
        with Ledger(tmp_path, Budget(max_calls=10)) as ledger:
            lm = opened(server, ledger)
            results = in_threads(lambda text: lm(text), questions, 8)
            assert len(server.seen) == 10
            assert (total(ledger)["calls"], total(ledger)["failed"]) == (9, 1)
            assert results.count(["fine"]) == 9
            stopped = [error for error in results if error != ["fine"]]
            assert all(isinstance(error, BudgetReached) and error.exit_code == 4 for error in stopped)
            assert "10 calls is reached (10 sent); give a higher --max-calls" in str(stopped[0])
        with Ledger(tmp_path, Budget(max_calls=10)) as ledger, pytest.raises(BudgetReached):
            for text in questions:
                opened(server, ledger)(text)
        assert len(server.seen) == 10
        with Ledger(tmp_path, Budget(max_calls=50)) as ledger:
            lm = opened(server, ledger)
            assert in_threads(lambda text: lm(text), questions, 8) == [["fine"]] * 40
        assert len(server.seen) == 41


def test_calls_in_flight_when_the_cap_on_tokens_is_reached_are_kept(tmp_path):
    with OpenAIServer(first(Reply("word " * 50, delay=0.05))) as server, Ledger(tmp_path, Budget(max_tokens=120)) as ledger:
        lm = opened(server, ledger, in_flight=4)
        results = in_threads(lambda text: lm(text), [f"q{number}" for number in range(12)], 4)
        kept = [result for result in results if not isinstance(result, BudgetReached)]
        assert len(kept) == len(server.seen) == total(ledger)["calls"]
        assert 3 <= len(kept) <= 6
        assert total(ledger)["tokens_out"] == 50 * len(kept)


def test_an_answer_without_a_known_price_does_not_lift_the_cap_on_cost(tmp_path):
    answer = Answer(text="a", finish="stop", tokens_in=9, tokens_out=9, reported=True, usd=None)
    reached = r"the cap of 0\.05 USD is reached \(0\.0500 spent"
    with Ledger(tmp_path, Budget(max_cost=0.05)) as ledger:
        for number, usd in enumerate((None, 0.02, 0.02, 0.01)):
            with ledger.attempt("teach", str(number)):
                ledger.keep("teach", str(number), replace(answer, usd=usd))
        with pytest.raises(BudgetReached, match=reached), ledger.attempt("teach", "late"):
            pass
        ledger.check_time()  # steps that ask nobody go on
        assert total(ledger)["usd"] == "unknown"
    with Ledger(tmp_path, Budget(max_cost=0.05)) as ledger, pytest.raises(BudgetReached, match=reached), ledger.attempt("teach", "late"):
        pass


def test_the_cap_on_time_sends_nothing_more():
    with OpenAIServer(first(Reply("fine"))) as server, Ledger(None, Budget(max_time=60)) as ledger:
        assert opened(server, ledger)("hi") == ["fine"]
        late = Ledger(None, Budget(max_time=60))
        late.started -= 61
        with pytest.raises(BudgetReached, match="60 seconds"):
            opened(server, late)("hi")
        assert len(server.seen) == 1


def test_the_command_stops_at_a_cap_with_code_4_and_continues_under_a_higher_one(tmp_path, monkeypatch):
    offline = open_instructor(InstructorSettings())
    monkeypatch.chdir(tmp_path)

    def script(body, number):
        request = lm15.request_from_openai_chat({"model": offline.model, "messages": body["messages"]})
        return Reply(offline.engine.complete(request).text)

    with OpenAIServer(script) as server:
        command = ["generate", "--as-errors", "--limit", "4", "--instructor", "openai/loopback", "--json"]
        command += ["--set", f"instructor.api_base={server.url}"]
        foretold = CliRunner().invoke(app, [*command, "--dry-run"])
        assert foretold.exit_code == 0, foretold.stderr
        assert json.loads(foretold.stdout)["calls"]["low"] == 8
        assert not server.seen
        stopped = CliRunner().invoke(app, [*command, "--max-calls", "5"])
        assert stopped.exit_code == 4
        assert stopped.stderr.splitlines()[-1].startswith("errata: the cap of 5 calls is reached (5 sent)")
        done = CliRunner().invoke(app, [*command, "--max-calls", "8"])
        assert done.exit_code == 0, done.stderr
        assert len(server.seen) == 8
        assert read_ledger(Path(json.loads(done.stdout)["run"]))["stages"]["round-1/teach"]["calls"] == 8


def test_a_cap_inside_a_stage_keeps_its_rows_and_ends_its_calls_and_the_rest_is_done_later(tmp_path):
    config = CycleConfig(errors="all", items=Items(train=30), instructor=InstructorSettings(in_flight=2))
    asked = []

    def begin(folder, most):
        """Teach until `most` rows are written, when the time is over."""
        loop = Cycle(config, tmp_path / folder, say=lambda line: None)
        part = tmp_path / folder / "round-1/teach/taught.jsonl.part"

        def taught(failures, brief, prove):
            (failure,) = failures
            asked.append(failure.id)
            while (written := part.read_bytes().count(b"\n")) < min(len(asked) - 2, most):  # the two under way; others are written soon
                time.sleep(0.001)
            if written >= most:
                loop.ledger.budget = Budget(max_time=60)
                loop.ledger.started = time.monotonic() - 61
            return TeachingResult(failure_ids=(failure.id,), diagnosis=None, program=None)

        loop.strategy.forward = taught
        with loop:
            loop.run(until="teach")
        return (tmp_path / folder / "round-1/teach/taught.jsonl").read_bytes()

    whole = begin("whole", 99)
    asked.clear()
    with pytest.raises(BudgetReached, match="60 seconds is reached") as caught:
        begin("capped", 9)
    assert caught.value.exit_code == 4
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPoolExecutor")]
    kept = {json.loads(line)[0] for line in (tmp_path / "capped/round-1/teach/taught.jsonl.part").open()}
    assert len(kept) >= 9
    asked.clear()
    assert begin("capped", 99) == whole
    assert not kept & set(asked)


def test_reading_a_ledger_loads_neither_dspy_nor_litellm():
    code = "import sys, errata.programs.run.ledger\nprint({'dspy', 'litellm', 'torch'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"
