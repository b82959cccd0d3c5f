"""POST /predict against a real server process: answers, row errors, options, headers."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any

import pytest

from app.contract.artifact import read_champion
from app.contract.buckets import LABELS
from app.contract.inputs import RAW_NAMES
from app.formats.request import Options
from app.model.predictor import load_predictor
from app.schemas.requests import EXAMPLE, EXAMPLE_BATCH
from app.schemas.responses import BatchResponse, Prediction
from tests.support.merchants import columns_of, merchants
from tests.support.problems import assert_problem, pointers

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

ROW = merchants(1, seed=7)[0]


def test_one_merchant_gets_one_prediction(client: httpx.Client) -> None:
    """A bare object is answered by a bare object of the declared schema."""
    response = client.post("/predict", json=ROW)
    assert response.status_code == 200
    Prediction.model_validate(response.json())
    assert response.json()["decision_rule"] == "weighted_f1"
    assert list(response.json()["probabilities"]) == list(LABELS)
    assert sum(response.json()["probabilities"].values()) == pytest.approx(1, abs=1e-6)


def test_batch_equals_the_predictor(client: httpx.Client, models: Path) -> None:
    """Many rows over HTTP give what the predictor gives, in order, small and large bodies alike."""
    pointer = read_champion(models)
    predictor = load_predictor(models / pointer.version, pointer)
    for count in (3, 50, 900):
        rows = merchants(count, seed=count)
        expected = predictor.predict(columns_of(rows))
        response = client.post("/predict", json={"instances": rows})
        assert response.status_code == 200, response.text
        answers = response.json()["predictions"]
        BatchResponse.model_validate(response.json())
        assert [answer["bucket"]["index"] for answer in answers] == expected.bucket.tolist()
        for answer, row in zip(answers, expected.probabilities, strict=True):
            assert list(answer["probabilities"].values()) == pytest.approx(row.tolist(), abs=1e-6)
        assert expected.values is not None
        assert [a["value"]["p50"] for a in answers] == pytest.approx(expected.values.p50.tolist(), abs=0.01)


def test_headers_name_the_model(client: httpx.Client, models: Path) -> None:
    """Every answer names the version and digest it came from, and the request."""
    pointer = read_champion(models)
    response = client.post("/predict", json=ROW, headers={"X-Request-ID": "order-66"})
    assert response.headers["x-request-id"] == "order-66"
    assert response.headers["x-model-version"] == pointer.version
    assert response.headers["x-model-sha256"] == pointer.model_sha256
    assert response.headers["x-row-errors"] == "0"


def test_hostile_request_id_is_replaced(client: httpx.Client) -> None:
    """An id that could forge log lines or headers is not taken over."""
    response = client.post("/predict", json=ROW, headers={"X-Request-ID": "a b"})
    assert len(response.headers["x-request-id"]) == 32


def test_bad_row_leaves_the_others_untouched(client: httpx.Client) -> None:
    """Row 3 of 10 is wrong: the other nine equal a clean call, byte for byte."""
    rows = merchants(10, seed=3)
    clean = client.post("/predict", json={"instances": rows}).json()["predictions"]
    rows[3] = rows[3] | {"uf": "XX", "mei": True}
    response = client.post("/predict", json={"instances": rows})
    assert response.status_code == 200
    assert response.headers["x-row-errors"] == "1"
    answers = response.json()["predictions"]
    BatchResponse.model_validate(response.json())
    error = answers.pop(3)["error"]
    assert error["code"] == "invalid_row"
    assert pointers(error) == {"/instances/3/uf": "not_allowed", "/instances/3/mei": "wrong_type"}
    assert answers == clean[:3] + clean[4:]


def test_unknown_category_is_a_warning_of_its_row(client: httpx.Client) -> None:
    """A category training never saw is predicted as unknown, and its neighbours do not notice."""
    rows = merchants(10, seed=4)
    clean = client.post("/predict", json={"instances": rows}).json()["predictions"]
    rows[3] = rows[3] | {"mcc": "never seen"}
    answers = client.post("/predict", json={"instances": rows}).json()["predictions"]
    [warning] = answers[3]["warnings"]
    assert (warning["field"], warning["code"]) == ("mcc", "unknown_category")
    assert re.search(r"not among the [1-9][0-9]* values of mcc", warning["message"])
    assert answers[:3] + answers[4:] == clean[:3] + clean[4:]


def test_fail_refuses_the_whole_batch(client: httpx.Client) -> None:
    """`on_error: fail` is all or nothing, and names every bad field."""
    rows = [ROW, ROW | {"mei": 2}, {**ROW, "extra": 1}]
    response = client.post("/predict", json={"instances": rows, "options": {"on_error": "fail"}})
    problem = assert_problem(response, 422, "invalid_request")
    assert pointers(problem) == {"/instances/1/mei": "out_of_range", "/instances/2/extra": "unknown_field"}


def test_null_is_a_statement_and_omission_a_mistake(client: httpx.Client) -> None:
    """Any input may be null, which warns; only `bairro` may be left out."""
    for name in RAW_NAMES:
        response = client.post("/predict", json=ROW | {name: None})
        assert response.status_code == 200, response.text
        warned = {w["field"] for w in response.json()["warnings"] if w["code"] == "missing_value"}
        assert (name in warned) is (name != "bairro")
        without = {key: value for key, value in ROW.items() if key != name}
        response = client.post("/predict", json=without)
        if name == "bairro":
            assert response.status_code == 200
        else:
            assert pointers(assert_problem(response, 422, "invalid_request")) == {f"/{name}": "missing_field"}


def test_codes_are_compared_as_text(client: httpx.Client) -> None:
    """A code is the same category as an integer and as text."""
    as_text = {
        key: str(value) if isinstance(value, int) and key not in {"mei", "total_estab"} else value
        for key, value in ROW.items()
    }
    assert client.post("/predict", json=as_text).content == client.post("/predict", json=ROW).content


def test_place_names_are_normalised(client: httpx.Client) -> None:
    """NFC and NFD spellings of a place are one place."""
    composed = ROW | {"uf": "SP", "municipio": "São Paulo"}
    decomposed = composed | {"municipio": unicodedata.normalize("NFD", "São Paulo")}
    assert client.post("/predict", json=decomposed).content == client.post("/predict", json=composed).content


def test_options_shape_the_answer(client: httpx.Client) -> None:
    """Coverage widens sets, and reasons are given for as many inputs as asked."""
    narrow = _batch(client, {"coverage": 0.5})
    wide = _batch(client, {"coverage": 0.99, "class_conditional": True})
    for left, right in zip(narrow, wide, strict=True):
        assert left["prediction_set"]["coverage"] == 0.5
        assert right["prediction_set"]["class_conditional"] is True
        assert _width(left) <= _width(right)
    assert "contributions" not in narrow[0]
    for asked, shown in ((3, 3), (True, 13)):
        reasons = _batch(client, {"explain": asked})[0]["contributions"]
        assert len(reasons["inputs"]) == shown
    assert Options(explain=0).reasons == 0


def test_reasons_sum_to_the_model_output(client: httpx.Client) -> None:
    """Base, listed inputs and the rest add up to the expected bucket index."""
    for answer in _batch(client, {"explain": 4}):
        reasons = answer["contributions"]
        total = reasons["base"]["expected_index"] + reasons["others"]["expected_index"]
        total += sum(effect["expected_index"] for effect in reasons["inputs"])
        expected = sum(index * p for index, p in enumerate(answer["probabilities"].values()))
        assert total == pytest.approx(expected, abs=1e-4)


def test_empty_batch_is_answered(client: httpx.Client) -> None:
    """No rows, no predictions."""
    assert client.post("/predict", json={"instances": []}).json() == {"predictions": []}


def test_too_many_rows(client: httpx.Client) -> None:
    """One row more than allowed is refused, with the limit and the way out."""
    response = client.post("/predict", json={"instances": [ROW] * 1001})
    problem = assert_problem(response, 413, "too_many_rows")
    assert "1000" in problem["detail"]


def test_documented_examples_work(client: httpx.Client) -> None:
    """What /docs shows can be sent as it is."""
    for example in (EXAMPLE, EXAMPLE_BATCH):
        assert client.post("/predict", json=example).status_code == 200


def _batch(client: httpx.Client, options: dict[str, Any]) -> list[dict[str, Any]]:
    response = client.post("/predict", json={"instances": merchants(5, seed=5), "options": options})
    assert response.status_code == 200, response.text
    BatchResponse.model_validate(response.json())
    answers: list[dict[str, Any]] = response.json()["predictions"]
    return answers


def _width(answer: dict[str, Any]) -> int:
    chosen = answer["prediction_set"]
    return int(chosen["upper"] - chosen["lower"])
