"""The instructor against a loopback server: faults, retries, kept answers, kills, sums, caps and keys. Nothing leaves the machine."""

import copy
import json
import logging
import math
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from email.utils import formatdate
from pathlib import Path

import dspy
import pytest
from dspy import lm15
from openai_server import OpenAIServer, Reply, fault
from typer.testing import CliRunner

from errata.cli import app
from errata.programs import Cycle, LearnFromContrast, LearnFromError
from errata.programs.config import CycleConfig, InstructorSettings, Items
from errata.programs.instructor.chat import REASKS, UnusableAnswer, instructed_by, rejection
from errata.programs.instructor.engine import Patience, open_instructor
from errata.programs.instructor.prices import count_tokens, route
from errata.programs.run.layout import ANSWERS
from errata.programs.run.ledger import Answer, Budget, Ledger, Sums, read_ledger
from errata.programs.strategies.rehearse import estimate
from errata.signatures.errors import BudgetReached, InstructorError, RunError, UsageError
from errata.signatures.records import Attempt, Example, Failure, TeachingResult, Verdict

FAST = Patience(attempts=4, first=0.01, most=5.0)
GOOD = Reply("[[ ## answer ## ]]\nblue\n\n[[ ## completed ## ]]")


@pytest.fixture(autouse=True)
def no_keys(monkeypatch):
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_API_BASE", "_BASE_URL")):
            monkeypatch.delenv(name)


def opened(server, ledger=None, stage="teach", timeout=30.0, **settings):
    fields = {"model": "openai/loopback", "api_base": server.url} | settings
    return open_instructor(InstructorSettings(**fields), ledger, stage, timeout, FAST)


def total(ledger):
    return ledger.document()["total"]


def in_threads(work, items, width):
    """Results and errors of work(item), `width` at a time."""

    def caught(item):
        try:
            return work(item)
        except Exception as error:
            return error

    with ThreadPoolExecutor(width) as pool:
        return [future.result() for future in [pool.submit(copy_context().run, caught, item) for item in items]]


def first(*replies):
    """A script: these replies in turn, the last one for ever."""
    return lambda body, number: replies[min(number, len(replies) - 1)]


# ---- reaching it


def test_a_server_of_ones_own_needs_no_key_and_gets_the_sampling_settings():
    with OpenAIServer(first(Reply("hello"))) as server:
        assert opened(server, temperature=0.5, max_tokens=77)("hi") == ["hello"]
    (seen,) = server.seen
    assert (seen.path, seen.authorization, seen.last) == ("/v1/chat/completions", "Bearer none", "hi")
    assert seen.body["model"] == "loopback"
    assert seen.body["temperature"] == 0.5
    assert 77 in (seen.body.get("max_tokens"), seen.body.get("max_completion_tokens"))


