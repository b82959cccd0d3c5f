"""Impatient callers in one cheap process, few and many of them in turn, so that latencies are the server's.

Usage: `python -m tests.faults.callers PORT FEW MANY ROUNDS SECONDS < BODY`. Each round is `SECONDS` of few callers and
then as many of many: whatever else the machine does meanwhile falls on both. Prints JSON: for few and for many, the
latencies of accepted requests in seconds, and status, Retry-After and code of each refusal.
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


async def _run(port: int, turns: tuple[int, int], rounds: int, seconds: float, body: bytes) -> None:
    head = (
        f"POST /predict HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    request = head.encode() + body
    seen: list[tuple[list[float], Counter[str]]] = [([], Counter()), ([], Counter())]
    async with asyncio.timeout(2 * rounds * seconds + 60):
        for _ in range(rounds):
            for callers, (accepted, refused) in zip(turns, seen, strict=True):
                until = time.monotonic() + seconds
                await asyncio.gather(*[_call(port, request, until, accepted, refused) for _ in range(callers)])
    few, many = (
        {"accepted": accepted, "refused": [json.loads(key) for key in refused.elements()]} for accepted, refused in seen
    )
    print(json.dumps({"few": few, "many": many}))  # noqa: T201


if __name__ == "__main__":
    _, port, few, many, rounds, seconds = sys.argv
    asyncio.run(_run(int(port), (int(few), int(many)), int(rounds), float(seconds), sys.stdin.buffer.read()))
