"""Read merchants from CSV and Parquet exactly as they were written, whole or in chunks of bounded memory.

Nothing is converted here: CSV cells stay text and Parquet cells stay the scalars they are, so that `training.data` can
name each value that breaks a rule. What is wrong with a file as a whole is a `DataError` that says what to do.

Row numbers are those of a spreadsheet: the header is row 1 and the first merchant row 2, in Parquet too.
"""

from __future__ import annotations

import csv
import difflib
import hashlib
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, ClassVar, Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from app.contract.inputs import RAW_NAMES, TARGET
from app.errors import TPVError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

ROW_INDEX: Final = "row"
"""Name of the index that carries row numbers."""
RAGGED: Final = "ragged"
"""Key of `DataFrame.attrs`: by row number, how many fields a CSV row has that has not one per column."""
FIRST_ROW: Final = 2

_CHUNK_ROWS: Final = 20_000
_DELIMITERS: Final = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}


class DataError(TPVError):
    """A file or table that cannot be read as merchants; the message says what to do."""

    code: ClassVar[str] = "invalid_data"


def read_table(path: Path) -> pd.DataFrame:
    """Read a whole file of merchants with their target.

    Args:
        path: `.csv` (UTF-8, commas, a header) or `.parquet`, with the target and the 13 raw inputs in any order.

    Returns:
        Target and raw inputs in the declared order, cells as written, indexed by row number.

    Raises:
        DataError: the file is missing, empty, damaged or of another kind, or its columns are not the declared ones.
    """
    chunks = [chunk[[TARGET, *RAW_NAMES]] for chunk in _read(path, _CHUNK_ROWS, scoring=False)]
    frame = pd.concat(chunks)
    frame.attrs[RAGGED] = dict(chain.from_iterable(chunk.attrs[RAGGED].items() for chunk in chunks))
    return frame


def iter_chunks(path: Path, rows: int) -> Iterator[pd.DataFrame]:
    """Read a file to be scored, `rows` merchants at a time and no more in memory than that.

    The target may be absent, and other columns may be there: they are passed on as they are, so that identifiers
    reach the output.

    Raises:
        DataError: as `read_table`; one that concerns a later part of the file is raised when that part is reached.
        ValueError: rows is less than 1.
    """
    if rows < 1:
        raise ValueError(f"rows must be at least 1, not {rows}")
    return _read(path, rows, scoring=True)


def data_digest(path: Path) -> str:
    """Hexadecimal sha256 of a file's bytes.

    Raises:
        DataError: the file cannot be read.
    """
    _check_file(path)
    with _explained(path), path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def check_columns(names: Sequence[str], source: str, *, scoring: bool = False) -> None:
    """Check that a table has the declared columns, each once.

    Args:
        names: of the table's columns.
        source: what to call the table in the message.
        scoring: whether the target may be absent and other columns present.

    Raises:
        DataError: a column is missing, repeated or, unless scoring, not declared.
    """
    expected = RAW_NAMES if scoring else (TARGET, *RAW_NAMES)
    if not set(expected) & set(names):
        raise DataError(f"{source}: has no header. Its first line must name these columns: {', '.join(expected)}.")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError(f"{source}: columns {_quoted(repeated)} are there more than once. Keep one of each.")
    missing = [name for name in expected if name not in names]
    extra = [name for name in names if name not in (TARGET, *RAW_NAMES)]
    complaints = []
    if missing:
        complaints.append(f"columns {_quoted(missing)} are missing")
    if extra and (missing or not scoring):
        close = {name: difflib.get_close_matches(name.strip().lower(), expected, n=1) for name in extra}
        named = [f"{name!r} (did you mean {match[0]!r}?)" if match else repr(name) for name, match in close.items()]
        complaints.append(f"columns {', '.join(named)} are not known")
    if complaints:
        raise DataError(
            f"{source}: {'; '.join(complaints)}. The first line must name these columns, in any order: "
            f"{', '.join(expected)}."
        )


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))


def _check_file(path: Path) -> None:
    if not path.exists():
        raise DataError(f"{path}: there is no such file. Check the path.")
    if not path.is_file():
        raise DataError(f"{path}: is not a file. Name one .csv or .parquet file.")


