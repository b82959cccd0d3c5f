"""The model card tells use, limits and figures, in Markdown that cannot be broken by data."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests.support.evaluations import make_evaluation
from training.model_card import escaped, markdown_table, render_model_card
from training.tables import Table, brl, number, slices_table

FULL = make_evaluation()
CARD = render_model_card(FULL)
BARE = render_model_card(make_evaluation(full=False, synthetic=True))
HEADINGS = [
    "Intended use",
    "Not fit for",
    "Data and split",
    "Metrics",
    "Calibration",
    "Prediction sets",
    "Amounts",
    "Slices",
    "Missing fields",
    "Decision rule",
    "Known limits",
    "How to reproduce",
    "Licence",
]


@pytest.mark.parametrize("card", [CARD, BARE], ids=["full", "bare"])
def test_card_has_every_heading_in_order(card: str) -> None:
    """Nothing is dropped silently when data is missing."""
    assert re.findall(r"^## (.+)$", card, flags=re.MULTILINE) == HEADINGS


@pytest.mark.parametrize("card", [CARD, BARE], ids=["full", "bare"])
def test_tables_have_as_many_cells_in_every_row(card: str) -> None:
    """Markdown tables are rectangular, and have a blank line around them."""
    for block in re.findall(r"(?:^\|.*\n)+", card, flags=re.MULTILINE):
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(cells) == 1
        start = card.index(block)
        assert card[start - 2 : start] == "\n\n"
        assert card[start + len(block)] == "\n"


def test_card_gives_the_figures() -> None:
    """Metrics, coverage, amounts and commands of the evaluation appear."""
    assert FULL.values is not None
    for figure in (
        number(FULL.metrics.log_loss),
        number(FULL.majority.rps),
        number(FULL.ece_floor),
        f"{100 * FULL.sets[0].overall.coverage:.1f} ± ",
        brl(FULL.values.predicted_sum),
        "tpv run merchants.csv --trials 3",
        "- Only a test.",
        "`weighted_f1`: weights 1.1, 1.0",
    ):
        assert figure in CARD


def test_bare_card_says_what_was_not_measured() -> None:
    """Missing sections say so, and amounts say why they are off."""
    assert BARE.count("Not measured for this version.") == 3
    assert "Switched off: all rows of a bucket share one amount" in BARE
    assert "this version gives buckets only" in BARE
    assert "Switched off for this version." in render_model_card(replace(FULL, values=None))


def test_synthetic_data_is_announced() -> None:
    """At the top of the card, and only for synthetic data."""
    assert "SYNTHETIC DATA" in BARE.split("## ", maxsplit=1)[0]
    assert "SYNTHETIC" not in CARD


def test_buckets_hardly_ever_decided_for_are_a_known_limit() -> None:
    """A recall under 10% is named with its bucket."""
    card = render_model_card(replace(FULL, metrics=replace(FULL.metrics, recall=(0.05, None, 0.5, 0.9, 0.4))))
    assert "Bucket ≤ 100 BRL is hardly ever decided for (recall 5.0%)" in card
    assert card.count("hardly ever decided") == 1


def test_text_from_data_cannot_break_a_table() -> None:
    """Pipes, markup and line ends in data stay text."""
    assert escaped("a|b\n<i>*x*") == "a\\|b \\<i>\\*x\\*"
    assert markdown_table(Table("", ("h|1",), (("a\nb",),))) == "| h\\|1 |\n|---|\n| a b |"
    assert "merchants\\_\\<a\\|b>.csv" in CARD


def test_amounts_are_rounded_to_what_matters() -> None:
    """Cents below 100 BRL only."""
    assert brl(61.333) == "61.33 BRL"
    assert brl(1234.5) == "1,234 BRL"


def test_only_slices_with_rows_enough_are_marked() -> None:
    """A large bias is marked from 30 rows on, and beyond three standard errors only."""
    odd = replace(FULL.slices[0], rows=30, bias=0.4, bias_se=0.1)
    slices = (
        odd,
        replace(odd, value="few", rows=29),
        replace(odd, value="fine", bias=0.3),
    )
    column = [row[-1] for row in slices_table(replace(FULL, slices=slices), odd.field).rows]
    assert column == ["+0.400 ± 0.100 ⚠", "+0.400 ± 0.100", "+0.300 ± 0.100"]
