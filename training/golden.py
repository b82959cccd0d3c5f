"""Golden rows: made-up merchants whose answers prove, at every load, that serving builds what training built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from app.contract.inputs import RAW_INPUTS, RAW_NAMES, Kind

if TYPE_CHECKING:
    from app.contract.features import Fitted

GOLDEN_ROWS: Final = 32
_UNSEEN: Final = "never seen in training"
_CAPITALS: Final = (0.0, 1.0, 999.99, 5_000.0, 20_000.0, 123_456.0, 7_600_000.0, 1e12)


def golden_columns(fitted: Fitted, seed: int = 0) -> dict[str, list[Any]]:
    """Draw merchants field by field from the vocabularies: no row is a real merchant.

    Every input is unknown in one row and null in another, so that those branches are proven too.

    Args:
        fitted: vocabularies of the artifact.
        seed: of the draw.
    """
    draw = np.random.default_rng(seed)
    places = fitted.vocabularies["place"].values
    picked = [places[index] for index in draw.integers(len(places), size=GOLDEN_ROWS)]
    columns: dict[str, list[Any]] = {}
    for raw in RAW_INPUTS:
        match raw.kind:
            case Kind.NOMINAL:
                values = fitted.vocabularies[raw.name].values
                columns[raw.name] = [values[index] for index in draw.integers(len(values), size=GOLDEN_ROWS)]
            case Kind.FLAG:
                columns[raw.name] = draw.integers(2, size=GOLDEN_ROWS).tolist()
            case Kind.AMOUNT:
                columns[raw.name] = [_CAPITALS[row % len(_CAPITALS)] for row in range(GOLDEN_ROWS)]
            case Kind.COUNT:
                columns[raw.name] = (1 + draw.geometric(0.6, size=GOLDEN_ROWS)).tolist()
            case Kind.UF | Kind.TEXT:
                part = {"municipio": 0, "bairro": 1, "uf": 2}[raw.name]
                columns[raw.name] = [place[part] or None for place in picked]
    for offset, raw in enumerate(RAW_INPUTS):
        columns[raw.name][offset] = None
        if raw.kind in {Kind.NOMINAL, Kind.TEXT}:
            columns[raw.name][len(RAW_NAMES) + offset] = _UNSEEN
    return columns
