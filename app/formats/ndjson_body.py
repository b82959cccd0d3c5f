"""NDJSON, a merchant a line in and a prediction a line out, in pieces of any size."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import msgspec

from app.errors import FieldProblem, InvalidRequestError, MalformedBodyError, NestingError
from app.formats.answers import encode_lines
from app.formats.json_body import fast_rows, parse_exact, repeated_keys
from app.formats.request import DecodedRequest
from app.formats.rules import columns_of_rows, row_problems

if TYPE_CHECKING:
    from app.errors import TPVError
    from app.formats.request import Options

MAX_LINE_BYTES: Final = 64 * 1024


class LineSplitter:
    """Cuts the pieces of a stream into whole lines."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> bytes:
        """Take a piece; give the whole lines there are now, or nothing.

        Raises:
            MalformedBodyError: a line is longer than `MAX_LINE_BYTES`.
        """
        cut = piece.rfind(b"\n") + 1
        lines = self._rest + piece[:cut] if cut else b""
        self._rest = piece[cut:] if cut else self._rest + piece
        if len(self._rest) > MAX_LINE_BYTES:
            raise MalformedBodyError(f"a line is longer than {MAX_LINE_BYTES} bytes; a merchant needs about 300")
        return lines

    def finish(self) -> bytes:
        """Give the last line when no newline ends it."""
        return self._rest


def decode_lines(group: bytes, options: Options, *, first: int, max_depth: int) -> DecodedRequest:
    """Decode whole lines; blank ones are skipped.

    Args:
        group: lines.
        options: how to answer.
        first: position in the stream of the first row of the group, for pointers.
        max_depth: deepest nesting of a line.
    """
    lines = [line for line in group.split(b"\n") if line and not line.isspace()]
    try:
        decoded = fast_rows(group, len(lines), options)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        decoded = None
    return decoded or _exact(lines, options, first, max_depth)


def _exact(lines: list[bytes], options: Options, first: int, max_depth: int) -> DecodedRequest:
    errors = {}
    good: list[dict[str, Any]] = []
    for position, line in enumerate(lines):
        pointer = f"/{first + position}"
        try:
            row = parse_exact(line, max_depth)
        except (MalformedBodyError, NestingError) as error:
            errors[position] = [FieldProblem(pointer, error.code, str(error))]
            continue
        if found := row_problems(row, pointer, repeated_keys(row)):
            errors[position] = found
        else:
            good.append(row)
    return DecodedRequest(columns_of_rows(good), len(lines), options, errors)


def encode_trailer(rows: int, bad: int, version: str, sha256: str, error: TPVError | None = None) -> bytes:
    """Write the last record of an answer, which tells that it is whole.

    Args:
        rows: records before it.
        bad: how many of them are errors.
        version: that answered every row.
        sha256: digest of its model.
        error: what ended the stream too early, if anything did.
    """
    trailer: dict[str, Any] = {
        "complete": error is None,
        "rows": rows,
        "errors": bad,
        "model_version": version,
        "model_sha256": sha256,
    }
    if error is not None:
        problems = error.problems if isinstance(error, InvalidRequestError) else ()
        trailer["error"] = {"code": error.code, "detail": str(error), "errors": [asdict(p) for p in problems]}
    return encode_lines([{"trailer": trailer}])
