"""What a target answers to the items of a task, judged as answers come.

What is not here: how attempts are kept (errata.programs.steps.session), batching, decoding and servers (errata.trainers), and what a right
answer is (errata.tasks).
"""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from math import ceil
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
WINDOW = 16_384
"""Most examples whose prompts and answers are held at once: enough that a target sorts them well, and that its last answers, which come one
by one, are few."""
WAITING = CEILING
"""Answers in prose that wait for their judge at the same time; it has `judge.in_flight` calls under way."""


def attempts(task: Task, examples: Sequence[Example], target: AnyTarget) -> Rows:
    """The target's greedy answer to each example, judged, in the order in which batches finish. More than WINDOW examples are asked in
    equal parts, one after the other: the prompts and answers of one are held."""

    def judge(answer: tuple[Example, Completion]) -> tuple[Example, Attempt]:
        example, said = answer
        verdict, finish = verdict_of(task, example, said), said.finish
        return example, Attempt(example=example, response=said.text, verdict=verdict, target=target.hash, finish=finish, tokens=said.tokens)

    return judged(task, judge, _answers(task, examples, target))


def _answers(task: Task, examples: Sequence[Example], target: AnyTarget) -> Iterator[tuple[Example, Completion]]:
    count = ceil(len(examples) / WINDOW)
    whole = target.on_share if count > 1 else None
    for part in range(count):
        begin, end = (len(examples) * place // count for place in (part, part + 1))
        some = list(examples[begin:end])
        if whole:
            target.on_share = partial(_share_of_all, whole, begin / len(examples), len(some) / len(examples))
        for place, said in target.generate([task.prompt(example) for example in some], max_new_tokens=task.max_new_tokens):
            yield some[place], said


def _share_of_all(tell: Callable[[float], None], before: float, width: float, share: float) -> None:
    tell(before + width * share)


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
