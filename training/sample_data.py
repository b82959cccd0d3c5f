"""Synthetic merchants in the raw layout, for trying the project out and for its tests.

Every merchant is invented. All samples are drawn from one fixed synthetic world (`training.sample_places`,
`training.sample_activities`): place and activity first, then the company (`training.sample_companies`), last its
monthly amount (`training.sample_amounts`). Marginal shares are shaped after a Brazilian acquirer's; no row describes a
real company, and what a model scores on these rows says nothing about real merchants.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from app.contract.inputs import RAW_NAMES, TARGET
from training import sample_amounts, sample_companies
from training.sample_activities import N_CNAE, N_SEGMENTS, activities
from training.sample_places import STATES, district_name, draw_district, places

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_ROWS: Final = 10_000_000

_MISSING_DISTRICT: Final = 0.07
_WORLD_SEED: Final = 20_240_703


def make_sample(rows: int, seed: int) -> pd.DataFrame:
    """Make synthetic merchants; they are invented and describe no real company.

    Args:
        rows: how many, 1 to 10,000,000.
        seed: 0 or more. The same rows, seed and numpy version give the same merchants; samples of different seeds come
            from one world, and each holds places that the other never saw.

    Returns:
        The target and the 13 raw inputs in the raw file's order: codes as integers, the target in BRL to the cent,
        capital in whole BRL, ``bairro`` None where missing.

    Raises:
        ValueError: rows or seed is out of range.
    """
    if not 1 <= rows <= MAX_ROWS:
        raise ValueError(f"rows must be between 1 and {MAX_ROWS:,}, not {rows}")
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, not {seed}")
    rng = np.random.default_rng([_WORLD_SEED, seed])
    where, what = places(), activities()
    at = np.searchsorted(where.cumulative, rng.random(rows) * where.cumulative[-1], side="right")
    rank = draw_district(rng.random(rows), where.districts[at])
    does = np.searchsorted(what.cumulative, rng.random(rows) * what.cumulative[-1], side="right")

    mei = sample_companies.draw_mei(rng, what.mei[does])
    size = sample_companies.draw_size(rng, what.size[does])
    porte = sample_companies.label_porte(size, mei)
    faixa = sample_companies.draw_faixa(rng, porte)
    tier = sample_companies.draw_tier(rng, porte)
    establishments = sample_companies.draw_establishments(rng, porte)
    capital = sample_companies.draw_capital(rng, porte, size)
    region_segment, dormancy = _cross_effects()
    drivers = sample_amounts.Drivers(
        activity=what.effect[does],
        mei_activity=what.mei_effect[does],
        capital_slope=what.capital_slope[does],
        place=where.effect[at],
        district=where.district_effect[where.first_district[at] + rank],
        region_segment=region_segment[where.state[at], what.segmento[does]],
        dormancy=dormancy[what.cnae[does]],
        mei=mei,
        capital=capital,
        establishments=establishments,
        faixa=faixa,
        tier=tier,
    )
    bairro = district_name(where.name_offset[at], rank)
    bairro[rng.random(rows) < _MISSING_DISTRICT] = None
    columns = {
        TARGET: sample_amounts.draw_amount(rng, drivers),
        "cnae_fiscal_principal": what.cnae[does],
        "segmento": what.segmento[does],
        "uf": where.uf[at],
        "municipio": where.municipality[at],
        "bairro": bairro,
        "mei": mei.astype(np.int64),
        "capital_social": capital,
        "total_estab": establishments,
        "mcc": what.mcc[does],
        "subsegmento": what.subsegmento[does],
        "porte": porte,
        "faixa_empregados": faixa,
        "tier": tier,
    }
    return pd.DataFrame({name: columns[name] for name in (TARGET, *RAW_NAMES)})


def is_synthetic(frame: pd.DataFrame) -> bool:
    """Whether every merchant of a table, raw or clean, could have come from `make_sample`.

    Judged by the invented tree of activities, which no other source shares, and the municipalities; so it also holds
    for a file that was renamed, cut, shuffled or saved in another format.
    """
    where, what = places(), activities()
    tree = zip(what.segmento, what.subsegmento, what.mcc, what.cnae, strict=True)
    activity_codes = {tuple(map(str, codes)) for codes in tree}
    activity_found = _distinct(frame, ("segmento", "subsegmento", "mcc", "cnae_fiscal_principal"))
    place_found = _distinct(frame, ("uf", "municipio"))
    return (
        len(frame) > 0
        and activity_found <= activity_codes
        and place_found <= set(zip(where.uf, where.municipality, strict=True))
    )


def _distinct(frame: pd.DataFrame, columns: tuple[str, ...]) -> set[tuple[str, ...]]:
    rows = frame[list(columns)].drop_duplicates()
    return set(zip(*(map(str, rows[name]) for name in columns), strict=True))


@cache
def _cross_effects() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Effects in standard units of state and segment together, (27, 28), and of CNAE on being dormant, (460,)."""
    rng = np.random.default_rng(_WORLD_SEED)
    return rng.normal(size=(len(STATES), N_SEGMENTS)), rng.normal(size=N_CNAE)
