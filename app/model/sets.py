"""Contiguous ordinal prediction sets by split conformal prediction.

The score of bucket y is the largest threshold at which y still lies in the convex hull of the buckets at least that
probable: the smaller of the highest probability at or below y and the highest at or above y. Sets cut from such scores
are nested and contiguous. The threshold is the order statistic of held-out scores that guarantees the coverage in
finite samples (Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005; the class-conditional form is
its Mondrian predictor; Sadinle, Lei and Wasserman 2019 for least ambiguous sets).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from app.contract.artifact import pack_array, unpack_array
from app.contract.buckets import N_BUCKETS
from app.errors import IncompatibleArtifactError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


def hull_scores(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Score every bucket of every row: float64 (n, 5) in and out, unimodal along a row."""
    below = np.maximum.accumulate(probabilities, axis=1)
    above = np.maximum.accumulate(probabilities[:, ::-1], axis=1)[:, ::-1]
    return np.minimum(below, above)


@dataclass(frozen=True)
class ConformalSets:
    """Held-out scores of the true buckets, sorted upwards.

    Attributes:
        marginal: float64 (m,), all held-out rows.
        by_bucket: for each true bucket, the scores of its rows.
    """

    marginal: NDArray[np.float64]
    by_bucket: tuple[NDArray[np.float64], ...]

    @classmethod
    def fit(cls, labels: NDArray[np.integer[Any]], probabilities: NDArray[np.float64]) -> ConformalSets:
        """Keep the scores of held-out rows: labels (m,), probabilities float64 (m, 5) of rows not fitted on."""
        own = hull_scores(probabilities)[np.arange(len(labels)), labels]
        return cls(np.sort(own), tuple(np.sort(own[labels == bucket]) for bucket in range(N_BUCKETS)))

    def intervals(
        self,
        probabilities: NDArray[np.float64],
        coverage: float,
        *,
        class_conditional: bool,
    ) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
        """Give the first and last bucket of each row's set, inclusive.

        Args:
            probabilities: float64 (n, 5).
            coverage: share of rows whose true bucket must be inside, in (0, 1).
            class_conditional: guarantee it within each true bucket, not only overall.

        Returns:
            Two int8 arrays of shape (n,). A set is never empty: it holds at least the most probable bucket.
        """
        if class_conditional:
            inside = hull_scores(probabilities) >= [_threshold(scores, coverage) for scores in self.by_bucket]
        else:
            # With one threshold, the first and the last bucket that reach it by themselves are those of the hull.
            inside = probabilities >= _threshold(self.marginal, coverage)
        inside[np.arange(len(inside)), probabilities.argmax(axis=1)] = True
        first = inside.argmax(axis=1)
        last = N_BUCKETS - 1 - inside[:, ::-1].argmax(axis=1)
        return first.astype(np.int8), last.astype(np.int8)

    def to_payload(self) -> dict[str, Any]:
        """Primitives and bytes."""
        return {
            "marginal": pack_array(self.marginal),
            "by_bucket": [pack_array(scores) for scores in self.by_bucket],
        }

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> ConformalSets:
        """Undo `to_payload`.

        Raises:
            IncompatibleArtifactError: parts are absent or malformed.
        """
        try:
            marginal = unpack_array(payload["marginal"])
            by_bucket = tuple(unpack_array(scores) for scores in payload["by_bucket"])
        except (KeyError, TypeError) as error:
            raise IncompatibleArtifactError(f"the prediction sets of the artifact are malformed: {error}") from error
        if len(by_bucket) != N_BUCKETS or any(scores.ndim != 1 for scores in (marginal, *by_bucket)):
            raise IncompatibleArtifactError("the prediction sets of the artifact are malformed")
        return cls(marginal, by_bucket)


def _threshold(scores: NDArray[np.float64], coverage: float) -> float:
    """The finite-sample order statistic; -inf (every bucket) when there are too few scores for the coverage."""
    rank = math.floor((1.0 - coverage) * (len(scores) + 1) + 1e-9)
    return float(scores[rank - 1]) if rank >= 1 else -np.inf
