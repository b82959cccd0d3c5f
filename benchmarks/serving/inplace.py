"""The floor of large batches: the classifier alone, by XGBoost's own threads, on the finished matrix."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from app.contract.features import Matrix
    from app.model.engine import Engine

THREADS: Final = 2


class InplacePredict:
    """`Booster.inplace_predict` in this process.

    Args:
        engine: holds the booster, which is copied.
        matrix: float32 (n, f).
    """

    def __init__(self, engine: Engine, matrix: Matrix) -> None:
        self._booster = engine.booster.copy()
        self._booster.set_param({"nthread": THREADS})
        self._matrix = matrix

    def rate(self, repeats: int) -> float:
        """Rows a second, the median of some calls."""
        times = []
        for _ in range(repeats):
            started = time.perf_counter()
            self._booster.inplace_predict(self._matrix, predict_type="margin")
            times.append(time.perf_counter() - started)
        return len(self._matrix) / median(times)
