"""One matrix for every way of giving merchants, with what is odd told by field and row."""

from __future__ import annotations

import math
import subprocess
import sys
import unicodedata
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.contract.artifact import pack_array
from app.contract.features import UNKNOWN, Encoded, FieldTable, Fitted, assemble, build_matrix, encode, fit
from app.contract.inputs import RAW_BY_NAME, RAW_NAMES, Distinct
from app.errors import ContractError, IncompatibleArtifactError
from tests.support.merchants import columns_of, merchants

if TYPE_CHECKING:
    from numpy.typing import NDArray

TRAIN = merchants(300, seed=3)
ROWS = merchants(40, seed=4)
CODES = [name for name, raw in RAW_BY_NAME.items() if raw.kind == "nominal"]


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    """What 300 merchants teach."""
    return fit(columns_of(TRAIN))


def _same(left: NDArray[Any], right: NDArray[Any]) -> bool:
    return np.array_equal(left, right, equal_nan=True)


def _row(**changes: Any) -> dict[str, list[Any]]:
    return columns_of([TRAIN[0] | changes])


def _distinct(values: list[Any]) -> Distinct:
    """Make distinct values of a column, which here come in no order."""
    known = list(dict.fromkeys(reversed(values)))
    return Distinct(known, np.array([known.index(value) for value in values], dtype=np.int32))


def _column(matrix: NDArray[np.float32], fitted: Fitted, name: str) -> list[float]:
    values: list[float] = matrix[:, fitted.feature_names.index(name)].tolist()
    return values


# The same merchants, given in other ways


def test_shape_and_type(fitted: Fitted) -> None:
    """A float32 column a feature, no name twice, each credited to a raw input; every input has one."""
    matrix = build_matrix(columns_of(ROWS), fitted)
    assert matrix.shape == (40, len(fitted.feature_names))
    assert matrix.dtype == np.float32
    assert len(set(fitted.feature_names)) == len(fitted.feature_names) == len(fitted.feature_inputs)
    assert set(RAW_NAMES) - set(fitted.feature_inputs) == {"bairro"}


@pytest.mark.parametrize(
    "how",
    ["tuple", "numpy", "object", "pandas", "pandas_object", "pandas_text", "integer_float", "fractions", "distinct"],
)
def test_containers_change_nothing(fitted: Fitted, how: str) -> None:
    """Lists, arrays and pandas columns of any type that fits give the same matrix and the same flags."""
    lists = columns_of([*ROWS, TRAIN[0] | {"bairro": None, "mcc": 999999}])
    frame = pd.DataFrame(lists)
    ways: dict[str, dict[str, Any]] = {
        "tuple": {name: tuple(values) for name, values in lists.items()},
        "numpy": {name: np.array(values) for name, values in lists.items()},
        "object": {name: np.array(values, dtype=object) for name, values in lists.items()},
        "pandas": {name: frame[name] for name in lists},
        "pandas_object": {name: frame[name].astype(object) for name in lists},
        "pandas_text": {name: frame[name].astype(str) if name in CODES else frame[name] for name in lists},
        "integer_float": {name: frame[name].astype(float) if name in CODES else frame[name] for name in lists},
        "fractions": {
            name: [f"{value}.0" for value in values] if name in CODES else values for name, values in lists.items()
        },
        "distinct": {name: _distinct(values) for name, values in lists.items()},
    }
    expected, found = encode(lists, fitted), encode(ways[how], fitted)
    assert _same(assemble(expected, fitted), assemble(found, fitted))
    for left, right in ((expected.unknown(), found.unknown()), (expected.missing(), found.missing())):
        assert list(left) == list(right)
        assert all(_same(left[name], right[name]) for name in left)


@pytest.mark.parametrize("name", RAW_NAMES)
def test_every_kind_of_null_is_one(fitted: Fitted, name: str) -> None:
    """None, NaN of Python and numpy, and the NA of pandas, as it stands in a column of a nullable type."""
    columns = columns_of(ROWS[:3])
    nothing = encode(columns | {name: [None] * 3}, fitted)
    nullable = pd.DataFrame(columns).convert_dtypes()[name]
    nullable[:] = pd.NA
    ways: list[Any] = [[math.nan] * 3, [np.float32("nan")] * 3, [pd.NA] * 3, nullable, [None, pd.NA, math.nan]]
    for nulls in ways:
        found = encode(columns | {name: nulls}, fitted)
        assert _same(assemble(found, fitted), assemble(nothing, fitted))
        assert list(found.missing()) == list(nothing.missing())


