"""Which format a media type names."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from app.errors import NotAcceptableError, UnsupportedMediaTypeError


class Format(StrEnum):
    """A body format; the value labels metrics."""

    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"
    ARROW = "arrow"
    PARQUET = "parquet"


MEDIA_TYPES: Final = {
    "application/json": Format.JSON,
    "application/x-ndjson": Format.NDJSON,
    "application/ndjson": Format.NDJSON,
    "application/jsonl": Format.NDJSON,
    "text/csv": Format.CSV,
    "application/vnd.apache.arrow.stream": Format.ARROW,
    "application/vnd.apache.parquet": Format.PARQUET,
}
"""The first name of a format is the one that answers carry."""

CANONICAL: Final = {form: name for name, form in reversed(MEDIA_TYPES.items())}


def format_of_body(content_type: str) -> Format:
    """Give the format of a Content-Type; JSON when there is none.

    Raises:
        UnsupportedMediaTypeError: it names another.
    """
    name = content_type.partition(";")[0].strip().lower()
    try:
        return MEDIA_TYPES[name] if name else Format.JSON
    except KeyError:
        raise UnsupportedMediaTypeError(f"send the body as one of {', '.join(CANONICAL.values())}") from None


def is_streamed(content_type: bytes) -> bool:
    """Whether a body of this type is answered while it comes."""
    name = content_type.partition(b";")[0].strip().lower().decode("latin-1")
    return MEDIA_TYPES.get(name) is Format.NDJSON


def format_of_answer(accept: str, body: Format) -> Format:
    """Choose the format of the answer: that of the request unless Accept says otherwise.

    Raises:
        NotAcceptableError: Accept allows none of the formats.
    """
    if not accept or accept == "*/*":
        return body
    ranges = sorted(map(_range, accept.lower().split(",")), key=lambda pair: -pair[1])
    allowed = [name for name, quality in ranges if quality > 0]
    if CANONICAL[body] in allowed:
        return body
    for name in allowed:
        if name in MEDIA_TYPES:
            return MEDIA_TYPES[name]
        if name == "*/*" or (name.endswith("/*") and CANONICAL[body].startswith(name[:-1])):
            return body
    raise NotAcceptableError(f"accept one of {', '.join(CANONICAL.values())}")


def _range(text: str) -> tuple[str, float]:
    name, *parameters = (part.strip() for part in text.split(";"))
    quality = 1.0
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                quality = float(value)
            except ValueError:
                quality = 0.0
    return name, quality
