"""Errors of one kind taught together: one diagnosis and one program for a cluster.

Errors are put together by the words of question and response; then the instructor says which of them are of one kind, and its program
claims those that it rebuilds. What is not here: teaching the others, each alone (errata.programs.steps.teach).
"""

from collections.abc import Sequence
from typing import Any

from ...signatures.records import Failure
from ...signatures.teach import DiagnoseErrors, RepairForErrors, WriteForErrors
from .contrast import Encoder, WordEncoder
from .diagnose import Diagnose
from .strategy import Strategy
from .write import Write

APART = 0.5  # cosine distance (mean over pairs, 0 to 1) above which errors are not put together


def clusters(failures: Sequence[Failure], size: int, encoder: Encoder | None = None, apart: float = APART) -> list[tuple[Failure, ...]]:
    """The failures in groups of at most `size` that are alike in words, by agglomerative clustering with average linkage. Deterministic, in
    the order of each group's first failure. Items of different tasks are never put together."""
    found: dict[Any, list[Failure]] = {}
    for task in dict.fromkeys(failure.attempt.example.task for failure in failures):
        mine = [failure for failure in failures if failure.attempt.example.task == task]
        for failure, label in zip(mine, _labels(mine, encoder or WordEncoder(), apart), strict=True):
            found.setdefault((task, label), []).append(failure)
    return [tuple(group[start : start + size]) for group in found.values() for start in range(0, len(group), size)]


def _labels(failures: Sequence[Failure], encoder: Encoder, apart: float) -> list[int]:
    if len(failures) < 2:
        return [0] * len(failures)
    from sklearn.cluster import AgglomerativeClustering
    from sklearn.metrics.pairwise import cosine_distances

    vectors = encoder.encode([f"{failure.attempt.example.question}\n{failure.attempt.answered}" for failure in failures])
    model = AgglomerativeClustering(n_clusters=None, metric="precomputed", linkage="average", distance_threshold=apart)
    return list(model.fit_predict(cosine_distances(vectors)))


class LearnFromClusters(Strategy):
    """Errors that are alike, several at once: two calls for a cluster instead of two for each error."""

    def __init__(self, reference: bool = True, repairs: int = 2, size: int = 5, encoder: Encoder | None = None):
        """`size`: most errors that are shown together."""
        super().__init__(Diagnose(DiagnoseErrors, reference=reference), Write(WriteForErrors, RepairForErrors, repairs=repairs))
        self.size = size
        self.encoder = encoder

    def groups(self, failures: Sequence[Failure]) -> list[tuple[Failure, ...]]:
        return clusters(failures, self.size, self.encoder)
