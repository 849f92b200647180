"""What a target answers to the items of a task, judged as answers come.

What is not here: how attempts are kept (errata.programs.steps.session), batching, decoding and servers (errata.trainers), and what a right
answer is (errata.tasks).
"""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from ...signatures.calls import CEILING
from ...signatures.records import Attempt, Example, Verdict
from ...tasks import Task, parts
from ...trainers.chat import AnyTarget, Completion

T = TypeVar("T")
R = TypeVar("R")
Rows = Generator[tuple[Example, Attempt]]
WIDTH = max(8, os.cpu_count() or 1)
"""Code answers under way in the sandbox at the same time."""
WAITING = CEILING
"""Answers in prose that wait for their judge at the same time; it has `judge.in_flight` calls under way."""


def attempts(task: Task, examples: Sequence[Example], target: AnyTarget) -> Rows:
    """The target's greedy answer to each example, judged, in the order in which batches finish."""
    prompts = [task.prompt(example) for example in examples]

    def judge(answer: tuple[int, Completion]) -> tuple[Example, Attempt]:
        example, said = examples[answer[0]], answer[1]
        verdict, finish = verdict_of(task, example, said), said.finish
        return example, Attempt(example=example, response=said.text, verdict=verdict, target=target.hash, finish=finish, tokens=said.tokens)

    return judged(task, judge, target.generate(prompts, max_new_tokens=task.max_new_tokens))


def verdict_of(task: Task, example: Example, completion: Completion) -> Verdict:
    """What the task says of an answer; a question that the target's server refused is unjudged."""
    if completion.fault:
        return Verdict(correct=None, extracted=None, reason=f"the server refused the question: {completion.fault}")
    return task.verdict(example, completion.text)


def judged(task: Task, judge: Callable[[T], R], answers: Iterable[T]) -> Generator[R]:
    """judge(answer) of each answer, in their order. Those of code tasks run in the sandbox, and those in prose wait for a language model,
    several at a time, while further ones come in. An error waits for what is under way: it may be paid for. An interrupt does not."""
    kinds = {one.kind for one in parts(task)}
    if not kinds & {"code", "prose"}:
        yield from map(judge, answers)
        return
    pool, wait = ThreadPoolExecutor(max_workers=max(WIDTH, WAITING) if "prose" in kinds else WIDTH), True
    waiting: deque[Future[R]] = deque()
    try:
        for answer in answers:
            waiting.append(pool.submit(judge, answer))
            while waiting and waiting[0].done():
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BaseException as error:
        wait = isinstance(error, Exception)
        raise
    finally:
        pool.shutdown(wait=wait, cancel_futures=True)
