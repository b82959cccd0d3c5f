"""Every format gives the same predictions, in and out, over a real server process."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from typing import TYPE_CHECKING, Any

import arro3.core as arrow
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from arro3 import io as arrow_io
from backports import zstd

from app.contract.inputs import RAW_NAMES
from app.formats.table_answers import COLUMNS
from tests.support.merchants import columns_of, merchants
from tests.support.problems import assert_problem, pointers

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

ROWS = merchants(300, seed=11)
ARROW = "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"
NDJSON = "application/x-ndjson"


def as_csv(rows: list[dict[str, Any]], names: tuple[str, ...] = RAW_NAMES) -> bytes:
    """Write merchants as CSV."""
    out = io.StringIO()
    writer = csv.DictWriter(out, names)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def as_ndjson(rows: list[dict[str, Any]]) -> bytes:
    """Write merchants one a line."""
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def as_arrow(table: pa.Table) -> bytes:
    """Write a table as an IPC stream."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def as_parquet(table: pa.Table) -> bytes:
    """Write a table as a Parquet file."""
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def post(client: httpx.Client, body: bytes, kind: str, **headers: str) -> httpx.Response:
    """Send a body of a media type."""
    return client.post("/predict", content=body, headers={"content-type": kind, **headers})


@pytest.fixture(scope="module")
def expected(server: Any) -> list[dict[str, Any]]:
    """Answers in JSON to ROWS."""
    with server.client() as client:
        answers: list[dict[str, Any]] = client.post("/predict", json={"instances": ROWS}).json()["predictions"]
    return answers


def flat(answer: dict[str, Any]) -> dict[str, Any]:
    """Lay a JSON answer out as a row of the flat table."""
    warnings = " ".join(f"{w['field']}:{w['code']}" for w in answer["warnings"])
    return dict(
        zip(
            COLUMNS,
            [
                answer["bucket"]["index"],
                answer["bucket"]["label"],
                answer["decision_rule"],
                *answer["probabilities"].values(),
                answer["prediction_set"]["lower"],
                answer["prediction_set"]["upper"],
                *answer["value"].values(),
                warnings or None,
                None,
            ],
            strict=True,
        )
    )


def _value(cell: str) -> Any:
    """Read a CSV cell back."""
    try:
        return json.loads(cell)
    except ValueError:
        return cell or None


def test_csv(client: httpx.Client, expected: list[dict[str, Any]]) -> None:
    """CSV in any column order, with or without a byte-order mark, equals JSON."""
    names = tuple(reversed(RAW_NAMES))
    for body in (as_csv(ROWS), as_csv(ROWS, names), b"\xef\xbb\xbf" + as_csv(ROWS)):
        response = post(client, body, "text/csv")
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == "text/csv; charset=utf-8"
        rows = list(csv.DictReader(io.StringIO(response.text)))
        assert [{name: _value(cell) for name, cell in row.items()} for row in rows] == [flat(a) for a in expected]


@pytest.mark.parametrize(("kind", "write"), [(ARROW, as_arrow), (PARQUET, as_parquet)])
def test_arrow_and_parquet(client: httpx.Client, expected: list[dict[str, Any]], kind: str, write: Any) -> None:
    """Arrow and Parquet, plain, dictionary-encoded or turned to floats by pandas, equal JSON."""
    plain = pa.table(columns_of(ROWS))
    encoded = plain.set_column(2, "uf", plain["uf"].dictionary_encode())
    floats = plain.set_column(8, "mcc", plain["mcc"].cast(pa.float64()))
    for table in (plain, encoded, floats):
        response = post(client, write(table), kind)
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == kind
        source = io.BytesIO(response.content)
        answer = pa.ipc.open_stream(source).read_all() if kind == ARROW else pq.read_table(source)
        assert answer.to_pylist() == [flat(record) for record in expected]


def test_ndjson(client: httpx.Client, expected: list[dict[str, Any]]) -> None:
    """A merchant a line in, a prediction a line out, and a trailer that says it is whole."""
    lines = [json.loads(line) for line in post(client, as_ndjson(ROWS), NDJSON).text.splitlines()]
    assert lines[:-1] == expected
    trailer = lines[-1]["trailer"]
    assert (trailer["complete"], trailer["rows"], trailer["errors"]) == (True, len(ROWS), 0)


def test_ndjson_is_not_bounded_by_rows_or_bytes(client: httpx.Client) -> None:
    """A stream longer than any batch may be is answered to its end, in pieces of odd sizes."""
    body = as_ndjson(merchants(700, seed=1) * 5)

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(body), 7_001):
            yield body[start : start + 7_001]

    response = client.post("/predict", content=pieces(), headers={"content-type": NDJSON})
    lines = response.text.splitlines()
    assert json.loads(lines[-1])["trailer"]["rows"] == len(lines) - 1 == 3500