def _read(path: Path, rows: int, *, scoring: bool) -> Iterator[pd.DataFrame]:
    _check_file(path)
    kind = path.suffix.lower()
    if kind not in {".csv", ".parquet"}:
        raise DataError(f"{path}: files of kind {kind or '(none)'!r} are not read. Save it as .csv or .parquet.")
    with _explained(path):
        if not path.stat().st_size:
            raise DataError(f"{path}: is empty. Export it again, with a header and at least one merchant.")
        count = 0
        for chunk in (_read_csv if kind == ".csv" else _read_parquet)(path, rows, scoring=scoring):
            count += len(chunk)
            yield chunk
        if not count:
            raise DataError(f"{path}: has a header but no merchants. Export it again with at least one.")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}. Check its permissions.") from error


def _read_csv(path: Path, rows: int, *, scoring: bool) -> Iterator[pd.DataFrame]:
    records = _records(path)
    header = next(records, [])
    if len(header) == 1:
        for mark, name in _DELIMITERS.items():
            if mark in header[0]:
                raise DataError(f"{path}: columns are separated by {name}. Save it with commas between columns.")
    check_columns(header, str(path), scoring=scoring)
    batch: list[Sequence[str | None]] = []
    ragged: dict[int, int] = {}
    # Most values repeat: keeping one text of each saves most of a chunk's memory.
    known: dict[str, str] = {}
    first, blank = FIRST_ROW, 0
    for record in records:
        # Blank lines at the end are no rows; a blank line between rows is one that lost its values.
        if not record:
            blank += 1
            continue
        for fields in (*[[]] * blank, record):
            if len(fields) == len(header):
                batch.append([known.setdefault(field, field) for field in fields])
            else:
                ragged[first + len(batch)] = len(fields)
                batch.append([None] * len(header))
            if len(batch) == rows:
                yield _frame(header, batch, first, ragged)
                first, batch, ragged, known = first + rows, [], {}, {}
        blank = 0
    if batch:
        yield _frame(header, batch, first, ragged)


def _frame(
    header: Sequence[str], batch: Sequence[Sequence[str | None]], first: int, ragged: dict[int, int]
) -> pd.DataFrame:
    index = pd.RangeIndex(first, first + len(batch), name=ROW_INDEX)
    columns = zip(*batch, strict=True)
    frame = pd.DataFrame(
        {name: pd.Series(cells, index=index, dtype=object) for name, cells in zip(header, columns, strict=True)}
    )
    frame.attrs[RAGGED] = ragged
    return frame


def _records(path: Path) -> Iterator[list[str]]:
    """Fields of each CSV record; a blank line is a record without fields."""
    with path.open(encoding="utf-8-sig", newline="") as handle:
        reader = csv.reader(handle, strict=True)
        try:
            yield from reader
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path}: is not UTF-8 text (after line {reader.line_num}). Save it as 'CSV UTF-8'."
            ) from error
        except csv.Error as error:
            raise DataError(
                f"{path}: line {reader.line_num} is not valid CSV: {error}. Look for an unpaired double quote there."
            ) from error


def _read_parquet(path: Path, rows: int, *, scoring: bool) -> Iterator[pd.DataFrame]:
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            check_columns(schema.names, str(path), scoring=scoring)
            for field in schema:
                if field.name in (TARGET, *RAW_NAMES) and not _is_scalar(field.type):
                    raise DataError(
                        f"{path}: column {field.name!r} has type {field.type}. Write it as integers, decimals or text."
                    )
            first = FIRST_ROW
            for batch in file.iter_batches(batch_size=rows):
                index = pd.RangeIndex(first, first + len(batch), name=ROW_INDEX)
                cells = {name: batch.column(name).to_pylist() for name in schema.names}
                frame = pd.DataFrame({name: pd.Series(cells[name], index=index, dtype=object) for name in cells})
                frame.attrs[RAGGED] = {}
                first += len(batch)
                yield frame
    except pa.ArrowException as error:
        raise DataError(f"{path}: is not a readable Parquet file: {error}. Write it again.") from error


def _is_scalar(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_scalar(kind.value_type)
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_null(kind)
    )
