"""NDJSON answered while it comes: bounded memory for any number of rows, and a slot only while rows are computed."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from app.dependencies import headers_of
from app.errors import BodyTimeoutError, ClientGoneError, InvalidRequestError, OverloadedError, TPVError
from app.exchange import ROWS, SLOT
from app.formats.answers import encode_lines
from app.formats.compression import Inflater
from app.formats.media import CANONICAL, Format
from app.formats.ndjson_body import LineSplitter, decode_lines, encode_trailer

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from starlette.types import Receive, Scope, Send

    from app.dependencies import AppState
    from app.formats.request import Options
    from app.model.store import LoadedModel

    Slot: TypeAlias = "Callable[[], AbstractAsyncContextManager[None]]"

_PIECES_AHEAD: Final = 16


@dataclass(frozen=True, slots=True)
class _End:
    """The end of a body, and the error that brought it about, if any."""

    error: TPVError | None = None


_Pieces: TypeAlias = "asyncio.Queue[bytes | _End]"


class NdjsonStream:
    """Answers each line with a line, and ends with a trailer record.

    The trailer tells how many rows there were and whether the answer is complete: without it, or with
    `"complete": false`, the stream was cut. All rows are answered by one model version.

    Args:
        state: of the application.
        model: that answers.
        options: for all rows; `on_error=fail` ends the stream at the first bad row.
        encoding: Content-Encoding of the request.
    """

    def __init__(self, state: AppState, model: LoadedModel, options: Options, encoding: str) -> None:
        self._state = state
        self._model = model
        self._options = options
        self._inflater = Inflater(encoding)
        self._seconds = state["settings"].body_timeout_seconds
        self._rows = 0
        self._bad = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read, compute and write at the same time.

        Whether the caller sends slowly or reads slowly, nothing but this task waits for it: each piece takes a slot
        from `scope[SLOT]` and gives it back as soon as it is computed.
        """
        slot: Slot = scope[SLOT]
        headers = [(b"content-type", CANONICAL[Format.NDJSON].encode()), *headers_of(self._model, None)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        pieces: _Pieces = asyncio.Queue(_PIECES_AHEAD)
        settings = self._state["settings"]
        outbox = _Outbox(settings.max_body_bytes, settings.send_timeout_seconds)
        reader = asyncio.create_task(self._read(receive, pieces))
        writer = asyncio.create_task(self._write(send, outbox))
        try:
            trailer = await self._answer(slot, pieces, outbox, writer)
            scope[ROWS] = self._rows
            await outbox.put(trailer)
            outbox.close()
            await writer
        finally:
            for task in (reader, writer):
                task.cancel()
                with suppress(asyncio.CancelledError, ClientGoneError):
                    await task

    async def _read(self, receive: Receive, pieces: _Pieces) -> None:
        """Queue whole lines, then the end and what it was."""
        splitter = LineSplitter()
        try:
            more = True
            loop = asyncio.get_running_loop()
            until = loop.time() + self._seconds
            while more:
                async with asyncio.timeout_at(until):
                    message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGoneError("the caller hung up while sending the body")
                for piece in self._inflater.feed(message.get("body", b"")):
                    # Only a row is progress: bytes and blank lines that drip in would keep a stream open for ever.
                    if (lines := splitter.feed(piece)) and not lines.isspace():
                        await pieces.put(lines)
                        until = loop.time() + self._seconds
                    # A small message may inflate to very much.
                    await asyncio.sleep(0)
                more = message.get("more_body", False)
            self._inflater.finish()
            if rest := splitter.finish():
                await pieces.put(rest)
            await pieces.put(_End())
        except TimeoutError:
            await pieces.put(_End(BodyTimeoutError(f"no row came for {self._seconds:g} s; send the body faster")))
        except TPVError as error:
            await pieces.put(_End(error))

    async def _answer(self, slot: Slot, pieces: _Pieces, outbox: _Outbox, writer: asyncio.Task[None]) -> bytes:
        """Compute until the body ends; give the trailer."""
        while True:
            lines, end = await _gather(pieces)
            try:
                if lines:
                    async with slot():
                        answers = await self._state["answering"].aside(partial(self._work, lines))
                    await outbox.put(answers)
            except (InvalidRequestError, OverloadedError) as error:
                return self._trailer(error)
            if writer.done() or (end and isinstance(end.error, ClientGoneError)):
                raise ClientGoneError("the caller is gone")
            if end:
                return self._trailer(end.error)

    def _work(self, lines: bytes) -> bytes:
        answering = self._state["answering"]
        depth = self._state["settings"].max_json_depth
        decoded = decode_lines(lines, self._options, first=self._rows, max_depth=depth)
        if decoded.errors and self._options.on_error == "fail":
            raise InvalidRequestError([problem for found in decoded.errors.values() for problem in found])
        records = answering.many(self._model, decoded)
        self._rows += decoded.rows
        self._bad += len(decoded.errors)
        answering.count_rows(Format.NDJSON, decoded)
        return encode_lines(records)

    def _trailer(self, error: TPVError | None) -> bytes:
        return encode_trailer(self._rows, self._bad, self._model.ref.version, self._model.ref.model_sha256, error)

    @staticmethod
    async def _write(send: Send, outbox: _Outbox) -> None:
        while (piece := await outbox.get()) is not None:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _gather(pieces: _Pieces) -> tuple[bytes, _End | None]:
    """Wait for lines and take all that are there, so that rows that wait together are computed together."""
    gathered = []
    piece = await pieces.get()
    while isinstance(piece, bytes):
        gathered.append(piece)
        if pieces.empty():
            return b"".join(gathered), None
        piece = pieces.get_nowait()
    return b"".join(gathered), piece


class _Outbox:
    """Answers on their way out, bounded by bytes.

    A caller that sends its whole body before it reads would otherwise stop the server, and so itself, as soon as the
    buffers of the connection are full.

    Args:
        limit: bytes that may wait.
        seconds: how long `put` waits for room.
    """

    def __init__(self, limit: int, seconds: float) -> None:
        self._limit = limit
        self._seconds = seconds
        self._bytes = 0
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._room = asyncio.Event()
        self._room.set()

    async def put(self, piece: bytes) -> None:
        """Add a piece when there is room.

        Raises:
            ClientGoneError: the caller takes nothing.
        """
        try:
            async with asyncio.timeout(self._seconds):
                await self._room.wait()
        except TimeoutError:
            raise ClientGoneError("the caller does not read the answer") from None
        self._bytes += len(piece)
        if self._bytes >= self._limit:
            self._room.clear()
        self._queue.put_nowait(piece)

    def close(self) -> None:
        """Tell that nothing follows."""
        self._queue.put_nowait(None)

    async def get(self) -> bytes | None:
        """Take a piece; None at the end."""
        piece = await self._queue.get()
        self._bytes -= len(piece or b"")
        if self._bytes < self._limit:
            self._room.set()
        return piece
