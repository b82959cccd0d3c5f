"""Reasons add up to what they explain, and credit each raw input with its own features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import xgboost as xgb

from app.contract.features import Fitted, build_matrix
from app.contract.inputs import RAW_NAMES
from app.model.engine import Engine
from app.model.explain import explain, log_odds, softmax
from tests.support.artifacts import make_payload
from tests.support.merchants import columns_of, merchants

if TYPE_CHECKING:
    from numpy.typing import NDArray


@pytest.fixture(scope="module")
def parts() -> tuple[Fitted, Engine, NDArray[np.float32]]:
    """A fitted contract, a booster and 60 merchants, some with unknown and null fields."""
    payload, _ = make_payload(2, trees=12)
    fitted = Fitted.from_payload(payload["features"])
    rows = merchants(60, seed=9)
    for row, name in zip(rows, RAW_NAMES, strict=False):
        row[name] = None
    rows[20]["bairro"] = "new"
    matrix = build_matrix(columns_of(rows), fitted)
    return fitted, Engine(payload["classifier"], features=len(fitted.feature_names)), matrix


@pytest.mark.parametrize("bucket", range(5))
def test_contributions_sum_to_what_they_explain(parts: tuple[Fitted, Engine, NDArray[np.float32]], bucket: int) -> None:
    """Base plus contributions is the bucket's log-odds, and the expected bucket index, to 1e-4."""
    fitted, engine, matrix = parts
    chosen = np.full(len(matrix), bucket, dtype=np.int8)
    reasons = explain(engine.contributions(matrix), chosen, fitted.feature_inputs)
    probabilities = softmax(engine.margins_of_many(matrix))
    own = probabilities[:, bucket]
    np.testing.assert_allclose(reasons.log_odds_base + reasons.log_odds.sum(axis=1), np.log(own / (1 - own)), atol=1e-4)
    np.testing.assert_allclose(reasons.index_base + reasons.index.sum(axis=1), probabilities @ np.arange(5), atol=1e-4)
    assert reasons.log_odds.shape == reasons.index.shape == (len(matrix), 13)
    np.testing.assert_allclose(log_odds(np.log(probabilities), chosen), np.log(own / (1 - own)), atol=1e-6)


def test_contributions_equal_a_slow_path_integral(parts: tuple[Fitted, Engine, NDArray[np.float32]]) -> None:
    """Small steps along the line, credited feature by feature and then added by raw input, give the same."""
    fitted, engine, matrix = parts
    few = matrix[:6]
    chosen = np.arange(6, dtype=np.int8) % 5
    reasons = explain(engine.contributions(few), chosen, fitted.feature_inputs)
    shap = engine.booster.predict(xgb.DMatrix(few), pred_contribs=True).reshape(6, 5, -1).astype(np.float64)
    steps = 2000
    for row in range(6):
        base, added = shap[row, :, -1], shap[row, :, :-1]
        by_feature = {"log_odds": np.zeros(added.shape[1]), "index": np.zeros(added.shape[1])}
        for step in range(steps):
            margins = base + (step + 0.5) / steps * added.sum(axis=1)
            given = softmax(margins)
            own = np.eye(5)[chosen[row]]
            others = np.where(own == 1, 0.0, given / (1 - given[chosen[row]]))
            by_feature["log_odds"] += (own - others) @ added / steps
            by_feature["index"] += (given * (np.arange(5) - given @ np.arange(5))) @ added / steps
        for name, values in by_feature.items():
            slow = dict.fromkeys(RAW_NAMES, 0.0)
            for owner, value in zip(fitted.feature_inputs, values, strict=True):
                slow[owner] += value
            fast = getattr(reasons, name)[row]
            np.testing.assert_allclose(fast, [slow[raw] for raw in RAW_NAMES], atol=1e-4, err_msg=name)


def test_an_input_without_features_has_no_share(parts: tuple[Fitted, Engine, NDArray[np.float32]]) -> None:
    """District and municipality are one place, credited to the municipality."""
    fitted, engine, matrix = parts
    reasons = explain(engine.contributions(matrix), np.zeros(len(matrix), dtype=np.int8), fitted.feature_inputs)
    assert not reasons.index[:, RAW_NAMES.index("bairro")].any()
    assert reasons.index[:, RAW_NAMES.index("capital_social")].any()


def test_softmax_survives_large_margins() -> None:
    """Rows sum to 1 where exp would overflow."""
    given = softmax(np.array([[1e4, 0.0, -1e4, 1e4, 5.0], [0.0] * 5]))
    np.testing.assert_allclose(given.sum(axis=1), 1.0)
    np.testing.assert_allclose(given[0], [0.5, 0, 0, 0.5, 0])
