"""From raw columns to the one float32 matrix that training and serving share.

A category becomes an integer code through a vocabulary, and a code becomes features through a table with one row per
code: the code itself, log-frequencies, neighbourhood densities. Numbers become a few numeric features. All that was
fitted lives in `Fitted`, which travels in the artifact, so that there is nothing to build twice.

Places are ordered by name: municipality, then district, then UF. A place that training never saw still has
neighbours in that order, mostly districts of the same municipality, and takes its neighbourhood from the nearest of
them in its UF.
"""

from __future__ import annotations

import hashlib
import json
import math
from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from app.contract.artifact import pack_array, unpack_array
from app.contract.inputs import (
    RAW_INPUTS,
    RAW_NAMES,
    Column,
    Columns,
    Distinct,
    Kind,
    canonical_text,
    integral_text,
    is_missing,
)
from app.contract.places import POSITION, neighbourhood
from app.errors import ContractError, IncompatibleArtifactError

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

UNKNOWN: Final = -1
"""Code of a category that training never saw; tables keep its features in their last row."""
MISSING: Final = -2
"""Code of a null; tables keep its features in their last row but one."""

NEIGHBOUR_REACH: Final = 10
"""How many places away in the sort order an unknown place may take its neighbour from."""

_CODED: Final = tuple(raw.name for raw in RAW_INPUTS if raw.kind in {Kind.NOMINAL, Kind.UF})
_COUNTED: Final = ("cnae_fiscal_principal", "mcc", "subsegmento")
_PLACES: Final = {
    "municipality": ("municipio", "uf"),
    "place": ("municipio", "bairro", "uf"),
}
_OWNERS: Final = {**{name: name for name in _CODED}, "municipality": "municipio"}
"""By field of codes, the input that a code of null or unknown is a remark on."""
FIELDS: Final = (*_CODED, *_PLACES, "nearest_place")
"""All that has a code, in the order of the rows of `Encoded.coded`."""
_ROW: Final = {field: row for row, field in enumerate(FIELDS)}
NUMBERS: Final = ("mei", "capital_social", "total_estab")
_NUMERIC_FEATURES: Final = {
    "mei": "mei",
    "capital_log": "capital_social",
    "capital_trailing_zeros": "capital_social",
    "capital_round": "capital_social",
    "total_estab": "total_estab",
}
_POWERS_OF_TEN: Final = tuple(10.0**power for power in range(1, 16))
_ROUND_DIGITS: Final = 10.0
_NONE: Final = -3
_NOTHING: Final = repeat(_NONE)
_FEW: Final = 64
"""Up to this many rows a look at each by itself is faster than arrays of them."""

