"""Response models. Answers are encoded from `app.formats.answers`; a test validates real ones against these."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - pydantic reads it at run time
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.contract.buckets import LABELS

_PREDICTION_EXAMPLE: dict[str, Any] = {
    "bucket": {"index": 3, "label": "≤ 100,000", "lower": 10000.0, "upper": 100000.0},
    "decision_rule": "weighted_f1",
    "probabilities": dict(zip(LABELS, (0.0112004, 0.0371142, 0.2458417, 0.6324016, 0.0734421), strict=True)),
    "prediction_set": {
        "lower": 2,
        "upper": 3,
        "labels": ["≤ 10,000", "≤ 100,000"],
        "coverage": 0.9,
        "class_conditional": False,
    },
    "value": {"p50": 29412.55, "lower": 3120.7, "upper": 78310.02, "mean": 41870.13},
    "warnings": [],
}


class Strict(BaseModel):
    """Base: nothing undeclared is ever sent."""

    model_config = ConfigDict(extra="forbid")


class Bucket(Strict):
    """One of the five ordered TPV buckets, BRL a month."""

    index: int = Field(ge=0, le=4)
    label: str
    lower: float = Field(description="Lower bound in BRL; excluded, but for the first bucket.")
    upper: float | None = Field(description="Upper bound in BRL, included; null when open.")


class PredictionSet(Strict):
    """Contiguous buckets that hold the true one at least `coverage` of the time."""

    lower: int = Field(ge=0, le=4, description="Index of the lowest bucket in the set.")
    upper: int = Field(ge=0, le=4, description="Index of the highest bucket in the set.")
    labels: list[str]
    coverage: float
    class_conditional: bool


class Value(Strict):
    """BRL a month."""

    p50: float = Field(description="Median within the predicted bucket.")
    lower: float = Field(description="10 % quantile over all buckets.")
    upper: float = Field(description="90 % quantile over all buckets.")
    mean: float = Field(description="Expected amount; add these, not medians, for a portfolio.")


class Remark(Strict):
    """A remark on one input; the row was predicted all the same."""

    field: str
    code: Literal["unknown_category", "missing_value"]
    message: str


class Effect(Strict):
    """What something adds to the two explained quantities."""

    bucket_log_odds: float = Field(description="To the log-odds of the predicted bucket.")
    expected_index: float = Field(description="To the expected bucket index.")


class InputEffect(Effect):
    """What one input adds."""

    input: str


class Contributions(Strict):
    """Additive reasons: base, inputs and others sum to the model's own output."""

    inputs: list[InputEffect] = Field(description="The inputs that matter most, strongest first.")
    others: Effect = Field(description="All inputs not listed, together.")
    base: Effect = Field(description="The average merchant.")


class Prediction(Strict):
    """The answer for one merchant."""

    model_config = ConfigDict(json_schema_extra={"examples": [_PREDICTION_EXAMPLE]})

    bucket: Bucket
    decision_rule: str = Field(description="How the bucket was chosen from the probabilities.")
    probabilities: dict[str, float] = Field(description="By bucket label; they sum to 1.")
    prediction_set: PredictionSet
    value: Value | None = Field(description="Null when the model was trained without real amounts.")
    warnings: list[Remark]
    contributions: Contributions | None = Field(default=None, description="Only when `explain` was asked for.")


class FieldErrorInRow(Strict):
    """What is wrong with one part of a row."""

    pointer: str
    code: str
    detail: str


class RowProblem(Strict):
    """Why a row was not predicted."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[FieldErrorInRow]


class RowError(Strict):
    """Stands in the place of a bad row's prediction."""

    error: RowProblem


class BatchResponse(Strict):
    """The answers, in the order of the instances."""

    predictions: list[Prediction | RowError]


class Health(Strict):
    """State of the process."""

    status: Literal["alive", "ready"]


class LoadProblem(Strict):
    """Why the champion is not what serves."""

    version: str | None
    code: str
    message: str
    at: datetime


class Served(Strict):
    """Identity of a model in memory."""

    version: str
    model_sha256: str
    loaded_at: datetime


class ModelCard(Strict):
    """The serving model, the one before it, and the last refusal."""

    serving: Served | None
    previous: Served | None = Field(description="Still in memory, for an instant rollback.")
    load_failure: LoadProblem | None = Field(description="Why the champion pointer was not followed, if so.")
    manifest: dict[str, Any] | None = Field(description="Data, code, parameters, metrics and digests of the model.")
