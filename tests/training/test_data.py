"""Every bad value is reported with its row, column and remedy, and nothing is repaired or dropped in silence."""

from __future__ import annotations

import hashlib
import tracemalloc
import unicodedata
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.contract.features import encode, fit
from app.contract.inputs import RAW_INPUTS, RAW_NAMES, TARGET, Kind, canonical_text, integral_text
from app.formats.csv_body import decode_csv
from app.formats.request import DEFAULT_OPTIONS
from training.data import amounts_are_real, columns_of, labels_of, validate
from training.data_files import DataError, data_digest, iter_chunks, read_table
from training.data_rules import rules_of
from training.sample_data import make_sample
from training.split import uniform_of

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = (TARGET, *RAW_NAMES)
GOOD: dict[str, Any] = {
    TARGET: "1234.56",
    "cnae_fiscal_principal": "285",
    "segmento": "0",
    "uf": "SP",
    "municipio": "Campinas",
    "bairro": "Centro",
    "mei": "0",
    "capital_social": "20000",
    "total_estab": "1",
    "mcc": "59",
    "subsegmento": "13",
    "porte": "2",
    "faixa_empregados": "1",
    "tier": "2",
}


def _table(*changes: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame([GOOD | change for change in changes], columns=list(COLUMNS), dtype=object)


def _csv(directory: Path, text: str | bytes, name: str = "merchants.csv") -> Path:
    path = directory / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def _lines(*rows: dict[str, Any]) -> str:
    records = [",".join(COLUMNS), *(",".join((GOOD | row).values()) for row in rows)]
    return "\n".join(records) + "\n"


def _problem(column: str, value: Any) -> tuple[str, str]:
    """Value as shown and rule of the one problem that a bad value causes."""
    validation = validate(_table({}, {column: value}, {}))
    assert not validation.ok
    assert validation.clean["row_number"].tolist() == [2, 4]
    assert validation.problems[["row", "column"]].to_numpy().tolist() == [[3, column]]
    return validation.problems["value"].item(), validation.problems["rule"].item()


# What is wrong with a value


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        (TARGET, "", "is required for training: fill in the amount"),
        (TARGET, None, "is required for training"),
        (TARGET, float("nan"), "is required for training"),
        (TARGET, "NaN", "marks a missing value: leave the cell empty"),
        (TARGET, "1e999", "must be finite"),
        (TARGET, float("inf"), "must be a number such as 1234.56"),
        (TARGET, "Infinity", "must be a number"),
        (TARGET, "-0.01", "must be at least 0"),
        (TARGET, "1.234,56", "a point before decimals, no thousands separator"),
        (TARGET, "R$ 5", "no currency sign"),
        (TARGET, "1_000", "must be a number"),
        (TARGET, "+5", "must be a number"),
        (TARGET, "٣", "must be a number"),
        (TARGET, "0x10", "must be a number"),
        (TARGET, "1e15001", "must be finite"),
        (TARGET, "1000000000000001", "must be at most 1,000,000,000,000,000"),
        (TARGET, "9" * 5000, "is longer than 40 characters"),
        ("capital_social", "", "is required: fill it in"),
        ("capital_social", "-5", "must be at least 0"),
        ("capital_social", " 12", "has spaces around it: remove them"),
        ("total_estab", "1.5", "must be an integer such as 1"),
        ("total_estab", "1.00", "must be an integer such as 1"),
        ("total_estab", "0.0", "must be at least 1"),
        ("total_estab", 2.5, "must be an integer such as 1"),
        ("total_estab", "0", "must be at least 1"),
        ("total_estab", "-3", "must be at least 1"),
        ("total_estab", str(2**70), "must be at most 1,000,000"),
        ("mei", "2", "must be 0 or 1"),
        ("mei", "2.0", "must be 0 or 1"),
        ("mei", "0.5", "must be 0 or 1"),
        ("mei", "true", "must be 0 or 1"),
        ("mei", "", "is required"),
        ("uf", "XX", "must be one of the 27 states"),
        ("uf", "sp", "in capitals"),
        ("uf", "SP ", "has spaces around it"),
        ("mcc", "59.00", "and no fraction: write 5"),
        ("mcc", "059.0", "and no fraction"),
        ("mcc", 59.5, "and no fraction"),
        ("mcc", "x" * 33, "is longer than 32 characters"),
        ("mcc", "null", "marks a missing value"),
        ("tier", "N/A", "marks a missing value"),
        ("segmento", "", "is required"),
        ("municipio", "", "is required"),
        ("municipio", "São\nPaulo", "holds invisible characters"),
        ("municipio", "São\x00Paulo", "holds invisible characters"),
        ("municipio", "São\u200bPaulo", "holds invisible characters"),
        ("municipio", "x" * 121, "is longer than 120 characters"),
        ("bairro", "nan", "marks a missing value: leave the cell empty"),
        ("bairro", " ", "has spaces around it"),
    ],
)
def test_a_bad_value_is_one_problem_of_its_row(column: str, value: Any, rule: str) -> None:
    """The row is named as a spreadsheet numbers it, the first broken rule is given, and other rows are untouched."""
    shown, found = _problem(column, value)
    assert rule in found
    assert ":" in found
    assert len(shown) <= 81
    assert shown.isprintable()


