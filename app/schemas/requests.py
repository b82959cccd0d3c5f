"""Request models. Decoding itself is `app.formats`; a test holds the two to the same verdicts."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StrictFloat, StrictInt, create_model

from app.contract.inputs import RAW_INPUTS, UFS, Kind, RawInput

_INT64: Final = 2**63


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not contain NUL")
    return text


def _not_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a number, not a boolean")  # noqa: TRY004 - pydantic wants a ValueError
    return value


def _text(maximum: int) -> Any:
    return Annotated[str, Field(min_length=1, max_length=maximum), AfterValidator(_storable)]


def _annotation(raw: RawInput) -> Any:
    match raw.kind:
        case Kind.NOMINAL:
            return Annotated[StrictInt, Field(ge=-_INT64, lt=_INT64)] | _text(raw.maximum) | None
        case Kind.UF:
            return Literal[UFS] | None
        case Kind.TEXT:
            return _text(raw.maximum) | None
        case Kind.FLAG:
            return Annotated[StrictInt, Field(ge=0, le=raw.maximum)] | None
        case Kind.AMOUNT:
            return Annotated[StrictFloat, BeforeValidator(_not_boolean), Field(ge=0, le=raw.maximum)] | None
        case Kind.COUNT:
            return Annotated[StrictInt, Field(ge=1, le=raw.maximum)] | None


EXAMPLE: Final[dict[str, Any]] = {raw.name: raw.example for raw in RAW_INPUTS}
EXAMPLE_BATCH: Final[dict[str, Any]] = {
    "instances": [EXAMPLE, EXAMPLE | {"bairro": None, "mei": 1, "capital_social": 1_000.0}],
    "options": {"coverage": 0.8},
}
_NOT_NULL: Final = "Null means that it is not known."

_fields: dict[str, Any] = {
    raw.name: (
        _annotation(raw),
        Field(
            default=None if raw.optional else ...,
            description=f"{raw.description}. {_NOT_NULL}",
            examples=[raw.example],
        ),
    )
    for raw in RAW_INPUTS
}
PredictRequest = create_model(
    "PredictRequest",
    __config__=ConfigDict(extra="forbid", title="Merchant", json_schema_extra={"examples": [EXAMPLE]}),
    __doc__="One merchant: the thirteen registration inputs. Every one but `bairro` must be present.",
    **_fields,
)


class PredictOptions(BaseModel):
    """How a batch is to be answered."""

    model_config = ConfigDict(extra="forbid", strict=True)

    on_error: Literal["row", "fail"] = Field(
        default="row", description="`row`: a bad row gets its own error; `fail`: one bad row refuses the request."
    )
    coverage: float = Field(
        default=0.9, ge=0.5, le=0.99, description="Share of prediction sets meant to hold the true bucket."
    )
    class_conditional: bool = Field(default=False, description="Aim at that share within each bucket, not overall.")
    explain: bool | Annotated[int, Field(ge=0, le=len(RAW_INPUTS))] = Field(
        default=False, description="Give reasons: for all inputs (true), or for the k that matter most."
    )


class BatchRequest(BaseModel):
    """Many merchants, answered in order."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE_BATCH]})

    instances: list[PredictRequest]
    options: PredictOptions = PredictOptions()
