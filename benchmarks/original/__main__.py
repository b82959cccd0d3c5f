"""Run the original's tuning beside this project's: `python -m benchmarks.original --data FILE --calls 100`.

Needs the packages of the dependency group `benchmark`: `pip install --group benchmark`.
"""

from __future__ import annotations

import argparse
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from benchmarks.experiments.models import tuned
from benchmarks.experiments.rows import read
from benchmarks.experiments.rules import project_rule
from benchmarks.experiments.tuning import search, tuning_data
from training.metrics import Metrics, evaluate
from training.search_space import params_of

WHOLE: Final = 100
"""Calls of the original."""


def main() -> None:
    """Print both, on the same test rows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="CSV or Parquet file of merchants")
    parser.add_argument("--calls", type=int, default=WHOLE, help="of the original's search")
    parser.add_argument("--trials", type=int, default=50, help="of this project's search")
    parser.add_argument("--split", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    absent = [name for name in ("lightgbm", "skopt") if find_spec(name) is None]
    if absent:
        sys.exit(f"benchmarks.original: {' and '.join(absent)} not installed. Run pip install --group benchmark")
    # Imported here, since only this command needs them.
    from benchmarks.original.recipe import tune  # noqa: PLC0415

    sides = read(arguments.data, arguments.split, threads=arguments.threads, seed=arguments.seed)
    labels = sides.test.labels
    print("| | tuning s | tuning CPU s | fit s | log loss | AUC weighted | weighted F1 | ECE |")
    print("|---|---|---|---|---|---|---|---|")

    found = tune(sides, calls=arguments.calls, threads=arguments.threads, seed=arguments.seed)
    measured = evaluate(labels, found.probabilities, found.probabilities.argmax(axis=1))
    calls = f"original, {arguments.calls} calls"
    print(_row(calls, f"{found.seconds:.0f}", f"{found.cpu_seconds:.0f}", "in it", measured), flush=True)

    run = search(tuning_data(sides), trials=arguments.trials, threads=arguments.threads, seed=arguments.seed)
    best = run.study.best_trial
    started = time.perf_counter()
    predict = tuned(params_of(best.params), int(best.user_attrs["rounds"]))(sides.train)
    seconds = time.perf_counter() - started
    answered = predict(sides.test.columns)
    rule = project_rule("weighted_f1")(sides.validation.labels, predict(sides.validation.columns))
    measured = evaluate(labels, answered, rule.choose(answered))
    trials = f"this project, {arguments.trials} trials"
    print(_row(trials, f"{run.seconds:.0f}", f"{run.cpu_seconds:.0f}", f"{seconds:.0f}", measured))

    if arguments.calls != WHOLE:
        wall, cpu = (seconds * WHOLE / arguments.calls / 60 for seconds in (found.seconds, found.cpu_seconds))
        print(
            f"\nEXTRAPOLATED from {arguments.calls} calls to {WHOLE}: {wall:.0f} min, {cpu:.0f} CPU min, without the "
            "surrogate forest, whose time grows with the calls"
        )
    print("best of the original:", found.params)


def _row(name: str, tuning: str, cpu: str, fit: str, measured: Metrics) -> str:
    area = "" if measured.auc_weighted is None else f"{measured.auc_weighted:.4f}"
    return (
        f"| {name} | {tuning} | {cpu} | {fit} | {measured.log_loss:.4f} | {area} | {measured.f1_weighted:.4f} "
        f"| {measured.ece:.4f} |"
    )


if __name__ == "__main__":
    main()
