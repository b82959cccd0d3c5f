"""Merging of concurrent requests: who shares a call, who gets which records, and who fails alone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from app.contract.inputs import RAW_NAMES
from app.model.batching import Batcher

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.contract.inputs import Column


class Model:
    """Answers each row with its `mcc`, and remembers its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[Any]]] = []

    def __call__(self, key: str, columns: Mapping[str, Column]) -> list[Any]:
        """Answer, unless a row holds what it cannot take."""
        codes = list(columns["mcc"])
        self.calls.append((key, codes))
        if "poison" in codes:
            raise ValueError("poison")
        return codes


def columns(*codes: Any) -> dict[str, Column]:
    """Make columns in which only `mcc` matters."""
    return {key: list(codes) for key in RAW_NAMES}


def test_requests_of_one_turn_share_a_call() -> None:
    """Everyone gets their own rows back, in order."""
    model = Model()

    async def run() -> Any:
        batcher: Batcher[str, Any] = Batcher(model, 100)
        return await asyncio.gather(*(batcher.submit("a", columns(i, -i), 2) for i in range(5)))

    assert asyncio.run(run()) == [[i, -i] for i in range(5)]
    assert len(model.calls) == 1


def test_keys_are_never_mixed_and_order_is_kept() -> None:
    """A call has one key and at most so many rows."""
    model = Model()

    async def run() -> None:
        batcher: Batcher[str, Any] = Batcher(model, 3)
        await asyncio.gather(*(batcher.submit(key, columns(key, key), 2) for key in "aabba"))

    asyncio.run(run())
    assert [key for key, _ in model.calls] == ["a", "a", "b", "b", "a"]

    model.calls.clear()

    async def again() -> None:
        batcher: Batcher[str, Any] = Batcher(model, 4)
        await asyncio.gather(*(batcher.submit(key, columns(key, key), 2) for key in "aabba"))

    asyncio.run(again())
    assert [(key, len(rows)) for key, rows in model.calls] == [("a", 4), ("b", 4), ("a", 2)]


def test_a_failing_request_fails_alone() -> None:
    """Its neighbours are answered by calls of their own."""
    model = Model()

    async def run() -> Any:
        batcher: Batcher[str, Any] = Batcher(model, 100)
        waiting = [batcher.submit("a", columns(code), 1) for code in (1, "poison", 3)]
        return await asyncio.gather(*waiting, return_exceptions=True)

    first, second, third = asyncio.run(run())
    assert (first, third) == ([1], [3])
    assert isinstance(second, ValueError)


def test_a_cancelled_request_is_not_computed() -> None:
    """Who went away before the call costs nothing."""
    model = Model()

    async def run() -> Any:
        batcher: Batcher[str, Any] = Batcher(model, 100)
        gone, stays = batcher.submit("a", columns(1), 1), batcher.submit("a", columns(2), 1)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        lonely = batcher.submit("a", columns(3), 1)
        result = await stays
        lonely.cancel()
        await asyncio.sleep(0)
        return result

    assert asyncio.run(run()) == [2]
    assert all(1 not in rows for _, rows in model.calls)
