"""Measures of amounts agree with the library and with cases done by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import mean_pinball_loss

from tests.support.evaluations import Amounts
from training.value_metrics import median_abs_log10_error, pinball_loss, value_report

if TYPE_CHECKING:
    from training.metrics import Floats

MONEY = hnp.arrays(np.float64, 12, elements=st.floats(0, 1e6))


@given(MONEY, MONEY, st.floats(0.01, 0.99))
def test_pinball_agrees_with_the_library(actual: Floats, predicted: Floats, quantile: float) -> None:
    """Equal to scikit-learn's loss."""
    assert pinball_loss(actual, predicted, quantile) == pytest.approx(
        mean_pinball_loss(actual, predicted, alpha=quantile)
    )


def test_the_true_quantile_minimises_pinball_loss() -> None:
    """No other constant does better than the sample quantile."""
    amounts = np.random.default_rng(0).lognormal(8, 1, 500)
    best = pinball_loss(amounts, np.full(500, np.quantile(amounts, 0.9)), 0.9)
    assert all(pinball_loss(amounts, np.full(500, c), 0.9) >= best - 1e-9 for c in np.quantile(amounts, [0.8, 0.95]))


def test_log_error_floors_at_one_brl() -> None:
    """An amount of 0 counts as 1 BRL; ten against one hundred is one order of magnitude."""
    assert median_abs_log10_error([0.0], [0.01]) == 0.0
    assert median_abs_log10_error([100.0], [10.0]) == pytest.approx(1.0)


def _flat(low: float, middle: float, high: float, mean: float, rows: int) -> Amounts:
    return Amounts(*(np.full(rows, value) for value in (middle, low, high, mean)))


def test_report_by_hand() -> None:
    """Four amounts against one constant answer."""
    report = value_report([50.0, 200.0, 300.0, 450.0], _flat(100, 250, 400, 275, 4))
    assert report.interval_coverage == 0.5
    assert report.actual_sum == 1000.0
    assert report.predicted_sum == 1100.0
    assert report.sum_bias == pytest.approx(0.1)
    spread = np.array([225.0, 75, -25, -175]).std(ddof=1)
    assert report.sum_bias_se == pytest.approx(spread * np.sqrt(4) / 1000)
    assert [(p.quantile, p.share) for p in report.calibration] == [(0.1, 0.25), (0.5, 0.5), (0.9, 0.75)]
    assert [p.quantile for p in report.pinball] == [0.1, 0.5, 0.9]
    assert [(row.bucket, row.rows) for row in report.by_bucket] == [(0, 1), (1, 3)]
    assert sum(row.actual_sum for row in report.by_bucket) == report.actual_sum


def test_a_true_model_is_calibrated() -> None:
    """Quantiles of the law that made the amounts cover as they promise, within three standard errors."""
    rng = np.random.default_rng(1)
    middle = rng.uniform(4, 11, 5000)
    amounts = np.exp(middle + rng.normal(0, 1, 5000))
    values = Amounts(
        p50=np.exp(middle),
        lower=np.exp(middle - 1.2816),
        upper=np.exp(middle + 1.2816),
        mean=np.exp(middle + 0.5),
    )
    report = value_report(amounts, values, quantiles={0.25: np.exp(middle - 0.6745)})
    assert abs(report.interval_coverage - 0.8) < 3 * report.interval_coverage_se
    assert all(abs(p.share - p.quantile) < 3 * p.se for p in report.calibration)
    assert [p.quantile for p in report.calibration] == [0.1, 0.25, 0.5, 0.9]
    assert report.sum_bias is not None
    assert report.sum_bias_se is not None
    assert abs(report.sum_bias) < 3 * report.sum_bias_se


def test_nothing_sold_leaves_the_bias_undefined() -> None:
    """A portfolio of zeros has no relative bias."""
    report = value_report([0.0, 0.0], _flat(0, 0, 1, 0.5, 2))
    assert report.sum_bias is None
    assert report.sum_bias_se is None


@pytest.mark.parametrize(
    ("amounts", "options", "message"),
    [
        ([], {}, r"amounts must have shape \(n,\)"),
        ([1.0], {}, r"p50 must have shape \(1,\)"),
        ([1.0, np.nan], {}, "amounts must be finite; row 1 is not"),
        ([1.0, -1.0], {}, "finite and >= 0"),
        ([1.0, 1.0], {"interval_level": 1.0}, "interval_level must lie between 0 and 1"),
        ([1.0, 1.0], {"quantiles": {1.0: [1.0, 1.0]}}, "quantiles must lie between 0 and 1"),
    ],
)
def test_bad_amounts_are_refused(amounts: list[float], options: dict[str, Any], message: str) -> None:
    """The message names the argument and the rule."""
    with pytest.raises(ValueError, match=message):
        value_report(amounts, _flat(0, 1, 2, 1, 2), **options)
