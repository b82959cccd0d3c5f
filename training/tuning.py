"""Search for booster parameters with Optuna, on training and validation rows only.

A trial fits one member on the training rows and is judged by its log loss on the validation rows. Early stopping ends
a fit that no longer improves, and a trial that at the same round is worse than most before it is pruned. The study
lives in a database, so it can be resumed and shared by several processes.
"""

from __future__ import annotations

import fcntl
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
import optuna
import xgboost as xgb
from optuna.trial import TrialState
from sqlalchemy import create_engine, func, make_url, select
from sqlalchemy.pool import NullPool
from typing_extensions import override

from app.errors import TPVError
from training.boosting import BoosterParams, train_classifier
from training.search_space import MAX_TRIAL_ROUNDS, good_defaults, params_of, suggest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from app.contract.features import Matrix
    from training.config import TuneConfig

_DATA_KEY: Final = "data"
_REPORT_EVERY: Final = 5
_WARM_UP_ROUNDS: Final = 15
_STARTUP_TRIALS: Final = 5
_LOCK_KEY: Final = int.from_bytes(b"tpvstudy")
"""Of the advisory lock; any number will do that no other user of the database takes."""


class StudyError(TPVError):
    """The study cannot be opened or used; the message says what to do."""

    code: ClassVar[str] = "study"


@dataclass(frozen=True, slots=True)
class TuningData:
    """What a trial sees: the matrices and labels of training and validation rows, built once.

    Attributes:
        train: float32 (n, f).
        train_labels: (n,).
        validation: float32 (m, f).
        validation_labels: (m,).
        identity: digest of the data and split; a study of other data is refused.
    """

    train: Matrix
    train_labels: NDArray[np.integer[Any]]
    validation: Matrix
    validation_labels: NDArray[np.integer[Any]]
    identity: str


@dataclass(frozen=True, slots=True)
class Finished:
    """What is told after each trial.

    Attributes:
        trials: finished in this call.
        wanted: to be finished in this call.
        best: best validation log loss of the study, or None.
        state: how the last trial ended.
        seconds_left: until the time is over, or None without a limit.
    """

    trials: int
    wanted: int
    best: float | None
    state: TrialState
    seconds_left: float | None


class _Prune(xgb.callback.TrainingCallback):
    """Reports the validation loss to the trial and gives it up when it is not worth finishing."""

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial = trial

    @override
    def after_iteration(self, model: Any, epoch: int, evals_log: dict[str, Any]) -> bool:
        if (epoch + 1) % _REPORT_EVERY == 0:
            self.trial.report(evals_log["validation"]["mlogloss"][-1], epoch + 1)
            if self.trial.should_prune():
                raise optuna.TrialPruned
        return False


