"""Fits that experiments compare, made of the project's own parts; each gives a function from raw inputs to answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from app.contract.features import Matrix, build_matrix, encode, fit
from app.model.engine import Engine
from app.model.explain import softmax
from benchmarks.experiments.blocks import Block, Sample
from training.boosting import BoosterParams, ordinal_log_probabilities, train_classifier, train_ordinal
from training.fit import STUDENTS, TEACHER, FitSettings, Students, View, fit_classifier, fit_students, out_of_fold
from training.pipeline import TEACHER_ROUNDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.experiments.rows import Rows
    from training.fit import Classifier

Floats: TypeAlias = NDArray[np.float64]
Predict: TypeAlias = Callable[[Mapping[str, NDArray[Any]]], Floats]
"""From raw inputs by name, each (n,), to probabilities (n, 5)."""
Fit: TypeAlias = "Callable[[Rows], Predict]"
"""Learns from rows."""

FOLDS: Final = 5
BASELINE: Final = BoosterParams(
    eta=0.05, max_depth=6, min_child_weight=5.0, subsample=0.8, colsample_bytree=0.7, reg_lambda=1.0
)
BASELINE_ROUNDS: Final = 150
ALL: Final = View("all", ())


def single(
    *,
    view: View = ALL,
    params: BoosterParams = BASELINE,
    rounds: int = BASELINE_ROUNDS,
    blocks: Sequence[Block] = (),
    share: float = 1.0,
    seed: int = 0,
) -> Fit:
    """One booster on hard labels.

    Args:
        view: which features it sees, and whether as classes or as thresholds.
        params: of the booster.
        rounds: of boosting.
        blocks: further features.
        share: of the rows, to learn from; the others are left out.
        seed: added to that of the rows.
    """

    def learn(rows: Rows) -> Predict:
        if share < 1.0:
            order = np.random.default_rng(rows.seed).permutation(len(rows.labels))
            rows = rows.take(np.sort(order[: round(share * len(order))]))
        margins = _member(rows, view, params, rounds, rows.seed + seed, blocks=blocks)
        return lambda columns: softmax(margins(columns))

    return learn


def bag(views: Sequence[View], *, params: BoosterParams | None = None, rounds: int = TEACHER_ROUNDS) -> Fit:
    """The log-linear pool of every view's members, each fitted without one of five folds."""

    def learn(rows: Rows) -> Predict:
        fold = rows.folds(FOLDS)
        members = [
            _member(rows.take(np.flatnonzero(fold != number)), view, params or BoosterParams(), rounds, rows.seed + at)
            for number in range(FOLDS)
            for at, view in enumerate(views)
        ]
        return lambda columns: softmax(np.mean([member(columns) for member in members], axis=0))

    return learn


def students(recipe: Students = STUDENTS, *, teacher: tuple[View, ...] = TEACHER) -> Fit:
    """Students of a teacher's out-of-fold answers; with the defaults it is what `training.fit` makes.

    Args:
        recipe: how they learn.
        teacher: views of the teacher's members.
    """

    def learn(rows: Rows) -> Predict:
        answers = _answers(rows, teacher)
        return _served(fit_students(rows.columns, rows.labels, answers, _settings(rows), students=recipe))

    return learn


def tuned(params: BoosterParams, teacher_rounds: int) -> Fit:
    """What `tpv train` measures, with the teacher's members as tuned: the students as one booster."""

    def learn(rows: Rows) -> Predict:
        settings = _settings(rows, teacher_rounds)
        return _served(fit_classifier(rows.columns, rows.labels, params, settings, fold_key=rows.fold_key))

    return learn


@cache
def project(rows: Rows) -> Predict:
    """What `tpv train` measures without tuning."""
    return tuned(BoosterParams(), TEACHER_ROUNDS)(rows)


def _served(classifier: Classifier) -> Predict:
    engine = Engine(classifier.booster, features=len(classifier.fitted.feature_names))
    return lambda columns: softmax(engine.margins_of_many(build_matrix(columns, classifier.fitted)))


def _settings(rows: Rows, teacher_rounds: int = TEACHER_ROUNDS) -> FitSettings:
    return FitSettings(FOLDS, teacher_rounds, rows.seed, rows.threads)


@cache
def _answers(rows: Rows, views: tuple[View, ...]) -> Floats:
    """The teacher's out-of-fold answers, (n, 5), which all students of one teacher share."""
    return out_of_fold(rows.columns, rows.labels, BoosterParams(), _settings(rows), fold=rows.folds(FOLDS), views=views)


def _member(
    rows: Rows, view: View, params: BoosterParams, rounds: int, seed: int, *, blocks: Sequence[Block] = ()
) -> Predict:
    """Fit one booster and give its centred margins as a function of raw inputs."""
    fitted = fit(rows.columns)
    visible = view.columns(fitted.feature_names)
    sample = Sample(encode(rows.columns, fitted), rows.labels, rows.folds(FOLDS)) if blocks else None

    def features(columns: Mapping[str, NDArray[Any]], *, own: bool) -> Matrix:
        seen: Matrix = np.ascontiguousarray(build_matrix(columns, fitted)[:, visible])
        if sample is None:
            return seen
        encoded = encode(columns, fitted)
        return np.hstack([seen, *(block(sample, encoded, own=own).astype(np.float32) for block in blocks)])

    matrix = features(rows.columns, own=True)
    if view.ordinal:
        # As in training: a threshold is learned from one tree a round instead of five.
        boosters = train_ordinal(matrix, rows.labels, params, rounds=-(-rounds // 2), seed=seed, threads=rows.threads)
        return lambda columns: _centred(ordinal_log_probabilities(boosters, features(columns, own=False)))
    booster, _ = train_classifier(matrix, rows.labels, params, rounds=rounds, seed=seed, threads=rows.threads)
    return lambda columns: _centred(booster.inplace_predict(features(columns, own=False), predict_type="margin"))


def _centred(margins: NDArray[np.floating[Any]]) -> Floats:
    values = margins.astype(np.float64)
    centred: Floats = values - values.mean(axis=1, keepdims=True)
    return centred
