"""A small evaluation, computed by the real functions from made-up answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from training import evaluation as ev

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHARES = np.array([0.02, 0.05, 0.28, 0.57, 0.08])
INPUTS = ("tier", "uf", "mcc")


@dataclass(frozen=True)
class Amounts:
    """Predicted amounts around a median, in BRL."""

    p50: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    mean: NDArray[np.float64]


@dataclass(frozen=True)
class Answers:
    """What a predictor gives."""

    probabilities: NDArray[np.float64]
    bucket: NDArray[np.int64]


def answers(rows: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Probabilities around the shares, and labels drawn from them: a perfectly calibrated model."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(SHARES * 12, size=rows)
    labels = (probabilities.cumsum(axis=1) < rng.random((rows, 1))).sum(axis=1)
    return np.minimum(labels, 4), probabilities


def make_evaluation(*, rows: int = 600, synthetic: bool = False, full: bool = True) -> ev.Evaluation:
    """Build an evaluation; with `full=False`, everything that may be left out is."""
    rng = np.random.default_rng(5)
    labels, probabilities = answers(rows, 5)
    predicted = probabilities.argmax(axis=1)
    train, _ = answers(rows, 6)
    majority = ev.majority_baseline(train, rows)
    frame = {"uf": rng.choice(["SP", "RJ", "AC"], size=rows, p=[0.7, 0.25, 0.05])}
    made = ev.Evaluation(
        version="20260102T030405Z-0123abcd",
        created_at="2026-01-02T03:04:05Z",
        data=ev.DataFacts(
            source="merchants_<a|b>.csv",
            sha256="ab" * 32,
            synthetic=synthetic,
            amounts_are_real=full,
            rows=4 * rows,
            dropped=3,
            train=2 * rows,
            validation=rows,
            test=rows,
        ),
        model=ev.ModelFacts(
            description="Boosted trees.",
            decision_rule="weighted_f1",
            decision_detail="weights 1.1, 1.0",
            params={"eta": 0.05, "depth": 6, "note": None},
            packages={"python": "3.11"},
            git_commit=None,
            seed=7,
            threads=2,
            model_bytes=2**20,
            reproduce=("tpv run merchants.csv --trials 3",),
            notes=("Only a test.",),
        ),
        metrics=ev.evaluate(labels, probabilities, predicted),
        majority=ev.evaluate(labels, majority.probabilities, majority.predicted),
        logistic=None,
        ece_floor=ev.calibration_floor(probabilities, resamples=20),
        curves=ev.curves(labels, probabilities, predicted),
        shares=ev.shares(train, labels, labels, predicted),
    )
    if not full:
        return made
    low, high = np.maximum(predicted - 1, 0), np.minimum(predicted + 1, 4)
    spread = 10.0 ** (1.5 + labels + rng.normal(0, 0.4, rows))
    median = 10.0 ** (1.5 + probabilities @ np.arange(5))
    values = Amounts(p50=median, lower=median / 30, upper=median * 30, mean=median * 2)
    columns = {name: rng.choice(["a", "b"], size=rows).astype(object) for name in INPUTS}
    return replace(
        made,
        logistic=ev.evaluate(labels, probabilities**0.5 / (probabilities**0.5).sum(1, keepdims=True), predicted),
        slices=ev.slices(frame, labels, probabilities, predicted, by=("uf",)),
        sets=(
            ev.coverage_report(labels, low, high, frame, level=0.9),
            ev.coverage_report(labels, low, high, frame, level=0.8, class_conditional=True),
        ),
        values=ev.value_report(spread, values, quantiles={0.3: median * 0.5}),
        robustness=ev.degraded(
            lambda _: Answers(probabilities, predicted), columns, labels, seed=0, ks=(0, 1, len(INPUTS))
        ),
        gains=ev.gain_shares({"tier": 3.0, "uf": 1.0}),
        contributions=ev.contribution_summary(INPUTS, rng.normal(size=(50, len(INPUTS)))),
        study=(
            ev.Trial(0, 0.95, "complete"),
            ev.Trial(1, 0.99, "pruned"),
            ev.Trial(2, None, "failed"),
            ev.Trial(3, 0.91, "complete"),
        ),
        gate=ev.gate(
            probabilities,
            None,
            labels=labels,
            shares=SHARES,
            margin=0.0,
            confidence=0.95,
            max_ece=0.02,
            resamples=50,
            seed=0,
        ),
    )
