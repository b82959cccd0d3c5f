"""How long work tells of itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[str], None]
"""Called with a sentence each time a unit of work is done."""


def silent(_message: str) -> None:
    """Say nothing."""
