"""The split keeps equal merchants together and does not move when the data grows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.contract.inputs import RAW_NAMES, TARGET
from training.config import SplitConfig
from training.data import validate
from training.data_files import DataError
from training.sample_data import make_sample
from training.split import split, uniform_of

ROWS = 8_000
CONFIG = SplitConfig()


@pytest.fixture(scope="module")
def clean() -> pd.DataFrame:
    """Make one clean table for all tests."""
    return validate(make_sample(ROWS, 3)).clean


def _sides(frame: pd.DataFrame, config: SplitConfig = CONFIG) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    parts = split(frame, config)
    sides = np.full(len(frame), "", dtype=object)
    for name in ("train", "validation", "test"):
        sides[getattr(parts, name)] = name
    return sides


def test_every_row_is_on_exactly_one_side(clean: pd.DataFrame) -> None:
    """The three sides partition the rows, each in ascending order."""
    parts = split(clean, CONFIG)
    joined = np.concatenate([parts.train, parts.validation, parts.test])
    assert np.array_equal(np.sort(joined), np.arange(ROWS))
    assert all((np.diff(part) > 0).all() for part in (parts.train, parts.validation, parts.test))


@pytest.mark.parametrize(("validation", "test"), [(0.10, 0.15), (0.3, 0.3), (0.05, 0.5)])
def test_fractions_are_kept_within_sampling_error(clean: pd.DataFrame, validation: float, test: float) -> None:
    """Each side has its share of the merchants to four standard errors."""
    parts = split(clean, SplitConfig(validation=validation, test=test))
    for part, share in ((parts.validation, validation), (parts.test, test)):
        assert abs(len(part) / ROWS - share) < 4 * np.sqrt(share * (1 - share) / ROWS)


def test_equal_merchants_fall_on_the_same_side(clean: pd.DataFrame) -> None:
    """Copies stay together even if their amounts differ, so that nothing leaks into the test side."""
    copies = clean.assign(**{TARGET: clean[TARGET] + 1})
    sides = _sides(pd.concat([clean, copies], ignore_index=True))
    assert np.array_equal(sides[:ROWS], sides[ROWS:])
    merchants = clean[list(RAW_NAMES)].fillna("")
    test, train = (
        set(merchants[sides[:ROWS] == side].itertuples(index=False, name=None)) for side in ("test", "train")
    )
    assert test
    assert not test & train


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_sides_do_not_depend_on_the_other_rows(seed: int) -> None:
    """Reordering and dropping rows leaves every remaining row where it was."""
    frame = validate(make_sample(400, 9)).clean
    kept = np.random.default_rng(seed).permutation(len(frame))[:200]
    config = SplitConfig(seed=7, validation=0.3, test=0.3)
    assert np.array_equal(_sides(frame, config)[kept], _sides(frame.iloc[kept], config))


def test_file_format_does_not_move_a_row(clean: pd.DataFrame) -> None:
    """Integers, integral floats and their text give the same side."""
    floats = make_sample(ROWS, 3).astype({"mcc": float, "mei": float, "capital_social": float, "tier": str})
    assert np.array_equal(uniform_of(validate(floats).clean, 0), uniform_of(clean, 0))


def test_another_seed_gives_an_independent_split(clean: pd.DataFrame) -> None:
    """The seed decides, and two seeds agree on a row as often as chance."""
    both = (_sides(clean, SplitConfig(seed=0)) == "test") & (_sides(clean, SplitConfig(seed=1)) == "test")
    assert abs(both.mean() - SplitConfig().test ** 2) < 0.01
    assert np.array_equal(uniform_of(clean, 1), uniform_of(clean, 1))


def test_numbers_are_uniform(clean: pd.DataFrame) -> None:
    """They fill [0, 1) evenly: the Kolmogorov distance of unique merchants is within its 1 in 1000 bound."""
    numbers = np.sort(np.unique(uniform_of(clean, 0)))
    distance = np.abs(numbers - (np.arange(len(numbers)) + 0.5) / len(numbers)).max()
    assert numbers[0] >= 0
    assert numbers[-1] < 1
    assert distance < 1.95 / np.sqrt(len(numbers))


def test_every_input_takes_part(clean: pd.DataFrame) -> None:
    """Two merchants that differ in one input are two merchants."""
    row = clean.head(1)
    before = uniform_of(row, 0)[0]
    for name in RAW_NAMES:
        value = row[name].iloc[0]
        other = "zz" if isinstance(value, str) or value is None else value + 1
        assert uniform_of(row.assign(**{name: [other]}), 0)[0] != before


def test_too_few_rows_are_refused(clean: pd.DataFrame) -> None:
    """A split with an empty side is an error that names the side."""
    with pytest.raises(DataError, match=r"1 rows leave .* without any\. Give more rows"):
        split(clean.head(1), CONFIG)
