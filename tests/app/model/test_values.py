"""Amounts stay in their bucket, never cross, and invert the mixture they come from."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from app.contract.buckets import LOWER, UPPER, bucketize
from app.contract.features import Fitted, build_matrix
from app.errors import IncompatibleArtifactError
from app.model.values import CENTAVO, ValueModel, scale_bounds, to_logit
from tests.support.artifacts import make_payload
from tests.support.merchants import columns_of, merchants

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

CAP = 5_000_000.0
LEVELS = np.linspace(0.01, 0.99, 99)
GRID = (0.0, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0)


def _model(zero_share: float = 0.0, seed: int = 0) -> ValueModel:
    """Quantiles of a skewed residual, wider in some buckets."""
    residuals = np.sort(np.random.default_rng(seed).gumbel(size=(5, 99)) * np.arange(1, 6)[:, None], axis=1)
    return ValueModel(None, LEVELS, residuals, zero_share, CAP)  # type: ignore[arg-type]


LOCATIONS = hnp.arrays(np.float64, (3, 5), elements=st.floats(-40, 40))
SHARES = hnp.arrays(np.float64, (3, 5), elements=st.floats(0, 1)).map(
    lambda rows: (rows + 1e-9) / (rows + 1e-9).sum(axis=1, keepdims=True)
)


@settings(max_examples=150, deadline=None)
@given(LOCATIONS, SHARES, st.floats(0, 0.9), st.integers(0, 5))
def test_quantiles_never_cross_and_stay_in_range(
    location: NDArray[np.float64], shares: NDArray[np.float64], zero_share: float, seed: int
) -> None:
    """A higher level never gives a smaller amount, from zero to the cap."""
    model = _model(zero_share, seed)
    amounts = np.array([model.quantile(location, shares, level) for level in GRID])
    assert (np.diff(amounts, axis=0) >= 0).all()
    assert (amounts >= 0).all()
    assert (amounts <= CAP).all()


@settings(max_examples=100, deadline=None)
@given(LOCATIONS, st.floats(0.001, 0.999), st.floats(0, 0.9))
def test_a_quantile_of_one_bucket_lies_in_it(location: NDArray[np.float64], level: float, zero_share: float) -> None:
    """With all probability on one bucket, every quantile has that bucket: the edges belong to the bucket below."""
    for bucket in range(5):
        shares = np.tile(np.eye(5)[bucket], (3, 1))
        assert (bucketize(_model(zero_share).quantile(location, shares, level)) == bucket).all()


@settings(max_examples=100, deadline=None)
@given(SHARES, st.floats(0.02, 0.98))
def test_a_quantile_agrees_with_the_mixture(shares: NDArray[np.float64], level: float) -> None:
    """The bucket of a quantile is the one where the cumulative probability reaches the level."""
    amounts = _model().quantile(np.zeros((3, 5)), shares, level)
    upto = shares.cumsum(axis=1)
    for row, bucket in enumerate(bucketize(amounts)):
        assert upto[row, bucket] >= level - 1e-9
        assert bucket == 0 or upto[row, bucket - 1] <= level + 1e-9


def test_quantiles_invert_the_mixture_of_draws() -> None:
    """Amounts drawn bucket by bucket have the quantiles that the model states, and its mean."""
    rng = np.random.default_rng(2)
    model, shares = _model(zero_share=0.4), np.array([[0.3, 0.2, 0.2, 0.2, 0.1]])
    location, draws = rng.normal(size=(1, 5)), 200_000
    buckets = rng.choice(5, p=shares[0], size=draws)
    residuals = np.array([np.interp(rng.random(), LEVELS, model.residuals[bucket]) for bucket in buckets])
    lower, upper = scale_bounds(CAP)
    position = 1 / (1 + np.exp(-(location[0, buckets] + residuals)))
    amounts = lower[buckets] * (upper[buckets] / lower[buckets]) ** position
    amounts[(buckets == 0) & (rng.random(draws) < 0.4)] = 0.0
    for level in (0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95):
        below = (amounts <= model.quantile(location, shares, level)[0]).mean()
        assert below == pytest.approx(max(level, 0.3 * 0.4), abs=0.006)
    assert model._mean(location, shares)[0] == pytest.approx(amounts.mean(), rel=0.03)


def test_the_hurdle_is_exactly_zero() -> None:
    """Below the share of zeros the amount is 0, above it positive."""
    model, shares = _model(zero_share=0.5), np.eye(5)[:1]
    assert model.quantile(np.zeros((1, 5)), shares, 0.5)[0] == 0.0
    assert model.quantile(np.zeros((1, 5)), shares, 0.51)[0] > CENTAVO
    assert _model().quantile(np.zeros((1, 5)), shares, 0.01)[0] > CENTAVO


@given(st.floats(0.01, 1e9))
def test_the_scale_inverts(amount: float) -> None:
    """Logit and amount are inverse inside a bucket; beyond the cap stands the cap."""
    bucket = bucketize([amount]).astype(np.intp)
    back = _model()._amount(to_logit(np.array([amount]), bucket, CAP), bucket)[0]
    assert back == pytest.approx(min(amount, CAP), rel=2e-4)
    assert LOWER[bucket[0]] < back <= UPPER[bucket[0]]


def test_zero_and_edges_have_finite_logits() -> None:
    """Amounts at and beyond both ends stay finite, so that a regression can learn from them."""
    amounts = np.array([0.0, 0.001, 100.0, 1000.0, CAP, 1e12])
    logits = to_logit(amounts, np.array([0, 0, 0, 1, 4, 4]), CAP)
    assert np.isfinite(logits).all()
    assert logits.tolist() == pytest.approx([-12, -12, 12, 12, 12, 12])


def _fitted() -> tuple[ValueModel, NDArray[np.float32]]:
    payload, _ = make_payload(1)
    fitted = Fitted.from_payload(payload["features"])
    model = ValueModel.from_payload(payload["value"], features=len(fitted.feature_names), threads=1)
    return model, build_matrix(columns_of(merchants(50, seed=5)), fitted)


def test_answers_agree_with_each_other() -> None:
    """Median in the chosen bucket, inside the interval; the mean within what the buckets allow."""
    model, matrix = _fitted()
    rng = np.random.default_rng(0)
    shares, chosen = rng.dirichlet(np.ones(5), 50), rng.integers(0, 5, 50).astype(np.int8)
    values = model.predict(matrix, shares, chosen)
    np.testing.assert_array_equal(bucketize(values.p50), chosen)
    assert (values.lower <= values.p50).all()
    assert (values.p50 <= values.upper).all()
    upper = np.array([*UPPER[:-1], model.cap])
    assert (values.mean >= shares @ np.array(LOWER) * 0.999).all()
    assert (values.mean <= shares @ upper).all()
    assert math.isfinite(values.mean.sum())


def _payload(**changes: Any) -> dict[str, Any]:
    payload: dict[str, Any] = make_payload(1)[0]["value"]
    return payload | changes


@pytest.mark.parametrize("case", ["empty", "list", "no levels", "cap", "zero share", "shape", "booster"])
def test_malformed_payloads_are_refused(case: str) -> None:
    """Whatever is wrong, the reader has one kind of error."""
    cases: dict[str, Callable[[], Any]] = {
        "empty": dict,
        "list": list,
        "no levels": lambda: _payload(levels=None),
        "cap": lambda: _payload(cap="much"),
        "zero share": lambda: _payload(zero_share=1.0),
        "shape": lambda: _payload(levels=_payload()["residuals"]),
        "booster": lambda: _payload(booster=b"noise"),
    }
    payload = cases[case]()
    width = len(Fitted.from_payload(make_payload(1)[0]["features"]).feature_names)
    with pytest.raises(IncompatibleArtifactError):
        ValueModel.from_payload(payload, features=width, threads=1)
