"""Limits of a live server: heads, bodies, places, slots."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.support.merchants import merchants
from tests.support.problems import assert_problem
from tests.support.server import Server, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROW = merchants(1, seed=7)[0]
HEAD = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"


@pytest.fixture(scope="module")
def tight(models: Path) -> Iterator[Server]:
    """A server with short times and small limits."""
    with serve(
        models,
        header_timeout_seconds="0.5",
        body_timeout_seconds="0.5",
        max_body_bytes="65536",
        concurrency="2",
        queue="2",
    ) as running:
        yield running


def closed_after(server: Server, sent: bytes, limit: float) -> bytes:
    """Send bytes and nothing more; give what came back before the server closed."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=limit) as connection:
        if sent:
            connection.sendall(sent)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
        return answer


@pytest.mark.parametrize("sent", [b"", b"POST /pre", HEAD], ids=["nothing", "part of a line", "no end"])
def test_slow_heads_are_cut(tight: Server, sent: bytes) -> None:
    """A connection whose request head does not come is closed, and others are served meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(closed_after, tight, sent, 10)
        assert httpx.post(tight.url + "/predict", json=ROW).status_code == 200
        assert waiting.result() == b""


def test_a_head_without_end_is_refused(tight: Server) -> None:
    """Headers are bounded."""
    answer = closed_after(tight, HEAD + b"x-a: " + b"y" * 70_000, 10)
    assert answer.startswith(b"HTTP/1.1 431")


def test_slow_bodies_get_a_408(tight: Server) -> None:
    """A body that stops coming ends its request only."""
    answer = closed_after(tight, HEAD + b"content-length: 100\r\n\r\n{", 10)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"body_timeout" in answer


def test_large_bodies_get_a_413(tight: Server) -> None:
    """By announced length at once, and by count when chunked."""
    announced = closed_after(tight, HEAD + b"content-length: 99999999\r\n\r\n", 10)
    assert announced.startswith(b"HTTP/1.1 413")
    chunk = b"1000\r\n" + b" " * 4096 + b"\r\n"
    chunked = closed_after(tight, HEAD + b"transfer-encoding: chunked\r\n\r\n" + chunk * 17, 10)
    assert chunked.startswith(b"HTTP/1.1 413")


def test_beyond_the_queue_is_refused_and_places_come_back(tight: Server) -> None:
    """Four places: callers beyond them get a 503 with Retry-After at once; probes do not notice."""
    held = [socket.create_connection(("127.0.0.1", tight.port)) for _ in range(4)]
    for connection in held:
        connection.sendall(HEAD + b"content-length: 100\r\n\r\n{")
    time.sleep(0.1)
    response = httpx.post(tight.url + "/predict", json=ROW)
    assert_problem(response, 503, "overloaded")
    assert response.headers["retry-after"] == "1"
    assert httpx.get(tight.url + "/livez").status_code == 200
    for connection in held:
        connection.close()
    tight.wait_ready()
    time.sleep(0.6)
    assert httpx.post(tight.url + "/predict", json=ROW).status_code == 200
    metrics = httpx.get(tight.url + "/metrics").text
    assert 'tpv_requests_shed_total{reason="overloaded"} 1.0' in metrics
    assert "tpv_requests_in_flight 0.0" in metrics


def test_more_callers_than_slots_all_get_an_answer(tight: Server) -> None:
    """Sixteen callers and two slots: only 200 and 503, and some of each kind of luck."""

    def call(_: int) -> int:
        return httpx.post(tight.url + "/predict", json={"instances": merchants(50)}).status_code

    with ThreadPoolExecutor(16) as pool:
        statuses = set(pool.map(call, range(80)))
    assert 200 in statuses
    assert statuses <= {200, 503}
