"""Each measure agrees with an independent definition, and refuses what it cannot measure."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score

from tests.support.evaluations import answers
from training import metrics as m

UNIFORM = np.full((1, 5), 0.2)


def _distributions(rows: int) -> st.SearchStrategy[m.Floats]:
    return hnp.arrays(np.float64, (rows, 5), elements=st.floats(0.01, 1.0)).map(lambda a: a / a.sum(1, keepdims=True))


def test_log_loss_of_a_uniform_row_is_log_five() -> None:
    """A uniform answer costs log 5 whatever the truth."""
    assert m.row_log_loss([3], UNIFORM) == pytest.approx([math.log(5)])


def test_row_log_loss_averages_to_sklearns() -> None:
    """The per-row losses average to the library's log loss."""
    labels, probabilities = answers(300, 1)
    assert m.row_log_loss(labels, probabilities).mean() == pytest.approx(
        log_loss(labels, probabilities, labels=range(5))
    )


def test_an_impossible_row_costs_a_finite_loss() -> None:
    """A probability of 0 for the truth costs 36, not infinity."""
    assert m.row_log_loss([1], [[1.0, 0, 0, 0, 0]]) == pytest.approx([-math.log(np.finfo(float).eps)])


@pytest.mark.parametrize(
    ("truth", "row", "score"),
    [
        (0, (1, 0, 0, 0, 0), 0.0),
        (4, (1, 0, 0, 0, 0), 1.0),  # every threshold is wrong
        (1, (1, 0, 0, 0, 0), 0.25),  # one of four thresholds is wrong
        (2, (0, 0.5, 0, 0.5, 0), 0.125),  # half wrong at two thresholds: 2 * 0.25 / 4
    ],
)
def test_rps_by_hand(truth: int, row: tuple[float, ...], score: float) -> None:
    """The ranked probability score of rows small enough to do by hand."""
    assert m.row_rps([truth], [row]) == pytest.approx([score])


@given(_distributions(6), hnp.arrays(np.int64, 6, elements=st.integers(0, 4)))
def test_rps_is_the_mean_brier_score_of_the_four_thresholds(probabilities: m.Floats, labels: m.Ints) -> None:
    """The score equals the mean Brier score of the binary questions "at most bucket k"."""
    brier = [
        (probabilities[:, : k + 1].sum(1) - np.array([1.0 if y <= k else 0.0 for y in labels])) ** 2 for k in range(4)
    ]
    assert m.row_rps(labels, probabilities) == pytest.approx(np.mean(brier, axis=0))


@given(_distributions(5), hnp.arrays(np.int64, 5, elements=st.integers(0, 4)))
def test_rps_is_unchanged_when_the_order_is_reversed(probabilities: m.Floats, labels: m.Ints) -> None:
    """Counting buckets from the top gives the same score."""
    assert m.row_rps(4 - labels, probabilities[:, ::-1]) == pytest.approx(m.row_rps(labels, probabilities))


def _slow_ece(confidence: m.Floats, hits: m.Floats, bins: int) -> float:
    total = 0.0
    for b in range(bins):
        rows = [
            (c, h)
            for c, h in zip(confidence, hits, strict=True)
            if (b / bins < c <= (b + 1) / bins) or (b == 0 and c == 0)
        ]
        if rows:
            total += abs(sum(h for _, h in rows) - sum(c for c, _ in rows))
    return total / len(confidence)


@given(
    hnp.arrays(np.float64, 40, elements=st.floats(0, 1)),
    hnp.arrays(np.float64, 40, elements=st.sampled_from([0.0, 1.0])),
    st.integers(1, 20),
)
def test_calibration_error_agrees_with_a_loop_over_bins(confidence: m.Floats, hits: m.Floats, bins: int) -> None:
    """The vectorised error equals a plain loop, on edges too."""
    assert m.binned_gap(confidence, hits, bins) == pytest.approx(_slow_ece(confidence, hits, bins))


def test_ece_bins_the_top_label_fifteenfold() -> None:
    """Confidence is the highest probability, a hit is that bucket, and there are fifteen bins."""
    labels, probabilities = answers(500, 8)
    hits = (probabilities.argmax(1) == labels).astype(float)
    assert m.top_label_ece(labels, probabilities) == pytest.approx(_slow_ece(probabilities.max(1), hits, 15))


