"""Whether a challenger may become the champion, decided on rows neither has seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from training.metrics import calibration_floor, row_log_loss, top_label_ece

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_BLOCK: Final = 4_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its confidence interval."""

    estimate: float
    lower: float
    upper: float
    confidence: float


@dataclass(frozen=True, slots=True)
class GateDecision:
    """The gate's answer.

    Attributes:
        passed: whether promotion is allowed.
        reasons: one sentence per check, with figures; the failed ones begin with "Refused".
        against: what the challenger was compared with.
        difference: challenger's minus the other's mean log loss on the same rows; below 0 the challenger is better.
    """

    passed: bool
    reasons: tuple[str, ...]
    against: Literal["champion", "majority baseline"]
    difference: Interval


def paired_bootstrap(
    loss_a: ArrayLike, loss_b: ArrayLike, *, seed: int, resamples: int = 1000, confidence: float = 0.95
) -> Interval:
    """Mean of `loss_a - loss_b` over the same rows, with a percentile bootstrap interval (Efron 1979).

    Rows are drawn with replacement and keep their pairing, so what makes a row hard for both cancels.

    Args:
        loss_a: per-row losses, (n,).
        loss_b: per-row losses of the same rows, (n,).
        seed: the same seed gives the same interval.
        resamples: number of resamples, at least 1.
        confidence: coverage of the two-sided interval, in (0, 1).

    Raises:
        ValueError: the shapes differ, there are no rows, a loss is not finite, or a parameter is out of range.
    """
    a, b = np.asarray(loss_a, dtype=np.float64), np.asarray(loss_b, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape or a.size == 0:
        raise ValueError(f"losses must have one shape (n,) with n >= 1, not {a.shape} and {b.shape}")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence}")
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, not {resamples}")
    difference = a - b
    if not np.isfinite(difference).all():
        raise ValueError("losses must be finite")
    rng = np.random.default_rng(seed)
    means = np.empty(resamples)
    step = max(1, _BLOCK // difference.size)
    for begin in range(0, resamples, step):
        count = min(step, resamples - begin)
        drawn = rng.integers(difference.size, size=(count, difference.size), dtype=np.int32)
        means[begin : begin + count] = difference[drawn].mean(axis=1)
    tail = (1.0 - confidence) / 2.0
    lower, upper = np.quantile(means, (tail, 1.0 - tail))
    return Interval(float(difference.mean()), float(lower), float(upper), confidence)


def gate(
    challenger: ArrayLike,
    champion: ArrayLike | None,
    *,
    labels: ArrayLike,
    shares: ArrayLike,
    margin: float,
    confidence: float,
    max_ece: float,
    resamples: int,
    seed: int,
) -> GateDecision:
    """Decide whether the challenger may be promoted.

    It must beat the champion's log loss on the same rows by more than `margin`: the whole bootstrap interval of the
    difference lies below `-margin`. Without a champion, the majority baseline takes its place. And its top-label
    calibration error must not exceed `max_ece`, or, where the rows are too few to tell so finely, what a perfectly
    calibrated model could show on as many rows.

    Args:
        challenger: probabilities (n, 5).
        champion: probabilities (n, 5) of the same rows, or None.
        labels: true buckets of those rows, int (n,).
        shares: the buckets' shares in the challenger's training rows, (5,); the majority baseline.
        margin: improvement in log loss that is demanded, >= 0.
        confidence: of the interval and of the calibration check.
        max_ece: largest calibration error accepted.
        resamples: bootstrap resamples.
        seed: of every draw.

    Raises:
        ValueError: shapes disagree or a row is not a distribution.
    """
    loss = row_log_loss(labels, challenger)
    other = np.tile(np.asarray(shares, dtype=np.float64), (loss.size, 1)) if champion is None else champion
    against: Literal["champion", "majority baseline"] = "majority baseline" if champion is None else "champion"
    other_loss = row_log_loss(labels, other)
    difference = paired_bootstrap(loss, other_loss, seed=seed, resamples=resamples, confidence=confidence)
    better = difference.upper < -margin
    figures = (
        f"log loss {loss.mean():.4f} against {other_loss.mean():.4f} of the {against} on the same {loss.size:,} rows; "
        f"difference {difference.estimate:+.4f}, {confidence:.0%} interval {difference.lower:+.4f} to "
        f"{difference.upper:+.4f}, which must lie below {0.0 - margin:.4f}"
    )
    ece = top_label_ece(labels, challenger)
    floor = calibration_floor(challenger, seed=seed, confidence=confidence)
    calibrated = ece <= max(max_ece, floor)
    limit = (
        f"limit {max_ece:.4f}; a perfectly calibrated model stays under {floor:.4f} on as many rows "
        f"with {confidence:.0%} confidence"
    )
    return GateDecision(
        passed=better and calibrated,
        reasons=(
            f"Better: {figures}." if better else f"Refused, not better beyond doubt: {figures}.",
            f"Calibrated: calibration error {ece:.4f} ({limit})."
            if calibrated
            else f"Refused, miscalibrated: calibration error {ece:.4f} ({limit}).",
        ),
        against=against,
        difference=difference,
    )
