"""Calls in provider batches: each answer stands in the ledger once, whatever the provider does, in OpenAI's form and in Anthropic's."""

import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from asking import total
from batch_server import BatchServer, expired, nothing
from openai_server import Reply, fault
from scripted import FAILURE

from errata.programs.config import Budget, InstructorSettings
from errata.programs.instructor.engine import open_instructor
from errata.programs.instructor.prices import usd_of_calls
from errata.programs.rehearse import estimate
from errata.programs.report.texts import foretold
from errata.programs.run.ledger import Ledger
from errata.programs.run.progress import Progress
from errata.programs.strategies.strategy import LearnFromError
from errata.signatures.batches import waves
from errata.signatures.calls import Patience, at_work, in_flight
from errata.signatures.errors import BudgetReached, InstructorError, UsageError

MODELS = ("openai/loopback", "anthropic/claude-sonnet-4-5")
KEY = "sk-this-is-a-secret-key"
FAST = Patience(attempts=waves.TRIES, first=0.01, most=5.0)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    for name, value in {"QUIET": 0.1, "FIRST": 0.02, "TICK": 0.01, "SHORTEST": 0.01, "LATE": 2.0}.items():
        monkeypatch.setattr(waves, name, value)
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(name, KEY)


def last(body):
    said = body["messages"][-1]["content"]
    return said if isinstance(said, str) else said[0]["text"]


def echo(body, number):
    return Reply(f"answer to {last(body)}")


def opened(server, ledger, model=MODELS[0], batch=True, progress=None, **settings):
    settings = InstructorSettings(model=model, api_base=server.url, batch=batch, **settings)
    return open_instructor(settings, ledger, "teach", 30.0, FAST, progress=progress)


def ask(lm, count):
    """The answers to so many questions, each asked by a thread of its own."""
    questions = [f"question {number}" for number in range(count)]
    return {question: answer[0] for question, answer in in_flight(lm, questions, lm.engine.settings.width)}


def right(count):
    return {f"question {number}": f"answer to question {number}" for number in range(count)}


def out_of_time(server, ledger):
    """The cap on time is reached when a batch is looked at."""

    def late(step, batch):
        if step == "look":
            ledger.started -= 1000

    server.faults = late


def kept(folder):
    return [row["key"] for row in map(json.loads, (folder / "answers.jsonl").read_text().splitlines()) if "answer" in row]


@pytest.mark.parametrize("model", MODELS)
def test_all_threads_that_wait_share_one_batch_and_each_answer_is_kept_once(tmp_path, model):
    with BatchServer(echo) as server:
        lines = []
        with Ledger(tmp_path) as ledger:
            assert ask(opened(server, ledger, model, progress=Progress(lines.append)), 30) == right(30)
            assert (total(ledger)["calls"], total(ledger)["failed"], total(ledger)["approximated"]) == (30, 0, 0)
        assert [len(batch.requests) for batch in server.batches] == [30]
        assert sorted(kept(tmp_path)) == sorted(server.asked)
        assert server.single == 0
        assert {seen.authorization.removeprefix("Bearer ") for seen in server.seen} == {KEY}
        assert f"30 requests are in batch {server.batches[0].id}" in lines[0]
        written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        assert KEY.encode() not in written + b"".join(server.files) + b"".join(seen.raw for seen in server.seen)
        with Ledger(tmp_path) as ledger:  # one by one, the same run goes on
            single = opened(server, ledger, model, batch=False)
            assert ask(single, 32) == right(32)
        assert server.single == 2
        assert len(set(kept(tmp_path))) == len(kept(tmp_path)) == 32


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("shape", ["expired", "missing", "no batch at first"])
def test_what_a_batch_left_out_goes_into_the_next_one(tmp_path, model, shape):
    def rows(found):
        if len(server.batches) > 1:
            return [*reversed(found), *found]  # out of order, and twice
        if shape == "expired":
            return [expired(row) if number % 3 == 0 else row for number, row in enumerate(found)]
        return [{"custom_id": "of somebody else"}, *(row for number, row in enumerate(found) if number % 3)]

    with BatchServer(echo) as server, Ledger(tmp_path) as ledger:
        server.rows = rows
        server.ends = lambda batch: shape if shape == "expired" and batch is server.batches[0] and model == MODELS[0] else "completed"
        if shape == "no batch at first":
            times = iter([1, 2])
            server.faults = lambda step, batch: fault(429) if step in ("create", "upload") and next(times, None) else None
        assert ask(opened(server, ledger, model), 12) == right(12)
        assert [len(batch.requests) for batch in server.batches] == [12, 4]
        assert (total(ledger)["calls"], total(ledger)["failed"]) == (12, 4)
    assert len(set(kept(tmp_path))) == len(kept(tmp_path)) == 12


