"""JSON requests to columns.

A good body takes the fast path: one typed pass straight from the bytes. Anything that pass refuses, or cannot vouch
for, takes the exact path, which finds every problem and its pointer and keeps the good rows of a batch.
"""

from __future__ import annotations

import json
from operator import attrgetter
from typing import Annotated, Any, Final, Literal

import msgspec
import numpy as np
from msgspec import UNSET, Meta, UnsetType

from app.contract.inputs import MAX_AMOUNT, MAX_COUNT, RAW_INPUTS, RAW_NAMES, UFS, Kind, RawInput
from app.errors import FieldProblem, InvalidRequestError, MalformedBodyError, NestingError, TooManyRowsError
from app.formats.request import DEFAULT_OPTIONS, MAX_COVERAGE, MAX_REASONS, MIN_COVERAGE, DecodedRequest, Options
from app.formats.rules import BAD_NUMBER, INT64_MAX, INT64_MIN, child, columns_of_rows, row_problems

_LONGEST_INTEGER: Final = 25
_NUL_ESCAPE: Final = b"\\u0000"
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))


def _type_of(raw: RawInput) -> Any:
    """Express the rules of one input as a type that msgspec checks while it decodes."""
    match raw.kind:
        case Kind.NOMINAL:
            return (
                Annotated[int, Meta(ge=INT64_MIN, le=INT64_MAX)]
                | Annotated[str, Meta(min_length=1, max_length=raw.maximum)]
                | None
            )
        case Kind.UF:
            return Literal[UFS] | None
        case Kind.TEXT:
            return Annotated[str, Meta(min_length=1, max_length=raw.maximum)] | None
        case Kind.FLAG:
            return Literal[0, 1] | None
        case Kind.AMOUNT:
            return Annotated[float, Meta(ge=0, le=MAX_AMOUNT)] | None
        case Kind.COUNT:
            return Annotated[int, Meta(ge=1, le=MAX_COUNT)] | None


def _fields() -> list[Any]:
    """Fields of a row in contract order, as `defstruct` takes them: keyword-only, so an optional one may come early."""
    return [
        (raw.name, _type_of(raw) | UnsetType, UNSET) if raw.optional else (raw.name, _type_of(raw))
        for raw in RAW_INPUTS
    ]


Row: Final[Any] = msgspec.defstruct("Row", _fields(), kw_only=True, gc=False, forbid_unknown_fields=True)
Batch: Final[Any] = msgspec.defstruct(
    "Batch",
    [("instances", list[Row]), ("options", Options | UnsetType, UNSET)],
    gc=False,
    forbid_unknown_fields=True,
)
_OPTIONAL: Final = tuple(raw.name for raw in RAW_INPUTS if raw.optional)
_REQUIRED: Final = len(RAW_INPUTS) - len(_OPTIONAL)
_GETTERS: Final = {name: attrgetter(name) for name in RAW_NAMES}
_row_decoder: Final = msgspec.json.Decoder(Row)
_batch_decoder: Final = msgspec.json.Decoder(Batch)


def decode_json(body: bytes, options: Options = DEFAULT_OPTIONS, *, max_rows: int, max_depth: int) -> DecodedRequest:
    """Decode one merchant, or `{"instances": [...], "options": {...}}`.

    Args:
        body: the whole body.
        options: how to answer, where the body does not say.
        max_rows: most rows of one request.
        max_depth: deepest nesting.

    Raises:
        MalformedBodyError: not JSON, or not UTF-8.
        NestingError: nested deeper than `max_depth`.
        TooManyRowsError: more than `max_rows` instances.
        InvalidRequestError: a single merchant, the options or the whole is wrong, or a row is and the options say
            `fail`.
    """
    try:
        decoded = _fast_batch(body, options) if b'"instances"' in body else _fast_single(body, options)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        decoded = None
    if decoded is None:
        decoded = _exact(body, options, max_depth)
    if decoded.rows > max_rows:
        raise TooManyRowsError(
            f"{decoded.rows} rows in one request, at most {max_rows} are taken; split it, or stream it as NDJSON"
        )
    if decoded.errors and decoded.options.on_error == "fail":
        raise InvalidRequestError([problem for problems in decoded.errors.values() for problem in problems])
    return decoded


