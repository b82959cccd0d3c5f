"""Arrow IPC streams and Parquet files to columns and back, by arro3: 33 MB installed where pyarrow takes 165."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from app.contract.inputs import RAW_BY_NAME, Distinct, Kind
from app.formats.table_reader import read_table
from app.formats.tables import check_header, request_of_columns

if TYPE_CHECKING:
    from app.formats.request import DecodedRequest, Options

_INTEGRAL: Final = frozenset({Kind.NOMINAL, Kind.FLAG, Kind.COUNT})


def decode_arrow(body: bytes, options: Options, *, parquet: bool, max_rows: int) -> DecodedRequest:
    """Decode a table of merchants.

    Integer columns that became floating point on the way, as pandas does when a null is among them, are taken as the
    integers they hold, and NaN as null.

    Args:
        body: the whole body.
        options: how to answer.
        parquet: whether the body is a Parquet file, and not an IPC stream.
        max_rows: most rows of one request.

    Raises:
        MalformedBodyError: not such a container.
        InvalidRequestError: columns are wrong, or a row is and the options say `fail`.
        TooManyRowsError: more than `max_rows` rows.
    """
    names, read = read_table(body, parquet=parquet, max_rows=max_rows)
    check_header(names)
    columns = {name: _plain(name, column) for name, column in zip(names, read, strict=True)}
    return request_of_columns(columns, len(read[0]), options)


def _plain(name: str, column: Distinct) -> Distinct:
    integral = RAW_BY_NAME[name].kind in _INTEGRAL
    values = [_number(value, integral=integral) if type(value) is float else value for value in column.values]
    return Distinct(values, column.index)


def _number(value: float, *, integral: bool) -> float | int | None:
    if value != value:  # noqa: PLR0124 - the NaN test
        return None
    return int(value) if integral and value.is_integer() else value
