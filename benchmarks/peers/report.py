"""The comparison as Markdown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.peers.measure import Outcome


@dataclass(frozen=True)
class Entry:
    """One server of the comparison.

    Attributes:
        name: of the server.
        takes: what is posted, merchants or the finished matrix.
        versions: of its packages, the server's own first.
        outcome: what was measured, or None.
        reason: why nothing was.
    """

    name: str
    takes: str
    versions: dict[str, str] = field(default_factory=dict)
    outcome: Outcome | None = None
    reason: str = ""

    def record(self) -> dict[str, Any]:
        """Everything, for JSON."""
        measured = self.outcome.record() if self.outcome else None
        return {
            "name": self.name,
            "takes": self.takes,
            "versions": self.versions,
            "outcome": measured,
            "reason": self.reason,
        }


_HEAD = """\
| server | version | given | one merchant, 16 connections, share of the echo | p99 | 10,000 rows of JSON, share of \
inplace_predict | liveness beside three batches, p99 | its worst | failed |
|---|---|---|---:|---:|---:|---:|---:|---:|"""

_NOTE = """\
Medians of the turns; "worst" is of all turns, "failed" counts requests not answered with 200. A server that is given \
the matrix leaves the encoding of merchants to its caller, whose work is not counted."""


def markdown(entries: Iterable[Entry]) -> str:
    """Write the table, and below it by name what was not measured and why."""
    lines = [_HEAD]
    absent = []
    for entry in entries:
        version = next(iter(entry.versions.values()), "")
        if (outcome := entry.outcome) is None:
            absent.append(f"- {entry.name} {version}".rstrip() + f" was not measured: {entry.reason}")
            continue
        lines.append(
            f"| {entry.name} | {version} | {entry.takes} "
            f"| {outcome.share:.3f} ({outcome.requests:,.0f} of {outcome.echo:,.0f}/s) | {outcome.p99:,.1f} ms "
            f"| {outcome.batch_share:.2f} ({outcome.batch_rows:,.0f} of {outcome.inplace_rows:,.0f} rows/s) "
            f"| {outcome.live_p99:,.1f} ms | {outcome.live_worst:,.1f} ms | {outcome.failed} |"
        )
    return "\n".join([*lines, "", _NOTE, *([""] if absent else []), *absent])
