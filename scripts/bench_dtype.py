"""Whether a training on this machine's CPU follows float32 when it computes in bfloat16, and what that saves: losses and tokens/s.

    python scripts/bench_dtype.py --target FOLDER --task jsonl:FOLDER [--steps 30] [--rows 16] [--methods lora full]

Each method trains twice on the same train items, in both formats, in one process with one thread. Printed are the losses of the steps,
how far apart they are, and tokens (of prompts and answers) a CPU second of the steps behind the first. CPU seconds of one thread say the
same on a shared machine, or nearly so. Memory is what scripts/bench_memory.py measures.
"""

import argparse
import json
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
    given = {"steps": options.steps, "batch_size": options.rows, "max_lost_share": 1.0, "noise": 0.0, "device": "cpu"} | options.train
    settings = TrainSettings(method=method, sft=sft, **given)
    marks = []
    told = lambda now: marks.append((now["step"], now["loss"], time.process_time()))  # noqa: E731
    with tempfile.TemporaryDirectory() as folder:
        train(rows, target, settings, Path(folder) / "out", in_process=True, on_progress=told)
    tokenizer = load_tokenizer(target)
    tokens = sum(len(tokenizer(" ".join(m["content"] for m in (*row.prompt, *row.completion))).input_ids) for row in rows)
    seconds = marks[-1][2] - marks[0][2]
    speed = tokens / options.steps * (options.steps - 1) / seconds
    return {"losses": [mark[1] for mark in marks], "tokens_a_second": speed}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", required=True, help="folder of a model")
    parser.add_argument("--task", required=True, help="a task with train items")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rows", type=int, default=16, help="rows of a step")
    parser.add_argument("--methods", nargs="+", default=["lora", "full"], choices=["lora", "full"])
    parser.add_argument("--train", type=json.loads, default={}, help='more settings of the trainings, e.g. {"learning_rate": 1e-4}')
    options = parser.parse_args()
    for method in options.methods:
        runs = {form: one(options, method, form == "bfloat16") for form in ("float32", "bfloat16")}
        for form, run in runs.items():
            print(f"{method:5} {form:9} {run['tokens_a_second']:6.0f} tokens/s, losses {[round(loss, 3) for loss in run['losses']]}")
        apart = [abs(a - b) for a, b in zip(*(run["losses"] for run in runs.values()), strict=True)]
        print(f"{method:5} losses apart at most {max(apart):.4f}, on average {sum(apart) / len(apart):.4f}", flush=True)


if __name__ == "__main__":
    main()
