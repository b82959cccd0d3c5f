"""Score a file of merchants offline, a chunk at a time, with the predictor that serves."""

from __future__ import annotations

import csv
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from app.contract.buckets import LABELS
from app.errors import TPVError
from training.data import columns_of, validate
from training.data_files import iter_chunks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from app.model.predictor import Predictions, PredictOptions, Predictor

CHUNK_ROWS: Final = 20_000


class ScoringError(TPVError):
    """The output cannot be written; the message says why."""

    code: ClassVar[str] = "scoring"


class _Writer(Protocol):
    def write(self, table: pd.DataFrame) -> None:
        """Append rows."""

    def close(self) -> None:
        """Finish the file."""


def score(
    source: Path,
    target: Path,
    predictor: Predictor,
    options: PredictOptions,
    *,
    tell: Callable[[int, int], None] | None = None,
    chunk_rows: int = CHUNK_ROWS,
) -> tuple[int, int]:
    """Answer every row of a file, in order; memory is bounded by the chunk.

    A row that breaks a rule is kept in its place with an empty answer and the rules it breaks under `error`.

    Args:
        source: CSV or Parquet with the thirteen raw inputs; a target column is ignored.
        target: `.csv` or `.parquet`; appears whole or not at all.
        predictor: verified and ready.
        options: coverage of the sets.
        tell: called after each chunk with the rows answered and the rows refused so far.
        chunk_rows: rows held in memory at a time.

    Returns:
        Rows answered and rows refused.

    Raises:
        DataError: the source cannot be read.
        ScoringError: the target has another ending, or its directory cannot be written.
    """
    answered = refused = 0
    with _open(target) as writer:
        for chunk in iter_chunks(source, chunk_rows):
            validation = validate(chunk, scoring=True)
            table = _table(
                validation.clean["row_number"].to_numpy(),
                predictor.predict(columns_of(validation.clean), options),
                with_values=predictor.value is not None,
            )
            bad = _errors(validation.problems)
            if bad:
                errors = pd.DataFrame({"row": list(bad), "error": list(bad.values())})
                table = pd.concat([table.drop(columns="error"), errors]).sort_values("row", ignore_index=True)
                table["bucket"] = table["bucket"].astype("Int8")
            answered += len(validation.clean)
            refused += len(bad)
            writer.write(table)
            if tell is not None:
                tell(answered, refused)
    return answered, refused


def _errors(problems: pd.DataFrame) -> dict[int, str]:
    """Join the rules that each bad row breaks."""
    errors: dict[int, list[str]] = {}
    for row, column, rule in zip(problems["row"], problems["column"], problems["rule"], strict=True):
        errors.setdefault(int(row), []).append(f"{column}: {rule}")
    return {row: "; ".join(broken) for row, broken in errors.items()}


def _table(rows: np.ndarray[Any, Any], answers: Predictions, *, with_values: bool) -> pd.DataFrame:
    labels = np.array(LABELS, dtype=object)
    columns: dict[str, Any] = {
        "row": rows,
        "bucket": pd.array(answers.bucket, dtype="Int8"),
        "label": labels[answers.bucket],
        **{f"probability_{index}": answers.probabilities[:, index] for index in range(len(LABELS))},
        "set_lower": labels[answers.set_lower],
        "set_upper": labels[answers.set_upper],
    }
    if with_values and answers.values is not None:  # noqa: PD011 - not a DataFrame's
        for name in ("p50", "lower", "upper", "mean"):
            columns[f"value_{name}"] = getattr(answers.values, name)
    odd = answers.warnings.by_row()
    columns["warnings"] = [
        "; ".join(f"{code} {name}" for code, name in odd[row]) if row in odd else None for row in range(len(rows))
    ]
    columns["error"] = pd.Series([None] * len(rows), dtype=object)
    return pd.DataFrame(columns)


class _Csv:
    def __init__(self, path: Path) -> None:
        self._handle = path.open("w", encoding="utf-8", newline="")
        self._header = True

    def write(self, table: pd.DataFrame) -> None:
        table.to_csv(self._handle, index=False, header=self._header, quoting=csv.QUOTE_MINIMAL)
        self._header = False

    def close(self) -> None:
        self._handle.close()


class _Parquet:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: pq.ParquetWriter | None = None

    def write(self, table: pd.DataFrame) -> None:
        batch = pa.Table.from_pandas(table, schema=_schema(table), preserve_index=False)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, batch.schema)
        self._writer.write_table(batch)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def _schema(table: pd.DataFrame) -> pa.Schema:
    texts = {"label", "set_lower", "set_upper", "warnings", "error"}
    exact = {"row": pa.int64(), "bucket": pa.int8()}
    return pa.schema(
        [(name, pa.string() if name in texts else exact.get(name, pa.float64())) for name in table.columns]
    )


@contextmanager
def _open(target: Path) -> Iterator[_Writer]:
    """Write beside the target and move it there when all is done."""
    kinds: dict[str, Callable[[Path], _Writer]] = {".csv": _Csv, ".parquet": _Parquet}
    kind = kinds.get(target.suffix)
    if kind is None:
        raise ScoringError(f"--output: {target} must end in .csv or .parquet")
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        writer = kind(temporary)
        try:
            yield writer
            writer.close()
            temporary.replace(target)
        finally:
            writer.close()
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise ScoringError(
            f"--output: cannot write {target}: {error.strerror or error}. Choose a directory that can be."
        ) from error
