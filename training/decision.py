"""Fit the decision rule on held-out probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from app.contract.buckets import N_BUCKETS
from app.model.decision import DecisionRule, Rule

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from training.config import DecisionConfig

_STEPS: Final = (0.4, 0.2, 0.1, 0.05)


def fit_decision(
    labels: NDArray[np.integer[Any]], probabilities: NDArray[np.float64], config: DecisionConfig
) -> DecisionRule:
    """Fit the configured rule.

    Args:
        labels: true buckets (n,) of rows that the probabilities were not fitted on.
        probabilities: float64 (n, 5).
        config: which rule, and its cost matrix where it needs one.
    """
    rule = Rule(config.rule)
    if rule is Rule.ARGMAX:
        return DecisionRule.argmax()
    if rule is Rule.EXPECTED_COST:
        return DecisionRule.expected_cost(np.array(config.cost_matrix, dtype=np.float64))
    shares = np.bincount(labels, minlength=N_BUCKETS) / len(labels)
    importance = shares if rule is Rule.WEIGHTED_F1 else np.full(N_BUCKETS, 1.0 / N_BUCKETS)
    return DecisionRule.weighted(rule, _best_weights(labels, probabilities, importance))


def _best_weights(
    labels: NDArray[np.integer[Any]], probabilities: NDArray[np.float64], importance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Coordinate ascent on log class weights, steps halving; the largest class is the fixed point."""
    logs = np.log(np.clip(probabilities, 1e-15, 1.0))
    anchor = int(np.bincount(labels, minlength=N_BUCKETS).argmax())
    weights = np.zeros(N_BUCKETS)
    best = _f1(labels, logs.argmax(axis=1), importance)
    for step in _STEPS:
        improved = True
        while improved:
            improved = False
            for bucket in range(N_BUCKETS):
                if bucket == anchor:
                    continue
                for change in (-step, step):
                    candidate = weights.copy()
                    candidate[bucket] += change
                    score = _f1(labels, (logs + candidate).argmax(axis=1), importance)
                    if score > best + 1e-6:
                        best, weights, improved = score, candidate, True
    return np.exp(weights)


def _f1(labels: NDArray[np.integer[Any]], chosen: NDArray[np.intp], importance: NDArray[np.float64]) -> float:
    """F1 of each bucket, weighted by importance; the inner loop of the search, so without scikit-learn's checks."""
    table = np.bincount(labels.astype(np.intp) * N_BUCKETS + chosen, minlength=N_BUCKETS**2)
    table = table.reshape(N_BUCKETS, N_BUCKETS)
    total = table.sum(axis=0) + table.sum(axis=1)
    return float(importance @ (2.0 * np.diag(table) / np.maximum(total, 1)))
