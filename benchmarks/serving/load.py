"""Bounded load on a loopback port: by wrk where it is installed, else by a client in Python."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT: Final = Path(__file__).resolve().parents[2]
_WRK_SCRIPT: Final = Path(__file__).with_name("wrk.lua")
_SLACK_SECONDS: Final = 30.0
_HEAD_START_SECONDS: Final = 0.05


@dataclass(frozen=True)
class Bodies:
    """What is posted, one body after the other and round again.

    Attributes:
        content_type: of every body.
        bodies: at least one.
    """

    content_type: str
    bodies: Sequence[bytes]


@dataclass(frozen=True)
class Load:
    """What a run of load measured.

    Attributes:
        requests: answered.
        seconds: it took.
        errors: answers that were no success, and requests without an answer.
        p50: median latency in ms.
        p99: 99 % quantile of the latency in ms.
        cpu_seconds: processor time of the server, as far as it was read.
    """

    requests: int
    seconds: float
    errors: int
    p50: float
    p99: float
    cpu_seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


@cache
def generator() -> str:
    """Name what makes the load."""
    if shutil.which("wrk"):
        return "wrk"
    print(
        "wrk is not installed (Debian package `wrk`): a client in Python makes the load. It costs about as much as "
        "the server, so floor and service both look slower and their ratio is flattered.",
        file=sys.stderr,
    )
    return "python"


def put_load(port: int, path: str, bodies: Bodies, *, connections: int, seconds: float) -> Load:
    """Keep a number of connections busy for some seconds, each with one request in flight.

    Raises:
        RuntimeError: the generator failed.
    """
    with tempfile.TemporaryDirectory(prefix="tpv-load-") as name:
        directory = Path(name)
        for index, body in enumerate(bodies.bodies):
            (directory / str(index)).write_bytes(body)
        if generator() == "wrk":
            command = [
                "wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "30s", "-s",
                str(_WRK_SCRIPT), f"http://127.0.0.1:{port}{path}", "--", name, str(len(bodies.bodies)),
                bodies.content_type,
            ]  # fmt: skip
        else:
            command = [
                sys.executable, "-m", "benchmarks.serving.client", str(port), path, bodies.content_type, name,
                str(connections), str(seconds),
            ]  # fmt: skip
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=seconds + _SLACK_SECONDS, check=False
        )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        raise RuntimeError(f"the load generator failed: {done.stdout} {done.stderr}")
    return Load(**json.loads(lines[-1]))


def fetch(port: int, path: str, body: bytes | None = None, content_type: str = "application/json") -> tuple[int, bytes]:
    """Make one request; give status and body.

    Raises:
        OSError: nobody listens or the connection broke.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        method = "GET" if body is None else "POST"
        connection.request(method, path, body, {"content-type": content_type} if body is not None else {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def put_batches(port: int, path: str, bodies: Bodies, *, connections: int, requests: int) -> Load:
    """Send a number of large requests over some connections and wait for every answer.

    A client in Python is enough: it costs a few ms a request of many.
    """
    latencies: list[float] = []
    errors = []
    turns = iter(range(requests))

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SLACK_SECONDS)
        for turn in turns:
            body = bodies.bodies[turn % len(bodies.bodies)]
            before = time.perf_counter()
            connection.request("POST", path, body, {"content-type": bodies.content_type})
            response = connection.getresponse()
            response.read()
            latencies.append((time.perf_counter() - before) * 1e3)
            if response.status != http.client.OK:
                errors.append(response.status)
        connection.close()

    started = time.perf_counter()
    with ThreadPoolExecutor(connections) as pool:
        for worker in [pool.submit(work) for _ in range(connections)]:
            worker.result()
    seconds = time.perf_counter() - started
    return Load(requests, seconds, len(errors), quantile(latencies, 0.5), quantile(latencies, 0.99))


def probe(port: int, path: str, *, until: Callable[[], bool], pause: float = 0.002) -> list[float]:
    """Ask for a path again and again on one connection until told that it is enough; give latencies in ms.

    Raises:
        RuntimeError: an answer was no 200.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SLACK_SECONDS)
    latencies = []
    while not until():
        started = time.perf_counter()
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        latencies.append((time.perf_counter() - started) * 1e3)
        if response.status != http.client.OK:
            raise RuntimeError(f"{path} answered {response.status}")
        time.sleep(pause)
    connection.close()
    return latencies


def probe_beside(
    port: int, path: str, batches_path: str, bodies: Bodies, *, connections: int, requests: int
) -> tuple[list[float], Load]:
    """Ask for a path while batches run; give its latencies in ms, and what became of the batches.

    Raises:
        RuntimeError: an answer of that path was no 200.
    """
    with ThreadPoolExecutor(1) as pool:
        batches = pool.submit(put_batches, port, batches_path, bodies, connections=connections, requests=requests)
        time.sleep(_HEAD_START_SECONDS)
        latencies = probe(port, path, until=batches.done)
        return latencies, batches.result()


def quantile(values: Sequence[float], level: float) -> float:
    """Give a quantile as a plain number, NaN of nothing."""
    return float(np.quantile(values, level)) if values else float("nan")
