"""The companies of the synthetic merchants: size label, employees, tier, establishments, capital.

All functions take and give one value per merchant, shape (n,).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]
    Mask = NDArray[np.bool_]

MEI_PORTE: Final = 3
MEI_CAPITAL_LIMIT: Final = 81_000
"""BRL; no synthetic micro-entrepreneur registers more."""

_MEI_LOG_ODDS: Final = -1.44
_MEI_ACTIVITY: Final = 0.9

# Standard scores above which a company is small (porte 1), or larger than that (porte 0); others are micro (porte 2).
_SMALL: Final = 0.88
_LARGE: Final = 1.66

# Probability of each faixa_empregados (columns 0-4), by porte (rows 0-3).
_FAIXA: Final = np.array(
    [
        [0.27, 0.38, 0.235, 0.10, 0.015],
        [0.34, 0.48, 0.155, 0.024, 0.001],
        [0.55, 0.40, 0.045, 0.005, 0.0],
        [1.0, 0.0, 0.0, 0.0, 0.0],
    ]
)
# Probability of each tier (columns 0-4), by porte (rows 0-3).
_TIER: Final = np.array(
    [
        [0.10, 0.50, 0.255, 0.117, 0.028],
        [0.12, 0.355, 0.522, 0.003, 0.0],
        [0.286, 0.11, 0.604, 0.0, 0.0],
        [0.864, 0.002, 0.134, 0.0, 0.0],
    ]
)

# Share with more than one establishment, by porte, and the exponent of their number's Pareto tail.
_SEVERAL: Final = np.array([0.45, 0.19, 0.10, 0.0])
_ESTABLISHMENTS_TAIL: Final = 1.6
_MAX_ESTABLISHMENTS: Final = 5_000

# log10 of capital in BRL, by porte: location and scale; then the share of zeros.
_CAPITAL_LOCATION: Final = np.array([5.05, 4.7, 4.34, 3.6])
_CAPITAL_SCALE: Final = np.array([0.95, 0.55, 0.52, 0.5])
_CAPITAL_ZERO: Final = np.array([0.07, 0.075, 0.075, 0.003])
_CAPITAL_RANGE: Final = (2.0, 9.6)
# A few of the largest companies are orders of magnitude above the rest.
_GIANT_SHARE: Final = 0.04
_GIANT_SCALE: Final = 1.5
_MEI_ONE_BRL: Final = 0.075
# Where people round to within a power of ten, and the share of capitals rounded so; the rest is to the real.
# Cuts are log10 of what lies between two round numbers; 1 and 5 attract from further than 2 and 3.
_COARSE: Final = (np.array([1, 2, 3, 5, 10]), np.array([0.17, 0.40, 0.56, 0.81]))
_COARSE_SHARE: Final = 0.58
_FINE: Final = (
    np.array([1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10]),
    np.array([0.1, 0.23, 0.35, 0.43, 0.53, 0.65, 0.74, 0.84, 0.95]),
)
_FINE_SHARE: Final = 0.37


def draw_mei(rng: np.random.Generator, tendency: Floats) -> Mask:
    """Whether each merchant is a micro-entrepreneur, from its activity's tendency in standard units."""
    log_odds = _MEI_LOG_ODDS + _MEI_ACTIVITY * tendency
    return np.asarray(rng.random(len(tendency)) < 1 / (1 + np.exp(-log_odds)))


def draw_size(rng: np.random.Generator, tendency: Floats) -> Floats:
    """Size of each company, in standard units, from its activity's tendency in standard units."""
    return np.asarray(0.95 * rng.normal(size=len(tendency)) + 0.3 * tendency)


def label_porte(size: Floats, mei: Mask) -> Integers:
    """Size label: 3 for micro-entrepreneurs, and for the others 2 micro, 1 small, 0 larger."""
    return np.where(mei, MEI_PORTE, 2 - (size > _SMALL).astype(np.int64) - (size > _LARGE))


def draw_faixa(rng: np.random.Generator, porte: Integers) -> Integers:
    """Employees band, 0-4."""
    return _draw_label(rng, _FAIXA[porte])


def draw_tier(rng: np.random.Generator, porte: Integers) -> Integers:
    """Tier label, 0-4."""
    return _draw_label(rng, _TIER[porte])


def draw_establishments(rng: np.random.Generator, porte: Integers) -> Integers:
    """Number of establishments, at least 1, heavy-tailed."""
    several = rng.random(len(porte)) < _SEVERAL[porte]
    pareto = 2 * (1 - rng.random(len(porte))) ** (-1 / _ESTABLISHMENTS_TAIL)
    return np.where(several, np.minimum(pareto, _MAX_ESTABLISHMENTS).astype(np.int64), 1)


def draw_capital(rng: np.random.Generator, porte: Integers, size: Floats) -> Integers:
    """Registered capital in whole BRL, heavy-tailed, most of it rounded as people round."""
    n = len(porte)
    log10 = _CAPITAL_LOCATION[porte] + _CAPITAL_SCALE[porte] * (0.95 * rng.normal(size=n) + 0.3 * size)
    giant = (porte == 0) & (rng.random(n) < _GIANT_SHARE)
    log10 = (log10 + giant * rng.exponential(_GIANT_SCALE, size=n)).clip(*_CAPITAL_RANGE)
    power = np.floor(log10)
    mantissa = log10 - power
    how = rng.random(n)
    mantissa = np.where(how < _COARSE_SHARE, _nearest(_COARSE, mantissa), mantissa)
    fine = (how >= _COARSE_SHARE) & (how < _COARSE_SHARE + _FINE_SHARE)
    mantissa = np.where(fine, _nearest(_FINE, mantissa), mantissa)
    capital = np.rint(10 ** (power + mantissa))
    mei = porte == MEI_PORTE
    rare = rng.random(n)
    capital = np.where(mei, np.where(rare < _MEI_ONE_BRL, 1, capital.clip(max=MEI_CAPITAL_LIMIT)), capital)
    return np.where(rare > 1 - _CAPITAL_ZERO[porte], 0, capital).astype(np.int64)


def _draw_label(rng: np.random.Generator, probabilities: Floats) -> Integers:
    """Draw a label per row of probabilities, (n, k) -> (n,)."""
    cumulative = np.cumsum(probabilities, axis=1)[:, :-1]
    return np.asarray((rng.random((len(probabilities), 1)) >= cumulative).sum(axis=1), dtype=np.int64)


def _nearest(grid: tuple[Integers, Floats], mantissa: Floats) -> Floats:
    numbers, cuts = grid
    return np.log10(numbers[np.searchsorted(cuts, mantissa)])
