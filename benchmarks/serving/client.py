"""A keep-alive HTTP/1.1 load client on bare sockets, for machines without wrk.

python -m benchmarks.serving.client PORT PATH CONTENT_TYPE DIRECTORY CONNECTIONS SECONDS
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

import uvloop

from benchmarks.serving.load import quantile

_GIVE_UP_SECONDS = 30.0
_SUCCESS = b"HTTP/1.1 200"


async def _connection(port: int, requests: list[bytes], first: int, until: float, latencies: list[float]) -> int:
    """Send one request after the other until the time is over; give the number of failures."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**26)
    failures = 0
    position = first
    while time.monotonic() < until:
        started = time.perf_counter()
        writer.write(requests[position % len(requests)])
        position += 1
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        latencies.append((time.perf_counter() - started) * 1e3)
        failures += not head.startswith(_SUCCESS)
    writer.close()
    return failures


async def _run(port: int, requests: list[bytes], connections: int, seconds: float) -> None:
    latencies: list[float] = []
    started = time.perf_counter()
    until = time.monotonic() + seconds
    tasks = [_connection(port, requests, first, until, latencies) for first in range(connections)]
    async with asyncio.timeout(seconds + _GIVE_UP_SECONDS):
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    errors = sum(1 if isinstance(outcome, BaseException) else outcome for outcome in outcomes)
    print(
        json.dumps(
            {
                "requests": len(latencies),
                "seconds": time.perf_counter() - started,
                "errors": errors,
                "p50": quantile(latencies, 0.5),
                "p99": quantile(latencies, 0.99),
            }
        )
    )


def main() -> None:
    """Run with the arguments of the command line."""
    port, path, content_type, directory, connections, seconds = sys.argv[1:]
    requests = []
    for index in range(len(list(Path(directory).iterdir()))):
        body = Path(directory, str(index)).read_bytes()
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}"
        requests.append(f"{head}\r\n\r\n".encode() + body)
    uvloop.run(_run(int(port), requests, int(connections), float(seconds)))


if __name__ == "__main__":
    main()
