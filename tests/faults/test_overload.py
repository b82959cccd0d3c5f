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
ROUNDS = 8
SECONDS = 1.0
MOST_TIMES = 2.0


def run_for(server: Server, body: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Keep as many callers busy as there are slots, and far more, in turn; give what each of the two saw."""
    counts = [LIMIT, CALLERS, ROUNDS, SECONDS]
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.callers", str(server.port), *map(str, counts)],
        cwd=ROOT,
        input=body,
        capture_output=True,
        timeout=2 * ROUNDS * SECONDS + 90,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    result = json.loads(done.stdout)
    return result["few"], result["many"]


def test_sixty_four_callers_and_eight_slots(models: Path) -> None:
    """Only 200, or 503 with Retry-After; whoever is accepted hardly waits longer; probes always answer.

    Unloaded means as many callers as slots: each slot is used, and nobody is refused. Both are measured in turns of a
    second in one run, so that a busy machine slows both and the ratio of the two says what overload costs.
    """
    body = json.dumps({"instances": merchants(400)}).encode()
    with serve(models, concurrency=str(LIMIT), queue="0") as server:
        stop = threading.Event()
        probes: list[int] = []

        def probe() -> None:
            while not stop.is_set():
                probes.append(httpx.get(server.url + "/livez", timeout=10).status_code)
                time.sleep(0.05)

        watcher = threading.Thread(target=probe)
        watcher.start()
        try:
            few, many = run_for(server, body)
        finally:
            stop.set()
            watcher.join()
        assert len(probes) > 2 * ROUNDS * SECONDS
        assert set(probes) == {200}
        assert not few["refused"], few["refused"][:3]
        refused = many["refused"]
        assert {(status, code) for status, _, code in refused} == {(503, "overloaded")}
        assert all(retry_after >= 1 for _, retry_after, _ in refused)
        unloaded, loaded = (np.quantile(side["accepted"], 0.99) for side in (few, many))
        assert loaded <= MOST_TIMES * unloaded, (unloaded, loaded)
        assert metric(server, 'tpv_requests_shed_total{reason="overloaded"}') == len(refused)
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
