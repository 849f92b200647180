"""Evaluates a target on a task: one attempt an item, written as it finishes, continued where a kill left it.

What is not here: batching, decoding and servers (errata.trainers), and what a right answer is (errata.tasks).
"""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from ...signatures.records import Attempt, Example
from ...tasks import Task
from ...trainers.chat import AnyTarget, Completion
from ..stats import counts
from .directory import Stage

T = TypeVar("T")
R = TypeVar("R")
WIDTH = max(8, os.cpu_count() or 1)
"""Code answers under way in the sandbox at the same time."""


def attempts(task: Task, examples: Sequence[Example], target: AnyTarget) -> Generator[tuple[Example, Attempt]]:
    """The target's greedy answer to each example, judged, in the order in which batches finish."""
    prompts = [task.prompt(example) for example in examples]

    def judge(answer: tuple[int, Completion]) -> tuple[Example, Attempt]:
        example, completion = examples[answer[0]], answer[1]
        verdict = task.verdict(example, completion.text)
        return example, Attempt(example=example, response=completion.text, verdict=verdict, target=target.hash, finish=completion.finish)

    return judged(task, judge, target.generate(prompts, max_new_tokens=task.max_new_tokens))


def judged(task: Task, judge: Callable[[T], R], answers: Iterable[T]) -> Generator[R]:
    """judge(answer) of each answer, in their order. Those of code tasks run in the sandbox, WIDTH at a time, while further ones come in."""
    if task.kind not in ("code", "several"):
        yield from map(judge, answers)
        return
    pool = ThreadPoolExecutor(max_workers=WIDTH)
    waiting: deque[Future[R]] = deque()
    try:
        for answer in answers:
            waiting.append(pool.submit(judge, answer))
            while waiting and waiting[0].done():
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # after an interrupt nobody waits for what was queued


Rows = Generator[tuple[Example, Attempt]]


def evaluate(
    stage: Stage,
    task: Task,
    examples: Sequence[Example],
    open_target: Callable[[], AnyTarget],
    watch: Callable[[Rows, int], Rows] = lambda rows, total: rows,
) -> list[Attempt]:
    """Evaluate into a stage and finish it. The target is opened only when an answer is missing; `watch` sees rows go by."""
    if stage.done:
        return stage.read("attempts.jsonl", Attempt)
    unique = list({example.id: example for example in examples}.values())

    def produce(missing: list[Example]) -> Rows:
        return watch(attempts(task, missing, open_target()), len(missing))

    rows = stage.collect("attempts.jsonl", unique, lambda example: example.id, produce, Attempt)
    stage.finish({"attempts.jsonl": rows}, **counts(rows))
    return rows
