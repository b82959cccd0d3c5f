"""Fit the amounts inside the buckets: a location a bucket, and held-out residual quantiles around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from app.contract.buckets import N_BUCKETS
from app.model.engine import Engine
from app.model.values import ValueModel, to_logit
from training.boosting import BoosterParams, Part, merge, train_regressor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from app.contract.features import Matrix

LEVELS: Final = np.linspace(0.01, 0.99, 99)
ROUNDS: Final = 60
_PARAMS: Final = BoosterParams(eta=0.08, max_depth=4, min_child_weight=20.0)
_FOLDS: Final = 5
_MIN_ROWS: Final = 50


def fit_value(
    matrix: Matrix,
    amounts: NDArray[np.float64],
    labels: NDArray[np.integer[Any]],
    *,
    cap: float,
    seed: int,
    threads: int,
) -> dict[str, Any]:
    """Fit the value model of an artifact.

    Within each bucket the logit of the log position is regressed on the matrix; residuals are taken out of fold, so
    their quantiles are as wide as on new merchants. A bucket of fewer than 50 amounts keeps a constant location.

    Args:
        matrix: float32 (n, f).
        amounts: BRL a month (n,), real inside their buckets.
        labels: their buckets (n,).
        cap: BRL, upper end of the highest bucket.
        seed: of sampling and folds.
        threads: OpenMP threads.

    Returns:
        The payload entry; see `ValueModel.from_payload`.
    """
    zero = (labels == 0) & (amounts == 0)
    lowest = int((labels == 0).sum())
    columns = np.arange(matrix.shape[1])
    residuals = np.zeros((N_BUCKETS, len(LEVELS)))
    parts = []
    for bucket in range(N_BUCKETS):
        mine = np.flatnonzero((labels == bucket) & ~zero)
        if not len(mine):
            mine = np.flatnonzero(labels == bucket)
        targets = to_logit(amounts[mine], labels[mine], cap) if len(mine) else np.zeros(1)
        inside = matrix[mine] if len(mine) else matrix[:1]
        rounds = ROUNDS if len(mine) >= _MIN_ROWS else 1
        settings = {"rounds": rounds, "seed": seed, "threads": threads}
        parts.append(Part(train_regressor(inside, targets, _PARAMS, **settings), columns, 1.0, group=bucket))
        residuals[bucket] = np.quantile(_held_out_residuals(inside, targets, settings), LEVELS)
    booster = merge(parts, features=matrix.shape[1])
    model = ValueModel(
        engine=Engine(booster, features=matrix.shape[1], threads=threads),
        levels=LEVELS,
        residuals=residuals,
        zero_share=min(float(zero.sum()) / max(lowest, 1), 0.99),
        cap=cap,
    )
    return model.to_payload(booster)


def _held_out_residuals(matrix: Matrix, targets: NDArray[np.float64], settings: dict[str, int]) -> NDArray[np.float64]:
    residuals: NDArray[np.float64] = targets - targets.mean()
    if len(targets) < _MIN_ROWS:
        return residuals
    fold = np.random.default_rng(settings["seed"]).permutation(len(targets)) % _FOLDS
    for number in range(_FOLDS):
        held_out = fold == number
        booster = train_regressor(matrix[~held_out], targets[~held_out], _PARAMS, **settings)
        residuals[held_out] = targets[held_out] - booster.inplace_predict(matrix[held_out])
    return residuals
