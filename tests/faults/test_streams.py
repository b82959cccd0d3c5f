"""NDJSON callers who drip their rows, or do not read the answers: they wait at nobody's cost."""

from __future__ import annotations

import json
import socket
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.faults.support import (
    HEAD,
    NDJSON,
    callers_of,
    chunk,
    connect,
    metric,
    pressure,
    read_all,
    read_answer,
    records_of,
    wait_until,
)
from tests.support.merchants import merchants
from tests.support.server import Server, serve

if TYPE_CHECKING:
    from pathlib import Path

ROW = merchants(1, seed=7)[0]
LINE = json.dumps(ROW).encode() + b"\n"
LIMIT = 2
STREAMS = 6
SMALL_BUFFER = 16 * 1024
"""Of the caller's side, so that the server notices soon that nobody reads."""


def open_streams(server: Server) -> float:
    """Streams and requests in the process."""
    return metric(server, "tpv_requests_in_flight")


@pytest.mark.parametrize("pieces", [[LINE], [LINE[:1], LINE[1:]], [LINE[:-1], b"\n"]], ids=["rows", "cut", "ends"])
def test_dripping_streams_keep_nobody_from_an_answer(models: Path, pieces: list[bytes]) -> None:
    """Three times as many streams as slots send a row now and then: ordinary requests are served beside them."""
    with serve(models, concurrency=str(LIMIT), queue="0", streams=str(STREAMS)) as server, ExitStack() as stack:
        streams = [stack.enter_context(connect(server)) for _ in range(STREAMS)]
        for stream in streams:
            stream.sendall(NDJSON)
        wait_until(lambda: open_streams(server) == STREAMS, 10, "all streams are open")
        with pressure(server, ROW, threads=1) as outcome:
            for _ in range(4):
                for piece in pieces:
                    for stream in streams:
                        stream.sendall(chunk(piece))
                    time.sleep(0.2)
        outcome.assert_all_served()
        for stream in streams:
            stream.sendall(b"0\r\n\r\n")
            *answers, trailer = records_of(read_all(stream))
            assert [set(answer) & {"bucket", "error"} for answer in answers] == [{"bucket"}] * 4
            assert trailer["trailer"]["complete"]
            assert trailer["trailer"]["rows"] == 4
        wait_until(lambda: open_streams(server) == 0, 10, "every place is free")


def test_more_streams_than_places_are_refused(models: Path) -> None:
    """The last one gets a 503 with Retry-After, and its place when another has ended."""
    with serve(models, concurrency=str(LIMIT), queue="0", streams="2") as server, server.client() as client:
        with ExitStack() as stack:
            for stream in [stack.enter_context(connect(server)) for _ in range(2)]:
                stream.sendall(NDJSON)
            wait_until(lambda: open_streams(server) == 2, 10, "both streams are open")
            headers = {"content-type": "application/x-ndjson"}
            refused = client.post("/predict", content=LINE, headers=headers)
            assert refused.status_code == 503
            assert refused.json()["code"] == "overloaded"
            assert int(refused.headers["retry-after"]) >= 1
            assert client.post("/predict", json=ROW).status_code == 200
        wait_until(lambda: open_streams(server) == 0, 10, "both are gone")
        assert client.post("/predict", content=LINE, headers=headers).status_code == 200


def test_a_stream_waits_for_a_slot_like_everyone(models: Path) -> None:
    """Pieces are computed in slots: rows sent while none is free are answered when one is."""
    with serve(models, concurrency="1", queue="8", streams="4") as server:
        with pressure(server, {"instances": merchants(3_000)}, threads=3, pause=0.0) as outcome:
            lines = httpx.post(
                server.url + "/predict",
                content=LINE * 500,
                headers={"content-type": "application/x-ndjson"},
                timeout=30,
            ).text.splitlines()
            wait_until(lambda: len(outcome.answers) >= 3, 30, "load")
        assert len(lines) == 501
        assert json.loads(lines[-1])["trailer"]["complete"]
        outcome.assert_all_served(least=3)


