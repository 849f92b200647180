"""What a training takes at most, measured, beside what `errata doctor` says that it takes.

    python scripts/bench_memory.py --target FOLDER [--train '{"method": "lora"}' ...]
    python scripts/bench_memory.py --shape FOLDER      # makes a random model of the shape of Qwen2.5-0.5B there first

Each case trains two steps in a process of its own, as every training of Errata does, on rows as long as `max_length` allows and some that
are shorter. Measured is the peak of that process's resident memory, the VmHWM of /proc: weights that are mapped from their file count.
A step of several gigabytes takes minutes on a small machine. CPU only; Linux only.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from errata.signatures.records import TrainRow
from errata.trainers.settings import TargetSettings, TrainSettings
from errata.trainers.sft import train
from errata.trainers.weights import TINY

CASES: list[dict[str, Any]] = [
    {"method": "lora", "batch_size": 16, "max_length": 112},
    {"method": "lora", "batch_size": 4, "max_length": 448},
    {"method": "lora", "batch_size": 4, "max_length": 448, "sft": {"activation_checkpointing": True}},
    {"method": "lora", "batch_size": 16, "max_length": 112, "sft": {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 4}},
    {"method": "full", "batch_size": 8, "max_length": 112},
]
QWEN = {"hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2,
        "vocab_size": 151936, "tie_word_embeddings": True, "max_position_embeddings": 32768}  # fmt: skip


def make(folder: Path) -> None:
    """A random model of the shape of Qwen2.5-0.5B with the tokenizer of `tiny`."""
    import torch
    from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(TINY)
    config = Qwen2Config(**QWEN, eos_token_id=tokenizer.eos_token_id, bos_token_id=None)
    Qwen2ForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def rows(count: int, tokens: int) -> list[TrainRow]:
    """Rows of at least `tokens` tokens, as no token of "7 7 7" is longer than two letters, and each fourth one of fewer."""
    each = lambda i: TrainRow(  # noqa: E731
        prompt=({"role": "user", "content": f"{i} sevens:"},),
        completion=({"role": "assistant", "content": "7 " * (8 if i % 4 == 3 else tokens)},),
        source=str(i),
    )
    return [each(i) for i in range(count)]


def measured(target: str, settings: TrainSettings) -> int:
    """Bytes at the peak of a training. Waits for no other child, so that the peak is this one's."""
    settings = settings.model_copy(update={"steps": 2, "max_lost_share": 1.0})
    with tempfile.TemporaryDirectory() as folder:
        train(rows(2 * settings.batch_size, settings.max_length), TargetSettings(model=target), settings, Path(folder) / "out")
    return 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", help="folder of the model")
    parser.add_argument("--shape", type=Path, help="folder for a random model, made where there is none")
    parser.add_argument("--train", action="append", help="settings of one training as JSON; several times for several")
    parser.add_argument("--one", action="store_true", help="print the peak of the one case alone, in bytes")
    given = parser.parse_args()
    if given.shape and not given.shape.exists():
        make(given.shape)
    target = str(given.target or given.shape)
    cases = [json.loads(case) for case in given.train] if given.train else CASES
    if given.one:
        print(measured(target, TrainSettings(**cases[0])))
        return
    from errata.trainers.estimate import need, shape_of

    shape = shape_of(target)
    print(
        f"{shape.parameters / 1e6:,.0f}M parameters\n\n| training | predicted GB | measured GB | predicted / measured |\n|---|---|---|---|"
    )
    for case in cases:
        told = need(shape, TargetSettings(), TrainSettings(**case), room=10**15).train
        command = [sys.executable, __file__, "--target", target, "--train", json.dumps(case), "--one"]
        peak = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])
        name = " ".join(f"{key} {value}" for key, value in case.items())
        print(f"| {name} | {told / 1e9:.2f} | {peak / 1e9:.2f} | {told / peak:.2f} |", flush=True)


if __name__ == "__main__":
    main()