def test_a_key_of_the_environment_is_used(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment")
    with OpenAIServer(first(Reply("hello"))) as server:
        opened(server)("hi")
    assert server.seen[0].authorization == "Bearer sk-of-the-environment"


@pytest.mark.parametrize("model", ["hosted_vllm/any", "ollama/any", "deepseek/any", "mistral/any", "together_ai/any"])
def test_other_spellings_of_a_server_are_reached_too(model):
    with OpenAIServer(first(Reply("hello"))) as server, Ledger(None) as ledger:
        assert opened(server, ledger, model=model)("hi") == ["hello"]
        assert total(ledger)["usd"] == "unknown"


def test_a_server_of_ones_own_is_called_without_litellm_and_with_its_providers_key(monkeypatch):
    monkeypatch.setattr("errata.programs.instructor.engine.LiteLLMEngine", None)
    monkeypatch.setenv("MISTRAL_API_KEY", "key-of-the-environment")
    with OpenAIServer(first(Reply("hello"))) as server:
        assert opened(server, model="mistral/large/v2")("hi") == ["hello"]
    assert (server.seen[0].body["model"], server.seen[0].authorization) == ("large/v2", "Bearer key-of-the-environment")


def test_offline_needs_no_server():
    assert open_instructor(InstructorSettings()).model.endswith("offline")


def test_settings_that_a_model_cannot_take_are_refused_at_once():
    with pytest.raises(UsageError, match="max_tokens >= 16000"):
        open_instructor(InstructorSettings(model="openai/gpt-5-mini", max_tokens=500))


def test_a_missing_key_ends_the_run_with_the_name_of_its_variable():
    lm = open_instructor(InstructorSettings(model="anthropic/claude-sonnet-4-5"))
    with pytest.raises(InstructorError, match="ANTHROPIC_API_KEY") as caught:
        lm("hi")
    assert "\n" not in str(caught.value)


# ---- faults that pass

PASSING = {
    "429": fault(429),
    "500": fault(500),
    "503": fault(503),
    "502 in HTML": Reply(status=502, body=b"<html>bad gateway</html>", content_type="text/html"),
    "reset before the head": Reply("x", cut=0),
    "reset in the head": Reply("x", cut=30),
    "reset in the body": Reply("hello " * 50, cut=300),
    "slow head": Reply("x", delay=1.0),
    "slow body": Reply("x", stall=1.0),
    "broken JSON": Reply(body=b'{"choices": [{"mess'),
    "no JSON": Reply(body=b"<html>welcome</html>", content_type="text/html"),
    "other JSON": Reply(body=b"[1, 2]"),
    "empty body": Reply(body=b""),
    "error with status 200": Reply(body=b'{"error": {"message": "overloaded", "code": 503}}'),
}


@pytest.mark.parametrize("reply", PASSING.values(), ids=PASSING.keys())
def test_a_passing_fault_is_tried_again_and_counted(reply):
    with OpenAIServer(first(reply, Reply("fine"))) as server, Ledger(None) as ledger:
        assert opened(server, ledger, timeout=0.4)("hi") == ["fine"]
        assert len(server.seen) == 2
        assert (total(ledger)["calls"], total(ledger)["failed"]) == (1, 1)


@pytest.mark.parametrize("form", ["seconds", "date"])
@pytest.mark.parametrize("model", ["openai/any", "mistral/any"])  # DSPy's own engine, LiteLLM's
def test_retry_after_is_obeyed(model, form, monkeypatch):
    due = []

    def script(body, number):
        if number:
            return Reply("fine")
        due.append(math.ceil(time.time()) + 1)
        return fault(429, Retry_After="1" if form == "seconds" else formatdate(due[0], usegmt=True))

    with OpenAIServer(script) as server:
        monkeypatch.setenv("MISTRAL_API_BASE", server.url)
        assert opened(server, model=model, api_base=server.url if model == "openai/any" else None)("hi") == ["fine"]
        now = time.time() - time.monotonic()
    refused, answered = (seen.at for seen in server.seen)
    if form == "seconds":
        assert answered - refused >= 1.0
    else:
        assert now + answered >= due[0] - 0.01


def test_what_one_call_is_told_to_wait_holds_for_all():
    with OpenAIServer(first(fault(429, Retry_After="1"), Reply("fine"))) as server:
        lm = opened(server, in_flight=1)
        assert in_threads(lambda text: lm(text), ["a", "b", "c"], 3) == [["fine"]] * 3
    refused, *others = (seen.at for seen in server.seen)
    assert len(others) == 3
    assert min(others) - refused >= 1.0


def test_a_server_that_asks_for_a_very_long_wait_ends_the_run():
    with OpenAIServer(first(fault(429, Retry_After="3600"))) as server:
        with pytest.raises(InstructorError, match="asks to wait 3600 s"):
            opened(server)("hi")
        assert len(server.seen) == 1


def test_attempts_are_bounded_and_the_message_has_one_line():
    with OpenAIServer(first(fault(500, "it\nburns"))) as server:
        with pytest.raises(InstructorError, match=r"openai/loopback: it.* \(tried 4 times\)") as caught:
            opened(server)("hi")
        assert "\n" not in str(caught.value)
        assert len(server.seen) == FAST.attempts


# ---- faults that stay

STAYING = {
    "401": fault(401, "no such key", "invalid_api_key"),
    "403": fault(403, "not yours"),
    "404": fault(404, "there is no such model", "model_not_found"),
    "402": fault(402, "unpaid"),
    "quota": fault(429, "you are out of quota", "insufficient_quota"),
    "400": fault(400, "temperature must be 1"),
}


@pytest.mark.parametrize("reply", STAYING.values(), ids=STAYING.keys())
def test_a_fault_that_stays_ends_the_run_at_once(reply):
    with OpenAIServer(first(reply)) as server, Ledger(None) as ledger:
        lm = opened(server, ledger, in_flight=1)
        results = in_threads(lambda text: lm(text), [f"question {number}" for number in range(20)], 4)
        assert len(server.seen) == 1
        assert all(isinstance(error, InstructorError) for error in results)
        assert json.loads(reply.body)["error"]["message"] in str(results[0])
        assert "\n" not in str(results[0])
        assert total(ledger)["calls"] == 0


# ---- answers that are no use

NO_USE = {
    "unreadable": (Reply("I think it is blue."), "readable", "I think it is blue."),
    "empty": (Reply(""), "readable", ""),
    "null": (Reply(None), "readable", ""),
    "cut": (Reply(GOOD.text, finish="length"), "truncated", "blue"),
    "refused": (Reply(None, refusal="I will not."), "refused", "I will not."),
    "filtered": (Reply("", finish="content_filter"), "refused", ""),
    "filtered with 400": (fault(400, "The prompt was filtered", "content_filter"), "refused", "The prompt was filtered"),
}


@pytest.mark.parametrize(("reply", "check", "text"), NO_USE.values(), ids=NO_USE.keys())
def test_an_answer_of_no_use_is_asked_for_again_with_a_note(reply, check, text):
    with OpenAIServer(first(reply, GOOD)) as server, Ledger(None) as ledger, instructed_by(opened(server, ledger)):
        assert dspy.Predict("question -> answer")(question="sky?").answer == "blue"
        assert total(ledger)["calls"] == 2
    note = server.seen[1].body["messages"]
    assert note[:-2] == server.seen[0].body["messages"]
    assert text in note[-2]["content"]
    assert {"readable": "could not be read", "truncated": "was cut", "refused": "declined"}[check] in note[-1]["content"]
    assert "[[ ## answer ## ]]" in note[-1]["content"]


@pytest.mark.parametrize(("reply", "check", "text"), NO_USE.values(), ids=NO_USE.keys())
def test_an_answer_that_stays_of_no_use_is_kept_with_its_text(reply, check, text):
    with OpenAIServer(first(reply)) as server, Ledger(None) as ledger, instructed_by(opened(server, ledger)):
        with pytest.raises(UnusableAnswer) as caught:
            dspy.Predict("question -> answer")(question="sky?")
        assert len(server.seen) == total(ledger)["calls"] == 1 + REASKS
    kept = rejection("parent", caught.value)
    assert (kept.of, kept.check) == ("parent", check)
    assert text in kept.reason


def test_a_question_that_is_too_long_is_refused_alone():
    script = first(fault(400, "8192 tokens at most", "context_length_exceeded"), GOOD)
    with OpenAIServer(script) as server, instructed_by(opened(server)):
        ask = dspy.Predict("question -> answer")
        with pytest.raises(UnusableAnswer) as caught:
            ask(question="sky?")
        assert caught.value.check == "too_long"
        assert ask(question="sea?").answer == "blue"
        assert len(server.seen) == 2


# ---- many at once


def test_no_more_calls_are_in_flight_than_asked_for():
    with OpenAIServer(first(Reply("fine", delay=0.02))) as server:
        lm = opened(server, in_flight=5)
        assert in_threads(lambda text: lm(text), [str(number) for number in range(60)], 30) == [["fine"]] * 60
    assert server.most_in_flight == 5


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


# ---- kept answers


def test_a_continued_run_repeats_no_call_and_gives_the_same_answers(tmp_path):
    texts = [Reply("one"), Reply("two", finish="length"), Reply(None, refusal="no"), Reply("four\u2028ü😀")]
    with OpenAIServer(first(*texts)) as server:
        answers = []
        for _ in range(2):
            with Ledger(tmp_path) as ledger:
                lm = opened(server, ledger)
                answers.append([lm(f"question {number}") for number in range(4)])
        assert answers[0] == answers[1] == [["one"], ["two"], [""], ["four\u2028ü😀"]]
        assert len(server.seen) == 4
        assert (read_ledger(tmp_path)["total"]["calls"], read_ledger(tmp_path)["total"]["cached"]) == (4, 4)


def test_a_refusal_is_still_one_when_it_is_read_from_the_file(tmp_path):
    with OpenAIServer(first(Reply(None, refusal="I will not."))) as server:
        for _ in range(2):
            with Ledger(tmp_path) as ledger, instructed_by(opened(server, ledger)), pytest.raises(UnusableAnswer) as caught:
                dspy.Predict("question -> answer")(question="sky?")
            assert caught.value.check == "refused"
            assert "I will not." in str(caught.value)
        assert len(server.seen) == 2


def test_other_settings_are_another_question(tmp_path):
    with OpenAIServer(first(Reply("x"))) as server, Ledger(tmp_path) as ledger:
        for settings in ({}, {"temperature": 0.3}, {"max_tokens": 9}, {"model": "openai/other"}, {}):
            opened(server, ledger, **settings)("hi")
        assert len(server.seen) == 4


def test_the_same_question_is_asked_once_unless_another_rollout_is_asked_for():
    replies = [Reply(str(number), delay=0.05) for number in range(9)]
    with OpenAIServer(first(*replies)) as server, Ledger(None) as ledger:
        lm = opened(server, ledger, temperature=1.0)
        assert in_threads(lambda _: lm("hi"), range(8), 8) == [["0"]] * 8
        assert lm("hi", rollout_id=1) == ["1"]
        assert lm.copy(rollout_id=2)("hi") == ["2"]
        assert lm("hi", rollout_id=1) == ["1"]
        assert len(server.seen) == 3
        assert total(ledger)["cached"] == 8


def test_copies_of_a_program_share_the_ledger():
    with OpenAIServer(first(GOOD)) as server, Ledger(None) as ledger:
        program = dspy.Predict("question -> answer")
        program.set_lm(opened(server, ledger))
        for each in (program, program.deepcopy(), copy.deepcopy(program)):
            assert each(question="sky?").answer == "blue"
        assert len(server.seen) == 1


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


def test_a_run_that_ended_on_a_fault_goes_on_and_ends_with_the_bytes_of_one_that_did_not(tmp_path):
    offline = open_instructor(InstructorSettings())
    broken = True

    def script(body, number):
        if broken and number > 9:
            return fault(401)
        request = lm15.request_from_openai_chat({"model": offline.model, "messages": body["messages"]})
        return Reply(offline.engine.complete(request).text)

    def teach(folder, instructor):
        config = CycleConfig(errors="all", items=Items(train=8), instructor=instructor)
        with Cycle(config, tmp_path / folder, say=lambda line: None) as cycle:
            cycle.run(until="teach")
        return (tmp_path / folder / "round-1/teach/taught.jsonl").read_bytes()

    with OpenAIServer(script) as server:
        settings = InstructorSettings(model="openai/loopback", api_base=server.url, in_flight=1)
        with pytest.raises(InstructorError):
            teach("served", settings)
        broken, before = False, len(server.seen) - 1
        assert teach("served", settings) == teach("offline", InstructorSettings())
        asked = [json.dumps(seen.body) for seen in server.seen[:before] + server.seen[before + 1 :]]
    assert before == 10
    assert len(asked) == len(set(asked)) == 16


# ---- caps


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


def test_the_cap_on_time_sends_nothing_more():
    with OpenAIServer(first(Reply("fine"))) as server, Ledger(None, Budget(max_time=60)) as ledger:
        assert opened(server, ledger)("hi") == ["fine"]
        late = Ledger(None, Budget(max_time=60, started=time.monotonic() - 61))
        with pytest.raises(BudgetReached, match="60 seconds"):
            opened(server, late)("hi")
        assert len(server.seen) == 1


def test_known_prices_are_summed_and_capped(monkeypatch):
    def words(tokens):
        return " ".join(["word"] * tokens)

    with OpenAIServer(first(Reply(words(1000)))) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-anything-at-all")
        settings = {"model": "openai/gpt-4o-mini", "api_base": None}
        with Ledger(None, Budget(max_cost=0.0015)) as ledger:
            lm = opened(server, ledger, **settings)
            assert lm(words(2000))
            assert total(ledger)["usd"] == pytest.approx(2000 * 0.15e-6 + 1000 * 0.6e-6)  # OpenAI's list price of July 2024
            lm(words(2001))
            with pytest.raises(BudgetReached, match="--max-cost"):
                lm(words(2002))


def test_a_cost_that_is_not_known_is_unknown_and_cannot_be_capped():
    with OpenAIServer(first(Reply("fine"))) as server:
        with Ledger(None) as ledger:
            opened(server, ledger)("hi")
            assert total(ledger)["usd"] == "unknown"
        with pytest.raises(UsageError, match="the price of instructor openai/loopback is not known"):
            opened(server, Ledger(None, Budget(max_cost=1.0)))
    assert (Sums(usd=None) + Sums(usd=1.0)).usd is None


def test_tokens_that_a_server_does_not_report_are_approximated_and_marked():
    with OpenAIServer(first(Reply("x" * 350, usage=False))) as server, Ledger(None) as ledger:
        opened(server, ledger)("y" * 700)
        assert (total(ledger)["tokens_in"], total(ledger)["tokens_out"], total(ledger)["approximated"]) == (200, 100, 1)


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
                loop.ledger.budget = Budget(max_time=60, started=time.monotonic() - 61)
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


def test_an_interrupt_does_not_wait_for_a_server_that_is_silent(tmp_path):
    heard = threading.Event()

    def script(body, number):
        heard.set()
        return Reply("late", delay=3600)

    with OpenAIServer(script) as server:
        command = ["generate", "--as-errors", "--limit", "4", "--instructor", "openai/loopback", "--run", str(tmp_path / "run")]
        command += ["--set", f"instructor.api_base={server.url}"]
        with subprocess.Popen([sys.executable, "-m", "errata.cli", *command], stderr=subprocess.PIPE, text=True) as process:
            assert heard.wait(120)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)  # the server would hold it for an hour
    assert process.returncode == 130
    assert said.splitlines()[-1] == "errata: interrupted; what was done is kept, and the same command continues"


