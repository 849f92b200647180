"""What a training on several devices costs beside one on one, and how far its losses are from it, measured with processes of the CPU.

    python scripts/bench_devices.py [--devices 2] [--steps 60] [--target tiny]

Each training runs as every training of Errata does, in processes of its own. Seconds are those of the whole training, with the start of its
processes; CPU seconds are of all of them together, and hang less on what else the machine does. Without noise on the embeddings, of which
each process draws its own.
"""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

from errata.signatures.records import TrainRow
from errata.tasks import load_task
from errata.trainers.settings import TargetSettings, TrainSettings
from errata.trainers.sft import train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=2)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--target", default="tiny")
    asked = parser.parse_args()
    task = load_task("sums")
    rows = [
        TrainRow(prompt=task.prompt(item), completion=({"role": "assistant", "content": item.solution},), source=item.id)
        for item in task.examples("train", 500)
    ]
    losses: list[list[float]] = []
    print("| processes | whole, s | CPU, s | largest difference of a step's loss |\n|---|---|---|---|")
    for devices in (1, asked.devices):
        settings = TrainSettings(device="cpu", devices=devices, steps=asked.steps, noise=0, sft={"logging_steps": 1})
        with tempfile.TemporaryDirectory() as folder:
            wall, cpu = time.monotonic(), spent()
            train(rows, TargetSettings(model=asked.target), settings, Path(folder))
            wall, cpu = time.monotonic() - wall, spent() - cpu
            losses.append([step["loss"] for step in json.loads((Path(folder) / "course.json").read_text())])
        apart = max(abs(one - two) for one, two in zip(losses[0], losses[-1], strict=True))
        print(f"| {devices} | {wall:.1f} | {cpu:.1f} | {apart:.1e} |", flush=True)


def spent() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
