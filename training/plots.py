"""The report's plots: each a function from stored points to an inline SVG.

Drawn without pyplot, so there is no global figure and no display. Text stays text: it is small, searchable and read
out by screen readers.
"""

from __future__ import annotations

import io
import re
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from app.contract.buckets import LABELS, N_BUCKETS
from training.tables import set_kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes

    from training.curves import Curves, GainCurve, InputContribution, ReliabilityBin, RocCurve
    from training.evaluation import BucketShares, InputGain, Trial
    from training.robustness import Robustness
    from training.set_metrics import SetReport
    from training.value_metrics import ValueReport

BLUE: Final = "#0072B2"
ORANGE: Final = "#D55E00"
GREY: Final = "#8A8F98"
INK: Final = "#1F2933"
SERIES: Final = (BLUE, "#E69F00", "#009E73", ORANGE, "#CC79A7")
"""Okabe and Ito's palette, told apart with any common colour blindness."""
ORDERED: Final = ("#440154", "#3B528B", "#21918C", "#5DAE3B", "#C79A00")
"""Five steps after viridis, dark to light, for the ordered buckets."""
DASHES: Final[tuple[Any, ...]] = ("-", (0, (6, 2)), (0, (3, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))
MARKERS: Final = ("o", "s", "^", "D", "v")
FEW_ROWS: Final = 20
"""Reliability bins with fewer rows are not drawn: their place on the plot would be chance."""

_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tpv",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.0,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E7EB",
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.8,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}
_BRL_LABELS: Final = tuple(label.replace(",000", "k") for label in LABELS)
_DARK_CELL: Final = 0.55


class Canvas:
    """A figure being drawn, and its SVG once it is done.

    Attributes:
        figure: the matplotlib figure.
        svg: the finished element; empty until the drawing ends.
    """

    def __init__(self, width: float, height: float) -> None:
        self.figure = Figure(figsize=(width, height), layout="constrained")
        self.svg = ""


@contextmanager
def drawing(name: str, alt: str, *, width: float = 6.4, height: float = 3.8) -> Iterator[Canvas]:
    """Draw a figure in the report's style and turn it into one inline SVG element.

    Args:
        name: unique in the page; ids inside the SVG begin with it.
        alt: what the plot shows, for those who cannot see it.
        width: inches.
        height: inches.
    """
    with mpl.rc_context(_STYLE):
        canvas = Canvas(width, height)
        yield canvas
        buffer = io.StringIO()
        canvas.figure.savefig(buffer, format="svg", metadata={"Date": None})
        canvas.svg = _inline(buffer.getvalue(), name, alt)


def _inline(document: str, name: str, alt: str) -> str:
    """Make a standalone SVG fit for an HTML page: no prologue, metadata, namespaces or unused ids."""
    body = document[document.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", body).replace("xlink:href", "href")
    used = set(re.findall(r'(?:url\(|href=")#([^")]+)', body))

    def rename(match: re.Match[str]) -> str:
        return f' id="{name}-{match[1]}"' if match[1] in used else ""

    body = re.sub(r'\sid="([^"]*)"', rename, body)
    body = re.sub(r'(url\(|href=")#', rf"\1#{name}-", body)
    body = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r"<[^>]+>", lambda tag: re.sub(r"(\.\d{2})\d+", r"\1", tag[0]), body)
    body = re.sub(r"\n\s*", "\n", body)
    return body.replace("<svg", f'<svg role="img" aria-label="{escape(alt, quote=True)}"', 1).strip()


def confusion_plot(curves: Curves, alt: str) -> str:
    """Row-normalised confusion matrix with counts."""
    counts = np.asarray(curves.confusion, dtype=np.float64)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    with drawing("confusion", alt, width=5.1, height=4.2) as canvas:
        axes = canvas.figure.add_subplot()
        axes.pcolormesh(shares, cmap="Blues", vmin=0.0, vmax=1.0, edgecolors="white", linewidth=1.5)
        for row, column in np.ndindex(N_BUCKETS, N_BUCKETS):
            axes.text(
                column + 0.5,
                row + 0.5,
                f"{shares[row, column]:.0%}\n({int(counts[row, column]):,})",
                ha="center",
                va="center",
                color="white" if shares[row, column] > _DARK_CELL else INK,
                fontsize=8.5,
            )
        axes.set_xticks(np.arange(N_BUCKETS) + 0.5, _BRL_LABELS)
        axes.set_yticks(np.arange(N_BUCKETS) + 0.5, _BRL_LABELS)
        axes.invert_yaxis()
        axes.grid(visible=False)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("predicted bucket (BRL a month)")
        axes.set_ylabel("true bucket (BRL a month)")
    return canvas.svg