# ---- before anything is spent


def attempt(number):
    example = Example(task="sums", split="train", question=f"Ann has {number} pens and loses 2.", answer=str(number - 2))
    return Attempt(example=example, response="14", verdict=Verdict(correct=False, extracted="14", reason="wrong"))


FAILURES = [Failure(attempt=attempt(number), contrasts=(attempt(90),)) for number in range(3, 8)]


@pytest.mark.parametrize("strategy", [LearnFromError(repairs=2), LearnFromContrast(repairs=2)])
def test_a_real_run_stays_between_low_and_high(strategy):
    diagnosis = {"verdict": "error", "skill": "loss", "misconception": "adds", "evidence": "14", "teach": "vary", "boundary": "none"}
    text = "".join(f"[[ ## {name} ## ]]\n{value}\n\n" for name, value in diagnosis.items())
    written = "[[ ## refusal ## ]]\n\n[[ ## program ## ]]\n```python\n" + "x = 1\n" * 900 + "```\n\n[[ ## completed ## ]]"

    def script(body, number):
        return Reply(written if "[[ ## contract ## ]]" in body["messages"][-1]["content"] else text, usage=False)

    settings = InstructorSettings(model="openai/loopback", max_tokens=4000)
    before = estimate(strategy, FAILURES, lambda example: "sums", settings)
    assert before.calls[0::2] == (10, 5 * 4 * (1 + REASKS))
    assert before.usd is None
    with OpenAIServer(script) as server, Ledger(None) as ledger, instructed_by(opened(server, ledger, max_tokens=4000)):
        for failure in FAILURES:
            assert strategy(failures=(failure,), brief="sums", prove=lambda program: None).program
        spent = total(ledger)
    assert (spent["calls"], spent["approximated"]) == (10, 10)
    for name in ("calls", "tokens_in", "tokens_out"):
        span = getattr(before, name)
        assert span.low <= spent[name] <= span.high, name
        assert span.low <= span.expected <= span.high, name


