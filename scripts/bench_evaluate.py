"""Items per second of greedy evaluation, one prompt at a time and in batches, and whether the texts are the same.

    python scripts/bench_evaluate.py [--target tiny] [--task sums] [--items 500]

Both passes run in one process on the same device and number format, one after the other; seconds are of the clock, CPU seconds of
this process. Loading is not counted. On a CPU shared with other work set OMP_NUM_THREADS=1 and read the CPU seconds.
"""

import argparse
import json
import time

from errata.tasks import load_task
from errata.trainers.chat import Completion
from errata.trainers.settings import TargetSettings
from errata.trainers.target import Target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default="tiny", help="tiny, a folder or a hub id")
    parser.add_argument("--adapter", default=None, help="folder of a PEFT adapter")
    parser.add_argument("--task", default="sums")
    parser.add_argument("--split", default="dev")
    parser.add_argument("--items", type=int, default=500)
    parser.add_argument("--batch", type=int, default=None, help="prompts at once; default: what the target chooses")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()

    task = load_task(options.task)
    prompts = [task.prompt(example) for example in task.examples(options.split, options.items)]
    passes = {}
    for name, size in (("one at a time", 1), ("batches", options.batch)):
        settings = TargetSettings(model=options.target, adapter=options.adapter, device=options.device, batch_size=size)
        target = Target.load(settings)
        list(target.generate(prompts[:2], max_new_tokens=4))  # first calls set up kernels
        wall, cpu = time.perf_counter(), time.process_time()
        answers: dict[int, Completion] = dict(target.generate(prompts, max_new_tokens=task.max_new_tokens))
        passes[name] = (time.perf_counter() - wall, time.process_time() - cpu, answers)
    slow, fast = passes.values()
    same = sum(slow[2][i].text == fast[2][i].text for i in range(len(prompts)))
    result = {
        "target": options.target,
        "hash": target.hash,
        "parameters": target.parameters,
        "device": target.device,
        "dtype": target.dtype,
        "task": options.task,
        "items": len(prompts),
        "tokens_each": round(sum(c.tokens for c in fast[2].values()) / len(prompts), 1),
        "cut_at_limit": sum(c.finish == "length" for c in fast[2].values()),
        "items_per_second": {name: round(len(prompts) / p[0], 1) for name, p in passes.items()},
        "items_per_cpu_second": {name: round(len(prompts) / p[1], 1) for name, p in passes.items()},
        "times_faster": round(slow[0] / fast[0], 1),
        "identical_texts": same,
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