def test_many_rows_are_encoded_as_each_alone(fitted: Fitted) -> None:
    """However a table comes, each of its rows has the features and the flags that it has by itself."""
    odd: list[dict[str, Any]] = [
        {"bairro": "Nowhere"},
        {"municipio": "Nowhere", "mcc": "none"},
        {"municipio": None, "bairro": None},
        {"uf": None, "capital_social": None},
        {"tier": None, "bairro": None},
    ]
    rows = [ROWS[at % len(ROWS)] | (odd[at % 7] if at % 7 < len(odd) else {}) for at in range(200)]
    alone = [encode(columns_of([row]), fitted) for row in rows]
    lists = columns_of(rows)
    for columns in (lists, {name: _distinct(values) for name, values in lists.items()}):
        whole = encode(columns, fitted)
        assert _same(whole.coded, np.concatenate([one.coded for one in alone], axis=1))
        assert _same(assemble(whole, fitted), np.concatenate([assemble(one, fitted) for one in alone]))
        for flags in (Encoded.unknown, Encoded.missing):
            found = {(at, name) for name, mask in flags(whole).items() for at in np.flatnonzero(mask).tolist()}
            assert found == {(at, name) for at, one in enumerate(alone) for name in flags(one)}
            assert found


def test_order_of_columns_changes_nothing(fitted: Fitted) -> None:
    """Only the contract orders columns; what a caller names further is not looked at."""
    columns = columns_of(ROWS)
    shuffled = dict(reversed(columns.items())) | {"note": ["?"] * len(ROWS)}
    assert _same(build_matrix(columns, fitted), build_matrix(shuffled, fitted))


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(len(ROWS))), st.integers(1, len(ROWS)))
def test_order_and_company_of_rows_change_nothing(order: list[int], kept: int) -> None:
    """A merchant's row is the same alone, in any company and at any position."""
    fitted = fit(columns_of(TRAIN))
    chosen = order[:kept]
    whole = build_matrix(columns_of(ROWS), fitted)
    assert _same(whole[chosen], build_matrix(columns_of([ROWS[row] for row in chosen]), fitted))


@pytest.mark.parametrize("name", CODES)
def test_codes_are_compared_as_text(fitted: Fitted, name: str) -> None:
    """59, "59" and 59.0 are one code."""
    code = TRAIN[0][name]
    rows = [TRAIN[0] | {name: value} for value in (code, str(code), float(code), np.int32(code))]
    matrix = build_matrix(columns_of(rows), fitted)
    assert all(_same(matrix[0], row) for row in matrix[1:])
    assert not encode(columns_of(rows), fitted).unknown()


def test_a_leading_zero_makes_another_code(fitted: Fitted) -> None:
    """Text is not read as a number: "07" is not 7, unlike "7"."""
    segment = TRAIN[0]["segmento"]
    assert encode(_row(segmento=f"0{segment}"), fitted).unknown()["segmento"].tolist() == [True]


def test_accents_may_be_composed_or_not() -> None:
    """Training and serving may use either Unicode form."""
    composed = columns_of(TRAIN)
    decomposed = composed | {"municipio": [unicodedata.normalize("NFD", name) for name in composed["municipio"]]}
    assert decomposed["municipio"] != composed["municipio"]
    one, other = fit(composed), fit(decomposed)
    assert _same(build_matrix(composed, one), build_matrix(decomposed, one))
    assert _same(build_matrix(composed, one), build_matrix(composed, other))


def test_empty_batches_have_no_rows(fitted: Fitted) -> None:
    """No merchants give no rows and no flags, and all columns."""
    nothing: dict[str, list[Any]] = {name: [] for name in RAW_NAMES}
    encoded = encode(nothing, fitted)
    assert assemble(encoded, fitted).shape == (0, len(fitted.feature_names))
    assert encoded.unknown() == encoded.missing() == {}


# What is odd is told by field and row


