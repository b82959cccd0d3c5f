"""Fitting the amounts inside the buckets."""

from __future__ import annotations

import numpy as np
import pytest

from app.contract.buckets import LOWER, UPPER, bucketize
from app.model.values import ValueModel
from training.value import fit_value

RNG = np.random.default_rng(5)
ROWS = 6_000
MATRIX = RNG.normal(size=(ROWS, 4)).astype(np.float32)
AMOUNTS = np.exp(8.5 + 0.8 * MATRIX[:, 0] + RNG.normal(scale=1.3, size=ROWS))
AMOUNTS[AMOUNTS < 60] = 0.0
LABELS = bucketize(AMOUNTS)
CAP = 1e7


@pytest.fixture(scope="module")
def model() -> ValueModel:
    """Fitted on the first two thirds."""
    half = slice(0, 4_000)
    payload = fit_value(MATRIX[half], AMOUNTS[half], LABELS[half], cap=CAP, seed=0, threads=1)
    return ValueModel.from_payload(payload, features=4, threads=1)


def test_amounts_stay_in_their_bucket_and_intervals_hold(model: ValueModel) -> None:
    """Medians lie in the chosen bucket; with the true shares as probabilities, intervals cover about 80 %."""
    held_out = slice(4_000, ROWS)
    truth = np.eye(5)[LABELS[held_out]] * 0.999 + 0.0002
    values = model.predict(MATRIX[held_out], truth / truth.sum(axis=1, keepdims=True), LABELS[held_out])
    lower, upper = np.array(LOWER)[LABELS[held_out]], np.array(UPPER)[LABELS[held_out]]
    assert ((values.p50 >= lower) & (values.p50 <= upper)).all()
    assert ((values.lower <= values.p50) & (values.p50 <= values.upper)).all()
    inside = (AMOUNTS[held_out] >= values.lower) & (AMOUNTS[held_out] <= values.upper)
    assert 0.75 < inside.mean() < 0.9
    bias = values.mean.sum() / AMOUNTS[held_out].sum() - 1
    assert abs(bias) < 0.1


def test_the_location_follows_what_moves_amounts(model: ValueModel) -> None:
    """Within one bucket, a larger driver gives a larger median."""
    rows = np.zeros((2, 4), dtype=np.float32)
    rows[:, 0] = (-1.0, 1.0)
    bucket = np.array([2, 2], dtype=np.int8)
    low, high = model.predict(rows, np.eye(5)[[2, 2]], bucket).p50
    assert low < high


def test_zeros_are_a_hurdle_of_the_lowest_bucket(model: ValueModel) -> None:
    """The share of zeros among the lowest bucket is measured, and quantiles below it are exactly zero."""
    mine = LABELS[:4_000] == 0
    assert model.zero_share == pytest.approx((AMOUNTS[:4_000][mine] == 0).mean(), abs=0.02)
    location = np.zeros((1, 5))
    assert model.quantile(location, np.eye(5)[[0]], model.zero_share * 0.9)[0] == 0.0
    assert model.quantile(location, np.eye(5)[[0]], min(0.999, model.zero_share + 0.5 * (1 - model.zero_share)))[0] > 0


def test_an_empty_bucket_still_has_a_distribution() -> None:
    """Few or no rows of a bucket leave a constant location, not a failure."""
    few = LABELS != 4
    payload = fit_value(MATRIX[few], AMOUNTS[few], LABELS[few], cap=CAP, seed=0, threads=1)
    model = ValueModel.from_payload(payload, features=4, threads=1)
    amount = model.predict(MATRIX[:3], np.eye(5)[[4, 4, 4]], np.array([4, 4, 4], dtype=np.int8)).p50
    assert ((amount > 100_000) & (amount <= CAP)).all()


def test_a_lowest_bucket_of_zeros_alone_is_learned() -> None:
    """Where nobody in the lowest bucket sells anything, its median is zero and its mean next to nothing."""
    few = slice(0, 1_200)
    amounts = np.where(LABELS == 0, 0.0, AMOUNTS)
    payload = fit_value(MATRIX[few], amounts[few], LABELS[few], cap=CAP, seed=0, threads=1)
    values = ValueModel.from_payload(payload, features=4, threads=1).predict(
        MATRIX[:3], np.tile([1.0, 0.0, 0.0, 0.0, 0.0], (3, 1)), np.zeros(3, dtype=np.int8)
    )
    assert values.p50.tolist() == [0.0] * 3
    assert (values.mean < 1.0).all()