def test_an_estimate_scales_to_the_failures_and_knows_listed_prices():
    settings = InstructorSettings(model="openai/gpt-4o-mini")
    one, ten = (estimate(LearnFromError(), FAILURES, lambda example: "sums", settings, count) for count in (5, 50))
    assert ten.calls == tuple(10 * calls for calls in one.calls)
    assert ten.usd[1] == pytest.approx(10 * one.usd[1], rel=0.01)
    assert 0 < one.usd[0] < one.usd[1] < one.usd[2]
    assert one.document()["usd"]["low"] > 0
    other = estimate(LearnFromError(), FAILURES, lambda example: "sums", InstructorSettings(model="openai/never-heard-of"))
    assert other.document()["usd"] == "unknown"


def test_tokens_are_counted_by_length():
    assert count_tokens("x" * 3500) == 1000


def test_routes_of_known_spellings():
    assert route("openai/gpt-4o-mini")[:3] == ("openai-chat", "gpt-4o-mini", True)
    assert route("together_ai/a/b")[:3] == ("together_ai", "a/b", False)


# ---- keys

CANARY = "sk-canary-0123456789abcdef"


@pytest.mark.parametrize(
    "reply",
    [
        fault(401, f"Incorrect API key provided: {CANARY}", "invalid_api_key"),
        fault(500, f"key {CANARY} made us fall"),
        Reply(f"your key is {CANARY}"),
        Reply(None, refusal=f"not for {CANARY}"),
        Reply(body=f"<html>{CANARY}</html>".encode(), content_type="text/html"),
    ],
    ids=["401", "500", "text", "refusal", "html"],
)
@pytest.mark.parametrize("provider", ["openai", "mistral"])  # DSPy's own engine, LiteLLM's
def test_keys_reach_no_file_no_message_and_no_log(provider, reply, tmp_path, monkeypatch, caplog, capfd):
    monkeypatch.setenv(f"{provider.upper()}_API_KEY", CANARY)
    caplog.set_level(logging.DEBUG)
    with OpenAIServer(first(reply)) as server, Ledger(tmp_path) as ledger:
        monkeypatch.setenv("MISTRAL_API_BASE", server.url)
        lm = opened(server, ledger, model=f"{provider}/any", api_base=server.url if provider == "openai" else None)
        said = repr(lm) + repr(lm.history)
        with instructed_by(lm):
            try:
                dspy.Predict("question -> answer")(question="sky?")
            except (InstructorError, UnusableAnswer):
                said += traceback.format_exc()
        assert server.seen[0].authorization == f"Bearer {CANARY}"
    assert (tmp_path / ANSWERS).stat().st_size > 0
    said += "".join(path.read_text() for path in Path(tmp_path).iterdir()) + caplog.text + "".join(capfd.readouterr())
    assert "Traceback" in said
    assert CANARY not in said + json.dumps(lm.history, default=str)
