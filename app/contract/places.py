"""What the order of place names tells of a place that has few merchants of its own.

Sorted by name, the districts of a municipality stand together, so the merchants around a place in that order, counted
within its UF, tell how large its municipality is even where every single district is rare or new.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

POSITION: Final = "place_position"
DENSITY_WINDOWS: Final = (10, 40, 160, 640)
"""Half-widths, in names of the sort order, over which merchants of the same UF are counted."""
CLUSTER_GAPS: Final = (2, 4)
"""Largest steps, in names of the sort order, between neighbours of one cluster of the same UF."""


def neighbourhood(places: Sequence[tuple[str, ...]], counts: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Describe the surroundings of every known place.

    Args:
        places: keys in sorted order, each ending in the UF; what stands before it is the name.
        counts: merchants of each place, shape (p,).

    Returns:
        Features by name, each (p,): position in the order, and log1p of the merchants within each window, of the
        names and merchants of its run (neighbours that are mainly of one UF), and of those of its clusters.
    """
    names = [place[:-1] for place in places]
    rank = np.cumsum([0, *(left != right for left, right in pairwise(names))])[: len(names)]
    _, uf = np.unique([place[-1] for place in places], return_inverse=True)
    features: dict[str, NDArray[np.float64]] = {}
    for window in DENSITY_WINDOWS:
        features[f"place_density_{window}"] = _within(rank, uf, counts, window)
    features["place_run_names"], features["place_run_merchants"] = _runs(rank, uf, counts)
    for gap in CLUSTER_GAPS:
        names_of, merchants_of = _clusters(rank, uf, counts, gap)
        features |= {f"place_cluster_{gap}_names": names_of, f"place_cluster_{gap}_merchants": merchants_of}
    return {POSITION: rank.astype(np.float64), **{name: np.log1p(values) for name, values in features.items()}}


def _within(
    rank: NDArray[np.intp], uf: NDArray[np.intp], counts: NDArray[np.float64], window: int
) -> NDArray[np.float64]:
    """Merchants of the same UF at most `window` names away: all arrays (p,)."""
    found = np.zeros(len(rank))
    for own in np.unique(uf):
        mine = uf == own
        total = np.concatenate([[0.0], np.cumsum(counts[mine])])
        first = np.searchsorted(rank[mine], rank[mine] - window, side="left")
        last = np.searchsorted(rank[mine], rank[mine] + window, side="right")
        found[mine] = total[last] - total[first]
    return found


def _runs(
    rank: NDArray[np.intp], uf: NDArray[np.intp], counts: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Names and merchants of the run each place is in; 0 where the run is mainly of another UF."""
    if not len(rank):
        return np.zeros(0), np.zeros(0)
    by_uf = np.zeros((rank[-1] + 1, uf.max() + 1))
    np.add.at(by_uf, (rank, uf), counts)
    main = by_uf.argmax(axis=1)
    run = np.concatenate([[0], np.cumsum(main[1:] != main[:-1])])
    names, merchants = np.bincount(run), np.bincount(run, weights=by_uf.sum(axis=1))
    own = main[rank] == uf
    return np.where(own, names[run[rank]], 0.0), np.where(own, merchants[run[rank]], 0.0)


def _clusters(
    rank: NDArray[np.intp], uf: NDArray[np.intp], counts: NDArray[np.float64], gap: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Names and merchants of the chain of same-UF places, each at most `gap` names from the next."""
    order = np.lexsort((rank, uf))
    breaks = (np.diff(rank[order]) > gap) | (np.diff(uf[order]) != 0)
    cluster = np.empty(len(rank), dtype=np.intp)
    cluster[order] = np.cumsum(np.concatenate([[False], breaks]))[: len(rank)]
    names: NDArray[np.float64] = np.bincount(cluster).astype(np.float64)
    merchants: NDArray[np.float64] = np.bincount(cluster, weights=counts).astype(np.float64)
    return names[cluster], merchants[cluster]
