"""The one check of an RFC 9457 answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.schemas.problems import PROBLEM_JSON, Problem

if TYPE_CHECKING:
    import httpx


def assert_problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Check status, media type, members and request id; give the problem."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == PROBLEM_JSON
    problem: dict[str, Any] = response.json()
    Problem.model_validate(problem, extra="forbid")
    assert problem["status"] == status
    assert problem["code"] == code
    assert problem["type"] == f"urn:tpv:problem:{code}"
    assert problem["request_id"] == response.headers["x-request-id"]
    return problem


def pointers(problem: dict[str, Any]) -> dict[str, str]:
    """Give the code of each pointer."""
    return {error["pointer"]: error["code"] for error in problem["errors"]}
