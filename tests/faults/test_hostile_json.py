"""Bodies made to hurt: refused as problems or normalised as documented, never a 5xx."""

from __future__ import annotations

import json
import unicodedata
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.support.merchants import merchants
from tests.support.problems import assert_problem

if TYPE_CHECKING:
    from tests.support.server import Server

ROW = merchants(1, seed=7)[0]
HEADERS = {"content-type": "application/json"}


def with_raw(name: str, raw: str) -> bytes:
    """Write the merchant with a literal of one's own for one input."""
    others = {key: value for key, value in ROW.items() if key != name}
    return f'{json.dumps(others)[:-1]}, "{name}": {raw}}}'.encode("utf-8", "surrogatepass")


def nested(depth: int, opening: str, closing: str) -> str:
    """Brackets around nothing."""
    return opening * depth + closing * depth


HOSTILE: dict[str, bytes] = {
    **{f"lists {depth} deep": nested(depth, "[", "]").encode() for depth in (900, 5_000, 100_000)},
    **{f"objects {depth} deep": ('{"a":' * depth + "1" + "}" * depth).encode() for depth in (900, 5_000, 100_000)},
    **{f"a field {depth} deep": with_raw("mcc", nested(depth, "[", "]")) for depth in (900, 5_000, 100_000)},
    **{f"open {depth} deep": b"[" * depth for depth in (900, 5_000, 100_000)},
    **{
        f"{literal[:12]} as {name}": with_raw(name, literal)
        for literal in ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", str(2**70), "9" * 5_000, "-" + "9" * 5_000,
                        "true", "1." + "0" * 5_000 + "1", "1e-999999", "0x10", "01", "+1", ".5", "1_000")
        for name in ("capital_social", "mcc", "mei", "total_estab")
        if (literal, name) not in {("1e-999999", "capital_social"), ("1." + "0" * 5_000 + "1", "capital_social"),
                                   ("1." + "0" * 5_000 + "1", "mcc")}
    },
    "text for a number": with_raw("capital_social", '"1"'),
    "text for a count": with_raw("total_estab", '"1"'),
    "text for a flag": with_raw("mei", '"1"'),
    "a repeated key": with_raw("mcc", '1, "mcc": 2'),
    "a repeated key, escaped": with_raw("mcc", '1, "\\u006dcc": 2'),
    "an extra field": json.dumps(ROW | {"__proto__": 1}).encode(),
    "an extra key beside instances": json.dumps({"instances": [ROW], "model": "x"}).encode(),
    "a lone surrogate, escaped": with_raw("municipio", '"\\ud800"'),
    "a lone low surrogate, escaped": with_raw("municipio", '"x\\udc00y"'),
    "a lone surrogate, encoded": with_raw("municipio", '"\ud800"'),
    "NUL, escaped": with_raw("municipio", '"a\\u0000b"'),
    "NUL, bare": with_raw("municipio", '"a\x00b"'),
    "bad UTF-8": with_raw("municipio", '"X"').replace(b'"X"', b'"\xff\xfe"'),
    "overlong UTF-8": with_raw("municipio", '"X"').replace(b'"X"', b'"\xc0\xaf"'),
    "cut UTF-8": with_raw("municipio", '"X"').replace(b'"X"', b'"\xe2\x82"'),
    "UTF-16": json.dumps(ROW).encode("utf-16"),
    "a byte-order mark": b"\xef\xbb\xbf" + json.dumps(ROW).encode(),
    "text without end": b'{"municipio": "' + b"x" * 100_000,
    "a very long text": with_raw("municipio", json.dumps("x" * 1_000_000)),
    "a very long key": json.dumps(ROW | {"k" * 1_000_000: 1}).encode(),
    "a hundred thousand keys": json.dumps(ROW | {f"k{i}": i for i in range(100_000)}).encode(),
    "ten million commas": b"[" + b"," * 10_000_000 + b"]",
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bodies_are_refused(server: Server, name: str) -> None:
    """Each is a problem of the caller, and the process takes the next request."""
    response = httpx.post(server.url + "/predict", content=HOSTILE[name], headers=HEADERS, timeout=30)
    assert response.status_code in {400, 413, 422}, response.text
    assert_problem(response, response.status_code, response.json()["code"])
    assert len(response.content) < 100_000
    assert httpx.post(server.url + "/predict", json=ROW).status_code == 200


NDJSON = {"content-type": "application/x-ndjson"}


