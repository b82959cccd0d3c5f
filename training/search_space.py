"""The search space of a trial, and what is tried before searching."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from training.boosting import BoosterParams

if TYPE_CHECKING:
    import optuna

MAX_TRIAL_ROUNDS: Final = 90


def suggest(trial: optuna.Trial) -> BoosterParams:
    """Parameters of one trial; the same trial gives the same parameters."""
    return BoosterParams(
        eta=BoosterParams().eta,
        max_depth=trial.suggest_int("max_depth", 3, 7),
        min_child_weight=trial.suggest_float("min_child_weight", 1.0, 20.0, log=True),
        subsample=trial.suggest_float("subsample", 0.6, 1.0),
        colsample_bytree=trial.suggest_float("colsample_bytree", 0.5, 1.0),
        reg_lambda=trial.suggest_float("reg_lambda", 0.5, 50.0, log=True),
        gamma=trial.suggest_float("gamma", 0.0, 1.0),
        max_bin=trial.suggest_categorical("max_bin", [128, 256]),
    )


def good_defaults() -> tuple[dict[str, Any], ...]:
    """Points enqueued before the sampler starts: what measured best before, and its neighbours."""
    best = {name: value for name, value in BoosterParams().to_dict().items() if name != "eta"}
    return (
        best,
        {**best, "max_depth": 6, "colsample_bytree": 0.7, "reg_lambda": 1.0},
        {**best, "max_depth": 4, "colsample_bytree": 0.8},
    )


def params_of(values: dict[str, Any]) -> BoosterParams:
    """Parameters from those of a finished trial; what was not searched keeps its default."""
    return BoosterParams.from_dict(values)