def _fast_single(body: bytes, options: Options) -> DecodedRequest | None:
    row = _row_decoder.decode(body)
    columns = {name: [getattr(row, name)] for name in RAW_NAMES}
    return DecodedRequest(columns, 1, options, single=True) if _vouched(body, columns, keys=0) else None


def _fast_batch(body: bytes, options: Options) -> DecodedRequest | None:
    batch = _batch_decoder.decode(body)
    keys = 1
    if batch.options is not UNSET:
        # How many options were given is not kept by the decoder; their own keys are few, so they are read again.
        keys += 1 + len(msgspec.json.decode(body, type=_OptionsOnly).options)
        options = batch.options
    return _request_of(body, batch.instances, options, keys)


def fast_rows(lines: bytes, count: int, options: Options) -> DecodedRequest | None:
    """Decode merchants that stand one a line; None when the exact path must look.

    Raises:
        msgspec.DecodeError: a line is wrong.
    """
    rows = _row_decoder.decode_lines(lines)
    return _request_of(lines, rows, options, keys=0) if len(rows) == count else None


def _request_of(body: bytes, rows: list[Any], options: Options, keys: int) -> DecodedRequest | None:
    columns = {name: list(map(get, rows)) for name, get in _GETTERS.items()}
    return DecodedRequest(columns, len(rows), options) if _vouched(body, columns, keys) else None


class _OptionsOnly(msgspec.Struct):
    options: dict[str, Any]


def _vouched(body: bytes, columns: dict[str, list[Any]], keys: int) -> bool:
    """Tell that no key can have been given twice and that no text holds NUL; make null of what was left out.

    Each key of the body is followed by one colon, and a decoded row tells how many different keys it had; as many
    colons as keys therefore prove that none was repeated. Colons within text only make the count too high.
    """
    keys += len(columns["uf"]) * _REQUIRED
    for name in _OPTIONAL:
        column = columns[name]
        absent = column.count(UNSET)
        keys += len(column) - absent
        if absent:
            columns[name] = [None if value is UNSET else value for value in column]
    return body.count(b":") == keys and _NUL_ESCAPE not in body


class _Repeated(dict[str, Any]):
    """An object that gave some keys more than once."""

    keys_repeated: list[str]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) == len(pairs):
        return result
    repeated = _Repeated(result)
    seen: set[str] = set()
    repeated.keys_repeated = [key for key, _ in pairs if key in seen or seen.add(key)]  # type: ignore[func-returns-value]
    return repeated


def _integer(text: str) -> Any:
    return int(text) if len(text) <= _LONGEST_INTEGER else BAD_NUMBER


def _float(text: str) -> Any:
    value = float(text)
    return value if value - value == 0 else BAD_NUMBER


def depth_of(body: bytes) -> int:
    """Deepest nesting of brackets outside strings; exact for well-formed JSON."""
    # Escaped backslashes go first, so that a quote after one is still seen as the end of its string.
    pieces = body.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
    brackets = np.frombuffer(b"".join(pieces[::2]).translate(None, _NOT_BRACKETS), dtype=np.uint8)
    if not brackets.size:
        return 0
    steps = np.where((brackets == ord("[")) | (brackets == ord("{")), 1, -1)
    return int(np.cumsum(steps, dtype=np.int64).max())