def test_ndjson_bad_lines(client: httpx.Client) -> None:
    """A bad line is answered by an error in its place; `on_error=fail` ends the stream and says so."""
    good = json.dumps(ROWS[0]).encode()
    body = b"\n".join([good, b"{", b"", good.replace(b'"uf": "', b'"uf": "x'), good + good, b"\xff", good])
    lines = [json.loads(line) for line in post(client, body, NDJSON).text.splitlines()]
    codes = [next(iter(pointers(line["error"]).items())) if "error" in line else None for line in lines[:-1]]
    assert codes == [
        None,
        ("/1", "malformed_body"),
        ("/2/uf", "not_allowed"),
        ("/3", "malformed_body"),
        ("/4", "malformed_body"),
        None,
    ]
    assert lines[-1]["trailer"]["errors"] == 4
    response = client.post("/predict?on_error=fail", content=body, headers={"content-type": NDJSON})
    trailer = json.loads(response.text.splitlines()[-1])["trailer"]
    assert trailer["complete"] is False
    assert trailer["error"]["code"] == "invalid_request"


def test_ndjson_endless_line(client: httpx.Client) -> None:
    """A line without an end is cut off, and the trailer says that the answer is not whole."""
    trailer = json.loads(post(client, b"x" * 200_000, NDJSON).text)["trailer"]
    assert trailer["complete"] is False
    assert trailer["error"]["code"] == "malformed_body"


def test_answer_format_is_negotiated(client: httpx.Client) -> None:
    """Accept chooses the format of the answer, whatever the body was."""
    body = json.dumps({"instances": ROWS[:3]}).encode()
    expected = post(client, body, "application/json").json()["predictions"]
    lines = post(client, body, "application/json", accept=NDJSON).text.splitlines()
    assert [json.loads(line) for line in lines[:-1]] == expected
    assert json.loads(lines[-1])["trailer"]["complete"] is True
    answer = post(client, as_csv(ROWS[:3]), "text/csv", accept="application/json;q=0.9, text/html")
    assert answer.json()["predictions"] == expected
    table = arrow_io.read_ipc_stream(io.BytesIO(post(client, body, "application/json", accept=ARROW).content))
    assert isinstance(table.read_all(), arrow.Table)
    assert post(client, body, "application/json", accept="text/html, */*;q=0.1").json()["predictions"] == expected
    assert_problem(post(client, body, "application/json", accept="text/html"), 406, "not_acceptable")
    assert_problem(post(client, as_ndjson(ROWS[:1]), NDJSON, accept="text/csv"), 406, "not_acceptable")


def test_row_errors_in_tables(client: httpx.Client, expected: list[dict[str, Any]]) -> None:
    """A bad row of a table has an error and no prediction; its neighbours are as ever."""
    rows = [ROWS[0], ROWS[1] | {"mei": 7, "uf": "zz"}, ROWS[2]]
    response = post(client, as_csv(rows), "text/csv")
    assert response.headers["x-row-errors"] == "1"
    first, bad, last = csv.DictReader(io.StringIO(response.text))
    assert (bad["bucket"], bad["error"]) == ("", "/1/uf:not_allowed /1/mei:out_of_range")
    assert [first["bucket"], last["bucket"]] == [str(expected[i]["bucket"]["index"]) for i in (0, 2)]
    ragged = as_csv(ROWS[:1]) + b"1,2\r\n"
    assert post(client, ragged, "text/csv").headers["x-row-errors"] == "1"
    response = client.post("/predict?on_error=fail", content=as_csv(rows), headers={"content-type": "text/csv"})
    assert pointers(assert_problem(response, 422, "invalid_request")) == {
        "/1/uf": "not_allowed",
        "/1/mei": "out_of_range",
    }


def test_hostile_numbers_in_csv(client: httpx.Client) -> None:
    """What Python would take as a number, and JSON would not, is refused."""
    for text in ("nan", "inf", "1_000", " 1", "١", "0x10", "1e999", "+5"):
        row = ROWS[0] | {"capital_social": text}
        assert post(client, as_csv([row]), "text/csv").headers["x-row-errors"] == "1", text
    for text in ("1.5", "1.00", "1e0", ".0", "true", "9" * 5000, " 1"):
        row = ROWS[0] | {"total_estab": text}
        assert post(client, as_csv([row]), "text/csv").headers["x-row-errors"] == "1", text


def test_integers_written_as_fractions_in_csv(client: httpx.Client) -> None:
    """Pandas writes a column of integers with a null among them as 1.0: the same merchants, the same answer."""
    integers = [name for name, value in ROWS[0].items() if type(value) is int]
    fractions = [row | {name: f"{row[name]}.0" for name in integers} for row in ROWS]
    assert {"mei", "total_estab", "mcc"} <= set(integers)
    assert post(client, as_csv(fractions), "text/csv").content == post(client, as_csv(ROWS), "text/csv").content


