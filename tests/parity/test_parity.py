"""One model, one answer: through training, the command line and HTTP."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pytest

from app.contract.artifact import unpack_array
from app.contract.buckets import LABELS
from app.contract.inputs import RAW_BY_NAME, RAW_NAMES, Kind
from app.model.predictor import Predictor, load_predictor
from tests.support.server import ROOT, serve
from training.fit import take

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx
    from numpy.typing import NDArray

    from tests.support.trained import TrainedModels

TOLERANCE: Final = 1e-6
SAMPLE_ROWS: Final = 200


@pytest.fixture(scope="module")
def predictor(trained: TrainedModels) -> Predictor:
    """The predictor as training loads it."""
    return load_predictor(trained.directory, trained.ref, threads=2)


@pytest.fixture(scope="module")
def columns(trained: TrainedModels, predictor: Predictor) -> dict[str, list[Any]]:
    """Golden rows (with unknown and null fields) and 200 rows of the sample."""
    from app.contract.artifact import read_artifact  # noqa: PLC0415 - of this fixture alone

    golden = read_artifact(trained.directory).payload["golden"]
    expected = predictor.predict(golden["columns"]).probabilities
    np.testing.assert_allclose(expected, unpack_array(golden["probabilities"]), rtol=0, atol=TOLERANCE)
    rows = np.random.default_rng(0).choice(len(trained.prepared.frame), SAMPLE_ROWS, replace=False)
    sample = take(trained.prepared.columns, rows)
    return {name: [*golden["columns"][name], *sample[name].tolist()] for name in RAW_NAMES}


@pytest.fixture(scope="module")
def expected(columns: dict[str, list[Any]], predictor: Predictor) -> NDArray[np.float64]:
    """What training answers."""
    return predictor.predict(columns).probabilities


@pytest.fixture(scope="module")
def client(trained: TrainedModels) -> Iterator[httpx.Client]:
    """A client of a real server process on the same models directory."""
    with serve(trained.models) as server, server.client() as connected:
        yield connected


def _instances(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _probabilities(prediction: dict[str, Any]) -> list[float]:
    return [prediction["probabilities"][label] for label in LABELS]


def test_http_batch_equals_training(
    client: httpx.Client, columns: dict[str, list[Any]], expected: NDArray[np.float64]
) -> None:
    """232 rows in one request."""
    answer = client.post("/predict", json={"instances": _instances(columns)})
    assert answer.status_code == 200, answer.text
    found = np.array([_probabilities(prediction) for prediction in answer.json()["predictions"]])
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


def test_http_single_equals_training(
    client: httpx.Client, columns: dict[str, list[Any]], expected: NDArray[np.float64], trained: TrainedModels
) -> None:
    """Each row in a request of its own, answered by the very version that training holds."""
    for row, instance in enumerate(_instances(columns)):
        answer = client.post("/predict", json=instance)
        assert answer.status_code == 200, answer.text
        assert answer.headers["X-Model-SHA256"] == trained.ref.model_sha256
        np.testing.assert_allclose(_probabilities(answer.json()), expected[row], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_command_line_equals_training(
    kind: str, trained: TrainedModels, columns: dict[str, list[Any]], expected: NDArray[np.float64], tmp_path: Path
) -> None:
    """`tpv predict`, whatever it reads and writes."""
    frame = pd.DataFrame(columns)
    for name, raw in RAW_BY_NAME.items():
        if raw.categorical:
            frame[name] = [None if value is None else str(value) for value in columns[name]]
        elif raw.kind in {Kind.FLAG, Kind.COUNT}:
            frame[name] = frame[name].astype("Int64")
    source, target = tmp_path / f"in.{kind}", tmp_path / f"out.{kind}"
    frame.to_csv(source, index=False) if kind == "csv" else frame.to_parquet(source, index=False)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "training.cli",
            "predict",
            str(source),
            "-o",
            str(target),
            "--models",
            str(trained.models),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "232 rows answered" in done.stdout.replace("\n", " ")
    written = pd.read_csv(target) if kind == "csv" else pd.read_parquet(target)
    found = written[[f"probability_{bucket}" for bucket in range(5)]].to_numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


def test_everything_else_agrees_too(client: httpx.Client, columns: dict[str, list[Any]], predictor: Predictor) -> None:
    """Buckets, sets, values and warnings over HTTP are the predictor's."""
    answers = predictor.predict(columns)
    sent = client.post("/predict", json={"instances": _instances(columns)}).json()["predictions"]
    assert [one["bucket"]["index"] for one in sent] == answers.bucket.tolist()
    assert answers.values is not None  # noqa: PD011 - not a DataFrame's
    np.testing.assert_allclose([one["value"]["p50"] for one in sent], answers.values.p50, rtol=1e-4, atol=0.01)  # noqa: PD011 - same
    odd = answers.warnings.by_row()
    assert [row for row, one in enumerate(sent) if one["warnings"]] == sorted(odd)
    assert json.dumps(sent[0])


def test_schema_names_are_the_raw_inputs() -> None:
    """The request's fields are the contract's, no more and no less."""
    from app.schemas.requests import PredictRequest  # noqa: PLC0415 - of this test alone

    assert set(PredictRequest.model_fields) == set(RAW_NAMES)
