"""How much of answering many prompts is done: prompts differ in length, and answers in how many rounds they take.

What is not here: batching and decoding (errata.trainers.target), and how the time left is told.
"""

from collections.abc import Sequence

NEW = 4.0
"""Cost of a new token of an answer, in tokens of a prompt: on a CPU, 4.3 of the shipped model and 4.7 of one of 135M parameters."""


class Work:
    """Of one call of `generate`: rounds in which each row gets some new tokens; those that are not finished come again in the next."""

    def __init__(self, rounds: int):
        """`rounds`: most that an answer takes."""
        self._later = rounds
        self._done = 0.0

    def begin(self, lengths: Sequence[int]) -> None:
        """A round of rows with so many tokens each."""
        self._later -= 1
        self._left, self._tokens = len(lengths), sum(lengths)
        self._seen, self._steps = 0, 0.0
        self._waiting, self._waiting_tokens = 0, 0.0

    def batch(self, lengths: Sequence[int], steps: int, unfinished: int) -> float:
        """The share of all work that is done after a batch of rows with so many tokens, which took `steps` new tokens each; what is not
        done yet is taken to be like the batches of this round."""
        rows, tokens = len(lengths), sum(lengths)
        self._done += rows * (max(lengths) + NEW * steps)
        self._left, self._tokens = self._left - rows, self._tokens - tokens
        self._seen, self._steps = self._seen + rows, self._steps + steps * rows
        self._waiting += unfinished
        self._waiting_tokens += (tokens / rows + steps) * unfinished
        each, goes_on = NEW * self._steps / self._seen, self._waiting / self._seen
        # rounds that a row which goes on takes: what went on once goes on more likely
        more = sum(((1 + goes_on) / 2) ** number for number in range(self._later))
        left = self._tokens + each * self._left
        ahead = left * (1 + goes_on * more) + more * (self._waiting_tokens + each * self._waiting)
        return self._done / (self._done + ahead) if ahead else 1.0
