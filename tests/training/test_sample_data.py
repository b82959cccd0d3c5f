"""The synthetic merchants look like merchants, come from one world, and are told apart from real ones."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.contract.buckets import bucketize
from app.contract.inputs import RAW_NAMES, TARGET, UFS
from training import sample_activities, sample_amounts, sample_companies, sample_data, sample_names, sample_places
from training.data import amounts_are_real, validate
from training.sample_data import MAX_ROWS, is_synthetic, make_sample

ROWS = 20_000
PLACE = ["uf", "municipio", "bairro"]


@pytest.fixture(scope="module")
def sample() -> pd.DataFrame:
    """Make one sample for all tests."""
    return make_sample(ROWS, 5)


def test_columns_are_the_raw_files_in_order(sample: pd.DataFrame) -> None:
    """The target comes first and the 13 inputs follow as declared."""
    assert tuple(sample.columns) == (TARGET, *RAW_NAMES)
    assert len(sample) == ROWS


def test_every_row_is_valid_and_amounts_are_real(sample: pd.DataFrame) -> None:
    """The validator finds nothing, and amounts vary inside the buckets."""
    validation = validate(sample)
    assert validation.ok
    assert amounts_are_real(validation.clean)


@settings(max_examples=10, deadline=None)
@given(rows=st.integers(1, 300), seed=st.integers(0, 2**63))
def test_same_rows_and_seed_give_the_same_merchants(rows: int, seed: int) -> None:
    """A sample is a function of its size and seed; another seed gives others."""
    first = make_sample(rows, seed)
    pd.testing.assert_frame_equal(first, make_sample(rows, seed))
    assert len(first) == rows
    assert not make_sample(300, seed).equals(make_sample(300, seed + 1))


@pytest.mark.parametrize(("rows", "seed"), [(0, 0), (-1, 0), (MAX_ROWS + 1, 0), (10, -1)])
def test_impossible_requests_are_refused(rows: int, seed: int) -> None:
    """The message names what is out of range."""
    with pytest.raises(ValueError, match="must be"):
        make_sample(rows, seed)


@pytest.mark.parametrize(("rows", "seed"), [(20_000, 0), (20_000, 42), (300_000, 1)])
def test_bucket_shares_are_the_stated_ones(rows: int, seed: int) -> None:
    """Rows are independent, so shares are the stated ones to four standard errors."""
    shares = np.bincount(bucketize(make_sample(rows, seed)[TARGET]), minlength=5) / rows
    wanted = np.array([0.017, 0.053, 0.28, 0.567, 0.083])
    assert np.all(np.abs(shares - wanted) < 4 * np.sqrt(wanted * (1 - wanted) / rows))


def test_lowest_bucket_holds_exact_zeros(sample: pd.DataFrame) -> None:
    """Some merchants move nothing, and most of the lowest bucket moves something."""
    lowest = sample[TARGET][sample[TARGET] <= 100]
    assert 0.15 < (lowest == 0).mean() < 0.6


def test_amounts_are_cents_with_a_heavy_tail(sample: pd.DataFrame) -> None:
    """Amounts are whole cents, and the top percent holds a large part of the money."""
    amounts = sample[TARGET].to_numpy()
    assert np.allclose(amounts, np.round(amounts, 2))
    top = np.sort(amounts)[-ROWS // 100 :]
    assert 0.15 * amounts.sum() < top.sum() < 0.6 * amounts.sum()


def test_activities_form_a_tree(sample: pd.DataFrame) -> None:
    """Each CNAE has one MCC, each MCC one subsegment, each subsegment one segment."""
    chain = ["segmento", "subsegmento", "mcc", "cnae_fiscal_principal"]
    for parent, child in pairwise(chain):
        assert sample.groupby(child)[parent].nunique().max() == 1
    assert sample["segmento"].nunique() == 28
    assert sample["subsegmento"].nunique() > 60
    assert sample["cnae_fiscal_principal"].nunique() > 400


def test_micro_entrepreneurs_are_small(sample: pd.DataFrame) -> None:
    """MEI goes with porte 3, no employees, one establishment and a small capital, and only MEI has porte 3."""
    mei = sample[sample["mei"] == 1]
    assert 0.17 < len(mei) / ROWS < 0.25
    assert ((sample["porte"] == 3) == (sample["mei"] == 1)).all()
    assert (mei["faixa_empregados"] == 0).all()
    assert (mei["total_estab"] == 1).all()
    assert mei["capital_social"].max() <= 81_000


def test_capital_is_round_and_heavy_tailed(sample: pd.DataFrame) -> None:
    """The commonest capitals are round numbers, nine in ten are thousands, and a few are huge."""
    capital = sample["capital_social"]
    assert {5_000, 10_000, 20_000} <= set(capital.value_counts().index[:6])
    assert capital.value_counts().index[0] == 10_000
    assert (capital % 1000 == 0).mean() > 0.85
    assert capital.quantile(0.999) > 300 * capital.median()


def test_places_are_those_of_brazil(sample: pd.DataFrame) -> None:
    """Every state appears, São Paulo leads, and municipalities stand in their states."""
    assert set(sample["uf"]) == set(UFS)
    assert sample["uf"].value_counts().index[0] == "SP"
    by_state = {uf: set(names.split(";")) for uf, names in sample_names.MUNICIPALITIES.items()}
    assert all(name in by_state[uf] for uf, name in set(zip(sample["uf"], sample["municipio"], strict=True)))


def test_districts_repeat_across_municipalities_and_are_sometimes_missing(sample: pd.DataFrame) -> None:
    """A district's name does not say its municipality, and about 7 % of the merchants have none."""
    assert 0.05 < sample["bairro"].isna().mean() < 0.09
    assert sample.groupby("bairro")["municipio"].nunique().median() > 3


