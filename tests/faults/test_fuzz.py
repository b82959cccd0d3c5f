"""Random requests, by the schema and against it: no 5xx, no death."""

from __future__ import annotations

import http.client
import json
import os
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.faults.support import connect, read_answer
from tests.support.merchants import merchants
from tests.support.server import Server, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = float(os.environ.get("FUZZ_SECONDS", "60"))  # noqa: TID251 - how long is the caller's choice
SCHEMA_SECONDS = min(SECONDS, 45.0)
ROWS = merchants(3, seed=5)
TYPES = (
    "application/json",
    "application/x-ndjson",
    "text/csv",
    "application/vnd.apache.arrow.stream",
    "application/vnd.apache.parquet",
)
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
INTERESTING = (
    b"NaN", b"Infinity", b"-1", b"1e999", b"1" * 30, b"true", b"null", b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"{",
    b"}", b"[", b"]", b'"', b"\\", b"\\u0000", b"\\ud800", b":", b",", b"\r\n", b"\n", b'"instances":', b'"options":',
    b'"explain":true', b"[" * 200, b'{"a":' * 50, b"\x1f\x8b", b"(\xb5/\xfd", b"PAR1", b"\xff\xff\xff\xff", b"\x7f" * 4,
)  # fmt: skip


@pytest.fixture
def target(models: Path) -> Iterator[Server]:
    """A server of its own, which must end as the process it began as."""
    with serve(models, max_rows="1000") as running:
        yield running
        assert running.process.poll() is None
        assert httpx.get(running.url + "/livez").status_code == 200
        assert httpx.post(running.url + "/predict", json=ROWS[0]).status_code == 200
        unforeseen = [record for record in running.records() if record.get("message") == "unforeseen failure"]
        assert not unforeseen, unforeseen[:3]


def seeds(server: Server) -> list[tuple[str, bytes]]:
    """Make sound bodies to start from, by content type; tables come from answers, with their columns replaced."""
    import pyarrow as pa  # noqa: PLC0415 - heavy
    import pyarrow.parquet as pq  # noqa: PLC0415

    assert httpx.get(server.url + "/readyz").status_code == 200
    table = pa.Table.from_pylist(ROWS)
    stream, parquet = pa.BufferOutputStream(), pa.BufferOutputStream()
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    pq.write_table(table, parquet)
    lines = [",".join(ROWS[0]), *(",".join("" if v is None else str(v) for v in row.values()) for row in ROWS)]
    return [
        (TYPES[0], json.dumps(ROWS[0]).encode()),
        (TYPES[0], json.dumps({"instances": ROWS, "options": {"explain": 2, "coverage": 0.8}}).encode()),
        (TYPES[1], b"".join(json.dumps(row).encode() + b"\n" for row in ROWS)),
        (TYPES[2], "\r\n".join(lines).encode()),
        (TYPES[3], stream.getvalue().to_pybytes()),
        (TYPES[4], parquet.getvalue().to_pybytes()),
    ]


def mutate(rng: random.Random, data: bytes) -> bytes:
    """Change some bytes: flip, overwrite, insert, delete, repeat, cut."""
    result = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(len(result) + 1)
        match rng.randrange(7):
            case 0 if at < len(result):
                result[at] ^= 1 << rng.randrange(8)
            case 1 if at < len(result):
                result[at] = rng.randrange(256)
            case 2:
                result[at:at] = rng.choice(INTERESTING)
            case 3:
                del result[at : at + rng.choice((1, 2, 8, 64))]
            case 4:
                piece = bytes(result[at : at + rng.choice((1, 4, 32))])
                result[at:at] = piece * rng.choice((1, 3, 50))
            case 5:
                del result[at:]
            case _:
                word = rng.choice(INTERESTING)
                result[at : at + len(word)] = word
        if not result:
            result += b"{"
    return bytes(result)


def test_fuzz_bodies(target: Server) -> None:
    """Mutated bodies of every format, with right and wrong content types, are answered without a 5xx."""
    start = seeds(target)
    until = time.monotonic() + SECONDS * 0.75

    def work(seed: int) -> int:
        rng = random.Random(seed)
        connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=20)
        count = 0
        while time.monotonic() < until:
            kind, data = rng.choice(start)
            body = mutate(rng, data)
            headers = {"content-type": kind if rng.random() < 0.9 else rng.choice(TYPES)}
            if rng.random() < 0.05:
                headers["content-encoding"] = rng.choice(("gzip", "zstd", "br", "gzip, gzip"))
            if rng.random() < 0.1:
                headers["accept"] = rng.choice((*TYPES, "text/html", "*/*;q=0", ";;;,,"))
            query = rng.choice(("", "", "", "?explain=3", "?coverage=x", "?on_error=fail", "?%00=%ff&&=="))
            try:
                connection.request("POST", "/predict" + query, body, headers)
                response = connection.getresponse()
                answer = response.read()
            except http.client.HTTPException as error:
                raise AssertionError(f"no answer (seed {seed}, {count}): {kind} {body!r}") from error
            assert response.status < 500, f"{response.status} {answer!r} (seed {seed}, {count}): {headers} {body!r}"
            if response.will_close:
                connection.close()
            count += 1
        connection.close()
        return count

    with ThreadPoolExecutor(3) as pool:
        counts = list(pool.map(work, range(3)))
    assert sum(counts) > SECONDS, counts


def test_fuzz_requests(target: Server) -> None:
    """Mutated requests as a whole, heads and all, neither kill the process nor make a 5xx."""
    body = json.dumps(ROWS[0]).encode()
    head = b"POST /predict?explain=2 HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nX-Request-ID: abc\r\n"
    whole = head + f"Content-Length: {len(body)}\r\n\r\n".encode() + body
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n" + f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
    probe = b"GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    rng = random.Random(1)
    until = time.monotonic() + SECONDS * 0.25
    while time.monotonic() < until:
        request = mutate(rng, rng.choice((whole, chunked, probe, whole[: len(head)])))
        with connect(target, timeout=0.3) as connection:
            try:
                connection.sendall(request)
            except ConnectionError:
                continue
            status, answer = read_answer(connection)
        assert status < 500, f"{status} {answer!r}: {request!r}"


def test_fuzz_by_schema(target: Server) -> None:
    """Schemathesis, from the committed OpenAPI document: no server error, and every answer is as declared."""
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")), "run", f"{target.url}/openapi.json",
            "--checks", CHECKS,
            "--phases", "examples,coverage,fuzzing", "--max-examples", "60", "--max-time", str(int(SCHEMA_SECONDS)),
            "--seed", "1", "--workers", "1", "--warnings", "off", "--no-color", "--generation-database", "none",
            "--continue-on-failure", "--suppress-health-check", "all",
        ],
        capture_output=True,
        text=True,
        timeout=SCHEMA_SECONDS + 60,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
