"""Hide inputs of some merchants, so that the model learns what is still known when a caller sends null."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from app.contract.inputs import RAW_INPUTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

MOST_HIDDEN: Final = 5
_HIDEABLE: Final = tuple(raw.name for raw in RAW_INPUTS if not raw.optional)


def hide_inputs(columns: Mapping[str, ArrayLike], rng: np.random.Generator) -> dict[str, NDArray[Any]]:
    """Copy merchants with one to five inputs of each set to null.

    Args:
        columns: raw inputs by name, each (n,).
        rng: how many and which are hidden is drawn from it, row by row.
    """
    hidden = {name: np.array(values, dtype=object) for name, values in columns.items()}
    rows = len(hidden[_HIDEABLE[0]])
    place = rng.random((rows, len(_HIDEABLE))).argsort(axis=1).argsort(axis=1)
    count = rng.integers(1, MOST_HIDDEN + 1, size=rows)
    for position, name in enumerate(_HIDEABLE):
        hidden[name][place[:, position] < count] = None
    return hidden
