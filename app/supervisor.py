"""Several server processes on one listener: replaced when they die or hang, and told to stop together.

Workers are forked from a process that has imported the application and nothing more: a replacement serves as soon as it
has loaded the model, and workers share the memory of what was imported. That is safe while the supervisor has one
thread and has opened no model; both hold, since only workers run the application.
"""

from __future__ import annotations

import gc
import logging
import mmap
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.context import ForkProcess
    from types import FrameType

    Beat: TypeAlias = Callable[[float], None]

STARTUP_FAILURE: Final = 3
"""Exit status of a worker that another start cannot help; uvicorn's own."""
UNJUDGED: Final = float("inf")
"""Beat of a worker that starts or stops: neither has to beat."""
STOPS: Final = (signal.SIGTERM, signal.SIGINT)
"""Signals that end the service in order."""
_TICK_SECONDS: Final = 1.0
_LEAST_LIFE_SECONDS: Final = 1.0
"""A place is not filled again sooner than this after it was: a worker that always dies must not take a whole core."""

_logger: Final = logging.getLogger("tpv.supervisor")
_fork: Final = multiprocessing.get_context("fork")


@dataclass(slots=True)
class _Place:
    """Where one worker runs, and when it was started."""

    worker: ForkProcess | None = None
    started: float = -_LEAST_LIFE_SECONDS


class Supervisor:
    """Keeps a number of workers alive until it is told to stop.

    Args:
        serve: runs in each worker and returns when it was told to stop. It starts with `STOPS` blocked, and unblocks
            them when it obeys them. It is given a function that takes the time of the monotonic clock, to be called at
            least every `hang_seconds` while it serves, or `UNJUDGED`.
        workers: how many.
        hang_seconds: a worker that was silent for longer is killed and replaced.
        stop_seconds: time for all workers to stop; then they are killed.
    """

    def __init__(
        self, serve: Callable[[Beat], None], *, workers: int, hang_seconds: float, stop_seconds: float
    ) -> None:
        self._serve = serve
        self._hang_seconds = hang_seconds
        self._stop_seconds = stop_seconds
        self._places = [_Place() for _ in range(workers)]
        # Shared with every process that is forked, and written without a lock: each worker has a number of its own.
        self._beats = memoryview(mmap.mmap(-1, 8 * workers)).cast("d")
        self._told = 0
        self._served = False
        self._woken, self._waker = socket.socketpair()

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; give the exit status.

        It is 0 when every worker stopped by itself, 1 when one had to be killed, and `STARTUP_FAILURE` when one could
        not start before any had served.
        """
        # The signal itself wakes the loop below, wherever that is; the handler alone could come a moment too late.
        for end in (self._woken, self._waker):
            end.settimeout(0)
        signal.set_wakeup_fd(self._waker.fileno())
        for stop in STOPS:
            signal.signal(stop, self._note)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        # What was imported stays: the collectors of the workers should neither walk nor copy it.
        gc.collect()
        gc.freeze()
        while not self._told:
            for number, place in enumerate(self._places):
                if self._needs_worker(number, place):
                    if not self._served and place.worker is not None and place.worker.exitcode == STARTUP_FAILURE:
                        _logger.error("a worker could not start, so none can")
                        self._stop()
                        return STARTUP_FAILURE
                    self._start(number, place)
            self._sleep(_TICK_SECONDS)
        return self._stop()

    def _note(self, _signal: int, _frame: FrameType | None) -> None:
        self._told += 1

    def _sleep(self, seconds: float) -> None:
        """Wait until a worker ends, a signal comes, or the time is over."""
        alive = [place.worker.sentinel for place in self._places if place.worker and place.worker.exitcode is None]
        wait([self._woken, *alive], seconds)
        with suppress(BlockingIOError):
            self._woken.recv(4096)

    def _needs_worker(self, number: int, place: _Place) -> bool:
        """Tell whether a worker should be started in a place now; end one that hangs."""
        now = time.monotonic()
        worker = place.worker
        if worker is not None and worker.exitcode is None:
            self._served |= self._beats[number] < UNJUDGED
            if now - self._beats[number] <= self._hang_seconds:
                return False
            _logger.error("worker hangs", extra={"worker": worker.pid, "seconds": self._hang_seconds})
            worker.kill()
            worker.join()
        return now - place.started >= _LEAST_LIFE_SECONDS

    def _start(self, number: int, place: _Place) -> None:
        if place.worker is not None:
            _logger.error("worker died", extra={"worker": place.worker.pid, "exit_status": place.worker.exitcode})
        self._beats[number] = UNJUDGED
        worker = _fork.Process(target=self._work, args=(number,), name=f"worker-{number}")
        # A signal between the fork and the worker's own handlers would be lost.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
        try:
            worker.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        place.worker, place.started = worker, time.monotonic()

    def _work(self, number: int) -> None:
        """Be a worker."""
        signal.set_wakeup_fd(-1)
        for end in (self._woken, self._waker):
            end.close()
        for stop in STOPS:
            signal.signal(stop, exit_cleanly)
        threading.Thread(target=_stop_with_parent, name="parent", daemon=True).start()
        self._serve(partial(self._beats.__setitem__, number))

    def _stop(self) -> int:
        """Pass the signal on, and each further one; give the exit status."""
        workers = [place.worker for place in self._places if place.worker is not None]
        until = time.monotonic() + self._stop_seconds
        passed = -1
        while any(worker.exitcode is None for worker in workers) and time.monotonic() < until:
            if passed < self._told:
                passed = self._told
                for worker in workers:
                    worker.terminate()
            self._sleep(_TICK_SECONDS)
        late = [worker for worker in workers if worker.exitcode is None]
        for worker in late:
            _logger.error("worker did not stop", extra={"worker": worker.pid})
            worker.kill()
            worker.join()
        return 1 if late else 0


def exit_cleanly(_signal: int, _frame: FrameType | None) -> None:
    """End with status 0, where uvicorn raises a signal again that it has already obeyed."""
    sys.exit(0)


def _stop_with_parent() -> None:
    """Stop when the supervisor is gone, however it ended: nobody else would."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