Category: TypeAlias = str | tuple[str, ...]
Codes: TypeAlias = NDArray[np.intp]
Matrix: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True)
class Vocabulary:
    """The categories of a field in sorted order; a category's code is its position."""

    values: tuple[Category, ...]

    @cached_property
    def index(self) -> dict[Hashable, int]:
        """Code by category; a code made of digits is found as an integer too, a missing district as null too."""
        index: dict[Hashable, int] = {value: code for code, value in enumerate(self.values)}
        for code, value in enumerate(self.values):
            if isinstance(value, str) and value.isascii() and value.isdigit() and str(int(value)) == value:
                index[int(value)] = code
            elif not isinstance(value, str) and "" in value:
                index[tuple(part or None for part in value)] = code
        return index

    @cached_property
    def parts(self) -> tuple[dict[Hashable, int], ...]:
        """By part of a composite category, the position of each text in sorted order; that of "" is null's too."""
        numbered: list[dict[Hashable, int]] = []
        for texts in zip(*self.values, strict=True):
            numbers: dict[Hashable, int] = {text: number for number, text in enumerate(sorted(set(texts)))}
            if "" in numbers:
                numbers[None] = numbers[""]
            numbered.append(numbers)
        return tuple(numbered)

    @cached_property
    def packed(self) -> NDArray[np.int64]:
        """One number a composite category, increasing as they are sorted: int64, by code."""
        return self._pack([[numbers[value[part]] for value in self.values] for part, numbers in enumerate(self.parts)])

    @cached_property
    def codes_of_uf(self) -> dict[str, list[int]]:
        """By last part of a composite category, which is the UF, its codes in their order."""
        codes: dict[str, list[int]] = {}
        for code, value in enumerate(self.values):
            codes.setdefault(value[-1], []).append(code)
        return codes

    def find(self, columns: Sequence[Column]) -> Codes:
        """Look many composite categories up by their parts: (n,), `_NONE` where there is none.

        Faster than `index`, which hashes a tuple a row, where there are many rows.

        Raises:
            TypeError: a part is not hashable.
        """
        found = [_looked_up(numbers, column) for numbers, column in zip(self.parts, columns, strict=True)]
        packed = self._pack(found)
        codes = np.minimum(np.searchsorted(self.packed, packed), len(self.packed) - 1)
        known = (np.array(found) >= 0).all(axis=0) & (self.packed[codes] == packed)
        return np.where(known, codes, _NONE)

    def _pack(self, numbers: Sequence[Any]) -> NDArray[np.int64]:
        total = np.zeros(len(numbers[0]), dtype=np.int64)
        for part, column in zip(self.parts, numbers, strict=True):
            total = total * (len(part) + 1) + np.asarray(column, dtype=np.int64)
        return total

    def nearest(self, place: tuple[str, ...]) -> int:
        """Code of the closest place in sorted order that has the same UF, the lower one of two; or `UNKNOWN`."""
        own = self.codes_of_uf.get(place[-1], [])
        after = bisect_left(self.values, place)
        at = bisect_left(own, after)
        below = after - 1 - own[at - 1] if at else NEIGHBOUR_REACH
        above = own[at] - after if at < len(own) else NEIGHBOUR_REACH
        if min(below, above) >= NEIGHBOUR_REACH:
            return UNKNOWN
        return own[at - 1] if below <= above else own[at]


@dataclass(frozen=True)
class FieldTable:
    """Features of a field by code.

    Attributes:
        field: a coded input, or a place level, or `nearest_place`.
        features: names of the k features.
        values: float32, shape (categories + 2, k); the two last rows are `MISSING` and `UNKNOWN`, where negative
            indexing finds them.
    """

    field: str
    features: tuple[str, ...]
    values: Matrix


@dataclass(frozen=True)
class Encoded:
    """Raw columns as codes and numbers.

    Attributes:
        coded: codes, shape (fields, n), rows as `FIELDS`.
        numeric: float64 (inputs, n), rows as `NUMBERS`, NaN where null.
        nulls: boolean (n,) by part of a place: where its own null, and not that of another part, leaves the place
            without a code; only of the levels that are odd.
        odd: fields that may hold `MISSING` or `UNKNOWN`; the others need no look.
    """

    coded: Codes
    numeric: NDArray[np.float64]
    nulls: Mapping[str, NDArray[np.bool_]]
    odd: frozenset[str]

    @property
    def rows(self) -> int:
        """Number of merchants."""
        return len(self.numeric[0])

    @property
    def codes(self) -> dict[str, Codes]:
        """Codes by field, each (n,)."""
        return dict(zip(FIELDS, self.coded, strict=True))

    @property
    def numbers(self) -> dict[str, NDArray[np.float64]]:
        """Numbers by input, each (n,)."""
        return dict(zip(NUMBERS, self.numeric, strict=True))

    def unknown(self) -> dict[str, NDArray[np.bool_]]:
        """By categorical input, the rows whose category training never saw (fields without one are left out)."""
        masks = self._coded_as(UNKNOWN)
        if "place" not in self.odd:
            return masks
        places, municipalities = self.coded[_ROW["place"]], self.coded[_ROW["municipality"]]
        strangers = (places == UNKNOWN) & (municipalities >= 0) & ~self.nulls["bairro"]
        return masks | {"bairro": strangers} if strangers.any() else masks

    def missing(self) -> dict[str, NDArray[np.bool_]]:
        """By mandatory input, the rows where it is null (fields without one are left out)."""
        masks = self._coded_as(MISSING)
        masks.pop("municipio", None)
        if "municipality" in self.odd and self.nulls["municipio"].any():
            masks["municipio"] = self.nulls["municipio"]
        nulls = np.isnan(self.numeric)
        if nulls.any():
            masks |= {name: mask for name, mask in zip(NUMBERS, nulls, strict=True) if mask.any()}
        return masks

    def _coded_as(self, code: int) -> dict[str, NDArray[np.bool_]]:
        """Rows of each coded input, and of the municipality, that have this code; inputs without one are left out."""
        found = {}
        for field, owner in _OWNERS.items():
            if field in self.odd and (mask := self.coded[_ROW[field]] == code).any():
                found[owner] = mask
        return found


