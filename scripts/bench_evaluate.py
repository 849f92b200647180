"""How fast a target answers: Errata beside plain transformers, and beside vLLM where there is one, at one number format in one run.

    python scripts/bench_evaluate.py [--target tiny] [--task sums] [--prompts 64] [--tokens 400] [--dtype auto] [--repeats 3]
                                     [--batch N] [--vllm-python FOLDER/bin/python]

Each arm gives the same prompts exactly TOKENS new tokens, so that none is done earlier than another; the arms take turns. `transformers` is
`generate` on all prompts in one left-padded batch, the fastest that it does by itself; vLLM runs in a process of its environment. Loading
and a first short batch are not counted. Of each arm the fastest repeat counts: tokens a second of the clock, and a CPU second of all its
threads, which is the one to read on a machine that others use (set OMP_NUM_THREADS=1 there). Printed too: how many texts are the same as
one prompt at a time gives, for `--same` of them.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig

from errata.tasks import load_task
from errata.trainers.chat import encode
from errata.trainers.settings import TargetSettings
from errata.trainers.target import PRODUCTS, Target


class Vllm:
    """vLLM in a process of another environment, which answers each line of tokens and limit with its seconds (scripts/vllm_speed.py)."""

    def __init__(self, python: str, target: str, dtype: str, longest: int):
        script = Path(__file__).with_name("vllm_speed.py")
        command = [python, str(script), target, "--dtype", dtype, "--longest", str(longest)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, prompts: list[list[int]], tokens: int) -> tuple[float, float]:
        assert self.process.stdin and self.process.stdout
        print(json.dumps([prompts, tokens]), file=self.process.stdin, flush=True)
        while not (line := self.process.stdout.readline()).startswith("took "):  # it prints more than what is asked
            if not line:
                sys.exit("vLLM ended; its last lines stand above")
        wall, cpu = line.split()[1:]
        return float(wall), float(cpu)

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Seconds of the clock, and of the CPU by all threads."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def plain(target: Target, ids: list[list[int]], tokens: int) -> None:
    """All prompts in one batch of transformers' own, with the attention that it chooses itself."""
    width = max(map(len, ids))
    rows = torch.tensor([[0] * (width - len(row)) + row for row in ids], device=target.device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in ids], device=target.device)
    config = GenerationConfig(eos_token_id=None, pad_token_id=0, do_sample=False, max_new_tokens=tokens)
    chosen = target.model.config._attn_implementation
    target.model.set_attn_implementation("sdpa" if chosen == PRODUCTS else chosen)
    with torch.inference_mode():
        target.model.generate(input_ids=rows, attention_mask=mask, generation_config=config)
    target.model.set_attn_implementation(chosen)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default="tiny", help="tiny, a folder or a hub id")
    parser.add_argument("--adapter", default=None, help="folder of a PEFT adapter")
    parser.add_argument("--task", default="sums")
    parser.add_argument("--split", default="dev")
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=400, help="new tokens of each answer")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch", type=int, default=None, help="prompts at once; default: what the target chooses")
    parser.add_argument("--same", type=int, default=0, help="answers that are given one by one too, to compare the texts")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto", choices=["auto", "float32", "bfloat16", "float16"])
    parser.add_argument("--vllm-python", help="the Python of an environment with vLLM")
    options = parser.parse_args()

    task = load_task(options.task)
    prompts = [task.prompt(example) for example in task.examples(options.split, options.prompts)]
    given = {"model": options.target, "adapter": options.adapter, "device": options.device, "dtype": options.dtype}
    target = Target.load(TargetSettings(**given, batch_size=options.batch))
    ids = encode(target.tokenizer, [target.render(prompt) for prompt in prompts])
    result: dict[str, Any] = {"target": options.target, "dtype": target.dtype, "device": target.device, "threads": torch.get_num_threads()}
    result |= {"prompts": len(prompts), "tokens_each": options.tokens, "prompt_tokens": sum(map(len, ids))}
    if options.same:
        alone = Target.load(TargetSettings(**given, batch_size=1))
        one, all_ = (
            dict(model.generate(some, max_new_tokens=options.tokens))
            for model, some in ((alone, prompts[: options.same]), (target, prompts))
        )
        result["same_texts"] = sum(answer.text == all_[place].text for place, answer in one.items())
    target.ends, target.model.generation_config.eos_token_id = [], None  # every answer takes all its tokens
    arms: dict[str, Callable[[int], tuple[float, float]]] = {
        "errata": lambda tokens: timed(lambda: list(target.generate(prompts, max_new_tokens=tokens))),
        "transformers": lambda tokens: timed(lambda: plain(target, ids, tokens)),
    }
    vllm = None
    if options.vllm_python:
        vllm = Vllm(options.vllm_python, options.target, target.dtype, max(map(len, ids)) + options.tokens)
        arms["vllm"] = lambda tokens: vllm(ids, tokens)
    for arm in arms.values():
        arm(2)  # first calls set up kernels
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in arms}
    for turn in range(options.repeats):
        for name in list(arms)[turn % len(arms) :] + list(arms)[: turn % len(arms)]:
            taken[name].append(arms[name](options.tokens))
            print(f"{name}: {taken[name][-1][0]:.0f} s, {taken[name][-1][1]:.0f} CPU s", file=sys.stderr)
    if vllm:
        vllm.close()
    total = len(prompts) * options.tokens
    speed = {name: (total / min(wall for wall, _ in some), total / min(cpu for _, cpu in some)) for name, some in taken.items()}
    result["tokens_a_second"] = {name: round(wall, 1) for name, (wall, _) in speed.items()}
    result["tokens_a_cpu_second"] = {name: round(cpu, 1) for name, (_, cpu) in speed.items()}
    result["errata_to"] = {name: round(speed["errata"][1] / cpu, 3) for name, (_, cpu) in speed.items() if name != "errata"}
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
