"""What the commands show: progress bars, tables, one-line errors."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from training.evaluation import Evaluation
    from training.tuning import Finished

_FILE_WIDTH: Final = 140
"""Columns of tables and lines where there is no terminal to ask."""


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False, soft_wrap=True)
    return (
        console if console.is_terminal else Console(stderr=stderr, highlight=False, soft_wrap=True, width=_FILE_WIDTH)
    )


out = _console(stderr=False)
err = _console(stderr=True)


@contextmanager
def steps(title: str, total: int | None) -> Iterator[Callable[[str], None]]:
    """Show a bar that moves one step each time it is told of one; without a terminal, a line a step."""
    if not err.is_terminal:
        done = 0

        def line(message: str) -> None:
            nonlocal done
            done += 1
            err.print(f"{title} [{done}/{total}] {message}" if total else f"{title}: {message}")

        yield line
        return
    with _bar() as bar:
        task = bar.add_task(title, total=total)

        def advance(message: str) -> None:
            bar.update(task, advance=1, description=f"{title}: {message}")

        yield advance


@contextmanager
def trials(total: int) -> Iterator[Callable[[Finished], None]]:
    """Show tuning: trials done, best value and time left."""
    with steps("tuning", total) as tell:

        def finished(progress: Finished) -> None:
            best = "none yet" if progress.best is None else f"{progress.best:.5f}"
            left = "" if progress.seconds_left is None else f", {progress.seconds_left:.0f} s of time left"
            tell(f"best validation log loss {best} (last trial {progress.state.name.lower()}{left})")

        yield finished


@contextmanager
def rows(title: str) -> Iterator[Callable[[int, int], None]]:
    """Show rows answered and refused."""
    with steps(title, None) as tell:

        def chunk(answered: int, refused: int) -> None:
            tell(f"{answered:,} rows answered" + (f", {refused:,} refused" if refused else ""))

        yield chunk


def metrics_table(evaluation: Evaluation) -> Table:
    """The test split's metrics beside both baselines."""
    table = Table(title=f"test split: {evaluation.metrics.rows:,} merchants the measured model never saw")
    columns = {"model": evaluation.metrics, "majority": evaluation.majority, "logistic": evaluation.logistic}
    table.add_column("metric")
    for name in columns:
        table.add_column(name, justify="right")
    for label, key in (
        ("log loss", "log_loss"),
        ("RPS", "rps"),
        ("ROC-AUC, weighted", "auc_weighted"),
        ("ROC-AUC, macro", "auc_macro"),
        ("F1, weighted", "f1_weighted"),
        ("F1, macro", "f1_macro"),
        ("accuracy", "accuracy"),
        ("quadratic kappa", "quadratic_kappa"),
        ("ECE", "ece"),
    ):
        table.add_row(label, *(_number(getattr(metrics, key, None)) for metrics in columns.values()))
    recall = [" ".join(_number(each, 2) for each in metrics.recall) if metrics else "–" for metrics in columns.values()]
    table.add_row("recall by bucket", *recall)
    for sets in evaluation.sets:
        kind = "class-conditional" if sets.class_conditional else "marginal"
        table.add_row(
            f"{sets.level:.0%} {kind} sets: coverage, size",
            f"{sets.overall.coverage:.3f}, {sets.overall.mean_size:.2f}",
            "",
            "",
        )
    return table


def _number(value: Any, digits: int = 4) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _bar() -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=err,
    )
