"""RFC 9457 problem details."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

PROBLEM_JSON: Final = "application/problem+json"


class FieldError(BaseModel):
    """What is wrong with one part of the request."""

    pointer: str = Field(description="JSON pointer (RFC 6901) to the part.", examples=["/instances/3/uf"])
    code: str = Field(description="Stable name of the broken rule.", examples=["missing_field"])
    detail: str = Field(
        description="The rule and the remedy.", examples=["is required; send null when it is not known"]
    )


class Problem(BaseModel):
    """Why a request got no answer, by RFC 9457. The input is never repeated in it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:tpv:problem:invalid_request",
                    "title": "The request breaks the schema",
                    "status": 422,
                    "code": "invalid_request",
                    "detail": "1 problem in the request",
                    "request_id": "5f2b9f0e3c8d4a6b9e1f7a2c4d6e8f01",
                    "errors": [
                        {
                            "pointer": "/uf",
                            "code": "missing_field",
                            "detail": "is required; send null when it is not known",
                        }
                    ],
                }
            ]
        }
    )

    type: str = Field(description="`urn:tpv:problem:` and the code.")
    title: str = Field(description="The kind of problem, the same for every occurrence.")
    status: int = Field(description="HTTP status.")
    code: str = Field(description="Stable name to branch on.")
    detail: str = Field(description="This occurrence, and what to do about it.")
    request_id: str = Field(description="The X-Request-ID of the answer, to be found in the logs.")
    errors: list[FieldError] = Field(default=[], description="Each part that is wrong; at most 100.")