def test_ece_by_hand() -> None:
    """Four rows said 0.8 of which two came true: an error of 0.3."""
    probabilities = np.tile([0.05, 0.05, 0.05, 0.05, 0.8], (4, 1))
    assert m.top_label_ece([4, 4, 0, 1], probabilities) == pytest.approx(0.3)


def test_classwise_ece_is_zero_for_the_shares_themselves() -> None:
    """Answering the observed shares is calibrated in every bucket."""
    labels = np.array([0, 1, 2, 3, 3, 3, 3, 3, 4, 4])
    assert m.classwise_ece(labels, np.tile(m.bucket_shares(labels), (10, 1))) == pytest.approx(0.0)


@pytest.mark.parametrize(("value", "index"), [(0.0, 0), (1 / 15, 0), (0.07, 1), (0.999, 14), (1.0, 14)])
def test_bins_are_right_closed(value: float, index: int) -> None:
    """A probability on an edge belongs to the bin below."""
    assert m.bin_index(np.array([value]))[0] == index


def test_calibration_floor_holds_a_calibrated_model_and_shrinks_with_rows() -> None:
    """19 in 20 perfectly calibrated samples stay under their floor; more rows lower it."""
    samples = [answers(400, seed) for seed in range(60)]
    under = [m.top_label_ece(y, p) <= m.calibration_floor(p, resamples=100) for y, p in samples]
    assert sum(under) >= 50
    assert m.calibration_floor(answers(4000, 0)[1]) < 0.6 * m.calibration_floor(answers(400, 0)[1])


def test_calibration_floor_is_the_quantile_of_simulated_errors() -> None:
    """It agrees with drawing labels and calling the calibration error itself."""
    _, probabilities = answers(300, 2)
    rng = np.random.default_rng(9)
    errors = []
    for _ in range(400):
        drawn = np.minimum((probabilities.cumsum(1) < rng.random((300, 1))).sum(1), 4)
        errors.append(m.top_label_ece(drawn, probabilities))
    assert m.calibration_floor(probabilities, resamples=400) == pytest.approx(np.quantile(errors, 0.95), rel=0.1)


def test_evaluate_agrees_with_the_library() -> None:
    """AUC, F1 and accuracy equal scikit-learn's own averages when every bucket occurs."""
    labels, probabilities = answers(800, 3)
    predicted = (probabilities * [3, 2, 1, 1, 1]).argmax(1)
    result = m.evaluate(labels, probabilities, predicted)
    options = {"multi_class": "ovr", "labels": range(5)}
    assert result.auc_weighted == pytest.approx(roc_auc_score(labels, probabilities, average="weighted", **options))
    assert result.auc_macro == pytest.approx(roc_auc_score(labels, probabilities, average="macro", **options))
    assert result.f1_weighted == pytest.approx(f1_score(labels, predicted, average="weighted", zero_division=0.0))
    assert result.f1_macro == pytest.approx(f1_score(labels, predicted, average="macro", zero_division=0.0))
    assert result.accuracy == pytest.approx(accuracy_score(labels, predicted))
    assert result.rows == 800
    assert result.log_loss_se == pytest.approx(m.row_log_loss(labels, probabilities).std(ddof=1) / math.sqrt(800))


def test_quadratic_kappa_by_hand() -> None:
    """Two of four rows right and two one bucket off, with known expected disagreement."""
    labels, predicted = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 0])
    probabilities = np.eye(5)[predicted]
    # Observed squared disagreement 0.5, expected by chance 0.5: kappa is 0.
    assert m.evaluate(labels, probabilities, predicted).quadratic_kappa == pytest.approx(0.0)
    assert m.evaluate(labels, probabilities, labels).quadratic_kappa == pytest.approx(1.0)


def test_one_bucket_only_leaves_auc_undefined() -> None:
    """With one bucket there is nothing to rank; what is undefined is None, and JSON stays valid."""
    result = m.evaluate([2, 2], np.tile(UNIFORM, (2, 1)), [2, 2])
    assert (result.auc_weighted, result.auc_macro) == (None, None)
    assert result.quadratic_kappa == 0.0
    assert result.recall == (None, None, 1.0, None, None)
    assert result.precision == (None, None, 1.0, None, None)
    assert result.to_dict()["recall"] == [None, None, 1.0, None, None]


