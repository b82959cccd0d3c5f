"""The rows of an experiment: which it learns from, which calibrate its decisions, and which judge it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from training.config import DataConfig, RunConfig, SplitConfig
from training.fit import take
from training.prepare import prepare
from training.split import uniform_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

TEST_SHARE: Final = 0.15
VALIDATION_SHARE: Final = 0.10
_FOLD_SEED: Final = 1_000_003
"""Added to the split seed for folds, which would otherwise follow the sides of the split."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Merchants on one side of a split; two objects are never equal, so that fits can be cached by them.

    Attributes:
        columns: raw inputs by name, each (n,).
        labels: bucket indices (n,).
        fold_key: uniform in [0, 1), (n,), equal for identical merchants.
        seed: of sampling in fits.
        threads: of fits.
    """

    columns: Mapping[str, NDArray[Any]]
    labels: NDArray[np.int64]
    fold_key: NDArray[np.float64]
    seed: int
    threads: int

    def take(self, rows: NDArray[np.intp]) -> Rows:
        """Some of the rows."""
        return replace(self, columns=take(self.columns, rows), labels=self.labels[rows], fold_key=self.fold_key[rows])

    def folds(self, number: int) -> NDArray[np.intp]:
        """Fold of every row, (n,)."""
        return np.floor(self.fold_key * number).astype(np.intp)


@dataclass(frozen=True, eq=False)
class Sides:
    """The three sides of a split."""

    train: Rows
    validation: Rows
    test: Rows


def read(path: Path, split: int, *, threads: int = 1, seed: int = 0) -> Sides:
    """Read merchants and split them 75 : 10 : 15 by the hash that training uses.

    Args:
        path: CSV or Parquet file with real or synthetic merchants; rows that break a rule are left out.
        split: seed of the split.
        threads: of every fit.
        seed: of sampling in every fit.

    Raises:
        DataError: the file cannot be read, or a side would be empty.
    """
    config = RunConfig(
        data=DataConfig(on_invalid="drop"),
        split=SplitConfig(seed=split, validation=VALIDATION_SHARE, test=TEST_SHARE),
    )
    prepared = prepare(path, config)
    fold_key = uniform_of(prepared.frame, _FOLD_SEED + split)
    everything = Rows(prepared.columns, prepared.labels.astype(np.int64), fold_key, seed, threads)
    sides = prepared.split
    return Sides(everything.take(sides.train), everything.take(sides.validation), everything.take(sides.test))
