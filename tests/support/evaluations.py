"""A small evaluation, computed by the real functions from made-up answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from training.baselines import majority_baseline
from training.curves import contribution_summary, curves
from training.evaluation import DataFacts, Evaluation, ModelFacts, Trial, gain_shares, shares
from training.gate import gate
from training.metrics import bucket_shares, calibration_floor, evaluate, slices
from training.robustness import degraded
from training.set_metrics import coverage_report
from training.value_metrics import value_report

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


def make_evaluation(*, rows: int = 600, synthetic: bool = False, full: bool = True) -> Evaluation:
    """Build an evaluation; with `full=False`, everything that may be left out is."""
    rng = np.random.default_rng(5)
    labels, probabilities = answers(rows, 5)
    predicted = probabilities.argmax(axis=1)
    train, _ = answers(rows, 6)
    majority = majority_baseline(bucket_shares(train), rows)
    frame = {"uf": rng.choice(["SP", "RJ", "AC"], size=rows, p=[0.7, 0.25, 0.05])}
    made = Evaluation(
        version="20260102T030405Z-0123abcd",
        created_at="2026-01-02T03:04:05Z",
        data=DataFacts(
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
        model=ModelFacts(
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
        metrics=evaluate(labels, probabilities, predicted),
        majority=evaluate(labels, majority.probabilities, majority.predicted),
        logistic=None,
        ece_floor=calibration_floor(probabilities, resamples=20),
        curves=curves(labels, probabilities, predicted),
        shares=shares(train, labels, labels, predicted),
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
        logistic=evaluate(labels, probabilities**0.5 / (probabilities**0.5).sum(1, keepdims=True), predicted),
        slices=slices(frame, labels, probabilities, predicted, by=("uf",)),
        sets=(
            coverage_report(labels, low, high, frame, level=0.9),
            coverage_report(labels, low, high, frame, level=0.8, class_conditional=True),
        ),
        values=value_report(spread, values, quantiles={0.3: median * 0.5}),
        robustness=degraded(
            lambda _: Answers(probabilities, predicted), columns, labels, seed=0, ks=(0, 1, len(INPUTS))
        ),
        gains=gain_shares({"tier": 3.0, "uf": 1.0}),
        contributions=contribution_summary(INPUTS, rng.normal(size=(50, len(INPUTS)))),
        study=(
            Trial(0, 0.95, "complete"),
            Trial(1, 0.99, "pruned"),
            Trial(2, None, "failed"),
            Trial(3, 0.91, "complete"),
        ),
        gate=gate(
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
