"""What the sandbox costs: start-up, one fresh program, rows per second beside native CPython, memory over many programs.

    python scripts/bench_sandbox.py [--programs 10000]

Takes about 90 seconds with the defaults on one core. The native figure is a plain child process of the running Python that does the same
work on the same source and prints the same JSON; both include the start of their interpreter. `seconds` are wall-clock; run it on an idle
machine.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from errata.sandbox import Job, Limits, Sandbox, open_sandbox

PROGRAM = """
import random
from fractions import Fraction

NAMES = ["Ana", "Ben", "Chloe", "Dev", "Elif", "Femi", "Goro", "Hana"]
THINGS = [("apple", "apples"), ("pen", "pens"), ("ticket", "tickets")]


def draw(rng, level):
    return {
        "name": rng.choice(NAMES),
        "thing": rng.randrange(len(THINGS)),
        "count": rng.randint(2, 6 * level),
        "price": rng.randint(2, 9 * level),
        "percent": rng.choice([10, 20, 25, 50]),
    }


def make(name, thing, count, price, percent):
    one, many = THINGS[thing]
    total = count * price
    saved = Fraction(total * percent, 100)
    paid = total - saved
    question = (
        f"{name} buys {count} {many}. Each {one} costs {price} dollars, and the shop takes {percent}% off. "
        f"How many dollars does {name} pay?"
    )
    steps = [
        f"{count} {many} cost {count} * {price} = {total} dollars.",
        f"{percent}% of {total} is {float(saved):g} dollars.",
        f"{name} pays {total} - {float(saved):g} = {float(paid):g} dollars.",
    ]
    return {"question": question, "solution": "\\n".join(steps), "answer": f"{float(paid):g}"}
"""

HARNESS = """
import random


def main(program, payload):
    for index in range(payload):
        yield program.make(**program.draw(random.Random(f"7:{index}"), 3))
"""

NATIVE = """
import json, sys, types
program = types.ModuleType("program")
exec({program!r}, vars(program))
exec({harness!r})
sys.stdout.write(json.dumps(list(main(program, {rows}))))
"""

TRIVIAL = Job("def f(x): return x + 1", "def main(program, payload): yield program.f(payload)", 41)


def resident() -> tuple[float, float]:
    """Resident memory of the worker and of this process, MiB (Linux)."""
    total = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            if path.read_text().rpartition(")")[2].split()[1] == str(os.getpid()):
                total += int((path.parent / "statm").read_text().split()[1]) * 4096
        except OSError:
            pass
    return total / 2**20, int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


def timed(sandbox: Sandbox, rows: int) -> tuple[float, list]:
    started = time.perf_counter()
    run = sandbox.run(PROGRAM, HARNESS, rows, Limits(seconds=60, output_bytes=64 << 20))
    assert run.outcome == "ok", run
    return time.perf_counter() - started, list(run.rows)


def native(rows: int) -> tuple[float, list]:
    started = time.perf_counter()
    code = NATIVE.format(program=PROGRAM, harness=HARNESS, rows=rows)
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    return time.perf_counter() - started, json.loads(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=10_000)
    arguments = parser.parse_args()

    started = time.perf_counter()
    open_sandbox(1).close()
    print(f"open for the first time (compiles when no cache is there): {1000 * (time.perf_counter() - started):.0f} ms")
    started = time.perf_counter()
    with open_sandbox(1) as sandbox:
        sandbox.run(TRIVIAL.source, TRIVIAL.harness, TRIVIAL.payload)
        print(f"cold start to the first answer: {1000 * (time.perf_counter() - started):.0f} ms")
        seconds = []
        for _ in range(500):
            started = time.perf_counter()
            sandbox.run(TRIVIAL.source, TRIVIAL.harness, TRIVIAL.payload)
            seconds.append(time.perf_counter() - started)
        print(f"a fresh isolated program, warm: median {1000 * statistics.median(seconds):.1f} ms of {len(seconds)}")
        for rows in (200, 2_000, 20_000):
            ours, theirs = zip(*((timed(sandbox, rows), native(rows)) for _ in range(5)), strict=True)
            assert ours[0][1] == theirs[0][1], "the rows differ from native CPython's"
            fast, slow = (rows / statistics.median(seconds for seconds, _ in side) for side in (theirs, ours))
            print(f"{rows} rows: {slow:.0f} rows/s, native {fast:.0f} rows/s, ratio {slow / fast:.2f}; equal rows")
        done = 0
        for mark in (100, 1_000, 2_000, 5_000, 10_000):
            while done < min(mark, arguments.programs):
                sandbox.run(f"# {done}\n" + TRIVIAL.source, TRIVIAL.harness, done)
                done += 1
            worker, host = resident()
            print(f"after {done} programs: {worker:.1f} MiB resident in the worker, {host:.1f} in the host")
            if done == arguments.programs:
                break


if __name__ == "__main__":
    main()
