"""XGBoost members, and merging them into the one booster that is served."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xgboost as xgb

from app.contract.buckets import N_BUCKETS
from app.model.explain import softmax

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from app.contract.features import Matrix

_CLASSIFIER: Final = {"objective": "multi:softprob", "num_class": N_BUCKETS, "eval_metric": "mlogloss"}
_VALIDATION: Final = "validation"
_LEAST_HESSIAN: Final = 1e-6
_LEAST_PROBABILITY: Final = 1e-3
_LOGISTIC: Final = {"objective": "binary:logistic"}
_REGRESSOR: Final = {"objective": "reg:squarederror", "eval_metric": "rmse"}


@dataclass(frozen=True, slots=True)
class BoosterParams:
    """What tuning decides; names and meanings are XGBoost's own.

    The defaults are what measured best on real merchants and are the first trial of every study.
    """

    eta: float = 0.2
    max_depth: int = 5
    min_child_weight: float = 5.0
    subsample: float = 0.8
    colsample_bytree: float = 1.0
    reg_lambda: float = 10.0
    gamma: float = 0.0
    max_bin: int = 256

    def to_dict(self) -> dict[str, float | int]:
        """XGBoost parameters by name."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> BoosterParams:
        """Parameters from a file or a study.

        Raises:
            TypeError: a name that is not a parameter.
        """
        return replace(cls(), **values)


def train_classifier(
    matrix: Matrix,
    labels: NDArray[np.integer[Any]],
    params: BoosterParams,
    *,
    rounds: int,
    seed: int,
    threads: int,
    validation: tuple[Matrix, NDArray[np.integer[Any]]] | None = None,
    callbacks: Sequence[xgb.callback.TrainingCallback] = (),
) -> tuple[xgb.Booster, NDArray[np.float64]]:
    """Fit one softprob member on hard labels.

    Args:
        matrix: float32 (n, f).
        labels: bucket indices (n,).
        params: see `BoosterParams`.
        rounds: boosting rounds; callbacks may stop earlier.
        seed: of row and column sampling.
        threads: OpenMP threads.
        validation: rows whose log loss is followed round by round.
        callbacks: early stopping, pruning, progress.

    Returns:
        The booster and the validation log loss after each round (empty without validation).
    """
    train = xgb.QuantileDMatrix(matrix, labels, max_bin=params.max_bin, nthread=threads)
    history: dict[str, dict[str, list[float]]] = {}
    booster = xgb.train(
        _settings(_CLASSIFIER, params, seed, threads),
        train,
        rounds,
        evals=_evals(train, validation, params, threads),
        evals_result=history,
        verbose_eval=False,
        callbacks=list(callbacks),
    )
    return booster, np.array(history.get(_VALIDATION, {}).get("mlogloss", []))


def train_ordinal(
    matrix: Matrix,
    labels: NDArray[np.integer[Any]],
    params: BoosterParams,
    *,
    rounds: int,
    seed: int,
    threads: int,
) -> list[xgb.Booster]:
    """Fit one logistic booster a threshold, P(bucket > k) for k = 0..3 (Frank and Hall 2001).

    Args:
        matrix: float32 (n, f).
        labels: bucket indices (n,).
        params: see `BoosterParams`.
        rounds: boosting rounds of each.
        seed: of row and column sampling.
        threads: OpenMP threads.
    """
    boosters = []
    for threshold in range(N_BUCKETS - 1):
        train = xgb.QuantileDMatrix(matrix, labels > threshold, max_bin=params.max_bin, nthread=threads)
        settings = _settings(_LOGISTIC, params, seed * N_BUCKETS + threshold, threads)
        boosters.append(xgb.train(settings, train, rounds))
    return boosters


def ordinal_log_probabilities(boosters: Sequence[xgb.Booster], matrix: Matrix) -> NDArray[np.float64]:
    """Log-probabilities of the buckets from those of exceeding each threshold: float64 (n, 5)."""
    exceeds = np.column_stack(
        [np.ones(len(matrix)), *(booster.inplace_predict(matrix) for booster in boosters), np.zeros(len(matrix))]
    )
    inside = -np.diff(np.minimum.accumulate(exceeds, axis=1), axis=1)
    clipped = np.maximum(inside, _LEAST_PROBABILITY)
    logs: NDArray[np.float64] = np.log(clipped / clipped.sum(axis=1, keepdims=True))
    return logs