class _NumberedSampler(optuna.samplers.BaseSampler):
    """TPE whose draws depend on the seed and the trial's number alone.

    A sampler that is seeded once begins its sequence again when a study is resumed, and two processes with one seed
    would try the same points. By number, a resumed study goes on as if it had never stopped, and processes differ.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._inner = self._sampler(0)

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        seed = int(np.random.SeedSequence((self._seed, number)).generate_state(1)[0])
        return optuna.samplers.TPESampler(seed=seed, multivariate=True, n_startup_trials=10)

    @override
    def before_trial(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        self._inner = self._sampler(trial.number)
        self._inner.before_trial(study, trial)

    @override
    def infer_relative_search_space(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial
    ) -> dict[str, optuna.distributions.BaseDistribution]:
        return self._inner.infer_relative_search_space(study, trial)

    @override
    def sample_relative(
        self,
        study: optuna.Study,
        trial: optuna.trial.FrozenTrial,
        search_space: dict[str, optuna.distributions.BaseDistribution],
    ) -> dict[str, Any]:
        return self._inner.sample_relative(study, trial, search_space)

    @override
    def sample_independent(
        self,
        study: optuna.Study,
        trial: optuna.trial.FrozenTrial,
        param_name: str,
        param_distribution: optuna.distributions.BaseDistribution,
    ) -> Any:
        return self._inner.sample_independent(study, trial, param_name, param_distribution)


def make_objective(data: TuningData, config: TuneConfig) -> Callable[[optuna.Trial], float]:
    """Close over the data: the objective of a trial is the best validation log loss of its fit."""

    def objective(trial: optuna.Trial) -> float:
        _, curve = train_classifier(
            data.train,
            data.train_labels,
            suggest(trial),
            rounds=MAX_TRIAL_ROUNDS,
            seed=config.seed,
            threads=config.threads,
            validation=(data.validation, data.validation_labels),
            callbacks=[xgb.callback.EarlyStopping(rounds=config.early_stopping_rounds), _Prune(trial)],
        )
        trial.set_user_attr("rounds", int(curve.argmin()) + 1)
        return float(curve.min())

    return objective


@contextmanager
def _alone(storage: str) -> Iterator[None]:
    """Let one process at a time create a study: two would both make its tables and enqueue its first points.

    SQLite has a lock file beside the study, PostgreSQL an advisory lock. It is held by a transaction, so that it ends
    with the connection, and holds behind a connection pooler too. Of another database one process must make the study
    before others share it.
    """
    url = make_url(storage)
    if url.get_backend_name() == "sqlite" and url.database not in {None, "", ":memory:"}:
        with Path(f"{url.database}.lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
    elif url.get_backend_name() == "postgresql":
        with create_engine(url, poolclass=NullPool).begin() as connection:
            connection.execute(select(func.pg_advisory_xact_lock(_LOCK_KEY)))
            yield
    else:
        yield


def open_study(config: TuneConfig, identity: str) -> optuna.Study:
    """Create the study, or open it to go on.

    Raises:
        StudyError: the storage cannot be reached, or the study is of other data.
    """
    try:
        with _alone(config.storage):
            return _open_study(config, identity)
    except StudyError:
        raise
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise StudyError(
            f"tune.storage: cannot open the study at {config.storage.split('@')[-1]!r} ({reason}). Give a URL such as "
            "sqlite:///models/study.db or postgresql+psycopg://user@host/name that can be reached and written."
        ) from error


def _open_study(config: TuneConfig, identity: str) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        # Without a pool no connection outlives its use: a server's are few, and a study's are seldom.
        storage=optuna.storages.RDBStorage(config.storage, engine_kwargs={"poolclass": NullPool}),
        study_name=config.study,
        direction="minimize",
        load_if_exists=True,
        sampler=_NumberedSampler(config.seed),
        pruner=optuna.pruners.MedianPruner(
            n_startup_trials=_STARTUP_TRIALS, n_warmup_steps=_WARM_UP_ROUNDS, interval_steps=_REPORT_EVERY
        ),
    )
    known = study.user_attrs.get(_DATA_KEY)
    if known is None:
        study.set_user_attr(_DATA_KEY, identity)
        for point in good_defaults():
            study.enqueue_trial(point, skip_if_exists=True)
    elif known != identity:
        raise StudyError(
            f"tune.study: the study {config.study!r} was made on other data or another split. Name another study, or "
            "delete it, for its trials cannot be compared with new ones."
        )
    return study


def tune(data: TuningData, config: TuneConfig, *, tell: Callable[[Finished], None] | None = None) -> optuna.Study:
    """Run trials; what is done stays done when it is interrupted.

    Args:
        data: training and validation rows; the test rows must not be among them.
        config: trials, time limit, storage, seed.
        tell: called after every trial.

    Raises:
        StudyError: see `open_study`.
        KeyboardInterrupt: passed on once the running trial is marked as failed; finished trials are kept.
    """
    study = open_study(config, data.identity)
    started = time.monotonic()
    done = 0

    def after(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        nonlocal done
        done += 1
        if tell is not None:
            limit = config.timeout_seconds
            left = None if limit is None else max(0.0, limit - (time.monotonic() - started))
            tell(Finished(done, config.trials, best_value(study), trial.state, left))

    study.optimize(
        make_objective(data, config),
        n_trials=config.trials,
        timeout=config.timeout_seconds,
        callbacks=[after],
    )
    return study


def best_value(study: optuna.Study) -> float | None:
    """Best validation log loss so far, or None before the first finished trial."""
    values = [trial.value for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))]
    return min((value for value in values if value is not None), default=None)


def best_params(study: optuna.Study) -> tuple[BoosterParams, int] | None:
    """Parameters of the best trial and the rounds it took, or None when no trial finished."""
    if best_value(study) is None:
        return None
    return params_of(study.best_params), int(study.best_trial.user_attrs["rounds"])
