"""The rules of one value and of one row, with a message for people: what every format's slow path applies.

The fast paths express the same rules as types; tests hold the two together.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

from app.contract.inputs import MAX_AMOUNT, RAW_BY_NAME, RAW_INPUTS, UFS, Kind, RawInput
from app.errors import FieldProblem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1

UNPAIRED_OR_NUL: Final = re.compile("[\x00\ud800-\udfff]")
_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_UFS: Final = frozenset(UFS)


class BadNumber:
    """Stands for a number that no double or 64-bit integer holds: NaN, Infinity, 1e999, a thousand digits."""


BAD_NUMBER: Final = BadNumber()


def child(pointer: str, key: str | int) -> str:
    """Extend a JSON pointer; a key that is not a plain name is left out, so that input is never echoed."""
    if isinstance(key, str) and not _PLAIN_KEY.fullmatch(key):
        return pointer
    return f"{pointer}/{key}"


def text_problem(value: str, pointer: str, maximum: int) -> FieldProblem | None:
    """Check text: not empty, not too long, every character storable."""
    if not value:
        return FieldProblem(pointer, "empty_text", "must not be empty text; send null when it is not known")
    if len(value) > maximum:
        return FieldProblem(pointer, "too_long", f"must have at most {maximum} characters")
    if UNPAIRED_OR_NUL.search(value):
        return FieldProblem(pointer, "invalid_text", "must not contain NUL or unpaired surrogates; remove them")
    return None


def _wrong_type(pointer: str, expected: str) -> FieldProblem:
    return FieldProblem(pointer, "wrong_type", f"must be {expected}, or null when it is not known")


def _integer_problem(value: Any, pointer: str, lower: int, upper: int) -> FieldProblem | None:
    if value is BAD_NUMBER:
        return FieldProblem(pointer, "out_of_range", f"must be an integer from {lower} to {upper}")
    if isinstance(value, bool) or not isinstance(value, int):
        return _wrong_type(pointer, f"an integer from {lower} to {upper}")
    if not lower <= value <= upper:
        return FieldProblem(pointer, "out_of_range", f"must be an integer from {lower} to {upper}")
    return None


def _amount_problem(value: Any, pointer: str) -> FieldProblem | None:
    if value is BAD_NUMBER or (isinstance(value, float) and not math.isfinite(value)):
        return FieldProblem(pointer, "not_finite", f"must be a finite number from 0 to {MAX_AMOUNT}")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _wrong_type(pointer, f"a number from 0 to {MAX_AMOUNT}")
    if not 0 <= value <= MAX_AMOUNT:
        return FieldProblem(pointer, "out_of_range", f"must be a number from 0 to {MAX_AMOUNT}")
    return None


def _nominal_problem(value: Any, pointer: str, maximum: int) -> FieldProblem | None:
    if isinstance(value, str):
        return text_problem(value, pointer, maximum)
    if value is BAD_NUMBER:
        return FieldProblem(pointer, "out_of_range", "must be a 64-bit integer; send longer codes as text")
    if isinstance(value, bool) or not isinstance(value, int):
        return _wrong_type(pointer, f"an integer or text of at most {maximum} characters")
    if not INT64_MIN <= value <= INT64_MAX:
        return FieldProblem(pointer, "out_of_range", "must be a 64-bit integer; send longer codes as text")
    return None


def _uf_problem(value: Any, pointer: str) -> FieldProblem | None:
    if not isinstance(value, str):
        return _wrong_type(pointer, "text, one of the 27 federative units")
    if value not in _UFS:
        detail = f"must be one of {' '.join(UFS)}, in capitals, or null when it is not known"
        return FieldProblem(pointer, "not_allowed", detail)
    return None


def _place_problem(value: Any, pointer: str, maximum: int) -> FieldProblem | None:
    if not isinstance(value, str):
        return _wrong_type(pointer, f"text of at most {maximum} characters")
    return text_problem(value, pointer, maximum)


def value_problem(raw: RawInput, value: Any, pointer: str) -> FieldProblem | None:
    """Check one value of a JSON type against the input it was sent for; None when it may pass."""
    if value is None:
        return None
    match raw.kind:
        case Kind.NOMINAL:
            problem = _nominal_problem(value, pointer, raw.maximum)
        case Kind.UF:
            problem = _uf_problem(value, pointer)
        case Kind.TEXT:
            problem = _place_problem(value, pointer, raw.maximum)
        case Kind.FLAG:
            problem = _integer_problem(value, pointer, 0, raw.maximum)
        case Kind.AMOUNT:
            problem = _amount_problem(value, pointer)
        case Kind.COUNT:
            problem = _integer_problem(value, pointer, 1, raw.maximum)
    return problem


def row_problems(row: Any, pointer: str, duplicated: Iterable[str] = ()) -> list[FieldProblem]:
    """Check one merchant given as a mapping.

    Args:
        row: anything that was decoded where a merchant belongs.
        pointer: JSON pointer to it.
        duplicated: keys that the row gave more than once.

    Returns:
        Every problem, in contract order, then unknown fields; empty when the row may pass.
    """
    if not isinstance(row, dict):
        detail = "must be an object with the thirteen inputs of one merchant"
        return [FieldProblem(pointer, "wrong_type", detail)]
    problems = [
        FieldProblem(child(pointer, key), "duplicate_field", "must be given once; which value counts is ambiguous")
        for key in dict.fromkeys(duplicated)
    ]
    for raw in RAW_INPUTS:
        at = f"{pointer}/{raw.name}"
        if raw.name not in row:
            if not raw.optional:
                detail = "is required; send null when it is not known"
                problems.append(FieldProblem(at, "missing_field", detail))
        elif problem := value_problem(raw, row[raw.name], at):
            problems.append(problem)
    known = "the inputs are listed at /docs"
    problems += [
        FieldProblem(child(pointer, key), "unknown_field", f"is not an input of a merchant; {known}")
        for key in row
        if key not in RAW_BY_NAME
    ]
    return problems


def columns_of_rows(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Turn rows that passed `row_problems` into columns."""
    kept = list(rows)
    return {
        raw.name: [
            float(value) if raw.kind is Kind.AMOUNT and value is not None else value
            for value in (row.get(raw.name) for row in kept)
        ]
        for raw in RAW_INPUTS
    }
