"""Workers that die, hang or cannot start: real processes, without the service in them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from app.supervisor import STARTUP_FAILURE
from tests.support.server import ROOT, environment

if TYPE_CHECKING:
    from collections.abc import Iterator

HANG_SECONDS: Final = 1.0
STOP_SECONDS: Final = 2.0
BEAT_SECONDS: Final = 0.05
_PRELUDE: Final = f"""
import os, signal, sys, time
from app.supervisor import STOPS, Supervisor

def say_pid():
    os.write(1, b"%d\\n" % os.getpid())  # at once: print may write the number and the end of the line apart

def serving(beat):
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    say_pid()
    while True:
        beat(time.monotonic())
        time.sleep({BEAT_SECONDS})

def run(serve):
    supervisor = Supervisor(serve, workers=2, hang_seconds={HANG_SECONDS}, stop_seconds={STOP_SECONDS})
    sys.exit(supervisor.run())
"""


@contextmanager
def supervised(code: str, out: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a supervisor whose workers write their process ids to a file."""
    with out.open("wb") as stdout:
        process = subprocess.Popen(
            [sys.executable, "-c", _PRELUDE + code], cwd=ROOT, env=environment({}), stdout=stdout
        )
    try:
        yield process
    finally:
        for pid in [*pids(out), process.pid]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def pids(out: Path) -> list[int]:
    """Every worker that has begun so far."""
    return [int(line) for line in out.read_text().splitlines() if line.isdigit()]


def wait_for(out: Path, count: int, seconds: float = 20.0) -> list[int]:
    """Wait for so many workers."""
    deadline = time.monotonic() + seconds
    while len(pids(out)) < count:
        assert time.monotonic() < deadline, pids(out)
        time.sleep(0.01)
    return pids(out)


def gone(pid: int) -> bool:
    """Tell whether a process has ended, whoever has to reap it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_dead_worker_is_replaced_and_all_stop_together(tmp_path: Path, stop: signal.Signals) -> None:
    """A replacement is started as soon as a worker of some age ends, and one signal ends them all with status 0."""
    out = tmp_path / "out"
    with supervised("run(serving)", out) as process:
        first, second = wait_for(out, 2)
        time.sleep(1.5)
        killed = time.monotonic()
        os.kill(first, signal.SIGKILL)
        *_, third = wait_for(out, 3)
        assert time.monotonic() - killed < 1.0
        process.send_signal(stop)
        assert process.wait(10) == 0
        assert all(gone(pid) for pid in (first, second, third))


def test_a_silent_worker_is_killed_and_replaced(tmp_path: Path) -> None:
    """One that does not beat any more, for whatever reason, serves nobody."""
    out = tmp_path / "out"
    with supervised("run(serving)", out) as process:
        first, _ = wait_for(out, 2)
        stopped = time.monotonic()
        os.kill(first, signal.SIGSTOP)
        wait_for(out, 3)
        assert HANG_SECONDS - BEAT_SECONDS <= time.monotonic() - stopped < HANG_SECONDS + 3
        assert gone(first)
        process.terminate()
        assert process.wait(10) == 0


def test_workers_that_always_die_are_not_started_all_the_time(tmp_path: Path) -> None:
    """Each place is filled at most once a second."""
    out = tmp_path / "out"
    with supervised("run(lambda beat: (say_pid(), os._exit(9)))", out) as process:
        wait_for(out, 1)
        started = time.monotonic()
        # Two places: the sixth worker to begin is at least the third in its place.
        wait_for(out, 6)
        assert time.monotonic() - started > 1.5
        process.terminate()
        assert process.wait(10) == 0


def test_what_cannot_start_stops_everything(tmp_path: Path) -> None:
    """A worker that ends with uvicorn's status for a failed start would fail again."""
    with supervised(f"run(lambda beat: sys.exit({STARTUP_FAILURE}))", tmp_path / "out") as process:
        assert process.wait(20) == STARTUP_FAILURE


def test_a_worker_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    """The supervisor ends in its time, and its status tells that it was not in order."""
    out = tmp_path / "out"
    code = "run(lambda beat: (signal.signal(signal.SIGTERM, signal.SIG_IGN), serving(beat)))"
    with supervised(code, out) as process:
        workers = wait_for(out, 2)
        told = time.monotonic()
        process.terminate()
        assert process.wait(20) == 1
        assert STOP_SECONDS <= time.monotonic() - told < STOP_SECONDS + 3
        assert all(gone(pid) for pid in workers)


def test_workers_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    """Nobody would replace or stop them."""
    out = tmp_path / "out"
    with supervised("run(serving)", out) as process:
        workers = wait_for(out, 2)
        process.kill()
        deadline = time.monotonic() + 10
        while not all(gone(pid) for pid in workers):
            assert time.monotonic() < deadline
            time.sleep(0.02)
