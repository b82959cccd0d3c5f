"""Where TreeWalker and XGBoost's own prediction cross: what `Engine.walk_rows` rests on.

Usage: `python -m benchmarks.engine [--seconds S]`. Prints µs a call, the best of several runs, by trees and rows.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Final

import numpy as np
import xgboost as xgb

from app.contract.buckets import N_BUCKETS
from app.model.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS: Final = (1, 2, 4, 8, 16, 64)
ROUNDS: Final = (20, 80, 150, 300)
DEPTH: Final = 6
FEATURES: Final = 40
TRAINING_ROWS: Final = 6_000


def train(rounds: int) -> bytes:
    """Train on noise with a little signal, so that trees grow to their full depth."""
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(TRAINING_ROWS, FEATURES)).astype(np.float32)
    matrix[rng.random(matrix.shape) < 0.05] = np.nan  # noqa: PLR2004 - as many nulls as merchants have
    labels = np.clip(np.nan_to_num(matrix[:, 0] + matrix[:, 1]) + 2 + rng.normal(size=TRAINING_ROWS), 0, 4).astype(int)
    params = {"objective": "multi:softprob", "num_class": N_BUCKETS, "max_depth": DEPTH, "nthread": 2, "eta": 0.05}
    return bytes(xgb.train(params, xgb.DMatrix(matrix, labels), rounds).save_raw("ubj"))


def best(call: Callable[[], object], seconds: float) -> float:
    """Give the shortest time of a call in µs."""
    shortest = float("inf")
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        started = time.perf_counter()
        call()
        shortest = min(shortest, time.perf_counter() - started)
    return shortest * 1e6


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=0.3, help="for each cell of the table")
    seconds = parser.parse_args().seconds
    rng = np.random.default_rng(1)
    print(f"µs a call, one thread, depth {DEPTH}, {FEATURES} features\n")
    print("| trees | rows | TreeWalker | inplace_predict | faster | chosen |\n|---:|---:|---:|---:|---|---|")
    for rounds in ROUNDS:
        engine = Engine(train(rounds), features=FEATURES)
        for rows in ROWS:
            matrix = rng.normal(size=(rows, FEATURES)).astype(np.float32)
            walked = best(lambda: [engine._walker.margins(row) for row in matrix], seconds)  # noqa: B023, SLF001
            whole = best(lambda: engine.margins_of_many(matrix), seconds)  # noqa: B023
            faster = "TreeWalker" if walked < whole else "inplace_predict"
            chosen = "TreeWalker" if rows <= engine.walk_rows else "inplace_predict"
            print(f"| {rounds * N_BUCKETS} | {rows} | {walked:.0f} | {whole:.0f} | {faster} | {chosen} |", flush=True)


if __name__ == "__main__":
    main()
