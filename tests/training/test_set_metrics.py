"""Coverage and size of prediction sets, by hand and as invariants."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from training.set_metrics import coverage_report

if TYPE_CHECKING:
    from training.metrics import Ints

BUCKETS = hnp.arrays(np.int64, 25, elements=st.integers(0, 4))


def test_coverage_by_hand() -> None:
    """Three of four covered, sizes 1, 2, 3, 2."""
    report = coverage_report([0, 1, 4, 4], [0, 1, 0, 3], [0, 2, 2, 4], {"uf": ["SP", "SP", "AC", "SP"]}, level=0.9)
    assert report.overall.coverage == 0.75
    assert report.overall.coverage_se == pytest.approx(np.sqrt(0.75 * 0.25 / 4))
    assert report.overall.mean_size == 2.0
    assert report.size_shares == (0.25, 0.5, 0.25, 0.0, 0.0)
    assert [(row.value, row.coverage) for row in report.of("bucket")] == [("0", 1.0), ("1", 1.0), ("4", 0.5)]


def test_groups_are_reported_with_their_rows() -> None:
    """Each value of a grouping input has its own line, largest first."""
    report = coverage_report([0, 1, 4], [0, 1, 0], [0, 2, 2], {"uf": ["SP", "SP", "AC"]}, level=0.9, min_rows=1)
    assert [(row.value, row.rows, row.coverage) for row in report.of("uf")] == [("SP", 2, 1.0), ("AC", 1, 0.0)]


@given(BUCKETS, BUCKETS, BUCKETS)
def test_bucket_rows_make_up_the_whole(labels: Ints, one: Ints, other: Ints) -> None:
    """Row-weighted, coverage and size by bucket are those of all rows; sizes are a distribution."""
    report = coverage_report(labels, np.minimum(one, other), np.maximum(one, other), {}, level=0.8)
    rows = report.of("bucket")
    weights = [row.rows for row in rows]
    assert sum(weights) == 25
    assert np.average([row.coverage for row in rows], weights=weights) == pytest.approx(report.overall.coverage)
    assert np.average([row.mean_size for row in rows], weights=weights) == pytest.approx(report.overall.mean_size)
    assert sum(report.size_shares) == pytest.approx(1.0)
    assert np.dot(report.size_shares, np.arange(1, 6)) == pytest.approx(report.overall.mean_size)


def test_the_full_set_always_covers() -> None:
    """All five buckets hold any truth."""
    report = coverage_report([0, 4], [0, 0], [4, 4], {}, level=0.99, class_conditional=True)
    assert report.overall.coverage == 1.0
    assert report.class_conditional


@pytest.mark.parametrize(
    ("lower", "upper", "level", "message"),
    [
        ([0, 0], [1], 0.9, "must have shape"),
        ([2], [1], 0.9, "set_lower exceeds set_upper at row 0"),
        ([0], [5], 0.9, "set_upper must lie in 0-4"),
        ([0], [1], 1.0, "level must lie between 0 and 1"),
    ],
)
def test_bad_sets_are_refused(lower: list[int], upper: list[int], level: float, message: str) -> None:
    """The message names the argument and the rule."""
    with pytest.raises(ValueError, match=message):
        coverage_report([0], lower, upper, {}, level=level)
