"""From a file to checked, split merchants: the first stage of every command that learns or measures."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from app.contract.inputs import TARGET
from training.data import Validation, amounts_are_real, columns_of, labels_of, validate
from training.data_files import DataError, data_digest, read_table
from training.sample_data import is_synthetic
from training.split import Split, split

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from training.config import RunConfig


@dataclass(frozen=True)
class Prepared:
    """Clean merchants and how they are split.

    Attributes:
        source: file name, without its directory.
        sha256: of the file.
        frame: clean rows, n of them.
        columns: raw inputs by name, each (n,).
        labels: bucket indices (n,).
        amounts: BRL a month (n,).
        split: positions of train, validation and test rows.
        dropped: invalid rows left out on request.
        synthetic: whether every merchant is made up.
        amounts_are_real: False when the rows of a bucket share one amount.
        identity: digest of file and split, which a study is tied to.
    """

    source: str
    sha256: str
    frame: pd.DataFrame
    columns: dict[str, NDArray[Any]]
    labels: NDArray[np.int8]
    amounts: NDArray[np.float64]
    split: Split
    dropped: int
    synthetic: bool
    amounts_are_real: bool
    identity: str


class InvalidRowsError(DataError):
    """Rows break rules and the run was not told to drop them."""

    def __init__(self, path: Path, validation: Validation) -> None:
        rows = validation.problems["row"].nunique()
        first = validation.problems.iloc[0]
        super().__init__(
            f"{path}: {rows:,} of {validation.n_rows:,} rows break a rule, the first in row {first['row']}, "
            f"{first['column']}: {first['rule']}. See them all with `tpv validate {path}`, then correct them or pass "
            "`--on-invalid drop`."
        )
        self.validation = validation


def prepare(path: Path, config: RunConfig) -> Prepared:
    """Read, check and split a file of merchants.

    Raises:
        DataError: the file cannot be read, or a side of the split would be empty.
        InvalidRowsError: rows break rules and `data.on_invalid` is `fail`.
    """
    validation = validate(read_table(path))
    if not validation.ok and config.data.on_invalid == "fail":
        raise InvalidRowsError(path, validation)
    frame = validation.clean
    return _prepared(path, validation, split(frame, config.split), f"{config.split!r} {len(frame)}")


def prepare_unsplit(path: Path) -> Prepared:
    """Read and check merchants that are all there to be measured on: valid rows are the test rows.

    Raises:
        DataError: the file cannot be read, or holds no valid row.
    """
    validation = validate(read_table(path))
    if validation.clean.empty:
        raise DataError(f"{path}: no row is valid. See why with `tpv validate {path}`.")
    none = np.empty(0, dtype=np.int64)
    return _prepared(path, validation, Split(none, none, np.arange(len(validation.clean))), "unsplit")


def _prepared(path: Path, validation: Validation, sides: Split, how: str) -> Prepared:
    frame = validation.clean
    sha256 = data_digest(path)
    return Prepared(
        source=path.name,
        sha256=sha256,
        frame=frame,
        columns=columns_of(frame),
        labels=labels_of(frame),
        amounts=frame[TARGET].to_numpy(),
        split=sides,
        dropped=validation.n_rows - len(frame),
        synthetic=is_synthetic(frame),
        amounts_are_real=amounts_are_real(frame),
        identity=hashlib.sha256(f"{sha256} {how}".encode()).hexdigest(),
    )
