"""Reads Arrow IPC streams and Parquet files in a process of its own, started by `table_reader`.

The Rust reader aborts the whole process on some damaged bodies, where a panic crosses its C interface. Here that ends a
process that holds nothing else. It imports nothing of the application: it is run by its path.

Protocol on standard input and output: `HEADER` and a body in, `REPLY` and a msgpack pair of `read` out.
"""

from __future__ import annotations

import io
import signal
import struct
import sys
from typing import Any, Final

import msgspec

HEADER: Final = struct.Struct("<?QQ")
"""Whether it is Parquet, most rows, bytes of the body."""
REPLY: Final = struct.Struct("<cQ")
"""What became of it, bytes that follow."""
READ, UNREADABLE, TOO_MANY = b"k", b"u", b"m"
BASE_BYTES: Final = 256 * 1024**2
BYTES_PER_BYTE: Final = 8
BYTES_PER_ROW: Final = 512
"""Address space of this process while it reads a body: what the libraries need, and what a sound body of that length
and so many rows does. The reader fills what a body claims with zeros before it looks whether it is there."""
_PLAIN: Final = {int, float, str, bool, type(None)}


def read(body: bytes, *, parquet: bool, max_rows: int) -> tuple[list[str], list[tuple[list[Any], bytes]]] | None:
    """Read a table as names and columns; None when it has more rows than allowed.

    A column is its distinct values and, by row, the place of its value among them as int32.
    """
    # After the limits are set.
    from arro3 import core  # noqa: PLC0415
    from arro3 import io as arro3_io  # noqa: PLC0415

    reader = (arro3_io.read_parquet if parquet else arro3_io.read_ipc_stream)(io.BytesIO(body))
    schema = reader.schema
    batches = []
    rows = 0
    for batch in reader:
        rows += batch.num_rows
        if rows > max_rows:
            return None
        batches.append(batch)
    table = core.Table.from_batches(batches, schema=schema)
    return list(schema.names), [_distinct(table.column(place).combine_chunks()) for place in range(len(schema.names))]


def _distinct(column: Any) -> tuple[list[Any], bytes]:
    import numpy as np  # noqa: PLC0415 - after the limits are set
    from arro3.core import DataType, dictionary_dictionary, dictionary_indices  # noqa: PLC0415

    try:
        packed = column.cast(DataType.dictionary(DataType.int32(), column.type))
    except Exception:  # noqa: BLE001 - it names no narrower type for what cannot be packed
        return _plain(column.to_pylist()), np.arange(len(column), dtype=np.int32).tobytes()
    values, places = dictionary_dictionary(packed).to_pylist(), dictionary_indices(packed)
    if places.null_count:
        index = np.array([len(values) if place is None else place for place in places.to_pylist()], dtype=np.int32)
        values.append(None)
    else:
        index = places.to_numpy()
    if len(index) and not 0 <= index.min() <= index.max() < len(values):
        raise ValueError("a dictionary index points nowhere")
    return _plain(values), index.tobytes()


def _plain(values: list[Any]) -> list[Any]:
    if set(map(type, values)) <= _PLAIN:
        return values
    # No input has such a type: a value that every rule refuses stands for it.
    return [value if type(value) in _PLAIN else [] for value in values]


def _limit(name: str, value: int) -> None:
    try:
        import resource  # noqa: PLC0415 - not on every platform

        kind = getattr(resource, name)
        resource.setrlimit(kind, (value, resource.getrlimit(kind)[1]))
    except (ImportError, AttributeError, ValueError, OSError):
        pass


def main() -> None:
    """Answer until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which then closes standard input
    _limit("RLIMIT_CORE", 0)
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while len(head := source.read(HEADER.size)) == HEADER.size:
        parquet, max_rows, length = HEADER.unpack(head)
        _limit("RLIMIT_AS", BASE_BYTES + BYTES_PER_BYTE * length + BYTES_PER_ROW * max_rows)
        body = source.read(length)
        try:
            table = read(body, parquet=parquet, max_rows=max_rows)
            status, payload = (TOO_MANY, b"") if table is None else (READ, msgspec.msgpack.encode(table))
        except BaseException:  # noqa: BLE001 - a panic of the Rust library is no Exception
            status, payload = UNREADABLE, b""
        sink.write(REPLY.pack(status, len(payload)) + payload)
        sink.flush()


if __name__ == "__main__":
    main()
