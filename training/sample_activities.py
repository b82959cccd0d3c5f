"""The activities of the synthetic merchants: segment > subsegment > MCC > CNAE, their weights and effects.

Codes are arbitrary integers without order, and each has exactly one parent, both as in the data set's layout. The tree
itself, its weights and its effects are invented.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

N_SEGMENTS: Final = 28
N_SUBSEGMENTS: Final = 71
N_MCC: Final = 166
N_CNAE: Final = 460

# A segment's weight falls with its rank as (rank + shift) ** -exponent.
_SEGMENT_EXPONENT: Final = 1.6
_SEGMENT_SHIFT: Final = 1.5

# Share of the variance of an activity's effect that its level of the tree holds.
_VARIANCE: Final = {"segmento": 0.4, "subsegmento": 0.25, "mcc": 0.15, "cnae": 0.2}

_WORLD_SEED: Final = 20_240_702


@dataclass(frozen=True)
class Activities:
    """The tree's leaves (CNAE) as parallel arrays of length 460.

    Attributes:
        segmento: code, int64.
        subsegmento: code, int64.
        mcc: code, int64.
        cnae: code, int64.
        cumulative: cumulative probability, float64.
        effect: effect on the amount, standard units, float64.
        size: tendency to larger companies, standard units, float64.
        mei: tendency to micro-entrepreneurs, log odds about 0, float64.
        capital_slope: how much more than elsewhere capital matters, standard units, float64.
        mei_effect: effect on the amount for micro-entrepreneurs only, standard units, float64.
    """

    segmento: NDArray[np.int64]
    subsegmento: NDArray[np.int64]
    mcc: NDArray[np.int64]
    cnae: NDArray[np.int64]
    cumulative: NDArray[np.float64]
    effect: NDArray[np.float64]
    size: NDArray[np.float64]
    mei: NDArray[np.float64]
    capital_slope: NDArray[np.float64]
    mei_effect: NDArray[np.float64]


@cache
def activities() -> Activities:
    """Build the fixed tree that all samples share, whatever their seed."""
    rng = np.random.default_rng(_WORLD_SEED)
    weight = (np.arange(N_SEGMENTS) + 1 + _SEGMENT_SHIFT) ** -_SEGMENT_EXPONENT
    segment_of_subsegment, weight = _branch(rng, weight / weight.sum(), N_SUBSEGMENTS)
    subsegment_of_mcc, weight = _branch(rng, weight, N_MCC)
    mcc_of_cnae, weight = _branch(rng, weight, N_CNAE)
    mcc = mcc_of_cnae
    subsegment = subsegment_of_mcc[mcc]
    segment = segment_of_subsegment[subsegment]

    def tree_normal() -> NDArray[np.float64]:
        return np.asarray(
            np.sqrt(_VARIANCE["segmento"]) * rng.normal(size=N_SEGMENTS)[segment]
            + np.sqrt(_VARIANCE["subsegmento"]) * rng.normal(size=N_SUBSEGMENTS)[subsegment]
            + np.sqrt(_VARIANCE["mcc"]) * rng.normal(size=N_MCC)[mcc]
            + np.sqrt(_VARIANCE["cnae"]) * rng.normal(size=N_CNAE)
        )

    return Activities(
        segmento=rng.permutation(N_SEGMENTS)[segment],
        subsegmento=rng.permutation(N_SUBSEGMENTS)[subsegment],
        mcc=rng.permutation(N_MCC)[mcc],
        cnae=rng.permutation(N_CNAE),
        cumulative=np.cumsum(weight),
        effect=tree_normal(),
        size=tree_normal(),
        mei=tree_normal(),
        capital_slope=rng.normal(size=N_SEGMENTS)[segment],
        mei_effect=rng.normal(size=N_SEGMENTS)[segment],
    )


def _branch(
    rng: np.random.Generator, parent_weight: NDArray[np.float64], children: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Give each parent a child and the rest by weight; return parent and weight of each child, shape (children,)."""
    n = len(parent_weight)
    preference = np.sqrt(parent_weight)
    extra = rng.choice(n, size=children - n, p=preference / preference.sum())
    parent = np.sort(np.concatenate([np.arange(n), extra]))
    share = rng.gamma(0.9, size=children) + 0.02
    return parent, parent_weight[parent] * share / np.bincount(parent, weights=share)[parent]
