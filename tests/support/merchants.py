"""Made-up merchants, small enough to train on in a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TOWNS: Final = (("SP", "Campinas"), ("SP", "São Paulo"), ("RJ", "Niterói"), ("MG", "Uberlândia"), ("BA", "Salvador"))
_DISTRICTS: Final = ("Centro", "Jardim", "Vila Nova", None)


def merchants(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Make merchants as JSON objects."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        uf, town = _TOWNS[rng.integers(len(_TOWNS))]
        segment = int(rng.integers(5))
        rows.append(
            {
                "cnae_fiscal_principal": int(segment * 10 + rng.integers(8)),
                "segmento": segment,
                "uf": uf,
                "municipio": town,
                "bairro": _DISTRICTS[rng.integers(len(_DISTRICTS))],
                "mei": int(rng.integers(2)),
                "capital_social": float(round(10 ** rng.uniform(2, 6), -2)),
                "total_estab": int(rng.integers(1, 6)),
                "mcc": int(segment * 4 + rng.integers(4)),
                "subsegmento": int(segment * 3 + rng.integers(3)),
                "porte": int(rng.integers(4)),
                "faixa_empregados": int(rng.integers(5)),
                "tier": int(rng.integers(4)),
            }
        )
    return rows


def columns_of(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Turn merchants into columns."""
    return {name: [row[name] for row in rows] for name in rows[0]}


def amounts_of(rows: list[dict[str, Any]], seed: int = 0) -> NDArray[np.float64]:
    """Make monthly amounts in BRL that depend on the merchant, float64 (n,); every bucket occurs."""
    rng = np.random.default_rng(seed + 1)
    capital = np.array([row["capital_social"] for row in rows])
    segment = np.array([row["segmento"] for row in rows])
    amounts: NDArray[np.float64] = np.exp(rng.normal(2.0 + 0.5 * np.log(capital) + 0.6 * segment, 1.5))
    return amounts
