"""The tables that the report and the model card share, as text cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from app.contract.buckets import LABELS, N_BUCKETS

if TYPE_CHECKING:
    from training.evaluation import Evaluation
    from training.metrics import Metrics, SliceRow
    from training.robustness import Robustness
    from training.set_metrics import SetReport
    from training.value_metrics import ValueReport

SUSPECT: Final = 3
"""Standard errors from which a slice's bias is marked; about 1 in 370 slices crosses it by chance."""
SUSPECT_ROWS: Final = 30
"""Rows that a slice needs to be marked; with fewer, its standard error is itself a guess."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text; the first column is names, the others are figures."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def bucket_name(index: int) -> str:
    """Label of a bucket with its unit, such as "≤ 1,000 BRL"."""
    return f"{LABELS[index]} BRL"


def number(value: float | None, digits: int = 4) -> str:
    """Fixed digits, or a dash where undefined."""
    return "–" if value is None else f"{value:,.{digits}f}"


def percent(value: float | None, digits: int = 1) -> str:
    """Share in per cent, or a dash where undefined."""
    return "–" if value is None else f"{100 * value:.{digits}f}%"


def with_error(value: float, error: float, digits: int = 3) -> str:
    """Estimate ± standard error."""
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def percent_with_error(value: float, error: float) -> str:
    """Share ± standard error, per cent."""
    return f"{100 * value:.1f} ± {100 * error:.1f}%"


def brl(amount: float) -> str:
    """Amount in BRL, rounded to cents below 100 and to units above."""
    return f"{amount:,.2f} BRL" if abs(amount) < 100 else f"{amount:,.0f} BRL"  # noqa: PLR2004 - cents stop mattering


def metrics_table(evaluation: Evaluation) -> Table:
    """Every metric beside both baselines."""
    columns: list[tuple[str, Metrics]] = [("model", evaluation.metrics)]
    if evaluation.logistic is not None:
        columns.append(("logistic baseline", evaluation.logistic))
    columns.append(("majority baseline", evaluation.majority))
    names = (
        ("log loss ↓", "log_loss"),
        ("RPS ↓", "rps"),
        ("ROC-AUC, weighted ↑", "auc_weighted"),
        ("ROC-AUC, macro ↑", "auc_macro"),
        ("F1, weighted ↑", "f1_weighted"),
        ("F1, macro ↑", "f1_macro"),
        ("accuracy ↑", "accuracy"),
        ("quadratic kappa ↑", "quadratic_kappa"),
        ("ECE, top label, 15 bins ↓", "ece"),
        ("ECE, mean over buckets ↓", "ece_classwise"),
    )
    rows = [(title, *(number(getattr(metrics, name)) for _, metrics in columns)) for title, name in names]
    return Table(
        caption=(
            f"{evaluation.metrics.rows:,} test rows; ↓ lower is better, ↑ higher is better. "
            f"Standard error of the model's log loss: {evaluation.metrics.log_loss_se:.4f}."
        ),
        header=("metric", *(name for name, _ in columns)),
        rows=tuple(rows),
    )


def buckets_table(evaluation: Evaluation) -> Table:
    """Recall, precision and AUC of each bucket."""
    aucs = {curve.bucket: curve.auc for curve in evaluation.curves.roc}
    metrics = evaluation.metrics
    return Table(
        caption="A dash stands where a bucket does not occur, or is never predicted.",
        header=("bucket", "test rows", "recall", "precision", "ROC-AUC"),
        rows=tuple(
            (
                bucket_name(k),
                f"{sum(evaluation.curves.confusion[k]):,}",
                percent(metrics.recall[k]),
                percent(metrics.precision[k]),
                number(aucs.get(k), 3),
            )
            for k in range(N_BUCKETS)
        ),
    )


def set_kind(report: SetReport) -> str:
    """Over what the coverage is promised: "marginal" or "class-conditional"."""
    return "class-conditional" if report.class_conditional else "marginal"


def set_name(report: SetReport) -> str:
    """Name of a prediction set, such as "90% marginal"."""
    return f"{100 * report.level:g}% {set_kind(report)}"


def sets_tables(evaluation: Evaluation, group: str = "bucket") -> tuple[Table, ...]:
    """Coverage and size of the prediction sets, overall and by true bucket or an input: a table per kind of set."""
    reports = [report for report in evaluation.sets if report.of(group)]
    kinds = dict.fromkeys(report.class_conditional for report in reports)
    return tuple(_sets_table([r for r in reports if r.class_conditional is kind], group) for kind in kinds)


def _sets_table(reports: list[SetReport], group: str) -> Table:
    by_value = [{row.value: row for row in report.of(group)} for report in reports]
    lines = [("all", [report.overall for report in reports])]
    lines += [
        (bucket_name(int(value)) if group == "bucket" else value, [rows[value] for rows in by_value])
        for value in by_value[0]
    ]
    return Table(
        caption=(
            f"{set_kind(reports[0]).capitalize()} sets by {'true bucket' if group == 'bucket' else group}: coverage "
            "± binomial standard error, and mean size."
        ),
        header=(
            "true bucket" if group == "bucket" else group,
            "rows",
            *(title for report in reports for title in (f"{100 * report.level:g}%: coverage", "size")),
        ),
        rows=tuple(
            (
                name,
                f"{rows[0].rows:,}",
                *(
                    cell
                    for row in rows
                    for cell in (percent_with_error(row.coverage, row.coverage_se), f"{row.mean_size:.2f}")
                ),
            )
            for name, rows in lines
        ),
    )


def values_table(values: ValueReport) -> Table:
    """Measures of the predicted amounts."""
    bias = (
        "–"
        if values.sum_bias is None or values.sum_bias_se is None
        else f"{100 * values.sum_bias:+.1f} ± {100 * values.sum_bias_se:.1f}%"
    )
    return Table(
        caption=(
            "The median is the one answered, within the decided bucket. Amounts below 1 BRL count as 1 BRL in the log "
            "error; 0.30 there is a factor of two."
        ),
        header=("measure", "value"),
        rows=(
            *((f"pinball loss at quantile {p.quantile:g}", brl(p.loss)) for p in values.pinball),
            ("median absolute log10 error of the median", number(values.median_abs_log10_error, 3)),
            (
                f"coverage of the {100 * values.interval_level:g}% interval",
                percent_with_error(values.interval_coverage, values.interval_coverage_se),
            ),
            ("portfolio sum, true", brl(values.actual_sum)),
            ("portfolio sum, predicted", brl(values.predicted_sum)),
            ("bias of the portfolio sum", bias),
        ),
    )


def value_buckets_table(values: ValueReport) -> Table:
    """Measures of the predicted amounts per true bucket."""
    return Table(
        caption="By the true bucket, which selects on the outcome: low ones are overestimated, high ones under.",
        header=("true bucket", "rows", "interval coverage", "median abs. log10 error", "true sum", "predicted sum"),
        rows=tuple(
            (
                bucket_name(row.bucket),
                f"{row.rows:,}",
                percent_with_error(row.interval_coverage, row.interval_coverage_se),
                number(row.median_abs_log10_error, 3),
                brl(row.actual_sum),
                brl(row.predicted_sum),
            )
            for row in values.by_bucket
        ),
    )


def slices_table(evaluation: Evaluation, field: str) -> Table:
    """Measures per value of one input."""
    rows = [row for row in evaluation.slices if row.field == field]
    return Table(
        caption=f"{len(rows)} slices by {field}; ⚠ marks a bias of more than {SUSPECT} standard errors.",
        header=(field, "rows", "log loss", "accuracy", "weighted F1", "bias, buckets"),
        rows=tuple(
            (
                row.value,
                f"{row.rows:,}",
                with_error(row.log_loss, row.log_loss_se),
                percent_with_error(row.accuracy, row.accuracy_se),
                number(row.f1_weighted, 3),
                f"{row.bias:+.3f} ± {row.bias_se:.3f}{' ⚠' if _suspect(row) else ''}",
            )
            for row in rows
        ),
    )


def _suspect(row: SliceRow) -> bool:
    return row.rows >= SUSPECT_ROWS and abs(row.bias) > SUSPECT * row.bias_se


def slice_fields(evaluation: Evaluation) -> tuple[str, ...]:
    """Inputs that the evaluation is sliced by, in order."""
    return tuple(dict.fromkeys(row.field for row in evaluation.slices))


def degraded_table(robustness: Robustness, *, single: bool) -> Table:
    """Quality with k random fields missing, or with each single field missing."""
    rows = robustness.single_fields if single else robustness.random_fields
    return Table(
        caption="Each field nulled in every row, worst first." if single else "Each row loses its own random fields.",
        header=(
            "missing field" if single else "missing fields",
            "log loss",
            "RPS",
            "accuracy",
            "weighted F1",
            "weighted AUC",
            "ECE",
        ),
        rows=tuple(
            (
                row.missing,
                with_error(row.log_loss, row.log_loss_se, 4),
                number(row.rps),
                percent(row.accuracy),
                number(row.f1_weighted, 3),
                number(row.auc_weighted, 3),
                number(row.ece),
            )
            for row in rows
        ),
    )


def data_table(evaluation: Evaluation) -> Table:
    """The data, its splits and its origin."""
    data = evaluation.data
    rows = [
        ("file", data.source),
        ("sha256", data.sha256),
        ("origin", "synthetic merchants" if data.synthetic else "merchants as given in the file"),
        ("amounts", "real amounts" if data.amounts_are_real else "one amount per bucket: not real"),
        ("valid rows", f"{data.rows:,}"),
        ("invalid rows dropped", f"{data.dropped:,}"),
        ("training rows", f"{data.train:,}"),
        ("validation rows", f"{data.validation:,}"),
        ("test rows", f"{data.test:,}"),
    ]
    return Table(caption="Identical merchants fall in one split.", header=("data", ""), rows=tuple(rows))


def shares_table(evaluation: Evaluation) -> Table:
    """Bucket shares of splits and decisions."""
    shares = evaluation.shares
    return Table(
        caption="Shares of each bucket.",
        header=("bucket", "training", "validation", "test", "predicted"),
        rows=tuple(
            (
                bucket_name(k),
                *(percent(each[k]) for each in (shares.train, shares.validation, shares.test, shares.predicted)),
            )
            for k in range(N_BUCKETS)
        ),
    )


def model_table(evaluation: Evaluation) -> Table:
    """How the version was made."""
    model = evaluation.model
    size = "–" if model.model_bytes is None else f"{model.model_bytes / 2**20:.1f} MiB"
    return Table(
        caption="Parameters that shaped the model, and what wrote it.",
        header=("setting", "value"),
        rows=(
            *((name, _plain(value)) for name, value in model.params.items()),
            ("seed", str(model.seed)),
            ("threads of the fit", str(model.threads)),
            ("artifact size", size),
            ("code", model.git_commit or "unknown"),
            *((f"package {name}", version) for name, version in model.packages.items()),
        ),
    )


def _plain(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
