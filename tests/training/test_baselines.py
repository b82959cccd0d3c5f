"""The baselines answer every row with a distribution, and the logistic one learns what there is to learn."""

from __future__ import annotations

import numpy as np
import pytest

from app.contract.inputs import RAW_INPUTS
from training.baselines import logistic_baseline, majority_baseline
from training.metrics import evaluate


def _columns(tiers: list[str]) -> dict[str, object]:
    values: dict[str, object] = {raw.name: [raw.example] * len(tiers) for raw in RAW_INPUTS}
    values["tier"] = tiers
    values["bairro"] = [None] * len(tiers)
    return values


def test_majority_answers_the_shares() -> None:
    """Every row gets the shares, which then sum to 1, and the largest bucket."""
    made = majority_baseline([0, 1, 0, 3, 0], 2)
    assert made.probabilities.tolist() == [[0, 0.25, 0, 0.75, 0]] * 2
    assert made.predicted.tolist() == [3, 3]


def test_logistic_learns_one_informative_input() -> None:
    """Where one code decides the bucket it comes close to certainty, and a bucket never seen gets nothing."""
    labels = np.array([1, 3] * 200)
    made = logistic_baseline(_columns(["a", "b"] * 200), labels, _columns(["a", "b"]))  # type: ignore[arg-type]
    assert made.predicted.tolist() == [1, 3]
    assert made.probabilities.sum(axis=1) == pytest.approx([1.0, 1.0])
    assert made.probabilities[:, [0, 2, 4]].max() == 0.0
    assert evaluate([1, 3], made.probabilities, made.predicted).log_loss < 0.1


def test_logistic_answers_unseen_codes_and_nulls() -> None:
    """A code training never saw, and null numbers, are answered without a warning."""
    columns = _columns(["never seen"])
    columns["capital_social"] = [None]
    made = logistic_baseline(_columns(["a", "b"] * 100), [1, 3] * 100, columns)  # type: ignore[arg-type]
    assert made.probabilities.shape == (1, 5)
    assert made.probabilities.sum() == pytest.approx(1.0)


def test_logistic_needs_two_buckets() -> None:
    """One bucket leaves nothing to separate."""
    with pytest.raises(ValueError, match="one bucket only"):
        logistic_baseline(_columns(["a", "b"]), [1, 1], _columns(["a"]))  # type: ignore[arg-type]
