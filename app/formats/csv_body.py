"""CSV requests to columns: RFC 4180, UTF-8, a header with the input names in any order, empty cells for null."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Any, Final

from app.contract.inputs import RAW_BY_NAME, Kind
from app.errors import FieldProblem, InvalidRequestError, MalformedBodyError, TooManyRowsError
from app.formats.rules import BAD_NUMBER, value_problem
from app.formats.tables import check_header, request_of_columns

if TYPE_CHECKING:
    from app.formats.request import DecodedRequest, Options

_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
_INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]{0,18})", re.ASCII)


def decode_csv(body: bytes, options: Options, *, max_rows: int) -> DecodedRequest:
    """Decode a table of merchants.

    Args:
        body: the whole body.
        options: how to answer.
        max_rows: most rows of one request.

    Raises:
        MalformedBodyError: not CSV, or not UTF-8.
        InvalidRequestError: the header is wrong, or a row is and the options say `fail`.
        TooManyRowsError: more than `max_rows` rows.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MalformedBodyError(f"the body is not UTF-8 (byte {error.start}); save the file as UTF-8") from error
    reader = csv.reader(io.StringIO(text), strict=True)
    try:
        header = next(reader, None)
        lines = [line for line in reader if line]
    except csv.Error as error:
        raise MalformedBodyError(f"the body is not CSV (line {reader.line_num}: {error})") from error
    if not header:
        raise InvalidRequestError([FieldProblem("", "missing_field", "must start with a line of column names")])
    check_header(header)
    if len(lines) > max_rows:
        raise TooManyRowsError(f"{len(lines)} rows in one request, at most {max_rows} are taken; split the file")
    errors: dict[int, list[FieldProblem]] = {}
    width = len(header)
    if set(map(len, lines)) - {width}:
        blank = [""] * width
        for row, line in enumerate(lines):
            if len(line) != width:
                detail = f"must have {width} cells as the header has; quote cells that hold commas"
                errors[row] = [FieldProblem(f"/{row}", "wrong_cell_count", detail)]
                lines[row] = blank
    cells = zip(*lines, strict=True) if lines else ((),) * width
    columns = {}
    clean = set()
    for name, column in zip(header, cells, strict=True):
        values = _convert(name, set(column))
        columns[name] = list(map(values.__getitem__, column))
        raw = RAW_BY_NAME[name]
        if not any(value_problem(raw, value, "") for value in values.values()):
            clean.add(name)
    return request_of_columns(columns, len(lines), options, errors, clean)


def _convert(name: str, cells: set[str]) -> dict[str, Any]:
    """Give the value of each cell of a column; one that is no number stays text, for the rules to refuse."""
    kind = RAW_BY_NAME[name].kind
    if kind is Kind.AMOUNT:
        return {cell: _amount(cell) for cell in cells}
    if kind in {Kind.FLAG, Kind.COUNT}:
        return {cell: _integer(cell) for cell in cells}
    return {cell: cell or None for cell in cells}


def _amount(cell: str) -> Any:
    if not cell:
        return None
    if not _NUMBER.fullmatch(cell):
        return cell
    value = float(cell)
    return value if value - value == 0 else BAD_NUMBER


def _integer(cell: str) -> Any:
    if not cell:
        return None
    return int(cell) if _INTEGER.fullmatch(cell) else cell