@pytest.mark.parametrize("name", [name for name, raw in RAW_BY_NAME.items() if raw.categorical])
def test_an_unseen_category_is_flagged_in_its_row_and_field(fitted: Fitted, name: str) -> None:
    """The other rows and fields are untouched, and nothing fails."""
    rows = [dict(row) for row in TRAIN[:5]]
    rows[2][name] = "XX" if name == "uf" else "never seen"
    unknown = encode(columns_of(rows), fitted).unknown()
    # A municipality is known by its UF, so in another UF it is another one.
    assert set(unknown) == ({"uf", "municipio"} if name == "uf" else {name})
    assert all(np.flatnonzero(mask).tolist() == [2] for mask in unknown.values())
    matrix, clean = build_matrix(columns_of(rows), fitted), build_matrix(columns_of(TRAIN[:5]), fitted)
    assert _same(np.delete(matrix, 2, axis=0), np.delete(clean, 2, axis=0))
    own = {"uf", "municipio"} if name in {"uf", "municipio", "bairro"} else {name}
    differ = ~((matrix[2] == clean[2]) | (np.isnan(matrix[2]) & np.isnan(clean[2])))
    assert {fitted.feature_inputs[column] for column in np.flatnonzero(differ)} <= own
    assert encode(columns_of(rows), fitted).missing() == {}


@pytest.mark.parametrize("null", [None, float("nan")])
@pytest.mark.parametrize("name", RAW_NAMES)
def test_a_null_is_flagged_in_its_row_and_field(fitted: Fitted, name: str, null: float | None) -> None:
    """Only the field that is null is named, and a null district is none of these: it is a statement."""
    rows = [dict(row) for row in TRAIN[:5]]
    rows[3][name] = null
    encoded = encode(columns_of(rows), fitted)
    missing = encoded.missing()
    assert set(missing) == ({name} - {"bairro"})
    assert all(np.flatnonzero(mask).tolist() == [3] for mask in missing.values())
    assert encoded.unknown() == {}


def test_nulls_of_several_parts_of_a_place_are_told_each(fitted: Fitted) -> None:
    """UF and municipality null together are two nulls."""
    assert set(encode(_row(uf=None, municipio=None), fitted).missing()) == {"uf", "municipio"}


def test_a_null_district_is_not_an_unknown_one() -> None:
    """Where training had only named districts, a null one is new but no unseen category."""
    rows = [row | {"bairro": row["bairro"] or "Centro"} for row in TRAIN]
    fitted = fit(columns_of(rows))
    for null in (None, float("nan")):
        encoded = encode(_row(bairro=null), fitted)
        assert encoded.codes["place"].tolist() == [UNKNOWN]
        assert encoded.unknown() == encoded.missing() == {}


def test_an_unknown_district_keeps_its_municipality(fitted: Fitted) -> None:
    """The municipality's own features stay, and the neighbourhood is that of a neighbour in the same UF."""
    known, new = (build_matrix(_row(bairro=name), fitted) for name in ("Centro", "Centro do Sul"))
    assert _column(known, fitted, "municipality_log_frequency") == _column(new, fitted, "municipality_log_frequency")
    assert _column(known, fitted, "place_density_640") == _column(new, fitted, "place_density_640")
    assert _column(new, fitted, "place_log_frequency") == [0.0]
    town = encode(_row(bairro="Centro do Sul"), fitted).codes["nearest_place"][0]
    assert fitted.vocabularies["place"].values[town][::2] == (TRAIN[0]["municipio"], TRAIN[0]["uf"])  # noqa: PD011 - a vocabulary's


def test_a_place_far_from_all_of_its_state_has_no_neighbourhood() -> None:
    """A state without a place nearby in the order gives no position and no neighbours rather than someone else's."""
    rows = [TRAIN[0] | {"municipio": f"Town {number:02}", "uf": "SP"} for number in range(30)]
    fitted = fit(columns_of([*rows, TRAIN[0] | {"municipio": "Zeta", "uf": "AC"}]))
    near, far = (build_matrix(_row(municipio=name, uf="AC"), fitted) for name in ("Town 29b", "Town 05b"))
    assert _column(near, fitted, "place_density_10") == pytest.approx([np.log1p(1)])
    assert _column(far, fitted, "place_density_10") == [0.0]
    assert np.isnan(_column(far, fitted, "place_position")).all()