@dataclass(frozen=True)
class Gather:
    """All tables in one array, so that one look-up gives every feature that has a table.

    Attributes:
        values: float32, the tables end to end, row by row.
        field: by feature, the row of `Encoded.coded` that its table is of.
        step: by feature, numbers in a row of its table; shape (features, 1).
        base: by feature, where its value for code 0 stands; shape (features, 1).
    """

    values: NDArray[np.float32]
    field: NDArray[np.intp]
    step: NDArray[np.intp]
    base: NDArray[np.intp]


@dataclass(frozen=True)
class Fitted:
    """What `fit` learned from training rows, and what `build_matrix` needs."""

    vocabularies: Mapping[str, Vocabulary]
    tables: tuple[FieldTable, ...]

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the matrix columns, in order."""
        return (*(name for table in self.tables for name in table.features), *_NUMERIC_FEATURES)

    @cached_property
    def feature_inputs(self) -> tuple[str, ...]:
        """By matrix column, the raw input that an explanation credits."""
        owner = {"place": "municipio", "municipality": "municipio", "nearest_place": "municipio"}
        by_table = (owner.get(table.field, table.field) for table in self.tables for _ in table.features)
        return (*by_table, *_NUMERIC_FEATURES.values())

    @cached_property
    def municipality_of(self) -> Codes:
        """By place code, the code of its municipality; `_NONE` for one without, and where a code of `_NONE` points."""
        lookup = self.vocabularies["municipality"].index.get
        places = cast("Sequence[tuple[str, str, str]]", self.vocabularies["place"].values)
        return np.array(
            [*(lookup(_municipality(place), _NONE) for place in places), _NONE, _NONE, _NONE], dtype=np.intp
        )

    @cached_property
    def lookups(self) -> tuple[tuple[str, dict[Hashable, int]], ...]:
        """Name and code by category of each coded input."""
        return tuple((name, self.vocabularies[name].index) for name in _CODED)

    @cached_property
    def known_values(self) -> dict[str, int]:
        """How many categories training saw, by categorical input; districts are counted with their municipality."""
        levels = {"municipio": "municipality", "bairro": "place"}
        names = (*_CODED, *levels)
        return {name: len(self.vocabularies[levels.get(name, name)].values) for name in names}

    @cached_property
    def gather(self) -> Gather:
        """The tables joined."""
        widths = [len(table.features) for table in self.tables]
        base: list[int] = []
        start = 0
        for table, width in zip(self.tables, widths, strict=True):
            base += range(start + 2 * width, start + 3 * width)
            start += table.values.size
        return Gather(
            # Missing and unknown come before the first code, where their negative codes point.
            values=np.concatenate([np.roll(table.values, 2, axis=0).ravel() for table in self.tables]),
            field=np.repeat([_ROW[table.field] for table in self.tables], widths),
            step=np.repeat(widths, widths)[:, None],
            base=np.array(base)[:, None],
        )

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of the raw inputs and of the features in matrix order."""
        identity = [[[raw.name, raw.kind] for raw in RAW_INPUTS], self.feature_names, self.feature_inputs]
        return hashlib.sha256(json.dumps(identity).encode()).hexdigest()

    def to_payload(self) -> dict[str, Any]:
        """Primitives and bytes from which `from_payload` rebuilds this."""
        return {
            "vocabularies": {
                name: [value if isinstance(value, str) else list(value) for value in vocabulary.values]
                for name, vocabulary in self.vocabularies.items()
            },
            "tables": [
                {"field": table.field, "features": list(table.features), "values": pack_array(table.values)}
                for table in self.tables
            ],
        }

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Fitted:
        """Rebuild what `to_payload` gave.

        Raises:
            IncompatibleArtifactError: the payload lacks a part, or its parts do not fit each other.
        """
        try:
            vocabularies = {
                name: Vocabulary(tuple(value if isinstance(value, str) else tuple(value) for value in values))
                for name, values in payload["vocabularies"].items()
            }
            tables = tuple(
                FieldTable(table["field"], tuple(table["features"]), unpack_array(table["values"]))
                for table in payload["tables"]
            )
            if set(vocabularies) != {*_CODED, *_PLACES} or not all(
                table.field in {*vocabularies, "nearest_place"} for table in tables
            ):
                raise IncompatibleArtifactError("the artifact's vocabularies and tables are not those of the contract")
            for table in tables:
                size = len(vocabularies["place" if table.field == "nearest_place" else table.field].values)
                if table.values.shape != (size + 2, len(table.features)) or table.values.dtype != np.float32:
                    raise IncompatibleArtifactError(f"the feature table of {table.field} does not fit its vocabulary")
        except (AttributeError, KeyError, TypeError) as error:
            raise IncompatibleArtifactError(f"the features of the artifact are malformed: {error!r}") from error
        return cls(vocabularies, tables)


