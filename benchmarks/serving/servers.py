"""Start the measured servers as processes of their own, and read what they cost."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.serving.load import fetch

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parents[2]
_URL: Final = re.compile(r"http://127\.0\.0\.1:([0-9]+)")
_START_SECONDS: Final = 60.0
_STATUS_OK: Final = 200


@dataclass(frozen=True)
class Running:
    """A server process.

    Attributes:
        port: on the loopback.
        pid: of the process, or of its supervisor.
        started: `time.perf_counter()` just before it was started.
    """

    port: int
    pid: int
    started: float

    def wait_ready(self, path: str, body: bytes | None = None) -> float:
        """Wait until a path answers 200; give the seconds since the process was started.

        Raises:
            RuntimeError: it does not within a minute.
        """
        while time.perf_counter() - self.started < _START_SECONDS:
            try:
                if fetch(self.port, path, body)[0] == _STATUS_OK:
                    return time.perf_counter() - self.started
            except OSError:
                pass
            time.sleep(0.005)
        raise RuntimeError(f"{path} on port {self.port} did not answer 200 within {_START_SECONDS:.0f} s")

    def cpu_seconds(self) -> float:
        """Processor time that the process and its workers have used."""
        pids = [self.pid]
        for pid in pids:
            pids += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
        return sum(int(field[11]) + int(field[12]) for field in fields) / os.sysconf("SC_CLK_TCK")

    def resident_mb(self) -> float:
        """Resident memory of the process in MB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) * 1024 / 1e6


@contextmanager
def running(module: str, **settings: str) -> Iterator[Running]:
    """Run `python -m module` with `TPV_*` settings, given by their short lower-case names.

    Raises:
        RuntimeError: it did not start; the message ends with what it said.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TPV_")}  # noqa: TID251
    given = {f"TPV_{name.upper()}": value for name, value in settings.items()}
    with tempfile.TemporaryFile() as out, tempfile.NamedTemporaryFile() as err:
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", module], cwd=ROOT, env=inherited | given, stdout=out, stderr=err
        )
        try:
            yield Running(_port(process, Path(err.name)), process.pid, started)
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def service(models: Path, **settings: str) -> dict[str, str]:
    """Settings of the service: a free port, two threads for batches, no waiting at the end."""
    defaults = {"port": "0", "models_dir": str(models), "threads": "2", "drain_delay_seconds": "0"}
    return defaults | settings


def _port(process: subprocess.Popen[bytes], err: Path) -> int:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if found := _URL.search(err.read_text()):
            return int(found.group(1))
        if process.poll() is not None:
            break
        time.sleep(0.005)
    raise RuntimeError(f"the server did not start: {err.read_text()}")
