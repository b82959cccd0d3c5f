"""The Open Inference Protocol, spoken by a public client library to a real server process."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tritonclient.http import InferenceServerClient, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from app.contract.buckets import LABELS
from app.contract.inputs import RAW_NAMES
from app.formats.tensors import OUTPUTS
from tests.support.inference import inputs_of
from tests.support.merchants import merchants
from tests.support.problems import pointers

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from tests.support.server import Server

ROWS = merchants(40, seed=21)


@pytest.fixture(scope="module")
def triton(server: Server) -> Iterator[InferenceServerClient]:
    """A client as a KServe or Triton user has it."""
    client = InferenceServerClient(f"127.0.0.1:{server.port}")
    yield client
    client.close()


def test_health_and_metadata(triton: InferenceServerClient) -> None:
    """Probes and the description of the model."""
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("tpv")
    assert not triton.is_model_ready("other")
    assert triton.get_server_metadata()["name"] == "tpv"
    metadata = triton.get_model_metadata("tpv")
    assert [tensor["name"] for tensor in metadata["inputs"]] == list(RAW_NAMES)
    assert [tensor["name"] for tensor in metadata["outputs"]] == [name for name, _, _ in OUTPUTS]


@pytest.mark.parametrize("binary_in", [False, True])
@pytest.mark.parametrize("binary_out", [False, True])
@pytest.mark.parametrize("two", [False, True])
def test_inference_equals_predict(
    triton: InferenceServerClient,
    client: httpx.Client,
    *,
    binary_in: bool,
    binary_out: bool,
    two: bool,
) -> None:
    """Tensors in JSON and in binary, of shape [n] or [n, 1], give what /predict gives."""
    outputs = [InferRequestedOutput(name, binary_data=binary_out) for name, _, _ in OUTPUTS]
    result = triton.infer("tpv", inputs_of(ROWS, binary=binary_in, two=two), outputs=outputs, request_id="r1")
    answers = client.post("/predict", json={"instances": ROWS}).json()["predictions"]
    buckets = result.as_numpy("bucket").tolist()
    assert buckets == [answer["bucket"]["index"] for answer in answers]
    labels = [text.decode() if isinstance(text, bytes) else text for text in result.as_numpy("label").tolist()]
    assert labels == [LABELS[index] for index in buckets]
    wanted = [list(answer["probabilities"].values()) for answer in answers]
    np.testing.assert_allclose(result.as_numpy("probabilities"), wanted, atol=1e-6)
    sets = [[answer["prediction_set"]["lower"], answer["prediction_set"]["upper"]] for answer in answers]
    assert result.as_numpy("prediction_set").tolist() == sets
    np.testing.assert_allclose(
        result.as_numpy("value"), [list(answer["value"].values()) for answer in answers], atol=0.01
    )
    assert result.get_response()["id"] == "r1"


def test_default_outputs(triton: InferenceServerClient) -> None:
    """A client that names no outputs gets them all."""
    result = triton.infer("tpv", inputs_of(ROWS[:2], binary=True))
    assert result.as_numpy("probabilities").shape == (2, 5)


def test_refusals_are_readable_for_the_client(triton: InferenceServerClient) -> None:
    """The client finds the reason where it looks for it."""
    with pytest.raises(InferenceServerException, match="problem"):
        triton.infer("tpv", inputs_of([ROWS[0] | {"mei": 7}], binary=False))
    with pytest.raises(InferenceServerException):
        triton.infer("tpv", inputs_of(ROWS[:1], binary=False)[1:])


def body(**changes: Any) -> dict[str, Any]:
    """Make an inference request of one row, with one tensor changed."""
    tensors = [{"name": name, "shape": [1], "datatype": "BYTES", "data": [ROWS[0][name]]} for name in RAW_NAMES]
    tensors[0].update(changes)
    return {"inputs": tensors}


@pytest.mark.parametrize(
    ("request_body", "pointer"),
    [
        (body(shape=[2]), "/inputs/1/shape"),
        (body(shape=[1, 2]), "/inputs/0/shape"),
        (body(shape=[]), "/inputs/0/shape"),
        (body(data=[1, 2]), "/inputs/0"),
        (body(data=None), "/inputs/0/data"),
        (body(data=[[1, 2]]), "/0/cnae_fiscal_principal"),
        (body(data=[True]), "/0/cnae_fiscal_principal"),
        (body(name="segmento"), "/segmento"),
        (body(name="other"), "/other"),
        (body() | {"outputs": [{"name": "other"}]}, "/outputs/0/name"),
        ({"inputs": 3}, ""),
        ([], ""),
    ],
)
def test_bad_inference_requests(client: httpx.Client, request_body: Any, pointer: str) -> None:
    """Wrong tensors are 422 problems that point at them."""
    response = client.post("/v2/models/tpv/infer", json=request_body)
    assert response.status_code == 422, response.text
    assert pointer in pointers(response.json())
    assert response.json()["error"] == response.json()["detail"]


@pytest.mark.parametrize(("length", "tail"), [("x", b""), ("9" * 30, b""), (None, b""), (None, b"abc")])
def test_damaged_binary(client: httpx.Client, length: str | None, tail: bytes) -> None:
    """Binary parts that do not fit their announcement are 400s."""
    request = body()
    request["inputs"][0] = {
        "name": RAW_NAMES[0],
        "shape": [1],
        "datatype": "INT64",
        "parameters": {"binary_data_size": 8 if tail == b"" else 2},
    }
    head = json.dumps(request).encode()
    headers = {"inference-header-content-length": length or str(len(head))}
    response = client.post("/v2/models/tpv/infer", content=head + tail, headers=headers)
    assert response.status_code in {400, 422}, response.text