def fit(columns: Columns) -> Fitted:
    """Learn vocabularies and tables from training rows.

    Args:
        columns: the raw inputs of the training rows only; validation and test rows must not be among them.

    Raises:
        ContractError: a raw input is absent, lengths differ, or a value has the wrong type.
    """
    raw = _checked(columns)
    vocabularies: dict[str, Vocabulary] = {}
    tables: list[FieldTable] = []
    for name in _CODED:
        texts: list[str | None] = [None if is_missing(value) else _code(name, value) for value in raw[name]]
        vocabularies[name] = Vocabulary(tuple(_sorted_codes({text for text in texts if text is not None})))
        counts = _counts(texts, vocabularies[name])
        features = {name: np.arange(len(counts), dtype=np.float64)}
        if name in _COUNTED:
            features[f"{name}_log_frequency"] = np.log1p(counts)
        tables.append(_table(name, features))
    places = [_place_key(raw, row) for row in range(len(raw["uf"]))]
    levels: dict[str, list[tuple[str, ...] | None]] = {
        "municipality": [None if place is None else _municipality(place) for place in places],
        "place": [*places],
    }
    for level, keys in levels.items():
        vocabularies[level] = Vocabulary(tuple(sorted({key for key in keys if key is not None})))
        counts = _counts(keys, vocabularies[level])
        tables.append(_table(level, {f"{level}_log_frequency": np.log1p(counts)}))
    tables.append(
        _table("nearest_place", neighbourhood(cast("Sequence[tuple[str, ...]]", vocabularies["place"].values), counts))
    )
    return Fitted(vocabularies, tuple(tables))


def encode(columns: Columns, fitted: Fitted) -> Encoded:
    """Look every category up and turn numbers into float64.

    Args:
        columns: all raw inputs, of equal length n. Values must already be of the declared kinds: this is the
            contract between the two sides, not the validation of what people send.
        fitted: of the artifact, or of the training fold.

    Raises:
        ContractError: a raw input is absent, lengths differ, or a value has the wrong type.
    """
    raw = _checked(columns)
    odd: list[str] = []
    coded = [_encode_field(name, raw[name], index, odd) for name, index in fitted.lookups]
    coded += _encode_places(raw, fitted, odd)
    # One array for all fields: a few calls of numpy are most of what a single merchant costs.
    codes = np.array(coded, dtype=np.intp)
    nulls = {}
    if "place" in odd:
        nulls["bairro"] = _nulls(raw["bairro"], codes[_ROW["place"]], UNKNOWN)
        nulls["municipio"] = _nulls(raw["municipio"], codes[_ROW["municipality"]], MISSING)
    return Encoded(codes, _numbers(raw), nulls, frozenset(odd))


def assemble(encoded: Encoded, fitted: Fitted) -> Matrix:
    """Turn codes and numbers into the matrix: float32, shape (n, f), columns as `fitted.feature_names`."""
    matrix = np.empty((encoded.rows, len(fitted.feature_names)), dtype=np.float32)
    gather = fitted.gather
    start = len(gather.base)
    places = encoded.coded.take(gather.field, axis=0)
    places *= gather.step
    places += gather.base
    matrix[:, :start] = gather.values.take(places).T
    mei, capital, total_estab = encoded.numeric
    matrix[:, start] = mei
    matrix[:, start + 1 : start + 4] = _describe_capital(capital)
    matrix[:, start + 4] = total_estab
    return matrix


