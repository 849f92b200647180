"""How near the fan-out of calls comes to the ideal: CALLS calls of SECONDS each, IN_FLIGHT at a time, take at best
CALLS * SECONDS / IN_FLIGHT.

    python scripts/bench_instructor.py [--calls 1000] [--seconds 0.2] [--in-flight 64] [--repeats 3] [--model openai/loopback]

The server is a process of its own on the loopback. Everything on the way is that of a run: a DSPy signature is rendered and parsed, each
answer is written to the ledger's file in a temporary folder. `bare` leaves the signature out, and `plain` all but http.client: what this
machine could do at best. Exit code 1 when the median ratio of a way other than `plain` is above 1.1. The ideal itself cannot be reached
when CALLS is no multiple of IN_FLIGHT: 1000 calls in 64 lanes are 16 rows, 3.2 s for an ideal of 3.125 s.

    python scripts/bench_instructor.py --way auto --calls 10000 [--seconds 2]
    python scripts/bench_instructor.py --way batch --calls 10000

measures instead what many calls take of this machine with `in_flight: auto`, or in provider batches: CPU seconds of this process for 1,000
calls, and its memory at most, above what it had before the first call.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from http.client import HTTPConnection
from pathlib import Path

import dspy

from errata.programs.config import InstructorSettings
from errata.programs.instructor.chat import instructed_by
from errata.programs.instructor.engine import open_instructor, settled_on
from errata.programs.run.ledger import Ledger
from errata.signatures.calls import in_flight

SERVER = Path(__file__).parents[1] / "tests/openai_server.py"
BATCHES = SERVER.with_name("batch_server.py")
ANSWER = ["[[ ## answer ## ]]", "blue", "", "[[ ## completed ## ]]"]


def measure(way: str, calls: int, seconds: float, width: int, model: str) -> dict[str, float]:
    """One run: wall seconds, ratio to the ideal, CPU milliseconds a call of this process, most in flight as the server saw it."""
    command = [sys.executable, str(SERVER), str(seconds), *ANSWER]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server,
    ):
        assert server.stdout is not None
        settings = InstructorSettings(model=model, api_base=server.stdout.readline().strip(), in_flight=width)
        ask = dspy.Predict("question -> answer")
        with Ledger(Path(folder)) as ledger, ThreadPoolExecutor(width) as pool:
            lm = open_instructor(settings, ledger)
            with instructed_by(lm):
                work = {"signature": lambda text: ask(question=text).answer, "bare": lambda text: lm(text)[0], "plain": plain(settings)}[
                    way
                ]
                work("warm up")
                cpu, wall = time.process_time(), time.perf_counter()
                futures = [pool.submit(copy_context().run, work, f"question {number}") for number in range(calls)]
                for future in futures:
                    future.result()
                wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            kept = ledger.document()["total"]["calls"]
        seen, most = map(int, server.communicate("")[0].split())
    assert seen == calls + 1, seen
    assert kept == (0 if way == "plain" else seen), kept
    return {"wall": wall, "ratio": wall / (calls * seconds / width), "cpu_ms": 1000 * cpu / calls, "in_flight": most}


def many(batch: bool, calls: int, seconds: float, model: str) -> dict[str, float]:
    """Wall seconds, CPU seconds for 1,000 calls, MB at most, threads that ask at most, as a stage of a run asks."""
    command = [sys.executable, str(BATCHES if batch else SERVER), "0" if batch else str(seconds), *ANSWER]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server,
        Ledger(Path(folder)) as ledger,
    ):
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        settings = InstructorSettings(model=model, api_base=address, in_flight="auto", batch=batch)
        lm, ask = open_instructor(settings, ledger), dspy.Predict("question -> answer")
        with instructed_by(lm):
            lm("warm up")
            cpu, wall, before = time.process_time(), time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            for _ in in_flight(lambda number: ask(question=f"question {number} {'x' * 4000}"), range(calls), settings.width):
                pass
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        most = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000
        assert ledger.document()["total"]["calls"] == calls + 1
        print(settled_on(lm), file=sys.stderr)
        server.communicate("")
    return {"wall": wall, "cpu_s_for_1000": 1000 * cpu / calls, "mb": most, "threads": settings.width}


def plain(settings: InstructorSettings) -> Callable[[str], str]:
    """One kept connection a thread, no DSPy, nothing written."""
    own = threading.local()
    host, path = str(settings.api_base).removeprefix("http://").split("/", 1)

    def work(text: str) -> str:
        if not hasattr(own, "connection"):
            own.connection = HTTPConnection(host)
        body = {"model": "loopback", "messages": [{"role": "user", "content": text}]}
        own.connection.request("POST", f"/{path}/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
        return json.loads(own.connection.getresponse().read())["choices"][0]["message"]["content"]

    return work


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=0.2)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--model", default="openai/loopback")
    parser.add_argument("--way", choices=["auto", "batch"])
    options = parser.parse_args()
    if options.way:
        row = many(options.way == "batch", options.calls, options.seconds, options.model)
        print(json.dumps({"way": options.way, "calls": options.calls, **{name: round(value, 2) for name, value in row.items()}}))
        return 0
    worst = 0.0
    for way in ("plain", "bare", "signature"):
        rows = [measure(way, options.calls, options.seconds, options.in_flight, options.model) for _ in range(options.repeats)]
        middle = {name: round(statistics.median(row[name] for row in rows), 3) for name in rows[0]}
        print(json.dumps({"way": way, **middle, "ratios": [round(row["ratio"], 3) for row in rows]}), flush=True)
        worst = max(worst, 0.0 if way == "plain" else middle["ratio"])
    return int(worst > 1.1)


if __name__ == "__main__":
    sys.exit(main())
