"""The error table: every foreseen error has its row, and what was not foreseen tells nothing."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from app import errors
from app.error_handlers import ERROR_TABLE, problem_response
from app.middleware import RequestContext
from app.observability import Metrics
from app.schemas.problems import Problem

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

SCOPE: dict[str, Any] = {"type": "http", "method": "POST", "path": "/predict", "headers": []}
NEVER_SENT = {errors.RequestError, errors.UnavailableError, errors.ClientGoneError}


def descendants(kind: type[errors.TPVError]) -> set[type[errors.TPVError]]:
    """Give a class and all below it."""
    return {kind}.union(*map(descendants, kind.__subclasses__()))


def test_every_error_of_a_caller_has_a_row() -> None:
    """A new error without a status would be a 500."""
    assert descendants(errors.RequestError) | descendants(errors.UnavailableError) == set(ERROR_TABLE) | NEVER_SENT


def test_codes_are_unique() -> None:
    """A code means one thing."""
    codes = [kind.code for kind in ERROR_TABLE]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("kind", ERROR_TABLE, ids=lambda kind: kind.code)
def test_rows_make_problems(kind: type[errors.TPVError]) -> None:
    """Status, title, code and, when the caller should come back, Retry-After."""
    given: Any = [errors.FieldProblem("/uf", "missing_field", "is required")] if "Invalid" in kind.__name__ else "why"
    response = problem_response(kind(given), SCOPE)
    status, title = ERROR_TABLE[kind]
    problem = Problem.model_validate_json(bytes(response.body))
    assert (response.status_code, problem.status, problem.title, problem.code) == (status, status, title, kind.code)
    assert ("retry-after" in response.headers) is (status == 503)


def test_the_unforeseen_is_a_bare_500(caplog: pytest.LogCaptureFixture) -> None:
    """The caller learns nothing but an id; the log has the traceback under that id."""

    async def broken(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise RuntimeError("secret detail")

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    context = RequestContext(broken, routes=frozenset({"/predict"}), metrics=Metrics(), respond=problem_response)
    asyncio.run(context(dict(SCOPE), receive, send))
    start, body = sent[0], b"".join(message.get("body", b"") for message in sent)
    assert start["status"] == 500
    assert b"secret" not in body
    assert json.loads(body)["code"] == "internal_error"
    assert json.loads(body)["request_id"].encode() == dict(start["headers"])[b"x-request-id"]
    assert "secret detail" in caplog.text