def _diagonal(axes: Axes) -> None:
    axes.plot((0, 1), (0, 1), color=GREY, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)


def _reliability(axes: Axes, bins: Sequence[ReliabilityBin], color: str, size: float) -> None:
    _diagonal(axes)
    drawn = [b for b in bins if b.rows >= FEW_ROWS]
    axes.errorbar(
        [b.said for b in drawn],
        [b.seen for b in drawn],
        yerr=np.array([(b.seen - b.lower, b.upper - b.seen) for b in drawn]).reshape(-1, 2).T,
        color=color,
        marker="o",
        markersize=size,
        capsize=2,
        elinewidth=1.0,
        linewidth=1.3,
    )
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def reliability_top_plot(curves: Curves, alt: str) -> str:
    """Reliability of the most probable bucket, with the number of rows in each bin."""
    with drawing("reliability-top", alt, width=5.1, height=4.7) as canvas:
        upper, lower = canvas.figure.subplots(2, 1, sharex=True, height_ratios=(3.4, 1))
        _reliability(upper, curves.top, BLUE, 4.5)
        upper.set_ylabel("share that was right")
        lower.bar([b.said for b in curves.top], [b.rows for b in curves.top], width=0.045, color=BLUE)
        lower.set_ylabel("rows")
        lower.set_xlabel("probability of the most probable bucket")
    return canvas.svg


def reliability_buckets_plot(curves: Curves, alt: str) -> str:
    """Reliability of each bucket's probability, one panel each."""
    with drawing("reliability-buckets", alt, width=5.1, height=4.7) as canvas:
        panels = canvas.figure.subplots(2, 3, sharey=True).ravel()
        panels[-1].set_visible(False)
        for k, axes in enumerate(panels[:N_BUCKETS]):
            _reliability(axes, curves.classwise[k], ORDERED[k], 3.0)
            axes.set_title(f"{_BRL_LABELS[k]} BRL")
            axes.set_xticks((0, 0.5, 1))
        canvas.figure.supylabel("share that was in the bucket", fontsize=9)
        canvas.figure.supxlabel("probability given to the bucket", fontsize=9)
    return canvas.svg


def roc_plot(rocs: Sequence[RocCurve], alt: str) -> str:
    """ROC of each bucket against the rest."""
    with drawing("roc", alt, width=5.1, height=4.3) as canvas:
        axes = canvas.figure.add_subplot()
        _diagonal(axes)
        for roc in rocs:
            axes.plot(
                np.linspace(0, 1, len(roc.rate)),
                roc.rate,
                color=ORDERED[roc.bucket],
                linestyle=DASHES[roc.bucket],
                label=f"{_BRL_LABELS[roc.bucket]} BRL: AUC {roc.auc:.3f}",
            )
        axes.legend(loc="lower right")
        axes.set_xlabel("false positive rate")
        axes.set_ylabel("true positive rate")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.01)
    return canvas.svg


def gain_plot(gain: GainCurve, alt: str) -> str:
    """Cumulative gain and lift for the highest bucket."""
    reach = np.linspace(0, 1, len(gain.captured))
    captured = np.asarray(gain.captured)
    with drawing("gain", alt, width=10.4, height=3.8) as canvas:
        left, right = canvas.figure.subplots(1, 2)
        _diagonal(left)
        left.plot(
            (0, gain.base_share, 1),
            (0, 1, 1),
            color=GREY,
            linewidth=1.0,
            linestyle=(0, (1, 1.5)),
            label="perfect order",
        )
        left.plot(reach, captured, color=BLUE, label="model's order")
        tenth = float(np.interp(0.1, reach, captured))
        left.plot(0.1, tenth, marker="o", color=ORANGE)
        left.annotate(
            f"top 10%: {tenth:.0%} found", (0.1, tenth), xytext=(9, -3), textcoords="offset points", fontsize=8.5
        )
        left.legend(loc="lower right")
        left.set_xlabel("share of merchants contacted, best-ranked first")
        left.set_ylabel("share of highest-bucket merchants found")
        right.axhline(1.0, color=GREY, linewidth=1.0, linestyle=(0, (4, 3)))
        right.plot(reach[1:], captured[1:] / reach[1:], color=BLUE)
        right.set_ylim(bottom=0)
        right.set_xlabel("share of merchants contacted, best-ranked first")
        right.set_ylabel("lift (times the average share)")
        for axes in (left, right):
            axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
            axes.set_xlim(0, 1)
        left.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        left.set_ylim(0, 1.02)
    return canvas.svg


