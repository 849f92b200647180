"""What demonstrations of the offline instructor cost in tokens, on GSM8K errors: `python scripts/demo_cost.py GSM8K_FOLDER`.

Tokens are counted by `count_tokens`: characters / 3.5, within a tenth of cl100k on these prompts. A program is a demonstration when it
passes the checks.
"""

import argparse

import dspy

from errata.programs import LearnFromError, prove
from errata.programs.instructor.chat import instructed_by
from errata.programs.instructor.offline import offline_lm
from errata.programs.rehearse import Shown, prompts, unanswered
from errata.sandbox import Limits, open_sandbox
from errata.tasks import load_task


def main(folder: str, count: int) -> None:
    task, strategy = load_task(f"gsm8k:{folder}"), LearnFromError()
    before = {}
    costs: dict[str, list[int]] = {}
    passed = 0
    with open_sandbox() as sandbox:
        for shown in unanswered(task.examples("train", count)):
            failure = shown.failure
            with instructed_by(offline_lm()), dspy.context(trace=[]):
                taught = strategy(
                    failures=(failure,),
                    brief=task.brief,
                    prove=lambda program, failure=failure: prove(program, [failure], task, sandbox, Limits()),
                )
                trace = list(dspy.settings.trace)
            if taught.program is None or taught.refused:
                continue
            passed += 1
            other = LearnFromError()
            for predictor, inputs, outputs in trace:
                name = next(name for name, known in strategy.named_predictors() if known is predictor)
                dict(other.named_predictors())[name].demos = [dspy.Example(augmented=True, **inputs, **outputs)]
            plain = Shown(failure, None)
            before = {call.predictor: call.tokens for call in prompts(strategy, plain, task.brief)}
            for call in prompts(other, plain, task.brief):
                costs.setdefault(call.predictor, []).append(call.tokens - before[call.predictor])
    print(f"{passed} of {count} errors of GSM8K gave a demonstration (tokens: characters / 3.5)")
    for name, values in costs.items():
        values.sort()
        print(
            f"{name}: prompt without {before[name]}, one demonstration adds {values[0]} to {values[-1]}, median {values[len(values) // 2]}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Tokens that demonstrations of the offline instructor add to a prompt.")
    parser.add_argument("folder", help="folder with GSM8K's train.jsonl")
    parser.add_argument("--count", type=int, default=40, help="train items that are taken as errors")
    given = parser.parse_args()
    main(given.folder, given.count)
