"""Cycles killed at 100 random moments: every result is that of a cycle that ran through, and no answer that was kept is asked for again.

One process has the libraries loaded and forks a cycle for each start, so that a start costs no imports; trainings start their own process,
as they do for users. Moments are drawn evenly over the time that a whole cycle takes, from when it starts or is continued; a cycle that
ends before its moment is compared, and the next one begins.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
from dspy import lm15
from openai_server import OpenAIServer, Reply
from test_cycle import FLAGS, files

from errata.programs.config import InstructorSettings
from errata.programs.instructor.engine import open_instructor

FORKING = """
import json, os, sys
import dspy, peft, torch, transformers
import errata.cli, errata.programs.cycle, errata.programs.report
for line in sys.stdin:
    child = os.fork()
    if not child:
        os.setsid()
        for stream in (0, 1, 2):
            os.dup2(os.open(os.devnull, os.O_RDWR), stream)
        errata.cli.app(json.loads(line))
        os._exit(70)  # the line before ends the process
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
FEW = ["--set", "items.train=60", "--set", "items.dev=20", "--set", "items.test=20", "--set", "rounds=1"]
IN_FLIGHT = 4
COUNTED = {"answers.jsonl", "ledger.json", "report.html", "report.json", "report.md"}
"""What tells how many calls were made: it counts those that a kill cut off."""


@pytest.fixture(scope="module")
def start():
    """A function that starts a cycle with arguments and kills its group after so many seconds; returns its exit code."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENAI_API_KEY": "none"}
    with subprocess.Popen([sys.executable, "-c", FORKING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as forking:

        def start(arguments, seconds=None):
            print(json.dumps(arguments), file=forking.stdin, flush=True)
            child = int(forking.stdout.readline())
            if seconds is not None:
                time.sleep(seconds)
                try:
                    os.killpg(child, signal.SIGKILL)
                except ProcessLookupError:
                    pass  # it has ended
            return int(forking.stdout.readline())

        yield start
        forking.stdin.close()


def kept(run):
    """The requests whose answers are kept, in the order of the file."""
    path = run / "answers.jsonl"
    whole = [line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")] if path.exists() else []
    rows = [json.loads(line) for line in whole]
    return [row["key"] for row in rows if "answer" in row]


@pytest.mark.slow  # a hundred starts, some of which train
@pytest.mark.timeout(2 * 3600)
@pytest.mark.parametrize("instructor", ["offline", "served"])
def test_a_cycle_killed_at_fifty_random_moments_ends_with_the_bytes_of_one_that_was_not(start, tmp_path, instructor):
    offline = open_instructor(InstructorSettings())

    def script(body, number):
        request = lm15.request_from_openai_chat({"model": offline.model, "messages": body["messages"]})
        return Reply(offline.engine.complete(request).text, delay=0.05)

    with OpenAIServer(script) as server:
        command = ["cycle", *FLAGS, *FEW]
        if instructor == "served":
            command += ["--instructor", "openai/loopback"]
            command += ["--set", f"instructor.api_base={server.url}", "--set", f"instructor.in_flight={IN_FLIGHT}"]
        command += ["--run"]
        whole = tmp_path / "whole/run"  # the report names the folder
        began = time.monotonic()
        assert start([*command, str(whole)]) == 0
        takes = time.monotonic() - began
        asked = len(kept(whole))
        assert len(server.seen) == asked == len(set(kept(whole)))
        assert (asked > 0) == (instructor == "served")

        rng, run, kills, ended = random.Random(0), tmp_path / "killed/run", 0, 0
        while kills < 50 or not ended:
            seen, had = len(server.seen), kept(run)
            code = start([*command, str(run)], rng.uniform(0, takes) if kills < 50 else None)
            time.sleep(0.1)  # what was under way when it was killed comes in
            has = kept(run)
            assert has[: len(had)] == had and len(has) == len(set(has))
            assert 0 <= len(server.seen) - seen - (len(has) - len(had)) <= (0 if code == 0 else IN_FLIGHT)
            if code:
                assert code == -signal.SIGKILL
                kills += 1
                continue
            mine, theirs = files(run), files(whole)
            assert mine.keys() == theirs.keys()
            different = {name for name in mine if mine[name] != theirs[name]}
            assert different <= (COUNTED if instructor == "served" else set())
            ended += 1
            shutil.rmtree(run)
