"""Features that did not pay, beside the contract's own: each block describes rows by what a sample teaches of them.

A block takes the sample, the rows to describe, and whether they are the sample's own. Its own rows are never described
by themselves: counts leave the row out, and statistics of labels are those of the other folds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from app.contract.buckets import N_BUCKETS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.contract.features import Encoded

Floats: TypeAlias = NDArray[np.float64]

HIERARCHY: Final = ("segmento", "subsegmento", "mcc", "cnae_fiscal_principal")
_HIERARCHY_WEIGHT: Final = 30.0
_PLACE_WEIGHT: Final = 20.0
_GROUP_WEIGHT: Final = 10.0
_PLACE_WINDOWS: Final = (160, 40, 10, 0)
_NEIGHBOUR_WINDOWS: Final = (60, 10)
_PAIRS: Final = (("place", "mcc"), ("uf", "mcc"), ("place", "segmento"), ("uf", "cnae_fiscal_principal"))
_SHIFT: Final = 2
"""Makes the codes of null and unknown, -2 and -1, usable as positions."""


@dataclass(frozen=True)
class Sample:
    """Training rows: encoded inputs, bucket indices (n,) and folds (n,)."""

    encoded: Encoded
    labels: NDArray[np.int64]
    fold: NDArray[np.intp]

    def take(self, rows: NDArray[np.intp]) -> Sample:
        """Some of the rows."""
        return Sample(_take(self.encoded, rows), self.labels[rows], self.fold[rows])


class Block(Protocol):
    """Describes rows."""

    def __call__(self, sample: Sample, rows: Encoded, *, own: bool) -> Floats:
        """Give float64 (n, k) for n rows; `own` says that they are the sample's."""


def hierarchy_means(*, cumulative: bool = False) -> Block:
    """Mean label by segment, subsegment, mcc and cnae, each shrunk towards the one before.

    Args:
        cumulative: shares above each of the four thresholds, at the first and last level, instead of the mean index.
    """

    def describe(sample: Sample, rows: Encoded) -> Floats:
        target = _target(sample.labels, cumulative=cumulative)
        prior = np.tile(target.mean(axis=0), (len(target), 1))
        answer = np.tile(target.mean(axis=0), (rows.rows, 1))
        levels = []
        for name in HIERARCHY:
            codes, asked = sample.encoded.codes[name], rows.codes[name]
            total, count = _sums(codes, target - prior, asked)
            prior = prior + _shrunk(total, count, codes, _HIERARCHY_WEIGHT)
            answer = answer + _shrunk(total, count, asked, _HIERARCHY_WEIGHT)
            levels.append(answer)
        return np.hstack([levels[0], levels[-1]] if cumulative else levels)

    return _across_folds(describe)


def place_means(*, cumulative: bool = False) -> Block:
    """Mean label around a place: its UF, then 160, 40, 10 and 0 names to both sides, each shrunk to the one before."""

    def describe(sample: Sample, rows: Encoded) -> Floats:
        target = _target(sample.labels, cumulative=cumulative)
        codes, asked = sample.encoded.codes["uf"], rows.codes["uf"]
        total, count = _sums(codes, target - target.mean(axis=0), asked)
        answer = target.mean(axis=0) + _shrunk(total, count, asked, _PLACE_WEIGHT)
        levels = [answer]
        window = _windows(sample.encoded, rows, target)
        for width in _PLACE_WINDOWS:
            inside, merchants = window(width)
            answer = (inside + _PLACE_WEIGHT * answer) / (merchants[:, None] + _PLACE_WEIGHT)
            levels.append(answer)
        return np.hstack(levels)

    return _across_folds(describe)


def neighbour_means(sample: Sample, rows: Encoded, *, own: bool) -> Floats:
    """Means of capital, MEI, establishments and tier among the merchants around a place."""
    values, asked = _described(sample.encoded), _described(rows)
    overall = np.nanmean(values, axis=0)
    values, asked = np.where(np.isnan(values), overall, values), np.where(np.isnan(asked), overall, asked)
    window = _windows(sample.encoded, rows, values)
    levels = []
    for width in _NEIGHBOUR_WINDOWS:
        inside, merchants = window(width)
        if own:
            inside, merchants = inside - asked, merchants - 1
        levels.append((inside + _PLACE_WEIGHT * overall) / (merchants[:, None] + _PLACE_WEIGHT))
    return np.hstack(levels)


def pair_frequencies(sample: Sample, rows: Encoded, *, own: bool) -> Floats:
    """Log of how many merchants share both of two inputs."""
    return np.column_stack(
        [np.log1p(_counted(_joined(sample.encoded, pair), _joined(rows, pair)) - own) for pair in _PAIRS]
    )


def capital_frequency(sample: Sample, rows: Encoded, *, own: bool) -> Floats:
    """Log of how many merchants registered exactly this capital, and its leading digit."""
    capital = np.nan_to_num(rows.numbers["capital_social"])
    count = _counted(np.nan_to_num(sample.encoded.numbers["capital_social"]), capital) - own
    digit = np.floor(capital / 10.0 ** np.floor(np.log10(np.maximum(capital, 1.0))))
    return np.column_stack([np.log1p(count), digit])


