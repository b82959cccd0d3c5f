"""Buckets are right-closed, and an amount without a bucket is an error."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.contract.buckets import EDGES, LABELS, LOWER, N_BUCKETS, UPPER, bucketize


def test_edges_belong_to_the_bucket_below() -> None:
    """100.00 BRL is in the first bucket, the next float up in the second, and so on."""
    assert bucketize([0.0, 0.01, *EDGES]).tolist() == [0, 0, 0, 1, 2, 3]
    assert bucketize([math.nextafter(edge, math.inf) for edge in EDGES]).tolist() == [1, 2, 3, 4]
    assert bucketize([1e300]).tolist() == [4]


@given(st.lists(st.floats(0, 1e12), max_size=20))
def test_amounts_lie_within_the_bounds_of_their_bucket(amounts: list[float]) -> None:
    """`LOWER < amount <= UPPER`, with zero in the first bucket."""
    for amount, bucket in zip(amounts, bucketize(amounts), strict=True):
        assert amount <= UPPER[bucket]
        assert amount > LOWER[bucket] or (amount == 0 and bucket == 0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, -0.01])
def test_what_has_no_bucket_is_refused(bad: float) -> None:
    """The error counts such rows and names the first; bucket 0 is never a guess."""
    with pytest.raises(ValueError, match=r"2 are not, the first at position 1.*has no bucket"):
        bucketize([1.0, bad, 2.0, bad])


def test_buckets_are_described() -> None:
    """One label and one pair of bounds a bucket; int8 out, whatever goes in."""
    assert len(LABELS) == len(LOWER) == len(UPPER) == N_BUCKETS == 5
    assert LOWER[1:] == UPPER[:-1] == EDGES
    assert bucketize(np.array([5], dtype=np.int64)).dtype == np.int8
    assert bucketize([]).shape == (0,)
