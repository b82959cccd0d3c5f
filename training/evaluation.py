"""Everything measured of one version, in one frozen tree that can be stored and drawn again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import TypeAdapter

from training.curves import Curves, InputContribution  # noqa: TC001 - pydantic reads it at run time
from training.gate import GateDecision  # noqa: TC001 - pydantic reads it at run time
from training.metrics import Metrics, SliceRow, bucket_shares
from training.robustness import Robustness  # noqa: TC001 - pydantic reads it at run time
from training.set_metrics import SetReport  # noqa: TC001 - pydantic reads it at run time
from training.value_metrics import ValueReport  # noqa: TC001 - pydantic reads it at run time

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

SCHEMA: Final = 1
"""Layout of a stored evaluation; another one is refused."""


@dataclass(frozen=True, slots=True)
class DataFacts:
    """The data behind a version.

    Attributes:
        source: file name, without its directory.
        sha256: of the file's bytes.
        synthetic: whether the merchants are made up; every page then says so.
        amounts_are_real: False when all rows of a bucket share one amount, which leaves no amounts to learn.
        rows: valid rows.
        dropped: invalid rows left out on request.
        train: rows that the model is fitted on.
        validation: rows that stop, tune, calibrate and fit the decision rule.
        test: rows that nothing but this evaluation has seen.
    """

    source: str
    sha256: str
    synthetic: bool
    amounts_are_real: bool
    rows: int
    dropped: int
    train: int
    validation: int
    test: int


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """How a version was made.

    Attributes:
        description: what the model is, one sentence.
        decision_rule: how a bucket is chosen from the probabilities.
        decision_detail: the fitted weights or the cost matrix in words, or "".
        params: everything tuned or configured that shaped the model.
        packages: versions of Python and the libraries.
        git_commit: of the code, or None when not known.
        seed: of split and fit.
        threads: of the fit.
        model_bytes: size of the artifact, or None when not yet written.
        reproduce: shell commands that make the version again.
        notes: further known limits, one sentence each.
    """

    description: str
    decision_rule: str
    decision_detail: str
    params: dict[str, str | int | float | bool | None]
    packages: dict[str, str]
    git_commit: str | None
    seed: int
    threads: int
    model_bytes: int | None
    reproduce: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial of the tuning study: its validation log loss where it got one, and how it ended."""

    number: int
    value: float | None
    state: Literal["complete", "pruned", "failed"]


@dataclass(frozen=True, slots=True)
class BucketShares:
    """Share of each bucket among the true labels of each split and among the decisions on the test rows, each (5,)."""

    train: tuple[float, ...]
    validation: tuple[float, ...]
    test: tuple[float, ...]
    predicted: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class InputGain:
    """Share of the trees' total gain that splits on one raw input brought."""

    name: str
    share: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything the report and the model card show of one version, measured on its test rows.

    Attributes:
        version: `YYYYMMDDTHHMMSSZ-xxxxxxxx`.
        created_at: ISO 8601, UTC.
        data: the data behind it.
        model: how it was made.
        metrics: of the model.
        majority: of the majority baseline on the same rows.
        logistic: of the logistic baseline on the same rows, or None when it was not fitted.
        ece_floor: calibration error that a perfectly calibrated model stays under on as many rows (95%).
        curves: points of the plots.
        shares: bucket shares of splits and decisions.
        slices: measures per value of some inputs.
        sets: prediction sets, one report per level and kind.
        values: predicted amounts, or None when they are switched off.
        robustness: quality with fields missing, or None when not measured.
        gains: gain per raw input, strongest first.
        contributions: contributions to the expected bucket index per raw input, strongest first.
        study: the tuning trials, in order; empty when parameters were given.
        gate: the promotion gate's answer, or None before it was asked.
        schema: layout of this tree.
    """

    version: str
    created_at: str
    data: DataFacts
    model: ModelFacts
    metrics: Metrics
    majority: Metrics
    logistic: Metrics | None
    ece_floor: float
    curves: Curves
    shares: BucketShares
    slices: tuple[SliceRow, ...] = ()
    sets: tuple[SetReport, ...] = ()
    values: ValueReport | None = None
    robustness: Robustness | None = None
    gains: tuple[InputGain, ...] = ()
    contributions: tuple[InputContribution, ...] = ()
    study: tuple[Trial, ...] = ()
    gate: GateDecision | None = None
    schema: int = SCHEMA

    def to_dict(self) -> dict[str, Any]:
        """Give plain dicts, lists, numbers and text, ready for JSON."""
        plain: dict[str, Any] = _adapter().dump_python(self, mode="json")
        return plain

    @staticmethod
    def from_dict(plain: Mapping[str, Any]) -> Evaluation:
        """Undo `to_dict`.

        Raises:
            ValueError: another schema, or a part is missing or of the wrong type; the message names it.
        """
        if plain.get("schema") != SCHEMA:
            raise ValueError(
                f"this evaluation has schema {plain.get('schema')!r}, this program reads {SCHEMA}. Evaluate again."
            )
        return _adapter().validate_python(dict(plain))


@cache
def _adapter() -> TypeAdapter[Evaluation]:
    return TypeAdapter(Evaluation)


def shares(train: ArrayLike, validation: ArrayLike, test: ArrayLike, predicted: ArrayLike) -> BucketShares:
    """Bucket shares from labels of the three splits and from decisions on the test rows, each int (n,)."""
    made = [tuple(float(share) for share in bucket_shares(each)) for each in (train, validation, test, predicted)]
    return BucketShares(*made)


def gain_shares(gains: Mapping[str, float]) -> tuple[InputGain, ...]:
    """Turn total gain per raw input into shares, strongest first.

    Raises:
        ValueError: a gain is negative, or all are 0.
    """
    total = sum(gains.values())
    if total <= 0 or min(gains.values()) < 0:
        raise ValueError("gains must be >= 0 and not all 0")
    return tuple(InputGain(name, gain / total) for name, gain in sorted(gains.items(), key=lambda item: -item[1]))