def build_matrix(columns: Columns, fitted: Fitted) -> Matrix:
    """Build the feature matrix of n merchants: float32, shape (n, f).

    The same function serves training, one row and many rows; lists, arrays and pandas columns give equal results.

    Raises:
        ContractError: a raw input is absent, lengths differ, or a value has the wrong type.
    """
    return assemble(encode(columns, fitted), fitted)


def _checked(columns: Columns) -> dict[str, Column]:
    """Give every raw input, after checking that all are there and of one length."""
    try:
        raw = {name: _column(columns[name]) for name in RAW_NAMES}
    except KeyError:
        absent = [name for name in RAW_NAMES if name not in columns]
        raise ContractError(
            f"raw inputs {absent} are absent; give all of {list(RAW_NAMES)}, null where not known"
        ) from None
    if len(set(map(len, raw.values()))) != 1:
        lengths = {name: len(values) for name, values in raw.items()}
        raise ContractError(f"raw inputs have different lengths: {lengths}")
    return raw


def _column(values: Any) -> Column:
    if isinstance(values, (list, Distinct)):
        return values
    return values.tolist() if hasattr(values, "tolist") else list(values)


def _text(name: str, value: Any) -> str:
    try:
        return canonical_text(value)
    except TypeError as error:
        raise ContractError(f"{name}: {error}") from error


def _code(name: str, value: Any) -> str:
    return integral_text(_text(name, value))


def _sorted_codes(texts: set[str]) -> list[str]:
    """Order codes made of digits by value and before other text, as people list them."""

    def order(text: str) -> tuple[bool, int, str]:
        number = text.isascii() and text.isdigit()
        return (not number, int(text) if number else 0, text)

    return sorted(texts, key=order)


def _counts(values: Sequence[Category | None], vocabulary: Vocabulary) -> NDArray[np.float64]:
    """Rows of each category, in code order."""
    codes = [vocabulary.index[value] for value in values if value is not None]
    return np.bincount(codes, minlength=len(vocabulary.values)).astype(np.float64)


def _table(field: str, features: Mapping[str, NDArray[np.float64]]) -> FieldTable:
    """Stack features by code and add the rows of null (all NaN) and unknown (no code or position, all counts 0)."""
    values = np.column_stack(list(features.values()))
    missing = np.full((1, len(features)), np.nan)
    unknown = np.array([[np.nan if name in {field, POSITION} else 0.0 for name in features]])
    return FieldTable(field, tuple(features), np.vstack([values, missing, unknown]).astype(np.float32))


def _place_key(raw: Mapping[str, Column], row: int) -> tuple[str, str, str] | None:
    """Canonical municipality, district and UF; a district may be missing, a municipality or UF may not."""
    municipality, district, uf = raw["municipio"][row], raw["bairro"][row], raw["uf"][row]
    if is_missing(municipality) or is_missing(uf):
        return None
    name = "" if is_missing(district) else _text("bairro", district)
    return _text("municipio", municipality), name, _text("uf", uf)


def _municipality(place: tuple[str, str, str]) -> tuple[str, str]:
    return place[0], place[2]


def _looked_up(codes: Mapping[Hashable, int], column: Column) -> Codes:
    """Look a column of many rows up, `_NONE` where there is nothing."""
    if isinstance(column, Distinct):
        return _looked_up(codes, column.values).take(column.index)
    return np.fromiter(map(codes.get, column, _NOTHING), dtype=np.intp, count=len(column))


def _encode_field(name: str, column: Column, index: Mapping[Hashable, int], odd: list[str]) -> list[int] | Codes:
    """Give the codes of a coded input, and add it to the odd ones if any may be negative."""
    if isinstance(column, Distinct):
        return np.array(_encode_field(name, column.values, index, odd), dtype=np.intp).take(column.index)
    codes: list[int] | Codes
    try:
        codes = list(map(index.get, column, _NOTHING)) if len(column) <= _FEW else _looked_up(index, column)
    except TypeError as error:
        raise ContractError(f"{name}: every value must be a code or null ({error})") from error
    if _NONE in codes:
        odd.append(name)
        for row, value in enumerate(column):
            if codes[row] == _NONE:
                codes[row] = MISSING if is_missing(value) else index.get(_code(name, value), UNKNOWN)
    return codes