def test_confusion_counts_truth_by_row() -> None:
    """Truth is the row and the decision the column."""
    counts = m.confusion([0, 0, 4], [1, 1, 4])
    assert counts[0, 1] == 2
    assert counts[4, 4] == 1
    assert counts.sum() == 3


@pytest.mark.parametrize(
    ("labels", "probabilities", "predicted", "message"),
    [
        ([], np.empty((0, 5)), [], r"labels must have shape \(n,\)"),
        ([0.0], UNIFORM, [0], "must be integer bucket indices"),
        ([5], UNIFORM, [0], "must lie in 0-4"),
        ([-1], UNIFORM, [0], "must lie in 0-4"),
        ([0, 1], UNIFORM, [0, 1], r"must have shape \(2, 5\)"),
        ([0], [[0.5, 0.5, 0.5, 0, 0]], [0], "sum to 1; 1 do not, the first is row 0"),
        ([0], [[np.nan, 0.5, 0.5, 0, 0]], [0], "finite and between 0 and 1"),
        ([0], [[-0.5, 0.5, 0.5, 0.5, 0]], [0], "finite and between 0 and 1"),
        ([0], UNIFORM, [0, 1], r"predicted must have shape \(1,\)"),
    ],
)
def test_bad_input_is_refused(labels: list[int], probabilities: m.Floats, predicted: list[int], message: str) -> None:
    """The message names the argument and the rule."""
    with pytest.raises(ValueError, match=message):
        m.evaluate(labels, probabilities, predicted)


def test_slices_add_up_to_the_whole() -> None:
    """Row-weighted, the slices' log losses and accuracies are those of all rows."""
    labels, probabilities = answers(500, 4)
    predicted = probabilities.argmax(1)
    uf = np.random.default_rng(0).choice(["SP", "RJ", "MG"], size=500).astype(object)
    uf[:3] = None
    made = m.slices({"uf": uf}, labels, probabilities, predicted, by=("uf",), min_rows=1)
    whole = m.evaluate(labels, probabilities, predicted)
    weights = [row.rows for row in made]
    assert sum(weights) == 500
    assert np.average([row.log_loss for row in made], weights=weights) == pytest.approx(whole.log_loss)
    assert np.average([row.accuracy for row in made], weights=weights) == pytest.approx(whole.accuracy)
    assert made[-1].value == "missing"
    assert weights == sorted(weights, reverse=True)


def test_small_slices_are_taken_together() -> None:
    """Values under the minimum become one row; a single small one keeps its name."""
    labels, probabilities = answers(10, 4)
    predicted = probabilities.argmax(1)
    two = m.slices({"x": list("aaaaaaaabc")}, labels, probabilities, predicted, by=("x",), min_rows=3)
    assert [(row.value, row.rows) for row in two] == [("a", 8), ("other (2 values)", 2)]
    one = m.slices({"x": list("aaaaaaaaab")}, labels, probabilities, predicted, by=("x",), min_rows=3)
    assert [(row.value, row.rows) for row in one] == [("a", 9), ("b", 1)]
    assert one[1].log_loss_se == 0.0


def test_slices_need_one_value_per_row() -> None:
    """A column of another length is refused by name."""
    with pytest.raises(ValueError, match=r"x must have shape \(1,\)"):
        m.slices({"x": ["a", "b"]}, [0], UNIFORM, [0], by=("x",))


def test_bias_has_the_sign_of_overestimation() -> None:
    """Certain of bucket 4 where the truth is 1: three buckets too high."""
    (row,) = m.slices({"x": ["a"]}, [1], [[0, 0, 0, 0, 1.0]], [4], by=("x",))
    assert row.bias == pytest.approx(3.0)


@given(st.floats(0, 1), st.integers(1, 10_000))
def test_wilson_interval_holds_the_share(share: float, rows: int) -> None:
    """The interval stays in [0, 1], holds the share and has width even at 0 and 1."""
    lower, upper = m.wilson_interval(share, rows)
    assert 0.0 <= lower <= share <= upper <= 1.0
    assert upper > lower


def test_wilson_interval_by_hand() -> None:
    """None of ten: the upper end is z² / (n + z²)."""
    assert m.wilson_interval(0.0, 10) == pytest.approx((0.0, 1.96**2 / (10 + 1.96**2)))
