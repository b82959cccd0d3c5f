"""Prediction sets hold the true bucket as often as they say, are contiguous, and grow with the coverage."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from app.errors import IncompatibleArtifactError
from app.model.sets import ConformalSets, hull_scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
SHARES = np.array([0.1, 0.1, 0.3, 0.4, 0.1])


def _draw(rng: np.random.Generator, rows: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels, and answers of a badly calibrated model: validity must not depend on a good one."""
    given = rng.dirichlet(SHARES * 4, rows)
    labels = np.array([rng.choice(5, p=row) for row in given], dtype=np.int64)
    sharpened = given**2 + 1e-9
    return labels, sharpened / sharpened.sum(axis=1, keepdims=True)


def _covered(labels: NDArray[np.int64], bounds: tuple[NDArray[np.int8], NDArray[np.int8]]) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = (labels >= bounds[0]) & (labels <= bounds[1])
    return inside


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9])
@pytest.mark.parametrize("held_out", [9, 60])
def test_marginal_coverage_in_finite_samples(level: float, held_out: int) -> None:
    """Over many draws of few held-out rows, a new row is covered at least as often as asked, to sampling error."""
    rng = np.random.default_rng(held_out)
    hits = []
    for _ in range(250):
        sets = ConformalSets.fit(*_draw(rng, held_out))
        labels, given = _draw(rng, 20)
        hits.append(_covered(labels, sets.intervals(given, level, class_conditional=False)).mean())
    assert np.mean(hits) >= level - 3 * np.std(hits) / np.sqrt(len(hits))


def test_class_conditional_coverage_holds_in_each_bucket() -> None:
    """Within every true bucket, rare ones too."""
    rng = np.random.default_rng(4)
    hits: dict[int, list[float]] = {bucket: [] for bucket in range(5)}
    for _ in range(150):
        sets = ConformalSets.fit(*_draw(rng, 120))
        labels, given = _draw(rng, 60)
        covered = _covered(labels, sets.intervals(given, 0.8, class_conditional=True))
        for bucket in range(5):
            if (labels == bucket).any():
                hits[bucket].append(covered[labels == bucket].mean())
    for bucket, shares in hits.items():
        assert np.mean(shares) >= 0.8 - 3 * np.std(shares) / np.sqrt(len(shares)), bucket


def test_coverage_is_not_bought_with_size() -> None:
    """With many held-out rows the marginal coverage is close to what was asked, from above and below."""
    rng = np.random.default_rng(8)
    sets = ConformalSets.fit(*_draw(rng, 4000))
    labels, given = _draw(rng, 4000)
    covered = _covered(labels, sets.intervals(given, 0.9, class_conditional=False)).mean()
    assert 0.88 < covered < 0.93


PROBABILITIES = hnp.arrays(np.float64, (4, 5), elements=st.floats(1e-6, 1)).map(
    lambda rows: rows / rows.sum(axis=1, keepdims=True)
)


@settings(max_examples=100, deadline=None)
@given(given=PROBABILITIES, seed=st.integers(0, 2**16), held_out=st.integers(0, 200), class_conditional=st.booleans())
def test_sets_nest_and_are_never_empty(
    given: NDArray[np.float64], seed: int, held_out: int, *, class_conditional: bool
) -> None:
    """More coverage never takes a bucket away; every set is contiguous and holds the most probable bucket."""
    sets = ConformalSets.fit(*_draw(np.random.default_rng(seed), held_out))
    bounds = [sets.intervals(given, level, class_conditional=class_conditional) for level in LEVELS]
    top = given.argmax(axis=1)
    for first, last in bounds:
        assert first.dtype == last.dtype == np.int8
        assert ((first <= top) & (top <= last) & (first >= 0) & (last <= 4)).all()
    for (inner_first, inner_last), (first, last) in itertools.pairwise(bounds):
        assert (first <= inner_first).all()
        assert (last >= inner_last).all()


@settings(max_examples=100, deadline=None)
@given(PROBABILITIES)
def test_scores_equal_their_definition(given: NDArray[np.float64]) -> None:
    """The largest threshold at which a bucket lies between two buckets at least that probable."""
    for row, scores in zip(given, hull_scores(given), strict=True):
        for bucket in range(5):
            brute = max(
                threshold
                for threshold in row
                if (row[: bucket + 1] >= threshold).any() and (row[bucket:] >= threshold).any()
            )
            assert scores[bucket] == brute


@pytest.mark.parametrize(
    ("held_out", "level", "full"), [(0, 0.5, True), (8, 0.9, True), (9, 0.9, False), (98, 0.99, True)]
)
def test_too_few_scores_give_the_full_set(held_out: int, level: float, *, full: bool) -> None:
    """Coverage 1 - a needs 1/a - 1 scores; with fewer, only all buckets are certain enough."""
    labels = np.full(held_out, 2)
    sets = ConformalSets.fit(labels, np.tile([0.0, 0.0, 1.0, 0.0, 0.0], (held_out, 1)))
    first, last = sets.intervals(np.array([[0.0, 0.0, 1.0, 0.0, 0.0]]), level, class_conditional=False)
    assert ((first[0], last[0]) == (0, 4)) is full
    first, last = sets.intervals(np.array([[0.0, 0.0, 1.0, 0.0, 0.0]]), level, class_conditional=True)
    assert (first[0], last[0]) == (0, 4)


def test_payload_round_trip() -> None:
    """Scores travel unchanged."""
    sets = ConformalSets.fit(*_draw(np.random.default_rng(1), 50))
    again = ConformalSets.from_payload(sets.to_payload())
    for left, right in zip((sets.marginal, *sets.by_bucket), (again.marginal, *again.by_bucket), strict=True):
        np.testing.assert_array_equal(left, right)


def _payload(**changes: Any) -> dict[str, Any]:
    sets = ConformalSets.fit(*_draw(np.random.default_rng(1), 20))
    return sets.to_payload() | changes


@pytest.mark.parametrize(
    "payload",
    [
        {},
        [],
        _payload(marginal=None),
        _payload(by_bucket=_payload()["by_bucket"][:4]),
        _payload(marginal={"dtype": "<f8", "shape": [1, 1], "data": b"\0" * 8}),
    ],
    ids=["empty", "list", "no scores", "four buckets", "a matrix"],
)
def test_malformed_payloads_are_refused(payload: Any) -> None:
    """Whatever is wrong, the reader has one kind of error."""
    with pytest.raises(IncompatibleArtifactError, match="malformed"):
        ConformalSets.from_payload(payload)
