"""Check merchants row by row and give them their types.

Every value that breaks a rule is reported with its row, column and remedy; nothing is repaired, guessed or dropped in
silence. An integer may be written as 285.0, as pandas does where a column has nulls. The pandera schema is derived from
the one declaration of the raw inputs in `app.contract.inputs`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import pandas as pd
from pandera.errors import SchemaErrors

from app.contract.buckets import N_BUCKETS, bucketize
from app.contract.inputs import (
    MAX_AMOUNT,
    RAW_INPUTS,
    RAW_NAMES,
    TARGET,
    Kind,
    RawInput,
    canonical_text,
    integral_text,
)
from training.data_files import FIRST_ROW, RAGGED, ROW_INDEX, DataError, check_columns
from training.data_rules import required_rule, schema_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from numpy.typing import NDArray

PROBLEM_COLUMNS: Final = ("row", "column", "value", "rule")
WHOLE_ROW: Final = "(row)"
"""What `problems` names as the column when the row as a whole is wrong."""

_MAX_SHOWN: Final = 80
_MIN_ROWS_TO_JUDGE: Final = 30

_TARGET: Final = RawInput(TARGET, Kind.AMOUNT, "Monthly TPV in BRL", 0.0, MAX_AMOUNT)

Text: TypeAlias = str | None


@dataclass(frozen=True)
class Validation:
    """What came of checking a table.

    Attributes:
        clean: the rows that keep every rule, in order: the target (float64, BRL; unless scoring), the raw inputs
            (codes, `uf` and places as text objects, None where missing; `mei` int8, `capital_social` float64 BRL,
            `total_estab` int64) and `row_number` (int64, the row in the file). When scoring, numbers are float64
            with NaN for null.
        problems: one row per broken rule: `row`, `column`, `value` (as written, shortened), `rule`.
        n_rows: rows checked.
    """

    clean: pd.DataFrame
    problems: pd.DataFrame
    n_rows: int

    @property
    def ok(self) -> bool:
        """Whether every row keeps every rule."""
        return self.problems.empty


def validate(frame: pd.DataFrame, *, scoring: bool = False) -> Validation:
    """Check every cell of a table of merchants.

    Args:
        frame: as `training.data_files` reads it or `training.sample_data.make_sample` makes it. Row numbers are taken
            from an index named "row", or else counted from 2.
        scoring: whether the target is not needed (and ignored) and any input may be null.

    Raises:
        DataError: a column is missing, repeated or not declared, or holds something else than numbers and text.
    """
    check_columns([str(name) for name in frame.columns], "the table", scoring=scoring)
    inputs = RAW_INPUTS if scoring else (_TARGET, *RAW_INPUTS)
    if frame.index.name == ROW_INDEX:
        numbers = frame.index.to_numpy(dtype=np.int64)
    else:
        numbers = np.arange(FIRST_ROW, FIRST_ROW + len(frame), dtype=np.int64)
    ragged: dict[int, int] = frame.attrs.get(RAGGED, {})
    whole = ~np.isin(numbers, list(ragged))
    texts = pd.DataFrame({raw.name: pd.Series(_texts(raw, frame[raw.name][whole]), dtype=object) for raw in inputs})
    problems = pd.concat(
        [_ragged_problems(ragged, frame.shape[1]), _cell_problems(texts, inputs, numbers[whole], nullable=scoring)]
    ).astype({"row": np.int64})
    order = {name: position for position, name in enumerate((WHOLE_ROW, TARGET, *RAW_NAMES))}
    problems = problems.sort_values(
        ["row", "column"], key=lambda s: s.map(order) if s.name == "column" else s, ignore_index=True
    )
    good = ~np.isin(numbers[whole], problems["row"].to_numpy())
    clean = {raw.name: _typed(raw, texts[raw.name].to_numpy()[good], nullable=scoring) for raw in inputs}
    clean["row_number"] = pd.Series(numbers[whole][good])
    return Validation(clean=pd.DataFrame(clean), problems=problems, n_rows=len(frame))


def columns_of(frame: pd.DataFrame) -> dict[str, NDArray[np.object_] | NDArray[np.float64] | NDArray[np.int64]]:
    """Give the raw inputs of a clean table by name in contract order, each (n,); text as objects, None if missing."""
    return {raw.name: frame[raw.name].to_numpy() for raw in RAW_INPUTS}


def labels_of(frame: pd.DataFrame) -> NDArray[np.int8]:
    """Give the bucket, 0-4, of each row of a clean table, int8 (n,)."""
    return bucketize(frame[TARGET].to_numpy())


def amounts_are_real(frame: pd.DataFrame) -> bool:
    """Whether a clean table's amounts vary inside the buckets.

    Some data sets give one amount for all rows of a bucket; amounts of such a set say nothing beyond the bucket. A
    bucket of fewer than 30 rows is not judged.
    """
    labels = labels_of(frame)
    amounts = frame[TARGET].to_numpy()
    for bucket in range(N_BUCKETS):
        inside = amounts[labels == bucket]
        if len(inside) >= _MIN_ROWS_TO_JUDGE and (inside == inside[0]).all():
            return False
    return True


def _texts(raw: RawInput, cells: pd.Series) -> list[Text]:
    """Cells as text, None where empty or null; integers by their digits, however they were written."""
    texts = [(cell or None) if type(cell) is str else _text(raw.name, cell) for cell in cells.tolist()]
    if raw.kind not in {Kind.NOMINAL, Kind.FLAG, Kind.COUNT}:
        return texts
    return [None if text is None else integral_text(text) for text in texts]


def _text(name: Hashable, cell: object) -> Text:
    if isinstance(cell, str):
        return str(cell) or None
    if isinstance(cell, bool | np.bool_):
        raise DataError(f"column {name!r} holds {cell!r}, a boolean. Write 0 and 1 as integers.")
    if isinstance(cell, int | np.integer):
        return str(cell)
    if isinstance(cell, float | np.floating | Decimal):
        number = float(cell)
        if math.isnan(number):
            return None
        whole = math.isfinite(number) and cell == int(cell)
        return str(int(cell)) if whole else str(cell if isinstance(cell, Decimal) else number)
    if cell is None or cell is pd.NA:
        return None
    raise DataError(f"column {name!r} holds a {type(cell).__name__}. Write it as integers, decimals or text.")


def _ragged_problems(ragged: Mapping[int, int], width: int) -> pd.DataFrame:
    rule = (
        f"must have {width} fields, one per column: put text that holds a comma or a line break between double quotes"
    )
    rows = [(row, WHOLE_ROW, f"{fields} fields", rule) for row, fields in ragged.items()]
    return pd.DataFrame(rows, columns=list(PROBLEM_COLUMNS))


def _cell_problems(
    texts: pd.DataFrame, inputs: Sequence[RawInput], numbers: NDArray[np.int64], *, nullable: bool
) -> pd.DataFrame:
    try:
        schema_of(inputs, nullable=nullable).validate(texts, lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases
    else:
        return pd.DataFrame(columns=list(PROBLEM_COLUMNS))
    required = {raw.name: required_rule(raw) for raw in inputs}
    columns = cases["column"].to_list()
    return pd.DataFrame(
        {
            "row": numbers[cases["index"].to_numpy(dtype=np.int64)],
            "column": columns,
            "value": [_shown(case) for case in cases["failure_case"]],
            "rule": [
                required[column] if check == "not_nullable" else check
                for column, check in zip(columns, cases["check"], strict=True)
            ],
        }
    )


def _shown(value: object) -> str:
    """A value on one line of at most 80 characters, invisible characters escaped."""
    if not isinstance(value, str):
        return ""
    visible = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in value[:_MAX_SHOWN])
    return visible if len(value) <= _MAX_SHOWN else f"{visible}…"


def _typed(raw: RawInput, texts: NDArray[np.object_], *, nullable: bool) -> pd.Series:
    """Texts that keep the rules as the type of their input."""
    if raw.categorical:
        canonical = {text: None if text is None else canonical_text(text) for text in set(texts)}
        return pd.Series([canonical[text] for text in texts], dtype=object)
    if nullable or raw.kind is Kind.AMOUNT:
        return pd.Series([math.nan if text is None else float(text) for text in texts], dtype=np.float64)
    return pd.Series([int(text) for text in texts], dtype=np.int8 if raw.kind is Kind.FLAG else np.int64)
