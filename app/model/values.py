"""Amounts in BRL that agree with the buckets.

Within bucket k an amount lies at a position between the bucket's bounds on a log scale, and the logit of that position
is modelled as a location `mu_k(x)` plus a residual whose quantiles were measured on held-out rows. No quantile can
leave its bucket, and quantiles cannot cross. The lowest bucket has a hurdle at zero, the highest ends at a stated cap.
Because buckets are disjoint, the overall quantile function is that of the mixture, inverted exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from app.contract.artifact import pack_array, unpack_array
from app.contract.buckets import LOWER, N_BUCKETS, UPPER
from app.errors import IncompatibleArtifactError
from app.model.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from app.contract.features import Matrix

CENTAVO: Final = 0.01
"""Least positive amount, in BRL: the lower end of the log scale of the lowest bucket."""
INTERVAL: Final = (0.1, 0.9)
"""Levels of the interval given with a value: 80 %."""
_INTERVAL_LEVELS: Final = np.array(INTERVAL)[:, None]
_TINY: Final = float(np.finfo(np.float64).tiny)
_LOGIT_BOUND: Final = 12.0


_LOCATION_BOUND: Final = 30.0
"""Beyond it every residual leads to the end of the bucket, and the mean no longer changes."""
_PER_UNIT: Final = 64
"""Grid points of the table of means for each unit of location."""
_EACH: Final = np.arange(N_BUCKETS)


@dataclass(frozen=True)
class Values:
    """Amounts a month in BRL, each float64 (n,).

    Attributes:
        p50: median within the chosen bucket, so always inside it.
        lower: 10 % quantile over all buckets.
        upper: 90 % quantile over all buckets.
        mean: expected amount over all buckets; add these, not medians, to value a portfolio.
    """

    p50: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    mean: NDArray[np.float64]


def scale_bounds(cap: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Finite bounds of each bucket's log scale in BRL, two arrays (5,)."""
    lower, upper = np.array(LOWER), np.array(UPPER)
    lower[0], upper[-1] = CENTAVO, cap
    return lower, upper


def to_logit(amounts: NDArray[np.float64], buckets: NDArray[np.integer[Any]], cap: float) -> NDArray[np.float64]:
    """Logit of the log position inside the bucket: float64 (n,); amounts beyond the cap stand at it."""
    lower, upper = scale_bounds(cap)
    position = np.log(np.maximum(amounts, CENTAVO) / lower[buckets]) / np.log(upper[buckets] / lower[buckets])
    edge = 1.0 / (1.0 + np.exp(_LOGIT_BOUND))
    clipped = np.clip(position, edge, 1.0 - edge)
    logit: NDArray[np.float64] = np.log(clipped / (1.0 - clipped))
    return logit


