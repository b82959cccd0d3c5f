"""Merchants as a client of the Open Inference Protocol sends them."""

from __future__ import annotations

from typing import Any

import numpy as np
from tritonclient.http import InferInput

from tests.support.merchants import columns_of


def inputs_of(rows: list[dict[str, Any]], *, binary: bool, two: bool = False) -> list[InferInput]:
    """Make one tensor an input: [n], or [n, 1] with `two`."""
    tensors = []
    for name, values in columns_of(rows).items():
        if isinstance(values[0], float):
            array, datatype = np.array(values), "FP64"
        elif name in {"uf", "municipio", "bairro"}:
            array, datatype = np.array([value or "" for value in values], dtype=object), "BYTES"
        else:
            array, datatype = np.array(values, dtype=np.int64), "INT64"
        array = array[:, None] if two else array
        tensor = InferInput(name, list(array.shape), datatype)
        tensor.set_data_from_numpy(array, binary_data=binary)
        tensors.append(tensor)
    return tensors
