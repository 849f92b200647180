"""Search for own words: where no sampled solution is right, the target goes on from its best partial solutions, line by line.

After the search of AlphaLLM (arXiv 2404.12253), with the computed answer as critic instead of learned ones. What the target wrote is cut at
its line ends; each beginning is scored by the mean reward of the answers that went through it, and the next ones go on from the beginnings
that UCB1 picks (Auer et al. 2002). An answer's reward is 1 when it is right, else the share of the worked solution's results that its
calculations come to, so that a beginning is worth something before the first right answer is there.

What is not here: values beyond those of whole answers. An answer of one line has one beginning: searching is then sampling.
"""

from collections.abc import Generator, Sequence
from itertools import accumulate
from math import log, sqrt
from operator import itemgetter
from typing import Any

from ...signatures.records import Example, Rollout, Rollouts
from ...tasks import Task
from ...trainers.chat import AnyTarget, Completion
from ..run.evaluate import judged, verdict_of
from ..samples.calculations import calculated
from .lessons import own

Asked = Generator[tuple[Example, Rollouts]]
WIDTH = 4
"""Beginnings of a question that are gone on from at the same time."""
EXPLORE = 0.5
"""Weight of what was tried little against what went well."""


def beginnings(response: str) -> list[str]:
    """The empty text, and the response up to the end of each line but the last."""
    parts = list(accumulate(response.splitlines(keepends=True), initial=""))
    return [part for place, part in enumerate(parts[:-1]) if place == 0 or part.strip()]


def reward(response: str, correct: bool | None, results: Sequence[Any]) -> float:
    """1 for a right answer, else the share of the worked solution's results that it comes to by true calculations, always under 1."""
    if correct:
        return 1.0
    values, false = calculated(response)
    return 0.0 if false else len(set(results) & set(values)) / (len(set(results)) + 1)


class Tree:
    """The beginnings of answers to one question."""

    def __init__(self, example: Example, tries: Rollouts, budget: int):
        """`example` holds the worked solution; `budget` in new tokens."""
        self.example = example
        self.tries = tries
        self.left = budget
        self.results = calculated(example.solution)[0]
        self.known: dict[str, tuple[int, float]] = {"": (0, 0.0)}
        """Beginning -> how many answers went through it, and the sum of their rewards."""
        for one in tries.tries:
            self.add(one.response, one.correct)

    def add(self, response: str, correct: bool | None) -> None:
        gained = reward(response, correct, self.results)
        for start in beginnings(response):
            visits, total = self.known.get(start, (0, 0.0))
            self.known[start] = visits + 1, total + gained

    def ended(self, budget: int, **found: str) -> tuple[Example, Rollouts]:
        return self.example, self.tries.model_copy(update={"tokens": self.tries.tokens + budget - self.left} | found)

    def pick(self, count: int) -> list[str]:
        """`count` beginnings by UCB1; one that is picked counts as tried at once."""
        visits = {start: max(1, seen) for start, (seen, _) in self.known.items()}
        picked = []
        for _ in range(count):
            every = log(1 + sum(visits.values()))
            best = max(self.known, key=lambda start: (self.known[start][1] / visits[start] + EXPLORE * sqrt(every / visits[start]), start))
            visits[best] += 1
            picked.append(best)
        return picked


def search(task: Task, pending: Sequence[tuple[Example, Rollouts]], target: AnyTarget, budget: int, temperature: float, seed: int) -> Asked:
    """Each question with the right answer that was found, or without one when `budget` new tokens are spent; in the order of ending.
    `pending` are questions without a right try; where an example holds no worked solution, only right answers are rewarded."""
    trees = [Tree(example, tries, budget) for example, tries in pending]
    wave = 0
    while trees:
        wave += 1
        asked: list[tuple[Tree, str]] = []
        going: list[Tree] = []
        for tree in trees:
            if width := min(WIDTH, tree.left // task.max_new_tokens):
                asked += [(tree, start) for start in tree.pick(width)]
                going.append(tree)
            else:
                yield tree.ended(budget)
        found = _wave(task, asked, target, temperature, seed * 1000 + wave)
        trees = []
        for tree in going:
            right = own(tree.tries.model_copy(update={"tries": tuple(found[tree.example.id])}))
            if right is None:
                trees.append(tree)
            else:
                yield tree.ended(budget, found=right)


def _wave(task: Task, asked: Sequence[tuple[Tree, str]], target: AnyTarget, temperature: float, seed: int) -> dict[str, list[Rollout]]:
    """Go on from each beginning once; the answers of each tree, by its example's id, in the order in which it asked."""
    found: dict[str, list[Rollout]] = {tree.example.id: [] for tree, _ in asked}
    answers = sampled(task, [tree.example for tree, _ in asked], target, temperature, seed, begun=[start for _, start in asked])
    for place, one, tokens in sorted(answers, key=itemgetter(0)):
        tree = asked[place][0]
        tree.left -= tokens
        tree.add(one.response, one.correct)
        found[tree.example.id].append(one)
    return found


def sampled(
    task: Task, examples: Sequence[Example], target: AnyTarget, temperature: float, seed: int, **begun: Sequence[str]
) -> Generator[tuple[int, Rollout, int]]:
    """One sampled and judged answer to each example, as they come: (place, answer, new tokens). `begun`: what each goes on from."""

    def judge(answer: tuple[int, Completion]) -> tuple[int, Rollout, int]:
        place, given = answer
        return place, Rollout.of(given.text, verdict_of(task, examples[place], given), given.finish), given.tokens

    prompts = [task.prompt(example) for example in examples]
    return judged(task, judge, target.generate(prompts, max_new_tokens=task.max_new_tokens, temperature=temperature, seed=seed, **begun))
