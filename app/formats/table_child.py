"""Reads Arrow IPC streams and Parquet files in a process of its own, started by `table_reader`.

The Rust reader aborts the whole process on some damaged bodies, where a panic crosses its C interface. Here that ends a
process that holds nothing else. It imports nothing of the application: it is run by its path.

Protocol on standard input and output: `HEADER` and a body in, `REPLY` and a msgpack pair (names, columns) out.
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
MEMORY_BYTES: Final = 2 * 1024**3
"""Address space of this process: a small body that claims a large one must not take the machine with it."""
_PLAIN: Final = {int, float, str, bool, type(None)}


def read(body: bytes, *, parquet: bool, max_rows: int) -> tuple[list[str], list[list[Any]]] | None:
    """Read a table as names and columns; None when it has more rows than allowed."""
    from arro3 import io as arro3_io  # noqa: PLC0415 - after the limits are set

    reader = (arro3_io.read_parquet if parquet else arro3_io.read_ipc_stream)(io.BytesIO(body))
    names = list(reader.schema.names)
    columns: list[list[Any]] = [[] for _ in names]
    rows = 0
    for batch in reader:
        rows += batch.num_rows
        if rows > max_rows:
            return None
        for position, values in enumerate(columns):
            values.extend(_values(batch.column(position)))
    return names, columns


def _values(column: Any) -> list[Any]:
    if column.null_count == 0 and str(column.type).startswith(("arro3.core.DataType<Int", "arro3.core.DataType<Float")):
        # Ten times faster than one value at a time.
        numbers: list[Any] = column.to_numpy().tolist()
        return numbers
    values: list[Any] = column.to_pylist()
    if set(map(type, values)) <= _PLAIN:
        return values
    # No input has such a type: a value that every rule refuses stands for it.
    return [value if type(value) in _PLAIN else [] for value in values]


def main() -> None:
    """Answer until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which then closes standard input
    try:
        import resource  # noqa: PLC0415 - not on every platform

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, ValueError, OSError):
        pass
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while len(head := source.read(HEADER.size)) == HEADER.size:
        parquet, max_rows, length = HEADER.unpack(head)
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