@pytest.mark.parametrize("model", MODELS)
def test_what_never_gets_an_answer_ends_the_run_in_one_line_and_the_rest_is_kept(tmp_path, model):
    with BatchServer(echo) as server, Ledger(tmp_path) as ledger:
        server.rows = lambda found: found[1:]
        with pytest.raises(InstructorError, match=r"gave no answer.*\(tried 3 times\); give the same command again"):
            ask(opened(server, ledger, model), 4)
        assert [len(batch.requests) for batch in server.batches] == [4, 1, 1]
        assert total(ledger)["calls"] == 3


def test_a_refused_request_is_told_as_in_a_single_call_and_the_others_are_answered(tmp_path):
    def script(body, number):
        return fault(400, "this question is not taken") if "7" in last(body) else echo(body, number)

    with BatchServer(script) as server, Ledger(tmp_path) as ledger:
        lm = opened(server, ledger)
        ask(lm, 5)

        def one(question):
            try:
                return lm(question)[0]
            except Exception as error:
                return str(error)

        found = dict(in_flight(one, [f"another {number}" for number in range(9)], 9))
        assert "this question is not taken" in found.pop("another 7")
        assert found == {f"another {number}": f"answer to another {number}" for number in range(9) if number != 7}
        assert (total(ledger)["calls"], total(ledger)["failed"]) == (13, 1)


BROKEN = (fault(500), fault(429, retry_after="0"), Reply(cut=9), Reply(body=b"<html>busy</html>"))


@pytest.mark.parametrize("step", ["look", "results", "create"])
@pytest.mark.parametrize(("model", "broken"), [*((MODELS[0], one) for one in BROKEN), (MODELS[1], BROKEN[2])], ids=range(5))
def test_trouble_with_the_server_is_waited_out_and_nothing_is_sent_twice(tmp_path, model, step, broken):
    left = [3]

    def trouble(now, batch):
        if now == step and left[0]:
            left[0] -= 1
            return broken
        return None

    with BatchServer(echo) as server, Ledger(tmp_path) as ledger:
        server.faults, server.after = trouble, True  # what was asked for is done, only the word of it is lost
        assert ask(opened(server, ledger, model), 5) == right(5)
        assert (total(ledger)["calls"], total(ledger)["failed"]) == (5, 0)
        assert len(server.batches) == 1


@pytest.mark.parametrize("model", MODELS)
def test_a_server_that_answers_under_other_keys_is_not_paid_for_ever(tmp_path, model):
    with BatchServer(echo) as server, Ledger(tmp_path) as ledger:
        server.rows = lambda found: [row | {"custom_id": "of somebody else"} for row in found]
        with pytest.raises(InstructorError, match="gave no answer"):
            ask(opened(server, ledger, model), 2)
        assert len(server.batches) == 3


