"""OpenAPI of the routes that decode their own bodies."""

from __future__ import annotations

from typing import Any, Final

from pydantic.json_schema import models_json_schema

from app.schemas.problems import PROBLEM_JSON, Problem
from app.schemas.requests import EXAMPLE, EXAMPLE_BATCH, BatchRequest, PredictRequest
from app.schemas.responses import BatchResponse, Prediction

_REF: Final = "#/components/schemas/"
_PROBLEMS: Final = {
    400: "The body is not well formed, not UTF-8, or nested too deeply.",
    408: "The body came too slowly.",
    413: "The body has too many bytes or rows.",
    415: "The media type or the content encoding is not supported.",
    422: "The body breaks the schema; `errors` tells where.",
    503: "No model is loaded, or the service is busy; `Retry-After` tells when to try again.",
}
_HEADERS: Final = {
    "X-Request-ID": "Taken from the request, or made; it is in the logs.",
    "X-Model-Version": "Version that answered every row.",
    "X-Model-SHA256": "Digest of that version's model.",
    "X-Row-Errors": "Rows that were not predicted.",
}


def problem_responses(*statuses: int) -> dict[str, Any]:
    """Declare problem answers of some statuses."""
    return {
        str(status): {
            "description": _PROBLEMS[status],
            "content": {PROBLEM_JSON: {"schema": {"$ref": f"{_REF}Problem"}}},
        }
        for status in statuses
    }


def _one_of(*names: str) -> dict[str, Any]:
    return {"oneOf": [{"$ref": f"{_REF}{name}"} for name in names]}


def predict_operation() -> dict[str, Any]:
    """Declare POST /predict."""
    return {
        "tags": ["predictions"],
        "summary": "Predict the TPV bucket of one merchant, or of many",
        "description": (
            "Send one merchant object and get one prediction, or `instances` and get `predictions` in their order. "
            'A bad row of a batch becomes `{"error": …}` in its position and the others are answered as usual, '
            "unless `options.on_error` is `fail`. Every input but `bairro` must be present; null means not known. "
            'Codes are compared as text (59 and "59" are one code), place names after Unicode NFC normalisation.'
        ),
        "operationId": "predict",
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": _one_of("PredictRequest", "BatchRequest"),
                    "examples": {
                        "merchant": {"summary": "One merchant", "value": EXAMPLE},
                        "batch": {"summary": "Many merchants", "value": EXAMPLE_BATCH},
                    },
                }
            },
        },
        "responses": {
            "200": {
                "description": "The prediction, or the predictions in the order of the instances.",
                "headers": {
                    name: {"description": text, "schema": {"type": "string"}} for name, text in _HEADERS.items()
                },
                "content": {"application/json": {"schema": _one_of("Prediction", "BatchResponse")}},
            },
            **problem_responses(400, 408, 413, 415, 422, 503),
        },
    }


def components() -> dict[str, Any]:
    """Give the schemas that the declarations refer to."""
    _, definitions = models_json_schema(
        [
            (PredictRequest, "validation"),
            (BatchRequest, "validation"),
            (Prediction, "serialization"),
            (BatchResponse, "serialization"),
            (Problem, "serialization"),
        ],
        ref_template=f"{_REF}{{model}}",
    )
    schemas: dict[str, Any] = definitions["$defs"]
    return schemas