def test_quoted_and_plain_csv_are_the_same(client: httpx.Client) -> None:
    """Quotes, CRLF, blank lines and columns in another order change nothing."""
    plain = as_csv(ROWS)
    header, *lines = plain.decode().splitlines()
    quoted = [",".join(f'"{cell}"' if cell else "" for cell in line.split(",")) for line in lines]
    expected = post(client, plain, "text/csv")
    assert expected.status_code == 200
    for body in (
        "\r\n".join([header, *quoted]),
        "\n\n".join([header, *lines]) + "\n\n",
        "\r\n".join(",".join(reversed(line.split(","))) for line in [header, *lines]),
    ):
        assert post(client, body.encode(), "text/csv").content == expected.content


@pytest.mark.parametrize(
    ("kind", "body", "status", "code"),
    [
        ("text/csv", b"", 422, "invalid_request"),
        ("text/csv", b"a,b\n1,2\n", 422, "invalid_request"),
        ("text/csv", b'"a', 400, "malformed_body"),
        ("text/csv", b"\xff\xfe", 400, "malformed_body"),
        (ARROW, b"nonsense" * 9, 400, "malformed_body"),
        (ARROW, as_arrow(pa.table({"uf": ["SP"]})), 422, "invalid_request"),
        (ARROW, as_arrow(pa.table(columns_of(ROWS)))[:500], 400, "malformed_body"),
        (PARQUET, b"PAR1nonsensePAR1", 400, "malformed_body"),
        (PARQUET, as_parquet(pa.table(columns_of(ROWS)))[:-9], 400, "malformed_body"),
    ],
    ids=str,
)
def test_damaged_tables(client: httpx.Client, kind: str, body: bytes, status: int, code: str) -> None:
    """A table that cannot be read, or has other columns, is refused."""
    assert_problem(post(client, body, kind), status, code)


def test_duplicate_and_unknown_columns(client: httpx.Client) -> None:
    """A header is as strict as an object."""
    body = as_csv(ROWS[:1]).replace(b"segmento", b"uf", 1).replace(b"tier", b"other", 1)
    found = pointers(assert_problem(post(client, body, "text/csv"), 422, "invalid_request"))
    assert found["/uf"] == "duplicate_field"
    assert found["/other"] == "unknown_field"
    assert found["/tier"] == "missing_field"


def test_too_many_table_rows(client: httpx.Client) -> None:
    """Tables obey the row limit."""
    rows = ROWS * 4
    assert_problem(post(client, as_csv(rows), "text/csv"), 413, "too_many_rows")
    assert_problem(post(client, as_parquet(pa.table(columns_of(rows))), PARQUET), 413, "too_many_rows")


def test_options_in_the_query(client: httpx.Client) -> None:
    """Any format takes its options from the query string, checked like those of a JSON body."""
    body = as_csv(ROWS[:50])
    wide = client.post("/predict?coverage=0.99", content=body, headers={"content-type": "text/csv"})
    assert wide.status_code == 200
    assert client.post("/predict?explain=2", json=ROWS[0]).json()["contributions"]["others"]
    for query in ("coverage=2", "nope=1", "coverage=0.8&coverage=0.8", "explain=x"):
        response = client.post(f"/predict?{query}", content=body, headers={"content-type": "text/csv"})
        assert_problem(response, 422, "invalid_request")
    response = client.post("/predict?explain=true", content=body, headers={"content-type": "text/csv"})
    assert_problem(response, 406, "not_acceptable")


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("zstd", zstd.compress)])
def test_compressed_bodies(client: httpx.Client, expected: list[dict[str, Any]], encoding: str, pack: Any) -> None:
    """Gzip and zstd bodies are inflated, whole or streamed; cut or false ones are refused."""
    body = json.dumps({"instances": ROWS}).encode()
    packed = {"content-encoding": encoding}
    response = post(client, pack(body), "application/json", **packed)
    assert response.json()["predictions"] == expected
    lines = post(client, pack(as_ndjson(ROWS)), NDJSON, **packed).text.splitlines()
    assert len(lines) == len(ROWS) + 1
    cut = post(client, pack(body)[:-20], "application/json", **packed)
    assert_problem(cut, 400, "malformed_body")
    assert_problem(post(client, body, "application/json", **packed), 400, "malformed_body")
    assert_problem(post(client, pack(body) + b"more", "application/json", **packed), 400, "malformed_body")
    lines = post(client, pack(as_ndjson(ROWS))[:-20], NDJSON, **packed).text.splitlines()
    assert json.loads(lines[-1])["trailer"]["complete"] is False


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("zstd", zstd.compress)])
def test_bombs_are_not_inflated(client: httpx.Client, encoding: str, pack: Any) -> None:
    """A small body that inflates beyond the limit is a 413, and memory stays flat."""
    bomb = pack(b" " * 200_000_000)
    assert_problem(post(client, bomb, "application/json", **{"content-encoding": encoding}), 413, "body_too_large")


def test_other_encodings_are_refused(client: httpx.Client) -> None:
    """What cannot be inflated is a 415 that names what can."""
    response = post(client, zlib.compress(b"{}"), "application/json", **{"content-encoding": "deflate"})
    assert "zstd" in assert_problem(response, 415, "unsupported_content_encoding")["detail"]
