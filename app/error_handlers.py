"""The one table from error to status, and its RFC 9457 answer."""

from __future__ import annotations

from dataclasses import asdict
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import Response

from app import errors
from app.observability import request_id
from app.schemas.problems import PROBLEM_JSON

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.types import Scope

ERROR_TABLE: Final[dict[type[errors.TPVError], tuple[int, str]]] = {
    errors.MalformedBodyError: (400, "The body cannot be read"),
    errors.NestingError: (400, "The body is nested too deeply"),
    errors.InvalidRequestError: (422, "The request breaks the schema"),
    errors.TooManyRowsError: (413, "Too many rows"),
    errors.BodyTooLargeError: (413, "The body is too large"),
    errors.BodyTimeoutError: (408, "The body came too slowly"),
    errors.UnsupportedMediaTypeError: (415, "The media type is not supported"),
    errors.UnsupportedEncodingError: (415, "The content encoding is not supported"),
    errors.NotAcceptableError: (406, "No acceptable media type"),
    errors.UnauthorizedError: (401, "An API key is needed"),
    errors.OverloadedError: (503, "The service is busy"),
    errors.PredictionTimeoutError: (503, "The prediction took too long"),
    errors.DrainingError: (503, "The service is stopping"),
    errors.ModelNotReadyError: (503, "No model is loaded"),
}
"""Status and title of every error that a caller may see; anything else is a bare 500."""

_CLOSING: Final = frozenset({408, 413})
"""The rest of the body is not wanted: the connection is closed instead of reading it."""


def problem_response(error: Exception, scope: Scope) -> Response:
    """Answer an error: by the table, by its own status for routing errors, and by a bare 500 for the rest.

    Clients of the Open Inference Protocol look for a member `error`, which its paths therefore have as well.
    """
    status, headers, problem = _problem_of(error)
    problem["request_id"] = request_id.get()
    if scope["path"].startswith("/v2"):
        problem["error"] = problem["detail"]
    return Response(msgspec.json.encode(problem), status, headers, media_type=PROBLEM_JSON)


def _problem_of(error: Exception) -> tuple[int, Any, dict[str, Any]]:
    if isinstance(error, HTTPException):
        phrase = HTTPStatus(error.status_code).phrase
        code = phrase.lower().replace(" ", "_")
        detail = {404: "no such path; the routes are listed at /docs", 405: "this path takes another method"}.get(
            error.status_code, phrase
        )
        return error.status_code, error.headers, _problem(error.status_code, phrase, code, detail)
    if isinstance(error, errors.TPVError) and type(error) in ERROR_TABLE:
        status, title = ERROR_TABLE[type(error)]
        headers = {}
        if isinstance(error, errors.UnavailableError):
            headers["retry-after"] = str(error.retry_after)
        if isinstance(error, errors.UnauthorizedError):
            headers["www-authenticate"] = "Bearer"
        if status in _CLOSING:
            headers["connection"] = "close"
        problems = error.problems if isinstance(error, errors.InvalidRequestError) else ()
        listed = [asdict(problem) for problem in problems]
        return status, headers, _problem(status, title, error.code, str(error), listed)
    return 500, None, _problem(500, "Internal error", "internal_error", "it was logged under this request id")


def _problem(
    status: int, title: str, code: str, detail: str, problems: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    return {
        "type": f"urn:tpv:problem:{code}",
        "title": title,
        "status": status,
        "code": code,
        "detail": detail,
        "request_id": "",
        "errors": problems or [],
    }


async def _handle(request: Request, error: Exception) -> Response:
    return problem_response(error, request.scope)


def install(app: FastAPI) -> None:
    """Route every foreseen error of the application to the table."""
    app.add_exception_handler(errors.TPVError, _handle)
    app.add_exception_handler(HTTPException, _handle)