def _encode_places(raw: Mapping[str, Column], fitted: Fitted, odd: list[str]) -> tuple[Codes, Codes, Codes]:
    """Give the codes of both place levels, and those of places whose neighbourhood stands for an unknown one's."""
    vocabularies = fitted.vocabularies
    places = _find_places([raw[part] for part in _PLACES["place"]], vocabularies["place"])
    # A known place tells its municipality, which spares the second look-up of long texts.
    municipalities = fitted.municipality_of.take(places)
    strangers = np.flatnonzero(municipalities == _NONE).tolist()
    if not strangers:
        return municipalities, places, places
    odd += (*_PLACES, "nearest_place")
    nearest = places.copy()
    by_name, by_place = vocabularies["municipality"].index.get, vocabularies["place"].index.get
    for row in strangers:
        key = _place_key(raw, row)
        if key is None:
            municipalities[row] = places[row] = nearest[row] = MISSING
            continue
        municipalities[row] = by_name(_municipality(key), UNKNOWN)
        places[row] = code = by_place(key, UNKNOWN)
        nearest[row] = vocabularies["place"].nearest(key) if code == UNKNOWN else code
    return municipalities, places, nearest


def _find_places(parts: Sequence[Column], vocabulary: Vocabulary) -> Codes:
    """Give the code of each place as it is spelled, `_NONE` where there is none."""
    try:
        if len(parts[0]) > _FEW and vocabulary.values:
            return vocabulary.find(parts)
        return np.array(list(map(vocabulary.index.get, zip(*parts, strict=True), _NOTHING)), dtype=np.intp)
    except TypeError as error:
        names = " and ".join(_PLACES["place"])
        raise ContractError(f"{names}: every value must be text or null ({error})") from error


def _nulls(column: Column, codes: Codes, code: int) -> NDArray[np.bool_]:
    """Tell which of the rows with a code are null."""
    found = np.zeros(len(column), dtype=np.bool_)
    for row in np.flatnonzero(codes == code).tolist():
        found[row] = is_missing(column[row])
    return found


def _numbers(raw: Mapping[str, Column]) -> NDArray[np.float64]:
    columns = [raw[name] for name in NUMBERS]
    try:
        return np.array([_floats(column) for column in columns], dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return np.array([_column_of_numbers(name, raw[name]) for name in NUMBERS])


def _floats(column: Column) -> Any:
    """Give what numpy makes floats of, without a call of it where the column is a plain list."""
    return np.array(column.values, dtype=np.float64).take(column.index) if isinstance(column, Distinct) else column


def _column_of_numbers(name: str, column: Column) -> NDArray[np.float64]:
    try:
        return np.array([math.nan if is_missing(value) else value for value in column], dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ContractError(f"{name}: every value must be a number or null ({error})") from error


def _describe_capital(amounts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give log1p, trailing zeros and roundness of amounts: (n,) in, (n, 3) out."""
    if len(amounts) > _FEW:  # few capitals differ
        distinct, position = np.unique(amounts, return_inverse=True)
        return np.array(list(map(_capital, distinct.tolist()))).take(position, axis=0)
    return np.array(list(map(_capital, amounts.tolist()))).reshape(-1, 3)


def _capital(amount: float) -> tuple[float, float, float]:
    """Describe one amount: log1p, zeros at the end of its integer part (0 for 0 and for fractions), roundness.

    It is round when all but its first digit are zeros. Plain floats: on one merchant numpy costs ten times as much.
    """
    if not 0 <= amount < math.inf:
        return math.nan, math.nan, math.nan
    zeros = 0
    if amount > 0:
        while zeros < len(_POWERS_OF_TEN) and math.fmod(amount, _POWERS_OF_TEN[zeros]) == 0:
            zeros += 1
    return math.log1p(amount), float(zeros), float(0 < amount < _ROUND_DIGITS * 10.0**zeros)
