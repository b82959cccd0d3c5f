"""The model card of one version, in Markdown, made from a stored evaluation alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from training import tables

if TYPE_CHECKING:
    from training.evaluation import Evaluation
    from training.tables import Table


def render_model_card(evaluation: Evaluation) -> str:
    """Give the model card: use, data, measures, limits and how to make the version again."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=False,  # noqa: S701 - Markdown; what comes from data passes through `escaped`
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["table"] = markdown_table
    environment.filters["plain"] = escaped
    environment.filters["percent"] = tables.percent
    environment.filters["number"] = tables.number
    return environment.get_template("MODEL_CARD.md.jinja").render(
        e=evaluation, tables=tables, slice_fields=tables.slice_fields(evaluation)
    )


def markdown_table(table: Table) -> str:
    """Draw a table, first column to the left, figures to the right."""
    lines = [
        "| " + " | ".join(escaped(cell) for cell in table.header) + " |",
        "|" + "|".join("---" if column == 0 else "---:" for column in range(len(table.header))) + "|",
        *("| " + " | ".join(escaped(cell) for cell in row) + " |" for row in table.rows),
    ]
    return "\n".join(lines)


def escaped(text: str) -> str:
    """Keep text from data on its line and in its cell, and from turning into markup."""
    single = " ".join(text.split())
    for mark in "\\|`*_[]<":
        single = single.replace(mark, f"\\{mark}")
    return single