def importance_plot(gains: Sequence[InputGain], alt: str) -> str:
    """Share of the total gain per raw input."""
    with drawing("importance", alt, width=5.1, height=0.9 + 0.24 * len(gains)) as canvas:
        axes = canvas.figure.add_subplot()
        bars = axes.barh([g.name for g in gains], [g.share for g in gains], color=BLUE, height=0.7)
        axes.bar_label(bars, [f"{g.share:.1%}" for g in gains], padding=3, fontsize=8)
        axes.invert_yaxis()
        axes.margins(x=0.12)
        axes.grid(visible=False, axis="y")
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set_xlabel("share of total gain")
    return canvas.svg


def contributions_plot(contributions: Sequence[InputContribution], alt: str) -> str:
    """Spread of each raw input's contribution to the expected bucket index."""
    with drawing("contributions", alt, width=5.1, height=0.9 + 0.24 * len(contributions)) as canvas:
        axes = canvas.figure.add_subplot()
        axes.axvline(0.0, color=GREY, linewidth=1.0)
        for row, item in enumerate(contributions):
            low, lower, middle, upper, high = item.quantiles
            axes.plot((low, high), (row, row), color=BLUE, linewidth=1.2, solid_capstyle="butt")
            axes.barh(row, upper - lower, left=lower, height=0.55, color="#A6CEE8", edgecolor=BLUE, linewidth=0.8)
            axes.plot((middle, middle), (row - 0.28, row + 0.28), color=INK, linewidth=1.6)
        axes.set_yticks(range(len(contributions)), [item.name for item in contributions])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("contribution to the expected bucket index (buckets)")
    return canvas.svg


def study_plot(study: Sequence[Trial], alt: str) -> str:
    """Trial values, pruned trials and the best value so far."""
    done = [(t.number, t.value) for t in study if t.state == "complete" and t.value is not None]
    pruned = [(t.number, t.value) for t in study if t.state == "pruned" and t.value is not None]
    with drawing("study", alt, width=10.4, height=3.2) as canvas:
        axes = canvas.figure.add_subplot()
        if done:
            numbers, values = np.array(done).T
            best = np.minimum.accumulate(values)
            axes.plot(numbers, values, linestyle="none", marker="o", markersize=4.5, color=BLUE, label="complete")
            axes.step(numbers, best, where="post", color=ORANGE, label=f"best so far: {best[-1]:.4f}")
            # Pruned and hopeless trials would squeeze the interesting range into a line.
            spread = max(float(np.quantile(values, 0.9)) - best[-1], 1e-4)
            top = float(np.quantile(values, 0.9)) + 0.6 * spread
            axes.set_ylim(best[-1] - 0.15 * spread, top)
            above = [n for n, v in (*done, *pruned) if v > top]
            if above:
                axes.plot(
                    above,
                    np.full(len(above), top - 0.04 * spread),
                    linestyle="none",
                    marker=6,
                    color=GREY,
                    markersize=5,
                    label=f"above the frame: {len(above)}",
                )
        shown = [(n, v) for n, v in pruned if not done or v <= axes.get_ylim()[1]]
        if shown:
            axes.plot(*np.array(shown).T, linestyle="none", marker="x", markersize=5, color=GREY, label="pruned")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("trial")
        axes.set_ylabel("validation log loss (nats)")
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return canvas.svg


