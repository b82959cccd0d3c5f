"""The five ordered TPV buckets: right-closed intervals of BRL a month."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

EDGES: Final = (100.0, 1_000.0, 10_000.0, 100_000.0)
"""Upper edges, in BRL, of the first four buckets; each belongs to the bucket below it."""

LABELS: Final = ("≤ 100", "≤ 1,000", "≤ 10,000", "≤ 100,000", "> 100,000")
N_BUCKETS: Final = len(LABELS)

LOWER: Final = (0.0, *EDGES)
"""Lower bounds in BRL: inclusive in the first bucket, exclusive in the others."""

UPPER: Final = (*EDGES, math.inf)
"""Upper bounds in BRL, inclusive."""


def bucketize(amounts: ArrayLike) -> NDArray[np.int8]:
    """Give the bucket of each monthly amount.

    Args:
        amounts: BRL a month, shape (n,), each finite and at least 0.

    Returns:
        Bucket indices 0-4, int8, shape (n,).

    Raises:
        ValueError: an amount is missing, infinite or negative; such a row has no bucket.
    """
    values = np.asarray(amounts, dtype=np.float64)
    bad = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
    if bad.size:
        raise ValueError(
            f"amounts must be finite and >= 0 BRL; {bad.size} are not, the first at position {bad[0]}. "
            "Correct or drop those rows: a missing amount has no bucket."
        )
    return np.searchsorted(EDGES, values, side="left").astype(np.int8)