def relative_capital(sample: Sample, rows: Encoded, *, own: bool) -> Floats:
    """Log capital less the mean of the segment, and of the cnae."""
    known, asked = _log_capital(sample.encoded), _log_capital(rows)
    overall = float(np.median(known))
    features = []
    for name in (HIERARCHY[0], HIERARCHY[-1]):
        total, count = _sums(sample.encoded.codes[name], known[:, None], rows.codes[name])
        position = rows.codes[name] + _SHIFT
        inside = total[position, 0] - (asked if own else 0.0)
        features.append(asked - (inside + _GROUP_WEIGHT * overall) / (count[position] - own + _GROUP_WEIGHT))
    return np.column_stack(features)


def uf_frequency(sample: Sample, rows: Encoded, *, own: bool) -> Floats:
    """Log of the merchants of the UF."""
    return np.log1p(_counted(sample.encoded.codes["uf"], rows.codes["uf"]) - own)[:, None]


def frequent_places(least: int) -> Block:
    """Position in the order of names, of places with at least so many other merchants; the rest are missing."""

    def describe(sample: Sample, rows: Encoded, *, own: bool) -> Floats:
        count = _counted(sample.encoded.codes["place"], rows.codes["place"]) - own
        known = (rows.codes["place"] >= 0) & (count >= least)
        return np.where(known, rows.codes["place"].astype(np.float64), np.nan)[:, None]

    return describe


def _across_folds(describe: Callable[[Sample, Encoded], Floats]) -> Block:
    """Describe the sample's own rows by the other folds."""

    def block(sample: Sample, rows: Encoded, *, own: bool) -> Floats:
        if not own:
            return describe(sample, rows)
        parts = {
            int(number): describe(sample.take(np.flatnonzero(sample.fold != number)), _take(rows, mine))
            for number in np.unique(sample.fold)
            for mine in [np.flatnonzero(sample.fold == number)]
        }
        described = np.empty((rows.rows, next(iter(parts.values())).shape[1]))
        for number, values in parts.items():
            described[sample.fold == number] = values
        return described

    return block


def _take(encoded: Encoded, rows: NDArray[np.intp]) -> Encoded:
    return replace(encoded, coded=encoded.coded[:, rows], numeric=encoded.numeric[:, rows])


def _target(labels: NDArray[np.int64], *, cumulative: bool) -> Floats:
    if cumulative:
        return (labels[:, None] > np.arange(N_BUCKETS - 1)).astype(np.float64)
    return labels[:, None].astype(np.float64)


def _sums(
    codes: NDArray[np.signedinteger[Any]], values: Floats, asked: NDArray[np.signedinteger[Any]]
) -> tuple[Floats, Floats]:
    """Sum of values and number of rows of each code, by shifted code, with room for the codes that will be asked."""
    size = int(max(codes.max(initial=0), asked.max(initial=0))) + 1 + _SHIFT
    total = np.column_stack([np.bincount(codes + _SHIFT, weights=column, minlength=size) for column in values.T])
    return total.astype(np.float64), np.bincount(codes + _SHIFT, minlength=size).astype(np.float64)


def _shrunk(total: Floats, count: Floats, codes: NDArray[np.signedinteger[Any]], weight: float) -> Floats:
    position = codes + _SHIFT
    shrunk: Floats = total[position] / (count[position] + weight)[:, None]
    return shrunk


def _counted(known: NDArray[Any], asked: NDArray[Any]) -> Floats:
    """How many known values equal each asked one."""
    values, counts = np.unique(known, return_counts=True)
    at = np.searchsorted(values, asked).clip(0, len(values) - 1)
    return np.where(values[at] == asked, counts[at], 0).astype(np.float64)


def _joined(encoded: Encoded, pair: Sequence[str]) -> NDArray[np.int64]:
    first, second = (encoded.codes[name].astype(np.int64) + _SHIFT for name in pair)
    return first * 1_000_000 + second


def _log_capital(encoded: Encoded) -> Floats:
    return np.log1p(np.nan_to_num(encoded.numbers["capital_social"]))


def _described(encoded: Encoded) -> Floats:
    numbers = encoded.numbers
    return np.column_stack(
        [_log_capital(encoded), numbers["mei"], np.log1p(numbers["total_estab"]), encoded.codes["tier"]]
    )


def _windows(known: Encoded, asked: Encoded, values: Floats) -> Callable[[int], tuple[Floats, Floats]]:
    """Sums of values over, and number of, the known merchants of the same UF within so many places."""
    span = int(max(known.codes["nearest_place"].max(initial=0), asked.codes["nearest_place"].max(initial=0))) + 2_000
    where = _along(known, span)
    order = np.argsort(where, kind="stable")
    where = where[order]
    total = np.vstack([np.zeros(values.shape[1]), np.cumsum(values[order], axis=0)])
    centre = _along(asked, span)

    def within(width: int) -> tuple[Floats, Floats]:
        first = np.searchsorted(where, centre - width, side="left")
        last = np.searchsorted(where, centre + width, side="right")
        return total[last] - total[first], (last - first).astype(np.float64)

    return within


def _along(encoded: Encoded, span: int) -> NDArray[np.int64]:
    """A line on which the places of a UF follow each other, and UFs lie farther apart than any window."""
    uf, place = encoded.codes["uf"].astype(np.int64), encoded.codes["nearest_place"].astype(np.int64)
    return (uf + _SHIFT) * span + place
