"""What a round over many items takes on 1, 8 and 64 GPUs: one table, computed from the cost of each unit.

    python scripts/scaling.py [--items 1000000] [--errors 10000] [--rows 1000000] [--answer-tokens 150] [--row-tokens 250]
                              [--gpu-answers 3000] [--gpu-training 10000] [--seconds-a-call 20]

All costs stand here, with where they are from. Those of CPUs were measured by the script that is named, on a core of a shared machine with
2 cores. GPU speeds and the instructor's were not measured: they are what the flags say, in their defaults assumptions for a model of about
7 billion parameters in bfloat16 on a GPU with 80 GB, to be replaced by what the log of your own server shows. Times are the costs times the
units, divided by what works side by side; starts, and the time in which a GPU is not full, are left out.
"""

import argparse
from typing import NamedTuple

GPUS = (1, 8, 64)
NODE = 8
"""GPUs in one machine: a training has no more (train.devices)."""
IN_FLIGHT = 256
"""Calls to the instructor at a time."""
CALLS = 3
"""Calls for an error: its diagnosis, its program, and a repair."""


class Cost(NamedTuple):
    """What one unit of a step takes."""

    step: str
    where: str
    seconds: float
    """For one unit, on one core, one GPU, or for one call."""
    from_: str
    """`measured: SCRIPT` or `assumed: WHAT`."""
    side_by_side: str = "core"
    """`core`: one core, however many GPUs there are; `cores`: two of them; `gpu`: all GPUs; `node`: those of one machine; `calls`: as many
    as are in flight."""


def costs(options: argparse.Namespace) -> list[tuple[Cost, int]]:
    """The cost of each unit, and how many there are."""
    answer, row = options.answer_tokens / options.gpu_answers, options.row_tokens / options.gpu_training
    calls, programs = CALLS * options.errors, options.errors
    tokens, trained = f"assumed: {options.gpu_answers:,} new tokens/s a GPU", f"assumed: {options.gpu_training:,} tokens/s a GPU"
    asked = f"assumed: {options.seconds_a_call:g} s a call, {IN_FLIGHT} in flight"
    return [
        (Cost("answer an item", "each GPU (a vLLM)", answer, tokens, "gpu"), options.items),
        (Cost("ask it, as the client of all servers", "one core here", 0.00041, "measured: bench_served.py"), options.items),
        (Cost("load, judge and keep it", "one core here", MINED, "measured: bench_million.py"), options.items),
        (Cost("load again, and read for teaching and replay", "one core here", READ, "measured: bench_million.py"), options.items),
        (Cost("a call to the instructor", "its provider", options.seconds_a_call, asked, "calls"), calls),
        (Cost("the same, its CPU here", "one core here", 0.0012, "measured: bench_instructor.py"), calls),
        (Cost("prove a program", "all cores, or a cluster's", PROVEN, "measured: bench_rows.py", "cores"), programs),
        (Cost("draw a row in the sandbox", "all cores, or a cluster's", 0.00021, "measured: bench_rows.py", "cores"), options.rows),
        (Cost("check it (distinct, unseen, ...) and write it", "one core here", 0.00034, "measured: bench_rows.py"), options.rows),
        (Cost("train on it, one epoch", f"at most {NODE} GPUs of one machine", row, trained, "node"), options.rows),
        (Cost("compare a dev item, before and after", "one core here", PAIRED, "measured: bench_million.py"), options.items // 10),
    ]


MINED, READ, PAIRED = 0.00031, 0.00014, 0.000033
PROVEN = 0.17


def took(seconds: float) -> str:
    """A time in words."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def each(seconds: float) -> str:
    """The cost of a unit."""
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000, help="train items that the target is asked")
    parser.add_argument("--errors", type=int, default=10_000, help="errors that are taught (generate.failures)")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows that are drawn and trained on")
    parser.add_argument("--answer-tokens", type=int, default=150, help="new tokens of an answer")
    parser.add_argument("--row-tokens", type=int, default=250, help="tokens of a training row")
    parser.add_argument("--gpu-answers", type=int, default=3_000, help="new tokens a second that a server on one GPU gives in full batches")
    parser.add_argument("--gpu-training", type=int, default=10_000, help="tokens a second that one GPU trains on")
    parser.add_argument("--seconds-a-call", type=float, default=20.0, help="seconds that a call to the instructor takes")
    options = parser.parse_args()
    print(f"| what | where | a unit | from | units | {' | '.join(f'{count} GPU' for count in GPUS)} |")
    print("|---|---|---|---|---|" + "---|" * len(GPUS))
    for cost, units in costs(options):
        width = {"core": lambda _: 1, "cores": lambda _: 2, "gpu": int, "node": lambda gpus: min(gpus, NODE), "calls": lambda _: IN_FLIGHT}
        times = [took(cost.seconds * units / width[cost.side_by_side](gpus)) for gpus in GPUS]
        print(f"| {cost.step} | {cost.where} | {each(cost.seconds)} | {cost.from_} | {units:,} | {' | '.join(times)} |")


if __name__ == "__main__":
    main()
