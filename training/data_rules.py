"""The rules that a merchant's cells must keep, derived from the one declaration of the raw inputs.

A cell is judged as the text that stands in the file. Each rule is worded for people and ends with its remedy.
"""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pandera.pandas as pandera

from app.contract.inputs import TARGET, UFS, Kind, RawInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

_MAX_NUMBER_LENGTH: Final = 40
_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_INTEGER: Final = re.compile(r"-?[0-9]+")
_DECIMAL_CODE: Final = re.compile(r"-?[0-9]+\.[0-9]+")
_MISSING_MARKERS: Final = frozenset({"nan", "-nan", "na", "n/a", "#n/a", "<na>", "nat", "nil", "null", "none"})
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


@dataclass(frozen=True)
class Rule:
    """A rule that a cell's text must keep, worded for people with its remedy."""

    text: str
    holds: Callable[[str], bool]


def _is_visible(text: str) -> bool:
    return text.isprintable() or not any(unicodedata.category(character) in _INVISIBLE for character in text)


_COMMON: Final = (
    Rule("has spaces around it: remove them", lambda text: text == text.strip()),
    Rule("holds invisible characters: remove line breaks, tabs and the like", _is_visible),
    Rule("marks a missing value: leave the cell empty instead", lambda text: text.lower() not in _MISSING_MARKERS),
)


def rules_of(raw: RawInput) -> tuple[Rule, ...]:
    """Give an input's rules in the order in which a cell is held to them; only the first one broken is reported."""
    return (*_COMMON, *_OWN[raw.kind](raw))


def required_rule(raw: RawInput) -> str:
    """Word the rule that an input may not be empty."""
    if raw.name == TARGET:
        return "is required for training: fill in the amount or leave the row out (an empty amount is not 0)"
    return "is required: fill it in or leave the row out"


def schema_of(inputs: Sequence[RawInput], *, nullable: bool) -> pandera.DataFrameSchema:
    """Build the schema of a table of texts, where None stands for an empty cell.

    Args:
        inputs: the columns.
        nullable: whether any cell may be empty, rather than those of optional inputs only.
    """
    return pandera.DataFrameSchema(
        {
            raw.name: pandera.Column(
                None,
                checks=[_check(rules, position) for rules in [rules_of(raw)] for position in range(len(rules))],
                nullable=nullable or raw.optional,
            )
            for raw in inputs
        }
    )


def _uf_rules(_raw: RawInput) -> tuple[Rule, ...]:
    return (Rule(f"must be one of the 27 states, in capitals: {', '.join(UFS)}", lambda text: text in UFS),)


def _flag_rules(_raw: RawInput) -> tuple[Rule, ...]:
    return (Rule("must be 0 or 1: write 1 for yes and 0 for no", lambda text: text in {"0", "1"}),)


def _amount_rules(raw: RawInput) -> tuple[Rule, ...]:
    return (
        _no_longer_than(_MAX_NUMBER_LENGTH),
        Rule(
            "must be a number such as 1234.56: a point before decimals, no thousands separator, no currency sign",
            lambda text: _NUMBER.fullmatch(text) is not None,
        ),
        Rule("must be finite: write the amount in BRL", lambda text: math.isfinite(float(text))),
        Rule("must be at least 0: write the amount in BRL without a sign", lambda text: float(text) >= 0),
        Rule(f"must be at most {raw.maximum:,}: write the amount in BRL", lambda text: float(text) <= raw.maximum),
    )


def _count_rules(raw: RawInput) -> tuple[Rule, ...]:
    return (
        _no_longer_than(_MAX_NUMBER_LENGTH),
        Rule(
            "must be an integer such as 1: no decimals, no thousands separator",
            lambda text: _INTEGER.fullmatch(text) is not None,
        ),
        Rule("must be at least 1: the main establishment counts too", lambda text: int(text) >= 1),
        Rule(f"must be at most {raw.maximum:,}: correct the number", lambda text: int(text) <= raw.maximum),
    )


def _code_rules(raw: RawInput) -> tuple[Rule, ...]:
    return (
        _no_longer_than(raw.maximum),
        Rule(
            "must be a code, an integer or text, and no fraction: write 5",
            lambda text: _DECIMAL_CODE.fullmatch(text) is None,
        ),
    )


def _text_rules(raw: RawInput) -> tuple[Rule, ...]:
    return (_no_longer_than(raw.maximum),)


def _no_longer_than(length: int) -> Rule:
    return Rule(f"is longer than {length} characters: shorten it", lambda text: len(text) <= length)


_OWN: Final[Mapping[Kind, Callable[[RawInput], tuple[Rule, ...]]]] = {
    Kind.NOMINAL: _code_rules,
    Kind.UF: _uf_rules,
    Kind.TEXT: _text_rules,
    Kind.FLAG: _flag_rules,
    Kind.AMOUNT: _amount_rules,
    Kind.COUNT: _count_rules,
}


def _check(rules: tuple[Rule, ...], position: int) -> pandera.Check:
    """Check one rule for the cells that keep those before it; each distinct text is looked at once."""
    rule = rules[position]

    def keeps(cells: pd.Series) -> pd.Series:
        broken = {text: _first_broken(rules[: position + 1], text) for text in cells.unique()}
        return cells.map({text: first is not rule for text, first in broken.items()}).astype(bool)

    return pandera.Check(keeps, error=rule.text)


def _first_broken(rules: Sequence[Rule], text: str) -> Rule | None:
    return next((rule for rule in rules if not rule.holds(text)), None)
