"""Open Inference Protocol v2 tensors, in JSON and in its binary extension, to columns and back."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from app.contract.buckets import LABELS, N_BUCKETS
from app.contract.inputs import RAW_BY_NAME, RAW_INPUTS, Kind
from app.errors import FieldProblem, InvalidRequestError, MalformedBodyError, TooManyRowsError
from app.formats.json_body import parse_exact
from app.formats.request import Options
from app.formats.tables import check_header, request_of_columns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.formats.answers import PredictionsLike

_DTYPES: Final = {
    "INT8": "<i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8", "UINT8": "<u1", "UINT16": "<u2", "UINT32": "<u4",
    "UINT64": "<u8", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
_LENGTH: Final = struct.Struct("<I")
_KIND_DATATYPES: Final = {
    Kind.NOMINAL: "BYTES", Kind.UF: "BYTES", Kind.TEXT: "BYTES", Kind.FLAG: "INT64", Kind.AMOUNT: "FP64",
    Kind.COUNT: "INT64",
}  # fmt: skip
OUTPUTS: Final = (
    ("bucket", "INT64", [-1]),
    ("label", "BYTES", [-1]),
    ("probabilities", "FP64", [-1, N_BUCKETS]),
    ("prediction_set", "INT64", [-1, 2]),
    ("value", "FP64", [-1, 4]),
)
"""Name, datatype and shape of what `infer` gives; `value` (p50, lower, upper, mean) only when the model has amounts."""


class _Tensor(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    shape: list[int]
    datatype: str
    data: list[Any] | None = None
    parameters: dict[str, Any] = {}


class _Output(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    parameters: dict[str, Any] = {}


class _Inference(msgspec.Struct, forbid_unknown_fields=True):
    inputs: list[_Tensor]
    id: str | None = None
    outputs: list[_Output] | None = None
    parameters: dict[str, Any] = {}


class InferRequest(msgspec.Struct):
    """A decoded inference request.

    Attributes:
        decoded: columns and options.
        id: to be repeated in the answer.
        outputs: wanted tensors and whether each is wanted in binary.
    """

    decoded: Any
    id: str | None
    outputs: dict[str, bool]


def model_metadata(versions: list[str]) -> dict[str, Any]:
    """Describe the model as the protocol wants it."""
    return {
        "name": "tpv",
        "versions": versions,
        "platform": "xgboost",
        "inputs": [{"name": raw.name, "datatype": _KIND_DATATYPES[raw.kind], "shape": [-1]} for raw in RAW_INPUTS],
        "outputs": [{"name": name, "datatype": datatype, "shape": shape} for name, datatype, shape in OUTPUTS],
    }


def decode_inference(body: bytes, header_length: int | None, *, max_rows: int, max_depth: int) -> InferRequest:
    """Decode an inference request: one tensor of shape [n] or [n, 1] an input.

    A bad value refuses the whole request: the protocol has no place for the error of one row.

    Args:
        body: JSON, followed by binary tensors when `header_length` says where they begin.
        header_length: of `Inference-Header-Content-Length`, or None.
        max_rows: most rows of one request.
        max_depth: deepest nesting of the JSON.

    Raises:
        MalformedBodyError: not JSON, or binary parts of other lengths than announced.
        NestingError: nested deeper than `max_depth`.
        TooManyRowsError: more than `max_rows` rows.
        InvalidRequestError: tensors, or values in them, are wrong.
    """
    head = body if header_length is None else body[:header_length]
    try:
        request = msgspec.json.decode(head, type=_Inference)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        parse_exact(head, max_depth)
        detail = "must be an inference request: inputs with name, shape, datatype and data"
        raise InvalidRequestError([FieldProblem("", "wrong_type", detail)]) from error
    check_header([tensor.name for tensor in request.inputs])
    rows = _rows(request.inputs, max_rows)
    binary = memoryview(body)[len(head) :]
    columns = {}
    for position, tensor in enumerate(request.inputs):
        pointer = f"/inputs/{position}"
        size = tensor.parameters.get("binary_data_size")
        if size is None:
            values = _flat(tensor, pointer)
        elif type(size) is int and 0 <= size <= len(binary):
            values, binary = _from_binary(tensor, bytes(binary[:size]), pointer), binary[size:]
        else:
            raise MalformedBodyError("a binary tensor is cut; binary_data_size must be the bytes that follow")
        if len(values) != rows:
            raise InvalidRequestError([FieldProblem(pointer, "wrong_length", "must hold as many values as its shape")])
        columns[tensor.name] = _plain(tensor.name, values)
    if binary:
        raise MalformedBodyError("there are bytes after the last binary tensor")
    decoded = request_of_columns(columns, rows, Options(on_error="fail"))
    everything = request.parameters.get("binary_data_output") is True and header_length is not None
    return InferRequest(decoded, request.id, _wanted(request, everything=everything))


def _rows(tensors: list[_Tensor], max_rows: int) -> int:
    problems = []
    for position, tensor in enumerate(tensors):
        shape = tensor.shape
        if shape[:1] != tensors[0].shape[:1] or len(shape) not in {1, 2} or shape[1:] not in ([], [1]) or shape[0] < 0:
            detail = "must be [n] or [n, 1], with the same n for every input"
            problems.append(FieldProblem(f"/inputs/{position}/shape", "wrong_shape", detail))
    if problems:
        raise InvalidRequestError(problems)
    rows = tensors[0].shape[0]
    if rows > max_rows:
        raise TooManyRowsError(f"{rows} rows in one request, at most {max_rows} are taken; split it")
    return rows


def _flat(tensor: _Tensor, pointer: str) -> list[Any]:
    """Give the values of a JSON tensor; [[1], [2]] is taken as [1, 2]."""
    if tensor.data is None:
        detail = "is required where there is no binary_data_size"
        raise InvalidRequestError([FieldProblem(f"{pointer}/data", "missing_field", detail)])
    return [value[0] if isinstance(value, list) and len(value) == 1 else value for value in tensor.data]


def _from_binary(tensor: _Tensor, data: bytes, pointer: str) -> list[Any]:
    if tensor.datatype == "BYTES":
        return _strings(data, pointer)
    dtype = _DTYPES.get(tensor.datatype)
    if dtype is None or len(data) % np.dtype(dtype).itemsize:
        detail = f"must be BYTES or one of {' '.join(_DTYPES)}, with whole elements"
        raise InvalidRequestError([FieldProblem(f"{pointer}/datatype", "wrong_type", detail)])
    values: list[Any] = np.frombuffer(data, dtype).tolist()
    return values


def _strings(data: bytes, pointer: str) -> list[str]:
    values = []
    start = 0
    try:
        while start < len(data):
            (length,) = _LENGTH.unpack_from(data, start)
            start += _LENGTH.size
            if start + length > len(data):
                raise MalformedBodyError("a binary tensor is cut within an element")
            values.append(data[start : start + length].decode())
            start += length
    except struct.error as error:
        raise MalformedBodyError("a binary tensor is cut within an element") from error
    except UnicodeDecodeError as error:
        raise InvalidRequestError([FieldProblem(pointer, "invalid_text", "must hold UTF-8 text")]) from error
    return values


def _plain(name: str, values: list[Any]) -> list[Any]:
    """Make nulls of NaN and of empty text: tensors have no other way to say that a value is not known."""
    amount = RAW_BY_NAME[name].kind is Kind.AMOUNT
    return [
        None
        if value == "" or (isinstance(value, float) and value != value)  # noqa: PLR0124 - text only; the NaN test
        else int(value)
        if isinstance(value, float) and not amount and value.is_integer()
        else value
        for value in values
    ]


def _wanted(request: _Inference, *, everything: bool) -> dict[str, bool]:
    names = [name for name, _, _ in OUTPUTS]
    if not request.outputs:
        return dict.fromkeys(names, everything)
    unknown = [i for i, output in enumerate(request.outputs) if output.name not in names]
    if unknown:
        detail = f"must be one of {', '.join(names)}"
        raise InvalidRequestError([FieldProblem(f"/outputs/{i}/name", "not_allowed", detail) for i in unknown])
    return {output.name: output.parameters.get("binary_data", everything) is True for output in request.outputs}


def encode_inference(request: InferRequest, predictions: PredictionsLike, version: str) -> tuple[bytes, int | None]:
    """Write the answer; give it with the length of its JSON part when binary tensors follow it."""
    arrays = _arrays(predictions)
    outputs: list[dict[str, Any]] = []
    blobs = []
    for name, datatype, _ in OUTPUTS:
        if name not in request.outputs or name not in arrays:
            continue
        array = arrays[name]
        output: dict[str, Any] = {"name": name, "datatype": datatype, "shape": list(array.shape)}
        if request.outputs[name]:
            blobs.append(_to_binary(array))
            output["parameters"] = {"binary_data_size": len(blobs[-1])}
        else:
            output["data"] = array.ravel().tolist()
        outputs.append(output)
    answer: dict[str, Any] = {"model_name": "tpv", "model_version": version, "outputs": outputs}
    if request.id is not None:
        answer["id"] = request.id
    head = msgspec.json.encode(answer)
    return b"".join([head, *blobs]), len(head) if blobs else None


def _arrays(predictions: PredictionsLike) -> Mapping[str, Any]:
    arrays = {
        "bucket": predictions.bucket.astype("<i8"),
        "label": np.array(LABELS, dtype=object)[predictions.bucket],
        "probabilities": predictions.probabilities.astype("<f8"),
        "prediction_set": np.column_stack([predictions.set_lower, predictions.set_upper]).astype("<i8"),
    }
    values = predictions.values
    if values is not None:
        arrays["value"] = np.column_stack([values.p50, values.lower, values.upper, values.mean]).astype("<f8")
    return arrays


def _to_binary(array: Any) -> bytes:
    if array.dtype != object:
        data: bytes = array.tobytes()
        return data
    texts = [text.encode() for text in array.tolist()]
    return b"".join(_LENGTH.pack(len(text)) + text for text in texts)
