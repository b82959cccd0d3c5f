"""Damaged Arrow and Parquet bodies: refused, and the process they could have ended lives."""

from __future__ import annotations

import re
import struct
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.merchants import merchants
from tests.support.problems import assert_problem

if TYPE_CHECKING:
    from tests.support.server import Server

ROWS = [row | {"bairro": None if position == 1 else "Centro"} for position, row in enumerate(merchants(3, seed=5))]
ARROW = "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"
HELPER_KB = 300_000


def bodies() -> dict[str, bytes]:
    """The same merchants in both formats."""
    table = pa.Table.from_pylist(ROWS)
    stream, file = pa.BufferOutputStream(), pa.BufferOutputStream()
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    pq.write_table(table, file)
    return {ARROW: stream.getvalue().to_pybytes(), PARQUET: file.getvalue().to_pybytes()}


def post(server: Server, kind: str, body: bytes) -> httpx.Response:
    """Send a body."""
    return httpx.post(server.url + "/predict", content=body, headers={"content-type": kind}, timeout=60)


def test_a_null_bitmap_that_is_too_short(server: Server) -> None:
    """The reader panics on it where nothing can catch that; the server answers a 400 and goes on."""
    body = bodies()[ARROW]
    (offset,) = [at for at in range(0, len(body) - 16, 8) if _is_bitmap(body, at)]
    damaged = body[: offset + 8] + struct.pack("<q", 0) + body[offset + 16 :]
    for _ in range(3):
        assert_problem(post(server, ARROW, damaged), 400, "malformed_body")
        assert post(server, ARROW, body).status_code == 200
    assert server.process.poll() is None


def _is_bitmap(body: bytes, at: int) -> bool:
    """Tell whether an offset and a length of one byte stand here: the nulls of three rows."""
    offset, length = struct.unpack_from("<qq", body, at)
    return bool(length == 1 and 0 < offset < 4096 and offset % 8 == 0)


def helpers_of(server: Server) -> list[str]:
    """Process ids of what the threads of the server have started."""
    found: list[str] = []
    for thread in Path(f"/proc/{server.process.pid}/task").iterdir():
        with suppress(OSError):
            found += (thread / "children").read_text().split()
    return found


@pytest.mark.parametrize(
    "claim", [b'{"cnae": 1}', b"cnae_fiscal_principal,segmento", b"\xff\xff\xff\xff\xff\xff\xff\x7f"]
)
def test_what_a_small_body_claims_is_not_allocated(server: Server, claim: bytes) -> None:
    """Its first bytes read as a length of two gigabytes: the process that reads it stays small."""
    most, stop = [0], threading.Event()

    def watch() -> None:
        while not stop.is_set():
            for child in helpers_of(server):
                with suppress(OSError):
                    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{child}/status").read_text())
                    most[0] = max(most[0], int(found.group(1)) if found else 0)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for _ in range(3):
            assert_problem(post(server, ARROW, claim), 400, "malformed_body")
    finally:
        stop.set()
        watcher.join()
    assert 0 < most[0] < HELPER_KB, most
    assert post(server, ARROW, bodies()[ARROW]).status_code == 200


@pytest.mark.parametrize("kind", [ARROW, PARQUET])
def test_cut_tables(server: Server, kind: str) -> None:
    """Wherever a table is cut, the answer is a 400, or a 200 where the rest was not needed."""
    body = bodies()[kind]
    for length in range(0, len(body), len(body) // 40):
        response = post(server, kind, body[:length])
        assert response.status_code in {200, 400, 422}, response.text
    assert server.process.poll() is None


@pytest.mark.parametrize("kind", [ARROW, PARQUET])
def test_changed_bytes(server: Server, kind: str) -> None:
    """Some bytes of a table, one at a time, set to each extreme: answered without a 5xx."""
    body = bodies()[kind]
    with server.client(headers={"content-type": kind}) as client:
        for position in range(0, len(body), len(body) // 20):
            for value in (b"\x00", b"\xff"):
                response = client.post("/predict", content=body[:position] + value + body[position + 1 :])
                assert response.status_code < 500, (position, value, response.text)
    assert server.process.poll() is None
