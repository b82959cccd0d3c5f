"""Predictions as a flat table, for CSV, Arrow and Parquet: one row a merchant, in the order of the request."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from app.contract.buckets import LABELS, N_BUCKETS
from app.formats.answers import AMOUNT_DECIMALS, PROBABILITY_DECIMALS, encode_lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.errors import FieldProblem
    from app.formats.answers import PredictionsLike

VALUE_COLUMNS: Final = ("value_p50", "value_lower", "value_upper", "value_mean")
PROBABILITY_COLUMNS: Final = tuple(f"probability_{index}" for index in range(N_BUCKETS))
COLUMNS: Final = (
    "bucket", "label", "decision_rule", *PROBABILITY_COLUMNS, "set_lower", "set_upper", *VALUE_COLUMNS, "warnings",
    "error",
)  # fmt: skip
_EMPTY: Final = msgspec.Raw(b"")


def flat_columns(
    predictions: PredictionsLike, errors: Mapping[int, Sequence[FieldProblem]], decision_rule: str
) -> dict[str, list[Any]]:
    """Make the columns of n rows, good and bad.

    `warnings` holds `input:code` pairs and `error` holds `pointer:code` pairs, each joined by spaces; every other
    column is null in a bad row.
    """
    bucket = predictions.bucket.tolist()
    good = len(bucket)
    warnings: list[str | None] = [None] * good
    for row, remarks in predictions.warnings.by_row().items():
        warnings[row] = " ".join(f"{name}:{code}" for code, name in remarks)
    probabilities = np.round(predictions.probabilities, PROBABILITY_DECIMALS).T.tolist()
    values = predictions.values
    amounts: list[list[Any]] = (
        [[None] * good] * len(VALUE_COLUMNS)
        if values is None
        else [
            np.round(part, AMOUNT_DECIMALS).tolist() for part in (values.p50, values.lower, values.upper, values.mean)
        ]
    )
    columns: list[list[Any]] = [
        bucket,
        [LABELS[index] for index in bucket],
        [decision_rule] * good,
        *probabilities,
        predictions.set_lower.tolist(),
        predictions.set_upper.tolist(),
        *amounts,
        warnings,
        [None] * good,
    ]
    table = dict(zip(COLUMNS, columns, strict=True))
    if errors:
        rows = range(good + len(errors))
        table = {name: _spread(values, errors, rows) for name, values in table.items()}
        for row, problems in errors.items():
            table["error"][row] = " ".join(f"{problem.pointer}:{problem.code}" for problem in problems)
    return table


def _spread(values: list[Any], errors: Mapping[int, Any], rows: range) -> list[Any]:
    good = iter(values)
    return [None if row in errors else next(good) for row in rows]


def encode_csv(table: Mapping[str, list[Any]]) -> bytes:
    """Write a flat table as CSV; null is an empty cell."""
    # The JSON encoder writes rows of numbers ten times faster than one cell at a time.
    rows = encode_lines(list(zip(*map(_cells, table.values()), strict=True)))
    return b"\r\n".join([",".join(table).encode(), *rows[1:-2].split(b"]\n[")]) + b"\r\n"


def _cells(values: list[Any]) -> list[Any]:
    """Give the cells of a column as the JSON encoder must be given them."""
    types = set(map(type, values))
    if types <= {int, float}:
        return values
    if str in types:
        cells = {value: msgspec.Raw(_quoted(value)) for value in set(values)}
        return list(map(cells.__getitem__, values))
    return [_EMPTY if value is None else value for value in values]


def _quoted(value: str | None) -> bytes:
    if value is None:
        return b""
    if any(mark in value for mark in ',"\r\n'):
        value = '"' + value.replace('"', '""') + '"'
    return value.encode()


def encode_arrow(table: Mapping[str, list[Any]], *, parquet: bool) -> bytes:
    """Write a flat table as an Arrow IPC stream or a Parquet file."""
    # Loaded when first needed: a service that only speaks JSON never pays for it.
    from arro3 import io as arro3_io  # noqa: PLC0415
    from arro3.core import Array, DataType, Table  # noqa: PLC0415

    integers = {"bucket", "set_lower", "set_upper"}
    numbers = {*PROBABILITY_COLUMNS, *VALUE_COLUMNS}
    arrays: dict[str, Any] = {
        name: Array(
            values,
            type=DataType.int8() if name in integers else DataType.float64() if name in numbers else DataType.utf8(),
        )
        for name, values in table.items()
    }
    out = io.BytesIO()
    write = arro3_io.write_parquet if parquet else arro3_io.write_ipc_stream
    write(Table.from_pydict(arrays), out)
    return out.getvalue()
