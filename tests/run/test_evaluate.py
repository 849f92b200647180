"""Evaluation: answers are judged in the order in which they come, those of code tasks several at a time."""

import threading

import pytest

from errata.programs.run import evaluate
from errata.programs.run.evaluate import attempts
from errata.signatures.records import Example, Verdict
from errata.trainers.chat import Completion

EXAMPLES = [Example(task="t", split="dev", question=f"question {number}", answer=str(number)) for number in range(12)]


class Answers:
    """A target that answers with the item's own number."""

    hash = "weights"

    def generate(self, prompts, max_new_tokens):
        yield from ((number, Completion(str(number), "stop", 1)) for number in range(len(prompts)))


class Coded:
    """A code task whose verdicts come in pairs: none ends before another one has begun."""

    kind = "code"
    max_new_tokens = 8

    def __init__(self):
        self.met = threading.Barrier(2, timeout=30)

    def prompt(self, example):
        return [{"role": "user", "content": example.question}]

    def verdict(self, example, response):
        self.met.wait()
        return Verdict(correct=response == example.answer, extracted=response, reason="right")


class Broken(Coded):
    def verdict(self, example, response):
        raise RuntimeError("a fault of the task")


def test_code_answers_are_judged_side_by_side_and_come_in_their_order():
    rows = list(attempts(Coded(), EXAMPLES, Answers()))
    assert [example for example, _ in rows] == EXAMPLES
    assert all(row.verdict.correct and row.example == example and row.target == "weights" for example, row in rows)


def test_a_fault_of_the_task_is_raised_from_its_thread():
    with pytest.raises(RuntimeError, match="a fault of the task"):
        list(attempts(Broken(), EXAMPLES, Answers()))


class Plain(Coded):
    kind = "number"

    def verdict(self, example, response):
        return Verdict(correct=response == example.answer, extracted=response, reason="right")


class Shared(Answers):
    """Tells how much of each call is done, and keeps how many it was asked."""

    def __init__(self):
        self.told, self.asked = [], []
        self.on_share = self.told.append

    def generate(self, prompts, max_new_tokens):
        self.asked.append(len(prompts))
        for number, prompt in reversed(list(enumerate(prompts))):
            yield number, Completion(prompt[0]["content"].split()[1], "stop", 1)
        self.on_share(1.0)


def test_many_examples_are_asked_in_equal_parts_each_once_and_the_share_is_that_of_all(monkeypatch):
    monkeypatch.setattr(evaluate, "WINDOW", 5)
    target = Shared()
    rows = list(attempts(Plain(), EXAMPLES, target))
    assert target.asked == [4, 4, 4]
    assert sorted(row.example.question for _, row in rows) == sorted(example.question for example in EXAMPLES)
    assert all(row.verdict.correct and row.example == example for example, row in rows)
    assert target.told == pytest.approx([1 / 3, 2 / 3, 1.0])
