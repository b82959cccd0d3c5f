"""Threads that give way to the event loop."""

from __future__ import annotations

import os
import sys
import threading
from typing import Final

_NICENESS: Final = 5


def give_way() -> None:
    """Lower the priority of the calling thread, so that threads that wait for callers run as soon as they can.

    Only Linux keeps a priority for each thread; elsewhere nothing happens.
    """
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, 0) + _NICENESS)