@pytest.mark.parametrize(
    "change",
    [
        {TARGET: "0"},
        {TARGET: "1e5"},
        {TARGET: "0.10"},
        {"bairro": ""},
        {"bairro": None},
        {"capital_social": "0"},
        {"capital_social": "1e+15"},
        {"capital_social": Decimal("10.50")},
        {"total_estab": "1000000"},
        {"mcc": "47.11-3"},
        {"mcc": "-1"},
        {"municipio": "Santa Bárbara d'Oeste"},
        {"municipio": "Ji-Paraná"},
    ],
)
def test_a_good_value_is_accepted(change: dict[str, Any]) -> None:
    """Limits are inclusive, and only the district may be missing."""
    validation = validate(_table(change))
    assert validation.ok
    assert validation.n_rows == len(validation.clean) == 1


def test_every_broken_rule_of_every_row_is_reported() -> None:
    """A row with three bad values gives three problems, ordered by row and column."""
    validation = validate(_table({"uf": "XX", TARGET: "", "tier": ""}, {}, {"mei": "7"}))
    assert validation.problems[["row", "column"]].to_numpy().tolist() == [
        [2, TARGET],
        [2, "uf"],
        [2, "tier"],
        [4, "mei"],
    ]
    assert validation.n_rows == 3
    assert len(validation.clean) == 1


def test_a_table_of_bad_rows_is_reported_whole() -> None:
    """All rows may be bad; the clean table is then empty but typed."""
    frame = make_sample(5_000, 0).astype({"uf": object, "mei": object})
    frame["uf"], frame["mei"] = "ZZ", "9"
    validation = validate(frame)
    assert len(validation.problems) == 10_000
    assert validation.clean.empty
    assert validation.clean["mei"].dtype == np.int8


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_value_passes_unchanged_rules_in_disguise(data: st.DataObject) -> None:
    """Any text is either a problem, or stands in the clean table as exactly what it says."""
    raw = data.draw(st.sampled_from(RAW_INPUTS))
    text = data.draw(st.one_of(st.text(max_size=20), st.from_regex(r"-?[0-9]{1,4}(\.[0-9]{1,3})?", fullmatch=True)))
    validation = validate(_table({raw.name: text}))
    if validation.ok:
        value = validation.clean[raw.name].item() if text else validation.clean[raw.name].tolist()[0]
        if text == "":
            assert raw.optional
            assert value is None
        elif raw.kind in {Kind.AMOUNT, Kind.COUNT, Kind.FLAG}:
            assert value == float(text)
        else:
            assert value == unicodedata.normalize("NFC", integral_text(text) if raw.kind is Kind.NOMINAL else text)
        assert all(rule.holds(text) or rule.holds(integral_text(text)) for rule in rules_of(raw) if text)
    else:
        assert validation.clean.empty
        assert set(validation.problems["column"]) == {raw.name}


