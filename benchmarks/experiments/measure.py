"""What is measured of an experiment on one split, and how it is shown."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.experiments.registry import BASELINE_NAME, EXPERIMENTS
from benchmarks.experiments.rules import conformal_sets
from training.metrics import evaluate, row_log_loss, row_rps, standard_error
from training.robustness import degraded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from benchmarks.experiments.models import Floats, Predict
    from benchmarks.experiments.registry import Experiment
    from benchmarks.experiments.rows import Sides

COVERAGE: Final = 0.9
HIDDEN: Final = (0, 1, 3, 5, 8)


@dataclass(frozen=True)
class Figures:
    """One experiment on the test rows of one split; differences are to the baseline on the same rows.

    Attributes:
        log_loss: mean.
        rps: mean ranked probability score.
        auc_weighted: one-vs-rest ROC-AUC weighted by bucket.
        auc_macro: the same, unweighted.
        f1_weighted: weighted F1 of the decisions.
        f1_macro: macro F1 of the decisions.
        ece: top-label calibration error.
        coverage: of the sets that promise 90 %.
        size: mean size of those sets.
        log_loss_gain: mean paired difference of log loss; below 0 is better.
        log_loss_se: its standard error, over rows.
        rps_gain: mean paired difference of the ranked probability score.
        rps_se: its standard error.
        auc_weighted_gain: difference; above 0 is better.
        auc_macro_gain: difference.
        f1_gain: difference of weighted F1.
        seconds: CPU time of the fit.
    """

    log_loss: float
    rps: float
    auc_weighted: float
    auc_macro: float
    f1_weighted: float
    f1_macro: float
    ece: float
    coverage: float
    size: float
    log_loss_gain: float
    log_loss_se: float
    rps_gain: float
    rps_se: float
    auc_weighted_gain: float
    auc_macro_gain: float
    f1_gain: float
    seconds: float

    def to_dict(self) -> dict[str, float]:
        """Numbers by name."""
        return asdict(self)


@dataclass(frozen=True)
class _Answers:
    """Probabilities and decisions, as `training.robustness` takes them."""

    probabilities: Floats
    bucket: NDArray[np.integer[Any]]


class Bench:
    """Runs experiments on one split, and fits the baseline once for all of them."""

    def __init__(self, sides: Sides) -> None:
        self.sides = sides
        self.reference = EXPERIMENTS[BASELINE_NAME].fit(sides.train)

    def measure(self, experiment: Experiment) -> tuple[Figures, Predict]:
        """Fit on the training rows, decide by the validation rows, measure on the test rows."""
        started = time.process_time()
        predict = experiment.fit(self.sides.train)
        seconds = time.process_time() - started
        validation, test = self.sides.validation, self.sides.test
        held_out, answered, compared = predict(validation.columns), predict(test.columns), self.reference(test.columns)
        rule = experiment.decide(validation.labels, held_out)
        found = evaluate(test.labels, answered, rule.choose(answered))
        reference = evaluate(test.labels, compared, compared.argmax(axis=1))
        inside = conformal_sets(experiment.score, validation.labels, held_out, answered, COVERAGE)
        loss = row_log_loss(test.labels, answered) - row_log_loss(test.labels, compared)
        rps = row_rps(test.labels, answered) - row_rps(test.labels, compared)
        figures = Figures(
            log_loss=found.log_loss,
            rps=found.rps,
            auc_weighted=_defined(found.auc_weighted),
            auc_macro=_defined(found.auc_macro),
            f1_weighted=found.f1_weighted,
            f1_macro=found.f1_macro,
            ece=found.ece,
            coverage=float(inside[np.arange(len(inside)), test.labels].mean()),
            size=float(inside.sum(axis=1).mean()),
            log_loss_gain=float(loss.mean()),
            log_loss_se=standard_error(loss),
            rps_gain=float(rps.mean()),
            rps_se=standard_error(rps),
            auc_weighted_gain=_defined(found.auc_weighted) - _defined(reference.auc_weighted),
            auc_macro_gain=_defined(found.auc_macro) - _defined(reference.auc_macro),
            f1_gain=found.f1_weighted - reference.f1_weighted,
            seconds=seconds,
        )
        return figures, predict

    def with_nulls(self, predict: Predict) -> dict[str, float]:
        """Log loss on the test rows by the number of inputs of each that are set to null."""

        def answer(columns: dict[str, NDArray[np.generic]]) -> _Answers:
            probabilities = predict(columns)
            return _Answers(probabilities, probabilities.argmax(axis=1))

        test = self.sides.test
        rows = degraded(answer, test.columns, test.labels, seed=test.seed, ks=HIDDEN).random_fields
        return {row.missing: row.log_loss for row in rows}


def _defined(value: float | None) -> float:
    """An AUC, or NaN where only one bucket occurs."""
    return float("nan") if value is None else value


HEADER: Final = (
    "| experiment | split | log loss | RPS | AUC weighted | macro | weighted F1 | ECE | coverage | size "
    "| Δ log loss | Δ RPS | Δ AUC | Δ macro | Δ F1 | CPU s |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"
)


def row(name: str, split: str, figures: Figures) -> str:
    """One line of the table."""
    cells = [
        f"{figures.log_loss:.5f}",
        f"{figures.rps:.5f}",
        f"{figures.auc_weighted:.4f}",
        f"{figures.auc_macro:.4f}",
        f"{figures.f1_weighted:.4f}",
        f"{figures.ece:.4f}",
        f"{figures.coverage:.4f}",
        f"{figures.size:.3f}",
        f"{figures.log_loss_gain:+.5f} ± {figures.log_loss_se:.5f}",
        f"{figures.rps_gain:+.6f} ± {figures.rps_se:.6f}",
        f"{figures.auc_weighted_gain:+.4f}",
        f"{figures.auc_macro_gain:+.4f}",
        f"{figures.f1_gain:+.4f}",
        f"{figures.seconds:.0f}",
    ]
    return f"| {name} | {split} | {' | '.join(cells)} |"


def over_splits(name: str, found: Sequence[Figures]) -> str:
    """Mean and, over splits, standard deviation of every figure."""
    parts = []
    for field in fields(Figures):
        if not field.name.endswith("_se"):
            values = np.array([getattr(figures, field.name) for figures in found])
            parts.append(f"{field.name} {values.mean():.5f} ± {values.std(ddof=1):.5f}")
    return f"{name}, mean ± standard deviation over {len(found)} splits: {', '.join(parts)}"
