"""From probabilities to one bucket; the probabilities themselves are never bent."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from app.contract.artifact import pack_array, unpack_array
from app.contract.buckets import N_BUCKETS
from app.errors import IncompatibleArtifactError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


class Rule(StrEnum):
    """What the chosen bucket is best at."""

    ARGMAX = "argmax"
    """The most probable bucket: best accuracy."""
    WEIGHTED_F1 = "weighted_f1"
    """The best weighted F1."""
    MACRO_F1 = "macro_f1"
    """The best macro F1."""
    EXPECTED_COST = "expected_cost"
    """The bucket of least expected cost under a stated matrix."""


@dataclass(frozen=True)
class DecisionRule:
    """A fitted rule.

    Every rule is a linear score a bucket: `probabilities @ scores`, and the highest wins, the lower bucket on ties.
    Argmax is the identity, expected cost is minus the cost matrix, and the rules for F1 multiply each probability and
    take a constant off each bucket (a constant is a full column, since probabilities sum to 1).

    Attributes:
        rule: which one.
        scores: float64 (5, 5): row = true bucket, column = chosen bucket.
    """

    rule: Rule
    scores: NDArray[np.float64]

    @classmethod
    def argmax(cls) -> DecisionRule:
        """The most probable bucket."""
        return cls(Rule.ARGMAX, np.eye(N_BUCKETS))

    @classmethod
    def weighted(cls, rule: Rule, weights: NDArray[np.float64]) -> DecisionRule:
        """Class weights, shape (5,), multiplied into the probabilities before the maximum."""
        return cls(rule, np.diag(weights))

    @classmethod
    def expected_cost(cls, costs: NDArray[np.float64]) -> DecisionRule:
        """Costs, shape (5, 5): row = true bucket, column = chosen bucket."""
        return cls(Rule.EXPECTED_COST, -costs)

    def choose(self, probabilities: NDArray[np.float64]) -> NDArray[np.int8]:
        """Choose a bucket a row: float64 (n, 5) in, int8 (n,) out."""
        chosen: NDArray[np.int8] = (probabilities @ self.scores).argmax(axis=1).astype(np.int8)
        return chosen

    def to_payload(self) -> dict[str, Any]:
        """Primitives and bytes."""
        return {"rule": str(self.rule), "scores": pack_array(self.scores)}

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> DecisionRule:
        """Undo `to_payload`.

        Raises:
            IncompatibleArtifactError: no such rule, or scores of another shape.
        """
        try:
            rule, scores = Rule(payload["rule"]), unpack_array(payload["scores"])
        except (KeyError, TypeError, ValueError) as error:
            raise IncompatibleArtifactError(f"the decision rule of the artifact is malformed: {error}") from error
        if scores.shape != (N_BUCKETS, N_BUCKETS) or not np.isfinite(scores).all():
            raise IncompatibleArtifactError(f"the decision rule has scores of shape {scores.shape}")
        return cls(rule, scores)
