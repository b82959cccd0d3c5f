"""Random requests, by the schema and against it: no 5xx, no death."""

from __future__ import annotations

import gzip
import http.client
import io
import json
import os
import random
import re
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from backports.zstd import compress as zstd_compress
from tritonclient.http import InferenceServerClient, InferRequestedOutput

from tests.faults.support import connect, read_answer
from tests.support.inference import inputs_of
from tests.support.merchants import merchants
from tests.support.server import Server, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
_WORD = re.compile(rb"[\w.+-]+")


@pytest.fixture
def target(models: Path) -> Iterator[Server]:
    """A server of its own, which must end as the process it began as."""
    # What is slow here is a finding only beyond what a machine that does other work makes of it.
    with serve(models, max_rows="1000", request_timeout_seconds="120") as running:
        yield running
        assert running.process.poll() is None
        assert httpx.get(running.url + "/livez").status_code == 200
        assert httpx.post(running.url + "/predict", json=ROWS[0]).status_code == 200
        unforeseen = [record for record in running.records() if record.get("message") == "unforeseen failure"]
        assert not unforeseen, unforeseen[:3]


@dataclass(frozen=True)
class Seed:
    """A sound request to start from.

    Attributes:
        name: for counts.
        path: of the endpoint.
        headers: beside those of every request.
        body: before it is compressed, if it is.
        pack: compresses it.
    """

    name: str
    path: str
    headers: dict[str, str]
    body: bytes
    pack: Callable[[bytes], bytes] = bytes


def seeds() -> list[Seed]:
    """Make sound bodies of every format, compression and protocol."""
    import pyarrow as pa  # noqa: PLC0415 - heavy
    import pyarrow.parquet as pq  # noqa: PLC0415

    table = pa.Table.from_pylist(ROWS)
    coded = table.set_column(3, "municipio", table["municipio"].dictionary_encode())
    lines = [",".join(ROWS[0]), *(",".join("" if v is None else str(v) for v in row.values()) for row in ROWS)]
    bodies = {
        "one": (TYPES[0], json.dumps(ROWS[0]).encode()),
        "many": (TYPES[0], json.dumps({"instances": ROWS, "options": {"explain": 2, "coverage": 0.8}}).encode()),
        "ndjson": (TYPES[1], b"".join(json.dumps(row).encode() + b"\n" for row in ROWS)),
        "csv": (TYPES[2], "\r\n".join(lines).encode()),
        "arrow": (TYPES[3], arrow(table)),
        "arrow, coded": (TYPES[3], arrow(coded)),
        "parquet": (TYPES[4], parquet(table, pq)),
        "parquet, zstd": (TYPES[4], parquet(table, pq, compression="zstd", use_dictionary=False)),
    }
    plain = [Seed(name, "/predict", {"content-type": kind}, body) for name, (kind, body) in bodies.items()]
    packed = [
        Seed(f"{seed.name}, {name}", seed.path, {**seed.headers, "content-encoding": name}, seed.body, pack)
        for seed in plain
        if seed.name in {"many", "ndjson", "csv"}
        for name, pack in (("gzip", gzip.compress), ("zstd", zstd_compress))
    ]
    return [*plain, *packed, tensors(binary=False), tensors(binary=True)]


def arrow(table: Any) -> bytes:
    """Write a table as an Arrow stream."""
    import pyarrow as pa  # noqa: PLC0415

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def parquet(table: Any, writer: Any, **options: Any) -> bytes:
    """Write a table as a Parquet file."""
    sink = io.BytesIO()
    writer.write_table(table, sink, **options)
    return sink.getvalue()


def tensors(*, binary: bool) -> Seed:
    """Make an inference request of the Open Inference Protocol."""
    outputs = [InferRequestedOutput("probabilities", binary_data=binary)]
    body, length = InferenceServerClient.generate_request_body(inputs_of(ROWS, binary=binary), outputs=outputs)
    headers = {"content-type": "application/json"}
    if length is not None:
        headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(length)}
    name = "tensors, binary" if binary else "tensors"
    return Seed(name, "/v2/models/tpv/infer", headers, bytes(body))


def word_at(data: bytearray, at: int) -> slice:
    """Find the next word or number; without one, the place itself."""
    found = _WORD.search(data, at)
    return slice(*found.span()) if found else slice(at, at)


