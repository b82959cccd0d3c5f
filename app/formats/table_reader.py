"""Tables read by helper processes, so that no body can end the server; see `table_child`."""

from __future__ import annotations

import atexit
import subprocess
import sys
import threading
from pathlib import Path
from queue import Empty, LifoQueue
from typing import Any, Final

import msgspec
import numpy as np

from app.contract.inputs import Distinct
from app.errors import MalformedBodyError, TooManyRowsError
from app.formats.table_child import HEADER, READ, REPLY, TOO_MANY

_CHILD: Final = Path(__file__).with_name("table_child.py")
_SECONDS: Final = 20.0
"""Longest time for one body; then the helper is killed."""
_decoder: Final = msgspec.msgpack.Decoder(tuple[list[str], list[tuple[list[Any], bytes]]])
_idle: Final[LifoQueue[subprocess.Popen[bytes]]] = LifoQueue()


def read_table(body: bytes, *, parquet: bool, max_rows: int) -> tuple[list[str], list[Distinct]]:
    """Read names and columns of an Arrow IPC stream or of a Parquet file. Safe for several threads at once.

    Helpers start when they are first needed, as many as there are threads that read at the same time, and stay.

    Raises:
        MalformedBodyError: it cannot be read.
        TooManyRowsError: more than `max_rows` rows.
    """
    try:
        helper = _idle.get_nowait()
    except Empty:
        helper = _start()
    status, payload = _ask(helper, HEADER.pack(parquet, max_rows, len(body)) + body)
    if helper.poll() is None and status:
        _idle.put(helper)
    else:
        _end(helper)
    if status == TOO_MANY:
        raise TooManyRowsError(f"more than {max_rows} rows in one request; split it")
    if status != READ:
        kind = "a Parquet file" if parquet else "an Arrow IPC stream"
        raise MalformedBodyError(f"the body cannot be read as {kind}; write it again")
    names, columns = _decoder.decode(payload)
    return names, [Distinct(values, np.frombuffer(index, dtype=np.int32)) for values, index in columns]


def _start() -> subprocess.Popen[bytes]:
    # -P: the child's own directory holds modules with names of the standard library.
    return subprocess.Popen(  # noqa: S603 - this interpreter and a file of this package
        [sys.executable, "-P", str(_CHILD)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def _ask(helper: subprocess.Popen[bytes], request: bytes) -> tuple[bytes, bytes]:
    """Send a request and give status and payload; an empty status when the helper died over it."""
    assert helper.stdin is not None
    assert helper.stdout is not None
    watch = threading.Timer(_SECONDS, helper.kill)
    watch.start()
    try:
        helper.stdin.write(request)
        helper.stdin.flush()
        head = helper.stdout.read(REPLY.size)
        if len(head) < REPLY.size:
            return b"", b""
        status, length = REPLY.unpack(head)
        payload = helper.stdout.read(length)
    except OSError:
        return b"", b""
    finally:
        watch.cancel()
    return (status, payload) if len(payload) == length else (b"", b"")


def _end(helper: subprocess.Popen[bytes]) -> None:
    helper.kill()
    with helper:
        pass


@atexit.register
def _close() -> None:
    while True:
        try:
            _end(_idle.get_nowait())
        except Empty:
            return
