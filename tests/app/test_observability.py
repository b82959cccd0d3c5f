"""Probes, metrics, logs, the model card and the OpenAPI document of a real server process."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.contract.artifact import read_champion
from app.contract.buckets import LABELS
from app.main import create_api
from app.schemas.responses import ModelCard
from tests.support.merchants import merchants
from tests.support.server import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from tests.support.server import Server

ROW = merchants(1, seed=7)[0]


def samples(client: httpx.Client) -> dict[tuple[str, frozenset[str]], float]:
    """Read /metrics as values by name and label values."""
    text = client.get("/metrics").text
    return {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_probes(client: httpx.Client) -> None:
    """Alive and ready."""
    assert client.get("/livez").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready"}


def test_metrics_count_what_happened(client: httpx.Client, models: Path) -> None:
    """Requests, rows, buckets, unknown and missing values move by what was sent."""
    before = samples(client)
    rows = [ROW, ROW | {"mcc": "never"}, ROW | {"tier": None}, ROW | {"mei": 9}]
    answer = client.post("/predict", json={"instances": rows})
    after = samples(client)

    def moved(name: str, *labels: str) -> float:
        key = name, frozenset(labels)
        return after[key] - before.get(key, 0.0)

    assert answer.status_code == 200
    assert moved("tpv_http_requests_total", "/predict", "200", "POST") == 1
    assert moved("tpv_http_request_duration_seconds_count", "/predict") == 1
    assert moved("tpv_rows_total", "json", "ok") == 3
    assert moved("tpv_rows_total", "json", "error") == 1
    assert moved("tpv_unknown_categories_total", "mcc") == 1
    assert moved("tpv_missing_values_total", "tier") == 1
    assert sum(moved("tpv_predictions_total", label) for label in LABELS) == 3
    assert after["tpv_ready", frozenset()] == 1
    assert after["tpv_requests_in_flight", frozenset()] == 0
    pointer = read_champion(models)
    assert after["tpv_model_info", frozenset({pointer.version, pointer.model_sha256})] == 1
    assert after["tpv_model_bucket_share", frozenset({LABELS[0]})] == pytest.approx(0.2)
    assert ("tpv_model_unknown_share_baseline", frozenset({"mcc"})) in after


def test_made_up_paths_make_no_series(client: httpx.Client) -> None:
    """A scanner cannot fill the metrics with labels."""
    for path in ("/a", "/b/c"):
        client.get(path)
    client.request("BREW", "/predict")
    names = {labels for name, labels in samples(client) if name == "tpv_http_requests_total"}
    assert frozenset({"unmatched", "404", "GET"}) in names
    assert all("/a" not in labels and "BREW" not in labels for labels in names)


def test_logs_are_json_lines_with_request_ids(client: httpx.Client, server: Server) -> None:
    """The id of an answer finds its line in the log."""
    client.post("/predict", json=ROW, headers={"X-Request-ID": "find-me-1"})
    (line,) = (record for record in server.records() if record.get("request_id") == "find-me-1")
    assert line["level"] == "INFO"
    assert (line["method"], line["route"], line["status"], line["rows"]) == ("POST", "/predict", 200, 1)
    assert line["duration_ms"] > 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])


def test_probes_are_not_logged(client: httpx.Client, server: Server) -> None:
    """A probe every second would drown the rest."""
    client.get("/livez", headers={"X-Request-ID": "find-me-2"})
    assert not [record for record in server.records() if record.get("request_id") == "find-me-2"]


def test_model_card(client: httpx.Client, models: Path) -> None:
    """/model tells what serves, with its manifest."""
    card = ModelCard.model_validate(client.get("/model").json())
    assert card.serving is not None
    assert card.serving.version == read_champion(models).version
    assert card.manifest is not None
    assert card.manifest["decision_rule"] == "weighted_f1"
    assert card.load_failure is None


def test_docs_show_examples(client: httpx.Client) -> None:
    """/docs is served, and its document holds bodies that can be sent."""
    assert client.get("/docs").status_code == 200
    media = client.get("/openapi.json").json()["paths"]["/predict"]["post"]["requestBody"]["content"]
    for example in media["application/json"]["examples"].values():
        assert client.post("/predict", json=example["value"]).status_code == 200


def test_openapi_is_committed() -> None:
    """openapi.json is what the code says; `make openapi` writes it again."""
    document = create_api().openapi()
    assert json.loads((ROOT / "openapi.json").read_text()) == json.loads(json.dumps(document))
