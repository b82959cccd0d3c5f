"""The walker gives XGBoost's own margins, whatever the trees and the values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xgboost as xgb
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import IncompatibleArtifactError
from app.model.engine import WALK_ROWS, Engine, TreeWalker

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEATURES = 6
OUTPUTS = 5
SPECIAL = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1e30, -1e30, 1e-40, np.finfo(np.float32).max)


def _data(seed: int = 0, rows: int = 400) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(rows, FEATURES)).astype(np.float32)
    matrix[:, 1] = rng.integers(0, 4, rows)
    matrix[rng.random(matrix.shape) < 0.15] = np.nan
    labels = np.digitize(np.nan_to_num(matrix[:, 0]) + rng.normal(size=rows) / 3, (-1, -0.3, 0.3, 1))
    labels[:OUTPUTS] = range(OUTPUTS)
    return matrix, labels


def _train(depth: int, *, rounds: int = 6, **more: Any) -> xgb.Booster:
    settings = {"objective": "multi:softprob", "num_class": OUTPUTS, "max_depth": depth, "nthread": 1, "seed": 1}
    return xgb.train(settings | more, xgb.DMatrix(*_data()), rounds)


def _hard_rows(booster: xgb.Booster) -> NDArray[np.float32]:
    """Rows with every special value, and with every threshold hit exactly and missed by one step on either side."""
    rows = [np.full(FEATURES, value, dtype=np.float32) for value in SPECIAL]
    rng = np.random.default_rng(3)
    rows += list(rng.choice(np.array(SPECIAL, dtype=np.float32), size=(40, FEATURES)))
    base = _data(5, OUTPUTS)[0][0]
    for tree in json.loads(bytes(booster.save_raw("json")))["learner"]["gradient_booster"]["model"]["trees"]:
        for left, feature, threshold in zip(
            tree["left_children"], tree["split_indices"], tree["split_conditions"], strict=True
        ):
            if left < 0:
                continue
            edge = np.float32(threshold)
            for value in (edge, np.nextafter(edge, np.float32(-np.inf)), np.nextafter(edge, np.float32(np.inf))):
                row = base.copy()
                row[feature] = value
                rows.append(row)
    return np.array([*rows, *_data(7, 60)[0]], dtype=np.float32)


def _xgboost(booster: xgb.Booster, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(booster.inplace_predict(rows, predict_type="margin", missing=np.nan), dtype=np.float64).reshape(
        len(rows), -1
    )


@pytest.mark.parametrize("depth", range(1, 9))
def test_walker_equals_xgboost(depth: int) -> None:
    """NaN, infinities, huge values, thresholds hit exactly and missed by a step, at every depth."""
    booster = _train(depth)
    rows = _hard_rows(booster)
    walker = TreeWalker(booster)
    walked = np.array([walker.margins(row) for row in rows])
    np.testing.assert_allclose(walked, _xgboost(booster, rows), rtol=0, atol=2e-6)


@pytest.mark.parametrize(
    "more",
    [
        {"gamma": 1e9},
        {"min_child_weight": 60},
        {"num_parallel_tree": 3},
        {"grow_policy": "lossguide", "max_leaves": 9, "tree_method": "hist"},
        {"base_score": 0.3},
        {"subsample": 0.05, "min_child_weight": 5},
    ],
    ids=["single leaves", "some stumps", "forests", "lopsided", "base score", "uneven"],
)
def test_walker_equals_xgboost_on_odd_trees(more: dict[str, Any]) -> None:
    """Trees that are a single leaf, of different depths, or several a round."""
    booster = _train(0 if "max_leaves" in more else 4, **more)
    rows = _hard_rows(booster)
    walker = TreeWalker(booster)
    walked = np.array([walker.margins(row) for row in rows])
    np.testing.assert_allclose(walked, _xgboost(booster, rows), rtol=0, atol=2e-6)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(width=32), min_size=FEATURES, max_size=FEATURES))
def test_walker_equals_xgboost_on_any_row(values: list[float]) -> None:
    """Whatever float32 a row holds."""
    booster = _ANY
    row = np.array([values], dtype=np.float32)
    np.testing.assert_allclose(_WALKER.margins(row[0]), _xgboost(booster, row)[0], rtol=0, atol=2e-6)


_ANY = _train(5)
_WALKER = TreeWalker(_ANY)


def test_engine_answers_alike_for_few_and_many() -> None:
    """On either side of the switch the margins are those of the whole batch, through UBJSON and back."""
    booster = _train(6)
    engine = Engine(bytes(booster.save_raw("ubj")), features=FEATURES)
    rows = _data(9, 3 * WALK_ROWS)[0]
    whole = engine.margins_of_many(rows)
    np.testing.assert_array_equal(whole, _xgboost(booster, rows))
    for count in range(2 * WALK_ROWS):
        np.testing.assert_allclose(engine.margins(rows[:count]), whole[:count], rtol=0, atol=2e-6)
    assert engine.margins(rows[:0]).shape == (0, OUTPUTS)


def test_walking_leaves_no_trace() -> None:
    """The scratch space of one row, and its missing values, never reach the next."""
    walker = TreeWalker(_ANY)
    rows = _data(11, 30)[0]
    alone = [walker.margins(row) for row in rows]
    walker.margins(np.full(FEATURES, np.nan, dtype=np.float32))
    assert all(np.array_equal(first, walker.margins(row)) for first, row in zip(alone, rows, strict=True))


def test_single_output() -> None:
    """A regressor has one margin."""
    matrix, labels = _data()
    booster = xgb.train({"max_depth": 3, "nthread": 1}, xgb.DMatrix(matrix, labels.astype(float)), 4)
    walker = TreeWalker(booster, outputs=1)
    rows = _hard_rows(booster)
    walked = np.array([walker.margins(row) for row in rows])
    np.testing.assert_allclose(walked, _xgboost(booster, rows), rtol=0, atol=2e-6)


def _linear() -> bytes:
    settings = {"objective": "multi:softprob", "num_class": OUTPUTS, "booster": "gblinear", "nthread": 1}
    return bytes(xgb.train(settings, xgb.DMatrix(*_data()), 2).save_raw("ubj"))


def _dart() -> bytes:
    return bytes(_train(2, booster="dart").save_raw("ubj"))


def _categorical() -> bytes:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 9, (200, 1)).astype(np.float32)
    data = xgb.DMatrix(codes, codes[:, 0] % OUTPUTS, feature_types=["c"], enable_categorical=True)
    return bytes(xgb.train({"objective": "multi:softprob", "num_class": OUTPUTS}, data, 2).save_raw("ubj"))


def _no_trees() -> bytes:
    return bytes(_train(2, rounds=0).save_raw("ubj"))


@pytest.mark.parametrize(
    ("booster", "features", "said"),
    [
        (lambda: b"", FEATURES, "empty booster"),
        (lambda: b"not a model", FEATURES, "cannot read the booster"),
        (lambda: bytes(_ANY.save_raw("ubj"))[:200], FEATURES, "cannot read the booster"),
        (lambda: bytes(_ANY.save_raw("ubj")), FEATURES + 1, "expects 6 features, the contract builds 7"),
        (_linear, FEATURES, "not a gbtree model"),
        (_dart, FEATURES, "not a gbtree model"),
        (_categorical, 1, "splits on categories"),
        (_no_trees, FEATURES, "has no trees"),
    ],
    ids=["empty", "noise", "cut", "other features", "linear", "dart", "categorical", "no trees"],
)
def test_what_cannot_be_walked_is_refused(booster: Any, features: int, said: str) -> None:
    """Whatever the bytes hold, it is an artifact error with a reason."""
    with pytest.raises(IncompatibleArtifactError, match=said):
        Engine(booster(), features=features)


def test_another_number_of_outputs_is_refused() -> None:
    """Four classes are not five buckets."""
    matrix, labels = _data()
    settings = {"objective": "multi:softprob", "num_class": 4, "max_depth": 2, "nthread": 1}
    booster = xgb.train(settings, xgb.DMatrix(matrix, labels % 4), 2)
    with pytest.raises(IncompatibleArtifactError, match="has 4 outputs, not 5"):
        Engine(bytes(booster.save_raw("ubj")), features=FEATURES)
