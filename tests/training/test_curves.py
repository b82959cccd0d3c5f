"""The points behind the plots agree with slow definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.support.evaluations import answers
from training.curves import contribution_summary, cumulative_gain, curves, reliability
from training.metrics import Floats, evaluate, top_label

LABELS, PROBABILITIES = answers(700, 21)
PREDICTED = PROBABILITIES.argmax(1)


def test_reliability_bins_hold_every_row_and_the_calibration_error() -> None:
    """The row-weighted gaps of the bins add up to the top-label calibration error."""
    made = curves(LABELS, PROBABILITIES, PREDICTED)
    assert sum(b.rows for b in made.top) == 700
    gap = sum(b.rows * abs(b.seen - b.said) for b in made.top) / 700
    assert gap == pytest.approx(evaluate(LABELS, PROBABILITIES, PREDICTED).ece)
    assert [sum(b.rows for b in bins) for bins in made.classwise] == [700] * 5


def test_reliability_by_hand() -> None:
    """Two rows in one bin, one in another; empty bins are left out."""
    low, high = reliability(np.array([0.1, 0.2, 0.9]), np.array([0.0, 1.0, 1.0]), bins=2)
    assert low.said == pytest.approx(0.15)
    assert (low.seen, low.rows) == (0.5, 2)
    assert (high.said, high.seen, high.rows) == (0.9, 1.0, 1)
    assert high.lower < 1.0


def test_roc_encloses_its_area() -> None:
    """The area under the thinned curve is the AUC to the width of the grid."""
    made = curves(LABELS, PROBABILITIES, PREDICTED)
    assert [roc.bucket for roc in made.roc] == [0, 1, 2, 3, 4]
    for roc in made.roc:
        assert np.trapezoid(roc.rate, np.linspace(0, 1, len(roc.rate))) == pytest.approx(roc.auc, abs=0.01)
        assert roc.rate[-1] == 1.0


def test_buckets_without_rows_have_no_curve() -> None:
    """With one bucket there is no ROC, and without the highest no gain."""
    made = curves([2, 2], np.full((2, 5), 0.2), [2, 2])
    assert made.roc == ()
    assert made.gain is None
    assert made.confusion[2][2] == 2


def test_gain_by_hand() -> None:
    """Both hits among four rows are ranked first: half the rows hold them all."""
    gain = cumulative_gain(np.array([1.0, 0, 1, 0]), np.array([0.9, 0.2, 0.8, 0.1]))
    assert gain is not None
    assert gain.base_share == 0.5
    assert gain.captured[25] == pytest.approx(0.5)
    assert gain.captured[50] == pytest.approx(1.0)


def test_equal_scores_gain_nothing() -> None:
    """A constant score is the diagonal, in whatever order the rows come."""
    gain = cumulative_gain(np.array([1.0, 1, 0, 0]), np.full(4, 0.3))
    assert gain is not None
    assert gain.captured == pytest.approx(np.linspace(0, 1, 101))


@given(
    hnp.arrays(np.float64, 20, elements=st.sampled_from([0.0, 1.0])),
    hnp.arrays(np.float64, 20, elements=st.floats(0, 1)),
)
def test_gain_rises_from_nothing_to_everything(hits: Floats, score: Floats) -> None:
    """It never falls, and ends at all hits."""
    gain = cumulative_gain(hits, score)
    if gain is None:
        assert not hits.any()
        return
    assert gain.captured[0] == 0.0
    assert gain.captured[-1] == pytest.approx(1.0)
    assert (np.diff(gain.captured) >= -1e-12).all()


def test_top_label_is_of_the_probabilities() -> None:
    """Confidence and hits speak of the most probable bucket."""
    confidence, hits = top_label([4, 0], [[0, 0, 0, 0.4, 0.6], [0.1, 0.9, 0, 0, 0]])
    assert confidence.tolist() == [0.6, 0.9]
    assert hits.tolist() == [1.0, 0.0]


def test_contributions_are_summarised_strongest_first() -> None:
    """Mean absolute value orders the inputs; quantiles keep the sign."""
    strong, weak = contribution_summary(["weak", "strong"], [[0.1, -2.0], [-0.1, -1.0]])
    assert (strong.name, strong.mean_absolute) == ("strong", 1.5)
    assert strong.quantiles[2] == -1.5
    assert weak.quantiles[0] == pytest.approx(-0.09)


@pytest.mark.parametrize("contributions", [np.zeros((0, 2)), np.zeros((3, 1)), np.zeros(2)])
def test_contributions_need_a_column_per_input(contributions: Floats) -> None:
    """Another shape is refused."""
    with pytest.raises(ValueError, match=r"contributions must have shape \(n, 2\)"):
        contribution_summary(["a", "b"], contributions)