# What a clean table is


def test_clean_table_has_the_declared_types() -> None:
    """Codes and places are text, numbers are numbers, and the district is None where missing."""
    clean = validate(_table({"bairro": ""}, {})).clean
    assert list(clean.columns) == [*COLUMNS, "row_number"]
    assert clean["row_number"].tolist() == [2, 3]
    assert clean["mcc"].tolist() == ["59", "59"]
    assert clean["bairro"].tolist() == [None, "Centro"]
    assert clean.dtypes[[TARGET, "mei", "capital_social", "total_estab"]].tolist() == [
        np.float64,
        np.int8,
        np.float64,
        np.int64,
    ]


def test_codes_are_equal_whatever_their_type() -> None:
    """5, 5.0 and "5" are one code; a name typed with combining accents equals the composed one."""
    clean = validate(_table({"mcc": 5}, {"mcc": 5.0}, {"mcc": "5"}, {"mcc": np.int64(5)}, {"mcc": np.str_("5")})).clean
    assert clean["mcc"].tolist() == ["5"] * 5
    places = validate(_table({"municipio": "Sa\u0303o Paulo"}, {"municipio": "S\u00e3o Paulo"})).clean["municipio"]
    assert places[0] == places[1]


def test_integers_may_be_written_as_pandas_writes_them_beside_nulls(tmp_path: Path) -> None:
    """285.0 in a CSV is the integer 285: the same merchants, on the same sides of the split, as where they are 285."""
    sample = make_sample(300, 2)
    integers = [raw.name for raw in RAW_INPUTS if raw.kind in {Kind.NOMINAL, Kind.FLAG, Kind.COUNT}]
    sample.to_csv(tmp_path / "integers.csv", index=False)
    sample.astype(dict.fromkeys(integers, float)).to_csv(tmp_path / "floats.csv", index=False)
    assert b".0," in (tmp_path / "floats.csv").read_bytes()
    one, other = (validate(read_table(tmp_path / name)) for name in ("integers.csv", "floats.csv"))
    assert one.ok
    assert other.ok
    pd.testing.assert_frame_equal(one.clean, other.clean)
    np.testing.assert_array_equal(uniform_of(one.clean, 0), uniform_of(other.clean, 0))


@pytest.mark.parametrize(
    "text",
    ["285.0", "-285.0", "0.0", "-0.0", "285.00", "0285.0", "285.", ".0", "1e2", "285.5", "1" * 19 + ".0", "x.0", "٥.0"],
)
def test_training_and_serving_read_the_same_codes(text: str) -> None:
    """A code is the same text to both, or training asks for another one."""
    header = ",".join(RAW_NAMES)
    cells = ",".join(str((GOOD | {"mcc": text})[name]) for name in RAW_NAMES)
    served = decode_csv(f"{header}\n{cells}\n".encode(), DEFAULT_OPTIONS, max_rows=1)
    sent = served.columns["mcc"][0]
    validation = validate(_table({"mcc": text}))
    if validation.ok:
        assert validation.clean["mcc"].tolist() == [integral_text(canonical_text(sent))]
    else:
        assert "no fraction" in validation.problems["rule"].item()
        assert sent == text


