"""A predictor answers only after it has reproduced what the model was shipped with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xgboost as xgb

from app.contract.artifact import pack_array, read_artifact, unpack_array
from app.contract.inputs import RAW_NAMES
from app.errors import ArtifactError, ContractError, GoldenRowsError, IncompatibleArtifactError
from app.model.predictor import PredictOptions, Predictor, load_predictor
from tests.support.artifacts import make_payload, write_version
from tests.support.merchants import columns_of, merchants

if TYPE_CHECKING:
    from pathlib import Path

ROWS = columns_of(merchants(30, seed=12))


def _load(directory: Path, payload: dict[str, Any], fingerprint: str) -> Predictor:
    ref = write_version(directory, payload, fingerprint)
    return load_predictor(directory / ref.version, ref)


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """A verified predictor."""
    return _load(tmp_path_factory.mktemp("models"), *make_payload())


def test_answers_are_consistent(predictor: Predictor) -> None:
    """Rows sum to 1, the set holds the chosen bucket, and the value lies in it."""
    answers = predictor.predict(ROWS)
    np.testing.assert_allclose(answers.probabilities.sum(axis=1), 1.0)
    assert ((answers.set_lower <= answers.bucket) & (answers.bucket <= answers.set_upper)).all()
    assert answers.values is not None
    assert answers.contributions is None
    assert answers.warnings.by_row() == {}


def test_one_row_equals_the_same_row_among_many(predictor: Predictor) -> None:
    """Alone or in company, to 1e-6."""
    whole = predictor.predict(ROWS).probabilities
    for row in range(len(whole)):
        alone = predictor.predict({name: values[row : row + 1] for name, values in ROWS.items()})
        np.testing.assert_allclose(alone.probabilities[0], whole[row], rtol=0, atol=1e-6)


def test_options_change_what_they_name_and_nothing_else(predictor: Predictor) -> None:
    """Coverage widens sets; reasons are given when asked for; probabilities stay."""
    plain = predictor.predict(ROWS)
    wide = predictor.predict(ROWS, PredictOptions(coverage=0.99, class_conditional=True, explain=True))
    np.testing.assert_array_equal(plain.probabilities, wide.probabilities)
    assert (wide.set_lower <= plain.set_lower).all()
    assert (wide.set_upper >= plain.set_upper).all()
    assert wide.contributions is not None
    assert wide.contributions.index.shape == (30, len(RAW_NAMES))


def test_warnings_are_told_by_row(predictor: Predictor) -> None:
    """Unknown and missing inputs of a row come together, and clean rows have none."""
    columns = {name: list(values) for name, values in ROWS.items()}
    columns["mcc"][4], columns["tier"][4], columns["uf"][7] = "new", None, None
    found = predictor.predict(columns).warnings.by_row()
    assert found == {4: [("unknown_category", "mcc"), ("missing_value", "tier")], 7: [("missing_value", "uf")]}


def test_quantiles_are_those_of_the_interval(predictor: Predictor) -> None:
    """The 10 and 90 % quantiles are the interval's, but where the chosen bucket's median lies outside."""
    answers, quantiles = predictor.predict(ROWS), predictor.quantiles(ROWS, (0.1, 0.9))
    assert answers.values is not None
    np.testing.assert_allclose(np.minimum(quantiles[0.1], answers.values.p50), answers.values.lower)
    np.testing.assert_allclose(np.maximum(quantiles[0.9], answers.values.p50), answers.values.upper)


def test_an_artifact_without_amounts_answers_without_them(tmp_path: Path) -> None:
    """No value model, no values, no quantiles."""
    payload, fingerprint = make_payload()
    predictor = _load(tmp_path, payload | {"value": None}, fingerprint)
    assert predictor.predict(ROWS).values is None
    assert predictor.quantiles(ROWS, (0.5,)) == {}


def test_wrong_columns_are_refused(predictor: Predictor) -> None:
    """An absent input is the caller's mistake."""
    with pytest.raises(ContractError, match="absent"):
        predictor.predict({})


