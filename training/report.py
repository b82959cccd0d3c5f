"""The report of one version: a self-contained HTML page, made from a stored evaluation alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from training import plots, tables
from training.model_card import render_model_card
from training.tables import Table, bucket_name, number, percent

if TYPE_CHECKING:
    from collections.abc import Callable

    from training.evaluation import Evaluation

REPORT_NAME: Final = "report.html"
CARD_NAME: Final = "MODEL_CARD.md"

_USUAL_COVERAGE: Final = 0.9


@dataclass(frozen=True, slots=True)
class Plot:
    """A finished plot: inline SVG and a caption, which may be empty."""

    svg: Markup
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the report.

    Attributes:
        anchor: id in the page.
        title: heading.
        reading: one sentence on how to read it.
        plots: in order.
        tables: in order.
        folded: tables that open on a click.
        absent: why there is nothing to show, or "".
    """

    anchor: str
    title: str
    reading: str
    plots: tuple[Plot, ...] = ()
    tables: tuple[Table, ...] = ()
    folded: tuple[Table, ...] = ()
    absent: str = ""


@dataclass(frozen=True, slots=True)
class KeyFigure:
    """One of the large figures at the head."""

    name: str
    value: str
    beside: str


def write_report(directory: Path, evaluation: Evaluation) -> None:
    """Write `report.html` and `MODEL_CARD.md` into a directory that exists.

    Raises:
        OSError: the directory is missing or not writable.
    """
    (directory / REPORT_NAME).write_text(render_report(evaluation), encoding="utf-8")
    (directory / CARD_NAME).write_text(render_model_card(evaluation), encoding="utf-8")


