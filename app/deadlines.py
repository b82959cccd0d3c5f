"""Time limits of many short tasks, kept by one timer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from types import TracebackType

_LOOKS: Final = 20
"""How often a limit is looked at before it is over: it may be exceeded by a twentieth."""


class Deadlines:
    """Gives every task the same time for a block, as `asyncio.timeout` does: `with deadlines.limit(): ...`.

    `asyncio.timeout` starts and stops a timer for each block, which almost always ends in time: two of them are a
    twentieth of a small prediction. Limits of the same length end in the order in which they began, so that one timer
    need only look at the oldest.

    Args:
        seconds: for each block.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._running: dict[_Limit, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def limit(self) -> _Limit:
        """Make a context manager that raises `TimeoutError` where the block takes too long."""
        return _Limit(self)

    def begin(self, limit: _Limit) -> float:
        """Note a limit that begins; give the time of the loop at which it is over."""
        self._running[limit] = None
        loop = asyncio.get_running_loop()
        if self._timer is None:
            self._timer = loop.call_later(self.seconds / _LOOKS, self._look, loop)
        return loop.time() + self.seconds

    def end(self, limit: _Limit) -> None:
        """Forget a limit."""
        self._running.pop(limit, None)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for limit in list(self._running):
            if limit.at > now:
                break
            del self._running[limit]
            limit.expire()
        self._timer = loop.call_later(self.seconds / _LOOKS, self._look, loop) if self._running else None


class _Limit:
    __slots__ = ("_before", "_expired", "_owner", "_task", "at")

    def __init__(self, owner: Deadlines) -> None:
        self._owner = owner
        self._expired = False

    def __enter__(self) -> None:
        task: asyncio.Task[Any] | None = asyncio.current_task()
        assert task is not None
        self._task = task
        self._before = task.cancelling()
        self.at = self._owner.begin(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._owner.end(self)
        if self._expired and self._task.uncancel() <= self._before and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def expire(self) -> None:
        """Cancel the task; its block turns that into `TimeoutError`."""
        self._expired = True
        self._task.cancel()
