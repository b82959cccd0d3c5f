"""How good the predicted amounts are, in BRL and in orders of magnitude."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from app.contract.buckets import N_BUCKETS, bucketize
from training.metrics import binomial_error, standard_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from training.metrics import Floats

AMOUNT_FLOOR: Final = 1.0
"""BRL; smaller amounts count as this much where a logarithm is taken."""


class Quantiles(Protocol):
    """Predicted amounts, each float64 (n,) in BRL; `app.model.predictor.Values` is one."""

    @property
    def p50(self) -> NDArray[np.float64]:
        """Median as answered; taken within the decided bucket, it need not be the median over all buckets."""

    @property
    def lower(self) -> NDArray[np.float64]:
        """Lower end of the central interval."""

    @property
    def upper(self) -> NDArray[np.float64]:
        """Upper end of the central interval."""

    @property
    def mean(self) -> NDArray[np.float64]:
        """Expected amount."""


@dataclass(frozen=True, slots=True)
class Pinball:
    """Mean pinball loss, in BRL, of one quantile."""

    quantile: float
    loss: float


@dataclass(frozen=True, slots=True)
class QuantilePoint:
    """Share of amounts that did not exceed a predicted quantile, with its standard error."""

    quantile: float
    share: float
    se: float


@dataclass(frozen=True, slots=True)
class ValueBucketRow:
    """The amounts of one true bucket.

    Attributes:
        bucket: 0-4.
        rows: number of rows.
        interval_coverage: share of amounts inside their interval.
        interval_coverage_se: its binomial standard error.
        median_abs_log10_error: median of |log10(p50 / amount)|.
        actual_sum: BRL.
        predicted_sum: sum of the expected amounts, BRL.
    """

    bucket: int
    rows: int
    interval_coverage: float
    interval_coverage_se: float
    median_abs_log10_error: float
    actual_sum: float
    predicted_sum: float


@dataclass(frozen=True, slots=True)
class ValueReport:
    """Quality of predicted amounts on one set of rows.

    Attributes:
        rows: number of rows.
        interval_level: coverage the interval promises.
        interval_coverage: share of amounts inside it, ends included.
        interval_coverage_se: its binomial standard error.
        pinball: mean pinball loss of the lower end, the median and the upper end, BRL.
        median_abs_log10_error: median of |log10(p50 / amount)|, both floored at 1 BRL; 0.3 is a factor of two.
        actual_sum: sum of the true amounts, BRL.
        predicted_sum: sum of the expected amounts, BRL.
        sum_bias: predicted_sum / actual_sum - 1; None when nothing was sold.
        sum_bias_se: its standard error over merchants.
        calibration: share of amounts under each predicted quantile.
        by_bucket: the same measures per true bucket; buckets without rows are left out.
    """

    rows: int
    interval_level: float
    interval_coverage: float
    interval_coverage_se: float
    pinball: tuple[Pinball, ...]
    median_abs_log10_error: float
    actual_sum: float
    predicted_sum: float
    sum_bias: float | None
    sum_bias_se: float | None
    calibration: tuple[QuantilePoint, ...]
    by_bucket: tuple[ValueBucketRow, ...]


def pinball_loss(amounts: ArrayLike, predicted: ArrayLike, quantile: float) -> float:
    """Mean pinball (quantile) loss (Koenker and Bassett 1978), in the unit of the amounts."""
    error = np.asarray(amounts, dtype=np.float64) - np.asarray(predicted, dtype=np.float64)
    return float(np.maximum(quantile * error, (quantile - 1.0) * error).mean())


def median_abs_log10_error(amounts: ArrayLike, predicted: ArrayLike) -> float:
    """Median of |log10(predicted / amount)|, both floored at 1 BRL because amounts of 0 have no logarithm."""
    ratio = np.log10(_floored(predicted)) - np.log10(_floored(amounts))
    return float(np.median(np.abs(ratio)))


def value_report(
    amounts: ArrayLike,
    values: Quantiles,
    *,
    interval_level: float = 0.8,
    quantiles: Mapping[float, ArrayLike] | None = None,
) -> ValueReport:
    """Measure predicted amounts.

    Args:
        amounts: true amounts, BRL a month, (n,), finite and >= 0.
        values: median, interval and mean, each (n,).
        interval_level: coverage the interval promises; its ends are the quantiles (1 ± level) / 2.
        quantiles: predicted quantiles over all buckets by level in (0, 1), each (n,), for the calibration curve;
            where they hold a level of the answer too, the curve takes theirs.

    Raises:
        ValueError: lengths disagree, an amount or prediction is not finite, or a level is out of range.
    """
    actual = _checked(amounts, "amounts")
    buckets = bucketize(actual)
    if not 0.0 < interval_level < 1.0:
        raise ValueError(f"interval_level must lie between 0 and 1, not {interval_level}")
    tail = round((1.0 - interval_level) / 2.0, 10)
    median, lower, upper, mean = (
        _checked(getattr(values, name), name, actual.size) for name in ("p50", "lower", "upper", "mean")
    )
    wanted = {tail: lower, 0.5: median, 1.0 - tail: upper}
    further = {float(q): _checked(v, f"quantile {q}", actual.size) for q, v in (quantiles or {}).items()}
    if any(not 0.0 < q < 1.0 for q in further):
        raise ValueError(f"quantiles must lie between 0 and 1, not {sorted(further)}")
    inside = (lower <= actual) & (actual <= upper)
    coverage = float(inside.mean())
    actual_sum, predicted_sum = float(actual.sum()), float(mean.sum())
    return ValueReport(
        rows=int(actual.size),
        interval_level=interval_level,
        interval_coverage=coverage,
        interval_coverage_se=binomial_error(coverage, actual.size),
        pinball=tuple(Pinball(q, pinball_loss(actual, predicted, q)) for q, predicted in wanted.items()),
        median_abs_log10_error=median_abs_log10_error(actual, median),
        actual_sum=actual_sum,
        predicted_sum=predicted_sum,
        sum_bias=predicted_sum / actual_sum - 1.0 if actual_sum > 0.0 else None,
        sum_bias_se=standard_error(mean - actual) * actual.size / actual_sum if actual_sum > 0.0 else None,
        calibration=tuple(_point(actual, predicted, q) for q, predicted in sorted((wanted | further).items())),
        by_bucket=tuple(
            ValueBucketRow(
                bucket=k,
                rows=int(rows.sum()),
                interval_coverage=float(inside[rows].mean()),
                interval_coverage_se=binomial_error(float(inside[rows].mean()), int(rows.sum())),
                median_abs_log10_error=median_abs_log10_error(actual[rows], median[rows]),
                actual_sum=float(actual[rows].sum()),
                predicted_sum=float(mean[rows].sum()),
            )
            for k in range(N_BUCKETS)
            if (rows := buckets == k).any()
        ),
    )


def _point(actual: Floats, predicted: Floats, quantile: float) -> QuantilePoint:
    share = float((actual <= predicted).mean())
    return QuantilePoint(quantile=quantile, share=share, se=binomial_error(share, actual.size))


def _floored(amounts: ArrayLike) -> Floats:
    floored: Floats = np.maximum(np.asarray(amounts, dtype=np.float64), AMOUNT_FLOOR)
    return floored


def _checked(values: ArrayLike, name: str, rows: int | None = None) -> Floats:
    given = np.asarray(values, dtype=np.float64)
    if given.ndim != 1 or given.size == 0 or (rows is not None and given.size != rows):
        raise ValueError(f"{name} must have shape ({'n' if rows is None else rows},), not {given.shape}")
    if not np.isfinite(given).all():
        raise ValueError(f"{name} must be finite; row {np.flatnonzero(~np.isfinite(given))[0]} is not")
    return given
