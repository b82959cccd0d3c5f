"""POST /predict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.responses import Response
from starlette.routing import Route

from app.errors import UnsupportedMediaTypeError
from app.formats.answers import encode_json
from app.formats.json_body import decode_json

if TYPE_CHECKING:
    from typing import Any

    from starlette.requests import Request

    from app.dependencies import AppState
    from app.formats.request import DecodedRequest
    from app.model.store import LoadedModel
    from app.settings import Settings

JSON: Final = "application/json"


async def predict(request: Request) -> Response:
    """Predict the TPV bucket of one merchant, or of many."""
    state: AppState = request.scope["state"]
    model = state["store"].require()
    settings, answering = state["settings"], state["answering"]
    _check_media_type(request)
    body = await request.body()
    if len(body) <= settings.small_body_bytes:
        decoded = _decode(body, settings)
        content = _encode(decoded, await answering.few(model, decoded))
    else:

        def work() -> tuple[DecodedRequest, bytes]:
            decoded = _decode(body, settings)
            return decoded, _encode(decoded, answering.many(model, decoded))

        decoded, content = await answering.aside(work)
    answering.count_rows("json", decoded)
    request.scope["tpv.rows"] = decoded.rows
    return Response(content, headers=headers_of(model, len(decoded.errors)), media_type=JSON)


predict_route: Final = Route("/predict", predict, methods=["POST"])
"""A plain Starlette route: FastAPI's own would parse the body a second time. `app.schemas.openapi` declares it."""


def _check_media_type(request: Request) -> None:
    media_type = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if media_type != JSON:
        raise UnsupportedMediaTypeError(f"send the body as {JSON}")


def _decode(body: bytes, settings: Settings) -> DecodedRequest:
    return decode_json(body, max_rows=settings.max_rows, max_depth=settings.max_json_depth)


def _encode(decoded: DecodedRequest, records: list[Any]) -> bytes:
    return encode_json(records[0] if decoded.single else {"predictions": records})


def headers_of(model: LoadedModel, bad_rows: int) -> dict[str, str]:
    """Headers of every answer with predictions."""
    return {
        "x-model-version": model.ref.version,
        "x-model-sha256": model.ref.model_sha256,
        "x-row-errors": str(bad_rows),
    }
