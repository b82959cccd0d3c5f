"""The fit: a cross-fitted teacher, and the one student that is served.

The teacher is a log-linear pool of members that see the place through different features, so that they err
differently. It answers every row out of fold, and the student learns from those answers together with the labels. One
student is as good as the teacher's hundred times as many trees; `docs/experiments.md` has the figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xgboost as xgb

from app.contract.buckets import N_BUCKETS
from app.contract.features import Fitted, build_matrix, fit
from app.model.explain import softmax
from training.boosting import BoosterParams, Part, merge, train_classifier, train_student
from training.progress import Progress, silent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from app.contract.inputs import Columns

HARD_SHARE: Final = 0.3
"""Weight of the true bucket in what the student learns; the teacher's out-of-fold answer has the rest."""
STUDENT: Final = BoosterParams(eta=0.08, max_depth=7, min_child_weight=5.0, subsample=0.8, reg_lambda=3.0)
STUDENT_ROUNDS: Final = 200
_PATIENCE: Final = 40


@dataclass(frozen=True, slots=True)
class View:
    """The features that a member may split on.

    Attributes:
        name: for reports.
        hidden: beginnings of the names of features it does not see.
    """

    name: str
    hidden: tuple[str, ...]

    def columns(self, feature_names: Sequence[str]) -> NDArray[np.intp]:
        """Positions of the visible features."""
        return np.array(
            [index for index, name in enumerate(feature_names) if not name.startswith(self.hidden)], dtype=np.intp
        )


CLUSTERS: Final = View("clusters", ("place_position", "place_density", "place_run"))
VIEWS: Final = (
    CLUSTERS,
    View("densities", ("place_run", "place_cluster")),
    View("runs", ("place_density", "place_cluster", "place_log", "municipality")),
    View("no position", ("place_position", "place_run")),
)


@dataclass(frozen=True)
class Classifier:
    """A fitted classifier.

    Attributes:
        fitted: vocabularies and tables of the rows it was fitted on.
        booster: UBJSON of the student, over all features.
        rounds: boosting rounds of the student.
        gains: total gain by feature name.
    """

    fitted: Fitted
    booster: bytes
    rounds: int
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


def fits_needed(settings: FitSettings) -> int:
    """How many finished fits `fit_classifier` tells its progress of."""
    return settings.folds * len(VIEWS) + 1


def fit_classifier(
    columns: Mapping[str, ArrayLike],
    labels: NDArray[np.integer[Any]],
    params: BoosterParams,
    settings: FitSettings,
    *,
    fold_key: NDArray[np.float64],
    features: Fitted | None = None,
    validation: tuple[Mapping[str, ArrayLike], NDArray[np.integer[Any]]] | None = None,
    rounds: int = STUDENT_ROUNDS,
    progress: Progress = silent,
) -> Classifier:
    """Fit teacher and student.

    Args:
        columns: raw inputs of the rows to learn from, n of them.
        labels: bucket indices (n,).
        params: tuned parameters of the teacher's members.
        settings: folds, rounds, seed, threads.
        fold_key: uniform numbers in [0, 1), (n,), equal for identical merchants, so that no fold leaks into another.
        features: keep these vocabularies and tables instead of fitting them on the rows.
        validation: raw inputs and labels of rows that stop the student early, if any.
        rounds: most boosting rounds of the student.
        progress: told of each finished fit.
    """
    fold = np.floor(fold_key * settings.folds).astype(np.intp)
    answers = out_of_fold(columns, labels, params, settings, fold=fold, progress=progress)
    fitted = fit(columns) if features is None else features
    visible = CLUSTERS.columns(fitted.feature_names)

    def seen(rows: Mapping[str, ArrayLike]) -> NDArray[np.float32]:
        return np.ascontiguousarray(build_matrix(rows, fitted)[:, visible])

    booster, intercept, curve = train_student(
        seen(columns),
        HARD_SHARE * np.eye(N_BUCKETS)[labels] + (1.0 - HARD_SHARE) * answers,
        STUDENT,
        rounds=rounds,
        seed=settings.seed,
        threads=settings.threads,
        validation=None if validation is None else (seen(validation[0]), validation[1]),
        callbacks=[] if validation is None else [xgb.callback.EarlyStopping(rounds=_PATIENCE, save_best=False)],
    )
    if validation is not None:
        rounds = int(curve.argmin()) + 1
        booster = booster[:rounds]
    progress(f"fitted the student, {rounds} rounds")
    return Classifier(
        fitted=fitted,
        booster=merge([Part(booster, visible, 1.0, intercept=intercept)], features=len(fitted.feature_names)),
        rounds=rounds,
        gains=_gains(booster, visible, fitted.feature_names),
    )


def out_of_fold(
    columns: Mapping[str, ArrayLike],
    labels: NDArray[np.integer[Any]],
    params: BoosterParams,
    settings: FitSettings,
    *,
    fold: NDArray[np.intp],
    views: Sequence[View] = VIEWS,
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
            booster, _ = train_classifier(
                np.ascontiguousarray(matrix[:, visible]),
                labels[rest],
                params,
                rounds=settings.teacher_rounds,
                seed=settings.seed + position,
                threads=settings.threads,
            )
            margins[own] += booster.inplace_predict(np.ascontiguousarray(held_out[:, visible]), predict_type="margin")
            progress(f"fitted teacher {view.name!r}, fold {int(number) + 1} of {settings.folds}")
    return softmax(margins / len(views))


def _gains(booster: xgb.Booster, visible: NDArray[np.intp], names: Sequence[str]) -> dict[str, float]:
    gains = dict.fromkeys(names, 0.0)
    for key, gain in booster.get_score(importance_type="total_gain").items():
        gains[names[visible[int(key[1:])]]] = float(np.sum(gain))
    return gains
