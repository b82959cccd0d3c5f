"""Pure ASGI middleware: request identity and timing outside, intake of predict requests inside."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import os
import re
import time
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from starlette.requests import Request

from app.deadlines import Deadlines
from app.errors import (
    BodyTimeoutError,
    BodyTooLargeError,
    ClientGoneError,
    OverloadedError,
    PredictionTimeoutError,
    TPVError,
    UnauthorizedError,
)
from app.exchange import BODY, ROWS, SLOT, header
from app.observability import AccessLog, request_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from pathlib import Path

    from prometheus_client import Counter, Histogram
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from app.observability import Metrics
    from app.settings import Settings

    Endpoint = Callable[[Request], Awaitable[ASGIApp]]
    Respond = Callable[[Exception, Scope], ASGIApp]

_logger: Final = logging.getLogger("tpv.error")
_ACCEPTABLE_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_QUIET: Final = frozenset({"/livez", "/readyz", "/metrics"})


class Dispatch:
    """Sends exact paths straight to their endpoints, and everything else to the framework.

    Every layer of the framework costs a busy route a few microseconds a request, for features it does not use.

    Args:
        endpoints: by method and path.
        otherwise: the framework's application.
    """

    def __init__(self, endpoints: Mapping[tuple[str, str], Endpoint], otherwise: ASGIApp) -> None:
        self._endpoints = endpoints
        self._otherwise = otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        endpoint = self._endpoints.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if endpoint is None:
            await self._otherwise(scope, receive, send)
        else:
            response = await endpoint(Request(scope, receive, send))
            await response(scope, receive, send)


class RequestContext:
    """Gives each request an id, counts and times it, logs it, and turns an unforeseen failure into a bare 500.

    Args:
        app: the rest of the application.
        routes: every path that is served; others share one label, so that callers cannot make up series.
        metrics: where requests are counted.
        respond: makes the answer to an error of a request.
    """

    def __init__(self, app: ASGIApp, *, routes: frozenset[str], metrics: Metrics, respond: Respond) -> None:
        self.app = app
        self._routes = routes
        self._metrics = metrics
        self._respond = respond
        self._log = AccessLog()
        # Looking a series up by its labels costs as much as counting.
        self._series: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        given = header(scope, b"x-request-id")
        identity = given if _ACCEPTABLE_ID.fullmatch(given) else os.urandom(16).hex().encode()
        token = request_id.set(identity.decode())
        status = 0

        async def send_identified(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", identity)]
            await send(message)

        try:
            await self.app(scope, receive, send_identified)
        except Exception as error:
            _logger.exception("unforeseen failure")
            if status:
                raise
            await self._respond(error, scope)(scope, receive, send_identified)
        finally:
            self._record(scope, status, time.perf_counter() - started)
            request_id.reset(token)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        route = scope["path"] if scope["path"] in self._routes else "unmatched"
        method = scope["method"] if scope["method"] in _METHODS else "other"
        key = route, str(status), method
        series = self._series.get(key)
        if series is None:
            series = self._metrics.requests.labels(*key), self._metrics.duration.labels(route)
            self._series[key] = series
        series[0].inc()
        series[1].observe(seconds)
        fields = {"method": method, "route": route, "status": status, "duration_ms": round(seconds * 1e3, 3)}
        if ROWS in scope:
            fields["rows"] = scope[ROWS]
        self._log.write(logging.DEBUG if route in _QUIET else logging.INFO, fields)


class ApiKeys:
    """Asks for an API key, when a file of digests is named.

    The file holds the sha256 of each accepted key in hexadecimal, one a line; blank lines and lines that start with
    `#` are skipped. It is read again when it changes, so keys rotate without a restart; a file that cannot be read
    accepts nobody.

    Args:
        app: the rest of the application.
        file: of digests.
        open_paths: paths that need no key.
        respond: makes the answer to an error of a request.
    """

    def __init__(self, app: ASGIApp, *, file: Path, open_paths: frozenset[str], respond: Respond) -> None:
        self.app = app
        self._file = file
        self._open = open_paths
        self._respond = respond
        self._stamp: tuple[int, int, int] | None = None
        self._digests: tuple[bytes, ...] = ()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http" and scope["path"] not in self._open and not self._accepts(_key_of(scope)):
            error = UnauthorizedError("send a valid key as `Authorization: Bearer KEY` or `X-API-Key: KEY`")
            await self._respond(error, scope)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _accepts(self, key: bytes) -> bool:
        self._refresh()
        given = hashlib.sha256(key).digest()
        # Every digest is compared, each in constant time: neither the place nor the likeness of a match shows.
        matches = [hmac.compare_digest(given, known) for known in self._digests]
        return bool(key) and any(matches)

    def _refresh(self) -> None:
        try:
            status = self._file.stat()
            stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
            if stamp != self._stamp:
                self._digests = read_digests(self._file.read_text())
                self._stamp = stamp
        except (OSError, ValueError) as error:
            if self._stamp is not None or self._digests:
                _logger.error("the file of API keys cannot be read", extra={"reason": str(error)})  # noqa: TRY400
            self._digests, self._stamp = (), None


def read_digests(text: str) -> tuple[bytes, ...]:
    """Read the lines of a file of key digests.

    Raises:
        ValueError: a line is no sha256 in hexadecimal; its number is named, not its content.
    """
    digests = []
    for number, line in enumerate(text.splitlines(), start=1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        if not _DIGEST.fullmatch(entry):
            raise ValueError(f"line {number} is not the sha256 of a key in hexadecimal")
        digests.append(bytes.fromhex(entry))
    return tuple(digests)


def _key_of(scope: Scope) -> bytes:
    scheme, _, key = header(scope, b"authorization").partition(b" ")
    return key.strip() if scheme.lower() == b"bearer" else header(scope, b"x-api-key")


_DIGEST: Final = re.compile(r"[0-9a-fA-F]{64}")
_METHODS: Final = frozenset({"GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"})


class Intake:
    """Lets a bounded number of predict requests in, reads their bodies within limits, and bounds their time.

    A route finds the whole body at `scope[BODY]`.

    A request first needs a place in the process, then its whole body, then a slot to be worked on. A body that
    trickles in therefore holds a place, never a slot. A streamed request has a place among the streams, and takes a
    slot for each piece it computes, from `scope[SLOT]`: streams that trickle keep nobody from an answer.

    Args:
        app: the rest of the application.
        paths: the paths this applies to; every other request passes untouched.
        settings: limits and times.
        metrics: in-flight and shed requests.
        respond: makes the answer to an error of a request.
        streams: tells by path and content type whether a body is consumed while it comes.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        paths: frozenset[str],
        streams: Callable[[str, bytes], bool],
        settings: Settings,
        metrics: Metrics,
        respond: Respond,
    ) -> None:
        self.app = app
        self._paths = paths
        self._streams = streams
        self._settings = settings
        self._metrics = metrics
        self._respond = respond
        self._request_deadlines = Deadlines(settings.request_timeout_seconds)
        self._body_deadlines = Deadlines(settings.body_timeout_seconds)
        self._inside = 0
        self._open_streams = 0
        self._working = 0
        self._waiters: deque[asyncio.Future[None]] = deque()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or scope["path"] not in self._paths or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        started = False

        async def send_noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._admit(scope, receive, send_noted)
        except ClientGoneError:
            return
        except TPVError as error:
            if started:
                raise
            await self._respond(error, scope)(scope, receive, send)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._streams(scope["path"], header(scope, b"content-type")):
            await self._admit_stream(scope, receive, send)
            return
        if self._inside >= self._settings.concurrency + self._settings.queue:
            self._metrics.shed.labels("overloaded").inc()
            raise OverloadedError("every slot and every place in the queue is taken; try again in a second")
        self._inside += 1
        self._metrics.in_flight.inc()
        try:
            scope[BODY] = await self._read(scope, receive)
            await self._take_slot()
            try:
                with self._request_deadlines.limit():
                    await self.app(scope, receive, send)
            except TimeoutError as error:
                self._metrics.shed.labels("timeout").inc()
                seconds = self._request_deadlines.seconds
                raise PredictionTimeoutError(f"no answer within {seconds:g} s; send fewer rows or try later") from error
            finally:
                self._give_slot()
        finally:
            self._inside -= 1
            self._metrics.in_flight.dec()

    async def _admit_stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._open_streams >= self._settings.streams:
            self._metrics.shed.labels("overloaded").inc()
            raise OverloadedError("as many streams as are allowed are open; try again in a second")
        self._open_streams += 1
        self._metrics.in_flight.inc()
        scope[SLOT] = self._slot
        try:
            await self.app(scope, receive, send)
        finally:
            self._open_streams -= 1
            self._metrics.in_flight.dec()

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        await self._take_slot()
        try:
            yield
        finally:
            self._give_slot()

    async def _read(self, scope: Scope, receive: Receive) -> bytes:
        limit = self._settings.max_body_bytes
        announced = header(scope, b"content-length")
        if announced.isdigit() and int(announced[:20]) > limit:
            raise _too_large(limit)
        message = None
        try:
            with self._body_deadlines.limit():
                message = await receive()
                if message["type"] == "http.request" and not message.get("more_body", False):
                    body: bytes = message.get("body", b"")
                    if len(body) > limit:
                        raise _too_large(limit)
                    return body
                return await self._read_rest(message, receive, limit)
        except TimeoutError as error:
            seconds = self._body_deadlines.seconds
            raise BodyTimeoutError(f"the body was not complete after {seconds:g} s; send it faster") from error

    @staticmethod
    async def _read_rest(message: Message, receive: Receive, limit: int) -> bytes:
        body = bytearray()
        while True:
            if message["type"] == "http.disconnect":
                raise ClientGoneError("the caller hung up while sending the body")
            body += message.get("body", b"")
            if len(body) > limit:
                raise _too_large(limit)
            if not message.get("more_body", False):
                return bytes(body)
            message = await receive()

    async def _take_slot(self) -> None:
        if self._working < self._settings.concurrency:
            self._working += 1
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            with self._request_deadlines.limit():
                await waiter
        except BaseException as error:
            if waiter.done() and not waiter.cancelled():
                self._give_slot()
            if isinstance(error, TimeoutError):
                self._metrics.shed.labels("queue_timeout").inc()
                raise OverloadedError("waited too long for a slot; try again later") from error
            raise

    def _give_slot(self) -> None:
        """Hand the slot to the oldest waiter, or free it."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._working -= 1


def _too_large(limit: int) -> BodyTooLargeError:
    return BodyTooLargeError(f"the body is larger than {limit} bytes; split it, or stream it as NDJSON")
