"""A real server process: `python -m app` on a free port."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parents[2]
_URL: Final = re.compile(r"http://[0-9.]+:([0-9]+)")
_START_SECONDS: Final = 60.0


@dataclass
class Server:
    """A running server.

    Attributes:
        url: base address.
        process: of the server, or of its supervisor.
        log: file with its standard output: JSON lines.
    """

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def port(self) -> int:
        """Port it listens on."""
        return int(self.url.rpartition(":")[2])

    def client(self, **options: Any) -> httpx.Client:
        """Make a client bound to the server."""
        return httpx.Client(base_url=self.url, timeout=30, **options)

    def wait_ready(self, seconds: float = _START_SECONDS) -> None:
        """Wait until /readyz answers 200."""
        self.wait_for("/readyz", seconds, status=200)

    def wait_for(self, path: str, seconds: float = _START_SECONDS, *, status: int) -> None:
        """Wait until a path answers with a status."""
        deadline = time.monotonic() + seconds
        last: object = None
        while time.monotonic() < deadline:
            try:
                last = httpx.get(self.url + path, timeout=5).status_code
            except httpx.TransportError as error:
                last = error
            if last == status:
                return
            time.sleep(0.05)
        raise AssertionError(f"{path} did not answer {status} within {seconds} s; last: {last}")

    def records(self) -> list[dict[str, Any]]:
        """Give what it has logged so far."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line]

    def stop(self, sent: signal.Signals = signal.SIGTERM, seconds: float = 30.0) -> int:
        """Send a signal and give the exit status."""
        self.process.send_signal(sent)
        return self.process.wait(seconds)


def environment(settings: dict[str, str]) -> dict[str, str]:
    """Give this process's environment with no settings but these."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TPV_")}  # noqa: TID251
    return inherited | settings


@contextmanager
def serve(models: Path, *, wait: bool = True, **settings: str) -> Iterator[Server]:
    """Start a server on a models directory, and stop it at the end.

    Args:
        models: the models directory.
        wait: whether to wait for readiness, and not only for the port.
        settings: `TPV_*` settings by their short lower-case names.
    """
    values = {f"TPV_{name.upper()}": value for name, value in settings.items()}
    defaults = {"TPV_PORT": "0", "TPV_MODELS_DIR": str(models), "TPV_DRAIN_DELAY_SECONDS": "0"}
    with tempfile.TemporaryDirectory(prefix="tpv-server-") as directory:
        out, err = Path(directory, "out"), Path(directory, "err")
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "app"],
                cwd=ROOT,
                env=environment(defaults | values),
                stdout=stdout,
                stderr=stderr,
            )
        try:
            server = Server(_announced(process, err), process, out)
            if wait:
                server.wait_ready()
            yield server
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _announced(process: subprocess.Popen[bytes], err: Path) -> str:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if found := _URL.search(err.read_text()):
            return found.group()
        if process.poll() is not None:
            break
        time.sleep(0.02)
    raise AssertionError(f"the server did not start: {err.read_text()}")
