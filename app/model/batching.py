"""Answers together whatever waits at the same moment, and never waits for more."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from app.contract.inputs import RAW_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from app.contract.inputs import Column

K = TypeVar("K", bound="Hashable")
T = TypeVar("T")


@dataclass(slots=True)
class _Job(Generic[K, T]):
    key: K
    columns: Mapping[str, Column]
    rows: int
    future: asyncio.Future[Sequence[T]]


class Batcher(Generic[K, T]):
    """Merges the small requests of one turn of the event loop into one call of the model.

    Requests that arrived while the loop was busy are all decoded before the call, which was scheduled behind them: a
    lone request is never delayed, and a crowd shares the fixed cost of a call. The call runs on the loop's own
    thread. A model thread was measured too: handing over and fighting for the interpreter lock cost more than the
    call itself. Requests are merged only when their keys are equal: the key holds the model's identity, so that no
    call mixes versions.

    Args:
        compute: `(key, columns) -> records`, one record a row.
        max_rows: most rows merged into one call.
    """

    def __init__(self, compute: Callable[[K, Mapping[str, Column]], Sequence[T]], max_rows: int) -> None:
        self._compute = compute
        self._max_rows = max_rows
        self._waiting: deque[_Job[K, T]] = deque()

    def submit(self, key: K, columns: Mapping[str, Column], rows: int) -> asyncio.Future[Sequence[T]]:
        """Queue rows; cancel the future to give them up before they are computed."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Sequence[T]] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._run)
        self._waiting.append(_Job(key, columns, rows, future))
        return future

    def _run(self) -> None:
        """Answer the oldest jobs that fit one call, and let the loop turn before the next."""
        group = self._take_group()
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._run)
        self._answer([job for job in group if not job.future.cancelled()])

    def _take_group(self) -> list[_Job[K, T]]:
        """Take the oldest job and those right behind it that may share its call."""
        waiting = self._waiting
        group = [waiting.popleft()]
        rows = group[0].rows
        while waiting and waiting[0].key == group[0].key and rows + waiting[0].rows <= self._max_rows:
            group.append(waiting.popleft())
            rows += group[-1].rows
        return group

    def _answer(self, group: list[_Job[K, T]]) -> None:
        if not group:
            return
        try:
            records = self._compute(group[0].key, _merged(group))
        except Exception as error:  # noqa: BLE001 - delivered to whoever asked
            if len(group) == 1:
                group[0].future.set_exception(error)
                return
            # One request must not fail its neighbours: each is tried alone.
            for job in group:
                self._answer([job])
            return
        start = 0
        for job in group:
            job.future.set_result(records[start : start + job.rows])
            start += job.rows


def _merged(group: list[_Job[K, T]]) -> Mapping[str, Column]:
    if len(group) == 1:
        return group[0].columns
    return {name: [value for job in group for value in job.columns[name]] for name in RAW_NAMES}