def test_no_municipality_names_two_districts_alike() -> None:
    """Ranks of one municipality have distinct names."""
    where = sample_places.places()
    for position in (0, 100, len(where.uf) - 1):
        ranks = np.arange(where.districts[position])
        names = sample_places.district_name(np.full(len(ranks), where.name_offset[position]), ranks)
        assert len(set(names)) == len(ranks)


def test_a_later_sample_holds_places_never_seen(sample: pd.DataFrame) -> None:
    """Samples share one world, yet a good part of a second one is in districts that the first did not meet."""
    other = make_sample(ROWS, 6)
    seen = set(sample[PLACE].fillna("").itertuples(index=False, name=None))
    new = [place not in seen for place in other[PLACE].fillna("").itertuples(index=False, name=None)]
    assert 0.1 < np.mean(new) < 0.6
    assert sample.groupby("cnae_fiscal_principal")["mcc"].first().to_dict().items() <= (
        pd.concat([sample, other]).groupby("cnae_fiscal_principal")["mcc"].first().to_dict().items()
    )


def test_inputs_carry_signal_and_leave_noise(sample: pd.DataFrame) -> None:
    """The tier alone explains part of the bucket's entropy, and never all of it."""
    labels = pd.Series(bucketize(sample[TARGET]))

    def entropy(part: pd.Series) -> float:
        shares = part.value_counts(normalize=True).to_numpy()
        return float(-(shares * np.log(shares)).sum())

    given_tier = sum(len(part) * entropy(part) for _, part in labels.groupby(sample["tier"])) / ROWS
    assert 0.12 < entropy(labels) - given_tier < 0.3


def test_only_its_own_merchants_are_called_synthetic(sample: pd.DataFrame) -> None:
    """A sample is recognised raw, checked, cut and shuffled; a table with one foreign merchant is not."""
    assert is_synthetic(sample)
    assert is_synthetic(validate(sample.sample(500, random_state=0)).clean)
    elsewhere, other_activity = sample.head(100).copy(), sample.head(100).copy()
    elsewhere.loc[3, "municipio"] = "Springfield"
    other_activity["mcc"] = other_activity["mcc"].where(other_activity.index != 3, 999)
    assert not is_synthetic(elsewhere)
    assert not is_synthetic(other_activity)
    assert not is_synthetic(sample.head(0))


@pytest.mark.parametrize("module", [sample_data, sample_places, sample_activities, sample_companies, sample_amounts])
def test_every_text_that_names_it_says_synthetic(module: object) -> None:
    """No reader can take the sample for real data."""
    assert "synthetic" in str(module.__doc__)
    assert "invented" in str(make_sample.__doc__)
