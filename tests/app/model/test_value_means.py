"""The tabulated mean of an amount against the mean it stands for, and one merchant against many."""

from __future__ import annotations

import numpy as np
import pytest

from app.contract.buckets import N_BUCKETS
from app.model.values import ValueModel, Values

CAP = 1e7
LEVELS = np.linspace(0.01, 0.99, 99)


class Locations:
    """Stands for the engine: its matrix already holds the five locations."""

    def margins(self, matrix: np.ndarray) -> np.ndarray:
        """Give the matrix back."""
        return matrix


@pytest.fixture(params=[0.0, 0.3])
def model(request: pytest.FixtureRequest) -> ValueModel:
    """A model with residuals of every bucket, with and without a hurdle at zero."""
    residuals = np.sort(np.random.default_rng(0).normal(0, 1.5, (N_BUCKETS, len(LEVELS))), axis=1)
    return ValueModel(Locations(), LEVELS, residuals, request.param, CAP)  # type: ignore[arg-type]


def made_up(rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Locations, some of them far out, probabilities and chosen buckets."""
    rng = np.random.default_rng(1)
    location = rng.normal(0, 2, (rows, N_BUCKETS))
    location[:4] = [[-80.0] * N_BUCKETS, [80.0] * N_BUCKETS, [-25.0] * N_BUCKETS, [25.0] * N_BUCKETS]
    probabilities = rng.dirichlet([0.5] * N_BUCKETS, rows)
    return location, probabilities, probabilities.argmax(axis=1).astype(np.int8)


def test_table_gives_the_mean_over_the_residuals(model: ValueModel) -> None:
    """Within 2e-5, at ordinary and at extreme locations."""
    location, probabilities, chosen = made_up(200)
    expected = np.zeros(len(location))
    for bucket in range(N_BUCKETS):
        logits = location[:, bucket, None] + model.residuals[bucket]
        amounts = model._amount(logits, np.full(len(LEVELS), bucket)).mean(axis=1)
        expected += probabilities[:, bucket] * amounts * (1 - model.zero_share if bucket == 0 else 1)
    means = model.predict(location, probabilities, chosen).mean
    np.testing.assert_allclose(means, expected, rtol=2e-5)


def test_one_merchant_equals_many(model: ValueModel) -> None:
    """Row company changes nothing, and the interval holds the median."""
    location, probabilities, chosen = made_up(50)
    together = model.predict(location, probabilities, chosen)
    assert (together.lower <= together.p50).all()
    assert (together.p50 <= together.upper).all()
    for row in range(50):
        part = slice(row, row + 1)
        alone = model.predict(location[part], probabilities[part], chosen[part])
        for name in Values.__annotations__:
            np.testing.assert_allclose(getattr(alone, name), getattr(together, name)[part], rtol=1e-12)
