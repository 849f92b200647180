"""The engine against a loopback server: how it is reached, faults, retries, kept answers and keys. Nothing leaves the machine."""

import copy
import json
import logging
import math
import signal
import subprocess
import sys
import threading
import time
import traceback
from email.utils import formatdate
from pathlib import Path

import dspy
import pytest
from asking import FAST, GOOD, first, in_threads, opened, total
from dspy import lm15
from openai_server import OpenAIServer, Reply, fault
from typer.testing import CliRunner

from errata.cli import app
from errata.programs import Cycle
from errata.programs.config import CycleConfig, InstructorSettings, Items
from errata.programs.instructor.chat import UnusableAnswer, instructed_by
from errata.programs.instructor.engine import open_instructor, request_key, settled_on
from errata.programs.run.layout import ANSWERS
from errata.programs.run.ledger import Ledger, read_ledger
from errata.signatures.calls import START
from errata.signatures.errors import InstructorError, UsageError

pytestmark = pytest.mark.usefixtures("no_keys")


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
    monkeypatch.setattr("errata.programs.instructor.wire.LiteLLMEngine", None)
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


def test_a_missing_key_is_told_before_anything_is_computed_or_written(tmp_path):
    command = ["cycle", "--instructor", "openai/gpt-5-mini", "--run", str(tmp_path / "run")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 1
    assert "instructor openai/gpt-5-mini needs a key in OPENAI_API_KEY, which is not set: export OPENAI_API_KEY=" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (fault(401, "wrong \x1b[31mkey"), "wants another key (HTTP 401, wrong key)"),
        (Reply(status=404, body=b"<title>Not here</title>"), "does not answer: HTTP 404, Not here"),
        (Reply(body=b"{}"), "answers"),
    ],
)
def test_doctor_looks_at_the_address_and_the_key_of_an_instructor(reply, said):
    with OpenAIServer(first(reply)) as server:
        command = ["doctor", "--task", "sums", "--instructor", "openai/x", "--set", f"instructor.api_base={server.url}", "--limit", "5"]
        done = CliRunner().invoke(app, command)
    assert said in " ".join(done.stdout.split())
    assert "\x1b" not in done.stdout


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
    "error as text with status 200": Reply(body=b'{"error": "overloaded"}'),
    "204": Reply(status=204, body=b""),
    "deep JSON": Reply(body=b'{"choices": ' + b"[" * 100_000),
    "deep error": Reply(status=500, body=b"[" * 100_000),
    "no choices": Reply(body=b'{"choices": []}'),
    "a number for a text": Reply(body=b'{"choices": [{"message": {"content": 7}}]}'),
    "choices of numbers": Reply(body=b'{"choices": [7]}'),
    "a stream": Reply(body=b'data: {"choices": [{"delta": {"content": "x"}}]}\n\ndata: [DONE]\n\n', content_type="text/event-stream"),
    "no UTF-8": Reply(body=b'{"choices": [{"message": {"content": "\xff\xfe"}}]}'),
    "broken gzip": Reply(body=b"nope", headers={"Content-Encoding": "gzip"}),
    "huge headers": Reply("x", headers={"X-Long": "y" * 200_000}),
    "429 in HTML": Reply(status=429, body=b"<html><title>Slow down</title></html>", content_type="text/html"),
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