# Numbers


def _slow_capital(amount: float | None) -> tuple[float, float, float]:
    """Log, trailing zeros and roundness by way of the decimal digits."""
    if amount is None:
        return (np.nan, np.nan, np.nan)
    exact = Decimal(amount)
    digits = str(int(exact)) if exact == int(exact) else ""
    zeros = len(digits) - len(digits.rstrip("0")) if amount else 0
    one_digit = 0 < exact < 10 if zeros == 0 else len(digits.rstrip("0")) == 1
    return (float(np.log1p(amount)), float(zeros), float(one_digit))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.none()
        | st.integers(0, 10**15).map(float)
        | st.builds(lambda lead, power: float(lead * 10**power), st.integers(0, 99), st.integers(0, 13))
        | st.floats(0, 1e15, allow_nan=False),
        min_size=1,
        max_size=20,
    )
)
def test_capital_features_equal_a_slow_reference(amounts: list[float | None]) -> None:
    """log1p, trailing zeros of the integer part and whether one digit leads only zeros."""
    fitted = fit(columns_of(TRAIN[:30]))
    matrix = build_matrix(columns_of([TRAIN[0] | {"capital_social": amount} for amount in amounts]), fitted)
    expected = np.array([_slow_capital(amount) for amount in amounts], dtype=np.float32)
    for column, name in enumerate(("capital_log", "capital_trailing_zeros", "capital_round")):
        np.testing.assert_allclose(_column(matrix, fitted, name), expected[:, column], rtol=1e-6, err_msg=name)


def test_log_frequencies_count_training_rows(fitted: Fitted) -> None:
    """log1p of how often training saw the category; 0 for an unseen one, NaN for null."""
    code = TRAIN[0]["mcc"]
    rows = [TRAIN[0], TRAIN[0] | {"mcc": "new"}, TRAIN[0] | {"mcc": None}]
    counted = _column(build_matrix(columns_of(rows), fitted), fitted, "mcc_log_frequency")
    assert counted[:2] == pytest.approx([np.log1p(sum(row["mcc"] == code for row in TRAIN)), 0.0])
    assert np.isnan(counted[2])


# What cannot be a matrix is refused by name


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mcc": [[1]]}, "mcc: every value must be a code or null"),
        ({"mcc": [1.5]}, "mcc: a code is an integer or a string, not a fraction"),
        ({"bairro": [{}]}, "municipio and bairro and uf: every value must be text or null"),
        ({"municipio": [object()]}, "municipio: a code is an integer or a string, not object"),
        ({"capital_social": ["many"]}, "capital_social: every value must be a number or null"),
        ({"total_estab": [10**400]}, "total_estab: every value must be a number or null"),
        ({"mei": [0, 1]}, "different lengths"),
    ],
)
def test_wrong_columns_are_refused_by_name(fitted: Fitted, change: dict[str, Any], said: str) -> None:
    """The error names the field and the rule."""
    with pytest.raises(ContractError, match=said):
        build_matrix(_row() | change, fitted)


def test_absent_columns_are_all_named(fitted: Fitted) -> None:
    """An absent input is a mistake, unlike a null."""
    columns = {name: values for name, values in _row().items() if name not in {"mcc", "bairro"}}
    with pytest.raises(ContractError, match=r"\['bairro', 'mcc'\] are absent"):
        build_matrix(columns, fitted)
    with pytest.raises(ContractError, match="absent"):
        fit(columns)


def test_fitting_refuses_what_is_no_code() -> None:
    """A fraction in training is an error that names the field."""
    with pytest.raises(ContractError, match=r"tier: .* not a fraction"):
        fit(_row(tier=0.5))


def test_fitting_takes_nulls_anywhere() -> None:
    """A field that is null in every row has an empty vocabulary, and everything is unknown in it later."""
    nothing = columns_of([dict.fromkeys(RAW_NAMES)] * 3)
    fitted = fit(nothing)
    assert np.isnan(build_matrix(nothing, fitted)).all()
    assert "mcc" in encode(_row(), fitted).unknown()


# What was fitted travels