@pytest.mark.parametrize("backend", ["numpy_nullable", "pyarrow"])
def test_nullable_columns_of_pandas_are_the_same_merchants(backend: Literal["numpy_nullable", "pyarrow"]) -> None:
    """Whatever a null is called, it is None or NaN in the clean table, and the contract takes it."""
    sample = make_sample(300, 3)
    nullable = sample.convert_dtypes(dtype_backend=backend)
    assert nullable["bairro"].isna().any()
    assert nullable["bairro"][nullable["bairro"].isna()].tolist()[0] is pd.NA
    clean = validate(nullable).clean
    pd.testing.assert_frame_equal(validate(sample).clean, clean)
    nullable.loc[:99, ["mei", "capital_social", "total_estab", "mcc"]] = pd.NA
    scored = validate(nullable, scoring=True).clean
    for values in columns_of(scored).values():
        assert not any(value is pd.NA for value in values.tolist())
    assert scored["mcc"].tolist()[0] is None
    assert np.isnan(scored["mei"].to_numpy()[:100]).all()
    assert encode(columns_of(scored), fit(columns_of(clean))).missing()["mcc"][:100].all()


def test_columns_go_straight_into_the_contract() -> None:
    """The 13 inputs in contract order are what feature fitting takes."""
    clean = validate(make_sample(200, 0)).clean
    columns = columns_of(clean)
    assert tuple(columns) == RAW_NAMES
    assert {len(values) for values in columns.values()} == {200}
    assert fit(columns).feature_names


def test_labels_are_the_buckets_of_the_target() -> None:
    """Edges belong to the bucket below them."""
    clean = validate(_table({TARGET: "0"}, {TARGET: "100"}, {TARGET: "100.01"}, {TARGET: "1e6"})).clean
    assert labels_of(clean).tolist() == [0, 0, 1, 4]
    assert labels_of(clean).dtype == np.int8


def test_constant_amounts_are_not_real() -> None:
    """A bucket of 30 rows or more with a single amount gives the set away; a smaller one is not judged."""
    varied = [{TARGET: str(2000 + i)} for i in range(40)]
    assert amounts_are_real(validate(_table(*varied)).clean)
    assert amounts_are_real(validate(_table(*varied, *[{TARGET: "50"}] * 29)).clean)
    assert not amounts_are_real(validate(_table(*varied, *[{TARGET: "50"}] * 30)).clean)


def test_scoring_needs_no_target_and_takes_nulls() -> None:
    """Any input may be null when scoring, identifiers may be there, and wrong values are still problems."""
    frame = _table(dict.fromkeys(RAW_NAMES, ""), {"mei": "7"}, {}).drop(columns=TARGET).assign(merchant_id=[1, 2, 3])
    validation = validate(frame, scoring=True)
    assert validation.problems[["row", "column"]].to_numpy().tolist() == [[3, "mei"]]
    assert validation.clean["row_number"].tolist() == [2, 4]
    assert validation.clean.loc[0, "mcc"] is None
    assert np.isnan(validation.clean.loc[0, ["mei", "capital_social", "total_estab"]].to_numpy(dtype=float)).all()


@pytest.mark.parametrize(("value", "kind"), [(True, "boolean"), (b"x", "bytes"), (pd.Timestamp(0), "Timestamp")])
def test_cells_of_another_kind_are_refused(value: object, kind: str) -> None:
    """A boolean is not 1, and bytes or dates are no codes."""
    with pytest.raises(DataError, match=f"'mei' holds .*{kind}.*Write"):
        validate(_table({"mei": value}))


# Files


def test_csv_and_parquet_give_the_same_merchants(tmp_path: Path) -> None:
    """Text, integers, integral floats, decimals and dictionaries are the same merchants."""
    sample = make_sample(500, 1)
    sample.to_csv(tmp_path / "a.csv", index=False)
    sample.to_parquet(tmp_path / "b.parquet")
    mixed = pa.Table.from_pandas(
        sample.astype({"mcc": float, "mei": float, "tier": "int8", "capital_social": "float64"})
    )
    mixed = mixed.set_column(
        mixed.column_names.index("uf"), "uf", mixed.column("uf").combine_chunks().dictionary_encode()
    )
    pq.write_table(mixed, tmp_path / "c.PARQUET", row_group_size=100)
    first, *others = (validate(read_table(tmp_path / name)).clean for name in ("a.csv", "b.parquet", "c.PARQUET"))
    for other in others:
        pd.testing.assert_frame_equal(first, other)


