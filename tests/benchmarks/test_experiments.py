"""The experiments of docs/experiments.md run, and compare like with like."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.metrics import f1_score

from app.contract.buckets import N_BUCKETS, bucketize
from app.contract.features import encode, fit
from app.model.sets import ConformalSets, hull_scores
from benchmarks.experiments import blocks
from benchmarks.experiments.measure import Bench, over_splits, row
from benchmarks.experiments.models import project, students
from benchmarks.experiments.registry import BASELINE_NAME, EXPERIMENTS, Experiment
from benchmarks.experiments.rows import Rows, Sides
from benchmarks.experiments.rules import class_weights, conformal_sets, cumulative_scores
from tests.support.merchants import amounts_of, columns_of, merchants

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS = 500


def side(seed: int, count: int = ROWS) -> Rows:
    """Made-up merchants of one side."""
    made = merchants(count, seed)
    columns = {name: np.array(values, dtype=object) for name, values in columns_of(made).items()}
    fold_key = np.random.default_rng(seed).random(count)
    return Rows(columns, bucketize(amounts_of(made, seed)).astype(np.int64), fold_key, seed=0, threads=1)


@pytest.fixture(scope="module")
def bench() -> Bench:
    """A split of made-up merchants with the baseline fitted."""
    return Bench(Sides(side(1), side(2), side(3)))


def probabilities(seed: int, count: int = 400) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Distributions over buckets, and labels drawn from them."""
    rng = np.random.default_rng(seed)
    drawn = rng.dirichlet(np.full(N_BUCKETS, 0.7), size=count)
    return drawn, (rng.random((count, 1)) > drawn.cumsum(axis=1)[:, :-1]).sum(axis=1)


def test_the_baseline_does_not_differ_from_itself(bench: Bench) -> None:
    """Differences to the baseline are 0 for itself, and its nulls start from its own log loss."""
    figures, predict = bench.measure(EXPERIMENTS[BASELINE_NAME])
    assert figures.log_loss_gain == figures.rps_gain == figures.f1_gain == figures.auc_macro_gain == 0.0
    assert bench.with_nulls(predict)["0"] == pytest.approx(figures.log_loss)
    assert row("baseline", "0", figures).count("|") == 17
    assert "log_loss_gain 0.00000 ± 0.00000" in over_splits("baseline", [figures, figures])


def test_three_students_are_what_training_fits() -> None:
    """The experiments vary the recipe that is shipped, not a copy that has drifted."""
    rows, asked = side(1, 300), side(2, 50).columns
    np.testing.assert_allclose(students()(rows)(asked), project(rows)(asked), atol=1e-7)


def test_students_may_see_no_null() -> None:
    """Without rows that are seen a second time, students learn from the rows alone, and answer otherwise."""
    rows, asked = side(1, 300), side(2, 50).columns
    answers = EXPERIMENTS["hidden-0"].fit(rows)(asked)
    np.testing.assert_allclose(answers.sum(axis=1), 1.0)
    assert np.abs(answers - project(rows)(asked)).max() > 1e-3


@pytest.mark.parametrize("name", [name for name, tried in EXPERIMENTS.items() if tried.group == "features"])
def test_every_feature_experiment_learns(bench: Bench, name: str) -> None:
    """Each feature experiment beats guessing and is not the baseline."""
    tried: Experiment = EXPERIMENTS[name]
    figures, _ = bench.measure(tried)
    assert figures.log_loss < np.log(N_BUCKETS)
    assert 0.0 < abs(figures.log_loss_gain) < 0.2


@pytest.mark.parametrize(
    "block",
    [blocks.pair_frequencies, blocks.uf_frequency, blocks.relative_capital, blocks.frequent_places(1)],
)
def test_a_row_of_the_sample_is_described_without_itself(block: blocks.Block) -> None:
    """A training row gets the features it would have if it were new."""
    alone = side(5, 200)
    fitted = fit(alone.columns)
    encoded = encode(alone.columns, fitted)
    others = np.arange(1, 200)
    sample = blocks.Sample(encoded, alone.labels, alone.folds(5))
    own = block(sample, encoded, own=True)[:1]
    first = encode({name: values[:1] for name, values in alone.columns.items()}, fitted)
    described = block(sample.take(others), first, own=False)
    # The overall median of capital moves a little when one of 200 rows leaves.
    np.testing.assert_allclose(own, described, atol=0.05)


def test_labels_of_its_own_fold_do_not_describe_a_row() -> None:
    """Statistics of labels leak nothing into training rows."""
    alone = side(6, 200)
    encoded = encode(alone.columns, fit(alone.columns))
    fold = alone.folds(5)
    turned = np.where(fold == 0, N_BUCKETS - 1 - alone.labels, alone.labels)
    for block in (blocks.hierarchy_means(), blocks.place_means(cumulative=True)):
        before = block(blocks.Sample(encoded, alone.labels, fold), encoded, own=True)
        after = block(blocks.Sample(encoded, turned, fold), encoded, own=True)
        np.testing.assert_array_equal(before[fold == 0], after[fold == 0])
        assert (before[fold != 0] != after[fold != 0]).any()


def test_sets_by_the_projects_score_are_the_projects_sets() -> None:
    """Sets by the project's score are those that are served."""
    held_out, labels = probabilities(1)
    asked, _ = probabilities(2)
    first, last = ConformalSets.fit(labels.astype(np.int8), held_out).intervals(asked, 0.9, class_conditional=False)
    inside = conformal_sets(hull_scores, labels, held_out, asked, 0.9)
    np.testing.assert_array_equal(inside.sum(axis=1), last - first + 1)


def test_cumulative_sets_cover_and_are_contiguous() -> None:
    """Adaptive sets keep the promise and have no holes."""
    held_out, labels = probabilities(3, 4000)
    asked, true = probabilities(4, 4000)
    inside = conformal_sets(cumulative_scores, labels, held_out, asked, 0.9)
    assert inside[np.arange(len(true)), true].mean() == pytest.approx(0.9, abs=0.02)
    assert (np.abs(np.diff(inside, axis=1, prepend=0.0, append=0.0)).sum(axis=1) == 2.0).all()
    np.testing.assert_allclose(cumulative_scores(asked).min(axis=1), -1.0)


def test_class_weights_do_not_lose_on_the_rows_they_are_fitted_on() -> None:
    """Coordinate ascent never ends below where it starts."""
    held_out, labels = probabilities(5)
    chosen = class_weights(labels, held_out).choose(held_out)
    plain = f1_score(labels, held_out.argmax(axis=1), average="weighted")
    assert f1_score(labels, chosen, average="weighted") >= plain


def test_a_share_of_the_rows_teaches_less() -> None:
    """The learning curve leaves rows out."""
    rows = side(1)
    fewer = EXPERIMENTS["learn-25"].fit(rows)
    assert not np.allclose(fewer(rows.columns), EXPERIMENTS[BASELINE_NAME].fit(replace(rows))(rows.columns))
