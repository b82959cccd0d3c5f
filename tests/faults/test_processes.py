"""Processes that are killed or told to stop while they work."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.faults.support import (
    NDJSON,
    callers_of,
    chunk,
    connect,
    half_sent,
    owner_of,
    pressure,
    read_all,
    read_answer,
    records_of,
    wait_until,
    workers_of,
)
from tests.support.merchants import merchants
from tests.support.problems import assert_problem
from tests.support.server import Server, serve

if TYPE_CHECKING:
    import socket
    from pathlib import Path

ROW = merchants(1, seed=7)[0]
BODY = json.dumps(ROW).encode()
REPLACED_SECONDS = 3.0
THREADS = 2


@pytest.mark.parametrize("workers", ["1", "2"])
def test_nobody_is_answered_before_the_model_is_loaded(models: Path, workers: str) -> None:
    """From the moment the address is told, every caller gets a prediction, whichever worker takes the connection."""
    with serve(models, wait=False, workers=workers) as server:
        for _ in range(40):
            assert httpx.post(server.url + "/predict", json=ROW, timeout=30).status_code == 200


def test_without_a_model_all_workers_say_so(tmp_path: Path) -> None:
    """No champion is no reason not to start: the answer is a 503 that tells the remedy."""
    with serve(tmp_path, wait=False, workers="2") as server:
        for _ in range(20):
            response = httpx.post(server.url + "/predict", json=ROW, timeout=30)
            assert_problem(response, 503, "model_not_ready")
            assert httpx.get(server.url + "/livez").status_code == 200
        assert server.stop() == 0


def test_a_killed_worker_takes_only_its_own_requests(models: Path) -> None:
    """SIGKILL in flight and under load: only what it held fails; another serves within three seconds, never a 503."""
    with serve(models, workers="2") as server:
        wait_until(lambda: len(workers_of(server)) == 2, 30, "two workers")
        with pressure(server, ROW, threads=THREADS, pause=0.02) as outcome:
            wait_until(lambda: len(outcome.answers) > 20 * THREADS, 20, "load")
            flights, owners = _in_flight_at_both(server)
            victim, before = owners[0], set(workers_of(server))
            assert victim is not None
            loaded = callers_of(server, victim) - {connection.getsockname()[1] for connection, _ in flights}
            killed = time.monotonic()
            os.kill(victim, signal.SIGKILL)
            for (connection, rest), owner in zip(flights, owners, strict=True):
                if owner == victim:
                    assert read_answer(connection)[0] == 0
                else:
                    connection.sendall(rest)
                    assert read_answer(connection)[0] == 200
                connection.close()
            answers = _until_another_serves(server, before)
            took = time.monotonic() - killed
            time.sleep(1.0)
        assert took < REPLACED_SECONDS, took
        assert set(answers) == {200}
        assert outcome.statuses == {200}, [answer for answer in outcome.answers if answer[0] != 200][:3]
        assert len(outcome.errors) <= len(loaded), (outcome.errors, loaded)
        assert len(set(workers_of(server))) == 2
        assert server.stop() == 0


def _in_flight_at_both(server: Server) -> tuple[list[tuple[socket.socket, bytes]], list[int | None]]:
    """Begin requests until each of two workers holds some; give them, and who holds each."""
    flights: list[tuple[socket.socket, bytes]] = []
    owners: list[int | None] = []
    deadline = time.monotonic() + 20
    while len(set(owners)) < 2 or None in owners:
        assert time.monotonic() < deadline, owners
        if None not in owners:
            flights += [half_sent(server, BODY) for _ in range(16)]
        owners = [owner_of(server, connection) for connection, _ in flights]
    return flights, owners


def _until_another_serves(server: Server, before: set[int]) -> list[int]:
    """Post from many connections at once, again and again, until a new worker answers one; give every status."""
    statuses = []
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        held = [half_sent(server, BODY) for _ in range(12)]
        fresh = set(workers_of(server)) - before
        found = {port for pid in fresh for port in callers_of(server, pid)}
        new = any(connection.getsockname()[1] in found for connection, _ in held)
        for connection, rest in held:
            connection.sendall(rest)
            statuses.append(read_answer(connection)[0])
            connection.close()
        if new:
            return statuses
        time.sleep(0.02)
    raise AssertionError("no replacement within 30 s")


def test_a_worker_that_hangs_is_replaced(models: Path) -> None:
    """A stopped process is no dead one: it is killed when it was silent for its time, and the rest goes on."""
    with serve(models, workers="2", worker_timeout_seconds="2") as server:
        before = set(workers_of(server))
        victim = min(before)
        os.kill(victim, signal.SIGSTOP)
        wait_until(lambda: victim not in workers_of(server), 2 + 3, "the worker is ended")
        wait_until(lambda: len(workers_of(server)) == 2, 5, "a replacement")
        assert set(_until_another_serves(server, before)) == {200}
        assert server.stop() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("after", [0.0, 0.3, 0.6, 0.9, 1.2, 1.5, 2.0, 3.0])
def test_sigterm_while_starting(models: Path, workers: str, after: float) -> None:
    """Whether it imports, loads or has just begun to serve, the process ends with 0, and soon."""
    with serve(models, wait=False, workers=workers) as server:
        time.sleep(after)
        told = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - told < 5


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_finishes_what_is_in_flight(models: Path, workers: str) -> None:
    """Readiness turns 503 first, requests in flight are answered, and the exit status is 0 within the drain time."""
    with serve(models, workers=workers, drain_delay_seconds="4", drain_seconds="10") as server:
        flights = [half_sent(server, BODY) for _ in range(8)]
        stream = connect(server)
        stream.sendall(NDJSON + chunk(BODY + b"\n"))
        time.sleep(0.3)
        told = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("/readyz", 3.5, status=503)
        time.sleep(max(0.0, told + 4.3 - time.monotonic()))
        for connection, rest in flights:
            connection.sendall(rest)
        assert [read_answer(connection)[0] for connection, _ in flights] == [200] * 8
        stream.sendall(chunk(BODY + b"\n") + b"0\r\n\r\n")
        trailer = records_of(read_all(stream))[-1]["trailer"]
        assert (trailer["rows"], trailer["complete"]) == (2, True)
        stream.close()
        for connection, _ in flights:
            connection.close()
        assert server.process.wait(16) == 0
        assert time.monotonic() - told < 4 + 10 + 1


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_during_load_loses_nothing(models: Path, workers: str) -> None:
    """A balancer that stops sending when /readyz turns 503 sees no failed request, and the process ends with 0."""
    with serve(models, workers=workers, drain_delay_seconds="4", drain_seconds="10") as server:
        gone = threading.Event()
        with pressure(server, {"instances": merchants(20)}, threads=6, until=gone.is_set) as outcome:
            time.sleep(0.7)
            server.process.send_signal(signal.SIGTERM)
            server.wait_for("/readyz", 3.5, status=503)
            time.sleep(0.1)
            gone.set()
        outcome.assert_all_served()
        assert server.process.wait(16) == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_hanging_request_cannot_hold_the_process(models: Path, workers: str) -> None:
    """A body that never comes is given up at the end of the drain time."""
    with serve(
        models, workers=workers, drain_delay_seconds="0", drain_seconds="2", body_timeout_seconds="60"
    ) as server:
        connection, _ = half_sent(server, BODY)
        time.sleep(0.2)
        told = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 0
        assert time.monotonic() - told < 2 + 3
        connection.close()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_second_sigterm_shortens_the_delay(models: Path, workers: str) -> None:
    """Whoever cannot wait for balancers says so twice."""
    with serve(models, workers=workers, drain_delay_seconds="60") as server:
        assert httpx.post(server.url + "/predict", json=ROW).status_code == 200
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("/readyz", 5, status=503)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 0