def test_columns_may_come_in_any_order(tmp_path: Path) -> None:
    """The table is put into the declared order."""
    sample = make_sample(20, 1)
    sample[list(COLUMNS)[::-1]].to_csv(tmp_path / "a.csv", index=False)
    assert tuple(read_table(tmp_path / "a.csv").columns) == COLUMNS


def test_byte_order_mark_quotes_and_crlf_are_read(tmp_path: Path) -> None:
    """What spreadsheet programs write is read as it is."""
    text = "\ufeff" + _lines({"municipio": '"A ""b"", c"'}).replace("\n", "\r\n")
    frame = read_table(_csv(tmp_path, text))
    assert frame["municipio"].tolist() == ['A "b", c']


def test_rows_without_one_field_per_column_are_problems(tmp_path: Path) -> None:
    """A short, a long and a blank row are reported by number, and the rows after them keep theirs."""
    good = ",".join(GOOD.values())
    text = "\n".join([",".join(COLUMNS), good, "1,2", good + ",9", "", good, "", ""]) + "\n"
    validation = validate(read_table(_csv(tmp_path, text)))
    assert validation.problems[["row", "column", "value"]].to_numpy().tolist() == [
        [3, "(row)", "2 fields"],
        [4, "(row)", "15 fields"],
        [5, "(row)", "0 fields"],
    ]
    assert validation.problems["rule"].str.contains("must have 14 fields.*double quotes").all()
    assert validation.clean["row_number"].tolist() == [2, 6]
    assert validation.n_rows == 5


HEADER = ",".join(COLUMNS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        (HEADER + "\n", "has a header but no merchants"),
        ("tier\n2\n", "columns 'stone_tpv_acquirer_total', .* are missing"),
        (HEADER.replace(",", ";") + "\n1;2\n", "separated by semicolons. Save it with commas"),
        (HEADER.replace(",", "\t") + "\n1\t2\n", "separated by tabs"),
        (HEADER.replace("tier", "mcc") + "\n", "columns 'mcc' are there more than once"),
        (HEADER.replace(",tier", "") + "\n", "columns 'tier' are missing. The first line must name"),
        (HEADER + ",name\n", "columns 'name' are not known"),
        (HEADER.replace("tier", "Tier ") + "\n", r"'tier' are missing; columns 'Tier ' \(did you mean 'tier'\?\)"),
        (",".join(GOOD.values()) + "\n", "has no header. Its first line must name these columns"),
        (_lines({"municipio": "São Paulo"}).encode("latin-1"), "is not UTF-8 text"),
        (_lines({}).encode("utf-16"), "is not UTF-8 text"),
        (_lines({}, {"municipio": '"São Paulo'}), "not valid CSV.*unpaired double quote"),
        (_lines({"municipio": "x" * 200_000}), "not valid CSV.*field larger"),
    ],
)
def test_a_bad_file_says_what_to_do(tmp_path: Path, content: str | bytes, message: str) -> None:
    """What is wrong with the file as a whole is one error with the remedy, naming the file."""
    with pytest.raises(DataError, match=message) as caught:
        read_table(_csv(tmp_path, content))
    assert "merchants.csv" in str(caught.value)


def test_files_that_cannot_be_read_are_explained(tmp_path: Path) -> None:
    """Missing, a directory, another extension and damaged Parquet are told apart."""
    with pytest.raises(DataError, match="no such file"):
        read_table(tmp_path / "absent.csv")
    with pytest.raises(DataError, match="no such file"):
        data_digest(tmp_path / "absent.csv")
    with pytest.raises(DataError, match="is not a file"):
        read_table(tmp_path)
    with pytest.raises(DataError, match=r"files of kind '\.xlsx' are not read\. Save it as \.csv or \.parquet"):
        read_table(_csv(tmp_path, "x", "a.xlsx"))
    with pytest.raises(DataError, match="not a readable Parquet file"):
        read_table(_csv(tmp_path, "PAR1 not really", "a.parquet"))
    with pytest.raises(DataError, match="is empty"):
        read_table(_csv(tmp_path, "", "b.parquet"))
    whole = tmp_path / "c.parquet"
    make_sample(3000, 0).to_parquet(whole)
    damaged = bytearray(whole.read_bytes())
    damaged[2000:6000] = bytes(4000)
    with pytest.raises(DataError, match=r"c2\.parquet"):
        read_table(_csv(tmp_path, bytes(damaged), "c2.parquet"))


