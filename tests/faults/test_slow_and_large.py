"""Bytes that come too slowly, or far too many of them."""

from __future__ import annotations

import gzip
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest
from backports.zstd import ZstdCompressor

from tests.faults.support import (
    HEAD,
    connect,
    memory_mb,
    pressure,
    read_answer,
    send_until_answered,
)
from tests.support.merchants import merchants
from tests.support.server import Server, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROW = merchants(1, seed=7)[0]
BODY = json.dumps(ROW).encode()
MEGABYTE = 1024 * 1024
CLOSED_SECONDS = 10.0
OTHERS_SECONDS = 1.0
"""What others may wait at worst while slow callers are there: far less than any of the time limits."""
MORE_MB = 160.0
"""What any of the large bodies may add to the most memory the process ever had: limits, not bodies."""


def closed_after(server: Server, start: bytes, drip: bytes) -> float:
    """Send a beginning and then a byte now and then; give the seconds until the server closed or answered."""
    started = time.monotonic()
    with connect(server, timeout=0.4) as connection:
        connection.sendall(start)
        for position in range(100):
            try:
                if connection.recv(65536) is not None:
                    return time.monotonic() - started
            except TimeoutError:
                pass
            except ConnectionError:
                return time.monotonic() - started
            try:
                connection.sendall(drip[position % max(len(drip), 1) :][:1])
            except ConnectionError:
                return time.monotonic() - started
    raise AssertionError("the server never closed")


