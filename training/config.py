"""The configuration of a training run: typed, frozen, from a TOML file and flags.

Flags win over the file, and the file over the defaults. Types are strict: `"5"` is not 5 and `true` is not 1.
"""

from __future__ import annotations

import difflib
import tomllib
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from app.contract.buckets import N_BUCKETS
from app.errors import TPVError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class ConfigError(TPVError):
    """The configuration breaks a rule; the message names the key, the rule and the remedy."""

    code: ClassVar[str] = "invalid_config"


def _tuples(value: object) -> object:
    """Turn the lists of TOML into tuples, which stay frozen."""
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


Seed = Annotated[int, Field(ge=0, lt=2**32)]
Threads = Annotated[int, Field(ge=1, le=256)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Cost = Annotated[float, Field(ge=0, allow_inf_nan=False)]
CostMatrix = Annotated[tuple[tuple[Cost, ...], ...], BeforeValidator(_tuples)]


class Section(BaseModel):
    """Base of the sections: frozen, strict, without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class DataConfig(Section):
    """What to do with rows that break a rule: `fail`, or `drop` them after reporting each."""

    on_invalid: Literal["fail", "drop"] = "fail"


class SplitConfig(Section):
    """Fractions of the merchants held out for validation and test, and the seed that decides which.

    The test can be large, for precise figures, since the served model is fitted again on all rows.
    """

    seed: Seed = 0
    validation: Fraction = 0.10
    test: Fraction = 0.20

    @model_validator(mode="after")
    def _leave_rows_for_training(self) -> Self:
        if self.validation + self.test >= 1:
            raise PydanticCustomError(
                "fractions", "validation and test must leave rows for training: make them sum to less than 1"
            )
        return self


class TuneConfig(Section):
    """How long and where to tune.

    Attributes:
        trials: number of trials.
        timeout_seconds: stop starting trials after so long, or None.
        storage: URL of the Optuna storage.
        study: name of the study in it, by which it is resumed.
        early_stopping_rounds: boosting stops after so many rounds without a better validation loss.
        seed: of the sampler.
        threads: of each fit.
    """

    trials: Annotated[int, Field(ge=1, le=100_000)] = 50
    timeout_seconds: Annotated[float, Field(gt=0)] | None = None
    storage: Annotated[str, Field(pattern=r"^[a-z0-9+]+://")] = "sqlite:///models/study.db"
    study: Annotated[str, Field(min_length=1, max_length=200)] = "tpv"
    early_stopping_rounds: Annotated[int, Field(ge=1)] = 12
    seed: Seed = 0
    threads: Threads = 2


class FitConfig(Section):
    """The fit.

    Attributes:
        seed: of row and column sampling.
        threads: OpenMP threads.
        folds: of the teacher's out-of-fold answers.
        refit: fit the served model on all rows once the recipe has been measured on the test rows.
    """

    refit: bool = True
    seed: Seed = 0
    threads: Threads = 2
    folds: Annotated[int, Field(ge=2, le=50)] = 5


class DecisionConfig(Section):
    """How a bucket is chosen from the probabilities.

    Attributes:
        rule: what the choice is best for.
        cost_matrix: 5 x 5, for `expected_cost` only: row is the true bucket, column the chosen one.
    """

    rule: Literal["argmax", "weighted_f1", "macro_f1", "expected_cost"] = "weighted_f1"
    cost_matrix: CostMatrix | None = None

    @model_validator(mode="after")
    def _cost_matrix_fits_rule(self) -> Self:
        if self.cost_matrix is None:
            if self.rule == "expected_cost":
                raise PydanticCustomError(
                    "cost_matrix", "rule expected_cost needs decision.cost_matrix: give 5 rows of 5 costs"
                )
            return self
        if self.rule != "expected_cost":
            raise PydanticCustomError(
                "cost_matrix", 'cost_matrix is used by rule expected_cost only: set decision.rule = "expected_cost"'
            )
        if {len(self.cost_matrix), *map(len, self.cost_matrix)} != {N_BUCKETS}:
            raise PydanticCustomError("cost_matrix", "cost_matrix must be 5 x 5: give 5 rows of 5 costs")
        return self


class ValueConfig(Section):
    """Whether to model amounts inside buckets (`auto`: only if they are real), and the cap of the highest, in BRL."""

    enabled: Literal["auto", "on", "off"] = "auto"
    cap_brl: Annotated[float, Field(gt=100_000, le=1e15)] = 10_000_000


class GateConfig(Section):
    """What a challenger must show to be promoted.

    Attributes:
        bootstrap: resamples of the paired bootstrap.
        margin: by how much of the log loss the challenger must be better.
        confidence: of the bootstrap interval.
        max_ece: largest expected calibration error.
        seed: of the bootstrap.
    """

    bootstrap: Annotated[int, Field(ge=100, le=1_000_000)] = 1000
    margin: Annotated[float, Field(ge=-1, le=1)] = 0.0
    confidence: Fraction = 0.95
    max_ece: Annotated[float, Field(gt=0, le=1)] = 0.02
    seed: Seed = 0


class RunConfig(Section):
    """Everything that shapes a run."""

    data: DataConfig = DataConfig()
    split: SplitConfig = SplitConfig()
    tune: TuneConfig = TuneConfig()
    fit: FitConfig = FitConfig()
    decision: DecisionConfig = DecisionConfig()
    value: ValueConfig = ValueConfig()
    gate: GateConfig = GateConfig()


def load_config(path: Path | None, overrides: Mapping[str, object]) -> RunConfig:
    """Read a run configuration.

    Args:
        path: a TOML file with a table per section, or None for the defaults.
        overrides: values by dotted key, such as `{"tune.trials": 10}`; None stands for a flag that was not given.

    Raises:
        ConfigError: the file cannot be read, or a key or value breaks a rule.
    """
    values = {} if path is None else _read(path)
    for key, value in overrides.items():
        if value is not None:
            _set(values, key, value)
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        source = "" if path is None else f" (file {path})"
        raise ConfigError("; ".join(_describe(detail) for detail in error.errors()) + source) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as handle:
            return tomllib.load(handle)
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: there is no such configuration file. Check the path.") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}. Check that it is a readable file.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text. Save it as UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is not valid TOML: {error}. Correct that place.") from error


def _set(values: dict[str, Any], key: str, value: object) -> None:
    *sections, name = key.split(".")
    for section in sections:
        inner = values.setdefault(section, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{section}: must be a table: write [{section}] with its keys below")
        values = inner
    values[name] = value


_REMEDIES: Final = {
    "bool_type": "write true or false",
    "int_type": "write it without quotes and decimals",
    "float_type": "write it without quotes",
    "string_type": "write it in double quotes",
    "tuple_type": "write it as a list in square brackets",
    "literal_error": "write one of those",
    "string_pattern_mismatch": "write it as a URL such as sqlite:///study.db",
}


def _describe(detail: ErrorDetails) -> str:
    key = ".".join(map(str, detail["loc"])) or "configuration"
    kind = detail["type"]
    if kind == "extra_forbidden":
        return _describe_unknown(key)
    if kind in {"model_type", "model_attributes_type"}:
        return f"{key}: must be a table: write [{key}] with its keys below"
    message = detail["msg"][0].lower() + detail["msg"][1:]
    remedy = _REMEDIES.get(kind)
    if remedy is None and kind not in {"fractions", "cost_matrix"}:
        remedy = "give a value in that range"
    given = "" if isinstance(detail["input"], Section | dict) else f", not {detail['input']!r}"
    return f"{key}: {message}{given}" + (f": {remedy}" if remedy else "")


def _describe_unknown(key: str) -> str:
    known = _known_keys()
    close = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known keys are {', '.join(known)}"
    return f"{key}: there is no such key: {hint}"


def _known_keys() -> list[str]:
    return [
        f"{section}.{name}"
        for section, field in RunConfig.model_fields.items()
        if isinstance(field.default, Section)
        for name in type(field.default).model_fields
    ]
