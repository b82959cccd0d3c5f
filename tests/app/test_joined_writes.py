"""Head and body leave together; a head that has no body yet leaves soon."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from typing_extensions import override

from app.joined_writes import JoinedWrites

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


class Recorded(asyncio.Transport):
    """Notes what is written, and that it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[bytes | str] = []

    @override
    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Note the bytes."""
        self.events.append(bytes(data))

    @override
    def close(self) -> None:
        """Note that it was closed."""
        self.events.append("closed")

    @override
    def is_closing(self) -> bool:
        """Tell whether it was closed."""
        return "closed" in self.events


async def _answer(joined: JoinedWrites) -> None:
    joined.write(HEAD)
    joined.write(b"body")


async def _two_answers_of_one(joined: JoinedWrites) -> None:
    await _answer(joined)
    joined.write(b" and more")


async def _late_body(joined: JoinedWrites) -> None:
    joined.write(HEAD)
    await asyncio.sleep(0.01)
    joined.write(b"body")


async def _no_body(joined: JoinedWrites) -> None:
    joined.write(HEAD)
    joined.close()


async def _interim(joined: JoinedWrites) -> None:
    joined.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    await _answer(joined)


async def _large_body(joined: JoinedWrites) -> None:
    joined.write(HEAD)
    joined.write(bytes(100_000))


@pytest.mark.parametrize(
    ("answer", "events"),
    [
        (_answer, [HEAD + b"body"]),
        (_two_answers_of_one, [HEAD + b"body", b" and more"]),
        (_late_body, [HEAD, b"body"]),
        (_no_body, [HEAD, "closed"]),
        (_interim, [b"HTTP/1.1 100 Continue\r\n\r\n", HEAD + b"body"]),
        (_large_body, [HEAD, bytes(100_000)]),
    ],
)
def test_what_is_written_and_when(
    answer: Callable[[JoinedWrites], Coroutine[None, None, None]], events: list[bytes | str]
) -> None:
    """Small answers leave in one write, and nothing is held back for longer than a turn of the loop."""
    transport = Recorded()

    async def run() -> None:
        joined = JoinedWrites(transport)
        await answer(joined)
        assert joined.is_closing() == ("closed" in events)
        assert transport.events == events
        await asyncio.sleep(0.01)

    asyncio.run(run())
    assert transport.events == events
