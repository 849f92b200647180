"""Whether a training on this machine's CPU follows float32 when it computes in bfloat16, and what that saves: losses, tokens/s, memory.

    python scripts/bench_dtype.py --target FOLDER --task jsonl:FOLDER [--steps 30] [--rows 16] [--methods lora full]

Each method trains twice on the same train items, in both formats, each in a process of its own with one thread. Printed are the losses by
ten steps, how far apart they are, tokens (of prompts and answers) a CPU second of the steps behind the first, and the peak of resident
memory. CPU seconds of one thread say the same on a shared machine, or nearly so. Linux only.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from errata.signatures.records import TrainRow
from errata.tasks import load_task
from errata.trainers.settings import TargetSettings, TrainSettings
from errata.trainers.sft import train
from errata.trainers.target import load_tokenizer


def one(options: argparse.Namespace, method: str, narrow: bool) -> dict[str, Any]:
    """One training of `steps` steps."""
    torch.set_num_threads(1)
    task, target = load_task(options.task), TargetSettings(model=options.target, device="cpu")
    items = list(task.examples("train", options.steps * options.rows))
    rows = [
        TrainRow(
            prompt=tuple(task.prompt(item)),
            completion=({"role": "assistant", "content": task.completion(item.solution, item.answer)},),
            source=item.id,
        )
        for item in items
    ]
    sft = {"bf16": narrow, "logging_steps": 1}
    settings = TrainSettings(method=method, steps=options.steps, batch_size=options.rows, sft=sft, max_lost_share=1.0, device="cpu")
    marks = []
    told = lambda now: marks.append((now["step"], now["loss"], time.process_time()))  # noqa: E731
    with tempfile.TemporaryDirectory() as folder:
        train(rows, target, settings, Path(folder) / "out", in_process=True, on_progress=told)
    tokenizer = load_tokenizer(target)
    tokens = sum(len(tokenizer(" ".join(m["content"] for m in (*row.prompt, *row.completion))).input_ids) for row in rows)
    seconds = marks[-1][2] - marks[0][2]
    speed = tokens / options.steps * (options.steps - 1) / seconds
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"losses": [mark[1] for mark in marks], "seconds": seconds, "tokens_a_second": speed, "peak_gb": peak / 1e9}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", required=True, help="folder of a model")
    parser.add_argument("--task", required=True, help="a task with train items")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rows", type=int, default=16, help="rows of a step")
    parser.add_argument("--methods", nargs="+", default=["lora", "full"], choices=["lora", "full"])
    parser.add_argument("--one", help="METHOD,FORMAT: one training alone; the script starts this itself")
    options = parser.parse_args()
    if options.one:
        method, form = options.one.split(",")
        print(json.dumps(one(options, method, form == "bfloat16")))
        return
    for method in options.methods:
        runs: dict[str, dict[str, Any]] = {}
        for form in ("float32", "bfloat16"):
            command = [sys.executable, __file__, *sys.argv[1:], "--one", f"{method},{form}"]
            found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])
            runs[form] = found
        for form, run in runs.items():
            by_ten = [round(sum(part) / len(part), 3) for part in (run["losses"][at : at + 10] for at in range(0, len(run["losses"]), 10))]
            print(f"{method:5} {form:9} {run['tokens_a_second']:6.0f} tokens/s {run['peak_gb']:5.2f} GB, loss by ten steps {by_ten}")
        apart = [abs(a - b) for a, b in zip(*(run["losses"] for run in runs.values()), strict=True)]
        print(f"{method:5} losses apart at most {max(apart):.4f}, on average {sum(apart) / len(apart):.4f}", flush=True)


if __name__ == "__main__":
    main()
