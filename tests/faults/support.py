"""Load in the background, raw connections, and a look into processes."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.server import Server

_ESTABLISHED: Final = "01"
HEAD: Final = b"POST /predict HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n"
NDJSON: Final = HEAD.replace(b"application/json", b"application/x-ndjson") + b"transfer-encoding: chunked\r\n\r\n"


@dataclass
class Outcome:
    """What the background load saw.

    Attributes:
        answers: (status, version, body) of every answer, if kept, else with an empty body.
        models: (version, digest) of every model that answered.
        errors: of requests that had no answer.
        seconds: latencies of the answers with status 200.
    """

    answers: list[tuple[int, str | None, bytes]] = field(default_factory=list)
    models: set[tuple[str, str]] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def statuses(self) -> set[int]:
        """Every status that occurred."""
        return {status for status, _, _ in self.answers}

    def assert_all_served(self, least: int = 10) -> None:
        """Check that there was load, and that every request of it got a 200."""
        assert not self.errors, self.errors[:3]
        assert self.statuses == {200}, [body for status, _, body in self.answers if status != 200][:3]
        assert len(self.answers) >= least


@contextmanager
def pressure(
    server: Server,
    body: Any,
    *,
    threads: int = 3,
    keep: bool = False,
    pause: float = 0.002,
    until: Callable[[], bool] | None = None,
) -> Iterator[Outcome]:
    """Post a body over and over on some keep-alive connections.

    Args:
        server: to load.
        body: JSON value.
        threads: connections, each with one request in flight.
        keep: whether to keep the bodies of 200 answers; others are always kept.
        pause: seconds between requests of a connection.
        until: tells that no more should be sent; by default when the block ends.
    """
    outcome, stop = Outcome(), threading.Event()
    content = json.dumps(body).encode()

    def work() -> None:
        with server.client(headers={"content-type": "application/json"}) as client:
            while not (stop.is_set() or (until and until())):
                started = time.perf_counter()
                try:
                    response = client.post("/predict", content=content)
                except httpx.TransportError as error:
                    outcome.errors.append(repr(error))
                    continue
                kept = response.content if keep or response.status_code != 200 else b""
                if response.status_code == 200:
                    outcome.seconds.append(time.perf_counter() - started)
                    outcome.models.add((response.headers["x-model-version"], response.headers["x-model-sha256"]))
                outcome.answers.append((response.status_code, response.headers.get("x-model-version"), kept))
                time.sleep(pause)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield outcome
    finally:
        stop.set()
        for worker in workers:
            worker.join(40)
        assert not any(worker.is_alive() for worker in workers)


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.02)


def connect(server: Server, timeout: float = 30.0) -> socket.socket:
    """Open a connection."""
    return socket.create_connection(("127.0.0.1", server.port), timeout=timeout)


def half_sent(server: Server, body: bytes) -> tuple[socket.socket, bytes]:
    """Begin a request: all but the last ten bytes; give the connection and the rest."""
    connection = connect(server)
    connection.sendall(HEAD + f"content-length: {len(body)}\r\n\r\n".encode() + body[:-10])
    return connection, body[-10:]


def read_answer(connection: socket.socket) -> tuple[int, bytes]:
    """Read one answer; give status and body, and status 0 when the connection ended before it."""
    data = b""
    try:
        while b"\r\n\r\n" not in data:
            piece = connection.recv(65536)
            if not piece:
                return 0, data
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        while length and len(body) < int(length.group(1)):
            piece = connection.recv(65536)
            if not piece:
                return 0, body
            body += piece
    except (ConnectionError, TimeoutError):
        return 0, data
    return int(head.split()[1]), body


def chunk(data: bytes) -> bytes:
    """Frame a piece of a chunked body."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def read_all(connection: socket.socket) -> bytes:
    """Read a chunked answer to its end."""
    received = bytearray()
    while not received.endswith(b"\r\n0\r\n\r\n"):
        piece = connection.recv(65536)
        assert piece, "the answer was cut"
        received += piece
    return bytes(received)


def records_of(received: bytes) -> list[dict[str, Any]]:
    """Parse the lines of a chunked answer."""
    _, _, body = received.partition(b"\r\n\r\n")
    content = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        content += rest[: int(size, 16)]
        body = rest[int(size, 16) + 2 :]
    return [json.loads(line) for line in content.splitlines()]


def send_until_answered(connection: socket.socket, pieces: Iterator[bytes]) -> tuple[int, bytes]:
    """Send piece after piece and stop when the server answers or hangs up; give its answer."""
    connection.settimeout(0)
    pending = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(BlockingIOError):
            if connection.recv(1, socket.MSG_PEEK) is not None:
                break
        if not pending:
            pending = next(pieces, b"")
            if not pending:
                break
        try:
            pending = pending[connection.send(pending) :]
        except BlockingIOError:
            time.sleep(0.001)
        except ConnectionError:
            break
    connection.settimeout(30)
    return read_answer(connection)


def workers_of(server: Server) -> list[int]:
    """Process ids of the workers of a supervisor."""
    pid = server.process.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def owner_of(server: Server, connection: socket.socket) -> int | None:
    """Process id of the worker that holds the other end of a connection."""
    mine = connection.getsockname()[1]
    return next((pid for pid in workers_of(server) if mine in callers_of(server, pid)), None)


def callers_of(server: Server, pid: int) -> set[int]:
    """Ports of the callers whose connections a worker has accepted."""
    held = set()
    with suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                held.add(str(link.readlink()))
    ports = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        here, there = (int(fields[at].rpartition(":")[2], 16) for at in (1, 2))
        if here == server.port and fields[3] == _ESTABLISHED and f"socket:[{fields[9]}]" in held:
            ports.add(there)
    return ports


def memory_mb(server: Server, kind: str = "VmRSS") -> float:
    """Resident memory of the process, or with `VmHWM` the most it ever had, in MB."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    (kilobytes,) = re.findall(rf"{kind}:\s+(\d+) kB", status)
    return int(kilobytes) * 1024 / 1e6


def metric(server: Server, series: str) -> float:
    """Value of one series, 0 when it is not there yet."""
    for line in httpx.get(server.url + "/metrics", timeout=10).text.splitlines():
        if line.startswith(series + " "):
            return float(line.rpartition(" ")[2])
    return 0.0


def serving_version(server: Server) -> str:
    """Version that serves."""
    return str(httpx.get(server.url + "/model", timeout=10).json()["serving"]["version"])
