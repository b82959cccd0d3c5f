"""Threads of large batches stand back; the one that serves callers does not."""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.model.priority import give_way


def _priority() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a priority belongs to a whole process")
def test_only_the_thread_that_gives_way_changes() -> None:
    """A pool's threads have a higher niceness than the thread that made it."""
    before = _priority()
    with ThreadPoolExecutor(1, initializer=give_way) as pool:
        assert pool.submit(_priority).result() > before
    assert _priority() == before
