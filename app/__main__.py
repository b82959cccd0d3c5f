"""`python -m app`: settings, checks that deserve a one-line answer, then uvicorn."""

from __future__ import annotations

import errno
import importlib
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from typing_extensions import override

from app.errors import SettingsError
from app.settings import load_settings, prepare_environment
from app.supervisor import STOPS, UNJUDGED, Supervisor, exit_cleanly

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.settings import Settings
    from app.supervisor import Beat

_SPARE_STOP_SECONDS: Final = 5.0
"""What a worker may take to stop beyond the time for its requests."""


def main() -> None:
    """Serve until told to stop; exit 0 then, or 2 with one line on standard error."""
    # Held back until something obeys them: an exception that a handler raises may be swallowed by what is imported.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    for stop in STOPS:
        signal.signal(stop, exit_cleanly)
    try:
        settings = load_settings()
        _check_files(settings)
        listener = _listen(settings)
    except SettingsError as error:
        _fail(str(error))
    if settings.workers == 1:
        prepare_environment()
        _serve(settings, listener)
        return
    directory = Path(tempfile.mkdtemp(prefix="tpv-metrics-"))
    try:
        prepare_environment(directory)
        _serve(settings, listener)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _serve(settings: Settings, listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    print(f"TPV serves on http://{host}:{port} (API documentation at /docs)", file=sys.stderr, flush=True)  # noqa: T201
    if settings.workers == 1:
        _work(settings, listener)
        return
    from app.observability import configure_logging  # noqa: PLC0415

    configure_logging(settings.log_level)
    # Before workers are forked, so that they need not; here, since native libraries read the environment then.
    for module in ("app.main", "app.http_protocol", "uvloop"):
        importlib.import_module(module)
    supervisor = Supervisor(
        partial(_work, settings, listener),
        workers=settings.workers,
        hang_seconds=settings.worker_timeout_seconds,
        stop_seconds=settings.drain_delay_seconds + settings.drain_seconds + _SPARE_STOP_SECONDS,
    )
    sys.exit(supervisor.run())


def _work(settings: Settings, listener: socket.socket, beat: Beat = lambda _: None) -> None:
    """Run one server until it is told to stop."""
    # Imported here: native libraries read the environment when they are loaded.
    import uvicorn  # noqa: PLC0415

    from app.http_protocol import BoundedProtocol  # noqa: PLC0415
    from app.observability import configure_logging  # noqa: PLC0415

    class Server(uvicorn.Server):
        """Takes stop signals once it obeys them, and tells the supervisor that its event loop turns."""

        @override
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            with super().capture_signals():
                signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
                yield

        @override
        async def on_tick(self, counter: int) -> bool:
            beat(time.monotonic())
            return await super().on_tick(counter)

        @override
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            beat(UNJUDGED)
            await super().shutdown(sockets)

    configure_logging(settings.log_level)
    config = uvicorn.Config(
        "app.main:from_environment",
        factory=True,
        loop="uvloop",
        http=BoundedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        proxy_headers=False,
        access_log=False,
        server_header=False,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=settings.drain_seconds,
    )
    Server(config).run(sockets=[listener])


def _check_files(settings: Settings) -> None:
    keys = settings.api_keys_file
    if keys is not None and not keys.is_file():
        raise SettingsError(f"TPV_API_KEYS_FILE: {keys} is not a file; write the sha256 of each key in it, one a line")
    if not settings.models_dir.is_dir():
        raise SettingsError(
            f"TPV_MODELS_DIR: {settings.models_dir} is not a directory; train a model first with `tpv run FILE`, "
            "or name the directory that holds champion.json"
        )


def _listen(settings: Settings) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        return socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            remedy = "another program uses it; stop that one or set TPV_PORT to a free port"
        elif error.errno == errno.EACCES:
            remedy = "not permitted; set TPV_PORT to 1024 or more"
        else:
            remedy = f"{os.strerror(error.errno) if error.errno else error}; set TPV_HOST to an address of this machine"
        raise SettingsError(f"cannot listen on {settings.host}:{settings.port}: {remedy}") from error


def _fail(message: str) -> NoReturn:
    print(f"tpv: {message}", file=sys.stderr)  # noqa: T201
    raise SystemExit(2)


if __name__ == "__main__":
    main()
