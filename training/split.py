"""Split merchants into train, validation and test once, so that no merchant is on two sides.

The side is a function of the seed and the merchant's 13 inputs alone (a keyed BLAKE2 hash, RFC 7693): merchants with
equal inputs always fall together, and a row keeps its side when rows are added, removed or reordered.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from training.data import columns_of
from training.data_files import DataError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from training.config import SplitConfig

# Clean values hold no control characters, so that joined fields cannot run into each other.
_SEPARATOR: Final = "\x1f"
_MISSING: Final = "\x00"
_BYTES: Final = 8


@dataclass(frozen=True)
class Split:
    """Positions of the rows of each side, int64, ascending; together every position once."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]


def split(frame: pd.DataFrame, config: SplitConfig) -> Split:
    """Split a clean table.

    Args:
        frame: `Validation.clean` of `training.data`, n rows.
        config: the seed, and the fractions of validation and test; the rest trains.

    Raises:
        DataError: a side would be empty.
    """
    place = uniform_of(frame, config.seed)
    test = place < config.test
    validation = ~test & (place < config.test + config.validation)
    sides = {"train": ~test & ~validation, "validation": validation, "test": test}
    empty = [name for name, mask in sides.items() if not mask.any()]
    if empty:
        raise DataError(
            f"{len(frame)} rows leave {' and '.join(empty)} without any. Give more rows, or raise split.validation, "
            "split.test or what they leave for training."
        )
    return Split(**{name: np.flatnonzero(mask) for name, mask in sides.items()})


def uniform_of(frame: pd.DataFrame, seed: int) -> NDArray[np.float64]:
    """Give each row a number in [0, 1) that depends on its inputs and the seed alone, float64 (n,)."""
    keyed = hashlib.blake2b(digest_size=_BYTES, key=f"tpv split {seed}".encode())
    digests = bytearray()
    columns = [_field_texts(values) for values in columns_of(frame).values()]
    for fields in zip(*columns, strict=True):
        row = keyed.copy()
        row.update(_SEPARATOR.join(fields).encode())
        digests += row.digest()
    # The leading 53 bits, which a float64 holds exactly, so that 1 is never reached.
    leading = np.frombuffer(bytes(digests), dtype=">u8") >> np.uint64(11)
    return leading.astype(np.float64) * 2.0**-53


def _field_texts(values: NDArray[np.object_] | NDArray[np.float64] | NDArray[np.int64]) -> list[str]:
    return [_MISSING if value is None else str(value) for value in values.tolist()]
