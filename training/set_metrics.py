"""Do prediction sets cover the truth as often as they promise, and how large are they."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from app.contract.buckets import N_BUCKETS
from training.metrics import binomial_error, checked_labels, group_masks, standard_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from training.metrics import Floats


@dataclass(frozen=True, slots=True)
class CoverageRow:
    """Coverage of one group of rows.

    Attributes:
        group: what the rows are grouped by: "overall", "bucket" (the true one) or an input.
        value: the group's value.
        rows: number of rows.
        coverage: share of rows whose true bucket lies in the set.
        coverage_se: its binomial standard error.
        mean_size: mean number of buckets in the set.
        mean_size_se: its standard error.
    """

    group: str
    value: str
    rows: int
    coverage: float
    coverage_se: float
    mean_size: float
    mean_size_se: float


@dataclass(frozen=True, slots=True)
class SetReport:
    """Coverage and size of the prediction sets at one requested level.

    Attributes:
        level: requested coverage.
        class_conditional: whether the level was asked for within each true bucket, rather than over all rows.
        overall: all rows.
        groups: per true bucket, then per value of each grouping input.
        size_shares: share of rows whose set holds 1, 2, 3, 4, 5 buckets.
    """

    level: float
    class_conditional: bool
    overall: CoverageRow
    groups: tuple[CoverageRow, ...]
    size_shares: tuple[float, ...]

    def of(self, group: str) -> tuple[CoverageRow, ...]:
        """Give the rows of one grouping, such as "bucket" or "uf"."""
        return tuple(row for row in self.groups if row.group == group)


def coverage_report(
    labels: ArrayLike,
    set_lower: ArrayLike,
    set_upper: ArrayLike,
    groups: Mapping[str, ArrayLike],
    *,
    level: float,
    class_conditional: bool = False,
    min_rows: int = 30,
) -> SetReport:
    """Measure contiguous prediction sets.

    Args:
        labels: true buckets, int (n,).
        set_lower: lowest bucket of each set, int (n,), inclusive.
        set_upper: highest bucket of each set, int (n,), inclusive.
        groups: inputs to group by, such as {"uf": …}, each (n,); the true bucket is always among the groupings.
        level: coverage that was requested, in (0, 1).
        class_conditional: how it was requested.
        min_rows: values with fewer rows are taken together.

    Raises:
        ValueError: lengths disagree, an index is outside 0-4, a set is empty, or the level is out of range.
    """
    true = checked_labels(labels)
    lower = checked_labels(set_lower, name="set_lower")
    upper = checked_labels(set_upper, name="set_upper")
    if lower.shape != true.shape or upper.shape != true.shape:
        raise ValueError(f"set_lower and set_upper must have shape {true.shape}, not {lower.shape} and {upper.shape}")
    if (lower > upper).any():
        raise ValueError(f"set_lower exceeds set_upper at row {np.flatnonzero(lower > upper)[0]}; a set holds a bucket")
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must lie between 0 and 1, not {level}")
    covered = (lower <= true) & (true <= upper)
    sizes = (upper - lower + 1).astype(np.float64)
    rows = [_row("bucket", str(k), covered[true == k], sizes[true == k]) for k in range(N_BUCKETS) if (true == k).any()]
    for name, values in groups.items():
        rows += [
            _row(name, value, covered[inside], sizes[inside])
            for value, inside in group_masks(values, true.size, name=name, min_rows=min_rows)
        ]
    shares = np.bincount(sizes.astype(np.int64), minlength=N_BUCKETS + 1)[1:] / true.size
    return SetReport(
        level=level,
        class_conditional=class_conditional,
        overall=_row("overall", "all", covered, sizes),
        groups=tuple(rows),
        size_shares=tuple(float(share) for share in shares),
    )


def _row(group: str, value: str, covered: NDArray[np.bool_], sizes: Floats) -> CoverageRow:
    coverage = float(covered.mean())
    return CoverageRow(
        group=group,
        value=value,
        rows=int(covered.size),
        coverage=coverage,
        coverage_se=binomial_error(coverage, int(covered.size)),
        mean_size=float(sizes.mean()),
        mean_size_se=standard_error(sizes),
    )
