"""How answers degrade when registration fields are missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from training.metrics import checked_labels, evaluate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray


class Answers(Protocol):
    """Probabilities (n, 5) and decided buckets (n,); `app.model.predictor.Predictions` is one."""

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Float64 (n, 5)."""

    @property
    def bucket(self) -> NDArray[np.integer[Any]]:
        """Int (n,)."""


@dataclass(frozen=True, slots=True)
class DegradedRow:
    """Quality with fields missing.

    Attributes:
        missing: what is missing: a number of fields drawn at random per row, or the name of one.
        log_loss: mean log loss.
        log_loss_se: its standard error.
        rps: mean ranked probability score.
        accuracy: share decided right.
        f1_weighted: weighted F1.
        auc_weighted: weighted one-vs-rest ROC-AUC; None when only one bucket occurs.
        ece: top-label calibration error.
    """

    missing: str
    log_loss: float
    log_loss_se: float
    rps: float
    accuracy: float
    f1_weighted: float
    auc_weighted: float | None
    ece: float


@dataclass(frozen=True, slots=True)
class Robustness:
    """Quality with k random fields missing, and with each single field missing in every row, worst first."""

    random_fields: tuple[DegradedRow, ...]
    single_fields: tuple[DegradedRow, ...]


def degraded(
    predict: Callable[[dict[str, NDArray[np.generic]]], Answers],
    columns: Mapping[str, ArrayLike],
    labels: ArrayLike,
    *,
    seed: int,
    ks: Sequence[int] = (0, 1, 2, 3, 5, 8),
) -> Robustness:
    """Measure answers while fields are set to null.

    For each k, every row loses k fields of its own, drawn without replacement; the fields lost with a smaller k are
    among those lost with a larger one, so the curve does not wiggle by the draw.

    Args:
        predict: takes the raw inputs by name and answers every row; must accept nulls (None, or NaN in numbers).
        columns: raw inputs by name, each (n,). Not changed.
        labels: true buckets, int (n,).
        seed: of the draw.
        ks: numbers of missing fields, each 0 to the number of inputs.

    Raises:
        ValueError: a k is out of range, or lengths disagree.
    """
    true = checked_labels(labels)
    names = list(columns)
    if any(not 0 <= k <= len(names) for k in ks):
        raise ValueError(f"ks must lie between 0 and {len(names)}, not {list(ks)}")
    given = {name: _nullable(columns[name], true.size, name) for name in names}
    rank = np.random.default_rng(seed).random((true.size, len(names))).argsort(axis=1).argsort(axis=1)

    def measure(missing: str, masked: NDArray[np.bool_]) -> DegradedRow:
        answers = predict({name: _masked(given[name], masked[:, i]) for i, name in enumerate(names)})
        metrics = evaluate(true, answers.probabilities, answers.bucket)
        return DegradedRow(
            missing=missing,
            log_loss=metrics.log_loss,
            log_loss_se=metrics.log_loss_se,
            rps=metrics.rps,
            accuracy=metrics.accuracy,
            f1_weighted=metrics.f1_weighted,
            auc_weighted=metrics.auc_weighted,
            ece=metrics.ece,
        )

    one = np.eye(len(names), dtype=np.bool_)
    single = [measure(name, np.broadcast_to(one[i], rank.shape)) for i, name in enumerate(names)]
    return Robustness(
        random_fields=tuple(measure(str(k), rank < k) for k in ks),
        single_fields=tuple(sorted(single, key=lambda row: -row.log_loss)),
    )


def _nullable(values: ArrayLike, rows: int, name: str) -> NDArray[np.generic]:
    given = np.asarray(values)
    if given.shape != (rows,):
        raise ValueError(f"{name} must have shape ({rows},), not {given.shape}")
    return given.astype(np.float64) if given.dtype.kind in "biuf" else given.astype(object)


def _masked(values: NDArray[np.generic], hidden: NDArray[np.bool_]) -> NDArray[np.generic]:
    if not hidden.any():
        return values
    nothing: Any = np.nan if values.dtype.kind == "f" else None
    return np.where(hidden, nothing, values)
