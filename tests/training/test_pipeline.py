"""The pipeline's own promises: parts that stay, what is measured on what, and what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from app.contract.artifact import read_artifact, read_manifest
from app.contract.inputs import RAW_NAMES
from app.model.predictor import load_predictor
from tests.support.trained import QUICK, TEACHER_ROUNDS, TrainedModels, write_sample
from training.config import load_config
from training.evaluation import Evaluation
from training.golden import GOLDEN_ROWS, golden_columns
from training.hiding import MOST_HIDDEN, hide_inputs
from training.pipeline import EVALUATION_NAME, PipelineError, champion_artifact, evaluate_on, train, tuning_data
from training.prepare import InvalidRowsError, prepare, prepare_unsplit

if TYPE_CHECKING:
    from pathlib import Path


def test_one_part_is_trained_and_the_others_stay(trained: TrainedModels, tmp_path: Path) -> None:
    """`only="value"` keeps classifier and features to the byte, `only="classifier"` keeps features and amounts."""
    base = champion_artifact(trained.models)
    assert base is not None
    for only, changed in (("value", {"value"}), ("classifier", {"classifier"})):
        config = load_config(None, {"fit.folds": 2, "fit.threads": 1, "fit.seed": 9, "split.test": 0.25})
        done = train(
            trained.prepared,
            QUICK,
            config,
            models=tmp_path / only,
            teacher_rounds=TEACHER_ROUNDS,
            base=base,
            only=only,  # type: ignore[arg-type]
        )
        manifest, _ = read_manifest(tmp_path / only / done.ref.version)
        differs = {part for part, digest in manifest.components.items() if digest != base.manifest.components[part]}
        assert differs == changed
        load_predictor(tmp_path / only / done.ref.version)


def test_one_part_needs_another_to_stay(trained: TrainedModels, tmp_path: Path) -> None:
    """Without a version there is no other part to keep."""
    with pytest.raises(PipelineError, match="--only"):
        train(trained.prepared, QUICK, trained.config, models=tmp_path, only="value")


def test_amounts_that_are_not_real_are_refused_or_left_out(tmp_path: Path) -> None:
    """One amount a bucket: `auto` switches values off, `on` says what is wrong."""
    file = write_sample(tmp_path / "flat.csv", rows=1_500)
    lines = file.read_text().splitlines()
    flat = [lines[0]]
    for line in lines[1:]:
        amount, rest = line.split(",", 1)
        value = float(amount)
        flat.append(f"{next(edge / 2 for edge in (100, 1e3, 1e4, 1e5, 1e6) if value <= edge or edge == 1e6)},{rest}")
    file.write_text("\n".join(flat) + "\n")
    overrides = {"fit.folds": 2, "fit.threads": 1, "fit.refit": False, "split.test": 0.25}
    prepared = prepare(file, load_config(None, overrides))
    assert not prepared.amounts_are_real
    with pytest.raises(PipelineError, match=r"value\.enabled"):
        train(
            prepared,
            QUICK,
            load_config(None, {**overrides, "value.enabled": "on"}),
            models=tmp_path / "on",
            teacher_rounds=TEACHER_ROUNDS,
        )
    done = train(prepared, QUICK, load_config(None, overrides), models=tmp_path / "auto", teacher_rounds=TEACHER_ROUNDS)
    assert read_artifact(tmp_path / "auto" / done.ref.version).payload["value"] is None
    assert done.evaluation.values is None


def test_a_rule_of_least_cost_decides_and_is_told(trained: TrainedModels, tmp_path: Path) -> None:
    """The served decisions cost the least under the configured matrix, which the report gives."""
    costs = [[float(abs(true - chosen) ** 2) for chosen in range(5)] for true in range(5)]
    overrides = {"fit.folds": 2, "fit.threads": 1, "fit.refit": False, "split.test": 0.25}
    rule: dict[str, object] = {"decision.rule": "expected_cost", "decision.cost_matrix": costs}
    config = load_config(None, rule | overrides)
    done = train(trained.prepared, QUICK, config, models=tmp_path, teacher_rounds=2)
    assert done.evaluation.model.decision_rule == "expected_cost"
    assert done.evaluation.model.decision_detail.startswith("costs 0 1 4 9 16; 1 0 1 4 9;")
    predictor = load_predictor(tmp_path / done.ref.version)
    answers = predictor.predict(golden_columns(predictor.fitted))
    expected = answers.probabilities @ np.array(costs)
    np.testing.assert_array_equal(answers.bucket, expected.argmin(axis=1))


def test_what_is_stored_is_what_was_measured(trained: TrainedModels) -> None:
    """evaluation.json reads back, agrees with the manifest, and holds every part of the report."""
    stored = Evaluation.from_dict(json.loads((trained.directory / EVALUATION_NAME).read_text()))
    manifest, _ = read_manifest(trained.directory)
    assert stored.version == manifest.version
    assert stored.metrics.log_loss == manifest.metrics["log_loss"]
    assert stored.metrics.log_loss < stored.majority.log_loss
    assert stored.data.synthetic
    assert manifest.data.synthetic
    assert stored.values is not None
    assert stored.robustness is not None
    assert {row.name for row in stored.contributions} == set(RAW_NAMES)
    assert sum(gain.share for gain in stored.gains) == pytest.approx(1.0)
    assert any("all rows" in note or "on all rows" in note for note in stored.model.notes)


def test_a_version_is_measured_on_other_merchants_only(trained: TrainedModels, tmp_path: Path) -> None:
    """Fresh merchants are all measured; the file it was made from is refused."""
    fresh = evaluate_on(trained.directory, write_sample(tmp_path / "fresh.csv", rows=600, seed=77))
    assert fresh.metrics.rows == 600
    assert fresh.metrics.log_loss < fresh.majority.log_loss
    assert fresh.logistic is None
    with pytest.raises(PipelineError, match="has not learned from"):
        evaluate_on(trained.directory, trained.file)


def test_tuning_data_holds_no_test_row(trained: TrainedModels) -> None:
    """Trials see training and validation rows, and features that know no validation place."""
    data = tuning_data(trained.prepared)
    sides = trained.prepared.split
    assert (len(data.train), len(data.validation)) == (len(sides.train), len(sides.validation))
    assert data.identity == trained.prepared.identity


def test_invalid_rows_stop_a_run_or_are_dropped(tmp_path: Path) -> None:
    """`fail` names the first bad row and the remedy, `drop` counts them."""
    file = write_sample(tmp_path / "bad.csv", rows=400)
    lines = file.read_text().splitlines()
    lines[5] = "," + lines[5].split(",", 1)[1]
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(InvalidRowsError, match=r"row 6.*--on-invalid drop"):
        prepare(file, load_config(None, {}))
    prepared = prepare(file, load_config(None, {"data.on_invalid": "drop"}))
    assert (prepared.dropped, len(prepared.frame)) == (1, 399)
    assert len(prepare_unsplit(file).split.test) == 399


def test_golden_rows_cover_unknown_and_null_of_every_input(trained: TrainedModels) -> None:
    """Each input is null in one golden row, and each open category unknown in another; none is a merchant's row."""
    predictor = load_predictor(trained.directory)
    columns = golden_columns(predictor.fitted)
    assert {len(values) for values in columns.values()} == {GOLDEN_ROWS}
    assert all(None in values for values in columns.values())
    warned = predictor.predict(columns).warnings
    assert set(warned.missing) == set(RAW_NAMES) - {"bairro"}
    assert {"cnae_fiscal_principal", "mcc", "municipio", "bairro"} <= set(warned.unknown)


def test_hidden_inputs_are_one_to_five_of_each_row() -> None:
    """Every row loses one to five inputs, never the district, and what is left is unchanged."""
    columns = {name: np.array([f"{name}{row}" for row in range(500)], dtype=object) for name in RAW_NAMES}
    hidden = hide_inputs(columns, np.random.default_rng(0))
    lost = np.array([[value is None for value in hidden[name]] for name in RAW_NAMES])
    assert set(lost.sum(axis=0)) == set(range(1, MOST_HIDDEN + 1))
    assert not lost[RAW_NAMES.index("bairro")].any()
    for name in RAW_NAMES:
        kept = [value is None or value == own for value, own in zip(hidden[name], columns[name], strict=True)]
        assert all(kept)