def test_payload_round_trip(fitted: Fitted) -> None:
    """Primitives only, and the same matrix and fingerprint afterwards."""
    again = Fitted.from_payload(fitted.to_payload())
    columns = columns_of([*ROWS, TRAIN[0] | {"bairro": "new", "mcc": None}])
    assert _same(build_matrix(columns, fitted), build_matrix(columns, again))
    assert again.fingerprint == fitted.fingerprint
    assert again.vocabularies == fitted.vocabularies


def _broken(fitted: Fitted, case: str) -> dict[str, Any]:  # noqa: C901, PLR0912 - a flat table of cases
    payload = fitted.to_payload()
    table = payload["tables"][0]
    match case:
        case "no vocabularies":
            del payload["vocabularies"]
        case "no tables":
            del payload["tables"]
        case "vocabulary absent":
            del payload["vocabularies"]["porte"]
        case "vocabulary not a list":
            payload["vocabularies"]["porte"] = 3
        case "vocabularies not a dict":
            payload["vocabularies"] = []
        case "category neither text nor place":
            payload["vocabularies"]["porte"] = [1.5]
        case "table of no field":
            table["field"] = "colour"
        case "vocabulary too long":
            payload["vocabularies"]["mcc"] = [*payload["vocabularies"]["mcc"], "new"]
        case "feature too many":
            table["features"] = [*table["features"], "more"]
        case "table of float64":
            table["values"] = pack_array(np.zeros(table["values"]["shape"]))
        case "table cut":
            table["values"] = table["values"] | {"data": table["values"]["data"][:-1]}
        case "table of objects":
            table["values"] = table["values"] | {"dtype": "|O"}
        case "payload not a dict":
            return []  # type: ignore[return-value]
        case _:
            raise AssertionError(case)
    return payload


@pytest.mark.parametrize(
    "case",
    [
        "no vocabularies", "no tables", "vocabulary absent", "vocabulary not a list", "vocabularies not a dict",
        "category neither text nor place", "table of no field", "vocabulary too long", "feature too many",
        "table of float64", "table cut", "table of objects", "payload not a dict",
    ],
)  # fmt: skip
def test_malformed_payloads_are_refused(fitted: Fitted, case: str) -> None:
    """Whatever is wrong, the reader has one kind of error."""
    with pytest.raises(IncompatibleArtifactError):
        Fitted.from_payload(_broken(fitted, case))


def test_fingerprint_names_features_and_not_data(fitted: Fitted) -> None:
    """Other merchants leave it alone; a feature added, renamed or moved changes it."""
    assert fit(columns_of(ROWS)).fingerprint == fitted.fingerprint
    first, second, *rest = fitted.tables
    renamed = FieldTable(first.field, ("other", *first.features[1:]), first.values)
    values = first.values  # noqa: PD011 - not a DataFrame's
    longer = FieldTable(first.field, (*first.features, "more"), np.hstack([values, values[:, :1]]))
    changed = ((second, first, *rest), (renamed, second, *rest), (longer, second, *rest), (first, second))
    prints = {Fitted(fitted.vocabularies, tables).fingerprint for tables in changed}
    assert len(prints | {fitted.fingerprint}) == 5


def test_codes_are_ordered_as_people_list_them(fitted: Fitted) -> None:
    """Digits by value, then text: 2 before 10 before "A"."""
    rows = columns_of([TRAIN[0] | {"tier": tier} for tier in ("A", 10, 2, "Ab", "02")])
    assert fit(rows).vocabularies["tier"].values == ("02", "2", "10", "A", "Ab")  # noqa: PD011 - a vocabulary's
    values = fitted.vocabularies["cnae_fiscal_principal"].values  # noqa: PD011 - a vocabulary's
    assert [int(str(value)) for value in values] == sorted(int(str(value)) for value in values)


def test_the_contract_loads_no_web_framework() -> None:
    """Training and tools import it in processes that serve nothing."""
    code = (
        "import sys, importlib, pkgutil, app.contract\n"
        "for module in pkgutil.iter_modules(app.contract.__path__, 'app.contract.'):\n"
        "    importlib.import_module(module.name)\n"
        "heavy = {'fastapi', 'starlette', 'uvicorn', 'pandas', 'sklearn', 'optuna', 'matplotlib', 'training'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
