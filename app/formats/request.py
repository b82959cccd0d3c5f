"""What every decoder gives: columns of the good rows, the problems of the others, and the options."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
from msgspec import Meta

from app.contract.inputs import RAW_INPUTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.contract.inputs import Column
    from app.errors import FieldProblem

MIN_COVERAGE: Final = 0.5
MAX_COVERAGE: Final = 0.99
MAX_REASONS: Final = len(RAW_INPUTS)


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a request wants its answer.

    Attributes:
        on_error: `row` answers a bad row with its problems and the others as usual; `fail` refuses the request.
        coverage: share of prediction sets that should hold the true bucket.
        class_conditional: whether that share should hold within each bucket.
        explain: how many inputs to give reasons for; True for all of them.
    """

    on_error: Literal["row", "fail"] = "row"
    coverage: Annotated[float, Meta(ge=MIN_COVERAGE, le=MAX_COVERAGE)] = 0.9
    class_conditional: bool = False
    explain: bool | Annotated[int, Meta(ge=0, le=MAX_REASONS)] = False

    @property
    def reasons(self) -> int:
        """Number of inputs to explain, 0 for none."""
        return (MAX_REASONS if self.explain else 0) if isinstance(self.explain, bool) else self.explain


DEFAULT_OPTIONS: Final = Options()


@dataclass(slots=True)
class DecodedRequest:
    """A request as columns.

    Attributes:
        columns: the raw inputs of the good rows, in the order of the request.
        rows: rows in the request, good and bad.
        options: how to answer.
        errors: problems of each bad row, by its position in the request.
        single: whether the request was one bare merchant and not a list.
    """

    columns: Mapping[str, Column]
    rows: int
    options: Options = DEFAULT_OPTIONS
    errors: dict[int, list[FieldProblem]] = field(default_factory=dict)
    single: bool = False
