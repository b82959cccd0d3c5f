"""Merchants as request bodies in every format."""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path
from typing import Any, Final

import pandas as pd

from benchmarks.serving.load import Bodies
from training.data import columns_of, validate
from training.data_files import read_table
from training.sample_data import make_sample

SINGLE_ROWS: Final = 256
"""Different merchants that single requests go through."""
_SAMPLE_SEED: Final = 20_260_101


def load_merchants(data: Path | None, rows: int) -> dict[str, list[Any]]:
    """Give `rows` merchants as columns: of a file, or synthetic ones; a short file is gone through again."""
    if data is None:
        with tempfile.TemporaryDirectory(prefix="tpv-merchants-") as directory:
            path = Path(directory, "merchants.csv")
            make_sample(rows, _SAMPLE_SEED).to_csv(path, index=False)
            frame = validate(read_table(path)).clean
    else:
        frame = validate(read_table(data)).clean
    columns = {name: values.tolist() for name, values in columns_of(frame).items()}
    return {name: (values * (rows // len(values) + 1))[:rows] for name, values in columns.items()}


def merchants_of(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """Turn columns into merchant objects; codes made of digits are sent as integers, as people have them."""
    sent = {name: [_natural(value) for value in values] for name, values in columns.items()}
    return [dict(zip(sent, values, strict=True)) for values in zip(*sent.values(), strict=True)]


def _natural(value: Any) -> Any:
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value


def single_bodies(merchants: list[dict[str, Any]]) -> Bodies:
    """One merchant a body."""
    return Bodies("application/json", [_json(merchant) for merchant in merchants[:SINGLE_ROWS]])


def batch_bodies(merchants: list[dict[str, Any]]) -> dict[str, Bodies]:
    """All merchants in one body, by format."""
    frame = pd.DataFrame(merchants)
    parquet, arrow = io.BytesIO(), io.BytesIO()
    frame.to_parquet(parquet, index=False)
    _write_stream(frame, arrow)
    return {
        "JSON": Bodies("application/json", [_json({"instances": merchants})]),
        "CSV": Bodies("text/csv", [frame.to_csv(index=False).encode()]),
        "Arrow": Bodies("application/vnd.apache.arrow.stream", [arrow.getvalue()]),
        "Parquet": Bodies("application/vnd.apache.parquet", [parquet.getvalue()]),
    }


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _write_stream(frame: pd.DataFrame, out: io.BytesIO) -> None:
    import pyarrow as pa  # noqa: PLC0415 - untyped

    table = pa.Table.from_pandas(frame, preserve_index=False)
    with pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table)
