"""Monthly amounts of the synthetic merchants.

The amount is a mixture. A dormant merchant, whatever its size, moves little or nothing; an active one moves
10 ** (location + scale * noise) BRL, where the noise is logistic, so that amounts have a Pareto tail. Rows are
independent: the shares of the five buckets follow from the constants below, which were fitted once to a million
merchants, and never from ranking the rows of a sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]
    Mask = NDArray[np.bool_]

MAX_BRL: Final = 1e9

# log10 BRL above which the tail falls twice as fast: logistic noise alone gives some tiers a tail without a mean.
_BEND: Final = 5.5

# Of an active merchant, by tier: location (log10 BRL) and scale of the noise.
_LOCATION: Final = np.array([3.90, 4.86, 4.33, 5.0, 5.6])
_SCALE: Final = np.array([0.205, 0.40, 0.205, 0.55, 0.50])
# Added to the locations so that 66.1 % of the merchants are above 10,000 BRL.
_SHIFT: Final = 0.0232
# Multiplies the scales so that 8.3 % are above 100,000 BRL.
_SPREAD: Final = 0.9586

# Log odds of being dormant, by tier; the shift makes 7 % of the merchants end at or below 1,000 BRL.
_DORMANT_LOG_ODDS: Final = np.array([0.95, -0.05, 0.0, 0.4, 0.0])
_DORMANT_SHIFT: Final = -3.0774
# log10 BRL of a dormant merchant: the location makes 1.7 % of the merchants end at or below 100 BRL.
_DORMANT_LOCATION: Final = 2.3871
_DORMANT_SCALE: Final = 0.25
# Share of the dormant that move nothing at all.
_DORMANT_ZERO: Final = 0.08


@dataclass(frozen=True)
class Drivers:
    """What an amount depends on, one value per merchant: effects in standard units, and the company's own inputs."""

    activity: Floats
    mei_activity: Floats
    capital_slope: Floats
    place: Floats
    district: Floats
    region_segment: Floats
    dormancy: Floats
    mei: Mask
    capital: Integers
    establishments: Integers
    faixa: Integers
    tier: Integers


def location(drivers: Drivers) -> Floats:
    """Location of an active merchant's log10 amount in BRL."""
    wealth = np.clip((np.log10(drivers.capital + 1) - 4.4) / 0.6, -2.5, 3.0)
    wealth = np.where(drivers.mei | (drivers.capital <= 1), 0.0, wealth)
    return np.asarray(
        _SHIFT
        + _LOCATION[drivers.tier]
        + 0.08 * drivers.activity
        + 0.05 * drivers.mei_activity * drivers.mei
        + 0.04 * drivers.place
        + 0.02 * drivers.district
        + 0.03 * drivers.region_segment
        + (0.07 + 0.03 * drivers.capital_slope) * wealth
        - 0.04 * drivers.mei
        + 0.05 * np.minimum(drivers.faixa, 3)
        + 0.06 * np.log(drivers.establishments).clip(max=3)
    )


def draw_amount(rng: np.random.Generator, drivers: Drivers) -> Floats:
    """Monthly amount in BRL, to the cent, 0 to 1e9."""
    n = len(drivers.tier)
    log_odds = _DORMANT_SHIFT + _DORMANT_LOG_ODDS[drivers.tier] + 0.3 * drivers.dormancy
    dormant = rng.random(n) < 1 / (1 + np.exp(-log_odds))
    noise = rng.logistic(size=n)
    active = location(drivers) + _SPREAD * _SCALE[drivers.tier] * noise
    active = np.where(active > _BEND, (active + _BEND) / 2, active)
    log10 = np.where(dormant, _DORMANT_LOCATION + _DORMANT_SCALE * noise, active)
    moved = np.round(10 ** log10.clip(-3, np.log10(MAX_BRL)), 2)
    return np.where(dormant & (rng.random(n) < _DORMANT_ZERO), 0.0, moved)