def test_hostile_lines_of_a_stream_are_refused(server: Server) -> None:
    """Between two sound lines each is an error of its own, or ends the stream with a reason; never a 5xx."""
    sound = json.dumps(ROW).encode()
    with server.client(headers=NDJSON) as client:
        (clean, _) = client.post("/predict", content=sound).text.splitlines()
        for name, body in HOSTILE.items():
            response = client.post("/predict", content=b"\n".join((sound, body, sound)))
            assert response.status_code == 200, name
            *records, last = response.text.splitlines()
            trailer = json.loads(last)["trailer"]
            if trailer["complete"]:
                first, refused, third = records
                assert (first, third) == (clean, clean), name
                assert json.loads(refused)["error"]["code"], name
            else:
                assert trailer["error"]["code"] == "malformed_body", name


@pytest.mark.parametrize(
    "name", [name for name, body in HOSTILE.items() if body.startswith(b"{") and len(body) < 2**20]
)
def test_hostile_rows_of_a_batch_are_refused(server: Server, name: str) -> None:
    """As one of three rows each spoils the whole body, or itself only."""
    body = b'{"instances": [%s, %s, %s]}' % (json.dumps(ROW).encode(), HOSTILE[name], json.dumps(ROW).encode())
    response = httpx.post(server.url + "/predict", content=body, headers=HEADERS, timeout=30)
    if response.status_code == 200:
        first, refused, third = response.json()["predictions"]
        assert first == third
        assert "bucket" in first
        assert refused["error"]["code"] == "invalid_row"
    else:
        assert response.status_code in {400, 413, 422}, response.text
        assert_problem(response, response.status_code, response.json()["code"])


@pytest.mark.parametrize(
    ("name", "written", "meant"),
    [
        ("capital_social", "1e-999999", "0.0"),
        ("capital_social", "1." + "0" * 5_000 + "1", "1.0"),
        ("mcc", '"1"', '"1"'),
        ("mcc", "1", '"1"'),
    ],
)
def test_documented_normalisations(server: Server, name: str, written: str, meant: str) -> None:
    """An amount is the nearest double, and a code is the same as a number and as text."""
    answers = [
        httpx.post(server.url + "/predict", content=with_raw(name, raw), headers=HEADERS) for raw in (written, meant)
    ]
    assert [answer.status_code for answer in answers] == [200, 200], answers[0].text
    assert answers[0].json() == answers[1].json()


def test_place_names_are_normalised(server: Server) -> None:
    """A name typed with combining accents is the composed one, as `canonical_text` documents."""
    answers = []
    for form in ("NFC", "NFD"):
        place = {"uf": "SP", "municipio": unicodedata.normalize(form, "São Paulo"), "bairro": "Centro"}
        response = httpx.post(server.url + "/predict", json=ROW | place)
        assert response.status_code == 200
        answers.append(response.json())
    assert answers[0] == answers[1]
    assert not [remark for remark in answers[0]["warnings"] if remark["field"] in {"municipio", "bairro"}]


@pytest.mark.parametrize("text", ["\u202e", "🏪", "a" * 100, "'; DROP TABLE", "{{7*7}}", "\u00a0"])
def test_odd_names_are_unknown_places(server: Server, text: str) -> None:
    """Any other text is a place that training never saw."""
    response = httpx.post(server.url + "/predict", json=ROW | {"municipio": text})
    assert response.status_code == 200
    assert ("municipio", "unknown_category") in {(r["field"], r["code"]) for r in response.json()["warnings"]}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"mcc": 987_654}, None),
        ({"municipio": "Nowhere"}, None),
        ({"bairro": "Nowhere", "cnae_fiscal_principal": "never seen"}, None),
        ({"mei": 2}, "invalid_row"),
        ({"capital_social": -1}, "invalid_row"),
        ({"uf": "XX", "tier": [1]}, "invalid_row"),
        ({"surprise": 1}, "invalid_row"),
    ],
    ids=str,
)
def test_row_three_of_ten_harms_no_other(server: Server, change: dict[str, Any], code: str | None) -> None:
    """An unknown category or a bad field leaves the other nine exactly as in a clean call."""
    rows = merchants(10, seed=11)
    clean = httpx.post(server.url + "/predict", json={"instances": rows}).json()["predictions"]
    rows[2] = rows[2] | change
    response = httpx.post(server.url + "/predict", json={"instances": rows})
    assert response.status_code == 200
    answers = response.json()["predictions"]
    assert answers[:2] + answers[3:] == clean[:2] + clean[3:]
    if code is None:
        assert {remark["code"] for remark in answers[2]["warnings"]} == {"unknown_category"}
        assert response.headers["x-row-errors"] == "0"
    else:
        assert answers[2]["error"]["code"] == code
        assert response.headers["x-row-errors"] == "1"
