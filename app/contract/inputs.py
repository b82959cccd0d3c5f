"""The thirteen raw inputs: the one declaration that validation, training and serving read."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

Columns: TypeAlias = "Mapping[str, ArrayLike | Distinct]"
"""The raw inputs by name, each of length n: plain lists, numpy arrays, pandas columns or `Distinct` alike."""

Column: TypeAlias = "list[Any] | Distinct"
"""The values of a raw input, None where null."""

TARGET: Final = "stone_tpv_acquirer_total"
"""Monthly TPV in BRL, >= 0; in training data only."""

UFS: Final = (
    "AC", "AL", "AM", "AP", "BA", "CE", "DF", "ES", "GO", "MA", "MG", "MS", "MT", "PA",
    "PB", "PE", "PI", "PR", "RJ", "RN", "RO", "RR", "RS", "SC", "SE", "SP", "TO",
)  # fmt: skip
"""The 26 states and the federal district."""


@dataclass(frozen=True, slots=True, eq=False)
class Distinct:
    """A column as its distinct values: what is true of a value is found out once, however often it stands there.

    Attributes:
        values: the distinct values.
        index: by row, the place of its value among them: shape (n,), none negative.
    """

    values: list[Any]
    index: NDArray[np.int32]

    @classmethod
    def of(cls, texts: Sequence[str] | Sequence[bytes]) -> Distinct:
        """Find the distinct values of a column of texts."""
        places: defaultdict[str | bytes, int] = defaultdict(count().__next__)
        index = np.fromiter(map(places.__getitem__, texts), dtype=np.int32, count=len(texts))
        return cls(list(places), index)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.index)

    def __getitem__(self, row: int) -> Any:
        """Value of a row."""
        return self.values[self.index[row]]

    def __iter__(self) -> Iterator[Any]:
        """Values of all rows."""
        return map(self.values.__getitem__, self.index.tolist())


class Kind(StrEnum):
    """What values an input takes."""

    NOMINAL = "nominal"
    """A code, integer or string, compared as text and without order."""
    UF = "uf"
    """One of `UFS`."""
    TEXT = "text"
    """A place name, compared after NFC normalisation."""
    FLAG = "flag"
    """0 or 1."""
    AMOUNT = "amount"
    """BRL, a finite number >= 0."""
    COUNT = "count"
    """An integer >= 1."""


@dataclass(frozen=True, slots=True)
class RawInput:
    """One raw input of a merchant.

    Attributes:
        name: the data set's own name.
        kind: what values it takes.
        optional: whether it may be left out of a request and be null in training data.
        description: what it means, for people.
        example: a value as a caller would send it.
        maximum: largest number accepted (`AMOUNT`, `COUNT`), or longest text in characters (`NOMINAL`, `TEXT`).
    """

    name: str
    kind: Kind
    description: str
    example: str | int | float
    maximum: int
    optional: bool = False

    @property
    def categorical(self) -> bool:
        """Whether values are looked up in a vocabulary."""
        return self.kind in {Kind.NOMINAL, Kind.UF, Kind.TEXT}


MAX_CODE_LENGTH: Final = 32
MAX_PLACE_LENGTH: Final = 120
MAX_AMOUNT: Final = 10**15
MAX_COUNT: Final = 10**6

RAW_INPUTS: Final = (
    RawInput("cnae_fiscal_principal", Kind.NOMINAL, "Main economic activity code (CNAE)", 285, MAX_CODE_LENGTH),
    RawInput("segmento", Kind.NOMINAL, "Acquirer's segment code", 0, MAX_CODE_LENGTH),
    RawInput("uf", Kind.UF, "Federative unit, two capital letters", "SP", 2),
    RawInput("municipio", Kind.TEXT, "Municipality name", "Campinas", MAX_PLACE_LENGTH),
    RawInput("bairro", Kind.TEXT, "District name within the municipality", "Centro", MAX_PLACE_LENGTH, optional=True),
    RawInput("mei", Kind.FLAG, "1 for a micro-entrepreneur (MEI), else 0", 0, 1),
    RawInput("capital_social", Kind.AMOUNT, "Registered capital in BRL", 20_000.0, MAX_AMOUNT),
    RawInput("total_estab", Kind.COUNT, "Number of establishments", 1, MAX_COUNT),
    RawInput("mcc", Kind.NOMINAL, "Merchant category code", 59, MAX_CODE_LENGTH),
    RawInput("subsegmento", Kind.NOMINAL, "Acquirer's subsegment code", 13, MAX_CODE_LENGTH),
    RawInput("porte", Kind.NOMINAL, "Company size label, without order", 2, MAX_CODE_LENGTH),
    RawInput("faixa_empregados", Kind.NOMINAL, "Employees band label, without order", 1, MAX_CODE_LENGTH),
    RawInput("tier", Kind.NOMINAL, "Tier label, without order", 2, MAX_CODE_LENGTH),
)  # fmt: skip
RAW_NAMES: Final = tuple(raw.name for raw in RAW_INPUTS)
_INTEGRAL: Final = re.compile(r"-?(0|[1-9][0-9]{0,18})\.0", re.ASCII)
RAW_BY_NAME: Final = {raw.name: raw for raw in RAW_INPUTS}


def is_missing(value: Any) -> bool:
    """Whether a scalar stands for "not known": None, NaN of any type, or the NA of pandas."""
    if value is None:
        return True
    try:
        return bool(value != value)  # noqa: PLR0124 - the NaN test
    except TypeError:  # NA is neither equal nor unequal to anything
        return True


def integral_text(text: str) -> str:
    """Give the digits of an integer written as 285.0, as pandas does where a column has nulls; other text as it is."""
    return text[:-2] if text.endswith(".0") and _INTEGRAL.fullmatch(text) else text


def canonical_text(value: Any) -> str:
    """Give the text by which two categories are compared.

    Integers, and floats that hold integers, become their decimal digits, so that 59, 59.0 and "59" are one code
    whatever the file format made of them. Text is NFC-normalised, so that a name typed with combining accents
    equals the composed one.

    Raises:
        TypeError: the value is neither text nor an integer.
    """
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value)
    if isinstance(value, bool):
        raise TypeError("a code is an integer or a string, not a boolean")
    if isinstance(value, float):
        if not value.is_integer():
            raise TypeError("a code is an integer or a string, not a fraction")
        return str(int(value))
    if hasattr(value, "__index__"):
        return str(value.__index__())
    raise TypeError(f"a code is an integer or a string, not {type(value).__name__}")
