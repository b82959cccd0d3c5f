"""XGBoost without scikit-learn.

Where scikit-learn is installed, as it is beside the training side, XGBoost imports it, and with it scipy.stats and
pandas, only to derive its estimator classes, which nobody here uses. That costs 1.5 s of every start and 130 MB of
every process.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["xgb"]

_HIDDEN: Final = "sklearn"


@contextmanager
def _without(name: str) -> Iterator[None]:
    """Make imports of a package fail, unless it is loaded already."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]


with _without(_HIDDEN):
    import xgboost as xgb
