"""What is measured of a version is what the version answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from app.model.predictor import PredictOptions, Predictor, load_predictor
from tests.support.trained import write_sample
from training.measure import SET_LEVELS
from training.pipeline import evaluate_on
from training.prepare import prepare_unsplit
from training.set_metrics import coverage_report

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from app.contract.inputs import Columns
    from app.model.predictor import Predictions
    from tests.support.trained import TrainedModels


def test_sets_of_every_level_are_those_that_are_served(trained: TrainedModels, tmp_path: Path) -> None:
    """Coverage and sizes at each level are of the sets that a caller who asks for the level is given."""
    file = write_sample(tmp_path / "fresh.csv", rows=600, seed=77)
    fresh, predictor = prepare_unsplit(file), load_predictor(trained.directory)
    asked = [(level, conditional) for conditional in (False, True) for level in SET_LEVELS]
    measured = evaluate_on(trained.directory, file).sets
    assert [(sets.level, sets.class_conditional) for sets in measured] == asked
    for sets, (level, conditional) in zip(measured, asked, strict=True):
        served = predictor.predict(fresh.columns, PredictOptions(coverage=level, class_conditional=conditional))
        assert sets == coverage_report(
            fresh.labels,
            served.set_lower,
            served.set_upper,
            {"uf": fresh.columns["uf"]},
            level=level,
            class_conditional=conditional,
        )
    assert measured[0].overall.mean_size < measured[2].overall.mean_size


def test_all_merchants_are_answered_once(
    trained: TrainedModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Metrics, sets of every level and amounts come from one set of answers; fewer rows are answered with nulls."""
    calls: list[int] = []
    inner = Predictor.predict

    def predict(self: Predictor, columns: Columns, options: PredictOptions | None = None) -> Predictions:
        calls.append(len(np.asarray(columns["uf"])))
        return inner(self, columns, options)

    monkeypatch.setattr(Predictor, "predict", predict)
    rows = 5_400
    evaluate_on(trained.directory, write_sample(tmp_path / "fresh.csv", rows=rows, seed=77))
    assert calls.count(rows) == 1