def render_report(evaluation: Evaluation) -> str:
    """Give the report as one HTML page that loads nothing from elsewhere."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.jinja").render(
        evaluation=evaluation,
        figures=_key_figures(evaluation),
        sections=[build(evaluation) for build in _SECTIONS],
    )


def _key_figures(evaluation: Evaluation) -> tuple[KeyFigure, ...]:
    metrics, majority, logistic = evaluation.metrics, evaluation.majority, evaluation.logistic

    def beside(name: str) -> str:
        parts = [] if logistic is None else [f"logistic {number(getattr(logistic, name))}"]
        return ", ".join([*parts, f"majority {number(getattr(majority, name))}"])

    return (
        KeyFigure("log loss", number(metrics.log_loss), beside("log_loss")),
        KeyFigure("ranked probability score", number(metrics.rps), beside("rps")),
        KeyFigure("ROC-AUC, weighted", number(metrics.auc_weighted), beside("auc_weighted")),
        KeyFigure("F1, weighted", number(metrics.f1_weighted), beside("f1_weighted")),
        KeyFigure(
            "calibration error", number(metrics.ece), f"a perfect model stays under {number(evaluation.ece_floor)}"
        ),
    )


def _plot(svg: str, caption: str = "") -> Plot:
    # The SVG comes from matplotlib, which escapes the text it draws; the alternative text is escaped in plots.
    return Plot(Markup(svg), caption)  # noqa: S704


def _metrics(evaluation: Evaluation) -> Section:
    return Section(
        "metrics",
        "Metrics",
        "Each figure comes from test rows that neither fitting nor tuning saw; a model earns its place by beating "
        "both columns beside it.",
        tables=(tables.metrics_table(evaluation),),
    )


def _decisions(evaluation: Evaluation) -> Section:
    shares = evaluation.shares
    confusion = "Confusion matrix. " + "; ".join(
        f"of {sum(row):,} merchants truly {bucket_name(k)}, {row[k]:,} are predicted so"
        for k, row in enumerate(evaluation.curves.confusion)
    )
    mix = "Share of each bucket. " + "; ".join(
        f"{bucket_name(k)}: training {percent(shares.train[k])}, test {percent(shares.test[k])}, "
        f"predicted {percent(shares.predicted[k])}"
        for k in range(len(shares.train))
    )
    return Section(
        "decisions",
        "Confusion and bucket shares",
        "Each row of the matrix shows where the merchants of one true bucket end up, in per cent of the row and in "
        "merchants: the diagonal is right, and beside it is one bucket off.",
        plots=(
            _plot(
                plots.confusion_plot(evaluation.curves, confusion),
                f"Confusion under the decision rule {evaluation.model.decision_rule}.",
            ),
            _plot(
                plots.shares_plot(shares, mix),
                "Bucket shares in per cent. The three blue bars should agree, since the splits are drawn alike; the "
                "last shows which buckets the decision rule favours.",
            ),
        ),
    )


def _reliability(evaluation: Evaluation) -> Section:
    metrics = evaluation.metrics
    top = (
        f"Reliability of the most probable bucket over {len(evaluation.curves.top)} occupied bins; expected "
        f"calibration error {metrics.ece:.4f}."
    )
    buckets = f"Reliability of each bucket's probability; mean calibration error {metrics.ece_classwise:.4f}."
    return Section(
        "reliability",
        "Reliability",
        "Points on the dashed line mean that what was said with 60% came true 60% of the time; below the line the "
        "model is overconfident. Bars are 95% intervals; bins with fewer than 20 rows are not drawn.",
        plots=(
            _plot(
                plots.reliability_top_plot(evaluation.curves, top),
                f"Top label, {len(evaluation.curves.top)} of 15 equal-width bins occupied: calibration error "
                f"{metrics.ece:.4f}; a perfectly calibrated model stays under {evaluation.ece_floor:.4f} on as many "
                "rows 19 times in 20.",
            ),
            _plot(
                plots.reliability_buckets_plot(evaluation.curves, buckets),
                f"Per bucket, 15 bins each: mean calibration error {metrics.ece_classwise:.4f}.",
            ),
        ),
    )


def _roc(evaluation: Evaluation) -> Section:
    title = "ROC per bucket"
    reading = (
        "The further a curve bends to the upper left, the better that bucket is told from the rest; the dashed line "
        "is guessing."
    )
    rocs = evaluation.curves.roc
    if not rocs:
        return Section("roc", title, reading, absent="All test rows are in one bucket, so there is nothing to rank.")
    alt = "ROC curves, one bucket against the rest. " + "; ".join(
        f"{bucket_name(roc.bucket)}: AUC {roc.auc:.3f}" for roc in rocs
    )
    return Section(
        "roc", title, reading, plots=(_plot(plots.roc_plot(rocs, alt)),), tables=(tables.buckets_table(evaluation),)
    )


def _gain(evaluation: Evaluation) -> Section:
    title = "Gain and lift for the highest bucket"
    reading = (
        "If merchants are contacted in the order of their probability of the highest bucket, the left curve tells "
        "how many of those worth finding are reached, and the right one how many times better that is than chance."
    )
    gain = evaluation.curves.gain
    if gain is None:
        return Section("gain", title, reading, absent="No test row is in the highest bucket.")
    tenth = gain.captured[len(gain.captured) // 10]
    alt = (
        f"Cumulative gain for the highest bucket: the best-ranked 10% of merchants hold {tenth:.0%} of it, a lift of "
        f"{10 * tenth:.1f}."
    )
    return Section(
        "gain",
        title,
        reading,
        plots=(
            _plot(
                plots.gain_plot(gain, alt),
                f"{percent(gain.base_share)} of the test rows are in the highest bucket; the best-ranked tenth holds "
                f"{percent(tenth)} of them, {10 * tenth:.1f} times as many as chance.",
            ),
        ),
    )


def _inputs(evaluation: Evaluation) -> Section:
    title = "What drives the answers"
    reading = (
        "Gain tells how much an input helped the trees while fitting; contributions tell how far it moves single "
        "answers, up or down. Neither says that changing the input would change a merchant's sales."
    )
    made = []
    if evaluation.gains:
        alt = "Gain per raw input: " + ", ".join(f"{g.name} {percent(g.share)}" for g in evaluation.gains)
        made.append(_plot(plots.importance_plot(evaluation.gains, alt), "Share of total gain, summed to raw inputs."))
    if evaluation.contributions:
        alt = "Mean absolute contribution per raw input, in buckets: " + ", ".join(
            f"{c.name} {c.mean_absolute:.3f}" for c in evaluation.contributions
        )
        made.append(
            _plot(
                plots.contributions_plot(evaluation.contributions, alt),
                "TreeSHAP contributions: line 5–95%, box 25–75%, tick median, over test rows.",
            )
        )
    absent = "" if made else "Neither gain nor contributions were computed for this version."
    return Section("inputs", title, reading, plots=tuple(made), absent=absent)


def _study(evaluation: Evaluation) -> Section:
    title = "Tuning"
    reading = (
        "Each point is a trial's log loss on validation rows; the line is the best so far, and a long flat end means "
        "that more trials would bring little."
    )
    study = evaluation.study
    values = [t.value for t in study if t.state == "complete" and t.value is not None]
    if not values:
        return Section(
            "study", title, reading, absent="No tuning study belongs to this version: parameters were given."
        )
    pruned, failed = (sum(t.state == state for t in study) for state in ("pruned", "failed"))
    summary = f"{len(study)} trials: {len(values)} complete, {pruned} pruned, {failed} failed; best {min(values):.4f}."
    return Section(
        "study", title, reading, plots=(_plot(plots.study_plot(study, f"Tuning history. {summary}"), summary),)
    )


def _sets(evaluation: Evaluation) -> Section:
    title = "Prediction sets"
    reading = (
        "A set promises to hold the true bucket with the requested probability: points should lie on their dashed "
        "line, bars span two standard errors, and of two sets that keep the promise the smaller is better. Marginal "
        "sets keep it over all rows, class-conditional ones within each true bucket."
    )
    reports = evaluation.sets
    if not reports:
        return Section("sets", title, reading, absent="This version was evaluated without prediction sets.")
    overall = "; ".join(
        f"{tables.set_name(r)}: coverage {percent(r.overall.coverage)}, mean size {r.overall.mean_size:.2f}"
        for r in reports
    )
    made = [
        _plot(
            plots.coverage_plot(reports, f"Coverage by true bucket. {overall}."), "Coverage, all rows and by bucket."
        ),
        _plot(plots.set_sizes_plot(reports, f"Sizes of the prediction sets. {overall}."), "Sizes of the sets."),
    ]
    folded: list[Table] = []
    for group in dict.fromkeys(row.group for report in reports for row in report.groups if row.group != "bucket"):
        report = min(
            (r for r in reports if r.of(group)), key=lambda r: (r.class_conditional, abs(r.level - _USUAL_COVERAGE))
        )
        rows = report.of(group)
        low, high = min(rows, key=lambda r: r.coverage), max(rows, key=lambda r: r.coverage)
        alt = (
            f"Coverage by {group}: lowest {low.value} {percent(low.coverage)}, highest {high.value} "
            f"{percent(high.coverage)}."
        )
        made.append(_plot(plots.group_coverage_plot(report, group, alt), f"{tables.set_name(report)} sets by {group}."))
        folded += tables.sets_tables(evaluation, group)
    return Section(
        "sets", title, reading, plots=tuple(made), tables=tables.sets_tables(evaluation), folded=tuple(folded)
    )


def _values(evaluation: Evaluation) -> Section:
    title = "Amounts"
    reading = (
        "On the left, points on the dashed line mean that the predicted quantiles are honest; on the right, coverage "
        "by true bucket shows where intervals miss."
    )
    values = evaluation.values
    if values is None:
        absent = (
            "Amounts were switched off for this version."
            if evaluation.data.amounts_are_real
            else "All rows of a bucket share one amount in this data, so there are no amounts to learn or to check."
        )
        return Section("values", title, reading, absent=absent)
    alt = "Calibration of the predicted amounts. " + "; ".join(
        f"{percent(p.share)} of amounts at or under quantile {p.quantile:g}" for p in values.calibration
    )
    return Section(
        "values",
        title,
        reading,
        plots=(_plot(plots.values_plot(values, alt)),),
        tables=(tables.values_table(values), tables.value_buckets_table(values)),
    )


def _robustness(evaluation: Evaluation) -> Section:
    title = "Missing fields"
    reading = (
        "Answers stay possible when fields are null; the curves tell what that costs, and where the model is no "
        "better than the majority baseline any more."
    )
    robustness = evaluation.robustness
    if robustness is None:
        return Section("robustness", title, reading, absent="Missing fields were not measured for this version.")
    alt = "Log loss with random fields missing: " + ", ".join(
        f"{row.missing} missing {row.log_loss:.4f}" for row in robustness.random_fields
    )
    return Section(
        "robustness",
        title,
        reading,
        plots=(
            _plot(
                plots.robustness_plot(robustness, evaluation.majority.log_loss, alt),
                "Bars span two standard errors of each figure; the rows are the same throughout, so differences are "
                "surer than the bars suggest.",
            ),
        ),
        tables=(tables.degraded_table(robustness, single=False),),
        folded=(tables.degraded_table(robustness, single=True),),
    )


def _slices(evaluation: Evaluation) -> Section:
    title = "Slices"
    reading = (
        "Log loss and accuracy differ by slice because some are harder; bias, the mean expected bucket minus the mean "
        "true one, should be 0 within its error everywhere."
    )
    fields = tables.slice_fields(evaluation)
    if not fields:
        return Section("slices", title, reading, absent="This version was evaluated without slices.")
    made = tuple(tables.slices_table(evaluation, field) for field in fields)
    short = 8
    return Section(
        "slices",
        title,
        reading,
        tables=tuple(table for table in made if len(table.rows) <= short),
        folded=tuple(table for table in made if len(table.rows) > short),
    )


def _origin(evaluation: Evaluation) -> Section:
    return Section(
        "origin",
        "Data and model",
        "What the version was made from and with; the same data, seed and threads give the same model again.",
        tables=(tables.data_table(evaluation), tables.model_table(evaluation)),
    )


_SECTIONS: Final[tuple[Callable[[Evaluation], Section], ...]] = (
    _metrics,
    _decisions,
    _reliability,
    _roc,
    _gain,
    _sets,
    _values,
    _inputs,
    _robustness,
    _slices,
    _study,
    _origin,
)
