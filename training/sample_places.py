"""The geography of the synthetic merchants: states, municipalities, districts, their weights and effects.

Names are public (`training.sample_names`), the weights of the states follow the share of merchants in each; everything
else is invented.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from training.sample_names import COMMON_DISTRICTS, MUNICIPALITIES, OTHER_DISTRICTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

UF_WEIGHTS: Final = {
    "SP": 232.0, "MG": 103.0, "PR": 91.0, "RJ": 89.0, "SC": 78.0, "RS": 65.0, "BA": 52.0,
    "GO": 35.0, "PE": 31.5, "CE": 29.0, "ES": 24.5, "PA": 22.5, "DF": 21.5, "MT": 20.5,
    "RN": 15.5, "MA": 15.0, "MS": 13.0, "PB": 12.0, "AM": 8.2, "AL": 8.0, "PI": 7.6,
    "RO": 7.3, "SE": 7.0, "TO": 5.3, "AP": 2.8, "AC": 2.4, "RR": 2.1,
}  # fmt: skip
"""Merchants per thousand."""

STATES: Final = tuple(UF_WEIGHTS)

CENTRE: Final = "Centro"

# Weights fall with the rank as rank ** -exponent; the largest municipality of a state stands out from that.
_DISTRICT_EXPONENT: Final = 0.8
_MUNICIPALITY_EXPONENT: Final = 0.95
_LARGEST: Final = 1.9

_WORLD_SEED: Final = 20_240_701


@dataclass(frozen=True)
class Places:
    """The municipalities as parallel arrays of length m, with effects on the amount of each and of its districts.

    Attributes:
        uf: state code, object (m,).
        state: position of the state in `STATES`, int64 (m,).
        municipality: name, object (m,).
        cumulative: cumulative probability, float64 (m,).
        districts: number of districts, int64 (m,).
        first_district: position of the first district in ``district_effect``, int64 (m,).
        effect: effect of state and municipality together, standard units, float64 (m,).
        district_effect: effect of each district, standard units, float64 (sum of ``districts``,).
        name_offset: where the district names of a municipality start in the pool, int64 (m,).
    """

    uf: NDArray[np.object_]
    state: NDArray[np.int64]
    municipality: NDArray[np.object_]
    cumulative: NDArray[np.float64]
    districts: NDArray[np.int64]
    first_district: NDArray[np.int64]
    effect: NDArray[np.float64]
    district_effect: NDArray[np.float64]
    name_offset: NDArray[np.int64]


@cache
def places() -> Places:
    """Build the fixed geography that all samples share, whatever their seed."""
    rng = np.random.default_rng(_WORLD_SEED)
    uf, municipality, weight, effect = [], [], [], []
    for state, listed in MUNICIPALITIES.items():
        names = listed.split(";")
        by_rank = (np.arange(len(names)) + 1.0) ** -_MUNICIPALITY_EXPONENT
        by_rank[0] *= _LARGEST
        uf += [state] * len(names)
        municipality += names
        weight.append(UF_WEIGHTS[state] * by_rank / by_rank.sum())
        effect.append(rng.normal(scale=0.6) + rng.normal(scale=0.8, size=len(names)))
    weights = np.concatenate(weight) / sum(UF_WEIGHTS.values())
    districts = np.clip(np.rint(4500 * weights**0.62), 25, len(OTHER_DISTRICTS)).astype(np.int64)
    return Places(
        uf=np.array(uf, dtype=object),
        state=np.array([STATES.index(state) for state in uf]),
        municipality=np.array(municipality, dtype=object),
        cumulative=np.cumsum(weights),
        districts=districts,
        first_district=np.cumsum(districts) - districts,
        effect=np.concatenate(effect),
        district_effect=rng.normal(size=int(districts.sum())),
        name_offset=rng.integers(0, len(OTHER_DISTRICTS), size=len(uf)),
    )


def draw_district(uniform: NDArray[np.float64], count: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rank (0 is the most common) of a district, from a uniform number and the number of districts, all (n,).

    The inverse of the continuous power law on [1, count + 1), which a rank's floor makes close to Zipf's law.
    """
    power = 1 - _DISTRICT_EXPONENT
    ranks = ((uniform * ((count + 1.0) ** power - 1) + 1) ** (1 / power)).astype(np.int64) - 1
    return np.minimum(ranks, count - 1)


def district_name(offset: NDArray[np.int64], rank: NDArray[np.int64]) -> NDArray[np.object_]:
    """Name of the district of that rank, object (n,).

    The centre comes first, then the common names and then the others, each in an order of the municipality's own; the
    steps are prime and do not divide the pools' sizes, so that no name comes twice.
    """
    common, other = np.array(COMMON_DISTRICTS, dtype=object), np.array(OTHER_DISTRICTS, dtype=object)
    frequent = common[(offset + 7 * rank) % len(common)]
    rare = other[(offset + 379 * rank) % len(other)]
    return np.asarray(np.where(rank == 0, CENTRE, np.where(rank <= len(common), frequent, rare)), dtype=object)
