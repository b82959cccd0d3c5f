"""The rule chooses a bucket and leaves the probabilities alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from app.errors import IncompatibleArtifactError
from app.model.decision import DecisionRule, Rule

ROWS = np.array([[0.1, 0.2, 0.3, 0.35, 0.05], [0.5, 0.5, 0.0, 0.0, 0.0], [0.2, 0.2, 0.2, 0.2, 0.2]])


def test_argmax_takes_the_most_probable_and_the_lower_of_two() -> None:
    """Ties go down."""
    assert DecisionRule.argmax().choose(ROWS).tolist() == [3, 0, 0]
    assert DecisionRule.argmax().choose(ROWS).dtype == np.int8


def test_weights_multiply_the_probabilities() -> None:
    """A bucket with a larger weight is chosen sooner."""
    rule = DecisionRule.weighted(Rule.WEIGHTED_F1, np.array([1.0, 1.0, 1.2, 1.0, 9.0]))
    assert rule.choose(ROWS).tolist() == [4, 0, 4]
    before = ROWS.copy()
    rule.choose(ROWS)
    np.testing.assert_array_equal(ROWS, before)


def test_expected_cost_is_least() -> None:
    """The choice is the column of least expected cost, by brute force."""
    rng = np.random.default_rng(0)
    costs = rng.random((5, 5))
    rows = rng.dirichlet(np.ones(5), 50)
    brute = [
        min(range(5), key=lambda column: sum(row[true] * costs[true, column] for true in range(5))) for row in rows
    ]
    assert DecisionRule.expected_cost(costs).choose(rows).tolist() == brute


def test_payload_round_trip() -> None:
    """Every rule travels with its name and scores."""
    for rule in (DecisionRule.argmax(), DecisionRule.weighted(Rule.MACRO_F1, np.arange(1.0, 6.0))):
        again = DecisionRule.from_payload(rule.to_payload())
        assert again.rule is rule.rule
        np.testing.assert_array_equal(again.scores, rule.scores)


def _changed(**changes: Any) -> dict[str, Any]:
    return DecisionRule.argmax().to_payload() | changes


@pytest.mark.parametrize(
    "payload",
    [
        {},
        [],
        _changed(rule="coin"),
        _changed(scores=None),
        DecisionRule(Rule.ARGMAX, np.eye(4)).to_payload(),
        DecisionRule(Rule.ARGMAX, np.full((5, 5), np.nan)).to_payload(),
    ],
    ids=["empty", "list", "no such rule", "no scores", "four buckets", "not finite"],
)
def test_malformed_payloads_are_refused(payload: Any) -> None:
    """Whatever is wrong, the reader has one kind of error."""
    with pytest.raises(IncompatibleArtifactError, match=r"decision rule|array of the artifact"):
        DecisionRule.from_payload(payload)
