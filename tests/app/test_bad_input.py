"""Hostile and mistaken bodies: always a 4xx problem that names the place, never an echo, never a 5xx."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.merchants import merchants
from tests.support.problems import assert_problem, pointers

if TYPE_CHECKING:
    import httpx

ROW = merchants(1, seed=7)[0]
HEADERS = {"content-type": "application/json"}


def with_raw(name: str, text: str | bytes) -> bytes:
    """Write a merchant whose input `name` is this piece of JSON."""
    mark = "@@@"
    body = json.dumps(ROW | {name: mark}).encode()
    return body.replace(json.dumps(mark).encode(), text if isinstance(text, bytes) else text.encode())


FIELD_CASES = [
    ("capital_social", "NaN", "not_finite"),
    ("capital_social", "-Infinity", "not_finite"),
    ("capital_social", "1e999", "not_finite"),
    ("capital_social", "-1", "out_of_range"),
    ("capital_social", str(2**70), "out_of_range"),
    ("capital_social", "9" * 5000, "not_finite"),
    ("capital_social", '"20000"', "wrong_type"),
    ("capital_social", "true", "wrong_type"),
    ("mei", "true", "wrong_type"),
    ("mei", '"1"', "wrong_type"),
    ("mei", "1.0", "wrong_type"),
    ("mei", "2", "out_of_range"),
    ("mei", "9" * 5000, "out_of_range"),
    ("total_estab", "0", "out_of_range"),
    ("total_estab", str(2**70), "out_of_range"),
    ("total_estab", "[]", "wrong_type"),
    ("mcc", str(2**70), "out_of_range"),
    ("mcc", "9" * 5000, "out_of_range"),
    ("mcc", "1.5", "wrong_type"),
    ("mcc", "true", "wrong_type"),
    ("mcc", "{}", "wrong_type"),
    ("mcc", '"' + "x" * 33 + '"', "too_long"),
    ("mcc", '""', "empty_text"),
    ("uf", '"sp"', "not_allowed"),
    ("uf", "35", "wrong_type"),
    ("municipio", "7", "wrong_type"),
    ("municipio", '"' + "x" * 121 + '"', "too_long"),
    ("bairro", '"\\ud800"', "invalid_text"),
    ("bairro", '"a\\u0000b"', "invalid_text"),
]


@pytest.mark.parametrize(("name", "text", "code"), FIELD_CASES, ids=[f"{n}={t[:12]}" for n, t, _ in FIELD_CASES])
def test_a_bad_value_is_pointed_at(client: httpx.Client, name: str, text: str, code: str) -> None:
    """One bad value: 422, its pointer, the broken rule; in a batch, an error of that row only."""
    body = with_raw(name, text)
    problem = assert_problem(client.post("/predict", content=body, headers=HEADERS), 422, "invalid_request")
    assert pointers(problem) == {f"/{name}": code}
    batch = b'{"instances": [' + json.dumps(ROW).encode() + b", " + body + b"]}"
    response = client.post("/predict", content=batch, headers=HEADERS)
    assert response.status_code == 200
    good, bad = response.json()["predictions"]
    assert "bucket" in good
    assert pointers(bad["error"]) == {f"/instances/1/{name}": code}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "malformed_body"),
        (b"{", 400, "malformed_body"),
        (b"{}x", 400, "malformed_body"),
        (b'{"uf": "\xff"}', 400, "malformed_body"),
        (b'{"uf": "\xed\xa0\x80"}', 400, "malformed_body"),
        (b"\xef\xbb\xbf{}", 400, "malformed_body"),
        (b'{"uf": "\x00"}', 400, "malformed_body"),
        (b"{'uf': 1}", 400, "malformed_body"),
        (b'{"instances": [{},]}', 400, "malformed_body"),
        (b"[" * 900, 400, "nesting_too_deep"),
        (b"[" * 5_000 + b"]" * 5_000, 400, "nesting_too_deep"),
        (b"[" * 100_000 + b"]" * 100_000, 400, "nesting_too_deep"),
        (b'{"a":' * 100_000, 400, "nesting_too_deep"),
        (b'{"instances":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "nesting_too_deep"),
        (b'{"uf": ' + b"[" * 900 + b"]" * 900 + b"}", 400, "nesting_too_deep"),
        (b"null", 422, "invalid_request"),
        (b"7", 422, "invalid_request"),
        (b"[]", 422, "invalid_request"),
        (b'"instances"', 422, "invalid_request"),
        (b"{}", 422, "invalid_request"),
        (b'{"instances": 3}', 422, "invalid_request"),
    ],
    ids=lambda value: f"{value[:24]!r}-{len(value)}" if isinstance(value, bytes) else None,
)
def test_a_bad_body_is_refused(client: httpx.Client, body: bytes, status: int, code: str) -> None:
    """What is no JSON is a 400; what is JSON of another shape is a 422."""
    assert_problem(client.post("/predict", content=body, headers=HEADERS), status, code)


def test_duplicate_keys_are_refused_everywhere(client: httpx.Client) -> None:
    """Whichever of two values were taken, half of the callers would be surprised."""
    row = json.dumps(ROW).encode()
    twice = row.replace(b'"mei"', b'"mei": 1, "mei"', 1)
    escaped = row.replace(b'"mei"', b'"\\u006dei": 1, "mei"', 1)
    for body in (twice, escaped):
        problem = assert_problem(client.post("/predict", content=body, headers=HEADERS), 422, "invalid_request")
        assert pointers(problem) == {"/mei": "duplicate_field"}
    bodies: dict[bytes, str] = {
        b'{"instances": [], "instances": []}': "/instances",
        b'{"instances": [], "options": {}, "options": {}}': "/options",
        b'{"instances": [], "options": {"explain": 1, "explain": 1}}': "/options/explain",
    }
    for body, pointer in bodies.items():
        problem = assert_problem(client.post("/predict", content=body, headers=HEADERS), 422, "invalid_request")
        assert pointers(problem) == {pointer: "duplicate_field"}


def test_colons_in_text_are_no_duplicates(client: httpx.Client) -> None:
    """Text with colons makes the quick duplicate check give up, not the request."""
    response = client.post("/predict", json=ROW | {"bairro": 'Setor: "Norte": 2'})
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("options", "pointer", "code"),
    [
        ({"on_error": "ignore"}, "/options/on_error", "invalid_option"),
        ({"coverage": 0.4}, "/options/coverage", "invalid_option"),
        ({"coverage": "0.9"}, "/options/coverage", "invalid_option"),
        ({"coverage": True}, "/options/coverage", "invalid_option"),
        ({"class_conditional": 1}, "/options/class_conditional", "invalid_option"),
        ({"explain": 14}, "/options/explain", "invalid_option"),
        ({"explain": -1}, "/options/explain", "invalid_option"),
        ({"explain": 1.5}, "/options/explain", "invalid_option"),
        ({"threads": 2}, "/options/threads", "unknown_field"),
        ([], "/options", "wrong_type"),
    ],
)
def test_bad_options_refuse_the_request(client: httpx.Client, options: Any, pointer: str, code: str) -> None:
    """An option that cannot be honoured is an error of the whole request."""
    response = client.post("/predict", json={"instances": [ROW], "options": options})
    assert pointers(assert_problem(response, 422, "invalid_request")) == {pointer: code}


def test_nothing_of_the_input_is_echoed(client: httpx.Client) -> None:
    """Neither values nor keys that are no plain names come back, so problems are safe to log."""
    secret = "segredo-7f3a"  # noqa: S105 - a marker
    bodies = [
        ROW | {"uf": secret},
        ROW | {"mcc": [secret]},
        ROW | {f"{secret} key": 1},
        {"instances": [ROW | {"mei": secret}, secret], "options": {"on_error": "fail"}},
    ]
    for body in bodies:
        response = client.post("/predict", json=body)
        assert_problem(response, 422, "invalid_request")
        assert secret not in response.text


def test_thousands_of_problems_make_a_short_answer(client: httpx.Client) -> None:
    """At most a hundred are listed, and the total is told."""
    response = client.post("/predict", json={"instances": [7] * 900, "options": {"on_error": "fail"}})
    problem = assert_problem(response, 422, "invalid_request")
    assert len(problem["errors"]) == 100
    assert "900" in problem["detail"]


def test_other_media_types_are_refused(client: httpx.Client) -> None:
    """A form or a bare text is a 415 that names what is taken."""
    response = client.post("/predict", content=b"a=1", headers={"content-type": "text/plain"})
    assert "application/json" in assert_problem(response, 415, "unsupported_media_type")["detail"]


def test_unknown_paths_and_methods_are_problems(client: httpx.Client) -> None:
    """Routing errors have the same shape as all others."""
    assert_problem(client.get("/nowhere"), 404, "not_found")
    assert client.get("/predict").headers["allow"] == "POST"
    assert_problem(client.get("/predict"), 405, "method_not_allowed")