SLOW = {
    "nothing at all": (b"", b""),
    "a request line byte by byte": (b"P", b"OST /predict-and-so-on-and-on"),
    "headers byte by byte": (HEAD + b"x-slow: ", b"a"),
    "new headers without end": (HEAD, b"a: b\r\n"),
    "a body byte by byte": (HEAD + f"content-length: {len(BODY)}\r\n\r\n".encode(), BODY),
    "no body": (HEAD + b"content-length: 500\r\n\r\n", b""),
    "chunks of one byte": (HEAD + b"transfer-encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
}


def test_slow_heads_and_bodies_are_cut(models: Path) -> None:
    """With the default settings every slow caller is closed within ten seconds, and others notice nothing."""
    with (
        serve(models) as server,
        pressure(server, ROW, threads=2, pause=0.02) as outcome,
        ThreadPoolExecutor(4 * len(SLOW)) as pool,
    ):
        runs = {name: [pool.submit(closed_after, server, *sent) for _ in range(4)] for name, sent in SLOW.items()}
        took = {name: max(run.result() for run in several) for name, several in runs.items()}
    outcome.assert_all_served()
    assert np.quantile(outcome.seconds, 0.99) < OTHERS_SECONDS
    assert all(seconds <= CLOSED_SECONDS for seconds in took.values()), took


@pytest.fixture
def fresh(models: Path) -> Iterator[Server]:
    """A server whose memory nothing has touched yet."""
    with serve(models) as running:
        assert read_answer_to(running, BODY)[0] == 200
        yield running


def read_answer_to(server: Server, body: bytes, headers: bytes = b"") -> tuple[int, bytes]:
    """Post a body whole."""
    with connect(server) as connection:
        head = HEAD + headers + f"content-length: {len(body)}\r\n\r\n".encode()
        return send_until_answered(connection, iter([head + body]))


def chunks(piece: bytes, count: int) -> Iterator[bytes]:
    """A chunked body."""
    framed = f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
    for _ in range(count):
        yield framed
    yield b"0\r\n\r\n"


def assert_refused(answer: tuple[int, bytes], *, may_break: bool = False) -> None:
    """Check for a 413, or a break of the connection where the caller was still sending."""
    status, body = answer
    assert status == 413 or (may_break and status == 0), answer
    if status:
        assert json.loads(body)["code"] == "body_too_large"


def test_fifty_megabytes_by_length(fresh: Server) -> None:
    """Refused by what the head announces, before any of it is read."""
    before = memory_mb(fresh, "VmHWM")
    with connect(fresh) as connection:
        connection.sendall(HEAD + f"content-length: {50 * MEGABYTE}\r\n\r\n".encode())
        assert_refused(read_answer(connection))
    with connect(fresh) as connection:
        head = HEAD + f"content-length: {50 * MEGABYTE}\r\n\r\n".encode()
        assert_refused(send_until_answered(connection, iter([head, *[b" " * MEGABYTE] * 50])), may_break=True)
    assert memory_mb(fresh, "VmHWM") - before < MORE_MB
    assert read_answer_to(fresh, BODY)[0] == 200


def test_fifty_megabytes_in_chunks(fresh: Server) -> None:
    """Refused as soon as the limit is passed."""
    before = memory_mb(fresh, "VmHWM")
    with connect(fresh) as connection:
        connection.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n")
        assert_refused(send_until_answered(connection, chunks(b" " * MEGABYTE, 50)), may_break=True)
    assert memory_mb(fresh, "VmHWM") - before < MORE_MB
    assert read_answer_to(fresh, BODY)[0] == 200


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_compressed_bombs(fresh: Server, encoding: str) -> None:
    """A gigabyte in a small body is refused without being inflated."""
    if encoding == "gzip":
        bomb = gzip.compress(b"\0" * (1024 * MEGABYTE), compresslevel=1)
    else:
        compressor = ZstdCompressor(level=1)
        bomb = b"".join(compressor.compress(b"\0" * MEGABYTE) for _ in range(1024)) + compressor.flush()
    before = memory_mb(fresh, "VmHWM")
    with ThreadPoolExecutor(4) as pool:
        headers = f"content-encoding: {encoding}\r\n".encode()
        for answer in pool.map(lambda _: read_answer_to(fresh, bomb, headers), range(4)):
            assert_refused(answer)
    assert memory_mb(fresh, "VmHWM") - before < MORE_MB
    assert read_answer_to(fresh, BODY)[0] == 200


@pytest.mark.parametrize("content", [b"\0", b"\n", b" \n"], ids=["zeros", "newlines", "blank lines"])
def test_a_bomb_in_a_stream(fresh: Server, content: bytes) -> None:
    """A stream has no limit in bytes: what inflates and is no row is dropped, while others are served."""
    bomb = gzip.compress(content * (256 * MEGABYTE // len(content)), compresslevel=9)
    before = memory_mb(fresh, "VmHWM")
    headers = {"content-type": "application/x-ndjson", "content-encoding": "gzip"}
    with pressure(fresh, ROW, threads=2) as outcome:
        response = httpx.post(fresh.url + "/predict", content=bomb, headers=headers, timeout=60)
        time.sleep(0.2)
    outcome.assert_all_served()
    assert np.quantile(outcome.seconds, 0.99) < OTHERS_SECONDS
    trailer = json.loads(response.text.splitlines()[-1])["trailer"]
    assert trailer["rows"] == 0
    assert trailer["complete"] == (content != b"\0")
    assert memory_mb(fresh, "VmHWM") - before < MORE_MB


def test_seventy_thousand_tiny_chunks(fresh: Server) -> None:
    """A body in chunks of a byte is read like any other, in bounded memory, while others are served."""
    body = BODY[:-1] + b" " * (70_000 - len(BODY)) + b"}"
    before = memory_mb(fresh, "VmHWM")
    framed = b"".join(b"1\r\n" + body[at : at + 1] + b"\r\n" for at in range(len(body))) + b"0\r\n\r\n"
    with pressure(fresh, ROW, threads=2) as outcome, connect(fresh) as connection:
        status, _ = send_until_answered(connection, iter([HEAD + b"transfer-encoding: chunked\r\n\r\n", framed]))
        time.sleep(0.5)
    assert status == 200
    outcome.assert_all_served()
    assert memory_mb(fresh, "VmHWM") - before < MORE_MB
