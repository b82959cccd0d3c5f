"""Predictions to answer records, ready to be written by any text format."""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from app.contract.buckets import LABELS, LOWER, N_BUCKETS, UPPER
from app.contract.inputs import RAW_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from app.errors import FieldProblem
    from app.formats.request import Options

PROBABILITY_DECIMALS: Final = 7
"""The model computes in single precision: more decimals would be noise, and twice the bytes."""

AMOUNT_DECIMALS: Final = 2
CONTRIBUTION_DECIMALS: Final = 6


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


class WarningsLike(Protocol):
    """Remarks on n rows: (code, input) pairs by row, for the rows that have any, and known categories by input."""

    @property
    def known_values(self) -> Mapping[str, int]: ...  # noqa: D102
    def by_row(self) -> Mapping[int, Sequence[tuple[str, str]]]: ...  # noqa: D102


class ContributionsLike(Protocol):
    """Reasons of n rows: float64 (n, 13) in contract order, and bases (n,)."""

    @property
    def log_odds(self) -> NDArray[np.float64]: ...  # noqa: D102
    @property
    def log_odds_base(self) -> NDArray[np.float64]: ...  # noqa: D102
    @property
    def index(self) -> NDArray[np.float64]: ...  # noqa: D102
    @property
    def index_base(self) -> NDArray[np.float64]: ...  # noqa: D102


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
    def values(self) -> ValuesLike | None: ...  # noqa: D102
    @property
    def warnings(self) -> WarningsLike: ...  # noqa: D102
    @property
    def contributions(self) -> ContributionsLike | None: ...  # noqa: D102


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
    sets = _sets(options.coverage, options.class_conditional)
    set_index = predictions.set_lower.astype(np.intp) * N_BUCKETS + predictions.set_upper
    records = list(
        map(
            Answer,
            map(_BUCKETS.__getitem__, predictions.bucket.tolist()),
            repeat(decision_rule),
            map(Probabilities, *predictions.probabilities.round(PROBABILITY_DECIMALS).T.tolist()),
            map(sets.__getitem__, set_index.tolist()),
            _values_of(predictions.values),
            repeat(_EMPTY_LIST),
        )
    )
    known = predictions.warnings.known_values
    for row, remarks in predictions.warnings.by_row().items():
        records[row].warnings = [_warning(code, name, known.get(name, 0)) for code, name in remarks]
    if predictions.contributions is not None:
        for record, reasons in zip(records, _reasons_of(predictions.contributions, options.reasons), strict=True):
            record.contributions = reasons
    return records


def _values_of(values: ValuesLike | None) -> Iterable[Value | None]:
    if values is None:
        return repeat(None)
    parts = (values.p50, values.lower, values.upper, values.mean)
    return map(Value, *np.array(parts).round(AMOUNT_DECIMALS).tolist())


@lru_cache(maxsize=64)
def _warning(code: str, name: str, known: int) -> msgspec.Raw:
    message = (
        f"not among the {known:,} values of {name} that training saw; taken as unknown"
        if code == "unknown_category"
        else f"{name} is null, where a value helps the prediction"
    )
    return msgspec.Raw(_encoder.encode({"field": name, "code": code, "message": message}))


def _reasons_of(contributions: ContributionsLike, count: int) -> Iterable[dict[str, Any]]:
    """Give for each row the inputs that matter most for its bucket, and what the others add together."""
    order = np.argsort(-np.abs(contributions.log_odds), axis=1)
    for row, ranked in enumerate(order):
        shown, rest = ranked[:count], ranked[count:]
        log_odds, index = contributions.log_odds[row], contributions.index[row]
        yield {
            "inputs": [
                {
                    "input": RAW_NAMES[i],
                    "bucket_log_odds": round(float(log_odds[i]), CONTRIBUTION_DECIMALS),
                    "expected_index": round(float(index[i]), CONTRIBUTION_DECIMALS),
                }
                for i in shown
            ],
            "others": {
                "bucket_log_odds": round(float(log_odds[rest].sum()), CONTRIBUTION_DECIMALS),
                "expected_index": round(float(index[rest].sum()), CONTRIBUTION_DECIMALS),
            },
            "base": {
                "bucket_log_odds": round(float(contributions.log_odds_base[row]), CONTRIBUTION_DECIMALS),
                "expected_index": round(float(contributions.index_base[row]), CONTRIBUTION_DECIMALS),
            },
        }


def row_error(problems: Sequence[FieldProblem]) -> dict[str, Any]:
    """Make the record of a bad row."""
    return {
        "error": {
            "type": "urn:tpv:problem:invalid_row",
            "title": "The row breaks the schema",
            "status": 422,
            "code": "invalid_row",
            "detail": "this row was not predicted; the others were",
            "errors": [
                {"pointer": problem.pointer, "code": problem.code, "detail": problem.detail} for problem in problems
            ],
        }
    }


def merge_errors(records: Sequence[Any], errors: Mapping[int, Sequence[FieldProblem]]) -> list[Any]:
    """Put the errors of bad rows between the records of the good ones, each at its position."""
    if not errors:
        return list(records)
    good = iter(records)
    total = len(records) + len(errors)
    return [row_error(errors[position]) if position in errors else next(good) for position in range(total)]


def encode_json(value: Any) -> bytes:
    """Write records, or anything made of them, as JSON."""
    return _encoder.encode(value)


def encode_lines(records: Sequence[Any]) -> bytes:
    """Write records as NDJSON, one a line."""
    return _encoder.encode_lines(records)
