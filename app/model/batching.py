"""One model thread that answers together whatever waits for it, and never waits for more."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from app.contract.inputs import RAW_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

K = TypeVar("K", bound="Hashable")
T = TypeVar("T")


@dataclass(slots=True)
class _Job(Generic[K, T]):
    key: K
    columns: dict[str, list[Any]]
    rows: int
    future: asyncio.Future[Sequence[T]]
    loop: asyncio.AbstractEventLoop


class Batcher(Generic[K, T]):
    """Merges concurrent small requests into one call of the model.

    While the model thread works, requests gather; when it is done it takes all of them at once. A lone request is
    therefore never delayed, and a crowd shares the fixed cost of a call. Requests are merged only when their keys
    are equal: the key holds the model's identity, so that no call mixes versions.

    Args:
        compute: `(key, columns) -> records`, one record a row; called on the model thread.
        max_rows: most rows merged into one call.
    """

    def __init__(self, compute: Callable[[K, dict[str, list[Any]]], Sequence[T]], max_rows: int) -> None:
        self._compute = compute
        self._max_rows = max_rows
        self._jobs: SimpleQueue[_Job[K, T] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    def submit(self, key: K, columns: dict[str, list[Any]], rows: int) -> asyncio.Future[Sequence[T]]:
        """Queue rows; cancel the future to give them up before they are computed."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Sequence[T]] = loop.create_future()
        self._jobs.put(_Job(key, columns, rows, future, loop))
        return future

    def close(self) -> None:
        """Finish what is queued and stop the thread."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        waiting: deque[_Job[K, T]] = deque()
        while True:
            if not waiting:
                job = self._jobs.get()
                if job is None:
                    return
                waiting.append(job)
            stop = self._gather(waiting)
            while waiting:
                self._answer(self._take_group(waiting))
            if stop:
                return

    def _gather(self, waiting: deque[_Job[K, T]]) -> bool:
        """Move everything queued to `waiting`; tell whether the end was among it."""
        while not self._jobs.empty():
            job = self._jobs.get_nowait()
            if job is None:
                return True
            waiting.append(job)
        return False

    def _take_group(self, waiting: deque[_Job[K, T]]) -> list[_Job[K, T]]:
        """Take the oldest job and those right behind it that may share its call."""
        group = [waiting.popleft()]
        rows = group[0].rows
        while waiting and waiting[0].key == group[0].key and rows + waiting[0].rows <= self._max_rows:
            group.append(waiting.popleft())
            rows += group[-1].rows
        return group

    def _answer(self, group: list[_Job[K, T]]) -> None:
        group = [job for job in group if not job.future.cancelled()]
        if not group:
            return
        results: list[Sequence[T] | BaseException]
        try:
            results = self._compute_group(group)
        except Exception as error:  # noqa: BLE001 - delivered to whoever asked
            if len(group) > 1:
                # One request must not fail its neighbours: each is tried alone.
                for job in group:
                    self._answer([job])
                return
            results = [error]
        group[0].loop.call_soon_threadsafe(_deliver, group, results)

    def _compute_group(self, group: list[_Job[K, T]]) -> list[Sequence[T] | BaseException]:
        if len(group) == 1:
            return [self._compute(group[0].key, group[0].columns)]
        merged = {name: [value for job in group for value in job.columns[name]] for name in RAW_NAMES}
        records = self._compute(group[0].key, merged)
        results: list[Sequence[T] | BaseException] = []
        start = 0
        for job in group:
            results.append(records[start : start + job.rows])
            start += job.rows
        return results


def _deliver(group: list[_Job[K, T]], results: list[Sequence[T] | BaseException]) -> None:
    for job, result in zip(group, results, strict=True):
        if job.future.cancelled():
            continue
        if isinstance(result, BaseException):
            job.future.set_exception(result)
        else:
            job.future.set_result(result)
