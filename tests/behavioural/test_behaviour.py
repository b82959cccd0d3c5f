"""What a reasonable model must do, on merchants it was not fitted for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from app.model.predictor import Predictor, load_predictor
from training.data import columns_of, labels_of, validate
from training.metrics import row_log_loss
from training.sample_data import make_sample

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from tests.support.trained import TrainedModels

INDEX = np.arange(5)


@pytest.fixture(scope="module")
def predictor(trained: TrainedModels) -> Predictor:
    """The small version."""
    return load_predictor(trained.directory, trained.ref)


@pytest.fixture(scope="module")
def fresh() -> pd.DataFrame:
    """Merchants of another draw."""
    return validate(make_sample(800, 77)).clean


def _expected(predictor: Predictor, columns: dict[str, Any]) -> NDArray[np.float64]:
    index: NDArray[np.float64] = predictor.predict(columns).probabilities @ INDEX
    return index


def test_order_of_rows_changes_nothing(predictor: Predictor, fresh: pd.DataFrame) -> None:
    """Reversed in, reversed out."""
    forward = predictor.predict(columns_of(fresh)).probabilities
    backward = predictor.predict(columns_of(fresh.iloc[::-1])).probabilities
    np.testing.assert_array_equal(forward, backward[::-1])


def test_company_changes_nothing(predictor: Predictor, fresh: pd.DataFrame) -> None:
    """A merchant is answered alike beside twice as many others, odd ones among them."""
    columns = columns_of(fresh)
    half = {name: values[:400] for name, values in columns.items()}
    spoiled = {name: values.copy() for name, values in columns.items()}
    spoiled["mcc"][400:] = "never seen"
    np.testing.assert_allclose(
        predictor.predict(half).probabilities, predictor.predict(spoiled).probabilities[:400], rtol=0, atol=1e-6
    )


def test_an_unknown_district_of_a_known_municipality_moves_little(predictor: Predictor, fresh: pd.DataFrame) -> None:
    """The municipality carries most of what a place tells."""
    columns = columns_of(fresh)
    before = predictor.predict(columns)
    after = predictor.predict(columns | {"bairro": np.array(["Never Seen District"] * len(fresh), dtype=object)})
    moved = np.abs(before.probabilities - after.probabilities).sum(axis=1) / 2
    assert 0 < moved.mean() < 0.1
    assert np.quantile(moved, 0.95) < 0.3
    assert (before.bucket == after.bucket).mean() > 0.85


def test_more_capital_raises_the_expected_bucket(predictor: Predictor, fresh: pd.DataFrame) -> None:
    """On average over merchants, half a million of capital against a thousand."""
    columns = columns_of(fresh)
    means = [
        _expected(predictor, columns | {"capital_social": np.full(len(fresh), capital)}).mean()
        for capital in (1_000.0, 500_000.0)
    ]
    assert means[0] < means[1]


def test_a_micro_entrepreneur_is_smaller(predictor: Predictor, fresh: pd.DataFrame) -> None:
    """MEI, with the size and employees of one, lowers the expected bucket on average."""
    columns = columns_of(fresh)
    micro, not_micro = fresh[fresh["mei"] == 1], fresh[fresh["mei"] == 0]
    assert _expected(predictor, columns_of(micro)).mean() < _expected(predictor, columns_of(not_micro)).mean()
    assert (
        _expected(predictor, columns | {"mei": np.ones(len(fresh))}).mean()
        <= _expected(predictor, columns | {"mei": np.zeros(len(fresh))}).mean()
    )


def test_it_beats_the_shares_of_the_buckets(predictor: Predictor, fresh: pd.DataFrame) -> None:
    """Minimum functionality: a twentieth better in log loss than knowing nothing of the merchant."""
    labels = labels_of(fresh)
    shares = np.array(predictor.manifest.training_shares)
    nothing = row_log_loss(labels, np.tile(shares / shares.sum(), (len(labels), 1))).mean()
    assert row_log_loss(labels, predictor.predict(columns_of(fresh)).probabilities).mean() < 0.95 * nothing


def test_knowing_nothing_is_answered_with_doubt(predictor: Predictor, fresh: pd.DataFrame) -> None:
    """All fields null: a distribution near the shares of the buckets, and a set at least as wide as usual."""
    nothing = {
        name: np.full(1, np.nan) if values.dtype.kind in "fiu" else np.array([None], dtype=object)
        for name, values in columns_of(fresh).items()
    }
    answer = predictor.predict(nothing)
    usual = predictor.predict(columns_of(fresh))
    assert answer.probabilities.max() < 0.95
    assert answer.set_upper[0] - answer.set_lower[0] >= np.floor((usual.set_upper - usual.set_lower).mean())
    assert set(answer.warnings.missing) == set(nothing) - {"bairro"}