def train_student(
    matrix: Matrix,
    targets: NDArray[np.float64],
    params: BoosterParams,
    *,
    rounds: int,
    seed: int,
    threads: int,
) -> tuple[xgb.Booster, NDArray[np.float64]]:
    """Fit a softprob booster on a probability for every bucket (distillation; Hinton, Vinyals and Dean 2015).

    Args:
        matrix: float32 (n, f).
        targets: float64 (n, 5), rows sum to 1.
        params: see `BoosterParams`.
        rounds: boosting rounds.
        seed: of row and column sampling.
        threads: OpenMP threads.

    Returns:
        The booster, and the margins (5,) it starts from, which are not in the booster.
    """
    intercept = np.log(np.maximum(targets.mean(axis=0), _LEAST_PROBABILITY))
    train = xgb.QuantileDMatrix(matrix, targets.argmax(axis=1), max_bin=params.max_bin, nthread=threads)
    train.set_base_margin(np.tile(intercept.astype(np.float32), (len(matrix), 1)))

    def cross_entropy(
        margins: NDArray[np.float32], _data: xgb.DMatrix
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        given = softmax(margins.astype(np.float64).reshape(targets.shape))
        return given - targets, np.maximum(2.0 * given * (1.0 - given), _LEAST_HESSIAN)

    booster = xgb.train(
        _settings(_CLASSIFIER, params, seed, threads),
        train,
        rounds,
        obj=cross_entropy,
    )
    return booster, intercept


def _settings(objective: Mapping[str, Any], params: BoosterParams, seed: int, threads: int) -> dict[str, Any]:
    return {**objective, **params.to_dict(), "seed": seed, "nthread": threads, "tree_method": "hist"}


def _evals(
    train: xgb.QuantileDMatrix,
    validation: tuple[Matrix, NDArray[np.integer[Any]]] | None,
    params: BoosterParams,
    threads: int,
) -> list[tuple[xgb.DMatrix, str]]:
    if validation is None:
        return []
    held_out = xgb.QuantileDMatrix(*validation, ref=train, max_bin=params.max_bin, nthread=threads)
    return [(held_out, _VALIDATION)]


def train_regressor(
    matrix: Matrix, targets: NDArray[np.float64], params: BoosterParams, *, rounds: int, seed: int, threads: int
) -> xgb.Booster:
    """Fit one squared-error member: matrix float32 (n, f), targets (n,)."""
    train = xgb.QuantileDMatrix(matrix, targets, max_bin=params.max_bin, nthread=threads)
    return xgb.train(_settings(_REGRESSOR, params, seed, threads), train, rounds)


@dataclass(frozen=True, slots=True)
class Part:
    """A booster to be merged.

    Attributes:
        booster: with one output, or with all of them.
        columns: the matrix columns it was trained on, in its order.
        weight: factor of its margins.
        group: the output its trees add to, when it has one; None when it has all.
        intercept: margins it starts from, (outputs,), when they are not the booster's own base score.
    """

    booster: xgb.Booster
    columns: NDArray[np.intp]
    weight: float
    group: int | None = None
    intercept: NDArray[np.float64] | None = None


def merge(parts: Sequence[Part], *, features: int, outputs: int = N_BUCKETS) -> bytes:
    """Give one booster whose margins are the weighted sum of the parts' margins.

    A sum of tree ensembles is the ensemble of all their trees with scaled leaves, so a log-linear pool of classifiers
    costs no more machinery to serve than one of them.

    Args:
        parts: members; see `Part`.
        features: columns of the whole matrix.
        outputs: margins a row.

    Returns:
        UBJSON bytes. Margins agree with the weighted sum to float32 rounding.
    """
    trees: list[dict[str, Any]] = []
    groups: list[int] = []
    intercept = np.zeros(outputs)
    for part in parts:
        learner = json.loads(bytes(part.booster.save_raw("json")))["learner"]
        model = learner["gradient_booster"]["model"]
        base = np.atleast_1d(json.loads(learner["learner_model_param"]["base_score"]))
        if part.intercept is not None:
            base = part.intercept
        if part.group is None:
            intercept += part.weight * base
            groups += model["tree_info"]
        else:
            intercept[part.group] += part.weight * base[0]
            groups += [part.group] * len(model["tree_info"])
        trees += [_scaled(tree, part, features) for tree in model["trees"]]
    for number, tree in enumerate(trees):
        tree["id"] = number
    shell = _shell(features, outputs)
    model = shell["learner"]["gradient_booster"]["model"]
    model["trees"], model["tree_info"] = trees, groups
    model["iteration_indptr"] = [0, len(trees)]
    model["gbtree_model_param"]["num_trees"] = str(len(trees))
    shell["learner"]["learner_model_param"]["base_score"] = json.dumps([float(value) for value in intercept])
    merged = xgb.Booster()
    merged.load_model(bytearray(json.dumps(shell).encode()))
    return bytes(merged.save_raw("ubj"))


def _scaled(tree: dict[str, Any], part: Part, features: int) -> dict[str, Any]:
    """Scale the leaves, and number split features by the whole matrix."""
    leaf = np.asarray(tree["left_children"]) < 0
    conditions = np.asarray(tree["split_conditions"], dtype=np.float64)
    tree["split_conditions"] = np.where(leaf, conditions * part.weight, conditions).tolist()
    tree["base_weights"] = (np.asarray(tree["base_weights"], dtype=np.float64) * part.weight).tolist()
    tree["split_indices"] = part.columns[np.asarray(tree["split_indices"])].tolist()
    tree["tree_param"]["num_feature"] = str(features)
    return tree


def _shell(features: int, outputs: int) -> dict[str, Any]:
    """A model with the right shape and no trees worth keeping, for the merged ones to move into."""
    data = xgb.DMatrix(np.zeros((outputs, features), dtype=np.float32), np.arange(outputs))
    settings = {**_CLASSIFIER, "num_class": outputs, "max_depth": 1, "nthread": 1}
    shell: dict[str, Any] = json.loads(bytes(xgb.train(settings, data, 1).save_raw("json")))
    return shell
