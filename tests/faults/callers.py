"""Many impatient callers in one cheap process, so that latencies are the server's and not theirs.

Usage: `python -m tests.faults.callers PORT CALLERS SECONDS < BODY`. Prints JSON: the latencies of accepted requests in
seconds, and status, headers and body of each kind of refusal with its count.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections import Counter

PAUSE_SECONDS = 0.25
"""A refused caller waits before the next try."""


async def _call(port: int, request: bytes, until: float, accepted: list[float], refused: Counter[str]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
    while time.monotonic() < until:
        started = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        assert length
        body = await reader.readexactly(int(length.group(1)))
        if head.startswith(b"HTTP/1.1 200"):
            accepted.append(time.perf_counter() - started)
            continue
        retry = re.search(rb"(?i)retry-after: (\d+)", head)
        key = [int(head.split()[1]), retry and int(retry.group(1)), json.loads(body)["code"]]
        refused[json.dumps(key)] += 1
        if b"connection: close" in head.lower():
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
        await asyncio.sleep(PAUSE_SECONDS)
    writer.close()


async def _run(port: int, callers: int, seconds: float, body: bytes) -> None:
    head = (
        f"POST /predict HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    accepted: list[float] = []
    refused: Counter[str] = Counter()
    until = time.monotonic() + seconds
    async with asyncio.timeout(seconds + 30):
        request = head.encode() + body
        await asyncio.gather(*[_call(port, request, until, accepted, refused) for _ in range(callers)])
    print(json.dumps({"accepted": accepted, "refused": [json.loads(key) for key in refused.elements()]}))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(_run(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.stdin.buffer.read()))
