"""Tokens a second of a supervised training: Errata beside TRL's SFTTrainer as one would tune it by hand, in one run.

    python scripts/bench_train.py [--target tiny] [--task sums] [--method lora] [--steps 20] [--rows 16] [--repeats 3] [--bf16]

Both train on the same train items with the same settings, in turns, each time in a new process. TRL by hand: rows of about one length in
a batch, no activation checkpointing, no packing, no checkpoints, nothing reported. Seconds are CPU seconds of one thread between the first
step and the last, so that imports, loading and saving are not counted; of each arm the fastest repeat counts. Tokens are those of prompts
and answers.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback, TrainerCallback
from trl import SFTConfig, SFTTrainer

from errata.signatures.records import TrainRow
from errata.tasks import load_task
from errata.trainers.fit import LORA
from errata.trainers.settings import TargetSettings, TrainSettings
from errata.trainers.sft import train
from errata.trainers.weights import folder_of


class Marks(TrainerCallback):
    def __init__(self) -> None:
        self.times: list[float] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.times.append(time.process_time())


def errata(options: argparse.Namespace, rows: list[TrainRow]) -> float:
    """CPU seconds of all steps but the first."""
    times: list[float] = []
    common = {"method": options.method, "steps": options.steps, "batch_size": options.rows, "noise": 0.0, "blend": 1.0}
    settings = TrainSettings(**common, max_lost_share=1.0, device="cpu", sft={"bf16": options.bf16})
    told = lambda now: times.append(time.process_time())  # noqa: E731
    with tempfile.TemporaryDirectory() as folder:
        train(rows, TargetSettings(model=options.target), settings, Path(folder) / "out", in_process=True, on_progress=told)
    return times[-1] - times[0]


def by_hand(options: argparse.Namespace, rows: list[TrainRow]) -> float:
    """The same with SFTTrainer alone."""
    folder, marks, lora = str(folder_of(options.target)), Marks(), options.method == "lora"
    dtype = torch.bfloat16 if options.bf16 and lora else torch.float32
    data = Dataset.from_list([{"prompt": list(row.prompt), "completion": list(row.completion)} for row in rows])
    with tempfile.TemporaryDirectory() as out:
        args = SFTConfig(
            output_dir=out, max_steps=options.steps, per_device_train_batch_size=options.rows, learning_rate=2e-4, warmup_steps=0.05,
            use_cpu=True, bf16=options.bf16, activation_checkpointing=False, train_sampling_strategy="group_by_length", max_length=None,
            save_strategy="no", report_to="none", disable_tqdm=True, logging_steps=10, dataloader_pin_memory=False,
        )  # fmt: skip
        trainer = SFTTrainer(
            model=AutoModelForCausalLM.from_pretrained(folder, dtype=dtype),
            args=args,
            train_dataset=data,
            processing_class=AutoTokenizer.from_pretrained(folder),
            peft_config=LoraConfig(**LORA) if lora else None,
            callbacks=[marks],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return marks.times[-1] - marks.times[0]


def compare(options: argparse.Namespace) -> None:
    best, tokens = dict[str, float](), 0.0
    for turn in range(options.repeats):
        for name in sorted(("errata", "trl"), reverse=bool(turn % 2)):
            done = subprocess.run([sys.executable, *sys.argv, "--arm", name], check=True, stdout=subprocess.PIPE, text=True)
            seconds, tokens = map(float, done.stdout.split()[-2:])
            print(f"{name}: {seconds:.1f} CPU seconds", file=sys.stderr)
            best[name] = min(best.get(name, float("inf")), seconds)
    speed = {name: round(tokens / seconds) for name, seconds in best.items()}
    print(json.dumps({"target": options.target, "method": options.method, "bf16": options.bf16, "tokens_a_cpu_second": speed,
                      "errata_to_trl": round(best["trl"] / best["errata"], 3)}))  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default="tiny", help="tiny or a folder")
    parser.add_argument("--task", default="sums")
    parser.add_argument("--method", default="lora", choices=["lora", "full"])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rows", type=int, default=16, help="rows of a step")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--bf16", action="store_true", help="compute in bfloat16")
    parser.add_argument("--arm", choices=["errata", "trl"], help="train this one once, and print its seconds and its tokens")
    options = parser.parse_args()
    if options.arm is None:
        compare(options)
        return
    torch.set_num_threads(1)
    task = load_task(options.task)
    items = list(task.examples("train", options.steps * options.rows))
    said = [({"role": "assistant", "content": task.completion(item.solution, item.answer)},) for item in items]
    rows = [TrainRow(prompt=tuple(task.prompt(item)), completion=text, source="") for item, text in zip(items, said, strict=True)]
    tokenizer = AutoTokenizer.from_pretrained(str(folder_of(options.target)))
    texts = [" ".join(message["content"] for message in (*row.prompt, *row.completion)) for row in rows]
    tokens = sum(len(ids) for ids in tokenizer(texts).input_ids) * (options.steps - 1) / options.steps
    seconds = {"errata": errata, "trl": by_hand}[options.arm](options, rows)
    print(seconds, tokens)


if __name__ == "__main__":
    main()