def _permuted(booster: bytes, order: list[int]) -> bytes:
    """The same trees with outputs in another order: what a library that counts classes differently would give."""
    import json  # noqa: PLC0415 - of this helper alone

    model = json.loads(bytes(xgb.Booster(model_file=bytearray(booster)).save_raw("json")))
    gbtree = model["learner"]["gradient_booster"]["model"]
    gbtree["tree_info"] = [order[group] for group in gbtree["tree_info"]]
    return bytes(xgb.Booster(model_file=bytearray(json.dumps(model).encode())).save_raw("ubj"))


@pytest.mark.parametrize("order", [[4, 3, 2, 1, 0], [0, 1, 3, 2, 4]], ids=["reversed", "two swapped"])
def test_golden_rows_catch_permuted_classes(tmp_path: Path, order: list[int]) -> None:
    """A model whose classes changed places is refused, however plausible its answers are."""
    payload, fingerprint = make_payload()
    with pytest.raises(GoldenRowsError, match=r"differ by .* Serve with the version that wrote it, or train again"):
        _load(tmp_path, payload | {"classifier": _permuted(payload["classifier"], order)}, fingerprint)


def test_golden_rows_catch_a_small_shift(tmp_path: Path) -> None:
    """Ten times the tolerance is enough, and NaN is never close."""
    payload, fingerprint = make_payload()
    expected = unpack_array(payload["golden"]["probabilities"])
    for shift in (1e-5, np.nan):
        golden = payload["golden"] | {"probabilities": pack_array(expected + shift)}
        with pytest.raises(GoldenRowsError):
            _load(tmp_path / str(shift), payload | {"golden": golden}, fingerprint)


def test_features_must_be_those_of_the_manifest(tmp_path: Path) -> None:
    """A fingerprint of other features is refused."""
    with pytest.raises(IncompatibleArtifactError, match="not those its manifest names"):
        _load(tmp_path, make_payload()[0], "0" * 64)


@pytest.mark.parametrize("part", ["features", "decision", "sets", "classifier", "value", "golden"])
def test_absent_parts_are_refused(tmp_path: Path, part: str) -> None:
    """Each part is needed, and its absence is named."""
    payload, fingerprint = make_payload()
    artifact = read_artifact(tmp_path / write_version(tmp_path, payload, fingerprint).version)
    del artifact.payload[part]
    with pytest.raises(IncompatibleArtifactError, match=f"lacks a part: '{part}'"):
        Predictor(artifact)


@pytest.mark.parametrize(
    "golden",
    [
        {},
        None,
        {"columns": {}, "probabilities": pack_array(np.zeros((8, 5)))},
        {"columns": ROWS, "probabilities": pack_array(np.zeros((8, 5)))},
        {"columns": {key: [] for key in RAW_NAMES}, "probabilities": pack_array(np.zeros((0, 5)))},
        {"columns": 3, "probabilities": pack_array(np.zeros((8, 5)))},
    ],
    ids=["empty", "none", "no columns", "another number", "no rows", "not a dict"],
)
def test_malformed_golden_rows_are_refused(tmp_path: Path, golden: Any) -> None:
    """An artifact that cannot prove itself is an artifact error."""
    payload, fingerprint = make_payload()
    with pytest.raises(ArtifactError):
        _load(tmp_path, payload | {"golden": golden}, fingerprint)


@pytest.mark.parametrize("part", ["features", "decision", "sets", "classifier", "value"])
@pytest.mark.parametrize("wrong", [3, "text", [], {}, b"bytes"], ids=str)
def test_parts_of_another_type_are_refused(tmp_path: Path, part: str, wrong: Any) -> None:
    """Whatever stands where a part should be, the reader has one kind of error."""
    payload, fingerprint = make_payload()
    artifact = read_artifact(tmp_path / write_version(tmp_path, payload, fingerprint).version)
    artifact.payload[part] = wrong
    with pytest.raises(ArtifactError):
        Predictor(artifact)
