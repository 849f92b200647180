"""Finds, for each failure, the solved questions most like it.

The encoder is a seam: anything with `encode(texts) -> (N, D) array`, one row a text. The default weighs words and needs no download;
numbers count as one word, so that likeness is of the story and not of its figures.
"""

import re
from collections.abc import Sequence
from typing import Any, Protocol

from ...signatures.records import Attempt, Failure


class Encoder(Protocol):
    def encode(self, texts: Sequence[str]) -> Any:
        """(N, D) array or sparse matrix, one row a text."""
        ...


class WordEncoder:
    """TF-IDF over words and pairs of words."""

    def encode(self, texts: Sequence[str]) -> Any:
        from sklearn.feature_extraction.text import TfidfVectorizer  # over a second, which a command that finds no likeness does without

        masked = [re.sub(r"\d[\d.,]*", "0", text) for text in texts]
        return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b").fit_transform(masked)


def with_contrasts(failures: Sequence[Failure], solved: Sequence[Attempt], k: int, encoder: Encoder | None = None) -> list[Failure]:
    """The failures, each with its (at most) k nearest solved attempts by cosine distance, nearest first."""
    if not failures or not solved:
        return list(failures)
    from sklearn.neighbors import NearestNeighbors

    texts = [row.attempt.example.question for row in failures] + [row.example.question for row in solved]
    vectors = (encoder or WordEncoder()).encode(texts)
    search = NearestNeighbors(n_neighbors=min(k, len(solved)), metric="cosine").fit(vectors[len(failures) :])
    nearest = search.kneighbors(vectors[: len(failures)], return_distance=False)
    return [failure.model_copy(update={"contrasts": tuple(solved[i] for i in row)}) for failure, row in zip(failures, nearest, strict=True)]
