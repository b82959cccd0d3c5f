"""Predictions to answer records, ready to be written by any text format."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
import numpy as np

from app.contract.buckets import LABELS, LOWER, N_BUCKETS, UPPER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from app.formats.request import Options

PROBABILITY_DECIMALS: Final = 7
"""The model computes in single precision: more decimals would be noise, and twice the bytes."""

AMOUNT_DECIMALS: Final = 2


class ValuesLike(Protocol):
    """BRL amounts of n rows, each float64 (n,)."""

    @property
    def p50(self) -> NDArray[np.float64]: ...  # noqa: D102
    @property
    def lower(self) -> NDArray[np.float64]: ...  # noqa: D102
    @property
    def upper(self) -> NDArray[np.float64]: ...  # noqa: D102
    @property
    def mean(self) -> NDArray[np.float64]: ...  # noqa: D102


class WarningLike(Protocol):
    """A remark on one input of one row."""

    @property
    def field(self) -> str: ...  # noqa: D102
    @property
    def code(self) -> str: ...  # noqa: D102
    @property
    def message(self) -> str: ...  # noqa: D102


class WarningsLike(Protocol):
    """Remarks on n rows."""

    def rows(self) -> Sequence[Sequence[WarningLike]]: ...  # noqa: D102


class PredictionsLike(Protocol):
    """What `app.model.predictor` gives for n rows, as far as an encoder needs it."""

    @property
    def probabilities(self) -> NDArray[np.float64]: ...  # noqa: D102
    @property
    def bucket(self) -> NDArray[np.int8]: ...  # noqa: D102
    @property
    def set_lower(self) -> NDArray[np.int8]: ...  # noqa: D102
    @property
    def set_upper(self) -> NDArray[np.int8]: ...  # noqa: D102
    @property
    def value(self) -> ValuesLike | None: ...  # noqa: D102
    @property
    def warnings(self) -> WarningsLike: ...  # noqa: D102


def finite_or_none(amount: float) -> float | None:
    """JSON has no infinity: an open end is null."""
    return amount if math.isfinite(amount) else None


_BUCKETS: Final = tuple(
    msgspec.Raw(
        msgspec.json.encode({"index": i, "label": LABELS[i], "lower": LOWER[i], "upper": finite_or_none(UPPER[i])})
    )
    for i in range(N_BUCKETS)
)
_PROBABILITY_NAMES: Final = tuple(f"p{i}" for i in range(N_BUCKETS))
Probabilities: Final[Any] = msgspec.defstruct(
    "Probabilities",
    [(name, float) for name in _PROBABILITY_NAMES],
    rename=dict(zip(_PROBABILITY_NAMES, LABELS, strict=True)),
    gc=False,
)
_EMPTY_LIST: Final = msgspec.Raw(b"[]")
_encoder: Final = msgspec.json.Encoder()


class Value(msgspec.Struct, gc=False):
    """BRL a month: median, interval and mean."""

    p50: float
    lower: float
    upper: float
    mean: float


class Answer(msgspec.Struct, gc=False, omit_defaults=True):
    """The record of one good row; `Raw` members are encoded once and shared between rows."""

    bucket: msgspec.Raw
    decision_rule: str
    probabilities: Probabilities
    prediction_set: msgspec.Raw
    value: Value | None
    warnings: msgspec.Raw | list[Any]
    contributions: dict[str, Any] | UnsetType = UNSET


@lru_cache(maxsize=64)
def _sets(coverage: float, class_conditional: bool) -> tuple[msgspec.Raw, ...]:  # noqa: FBT001 - part of a cache key
    """Every contiguous set, encoded: the one from i to j is at i * N_BUCKETS + j."""
    return tuple(
        msgspec.Raw(
            _encoder.encode(
                {
                    "lower": lower,
                    "upper": upper,
                    "labels": LABELS[lower : upper + 1],
                    "coverage": coverage,
                    "class_conditional": class_conditional,
                }
            )
        )
        for lower in range(N_BUCKETS)
        for upper in range(N_BUCKETS)
    )


def answers_of(predictions: PredictionsLike, options: Options, decision_rule: str) -> list[Any]:
    """Make the records of n good rows, in their order."""
    rounded = np.round(predictions.probabilities, PROBABILITY_DECIMALS)
    sets = _sets(options.coverage, options.class_conditional)
    set_index = predictions.set_lower.astype(np.intp) * N_BUCKETS + predictions.set_upper
    warnings: Iterable[Any] = (
        [
            [{"field": w.field, "code": w.code, "message": w.message} for w in row] if row else _EMPTY_LIST
            for row in predictions.warnings.rows()
        ]
        if predictions.warnings
        else repeat(_EMPTY_LIST)
    )
    return list(
        map(
            Answer,
            map(_BUCKETS.__getitem__, predictions.bucket.tolist()),
            repeat(decision_rule),
            map(Probabilities, *rounded.T.tolist()),
            map(sets.__getitem__, set_index.tolist()),
            _values_of(predictions),
            warnings,
            _contributions_of(predictions, options.reasons),
        )
    )


def _values_of(predictions: PredictionsLike) -> Iterable[Value | None]:
    value = predictions.value
    if value is None:
        return repeat(None)
    parts = (value.p50, value.lower, value.upper, value.mean)
    return map(Value, *(np.round(part, AMOUNT_DECIMALS).tolist() for part in parts))