def mutate(rng: random.Random, data: bytes) -> bytes:
    """Change some bytes: flip, overwrite, insert, delete, repeat, put another word, and seldom cut."""
    result = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        at = rng.randrange(len(result) + 1)
        match rng.randrange(24):
            case 0 | 1 | 2 if at < len(result):
                result[at] ^= 1 << rng.randrange(8)
            case 3 | 4 | 5 if at < len(result):
                result[at] = rng.randrange(256)
            case 6 | 7 | 8:
                result[at:at] = rng.choice(INTERESTING)
            case 9 | 10 | 11:
                del result[at : at + rng.choice((1, 2, 4, 8, 64, 10**9))]
            case 12 | 13:
                piece = bytes(result[at : at + rng.choice((1, 4, 32))])
                result[at:at] = piece * rng.choice((1, 3, 50))
            case 14 | 15 | 16 | 17:
                word = rng.choice(INTERESTING)
                result[at : at + len(word)] = word
            case _:
                result[word_at(result, at)] = rng.choice(INTERESTING)
        if not result:
            result += b"{"
    return bytes(result)


def vary(rng: random.Random, seed: Seed) -> tuple[str, bytes, dict[str, str]]:
    """Make a request from a sound one: change its body, and now and then what its head says of it."""
    # A body that is changed after it was compressed seldom gets beyond the decompressor.
    first = rng.random() < 0.8
    body = seed.pack(mutate(rng, seed.body)) if first else mutate(rng, seed.pack(seed.body))
    headers = dict(seed.headers)
    if rng.random() < 0.1:
        headers["content-type"] = rng.choice(TYPES)
    if rng.random() < 0.05:
        headers["content-encoding"] = rng.choice(("gzip", "zstd", "br", "gzip, gzip", "identity"))
    if rng.random() < 0.1:
        headers["accept"] = rng.choice((*TYPES, "text/html", "*/*;q=0", ";;;,,"))
    if "inference-header-content-length" in headers and rng.random() < 0.5:
        shift = rng.choice((len(body) - len(seed.body), -1, 1, 10**6))
        headers["inference-header-content-length"] = str(int(headers["inference-header-content-length"]) + shift)
    query = (
        rng.choice(("", "?explain=3", "?coverage=x", "?on_error=fail", "?%00=%ff&&==")) if rng.random() < 0.2 else ""
    )
    return seed.path + query, body, headers


def test_fuzz_bodies(target: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """Mutated bodies of every format, with right and wrong content types, are answered without a 5xx."""
    start = seeds()
    for seed in start:
        answer = httpx.post(target.url + seed.path, content=seed.pack(seed.body), headers=seed.headers)
        assert answer.status_code == 200, (seed.name, answer.text)
    until = time.monotonic() + SECONDS * 0.75

    def work(number: int) -> Counter[tuple[str, int]]:
        rng = random.Random(number)
        connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=60)
        counts: Counter[tuple[str, int]] = Counter()
        while time.monotonic() < until:
            seed = rng.choice(start)
            path, body, headers = vary(rng, seed)
            where = f"({number}, {counts.total()}) {path} {headers} {body!r}"
            try:
                connection.request("POST", path, body, headers)
                response = connection.getresponse()
                answer = response.read()
            except (http.client.HTTPException, OSError) as error:
                raise AssertionError(f"no answer {where}") from error
            assert response.status < 500, f"{response.status} {answer!r} {where}"
            if response.will_close:
                connection.close()
            counts[seed.name, response.status] += 1
        connection.close()
        return counts

    with ThreadPoolExecutor(3) as pool:
        counts = sum(pool.map(work, range(3)), Counter[tuple[str, int]]())
    with capsys.disabled():
        print(f"\n{counts.total()} bodies: {dict(sorted(counts.items()))}")  # noqa: T201
    assert counts.total() > SECONDS
    # Every decoder was reached, by bodies that it took and by such that it refused; a stream tells of these in a 200.
    for seed in start:
        kind = seed.headers["content-type"], seed.path
        alike = {other.name for other in start if (other.headers["content-type"], other.path) == kind}
        statuses = {status for name, status in counts if name in alike}
        assert 200 in statuses or seed.path != "/predict", (kind, counts)
        assert statuses & {400, 422} or seed.name.startswith("ndjson"), (kind, counts)


def test_fuzz_requests(target: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """Mutated requests as a whole, heads and all, neither kill the process nor make a 5xx."""
    body = json.dumps(ROWS[0]).encode()
    head = b"POST /predict?explain=2 HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nX-Request-ID: abc\r\n"
    whole = head + f"Content-Length: {len(body)}\r\n\r\n".encode() + body
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n" + f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
    probe = b"GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    rng = random.Random(1)
    until = time.monotonic() + SECONDS * 0.25
    count = 0
    while time.monotonic() < until:
        count += 1
        request = mutate(rng, rng.choice((whole, chunked, probe, whole[: len(head)])))
        with connect(target, timeout=0.3) as connection:
            try:
                connection.sendall(request)
            except ConnectionError:
                continue
            status, answer = read_answer(connection)
        assert status < 500, f"{status} {answer!r}: {request!r}"
    with capsys.disabled():
        print(f"\n{count} requests")  # noqa: T201


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
