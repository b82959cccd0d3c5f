"""Offline scoring keeps every row in its place, in bounded chunks, and writes all or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pytest

from app.model.predictor import PredictOptions, Predictor, load_predictor
from training.data_files import DataError
from training.sample_data import make_sample
from training.scoring import ScoringError, score

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.trained import TrainedModels

BAD = {1: "uf", 4: "mei", 5: "capital_social"}


@pytest.fixture(scope="module")
def predictor(trained: TrainedModels) -> Predictor:
    """The small version."""
    return load_predictor(trained.directory)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Forty merchants, three of them with a bad value."""
    table = make_sample(40, 5).astype(object)
    for row, name in BAD.items():
        table.loc[row, name] = "nonsense"
    path = tmp_path / "in.csv"
    table.to_csv(path, index=False)
    return path


def _read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_bad_rows_keep_their_place(predictor: Predictor, source: Path, tmp_path: Path, ending: str) -> None:
    """An empty answer and the broken rule where the row stood; the others are answered."""
    target = tmp_path / f"out.{ending}"
    told: list[tuple[int, int]] = []
    done = score(source, target, predictor, PredictOptions(), chunk_rows=16, tell=lambda *counts: told.append(counts))
    assert done == told[-1] == (37, 3)
    assert len(told) == 3
    table = _read(target)
    assert table["row"].tolist() == list(range(2, 42))
    for row in range(40):
        assert table["bucket"].isna()[row] == (row in BAD)
        assert table["error"].isna()[row] == (row not in BAD)
        assert row not in BAD or BAD[row] in table["error"][row]


def test_chunks_and_formats_change_nothing(predictor: Predictor, source: Path, tmp_path: Path) -> None:
    """One row at a time, seven, or all at once, as CSV or Parquet."""
    tables = []
    for number, (rows, ending) in enumerate(((1, "csv"), (7, "parquet"), (100, "csv"))):
        target = tmp_path / f"out{number}.{ending}"
        score(source, target, predictor, PredictOptions(), chunk_rows=rows)
        tables.append(_read(target))
    for table in tables[1:]:
        texts = ["label", "set_lower", "set_upper", "warnings", "error"]
        assert table[texts].astype(object).fillna("").equals(tables[0][texts].astype(object).fillna(""))
        left, right = (one.drop(columns=texts).astype(float) for one in (table, tables[0]))
        pd.testing.assert_frame_equal(left, right, rtol=1e-12, atol=0.0)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_all_bad_rows_are_still_rows(predictor: Predictor, tmp_path: Path, ending: str) -> None:
    """Nothing answered, nothing lost."""
    source, target = tmp_path / "in.csv", tmp_path / f"out.{ending}"
    make_sample(5, 5).astype(object).assign(uf="??").to_csv(source, index=False)
    assert score(source, target, predictor, PredictOptions()) == (0, 5)
    assert _read(target)["error"].notna().all()


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_output_is_all_or_nothing(predictor: Predictor, source: Path, tmp_path: Path, ending: str) -> None:
    """A source that breaks off late leaves what was there before, and no debris."""
    target = tmp_path / f"out.{ending}"
    target.write_text("before")
    with source.open("ab") as handle:
        handle.write(b'"unpaired\n')
    with pytest.raises(DataError, match="unpaired"):
        score(source, target, predictor, PredictOptions(), chunk_rows=8)
    assert target.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", target.name]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_source_without_merchants_is_refused(predictor: Predictor, tmp_path: Path, ending: str) -> None:
    """A header alone is an error, and no output appears."""
    source, target = tmp_path / "in.csv", tmp_path / f"out.{ending}"
    make_sample(5, 5).head(0).to_csv(source, index=False)
    with pytest.raises(DataError, match="no merchants"):
        score(source, target, predictor, PredictOptions())
    assert not target.exists()


def test_targets_that_cannot_be_written_are_told(predictor: Predictor, source: Path, tmp_path: Path) -> None:
    """Another ending, or a directory that is not there: one error with a remedy."""
    with pytest.raises(ScoringError, match=r"must end in \.csv or \.parquet"):
        score(source, tmp_path / "out.xlsx", predictor, PredictOptions())
    for ending in ("csv", "parquet"):
        with pytest.raises(ScoringError, match=r"--output: cannot write .* Choose a directory that can be"):
            score(source, tmp_path / "none" / f"out.{ending}", predictor, PredictOptions())
