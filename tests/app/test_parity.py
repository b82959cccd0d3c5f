"""The fast decoder, the exact one and the published schema give the same verdict on every body."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from app.contract.inputs import RAW_INPUTS, RAW_NAMES, UFS
from app.errors import InvalidRequestError, RequestError
from app.formats import json_body
from app.formats.json_body import decode_json
from app.formats.request import DEFAULT_OPTIONS
from app.schemas.requests import EXAMPLE, EXAMPLE_BATCH, BatchRequest, PredictOptions, PredictRequest

GOOD: dict[str, Any] = dict(EXAMPLE)

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**6, 10**6 + 1, 10**15, 10**15 + 1, 2**70]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 1.0, 1e15, 1.0000001e15, 0.5]),
    st.text(max_size=4),
    st.sampled_from(["", "SP", "sp", "x" * 32, "x" * 33, "é" * 120, "é" * 121, "a\x00", "São: Paulo"]),
    st.sampled_from(UFS),
    st.lists(st.none(), max_size=1),
    st.dictionaries(st.sampled_from(["a", "uf"]), st.none(), max_size=1),
)
ROWS = st.builds(
    lambda changes, dropped: {k: v for k, v in (GOOD | changes).items() if k not in dropped},
    st.dictionaries(st.sampled_from([*RAW_NAMES, "extra"]), SCALARS, max_size=3),
    st.sets(st.sampled_from(RAW_NAMES), max_size=1),
)
OPTIONS = st.dictionaries(
    st.sampled_from(["on_error", "coverage", "class_conditional", "explain", "other"]),
    st.one_of(SCALARS, st.sampled_from(["row", "fail", 0.5, 0.99, 1, 13, 14, True])),
    max_size=2,
)


def decodes(body: Any) -> bool:
    """Tell whether the whole body is accepted, with no bad row."""
    try:
        return not decode_json(json.dumps(body).encode(), max_rows=10, max_depth=32).errors
    except RequestError:
        return False


def conforms(model: Any, body: Any) -> bool:
    """Tell whether the published schema accepts the body."""
    try:
        model.model_validate_json(json.dumps(body))
    except ValidationError:
        return False
    return True


def test_request_fields_are_the_raw_inputs() -> None:
    """One declaration: the schema has exactly the contract's inputs, in its order."""
    assert list(PredictRequest.model_fields) == [raw.name for raw in RAW_INPUTS]


@settings(max_examples=400, deadline=None)
@given(ROWS)
@example(GOOD)
@example(GOOD | {"capital_social": 5})
@example(GOOD | {"mei": 1.0})
def test_merchants(row: dict[str, Any]) -> None:
    """A merchant is accepted by the decoder exactly when the schema accepts it."""
    assert decodes(row) == conforms(PredictRequest, row)


@settings(max_examples=200, deadline=None)
@given(st.lists(ROWS, max_size=3), OPTIONS)
@example([GOOD], {"explain": True})
@example([GOOD], {"explain": 13, "on_error": "fail"})
@example([GOOD], {"coverage": 0.5})
def test_batches(rows: list[dict[str, Any]], options: dict[str, Any]) -> None:
    """A batch is accepted without a bad row exactly when the schema accepts it."""
    body = {"instances": rows, "options": options}
    assert decodes(body) == conforms(BatchRequest, body)


@settings(max_examples=300, deadline=None)
@given(ROWS)
def test_fast_and_exact_paths_agree(row: dict[str, Any]) -> None:
    """Whatever the fast path takes, the exact one takes too, with equal columns."""
    body = json.dumps({"instances": [row]}).encode()
    try:
        exact = json_body._exact(body, DEFAULT_OPTIONS, 32)
    except InvalidRequestError:
        exact = None
    try:
        fast = json_body._fast_batch(body, DEFAULT_OPTIONS)
    except (msgspec.DecodeError, UnicodeDecodeError):
        fast = None
    if fast is not None:
        assert exact is not None
        assert exact.errors == {}
        assert exact.columns == fast.columns
        kinds = {name: [type(v) for v in values] for name, values in exact.columns.items()}
        assert kinds == {name: [type(v) for v in values] for name, values in fast.columns.items()}


@pytest.mark.parametrize("text", ["{}", '{"a": [1, {"b": "]}\\"]"}]}', '"[[["', "[[], [[]]]", '["\\\\", []]', "1"])
def test_depth_is_that_of_the_parsed_value(text: str) -> None:
    """Brackets within strings do not nest."""

    def depth(value: Any) -> int:
        if isinstance(value, dict):
            return 1 + max(map(depth, value.values()), default=0)
        if isinstance(value, list):
            return 1 + max(map(depth, value), default=0)
        return 0

    assert json_body.depth_of(text.encode()) == depth(json.loads(text))


def test_good_bodies_never_take_the_exact_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The examples, with and without options and districts, are decoded in one pass."""
    monkeypatch.setattr(json_body, "_exact", lambda *_: pytest.fail("the exact path was taken"))
    without = {key: value for key, value in GOOD.items() if key != "bairro"}
    for body in (GOOD, without, EXAMPLE_BATCH, {"instances": [GOOD, without, GOOD | {"bairro": None}]}):
        assert decodes(body)


def test_option_defaults_are_published() -> None:
    """The schema states the defaults that are applied."""
    published = PredictOptions().model_dump()
    assert published == {name: getattr(DEFAULT_OPTIONS, name) for name in published}