def parse_exact(body: bytes, max_depth: int) -> Any:
    """Parse JSON so that nothing is lost: repeated keys are kept in mind and impossible numbers are `BAD_NUMBER`.

    Raises:
        MalformedBodyError: not JSON, or not UTF-8.
        NestingError: nested deeper than `max_depth`.
    """
    if body.startswith(b"\xef\xbb\xbf"):
        raise MalformedBodyError("the body starts with a byte-order mark; send UTF-8 without one")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise MalformedBodyError(f"the body is not UTF-8 (byte {error.start}); encode it as UTF-8") from error
    if depth_of(body) > max_depth:
        raise NestingError(f"the body is nested deeper than {max_depth} levels; a batch needs 3")
    try:
        return json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=lambda _: BAD_NUMBER,
        )
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}" if text.strip() else "it is empty"
        raise MalformedBodyError(f"the body is not JSON ({error.msg}: {where})") from error
    except RecursionError as error:
        raise NestingError(f"the body is nested deeper than {max_depth} levels; a batch needs 3") from error


def _exact(body: bytes, options: Options, max_depth: int) -> DecodedRequest:
    parsed = parse_exact(body, max_depth)
    if not isinstance(parsed, dict):
        detail = 'must be a merchant object, or an object {"instances": [...]}'
        raise InvalidRequestError([FieldProblem("", "wrong_type", detail)])
    if "instances" in parsed:
        return _exact_batch(parsed, options)
    if problems := row_problems(parsed, "", repeated_keys(parsed)):
        raise InvalidRequestError(problems)
    return DecodedRequest(columns_of_rows([parsed]), 1, options, single=True)


def repeated_keys(value: Any) -> list[str]:
    """Give the keys that an object of `parse_exact` gave more than once."""
    return value.keys_repeated if isinstance(value, _Repeated) else []


def _exact_batch(parsed: dict[str, Any], options: Options) -> DecodedRequest:
    problems = [
        FieldProblem(child("", key), "duplicate_field", "must be given once; which value counts is ambiguous")
        for key in repeated_keys(parsed)
    ]
    problems += [
        FieldProblem(child("", key), "unknown_field", "is not known beside instances and options; remove it")
        for key in parsed
        if key not in {"instances", "options"}
    ]
    instances = parsed["instances"]
    if not isinstance(instances, list):
        problems.append(FieldProblem("/instances", "wrong_type", "must be an array of merchant objects"))
    if "options" in parsed:
        options, option_problems = exact_options(parsed["options"])
        problems += option_problems
    if problems:
        raise InvalidRequestError(problems)
    errors = {}
    good = []
    for position, row in enumerate(instances):
        if found := row_problems(row, f"/instances/{position}", repeated_keys(row)):
            errors[position] = found
        else:
            good.append(row)
    return DecodedRequest(columns_of_rows(good), len(instances), options, errors)


_OPTION_RULES: Final = {
    "on_error": '"row" or "fail"',
    "coverage": f"a number from {MIN_COVERAGE} to {MAX_COVERAGE}",
    "class_conditional": "true or false",
    "explain": f"true, false, or an integer from 0 to {MAX_REASONS}",
}


def exact_options(value: Any, pointer: str = "/options") -> tuple[Options, list[FieldProblem]]:
    """Check the options of a request; give them with every problem found."""
    if not isinstance(value, dict):
        return DEFAULT_OPTIONS, [FieldProblem(pointer, "wrong_type", "must be an object")]
    problems = [
        FieldProblem(child(pointer, key), "duplicate_field", "must be given once; which value counts is ambiguous")
        for key in repeated_keys(value)
    ]
    for key, given in value.items():
        if key not in _OPTION_RULES:
            detail = f"is not an option; the options are {', '.join(_OPTION_RULES)}"
            problems.append(FieldProblem(child(pointer, key), "unknown_field", detail))
            continue
        try:
            msgspec.convert({key: given}, Options)
        except msgspec.ValidationError:
            problems.append(FieldProblem(f"{pointer}/{key}", "invalid_option", f"must be {_OPTION_RULES[key]}"))
    return (DEFAULT_OPTIONS if problems else msgspec.convert(value, Options)), problems
