"""Measure a predictor on rows it has not seen, beside the baselines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from app.contract.inputs import RAW_NAMES
from app.model.predictor import PredictOptions
from training.baselines import logistic_baseline, majority_baseline
from training.curves import contribution_summary, curves
from training.data import columns_of
from training.evaluation import DataFacts, Evaluation, ModelFacts, Trial, gain_shares, shares
from training.fit import take
from training.metrics import calibration_floor, evaluate, slices
from training.robustness import degraded
from training.set_metrics import coverage_report
from training.value_metrics import value_report

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from app.model.predictor import Predictions, Predictor
    from training.curves import InputContribution
    from training.prepare import Prepared
    from training.set_metrics import SetReport
    from training.value_metrics import ValueReport

SET_LEVELS: Final = (0.8, 0.9, 0.95)
_EXPLAINED_ROWS: Final = 400
_DEGRADED_ROWS: Final = 5_000
_QUANTILE_LEVELS: Final = tuple(np.round(np.arange(0.05, 0.96, 0.05), 2).tolist())


def answer_test_rows(predictor: Predictor, prepared: Prepared) -> Predictions:
    """Answer the test rows, once for all that is measured and stored of them."""
    return predictor.predict(take(prepared.columns, prepared.split.test))


def measure(
    predictor: Predictor,
    prepared: Prepared,
    answers: Predictions,
    *,
    facts: ModelFacts,
    gains: Mapping[str, float] | None,
    study: Sequence[Trial] = (),
    seed: int = 0,
) -> Evaluation:
    """Measure everything the report shows, on the test rows.

    Args:
        predictor: verified and ready.
        prepared: the data, split as it was for the fit.
        answers: as `answer_test_rows` gives them.
        facts: how the version was made.
        gains: total gain by raw input, or None when not known.
        study: the tuning trials.
        seed: of every draw.
    """
    rows = prepared.split.test
    labels, columns = prepared.labels[rows], take(prepared.columns, rows)
    train = np.concatenate([prepared.split.train, prepared.split.validation])
    majority = majority_baseline(predictor.manifest.training_shares, len(rows))
    logistic = None
    if len(train):
        fitted = logistic_baseline(take(prepared.columns, train), prepared.labels[train], columns)
        logistic = evaluate(labels, fitted.probabilities, fitted.predicted)
    few = np.random.default_rng(seed).permutation(len(rows))
    return Evaluation(
        version=predictor.manifest.version,
        created_at=predictor.manifest.created_at.isoformat(),
        data=DataFacts(
            source=prepared.source,
            sha256=prepared.sha256,
            synthetic=prepared.synthetic,
            amounts_are_real=prepared.amounts_are_real,
            rows=len(prepared.frame),
            dropped=prepared.dropped,
            train=len(prepared.split.train),
            validation=len(prepared.split.validation),
            test=len(rows),
        ),
        model=facts,
        metrics=evaluate(labels, answers.probabilities, answers.bucket),
        majority=evaluate(labels, majority.probabilities, majority.predicted),
        logistic=logistic,
        ece_floor=calibration_floor(answers.probabilities, seed=seed),
        curves=curves(labels, answers.probabilities, answers.bucket),
        shares=shares(
            prepared.labels[prepared.split.train] if len(train) else labels,
            prepared.labels[prepared.split.validation] if len(train) else labels,
            labels,
            answers.bucket,
        ),
        slices=slices(columns_of(prepared.frame.iloc[rows]), labels, answers.probabilities, answers.bucket),
        sets=tuple(
            _sets(predictor, answers, columns, labels, PredictOptions(coverage=level, class_conditional=conditional))
            for conditional in (False, True)
            for level in SET_LEVELS
        ),
        values=_values(predictor, prepared, answers, columns),
        robustness=degraded(
            predictor.predict, take(columns, few[:_DEGRADED_ROWS]), labels[few[:_DEGRADED_ROWS]], seed=seed
        ),
        gains=() if gains is None else gain_shares(gains),
        contributions=_contributions(predictor, take(columns, few[:_EXPLAINED_ROWS])),
        study=tuple(study),
    )


def _sets(
    predictor: Predictor,
    answers: Predictions,
    columns: Mapping[str, NDArray[Any]],
    labels: NDArray[np.int8],
    options: PredictOptions,
) -> SetReport:
    return coverage_report(
        labels,
        *predictor.prediction_sets(answers.probabilities, answers.bucket, options),
        {"uf": columns["uf"]},
        level=options.coverage,
        class_conditional=options.class_conditional,
    )


def _values(
    predictor: Predictor, prepared: Prepared, answers: Predictions, columns: Mapping[str, NDArray[Any]]
) -> ValueReport | None:
    """Amounts are measured only where the data holds real ones."""
    if answers.values is None or not prepared.amounts_are_real:
        return None
    return value_report(
        prepared.amounts[prepared.split.test],
        answers.values,
        quantiles=predictor.quantiles(columns, _QUANTILE_LEVELS),
    )


def _contributions(predictor: Predictor, columns: Mapping[str, NDArray[Any]]) -> tuple[InputContribution, ...]:
    reasons = predictor.predict(columns, PredictOptions(explain=True)).contributions
    if reasons is None:
        raise AssertionError("reasons were asked for")
    return contribution_summary(RAW_NAMES, reasons.index)
