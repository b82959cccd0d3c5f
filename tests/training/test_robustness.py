"""Fields are masked as said, and the figures are those of the masked answers."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from tests.support.evaluations import SHARES, Answers, answers
from training.robustness import degraded

if TYPE_CHECKING:
    from numpy.typing import NDArray

LABELS, PROBABILITIES = answers(300, 31)
COLUMNS = {
    "text": np.array(["x"] * 300, dtype=object),
    "count": np.arange(300),
    "amount": np.linspace(0, 1, 300),
}


class _Recorder:
    """Answers well where nothing is missing, with the shares elsewhere; remembers what was masked."""

    def __init__(self) -> None:
        self.masks: list[NDArray[np.bool_]] = []

    def __call__(self, columns: dict[str, NDArray[np.generic]]) -> Answers:
        missing = np.column_stack([pd.Series(values).isna().to_numpy() for values in columns.values()])
        self.masks.append(missing)
        mixed = np.where(missing.max(axis=1, keepdims=True), SHARES, PROBABILITIES)
        return Answers(mixed, mixed.argmax(axis=1))


def test_each_row_loses_k_fields_and_keeps_losing_them() -> None:
    """Every row has k nulls, nested from one k to the next, spread over all fields."""
    recorder = _Recorder()
    result = degraded(recorder, COLUMNS, LABELS, seed=0, ks=(0, 1, 2, 3))
    single, by_k = recorder.masks[:3], recorder.masks[3:]
    assert [mask.sum(axis=1).tolist() for mask in by_k] == [[k] * 300 for k in range(4)]
    assert all((small <= large).all() for small, large in pairwise(by_k))
    assert by_k[1].sum(axis=0).min() > 60
    assert [mask.all(axis=0).tolist() for mask in single] == np.eye(3, dtype=bool).tolist()
    assert [row.missing for row in result.random_fields] == ["0", "1", "2", "3"]
    assert result.random_fields[0].log_loss < result.random_fields[1].log_loss


def test_single_fields_come_worst_first_and_the_input_is_untouched() -> None:
    """Order is by log loss; the caller's columns keep their values."""

    def predict(columns: dict[str, NDArray[np.generic]]) -> Answers:
        hurt = float(np.isnan(columns["amount"].astype(np.float64)).mean())
        mixed = (1 - hurt) * PROBABILITIES + hurt * SHARES
        return Answers(mixed, mixed.argmax(axis=1))

    result = degraded(predict, COLUMNS, LABELS, seed=0, ks=())
    assert result.single_fields[0].missing == "amount"
    assert all(value == "x" for value in COLUMNS["text"])
    assert COLUMNS["count"].dtype.kind == "i"


def test_the_draw_is_seeded() -> None:
    """The same seed masks the same cells, another one others."""
    masks = []
    for seed in (4, 4, 5):
        recorder = _Recorder()
        degraded(recorder, COLUMNS, LABELS, seed=seed, ks=(1,))
        masks.append(recorder.masks[-1])
    assert (masks[0] == masks[1]).all()
    assert (masks[0] != masks[2]).any()


@pytest.mark.parametrize("ks", [(4,), (-1,)])
def test_more_fields_than_there_are_cannot_be_missing(ks: tuple[int, ...]) -> None:
    """The message gives the range."""
    with pytest.raises(ValueError, match="ks must lie between 0 and 3"):
        degraded(_Recorder(), COLUMNS, LABELS, seed=0, ks=ks)


def test_columns_must_be_as_long_as_the_labels() -> None:
    """The short column is named."""
    with pytest.raises(ValueError, match=r"text must have shape \(300,\)"):
        degraded(_Recorder(), {"text": ["x"]}, LABELS, seed=0, ks=(1,))