def shares_plot(shares: BucketShares, alt: str) -> str:
    """Bucket shares of the splits and of the decisions."""
    series = (("training", shares.train), ("validation", shares.validation), ("test", shares.test))
    with drawing("shares", alt, width=5.1, height=4.2) as canvas:
        axes = canvas.figure.add_subplot()
        at = np.arange(N_BUCKETS)
        for i, (name, values) in enumerate((*series, ("predicted (test)", shares.predicted))):
            bars = axes.bar(
                at + (i - 1.5) * 0.2,
                values,
                width=0.19,
                color=("#9DB4C8", "#5E87AB", "#24507A", "#E69F00")[i],
                label=name,
            )
            axes.bar_label(bars, [f"{100 * v:.0f}" for v in values], fontsize=6.5, padding=1)
        axes.set_xticks(at, _BRL_LABELS)
        axes.set_xlabel("bucket (BRL a month)")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.grid(visible=False, axis="x")
        axes.set_ylabel("share of rows")
        axes.legend()
    return canvas.svg


def _by_kind(reports: Sequence[SetReport]) -> list[list[SetReport]]:
    kinds = dict.fromkeys(report.class_conditional for report in reports)
    return [[report for report in reports if report.class_conditional is kind] for kind in kinds]


def coverage_plot(reports: Sequence[SetReport], alt: str) -> str:
    """Coverage of the prediction sets, overall and per true bucket: a panel per kind of set."""
    names = ("all rows", *_BRL_LABELS)
    kinds = _by_kind(reports)
    with drawing("coverage", alt, width=10.4 if len(kinds) > 1 else 5.1, height=3.6) as canvas:
        panels = canvas.figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
        for axes, kind in zip(panels, kinds, strict=True):
            for i, report in enumerate(kind):
                color = SERIES[i % len(SERIES)]
                axes.axhline(report.level, color=color, linewidth=1.0, linestyle=(0, (4, 3)))
                rows = [(0, report.overall), *((1 + int(row.value), row) for row in report.of("bucket"))]
                shift = (i - (len(kind) - 1) / 2) * min(0.18, 0.6 / len(kind))
                axes.errorbar(
                    [at + shift for at, _ in rows],
                    [row.coverage for _, row in rows],
                    yerr=[2 * row.coverage_se for _, row in rows],
                    linestyle="none",
                    marker=MARKERS[i % len(MARKERS)],
                    markersize=5,
                    capsize=2.5,
                    elinewidth=1.2,
                    color=color,
                    label=f"{100 * report.level:g}% requested",
                )
            axes.axvline(0.5, color=GREY, linewidth=0.8)
            axes.set_xticks(range(len(names)), names)
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
            axes.grid(visible=False, axis="x")
            axes.set_title(set_kind(kind[0]))
            axes.set_xlabel("true bucket (BRL a month)")
            axes.legend(loc="lower right")
        panels[0].set_ylabel("share of sets that hold the truth")
    return canvas.svg


def set_sizes_plot(reports: Sequence[SetReport], alt: str) -> str:
    """How many buckets the prediction sets hold: a panel per kind of set."""
    kinds = _by_kind(reports)
    with drawing("set-sizes", alt, width=10.4 if len(kinds) > 1 else 5.1, height=3.2) as canvas:
        panels = canvas.figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
        at = np.arange(1, N_BUCKETS + 1)
        for axes, kind in zip(panels, kinds, strict=True):
            width = 0.84 / len(kind)
            for i, report in enumerate(kind):
                bars = axes.bar(
                    at + (i - (len(kind) - 1) / 2) * width,
                    report.size_shares,
                    width=width * 0.94,
                    color=SERIES[i % len(SERIES)],
                    label=f"{100 * report.level:g}% requested: mean size {report.overall.mean_size:.2f}",
                )
                axes.bar_label(bars, [_visible(s) for s in report.size_shares], fontsize=7, padding=1)
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
            axes.grid(visible=False, axis="x")
            axes.margins(y=0.1)
            axes.set_title(set_kind(kind[0]))
            axes.set_xticks(at)
            axes.set_xlabel("buckets in the set")
            axes.legend()
        panels[0].set_ylabel("share of rows")
    return canvas.svg


def _visible(share: float) -> str:
    """Per cent for a bar's top; nothing where there is no bar to see."""
    return f"{share:.0%}" if share >= 0.005 else ""  # noqa: PLR2004 - rounds to 0%


