"""Arrow IPC streams and Parquet files to columns and back, by arro3: 33 MB installed where pyarrow takes 165."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

from app.contract.inputs import RAW_BY_NAME, Kind
from app.errors import MalformedBodyError, TooManyRowsError
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
    names, batches = _read(body, parquet=parquet, max_rows=max_rows)
    check_header(names)
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for batch in batches:
        for name in names:
            columns[name] += _plain(name, batch.column(name).to_pylist())
    return request_of_columns(columns, len(columns[names[0]]), options)


def _read(body: bytes, *, parquet: bool, max_rows: int) -> tuple[list[str], list[Any]]:
    # Loaded when first needed: a service that only speaks JSON never pays for it.
    from arro3 import io as arro3_io  # noqa: PLC0415

    read = arro3_io.read_parquet if parquet else arro3_io.read_ipc_stream
    unreadable = f"the body cannot be read as {'a Parquet file' if parquet else 'an Arrow IPC stream'}; write it again"
    batches: list[Any] = []
    rows = 0
    try:
        reader = read(io.BytesIO(body))
        names = list(reader.schema.names)
        for batch in reader:
            batches.append(batch)
            rows += batch.num_rows
            if rows > max_rows:
                break
    except Exception as error:
        raise MalformedBodyError(unreadable) from error
    except BaseException as error:
        # A panic of the Rust library is no Exception, yet it is only a body it cannot read.
        if type(error).__name__ != "PanicException":
            raise
        raise MalformedBodyError(unreadable) from error
    if rows > max_rows:
        raise TooManyRowsError(f"more than {max_rows} rows in one request; split it")
    return names, batches


def _plain(name: str, values: list[Any]) -> list[Any]:
    if float not in set(map(type, values)):
        return values
    integral = name in RAW_BY_NAME and RAW_BY_NAME[name].kind in _INTEGRAL
    return [_number(value, integral=integral) if type(value) is float else value for value in values]


def _number(value: float, *, integral: bool) -> float | int | None:
    if value != value:  # noqa: PLR0124 - the NaN test
        return None
    return int(value) if integral and value.is_integer() else value
