"""What the prompts to an instructor take in tokens, by kind of task, strategy and call: `python scripts/prompt_tokens.py`.

One made-up error of each kind, with a response as small models write it. Tokens are those of cl100k_base, from the file that LiteLLM ships.
The repair shows a program of 2,000 characters. Not covered: what an answer takes.
"""

import argparse
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import dspy
import tiktoken
from dspy.utils import DummyLM

from errata.programs import LearnFromContrast, LearnFromError, Mimic
from errata.programs.instructor.chat import Chat
from errata.programs.rehearse import Shown, prompts
from errata.programs.steps.agree import Agree
from errata.sandbox import Sandbox, open_sandbox
from errata.signatures.records import Attempt, Diagnosis, Example, Failure, Rejection, SampleProgram, TeachingResult, Verdict
from errata.tasks import Task, load_task

KNIT = "Mia knits 3 scarves of 120 rows each. She has knitted 45 rows of the first one today. How many rows are left to knit?"
NUMBER = Example(
    task="sums", split="train", question=KNIT, answer="315",
    solution="Three scarves take 3 * 120 = 360 rows.\n360 - 45 = 315 rows are left.",
)  # fmt: skip
CHOICE = Example(
    task="facts", split="train", kind="choice", answer="C",
    question="Which of these gases makes up most of the air?\nA. Oxygen\nB. Carbon dioxide\nC. Nitrogen\nD. Argon",
    meta={"choices": {"A": "Oxygen", "B": "Carbon dioxide", "C": "Nitrogen", "D": "Argon"}},
)  # fmt: skip
RUN = 'def longest_run(numbers: list) -> int:\n    """Length of the longest run of equals.\n    >>> longest_run([1, 1, 2])\n    2\n    """'
TEST = (
    "def check(candidate):\n    assert candidate([1, 1, 2]) == 2\n    assert candidate([]) == 0\n    assert candidate([3, 3, 3, 1]) == 3\n"
)
CODE = Example(
    task="lists", split="train", kind="code", answer="", question=RUN,
    meta={"entry_point": "longest_run", "prompt": "", "test": TEST},
)  # fmt: skip
COUNTS = "def longest_run(numbers):\n    return max([0, *(numbers.count(number) for number in numbers)])"
SAID = {
    "number": "Mia knits 3 scarves. She has knitted 45 rows, so 120 - 45 = 75 rows are left.\n#### 75",
    "choice": "We breathe oxygen, so the air must be mostly made of oxygen.\nAnswer: A",
    "code": f"```python\n{COUNTS}\n```",
}
ERRORS = {"number": NUMBER, "choice": CHOICE, "code": CODE}
WORDS = {
    "evidence": '"120 - 45 = 75": there should stand 3 * 120 = 360 first, and then 360 - 45 = 315.',
    "misconception": "The model works with the amount of one thing where all of them are asked for, and never multiplies by their number.",
    "skill": "multiplying by the number of things",
    "teach": "Vary the things, their number and what is taken away; keep a count that is said once, and a question about the whole.",
}
PROGRAM = "def draw(rng, level):\n" + "    number = rng.randint(2, 9)\n" * 60 + "ANCHORS = {}\n"


def shown(kind: str, boundary: str) -> Shown:
    """The error with a diagnosis, a refused program, and two solved neighbours."""
    example = ERRORS[kind]
    attempt = Attempt(example=example, response=SAID[kind], verdict=Verdict(correct=False, extracted="75", reason="wrong"))
    solved = attempt.model_copy(update={"verdict": Verdict(correct=True, extracted="75", reason="right")})
    failure = Failure(attempt=attempt, contrasts=(solved, solved))
    diagnosis = Diagnosis(failure_ids=(failure.id,), strategy="s", verdict="error", boundary=boundary, **WORDS)
    program = SampleProgram(diagnosis_id=diagnosis.id, source=PROGRAM, anchors=(failure.id,), kind=example.kind)
    complaint = Rejection(of=program.id, kind="program", check="diverse", reason="only 37 distinct problems in 200 draws, 50 are needed")
    return Shown(
        failure, TeachingResult(failure_ids=(failure.id,), diagnosis=diagnosis, program=None, refused=(program,), rejections=(complaint,))
    )


def calls(task: Task, kind: str) -> dict[str, str]:
    """Name of each call -> all its text."""
    found = {}
    strategies = {"LearnFromError": LearnFromError(), "LearnFromContrast": LearnFromContrast(), "Mimic": Mimic()}
    for name, strategy in strategies.items():
        boundary = "It can work with one thing and cannot with several." if name == "LearnFromContrast" else ""
        for call in prompts(strategy, shown(kind, boundary), task.brief):
            found[f"{name} {call.predictor}"] = "".join(row["content"] for row in call.messages)
    questions = [ERRORS[kind].question] * 8
    found["solve 8 questions"] = solve_prompt(questions, task.brief)
    return found


class Kept(Chat):
    """Keeps the prompt and answers nothing."""

    text = ""

    def __call__(self, lm: Any, lm_kwargs: Any, signature: Any, demos: Any, inputs: Any) -> list[dict[str, Any]]:
        self.text = "".join(str(row["content"]) for row in self.format(signature, demos, inputs))
        return [{"reasoning": "", "answers": []}]


def solve_prompt(questions: list[str], brief: str) -> str:
    """What the independent solves of these questions are asked with."""
    kept = Kept(0)
    with dspy.context(lm=DummyLM([]), adapter=kept):
        Agree()(questions, brief)
    return kept.text


def main(sandbox: Sandbox) -> None:
    os.environ["TIKTOKEN_CACHE_DIR"] = str(Path(str(find_spec("litellm").origin)).parent / "litellm_core_utils" / "tokenizers")
    encoding = tiktoken.get_encoding("cl100k_base")
    print("| kind | call | characters | tokens |\n|---|---|---|---|")
    total = 0
    for kind, task in {"number": "sums", "choice": "facts", "code": "lists"}.items():
        for name, text in calls(load_task(task, runner=sandbox.run), kind).items():
            tokens = len(encoding.encode(text))
            total += tokens
            print(f"| {kind} | {name} | {len(text):,} | {tokens:,} |")
    print(f"| all | | | {total:,} |")


if __name__ == "__main__":
    argparse.ArgumentParser(description="Tokens of the prompts to an instructor, by kind of task, strategy and call.").parse_args()
    with open_sandbox(workers=1) as opened:
        main(opened)
