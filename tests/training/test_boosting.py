"""A merged booster is the weighted sum of its members, and a student learns what its teacher says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xgboost as xgb

from app.model.engine import Engine
from app.model.explain import softmax
from training.boosting import BoosterParams, Part, merge, train_classifier, train_regressor, train_student

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEATURES = 6
QUICK = BoosterParams(eta=0.3, max_depth=3)
SETTINGS: dict[str, Any] = {"rounds": 5, "seed": 0, "threads": 1}


def _data(rows: int = 500) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(rows, FEATURES)).astype(np.float32)
    labels = np.digitize(matrix[:, 0] + matrix[:, 1] / 2 + rng.normal(size=rows) / 2, (-1.5, -0.5, 0.5, 1.5))
    matrix[rng.random(matrix.shape) < 0.1] = np.nan
    labels[:5] = range(5)
    return matrix, labels


MATRIX, LABELS = _data()
HELD_OUT = _data(700)[0][500:]


def _margins(booster: xgb.Booster, columns: NDArray[np.intp]) -> NDArray[np.float64]:
    return np.asarray(
        booster.inplace_predict(np.ascontiguousarray(HELD_OUT[:, columns]), predict_type="margin"), dtype=np.float64
    )


def _classifier(columns: NDArray[np.intp], seed: int = 0) -> xgb.Booster:
    return train_classifier(np.ascontiguousarray(MATRIX[:, columns]), LABELS, QUICK, rounds=5, seed=seed, threads=1)[0]


def test_merge_is_the_weighted_sum_of_margins() -> None:
    """Of members with other columns, in another order, with other weights, to 1e-5 before and after UBJSON."""
    subsets = [np.arange(FEATURES), np.array([0, 2, 5]), np.array([4, 1, 0])]
    weights = [0.5, 0.3, 1.7]
    members = [_classifier(columns, seed) for seed, columns in enumerate(subsets)]
    parts = [Part(*member) for member in zip(members, subsets, weights, strict=True)]
    merged = Engine(merge(parts, features=FEATURES), features=FEATURES)
    expected = sum(part.weight * _margins(part.booster, part.columns) for part in parts)
    np.testing.assert_allclose(merged.margins_of_many(HELD_OUT), expected, rtol=0, atol=1e-5)
    walked = np.vstack([merged.margins(HELD_OUT[row : row + 1]) for row in range(40)])
    np.testing.assert_allclose(walked, merged.margins_of_many(HELD_OUT[:40]), rtol=0, atol=2e-5)


def test_merge_puts_single_outputs_into_their_groups() -> None:
    """Five regressors become one booster of five outputs, each with its own base score and weight."""
    columns = np.array([0, 1, 3])
    targets = [np.nan_to_num(MATRIX[:, 0]) * group + 10 * group for group in range(5)]
    members = [
        train_regressor(np.ascontiguousarray(MATRIX[:, columns]), target.astype(np.float64), QUICK, **SETTINGS)
        for target in targets
    ]
    order = [3, 0, 4, 1, 2]
    parts = [Part(members[group], columns, 1.0 + group, group=group) for group in order]
    merged = Engine(merge(parts, features=FEATURES), features=FEATURES).margins_of_many(HELD_OUT)
    for group, member in enumerate(members):
        np.testing.assert_allclose(merged[:, group], (1.0 + group) * _margins(member, columns), rtol=1e-5, atol=1e-5)


def test_merge_takes_an_intercept_that_is_not_in_the_booster() -> None:
    """A student starts from margins that its booster does not hold."""
    columns = np.arange(FEATURES)
    booster, intercept = train_student(MATRIX, np.eye(5)[LABELS] * 0.9 + 0.02, QUICK, **SETTINGS)[:2]
    data = xgb.DMatrix(HELD_OUT)
    data.set_base_margin(np.tile(intercept.astype(np.float32), (len(HELD_OUT), 1)))
    expected = booster.predict(data, output_margin=True)
    merged = Engine(merge([Part(booster, columns, 1.0, intercept=intercept)], features=FEATURES), features=FEATURES)
    np.testing.assert_allclose(merged.margins_of_many(HELD_OUT), expected, rtol=0, atol=1e-5)


def test_a_student_of_hard_targets_is_close_to_a_classifier() -> None:
    """One-hot targets are labels: the two learn nearly the same."""
    columns = np.arange(FEATURES)
    params = BoosterParams(eta=0.3, max_depth=3, subsample=1.0)
    classifier, _ = train_classifier(MATRIX, LABELS, params, rounds=25, seed=0, threads=1)
    student, intercept = train_student(MATRIX, np.eye(5)[LABELS], params, rounds=25, seed=0, threads=1)[:2]
    merged = merge([Part(student, columns, 1.0, intercept=intercept)], features=FEATURES)
    taught = softmax(Engine(merged, features=FEATURES).margins_of_many(HELD_OUT))
    learned = softmax(_margins(classifier, columns))
    assert np.abs(taught - learned).mean() < 0.02
    assert (taught.argmax(axis=1) == learned.argmax(axis=1)).mean() > 0.9


def test_a_student_learns_shares_and_not_only_the_largest() -> None:
    """Where the targets are constant, so are the answers."""
    shares = np.array([0.1, 0.2, 0.3, 0.25, 0.15])
    student, intercept = train_student(MATRIX, np.tile(shares, (len(MATRIX), 1)), QUICK, **SETTINGS)[:2]
    merged = merge([Part(student, np.arange(FEATURES), 1.0, intercept=intercept)], features=FEATURES)
    taught = softmax(Engine(merged, features=FEATURES).margins_of_many(HELD_OUT))
    np.testing.assert_allclose(taught, np.tile(shares, (len(HELD_OUT), 1)), atol=1e-4)


def test_the_same_seed_gives_the_same_bytes() -> None:
    """And another seed others, for row sampling is in play."""
    columns = np.arange(FEATURES)
    one, same, other = (bytes(_classifier(columns, seed).save_raw("ubj")) for seed in (0, 0, 1))
    assert one == same
    assert one != other


def test_validation_loss_is_followed_round_by_round() -> None:
    """One value a round, the last equal to the booster's own loss; none without validation."""
    booster, curve = train_classifier(MATRIX, LABELS, QUICK, validation=(MATRIX, LABELS), **SETTINGS)
    given = softmax(np.asarray(booster.inplace_predict(MATRIX, predict_type="margin"), dtype=np.float64))
    assert len(curve) == 5
    assert curve[-1] == pytest.approx(-np.log(given[np.arange(len(LABELS)), LABELS]).mean(), abs=1e-5)
    assert len(train_classifier(MATRIX, LABELS, QUICK, **SETTINGS)[1]) == 0


def test_params_travel_by_name() -> None:
    """A name that is none is an error."""
    assert BoosterParams.from_dict(QUICK.to_dict()) == QUICK
    with pytest.raises(TypeError, match="depth"):
        BoosterParams.from_dict({"depth": 3})
