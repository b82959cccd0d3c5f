"""What pruning saves and costs: `python -m benchmarks.experiments.tuning --data FILE --trials 50`.

Runs the same trials with and without pruning, from the same seed, each in a study of its own, and prints times, the
share of pruned trials and the best validation log loss after some of them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import optuna
from optuna.trial import TrialState

from app.contract.features import build_matrix, fit
from benchmarks.experiments.rows import read
from training.config import TuneConfig
from training.tuning import TuningData, make_objective, open_study

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.experiments.rows import Sides


@dataclass(frozen=True)
class Run:
    """A study that ran.

    Attributes:
        study: its trials.
        seconds: wall time.
        cpu_seconds: of all threads.
    """

    study: optuna.Study
    seconds: float
    cpu_seconds: float

    @property
    def pruned(self) -> int:
        """Trials given up."""
        return len(self.study.get_trials(deepcopy=False, states=(TrialState.PRUNED,)))

    def best_after(self, trials: int) -> float:
        """Least validation log loss of the first so many trials."""
        known = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return min(trial.value for trial in known if trial.value is not None and trial.number < trials)


def tuning_data(sides: Sides) -> TuningData:
    """What trials see; the test rows are not among it."""
    fitted = fit(sides.train.columns)
    return TuningData(
        train=build_matrix(sides.train.columns, fitted),
        train_labels=sides.train.labels,
        validation=build_matrix(sides.validation.columns, fitted),
        validation_labels=sides.validation.labels,
        identity="benchmark",
    )


def search(data: TuningData, *, trials: int, threads: int, prune: bool = True, seed: int = 0) -> Run:
    """Run the project's own search in a study that is thrown away, with or without its pruner."""
    with tempfile.TemporaryDirectory() as directory:
        config = TuneConfig(trials=trials, threads=threads, seed=seed, storage=f"sqlite:///{directory}/study.db")
        study = open_study(config, data.identity)
        if not prune:
            study.pruner = optuna.pruners.NopPruner()
        wall, cpu = time.perf_counter(), time.process_time()
        study.optimize(make_objective(data, config), n_trials=trials)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        kept = optuna.create_study(direction="minimize")
        kept.add_trials(study.trials)
    return Run(kept, wall, cpu)


def main(argv: Sequence[str] | None = None) -> None:
    """Print a line with pruning and one without."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="CSV or Parquet file of merchants")
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--split", type=int, default=0)
    parser.add_argument("--seed", type=int, nargs="+", default=[0], help="of the sampler and of the fits")
    parser.add_argument("--only-pruned", action="store_true", help="leave the search without pruning out")
    arguments = parser.parse_args(argv)
    data = tuning_data(read(arguments.data, arguments.split))
    steps = sorted({min(step, arguments.trials) for step in (1, 10, 25, 50, 100, 200, 300, arguments.trials)})
    print("| pruning | seed | s | CPU s | pruned | best after trials |\n|---|---|---|---|---|---|")
    for seed in arguments.seed:
        for prune in (True,) if arguments.only_pruned else (True, False):
            run = search(data, trials=arguments.trials, threads=arguments.threads, prune=prune, seed=seed)
            best = ", ".join(f"{step}: {run.best_after(step):.5f}" for step in steps)
            print(
                f"| {'yes' if prune else 'no'} | {seed} | {run.seconds:.0f} | {run.cpu_seconds:.0f} "
                f"| {run.pruned} of {arguments.trials} | {best} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
