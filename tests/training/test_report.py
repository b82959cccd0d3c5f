"""The report is one well-formed page that loads nothing, shows every section, and says what is left out and why."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from typing_extensions import override

from tests.support.evaluations import make_evaluation
from training.evaluation import Evaluation
from training.report import render_report, write_report

if TYPE_CHECKING:
    from pathlib import Path

FULL = make_evaluation()
MINIMAL = make_evaluation(full=False)
PAGE = render_report(FULL)
BARE = render_report(MINIMAL)
ANCHORS = [
    "metrics",
    "decisions",
    "reliability",
    "roc",
    "gain",
    "sets",
    "values",
    "inputs",
    "robustness",
    "slices",
    "study",
    "origin",
]
VOID = {"meta", "br", "hr", "img", "link", "input"}


class _Checker(HTMLParser):
    """Checks that tags nest, and collects ids, links and text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.text: list[str] = []

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.links += [value or "" for name, value in attrs if name in {"href", "src", "xlink:href", "srcset"}]
        if tag not in VOID:
            self.open.append(tag)

    @override
    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    @override
    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    @override
    def handle_data(self, data: str) -> None:
        self.text.append(data)


def _check(page: str) -> _Checker:
    checker = _Checker()
    checker.feed(page)
    checker.close()
    assert checker.open == []
    return checker


@pytest.mark.parametrize("page", [PAGE, BARE], ids=["full", "bare"])
def test_page_is_well_formed_and_self_contained(page: str) -> None:
    """Tags nest, ids are unique, every link stays in the page, nothing is fetched or run."""
    checker = _check(page)
    assert len(checker.ids) == len(set(checker.ids))
    assert all(link.startswith("#") and link[1:] in checker.ids for link in checker.links)
    assert not {"script", "link", "img", "iframe", "object"} & set(checker.tags)
    assert "://" not in page
    assert not re.search(r"@import|url\((?!#)", page)


@pytest.mark.parametrize("page", [PAGE, BARE], ids=["full", "bare"])
def test_page_has_every_section(page: str) -> None:
    """Each is there in order, and linked from the head."""
    checker = _check(page)
    assert [identity for identity in checker.ids if identity in ANCHORS] == ANCHORS
    assert set(checker.links) >= {f"#{anchor}" for anchor in ANCHORS}


def test_full_page_leaves_nothing_out() -> None:
    """With all data there, every section is drawn."""
    assert "Left out" not in PAGE
    assert PAGE.count('role="img"') == 14


def test_bare_page_says_what_is_missing_and_why() -> None:
    """Sections without data give a sentence each."""
    text = " ".join(_check(BARE).text)
    for reason in (
        "This version was evaluated without prediction sets.",
        "All rows of a bucket share one amount",
        "Neither gain nor contributions were computed",
        "Missing fields were not measured",
        "This version was evaluated without slices.",
        "No tuning study belongs to this version",
    ):
        assert f"Left out: {reason}" in text


def test_single_bucket_leaves_out_ranking() -> None:
    """Nothing to rank: ROC and gain say so."""
    page = render_report(replace(MINIMAL, curves=replace(MINIMAL.curves, roc=(), gain=None)))
    assert "All test rows are in one bucket" in page
    assert "No test row is in the highest bucket." in page


def test_amounts_switched_off_by_choice_are_told_apart_from_unreal_ones() -> None:
    """The reason is the true one."""
    page = render_report(replace(MINIMAL, data=replace(MINIMAL.data, amounts_are_real=True)))
    assert "Amounts were switched off for this version." in page


def test_metrics_stand_beside_both_baselines() -> None:
    """The figures of the page are those of the evaluation."""
    text = " ".join(_check(PAGE).text)
    assert FULL.logistic is not None
    for metrics in (FULL.metrics, FULL.logistic, FULL.majority):
        assert f"{metrics.log_loss:.4f}" in text
        assert f"{metrics.rps:.4f}" in text
    assert "logistic baseline" in text
    assert "logistic baseline" not in BARE


def test_synthetic_data_is_announced() -> None:
    """The banner is there for synthetic data, and only then."""
    assert "SYNTHETIC DATA" in render_report(make_evaluation(synthetic=True, full=False))
    assert "SYNTHETIC DATA" not in PAGE


def test_text_from_data_is_escaped() -> None:
    """A file name cannot become markup."""
    assert "merchants_&lt;a|b&gt;.csv" in PAGE
    assert "merchants_<a|b>.csv" not in PAGE


def test_gate_verdict_is_shown_with_its_reasons() -> None:
    """Passed or refused, with every reason."""
    assert FULL.gate is not None
    text = " ".join(_check(PAGE).text)
    assert all(reason in text for reason in FULL.gate.reasons)
    refused = render_report(replace(MINIMAL, gate=replace(FULL.gate, passed=False)))
    assert "Promotion gate: refused" in refused


def test_stored_evaluation_gives_the_same_page(tmp_path: Path) -> None:
    """Both files are written, and a report drawn again from JSON is the same bytes."""
    write_report(tmp_path, FULL)
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == PAGE
    assert (tmp_path / "MODEL_CARD.md").read_text(encoding="utf-8").startswith("# Model card")
    assert render_report(Evaluation.from_dict(json.loads(json.dumps(FULL.to_dict())))) == PAGE


def test_page_is_small() -> None:
    """Under half a megabyte with every section drawn."""
    assert len(PAGE.encode()) < 500_000