@pytest.mark.parametrize("nearer", [False, True])
def test_a_batch_whose_id_was_lost_is_found_beside_one_of_another_run_and_nothing_is_sent_twice(tmp_path, nearer):
    def trouble(step, batch):
        if step == "list" and nearer:
            server.batches[1].at = server.batches[0].at + 100  # which then looks more like what is sought
        return fault(503) if step == "create" and len(server.batches) == 1 else None

    with BatchServer(echo) as server:
        with Ledger(tmp_path / "other") as ledger:
            list(in_flight(opened(server, ledger, MODELS[1]), [f"another {number}" for number in range(6)], 6))
        looks = server.batches[0].looks
        server.faults, server.after = trouble, True
        with Ledger(tmp_path / "own") as ledger:
            assert ask(opened(server, ledger, MODELS[1]), 6) == right(6)
            assert (total(ledger)["calls"], total(ledger)["failed"]) == (6, 0)
        assert len(server.batches) == 2
        assert (server.batches[0].looks > looks) == nearer


@pytest.mark.parametrize(
    ("step", "what"), [("upload", "a batch of 3 requests is not taken"), ("look", "batch batch_0 cannot be asked for")]
)
def test_trouble_that_lasts_is_told_with_how_long_it_goes_on_and_ends_in_one_line(tmp_path, monkeypatch, step, what):
    monkeypatch.setattr(waves, "FIRST", 0.001)
    monkeypatch.setattr(waves, "MOST", 0.002)
    lines = []
    with BatchServer(echo) as server, Ledger(tmp_path) as ledger:
        server.faults = lambda now, batch: Reply(cut=0) if now == step else None
        with pytest.raises(InstructorError, match="give the same command again"):
            ask(opened(server, ledger, progress=Progress(lines.append)), 3)
        told = [line for line in lines if "Ctrl-C loses nothing" in line]
        assert [int(re.search(r"tried (\d+) times", line)[1]) for line in told] == [3, 5, 10, 15, 20, 25, 30]
        assert all(line.startswith(f"instructor: {what} (Server disconnected") and "for about 1 min more" in line for line in told)
        server.faults = nothing
        assert ask(opened(server, ledger), 3) == right(3)  # under the same batch, or a first one
        assert len(server.batches) == 1


def test_a_batch_that_fails_as_a_whole_is_sent_again_and_then_ends_the_run_with_its_words(tmp_path):
    with BatchServer(echo) as server, Ledger(tmp_path) as ledger:
        server.ends = lambda batch: "failed" if len(server.batches) < 2 else "completed"
        assert ask(opened(server, ledger), 3) == right(3)
        assert total(ledger)["failed"] == 0
        server.ends = lambda batch: "failed"
        with pytest.raises(InstructorError, match=r"batch batch_4 failed \(.*the batch is not valid.*\), tried 3 times"):
            opened(server, ledger)("another")
        assert total(ledger)["calls"] == 3


def test_a_provider_that_takes_no_more_at_a_time_is_given_smaller_batches_one_after_the_other(tmp_path):
    with BatchServer(echo) as server, Ledger(tmp_path) as ledger:
        server.said = "Enqueued token limit reached for loopback. Limit: 90,000 enqueued tokens."
        server.ends = lambda batch: "failed" if len(batch.requests) > 5 else "completed"
        assert ask(opened(server, ledger), 16) == right(16)
        assert [len(batch.requests) for batch in server.batches] == [16, 8, 4, 4, 4, 4]
    assert len(kept(tmp_path)) == 16


def test_a_batch_that_was_cancelled_ends_the_run_and_what_it_answered_is_kept(tmp_path):
    with BatchServer(echo) as server:
        server.ends, server.rows = lambda batch: "cancelled", lambda found: found[:2]
        with Ledger(tmp_path) as ledger, pytest.raises(InstructorError, match="batch_0 was cancelled at the provider, and 3 of its"):
            ask(opened(server, ledger), 5)
        assert len(kept(tmp_path)) == 2
        server.ends, server.rows = lambda batch: "completed", lambda found: found
        with Ledger(tmp_path) as ledger:
            assert ask(opened(server, ledger), 5) == right(5)
        assert [len(batch.requests) for batch in server.batches] == [5, 3]


