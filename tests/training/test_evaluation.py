"""An evaluation survives storage exactly, and refuses what is not one."""

from __future__ import annotations

import json

import pytest

from tests.support.evaluations import make_evaluation
from training.evaluation import Evaluation, gain_shares, shares


@pytest.mark.parametrize("full", [True, False])
def test_json_round_trip_is_exact(full: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """What is read back equals what was stored, and the JSON is strict."""
    evaluation = make_evaluation(full=full)
    stored = json.dumps(evaluation.to_dict(), allow_nan=False)
    assert Evaluation.from_dict(json.loads(stored)) == evaluation


def test_another_schema_is_refused() -> None:
    """The message gives both schemas and the remedy."""
    plain = make_evaluation(full=False).to_dict() | {"schema": 99}
    with pytest.raises(ValueError, match=r"schema 99, this program reads 1\. Evaluate again"):
        Evaluation.from_dict(plain)


def test_a_missing_part_is_named() -> None:
    """The error points at the part."""
    plain = make_evaluation(full=False).to_dict()
    del plain["metrics"]["rps"]
    with pytest.raises(ValueError, match=r"metrics\.rps"):
        Evaluation.from_dict(plain)


def test_shares_are_per_bucket() -> None:
    """Counts over rows, in bucket order, for each of the four."""
    made = shares([0, 4], [1], [2], [3, 3])
    assert made.train == (0.5, 0.0, 0.0, 0.0, 0.5)
    assert made.predicted == (0.0, 0.0, 0.0, 1.0, 0.0)


def test_gain_shares_sum_to_one_strongest_first() -> None:
    """Shares of the total, ordered."""
    assert [(g.name, g.share) for g in gain_shares({"a": 1.0, "b": 3.0})] == [("b", 0.75), ("a", 0.25)]


@pytest.mark.parametrize("gains", [{"a": 0.0}, {"a": 2.0, "b": -1.0}])
def test_gains_must_make_sense(gains: dict[str, float]) -> None:
    """Negative or all-zero gain is refused."""
    with pytest.raises(ValueError, match="gains must be >= 0"):
        gain_shares(gains)
