"""The gate lets through what is better beyond doubt and honest, and says why in figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.support.evaluations import SHARES, answers
from training.gate import GateDecision, gate, paired_bootstrap

if TYPE_CHECKING:
    from training.metrics import Floats, Ints

LABELS, GOOD = answers(3000, 11)
FLAT = 0.5 * GOOD + 0.5 * SHARES
SETTINGS = {"margin": 0.0, "confidence": 0.95, "max_ece": 0.02, "resamples": 400, "seed": 0}


def _gate(challenger: Floats, champion: Floats | None, *, labels: Ints = LABELS, **changes: float) -> GateDecision:
    return gate(challenger, champion, labels=labels, shares=SHARES, **(SETTINGS | changes))  # type: ignore[arg-type]


def test_bootstrap_agrees_with_the_normal_interval() -> None:
    """On many rows the percentile interval is close to mean ± 1.96 standard errors."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(1.0, 0.5, 4000), rng.normal(0.9, 0.5, 4000)
    found = paired_bootstrap(a, b, seed=1, resamples=2000)
    error = (a - b).std(ddof=1) / np.sqrt(4000)
    assert found.estimate == pytest.approx((a - b).mean())
    assert found.lower == pytest.approx(found.estimate - 1.96 * error, abs=0.1 * error)
    assert found.upper == pytest.approx(found.estimate + 1.96 * error, abs=0.1 * error)


def test_bootstrap_pairs_rows() -> None:
    """A constant difference has no uncertainty however noisy the losses are."""
    noisy = np.random.default_rng(0).exponential(5.0, 500)
    found = paired_bootstrap(noisy + 0.01, noisy, seed=0, resamples=50)
    assert (found.lower, found.upper) == pytest.approx((0.01, 0.01))


@given(hnp.arrays(np.float64, 30, elements=st.floats(0, 10)), st.integers(0, 2**31))
def test_bootstrap_is_seeded_and_antisymmetric(losses: Floats, seed: int) -> None:
    """The same seed gives the same interval; swapping the sides mirrors it."""
    other = losses[::-1].copy()
    found = paired_bootstrap(losses, other, seed=seed, resamples=40)
    mirrored = paired_bootstrap(other, losses, seed=seed, resamples=40)
    assert found == paired_bootstrap(losses, other, seed=seed, resamples=40)
    assert (mirrored.lower, mirrored.upper) == pytest.approx((-found.upper, -found.lower), abs=1e-12)
    assert found.lower <= found.upper


@pytest.mark.parametrize(
    ("a", "b", "options", "message"),
    [
        ([1.0], [1.0, 2.0], {}, "one shape"),
        ([], [], {}, "one shape"),
        ([np.inf], [1.0], {}, "finite"),
        ([1.0], [1.0], {"confidence": 1.0}, "confidence must lie between 0 and 1"),
        ([1.0], [1.0], {"resamples": 0}, "resamples must be at least 1"),
    ],
)
def test_bootstrap_refuses_bad_input(a: list[float], b: list[float], options: dict[str, int], message: str) -> None:
    """The message names the argument and the rule."""
    with pytest.raises(ValueError, match=message):
        paired_bootstrap(a, b, seed=0, **options)


def test_a_better_challenger_passes() -> None:
    """Sharper and calibrated beats the champion."""
    decision = _gate(GOOD, FLAT)
    assert decision.passed
    assert decision.against == "champion"
    assert decision.difference.upper < 0
    assert [reason.split(":")[0] for reason in decision.reasons] == ["Better", "Calibrated"]


def test_a_worse_challenger_is_refused_with_figures() -> None:
    """The reason tells both log losses, the difference and its interval."""
    decision = _gate(FLAT, GOOD)
    assert not decision.passed
    assert decision.reasons[0].startswith("Refused, not better beyond doubt: log loss ")
    assert f"{decision.difference.estimate:+.4f}" in decision.reasons[0]
    assert "3,000 rows" in decision.reasons[0]


def test_the_champion_itself_is_refused() -> None:
    """An equal challenger is not better."""
    assert not _gate(GOOD, GOOD).passed


def test_the_margin_is_demanded() -> None:
    """A challenger that is better by less than the margin is refused."""
    gained = -_gate(GOOD, FLAT).difference.estimate
    assert not _gate(GOOD, FLAT, margin=2 * gained).passed
    assert f"must lie below -{2 * gained:.4f}" in _gate(GOOD, FLAT, margin=2 * gained).reasons[0]


def test_without_a_champion_the_majority_baseline_is_the_bar() -> None:
    """The first model must beat the shares."""
    assert _gate(GOOD, None).passed
    refused = _gate(np.tile(SHARES, (LABELS.size, 1)), None)
    assert not refused.passed
    assert refused.against == "majority baseline"


def test_overconfidence_is_refused_even_when_better() -> None:
    """A sharp but miscalibrated challenger beats a weak champion and is refused all the same."""
    sharp = GOOD**1.6
    decision = _gate(sharp / sharp.sum(1, keepdims=True), np.full_like(GOOD, 0.2))
    assert decision.reasons[0].startswith("Better")
    assert decision.reasons[1].startswith("Refused, miscalibrated: calibration error 0.")
    assert not decision.passed


def test_few_rows_do_not_refuse_a_calibrated_model() -> None:
    """On 200 rows the error of a perfect model exceeds the limit by chance, and that is no ground for refusal."""
    labels, probabilities = answers(200, 12)
    decision = _gate(probabilities, np.full_like(probabilities, 0.2), labels=labels, max_ece=0.001)
    assert decision.passed
    assert "a perfectly calibrated model stays under" in decision.reasons[1]
