"""Limits kept by one timer end what `asyncio.timeout` would end, and nothing else."""

from __future__ import annotations

import asyncio

import pytest

from app.deadlines import Deadlines


def test_what_ends_in_time_is_left_alone() -> None:
    """Many blocks, one after the other and side by side, none of which is late."""

    async def run() -> list[int]:
        deadlines = Deadlines(0.5)

        async def work(number: int) -> int:
            with deadlines.limit():
                await asyncio.sleep(0.001 * (number % 5))
            return number

        return await asyncio.gather(*map(work, range(50)))

    assert asyncio.run(run()) == list(range(50))


def test_the_late_fail_and_the_others_do_not() -> None:
    """A block that takes too long is cancelled at its own time, whatever began before or after it."""

    async def run() -> tuple[str, ...]:
        deadlines = Deadlines(0.1)
        loop = asyncio.get_running_loop()

        async def work(seconds: float) -> str:
            await asyncio.sleep(seconds / 10)
            started = loop.time()
            try:
                with deadlines.limit():
                    await asyncio.sleep(seconds)
            except TimeoutError:
                assert 0.1 <= loop.time() - started < 0.3
                return "late"
            return "in time"

        return tuple(await asyncio.gather(work(5.0), work(0.01), work(1.0), work(0.02)))

    assert asyncio.run(run()) == ("late", "in time", "late", "in time")


def test_a_cancelled_task_stays_cancelled() -> None:
    """Whoever cancels a task within its time gets no `TimeoutError` for it."""

    async def run() -> None:
        deadlines = Deadlines(5.0)

        async def work() -> None:
            with deadlines.limit():
                await asyncio.sleep(5)

        task = asyncio.create_task(work())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())


def test_limits_nest() -> None:
    """The inner limit ends the inner block only."""

    async def run() -> str:
        outer, inner = Deadlines(5.0), Deadlines(0.05)
        with outer.limit():
            with pytest.raises(TimeoutError), inner.limit():
                await asyncio.sleep(5)
            await asyncio.sleep(0.01)
        return "done"

    assert asyncio.run(run()) == "done"


def test_errors_pass_as_they_are() -> None:
    """A block may fail in its own way."""

    async def run() -> None:
        with Deadlines(5.0).limit():
            raise KeyError("its own")

    with pytest.raises(KeyError, match="its own"):
        asyncio.run(run())
