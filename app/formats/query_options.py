"""Options of formats whose bodies have no place for them: the query string."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qsl

from app.errors import FieldProblem, InvalidRequestError
from app.formats.json_body import exact_options
from app.formats.request import DEFAULT_OPTIONS, Options

_WORDS: Final = {"true": True, "false": False}


def options_of_query(query: bytes) -> Options:
    """Read `?coverage=0.8&on_error=fail&class_conditional=true&explain=3`.

    Raises:
        InvalidRequestError: an option is unknown, given twice, or out of its range; pointers name `/options/…`.
    """
    if not query:
        return DEFAULT_OPTIONS
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=20)
    given = {name: _value(text) for name, text in pairs}
    options, problems = exact_options(given)
    if len(given) != len(pairs):
        problems.append(FieldProblem("/options", "duplicate_field", "each option must be given once"))
    if problems:
        raise InvalidRequestError(problems)
    return options


def _value(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    return text