@dataclass(frozen=True)
class ValueModel:
    """Fitted within-bucket distributions.

    Attributes:
        engine: five outputs, `mu_k(x)`.
        levels: float64 (q,), increasing in (0, 1).
        residuals: float64 (5, q), quantiles of the logit residual at those levels.
        zero_share: probability of exactly zero given the lowest bucket.
        cap: BRL, upper end of the highest bucket.
    """

    engine: Engine
    levels: NDArray[np.float64]
    residuals: NDArray[np.float64]
    zero_share: float
    cap: float

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any], *, features: int, threads: int) -> ValueModel:
        """Rebuild from the artifact.

        Raises:
            IncompatibleArtifactError: parts are absent or do not fit each other.
        """
        try:
            model = cls(
                engine=Engine(payload["booster"], features=features, threads=threads),
                levels=unpack_array(payload["levels"]),
                residuals=unpack_array(payload["residuals"]),
                zero_share=float(payload["zero_share"]),
                cap=float(payload["cap"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise IncompatibleArtifactError(f"the value model of the artifact is malformed: {error}") from error
        if model.residuals.shape != (N_BUCKETS, len(model.levels)) or not 0 <= model.zero_share < 1:
            raise IncompatibleArtifactError("the value model of the artifact is malformed")
        return model

    def predict(
        self,
        matrix: Matrix,
        probabilities: NDArray[np.float64],
        chosen: NDArray[np.int8],
    ) -> Values:
        """Give amounts for n merchants: matrix (n, f), probabilities (n, 5), chosen buckets (n,)."""
        location = self.engine.margins(matrix)
        # One pass for all three quantiles: for a single merchant the number of calls is what costs.
        buckets = np.empty((3, len(chosen)), dtype=np.intp)
        levels = np.empty((3, len(chosen)))
        buckets[0], levels[0] = chosen, 0.5
        buckets[1:], levels[1:] = _place_in_mixture(probabilities, _INTERVAL_LEVELS)
        p50, lower, upper = self._inside(location, buckets, levels)
        return Values(p50, np.minimum(lower, p50), np.maximum(upper, p50), self._mean(location, probabilities))

    def quantile(
        self, location: NDArray[np.float64], probabilities: NDArray[np.float64], level: float
    ) -> NDArray[np.float64]:
        """Invert the mixture of the buckets at one level: BRL (n,)."""
        amounts: NDArray[np.float64] = self._inside(location, *_place_in_mixture(probabilities, np.array([[level]])))[0]
        return amounts

    def _inside(
        self, location: NDArray[np.float64], bucket: NDArray[np.intp], level: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Quantiles within one bucket a row, never outside it: buckets and levels (q, n) in, BRL (q, n) out."""
        lowest = bucket == 0
        hurdle = np.logical_or.reduce(lowest, axis=None)
        if hurdle:
            is_zero = lowest & (level <= self.zero_share)
            level = np.where(lowest, np.maximum(level - self.zero_share, 0.0) / (1.0 - self.zero_share), level)
        before = self.levels[1:-1].searchsorted(level)
        start = self.levels.take(before)
        share = np.minimum(np.maximum((level - start) / (self.levels.take(before + 1) - start), 0.0), 1.0)
        # `take` with positions in the flattened array costs a third of an index of two dimensions.
        place = bucket * len(self.levels) + before
        left, right = self.residuals.take(place), self.residuals.take(place + 1)
        logit = location.take(_flat(bucket)) + left + share * (right - left)
        amount = self._amount(logit, bucket)
        return np.where(is_zero, 0.0, amount) if hurdle else amount

    def _amount(self, logit: NDArray[np.float64], bucket: NDArray[np.intp]) -> NDArray[np.float64]:
        lower, least, upper, ratio = self._scale
        bounded = np.minimum(np.maximum(logit, -_LOGIT_BOUND), _LOGIT_BOUND)
        amount = lower.take(bucket) * ratio.take(bucket) ** (1.0 / (1.0 + np.exp(-bounded)))
        inside: NDArray[np.float64] = np.minimum(np.maximum(amount, least.take(bucket)), upper.take(bucket))
        return inside

    @cached_property
    def _scale(self) -> tuple[NDArray[np.float64], ...]:
        """Lower bounds, least amounts above them, upper bounds and their ratio to the lower ones, each (5,)."""
        lower, upper = scale_bounds(self.cap)
        return lower, np.nextafter(lower, np.inf), upper, upper / lower

    def _mean(self, location: NDArray[np.float64], probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Expected amount: the tabulated mean of each bucket at its location, weighted by probability."""
        table = self._log_means
        position = (np.minimum(np.maximum(location, -_LOCATION_BOUND), _LOCATION_BOUND) + _LOCATION_BOUND) * _PER_UNIT
        index = np.minimum(position.astype(np.intp), table.shape[1] - 2)
        place = index + _EACH * table.shape[1]
        left, right = table.take(place), table.take(place + 1)
        inside = np.exp(left + (position - index) * (right - left))
        total: NDArray[np.float64] = np.add.reduce(probabilities * inside, axis=1)
        return total

    @cached_property
    def _log_means(self) -> NDArray[np.float64]:
        """Log of the expected amount of each bucket by location, float64 (5, grid).

        The expectation is the mean over the residual quantiles, a smooth function of the location alone, so that a
        table replaces a mean for every row: interpolated in the logarithm it is within 2e-5 of it.
        """
        grid = np.linspace(-_LOCATION_BOUND, _LOCATION_BOUND, int(2 * _LOCATION_BOUND * _PER_UNIT) + 1)
        rows = []
        for index in range(N_BUCKETS):
            bucket = np.array(index)
            means = np.mean([self._amount(grid + residual, bucket) for residual in self.residuals[index]], axis=0)
            rows.append(np.log(means * (1.0 - self.zero_share if index == 0 else 1.0)))
        return np.array(rows)

    def to_payload(self, booster: bytes) -> dict[str, Any]:
        """Primitives and bytes; `booster` is the UBJSON the engine was made from."""
        return {
            "booster": booster,
            "levels": pack_array(self.levels),
            "residuals": pack_array(self.residuals),
            "zero_share": self.zero_share,
            "cap": self.cap,
        }


def _place_in_mixture(
    probabilities: NDArray[np.float64], levels: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Find the bucket that holds each quantile of the mixture, and the level within it: (q, 1) in, two (q, n) out."""
    upto = probabilities.cumsum(axis=1)
    below = np.add.reduce(upto < levels[:, :, None], axis=2, dtype=np.intp)
    bucket = np.minimum(below, N_BUCKETS - 1)
    place = _flat(bucket)
    share = probabilities.take(place)
    before = upto.take(place) - share
    within = np.minimum(np.maximum((levels - before) / np.maximum(share, _TINY), 0.0), 1.0)
    return bucket, within


def _flat(bucket: NDArray[np.intp]) -> NDArray[np.intp]:
    """Positions of buckets (q, n) in an array (n, 5) that is flattened."""
    return bucket + np.arange(0, N_BUCKETS * bucket.shape[1], N_BUCKETS)
