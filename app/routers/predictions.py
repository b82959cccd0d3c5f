"""POST /predict."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from starlette.routing import Route

from app.dependencies import headers_of
from app.errors import NotAcceptableError
from app.exchange import BODY, ROWS, Answer, header
from app.formats.answers import encode_json, encode_lines
from app.formats.arrow_body import decode_arrow
from app.formats.compression import inflate
from app.formats.csv_body import decode_csv
from app.formats.json_body import decode_json
from app.formats.media import CANONICAL, Format, format_of_answer, format_of_body
from app.formats.ndjson_body import encode_trailer
from app.formats.query_options import options_of_query
from app.formats.table_answers import encode_arrow, encode_csv
from app.routers.streaming import NdjsonStream

if TYPE_CHECKING:
    from typing import Any

    from starlette.requests import Request

    from app.dependencies import AppState
    from app.formats.request import DecodedRequest, Options
    from app.settings import Settings


async def predict(request: Request) -> Answer | NdjsonStream:
    """Predict the TPV bucket of one merchant, or of many."""
    scope = request.scope
    state: AppState = scope["state"]
    model = state["store"].require()
    settings, answering = state["settings"], state["answering"]
    form = format_of_body(header(scope, b"content-type").decode("latin-1"))
    answer = format_of_answer(header(scope, b"accept").decode("latin-1"), form)
    options = options_of_query(scope["query_string"])
    encoding = header(scope, b"content-encoding").decode("latin-1")
    if form is Format.NDJSON:
        if answer is not Format.NDJSON:
            raise NotAcceptableError("an NDJSON body is answered while it comes, as NDJSON; accept that")
        return NdjsonStream(state, model, options, encoding)
    body: bytes = scope[BODY]
    if form is answer is Format.JSON and len(body) <= settings.small_body_bytes and not encoding:
        decoded = decode_json(body, options, max_rows=settings.max_rows, max_depth=settings.max_json_depth)
        # Reasons cost milliseconds a row: too long for the event loop.
        records = (
            await answering.aside(partial(answering.many, model, decoded))
            if decoded.options.reasons
            else await answering.few(model, decoded)
        )
        content = _encode_json(decoded, records)
    else:

        def work() -> tuple[DecodedRequest, bytes]:
            decoded = _decode(form, inflate(body, encoding, settings.max_body_bytes), options, settings)
            if answer is Format.JSON:
                return decoded, _encode_json(decoded, answering.many(model, decoded))
            if answer is Format.NDJSON:
                lines = encode_lines(answering.many(model, decoded))
                bad = len(decoded.errors)
                return decoded, lines + encode_trailer(decoded.rows, bad, model.ref.version, model.ref.model_sha256)
            table = answering.table(model, decoded)
            return decoded, encode_csv(table) if answer is Format.CSV else encode_arrow(
                table, parquet=answer is Format.PARQUET
            )

        decoded, content = await answering.aside(work)
    answering.count_rows(form, decoded)
    scope[ROWS] = decoded.rows
    return Answer(content, CANONICAL[answer], headers_of(model, len(decoded.errors)))


predict_route: Final = Route("/predict", predict, methods=["POST"])
"""A plain Starlette route: FastAPI's own would parse the body a second time. `app.schemas.openapi` declares it."""


def _decode(form: Format, body: bytes, options: Options, settings: Settings) -> DecodedRequest:
    match form:
        case Format.CSV:
            return decode_csv(body, options, max_rows=settings.max_rows)
        case Format.ARROW | Format.PARQUET:
            return decode_arrow(body, options, parquet=form is Format.PARQUET, max_rows=settings.max_rows)
        case _:
            return decode_json(body, options, max_rows=settings.max_rows, max_depth=settings.max_json_depth)


def _encode_json(decoded: DecodedRequest, records: list[Any]) -> bytes:
    return encode_json(records[0] if decoded.single else {"predictions": records})
