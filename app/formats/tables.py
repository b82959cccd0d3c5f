"""Columns of raw values to a checked request: what CSV, Arrow, Parquet and tensors share.

A column is checked by its distinct values, which are few, and only a column that fails is walked row by row.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from app.contract.inputs import MAX_COUNT, RAW_BY_NAME, RAW_INPUTS, UFS, Distinct, Kind, RawInput
from app.errors import FieldProblem, InvalidRequestError
from app.formats.request import DEFAULT_OPTIONS, DecodedRequest, Options
from app.formats.rules import INT64_MAX, INT64_MIN, UNPAIRED_OR_NUL, child, value_problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from app.contract.inputs import Column
_RANGES: Final = {Kind.NOMINAL: (INT64_MIN, INT64_MAX), Kind.COUNT: (1, MAX_COUNT)}
_UFS_OR_NULL: Final = frozenset({*UFS, None})
_TYPES: Final[dict[Kind, frozenset[type]]] = {
    Kind.NOMINAL: frozenset({int, str, type(None)}),
    Kind.UF: frozenset({str, type(None)}),
    Kind.TEXT: frozenset({str, type(None)}),
    Kind.FLAG: frozenset({int, type(None)}),
    Kind.AMOUNT: frozenset({int, float, type(None)}),
    Kind.COUNT: frozenset({int, type(None)}),
}


def check_header(names: Sequence[str]) -> None:
    """Check that a table has every input once and nothing else; only optional ones may be absent.

    Raises:
        InvalidRequestError: with a problem for each name.
    """
    problems = []
    seen: set[str] = set()
    for name in names:
        if name in seen:
            detail = "must be given once; which column counts is ambiguous"
            problems.append(FieldProblem(child("", name), "duplicate_field", detail))
        elif name not in RAW_BY_NAME:
            detail = "is not an input of a merchant; remove the column"
            problems.append(FieldProblem(child("", name), "unknown_field", detail))
        seen.add(name)
    problems += [
        FieldProblem(f"/{raw.name}", "missing_field", "is required as a column; leave values null when not known")
        for raw in RAW_INPUTS
        if raw.name not in seen and not raw.optional
    ]
    if problems:
        raise InvalidRequestError(problems)


def request_of_columns(
    columns: Mapping[str, Column],
    rows: int,
    options: Options = DEFAULT_OPTIONS,
    errors: dict[int, list[FieldProblem]] | None = None,
) -> DecodedRequest:
    """Check columns of raw values and set the bad rows apart.

    Args:
        columns: by input; an optional one may be absent.
        rows: length of each.
        options: how to answer.
        errors: problems found before, by row.

    Raises:
        InvalidRequestError: a row is bad and the options say `fail`.
    """
    errors = errors or {}
    complete = {raw.name: columns[raw.name] if raw.name in columns else _nothing(rows) for raw in RAW_INPUTS}
    for raw in RAW_INPUTS:
        column = complete[raw.name]
        if _passes(raw, column.values if isinstance(column, Distinct) else column):
            continue
        for row, value in enumerate(column):
            if problem := value_problem(raw, value, f"/{row}/{raw.name}"):
                errors.setdefault(row, []).append(problem)
    if errors:
        if options.on_error == "fail":
            raise InvalidRequestError([problem for _, found in sorted(errors.items()) for problem in found])
        good = np.setdiff1d(np.arange(rows), list(errors))
        complete = {name: _rows_of(column, good) for name, column in complete.items()}
    return DecodedRequest(complete, rows, options, errors)


def _nothing(rows: int) -> Distinct:
    return Distinct([None], np.zeros(rows, dtype=np.int32))


def _rows_of(column: Column, rows: NDArray[np.intp]) -> Column:
    if isinstance(column, Distinct):
        # Values that only stand in bad rows must go: nobody looks at the others again.
        kept, index = np.unique(column.index[rows], return_inverse=True)
        return Distinct([column.values[place] for place in kept.tolist()], index.astype(np.int32))
    return [column[row] for row in rows.tolist()]


def _passes(raw: RawInput, values: list[Any]) -> bool:
    """Tell whether all values obey their rules; False may only mean that each must be looked at closely."""
    if not set(map(type, values)) <= _TYPES[raw.kind]:
        return False
    if raw.kind is Kind.UF:
        return _UFS_OR_NULL.issuperset(values)
    numbers = [value for value in values if isinstance(value, int | float)]
    texts = [value for value in values if isinstance(value, str)]
    lowest, highest = _RANGES.get(raw.kind, (0, raw.maximum))
    # NaN fails the first comparison that it comes to, unless it is neither least nor greatest: it is looked for.
    return (
        (not numbers or (lowest <= min(numbers) and max(numbers) <= highest and not any(map(math.isnan, numbers))))
        and (not texts or ("" not in texts and max(map(len, texts)) <= raw.maximum))
        and not UNPAIRED_OR_NUL.search("".join(texts))
    )
