"""What optimizations cost without a real model, where wording matters: `python scripts/optimize_cost.py [OPTIMIZER=BUDGET ...]`.

The instructor, who is also the model that rewrites, is that of tests/wording.py; programs run in the sandbox. For each optimizer:
evaluations, calls, how many of the three things to ask for its instruction asks for, programs on the held-out failures before and after,
CPU seconds of this process and of its children that have ended.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import dspy
from wording import BAD, ORDERS, Both, asked_for

from errata.programs import Cycle, LearnFromError, load_config
from errata.programs.studies.optimize import Optimization
from errata.programs.studies.settings import OptimizeSettings

PLAN = ["gepa=60", "mipro=145", "simba=300", "bootstrap=60", "dspy:COPRO=60"]


def main(plan: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        with Cycle(load_config(overrides={"errors": "all", "items.train": 24}), root / "mined", lambda line: None) as loop:
            loop.run(until="mine")
        strategy = LearnFromError(repairs=0)
        strategy.write.write.signature = strategy.write.write.signature.with_instructions(BAD)
        strategy.save(root / "bad.json")
        print("| optimizer | budget | evaluations | calls | orders found | programs before | after | p | CPU seconds |")
        for name, budget in (one.rsplit("=", 1) for one in plan):
            engine, began = Both(), sum(os.times()[:4])
            lm = dspy.LM("local/both", engine=engine, cache=False)
            config = load_config(overrides={"generate.state": str(root / "bad.json"), "generate.repairs": 0, "instructor.in_flight": 1})
            # from a bad start nothing earns a demonstration, but by a teacher
            teacher = "offline" if name == "bootstrap" else None
            settings = OptimizeSettings(optimizer=name, evaluations=budget, target=False, teacher=teacher)
            with Cycle(config, root / name.replace(":", "-"), lambda line: None) as loop:
                result = Optimization(loop, [root / "mined"], settings, lm, lm).run()
            found = {order for change in result.changed if change.predictor == "write.write" for order in asked_for(change.after)}
            programs, count = result.programs, result.programs.pairs
            print(
                f"| {name} | {budget} | {result.search.evaluations} | {engine.careless.calls + engine.reflecting.calls} "
                f"| {len(found)} of {len(ORDERS)} | {programs.before * count:.0f} of {count} | {programs.after * count:.0f} "
                f"| {result.score.p_value:.2g} | {sum(os.times()[:4]) - began:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Evaluations, calls and CPU seconds of optimizations on the testbed of tests/wording.py.")
    parser.add_argument("plan", nargs="*", default=PLAN, help="OPTIMIZER=BUDGET")
    main(parser.parse_args().plan)
