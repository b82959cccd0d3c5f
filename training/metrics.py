"""Measures of probabilities over ordered buckets, each with the definition it follows.

Arrays: `labels` and `predicted` are int (n,) bucket indices 0-4, `probabilities` is float (n, 5) with rows that sum
to 1. scikit-learn computes what it knows; the ranked probability score and the calibration errors are computed here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from sklearn.metrics import cohen_kappa_score, precision_recall_fscore_support, roc_auc_score

from app.contract.buckets import N_BUCKETS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    Table = pd.DataFrame | Mapping[str, ArrayLike]

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Ints = np.ndarray[tuple[int, ...], np.dtype[np.int64]]

ECE_BINS: Final = 15
"""Equal-width bins of [0, 1] behind every calibration error here."""

_SMALLEST: Final = float(np.finfo(np.float64).eps)
_SUM_TOLERANCE: Final = 1e-5
_SLICE_BLOCK: Final = 4_000_000


@dataclass(frozen=True, slots=True)
class Metrics:
    """How good probabilities and decisions are on one set of rows.

    Attributes:
        rows: number of rows.
        log_loss: mean negative natural log of the probability given to the true bucket.
        log_loss_se: its standard error.
        rps: ranked probability score, see `row_rps`.
        auc_weighted: one-vs-rest ROC-AUC, weighted by the buckets' counts; None when only one bucket occurs.
        auc_macro: the same, unweighted mean over the buckets that occur.
        f1_weighted: F1 of the decisions, weighted by the buckets' counts.
        f1_macro: F1 of the decisions, unweighted mean over the buckets that occur or are predicted.
        accuracy: share of rows whose predicted bucket is the true one.
        quadratic_kappa: Cohen's kappa with quadratic weights; 0 where it is undefined.
        ece: top-label expected calibration error, see `top_label_ece`.
        ece_classwise: mean over buckets of the calibration error of that bucket's probability.
        recall: per bucket, share of its rows that are predicted as it; None when it does not occur.
        precision: per bucket, share of the rows predicted as it that are; None when it is never predicted.
    """

    rows: int
    log_loss: float
    log_loss_se: float
    rps: float
    auc_weighted: float | None
    auc_macro: float | None
    f1_weighted: float
    f1_macro: float
    accuracy: float
    quadratic_kappa: float
    ece: float
    ece_classwise: float
    recall: tuple[float | None, ...]
    precision: tuple[float | None, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give the numbers by name, ready for JSON."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in ((name, getattr(self, name)) for name in self.__slots__)
        }


@dataclass(frozen=True, slots=True)
class SliceRow:
    """The measures of the rows that share one value of an input.

    Attributes:
        field: the input.
        value: its value, or how many small values are taken together.
        rows: number of rows.
        log_loss: mean log loss.
        log_loss_se: its standard error.
        accuracy: share of rows decided right.
        accuracy_se: its binomial standard error.
        f1_weighted: weighted F1.
        bias: mean expected bucket index minus mean true index; above 0 the slice is overestimated.
        bias_se: its standard error.
    """

    field: str
    value: str
    rows: int
    log_loss: float
    log_loss_se: float
    accuracy: float
    accuracy_se: float
    f1_weighted: float
    bias: float
    bias_se: float


def checked_labels(labels: ArrayLike, *, name: str = "labels") -> Ints:
    """Give bucket indices as int64 (n,).

    Raises:
        ValueError: they are not whole numbers 0-4 in one dimension, or there are none.
    """
    given = np.asarray(labels)
    if given.ndim != 1 or given.size == 0:
        raise ValueError(f"{name} must have shape (n,) with n >= 1, not {given.shape}")
    if given.dtype.kind not in "iu":
        raise ValueError(
            f"{name} must be integer bucket indices, not {given.dtype}; use app.contract.buckets.bucketize"
        )
    indices = given.astype(np.int64)
    if indices.min() < 0 or indices.max() >= N_BUCKETS:
        raise ValueError(f"{name} must lie in 0-{N_BUCKETS - 1}, found {indices.min()} to {indices.max()}")
    return indices


def checked_probabilities(probabilities: ArrayLike, rows: int) -> Floats:
    """Give probabilities as float64 (rows, 5), rows scaled to sum to exactly 1.

    Raises:
        ValueError: another shape, a value outside [0, 1], or a row that does not sum to 1 within 1e-5.
    """
    given = np.asarray(probabilities, dtype=np.float64)
    if given.shape != (rows, N_BUCKETS):
        raise ValueError(f"probabilities must have shape ({rows}, {N_BUCKETS}), not {given.shape}")
    if not np.isfinite(given).all() or given.min() < 0.0 or given.max() > 1.0 + _SUM_TOLERANCE:
        raise ValueError("probabilities must be finite and between 0 and 1")
    sums = given.sum(axis=1)
    wrong = np.flatnonzero(np.abs(sums - 1.0) > _SUM_TOLERANCE)
    if wrong.size:
        raise ValueError(
            f"each row of probabilities must sum to 1; {wrong.size} do not, the first is row {wrong[0]}: "
            f"{sums[wrong[0]]:.6f}"
        )
    scaled: Floats = given / sums[:, None]
    return scaled


def row_log_loss(labels: ArrayLike, probabilities: ArrayLike) -> Floats:
    """Per-row log loss, natural logarithm, shape (n,).

    A probability of 0 counts as the smallest step of a float64 at 1 (2.2e-16), as in scikit-learn, so that one
    impossible row costs 36 and not infinity.
    """
    true = checked_labels(labels)
    given = checked_probabilities(probabilities, true.size)
    losses: Floats = -np.log(np.clip(given[np.arange(true.size), true], _SMALLEST, 1.0))
    return losses


def row_rps(labels: ArrayLike, probabilities: ArrayLike) -> Floats:
    """Per-row ranked probability score, shape (n,), between 0 and 1.

    The mean over the K - 1 = 4 thresholds of the squared difference between the cumulative probability and the step
    function of the true bucket (Epstein 1969, divided by K - 1). Unlike log loss it knows the order: a guess two
    buckets off costs more than one bucket off.
    """
    true = checked_labels(labels)
    given = checked_probabilities(probabilities, true.size)
    cumulative = np.cumsum(given, axis=1)[:, :-1]
    step = true[:, None] <= np.arange(N_BUCKETS - 1)
    scores: Floats = ((cumulative - step) ** 2).mean(axis=1)
    return scores


def binned_gap(confidence: Floats, hits: Floats, bins: int = ECE_BINS) -> float:
    """Weighted mean over equal-width bins of |share of hits - mean confidence|.

    Args:
        confidence: probabilities, (n,).
        hits: 0 or 1, (n,).
        bins: of [0, 1]; each holds its upper edge, the first also 0.
    """
    index = bin_index(confidence, bins)
    gap = np.bincount(index, weights=hits - confidence, minlength=bins)
    return float(np.abs(gap).sum() / confidence.size)


def bin_index(confidence: Floats, bins: int = ECE_BINS) -> Ints:
    """Bin of each probability: right-closed equal-width bins of [0, 1], int (n,)."""
    return np.searchsorted(np.arange(1, bins) / bins, confidence, side="left").astype(np.int64)


def top_label(labels: ArrayLike, probabilities: ArrayLike) -> tuple[Floats, Floats]:
    """Highest probability of each row, and whether that bucket is the true one; each (n,)."""
    true = checked_labels(labels)
    given = checked_probabilities(probabilities, true.size)
    return given.max(axis=1), (given.argmax(axis=1) == true).astype(np.float64)


def top_label_ece(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Expected calibration error of the most probable bucket over 15 equal-width bins (Guo et al. 2017).

    It speaks of probabilities, so the bucket is the most probable one whatever the decision rule.
    """
    return binned_gap(*top_label(labels, probabilities))


