"""Columns of raw values to a checked request: what CSV, Arrow, Parquet and tensors share.

A column is checked by its distinct values, which are few, and only a column that fails is walked row by row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from app.contract.inputs import RAW_BY_NAME, RAW_INPUTS, Kind, RawInput
from app.errors import FieldProblem, InvalidRequestError
from app.formats.request import DEFAULT_OPTIONS, DecodedRequest, Options
from app.formats.rules import child, value_problem

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

_LOWEST: Final = {Kind.FLAG: 0, Kind.AMOUNT: 0, Kind.COUNT: 1}
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
    columns: Mapping[str, list[Any]],
    rows: int,
    options: Options = DEFAULT_OPTIONS,
    errors: dict[int, list[FieldProblem]] | None = None,
    clean: Collection[str] = (),
) -> DecodedRequest:
    """Check columns of raw values and set the bad rows apart.

    Args:
        columns: by input; an optional one may be absent.
        rows: length of each.
        options: how to answer.
        errors: problems found before, by row.
        clean: columns that were found to obey their rules already.

    Raises:
        InvalidRequestError: a row is bad and the options say `fail`.
    """
    errors = errors or {}
    complete = {raw.name: columns.get(raw.name) or [None] * rows for raw in RAW_INPUTS}
    for raw in RAW_INPUTS:
        values = complete[raw.name]
        if raw.name in clean or _passes(raw, values):
            continue
        for row, value in enumerate(values):
            if problem := value_problem(raw, value, f"/{row}/{raw.name}"):
                errors.setdefault(row, []).append(problem)
    if errors:
        if options.on_error == "fail":
            raise InvalidRequestError([problem for _, found in sorted(errors.items()) for problem in found])
        complete = {
            name: [value for row, value in enumerate(values) if row not in errors] for name, values in complete.items()
        }
    return DecodedRequest(complete, rows, options, errors)


def _passes(raw: RawInput, values: list[Any]) -> bool:
    """Tell whether a whole column obeys its rules; False may only mean that it must be looked at closely."""
    if not set(map(type, values)) <= _TYPES[raw.kind]:
        return False
    if raw.kind in _LOWEST:
        numbers = np.array([value for value in values if value is not None], dtype=np.float64)
        return bool(((numbers >= _LOWEST[raw.kind]) & (numbers <= raw.maximum)).all())
    return not any(value_problem(raw, value, "") for value in set(values))