@pytest.mark.parametrize("drip", [b" ", b"\n", b"x", b""], ids=["blanks", "blank lines", "a row byte by byte", "none"])
def test_what_is_no_row_does_not_keep_a_stream_open(models: Path, drip: bytes) -> None:
    """With the default settings a stream without a row for a while is ended within ten seconds, by a trailer."""
    with serve(models) as server, connect(server, timeout=0.3) as stream:
        stream.sendall(NDJSON + chunk(LINE))
        started = time.monotonic()
        received = b""
        while b"trailer" not in received:
            assert time.monotonic() - started < 10
            try:
                received += stream.recv(65536)
            except TimeoutError:
                if drip:
                    stream.sendall(chunk(drip))
        _, trailer = records_of(received)
        assert trailer["trailer"]["rows"] == 1
        assert not trailer["trailer"]["complete"]
        assert trailer["trailer"]["error"]["code"] == "body_timeout"
        wait_until(lambda: open_streams(server) == 0, 10, "the place is free")


def quiet(server: Server) -> socket.socket:
    """Connect with a small buffer for what comes back."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    connection.settimeout(30)
    connection.connect(("127.0.0.1", server.port))
    return connection


def test_who_never_reads_is_cut(models: Path) -> None:
    """Neither a stream nor a batch whose answer is not taken holds a slot, a place or memory for long."""
    batch = json.dumps({"instances": merchants(10_000)}).encode()
    whole = HEAD + f"content-length: {len(batch)}\r\n\r\n".encode() + batch
    streamed = NDJSON + chunk(LINE * 20_000) + b"0\r\n\r\n"
    with (
        serve(models, concurrency=str(LIMIT), queue="0", streams="2", send_timeout_seconds="2") as server,
        ExitStack() as stack,
    ):
        with pressure(server, ROW, threads=1, pause=0.02) as outcome:
            held = []
            for request in (whole, streamed):
                connection = stack.enter_context(quiet(server))
                connection.sendall(request)
                held.append(connection.getsockname()[1])
            # Other callers: an answer at once, whatever those two do.
            wait_until(
                lambda: not callers_of(server, server.process.pid) & set(held), 2 * 2 + 8, "both connections are closed"
            )
        outcome.assert_all_served()
        wait_until(lambda: open_streams(server) == 0, 5, "every place is free")


def test_who_reads_slowly_but_reads_gets_it_all(models: Path) -> None:
    """The bound is on rest, not on the whole: an answer may take many times the limit."""
    with serve(models, send_timeout_seconds="1") as server, quiet(server) as connection:
        connection.sendall(NDJSON + chunk(LINE * 20_000) + b"0\r\n\r\n")
        received = bytearray()
        started = time.monotonic()
        while not received.endswith(b"\r\n0\r\n\r\n"):
            piece = connection.recv(65536)
            assert piece, "the answer was cut"
            received += piece
            if time.monotonic() - started < 6:
                # More than the least of 64 KiB a second, and far less than the server could send.
                time.sleep(len(piece) / 200_000)
        assert time.monotonic() - started > 6
        assert records_of(bytes(received))[-1]["trailer"]["rows"] == 20_000


def test_who_sends_everything_before_it_reads_gets_it_all(models: Path) -> None:
    """Ordinary client libraries do: while rows still come, unread answers wait for longer than the limit."""
    with serve(models, send_timeout_seconds="1") as server, quiet(server) as connection:
        connection.sendall(NDJSON)
        for _ in range(30):
            connection.sendall(chunk(LINE * 700))
            time.sleep(0.12)
        connection.sendall(b"0\r\n\r\n")
        *_, trailer = records_of(read_all(connection))
        assert trailer["trailer"]["complete"]
        assert trailer["trailer"]["rows"] == 21_000


def test_inference_requests_do_not_stream(models: Path) -> None:
    """Only /predict does: anywhere else the type of the body opens no way around the limits."""
    with serve(models, max_body_bytes="4096") as server, connect(server) as connection:
        head = NDJSON.replace(b"/predict", b"/v2/models/tpv/infer")
        connection.sendall(head + chunk(b" " * 8192) + b"0\r\n\r\n")
        status, body = read_answer(connection)
        assert (status, json.loads(body)["code"]) == (413, "body_too_large")