STAYING = {
    "401": fault(401, "no such key", "invalid_api_key"),
    "403": fault(403, "not yours"),
    "404": fault(404, "there is no such model", "model_not_found"),
    "402": fault(402, "unpaid"),
    "quota": fault(429, "you are out of quota", "insufficient_quota"),
    "400": fault(400, "temperature must be 1"),
    "405": fault(405, "not this method"),
    "451": fault(451, "not in your country"),
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


def test_a_server_that_has_moved_is_told_with_its_new_address():
    with OpenAIServer(first(Reply(status=302, body=b"", headers={"Location": "https://elsewhere/v1"}))) as server:
        with pytest.raises(InstructorError, match=r"has moved \(HTTP 302 to https://elsewhere/v1\)"):
            opened(server)("hi")
        assert len(server.seen) == 1


LIMIT = (
    "This model's maximum context length is 8192 tokens. However, you requested 16050 tokens (50 in the messages, 16000 in the completion)."
)
ENVELOPES = {
    "object": {"object": "error", "message": LIMIT, "type": "BadRequestError", "param": None, "code": 400},
    "error": {"error": {"message": LIMIT, "code": "context_length_exceeded"}},
    "text": {"error": LIMIT},
    "message": {"message": LIMIT},
    "detail": {"detail": LIMIT},
}


@pytest.mark.parametrize("status", [400, 413, 422])
@pytest.mark.parametrize("envelope", ENVELOPES.values(), ids=ENVELOPES)
def test_a_limit_that_max_tokens_breaks_ends_the_run_at_once_and_names_both_numbers(envelope, status):
    with OpenAIServer(first(Reply(status=status, body=json.dumps(envelope).encode()))) as server:
        with pytest.raises(InstructorError, match=r"instructor.max_tokens 16000 is more than .* its limit is 8192 tokens") as caught:
            opened(server)("hi")
        assert "requested 16050 tokens" in str(caught.value)
        assert len(server.seen) == 1


def test_a_server_that_has_answered_may_refuse_a_few_questions_but_not_all():
    def script(body, number):
        return fault(400, "no roses") if "rose" in body["messages"][-1]["content"] else GOOD

    with OpenAIServer(script) as server, Ledger(None) as ledger:
        lm = opened(server, ledger, in_flight=1)
        with instructed_by(lm):
            ask = dspy.Predict("question -> answer")
            assert ask(question="sky?").answer == "blue"
            for number in range(5):
                with pytest.raises(UnusableAnswer, match="no roses") as caught:
                    ask(question=f"rose {number}?")
                assert caught.value.check == "refused"
            assert ask(question="sea?").answer == "blue"
            with pytest.raises(InstructorError, match="no roses"):
                ask(question="rose 6?")
        assert len(server.seen) == 8


USAGES = {
    "text": ({"prompt_tokens": "5", "completion_tokens": "7", "total_tokens": "12"}, (5, 7, 0)),
    "one of them": ({"prompt_tokens": 5, "completion_tokens": -1}, None),
    "negative": ({"prompt_tokens": -1, "completion_tokens": -1}, None),
    "words": ({"prompt_tokens": "many", "completion_tokens": "few"}, None),
    "truth values": ({"prompt_tokens": True, "completion_tokens": True}, None),
    "beyond counting": ({"prompt_tokens": 1e308, "completion_tokens": 10**12}, None),
    "not a number": ({"prompt_tokens": float("nan"), "completion_tokens": float("inf")}, None),
    "a list": ([1], None),
    "a text": ("5", None),
    "null": (None, None),
    "odd details": ({"prompt_tokens": 5, "completion_tokens": 7, "prompt_tokens_details": [1]}, (5, 7, 0)),
}


@pytest.mark.parametrize(("usage", "booked"), USAGES.values(), ids=USAGES)
def test_an_answer_is_kept_whatever_its_counts_of_tokens_are(usage, booked):
    body = {"choices": [{"message": {"content": "blue"}, "finish_reason": "stop"}], "usage": usage}
    with OpenAIServer(first(Reply(body=json.dumps(body).encode()))) as server, Ledger(None) as ledger:
        assert opened(server, ledger)("hi") == ["blue"]
        sums = total(ledger)
        assert len(server.seen) == sums["calls"] == 1
    assert (sums["tokens_in"], sums["tokens_out"], sums["approximated"]) == (booked or (1, 1, 1))


@pytest.mark.parametrize(
    "message",
    [
        {"content": [{"type": "text", "text": "bl"}, {"type": "text", "text": "ue"}]},
        {"content": "blue", "tool_calls": [7, {"function": None}]},
        {"content": "blue", "reasoning_content": "is it red?"},
        {"role": 7, "content": "blue", "refusal": {}, "audio": [1]},
    ],
)
@pytest.mark.parametrize("choices", [1, 3])
def test_an_answer_is_read_whatever_stands_beside_it(message, choices):
    body = {"choices": [{"message": message, "finish_reason": 7, "logprobs": "x"}] * choices, "model": [1], "id": {}}
    with OpenAIServer(first(Reply(body=json.dumps(body).encode()))) as server:
        assert opened(server)("hi") == ["blue"]


def test_no_more_calls_are_in_flight_than_asked_for():
    with OpenAIServer(first(Reply("fine", delay=0.02))) as server:
        lm = opened(server, in_flight=5)
        assert in_threads(lambda text: lm(text), [str(number) for number in range(60)], 30) == [["fine"]] * 60
    assert server.most_in_flight == 5


def test_a_growing_number_of_calls_finds_what_the_server_bears_and_loses_no_answer():
    """It has room for 5 at a time, fewer than the first calls, and refuses others, as hosted ones do."""
    with OpenAIServer(lambda body, number: fault(429) if server.in_flight > 5 else Reply("fine", delay=0.1)) as server:
        lm = opened(server, in_flight="auto")
        assert in_threads(lambda text: lm(text), [str(number) for number in range(60)], 64) == [["fine"]] * 60
    assert 5 < server.most_in_flight <= START
    assert settled_on(lm).startswith("instructor: in_flight auto came to ")
    assert "halved" in settled_on(lm)


def test_a_growing_number_of_calls_grows_on_a_large_server():
    """How far, tests/signatures/test_calls.py asks: here a busy machine, too, makes answers slow."""
    with OpenAIServer(first(Reply("fine", delay=0.1))) as server:
        lm = opened(server, in_flight="auto")
        assert in_threads(lambda text: lm(text), [str(number) for number in range(120)], 120) == [["fine"]] * 120
    assert server.most_in_flight > START


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


def test_a_request_has_the_key_that_0_1_0_gave_it_so_that_kept_answers_are_found():
    messages = [{"role": "system", "content": "Answer."}, {"role": "user", "content": "hi"}]
    request = lm15.request_from_openai_chat({"model": "openai/any", "messages": messages, "temperature": 0.5, "max_tokens": 77})
    assert request_key(request, None) == "3e4473597bd45d2e5a733b7b180e1c78"
    assert request_key(request, 1) == "be637b7368651dde11b87a83da59ef10"


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
