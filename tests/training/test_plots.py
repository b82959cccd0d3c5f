"""Every plot is one inline SVG that says what it shows and clashes with no other."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from tests.support.evaluations import make_evaluation
from training import plots
from training.evaluation import Trial

if TYPE_CHECKING:
    from collections.abc import Callable

    from training.evaluation import Evaluation

EVALUATION = make_evaluation()
ALT = 'shows <this> & "that"'


def _robustness(e: Evaluation) -> str:
    assert e.robustness is not None
    return plots.robustness_plot(e.robustness, 1.1, ALT)


def _gain(e: Evaluation) -> str:
    assert e.curves.gain is not None
    return plots.gain_plot(e.curves.gain, ALT)


def _values(e: Evaluation) -> str:
    assert e.values is not None
    return plots.values_plot(e.values, ALT)


DRAW: dict[str, Callable[[Evaluation], str]] = {
    "confusion": lambda e: plots.confusion_plot(e.curves, ALT),
    "reliability-top": lambda e: plots.reliability_top_plot(e.curves, ALT),
    "reliability-buckets": lambda e: plots.reliability_buckets_plot(e.curves, ALT),
    "roc": lambda e: plots.roc_plot(e.curves.roc, ALT),
    "gain": _gain,
    "importance": lambda e: plots.importance_plot(e.gains, ALT),
    "contributions": lambda e: plots.contributions_plot(e.contributions, ALT),
    "study": lambda e: plots.study_plot(e.study, ALT),
    "shares": lambda e: plots.shares_plot(e.shares, ALT),
    "coverage": lambda e: plots.coverage_plot(e.sets, ALT),
    "set-sizes": lambda e: plots.set_sizes_plot(e.sets, ALT),
    "coverage-uf": lambda e: plots.group_coverage_plot(e.sets[0], "uf", ALT),
    "values": _values,
    "robustness": _robustness,
}
DRAWN = {name: draw(EVALUATION) for name, draw in DRAW.items()}


@pytest.mark.parametrize("name", DRAW)
def test_plot_is_a_labelled_self_contained_svg(name: str) -> None:
    """It parses, has a role and alternative text, labels its axes, and refers to nothing outside itself."""
    svg = DRAWN[name]
    root = ET.fromstring(svg)  # noqa: S314 - made here
    assert root.tag == "svg"
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == ALT
    assert len([node for node in root.iter("text") if node.text or list(node)]) > 4
    assert "://" not in svg
    assert "<image" not in svg
    assert len(svg) < 80_000


@pytest.mark.parametrize("name", DRAW)
def test_plot_is_the_same_every_time(name: str) -> None:
    """No dates and no random ids: the report of one evaluation is one sequence of bytes."""
    assert DRAW[name](EVALUATION) == DRAWN[name]


def test_ids_are_unique_across_plots_and_every_reference_resolves() -> None:
    """Plots share one page, so their ids must not clash."""
    ids = [identity for svg in DRAWN.values() for identity in re.findall(r'\sid="([^"]+)"', svg)]
    assert len(ids) == len(set(ids))
    used = {u for svg in DRAWN.values() for u in re.findall(r'(?:url\(|href=")#([^")]+)', svg)}
    assert used <= set(ids)


def test_figures_in_the_plot_are_not_cut() -> None:
    """Coordinates are shortened, text is not."""
    best = min(t.value for t in EVALUATION.study if t.value is not None)
    assert f"best so far: {best:.4f}" in DRAWN["study"]
    assert f"AUC {EVALUATION.curves.roc[0].auc:.3f}" in DRAWN["roc"]


def test_study_tells_what_lies_above_the_frame() -> None:
    """Hopeless trials are counted rather than squeezing the rest."""
    study = (*(Trial(i, 0.9 + i / 1000, "complete") for i in range(12)), Trial(12, 5.0, "complete"))
    assert "above the frame: 1" in plots.study_plot(study, ALT)
    assert "above the frame" not in plots.study_plot(study[:12], ALT)


def test_study_of_pruned_trials_only_is_drawn() -> None:
    """A study may have been stopped early."""
    assert "pruned" in plots.study_plot((Trial(0, 0.9, "pruned"), Trial(1, None, "pruned")), ALT)


def test_robustness_without_the_whole_input_shows_absolute_losses() -> None:
    """With no clean figure to subtract, single fields show their own log loss."""
    assert EVALUATION.robustness is not None
    partial = replace(EVALUATION.robustness, random_fields=EVALUATION.robustness.random_fields[1:])
    assert "added log loss" not in plots.robustness_plot(partial, 1.1, ALT)
    assert "added log loss" in DRAWN["robustness"]
