"""The points behind the report's plots, small enough to store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from sklearn.metrics import roc_curve

from app.contract.buckets import N_BUCKETS
from training.metrics import (
    ECE_BINS,
    bin_index,
    checked_labels,
    checked_probabilities,
    confusion,
    one_vs_rest_auc,
    top_label,
    wilson_interval,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from training.metrics import Floats

POINTS: Final = 101


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """One bin of a reliability curve.

    Attributes:
        said: mean probability.
        seen: share of rows where it came true.
        lower: lower end of its 95% Wilson interval, which keeps its width where the share is 0 or 1.
        upper: upper end.
        rows: number of rows.
    """

    said: float
    seen: float
    lower: float
    upper: float
    rows: int


@dataclass(frozen=True, slots=True)
class RocCurve:
    """ROC of one bucket against the rest: true positive rates on an even grid of 101 false positive rates."""

    bucket: int
    auc: float
    rate: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class GainCurve:
    """Cumulative gain for the highest bucket.

    Attributes:
        base_share: share of the highest bucket among all rows.
        captured: share of its rows found in the best-ranked 0, 1, …, 100% of rows, (101,).
    """

    base_share: float
    captured: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Curves:
    """Everything drawn from probabilities and decisions.

    Attributes:
        confusion: counts, true bucket by row, predicted bucket by column.
        top: reliability of the most probable bucket, occupied bins of 15.
        classwise: reliability of each bucket's probability.
        roc: one curve per bucket that some but not all rows have.
        gain: cumulative gain for the highest bucket, or None when it does not occur.
    """

    confusion: tuple[tuple[int, ...], ...]
    top: tuple[ReliabilityBin, ...]
    classwise: tuple[tuple[ReliabilityBin, ...], ...]
    roc: tuple[RocCurve, ...]
    gain: GainCurve | None


@dataclass(frozen=True, slots=True)
class InputContribution:
    """How one raw input moves the answers.

    Attributes:
        name: the raw input.
        mean_absolute: mean absolute contribution.
        quantiles: 5, 25, 50, 75 and 95% quantiles of the contribution.
    """

    name: str
    mean_absolute: float
    quantiles: tuple[float, float, float, float, float]


def curves(labels: ArrayLike, probabilities: ArrayLike, predicted: ArrayLike) -> Curves:
    """Reduce answers to the points that the report draws.

    Args:
        labels: true buckets, int (n,).
        probabilities: (n, 5).
        predicted: decided buckets, int (n,).

    Raises:
        ValueError: shapes disagree, an index is outside 0-4, or a row is not a distribution.
    """
    true = checked_labels(labels)
    given = checked_probabilities(probabilities, true.size)
    aucs = one_vs_rest_auc(true, given)
    return Curves(
        confusion=tuple(tuple(int(count) for count in row) for row in confusion(true, predicted)),
        top=reliability(*top_label(true, given)),
        classwise=tuple(reliability(given[:, k], (true == k).astype(np.float64)) for k in range(N_BUCKETS)),
        roc=tuple(
            RocCurve(bucket=k, auc=auc, rate=_roc_points((true == k).astype(np.float64), given[:, k]))
            for k, auc in enumerate(aucs)
            if auc is not None
        ),
        gain=cumulative_gain((true == N_BUCKETS - 1).astype(np.float64), given[:, -1]),
    )


def reliability(confidence: Floats, hits: Floats, bins: int = ECE_BINS) -> tuple[ReliabilityBin, ...]:
    """Mean probability and observed share in each occupied equal-width bin.

    Args:
        confidence: probabilities, (n,).
        hits: 0 or 1, (n,).
        bins: of [0, 1].
    """
    index = bin_index(confidence, bins)
    rows = np.bincount(index, minlength=bins)
    said = np.bincount(index, weights=confidence, minlength=bins)
    seen = np.bincount(index, weights=hits, minlength=bins)
    made = []
    for b in np.flatnonzero(rows):
        share = float(seen[b] / rows[b])
        lower, upper = wilson_interval(share, int(rows[b]))
        made.append(
            ReliabilityBin(said=float(said[b] / rows[b]), seen=share, lower=lower, upper=upper, rows=int(rows[b]))
        )
    return tuple(made)


def cumulative_gain(hits: Floats, score: Floats) -> GainCurve | None:
    """Share of all hits among the best-scored rows; rows with equal scores share their hits evenly."""
    if not hits.any():
        return None
    order = np.argsort(-score, kind="stable")
    last_of_tie = np.append(np.flatnonzero(np.diff(score[order])), score.size - 1)
    seen = np.concatenate(([0.0], np.cumsum(hits[order])[last_of_tie])) / hits.sum()
    ranked = np.concatenate(([0.0], last_of_tie + 1.0)) / score.size
    captured = np.interp(np.linspace(0.0, 1.0, POINTS), ranked, seen)
    return GainCurve(base_share=float(hits.mean()), captured=tuple(float(c) for c in captured))


def contribution_summary(names: Sequence[str], contributions: ArrayLike) -> tuple[InputContribution, ...]:
    """Summarise contributions per raw input, strongest first.

    Args:
        names: the inputs, (f,).
        contributions: TreeSHAP contributions aggregated to the inputs, (n, f), in the unit of the explained output.

    Raises:
        ValueError: there is not one column per name, or there are no rows.
    """
    values = np.asarray(contributions, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != len(names) or len(values) == 0:  # noqa: PLR2004 - a matrix
        raise ValueError(f"contributions must have shape (n, {len(names)}) with n >= 1, not {values.shape}")
    strength = np.abs(values).mean(axis=0)
    summary = []
    for column in np.argsort(-strength, kind="stable"):
        low, lower, middle, upper, high = (
            float(q) for q in np.quantile(values[:, column], (0.05, 0.25, 0.5, 0.75, 0.95))
        )
        summary.append(
            InputContribution(
                name=names[column],
                mean_absolute=float(strength[column]),
                quantiles=(low, lower, middle, upper, high),
            )
        )
    return tuple(summary)


def _roc_points(hits: Floats, score: Floats) -> tuple[float, ...]:
    false_rate, true_rate, _ = roc_curve(hits, score)
    grid = np.interp(np.linspace(0.0, 1.0, POINTS), false_rate, true_rate)
    return tuple(float(rate) for rate in grid)
