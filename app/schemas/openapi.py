"""OpenAPI of the routes that decode their own bodies."""

from __future__ import annotations

from typing import Any, Final

from pydantic.json_schema import models_json_schema

from app.contract.inputs import RAW_INPUTS
from app.schemas.problems import PROBLEM_JSON, Problem
from app.schemas.requests import EXAMPLE, EXAMPLE_BATCH, BatchRequest, PredictOptions, PredictRequest
from app.schemas.responses import BatchResponse, Prediction

_REF: Final = "#/components/schemas/"
_PROBLEMS: Final = {
    400: "The body is not well formed, not UTF-8, or nested too deeply.",
    406: "The answer cannot be written in an accepted media type.",
    408: "The body came too slowly.",
    413: "The body has too many bytes or rows.",
    415: "The media type or the content encoding is not supported.",
    422: "The body breaks the schema; `errors` tells where.",
    503: "No model is loaded, or the service is busy; `Retry-After` tells when to try again.",
}
_PREDICTIONS: Final = {
    "application/x-ndjson": "One merchant a line; one prediction a line, then a trailer record.",
    "text/csv": "A header with the input names, empty cells for null, integers also as 1.0; a flat table back.",
    "application/vnd.apache.arrow.stream": "An Arrow IPC stream with a column an input; a flat table back.",
    "application/vnd.apache.parquet": "A Parquet file with a column an input; a flat table back.",
}
_OPTIONS: Final = {
    "on_error": "As `options.on_error`.",
    "coverage": "As `options.coverage`.",
    "class_conditional": "As `options.class_conditional`.",
    "explain": "As `options.explain`; in JSON and NDJSON answers only.",
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
    others = {name: {"schema": {"type": "string", "description": text}} for name, text in _PREDICTIONS.items()}
    option_schemas = PredictOptions.model_json_schema()["properties"]
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
        "parameters": [
            {
                "name": name,
                "in": "query",
                "required": False,
                "description": text,
                "schema": option_schemas[name],
            }
            for name, text in _OPTIONS.items()
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": _one_of("PredictRequest", "BatchRequest"),
                    "examples": {
                        "merchant": {"summary": "One merchant", "value": EXAMPLE},
                        "batch": {"summary": "Many merchants", "value": EXAMPLE_BATCH},
                    },
                },
                **others,
            },
        },
        "responses": {
            "200": {
                "description": "The prediction, or the predictions in the order of the instances.",
                "headers": {
                    name: {"description": text, "schema": {"type": "string"}} for name, text in _HEADERS.items()
                },
                "content": {"application/json": {"schema": _one_of("Prediction", "BatchResponse")}, **others},
            },
            **problem_responses(400, 406, 408, 413, 415, 422, 503),
        },
    }


def infer_operation() -> dict[str, Any]:
    """Declare POST /v2/models/tpv/infer."""
    tensor: dict[str, Any] = {
        "type": "object",
        "required": ["name", "shape", "datatype"],
        "properties": {
            "name": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer"}},
            "datatype": {"type": "string"},
            "data": {"type": "array", "items": {}},
            "parameters": {"type": "object"},
        },
    }
    tensors = {"type": "array", "items": tensor}
    return {
        "tags": ["open inference protocol"],
        "summary": "Answer tensors with tensors",
        "description": (
            "Open Inference Protocol v2, in JSON or with its binary tensor extension. One input tensor of shape [n] or "
            "[n, 1] for each input of a merchant; null, NaN and empty text mean not known. A bad value refuses the "
            "request, for the protocol has no place for the error of a row."
        ),
        "operationId": "infer",
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["inputs"],
                        "properties": {
                            "id": {"type": "string"},
                            "inputs": tensors,
                            "outputs": {"type": "array", "items": {"type": "object", "required": ["name"]}},
                            "parameters": {"type": "object"},
                        },
                        "examples": [
                            {
                                "inputs": [
                                    {
                                        "name": raw.name,
                                        "shape": [1],
                                        "datatype": "FP64"
                                        if isinstance(raw.example, float)
                                        else "INT64"
                                        if isinstance(raw.example, int)
                                        else "BYTES",
                                        "data": [raw.example],
                                    }
                                    for raw in RAW_INPUTS
                                ]
                            }
                        ],
                    }
                }
            },
        },
        "responses": {
            "200": {
                "description": "Tensors bucket, label, probabilities, prediction_set and, with real amounts, value.",
                "content": {
                    "application/json": {
                        "schema": {
                            "type": "object",
                            "required": ["model_name", "model_version", "outputs"],
                            "properties": {
                                "model_name": {"type": "string"},
                                "model_version": {"type": "string"},
                                "id": {"type": "string"},
                                "outputs": tensors,
                            },
                        }
                    }
                },
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