@pytest.mark.parametrize("kind", [pa.bool_(), pa.binary(), pa.date32(), pa.list_(pa.int64())])
def test_parquet_types_without_a_meaning_are_refused(tmp_path: Path, kind: pa.DataType) -> None:
    """The error names the column and its type."""
    table = pa.Table.from_pandas(make_sample(2, 0))
    table = table.set_column(table.column_names.index("mei"), "mei", pa.nulls(2, kind))
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"column 'mei' has type .*Write it as integers, decimals or text"):
        read_table(tmp_path / "a.parquet")


def test_parquet_nulls_are_missing_values(tmp_path: Path) -> None:
    """A null is a problem where a value is required, and None in the district."""
    sample = make_sample(50, 0)
    table = pa.Table.from_pandas(sample)
    for name in ("mei", "bairro"):
        kind = table.schema.field(name).type
        table = table.set_column(table.column_names.index(name), name, pa.nulls(50, kind))
    pq.write_table(table, tmp_path / "a.parquet")
    problems = validate(read_table(tmp_path / "a.parquet")).problems
    assert set(problems["column"]) == {"mei"}
    assert problems["row"].tolist() == list(range(2, 52))


def test_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    """The sha256 that any other tool gives."""
    path = _csv(tmp_path, "abc")
    assert data_digest(path) == hashlib.sha256(b"abc").hexdigest()


# Chunks


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("rows", [1, 7, 30, 1000])
def test_chunks_are_the_file_in_pieces(tmp_path: Path, suffix: str, rows: int) -> None:
    """Pieces in order, none longer than asked, with row numbers that go on and extra columns kept."""
    sample = make_sample(30, 2).drop(columns=TARGET).assign(merchant_id=range(30))
    path = tmp_path / f"a.{suffix}"
    if suffix == "csv":
        sample.to_csv(path, index=False)
    else:
        sample.to_parquet(path, row_group_size=11)
    chunks = list(iter_chunks(path, rows))
    assert max(map(len, chunks)) <= rows
    joined = pd.concat(chunks)
    assert [int(value) for value in joined["merchant_id"]] == list(range(30))
    clean = pd.concat([validate(chunk, scoring=True).clean for chunk in chunks], ignore_index=True)
    assert clean["row_number"].tolist() == list(range(2, 32))
    pd.testing.assert_frame_equal(clean, validate(sample, scoring=True).clean)


def test_memory_of_chunks_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Ten times the rows, about the same peak."""
    peaks = []
    for rows in (4_000, 40_000):
        path = tmp_path / f"{rows}.csv"
        make_sample(rows, 0).to_csv(path, index=False)
        tracemalloc.start()
        for chunk in iter_chunks(path, 1_000):
            assert len(chunk) == 1_000
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


def test_chunks_must_hold_rows(tmp_path: Path) -> None:
    """A chunk of no rows is a mistake of the caller, raised at once."""
    with pytest.raises(ValueError, match="rows must be at least 1"):
        iter_chunks(tmp_path / "absent.csv", 0)


def test_a_missing_input_is_an_error_when_scoring_too(tmp_path: Path) -> None:
    """Only the target may be left out."""
    make_sample(3, 0).drop(columns=[TARGET, "bairro"]).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(DataError, match="columns 'bairro' are missing"):
        list(iter_chunks(tmp_path / "a.csv", 10))