def classwise_ece(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean over the five buckets of the binned calibration error of that bucket's probability (Kull et al. 2019)."""
    true = checked_labels(labels)
    given = checked_probabilities(probabilities, true.size)
    return float(np.mean([binned_gap(given[:, k], (true == k).astype(np.float64)) for k in range(N_BUCKETS)]))


def calibration_floor(
    probabilities: ArrayLike, *, seed: int = 0, resamples: int = 200, confidence: float = 0.95
) -> float:
    """Top-label calibration error that a perfectly calibrated model stays under with this confidence.

    With few rows the bins are noisy and the error of even a perfect model is far from 0. Outcomes are drawn from the
    probabilities themselves, `resamples` times; the result is the quantile of the errors so obtained (the
    consistency resampling of Bröcker and Smith 2007, applied to one number).
    """
    given = np.asarray(probabilities, dtype=np.float64)
    top = checked_probabilities(given, len(given)).max(axis=1)
    index = bin_index(top)
    expected = np.bincount(index, weights=top, minlength=ECE_BINS)
    order = np.argsort(index, kind="stable")
    starts = np.flatnonzero(np.diff(index[order], prepend=-1))
    occupied = index[order][starts]
    rng = np.random.default_rng(seed)
    errors = np.empty(resamples)
    step = max(1, _SLICE_BLOCK // top.size)
    for begin in range(0, resamples, step):
        count = min(step, resamples - begin)
        hits = (rng.random((count, top.size)) < top[order]).astype(np.float64)
        gaps = np.add.reduceat(hits, starts, axis=1) - expected[occupied]
        errors[begin : begin + count] = np.abs(gaps).sum(axis=1) / top.size
    return float(np.quantile(errors, confidence))


def confusion(labels: ArrayLike, predicted: ArrayLike) -> Ints:
    """Counts (5, 5): true bucket by row, predicted bucket by column."""
    true = checked_labels(labels)
    guess = _checked_predicted(predicted, true.size)
    return np.bincount(true * N_BUCKETS + guess, minlength=N_BUCKETS**2).reshape(N_BUCKETS, N_BUCKETS)


def bucket_shares(labels: ArrayLike) -> Floats:
    """Share of each bucket among labels, (5,)."""
    true = checked_labels(labels)
    shares: Floats = np.bincount(true, minlength=N_BUCKETS) / true.size
    return shares


def standard_error(values: Floats) -> float:
    """Standard error of the mean of independent values; 0 for a single one."""
    if values.size < 2:  # noqa: PLR2004 - a spread needs two values
        return 0.0
    return float(values.std(ddof=1) / np.sqrt(values.size))


def binomial_error(share: float, rows: int) -> float:
    """Standard error of a share seen over this many rows."""
    return float(np.sqrt(share * (1.0 - share) / rows))


def wilson_interval(share: float, rows: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's (1927) interval of a share seen over this many rows; 95% by default."""
    shrink = 1.0 + z * z / rows
    centre = (share + z * z / (2 * rows)) / shrink
    half = z * np.sqrt(share * (1.0 - share) / rows + z * z / (4 * rows * rows)) / shrink
    return min(share, max(0.0, float(centre - half))), max(share, min(1.0, float(centre + half)))


def evaluate(labels: ArrayLike, probabilities: ArrayLike, predicted: ArrayLike) -> Metrics:
    """Measure probabilities and decisions against the truth.

    Args:
        labels: true buckets, int (n,).
        probabilities: (n, 5), rows that sum to 1.
        predicted: decided buckets, int (n,); not necessarily the most probable ones.

    Raises:
        ValueError: shapes disagree, an index is outside 0-4, or a row is not a distribution.
    """
    true = checked_labels(labels)
    given = checked_probabilities(probabilities, true.size)
    guess = _checked_predicted(predicted, true.size)
    losses = row_log_loss(true, given)
    precision, recall, f1, support = precision_recall_fscore_support(
        true, guess, labels=range(N_BUCKETS), zero_division=0.0
    )
    chosen = np.bincount(guess, minlength=N_BUCKETS)
    aucs = one_vs_rest_auc(true, given)
    defined = [k for k in range(N_BUCKETS) if aucs[k] is not None]
    values = np.array([aucs[k] for k in defined], dtype=np.float64)
    same = true.min() == true.max() and (guess == true).all()
    return Metrics(
        rows=int(true.size),
        log_loss=float(losses.mean()),
        log_loss_se=standard_error(losses),
        rps=float(row_rps(true, given).mean()),
        auc_weighted=float(np.average(values, weights=support[defined])) if defined else None,
        auc_macro=float(values.mean()) if defined else None,
        f1_weighted=float(np.average(f1, weights=support)),
        f1_macro=float(f1[(support > 0) | (chosen > 0)].mean()),
        accuracy=float((true == guess).mean()),
        quadratic_kappa=0.0
        if same
        else float(cohen_kappa_score(true, guess, weights="quadratic", labels=range(N_BUCKETS))),
        ece=top_label_ece(true, given),
        ece_classwise=classwise_ece(true, given),
        recall=tuple(float(recall[k]) if support[k] else None for k in range(N_BUCKETS)),
        precision=tuple(float(precision[k]) if chosen[k] else None for k in range(N_BUCKETS)),
    )


def one_vs_rest_auc(labels: Ints, probabilities: Floats) -> tuple[float | None, ...]:
    """ROC-AUC of each bucket against the rest; None for a bucket that no row or every row has."""
    return tuple(
        float(roc_auc_score(labels == k, probabilities[:, k])) if 0 < (labels == k).sum() < labels.size else None
        for k in range(N_BUCKETS)
    )


def slices(
    frame: Table,
    labels: ArrayLike,
    probabilities: ArrayLike,
    predicted: ArrayLike,
    by: Sequence[str] = ("uf", "segmento", "tier"),
    *,
    min_rows: int = 50,
) -> tuple[SliceRow, ...]:
    """Measure each value of some inputs apart, largest first within an input.

    Args:
        frame: the inputs by name, each (n,).
        labels: true buckets, int (n,).
        probabilities: (n, 5).
        predicted: decided buckets, int (n,).
        by: inputs to slice by.
        min_rows: values with fewer rows are taken together as "other (k values)", since their figures are noise.

    Raises:
        KeyError: `frame` has no such input.
        ValueError: lengths disagree.
    """
    true = checked_labels(labels)
    given = checked_probabilities(probabilities, true.size)
    guess = _checked_predicted(predicted, true.size)
    losses = row_log_loss(true, given)
    surplus = given @ np.arange(N_BUCKETS) - true
    rows: list[SliceRow] = []
    for field in by:
        for value, inside in group_masks(frame[field], true.size, name=field, min_rows=min_rows):
            hits = float((true[inside] == guess[inside]).mean())
            count = int(inside.sum())
            _, _, f1, support = precision_recall_fscore_support(
                true[inside], guess[inside], labels=range(N_BUCKETS), zero_division=0.0
            )
            rows.append(
                SliceRow(
                    field=field,
                    value=value,
                    rows=count,
                    log_loss=float(losses[inside].mean()),
                    log_loss_se=standard_error(losses[inside]),
                    accuracy=hits,
                    accuracy_se=binomial_error(hits, count),
                    f1_weighted=float(np.average(f1, weights=support)),
                    bias=float(surplus[inside].mean()),
                    bias_se=standard_error(surplus[inside]),
                )
            )
    return tuple(rows)


def group_masks(values: ArrayLike, rows: int, *, name: str, min_rows: int = 1) -> list[tuple[str, NDArray[np.bool_]]]:
    """Split rows by value: pairs of the value as text and a boolean mask (n,), largest first.

    Nulls form the group "missing"; groups under `min_rows` are taken together at the end.

    Raises:
        ValueError: there is not one value per row.
    """
    given = np.asarray(values, dtype=object)
    if given.shape != (rows,):
        raise ValueError(f"{name} must have shape ({rows},), not {given.shape}")
    text = np.where(pd.isna(given), "missing", given.astype(str))
    found, inverse, counts = np.unique(text, return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    groups = [(str(found[g]), inverse == g) for g in order if counts[g] >= min_rows]
    small = np.flatnonzero(counts < min_rows)
    if small.size:
        title = str(found[small[0]]) if small.size == 1 else f"other ({small.size} values)"
        groups.append((title, np.isin(inverse, small)))
    return groups


def _checked_predicted(predicted: ArrayLike, rows: int) -> Ints:
    guess = checked_labels(predicted, name="predicted")
    if guess.size != rows:
        raise ValueError(f"predicted must have shape ({rows},), not {guess.shape}")
    return guess
