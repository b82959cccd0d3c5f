"""Raw values are compared as text, whatever a file format made of them."""

from __future__ import annotations

import unicodedata
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.contract.inputs import RAW_BY_NAME, RAW_INPUTS, RAW_NAMES, UFS, Kind, canonical_text, is_missing


@pytest.mark.parametrize(
    "value",
    [59, 59.0, "59", np.int64(59), np.int8(59), np.float64(59.0), np.str_("59")],
    ids=lambda value: type(value).__name__,
)
def test_a_code_is_its_digits(value: Any) -> None:
    """An integer, a float that holds one and their text are one code."""
    assert canonical_text(value) == "59"


@given(st.integers(-(10**12), 10**12))
def test_every_integer_equals_its_text(number: int) -> None:
    """Signs and size change nothing."""
    assert canonical_text(number) == canonical_text(str(number)) == str(number)


@given(st.text())
def test_composed_and_decomposed_text_are_one(text: str) -> None:
    """A name typed with combining accents equals the composed one, and the form is stable."""
    assert canonical_text(unicodedata.normalize("NFD", text)) == canonical_text(unicodedata.normalize("NFC", text))
    assert canonical_text(canonical_text(text)) == canonical_text(text)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (True, "not a boolean"),
        (1.5, "not a fraction"),
        (float("inf"), "not a fraction"),
        (b"59", "not bytes"),
        ([1], "not list"),
    ],
)
def test_what_is_no_code_is_refused(value: Any, said: str) -> None:
    """Booleans, fractions and containers are errors that say what a code is."""
    with pytest.raises(TypeError, match=said):
        canonical_text(value)


def test_missing_is_none_or_nan() -> None:
    """Zero, empty text and infinity are values."""
    assert all(map(is_missing, (None, float("nan"), np.float64("nan"))))
    assert not any(map(is_missing, (0, 0.0, "", "nan", float("inf"), False)))


def test_the_declaration_is_complete() -> None:
    """Thirteen inputs under the data set's own names; only the district may be left out."""
    assert len(RAW_INPUTS) == len(set(RAW_NAMES)) == len(RAW_BY_NAME) == 13
    assert [raw.name for raw in RAW_INPUTS if raw.optional] == ["bairro"]
    assert all(raw.description and raw.maximum for raw in RAW_INPUTS)
    assert len(UFS) == len(set(UFS)) == 27
    categorical = {raw.name for raw in RAW_INPUTS if raw.categorical}
    assert categorical == set(RAW_NAMES) - {"mei", "capital_social", "total_estab"}
    assert all(isinstance(raw.example, str) for raw in RAW_INPUTS if raw.kind in {Kind.TEXT, Kind.UF})