def group_coverage_plot(report: SetReport, group: str, alt: str) -> str:
    """Coverage per value of an input, largest group first."""
    rows = report.of(group)
    with drawing(f"coverage-{group}", alt, width=10.4, height=3.0) as canvas:
        axes = canvas.figure.add_subplot()
        axes.axhline(report.level, color=GREY, linewidth=1.0, linestyle=(0, (4, 3)))
        axes.errorbar(
            range(len(rows)),
            [row.coverage for row in rows],
            yerr=[2 * row.coverage_se for row in rows],
            linestyle="none",
            marker="o",
            markersize=4.5,
            capsize=2,
            elinewidth=1.1,
            color=BLUE,
        )
        axes.set_xticks(
            range(len(rows)), [row.value.split(" (")[0] for row in rows], rotation=45 if len(rows) > N_BUCKETS else 0
        )
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.grid(visible=False, axis="x")
        axes.set_xlabel(f"{group}, most rows first")
        axes.set_ylabel("share of sets that\nhold the truth")
    return canvas.svg


def values_plot(values: ValueReport, alt: str) -> str:
    """Calibration of the predicted quantiles, and interval coverage per true bucket."""
    with drawing("values", alt, width=10.4, height=3.8) as canvas:
        left, right = canvas.figure.subplots(1, 2)
        _diagonal(left)
        left.errorbar(
            [p.quantile for p in values.calibration],
            [p.share for p in values.calibration],
            yerr=[2 * p.se for p in values.calibration],
            marker="o",
            markersize=4.5,
            capsize=2,
            color=BLUE,
        )
        left.set_xlim(0, 1)
        left.set_ylim(0, 1)
        left.set_xlabel("predicted quantile")
        left.set_ylabel("share of amounts at or under it")
        left.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        right.axhline(values.interval_level, color=GREY, linewidth=1.0, linestyle=(0, (4, 3)))
        right.errorbar(
            [row.bucket for row in values.by_bucket],
            [row.interval_coverage for row in values.by_bucket],
            yerr=[2 * row.interval_coverage_se for row in values.by_bucket],
            linestyle="none",
            marker="o",
            markersize=5,
            capsize=2.5,
            color=ORANGE,
        )
        right.set_xticks(range(N_BUCKETS), _BRL_LABELS)
        right.set_ylim(-0.02, 1.02)
        right.set_xlabel("true bucket (BRL a month)")
        right.set_ylabel(f"coverage of the {100 * values.interval_level:g}% interval")
        right.grid(visible=False, axis="x")
        for axes in (left, right):
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    return canvas.svg


def robustness_plot(robustness: Robustness, majority_log_loss: float, alt: str) -> str:
    """Log loss with k random fields missing, and with each single field missing."""
    with drawing("robustness", alt, width=10.4, height=3.9) as canvas:
        left, right = canvas.figure.subplots(1, 2)
        rows = robustness.random_fields
        left.errorbar(
            [int(row.missing) for row in rows],
            [row.log_loss for row in rows],
            yerr=[2 * row.log_loss_se for row in rows],
            marker="o",
            markersize=4.5,
            capsize=2.5,
            color=BLUE,
            label="model",
        )
        left.axhline(majority_log_loss, color=GREY, linewidth=1.0, linestyle=(0, (4, 3)), label="majority baseline")
        left.xaxis.set_major_locator(MaxNLocator(integer=True))
        left.set_xlabel("random fields missing in each row")
        left.set_ylabel("log loss (nats)")
        left.legend()
        clean = next((row.log_loss for row in rows if row.missing == "0"), None)
        single = robustness.single_fields
        base = clean if clean is not None else 0.0
        right.barh([row.missing for row in single], [row.log_loss - base for row in single], color=ORANGE, height=0.7)
        right.invert_yaxis()
        right.axvline(0.0, color=GREY, linewidth=1.0)
        right.grid(visible=False, axis="y")
        right.xaxis.set_major_locator(MaxNLocator(5))
        right.set_xlabel("log loss (nats)" if clean is None else "added log loss (nats)")
        right.set_title("one field missing everywhere")
        left.set_title("random fields missing")
    return canvas.svg
