"""Decision rules and set scores that were compared with those in use."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from app.contract.buckets import N_BUCKETS
from app.model.decision import DecisionRule, Rule
from training.config import DecisionConfig
from training.decision import fit_decision

if TYPE_CHECKING:
    from benchmarks.experiments.models import Floats

Decide: TypeAlias = Callable[[NDArray[np.int64], "Floats"], DecisionRule]
"""Fits a rule on labels (n,) and probabilities (n, 5) of rows that the model has not seen."""
Score: TypeAlias = "Callable[[Floats], Floats]"
"""From probabilities (n, 5) to scores (n, 5); higher is more typical."""

_STEPS: Final = (0.8, 0.4, 0.2, 0.1)


def project_rule(name: Literal["argmax", "weighted_f1", "macro_f1"]) -> Decide:
    """One of the project's rules; it needs probabilities only."""
    config = DecisionConfig(rule=name)
    return lambda _labels, probabilities: fit_decision(probabilities, config)


def class_weights(labels: NDArray[np.int64], probabilities: Floats) -> DecisionRule:
    """Class weights by coordinate ascent on the weighted F1 of labelled rows, all but the largest bucket's."""
    fixed = int(np.bincount(labels, minlength=N_BUCKETS).argmax())
    logs = np.zeros(N_BUCKETS)

    def score(candidate: Floats) -> float:
        chosen = (probabilities * np.exp(candidate)).argmax(axis=1)
        return float(f1_score(labels, chosen, average="weighted"))

    best = score(logs)
    for step in _STEPS:
        for bucket in set(range(N_BUCKETS)) - {fixed}:
            for change in (-step, step):
                candidate = logs.copy()
                candidate[bucket] += change
                found = score(candidate)
                if found > best:
                    best, logs = found, candidate
    return DecisionRule.weighted(Rule.WEIGHTED_F1, np.exp(logs))


def cumulative_scores(probabilities: Floats) -> Floats:
    """Minus the mass of the contiguous set, grown greedily from the most probable bucket, when a bucket joins it.

    Adaptive prediction sets (Romano, Sesia and Candès 2020) over ordered classes (Lu, Angelopoulos and Pomerantz 2022).

    Args:
        probabilities: float64 (n, 5).

    Returns:
        float64 (n, 5); higher is more typical.
    """
    rows = np.arange(len(probabilities))
    padded = np.pad(probabilities, ((0, 0), (1, 1)), constant_values=-1.0)
    first = probabilities.argmax(axis=1)
    last = first.copy()
    mass = probabilities.max(axis=1)
    scores = np.empty_like(probabilities)
    scores[rows, first] = -mass
    for _ in range(N_BUCKETS - 1):
        below, above = padded[rows, first], padded[rows, last + 2]
        down = below > above
        joining = np.where(down, first - 1, last + 1)
        mass = mass + np.where(down, below, above)
        scores[rows, joining] = -mass
        first, last = np.where(down, first - 1, first), np.where(down, last, last + 1)
    return scores


def conformal_sets(score: Score, labels: NDArray[np.int64], held_out: Floats, asked: Floats, coverage: float) -> Floats:
    """Split conformal sets by any score: 1 where a bucket is inside, float64 (n, 5).

    Args:
        score: from probabilities (m, 5) to scores (m, 5); higher is more typical.
        labels: of the held-out rows (m,).
        held_out: their probabilities (m, 5).
        asked: probabilities (n, 5) to make sets for.
        coverage: share of rows whose true bucket must be inside.
    """
    own = np.sort(score(held_out)[np.arange(len(labels)), labels])
    rank = int(np.floor((1.0 - coverage) * (len(own) + 1) + 1e-9))
    inside = score(asked) >= (own[rank - 1] if rank else -np.inf)
    inside[np.arange(len(inside)), asked.argmax(axis=1)] = True
    return inside.astype(np.float64)
