"""Fit the decision rule on held-out probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from app.contract.buckets import N_BUCKETS
from app.model.decision import DecisionRule, Rule

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from training.config import DecisionConfig

_ITERATIONS: Final = 60
_UNDAMPED: Final = 3


def fit_decision(probabilities: NDArray[np.float64], config: DecisionConfig) -> DecisionRule:
    """Fit the configured rule.

    Args:
        probabilities: float64 (n, 5) of rows that they were not fitted on.
        config: which rule, and its cost matrix where it needs one.
    """
    rule = Rule(config.rule)
    if rule is Rule.ARGMAX:
        return DecisionRule.argmax()
    if rule is Rule.EXPECTED_COST:
        return DecisionRule.expected_cost(np.array(config.cost_matrix, dtype=np.float64))
    shares = probabilities.mean(axis=0)
    importance = shares if rule is Rule.WEIGHTED_F1 else np.full(N_BUCKETS, 1.0 / N_BUCKETS)
    return DecisionRule(rule, _best_scores(probabilities, importance))


def _best_scores(probabilities: NDArray[np.float64], importance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Iterate to the rule that no single decision can improve.

    With the F measure of bucket k, F_k = 2 TP_k / (chosen_k + true_k), choosing k for a row of probability p_k changes
    the importance-weighted sum by importance_k (2 p_k - F_k) / (chosen_k + true_k) (the linearisation used by Koyejo et
    al., Consistent binary classification with generalized performance metrics, 2014). Counts are expected ones under
    the calibrated probabilities, which vary less than the few labels of the rare buckets.
    """
    true = probabilities.mean(axis=0)
    gain, price = np.ones(N_BUCKETS), np.zeros(N_BUCKETS)
    best, best_score = (gain, price), -np.inf
    for iteration in range(_ITERATIONS):
        chosen = np.eye(N_BUCKETS)[(gain * probabilities - price).argmax(axis=1)]
        total = chosen.mean(axis=0) + true
        f_measure = 2.0 * (chosen * probabilities).mean(axis=0) / total
        score = float(importance @ f_measure)
        if score > best_score:
            best, best_score = (gain, price), score
        step = 1.0 if iteration < _UNDAMPED else 0.5
        gain = (1.0 - step) * gain + step * 2.0 * importance / total
        price = (1.0 - step) * price + step * importance * f_measure / total
    gain, price = best
    return np.diag(gain) - np.tile(price, (N_BUCKETS, 1))
