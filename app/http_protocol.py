"""uvicorn's HTTP protocol with bounds it lacks: on the time and size of a request head, and on slow readers."""

from __future__ import annotations

import asyncio
import fcntl
import termios
from array import array
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Final

from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.joined_writes import JoinedWrites
from app.settings import load_settings

MAX_HEAD_BYTES: Final = 64 * 1024
LEAST_TAKEN_BYTES: Final = 64 * 1024
_TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"

if TYPE_CHECKING:
    from asyncio import TimerHandle


@cache
def _times() -> tuple[float, float]:
    settings = load_settings()
    return settings.header_timeout_seconds, settings.send_timeout_seconds


class BoundedProtocol(HttpToolsProtocol):
    """Closes a connection whose request head does not come whole in time or does not end, or whose answer is not taken.

    uvicorn times an idle connection only after its first answer, so that a caller who sends a byte now and then, or
    none at all, would hold a connection for ever; so would one who never reads, and with it the memory of an answer.
    """

    _head_timer: TimerHandle | None = None
    _send_timer: TimerHandle | None = None
    _head_bytes: int = 0
    _in_head: bool = True

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_head_timer()

    @override
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._in_head:
            return
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()
        elif self._head_timer is None:
            self._start_head_timer()

    @override
    def on_message_begin(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        super().on_message_begin()

    @override
    def on_headers_complete(self) -> None:
        self._in_head = False
        self._stop_head_timer()
        super().on_headers_complete()
        # The task that answers has not begun to run.
        self.cycle.transport = JoinedWrites(self.transport)  # type: ignore[assignment]

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        self._stop_send_timer()
        super().connection_lost(exc)

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        self._start_send_timer()

    @override
    def resume_writing(self) -> None:
        self._stop_send_timer()
        super().resume_writing()

    def _start_send_timer(self) -> None:
        loop = asyncio.get_running_loop()
        self._send_timer = loop.call_later(_times()[1], self._close_unread, self._untaken())

    def _stop_send_timer(self) -> None:
        if self._send_timer is not None:
            self._send_timer.cancel()
            self._send_timer = None

    def _close_unread(self, before: int) -> None:
        # Whoever still sends a body may read later: what that can hold is bounded where the body is answered.
        sending = self.cycle.more_body and not self.transport.is_closing()
        if sending or before - self._untaken() >= LEAST_TAKEN_BYTES:
            self._start_send_timer()
        else:
            self.transport.abort()

    def _untaken(self) -> int:
        """Bytes that the other side has not acknowledged: ours, and the kernel's, which takes a megabyte at a time."""
        count = array("i", [0])
        with suppress(OSError):
            fcntl.ioctl(self.transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, count)
        return self.transport.get_write_buffer_size() + count[0]

    def _start_head_timer(self) -> None:
        self._head_timer = asyncio.get_running_loop().call_later(_times()[0], self._close_late)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _close_late(self) -> None:
        if self._in_head and not self.transport.is_closing():
            self.transport.close()
