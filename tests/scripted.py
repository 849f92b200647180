"""A failure, and a strategy that is taught from it by a scripted instructor, for tests."""

from dspy.utils import DummyLM

from errata.programs.instructor.chat import instructed_by
from errata.signatures.records import Attempt, Example, Failure, Verdict


def attempt(question, answer, response, correct):
    example = Example(task="sums", split="train", question=question, answer=answer, solution=f"worked {answer}")
    return Attempt(example=example, response=response, verdict=Verdict(correct=correct, extracted=response, reason=""))


FAILURE = Failure(attempt=attempt("Ann has 3 bags of 4 pens and loses 2.", "10", "14", False))


SOLVED = [
    attempt("Ann has 5 bags of 6 pens.", "30", "30 it is", True),
    attempt("A train leaves at noon and arrives at five.", "5", "5", True),
    attempt("Bob has 7 bags of 2 pens and loses 1.", "13", "13 it is", True),
]


DIAGNOSIS = {"verdict": "error", "skill": "loss after a product", "misconception": "adds", "evidence": "14", "teach": "vary the loss"}


def program(text, refusal=""):
    return {"refusal": refusal, "program": f"```python\n{text}\n```" if text else ""}


def taught(strategy, answers, prove=lambda program: None, failure=FAILURE):
    lm = DummyLM(answers)
    with instructed_by(lm):
        result = strategy(failures=(failure,), brief="sums", prove=prove)
    return result, lm.history


def shown(entry):
    return entry["messages"][-1]["content"]
