"""Measured figures beside their goals, as Markdown and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes:
        what: was measured.
        value: the median.
        unit: of the value and the goal.
        goal: to reach, or None where there is none.
        at_most: whether the goal is an upper bound.
        detail: what the value was made from.
        runs: the values whose median it is.
    """

    what: str
    value: float
    unit: str
    goal: float | None = None
    at_most: bool = False
    detail: str = ""
    runs: tuple[float, ...] = ()

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None without one."""
        if self.goal is None:
            return None
        return self.value <= self.goal if self.at_most else self.value >= self.goal

    def record(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return asdict(self) | {"met": self.met}


def markdown(figures: Iterable[Figure]) -> str:
    """Write the table."""
    lines = ["| figure | measured | goal | met | from |", "|---|---:|---:|---|---|"]
    for figure in figures:
        goal = "" if figure.goal is None else f"{'≤' if figure.at_most else '≥'} {_number(figure.goal, figure.unit)}"
        met = {None: "", True: "yes", False: "**no**"}[figure.met]
        lines.append(f"| {figure.what} | {_number(figure.value, figure.unit)} | {goal} | {met} | {figure.detail} |")
    return "\n".join(lines)


def _number(value: float, unit: str) -> str:
    if unit in {"share", "times"}:
        return f"{value:.2f}"
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"  # noqa: PLR2004 - three digits