def test_threads_that_come_back_with_a_repair_share_the_next_batch_while_others_have_ended(tmp_path):
    with BatchServer(echo) as server, Ledger(tmp_path) as ledger:
        lm = opened(server, ledger)

        def one(number):
            lm(f"write {number}")
            if number % 4 == 0:
                lm(f"repair {number}")
            if number == 3:
                raise ValueError("a thread that fails")

        with pytest.raises(ValueError, match="a thread that fails"):
            list(in_flight(one, range(20), 20))
        assert [len(batch.requests) for batch in server.batches] == [20, 5]
        assert total(ledger)["calls"] == 25
    assert at_work() == 0


def test_a_thread_that_works_long_holds_a_wave_up_only_so_long(tmp_path):
    go_on = threading.Event()
    with BatchServer(echo) as server, Ledger(tmp_path) as ledger:
        lm = opened(server, ledger)

        def one(number):
            if number == 0:
                assert go_on.wait(60)
            answer = lm(f"write {number}")[0]
            go_on.set()  # only an answer to the others lets the first one ask
            return answer

        assert len(dict(in_flight(one, range(4), 4))) == 4
        assert [len(batch.requests) for batch in server.batches] == [3, 1]


def test_no_more_is_sent_than_a_cap_allows_and_what_was_sent_is_kept(tmp_path):
    with BatchServer(echo) as server:
        for cap, sent in ((Budget(max_calls=6), 6), (Budget(max_tokens=9000), 5)):
            folder = tmp_path / str(sent)
            with Ledger(folder, cap) as ledger, pytest.raises(BudgetReached):
                ask(opened(server, ledger), 20)
            assert len(server.batches[-1].requests) == len(kept(folder)) in (sent, sent + 1)
        with Ledger(tmp_path / "6") as ledger:
            assert ask(opened(server, ledger), 20) == right(20)
        assert len(server.batches[-1].requests) == 14


def test_a_cap_on_time_ends_the_waiting_and_the_same_batch_is_found_again(tmp_path):
    with BatchServer(echo, looks=10**6) as server:
        with Ledger(tmp_path, Budget(max_time=500)) as ledger, pytest.raises(BudgetReached, match="cap of 500 seconds"):
            out_of_time(server, ledger)
            ask(opened(server, ledger), 5)
        server.faults = nothing
        assert not (tmp_path / "answers.jsonl").exists()
        server.looks = 0
        with Ledger(tmp_path) as ledger:
            assert ask(opened(server, ledger, batch=False), 5) == right(5)  # also one by one, it is waited for
            assert (total(ledger)["calls"], total(ledger)["failed"]) == (5, 0)
        assert (len(server.batches), server.single) == (1, 0)


def test_a_server_without_batches_is_told_in_one_line(tmp_path):
    with BatchServer(echo) as server:
        server.faults = lambda step, batch: fault(404, "Not Found")
        with Ledger(tmp_path) as ledger, pytest.raises(InstructorError, match=r"has no batches \(HTTP 404.*--set instructor.batch=false"):
            ask(opened(server, ledger), 3)
        with Ledger(tmp_path) as ledger:
            assert ask(opened(server, ledger, batch=False), 3) == right(3)
            assert (total(ledger)["calls"], total(ledger)["failed"]) == (3, 0)


def test_a_batch_of_another_key_is_told_and_stays(tmp_path):
    with BatchServer(echo, looks=10**6) as server:
        with Ledger(tmp_path, Budget(max_time=500)) as ledger, pytest.raises(BudgetReached):
            out_of_time(server, ledger)
            ask(opened(server, ledger), 2)
        server.faults = lambda step, batch: fault(404, f"no such batch for {KEY}")
        with Ledger(tmp_path) as ledger, pytest.raises(InstructorError, match="is not known to the server") as told:
            ask(opened(server, ledger), 2)
        assert KEY not in str(told.value)
        assert len(server.batches) == 1


