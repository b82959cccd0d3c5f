"""Processes that are killed or told to stop while they work."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.faults.support import (
    connect,
    half_sent,
    owner_of,
    pressure,
    read_answer,
    wait_until,
    workers_of,
)
from tests.support.merchants import merchants
from tests.support.server import ROOT, Server, serve

if TYPE_CHECKING:
    from pathlib import Path

ROW = merchants(1, seed=7)[0]
BODY = json.dumps(ROW).encode()
REPLACED_SECONDS = 3.0
ATTEMPTS = 3
"""A replacement is a process that starts: on a busy machine the quickest of a few tells what the code costs."""
IMPORT_SECONDS = 1.0
"""What importing the application takes on a machine that is not busy; where it takes longer, so may a replacement."""


def test_a_killed_worker_takes_only_its_own_requests(models: Path) -> None:
    """SIGKILL in flight: the other worker's requests all finish, and a replacement answers within three seconds."""
    with serve(models, workers="2") as server:
        wait_until(lambda: len(workers_of(server)) == 2, 30, "two workers")
        took = []
        for _ in range(ATTEMPTS):
            took.append(_kill_one_in_flight(server))
            limit = REPLACED_SECONDS * max(1.0, _import_seconds() / IMPORT_SECONDS)
            if took[-1] < limit:
                break
        assert min(took) < limit, took
        assert server.stop() == 0


def _import_seconds() -> float:
    """Time what every start must do on this machine, now."""
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", "import app.main"], cwd=ROOT, check=True, timeout=60)
    return time.monotonic() - started


def _kill_one_in_flight(server: Server) -> float:
    flights = [half_sent(server, BODY) for _ in range(16)]
    wait_until(lambda: all(owner_of(server, connection) for connection, _ in flights), 20, "every connection accepted")
    owners = [owner_of(server, connection) for connection, _ in flights]
    victim = owners[0]
    assert victim is not None
    before = set(workers_of(server))
    killed = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    for (connection, rest), owner in zip(flights, owners, strict=True):
        if owner == victim:
            assert read_answer(connection)[0] == 0
        else:
            connection.sendall(rest)
            assert read_answer(connection)[0] == 200
        connection.close()
    while time.monotonic() < killed + 30:
        with connect(server) as probe:
            probe.sendall(b"GET /readyz HTTP/1.1\r\nhost: test\r\n\r\n")
            new = owner_of(server, probe)
            if read_answer(probe)[0] == 200 and new is not None and new not in before:
                return time.monotonic() - killed
            # The survivor answers while the newcomer starts; a few at once give the newcomer its turn.
            time.sleep(0.01)
        if (fresh := set(workers_of(server)) - before) and _serves(server, fresh):
            return time.monotonic() - killed
    raise AssertionError("no replacement within 30 s")


def _serves(server: Server, pids: set[int]) -> bool:
    """Tell whether one of some workers takes one of many connections and is ready."""
    held = [connect(server) for _ in range(12)]
    try:
        for connection in held:
            connection.sendall(b"GET /readyz HTTP/1.1\r\nhost: test\r\n\r\n")
        answers = {owner_of(server, connection): read_answer(connection)[0] for connection in held}
        return any(answers.get(pid) == 200 for pid in pids)
    finally:
        for connection in held:
            connection.close()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_finishes_what_is_in_flight(models: Path, workers: str) -> None:
    """Readiness turns 503 first, requests in flight are answered, and the exit status is 0 within the drain time."""
    with serve(models, workers=workers, drain_delay_seconds="4", drain_seconds="10") as server:
        flights = [half_sent(server, BODY) for _ in range(8)]
        time.sleep(0.3)
        told = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("/readyz", 3.5, status=503)
        time.sleep(max(0.0, told + 4.3 - time.monotonic()))
        for connection, rest in flights:
            connection.sendall(rest)
        assert [read_answer(connection)[0] for connection, _ in flights] == [200] * 8
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


def test_a_hanging_request_cannot_hold_the_process(models: Path) -> None:
    """A body that never comes is given up at the end of the drain time."""
    with serve(models, drain_delay_seconds="0", drain_seconds="2", body_timeout_seconds="60") as server:
        connection, _ = half_sent(server, BODY)
        time.sleep(0.2)
        told = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 0
        assert time.monotonic() - told < 2 + 3
        connection.close()


def test_a_second_sigterm_shortens_the_delay(models: Path) -> None:
    """Whoever cannot wait for balancers says so twice."""
    with serve(models, drain_delay_seconds="60") as server:
        assert httpx.post(server.url + "/predict", json=ROW).status_code == 200
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("/readyz", 5, status=503)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 0
