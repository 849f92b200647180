"""The part of scripts/bench_evaluate.py that runs in an environment with vLLM, which needs nothing of Errata.

Reads lines `[prompts as lists of token ids, new tokens]` and answers each with `took SECONDS CPU_SECONDS`. One process, so that its CPU
seconds are all there are; as many threads as OMP_NUM_THREADS says.
"""

import argparse
import json
import os
import sys
import time

os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_NO_USAGE_STATS": "1"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a folder")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--longest", type=int, default=1024, help="tokens of the longest prompt with its answer")
    options = parser.parse_args()
    from vllm import LLM, SamplingParams

    model = LLM(
        options.model, dtype=options.dtype, max_model_len=options.longest + 16, enable_prefix_caching=False, gpu_memory_utilization=0.4
    )
    for line in sys.stdin:
        prompts, tokens = json.loads(line)
        how = SamplingParams(temperature=0, max_tokens=tokens, ignore_eos=True, detokenize=False)
        wall, cpu = time.perf_counter(), time.process_time()
        model.generate([{"prompt_token_ids": ids} for ids in prompts], how, use_tqdm=False)
        print("took", time.perf_counter() - wall, time.process_time() - cpu, flush=True)


if __name__ == "__main__":
    main()