@pytest.mark.parametrize("model", ["gemini/gemini-2.5-pro", "ollama/llama3", "mistral/large", "groq/llama"])
def test_a_provider_without_batches_is_refused_before_anything_is_sent(model):
    with pytest.raises(UsageError, match=r"openai/\.\.\. and anthropic/\.\.\. can"):
        open_instructor(InstructorSettings(model=model, batch=True))


@pytest.mark.parametrize("model", ["openai/gpt-4o", "anthropic/claude-sonnet-4-5"])
def test_a_batch_costs_half(model):
    single, batch = (usd_of_calls(InstructorSettings(model=model, batch=batch), 10, 13_000, 8_500) for batch in (False, True))
    assert single and batch == pytest.approx(single / 2)


def test_what_a_dry_run_foretells_is_the_price_of_batches():
    failures, brief = [FAILURE], lambda example: "sums"
    single, batch = (
        estimate(LearnFromError(), failures, brief, InstructorSettings(model="openai/gpt-4o", batch=batch), 100).document()
        for batch in (False, True)
    )
    assert batch["usd"]["expected"] == pytest.approx(single["usd"]["expected"] / 2, rel=1e-3)
    assert "USD, in batches" in foretold("teaching", batch)
    assert "batches" not in foretold("teaching", single)


# ---- killed

CHILD = Path(__file__).with_name("batch_child.py")


@pytest.fixture(scope="module")
def start():
    """A function that begins the asking of 12 questions in a process of its own: its process id; a second one waits for its end."""
    env = {**os.environ, "OPENAI_API_KEY": KEY, "ANTHROPIC_API_KEY": KEY}
    with subprocess.Popen([sys.executable, str(CHILD)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as forking:

        def begin(*arguments):
            print(json.dumps([str(one) for one in arguments]), file=forking.stdin, flush=True)
            return int(forking.stdout.readline())

        yield begin, lambda: int(forking.stdout.readline())
        forking.stdin.close()


KILLS = ("before the file", "before it is made", "when it is made", "while it waits", "before its answers", "in the middle of landing")


QUICK = [(MODELS[0], "before its answers"), (MODELS[0], "in the middle of landing"), (MODELS[1], "when it is made")]
"""Where the most can go wrong; the other moments take as long again, half a minute."""
KILLED = [(model, moment) for model in MODELS for moment in KILLS if (model, moment) != (MODELS[1], "before the file")]


@pytest.mark.parametrize(("model", "moment"), [pytest.param(*one, marks=() if one in QUICK else pytest.mark.slow) for one in KILLED])
def test_a_kill_at_any_moment_sends_nothing_twice_and_loses_nothing(start, tmp_path, model, moment):
    begin, end = start
    steps = {"before the file": "upload", "before it is made": "create", "when it is made": "create", "while it waits": "look"}
    step = steps.get(moment, "results")
    child = []

    def kill(now, batch):
        if now == step and child and moment != "in the middle of landing":
            os.kill(child.pop(), 9)
        return

    with BatchServer(echo) as server:
        server.faults = kill
        server.after = moment != "before it is made"
        child.append(begin(server.url, tmp_path, model, 5 if moment == "in the middle of landing" else 0))
        if moment == "before it is made":
            server.faults = lambda now, batch: kill(now, batch) or (Reply(cut=0) if now == "create" and not child else None)
        assert end() == -9
        server.faults = lambda now, batch: None
        before = kept(tmp_path) if (tmp_path / "answers.jsonl").exists() else []
        assert len(before) == (5 if moment == "in the middle of landing" else 0)
        begin(server.url, tmp_path, model, 0)
        assert end() == 0
        assert len(kept(tmp_path)) == len(set(kept(tmp_path))) == 12
        assert [len(batch.requests) for batch in server.batches] == [12]
        with Ledger(tmp_path) as ledger:
            assert (total(ledger)["calls"], total(ledger)["failed"], total(ledger)["cached"]) == (12, 0, len(before))
    assert not re.search(KEY, "".join(path.read_text() for path in tmp_path.iterdir()))
