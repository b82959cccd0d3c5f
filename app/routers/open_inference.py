"""Open Inference Protocol v2: the same core for KServe and Triton clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter
from starlette.routing import Route

from app.dependencies import DrainingDep, StoreDep, headers_of
from app.errors import DrainingError, MalformedBodyError
from app.exchange import BODY, ROWS, Answer, header
from app.formats.compression import inflate
from app.formats.tensors import decode_inference, encode_inference, model_metadata

if TYPE_CHECKING:
    from starlette.requests import Request

    from app.dependencies import AppState
    from app.formats.tensors import InferRequest

_HEADER_LENGTH: Final = b"inference-header-content-length"

router = APIRouter(prefix="/v2", tags=["open inference protocol"])


@router.get("")
async def server_metadata() -> dict[str, Any]:
    """Describe the server."""
    return {"name": "tpv", "version": "1", "extensions": ["binary_tensor_data"]}


@router.get("/health/live")
async def live() -> dict[str, bool]:
    """Tell that the process answers."""
    return {"live": True}


@router.get("/health/ready")
async def server_ready(store: StoreDep, draining: DrainingDep) -> dict[str, bool]:
    """Tell whether predictions are served."""
    if draining.started:
        raise DrainingError("the process was told to stop; send requests elsewhere")
    store.require()
    return {"ready": True}


@router.get("/models/tpv")
async def describe_model(store: StoreDep) -> dict[str, Any]:
    """Describe inputs and outputs."""
    return model_metadata([store.require().ref.version])


@router.get("/models/tpv/ready")
async def model_ready(store: StoreDep) -> dict[str, Any]:
    """Tell whether the model is loaded."""
    store.require()
    return {"name": "tpv", "ready": True}


async def infer(request: Request) -> Answer:
    """Answer tensors with tensors."""
    state: AppState = request.scope["state"]
    model = state["store"].require()
    settings, answering = state["settings"], state["answering"]
    length = header(request.scope, _HEADER_LENGTH)
    if length and not (length.isdigit() and len(length) < 12):  # noqa: PLR2004
        raise MalformedBodyError(f"{_HEADER_LENGTH.decode()} must be the length of the JSON part")
    body = request.scope[BODY]
    encoding = header(request.scope, b"content-encoding").decode("latin-1")

    def work() -> tuple[InferRequest, bytes, int | None]:
        decoded = decode_inference(
            inflate(body, encoding, settings.max_body_bytes),
            int(length) if length else None,
            max_rows=settings.max_rows,
            max_depth=settings.max_json_depth,
        )
        predictions = answering.predict(model, decoded.decoded)
        return decoded, *encode_inference(decoded, predictions, model.ref.version)

    decoded, content, head = await answering.aside(work)
    answering.count_rows("tensors", decoded.decoded)
    request.scope[ROWS] = decoded.decoded.rows
    headers = headers_of(model, 0)
    if head is None:
        return Answer(content, "application/json", headers)
    return Answer(content, "application/octet-stream", [*headers, (_HEADER_LENGTH, str(head).encode())])


infer_route: Final = Route("/v2/models/tpv/infer", infer, methods=["POST"])
"""A plain Starlette route, as `/predict` is; `app.schemas.openapi` declares it."""
