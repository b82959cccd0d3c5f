"""The fit: a cross-fitted teacher, and the students that are served as one booster.

The teacher is a log-linear pool of members that see the place through different features, and see the buckets as
classes or as thresholds, so that they err differently. It answers every row out of fold, and a few small students learn
from those answers together with the labels. The students' pool is one booster and nearly as good as the teacher's many
times as many trees; `docs/experiments.md` has the figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from app.contract.buckets import N_BUCKETS
from app.contract.features import Fitted, build_matrix, fit
from app.model.explain import softmax
from training.boosting import (
    BoosterParams,
    Part,
    merge,
    ordinal_log_probabilities,
    train_classifier,
    train_ordinal,
    train_student,
)
from training.hiding import hide_inputs
from training.progress import Progress, silent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import xgboost as xgb
    from numpy.typing import ArrayLike, NDArray

    from app.contract.features import Matrix
    from app.contract.inputs import Columns


@dataclass(frozen=True, slots=True)
class View:
    """What a member sees.

    Attributes:
        name: for reports.
        hidden: beginnings of the names of features it does not see.
        ordinal: whether it sees the buckets as four thresholds instead of five classes.
    """

    name: str
    hidden: tuple[str, ...]
    ordinal: bool = False

    def columns(self, feature_names: Sequence[str]) -> NDArray[np.intp]:
        """Positions of the visible features."""
        return np.array(
            [index for index, name in enumerate(feature_names) if not name.startswith(self.hidden)], dtype=np.intp
        )


_CLUSTERS: Final = ("place_position", "place_density", "place_run")
_DENSITIES: Final = ("place_run", "place_cluster")
_RUNS: Final = ("place_density", "place_cluster", "place_log", "municipality")
_NO_POSITION: Final = ("place_position", "place_run")
TEACHER: Final = (
    View("runs", _RUNS),
    View("densities", _DENSITIES),
    View("clusters, ordinal", _CLUSTERS, ordinal=True),
    View("no position, ordinal", _NO_POSITION, ordinal=True),
)


@dataclass(frozen=True, slots=True)
class Students:
    """How students learn from a teacher.

    Attributes:
        views: one student each.
        params: of every student.
        rounds: boosting rounds of each.
        hard_share: weight of the true bucket in what they learn; the teacher's out-of-fold answer has the rest.
        hidden_share: share of the rows that they see a second time with inputs hidden, and the same target.
    """

    views: tuple[View, ...]
    params: BoosterParams
    rounds: int
    hard_share: float
    hidden_share: float


STUDENTS: Final = Students(
    views=(View("clusters", _CLUSTERS), View("densities", _DENSITIES), View("runs", _RUNS)),
    params=BoosterParams(eta=0.1, max_depth=6, min_child_weight=5.0, subsample=0.8, reg_lambda=3.0),
    rounds=120,
    hard_share=0.3,
    hidden_share=0.4,
)


@dataclass(frozen=True)
class Classifier:
    """A fitted classifier.

    Attributes:
        fitted: vocabularies and tables of the rows it was fitted on.
        booster: UBJSON of the merged students, over all features.
        gains: total gain by feature name.
    """

    fitted: Fitted
    booster: bytes
    gains: dict[str, float]


@dataclass(frozen=True, slots=True)
class FitSettings:
    """What a fit needs beyond rows and tuned parameters.

    Attributes:
        folds: of the teacher's out-of-fold answers.
        teacher_rounds: boosting rounds of each member.
        seed: of sampling.
        threads: OpenMP threads.
    """

    folds: int
    teacher_rounds: int
    seed: int
    threads: int


def take(columns: Columns, rows: NDArray[np.integer[Any]]) -> dict[str, NDArray[Any]]:
    """Rows of every column."""
    return {name: np.asarray(values)[rows] for name, values in columns.items()}


def fits_needed(folds: int) -> int:
    """How many finished fits `fit_classifier` tells its progress of."""
    return folds * len(TEACHER) + len(STUDENTS.views)


def fit_classifier(
    columns: Mapping[str, ArrayLike],
    labels: NDArray[np.integer[Any]],
    params: BoosterParams,
    settings: FitSettings,
    *,
    fold_key: NDArray[np.float64],
    features: Fitted | None = None,
    progress: Progress = silent,
) -> Classifier:
    """Fit teacher and students.

    Args:
        columns: raw inputs of the rows to learn from, n of them.
        labels: bucket indices (n,).
        params: tuned parameters of the teacher's members.
        settings: folds, rounds, seed, threads.
        fold_key: uniform numbers in [0, 1), (n,), equal for identical merchants, so that no fold leaks into another.
        features: keep these vocabularies and tables instead of fitting them on the rows.
        progress: told of each finished fit.
    """
    fold = np.floor(fold_key * settings.folds).astype(np.intp)
    answers = out_of_fold(columns, labels, params, settings, fold=fold, progress=progress)
    return fit_students(columns, labels, answers, settings, features=features, progress=progress)


def fit_students(
    columns: Mapping[str, ArrayLike],
    labels: NDArray[np.integer[Any]],
    answers: NDArray[np.float64],
    settings: FitSettings,
    *,
    students: Students = STUDENTS,
    features: Fitted | None = None,
    progress: Progress = silent,
) -> Classifier:
    """Fit students to labels and a teacher's answers, and merge them.

    Args:
        columns: raw inputs of the rows to learn from, n of them.
        labels: bucket indices (n,).
        answers: of the teacher, out of fold, float64 (n, 5).
        settings: seed and threads.
        students: how they learn.
        features: keep these vocabularies and tables instead of fitting them on the rows.
        progress: told of each finished fit.
    """
    fitted = fit(columns) if features is None else features
    names = fitted.feature_names
    targets = students.hard_share * np.eye(N_BUCKETS)[labels] + (1.0 - students.hard_share) * answers
    rng = np.random.default_rng(settings.seed)
    also = np.sort(rng.permutation(len(labels))[: int(students.hidden_share * len(labels))])
    matrix = np.vstack([build_matrix(columns, fitted), build_matrix(hide_inputs(take(columns, also), rng), fitted)])
    targets = np.vstack([targets, targets[also]])
    parts: list[Part] = []
    gains = dict.fromkeys(names, 0.0)
    for position, view in enumerate(students.views):
        visible = view.columns(names)
        booster, intercept = train_student(
            np.ascontiguousarray(matrix[:, visible]),
            targets,
            students.params,
            rounds=students.rounds,
            seed=settings.seed + position,
            threads=settings.threads,
        )
        parts.append(Part(booster, visible, 1.0 / len(students.views), intercept=intercept))
        for name, gain in _gains(booster, visible, names).items():
            gains[name] += gain
        progress(f"fitted student {view.name!r}")
    return Classifier(fitted, merge(parts, features=len(names)), gains)


def out_of_fold(
    columns: Mapping[str, ArrayLike],
    labels: NDArray[np.integer[Any]],
    params: BoosterParams,
    settings: FitSettings,
    *,
    fold: NDArray[np.intp],
    views: Sequence[View] = TEACHER,
    progress: Progress = silent,
) -> NDArray[np.float64]:
    """Let the teacher answer every row without having seen it: float64 (n, 5).

    A fold's features are fitted without it, like the boosters: its unseen places stay unseen.
    """
    margins = np.zeros((len(labels), N_BUCKETS))
    for number in np.unique(fold):
        rest, own = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        fitted = fit(take(columns, rest))
        matrix, held_out = build_matrix(take(columns, rest), fitted), build_matrix(take(columns, own), fitted)
        for position, view in enumerate(views):
            visible = view.columns(fitted.feature_names)
            margins[own] += _member_margins(
                np.ascontiguousarray(matrix[:, visible]),
                labels[rest],
                np.ascontiguousarray(held_out[:, visible]),
                params,
                settings,
                seed=settings.seed + position,
                ordinal=view.ordinal,
            )
            progress(f"fitted teacher {view.name!r}, fold {int(number) + 1} of {settings.folds}")
    return softmax(margins / len(views))


def _member_margins(
    matrix: Matrix,
    labels: NDArray[np.integer[Any]],
    held_out: Matrix,
    params: BoosterParams,
    settings: FitSettings,
    *,
    seed: int,
    ordinal: bool,
) -> NDArray[np.float64]:
    """Fit one member and give its centred margins on held-out rows, (m, 5)."""
    rounds, threads = settings.teacher_rounds, settings.threads
    if ordinal:
        # A threshold is learned from one tree a round instead of five, and overfits in half as many.
        boosters = train_ordinal(matrix, labels, params, rounds=-(-rounds // 2), seed=seed, threads=threads)
        margins = ordinal_log_probabilities(boosters, held_out)
    else:
        booster, _ = train_classifier(matrix, labels, params, rounds=rounds, seed=seed, threads=threads)
        margins = np.asarray(booster.inplace_predict(held_out, predict_type="margin"), dtype=np.float64)
    centred: NDArray[np.float64] = margins - margins.mean(axis=1, keepdims=True)
    return centred


def _gains(booster: xgb.Booster, visible: NDArray[np.intp], names: Sequence[str]) -> dict[str, float]:
    gains = dict.fromkeys(names, 0.0)
    for key, gain in booster.get_score(importance_type="total_gain").items():
        gains[names[visible[int(key[1:])]]] = float(np.sum(gain))
    return gains
