"""Far more callers than slots, and callers who leave."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np

from tests.faults.support import HEAD, connect, half_sent, metric, pressure, wait_until
from tests.support.merchants import merchants
from tests.support.server import ROOT, Server, serve

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 8
CALLERS = 64
SECONDS = 4.0
ATTEMPTS = 3
"""Latencies of a shared machine: the best of a few runs tells what the service does."""


def quantile(values: list[float], level: float) -> float:
    """A quantile as a plain number."""
    return float(np.quantile(values, level))


def run_for(server: Server, body: bytes, callers: int, seconds: float) -> tuple[list[float], list[list[Any]]]:
    """Keep callers busy; give the latencies of accepted requests, and status, Retry-After and code of refusals."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.callers", str(server.port), str(callers), str(seconds)],
        cwd=ROOT,
        input=body,
        capture_output=True,
        timeout=seconds + 60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    result = json.loads(done.stdout)
    return result["accepted"], result["refused"]


def test_sixty_four_callers_and_eight_slots(models: Path) -> None:
    """Only 200, or 503 with Retry-After; whoever is accepted hardly waits longer; probes always answer."""
    body = json.dumps({"instances": merchants(400)}).encode()
    with serve(models, concurrency=str(LIMIT), queue="0") as server:
        ratios = []
        for _ in range(ATTEMPTS):
            unloaded, _ = run_for(server, body, LIMIT, SECONDS)
            stop = threading.Event()
            probes: list[int] = []

            def probe(stop: threading.Event = stop, probes: list[int] = probes) -> None:
                while not stop.is_set():
                    probes.append(httpx.get(server.url + "/livez", timeout=10).status_code)
                    time.sleep(0.05)

            watcher = threading.Thread(target=probe)
            watcher.start()
            accepted, refused = run_for(server, body, CALLERS, SECONDS)
            stop.set()
            watcher.join()
            assert set(probes) == {200}
            assert accepted
            assert refused
            assert {status for status, _, _ in refused} <= {429, 503}
            assert all(retry_after >= 1 for _, retry_after, _ in refused)
            assert {code for _, _, code in refused} == {"overloaded"}
            ratios.append(quantile(accepted, 0.99) / quantile(unloaded, 0.99))
            if ratios[-1] <= 2:
                break
        assert min(ratios) <= 2, ratios
        assert metric(server, 'tpv_requests_shed_total{reason="overloaded"}') >= len(refused)
        wait_until(lambda: metric(server, "tpv_requests_in_flight") == 0, 10, "every slot is free again")


def test_callers_who_leave_give_their_slots_back(models: Path) -> None:
    """Two slots: batches whose callers hang up at every stage leave room for the next request."""
    body = json.dumps({"instances": merchants(5_000)}).encode()
    with serve(models, concurrency="2", queue="0") as server, server.client() as client:
        for _ in range(6):
            for pause in (0.0, 0.02):
                gone = [connect(server) for _ in range(2)]
                for connection in gone:
                    connection.sendall(HEAD + f"content-length: {len(body)}\r\n\r\n".encode() + body)
                time.sleep(pause)
                for connection in gone:
                    connection.close()
            half = [half_sent(server, body)[0] for _ in range(2)]
            for connection in half:
                connection.close()
            wait_until(lambda: metric(server, "tpv_requests_in_flight") == 0, 15, "slots released")
            assert client.post("/predict", json=merchants(1)[0]).status_code == 200
        assert metric(server, "tpv_requests_in_flight") == 0


def test_one_who_streams_and_leaves(models: Path) -> None:
    """An NDJSON stream that breaks off releases its slot too."""
    line = json.dumps(merchants(1)[0]).encode() + b"\n"
    head = HEAD.replace(b"application/json", b"application/x-ndjson") + b"transfer-encoding: chunked\r\n\r\n"
    with serve(models, concurrency="1", queue="0") as server, server.client() as client:
        for _ in range(5):
            with connect(server) as connection:
                connection.sendall(head + f"{len(line) * 50:x}\r\n".encode() + line * 50 + b"\r\n")
                assert connection.recv(20).startswith(b"HTTP/1.1 200")
            wait_until(lambda: metric(server, "tpv_requests_in_flight") == 0, 15, "the slot is released")
            assert client.post("/predict", json=merchants(1)[0]).status_code == 200


def test_others_are_served_beside_a_large_batch(server: Server) -> None:
    """While batches of ten thousand rows are computed, single merchants and probes are answered."""
    with pressure(server, {"instances": merchants(10_000)}, threads=3) as batches:
        with pressure(server, merchants(1)[0], threads=2) as singles:
            time.sleep(3)
        singles.assert_all_served()
    batches.assert_all_served(least=3)
