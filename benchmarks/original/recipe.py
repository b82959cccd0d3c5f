"""The recipe this project is compared with: balanced LightGBM tuned by forest-based Bayesian optimisation.

It is followed with its faults: integer codes are fitted on all rows, classes are weighted until they are balanced, and
the calls are judged by the test rows. What is not known of it is chosen here: the ranges below and the measure of a
call, weighted one-vs-rest ROC-AUC.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from lightgbm import LGBMClassifier
from skopt import forest_minimize
from skopt.space import Integer, Real

from app.contract.inputs import RAW_INPUTS, canonical_text, is_missing
from training.metrics import checked_labels, one_vs_rest_auc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.experiments.models import Floats
    from benchmarks.experiments.rows import Rows, Sides

SPACE: Final = (
    Real(1e-3, 1e-1, prior="log-uniform", name="learning_rate"),
    Integer(2, 128, name="num_leaves"),
    Integer(1, 100, name="min_child_samples"),
    Real(0.05, 1.0, name="subsample"),
    Real(0.1, 1.0, name="colsample_bytree"),
    Integer(100, 400, name="n_estimators"),
)


@dataclass(frozen=True)
class Found:
    """The best call.

    Attributes:
        probabilities: on the test rows, float64 (n, 5).
        params: by name.
        seconds: wall time of all calls, fits and search.
        cpu_seconds: the same, of all threads.
    """

    probabilities: Floats
    params: dict[str, Any]
    seconds: float
    cpu_seconds: float


def tune(sides: Sides, *, calls: int, threads: int, seed: int) -> Found:
    """Search with a forest as the surrogate; the first calls, ten at most, are random.

    Args:
        sides: training and validation rows are learned from, test rows judge each call.
        calls: number of fits.
        threads: of each fit.
        seed: of search and fits.
    """
    train, validation, test = _coded((sides.train, sides.validation, sides.test))
    matrix = np.vstack([train, validation])
    labels = np.concatenate([sides.train.labels, sides.validation.labels])
    true = checked_labels(sides.test.labels)
    shares = np.bincount(true, minlength=5) / len(true)
    best: tuple[float, Floats] = (-np.inf, np.empty((0, 5)))

    def judge(point: Sequence[Any]) -> float:
        nonlocal best
        model = LGBMClassifier(
            **_named(point),
            subsample_freq=1,
            class_weight="balanced",
            random_state=seed,
            n_jobs=threads,
            verbose=-1,
        )
        model.fit(matrix, labels)
        answered = np.asarray(model.predict_proba(test), dtype=np.float64)
        areas = one_vs_rest_auc(true, answered)
        score = float(sum(share * area for share, area in zip(shares, areas, strict=True) if area is not None))
        best = max(best, (score, answered), key=lambda pair: pair[0])
        return -score

    wall, cpu = time.perf_counter(), time.process_time()
    result = forest_minimize(judge, SPACE, n_calls=calls, n_initial_points=min(10, calls), random_state=seed)
    return Found(best[1], _named(result.x), time.perf_counter() - wall, time.process_time() - cpu)


def _named(point: Sequence[Any]) -> dict[str, Any]:
    return {
        dimension.name: int(value) if isinstance(dimension, Integer) else float(value)
        for dimension, value in zip(SPACE, point, strict=True)
    }


def _coded(sides: Sequence[Rows]) -> list[Floats]:
    """Replace categories by their position among all values in sorted order, those of the test rows included."""
    columns: list[list[Floats]] = [[] for _ in sides]
    for raw in RAW_INPUTS:
        parts = [side.columns[raw.name] for side in sides]
        if raw.categorical:
            texts = [["" if is_missing(value) else canonical_text(value) for value in part] for part in parts]
            known = np.unique(np.concatenate([np.array(part) for part in texts]))
            parts = [np.searchsorted(known, np.array(part)) for part in texts]
        for column, part in zip(columns, parts, strict=True):
            column.append(np.asarray(part, dtype=np.float64))
    return [np.column_stack(column) for column in columns]
